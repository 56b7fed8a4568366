/* When an attempt that failed is tried again, how often, and what its job ends with otherwise. */
#include "cmocka_all.h"

#include <string.h>

#include "bounds.h"
#include "core_world.h"

#define GIB ((uint64_t)1 << 30)

static void test_retries_back_off_until_the_budget_ends(void **state)
{
    struct core_world *w = *state;
    core_world_submit_one(w, 1);
    uint64_t a = core_world_hello(w, "a", 1, 1, WORLD_CLASS);
    for (uint32_t epoch = 1; epoch <= 3; epoch++) {
        struct msg crash = core_world_bad(a, 1, epoch, OUTCOME_CRASHED, "signal 11");
        core_world_say(w, 1, &crash);
        if (epoch == 3) {
            break;
        }
        assert_int_equal(core_world_state(w, 1), JOB_WAITING);
        assert_string_equal(core_world_reason(w, 1), "Backoff");
        assert_null(core_world_sent(w, MSG_LEASE, 0));
        assert_in_range(w->out.wake_at_ms - w->now_ms, 500u << (epoch - 1), 1000u << (epoch - 1));
        struct msg beat = core_world_beat(a, NULL, 0);
        core_world_say(w, 1, &beat);
        core_world_pass(w, 1000 << (epoch - 1));
        assert_int_equal(core_world_sent(w, MSG_LEASE, 0)->lease.lease.epoch, epoch + 1);
    }
    assert_int_equal(core_world_state(w, 1), JOB_FAILED);
    assert_int_equal(core_world_row(w, 1)->attempts_spent, 3);
}

static void test_the_same_failure_on_two_workers_quarantines(void **state)
{
    for (int same = 0; same <= 1; same++) {
        struct core_world *w = core_world_new();
        core_world_submit_one(w, 1);
        uint64_t a = core_world_hello(w, "a", 1, 1, WORLD_CLASS);
        struct msg bad = core_world_bad(a, 1, 1, OUTCOME_FAILED, "no such tensor");
        core_world_say(w, 1, &bad);
        struct msg bye = {.kind = MSG_BYE, .bye.session = a};
        core_world_say(w, 1, &bye);
        uint64_t b = core_world_hello(w, "b", 2, 1, WORLD_CLASS);
        core_world_pass(w, 1000);
        assert_non_null(core_world_sent(w, MSG_LEASE, 0));
        bad = core_world_bad(b, 1, 2, OUTCOME_FAILED, same ? "no such tensor" : "another thing");
        core_world_say(w, 2, &bad);
        assert_int_equal(core_world_state(w, 1), same ? JOB_QUARANTINED : JOB_WAITING);
        /* Submitting again leaves it there. */
        core_world_submit_one(w, 1);
        assert_int_equal(core_world_state(w, 1), same ? JOB_QUARANTINED : JOB_WAITING);
        core_world_free(w);
    }
    (void)state;
}

/* A reason of full length grows by what we say around it; what is stored must fit a reply. */
static void test_a_long_reason_is_cut_between_characters(void **state)
{
    struct core_world *w = *state;
    struct strbuf reason = {0};
    strbuf_puts(&reason, "xx"); /* so that the cut falls into a character */
    while (reason.len + 3 <= REASON_BYTES_MAX) {
        strbuf_puts(&reason, "\xe2\x82\xac");
    }
    core_world_submit_one(w, 1);
    uint64_t a = core_world_hello(w, "a", 1, 1, WORLD_CLASS);
    struct msg bad = core_world_bad(a, 1, 1, OUTCOME_FAILED, reason.data);
    core_world_say(w, 1, &bad);
    struct msg bye = {.kind = MSG_BYE, .bye.session = a};
    core_world_say(w, 1, &bye);
    uint64_t b = core_world_hello(w, "b", 2, 1, WORLD_CLASS);
    core_world_pass(w, 1000);
    bad = core_world_bad(b, 1, 2, OUTCOME_FAILED, reason.data);
    core_world_say(w, 2, &bad);
    assert_int_equal(core_world_state(w, 1), JOB_QUARANTINED);
    const char *stored = NULL;
    for (size_t i = 0; i < w->out.op_count; i++) {
        if (w->out.ops[i].kind == CORE_OP_JOB) {
            stored = w->out.ops[i].job.state.reason;
        }
    }
    assert_non_null(stored);
    assert_true(strlen(stored) <= REASON_BYTES_MAX && strlen(stored) > REASON_BYTES_MAX - 3);
    assert_true(str_is_utf8(stored, strlen(stored)));
    strbuf_release(&reason);
}

