#include "stat_coverage.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "generations.h"
#include "stats.h"
#include "text_diversity.h"

const char *coverage_metric_name(enum coverage_metric metric)
{
    static const char *const NAMES[COVERAGE_METRIC_COUNT] = {
        [COVERAGE_VALID] = "valid",
        [COVERAGE_DIVERSITY] = "diversity",
        [COVERAGE_YIELD] = "yield",
        [COVERAGE_USABLE] = "usable",
        [COVERAGE_UNIQUE] = "unique",
        [COVERAGE_COLLISION] = "collision",
        [COVERAGE_COLLISION_SE] = "collision_se",
        [COVERAGE_LISTED] = "list_coverage",
        [COVERAGE_ENDED] = "ended",
        [COVERAGE_WORDS] = "words",
        [COVERAGE_DISTINCT_1] = "distinct_1",
        [COVERAGE_DISTINCT_2] = "distinct_2",
        [COVERAGE_DISTINCT_3] = "distinct_3",
        [COVERAGE_DISTINCT_4] = "distinct_4",
        [COVERAGE_SELF_BLEU] = "self_bleu",
        [COVERAGE_TEXT_ENTROPY] = "text_entropy",
        [COVERAGE_TEXT_ENTROPY_MM] = "text_entropy_miller_madow",
        [COVERAGE_TEXT_ENTROPY_CS] = "text_entropy_chao_shen",
        [COVERAGE_WORD_ENTROPY] = "word_entropy",
        [COVERAGE_WORD_ENTROPY_MM] = "word_entropy_miller_madow",
        [COVERAGE_WORD_ENTROPY_CS] = "word_entropy_chao_shen",
        [COVERAGE_NATS] = "nats",
    };
    return NAMES[metric];
}

/* --- one prompt's texts --------------------------------------------------------------------- */

static void put_entropy(double *values, enum coverage_metric first, const struct entropy *e)
{
    values[first] = e->plug_in;
    values[first + 1] = e->miller_madow;
    values[first + 2] = e->chao_shen;
}

static void put_figures(double values[COVERAGE_METRIC_COUNT], const struct generation_counts *g,
                        const struct text_diversity *d)
{
    values[COVERAGE_VALID] = g->valid_share;
    values[COVERAGE_DIVERSITY] = g->diversity;
    values[COVERAGE_YIELD] = (double)g->unique_valid;
    values[COVERAGE_USABLE] = g->usable_share;
    values[COVERAGE_UNIQUE] = g->unique_share;
    values[COVERAGE_COLLISION] = g->collision;
    values[COVERAGE_COLLISION_SE] = g->collision_se;
    values[COVERAGE_LISTED] = g->list_coverage;
    values[COVERAGE_WORDS] = d->words_mean;
    for (int n = 0; n < TEXT_NGRAM_MAX; n++)
        values[COVERAGE_DISTINCT_1 + n] = d->distinct[n];
    values[COVERAGE_SELF_BLEU] = d->self_bleu;
    put_entropy(values, COVERAGE_TEXT_ENTROPY, &d->of_texts);
    put_entropy(values, COVERAGE_WORD_ENTROPY, &d->of_words);
}

/* The figures of one sequence of one seed. */
static void measure(const struct stat_items *items, uint32_t sequence,
                    double values[COVERAGE_METRIC_COUNT])
{
    struct arena scratch = {0};
    struct generation *samples = arena_array(&scratch, items->record_count + 1, sizeof *samples);
    const char **texts = arena_array(&scratch, items->record_count + 1, sizeof *texts);
    size_t count = 0;
    double nats = 0.0, ended = 0.0;
    for (uint32_t i = 0; i < items->record_count; i++) {
        const struct stat_record *r = &items->records[i];
        if (r->sequence != sequence)
            continue;
        samples[count] = (struct generation){r->text, r->valid};
        texts[count++] = r->text;
        nats += r->nats;
        ended += r->ended;
    }
    const struct generation_counts g =
        generations_count(samples, count, items->cell->allowed, &scratch);
    const struct text_diversity d = text_diversity_measure(texts, count, &scratch);
    put_figures(values, &g, &d);
    values[COVERAGE_NATS] = count ? nats / (double)count : (double)NAN;
    values[COVERAGE_ENDED] = count ? ended / (double)count : (double)NAN;
    arena_release(&scratch);
}

