/* One declared pair: the same items answered by a baseline and by another variant. */
#ifndef TRIAD_COMPARE_H
#define TRIAD_COMPARE_H

#include "adjust.h"
#include "bootstrap.h"
#include "err.h"
#include "signflip.h"
#include "stat_arm.h"

/* Fewer sequences than this cannot carry a verdict: 7 give no two-sided p below 2/128. */
#define COMPARE_SEQUENCES_MIN 8
/* McNemar's exact test is shown up to here; with more, its answer is the clustered test's job. */
#define COMPARE_DISCORDANT_MAX 24

enum stat_test {
    STAT_TEST_PAIRED,     /* sign flips over sequences, corrected */
    STAT_TEST_PAPER_LIKE, /* unpaired z on the means' naive errors, uncorrected: our guess at what
                             the published counts used (docs/science.md section 6) */
};
const char *stat_test_name(enum stat_test test);

/* A comparison as the manifest declares it: one baseline against several variants, on every
 * (family, task) of the grid. Its hypotheses are corrected together, metric by metric. */
struct stat_rule {
    const char *baseline;
    const char *const *against;
    size_t against_count;
    enum stat_test test;
    double alpha; /* 0 < alpha < 1; intervals have coverage 1 - alpha */
    enum adjust_method correction;
};

enum stat_verdict {
    STAT_WORSE,
    STAT_BETTER,
    STAT_NO_DIFFERENCE, /* not significant; not evidence that there is none */
    STAT_UNDEFINED,
};
#define STAT_VERDICT_COUNT 4
const char *stat_verdict_name(enum stat_verdict verdict);

struct comparison {
    const struct stat_rule *rule;
    const struct stat_arm *baseline; /* NULL when the grid has no such cell */
    const struct stat_arm *against;
    const char *family, *suite, *task, *baseline_name, *against_name;
    enum stat_metric metric;

    struct estimate difference; /* against - baseline, in context, paired by item */
    struct interval bootstrap;
    struct signflip permutation;
    uint64_t gained, lost; /* accuracy: answers only `against` / only `baseline` got right */
    double mcnemar_p;      /* NaN unless accuracy with few discordant answers */
    double unpaired_z, unpaired_p;

    double p, p_adjusted; /* of the rule's test; p_adjusted NaN when undefined */
    enum stat_verdict verdict;
    char reason[STAT_REASON_SIZE]; /* why undefined, else "" */
    bool content_disagrees; /* loss and content-only loss of this pair have different verdicts */
};

/* Settings that are not part of a rule. */
struct stat_options {
    uint64_t seed;                /* of permutations and bootstraps */
    uint32_t bootstrap_resamples; /* 0: 2,000 */
    uint64_t permutations;        /* 0: signflip_resamples(declared pairs, alpha) */
};

/* Fill everything of `c` but p_adjusted and the verdict, from its rule, arms, names and metric.
 * What cannot be computed is NaN, with the reason; that is no error. `permutations` as resolved.
 * The random stream depends on seed, family, task, variants and metric alone, so adding a pair does
 * not change another's flips. ERR_LIMIT as signflip_test(). */
NODISCARD enum err_code compare_pair(struct comparison *c, uint64_t permutations,
                                     const struct stat_options *options, struct arena *scratch,
                                     struct err *err);

/* Decide the verdict of a pair whose p_adjusted is known. */
void compare_decide(struct comparison *c);

#endif
