/* Clustered means against statsmodels, and coverage of their intervals on simulated data, with the
 * mistake they exist to avoid (records taken as independent) as the negative control. */
#include "cmocka_all.h"

#include <math.h>
#include <stdbool.h>

#include "assert_near.h"
#include "check.h"
#include "estimate.h"
#include "rng.h"

#include "oracle_cases.inc"

#define TOLERANCE 1e-12

static void sum_clusters(const double *values, const uint32_t *sizes, size_t count,
                         struct cluster *clusters)
{
    for (size_t g = 0; g < count; g++) {
        clusters[g] = (struct cluster){0, sizes[g]};
        for (uint32_t i = 0; i < sizes[g]; i++)
            clusters[g].sum += *values++;
    }
}

static void test_uneven_clusters_match_statsmodels(void **state)
{
    (void)state;
    struct cluster clusters[ARRAY_COUNT(uneven_sizes)];
    sum_clusters(uneven_values, uneven_sizes, ARRAY_COUNT(uneven_sizes), clusters);
    struct estimate e = estimate_clustered(clusters, ARRAY_COUNT(clusters), 0.05);
    assert_near(e.mean, uneven_mean, TOLERANCE);
    assert_near(e.se, uneven_se, TOLERANCE);
    assert_near(e.lo, uneven_lo, 1e-10);
    assert_near(e.hi, uneven_hi, 1e-10);
    assert_int_equal(e.records, ARRAY_COUNT(uneven_values));
    assert_int_equal(e.clusters, ARRAY_COUNT(uneven_sizes));
    /* The clusters matter here, or this test would not notice if they were ignored. */
    assert_true(e.se > 1.2 * uneven_se_independent);
}

static void test_single_records_are_the_plain_mean(void **state)
{
    (void)state;
    struct cluster clusters[ARRAY_COUNT(single_sizes)];
    sum_clusters(single_values, single_sizes, ARRAY_COUNT(single_sizes), clusters);
    struct estimate e = estimate_clustered(clusters, ARRAY_COUNT(clusters), 0.05);
    assert_near(e.se, single_se, TOLERANCE);
    assert_near(e.se, single_se_independent, TOLERANCE);
    assert_near(estimate_se_independent(single_values, ARRAY_COUNT(single_values)),
                single_se_independent, TOLERANCE);
}

static void test_too_little_data_is_nan(void **state)
{
    (void)state;
    const struct cluster one = {2.0, 4};
    struct estimate e = estimate_clustered(&one, 1, 0.05);
    assert_near(e.mean, 0.5, 0.0);
    assert_true(isnan(e.se) && isnan(e.lo) && isnan(e.hi));
    assert_true(isnan(estimate_clustered(NULL, 0, 0.05).mean));
    assert_true(isnan(estimate_se_independent(single_values, 1)));
    const struct cluster bad[2] = {{(double)NAN, 1}, {1.0, 1}};
    assert_true(isnan(estimate_clustered(bad, 2, 0.05).mean));
}

static void test_normal_tail(void **state)
{
    (void)state;
    assert_near(estimate_normal_p(2.0), normal_p_of_2, 1e-14);
    assert_near(estimate_normal_p(-2.0), normal_p_of_2, 1e-14);
    assert_near(estimate_normal_critical(0.05), normal_critical_05, 1e-12);
}

#define EXPERIMENTS        4000
#define SEQUENCES          30
#define RECORDS_MAX        12
#define TRUE_MEAN          0.25
#define SEQUENCE_DEVIATION 0.8

/* One simulated cell: sequences of 4 ... 12 records that share a sequence effect. */
static size_t simulate(struct rng *rng, struct cluster *by_sequence, struct cluster *by_record)
{
    size_t records = 0;
    for (size_t g = 0; g < SEQUENCES; g++) {
        uint32_t size = 4 + (uint32_t)rng_below(rng, RECORDS_MAX - 3);
        double effect = SEQUENCE_DEVIATION * rng_normal(rng);
        by_sequence[g] = (struct cluster){0, size};
        for (uint32_t i = 0; i < size; i++) {
            double value = TRUE_MEAN + effect + rng_normal(rng);
            by_sequence[g].sum += value;
            by_record[records++] = (struct cluster){value, 1};
        }
    }
    return records;
}

static bool covers(struct estimate e)
{
    return e.lo <= TRUE_MEAN && TRUE_MEAN <= e.hi;
}

static void test_interval_covers_as_promised(void **state)
{
    (void)state;
    struct rng rng = rng_new(11, "coverage");
    int clustered_hits = 0;
    int naive_hits = 0;
    for (int i = 0; i < EXPERIMENTS; i++) {
        struct cluster by_sequence[SEQUENCES];
        struct cluster by_record[SEQUENCES * RECORDS_MAX];
        size_t records = simulate(&rng, by_sequence, by_record);
        clustered_hits += covers(estimate_clustered(by_sequence, SEQUENCES, 0.05));
        naive_hits += covers(estimate_clustered(by_record, records, 0.05));
    }
    print_message("coverage of nominal 95 %%: clustered %.1f %%, records as independent %.1f %%\n",
                  100.0 * clustered_hits / EXPERIMENTS, 100.0 * naive_hits / EXPERIMENTS);
    assert_in_range(clustered_hits, EXPERIMENTS * 93 / 100, EXPERIMENTS * 97 / 100);
    assert_in_range(naive_hits, 0, EXPERIMENTS * 80 / 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uneven_clusters_match_statsmodels),
        cmocka_unit_test(test_single_records_are_the_plain_mean),
        cmocka_unit_test(test_too_little_data_is_nan),
        cmocka_unit_test(test_normal_tail),
        cmocka_unit_test(test_interval_covers_as_promised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
