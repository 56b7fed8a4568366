/* Sign flips against full enumeration by scipy, the size of the test under the null hypothesis, the
 * bootstrap against numpy; both against themselves, bit by bit. */
#include "cmocka_all.h"

#include <math.h>

#include "assert_near.h"
#include "bootstrap.h"
#include "check.h"
#include "rng.h"
#include "signflip.h"

#include "oracle_cases.inc"

static void make_clusters(const double *sums, size_t count, struct cluster *clusters)
{
    for (size_t g = 0; g < count; g++)
        clusters[g] = (struct cluster){sums[g], 1};
}

static struct signflip flip(const double *sums, size_t count, uint64_t resamples, uint64_t seed)
{
    struct cluster clusters[512];
    assert_true(count <= ARRAY_COUNT(clusters));
    make_clusters(sums, count, clusters);
    struct rng stream = rng_new(seed, "test");
    struct signflip result;
    assert_int_equal(signflip_test(clusters, count, resamples, &stream, &result, NULL), ERR_OK);
    return result;
}

static void test_exact_p_matches_scipy(void **state)
{
    (void)state;
    const struct {
        const double *sums;
        size_t count;
        double p;
    } cases[] = {
        {flip_seven_sums, ARRAY_COUNT(flip_seven_sums), flip_seven_p},
        {flip_ten_sums, ARRAY_COUNT(flip_ten_sums), flip_ten_p},
        {flip_ties_sums, ARRAY_COUNT(flip_ties_sums), flip_ties_p},
        {flip_sixteen_sums, ARRAY_COUNT(flip_sixteen_sums), flip_sixteen_p},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct signflip result = flip(cases[i].sums, cases[i].count, 100000, 1);
        assert_true(result.exact);
        assert_int_equal(result.resamples, 1u << cases[i].count);
        assert_near(result.p, cases[i].p, 1e-14);
    }
}

static void test_random_p_is_near_the_exact_one(void **state)
{
    (void)state;
    const uint64_t resamples = 60000; /* fewer than 2^16: drawn, not enumerated */
    struct signflip result = flip(flip_sixteen_sums, ARRAY_COUNT(flip_sixteen_sums), resamples, 7);
    assert_false(result.exact);
    double deviation = sqrt(flip_sixteen_p * (1 - flip_sixteen_p) / (double)resamples);
    assert_near(result.p, flip_sixteen_p, 4 * deviation);
    assert_true(fabs(result.p - flip_sixteen_p) > 0.0); /* or it was enumerated after all */
}

static void test_same_stream_gives_same_bits(void **state)
{
    (void)state;
    double sums[300];
    struct rng rng = rng_new(3, "data");
    for (size_t g = 0; g < ARRAY_COUNT(sums); g++)
        sums[g] = rng_normal(&rng) + 0.08;
    struct signflip a = flip(sums, ARRAY_COUNT(sums), 20000, 5);
    struct signflip b = flip(sums, ARRAY_COUNT(sums), 20000, 5);
    struct signflip other = flip(sums, ARRAY_COUNT(sums), 20000, 6);
    assert_memory_equal(&a.p, &b.p, sizeof a.p);
    assert_memory_not_equal(&a.p, &other.p, sizeof a.p);
    assert_near(a.p, other.p, 0.02);
}

static void test_large_sample_agrees_with_the_normal_limit(void **state)
{
    (void)state;
    /* Beyond one block of 64: were the last block cut or a table misplaced, the spread of the
     * flipped sums would be wrong and p with it. */
    double sums[500];
    struct rng rng = rng_new(4, "data");
    double total = 0;
    double squares = 0;
    for (size_t g = 0; g < ARRAY_COUNT(sums); g++) {
        sums[g] = rng_normal(&rng) * (1.0 + (double)(g % 7)) + 0.3;
        total += sums[g];
        squares += sums[g] * sums[g];
    }
    struct signflip result = flip(sums, ARRAY_COUNT(sums), 200000, 9);
    double p = estimate_normal_p(total / sqrt(squares));
    assert_true(p > 0.001 && p < 0.9);
    assert_near(result.p, p, 0.006);
}

static void test_smallest_p_is_never_zero(void **state)
{
    (void)state;
    double sums[100];
    for (size_t g = 0; g < ARRAY_COUNT(sums); g++)
        sums[g] = 1.0;
    assert_near(flip(sums, ARRAY_COUNT(sums), 10000, 1).p, 1.0 / 10001.0, 1e-15);
}

