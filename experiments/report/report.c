#include "report.h"

#include <string.h>

#include "report_sections.h"

const char *report_verdict_word(enum stat_verdict verdict)
{
    static const char *const WORDS[STAT_VERDICT_COUNT] = {
        [STAT_WORSE] = "worse",
        [STAT_BETTER] = "better",
        [STAT_NO_DIFFERENCE] = "n.s.",
        [STAT_UNDEFINED] = "undefined",
    };
    return WORDS[verdict];
}

const char *report_interval_title(const struct report_draft *draft, const char *what, double alpha)
{
    return arena_printf(draft->doc->arena, "%g %% %s", 100.0 * (1.0 - alpha), what);
}

static bool same_alpha(const struct stat_rule *a, const struct stat_rule *b)
{
    return !(a->alpha < b->alpha) && !(a->alpha > b->alpha);
}

const char *report_intervals_title(const struct report_draft *draft, const char *what)
{
    const struct stats *stats = draft->stats;
    for (size_t i = 1; i < stats->rule_count; i++)
        if (!same_alpha(&stats->rules[i], &stats->rules[0]))
            return arena_printf(draft->doc->arena, "1 - alpha %s", what);
    return report_interval_title(draft, what, stats->rules[0].alpha);
}

const char *report_rule_mark(const struct report_draft *draft, const struct stat_rule *rule)
{
    const struct stats *stats = draft->stats;
    for (size_t i = 0; i < stats->rule_count; i++) {
        const struct stat_rule *other = &stats->rules[i];
        if (other != rule &&
            (strcmp(other->baseline, rule->baseline) == 0 || !same_alpha(other, rule)))
            return arena_printf(draft->doc->arena, " (rule %zu)",
                                (size_t)(rule - stats->rules) + 1);
    }
    return "";
}

/* "PT, IT and ST" into the arena. */
static const char *join_names(struct arena *arena, const char *const *names, size_t count)
{
    const char *joined = count > 0 ? names[0] : "none";
    for (size_t i = 1; i < count; i++)
        joined = arena_printf(arena, "%s%s%s", joined, i + 1 < count ? ", " : " and ", names[i]);
    return joined;
}

/* The format a variant was asked in, when it is the same everywhere. */
static const char *variant_format(const struct stats *stats, const char *variant)
{
    const char *format = "";
    for (size_t i = 0; i < stats->arm_count; i++) {
        if (strcmp(stats->arms[i].variant, variant) != 0)
            continue;
        if (format[0] != '\0' && strcmp(format, stats->arms[i].format) != 0)
            return "several formats";
        format = stats->arms[i].format;
    }
    return format;
}

static void add_overview(struct report_draft *draft)
{
    const struct stats *stats = draft->stats;
    struct document *doc = draft->doc;
    const char **variants = arena_array(doc->arena, stats->variant_count, sizeof *variants);
    for (size_t v = 0; v < stats->variant_count; v++)
        variants[v] = arena_printf(doc->arena, "%s (%s)", stats->variants[v],
                                   variant_format(stats, stats->variants[v]));
    const char *in_context =
        stats_has_kind(stats, STAT_SCORES)
            ? " Losses and accuracies are over positions >= 1, so every answer "
              "had at least one example before it."
            : "";
    document_add(doc, BLOCK_PARAGRAPH,
                 "Experiment %s: %s of %s, asked the same items. %zu %s (family, task).%s ± is the "
                 "standard error, clustered by sequence where one holds several answers.",
                 draft->info->experiment, join_names(doc->arena, variants, stats->variant_count),
                 join_names(doc->arena, stats->families, stats->family_count), stats->row_count,
                 stats->row_count == 1 ? "row" : "rows", in_context);
}

struct report *report_build(const struct report_info *info, const struct stats *stats,
                            struct arena *arena)
{
    struct report *report = arena_alloc(arena, sizeof *report);
    report->info = *info;
    report->stats = stats;
    document_init(&report->document, arena);
    struct report_draft draft = {.doc = &report->document, .info = info, .stats = stats};

    document_add(draft.doc, BLOCK_TITLE, "%s", info->title);
    add_overview(&draft);
    report_add_means(&draft);
    report_add_calibration(&draft);
    report_add_generations(&draft);
    report_add_comparisons(&draft);
    report_add_counts(&draft);
    report_add_pooled(&draft);
    draft.doc->in_detail = true;
    report_add_side_tests(&draft);
    report_add_scopes(&draft);
    report_add_all_means(&draft);
    report_add_positions(&draft);
    report_add_lengths(&draft);
    report_add_text_figures(&draft);
    draft.doc->in_detail = false;
    report_add_notes(&draft);
    draft.doc->in_detail = true;
    report_add_provenance(&draft);
    return report;
}
