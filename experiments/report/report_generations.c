/* Sections about sampled texts: validity, diversity and yield. */
#include <math.h>
#include <string.h>

#include "number_text.h"
#include "report_sections.h"

/* "both, T 0.7", with what else was cut. */
static const char *setting_text(const struct report_draft *draft, const struct stat_setting *s)
{
    struct arena *arena = draft->doc->arena;
    const char *text = arena_printf(arena, "%s, T %g", s->component, s->temperature);
    if (s->top_p < 1.0)
        text = arena_printf(arena, "%s, top-p %g", text, s->top_p);
    if (s->top_k > 0)
        text = arena_printf(arena, "%s, top-k %lld", text, (long long)s->top_k);
    return text;
}

/* --- over tasks --------------------------------------------------------------------------------
 */

static void add_mean(struct report_draft *draft, struct table *table,
                     const struct stat_generation_mean *mean, bool first)
{
    static const enum coverage_metric SHOWN[] = {COVERAGE_VALID, COVERAGE_DIVERSITY, COVERAGE_YIELD,
                                                 COVERAGE_USABLE};
    struct document *doc = draft->doc;
    struct table_row *row = table_add_row(doc, table, first);
    table_set(doc, row, 0, "%s", mean->variant);
    table_set(doc, row, 1, "%s", setting_text(draft, mean->setting));
    for (size_t m = 0; m < sizeof SHOWN / sizeof SHOWN[0]; m++) {
        if (mean->reason[0] != '\0')
            table_set(doc, row, 2 + m, NUMBER_NONE " [%zu]",
                      footnote_number(&draft->footnotes, mean->reason, doc->arena));
        else
            table_set(doc, row, 2 + m, "%s",
                      number_with_se(mean->mean[SHOWN[m]], mean->sem[SHOWN[m]]).text);
    }
    table_set(doc, row, 6, "%s", mean->on_front ? "front" : "");
    row->cells[6].strong = mean->on_front;
}

/* Means of a family's suite belong into one table. */
static bool same_table(const struct stat_generation_mean *a, const struct stat_generation_mean *b)
{
    return strcmp(a->family, b->family) == 0 && strcmp(a->suite, b->suite) == 0;
}

static bool seen_before(const struct stat_coverage *c, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (same_table(&c->means[i], &c->means[index]))
            return true;
    return false;
}

static void add_means_table(struct report_draft *draft, size_t index)
{
    static const char *const TITLES[] = {"variant", "drawn",    "valid ↑", "diversity ↑",
                                         "yield ↑", "usable ↑", "Pareto"};
    const struct stat_coverage *c = &draft->stats->coverage;
    const struct stat_generation_mean *of = &c->means[index];
    document_add(draft->doc, BLOCK_HEADING, "%s, %s: validity and diversity over %zu %s",
                 of->family, of->suite, of->tasks, of->tasks == 1 ? "task" : "tasks");
    struct table *table = document_add_table(draft->doc, NULL);
    for (size_t i = 0; i < sizeof TITLES / sizeof TITLES[0]; i++)
        table_add_column(table, TITLES[i], i < 2 || i == 6 ? ALIGN_LEFT : ALIGN_RIGHT);
    const char *variant = "";
    for (size_t i = index; i < c->mean_count; i++) {
        if (!same_table(&c->means[i], of))
            continue;
        add_mean(draft, table, &c->means[i], strcmp(c->means[i].variant, variant) != 0);
        variant = c->means[i].variant;
    }
}

static void add_means(struct report_draft *draft)
{
    const struct stat_coverage *c = &draft->stats->coverage;
    for (size_t i = 0; i < c->mean_count; i++)
        if (!seen_before(c, i))
            add_means_table(draft, i);
    document_add(
        draft->doc, BLOCK_PARAGRAPH,
        "Means over tasks ± standard error over tasks (divisor n, as published). valid: share "
        "of valid texts; diversity: share of different ones among these; yield: how many those "
        "are; usable: their share of all texts. front: with this kind of prompt no other "
        "variant or temperature is as valid and as diverse, and better in one.");
}

