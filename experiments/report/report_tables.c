/* Sections about single tasks: means, differences, side tests, scopes. */
#include <math.h>
#include <string.h>

#include "number_text.h"
#include "report_sections.h"

const char *report_row_label(const struct report_draft *draft, const struct stat_row *row)
{
    if (draft->stats->suite_count == 1)
        return row->task;
    return arena_printf(draft->doc->arena, "%s/%s", row->suite, row->task);
}

/* How many variants fit beside the task and the metric. */
size_t report_shown_variants(const struct stats *stats)
{
    const size_t room = DOCUMENT_COLUMNS_MAX - 2;
    return stats->variant_count < room ? stats->variant_count : room;
}

/* The first arm of a row that has its records: it tells k and the number of items. */
static const struct stat_arm *complete_arm(const struct stats *stats, const struct stat_row *row)
{
    for (size_t v = 0; v < stats->variant_count; v++) {
        const struct stat_arm *arm = stats_find_arm(stats, row, stats->variants[v]);
        if (arm && arm->complete)
            return arm;
    }
    return NULL;
}

/* The task's name over its size: "flight", "k = 9", "150 seq., 1350 items"; or "urn", "1000 items".
 */
static void set_row_label(const struct report_draft *draft, struct table_row *row,
                          const struct stat_row *of, size_t line)
{
    const struct stat_arm *arm = complete_arm(draft->stats, of);
    if (line == 0)
        table_set(draft->doc, row, 0, "%s", report_row_label(draft, of));
    else if (line == 1 && arm && arm->kind == STAT_CHOICES)
        table_set(draft->doc, row, 0, "%llu items",
                  (unsigned long long)arm->summary[STAT_IN_CONTEXT][STAT_JS].records);
    else if (line == 1 && arm)
        table_set(draft->doc, row, 0, "k = %u", arm->last_position);
    else if (line == 2 && arm && arm->kind == STAT_SCORES)
        table_set(draft->doc, row, 0, "%u seq., %llu items",
                  arm->summary[STAT_IN_CONTEXT][STAT_LOSS].clusters,
                  (unsigned long long)arm->summary[STAT_IN_CONTEXT][STAT_LOSS].records);
}

static const char *metric_label(enum stat_metric metric)
{
    static const char *const LABELS[STAT_METRIC_COUNT] = {
        [STAT_LOSS] = "loss ↓",
        [STAT_CONTENT_LOSS] = "content ↓",
        [STAT_ACCURACY] = "accuracy ↑",
        [STAT_JS] = "JS ↓",
        [STAT_MODE_MATCH] = "mode match ↑",
        [STAT_COVERAGE] = "coverage ↑",
        [STAT_FIRST_ACCURACY] = "first token ↑",
        [STAT_TOKEN_ACCURACY] = "tokens ↑",
        [STAT_KL] = "KL ↓",
        [STAT_REVERSE_KL] = "reverse KL ↓",
        [STAT_CROSS_ENTROPY] = "cross-entropy ↓",
    };
    return LABELS[metric];
}

/* A mean, or why there is none. */
static void set_mean(struct report_draft *draft, struct table_row *row, size_t column,
                     const struct stat_arm *arm, const struct estimate *e)
{
    struct document *doc = draft->doc;
    if (!arm) {
        table_set(doc, row, column, NUMBER_NONE);
    } else if (!arm->complete) {
        const char *why = arena_printf(doc->arena, "%s is missing: %s", arm->variant, arm->reason);
        table_set(doc, row, column, NUMBER_NONE " [%zu]",
                  footnote_number(&draft->footnotes, why, doc->arena));
    } else if (arm->not_finite > 0 && !isfinite(e->mean)) {
        const char *why =
            arena_printf(doc->arena, "%u of %s's %s are not finite numbers", arm->not_finite,
                         arm->variant, arm->kind == STAT_SCORES ? "losses" : "items");
        table_set(doc, row, column, "NaN [%zu]",
                  footnote_number(&draft->footnotes, why, doc->arena));
    } else {
        table_set(doc, row, column, "%s", number_with_se(e->mean, e->se).text);
    }
}

/* Mark the best of a row's means as strong (ties are all best), unless one is missing: it might
 * have been the best. */
