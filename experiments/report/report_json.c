/* Every figure of a report as JSON, schema "triad.report/1". Undefined numbers are null. */
#include "report.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include <jansson.h>

/* Jansson refuses texts that are not UTF-8 by returning NULL, and its containers refuse NULL: the
 * rest is built all the same, and `valid` remembers it. */
struct writer {
    bool valid;
};

static void put(struct writer *w, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) != 0)
        w->valid = false;
}

static void append(struct writer *w, json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) != 0)
        w->valid = false;
}

static void put_text(struct writer *w, json_t *object, const char *key, const char *text)
{
    put(w, object, key, text ? json_string(text) : json_null());
}

static void put_real(struct writer *w, json_t *object, const char *key, double value)
{
    put(w, object, key, isfinite(value) ? json_real(value) : json_null());
}

static void put_count(struct writer *w, json_t *object, const char *key, uint64_t value)
{
    put(w, object, key, json_integer((json_int_t)value));
}

static json_t *estimate_json(struct writer *w, const struct estimate *e)
{
    json_t *object = json_object();
    put_real(w, object, "value", e->mean);
    put_real(w, object, "se", e->se);
    put_real(w, object, "lo", e->lo);
    put_real(w, object, "hi", e->hi);
    put_count(w, object, "records", e->records);
    put_count(w, object, "sequences", e->clusters);
    return object;
}

static json_t *metrics_json(struct writer *w, enum stat_kind kind,
                            const struct estimate metric[STAT_METRIC_COUNT])
{
    json_t *object = json_object();
    for (size_t m = 0; m < STAT_METRIC_COUNT; m++)
        if (stat_metric_is((enum stat_metric)m, kind, false))
            put(w, object, stat_metric_info((enum stat_metric)m)->name,
                estimate_json(w, &metric[m]));
    return object;
}

static json_t *names_json(struct writer *w, const char *const *names, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        append(w, array, json_string(names[i]));
    return array;
}

static json_t *calibration_json(struct writer *w, const struct calibration *c)
{
    json_t *object = json_object(), *bins = json_array();
    put_real(w, object, "error", c->error);
    put_count(w, object, "entries", c->entries);
    for (size_t b = 0; b < c->bin_count; b++) {
        json_t *bin = json_object();
        put_real(w, bin, "confidence", c->bins[b].confidence);
        put_real(w, bin, "accuracy", c->bins[b].accuracy);
        put_count(w, bin, "entries", c->bins[b].entries);
        append(w, bins, bin);
    }
    put(w, object, "bins", bins);
    return object;
}

static json_t *calibration_kinds_json(struct writer *w,
                                      const struct calibration c[CALIBRATION_KIND_COUNT])
{
    json_t *object = json_object();
    for (int kind = 0; kind < CALIBRATION_KIND_COUNT; kind++)
        put(w, object, calibration_kind_name((enum calibration_kind)kind),
            calibration_json(w, &c[kind]));
    return object;
}

static json_t *calibrations_json(struct writer *w, const struct stat_arm *arm)
{
    const struct stat_calibration *c = arm->calibration;
    if (!c)
        return json_null();
    json_t *object = json_object(), *tokens = json_object(), *answers = json_object();
    json_t *positions = json_array();
    for (int scope = 0; scope < STAT_SCOPE_COUNT; scope++) {
        const char *name = stat_scope_name((enum stat_scope)scope, arm->kind);
        put(w, tokens, name, calibration_kinds_json(w, c->tokens[scope]));
        put(w, answers, name, calibration_kinds_json(w, c->answers[scope]));
    }
    put(w, tokens, "all", calibration_kinds_json(w, c->tokens_all));
    for (uint32_t p = 0; p <= arm->last_position; p++)
        append(w, positions, isfinite(c->tokens_at[p]) ? json_real(c->tokens_at[p]) : json_null());
    put(w, object, "tokens", tokens);
    put(w, object, "answers", answers);
    put(w, object, "tokens_by_position", positions);
    return object;
}

