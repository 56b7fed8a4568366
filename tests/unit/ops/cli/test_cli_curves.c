/* Curves of a training that was interrupted are those of one that was not; figures are scripts. */
#include <math.h>
#include <string.h>

#include "cmocka_all.h"
#include "curves.h"

static void add(struct curves *c, struct arena *arena, uint32_t attempt, int64_t step, double loss)
{
    const struct metric_point points[] = {
        {.step = step, .time_ms = 1000 * attempt + step, .name = "loss_nats", .value = loss},
        {.step = step, .name = "lr", .value = 0.5},
        {.step = step, .name = "of_another_version", .value = 1},
    };
    for (size_t i = 0; i < 3; i++)
        curves_add(c, arena, attempt, &points[i]);
}

static void a_later_attempt_replaces_what_it_does_again(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct curves c = {.label = "f/PT/42"};
    for (int64_t step = 0; step < 700; step++)
        add(&c, &arena, 1, step, 1);
    for (int64_t step = 650; step < 800; step++)
        add(&c, &arena, 2, step, 2);
    add(&c, &arena, 3, 720, (double)NAN);
    assert_int_equal(c.count, 721);
    for (size_t i = 0; i < c.count; i++) {
        assert_int_equal(c.rows[i].step, i);
        assert_int_equal(c.rows[i].attempt, i < 650 ? 1 : i < 720 ? 2 : 3);
        assert_true(c.rows[i].values[CURVE_RATE] == 0.5);
        assert_true(isnan(c.rows[i].values[CURVE_NORM]));
    }
    assert_true(c.rows[649].values[CURVE_LOSS] == 1 && c.rows[650].values[CURVE_LOSS] == 2);
    assert_true(isnan(c.rows[720].values[CURVE_LOSS]));
    size_t shown = 0;
    for (size_t i = 0; i < c.count; i++)
        shown += curves_shows(&c, i, 40);
    assert_in_range(shown, 30, 42);
    assert_true(curves_shows(&c, 0, 40) && curves_shows(&c, 720, 40));
    assert_true(curves_shows(&c, 1, 10000));
    arena_release(&arena);
}

static void figures_are_scripts_with_their_data(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct curves jobs[2] = {{.label = "it's/PT"}, {.label = "f/ST"}};
    struct strbuf script = {0};
    struct err err;
    add(&jobs[0], &arena, 1, 0, 4.25);
    add(&jobs[0], &arena, 1, 1, (double)INFINITY);
    add(&jobs[1], &arena, 1, 0, 3);
    assert_int_equal(curves_gnuplot(jobs, 2, "a b.svg", &script, &err), ERR_OK);
    assert_non_null(
        strstr(script.data, "$job0 << EOD\n0 4.25 NaN 0.5 NaN NaN NaN\n1 NaN NaN 0.5 "));
    assert_non_null(strstr(script.data, "set terminal svg "));
    assert_non_null(strstr(script.data, "set output 'a b.svg'\n"));
    assert_non_null(
        strstr(script.data, "using 1:2 with lines linewidth 1.5 title 'it''s/PT', $job1"));
    assert_int_equal(curves_gnuplot(jobs, 2, "figure.gif", &script, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, ".svg, .png or .pdf"));
    strbuf_release(&script);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_later_attempt_replaces_what_it_does_again),
        cmocka_unit_test(figures_are_scripts_with_their_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