static void test_divergence_is_final(void **state)
{
    struct core_world *w = *state;
    core_world_submit_one(w, 1);
    uint64_t a = core_world_hello(w, "a", 1, 1, WORLD_CLASS);
    struct msg bad = core_world_bad(a, 1, 1, OUTCOME_DIVERGED, "loss is NaN at step 7");
    core_world_say(w, 1, &bad);
    assert_int_equal(core_world_state(w, 1), JOB_FAILED);
}

static void test_lost_attempts_cost_nothing_but_end(void **state)
{
    struct core_world *w = *state;
    core_world_submit_one(w, 1);
    for (uint32_t epoch = 1; epoch <= 20; epoch++) {
        core_world_hello(w, "a", 1, 1, WORLD_CLASS);
        assert_int_equal(core_world_row(w, 1)->epoch, epoch);
        core_world_pass(w, HEARTBEAT_MS * HEARTBEAT_LIVENESS); /* silent: no new leases */
        assert_int_equal(core_counts(w->core).workers, 0);
        assert_int_equal(core_world_state(w, 1), JOB_LEASED); /* but the old one runs on */
        core_world_pass(w, LEASE_MS);
        assert_int_equal(core_world_state(w, 1), epoch < 20 ? JOB_WAITING : JOB_FAILED);
        assert_int_equal(core_world_row(w, 1)->attempts_spent, 0);
    }
}

/* ---- what manifests may ask for ---- */

static void test_each_class_has_its_own_tries(void **state)
{
    static const struct {
        enum outcome outcome;
        uint32_t signal;
        enum failure_class class;
    } kinds[] = {
        {OUTCOME_FAILED, 0, FAILURE_ERROR},        {OUTCOME_CRASHED, 0, FAILURE_EXIT},
        {OUTCOME_CRASHED, 11, FAILURE_SIGNAL},     {OUTCOME_MEMORY, 9, FAILURE_MEMORY},
        {OUTCOME_TIMEOUT, 0, FAILURE_TIMEOUT},     {OUTCOME_PREEMPTED, 0, FAILURE_PREEMPTED},
        {OUTCOME_CANCELLED, 0, FAILURE_PREEMPTED},
    };
    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (uint32_t again = 0; again <= 1; again++) {
            struct core_world *w = core_world_new();
            struct submit_job job = core_world_plan(1);
            for (int c = 0; c < FAILURE_CLASS_COUNT; c++) {
                job.retry.again[c] = RETRY_AGAIN_MAX;
            }
            job.retry.again[kinds[k].class] = again;
            job.retry.backoff_ms = 1;
            core_world_submit_job(w, "e", job);
            const struct msg hello = core_world_hello_msg("a", "node-a", 1);
            const uint64_t a = core_world_hello_as(w, 1, &hello);
            for (uint32_t epoch = 1; epoch <= again + 1; epoch++) {
                assert_int_equal(core_world_row(w, 1)->epoch, epoch);
                struct msg bad = core_world_bad(a, 1, epoch, kinds[k].outcome, "so");
                bad.result.exit_signal = kinds[k].signal;
                core_world_say(w, 1, &bad);
                core_world_pass(w, 100);
            }
            assert_int_equal(core_world_state(w, 1), JOB_FAILED);
            core_world_free(w);
        }
    }
}