static json_t *arm_json(struct writer *w, const struct stat_arm *arm)
{
    json_t *object = json_object();
    put_text(w, object, "family", arm->family);
    put_text(w, object, "suite", arm->suite);
    put_text(w, object, "task", arm->task);
    put_text(w, object, "variant", arm->variant);
    put_text(w, object, "format", arm->format);
    put_count(w, object, "k", arm->last_position);
    put(w, object, "complete", json_boolean(arm->complete));
    put_text(w, object, "reason", arm->reason[0] ? arm->reason : NULL);
    put_count(w, object, "not_finite", arm->not_finite);
    json_t *seeds = json_array();
    for (size_t s = 0; s < arm->seed_count; s++)
        append(w, seeds, json_integer((json_int_t)arm->cells[s]->seed));
    put(w, object, "seeds", seeds);
    for (size_t scope = 0; scope < STAT_SCOPE_COUNT; scope++)
        if (stat_scope_is((enum stat_scope)scope, arm->kind))
            put(w, object, stat_scope_name((enum stat_scope)scope, arm->kind),
                metrics_json(w, arm->kind, arm->summary[scope]));
    json_t *positions = json_array(), *lengths = json_array();
    for (uint32_t p = 0; arm->positions && p <= arm->last_position; p++)
        append(w, positions, metrics_json(w, arm->kind, arm->positions[p].metric));
    for (size_t i = 0; i < arm->length_count; i++) {
        json_t *length = json_object();
        put_count(w, length, "first", arm->lengths[i].first);
        put_count(w, length, "last", arm->lengths[i].last);
        put_count(w, length, "answers", arm->lengths[i].answers);
        put_count(w, length, "tokens", arm->lengths[i].tokens);
        put_real(w, length, "nats_per_answer", arm->lengths[i].nats_per_answer);
        put_real(w, length, "nats_per_token", arm->lengths[i].nats_per_token);
        append(w, lengths, length);
    }
    put(w, object, "positions", positions);
    put(w, object, "calibration", calibrations_json(w, arm));
    put(w, object, "lengths", lengths);
    return object;
}

static json_t *rule_json(struct writer *w, const struct stats *stats, const struct stat_rule *rule)
{
    json_t *object = json_object();
    put_text(w, object, "baseline", rule->baseline);
    put(w, object, "against", names_json(w, rule->against, rule->against_count));
    put_text(w, object, "test", stat_test_name(rule->test));
    put_real(w, object, "alpha", rule->alpha);
    put_text(w, object, "correction",
             rule->test == STAT_TEST_PAPER_LIKE ? "none" : adjust_method_name(rule->correction));
    json_t *declared = json_object();
    for (size_t m = 0; m < STAT_METRIC_COUNT; m++)
        if (stats_declared(stats, rule, (enum stat_metric)m) > 0)
            put_count(w, declared, stat_metric_info((enum stat_metric)m)->name,
                      stats_declared(stats, rule, (enum stat_metric)m));
    put(w, object, "declared_pairs", declared);
    return object;
}

/* The fields by which comparisons, counts and pooled effects name their pair. */
static json_t *pair_json(struct writer *w, const struct stats *stats, const struct stat_rule *rule,
                         const char *against, enum stat_metric metric)
{
    json_t *object = json_object();
    put_count(w, object, "rule", (uint64_t)(rule - stats->rules));
    put_text(w, object, "baseline", rule->baseline);
    put_text(w, object, "against", against);
    put_text(w, object, "metric", stat_metric_info(metric)->name);
    return object;
}

static void put_side_tests(struct writer *w, json_t *object, const struct comparison *c)
{
    put_real(w, object, "bootstrap_lo", c->bootstrap.lo);
    put_real(w, object, "bootstrap_hi", c->bootstrap.hi);
    put_real(w, object, "p_permutation", c->permutation.p);
    put_count(w, object, "permutations", c->permutation.resamples);
    put(w, object, "exact", json_boolean(c->permutation.exact));
    if (c->metric == STAT_ACCURACY) {
        put_count(w, object, "gained", c->gained);
        put_count(w, object, "lost", c->lost);
        put_real(w, object, "p_mcnemar", c->mcnemar_p);
    }
    put_real(w, object, "z_unpaired", c->unpaired_z);
    put_real(w, object, "p_unpaired", c->unpaired_p);
}

static json_t *comparison_json(struct writer *w, const struct stats *stats,
                               const struct comparison *c)
{
    json_t *object = pair_json(w, stats, c->rule, c->against_name, c->metric);
    put_text(w, object, "family", c->family);
    put_text(w, object, "suite", c->suite);
    put_text(w, object, "task", c->task);
    put(w, object, "difference", estimate_json(w, &c->difference));
    put_real(w, object, "p", c->p);
    put_real(w, object, "p_adj", c->p_adjusted);
    put_text(w, object, "verdict", stat_verdict_name(c->verdict));
    put_text(w, object, "reason", c->reason[0] ? c->reason : NULL);
    put(w, object, "content_disagrees", json_boolean(c->content_disagrees));
    put_side_tests(w, object, c);
    return object;
}

