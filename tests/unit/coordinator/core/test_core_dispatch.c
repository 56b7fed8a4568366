/* Which worker gets which job, and when none may. */
#include "cmocka_all.h"

#include <math.h>
#include <string.h>

#include "core_world.h"

static void test_numeric_class_is_fixed_by_the_first_lease(void **state)
{
    struct core_world *w = *state;
    struct submit_job jobs[] = {core_world_plan(1), core_world_plan(2)};
    core_world_submit(w, "e", jobs, 2);
    core_world_hello(w, "a", 1, 1, WORLD_CLASS);
    core_world_hello(w, "b", 2, 1, "blas/f32/Zen/1");
    assert_null(core_world_sent(w, MSG_LEASE, 0));
    assert_int_equal(core_world_state(w, 2), JOB_WAITING);
    assert_string_equal(core_world_reason(w, 2), "Resources");
    struct msg bye = {.kind = MSG_BYE};
    struct worker_row rows[4];
    assert_int_equal(core_workers(w->core, rows, 4), 2);
    bye.bye.session = (uint64_t)1 << 32 | 1;
    core_world_say(w, 1, &bye);
    assert_string_equal(core_world_reason(w, 2), "NumericClass");
    core_world_hello(w, "c", 3, 2, WORLD_CLASS);
    assert_int_equal(core_world_sent_count(w, MSG_LEASE), 2);
}

static void test_threads_of_a_host_are_shared(void **state)
{
    struct core_world *w = *state;
    struct submit_job jobs[6];
    for (uint64_t i = 0; i < 6; i++) {
        jobs[i] = core_world_plan(i + 1);
    }
    core_world_submit(w, "e", jobs, 6);
    size_t leases = 0;
    for (uint64_t peer = 1; peer <= 2; peer++) { /* two workers of three threads on four cores */
        struct msg m = core_world_hello_again(peer == 1 ? "x" : "y", NULL, 0);
        m.hello.worker = peer == 1 ? "x" : "y";
        m.hello.host = "shared";
        m.hello.host_cores = 4;
        m.hello.threads = 3;
        core_world_say(w, peer, &m);
        leases += core_world_sent_count(w, MSG_LEASE);
        assert_int_equal(leases, peer == 1 ? 3 : 4);
    }
    struct msg ok = core_world_ok((uint64_t)1 << 32 | 1, 1, 1);
    core_world_say(w, 1, &ok); /* one ends, one begins */
    assert_int_equal(core_world_sent_count(w, MSG_LEASE), 1);
}

/* As many threads as the wire can say, of two workers that move to one host. */
static void test_no_sum_of_threads_wraps(void **state)
{
    struct core_world *w = *state;
    struct submit_job jobs[] = {core_world_plan(1), core_world_plan(2)};
    jobs[0].threads = jobs[1].threads = UINT32_MAX;
    core_world_submit(w, "e", jobs, 2);
    struct held_lease held = {.loss_nats = NAN};
    struct msg m;
    for (uint64_t peer = 1; peer <= 2; peer++) {
        m = core_world_hello_again(peer == 1 ? "x" : "y", NULL, 0);
        m.hello.worker = m.hello.host = peer == 1 ? "x" : "y";
        m.hello.host_cores = m.hello.threads = UINT32_MAX;
        core_world_say(w, peer, &m);
        assert_int_equal(core_world_sent_count(w, MSG_LEASE), 1);
        held.lease = core_world_sent(w, MSG_LEASE, 0)->lease.lease;
    }
    m.hello.held = &held;
    m.hello.held_count = 1;
    m.hello.host = "x";
    core_world_say(w, 2, &m);
    assert_true(core_world_sent(w, MSG_WELCOME, 0)->welcome.verdicts[0].keep);
    m.hello.host = "z";
    core_world_say(w, 2, &m);
    core_check(w->core);
}

/* Nor that of a worker whose jobs need more threads of it than when they were given out. */
static void test_no_sum_of_ranks_threads_wraps(void **state)
{
    struct core_world *w = *state;
    struct submit_job jobs[] = {core_world_plan(1), core_world_plan(2)};
    jobs[0].threads = jobs[1].threads = INT32_MAX;
    jobs[0].ranks = jobs[1].ranks = 2;
    core_world_submit(w, "e", jobs, 2);
    struct msg m = core_world_hello_again("a", NULL, 0);
    m.hello.host_cores = m.hello.threads = m.hello.ranks = m.hello.rank_threads = UINT32_MAX;
    core_world_say(w, 1, &m);
    assert_int_equal(core_world_sent_count(w, MSG_LEASE), 2);
    m.hello.rank_threads = 0;
    core_world_say(w, 1, &m);
    const struct msg bye = {.kind = MSG_BYE,
                            .bye.session = core_world_sent(w, MSG_WELCOME, 0)->welcome.session};
    core_world_say(w, 1, &bye);
    assert_int_equal(core_counts(w->core).leases, 0);
}

