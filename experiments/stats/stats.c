#include "stats.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "stat_overview.h"

#define BOOTSTRAP_RESAMPLES 2000

/* --- the grid: families, variants, suites, rows and arms ---------------------------------- */

static void intern(const char **names, size_t *count, const char *name)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(names[i], name) == 0)
            return;
    names[(*count)++] = name;
}

static bool row_is(const struct stat_row *row, const char *family, const char *suite,
                   const char *task)
{
    return strcmp(row->task, task) == 0 && strcmp(row->family, family) == 0 &&
           strcmp(row->suite, suite) == 0;
}

static void intern_row(struct stats *stats, const struct stat_cell *cell)
{
    for (size_t i = 0; i < stats->row_count; i++)
        if (row_is(&stats->rows[i], cell->family, cell->suite, cell->task))
            return;
    stats->rows[stats->row_count++] =
        (struct stat_row){cell->family, cell->suite, cell->task, cell->kind};
}

static void grid_build(struct stats *stats, const struct stat_cell *cells, size_t cell_count,
                       struct arena *arena)
{
    stats->families = arena_array(arena, cell_count, sizeof *stats->families);
    stats->variants = arena_array(arena, cell_count, sizeof *stats->variants);
    stats->suites = arena_array(arena, cell_count, sizeof *stats->suites);
    stats->rows = arena_array(arena, cell_count, sizeof *stats->rows);
    for (size_t i = 0; i < cell_count; i++) {
        intern(stats->families, &stats->family_count, cells[i].family);
        intern(stats->variants, &stats->variant_count, cells[i].variant);
        intern(stats->suites, &stats->suite_count, cells[i].suite);
        intern_row(stats, &cells[i]);
    }
}

/* The cells of a row's variant, one per seed, into `found`; returns how many. */
static size_t find_cells(const struct stat_cell *cells, size_t cell_count,
                         const struct stat_row *row, const char *variant,
                         const struct stat_cell **found)
{
    size_t count = 0;
    for (size_t i = 0; i < cell_count; i++)
        if (strcmp(cells[i].variant, variant) == 0 &&
            row_is(row, cells[i].family, cells[i].suite, cells[i].task))
            found[count++] = &cells[i];
    return count;
}

static enum err_code check_cells(const struct stat_arm *arm, const struct stat_row *row,
                                 struct err *err)
{
    for (size_t s = 0; s < arm->seed_count; s++)
        if (arm->cells[s]->kind != row->kind)
            return err_set(err, ERR_INVALID, "the cells of '%s' are of different kinds", row->task);
    for (size_t s = 1; s < arm->seed_count; s++)
        if (arm->cells[s]->seed == arm->cells[s - 1]->seed)
            return err_set(err, ERR_INVALID, "two cells for %s %s on '%s' with seed %llu",
                           arm->family, arm->variant, arm->task,
                           (unsigned long long)arm->cells[s]->seed);
    return ERR_OK;
}

static enum err_code arms_build(struct stats *stats, const struct stat_cell *cells,
                                size_t cell_count, double alpha, struct arena *arena,
                                struct err *err)
{
    stats->arms = arena_array(arena, stats->row_count * stats->variant_count, sizeof *stats->arms);
    const struct stat_cell **found = arena_array(arena, cell_count, sizeof(struct stat_cell *));
    for (size_t r = 0; r < stats->row_count; r++) {
        for (size_t v = 0; v < stats->variant_count; v++) {
            size_t count =
                find_cells(cells, cell_count, &stats->rows[r], stats->variants[v], found);
            if (count == 0)
                continue;
            struct stat_arm *arm = &stats->arms[stats->arm_count++];
            stat_arm_build(arm, found, count, alpha, arena);
            found += count; /* the arm keeps these */
            enum err_code code = check_cells(arm, &stats->rows[r], err);
            if (code != ERR_OK)
                return code;
            if (count > stats->seed_count_max)
                stats->seed_count_max = count;
        }
    }
    return ERR_OK;
}

/* --- comparisons ---------------------------------------------------------------------------- */

static enum err_code check_rules(const struct stat_rule *rules, size_t rule_count, struct err *err)
{
    for (size_t i = 0; i < rule_count; i++) {
        if (!(rules[i].alpha > 0.0 && rules[i].alpha < 1.0))
            return err_set(err, ERR_INVALID, "compare with %s: alpha %g is not between 0 and 1",
                           rules[i].baseline, rules[i].alpha);
        for (size_t a = 0; a < rules[i].against_count; a++)
            if (strcmp(rules[i].against[a], rules[i].baseline) == 0)
                return err_set(err, ERR_INVALID, "compare with %s: it stands against itself",
                               rules[i].baseline);
    }
    return ERR_OK;
}

static enum err_code compare_row(struct stats *stats, const struct stat_rule *rule,
                                 const struct stat_row *row, const char *against,
                                 enum stat_metric metric, uint64_t permutations, struct err *err)
{
    struct comparison *c = &stats->comparisons[stats->comparison_count++];
    *c = (struct comparison){
        .rule = rule,
        .metric = metric,
        .family = row->family,
        .suite = row->suite,
        .task = row->task,
        .baseline_name = rule->baseline,
        .against_name = against,
        .baseline = stats_find_arm(stats, row, rule->baseline),
        .against = stats_find_arm(stats, row, against),
    };
    struct arena scratch;
    arena_init(&scratch, 0);
    enum err_code code = compare_pair(c, permutations, &stats->options, &scratch, err);
    arena_release(&scratch);
    return code;
}

