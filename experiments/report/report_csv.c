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
    COL_COMPONENT,
    COL_TEMPERATURE,
    COL_TOP_P,
    COL_TOP_K,
    COL_DRAWS,
    COL_ON_FRONT,
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
    [COL_COMPONENT] = "component",
    [COL_TEMPERATURE] = "temperature",
    [COL_TOP_P] = "top_p",
    [COL_TOP_K] = "top_k",
    [COL_DRAWS] = "draws",
    [COL_ON_FRONT] = "on_front",
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

static void put_error(struct strbuf *out, const struct stat_arm *arm, const char *metric,
                      const char *scope, double error, uint64_t entries)
{
    struct line line = {0};
    set_text(&line, COL_KIND, "calibration");
    set_text(&line, COL_FAMILY, arm->family);
    set_text(&line, COL_SUITE, arm->suite);
    set_text(&line, COL_TASK, arm->task);
    set_text(&line, COL_VARIANT, arm->variant);
    set_text(&line, COL_METRIC, metric);
    set_text(&line, COL_SCOPE, scope);
    set_real(&line, COL_VALUE, error);
    if (entries > 0)
        set_count(&line, COL_RECORDS, entries);
    set_count(&line, COL_SEEDS, arm->seed_count);
    put_line(out, line.texts);
}

/* The errors of one level ("token", "answer") over one scope. */
static void put_errors(struct strbuf *out, const struct stat_arm *arm, const char *level,
                       const char *scope, const struct calibration c[CALIBRATION_KIND_COUNT])
{
    for (int kind = 0; kind < CALIBRATION_KIND_COUNT; kind++) {
        char metric[64];
        snprintf(metric, sizeof metric, "ece_%s_%s", level,
                 calibration_kind_name((enum calibration_kind)kind));
        put_error(out, arm, metric, scope, c[kind].error, c[kind].entries);
    }
}

static void put_calibration(struct strbuf *out, const struct stat_arm *arm)
{
    const struct stat_calibration *c = arm->calibration;
    for (int scope = 0; scope < STAT_SCOPE_COUNT; scope++) {
        const char *name = stat_scope_name((enum stat_scope)scope, arm->kind);
        put_errors(out, arm, "token", name, c->tokens[scope]);
        put_errors(out, arm, "answer", name, c->answers[scope]);
    }
    put_errors(out, arm, "token", "all", c->tokens_all);
    for (uint32_t p = 0; p <= arm->last_position; p++) {
        char scope[32];
        snprintf(scope, sizeof scope, "position_%u", p);
        put_error(out, arm, "ece_token_equal_mass", scope, c->tokens_at[p], 0);
    }
}

/* Two lines per bin of lengths: per answer and per token. */
static void put_lengths(struct strbuf *out, const struct stat_arm *arm)
{
    for (size_t i = 0; i < arm->length_count; i++) {
        const struct stat_length *l = &arm->lengths[i];
        for (int per_token = 0; per_token < 2; per_token++) {
            struct line line = {0};
            char scope[32];
            snprintf(scope, sizeof scope, "tokens_%u_%u", l->first, l->last);
            set_text(&line, COL_KIND, "length");
            set_text(&line, COL_FAMILY, arm->family);
            set_text(&line, COL_SUITE, arm->suite);
            set_text(&line, COL_TASK, arm->task);
            set_text(&line, COL_VARIANT, arm->variant);
            set_text(&line, COL_METRIC, per_token ? "loss_per_token" : "loss");
            set_text(&line, COL_SCOPE, scope);
            set_real(&line, COL_VALUE, per_token ? l->nats_per_token : l->nats_per_answer);
            set_count(&line, COL_RECORDS, per_token ? l->tokens : l->answers);
            put_line(out, line.texts);
        }
    }
}

static void put_arm(struct strbuf *out, const struct stat_arm *arm)
{
    for (size_t scope = 0; scope < STAT_SCOPE_COUNT; scope++)
        for (size_t m = 0; m < STAT_METRIC_COUNT; m++)
            if (stat_metric_is((enum stat_metric)m, arm->kind, false) &&
                stat_scope_is((enum stat_scope)scope, arm->kind))
                put_mean(out, arm, (enum stat_metric)m,
                         stat_scope_name((enum stat_scope)scope, arm->kind),
                         &arm->summary[scope][m]);
    for (uint32_t p = 0; arm->positions && p <= arm->last_position; p++) {
        char scope[32];
        snprintf(scope, sizeof scope, "position_%u", p);
        for (size_t m = 0; m < STAT_METRIC_COUNT; m++)
            if (stat_metric_is((enum stat_metric)m, arm->kind, false))
                put_mean(out, arm, (enum stat_metric)m, scope, &arm->positions[p].metric[m]);
    }
    if (arm->calibration)
        put_calibration(out, arm);
    put_lengths(out, arm);
}