static void mark_best(const struct stats *stats, const struct stat_row *of, struct table_row *row,
                      enum stat_scope scope, enum stat_metric metric)
{
    const double sign = stat_metric_info(metric)->lower_is_better ? 1.0 : -1.0;
    double costs[DOCUMENT_COLUMNS_MAX];
    double best = INFINITY;
    for (size_t v = 0; v < report_shown_variants(stats); v++) {
        const struct stat_arm *arm = stats_find_arm(stats, of, stats->variants[v]);
        if (!arm || arm->not_finite > 0 || !isfinite(arm->summary[scope][metric].mean))
            return;
        costs[v] = sign * arm->summary[scope][metric].mean;
        best = fmin(best, costs[v]);
    }
    for (size_t v = 0; v < report_shown_variants(stats); v++)
        row->cells[2 + v].strong = costs[v] <= best;
}

/* `line` counts the metrics of a row from 0. */
static void add_mean_row(struct report_draft *draft, struct table *table, const struct stat_row *of,
                         enum stat_metric metric, size_t line)
{
    const struct stats *stats = draft->stats;
    struct table_row *row = table_add_row(draft->doc, table, line == 0);
    set_row_label(draft, row, of, line);
    table_set(draft->doc, row, 1, "%s", metric_label(metric));
    for (size_t v = 0; v < report_shown_variants(stats); v++) {
        const struct stat_arm *arm = stats_find_arm(stats, of, stats->variants[v]);
        set_mean(draft, row, 2 + v, arm, arm ? &arm->summary[STAT_IN_CONTEXT][metric] : NULL);
    }
    mark_best(stats, of, row, STAT_IN_CONTEXT, metric);
}

void report_variant_columns(const struct stats *stats, struct table *table)
{
    table_add_column(table, "task", ALIGN_LEFT);
    table_add_column(table, "metric", ALIGN_LEFT);
    for (size_t v = 0; v < report_shown_variants(stats); v++)
        table_add_column(table, stats->variants[v], ALIGN_RIGHT);
}

static bool row_belongs(const struct stat_row *row, const char *family, enum stat_kind kind)
{
    return row->kind == kind && strcmp(row->family, family) == 0;
}

static bool has_rows(const struct stats *stats, const char *family, enum stat_kind kind)
{
    for (size_t r = 0; r < stats->row_count; r++)
        if (row_belongs(&stats->rows[r], family, kind))
            return true;
    return false;
}

/* The means of a family on one kind of task: the metrics that are compared, or all of them. */
static void add_means_of(struct report_draft *draft, const char *family, enum stat_kind kind,
                         bool compared)
{
    const struct stats *stats = draft->stats;
    struct table *table = document_add_table(draft->doc, NULL);
    report_variant_columns(stats, table);
    for (size_t r = 0; r < stats->row_count; r++) {
        size_t line = 0;
        for (size_t m = 0; m < STAT_METRIC_COUNT && row_belongs(&stats->rows[r], family, kind); m++)
            if (stat_metric_is((enum stat_metric)m, kind, compared))
                add_mean_row(draft, table, &stats->rows[r], (enum stat_metric)m, line++);
    }
}

void report_add_means(struct report_draft *draft)
{
    const struct stats *stats = draft->stats;
    for (size_t f = 0; f < stats->family_count; f++) {
        if (has_rows(stats, stats->families[f], STAT_SCORES)) {
            document_add(draft->doc, BLOCK_HEADING, "%s: loss (nats per answer) and accuracy",
                         stats->families[f]);
            add_means_of(draft, stats->families[f], STAT_SCORES, true);
        }
        if (has_rows(stats, stats->families[f], STAT_CHOICES)) {
            document_add(draft->doc, BLOCK_HEADING,
                         "%s: distance (nats) from the target distributions", stats->families[f]);
            add_means_of(draft, stats->families[f], STAT_CHOICES, true);
        }
    }
}

void report_add_all_means(struct report_draft *draft)
{
    const struct stats *stats = draft->stats;
    for (size_t f = 0; f < stats->family_count; f++) {
        for (int kind = STAT_SCORES; kind <= STAT_CHOICES; kind++) {
            if (!has_rows(stats, stats->families[f], (enum stat_kind)kind))
                continue;
            document_add(draft->doc, BLOCK_HEADING, "%s: every measure of %s", stats->families[f],
                         kind == STAT_SCORES ? "the answers" : "the distributions");
            add_means_of(draft, stats->families[f], (enum stat_kind)kind, false);
        }
    }
}

/* The columns of a table of pairs. */
enum {
    COLUMN_TASK,
    COLUMN_METRIC,
    COLUMN_DIFFERENCE,
    COLUMN_INTERVAL,
    COLUMN_P,
    COLUMN_ADJUSTED,
    COLUMN_VERDICT,
};