/* Correct the p-values of one rule and metric together, then decide each pair. */
static void decide_family(const struct stat_rule *rule, struct comparison *pairs, size_t count)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    double *p = arena_array(&scratch, count, sizeof *p);
    double *adjusted = arena_array(&scratch, count, sizeof *adjusted);
    for (size_t i = 0; i < count; i++)
        p[i] = pairs[i].reason[0] == '\0' ? pairs[i].p : (double)NAN;
    adjust_p(rule->test == STAT_TEST_PAPER_LIKE ? ADJUST_NONE : rule->correction, p, adjusted,
             count, &scratch);
    for (size_t i = 0; i < count; i++) {
        pairs[i].p_adjusted = adjusted[i];
        compare_decide(&pairs[i]);
    }
    arena_release(&scratch);
}

static enum err_code compare_rule(struct stats *stats, const struct stat_rule *rule,
                                  struct err *err)
{
    for (size_t m = 0; m < STAT_METRIC_COUNT; m++) {
        const size_t first = stats->comparison_count;
        const size_t declared = stats_declared(stats, rule, (enum stat_metric)m);
        const uint64_t permutations = stats->options.permutations
                                          ? stats->options.permutations
                                          : signflip_resamples(declared, rule->alpha);
        for (size_t r = 0; r < stats->row_count; r++) {
            if (!stat_metric_is((enum stat_metric)m, stats->rows[r].kind, true))
                continue;
            for (size_t a = 0; a < rule->against_count; a++) {
                enum err_code code = compare_row(stats, rule, &stats->rows[r], rule->against[a],
                                                 (enum stat_metric)m, permutations, err);
                if (code != ERR_OK)
                    return code;
            }
        }
        decide_family(rule, &stats->comparisons[first], stats->comparison_count - first);
    }
    return ERR_OK;
}

/* Where the verdicts on the loss and on its content alone differ. */
static void mark_disagreements(struct stats *stats)
{
    for (size_t i = 0; i < stats->comparison_count; i++) {
        struct comparison *loss = &stats->comparisons[i];
        if (loss->metric != STAT_LOSS)
            continue;
        /* The same pair under the next metric: behind all pairs of this one. */
        struct comparison *content = loss + stats_declared(stats, loss->rule, STAT_LOSS);
        loss->content_disagrees = content->content_disagrees = loss->verdict != content->verdict;
    }
}

static enum err_code comparisons_build(struct stats *stats, struct arena *arena, struct err *err)
{
    size_t declared = 0;
    for (size_t i = 0; i < stats->rule_count; i++)
        for (size_t m = 0; m < STAT_METRIC_COUNT; m++)
            declared += stats_declared(stats, &stats->rules[i], (enum stat_metric)m);
    stats->comparisons = arena_array(arena, declared, sizeof *stats->comparisons);
    for (size_t i = 0; i < stats->rule_count; i++) {
        enum err_code code = compare_rule(stats, &stats->rules[i], err);
        if (code != ERR_OK)
            return code;
    }
    mark_disagreements(stats);
    return ERR_OK;
}

/* --- the whole ------------------------------------------------------------------------------ */

enum err_code stats_analyse(const struct stat_cell *cells, size_t cell_count,
                            const struct stat_rule *rules, size_t rule_count,
                            const struct stat_options *options, struct arena *arena,
                            struct stats **stats_out, struct err *err)
{
    enum err_code code = check_rules(rules, rule_count, err);
    if (code != ERR_OK)
        return code;
    struct stats *stats = arena_alloc(arena, sizeof *stats);
    stats->rules = rules;
    stats->rule_count = rule_count;
    stats->options = *options;
    if (stats->options.bootstrap_resamples == 0)
        stats->options.bootstrap_resamples = BOOTSTRAP_RESAMPLES;
    grid_build(stats, cells, cell_count, arena);
    code = arms_build(stats, cells, cell_count, rule_count > 0 ? rules[0].alpha : 0.05, arena, err);
    if (code == ERR_OK)
        code = comparisons_build(stats, arena, err);
    if (code == ERR_OK)
        code = stat_coverage_build(stats, arena, err);
    if (code != ERR_OK)
        return code;
    stat_overview_build(stats, arena);
    *stats_out = stats;
    return ERR_OK;
}

size_t stats_declared(const struct stats *stats, const struct stat_rule *rule,
                      enum stat_metric metric)
{
    size_t rows = 0;
    for (size_t r = 0; r < stats->row_count; r++)
        rows += stat_metric_is(metric, stats->rows[r].kind, true);
    return rows * rule->against_count;
}

bool stats_has_kind(const struct stats *stats, enum stat_kind kind)
{
    for (size_t r = 0; r < stats->row_count; r++)
        if (stats->rows[r].kind == kind)
            return true;
    return false;
}

const struct stat_arm *stats_find_arm(const struct stats *stats, const struct stat_row *row,
                                      const char *variant)
{
    for (size_t i = 0; i < stats->arm_count; i++) {
        const struct stat_arm *arm = &stats->arms[i];
        if (strcmp(arm->variant, variant) == 0 && row_is(row, arm->family, arm->suite, arm->task))
            return arm;
    }
    return NULL;
}

const struct comparison *stats_find_comparison(const struct stats *stats,
                                               const struct stat_rule *rule,
                                               const struct stat_row *row, const char *against,
                                               enum stat_metric metric)
{
    for (size_t i = 0; i < stats->comparison_count; i++) {
        const struct comparison *c = &stats->comparisons[i];
        if (c->rule == rule && c->metric == metric && strcmp(c->against_name, against) == 0 &&
            row_is(row, c->family, c->suite, c->task))
            return c;
    }
    return NULL;
}
