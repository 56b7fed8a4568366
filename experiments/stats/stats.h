/* From the grid's item records to summaries, tests, verdicts and counts (docs/science.md section
 * 6). Pure: no files, clock or threads; the same input gives the same bits. */
#ifndef TRIAD_STATS_H
#define TRIAD_STATS_H

#include "arena.h"
#include "compare.h"
#include "err.h"
#include "random_effects.h"
#include "stat_arm.h"
#include "stat_coverage.h"

/* A task of a suite in one family: a row of the grid. */
struct stat_row {
    const char *family, *suite, *task;
    enum stat_kind kind;
};

enum stat_group {
    STAT_GROUP_ALL,
    STAT_GROUP_FAMILY, /* listed when there are several families */
    STAT_GROUP_SUITE,  /* listed when there are several suites */
};

/* Verdicts of one variant against its baseline, counted over a group of pairs. */
struct stat_count {
    const struct stat_rule *rule;
    const char *against;
    enum stat_metric metric;
    enum stat_group group;
    const char *name; /* family or suite; "" for all */
    uint32_t verdicts[STAT_VERDICT_COUNT];
    uint32_t total;
};

enum stat_pool {
    STAT_POOL_FAMILIES, /* one task over all families: does the effect carry over? */
    STAT_POOL_TASKS,    /* one family over all its tasks */
};

/* Random-effects mean of paired differences. Never over an incomplete set: with a member missing
 * `effects` is NaN and `reason` names it. */
struct stat_pooled {
    const struct stat_rule *rule;
    const char *against;
    enum stat_metric metric;
    enum stat_pool pool;
    const char *suite; /* of the task; "" when pooling tasks */
    const char *name;  /* task or family */
    struct random_effects effects;
    char reason[STAT_REASON_SIZE];
};

struct stats {
    const struct stat_rule *rules;
    size_t rule_count;
    struct stat_options options; /* as resolved */

    const char **families, **variants, **suites; /* in order of first appearance */
    size_t family_count, variant_count, suite_count;
    struct stat_row *rows; /* every (family, suite, task) in order of first appearance */
    size_t row_count;
    size_t seed_count_max; /* most seeds of any arm */

    struct stat_arm *arms; /* row by row, variants in order */
    size_t arm_count;
    struct comparison
        *comparisons; /* rule by rule, metric by metric, row by row, against in order */
    size_t comparison_count;
    struct stat_count *counts;
    size_t count_count;
    struct stat_pooled *pooled;
    size_t pooled_count;
    struct stat_coverage coverage; /* of the rows of samples */
};

/* Analyse `cell_count` cells under the rules. Cells and rules are borrowed and must outlive the
 * result, which `arena` owns. Intervals of means have the coverage of the first rule (95 % without
 * rules). A missing cell is a result, not an error. ERR_INVALID when a rule or
 * the grid is senseless: alpha outside (0, 1), a variant against itself, two cells for one
 * (family, variant, suite, task, seed); ERR_LIMIT when the permutations would not fit. */
NODISCARD enum err_code stats_analyse(const struct stat_cell *cells, size_t cell_count,
                                      const struct stat_rule *rules, size_t rule_count,
                                      const struct stat_options *options, struct arena *arena,
                                      struct stats **stats_out, struct err *err);

/* How many pairs a rule declares on a metric: the rows of its kind against every variant. */
size_t stats_declared(const struct stats *stats, const struct stat_rule *rule,
                      enum stat_metric metric);
/* Is there a row of this kind? */
bool stats_has_kind(const struct stats *stats, enum stat_kind kind);

/* The arm of a row and variant, or NULL. */
const struct stat_arm *stats_find_arm(const struct stats *stats, const struct stat_row *row,
                                      const char *variant);
/* The comparison of a row, metric and variant under a rule, or NULL. */
const struct comparison *stats_find_comparison(const struct stats *stats,
                                               const struct stat_rule *rule,
                                               const struct stat_row *row, const char *against,
                                               enum stat_metric metric);

#endif
