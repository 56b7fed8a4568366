/* How long the statistics of a full grid take on one core: the resampling of 228 pairs of 10,000
 * items, every item a sequence of its own (the hardest case), then the whole analysis of 228 pairs
 * with ten items to a sequence, corrected over all of them.
 *
 *   bench_stats [pairs] [sequences] [permutations] */
#include <stdio.h>
#include <stdlib.h>

#include "bootstrap.h"
#include "clock.h"
#include "rng.h"
#include "signflip.h"
#include "stats.h"

static double seconds_since(int64_t start_ns)
{
    return (double)(clock_mono_ns() - start_ns) * 1e-9;
}

static unsigned argument(int argc, char **argv, int index, unsigned fallback)
{
    return argc > index ? (unsigned)strtoul(argv[index], NULL, 10) : fallback;
}

#define POSITIONS 11 /* 0 ... k = 10: ten of them count */

/* Summaries, tests of three metrics, corrections, counts and pooling of `pairs` rows. */
static int bench_analysis(unsigned pairs, unsigned sequences)
{
    const unsigned records = sequences * POSITIONS;
    struct stat_record *sides[2] = {calloc(records, sizeof *sides[0]),
                                    calloc(records, sizeof *sides[1])};
    struct stat_cell *cells = calloc(2 * (size_t)pairs, sizeof *cells);
    struct arena arena;
    arena_init(&arena, 0);
    if (!sides[0] || !sides[1] || !cells)
        return 1;
    struct rng rng = rng_new(2, "bench");
    for (unsigned side = 0; side < 2; side++)
        for (unsigned i = 0; i < records; i++)
            sides[side][i] = (struct stat_record){.sequence = i / POSITIONS,
                                                  .position = i % POSITIONS,
                                                  .content_nats = rng_uniform(&rng),
                                                  .hit = rng_uniform(&rng) < 0.5};
    for (unsigned i = 0; i < 2 * pairs; i++)
        cells[i] = (struct stat_cell){.family = "family",
                                      .variant = i % 2 ? "IT" : "PT",
                                      .format = "colon",
                                      .suite = "suite",
                                      .task = arena_printf(&arena, "task %u", i / 2),
                                      .last_position = POSITIONS - 1,
                                      .pairing = "same",
                                      .records_expected = records,
                                      .records = sides[i % 2],
                                      .record_count = records};
    const char *const against[] = {"IT"};
    const struct stat_rule rule = {"PT", against, 1, STAT_TEST_PAIRED, 0.05, ADJUST_HOLM};
    const struct stat_options options = {.seed = 1};
    struct stats *stats;
    int64_t start_ns = clock_mono_ns();
    enum err_code code =
        stats_analyse(cells, 2 * (size_t)pairs, &rule, 1, &options, &arena, &stats, NULL);
    if (code == ERR_OK)
        printf(
            "whole analysis: %u pairs x 3 metrics x %u sequences of %d items, %llu resamples, in "
            "%.2f s\n",
            pairs, sequences, POSITIONS - 1,
            (unsigned long long)stats->comparisons[0].permutation.resamples,
            seconds_since(start_ns));
    arena_release(&arena);
    free(cells);
    free(sides[0]);
    free(sides[1]);
    return code == ERR_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
    const unsigned pairs = argument(argc, argv, 1, 228);
    const unsigned sequences = argument(argc, argv, 2, 10000);
    const unsigned permutations = argument(argc, argv, 3, 10000);
    const unsigned bootstraps = 2000;
    struct cluster *clusters = calloc(sequences, sizeof *clusters);
    if (!clusters)
        return 1;
    struct rng rng = rng_new(1, "bench");
    for (unsigned g = 0; g < sequences; g++)
        clusters[g] = (struct cluster){rng_normal(&rng), 1};

    double p_sum = 0.0;
    int64_t start_ns = clock_mono_ns();
    for (unsigned pair = 0; pair < pairs; pair++) {
        struct signflip result;
        struct rng stream = rng_child(&rng, "pair", pair);
        if (signflip_test(clusters, sequences, permutations, &stream, &result, NULL) != ERR_OK)
            return 1;
        p_sum += result.p;
    }
    double flip_s = seconds_since(start_ns);
    double flips = (double)pairs * sequences * permutations;
    printf("sign flips: %u pairs x %u sequences x %u resamples in %.2f s, %.2f flips/ns "
           "(mean p %.3f)\n",
           pairs, sequences, permutations, flip_s, flips / flip_s * 1e-9, p_sum / pairs);

    start_ns = clock_mono_ns();
    struct interval interval = {0, 0};
    for (unsigned pair = 0; pair < pairs; pair++) {
        struct rng stream = rng_child(&rng, "pair", pair);
        if (bootstrap_interval(clusters, sequences, bootstraps, 0.05, &stream, &interval, NULL) !=
            ERR_OK)
            return 1;
    }
    double bootstrap_s = seconds_since(start_ns);
    printf("bootstrap: %u pairs x %u sequences x %u resamples in %.2f s, %.2f draws/ns "
           "([%.4f, %.4f])\n",
           pairs, sequences, bootstraps, bootstrap_s,
           (double)pairs * sequences * bootstraps / bootstrap_s * 1e-9, interval.lo, interval.hi);
    printf("sign flips / bootstrap per draw: %.3f\n",
           flip_s / flips / (bootstrap_s / ((double)pairs * sequences * bootstraps)));
    free(clusters);
    return bench_analysis(pairs, sequences / 10);
}
