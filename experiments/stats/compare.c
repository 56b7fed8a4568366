#include "compare.h"

#include <math.h>
#include <stdio.h>

#include "check.h"
#include "mcnemar.h"

const char *stat_test_name(enum stat_test test)
{
    static const char *const NAMES[] = {
        [STAT_TEST_PAIRED] = "paired-cluster",
        [STAT_TEST_PAPER_LIKE] = "paper-like",
    };
    return NAMES[test];
}

const char *stat_verdict_name(enum stat_verdict verdict)
{
    static const char *const NAMES[STAT_VERDICT_COUNT] = {
        [STAT_WORSE] = "worse",
        [STAT_BETTER] = "better",
        [STAT_NO_DIFFERENCE] = "no significant difference",
        [STAT_UNDEFINED] = "undefined",
    };
    return NAMES[verdict];
}

static void reset(struct comparison *c)
{
    c->difference = ESTIMATE_NONE;
    c->bootstrap = (struct interval){NAN, NAN};
    c->permutation = (struct signflip){.p = NAN};
    c->gained = c->lost = 0;
    c->mcnemar_p = c->unpaired_z = c->unpaired_p = NAN;
    c->p = c->p_adjusted = NAN;
    c->verdict = STAT_UNDEFINED;
    c->reason[0] = '\0';
    c->content_disagrees = false;
}

/* Is a side's model output absent or not a number? Such a pair has no figures at all. */
static bool side_problem(struct comparison *c, const struct stat_arm *arm, const char *variant)
{
    if (!arm)
        stat_reason(c->reason, "%s is missing: the grid has no such cell", variant);
    else if (!arm->complete)
        stat_reason(c->reason, "%s is missing: %s", variant, arm->reason);
    else if (arm->not_finite > 0)
        stat_reason(c->reason, "%u of %s's %s are not finite numbers", arm->not_finite, variant,
                    arm->kind == STAT_SCORES ? "losses" : "items");
    return c->reason[0] != '\0';
}

/* The paper's presumed test: z on the difference of the means, records taken as independent. */
static void test_unpaired(struct comparison *c)
{
    double se =
        hypot(c->baseline->se_independent[c->metric], c->against->se_independent[c->metric]);
    if (!(se > 0.0))
        return;
    c->unpaired_z = (c->against->summary[STAT_IN_CONTEXT][c->metric].mean -
                     c->baseline->summary[STAT_IN_CONTEXT][c->metric].mean) /
                    se;
    c->unpaired_p = estimate_normal_p(c->unpaired_z);
}

static void test_discordant(struct comparison *c)
{
    for (size_t s = 0; s < c->against->seed_count; s++) {
        const struct stat_record *ours = c->against->items[s].records;
        const struct stat_record *theirs = c->baseline->items[s].records;
        for (uint32_t i = 0; i < c->against->items[s].record_count; i++) {
            if (ours[i].position == 0)
                continue;
            c->gained += ours[i].hit && !theirs[i].hit;
            c->lost += theirs[i].hit && !ours[i].hit;
        }
    }
    if (c->gained + c->lost <= COMPARE_DISCORDANT_MAX)
        c->mcnemar_p = mcnemar_exact(c->gained, c->lost);
}

/* What forbids a verdict although the pair has figures. */
static void judge_evidence(struct comparison *c, const struct cluster *clusters, size_t count)
{
    bool all_zero = true;
    for (size_t g = 0; g < count && all_zero; g++)
        all_zero = !(fabs(clusters[g].sum) > 0.0);
    if (count == 0)
        stat_reason(c->reason, "no item has an example before it");
    else if (all_zero)
        stat_reason(c->reason, "all %zu paired differences are zero", count);
    else if (count < COMPARE_SEQUENCES_MIN)
        stat_reason(c->reason, "%zu sequences; a verdict needs at least %d", count,
                    COMPARE_SEQUENCES_MIN);
}

static struct rng pair_stream(const struct comparison *c, uint64_t seed)
{
    struct rng stream = rng_new(seed, "stats");
    const char *const path[] = {c->family,       c->suite,
                                c->task,         c->baseline_name,
                                c->against_name, stat_metric_info(c->metric)->name};
    for (size_t i = 0; i < ARRAY_COUNT(path); i++)
        stream = rng_child(&stream, path[i], 0);
    return stream;
}

static enum err_code test_paired(struct comparison *c, uint64_t permutations,
                                 const struct stat_options *options, struct arena *scratch,
                                 struct err *err)
{
    const double alpha = c->rule->alpha;
    const struct stat_range in_context = stat_scope_range(STAT_IN_CONTEXT, c->against->kind, 0);
    size_t count;
    struct cluster *clusters =
        stat_arm_clusters(c->against, c->baseline, c->metric, in_context, scratch, &count);
    c->difference = estimate_clustered(clusters, count, alpha);
    if (c->metric == STAT_ACCURACY)
        test_discordant(c);
    if (c->reason[0] == '\0')
        judge_evidence(c, clusters, count);

    const struct rng stream = pair_stream(c, options->seed);
    enum err_code code =
        signflip_test(clusters, count, permutations, &stream, &c->permutation, err);
    if (code == ERR_OK)
        code = bootstrap_interval(clusters, count, options->bootstrap_resamples, alpha, &stream,
                                  &c->bootstrap, err);
    return code;
}

enum err_code compare_pair(struct comparison *c, uint64_t permutations,
                           const struct stat_options *options, struct arena *scratch,
                           struct err *err)
{
    reset(c);
    if (side_problem(c, c->baseline, c->baseline_name) ||
        side_problem(c, c->against, c->against_name))
        return ERR_OK;
    test_unpaired(c);
    bool paired = !stat_arm_pair_problem(c->baseline, c->against, c->reason);
    if (paired && test_paired(c, permutations, options, scratch, err) != ERR_OK)
        return err_wrap(err, "compare %s with %s on '%s'", c->against_name, c->baseline_name,
                        c->task);
    switch (c->rule->test) {
    case STAT_TEST_PAIRED:
        c->p = c->permutation.p;
        break;
    case STAT_TEST_PAPER_LIKE: /* needs neither pairs nor many sequences */
        c->p = c->unpaired_p;
        c->reason[0] = '\0';
        if (isnan(c->p))
            stat_reason(c->reason, "the standard errors are zero or undefined");
        break;
    }
    return ERR_OK;
}

static double observed_change(const struct comparison *c)
{
    return c->against->summary[STAT_IN_CONTEXT][c->metric].mean -
           c->baseline->summary[STAT_IN_CONTEXT][c->metric].mean;
}

void compare_decide(struct comparison *c)
{
    if (c->reason[0] != '\0') {
        c->verdict = STAT_UNDEFINED;
    } else if (c->p_adjusted < c->rule->alpha) {
        bool lower = observed_change(c) < 0.0;
        c->verdict =
            lower == stat_metric_info(c->metric)->lower_is_better ? STAT_BETTER : STAT_WORSE;
    } else {
        c->verdict = STAT_NO_DIFFERENCE;
    }
}
