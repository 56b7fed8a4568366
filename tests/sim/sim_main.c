/* Runs the simulator over many seeds, and prints how often each fault and state was reached.
 *
 *   sim --seeds 2000                    all must pass; a failing one prints how to replay it
 *   sim --seed 17 --verbose             replay one, a line per event
 *   sim --seeds 500 --plant NAME        self-check: a planted bug must be found within the seeds */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "sim.h"

#define FAILURES_SHOWN 10
/* Fewer seeds than this need not reach every counter. */
#define SEEDS_FOR_COVERAGE 2000

static const char *const plant_names[] = {
    "none",         "skip-epoch-check", "ack-before-commit", "drop-checkpoint",
    "ignore-pause", "ignore-labels",    "ignore-mismatch"};

struct options {
    uint64_t first, count;
    int plant;
    bool verbose;
};

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

/* A fault or state that no seed reached is not tested. */
static int count_unreached(const struct sim_counters *c)
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

static bool parse_plant(const char *name, int *plant_out)
{
    for (size_t i = 0; i < ARRAY_COUNT(plant_names); i++)
        if (strcmp(plant_names[i], name) == 0) {
            *plant_out = (int)i;
            return true;
        }
    return false;
}

static bool parse_count(const char *text, uint64_t *out)
{
    char *end = NULL;
    const unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0')
        return false;
    *out = value;
    return true;
}

static bool parse(int argc, char **argv, struct options *o)
{
    *o = (struct options){.first = 1, .count = 100};
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        if (strcmp(name, "--verbose") == 0) {
            o->verbose = true;
            continue;
        }
        const char *value = ++i < argc ? argv[i] : "";
        const bool one = strcmp(name, "--seed") == 0;
        if (one)
            o->count = 1;
        if (one || strcmp(name, "--first") == 0 ? !parse_count(value, &o->first)
            : strcmp(name, "--seeds") == 0      ? !parse_count(value, &o->count)
            : strcmp(name, "--plant") == 0      ? !parse_plant(value, &o->plant)
                                                : true)
            return false;
    }
    return true;
}

static void print_failure(const char *program, const struct options *o, uint64_t seed,
                          const struct sim_result *result)
{
    printf("seed %llu at %.3f s: %s\n  replay: %s --seed %llu%s%s --verbose\n",
           (unsigned long long)seed, (double)result->ended_ms / 1000, result->failure, program,
           (unsigned long long)seed, o->plant ? " --plant " : "",
           o->plant ? plant_names[o->plant] : "");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct options o;
    if (!parse(argc, argv, &o)) {
        fprintf(stderr,
                "usage: sim [--seeds N] [--first N | --seed N] [--plant NAME] [--verbose]\n"
                "NAME: none, skip-epoch-check, ack-before-commit, drop-checkpoint, ignore-pause,\n"
                "      ignore-labels, ignore-mismatch\n");
        return 2;
    }
    struct sim_counters sum = {0};
    uint64_t failures = 0, run = 0;
    int64_t calm_ms_max = 0;
    for (; run < o.count && failures < (o.plant ? 1 : FAILURES_SHOWN); run++) {
        const struct sim_result result =
            sim_run(o.first + run, (enum core_fault)o.plant, o.verbose);
        add_counters(&sum, &result.counters);
        if (result.ended_ms - SIM_FAULTS_END_MS > calm_ms_max)
            calm_ms_max = result.ended_ms - SIM_FAULTS_END_MS;
        if (!result.ok) {
            failures++;
            print_failure(argv[0], &o, o.first + run, &result);
        }
    }
    if (o.plant) {
        printf("the planted bug was %s after %llu seeds\n", failures ? "found" : "NOT found",
               (unsigned long long)run);
        return failures ? 0 : 1;
    }
    print_counters(&sum);
    printf("%llu seeds, %llu failures; at the latest all had ended %.0f s after the weather "
           "cleared (bound: %d s)\n",
           (unsigned long long)run, (unsigned long long)failures, (double)calm_ms_max / 1000,
           SIM_CALM_MS / 1000);
    if (o.count >= SEEDS_FOR_COVERAGE && count_unreached(&sum) > 0)
        return 1;
    return failures ? 1 : 0;
}
