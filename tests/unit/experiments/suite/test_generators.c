/* Synthetic tasks against distributions that scipy computed (tests/oracle/generators_scipy.py):
 * chi-square over bins, with fixed seeds. A sampler that follows a neighbouring distribution must
 * be rejected by the same test, or it would show nothing. */
#include "cmocka_all.h"

#include <jansson.h>
#include <stdio.h>
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

/* The counts of a multinomial output, either {"0": 3, …} or ["3", …]: their sum, or the first. */
static double counts_of(const char *text, bool first_only)
{
    double sum = 0.0;
    bool mapping = text[0] == '{';
    for (const char *at = text; *at;) {
        at += strcspn(at, mapping ? ":" : "0123456789");
        at += strcspn(at, "0123456789");
        if (!*at)
            break;
        char *end;
        sum += strtod(at, &end);
        at = end;
        if (first_only)
            break;
    }
    return sum;
}

static int rank_of(const char *card)
{
    static const char *const ranks[] = {"2", "3",  "4", "5", "6", "7", "8",
                                        "9", "10", "J", "Q", "K", "A"};
    for (int i = 12; i >= 0; i--) {
        if (strncmp(card, ranks[i], strlen(ranks[i])) == 0)
            return i;
    }
    return -1;
}

static int count_of(const struct instance *instance, const char *output, int among)
{
    int found = 0;
    for (int i = 0; i < among; i++)
        found += strcmp(instance->examples[i].output, output) == 0;
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
    if (strcmp(name, "sum_of_counts") == 0 || strcmp(name, "first_count") == 0)
        return counts_of(e[0].output, name[0] == 'f');
    if (strcmp(name, "rank") == 0)
        return rank_of(e[0].output);
    if (strcmp(name, "yes_of_10") == 0)
        return count_of(instance, "yes", 10);
    assert_string_equal(name, "heads_of_10");
    return count_of(instance, "Heads", 10);
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
    assert_true(json_array_size(json_object_get(golden, "rows")) >= 20);
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

/* Where the description tells a judge's weights, they explain the choices (up to their rounding).
 */
static void judges_choose_by_their_weights(void **state)
{
    (void)state;
    struct err err = {0};
    int told = 0;
    suite_set_data(&suite, TRIAD_SOURCE_DIR "/tests/data/suite");
    struct task *task = suite_find(&suite, "helpsteer");
    if (suite_ready(&suite, task, &err) != ERR_OK)
        fail_msg("%s", err.text);
    for (uint32_t i = 0; i < 100; i++) {
        struct arena arena = {0};
        struct instance instance;
        struct instance_options options = {.root = rng_new(4, "judges"), .keep_description = 1.0};
        double w[5];
        task_instance(task, &options, i, &arena, &instance);
        assert_int_equal(instance.example_count, 30); /* all pairs there are, each once */
        const char *weights = strstr(instance.description, "helpfulness ");
        if (weights && sscanf(weights,
                              "helpfulness %lf, correctness %lf, coherence %lf, complexity %lf, "
                              "verbosity %lf",
                              &w[0], &w[1], &w[2], &w[3], &w[4]) == 5) {
            told++;
            for (uint32_t e = 0; e < instance.example_count; e++) {
                /* The small file rates answers r = 0, 1 of prompt n: (n + r) % 5, (2n + r) % 5, 4,
                 * r, 2r. */
                const char *part = strstr(instance.examples[e].input, "part ");
                assert_non_null(part);
                int n = (int)strtol(part + 5, NULL, 10);
                double gain = w[0] * (n % 5 - (n + 1) % 5) + w[1] * (2 * n % 5 - (2 * n + 1) % 5) -
                              w[3] - 2 * w[4];
                bool first = strcmp(instance.examples[e].output, "1") == 0;
                assert_true(gain > -0.1 || !first);
                assert_true(gain < 0.1 || first);
            }
        }
        arena_release(&arena);
    }
    assert_in_range(told, 10, 60);
}

/* Names of the asked period, sex and rank, none twice. */
static void names_are_those_described(void **state)
{
    (void)state;
    struct err err = {0};
    suite_set_data(&suite, TRIAD_SOURCE_DIR "/tests/data/suite");
    struct task *task = suite_find(&suite, "babynames");
    if (suite_ready(&suite, task, &err) != ERR_OK)
        fail_msg("%s", err.text);
    int girls_only = 0, tens = 0;
    for (uint32_t i = 0; i < 200; i++) {
        struct arena arena = {0};
        struct instance instance;
        struct instance_options options = {.root = rng_new(4, "names"), .keep_description = 1.0};
        task_instance(task, &options, i, &arena, &instance);
        bool both = strstr(instance.description, "girls and boys");
        bool girls = !both && strstr(instance.description, "girls");
        bool ten = strstr(instance.description, " 10 most");
        girls_only += girls;
        tens += ten;
        for (uint32_t e = 0; e < instance.example_count; e++) {
            /* The small files call them Fa … and Ma …, the first ones the most frequent. */
            const char *name = instance.examples[e].output;
            assert_true(both || name[0] == (girls ? 'F' : 'M'));
            assert_true(!ten || strtol(name + 2, NULL, 10) < 10);
            assert_int_equal(count_of(&instance, name, (int)instance.example_count), 1);
        }
        /* One description of three does not tell how many names there are to draw from. */
        bool told = strstr(instance.description, " most ");
        uint32_t all = both ? 60 : 30;
        assert_true(instance.example_count == (ten ? 10 : all) ||
                    (!told && instance.example_count == 10));
        arena_release(&arena);
    }
    assert_true(girls_only > 20 && tens > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generators_follow_their_priors),
        cmocka_unit_test(the_test_rejects_other_distributions),
        cmocka_unit_test(judges_choose_by_their_weights),
        cmocka_unit_test(names_are_those_described),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