static void add_generation(struct stats *stats, const struct stat_arm *arm, uint32_t sequence)
{
    struct stat_generation *g = &stats->coverage.generations[stats->coverage.generation_count++];
    *g = (struct stat_generation){.family = arm->family,
                                  .suite = arm->suite,
                                  .task = arm->task,
                                  .variant = arm->variant,
                                  .arm = arm,
                                  .setting = &arm->cells[0]->settings[sequence]};
    for (size_t m = 0; m < COVERAGE_METRIC_COUNT; m++)
        g->values[m] = arm->complete ? 0.0 : (double)NAN;
    for (size_t s = 0; arm->complete && s < arm->seed_count; s++) {
        double values[COVERAGE_METRIC_COUNT];
        measure(&arm->items[s], sequence, values);
        for (size_t m = 0; m < COVERAGE_METRIC_COUNT; m++)
            g->values[m] += values[m] / (double)arm->seed_count;
    }
}

static void generations_build(struct stats *stats, struct arena *arena)
{
    size_t count = 0;
    for (size_t a = 0; a < stats->arm_count; a++)
        if (stats->arms[a].kind == STAT_SAMPLES)
            count += stats->arms[a].cells[0]->setting_count;
    stats->coverage.generations = arena_array(arena, count, sizeof *stats->coverage.generations);
    for (size_t a = 0; a < stats->arm_count; a++)
        for (uint32_t s = 0;
             stats->arms[a].kind == STAT_SAMPLES && s < stats->arms[a].cells[0]->setting_count; s++)
            add_generation(stats, &stats->arms[a], s);
}

/* --- over tasks ------------------------------------------------------------------------------ */

static bool belongs(const struct stat_generation *g, const struct stat_generation_mean *mean)
{
    return strcmp(g->family, mean->family) == 0 && strcmp(g->suite, mean->suite) == 0 &&
           strcmp(g->variant, mean->variant) == 0 && stat_setting_equal(g->setting, mean->setting);
}

static void mean_finish(struct stat_generation_mean *mean, const struct stat_coverage *c)
{
    for (size_t m = 0; m < COVERAGE_METRIC_COUNT; m++) {
        double sum = 0.0, squares = 0.0;
        const double n = (double)mean->tasks;
        for (size_t i = 0; i < c->generation_count; i++)
            if (belongs(&c->generations[i], mean))
                sum += c->generations[i].values[m];
        mean->mean[m] = sum / n; /* NaN as soon as one is */
        for (size_t i = 0; i < c->generation_count; i++) {
            const double deviation = c->generations[i].values[m] - mean->mean[m];
            if (belongs(&c->generations[i], mean))
                squares += deviation * deviation;
        }
        mean->sem[m] = sqrt(squares / n) / sqrt(n);
    }
}

static struct stat_generation_mean *find_mean(struct stat_coverage *c,
                                              const struct stat_generation *g)
{
    for (size_t i = 0; i < c->mean_count; i++)
        if (belongs(g, &c->means[i]))
            return &c->means[i];
    struct stat_generation_mean *mean = &c->means[c->mean_count++];
    *mean = (struct stat_generation_mean){
        .family = g->family, .suite = g->suite, .variant = g->variant, .setting = g->setting};
    return mean;
}

static void means_build(struct stat_coverage *c, struct arena *arena)
{
    c->means = arena_array(arena, c->generation_count, sizeof *c->means);
    for (size_t i = 0; i < c->generation_count; i++) {
        const struct stat_generation *g = &c->generations[i];
        struct stat_generation_mean *mean = find_mean(c, g);
        mean->tasks++;
        if (!g->arm->complete && mean->reason[0] == '\0')
            stat_reason(mean->reason, "%s is missing: %s", g->task, g->arm->reason);
    }
    for (size_t i = 0; i < c->mean_count; i++)
        mean_finish(&c->means[i], c);
}

