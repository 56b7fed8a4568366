/* Sections about the whole: counts, pooled effects, notes, provenance. */
#include <math.h>
#include <string.h>

#include "number_text.h"
#include "report_sections.h"

void report_add_counts(struct report_draft *draft)
{
    const struct stats *stats = draft->stats;
    struct document *doc = draft->doc;
    if (stats->count_count == 0)
        return;
    document_add(doc, BLOCK_HEADING, "Verdicts, counted over (family, task) pairs");
    struct table *table = document_add_table(doc, NULL);
    table_add_column(table, "pair", ALIGN_LEFT);
    table_add_column(table, "metric", ALIGN_LEFT);
    table_add_column(table, "over", ALIGN_LEFT);
    for (size_t v = 0; v < STAT_VERDICT_COUNT; v++)
        table_add_column(table, report_verdict_word((enum stat_verdict)v), ALIGN_RIGHT);
    table_add_column(table, "pairs", ALIGN_RIGHT);
    for (size_t i = 0; i < stats->count_count; i++) {
        const struct stat_count *count = &stats->counts[i];
        struct table_row *row = table_add_row(doc, table, count->group == STAT_GROUP_ALL);
        table_set(doc, row, 0, "%s against %s%s", count->against, count->rule->baseline,
                  report_rule_mark(draft, count->rule));
        table_set(doc, row, 1, "%s", stat_metric_info(count->metric)->name);
        table_set(doc, row, 2, "%s", count->group == STAT_GROUP_ALL ? "all" : count->name);
        for (size_t v = 0; v < STAT_VERDICT_COUNT; v++)
            table_set(doc, row, 3 + v, "%u", count->verdicts[v]);
        table_set(doc, row, 3 + STAT_VERDICT_COUNT, "%u", count->total);
    }
}

static void add_pooled_row(struct report_draft *draft, struct table *table,
                           const struct stat_pooled *pooled)
{
    struct document *doc = draft->doc;
    const struct random_effects *e = &pooled->effects;
    struct table_row *row = table_add_row(doc, table, false);
    table_set(doc, row, 0, "%s - %s%s", pooled->against, pooled->rule->baseline,
              report_rule_mark(draft, pooled->rule));
    table_set(doc, row, 1, "%s", stat_metric_info(pooled->metric)->name);
    if (pooled->pool == STAT_POOL_FAMILIES)
        table_set(doc, row, 2, "%s, %zu families", pooled->name, e->count);
    else
        table_set(doc, row, 2, "%s, %zu tasks", pooled->name, e->count);
    if (isnan(e->mean)) {
        table_set(doc, row, 3, NUMBER_NONE " [%zu]",
                  footnote_number(&draft->footnotes, pooled->reason, doc->arena));
        return;
    }
    table_set(doc, row, 3, "%s", number_signed(e->mean).text);
    table_set(doc, row, 4, "%s", number_interval(e->lo, e->hi).text);
    table_set(doc, row, 5, "%.3g", e->tau2);
    table_set(doc, row, 6, "%.0f %%", 100.0 * e->i2);
    table_set(doc, row, 7, "%s", number_p(e->q_p).text);
}

void report_add_pooled(struct report_draft *draft)
{
    const struct stats *stats = draft->stats;
    struct document *doc = draft->doc;
    if (stats->rule_count == 0)
        return;
    document_add(doc, BLOCK_HEADING, "Random-effects means of the differences");
    if (stats->family_count == 1)
        document_add(doc, BLOCK_PARAGRAPH,
                     "There is one family, so nothing here speaks about other families.");
    if (stats->pooled_count == 0)
        return;
    struct table *table = document_add_table(doc, NULL);
    table_add_column(table, "pair", ALIGN_LEFT);
    table_add_column(table, "metric", ALIGN_LEFT);
    table_add_column(table, "over", ALIGN_LEFT);
    table_add_column(table, "mean Δ", ALIGN_RIGHT);
    table_add_column(table, report_intervals_title(draft, "CI"), ALIGN_RIGHT);
    table_add_column(table, "τ²", ALIGN_RIGHT);
    table_add_column(table, "I²", ALIGN_RIGHT);
    table_add_column(table, "p of Q", ALIGN_RIGHT);
    for (size_t i = 0; i < stats->pooled_count; i++)
        add_pooled_row(draft, table, &stats->pooled[i]);
}

static void add_rule_note(struct report_draft *draft, const struct stat_rule *rule)
{
    size_t declared = 0; /* on the metric with the most pairs */
    for (size_t m = 0; m < STAT_METRIC_COUNT; m++) {
        const size_t own = stats_declared(draft->stats, rule, (enum stat_metric)m);
        declared = own > declared ? own : declared;
    }
    if (declared == 0)
        return;
    switch (rule->test) {
    case STAT_TEST_PAIRED:
        document_add(draft->doc, BLOCK_ITEM,
                     "Verdicts against %s%s: adjusted p below %g, p from sign flips of the paired "
                     "differences of whole sequences, adjusted by %s over the pairs declared "
                     "per metric (at most %zu). Undefined pairs count as declared.",
                     rule->baseline, report_rule_mark(draft, rule), rule->alpha,
                     adjust_method_name(rule->correction), declared);
        break;
    case STAT_TEST_PAPER_LIKE:
        document_add(
            draft->doc, BLOCK_ITEM,
            "Verdicts against %s%s: paper-like, p below %g by an unpaired z test that takes "
            "answers as independent, without correction. That the published counts were "
            "made so is our assumption.",
            rule->baseline, report_rule_mark(draft, rule), rule->alpha);
        break;
    }
}