/* --- per task ----------------------------------------------------------------------------------
 */

static bool same_task(const struct stat_generation *a, const struct stat_generation *b)
{
    return strcmp(a->task, b->task) == 0 && strcmp(a->family, b->family) == 0 &&
           strcmp(a->suite, b->suite) == 0 && stat_setting_equal(a->setting, b->setting);
}

/* Has every variant texts drawn in this way? Sweeps have not; they are in the table over tasks. */
static bool drawn_by_all(const struct stats *stats, const struct stat_generation *g)
{
    size_t count = 0;
    for (size_t i = 0; i < stats->coverage.generation_count; i++)
        count += same_task(&stats->coverage.generations[i], g);
    return count == stats->variant_count;
}

/* Valid share, diversity and yield of every variant in one cell: "0.98 / 0.07 / 7". */
static void add_task_row(struct report_draft *draft, struct table *table,
                         const struct stat_generation *first, bool starts)
{
    const struct stats *stats = draft->stats;
    const struct stat_coverage *c = &stats->coverage;
    struct document *doc = draft->doc;
    struct table_row *row = table_add_row(doc, table, starts);
    if (starts)
        table_set(doc, row, 0, "%s %s", first->family, first->task);
    table_set(doc, row, 1, "%s", setting_text(draft, first->setting));
    for (size_t v = 0; v < report_shown_variants(stats); v++) {
        const struct stat_generation *own = NULL;
        for (size_t i = 0; i < c->generation_count && !own; i++)
            if (same_task(&c->generations[i], first) &&
                strcmp(c->generations[i].variant, stats->variants[v]) == 0)
                own = &c->generations[i];
        if (!own)
            table_set(doc, row, 2 + v, NUMBER_NONE);
        else if (!own->arm->complete)
            table_set(doc, row, 2 + v, NUMBER_NONE " [%zu]",
                      footnote_number(&draft->footnotes,
                                      arena_printf(doc->arena, "%s is missing: %s", own->variant,
                                                   own->arm->reason),
                                      doc->arena));
        else
            table_set(doc, row, 2 + v, "%.2f / %.2f / %g", own->values[COVERAGE_VALID],
                      own->values[COVERAGE_DIVERSITY], own->values[COVERAGE_YIELD]);
    }
}

static void add_tasks(struct report_draft *draft)
{
    const struct stats *stats = draft->stats;
    const struct stat_coverage *c = &stats->coverage;
    document_add(draft->doc, BLOCK_HEADING, "Sampled texts by task: valid / diversity / yield");
    struct table *table = document_add_table(draft->doc, NULL);
    table_add_column(table, "task", ALIGN_LEFT);
    table_add_column(table, "drawn", ALIGN_LEFT);
    for (size_t v = 0; v < report_shown_variants(stats); v++)
        table_add_column(table, stats->variants[v], ALIGN_RIGHT);
    const char *task = "", *family = "";
    for (size_t i = 0; i < c->generation_count; i++) {
        const struct stat_generation *g = &c->generations[i];
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++)
            seen = same_task(&c->generations[j], g);
        if (seen || !drawn_by_all(stats, g))
            continue;
        add_task_row(draft, table, g, strcmp(g->task, task) != 0 || strcmp(g->family, family) != 0);
        task = g->task;
        family = g->family;
    }
}

/* --- pairs -------------------------------------------------------------------------------------
 */

static void add_pair(struct report_draft *draft, struct table *table,
                     const struct stat_generation_pair *pair)
{
    struct document *doc = draft->doc;
    struct table_row *row = table_add_row(doc, table, false);
    table_set(doc, row, 0, "%s: %s against %s%s", pair->family, pair->against, pair->rule->baseline,
              report_rule_mark(draft, pair->rule));
    table_set(doc, row, 1, "%s", setting_text(draft, pair->setting));
    table_set(doc, row, 2, "%s", coverage_metric_name(pair->metric));
    table_set(doc, row, 3, "%s", number_signed(pair->difference.mean).text);
    table_set(doc, row, 4, "%s", number_interval(pair->difference.lo, pair->difference.hi).text);
    table_set(doc, row, 5, "%s", number_p(pair->p_adjusted).text);
    if (pair->verdict == STAT_UNDEFINED)
        table_set(doc, row, 6, "%s [%zu]", report_verdict_word(pair->verdict),
                  footnote_number(&draft->footnotes, pair->reason, doc->arena));
    else
        table_set(doc, row, 6, "%s", report_verdict_word(pair->verdict));
}