/* Do two means lie on one plane of validity and diversity? */
static bool same_plane(const struct stat_generation_mean *a, const struct stat_generation_mean *b)
{
    return strcmp(a->family, b->family) == 0 && strcmp(a->suite, b->suite) == 0 &&
           strcmp(a->setting->component, b->setting->component) == 0;
}

static void fronts_build(struct stat_coverage *c)
{
    struct arena scratch = {0};
    struct pareto_point *points = arena_array(&scratch, c->mean_count + 1, sizeof *points);
    for (size_t i = 0; i < c->mean_count; i++) {
        size_t count = 0, own = 0;
        for (size_t j = 0; j < c->mean_count; j++) {
            if (!same_plane(&c->means[i], &c->means[j]))
                continue;
            own = j == i ? count : own;
            points[count++] = (struct pareto_point){c->means[j].mean[COVERAGE_VALID],
                                                    c->means[j].mean[COVERAGE_DIVERSITY], false};
        }
        pareto_front(points, count);
        c->means[i].on_front = points[own].on_front;
    }
    arena_release(&scratch);
}

/* --- pairs ------------------------------------------------------------------------------------ */

static const struct stat_generation *find_generation(const struct stat_coverage *c,
                                                     const struct stat_generation *like,
                                                     const char *variant)
{
    for (size_t i = 0; i < c->generation_count; i++) {
        const struct stat_generation *g = &c->generations[i];
        if (strcmp(g->variant, variant) == 0 && strcmp(g->task, like->task) == 0 &&
            strcmp(g->family, like->family) == 0 && strcmp(g->suite, like->suite) == 0 &&
            stat_setting_equal(g->setting, like->setting))
            return g;
    }
    return NULL;
}

/* The differences of a pair, one cluster per task; a task that is missing on a side is the reason
 * why there is no verdict. */
static size_t pair_clusters(struct stat_generation_pair *pair, const struct stat_coverage *c,
                            const struct stat_generation_mean *of, struct cluster *clusters)
{
    size_t count = 0;
    for (size_t i = 0; i < c->generation_count; i++) {
        const struct stat_generation *base = &c->generations[i];
        if (!belongs(base, of))
            continue;
        const struct stat_generation *other = find_generation(c, base, pair->against);
        const double difference =
            other ? other->values[pair->metric] - base->values[pair->metric] : (double)NAN;
        if (isnan(difference) && pair->reason[0] == '\0')
            stat_reason(pair->reason, "%s is missing on a side", base->task);
        clusters[count++] = (struct cluster){difference, 1};
    }
    return count;
}

static void judge(struct stat_generation_pair *pair, const struct cluster *clusters, size_t count)
{
    bool all_zero = true;
    for (size_t i = 0; i < count && all_zero; i++)
        all_zero = !(fabs(clusters[i].sum) > 0.0);
    if (pair->reason[0] != '\0')
        return;
    if (all_zero)
        stat_reason(pair->reason, "all %zu differences are zero", count);
    else if (count < COMPARE_SEQUENCES_MIN)
        stat_reason(pair->reason, "%zu tasks; a verdict needs at least %d", count,
                    COMPARE_SEQUENCES_MIN);
}

static enum err_code measure_pair(struct stat_generation_pair *pair, struct stats *stats,
                                  const struct stat_generation_mean *of, uint64_t permutations,
                                  struct err *err)
{
    struct arena scratch = {0};
    struct cluster *clusters =
        arena_array(&scratch, stats->coverage.generation_count, sizeof *clusters);
    const size_t count = pair_clusters(pair, &stats->coverage, of, clusters);
    pair->difference = ESTIMATE_NONE;
    pair->permutation = (struct signflip){.p = NAN};
    enum err_code code = ERR_OK;
    if (pair->reason[0] == '\0') {
        const char *const path[] = {
            pair->family,         pair->suite,   pair->setting->component,
            pair->rule->baseline, pair->against, coverage_metric_name(pair->metric)};
        struct rng stream = rng_new(stats->options.seed, "coverage");
        for (size_t i = 0; i < ARRAY_COUNT(path); i++)
            stream = rng_child(&stream, path[i], 0);
        pair->difference = estimate_clustered(clusters, count, pair->rule->alpha);
        code = signflip_test(clusters, count, permutations, &stream, &pair->permutation, err);
    }
    judge(pair, clusters, count);
    arena_release(&scratch);
    return code;
}