static void add_legend(struct report_draft *draft)
{
    static const char *const CHOICE_LEGEND[] = {
        "JS: mean Jensen-Shannon divergence (natural logarithm, at most 0.6931) of the model's "
        "distribution over the candidates from the target; 1e-6 is added to every share first.",
        "coverage is the mass the model gives to the candidates before that is scaled to 1; mode "
        "match "
        "the share of items whose likeliest candidate is the target's.",
    };
    static const char *const LEGEND[] = {
        "Δ is the variant minus its baseline on the same items, with a t interval clustered by "
        "sequence. Below zero is better for a loss, above zero for accuracy.",
        "* adjusted p < 0.05, ** < 0.01, *** < 0.001; n.s.: no significant difference, which is no "
        "evidence of equality.",
        "loss is that of an answer's tokens and its terminator, content that of the answer alone.",
        "‡ the verdict on the whole loss and on the content alone differ: formats end an answer "
        "differently, so the terminator's loss is not strictly comparable between them.",
        "Accuracy counts an answer when every one of its tokens, terminator included, was the most "
        "probable one.",
    };
    for (size_t i = 0;
         stats_has_kind(draft->stats, STAT_SCORES) && i < sizeof LEGEND / sizeof LEGEND[0]; i++)
        document_add(draft->doc, BLOCK_ITEM, "%s", LEGEND[i]);
    for (size_t i = 0; stats_has_kind(draft->stats, STAT_CHOICES) &&
                       i < sizeof CHOICE_LEGEND / sizeof CHOICE_LEGEND[0];
         i++)
        document_add(draft->doc, BLOCK_ITEM, "%s", CHOICE_LEGEND[i]);
    if (stats_has_kind(draft->stats, STAT_SAMPLES))
        document_add(
            draft->doc, BLOCK_ITEM,
            "Sampled texts are compared exactly (case counts) after white space around them "
            "is dropped; a text that repeats an example counts as valid.");
    for (size_t i = 0; i < draft->stats->arm_count; i++) {
        if (draft->stats->arms[i].calibration) {
            document_add(
                draft->doc, BLOCK_ITEM,
                "Calibration by tokens: every token with p > 0.01 at a scored place, ten bins "
                "of equal mass averaged alike (as published), or of equal width weighted by "
                "entries; by answers: the probability of the greedy answer.");
            break;
        }
    }
    if (draft->stats->seed_count_max <= 1)
        document_add(draft->doc, BLOCK_ITEM,
                     "One training seed per variant: the tests generalise over items, not over "
                     "training runs.");
    else
        document_add(draft->doc, BLOCK_ITEM,
                     "Up to %zu training seeds per variant, averaged item by item: the tests "
                     "generalise over items; the seeds are taken as they are.",
                     draft->stats->seed_count_max);
}

static void add_pooled_note(struct report_draft *draft)
{
    if (draft->stats->pooled_count > 0)
        document_add(
            draft->doc, BLOCK_ITEM,
            "Random-effects means after DerSimonian and Laird, normal intervals; never over "
            "an incomplete set. Tasks differ in the scale of their losses: read τ² and I² "
            "before a mean over tasks.");
}

void report_add_notes(struct report_draft *draft)
{
    document_add(draft->doc, BLOCK_HEADING, "Notes");
    for (size_t i = 0; i < draft->info->note_count; i++)
        document_add(draft->doc, BLOCK_ITEM, "%s", draft->info->notes[i]);
    add_legend(draft);
    for (size_t i = 0; i < draft->stats->rule_count; i++)
        add_rule_note(draft, &draft->stats->rules[i]);
    add_pooled_note(draft);
    size_t number = 1;
    for (const struct footnote *note = draft->footnotes.first; note; note = note->next)
        document_add(draft->doc, BLOCK_ITEM, "[%zu] %s", number++, note->text);
}

/* The first digits of an identity, enough to find it. */
static void set_short(struct document *doc, struct table_row *row, size_t column, const char *hex)
{
    table_set(doc, row, column, "%.12s", hex && hex[0] ? hex : NUMBER_NONE);
}

void report_add_provenance(struct report_draft *draft)
{
    struct document *doc = draft->doc;
    document_add(doc, BLOCK_HEADING, "Where the numbers come from");
    for (size_t i = 0; i < draft->info->fact_count; i++)
        document_add(doc, BLOCK_ITEM, "%s: %s", draft->info->facts[i].name,
                     draft->info->facts[i].value);
    static const char *const TITLES[] = {"family", "task", "variant", "seed",
                                         "model",  "job",  "attempt", "records"};
    struct table *table = document_add_table(doc, NULL);
    for (size_t i = 0; i < sizeof TITLES / sizeof TITLES[0]; i++)
        table_add_column(table, TITLES[i], ALIGN_LEFT);
    for (size_t i = 0; i < draft->stats->arm_count; i++) {
        const struct stat_arm *arm = &draft->stats->arms[i];
        for (size_t s = 0; s < arm->seed_count; s++) {
            const struct stat_provenance *from = &arm->cells[s]->provenance;
            struct table_row *row = table_add_row(doc, table, false);
            table_set(doc, row, 0, "%s", arm->family);
            table_set(doc, row, 1, "%s", arm->task);
            table_set(doc, row, 2, "%s", arm->variant);
            table_set(doc, row, 3, "%llu", (unsigned long long)arm->cells[s]->seed);
            set_short(doc, row, 4, from->model);
            set_short(doc, row, 5, from->job);
            set_short(doc, row, 6, from->attempt);
            set_short(doc, row, 7, from->artifact);
        }
    }
}
