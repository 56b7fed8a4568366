/* The coordinator's core, rule by rule of docs/protocol.md: the life of a job, who may speak of it,
 * and what of it counts. Every step also checks all invariants (core_check), so each test is a
 * small walk through the state machine. */
#include "cmocka_all.h"

#include <string.h>

#include "bounds.h"
#include "core_world.h"
#include "job.h"

/* Every pair of states, against the diagram of job.h written down a second time. */
static void test_state_table_is_the_diagram(void **state)
{
    (void)state;
    static const char *const rows[JOB_STATE_COUNT] = {
        /*                  WLRDFCAQ */
        [JOB_WAITING] = "-L--FCAQ", [JOB_LEASED] = "W-RDFC-Q",     [JOB_RUNNING] = "W--DFC-Q",
        [JOB_DONE] = "--------",    [JOB_FAILED] = "W-------",     [JOB_CANCELLED] = "W-------",
        [JOB_ABORTED] = "W-------", [JOB_QUARANTINED] = "W-------"};
    for (int from = 0; from < JOB_STATE_COUNT; from++) {
        for (int to = 0; to < JOB_STATE_COUNT; to++) {
            assert_int_equal(job_may_follow((enum job_state)from, (enum job_state)to),
                             rows[from][to] != '-');
        }
    }
}

static void test_a_job_runs_to_its_end(void **state)
{
    struct core_world *w = *state;
    core_world_submit_one(w, 1);
    assert_int_equal(core_world_sent(w, MSG_SUBMITTED, 0)->submitted.jobs_new, 1);
    assert_int_equal(core_world_state(w, 1), JOB_WAITING);
    assert_string_equal(core_world_reason(w, 1), "NoWorkers");
    uint64_t session = core_world_hello(w, "a", 1, 1, WORLD_CLASS);
    assert_int_not_equal(session, 0);
    const struct msg *lease = core_world_sent(w, MSG_LEASE, 0);
    assert_int_equal(lease->lease.lease.epoch, 1);
    assert_int_equal(core_world_state(w, 1), JOB_LEASED);
    struct msg started = {.kind = MSG_STARTED,
                          .started = {.session = session, .lease = core_world_key(1, 1)}};
    core_world_say(w, 1, &started);
    assert_int_equal(core_world_state(w, 1), JOB_RUNNING);
    struct msg ok = core_world_ok(session, 1, 1);
    core_world_say(w, 1, &ok);
    assert_int_equal(core_world_state(w, 1), JOB_DONE);
    assert_non_null(core_world_sent(w, MSG_RESULT_ACK, 0));
    assert_false(core_has_job(w->core, &w->rows[0].state.identity));
    /* Its acknowledgement is lost: it is acknowledged again, nothing changes. */
    core_world_say(w, 1, &ok);
    assert_non_null(core_world_sent(w, MSG_RESULT_ACK, 0));
    assert_int_equal(w->out.op_count, 0);
}

static void test_stale_epochs_change_nothing(void **state)
{
    struct core_world *w = *state;
    core_world_submit_one(w, 1);
    uint64_t a = core_world_hello(w, "a", 1, 1, WORLD_CLASS);
    struct msg crash = core_world_bad(a, 1, 1, OUTCOME_CANCELLED, "shutting down");
    core_world_say(w, 1, &crash); /* costs nothing, is leased again at once: epoch 2 */
    assert_int_equal(core_world_row(w, 1)->epoch, 2);
    const struct msg stale[] = {
        {.kind = MSG_STARTED, .started = {.session = a, .lease = core_world_key(1, 1)}},
        {.kind = MSG_STREAM, .stream = {.session = a, .lease = core_world_key(1, 1)}},
        {.kind = MSG_CHECKPOINT,
         .checkpoint = {.session = a, .lease = core_world_key(1, 1), .step = 9}},
        core_world_ok(a, 1, 1),
        core_world_ok(a, 1, 3), /* from a future that does not exist */
        core_world_ok(a, 5, 1), /* a job nobody knows */
    };
    for (size_t i = 0; i < sizeof stale / sizeof stale[0]; i++) {
        core_world_say(w, 1, &stale[i]);
        assert_int_equal(w->out.op_count, 0);
        assert_int_equal(core_world_sent_count(w, MSG_REVOKE), 1);
        assert_int_equal(w->out.send_count, 1);
    }
}

static void test_another_workers_lease_is_not_mine(void **state)
{
    struct core_world *w = *state;
    core_world_submit_one(w, 1);
    core_world_hello(w, "a", 1, 1, WORLD_CLASS);
    uint64_t b = core_world_hello(w, "b", 2, 1, WORLD_CLASS);
    struct msg ok = core_world_ok(b, 1, 1);
    core_world_say(w, 2, &ok);
    assert_int_equal(core_world_state(w, 1), JOB_LEASED);
    assert_non_null(core_world_sent(w, MSG_REVOKE, 0));
}