static void set_setting(struct line *line, const struct stat_setting *s)
{
    set_text(line, COL_COMPONENT, s->component);
    set_real(line, COL_TEMPERATURE, s->temperature);
    set_real(line, COL_TOP_P, s->top_p);
    set_count(line, COL_TOP_K, (uint64_t)s->top_k);
    set_count(line, COL_DRAWS, s->draws);
}

static void put_generation(struct strbuf *out, const struct stat_generation *g)
{
    for (int m = 0; m < COVERAGE_METRIC_COUNT; m++) {
        struct line line = {0};
        set_text(&line, COL_KIND, "generation");
        set_text(&line, COL_FAMILY, g->family);
        set_text(&line, COL_SUITE, g->suite);
        set_text(&line, COL_TASK, g->task);
        set_text(&line, COL_VARIANT, g->variant);
        set_text(&line, COL_METRIC, coverage_metric_name((enum coverage_metric)m));
        set_setting(&line, g->setting);
        set_real(&line, COL_VALUE, g->values[m]);
        set_count(&line, COL_SEEDS, g->arm->seed_count);
        if (!g->arm->complete)
            set_text(&line, COL_REASON, g->arm->reason);
        put_line(out, line.texts);
    }
}

static void put_generation_mean(struct strbuf *out, const struct stat_generation_mean *mean)
{
    for (int m = 0; m < COVERAGE_METRIC_COUNT; m++) {
        struct line line = {0};
        set_text(&line, COL_KIND, "generation_mean");
        set_text(&line, COL_FAMILY, mean->family);
        set_text(&line, COL_SUITE, mean->suite);
        set_text(&line, COL_VARIANT, mean->variant);
        set_text(&line, COL_METRIC, coverage_metric_name((enum coverage_metric)m));
        set_setting(&line, mean->setting);
        set_real(&line, COL_VALUE, mean->mean[m]);
        set_real(&line, COL_SE, mean->sem[m]);
        set_count(&line, COL_RECORDS, mean->tasks);
        set_text(&line, COL_ON_FRONT, mean->on_front ? "yes" : "no");
        set_text(&line, COL_REASON, mean->reason);
        put_line(out, line.texts);
    }
}

static void set_rule(struct line *line, const struct stat_rule *rule, const char *against,
                     enum stat_metric metric)
{
    set_text(line, COL_VARIANT, against);
    set_text(line, COL_BASELINE, rule->baseline);
    set_text(line, COL_METRIC, stat_metric_info(metric)->name);
    set_text(line, COL_SCOPE, stat_scope_name(STAT_IN_CONTEXT, stat_metric_info(metric)->kind));
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

static void put_generation_pair(struct strbuf *out, const struct stat_generation_pair *pair)
{
    struct line line = {0};
    set_text(&line, COL_KIND, "generation_difference");
    set_text(&line, COL_FAMILY, pair->family);
    set_text(&line, COL_SUITE, pair->suite);
    set_text(&line, COL_VARIANT, pair->against);
    set_text(&line, COL_BASELINE, pair->rule->baseline);
    set_text(&line, COL_METRIC, coverage_metric_name(pair->metric));
    set_setting(&line, pair->setting);
    set_estimate(&line, &pair->difference);
    set_text(&line, COL_TEST, "paired-task");
    set_real(&line, COL_ALPHA, pair->rule->alpha);
    set_text(&line, COL_CORRECTION, adjust_method_name(pair->rule->correction));
    set_real(&line, COL_P, pair->permutation.p);
    set_real(&line, COL_P_ADJ, pair->p_adjusted);
    set_text(&line, COL_VERDICT, stat_verdict_name(pair->verdict));
    set_text(&line, COL_REASON, pair->reason);
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
    for (size_t i = 0; i < stats->coverage.generation_count; i++)
        put_generation(out, &stats->coverage.generations[i]);
    for (size_t i = 0; i < stats->coverage.mean_count; i++)
        put_generation_mean(out, &stats->coverage.means[i]);
    for (size_t i = 0; i < stats->coverage.pair_count; i++)
        put_generation_pair(out, &stats->coverage.pairs[i]);
}
