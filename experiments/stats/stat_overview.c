#include "stat_overview.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "stats.h"

/* Which comparisons belong together: those of a rule, metric and variant, and of the named family,
 * suite or task where these are not NULL. */
struct selection {
    const struct stat_rule *rule;
    enum stat_metric metric;
    const char *against;
    const char *family, *suite, *task;
};

static bool matches(const char *wanted, const char *name)
{
    return !wanted || strcmp(wanted, name) == 0;
}

static bool selects(const struct selection *s, const struct comparison *c)
{
    return c->rule == s->rule && c->metric == s->metric && matches(s->against, c->against_name) &&
           matches(s->family, c->family) && matches(s->suite, c->suite) &&
           matches(s->task, c->task);
}

static void count_selected(struct stats *stats, const struct selection *s, enum stat_group group,
                           const char *name)
{
    struct stat_count *count = &stats->counts[stats->count_count++];
    *count = (struct stat_count){s->rule, s->against, s->metric, group, name, {0}, 0};
    for (size_t i = 0; i < stats->comparison_count; i++) {
        if (!selects(s, &stats->comparisons[i]))
            continue;
        count->verdicts[stats->comparisons[i].verdict]++;
        count->total++;
    }
    stats->count_count -= count->total == 0; /* a suite of another kind */
}

static void count_groups(struct stats *stats, struct selection s)
{
    count_selected(stats, &s, STAT_GROUP_ALL, "");
    for (size_t f = 0; stats->family_count > 1 && f < stats->family_count; f++) {
        s.family = stats->families[f];
        count_selected(stats, &s, STAT_GROUP_FAMILY, s.family);
    }
    s.family = NULL;
    for (size_t u = 0; stats->suite_count > 1 && u < stats->suite_count; u++) {
        s.suite = stats->suites[u];
        count_selected(stats, &s, STAT_GROUP_SUITE, s.suite);
    }
}

/* Pool the selected differences; a member without one leaves the mean undefined. */
static struct stat_pooled pool_selected(const struct stats *stats, const struct selection *s,
                                        enum stat_pool pool)
{
    struct stat_pooled pooled = {.rule = s->rule,
                                 .against = s->against,
                                 .metric = s->metric,
                                 .pool = pool,
                                 .suite = s->suite ? s->suite : ""};
    pooled.name = pool == STAT_POOL_FAMILIES ? s->task : s->family;
    struct arena scratch;
    arena_init(&scratch, 0);
    double *means = arena_array(&scratch, stats->comparison_count, sizeof *means);
    double *ses = arena_array(&scratch, stats->comparison_count, sizeof *ses);
    size_t count = 0;
    for (size_t i = 0; i < stats->comparison_count; i++) {
        const struct comparison *c = &stats->comparisons[i];
        if (!selects(s, c))
            continue;
        means[count] = c->difference.mean;
        ses[count++] = c->difference.se;
        if (pooled.reason[0] == '\0' && !(c->difference.se > 0.0 && isfinite(c->difference.se)))
            stat_reason(pooled.reason, "%s has no effect to pool: %s",
                        pool == STAT_POOL_FAMILIES ? c->family : c->task,
                        c->reason[0] ? c->reason : "its standard error is undefined");
    }
    pooled.effects = random_effects_pool(means, ses, count, s->rule->alpha);
    arena_release(&scratch);
    return pooled;
}

static void pool_append(struct stats *stats, const struct selection *s, enum stat_pool pool)
{
    struct stat_pooled pooled = pool_selected(stats, s, pool);
    if (pooled.effects.count >= 2)
        stats->pooled[stats->pooled_count++] = pooled;
}

static void pool_groups(struct stats *stats, struct selection s)
{
    for (size_t r = 0; stats->family_count > 1 && r < stats->row_count; r++) {
        const struct stat_row *row = &stats->rows[r];
        bool seen = false;
        for (size_t before = 0; before < r && !seen; before++)
            seen = strcmp(stats->rows[before].task, row->task) == 0 &&
                   strcmp(stats->rows[before].suite, row->suite) == 0;
        s.suite = row->suite;
        s.task = row->task;
        if (!seen)
            pool_append(stats, &s, STAT_POOL_FAMILIES);
    }
    s.suite = s.task = NULL;
    for (size_t f = 0; f < stats->family_count; f++) {
        s.family = stats->families[f];
        pool_append(stats, &s, STAT_POOL_TASKS);
    }
}

void stat_overview_build(struct stats *stats, struct arena *arena)
{
    size_t selections = 0;
    for (size_t i = 0; i < stats->rule_count; i++)
        selections += stats->rules[i].against_count * STAT_METRIC_COUNT;
    stats->counts = arena_array(arena, selections * (1 + stats->family_count + stats->suite_count),
                                sizeof *stats->counts);
    stats->pooled = arena_array(arena, selections * (stats->row_count + stats->family_count),
                                sizeof *stats->pooled);
    for (size_t i = 0; i < stats->rule_count; i++) {
        for (size_t m = 0; m < STAT_METRIC_COUNT; m++) {
            if (stats_declared(stats, &stats->rules[i], (enum stat_metric)m) == 0)
                continue;
            for (size_t a = 0; a < stats->rules[i].against_count; a++) {
                struct selection s = {.rule = &stats->rules[i],
                                      .metric = (enum stat_metric)m,
                                      .against = stats->rules[i].against[a]};
                count_groups(stats, s);
                pool_groups(stats, s);
            }
        }
    }
}
