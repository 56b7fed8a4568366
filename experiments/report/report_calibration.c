/* Sections about single answers: calibration, positions, lengths. */
#include <math.h>
#include <string.h>

#include "number_text.h"
#include "report_sections.h"

static bool has_calibration(const struct stats *stats)
{
    for (size_t i = 0; i < stats->arm_count; i++)
        if (stats->arms[i].calibration)
            return true;
    return false;
}

/* One line of the table: a way to measure, over the in-context answers. */
struct measure {
    const char *label;
    bool answers;
    enum calibration_kind kind;
};

static void add_error_row(struct report_draft *draft, struct table *table,
                          const struct stat_row *of, const struct measure *measure, bool first)
{
    const struct stats *stats = draft->stats;
    struct table_row *row = table_add_row(draft->doc, table, first);
    double best = INFINITY;
    bool complete = true;
    double errors[DOCUMENT_COLUMNS_MAX];
    if (first)
        table_set(draft->doc, row, 0, "%s %s", of->family, report_row_label(draft, of));
    table_set(draft->doc, row, 1, "%s", measure->label);
    for (size_t v = 0; v < report_shown_variants(stats); v++) {
        const struct stat_arm *arm = stats_find_arm(stats, of, stats->variants[v]);
        const struct stat_calibration *c = arm ? arm->calibration : NULL;
        errors[v] = (double)NAN;
        if (c)
            errors[v] =
                (measure->answers ? c->answers : c->tokens)[STAT_IN_CONTEXT][measure->kind].error;
        table_set(draft->doc, row, 2 + v, "%s", number_fixed(errors[v]).text);
        complete = complete && !isnan(errors[v]);
        best = fmin(best, errors[v]);
    }
    for (size_t v = 0; complete && v < report_shown_variants(stats); v++)
        row->cells[2 + v].strong = errors[v] <= best;
}

void report_add_calibration(struct report_draft *draft)
{
    static const struct measure MEASURES[] = {
        {"tokens, equal mass ↓", false, CALIBRATION_EQUAL_MASS},
        {"tokens, equal width ↓", false, CALIBRATION_EQUAL_WIDTH},
        {"answers, equal width ↓", true, CALIBRATION_EQUAL_WIDTH},
    };
    const struct stats *stats = draft->stats;
    if (!has_calibration(stats))
        return;
    document_add(draft->doc, BLOCK_HEADING, "Expected calibration error in context");
    struct table *table = document_add_table(draft->doc, NULL);
    report_variant_columns(stats, table);
    for (size_t r = 0; r < stats->row_count; r++)
        for (size_t m = 0;
             stats->rows[r].kind == STAT_SCORES && m < sizeof MEASURES / sizeof MEASURES[0]; m++)
            add_error_row(draft, table, &stats->rows[r], &MEASURES[m], m == 0);
}

/* --- by position ------------------------------------------------------------------------------ */

static void add_position_rows(struct report_draft *draft, struct table *table,
                              const struct stat_row *of, uint32_t position)
{
    static const enum stat_metric SHOWN[] = {STAT_LOSS, STAT_ACCURACY};
    static const char *const LABELS[] = {"loss ↓", "accuracy ↑"};
    const struct stats *stats = draft->stats;
    for (size_t m = 0; m < 2; m++) {
        struct table_row *row = table_add_row(draft->doc, table, m == 0 && position == 0);
        if (m == 0)
            table_set(draft->doc, row, 0, "%s %s, position %u", of->family,
                      report_row_label(draft, of), position);
        table_set(draft->doc, row, 1, "%s", LABELS[m]);
        for (size_t v = 0; v < report_shown_variants(stats); v++) {
            const struct stat_arm *arm = stats_find_arm(stats, of, stats->variants[v]);
            const struct estimate *e = &ESTIMATE_NONE;
            if (arm && arm->complete && position <= arm->last_position)
                e = &arm->positions[position].metric[SHOWN[m]];
            table_set(draft->doc, row, 2 + v, "%s", number_with_se(e->mean, e->se).text);
        }
    }
}

void report_add_positions(struct report_draft *draft)
{
    const struct stats *stats = draft->stats;
    if (!stats_has_kind(stats, STAT_SCORES))
        return;
    document_add(draft->doc, BLOCK_HEADING, "By position: how many examples came before");
    struct table *table = document_add_table(draft->doc, NULL);
    report_variant_columns(stats, table);
    for (size_t r = 0; r < stats->row_count; r++) {
        uint32_t last = 0;
        if (stats->rows[r].kind != STAT_SCORES)
            continue;
        for (size_t v = 0; v < stats->variant_count; v++) {
            const struct stat_arm *arm = stats_find_arm(stats, &stats->rows[r], stats->variants[v]);
            if (arm && arm->last_position > last)
                last = arm->last_position;
        }
        for (uint32_t p = 0; p <= last; p++)
            add_position_rows(draft, table, &stats->rows[r], p);
    }
}

/* --- by length -------------------------------------------------------------------------------- */

/* Do some answers have more tokens than a choice has? */
static bool has_long_answers(const struct stats *stats)
{
    for (size_t i = 0; i < stats->arm_count; i++)
        if (stats->arms[i].length_count > 0 &&
            stats->arms[i].lengths[stats->arms[i].length_count - 1].last > 4)
            return true;
    return false;
}

static void add_length_rows(struct report_draft *draft, struct table *table,
                            const struct stat_arm *arm)
{
    struct document *doc = draft->doc;
    for (size_t i = 0; i < arm->length_count; i++) {
        const struct stat_length *l = &arm->lengths[i];
        struct table_row *row = table_add_row(doc, table, i == 0);
        if (i == 0) {
            table_set(doc, row, 0, "%s", arm->family);
            table_set(doc, row, 1, "%s", arm->task);
            table_set(doc, row, 2, "%s", arm->variant);
        }
        if (l->first == l->last)
            table_set(doc, row, 3, "%u", l->first);
        else
            table_set(doc, row, 3, "%u-%u", l->first, l->last);
        table_set(doc, row, 4, "%llu", (unsigned long long)l->answers);
        table_set(doc, row, 5, "%s", number_fixed(l->nats_per_answer).text);
        table_set(doc, row, 6, "%s", number_fixed(l->nats_per_token).text);
    }
}

void report_add_lengths(struct report_draft *draft)
{
    static const char *const TITLES[] = {"family",  "task",          "variant",     "tokens",
                                         "answers", "nats/answer ↓", "nats/token ↓"};
    if (!has_long_answers(draft->stats))
        return;
    document_add(draft->doc, BLOCK_HEADING, "Loss by the length of the answer");
    struct table *table = document_add_table(draft->doc, NULL);
    for (size_t i = 0; i < sizeof TITLES / sizeof TITLES[0]; i++)
        table_add_column(table, TITLES[i], i < 3 ? ALIGN_LEFT : ALIGN_RIGHT);
    for (size_t i = 0; i < draft->stats->arm_count; i++)
        add_length_rows(draft, table, &draft->stats->arms[i]);
}