/* An end of an allocation that only a liar names. */
static void test_no_time_of_a_worker_overflows(void **state)
{
    struct core_world *w = *state;
    struct worker_row row;
    struct msg hello = core_world_hello_again("a", NULL, 0);
    hello.hello.ends_in_ms = INT64_MAX;
    core_world_say(w, 1, &hello);
    assert_int_equal(core_workers(w->core, &row, 1), 1);
    assert_true(row.ends_ms > 1700000000000 + w->now_ms);
}

static void test_priority_then_warm_models_then_order(void **state)
{
    struct core_world *w = *state;
    struct submit_job jobs[7];
    struct named_digest of_one = {"model", core_world_job(1)};
    struct named_digest of_two = {"model", core_world_job(2)};
    for (uint64_t i = 0; i < 7; i++) {
        jobs[i] = core_world_plan(i + 1);
    }
    for (size_t i = 2; i < 6; i++) { /* 3, 5 score model 1; 4, 6 score model 2 */
        jobs[i].parents = i % 2 == 0 ? &of_one : &of_two;
        jobs[i].parent_count = 1;
    }
    core_world_submit(w, "e", jobs, 6);
    uint64_t a = core_world_hello(w, "a", 1, 1, WORLD_CLASS); /* job 1 */
    uint64_t b = core_world_hello(w, "b", 2, 1, WORLD_CLASS); /* job 2 */
    struct msg ok = core_world_ok(b, 2, 1);
    ok.result.artifact = hash_bytes("two", 3);
    core_world_say(w, 2, &ok);
    assert_int_equal(core_world_state(w, 4), JOB_LEASED); /* its own model */
    ok = core_world_ok(a, 1, 1);
    ok.result.artifact = hash_bytes("one", 3);
    core_world_say(w, 1, &ok);
    assert_int_equal(core_world_state(w, 3), JOB_LEASED);
    ok = core_world_ok(b, 4, 1);
    core_world_say(w, 2, &ok);
    assert_int_equal(core_world_state(w, 6), JOB_LEASED); /* though 5 came first */
    jobs[6].priority = 1;
    core_world_submit(w, "e", &jobs[6], 1);
    ok = core_world_ok(a, 3, 1);
    core_world_say(w, 1, &ok);
    assert_int_equal(core_world_state(w, 7), JOB_LEASED); /* though 5 is warm */
}

static void test_draining_workers_get_nothing_new(void **state)
{
    struct core_world *w = *state;
    uint64_t a = core_world_hello(w, "a", 1, 1, WORLD_CLASS);
    core_world_step(w, (struct core_event){.kind = CORE_DRAIN_WORKER,
                                           .peer = 99,
                                           .drain = {.request = 1, .worker = "a"}});
    assert_non_null(core_world_sent(w, MSG_DRAIN, 0));
    core_world_submit_one(w, 1);
    assert_null(core_world_sent(w, MSG_LEASE, 0));
    assert_string_equal(core_world_reason(w, 1), "Draining");
    struct msg beat = core_world_beat(a, NULL, 0); /* has not heard it: said again */
    core_world_say(w, 1, &beat);
    assert_non_null(core_world_sent(w, MSG_DRAIN, 0));
    core_world_step(w, (struct core_event){.kind = CORE_DRAIN_WORKER,
                                           .peer = 99,
                                           .drain = {.request = 1, .worker = "nobody"}});
    assert_int_equal(core_world_sent(w, MSG_ERROR, 0)->error.code, ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CORE_TEST(test_numeric_class_is_fixed_by_the_first_lease),
        CORE_TEST(test_threads_of_a_host_are_shared),
        CORE_TEST(test_no_sum_of_threads_wraps),
        CORE_TEST(test_no_sum_of_ranks_threads_wraps),
        CORE_TEST(test_no_time_of_a_worker_overflows),
        CORE_TEST(test_priority_then_warm_models_then_order),
        CORE_TEST(test_draining_workers_get_nothing_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
