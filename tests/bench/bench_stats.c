/* How long the resampling of a full grid takes on one core: 228 pairs of 10,000 items, every item
 * a sequence of its own (the hardest case; ten items to a sequence are ten times faster).
 *
 *   bench_stats [pairs] [sequences] [permutations] */
#include <stdio.h>
#include <stdlib.h>

#include "bootstrap.h"
#include "clock.h"
#include "rng.h"
#include "signflip.h"

static double seconds_since(int64_t start_ns)
{
    return (double)(clock_mono_ns() - start_ns) * 1e-9;
}

static unsigned argument(int argc, char **argv, int index, unsigned fallback)
{
    return argc > index ? (unsigned)strtoul(argv[index], NULL, 10) : fallback;
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
    return 0;
}
