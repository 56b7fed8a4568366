/* Runs the simulator over many seeds, and prints how often each fault and state was reached.
 *
 *   sim --seeds 2000               all seeds must pass; a failing one prints the command that
 * replays it sim --seed 17 --verbose        replay one, a line per event of interest sim --seeds
 * 500 --plant NAME   self-check: a planted bug (skip-epoch-check, ack-before-commit,
 *                                  drop-checkpoint) must be found within the seeds */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "sim.h"

static const char *const plant_names[] = {"none", "skip-epoch-check", "ack-before-commit",
                                          "drop-checkpoint"};

static void print_counters(const struct sim_counters *c)
{
#define X(name) printf("  %-34s %12llu\n", #name, (unsigned long long)c->name);
    SIM_COUNTERS(X)
#undef X
}

static void add_counters(struct sim_counters *sum, const struct sim_counters *c)
{
#define X(name) sum->name += c->name;
    SIM_COUNTERS(X)
#undef X
}

/* A fault or state that no seed reached is not tested: that fails the run. */
static int unreached(const struct sim_counters *c)
{
    int count = 0;
#define X(name)                                                                                    \
    if (c->name == 0) {                                                                            \
        printf("never reached: %s\n", #name);                                                      \
        count++;                                                                                   \
    }
    SIM_COUNTERS(X)
#undef X
    return count;
}

static int usage(void)
{
    fputs("usage: sim [--seeds N] [--first N] [--seed N] [--plant NAME] [--verbose]\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    uint64_t first = 1;
    uint64_t count = 100;
    int plant = 0;
    bool verbose = false;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--verbose") == 0) {
            verbose = true;
            continue;
        }
        i++;
        if (strcmp(argv[i - 1], "--seeds") == 0) {
            count = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i - 1], "--first") == 0) {
            first = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i - 1], "--seed") == 0) {
            first = strtoull(value, NULL, 10);
            count = 1;
        } else if (strcmp(argv[i - 1], "--plant") == 0) {
            for (plant = 0; plant < (int)ARRAY_COUNT(plant_names); plant++)
                if (strcmp(plant_names[plant], value) == 0)
                    break;
            if (plant == (int)ARRAY_COUNT(plant_names))
                return usage();
        } else {
            return usage();
        }
    }
    struct sim_counters sum = {0};
    uint64_t failures = 0;
    for (uint64_t seed = first; seed < first + count; seed++) {
        struct sim_result result = sim_run(seed, (enum core_fault)plant, verbose);
        add_counters(&sum, &result.counters);
        if (result.ok)
            continue;
        failures++;
        printf("seed %llu at %.3f s: %s\n  replay: %s --seed %llu%s%s --verbose\n",
               (unsigned long long)seed, (double)result.ended_ms / 1000, result.failure, argv[0],
               (unsigned long long)seed, plant ? " --plant " : "", plant ? plant_names[plant] : "");
        if (plant)
            break;
        if (failures >= 10)
            break;
    }
    print_counters(&sum);
    if (plant) {
        printf(failures ? "the planted bug was found\n" : "the planted bug was NOT found\n");
        return failures ? 0 : 1;
    }
    printf("%llu seeds, %llu failures\n", (unsigned long long)count, (unsigned long long)failures);
    if (count >= 1000 && unreached(&sum) > 0)
        return 1;
    return failures ? 1 : 0;
}