static void test_sessions_belong_to_connections(void **state)
{
    struct core_world *w = *state;
    uint64_t a = core_world_hello(w, "a", 1, 1, WORLD_CLASS);
    struct msg beat = core_world_beat(a, NULL, 0);
    core_world_say(w, 1, &beat);
    assert_non_null(core_world_sent(w, MSG_PULSE, 0));
    core_world_say(w, 2, &beat); /* the same words on another connection */
    assert_non_null(core_world_sent(w, MSG_NO_SESSION, 0));
    assert_null(core_world_sent(w, MSG_PULSE, 0));
    core_world_hello(w, "a", 3, 1, WORLD_CLASS); /* reconnected: the old session is over */
    core_world_say(w, 1, &beat);
    assert_non_null(core_world_sent(w, MSG_NO_SESSION, 0));
}

static struct msg stream_of(uint64_t session, uint32_t index, const char *payload)
{
    return (struct msg){.kind = MSG_STREAM,
                        .stream = {.session = session,
                                   .lease = core_world_key(1, 1),
                                   .stream = STREAM_RECORDS,
                                   .index = index,
                                   .payload = {(const uint8_t *)payload, strlen(payload)}}};
}

static uint32_t deliver(struct core_world *w, uint64_t session, uint32_t index, const char *payload)
{
    struct msg m = stream_of(session, index, payload);
    core_world_say_with(w, 1,
                        (struct core_message){.msg = &m, .items = 2, .payload_is_valid = true});
    const struct msg *ack = core_world_sent(w, MSG_ACK, 0);
    return ack == NULL ? UINT32_MAX : ack->ack.next;
}

static void test_batches_are_stored_once_and_in_order(void **state)
{
    struct core_world *w = *state;
    struct submit_job job = core_world_plan(1);
    job.items_expected = 4;
    core_world_submit(w, "e", &job, 1);
    uint64_t a = core_world_hello(w, "a", 1, 1, WORLD_CLASS);
    assert_int_equal(deliver(w, a, 1, "late"), 0); /* a gap: not stored */
    assert_int_equal(deliver(w, a, 0, "one"), 1);
    assert_int_equal(deliver(w, a, 0, "one"), 1); /* a double: not stored */
    assert_int_equal(w->out.op_count, 0);
    struct msg result = core_world_ok(a, 1, 1);
    result.result.batches[STREAM_RECORDS] = 2;
    result.result.items = 4;
    result.result.records = hash_bytes("onetwo", 6);
    core_world_say(w, 1, &result); /* a batch is missing: asked for, nothing ends */
    assert_int_equal(core_world_sent(w, MSG_ACK, 0)->ack.next, 1);
    assert_int_equal(core_world_state(w, 1), JOB_RUNNING);
    assert_int_equal(deliver(w, a, 1, "two"), 2);
    core_world_say(w, 1, &result);
    assert_int_equal(core_world_state(w, 1), JOB_DONE);
    assert_int_equal(core_world_row(w, 1)->items, 4);
}

/* How the latest step ended an attempt. */
static const char *end_reason(const struct core_world *w)
{
    for (size_t i = 0; i < w->out.op_count; i++) {
        if (w->out.ops[i].kind == CORE_OP_ATTEMPT_END) {
            return w->out.ops[i].attempt.reason;
        }
    }
    return "it has not ended";
}

/* One batch of two records is stored. Each contradiction alone, in either direction, turns a
 * success into a failed attempt that names it; without any it stands. */
static void test_results_that_contradict_the_store_fail(void **state)
{
    static const struct {
        const char *why; /* NULL: nothing is wrong */
        uint64_t planned, said;
        uint32_t batches;
        const char *records;
        enum job_kind kind;
    } cases[] = {
        {NULL, 2, 2, 1, "one", JOB_EVALUATE},
        {NULL, 0, 2, 1, "one", JOB_EVALUATE},
        {"the plan wants 3", 3, 2, 1, "one", JOB_EVALUATE},
        {"the plan wants 1", 1, 2, 1, "one", JOB_EVALUATE},
        {"the result counts 1 records, the store has 2", 0, 1, 1, "one", JOB_EVALUATE},
        {"the result counts 3 records, the store has 2", 0, 3, 1, "one", JOB_EVALUATE},
        {"the result counts 0 batches of records, the store has 1", 0, 2, 0, "one", JOB_EVALUATE},
        {"the digest of the stored records", 0, 2, 1, "two", JOB_EVALUATE},
        {"the result names no artifact", 0, 2, 1, "one", JOB_PRETRAIN},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct core_world *w = core_world_new();
        struct submit_job job = core_world_plan(1);
        job.items_expected = cases[i].planned;
        job.kind = cases[i].kind;
        job.attempts_max = 1;
        core_world_submit(w, "e", &job, 1);
        uint64_t a = core_world_hello(w, "a", 1, 1, WORLD_CLASS);
        assert_int_equal(deliver(w, a, 0, "one"), 1);
        struct msg result = core_world_ok(a, 1, 1);
        result.result.batches[STREAM_RECORDS] = cases[i].batches;
        result.result.items = cases[i].said;
        result.result.records = hash_bytes(cases[i].records, 3);
        core_world_say(w, 1, &result);
        assert_int_equal(core_world_state(w, 1), cases[i].why == NULL ? JOB_DONE : JOB_FAILED);
        assert_non_null(strstr(end_reason(w), cases[i].why == NULL ? "" : cases[i].why));
        assert_non_null(core_world_sent(w, MSG_RESULT_ACK, 0));
        core_world_free(w);
    }
}

