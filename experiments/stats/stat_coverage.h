/* Diversity and validity of sampled texts: per task and way of drawing, over tasks, and as fronts.
 */
#ifndef TRIAD_STAT_COVERAGE_H
#define TRIAD_STAT_COVERAGE_H

#include "arena.h"
#include "compare.h"
#include "err.h"
#include "stat_arm.h"

struct stats;

/* Figures of the texts drawn from one prompt (generations.h, text_diversity.h). Those that variants
 * are compared on come first. */
enum coverage_metric {
    COVERAGE_VALID,     /* share of valid texts */
    COVERAGE_DIVERSITY, /* different valid texts / valid texts */
    COVERAGE_YIELD,     /* different valid texts */
    COVERAGE_USABLE,    /* different valid texts / texts */
    COVERAGE_UNIQUE,    /* different texts, valid or not / texts */
    COVERAGE_COLLISION, /* share of equal pairs among the valid ones */
    COVERAGE_COLLISION_SE,
    COVERAGE_LISTED, /* different valid texts / all that are allowed; NaN without a list */
    COVERAGE_ENDED,  /* share of texts that ended by themselves */
    COVERAGE_WORDS,  /* words per text */
    COVERAGE_DISTINCT_1,
    COVERAGE_DISTINCT_2,
    COVERAGE_DISTINCT_3,
    COVERAGE_DISTINCT_4,
    COVERAGE_SELF_BLEU,
    COVERAGE_TEXT_ENTROPY, /* of whole texts, plug-in, Miller-Madow, Chao-Shen */
    COVERAGE_TEXT_ENTROPY_MM,
    COVERAGE_TEXT_ENTROPY_CS,
    COVERAGE_WORD_ENTROPY,
    COVERAGE_WORD_ENTROPY_MM,
    COVERAGE_WORD_ENTROPY_CS,
    COVERAGE_NATS, /* mean -ln p of a text under the model itself: an entropy estimate at
                      temperature 1 with nothing cut */
    COVERAGE_METRIC_COUNT
};
#define COVERAGE_COMPARED 3

/* The name in CSV and JSON. */
const char *coverage_metric_name(enum coverage_metric metric);

/* One variant's texts for one task, drawn in one way. */
struct stat_generation {
    const char *family, *suite, *task, *variant;
    const struct stat_arm *arm;
    const struct stat_setting *setting;
    double values[COVERAGE_METRIC_COUNT]; /* averaged over seeds; NaN when the arm is incomplete */
};

/* Means over the tasks of a suite, every task alike; as published the standard deviation has
 * divisor n. Never over an incomplete set: then `reason` says what is missing. */
struct stat_generation_mean {
    const char *family, *suite, *variant;
    const struct stat_setting *setting;
    size_t tasks;
    double mean[COVERAGE_METRIC_COUNT], sem[COVERAGE_METRIC_COUNT];
    bool on_front; /* no other mean of this family, suite and component is as valid and as diverse,
                      and better in one */
    char reason[STAT_REASON_SIZE];
};

/* A variant against a baseline drawn in the same way, paired by task. */
struct stat_generation_pair {
    const struct stat_rule *rule;
    const char *family, *suite, *against;
    const struct stat_setting *setting;
    enum coverage_metric metric;
    struct estimate difference; /* over tasks */
    struct signflip permutation;
    double p_adjusted;
    enum stat_verdict verdict;
    char reason[STAT_REASON_SIZE];
};

struct stat_coverage {
    struct stat_generation *generations;
    size_t generation_count;
    struct stat_generation_mean *means;
    size_t mean_count;
    struct stat_generation_pair *pairs; /* rule by rule, metric by metric */
    size_t pair_count;
};

/* Fill stats->coverage from the arms of samples. Errors as stats_analyse(). */
NODISCARD enum err_code stat_coverage_build(struct stats *stats, struct arena *arena,
                                            struct err *err);

#endif