static void set_verdict(struct report_draft *draft, struct table_row *row,
                        const struct comparison *c)
{
    const char *word = report_verdict_word(c->verdict);
    const char *mark = c->content_disagrees ? " ‡" : "";
    const char *stars = number_stars(c->p_adjusted);
    if (c->verdict == STAT_UNDEFINED)
        table_set(draft->doc, row, COLUMN_VERDICT, "%s [%zu]%s", word,
                  footnote_number(&draft->footnotes, c->reason, draft->doc->arena), mark);
    else
        table_set(draft->doc, row, COLUMN_VERDICT, "%s%s%s%s", word, stars[0] ? " " : "", stars,
                  mark);
}

static void add_pair_row(struct report_draft *draft, struct table *table, const struct stat_row *of,
                         const struct comparison *c, size_t line)
{
    struct document *doc = draft->doc;
    struct table_row *row = table_add_row(doc, table, line == 0);
    if (line == 0)
        table_set(doc, row, COLUMN_TASK, "%s", report_row_label(draft, of));
    table_set(doc, row, COLUMN_METRIC, "%s", metric_label(c->metric));
    table_set(doc, row, COLUMN_DIFFERENCE, "%s", number_signed(c->difference.mean).text);
    table_set(doc, row, COLUMN_INTERVAL, "%s",
              number_interval(c->difference.lo, c->difference.hi).text);
    table_set(doc, row, COLUMN_P, "%s", number_p(c->p).text);
    table_set(doc, row, COLUMN_ADJUSTED, "%s", number_p(c->p_adjusted).text);
    set_verdict(draft, row, c);
}

static void add_pair_columns(const struct report_draft *draft, struct table *table,
                             const struct stat_rule *rule)
{
    table_add_column(table, "task", ALIGN_LEFT);
    table_add_column(table, "metric", ALIGN_LEFT);
    table_add_column(table, "Δ", ALIGN_RIGHT);
    table_add_column(table, report_interval_title(draft, "CI of Δ", rule->alpha), ALIGN_RIGHT);
    table_add_column(table, "p", ALIGN_RIGHT);
    table_add_column(table, "adj. p", ALIGN_RIGHT);
    table_add_column(table, "verdict", ALIGN_LEFT);
}

static void add_pair_table(struct report_draft *draft, const struct stat_rule *rule,
                           const char *against, const char *family)
{
    const struct stats *stats = draft->stats;
    struct table *table = document_add_table(draft->doc, NULL);
    add_pair_columns(draft, table, rule);
    for (size_t r = 0; r < stats->row_count; r++) {
        const struct stat_row *of = &stats->rows[r];
        size_t line = 0;
        if (strcmp(of->family, family) != 0)
            continue;
        for (size_t m = 0; m < STAT_METRIC_COUNT; m++)
            if (stat_metric_is((enum stat_metric)m, of->kind, true))
                add_pair_row(draft, table, of,
                             stats_find_comparison(stats, rule, of, against, (enum stat_metric)m),
                             line++);
    }
}

void report_add_comparisons(struct report_draft *draft)
{
    const struct stats *stats = draft->stats;
    for (size_t f = 0; f < stats->family_count; f++) {
        if (!has_rows(stats, stats->families[f], STAT_SCORES) &&
            !has_rows(stats, stats->families[f], STAT_CHOICES))
            continue;
        for (size_t i = 0; i < stats->rule_count; i++) {
            const struct stat_rule *rule = &stats->rules[i];
            for (size_t a = 0; a < rule->against_count; a++) {
                document_add(draft->doc, BLOCK_HEADING, "%s: %s against %s%s", stats->families[f],
                             rule->against[a], rule->baseline, report_rule_mark(draft, rule));
                add_pair_table(draft, rule, rule->against[a], stats->families[f]);
            }
        }
    }
}

static void add_side_row(struct document *doc, struct table *table, const struct comparison *c,
                         size_t line)
{
    struct table_row *row = table_add_row(doc, table, line == 0);
    if (line == 0) {
        table_set(doc, row, 0, "%s", c->family);
        table_set(doc, row, 1, "%s", c->task);
        table_set(doc, row, 2, "%s - %s", c->against_name, c->baseline_name);
    }
    table_set(doc, row, 3, "%s", metric_label(c->metric));
    table_set(doc, row, 4, "%s", number_signed(c->difference.mean).text);
    table_set(doc, row, 5, "%s", number_fixed(c->difference.se).text);
    table_set(doc, row, 6, "%s", number_interval(c->bootstrap.lo, c->bootstrap.hi).text);
    if (c->metric == STAT_ACCURACY && !isnan(c->difference.mean))
        table_set(doc, row, 7, "+%llu / -%llu: %s", (unsigned long long)c->gained,
                  (unsigned long long)c->lost, number_p(c->mcnemar_p).text);
    table_set(doc, row, 8, "%s", number_p(c->unpaired_p).text);
    table_set(doc, row, 9, "%llu%s", (unsigned long long)c->permutation.resamples,
              c->permutation.exact ? " (all)" : "");
}