static json_t *count_json(struct writer *w, const struct stats *stats,
                          const struct stat_count *count)
{
    static const char *const GROUPS[] = {
        [STAT_GROUP_ALL] = "all",
        [STAT_GROUP_FAMILY] = "family",
        [STAT_GROUP_SUITE] = "suite",
    };
    json_t *object = pair_json(w, stats, count->rule, count->against, count->metric);
    put_text(w, object, "group", GROUPS[count->group]);
    put_text(w, object, "name", count->name);
    json_t *verdicts = json_object();
    for (size_t v = 0; v < STAT_VERDICT_COUNT; v++)
        put_count(w, verdicts, stat_verdict_name((enum stat_verdict)v), count->verdicts[v]);
    put(w, object, "verdicts", verdicts);
    put_count(w, object, "pairs", count->total);
    return object;
}

static json_t *pooled_json(struct writer *w, const struct stats *stats,
                           const struct stat_pooled *pooled)
{
    const struct random_effects *e = &pooled->effects;
    json_t *object = pair_json(w, stats, pooled->rule, pooled->against, pooled->metric);
    put_text(w, object, "over", pooled->pool == STAT_POOL_FAMILIES ? "families" : "tasks");
    put_text(w, object, pooled->pool == STAT_POOL_FAMILIES ? "task" : "family", pooled->name);
    if (pooled->pool == STAT_POOL_FAMILIES)
        put_text(w, object, "suite", pooled->suite);
    put_count(w, object, "count", e->count);
    put_real(w, object, "value", e->mean);
    put_real(w, object, "se", e->se);
    put_real(w, object, "lo", e->lo);
    put_real(w, object, "hi", e->hi);
    put_real(w, object, "tau2", e->tau2);
    put_real(w, object, "i2", e->i2);
    put_real(w, object, "q", e->q);
    put_real(w, object, "p_q", e->q_p);
    put_text(w, object, "reason", pooled->reason[0] ? pooled->reason : NULL);
    return object;
}

static void put_setting(struct writer *w, json_t *object, const struct stat_setting *s)
{
    put_text(w, object, "component", s->component);
    put_real(w, object, "temperature", s->temperature);
    put_real(w, object, "top_p", s->top_p);
    put_count(w, object, "top_k", (uint64_t)s->top_k);
    put_count(w, object, "draws", s->draws);
}

static json_t *generation_json(struct writer *w, const struct stat_generation *g)
{
    json_t *object = json_object();
    put_text(w, object, "family", g->family);
    put_text(w, object, "suite", g->suite);
    put_text(w, object, "task", g->task);
    put_text(w, object, "variant", g->variant);
    put_setting(w, object, g->setting);
    for (int m = 0; m < COVERAGE_METRIC_COUNT; m++)
        put_real(w, object, coverage_metric_name((enum coverage_metric)m), g->values[m]);
    put_text(w, object, "reason", g->arm->complete ? NULL : g->arm->reason);
    return object;
}

static json_t *generation_mean_json(struct writer *w, const struct stat_generation_mean *mean)
{
    json_t *object = json_object();
    put_text(w, object, "family", mean->family);
    put_text(w, object, "suite", mean->suite);
    put_text(w, object, "variant", mean->variant);
    put_setting(w, object, mean->setting);
    put_count(w, object, "tasks", mean->tasks);
    put(w, object, "on_front", json_boolean(mean->on_front));
    for (int m = 0; m < COVERAGE_METRIC_COUNT; m++) {
        json_t *value = json_object();
        put_real(w, value, "value", mean->mean[m]);
        put_real(w, value, "sem", mean->sem[m]);
        put(w, object, coverage_metric_name((enum coverage_metric)m), value);
    }
    put_text(w, object, "reason", mean->reason[0] ? mean->reason : NULL);
    return object;
}

static json_t *generation_pair_json(struct writer *w, const struct stats *stats,
                                    const struct stat_generation_pair *pair)
{
    json_t *object = json_object();
    put_count(w, object, "rule", (uint64_t)(pair->rule - stats->rules));
    put_text(w, object, "baseline", pair->rule->baseline);
    put_text(w, object, "against", pair->against);
    put_text(w, object, "metric", coverage_metric_name(pair->metric));
    put_text(w, object, "family", pair->family);
    put_text(w, object, "suite", pair->suite);
    put_setting(w, object, pair->setting);
    put(w, object, "difference", estimate_json(w, &pair->difference));
    put_real(w, object, "p", pair->permutation.p);
    put_real(w, object, "p_adj", pair->p_adjusted);
    put_text(w, object, "verdict", stat_verdict_name(pair->verdict));
    put_text(w, object, "reason", pair->reason[0] ? pair->reason : NULL);
    return object;
}

