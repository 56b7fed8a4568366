/* Every figure of a report as one tidy table. */
#include "report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum column {
    COL_KIND,
    COL_FAMILY,
    COL_SUITE,
    COL_TASK,
    COL_VARIANT,
    COL_BASELINE,
    COL_METRIC,
    COL_SCOPE,
    COL_VALUE,
    COL_SE,
    COL_LO,
    COL_HI,
    COL_RECORDS,
    COL_SEQUENCES,
    COL_SEEDS,
    COL_TEST,
    COL_ALPHA,
    COL_CORRECTION,
    COL_P,
    COL_P_ADJ,
    COL_VERDICT,
    COL_CONTENT_DISAGREES,
    COL_BOOTSTRAP_LO,
    COL_BOOTSTRAP_HI,
    COL_P_PERMUTATION,
    COL_PERMUTATIONS,
    COL_EXACT,
    COL_GAINED,
    COL_LOST,
    COL_P_MCNEMAR,
    COL_P_UNPAIRED,
    COL_TAU2,
    COL_I2,
    COL_Q,
    COL_P_Q,
    COL_REASON,
    COLUMN_COUNT,
};

static const char *const NAMES[COLUMN_COUNT] = {
    [COL_KIND] = "kind",
    [COL_FAMILY] = "family",
    [COL_SUITE] = "suite",
    [COL_TASK] = "task",
    [COL_VARIANT] = "variant",
    [COL_BASELINE] = "baseline",
    [COL_METRIC] = "metric",
    [COL_SCOPE] = "scope",
    [COL_VALUE] = "value",
    [COL_SE] = "se",
    [COL_LO] = "lo",
    [COL_HI] = "hi",
    [COL_RECORDS] = "records",
    [COL_SEQUENCES] = "sequences",
    [COL_SEEDS] = "seeds",
    [COL_TEST] = "test",
    [COL_ALPHA] = "alpha",
    [COL_CORRECTION] = "correction",
    [COL_P] = "p",
    [COL_P_ADJ] = "p_adj",
    [COL_VERDICT] = "verdict",
    [COL_CONTENT_DISAGREES] = "content_disagrees",
    [COL_BOOTSTRAP_LO] = "bootstrap_lo",
    [COL_BOOTSTRAP_HI] = "bootstrap_hi",
    [COL_P_PERMUTATION] = "p_permutation",
    [COL_PERMUTATIONS] = "permutations",
    [COL_EXACT] = "exact",
    [COL_GAINED] = "gained",
    [COL_LOST] = "lost",
    [COL_P_MCNEMAR] = "p_mcnemar",
    [COL_P_UNPAIRED] = "p_unpaired",
    [COL_TAU2] = "tau2",
    [COL_I2] = "i2",
    [COL_Q] = "q",
    [COL_P_Q] = "p_q",
    [COL_REASON] = "reason",
};

/* A line being filled: what is not set stays empty. */
struct line {
    const char *texts[COLUMN_COUNT];
    char numbers[COLUMN_COUNT][32];
};

static void set_text(struct line *line, enum column column, const char *text)
{
    line->texts[column] = text;
}

static void set_real(struct line *line, enum column column, double value)
{
    if (isnan(value))
        return;
    snprintf(line->numbers[column], sizeof line->numbers[column], "%.17g", value);
    line->texts[column] = line->numbers[column];
}

static void set_count(struct line *line, enum column column, uint64_t value)
{
    snprintf(line->numbers[column], sizeof line->numbers[column], "%llu",
             (unsigned long long)value);
    line->texts[column] = line->numbers[column];
}

/* RFC 4180: quotes around what holds a comma, quote or line break, quotes doubled. */
static void put_field(struct strbuf *out, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        strbuf_puts(out, text);
        return;
    }
    strbuf_putc(out, '"');
    for (; *text; text++) {
        if (*text == '"')
            strbuf_putc(out, '"');
        strbuf_putc(out, *text);
    }
    strbuf_putc(out, '"');
}

static void put_line(struct strbuf *out, const char *const texts[COLUMN_COUNT])
{
    for (size_t c = 0; c < COLUMN_COUNT; c++) {
        if (c > 0)
            strbuf_putc(out, ',');
        if (texts[c])
            put_field(out, texts[c]);
    }
    strbuf_putc(out, '\n');
}

static void set_estimate(struct line *line, const struct estimate *e)
{
    set_real(line, COL_VALUE, e->mean);
    set_real(line, COL_SE, e->se);
    set_real(line, COL_LO, e->lo);
    set_real(line, COL_HI, e->hi);
    set_count(line, COL_RECORDS, e->records);
    set_count(line, COL_SEQUENCES, e->clusters);
}

static void put_mean(struct strbuf *out, const struct stat_arm *arm, enum stat_metric metric,
                     const char *scope, const struct estimate *e)
{
    struct line line = {0};
    set_text(&line, COL_KIND, "mean");
    set_text(&line, COL_FAMILY, arm->family);
    set_text(&line, COL_SUITE, arm->suite);
    set_text(&line, COL_TASK, arm->task);
    set_text(&line, COL_VARIANT, arm->variant);
    set_text(&line, COL_METRIC, stat_metric_info(metric)->name);
    set_text(&line, COL_SCOPE, scope);
    set_estimate(&line, e);
    set_count(&line, COL_SEEDS, arm->seed_count);
    if (!arm->complete)
        set_text(&line, COL_REASON, arm->reason);
    else if (arm->not_finite > 0)
        set_text(&line, COL_REASON, "some losses are not finite numbers");
    put_line(out, line.texts);
}

