/* Synthetic tasks against distributions that scipy computed (tests/oracle/generators_scipy.py):
 * chi-square over bins, with fixed seeds. A sampler that follows a neighbouring distribution must
 * be rejected by the same test, or it would show nothing. */
#include "cmocka_all.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"

enum { SEQUENCES = 6000, BINS_MAX = 32 };

static struct suite suite;
static json_t *golden;

static int load(void **state)
{
    (void)state;
    struct reader reader = reader_disk();
    struct err err;
    golden = json_load_file(TRIAD_SOURCE_DIR "/tests/golden/suite/generators.json", 0, NULL);
    return golden && suite_load(&reader, TRIAD_SOURCE_DIR "/experiments", &suite, &err) == ERR_OK
               ? 0
               : -1;
}

static int unload(void **state)
{
    (void)state;
    json_decref(golden);
    suite_release(&suite);
    return 0;
}

static int distinct(const struct instance *instance, uint32_t count)
{
    int found = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t j = 0;
        while (strcmp(instance->examples[j].output, instance->examples[i].output) != 0)
            j++;
        found += j == i;
    }
    return found;
}

static double statistic(const char *name, const struct instance *instance)
{
    const struct example *e = instance->examples;
    if (strcmp(name, "first") == 0)
        return strtod(e[0].output, NULL);
    if (strcmp(name, "length") == 0)
        return instance->example_count;
    if (strcmp(name, "first_two_equal") == 0)
        return strcmp(e[0].output, e[1].output) == 0;
    if (strcmp(name, "distinct_of_20") == 0)
        return distinct(instance, 20);
    assert_string_equal(name, "heads_of_10");
    int heads = 0;
    for (int i = 0; i < 10; i++)
        heads += strcmp(e[i].output, "Heads") == 0;
    return heads;
}

/* The lengths that the statistics need, without disturbing the one that looks at lengths. */
static uint32_t mean_length(const char *name)
{
    return strcmp(name, "length") == 0 ? 32 : 60;
}

/* Chi-square of SEQUENCES draws of `task` against the bins of a row. */
static double chi_square(const json_t *row, const char *task_name)
{
    const json_t *edges = json_object_get(row, "edges");
    const json_t *expected = json_object_get(row, "probabilities");
    const char *name = json_string_value(json_object_get(row, "statistic"));
    const struct task *task = suite_find(&suite, task_name);
    size_t bins = json_array_size(expected);
    uint64_t counts[BINS_MAX] = {0};
    assert_non_null(task);
    assert_true(bins <= BINS_MAX);
    for (uint32_t i = 0; i < SEQUENCES; i++) {
        struct arena arena = {0};
        struct instance instance;
        struct instance_options options = {.root = rng_new(2026, name),
                                           .keep_description = 1.0,
                                           .examples_mean = mean_length(name)};
        size_t bin = 0;
        do {
            /* A sequence too short for the statistic says nothing: take its fellow. */
            task_instance(task, &options, i, &arena, &instance);
            options.root = rng_child(&options.root, "again", i);
        } while (instance.example_count < 20 && strcmp(name, "length") != 0);
        double value = statistic(name, &instance);
        while (bin + 1 < bins && value > json_real_value(json_array_get(edges, bin)))
            bin++;
        counts[bin]++;
        arena_release(&arena);
    }
    double sum = 0.0;
    for (size_t b = 0; b < bins; b++) {
        double wanted = SEQUENCES * json_real_value(json_array_get(expected, b));
        sum += ((double)counts[b] - wanted) * ((double)counts[b] - wanted) / wanted;
    }
    return sum;
}

static const json_t *row_named(const char *name)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(golden, "rows"), i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "name")), name) == 0)
            return row;
    }
    fail_msg("no row '%s'", name);
    return NULL;
}

static void generators_follow_their_priors(void **state)
{
    (void)state;
    size_t i;
    json_t *row;
    assert_true(json_array_size(json_object_get(golden, "rows")) >= 9);
    json_array_foreach(json_object_get(golden, "rows"), i, row)
    {
        double found = chi_square(row, json_string_value(json_object_get(row, "task")));
        double critical = json_real_value(json_object_get(row, "critical"));
        if (!(found < critical))
            fail_msg("%s: chi-square %.1f, critical %.1f",
                     json_string_value(json_object_get(row, "name")), found, critical);
    }
}

static void the_test_rejects_other_distributions(void **state)
{
    (void)state;
    const json_t *poisson = row_named("poisson"), *categorical = row_named("categorical");
    double critical = json_real_value(json_object_get(poisson, "critical"));
    assert_true(chi_square(poisson, "binomial_small") > 10 * critical);
    critical = json_real_value(json_object_get(categorical, "critical"));
    assert_true(chi_square(categorical, "flight_small") > 10 * critical);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generators_follow_their_priors),
        cmocka_unit_test(the_test_rejects_other_distributions),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
