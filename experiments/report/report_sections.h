/* The sections of a report, each appended to its document. Private to experiments/report. */
#ifndef TRIAD_REPORT_SECTIONS_H
#define TRIAD_REPORT_SECTIONS_H

#include "footnotes.h"
#include "report.h"

/* A report under construction. */
struct report_draft {
    struct document *doc;
    const struct report_info *info;
    const struct stats *stats;
    struct footnotes footnotes;
};

/* Means of every variant, and each declared pair's difference, family by family. */
void report_add_means(struct report_draft *draft);
void report_add_comparisons(struct report_draft *draft);
/* Validity and diversity of sampled texts: per task, over tasks, as fronts, and compared. */
void report_add_generations(struct report_draft *draft);
/* Expected calibration errors. */
void report_add_calibration(struct report_draft *draft);
/* Verdicts counted, effects pooled. */
void report_add_counts(struct report_draft *draft);
void report_add_pooled(struct report_draft *draft);
/* For readers who look closer: the tests beside the main one, first and last position, lineage. */
void report_add_side_tests(struct report_draft *draft);
void report_add_scopes(struct report_draft *draft);
/* Every measure there is; loss and accuracy by position, loss by length; every figure of the texts.
 */
void report_add_all_means(struct report_draft *draft);
void report_add_positions(struct report_draft *draft);
void report_add_lengths(struct report_draft *draft);
void report_add_text_figures(struct report_draft *draft);
void report_add_provenance(struct report_draft *draft);
/* Legend, footnotes, the caller's notes. Last, when all footnotes are known. */
void report_add_notes(struct report_draft *draft);

/* The task, with its suite where there are several. */
const char *report_row_label(const struct report_draft *draft, const struct stat_row *row);
/* How many variants fit beside the task and the metric; columns for these, and one per variant. */
size_t report_shown_variants(const struct stats *stats);
void report_variant_columns(const struct stats *stats, struct table *table);

/* "n.s." and the like, short enough for a table. */
const char *report_verdict_word(enum stat_verdict verdict);
/* "95 % CI" of a rule's intervals. */
const char *report_interval_title(const struct report_draft *draft, const char *what, double alpha);
/* The same of intervals of all rules, which may differ. */
const char *report_intervals_title(const struct report_draft *draft, const char *what);
/* " (rule 2)" where a pair's names do not tell by which rule it is compared, else "". */
const char *report_rule_mark(const struct report_draft *draft, const struct stat_rule *rule);

#endif