static void add_pairs(struct report_draft *draft)
{
    const struct stats *stats = draft->stats;
    if (stats->coverage.pair_count == 0)
        return;
    document_add(draft->doc, BLOCK_HEADING, "Sampled texts: differences, paired by task");
    struct table *table = document_add_table(draft->doc, NULL);
    table_add_column(table, "pair", ALIGN_LEFT);
    table_add_column(table, "drawn", ALIGN_LEFT);
    table_add_column(table, "metric", ALIGN_LEFT);
    table_add_column(table, "Δ", ALIGN_RIGHT);
    table_add_column(table, report_intervals_title(draft, "CI of Δ"), ALIGN_RIGHT);
    table_add_column(table, "adj. p", ALIGN_RIGHT);
    table_add_column(table, "verdict", ALIGN_LEFT);
    for (size_t i = 0; i < stats->coverage.pair_count; i++)
        add_pair(draft, table, &stats->coverage.pairs[i]);
}

void report_add_generations(struct report_draft *draft)
{
    if (draft->stats->coverage.generation_count == 0)
        return;
    add_means(draft);
    add_tasks(draft);
    add_pairs(draft);
}

/* --- every figure ------------------------------------------------------------------------------
 */

void report_add_text_figures(struct report_draft *draft)
{
    static const struct {
        const char *title;
        enum coverage_metric metric;
    } COLUMNS[] = {
        {"unique", COVERAGE_UNIQUE},
        {"of list", COVERAGE_LISTED},
        {"ended", COVERAGE_ENDED},
        {"words", COVERAGE_WORDS},
        {"distinct-1", COVERAGE_DISTINCT_1},
        {"distinct-2", COVERAGE_DISTINCT_2},
        {"self-BLEU", COVERAGE_SELF_BLEU},
        {"H(text)", COVERAGE_TEXT_ENTROPY_CS},
        {"H(word)", COVERAGE_WORD_ENTROPY_CS},
        {"nats", COVERAGE_NATS},
    };
    const size_t columns = sizeof COLUMNS / sizeof COLUMNS[0];
    const struct stat_coverage *c = &draft->stats->coverage;
    struct document *doc = draft->doc;
    if (c->generation_count == 0)
        return;
    document_add(doc, BLOCK_HEADING, "Sampled texts: other figures");
    document_add(doc, BLOCK_PARAGRAPH,
                 "H: entropy in nats after Chao and Shen; nats: mean -ln p of a text under its own "
                 "model. All estimates are in report.csv.");
    struct table *table = document_add_table(doc, NULL);
    table_add_column(table, "family", ALIGN_LEFT);
    table_add_column(table, "task", ALIGN_LEFT);
    table_add_column(table, "variant", ALIGN_LEFT);
    table_add_column(table, "drawn", ALIGN_LEFT);
    for (size_t i = 0; i < columns; i++)
        table_add_column(table, COLUMNS[i].title, ALIGN_RIGHT);
    for (size_t i = 0; i < c->generation_count; i++) {
        const struct stat_generation *g = &c->generations[i];
        struct table_row *row = table_add_row(doc, table, false);
        table_set(doc, row, 0, "%s", g->family);
        table_set(doc, row, 1, "%s", g->task);
        table_set(doc, row, 2, "%s", g->variant);
        table_set(doc, row, 3, "%s", setting_text(draft, g->setting));
        for (size_t m = 0; m < columns; m++)
            table_set(doc, row, 4 + m, "%s", number_fixed(g->values[COLUMNS[m].metric]).text);
    }
}