static void test_degenerate_differences(void **state)
{
    (void)state;
    const double zeros[70] = {0};
    assert_near(flip(zeros, ARRAY_COUNT(zeros), 10000, 1).p, 1.0, 0.0);
    const double bad[3] = {1.0, (double)NAN, 2.0};
    assert_true(isnan(flip(bad, 3, 10000, 1).p));
    assert_true(isnan(flip(bad, 0, 10000, 1).p));
    struct cluster clusters[80] = {{1.0, 1}};
    struct rng stream = rng_new(1, "test");
    struct signflip result;
    assert_int_equal(
        signflip_test(clusters, 80, SIGNFLIP_RESAMPLES_MAX + 1, &stream, &result, NULL), ERR_LIMIT);
}

static void test_resamples_leave_room_for_the_correction(void **state)
{
    (void)state;
    assert_int_equal(signflip_resamples(1, 0.05), 10000);
    assert_int_equal(signflip_resamples(25, 0.05), 10000);
    assert_int_equal(signflip_resamples(26, 0.05), 10400);
    assert_int_equal(signflip_resamples(228, 0.05), 91200);
    /* A level of one in a million asks for no more than the test takes. */
    assert_int_equal(signflip_resamples(24, 1e-6), SIGNFLIP_RESAMPLES_MAX);
    assert_true(24.0 / (1.0 + (double)SIGNFLIP_RESAMPLES_MAX) < 1e-6);
    assert_true(228.0 / (1.0 + (double)signflip_resamples(228, 0.05)) < 0.05 / 10);
}

/* Under the null the test must reject a share alpha of the time; `shift` breaks the null. */
static double rejection_rate(double shift, int experiments)
{
    struct rng rng = rng_new(21, "null");
    int rejected = 0;
    for (int i = 0; i < experiments; i++) {
        double sums[24];
        for (size_t g = 0; g < ARRAY_COUNT(sums); g++) {
            double u = rng_uniform(&rng) < 0.5 ? -1.0 : 1.0;
            sums[g] = shift + u * -log(1.0 - rng_uniform(&rng)); /* heavy-tailed, symmetric */
        }
        rejected += flip(sums, ARRAY_COUNT(sums), 999, (uint64_t)i).p < 0.05;
    }
    return (double)rejected / experiments;
}

static void test_size_and_power(void **state)
{
    (void)state;
    double size = rejection_rate(0.0, 4000);
    double power = rejection_rate(1.0, 400);
    print_message(
        "sign flips at alpha 5 %%: %.2f %% rejected under the null, %.0f %% with a shift\n",
        100 * size, 100 * power);
    assert_true(size > 0.04 && size < 0.06);
    assert_true(power > 0.75);
}

static void test_bootstrap_matches_numpy(void **state)
{
    (void)state;
    struct cluster clusters[ARRAY_COUNT(uneven_sizes)];
    const double *value = uneven_values;
    for (size_t g = 0; g < ARRAY_COUNT(clusters); g++) {
        clusters[g] = (struct cluster){0, uneven_sizes[g]};
        for (uint32_t i = 0; i < uneven_sizes[g]; i++)
            clusters[g].sum += *value++;
    }
    struct rng stream = rng_new(8, "test");
    struct interval a, b, small;
    assert_int_equal(
        bootstrap_interval(clusters, ARRAY_COUNT(clusters), 40000, 0.05, &stream, &a, NULL),
        ERR_OK);
    assert_near(a.lo, uneven_bootstrap_lo, 0.02);
    assert_near(a.hi, uneven_bootstrap_hi, 0.02);
    assert_int_equal(
        bootstrap_interval(clusters, ARRAY_COUNT(clusters), 40000, 0.05, &stream, &b, NULL),
        ERR_OK);
    assert_memory_equal(&a, &b, sizeof a);
    assert_int_equal(
        bootstrap_interval(clusters, ARRAY_COUNT(clusters), 40000, 0.5, &stream, &small, NULL),
        ERR_OK);
    assert_true(small.lo > a.lo && small.hi < a.hi);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_p_matches_scipy),
        cmocka_unit_test(test_random_p_is_near_the_exact_one),
        cmocka_unit_test(test_same_stream_gives_same_bits),
        cmocka_unit_test(test_large_sample_agrees_with_the_normal_limit),
        cmocka_unit_test(test_smallest_p_is_never_zero),
        cmocka_unit_test(test_degenerate_differences),
        cmocka_unit_test(test_resamples_leave_room_for_the_correction),
        cmocka_unit_test(test_size_and_power),
        cmocka_unit_test(test_bootstrap_matches_numpy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