static void decide(struct stat_generation_pair *pairs, size_t count)
{
    struct arena scratch = {0};
    double *p = arena_array(&scratch, count + 1, sizeof *p);
    double *adjusted = arena_array(&scratch, count + 1, sizeof *adjusted);
    for (size_t i = 0; i < count; i++)
        p[i] = pairs[i].reason[0] == '\0' ? pairs[i].permutation.p : (double)NAN;
    if (count > 0)
        adjust_p(pairs[0].rule->correction, p, adjusted, count, &scratch);
    for (size_t i = 0; i < count; i++) {
        struct stat_generation_pair *pair = &pairs[i];
        pair->p_adjusted = adjusted[i];
        if (pair->reason[0] != '\0')
            pair->verdict = STAT_UNDEFINED;
        else if (adjusted[i] < pair->rule->alpha) /* more is better in all that is compared */
            pair->verdict = pair->difference.mean > 0.0 ? STAT_BETTER : STAT_WORSE;
        else
            pair->verdict = STAT_NO_DIFFERENCE;
    }
    arena_release(&scratch);
}

/* The means that a rule's baseline has: each is compared with every other variant drawn alike. */
static size_t baseline_means(const struct stat_coverage *c, const struct stat_rule *rule,
                             const struct stat_generation_mean **out)
{
    size_t count = 0;
    for (size_t i = 0; i < c->mean_count; i++)
        if (strcmp(c->means[i].variant, rule->baseline) == 0)
            out[count++] = &c->means[i];
    return count;
}

static enum err_code pairs_of_rule(struct stats *stats, const struct stat_rule *rule,
                                   const struct stat_generation_mean **means, size_t mean_count,
                                   struct err *err)
{
    struct stat_coverage *c = &stats->coverage;
    const uint64_t permutations =
        stats->options.permutations
            ? stats->options.permutations
            : signflip_resamples(mean_count * rule->against_count, rule->alpha);
    for (int metric = 0; metric < COVERAGE_COMPARED; metric++) {
        const size_t first = c->pair_count;
        for (size_t i = 0; i < mean_count * rule->against_count; i++) {
            const struct stat_generation_mean *of = means[i / rule->against_count];
            struct stat_generation_pair *pair = &c->pairs[c->pair_count++];
            *pair = (struct stat_generation_pair){.rule = rule,
                                                  .family = of->family,
                                                  .suite = of->suite,
                                                  .against = rule->against[i % rule->against_count],
                                                  .setting = of->setting,
                                                  .metric = (enum coverage_metric)metric};
            enum err_code code = measure_pair(pair, stats, of, permutations, err);
            if (code != ERR_OK)
                return code;
        }
        decide(&c->pairs[first], c->pair_count - first);
    }
    return ERR_OK;
}

enum err_code stat_coverage_build(struct stats *stats, struct arena *arena, struct err *err)
{
    struct stat_coverage *c = &stats->coverage;
    generations_build(stats, arena);
    means_build(c, arena);
    fronts_build(c);
    const struct stat_generation_mean **means =
        arena_array(arena, c->mean_count + 1, sizeof(struct stat_generation_mean *));
    size_t pairs = 0;
    for (size_t i = 0; i < stats->rule_count; i++)
        pairs += baseline_means(c, &stats->rules[i], means) * stats->rules[i].against_count;
    c->pairs = arena_array(arena, pairs * COVERAGE_COMPARED, sizeof *c->pairs);
    for (size_t i = 0; i < stats->rule_count; i++) {
        const size_t count = baseline_means(c, &stats->rules[i], means);
        enum err_code code = pairs_of_rule(stats, &stats->rules[i], means, count, err);
        if (code != ERR_OK)
            return code;
    }
    return ERR_OK;
}