static void test_memory_grows_as_far_as_a_worker_has_it(void **state)
{
    struct core_world *w = *state;
    struct submit_job job = core_world_plan(1);
    job.memory_bytes = 4 * GIB;
    job.attempts_max = 5;
    job.retry = (struct retry_policy){
        .again = {9, 9, 9, 9, 9, 9, 9, 9}, .backoff_ms = 100, .memory_growth_percent = 50};
    core_world_submit_job(w, "e", job);
    struct msg hello = core_world_hello_msg("a", "node-a", 1);
    hello.hello.memory_bytes = 7 * GIB;
    const uint64_t a = core_world_hello_as(w, 1, &hello);
    static const uint64_t asked[] = {4 * GIB, 6 * GIB, 7 * GIB}; /* 9 GiB are more than it has */
    for (uint32_t epoch = 1; epoch <= 3; epoch++) {
        if (epoch > 1) {
            core_world_pass(w, 1000);
        }
        const struct msg *lease = core_world_sent(w, MSG_LEASE, 0);
        assert_non_null(lease);
        assert_int_equal(lease->lease.memory_bytes, asked[epoch - 1]);
        struct msg bad = core_world_bad(a, 1, epoch, OUTCOME_MEMORY, "killed");
        core_world_say(w, 1, &bad);
    }
}

/* By the greatest factor that can be said, twice: more than a number holds. */
static void test_grown_memory_fits_its_number(void **state)
{
    struct core_world *w = *state;
    struct submit_job job = core_world_plan(1);
    job.memory_bytes = GIB;
    job.attempts_max = 5;
    job.retry = (struct retry_policy){
        .again = {9, 9, 9, 9, 9, 9, 9, 9}, .backoff_ms = 100, .memory_growth_percent = UINT32_MAX};
    core_world_submit_job(w, "e", job);
    struct msg hello = core_world_hello_msg("a", "node-a", 1);
    hello.hello.memory_bytes = 7 * GIB;
    const uint64_t a = core_world_hello_as(w, 1, &hello);
    for (uint32_t epoch = 1; epoch <= 2; epoch++) {
        struct msg bad = core_world_bad(a, 1, epoch, OUTCOME_MEMORY, "killed");
        core_world_say(w, 1, &bad);
        core_world_pass(w, 1000);
        assert_int_equal(core_world_sent(w, MSG_LEASE, 0)->lease.memory_bytes, 7 * GIB);
    }
}

/* A long training on workers that come and go is not given up while it advances. */
static void test_a_checkpoint_forgives_lost_attempts(void **state)
{
    struct core_world *w = *state;
    struct submit_job job = core_world_plan(1);
    job.kind = JOB_PRETRAIN;
    core_world_submit_job(w, "e", job);
    for (uint32_t epoch = 1; epoch <= 60; epoch++) {
        const struct msg hello = core_world_hello_msg("a", "node-a", 1);
        const uint64_t a = core_world_hello_as(w, epoch, &hello);
        assert_int_equal(core_world_row(w, 1)->epoch, epoch);
        struct msg m = {.kind = MSG_CHECKPOINT,
                        .checkpoint = {.session = a,
                                       .lease = {core_world_job(1), epoch},
                                       .step = epoch,
                                       .tree = hash_bytes(&epoch, sizeof epoch)}};
        core_world_say_with(w, epoch, (struct core_message){.msg = &m, .tree_is_stored = true});
        const struct msg bye = {.kind = MSG_BYE, .bye.session = a};
        core_world_say(w, epoch, &bye);
        assert_int_equal(core_world_state(w, 1), JOB_WAITING);
        assert_true(core_world_row(w, 1)->attempts_free <= 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CORE_TEST(test_retries_back_off_until_the_budget_ends),
        cmocka_unit_test(test_the_same_failure_on_two_workers_quarantines),
        CORE_TEST(test_a_long_reason_is_cut_between_characters),
        CORE_TEST(test_divergence_is_final),
        CORE_TEST(test_lost_attempts_cost_nothing_but_end),
        cmocka_unit_test(test_each_class_has_its_own_tries),
        CORE_TEST(test_memory_grows_as_far_as_a_worker_has_it),
        CORE_TEST(test_grown_memory_fits_its_number),
        CORE_TEST(test_a_checkpoint_forgives_lost_attempts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
