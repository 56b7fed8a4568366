/* Jobs that several experiments want: what pausing, preferring or cancelling one of them does. */
#include <string.h>

#include "cmocka_all.h"
#include "core_world.h"

/* Job 1 is wanted by 'e' alone, 2 by both, 3 by 'f' alone. */
static void submit_both(struct core_world *w)
{
    const struct submit_job e[] = {core_world_plan(1), core_world_plan(2)};
    const struct submit_job f[] = {core_world_plan(2), core_world_plan(3)};
    core_world_submit(w, "e", e, 2);
    core_world_submit(w, "f", f, 2);
    assert_int_equal(core_world_sent(w, MSG_SUBMITTED, 0)->submitted.jobs_running, 1);
}

static void finish(struct core_world *w, uint64_t session, uint64_t job)
{
    const struct msg ok = core_world_ok(session, job, 1);
    core_world_say(w, 1, &ok);
    assert_int_equal(core_world_state(w, job), JOB_DONE);
}

static void test_a_pause_holds_only_what_nobody_else_wants(void **state)
{
    struct core_world *w = *state;
    submit_both(w);
    core_world_act(w, CORE_PAUSE, "e", NULL, 0, 0);
    assert_string_equal(core_world_reason(w, 1), "Paused");
    assert_string_equal(core_world_reason(w, 2), "NoWorkers");
    struct core_demand demand[4];
    const size_t kinds = core_demand(w->core, demand, 4);
    size_t jobs = 0;
    for (size_t i = 0; i < kinds; i++) {
        jobs += demand[i].jobs;
    }
    assert_int_equal(jobs, 2);
    core_world_act(w, CORE_PAUSE, "f", NULL, 0, 0);
    assert_string_equal(core_world_reason(w, 2), "Paused");
    const uint64_t a = core_world_hello(w, "a", 1, 1, WORLD_CLASS);
    assert_int_equal(core_world_state(w, 2), JOB_WAITING);
    core_world_act(w, CORE_RESUME, "f", NULL, 0, 0);
    assert_int_equal(core_world_state(w, 2), JOB_LEASED);
    finish(w, a, 2);
    finish(w, a, 3);
    assert_int_equal(core_world_state(w, 1), JOB_WAITING);
}

/* One that comes later to a job of a paused experiment sets it going. */
static void test_sharing_a_paused_job_lets_it_go(void **state)
{
    struct core_world *w = *state;
    const struct submit_job one = core_world_plan(1);
    core_world_submit(w, "e", &one, 1);
    core_world_act(w, CORE_PAUSE, "e", NULL, 0, 0);
    core_world_hello(w, "a", 1, 1, WORLD_CLASS);
    assert_int_equal(core_world_state(w, 1), JOB_WAITING);
    core_world_submit(w, "f", &one, 1);
    assert_int_equal(core_world_state(w, 1), JOB_LEASED);
}

static void test_a_shared_job_goes_with_the_first_that_wants_it(void **state)
{
    struct core_world *w = *state;
    submit_both(w);
    core_world_act(w, CORE_PRIORITY, "f", NULL, 0, 5);
    const uint64_t a = core_world_hello(w, "a", 1, 1, WORLD_CLASS);
    assert_int_equal(core_world_state(w, 2), JOB_LEASED); /* before job 1 of 'e', submitted first */
    finish(w, a, 2);
    finish(w, a, 3);
    finish(w, a, 1);
}

/* While job 2 counts as of 'f', 'e' has no thread in use and is served next. */
static void test_a_shared_job_counts_for_one_of_them(void **state)
{
    struct core_world *w = *state;
    submit_both(w);
    core_world_act(w, CORE_PRIORITY, "f", NULL, 0, 5);
    core_world_hello(w, "a", 1, 1, WORLD_CLASS);
    assert_int_equal(core_world_state(w, 2), JOB_LEASED);
    core_world_act(w, CORE_PRIORITY, "f", NULL, 0, 0);
    core_world_hello(w, "b", 2, 1, WORLD_CLASS);
    assert_int_equal(core_world_state(w, 1), JOB_LEASED);
    assert_int_equal(core_world_state(w, 3), JOB_WAITING);
}

/* The driver names the jobs that no other experiment wants: here job 1. */
static void test_cancelling_one_leaves_the_other_its_jobs(void **state)
{
    struct core_world *w = *state;
    const struct digest one = core_world_job(1);
    submit_both(w);
    core_world_act(w, CORE_CANCEL, "e", &one, 1, 0);
    assert_int_equal(core_world_state(w, 1), JOB_CANCELLED);
    assert_int_equal(core_world_state(w, 2), JOB_WAITING);
    core_world_act(w, CORE_PAUSE, "f", NULL, 0, 0); /* it alone wants job 2 now */
    assert_string_equal(core_world_reason(w, 2), "Paused");
    core_world_hello(w, "a", 1, 1, WORLD_CLASS);
    assert_int_equal(core_world_state(w, 2), JOB_WAITING);
    core_world_act(w, CORE_RESUME, "f", NULL, 0, 0);
    assert_int_equal(core_world_state(w, 2), JOB_LEASED);
}

static void test_a_cancel_counts_what_is_aborted_by_it(void **state)
{
    struct core_world *w = *state;
    struct named_digest parent = {.name = "model", .digest = core_world_job(1)};
    struct submit_job jobs[] = {core_world_plan(1), core_world_plan(2), core_world_plan(3)};
    for (size_t i = 1; i < 3; i++) {
        jobs[i].parents = &parent;
        jobs[i].parent_count = 1;
    }
    core_world_submit(w, "e", jobs, 3);
    core_world_hello(w, "a", 1, 1, WORLD_CLASS);
    assert_int_equal(core_world_state(w, 1), JOB_LEASED);
    const struct digest named[] = {core_world_job(1), core_world_job(2), core_world_job(3)};
    core_world_act(w, CORE_CANCEL, "e", named, 3, 0);
    assert_int_equal(core_world_state(w, 3), JOB_ABORTED);
    assert_int_equal(core_world_sent(w, MSG_OK, 0)->ok.count, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CORE_TEST(test_a_pause_holds_only_what_nobody_else_wants),
        CORE_TEST(test_sharing_a_paused_job_lets_it_go),
        CORE_TEST(test_a_shared_job_goes_with_the_first_that_wants_it),
        CORE_TEST(test_a_shared_job_counts_for_one_of_them),
        CORE_TEST(test_cancelling_one_leaves_the_other_its_jobs),
        CORE_TEST(test_a_cancel_counts_what_is_aborted_by_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
