/* Drawn frequencies against the distribution asked for (chi-square), and what top-k, top-p and
 * greedy leave out. */
#include "sample_draw.h"

#include <math.h>
#include <stdbool.h>
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
        cmocka_unit_test(options_outside_their_range_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