static void test_damaged_batches_end_the_attempt(void **state)
{
    struct core_world *w = *state;
    core_world_submit_one(w, 1);
    uint64_t a = core_world_hello(w, "a", 1, 1, WORLD_CLASS);
    struct msg m = stream_of(a, 0, "x");
    core_world_say_with(w, 1, (struct core_message){.msg = &m, .payload_is_valid = false});
    assert_int_equal(core_world_state(w, 1), JOB_WAITING);
    assert_int_equal(core_world_row(w, 1)->outcome, OUTCOME_FAILED);
    assert_non_null(core_world_sent(w, MSG_REVOKE, 0));
}

static void test_checkpoints_are_remembered(void **state)
{
    struct core_world *w = *state;
    core_world_submit_one(w, 1);
    uint64_t a = core_world_hello(w, "a", 1, 1, WORLD_CLASS);
    struct msg m = {.kind = MSG_CHECKPOINT,
                    .checkpoint = {.session = a,
                                   .lease = core_world_key(1, 1),
                                   .step = 20,
                                   .tree = hash_bytes("twenty", 6)}};
    core_world_say_with(w, 1, (struct core_message){.msg = &m, .tree_is_stored = false});
    assert_int_equal(w->out.send_count, 0); /* it will be repeated */
    core_world_say(w, 1, &m);
    assert_int_equal(core_world_sent(w, MSG_CHECKPOINT_ACK, 0)->checkpoint_ack.step, 20);
    m.checkpoint.step = 10; /* late */
    m.checkpoint.tree = hash_bytes("ten", 3);
    core_world_say(w, 1, &m);
    assert_non_null(core_world_sent(w, MSG_CHECKPOINT_ACK, 0));
    struct msg stop = core_world_bad(a, 1, 1, OUTCOME_CANCELLED, "");
    core_world_say(w, 1, &stop);
    const struct msg *lease = core_world_sent(w, MSG_LEASE, 0);
    assert_int_equal(lease->lease.resume_step, 20);
    struct digest twenty = hash_bytes("twenty", 6);
    assert_true(digest_equal(&lease->lease.resume, &twenty));
}

static void test_planted_faults_do_what_they_say(void **state)
{
    (void)state;
    for (int fault = CORE_FAULT_NONE; fault <= CORE_FAULT_DROP_CHECKPOINT; fault++) {
        struct core_world *w = core_world_new();
        core_free(w->core);
        w->core = core_new_with_fault(&(struct core_options){.boot = 1}, 1, (enum core_fault)fault);
        core_world_submit_one(w, 1);
        uint64_t a = core_world_hello(w, "a", 1, 1, WORLD_CLASS);
        assert_int_equal(w->out.sends[0].immediate, fault == CORE_FAULT_ACK_BEFORE_COMMIT);
        struct msg m = {.kind = MSG_CHECKPOINT,
                        .checkpoint = {.session = a, .lease = core_world_key(1, 1), .step = 5}};
        m.checkpoint.tree = hash_bytes("five", 4);
        core_world_say(w, 1, &m);
        assert_int_equal(core_world_row(w, 1)->resume_step,
                         fault == CORE_FAULT_DROP_CHECKPOINT ? 0 : 5);
        struct msg ok = core_world_ok(a, 1, 77);
        core_world_say(w, 1, &ok);
        assert_int_equal(core_world_state(w, 1),
                         fault == CORE_FAULT_SKIP_EPOCH_CHECK ? JOB_DONE : JOB_RUNNING);
        core_world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_state_table_is_the_diagram),
        CORE_TEST(test_a_job_runs_to_its_end),
        CORE_TEST(test_stale_epochs_change_nothing),
        CORE_TEST(test_another_workers_lease_is_not_mine),
        CORE_TEST(test_sessions_belong_to_connections),
        CORE_TEST(test_batches_are_stored_once_and_in_order),
        cmocka_unit_test(test_results_that_contradict_the_store_fail),
        CORE_TEST(test_damaged_batches_end_the_attempt),
        CORE_TEST(test_checkpoints_are_remembered),
        cmocka_unit_test(test_planted_faults_do_what_they_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
