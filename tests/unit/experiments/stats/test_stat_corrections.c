/* McNemar, Holm, Benjamini-Hochberg and DerSimonian-Laird against statsmodels. */
#include "cmocka_all.h"

#include <math.h>

#include "adjust.h"
#include "assert_near.h"
#include "check.h"
#include "mcnemar.h"
#include "random_effects.h"

#include "oracle_cases.inc"

static void test_mcnemar_matches_statsmodels(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(mcnemar_cases); i++) {
        assert_near(mcnemar_exact(mcnemar_cases[i].gained, mcnemar_cases[i].lost),
                    mcnemar_cases[i].p, 1e-13);
        assert_near(mcnemar_exact(mcnemar_cases[i].lost, mcnemar_cases[i].gained),
                    mcnemar_cases[i].p, 1e-13);
    }
    assert_near(mcnemar_exact(0, 0), 1.0, 0.0);
}

#define P_COUNT ARRAY_COUNT(adjust_p_raw)

static void check_adjusted(enum adjust_method method, const double *expected)
{
    struct arena scratch;
    arena_init(&scratch, 0);
    double adjusted[P_COUNT];
    adjust_p(method, adjust_p_raw, adjusted, P_COUNT, &scratch);
    for (size_t i = 0; i < P_COUNT; i++)
        assert_near(adjusted[i], expected[i], 1e-14);
    arena_release(&scratch);
}

static void test_corrections_match_statsmodels(void **state)
{
    (void)state;
    check_adjusted(ADJUST_HOLM, adjust_p_holm);
    check_adjusted(ADJUST_BH, adjust_p_bh);
    check_adjusted(ADJUST_NONE, adjust_p_raw);
}

static void test_undefined_hypotheses_still_count(void **state)
{
    (void)state;
    struct arena scratch;
    arena_init(&scratch, 0);
    const double p[3] = {0.01, (double)NAN, 0.04};
    double adjusted[3];
    adjust_p(ADJUST_HOLM, p, adjusted, 3, &scratch);
    assert_near(adjusted[0], 0.03, 1e-15); /* times 3, not 2 */
    assert_true(isnan(adjusted[1]));
    assert_near(adjusted[2], 0.08, 1e-15);
    adjust_p(ADJUST_HOLM, p, adjusted, 0, &scratch);
    arena_release(&scratch);
}

static void test_random_effects_match_statsmodels(void **state)
{
    (void)state;
    struct random_effects e =
        random_effects_pool(pool_spread_means, pool_spread_ses, ARRAY_COUNT(pool_spread_ses), 0.05);
    assert_near(e.mean, pool_spread_mean, 1e-12);
    assert_near(e.se, pool_spread_se, 1e-12);
    assert_near(e.lo, pool_spread_lo, 1e-10);
    assert_near(e.tau2, pool_spread_tau2, 1e-12);
    assert_near(e.q, pool_spread_q, 1e-9);
    assert_near(e.q_p, pool_spread_q_p, 1e-12);
    assert_near(e.i2, pool_spread_i2, 1e-12);
    assert_true(e.tau2 > 0.0);

    e = random_effects_pool(pool_alike_means, pool_alike_ses, ARRAY_COUNT(pool_alike_ses), 0.05);
    assert_near(e.tau2, 0.0, 0.0); /* truncated: less spread than the errors explain */
    assert_near(e.i2, 0.0, 0.0);
    assert_near(e.q, pool_alike_q, 1e-9);
}

static void test_nothing_to_pool(void **state)
{
    (void)state;
    const double means[2] = {1.0, 2.0};
    const double zero_se[2] = {0.1, 0.0};
    assert_true(isnan(random_effects_pool(means, zero_se, 1, 0.05).mean));
    assert_true(isnan(random_effects_pool(means, zero_se, 2, 0.05).mean));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mcnemar_matches_statsmodels),
        cmocka_unit_test(test_corrections_match_statsmodels),
        cmocka_unit_test(test_undefined_hypotheses_still_count),
        cmocka_unit_test(test_random_effects_match_statsmodels),
        cmocka_unit_test(test_nothing_to_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
