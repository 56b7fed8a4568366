/* Drawn frequencies against the distribution asked for (chi-square), and what top-k, top-p and
 * greedy leave out. */
#include "sample_draw.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"

enum { VOCABULARY = 8, DRAWS = 40000 };

static const float logits[VOCABULARY] = {0.3f, -1.0f, 2.0f, 0.3f, -3.0f, 1.0f, 1.5f, -0.5f};

static void count_draws(const struct sample_options *options, int counts[VOCABULARY])
{
    struct rng rng = rng_new(options->seed, "test");
    struct sample_weight work[VOCABULARY];
    for (int i = 0; i < VOCABULARY; i++)
        counts[i] = 0;
    for (int i = 0; i < DRAWS; i++)
        counts[sample_draw(logits, VOCABULARY, options, &rng, work)]++;
}

/* Pearson's statistic against softmax(logits / temperature) over the ids in `kept`. */
static double chi_square(const int counts[VOCABULARY], double temperature,
                         const bool kept[VOCABULARY])
{
    double total = 0, statistic = 0;
    for (int i = 0; i < VOCABULARY; i++)
        total += kept[i] ? exp((double)logits[i] / temperature) : 0;
    for (int i = 0; i < VOCABULARY; i++) {
        if (!kept[i]) {
            assert_int_equal(counts[i], 0);
            continue;
        }
        double expected = DRAWS * exp((double)logits[i] / temperature) / total;
        statistic += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    return statistic;
}

static const bool all[VOCABULARY] = {true, true, true, true, true, true, true, true};
/* 99.9 % points of chi-square with 7, 3 and 1 degrees of freedom. */
static const double limit_7 = 24.32, limit_3 = 16.27, limit_1 = 10.83;

static void frequencies_follow_the_softmax(void **state)
{
    (void)state;
    int counts[VOCABULARY];
    struct sample_options options = {.temperature = 1.7, .top_p = 1, .seed = 5};
    count_draws(&options, counts);
    assert_true(chi_square(counts, 1.7, all) < limit_7);
    /* The same draws do not follow another temperature: the statistic can tell. */
    assert_true(chi_square(counts, 1.5, all) > limit_7);
}

static void top_k_keeps_the_most_probable_and_the_lower_id_of_a_tie(void **state)
{
    (void)state;
    static const bool four[VOCABULARY] = {[0] = true, [2] = true, [5] = true, [6] = true};
    int counts[VOCABULARY];
    struct sample_options options = {.temperature = 1, .top_k = 4, .top_p = 1, .seed = 6};
    count_draws(&options, counts);
    assert_true(chi_square(counts, 1, four) < limit_3);
}

static void top_p_keeps_the_fewest_that_reach_the_mass(void **state)
{
    (void)state;
    /* Probabilities in falling order: 0.423, 0.257, 0.156, …: two reach 0.6, one does not. */
    static const bool two[VOCABULARY] = {[2] = true, [6] = true};
    int counts[VOCABULARY];
    struct sample_options options = {.temperature = 1, .top_p = 0.6, .seed = 7};
    count_draws(&options, counts);
    assert_true(chi_square(counts, 1, two) < limit_1);
    options.top_p = 0.4;
    count_draws(&options, counts);
    assert_int_equal(counts[2], DRAWS);
}

static void greedy_takes_the_lowest_id_of_the_highest(void **state)
{
    (void)state;
    const float tied[4] = {0, 3, 3, -1};
    struct sample_options options = {.temperature = 0, .top_p = 1};
    struct rng rng = rng_new(1, "test");
    assert_int_equal(sample_draw(tied, 4, &options, &rng, NULL), 1);
}

static void equal_seeds_give_equal_draws(void **state)
{
    (void)state;
    struct sample_options options = {.temperature = 1, .top_p = 0.9};
    struct sample_weight work[VOCABULARY];
    struct rng a = rng_new(3, "test"), b = rng_new(3, "test"), other = rng_new(4, "test");
    int differing = 0;
    for (int i = 0; i < 200; i++) {
        int32_t id = sample_draw(logits, VOCABULARY, &options, &a, work);
        assert_int_equal(sample_draw(logits, VOCABULARY, &options, &b, work), id);
        differing += sample_draw(logits, VOCABULARY, &options, &other, work) != id;
    }
    assert_true(differing > 0);
}

/* ---- selection against sorting ---- */

static int heavier(const void *a, const void *b)
{
    const struct sample_weight *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight > y->weight ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* The definition: sort everything, cut, draw. */
static int32_t draw_sorted(const float *values, int count, const struct sample_options *options,
                           struct rng *rng, struct sample_weight *work)
{
    float highest = values[0];
    double total = 0, mass = 0;
    int kept = options->top_k > 0 && options->top_k < count ? options->top_k : count;
    for (int i = 1; i < count; i++)
        highest = values[i] > highest ? values[i] : highest;
    for (int i = 0; i < count; i++) {
        const double distance = (double)values[i] - (double)highest;
        work[i] = (struct sample_weight){exp(distance / options->temperature), i};
    }
    qsort(work, (size_t)count, sizeof *work, heavier);
    for (int i = 0; i < kept; i++)
        total += work[i].weight;
    for (int i = 0; i < kept && options->top_p < 1; i++) {
        mass += work[i].weight;
        if (mass >= options->top_p * total)
            kept = i + 1;
    }
    total = 0;
    for (int i = 0; i < kept; i++)
        total += work[i].weight;
    double point = rng_uniform(rng) * total;
    for (int i = 0; i < kept; i++) {
        point -= work[i].weight;
        if (point < 0)
            return work[i].id;
    }
    return work[0].id;
}

static void a_draw_is_that_of_sorting_all(void **state)
{
    enum { MOST = 3000 };
    static float values[MOST];
    static struct sample_weight work[2][MOST];
    static const struct sample_options options[] = {
        {.temperature = 1, .top_p = 0.9},
        {.temperature = 0.7, .top_p = 0.5},
        {.temperature = 1, .top_k = 40, .top_p = 1},
        {.temperature = 1.3, .top_k = 50, .top_p = 0.95},
        {.temperature = 1, .top_k = 2999, .top_p = 0.999999},
        {.temperature = 3, .top_p = 0.125},
        {.temperature = 1, .top_k = 1, .top_p = 0.01}};
    struct rng rng = rng_new(9, "values"), a = rng_new(3, "test"), b = rng_new(3, "test");
    (void)state;
    for (int round = 0; round < 400; round++) {
        const int count = 1 + (int)(rng_uniform(&rng) * (round % 2 ? MOST : 20));
        const double spread = (round % 5) * 2.0; /* 0: all equal, so that every sum is exact */
        for (int i = 0; i < count; i++) {
            const double value = spread * rng_normal(&rng);
            values[i] = (float)(round % 3 ? value : floor(value)); /* and many ties */
        }
        for (size_t o = 0; o < sizeof options / sizeof *options; o++)
            assert_int_equal(sample_draw(values, count, &options[o], &a, work[0]),
                             draw_sorted(values, count, &options[o], &b, work[1]));
    }
}

/* As before: what cannot be drawn from gives the most probable. */
static void logits_that_are_not_finite_give_the_highest(void **state)
{
    (void)state;
    float odd[64] = {[3] = 2, [40] = NAN};
    struct sample_weight work[64];
    struct sample_options options = {.temperature = 1, .top_k = 64, .top_p = 0.9};
    struct rng rng = rng_new(1, "test");
    assert_int_equal(sample_draw(odd, 64, &options, &rng, work), 3);
    options.top_k = 0;
    assert_int_equal(sample_draw(odd, 64, &options, &rng, work), 3);
}

static void options_outside_their_range_are_named(void **state)
{
    (void)state;
    struct err err;
    struct sample_options options = {.temperature = -1, .top_p = 1};
    assert_int_equal(sample_options_check(&options, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "temperature"));
    options = (struct sample_options){.top_p = 0};
    assert_int_equal(sample_options_check(&options, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "top-p"));
    options = (struct sample_options){.top_p = 1};
    assert_int_equal(sample_options_check(&options, &err), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frequencies_follow_the_softmax),
        cmocka_unit_test(top_k_keeps_the_most_probable_and_the_lower_id_of_a_tie),
        cmocka_unit_test(top_p_keeps_the_fewest_that_reach_the_mass),
        cmocka_unit_test(greedy_takes_the_lowest_id_of_the_highest),
        cmocka_unit_test(equal_seeds_give_equal_draws),
        cmocka_unit_test(a_draw_is_that_of_sorting_all),
        cmocka_unit_test(logits_that_are_not_finite_give_the_highest),
        cmocka_unit_test(options_outside_their_range_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
