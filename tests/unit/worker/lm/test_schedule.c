/* Learning rates at the corners: warm-up, peak, middle, last step. */
#include "schedule.h"

#include <math.h>

#include "cmocka_all.h"
#include "str.h"

static const struct schedule base = {
    .learning_rate = 0.5, .minimum_lr_ratio = 0.2, .warmup_steps = 4, .steps = 14};

static void near(double actual, double expected)
{
    assert_true(fabs(actual - expected) < 1e-12);
}

static void warm_up_rises_to_the_peak(void **state)
{
    (void)state;
    struct schedule s = base;
    near(schedule_rate(&s, 0), 0.125);
    near(schedule_rate(&s, 3), 0.5);
    near(schedule_rate(&s, 4), 0.5);
}

static void linear_falls_evenly_towards_the_minimum(void **state)
{
    (void)state;
    struct schedule s = base;
    s.kind = SCHEDULE_LINEAR;
    near(schedule_rate(&s, 9), 0.5 * (0.2 + 0.8 * 0.5));
    near(schedule_rate(&s, 13), 0.5 * (0.2 + 0.8 * 0.1));
    near(schedule_rate(&s, 14), 0.1);
}

static void cosine_is_halfway_in_the_middle(void **state)
{
    (void)state;
    struct schedule s = base;
    s.kind = SCHEDULE_COSINE;
    near(schedule_rate(&s, 9), 0.5 * 0.6);
    near(schedule_rate(&s, 14), 0.1);
    assert_true(schedule_rate(&s, 5) > 0.5 * (0.2 + 0.8 * 0.9)); /* above the straight line */
}

static void constant_stays_and_nothing_divides_by_zero(void **state)
{
    (void)state;
    struct schedule s = base;
    s.kind = SCHEDULE_CONSTANT;
    near(schedule_rate(&s, 13), 0.5);
    s = (struct schedule){.kind = SCHEDULE_LINEAR, .learning_rate = 1, .steps = 1};
    near(schedule_rate(&s, 0), 1);
    s.warmup_steps = 1;
    near(schedule_rate(&s, 0), 1);
}

static void names_are_parsed_and_slips_are_met_with_a_suggestion(void **state)
{
    (void)state;
    enum schedule_kind kind = SCHEDULE_LINEAR;
    struct err err;
    assert_int_equal(schedule_kind_parse("cosine", &kind, &err), ERR_OK);
    assert_int_equal(kind, SCHEDULE_COSINE);
    assert_int_equal(schedule_kind_parse("constnat", &kind, &err), ERR_INVALID);
    assert_int_equal(kind, SCHEDULE_COSINE);
    assert_string_equal(err.text, "unknown schedule 'constnat' (did you mean 'constant'?)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warm_up_rises_to_the_peak),
        cmocka_unit_test(linear_falls_evenly_towards_the_minimum),
        cmocka_unit_test(cosine_is_halfway_in_the_middle),
        cmocka_unit_test(constant_stays_and_nothing_divides_by_zero),
        cmocka_unit_test(names_are_parsed_and_slips_are_met_with_a_suggestion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