static void put_generations(struct writer *w, json_t *root, const struct stats *stats)
{
    const struct stat_coverage *c = &stats->coverage;
    json_t *generations = json_array(), *means = json_array(), *pairs = json_array();
    for (size_t i = 0; i < c->generation_count; i++)
        append(w, generations, generation_json(w, &c->generations[i]));
    for (size_t i = 0; i < c->mean_count; i++)
        append(w, means, generation_mean_json(w, &c->means[i]));
    for (size_t i = 0; i < c->pair_count; i++)
        append(w, pairs, generation_pair_json(w, stats, &c->pairs[i]));
    put(w, root, "generations", generations);
    put(w, root, "generation_means", means);
    put(w, root, "generation_pairs", pairs);
}

static json_t *provenance_json(struct writer *w, const struct report *report)
{
    json_t *facts = json_object();
    for (size_t i = 0; i < report->info.fact_count; i++)
        put_text(w, facts, report->info.facts[i].name, report->info.facts[i].value);
    json_t *cells = json_array();
    for (size_t i = 0; i < report->stats->arm_count; i++) {
        const struct stat_arm *arm = &report->stats->arms[i];
        for (size_t s = 0; s < arm->seed_count; s++) {
            const struct stat_cell *cell = arm->cells[s];
            json_t *object = json_object();
            put_text(w, object, "family", cell->family);
            put_text(w, object, "suite", cell->suite);
            put_text(w, object, "task", cell->task);
            put_text(w, object, "variant", cell->variant);
            put_count(w, object, "seed", cell->seed);
            put_text(w, object, "pairing", cell->pairing);
            put_text(w, object, "model", cell->provenance.model);
            put_text(w, object, "job", cell->provenance.job);
            put_text(w, object, "attempt", cell->provenance.attempt);
            put_text(w, object, "artifact", cell->provenance.artifact);
            append(w, cells, object);
        }
    }
    json_t *object = json_object();
    put(w, object, "facts", facts);
    put(w, object, "cells", cells);
    return object;
}

static void put_figures(struct writer *w, json_t *root, const struct stats *stats)
{
    json_t *rules = json_array();
    for (size_t i = 0; i < stats->rule_count; i++)
        append(w, rules, rule_json(w, stats, &stats->rules[i]));
    json_t *means = json_array();
    for (size_t i = 0; i < stats->arm_count; i++)
        append(w, means, arm_json(w, &stats->arms[i]));
    json_t *comparisons = json_array();
    for (size_t i = 0; i < stats->comparison_count; i++)
        append(w, comparisons, comparison_json(w, stats, &stats->comparisons[i]));
    json_t *counts = json_array();
    for (size_t i = 0; i < stats->count_count; i++)
        append(w, counts, count_json(w, stats, &stats->counts[i]));
    json_t *pooled = json_array();
    for (size_t i = 0; i < stats->pooled_count; i++)
        append(w, pooled, pooled_json(w, stats, &stats->pooled[i]));
    put(w, root, "rules", rules);
    put(w, root, "means", means);
    put(w, root, "comparisons", comparisons);
    put(w, root, "counts", counts);
    put(w, root, "pooled", pooled);
}

enum err_code report_render_json(const struct report *report, struct strbuf *out, struct err *err)
{
    struct writer w = {.valid = true};
    json_t *root = json_object();
    put_text(&w, root, "schema", "triad.report/1");
    put_text(&w, root, "experiment", report->info.experiment);
    put_text(&w, root, "title", report->info.title);
    put(&w, root, "notes", names_json(&w, report->info.notes, report->info.note_count));
    put_count(&w, root, "seed", report->stats->options.seed);
    put_count(&w, root, "bootstrap_resamples", report->stats->options.bootstrap_resamples);
    put_figures(&w, root, report->stats);
    put_generations(&w, root, report->stats);
    put(&w, root, "provenance", provenance_json(&w, report));

    char *text = w.valid ? json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(root);
    if (!text)
        return err_set(err, ERR_INVALID, "write report as JSON: a name or note is not UTF-8");
    strbuf_puts(out, text);
    strbuf_putc(out, '\n');
    free(text);
    return ERR_OK;
}