static void put_arm(struct strbuf *out, const struct stat_arm *arm)
{
    for (size_t scope = 0; scope < STAT_SCOPE_COUNT; scope++)
        for (size_t m = 0; m < STAT_METRIC_COUNT; m++)
            put_mean(out, arm, (enum stat_metric)m, stat_scope_name((enum stat_scope)scope),
                     &arm->summary[scope][m]);
    for (uint32_t p = 0; arm->complete && p <= arm->last_position; p++) {
        char scope[32];
        snprintf(scope, sizeof scope, "position_%u", p);
        for (size_t m = 0; m < STAT_METRIC_COUNT; m++)
            put_mean(out, arm, (enum stat_metric)m, scope, &arm->positions[p].metric[m]);
    }
}

static void set_rule(struct line *line, const struct stat_rule *rule, const char *against,
                     enum stat_metric metric)
{
    set_text(line, COL_VARIANT, against);
    set_text(line, COL_BASELINE, rule->baseline);
    set_text(line, COL_METRIC, stat_metric_info(metric)->name);
    set_text(line, COL_SCOPE, stat_scope_name(STAT_IN_CONTEXT));
    set_text(line, COL_TEST, stat_test_name(rule->test));
    set_real(line, COL_ALPHA, rule->alpha);
    set_text(line, COL_CORRECTION,
             rule->test == STAT_TEST_PAPER_LIKE ? "none" : adjust_method_name(rule->correction));
}

static void put_comparison(struct strbuf *out, const struct comparison *c)
{
    struct line line = {0};
    set_text(&line, COL_KIND, "difference");
    set_text(&line, COL_FAMILY, c->family);
    set_text(&line, COL_SUITE, c->suite);
    set_text(&line, COL_TASK, c->task);
    set_rule(&line, c->rule, c->against_name, c->metric);
    set_estimate(&line, &c->difference);
    if (c->against)
        set_count(&line, COL_SEEDS, c->against->seed_count);
    set_real(&line, COL_P, c->p);
    set_real(&line, COL_P_ADJ, c->p_adjusted);
    set_text(&line, COL_VERDICT, stat_verdict_name(c->verdict));
    set_text(&line, COL_CONTENT_DISAGREES, c->content_disagrees ? "yes" : "no");
    set_real(&line, COL_BOOTSTRAP_LO, c->bootstrap.lo);
    set_real(&line, COL_BOOTSTRAP_HI, c->bootstrap.hi);
    set_real(&line, COL_P_PERMUTATION, c->permutation.p);
    if (c->permutation.resamples > 0) {
        set_count(&line, COL_PERMUTATIONS, c->permutation.resamples);
        set_text(&line, COL_EXACT, c->permutation.exact ? "yes" : "no");
    }
    if (c->metric == STAT_ACCURACY && c->difference.records > 0) {
        set_count(&line, COL_GAINED, c->gained);
        set_count(&line, COL_LOST, c->lost);
        set_real(&line, COL_P_MCNEMAR, c->mcnemar_p);
    }
    set_real(&line, COL_P_UNPAIRED, c->unpaired_p);
    set_text(&line, COL_REASON, c->reason);
    put_line(out, line.texts);
}

/* One line per verdict, so that the table stays tidy. */
static void put_count(struct strbuf *out, const struct stat_count *count)
{
    for (size_t v = 0; v < STAT_VERDICT_COUNT; v++) {
        struct line line = {0};
        set_text(&line, COL_KIND, "count");
        set_rule(&line, count->rule, count->against, count->metric);
        if (count->group == STAT_GROUP_FAMILY)
            set_text(&line, COL_FAMILY, count->name);
        if (count->group == STAT_GROUP_SUITE)
            set_text(&line, COL_SUITE, count->name);
        set_count(&line, COL_VALUE, count->verdicts[v]);
        set_text(&line, COL_VERDICT, stat_verdict_name((enum stat_verdict)v));
        put_line(out, line.texts);
    }
}

static void put_pooled(struct strbuf *out, const struct stat_pooled *pooled)
{
    struct line line = {0};
    const bool over_families = pooled->pool == STAT_POOL_FAMILIES;
    set_text(&line, COL_KIND, over_families ? "mean_over_families" : "mean_over_tasks");
    set_rule(&line, pooled->rule, pooled->against, pooled->metric);
    set_text(&line, over_families ? COL_TASK : COL_FAMILY, pooled->name);
    if (over_families)
        set_text(&line, COL_SUITE, pooled->suite);
    set_real(&line, COL_VALUE, pooled->effects.mean);
    set_real(&line, COL_SE, pooled->effects.se);
    set_real(&line, COL_LO, pooled->effects.lo);
    set_real(&line, COL_HI, pooled->effects.hi);
    set_real(&line, COL_TAU2, pooled->effects.tau2);
    set_real(&line, COL_I2, pooled->effects.i2);
    set_real(&line, COL_Q, pooled->effects.q);
    set_real(&line, COL_P_Q, pooled->effects.q_p);
    set_text(&line, COL_REASON, pooled->reason);
    put_line(out, line.texts);
}

void report_render_csv(const struct report *report, struct strbuf *out)
{
    const struct stats *stats = report->stats;
    put_line(out, NAMES);
    for (size_t i = 0; i < stats->arm_count; i++)
        put_arm(out, &stats->arms[i]);
    for (size_t i = 0; i < stats->comparison_count; i++)
        put_comparison(out, &stats->comparisons[i]);
    for (size_t i = 0; i < stats->count_count; i++)
        put_count(out, &stats->counts[i]);
    for (size_t i = 0; i < stats->pooled_count; i++)
        put_pooled(out, &stats->pooled[i]);
}
