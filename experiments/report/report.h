/* The report of an experiment: one model, five renderings with the same numbers.
 *
 * report_build() lays statistics out as a document (headings, paragraphs, tables, notes), which the
 * text, Markdown and LaTeX renderings draw; CSV and JSON give every figure with all its digits. */
#ifndef TRIAD_REPORT_H
#define TRIAD_REPORT_H

#include "arena.h"
#include "document.h"
#include "err.h"
#include "stats.h"
#include "str.h"

/* A line of the caller's own provenance, such as {"machine", "..."}; shown in Markdown and JSON,
 * never in the CSV, which must not depend on where or when the jobs ran. */
struct report_fact {
    const char *name;
    const char *value;
};

/* What the report says besides the figures. Borrowed. */
struct report_info {
    const char *title;
    const char *experiment;
    const char *const *notes; /* sentences such as "These families are toys." */
    size_t note_count;
    const struct report_fact *facts;
    size_t fact_count;
};

struct report {
    struct report_info info;
    const struct stats *stats;
    struct document document;
};

/* Lay out the report. `stats` and what it borrows must outlive it; the rest is owned by `arena`. */
struct report *report_build(const struct report_info *info, const struct stats *stats,
                            struct arena *arena);

/* For a terminal `width` columns wide (0: any): UTF-8, aligned, long words cut with an ellipsis but
 * never a number. Leaves out the sections of detail. */
void report_render_text(const struct report *report, unsigned width, struct strbuf *out);
void report_render_markdown(const struct report *report, struct strbuf *out);
/* Tables for \usepackage{booktabs}, without a document around them. */
void report_render_latex(const struct report *report, struct strbuf *out);

/* One tidy table: a line for every mean, difference, count and pooled effect (columns and meanings:
 * docs/records.md). Numbers with %.17g, empty where undefined. Depends on records, rules and seed
 * alone: neither attempts, times, machines nor paths are in it. */
void report_render_csv(const struct report *report, struct strbuf *out);
/* The same figures with pairs, per-position means and the provenance of every cell; schema
 * "triad.report/1". ERR_INVALID when a text is not UTF-8. */
NODISCARD enum err_code report_render_json(const struct report *report, struct strbuf *out,
                                           struct err *err);

#endif