/* Pairs by rule, row and variant, metrics within. */
static void add_side_rows(struct report_draft *draft, struct table *table,
                          const struct stat_rule *rule)
{
    for (size_t r = 0; r < draft->stats->row_count; r++) {
        const struct stat_row *of = &draft->stats->rows[r];
        for (size_t a = 0; a < rule->against_count; a++) {
            size_t line = 0;
            for (size_t m = 0; m < STAT_METRIC_COUNT; m++)
                if (stat_metric_is((enum stat_metric)m, of->kind, true))
                    add_side_row(draft->doc, table,
                                 stats_find_comparison(draft->stats, rule, of, rule->against[a],
                                                       (enum stat_metric)m),
                                 line++);
        }
    }
}

void report_add_side_tests(struct report_draft *draft)
{
    const struct stats *stats = draft->stats;
    if (!stats_has_kind(stats, STAT_SCORES) && !stats_has_kind(stats, STAT_CHOICES))
        return;
    for (size_t i = 0; i < draft->stats->rule_count; i++) {
        const struct stat_rule *rule = &draft->stats->rules[i];
        document_add(draft->doc, BLOCK_HEADING, "Beside the main test: against %s%s",
                     rule->baseline, report_rule_mark(draft, rule));
        struct table *table = document_add_table(draft->doc, NULL);
        table_add_column(table, "family", ALIGN_LEFT);
        table_add_column(table, "task", ALIGN_LEFT);
        table_add_column(table, "pair", ALIGN_LEFT);
        table_add_column(table, "metric", ALIGN_LEFT);
        table_add_column(table, "Δ", ALIGN_RIGHT);
        table_add_column(table, "SE", ALIGN_RIGHT);
        table_add_column(table, report_interval_title(draft, "bootstrap", rule->alpha),
                         ALIGN_RIGHT);
        table_add_column(table, "answers gained / lost: McNemar p", ALIGN_RIGHT);
        table_add_column(table, "unpaired z: p", ALIGN_RIGHT);
        table_add_column(table, "sign patterns", ALIGN_RIGHT);
        add_side_rows(draft, table, rule);
    }
}

static void add_scope_row(struct report_draft *draft, struct table *table,
                          const struct stat_row *of, enum stat_scope scope, enum stat_metric metric)
{
    const struct stats *stats = draft->stats;
    struct table_row *row = table_add_row(draft->doc, table, metric == 0);
    if (metric == 0)
        table_set(draft->doc, row, 0, "%s %s, position %s", of->family, report_row_label(draft, of),
                  scope == STAT_ZERO_SHOT ? "0" : "k");
    table_set(draft->doc, row, 1, "%s", metric_label(metric));
    for (size_t v = 0; v < report_shown_variants(stats); v++) {
        const struct stat_arm *arm = stats_find_arm(stats, of, stats->variants[v]);
        set_mean(draft, row, 2 + v, arm, arm ? &arm->summary[scope][metric] : NULL);
    }
    mark_best(stats, of, row, scope, metric);
}

void report_add_scopes(struct report_draft *draft)
{
    const struct stats *stats = draft->stats;
    if (!stats_has_kind(stats, STAT_SCORES))
        return;
    document_add(draft->doc, BLOCK_HEADING, "Without an example (position 0) and with k of them");
    struct table *table = document_add_table(draft->doc, NULL);
    report_variant_columns(stats, table);
    for (size_t r = 0; r < stats->row_count; r++) {
        if (stats->rows[r].kind != STAT_SCORES)
            continue;
        for (int m = STAT_LOSS; m <= STAT_ACCURACY; m++)
            add_scope_row(draft, table, &stats->rows[r], STAT_ZERO_SHOT, (enum stat_metric)m);
        for (int m = STAT_LOSS; m <= STAT_ACCURACY; m++)
            add_scope_row(draft, table, &stats->rows[r], STAT_LAST, (enum stat_metric)m);
    }
}
