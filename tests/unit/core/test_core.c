/* The coordinator's core, rule by rule of docs/protocol.md. Every step also checks all invariants
 * (core_check), so each test is a small walk through the state machine. */
#include "cmocka_all.h"

#include <math.h>
#include <string.h>

#include "bounds.h"
#include "core_world.h"
#include "job.h"

#define CLASS WORLD_CLASS

static int set_up(void **state)
{
    *state = core_world_new();
    return 0;
}

static int tear_down(void **state)
{
    core_world_free(*state);
    return 0;
}

static struct lease_key key(uint64_t job, uint32_t epoch)
{
    return (struct lease_key){.job = core_world_job(job), .epoch = epoch};
}

static void step_part(struct core_world *w, const struct submit_job *jobs, size_t count,
                      const struct msg_submitted *before)
{
    core_world_step(w, (struct core_event){.kind = CORE_SUBMIT,
                                           .peer = 99,
                                           .submit = {.request = 7,
                                                      .experiment = "e",
                                                      .jobs = jobs,
                                                      .job_count = count,
                                                      .is_part = true,
                                                      .before = before}});
}

/* A plan in parts ends as the same plan at once does; the peer hears nothing of it. */
static void test_a_plan_in_parts_is_the_plan(void **state)
{
    struct core_world *w = *state, *whole = core_world_new();
    struct submit_job jobs[3] = {core_world_plan(1), core_world_plan(2), core_world_plan(3)};
    struct named_digest model = {"model", jobs[0].identity};
    struct strbuf in_parts = {0}, at_once = {0};
    jobs[2].parents = &model;
    jobs[2].parent_count = 1;
    step_part(w, jobs, 2, NULL);
    const struct msg_submitted before = w->out.submitted;
    assert_int_equal(before.jobs_new, 2);
    step_part(w, jobs + 2, 1, &before);
    assert_int_equal(w->out.submitted.jobs_new, 3);
    assert_null(w->out.submit_refused);
    assert_null(core_world_sent(w, MSG_SUBMITTED, 0));
    core_dump(w->core, &in_parts);
    /* A part whose parent nobody knows changes nothing. */
    struct submit_job orphan = core_world_plan(5);
    struct named_digest unknown = {"model", core_world_job(6)};
    orphan.parents = &unknown;
    orphan.parent_count = 1;
    step_part(w, &orphan, 1, &before);
    assert_non_null(w->out.submit_refused);
    assert_null(core_world_sent(w, MSG_ERROR, 0));
    core_world_submit(whole, "e", jobs, 3);
    core_dump(whole->core, &at_once);
    assert_string_equal(strbuf_text(&in_parts), strbuf_text(&at_once));
    core_world_free(whole);
    strbuf_release(&in_parts);
    strbuf_release(&at_once);
}

static void submit_one(struct core_world *w, uint64_t number)
{
    struct submit_job job = core_world_plan(number);
    core_world_submit(w, "e", &job, 1);
}

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
    submit_one(w, 1);
    assert_int_equal(core_world_sent(w, MSG_SUBMITTED, 0)->submitted.jobs_new, 1);
    assert_int_equal(core_world_state(w, 1), JOB_WAITING);
    assert_string_equal(core_wait_reason(w->core, &w->rows[0].state.identity, w->now_ms),
                        "NoWorkers");
    uint64_t session = core_world_hello(w, "a", 1, 1, CLASS);
    assert_int_not_equal(session, 0);
    const struct msg *lease = core_world_sent(w, MSG_LEASE, 0);
    assert_int_equal(lease->lease.lease.epoch, 1);
    assert_int_equal(core_world_state(w, 1), JOB_LEASED);
    struct msg started = {.kind = MSG_STARTED, .started = {.session = session, .lease = key(1, 1)}};
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
    submit_one(w, 1);
    uint64_t a = core_world_hello(w, "a", 1, 1, CLASS);
    struct msg crash = core_world_bad(a, 1, 1, OUTCOME_CANCELLED, "shutting down");
    core_world_say(w, 1, &crash); /* costs nothing, is leased again at once: epoch 2 */
    assert_int_equal(core_world_row(w, 1)->epoch, 2);
    const struct msg stale[] = {
        {.kind = MSG_STARTED, .started = {.session = a, .lease = key(1, 1)}},
        {.kind = MSG_STREAM, .stream = {.session = a, .lease = key(1, 1)}},
        {.kind = MSG_CHECKPOINT, .checkpoint = {.session = a, .lease = key(1, 1), .step = 9}},
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
    submit_one(w, 1);
    core_world_hello(w, "a", 1, 1, CLASS);
    uint64_t b = core_world_hello(w, "b", 2, 1, CLASS);
    struct msg ok = core_world_ok(b, 1, 1);
    core_world_say(w, 2, &ok);
    assert_int_equal(core_world_state(w, 1), JOB_LEASED);
    assert_non_null(core_world_sent(w, MSG_REVOKE, 0));
}

static void test_sessions_belong_to_connections(void **state)
{
    struct core_world *w = *state;
    uint64_t a = core_world_hello(w, "a", 1, 1, CLASS);
    struct msg beat = core_world_beat(a, NULL, 0);
    core_world_say(w, 1, &beat);
    assert_non_null(core_world_sent(w, MSG_PULSE, 0));
    core_world_say(w, 2, &beat); /* the same words on another connection */
    assert_non_null(core_world_sent(w, MSG_NO_SESSION, 0));
    assert_null(core_world_sent(w, MSG_PULSE, 0));
    core_world_hello(w, "a", 3, 1, CLASS); /* reconnected: the old session is over */
    core_world_say(w, 1, &beat);
    assert_non_null(core_world_sent(w, MSG_NO_SESSION, 0));
}

static struct msg stream_of(uint64_t session, uint32_t index, const char *payload)
{
    return (struct msg){.kind = MSG_STREAM,
                        .stream = {.session = session,
                                   .lease = key(1, 1),
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
    uint64_t a = core_world_hello(w, "a", 1, 1, CLASS);
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
        uint64_t a = core_world_hello(w, "a", 1, 1, CLASS);
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
    submit_one(w, 1);
    uint64_t a = core_world_hello(w, "a", 1, 1, CLASS);
    struct msg m = stream_of(a, 0, "x");
    core_world_say_with(w, 1, (struct core_message){.msg = &m, .payload_is_valid = false});
    assert_int_equal(core_world_state(w, 1), JOB_WAITING);
    assert_int_equal(core_world_row(w, 1)->outcome, OUTCOME_FAILED);
    assert_non_null(core_world_sent(w, MSG_REVOKE, 0));
}

static void test_retries_back_off_until_the_budget_ends(void **state)
{
    struct core_world *w = *state;
    submit_one(w, 1);
    uint64_t a = core_world_hello(w, "a", 1, 1, CLASS);
    for (uint32_t epoch = 1; epoch <= 3; epoch++) {
        struct msg crash = core_world_bad(a, 1, epoch, OUTCOME_CRASHED, "signal 11");
        core_world_say(w, 1, &crash);
        if (epoch == 3) {
            break;
        }
        assert_int_equal(core_world_state(w, 1), JOB_WAITING);
        assert_string_equal(core_wait_reason(w->core, &w->rows[0].state.identity, w->now_ms),
                            "Backoff");
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
        submit_one(w, 1);
        uint64_t a = core_world_hello(w, "a", 1, 1, CLASS);
        struct msg bad = core_world_bad(a, 1, 1, OUTCOME_FAILED, "no such tensor");
        core_world_say(w, 1, &bad);
        struct msg bye = {.kind = MSG_BYE, .bye.session = a};
        core_world_say(w, 1, &bye);
        uint64_t b = core_world_hello(w, "b", 2, 1, CLASS);
        core_world_pass(w, 1000);
        assert_non_null(core_world_sent(w, MSG_LEASE, 0));
        bad = core_world_bad(b, 1, 2, OUTCOME_FAILED, same ? "no such tensor" : "another thing");
        core_world_say(w, 2, &bad);
        assert_int_equal(core_world_state(w, 1), same ? JOB_QUARANTINED : JOB_WAITING);
        /* Submitting again leaves it there. */
        submit_one(w, 1);
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
    submit_one(w, 1);
    uint64_t a = core_world_hello(w, "a", 1, 1, CLASS);
    struct msg bad = core_world_bad(a, 1, 1, OUTCOME_FAILED, reason.data);
    core_world_say(w, 1, &bad);
    struct msg bye = {.kind = MSG_BYE, .bye.session = a};
    core_world_say(w, 1, &bye);
    uint64_t b = core_world_hello(w, "b", 2, 1, CLASS);
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
    submit_one(w, 1);
    uint64_t a = core_world_hello(w, "a", 1, 1, CLASS);
    struct msg bad = core_world_bad(a, 1, 1, OUTCOME_DIVERGED, "loss is NaN at step 7");
    core_world_say(w, 1, &bad);
    assert_int_equal(core_world_state(w, 1), JOB_FAILED);
}

static void test_lost_attempts_cost_nothing_but_end(void **state)
{
    struct core_world *w = *state;
    submit_one(w, 1);
    for (uint32_t epoch = 1; epoch <= 20; epoch++) {
        core_world_hello(w, "a", 1, 1, CLASS);
        assert_int_equal(core_world_row(w, 1)->epoch, epoch);
        core_world_pass(w, HEARTBEAT_MS * HEARTBEAT_LIVENESS); /* silent: no new leases */
        assert_int_equal(core_counts(w->core).workers, 0);
        assert_int_equal(core_world_state(w, 1), JOB_LEASED); /* but the old one runs on */
        core_world_pass(w, LEASE_MS);
        assert_int_equal(core_world_state(w, 1), epoch < 20 ? JOB_WAITING : JOB_FAILED);
        assert_int_equal(core_world_row(w, 1)->attempts_spent, 0);
    }
}

static void test_children_wait_for_parents_and_fall_with_them(void **state)
{
    struct core_world *w = *state;
    struct submit_job jobs[] = {core_world_plan(3), core_world_plan(2), core_world_plan(1)};
    struct named_digest of_two = {"model", core_world_job(2)};
    struct named_digest of_one = {"model", core_world_job(1)};
    jobs[0].parents = &of_two; /* children first: any order is fine */
    jobs[0].parent_count = 1;
    jobs[1].parents = &of_one;
    jobs[1].parent_count = 1;
    core_world_submit(w, "e", jobs, 3);
    struct digest three = core_world_job(3);
    assert_string_equal(core_wait_reason(w->core, &three, w->now_ms), "Parents");
    struct msg_explanation why = {0};
    core_explain(w->core, &three, w->now_ms, &w->arena, &why);
    assert_non_null(strstr(why.text, "its parent 'model' ("));
    uint64_t a = core_world_hello(w, "a", 1, 4, CLASS);
    assert_int_equal(core_world_sent_count(w, MSG_LEASE), 1);
    struct msg ok = core_world_ok(a, 1, 1);
    ok.result.artifact = hash_bytes("weights", 7);
    core_world_say(w, 1, &ok);
    const struct msg *lease = core_world_sent(w, MSG_LEASE, 0);
    assert_true(digest_equal(&lease->lease.parents[0].digest, &ok.result.artifact));
    struct msg bad = core_world_bad(a, 2, 1, OUTCOME_DIVERGED, "NaN");
    core_world_say(w, 1, &bad);
    assert_int_equal(core_world_state(w, 2), JOB_FAILED);
    assert_int_equal(core_world_state(w, 3), JOB_ABORTED);
    assert_int_equal(core_counts(w->core).jobs, 0);
    /* Submitted again: done is reused, the others wait anew with later epochs. */
    core_world_submit(w, "e", jobs, 3);
    const struct msg *reply = core_world_sent(w, MSG_SUBMITTED, 0);
    assert_int_equal(reply->submitted.jobs_reused, 1);
    assert_int_equal(reply->submitted.jobs_requeued, 2);
    assert_int_equal(core_world_row(w, 2)->epoch, 2);
    assert_int_equal(core_world_row(w, 2)->attempts_spent, 0);
    core_world_submit(w, "other", jobs, 3);
    assert_int_equal(core_world_sent(w, MSG_SUBMITTED, 0)->submitted.jobs_running, 2);
}

static void test_impossible_plans_change_nothing(void **state)
{
    struct core_world *w = *state;
    struct submit_job jobs[] = {core_world_plan(1), core_world_plan(2)};
    struct named_digest of_two = {"start", core_world_job(2)};
    struct named_digest of_one = {"start", core_world_job(1)};
    struct named_digest of_none = {"start", core_world_job(31)};
    jobs[0].parents = &of_none;
    jobs[0].parent_count = 1;
    core_world_submit(w, "e", jobs, 2);
    assert_non_null(
        strstr(core_world_sent(w, MSG_ERROR, 0)->error.text, "is neither in this plan nor known"));
    jobs[0].parents = &of_two;
    jobs[1].parents = &of_one;
    jobs[1].parent_count = 1;
    core_world_submit(w, "e", jobs, 2);
    assert_string_equal(core_world_sent(w, MSG_ERROR, 0)->error.text,
                        "the plan's jobs need one another in a circle");
    jobs[1] = jobs[0] = core_world_plan(1);
    core_world_submit(w, "e", jobs, 2);
    assert_string_equal(core_world_sent(w, MSG_ERROR, 0)->error.text,
                        "job 'job' is in the plan twice");
    assert_int_equal(w->out.op_count, 0);
    assert_int_equal(core_counts(w->core).jobs, 0);
}

static void test_numeric_class_is_fixed_by_the_first_lease(void **state)
{
    struct core_world *w = *state;
    struct submit_job jobs[] = {core_world_plan(1), core_world_plan(2)};
    core_world_submit(w, "e", jobs, 2);
    core_world_hello(w, "a", 1, 1, CLASS);
    core_world_hello(w, "b", 2, 1, "blas/f32/Zen/1");
    assert_null(core_world_sent(w, MSG_LEASE, 0));
    assert_int_equal(core_world_state(w, 2), JOB_WAITING);
    struct digest two = core_world_job(2);
    assert_string_equal(core_wait_reason(w->core, &two, w->now_ms), "Resources");
    struct msg bye = {.kind = MSG_BYE};
    struct worker_row rows[4];
    assert_int_equal(core_workers(w->core, rows, 4), 2);
    bye.bye.session = (uint64_t)1 << 32 | 1;
    core_world_say(w, 1, &bye);
    assert_string_equal(core_wait_reason(w->core, &two, w->now_ms), "NumericClass");
    core_world_hello(w, "c", 3, 2, CLASS);
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
    uint64_t a = core_world_hello(w, "a", 1, 1, CLASS); /* job 1 */
    uint64_t b = core_world_hello(w, "b", 2, 1, CLASS); /* job 2 */
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

static void test_checkpoints_are_remembered(void **state)
{
    struct core_world *w = *state;
    submit_one(w, 1);
    uint64_t a = core_world_hello(w, "a", 1, 1, CLASS);
    struct msg m = {
        .kind = MSG_CHECKPOINT,
        .checkpoint = {
            .session = a, .lease = key(1, 1), .step = 20, .tree = hash_bytes("twenty", 6)}};
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

static void act(struct core_world *w, enum core_event_kind kind, uint64_t number)
{
    struct digest job = core_world_job(number);
    struct core_job_row *row = &w->rows[core_world_row(w, number)->order - 1];
    core_world_step(w, (struct core_event){.kind = kind,
                                           .peer = 99,
                                           .act = {.request = 3,
                                                   .reason = "",
                                                   .experiment = "",
                                                   .jobs = &job,
                                                   .job_count = 1,
                                                   .rows = row,
                                                   .row_count = 1}});
}

static void test_cancel_and_retry(void **state)
{
    struct core_world *w = *state;
    struct submit_job jobs[] = {core_world_plan(1), core_world_plan(2)};
    struct named_digest of_one = {"model", core_world_job(1)};
    jobs[1].parents = &of_one;
    jobs[1].parent_count = 1;
    core_world_submit(w, "e", jobs, 2);
    uint64_t a = core_world_hello(w, "a", 1, 1, CLASS);
    act(w, CORE_CANCEL, 1);
    assert_int_equal(core_world_state(w, 1), JOB_CANCELLED);
    assert_int_equal(core_world_state(w, 2), JOB_ABORTED);
    assert_non_null(core_world_sent(w, MSG_REVOKE, 0));
    assert_int_equal(core_world_sent(w, MSG_OK, 0)->ok.count, 2);
    struct msg ok = core_world_ok(a, 1, 1); /* too late */
    core_world_say(w, 1, &ok);
    assert_int_equal(core_world_state(w, 1), JOB_CANCELLED);
    struct core_parent *parent = (struct core_parent *)(uintptr_t)w->rows[1].parents;
    parent->state = JOB_CANCELLED;
    act(w, CORE_RETRY, 2); /* its parent is not there */
    assert_int_equal(core_world_sent(w, MSG_ERROR, 0)->error.code, ERR_CONFLICT);
    act(w, CORE_RETRY, 1);
    assert_int_equal(core_world_state(w, 1), JOB_LEASED);
    assert_int_equal(core_world_row(w, 1)->epoch, 2);
    act(w, CORE_RETRY, 2);
    assert_int_equal(core_world_state(w, 2), JOB_WAITING);
}

static void test_draining_workers_get_nothing_new(void **state)
{
    struct core_world *w = *state;
    uint64_t a = core_world_hello(w, "a", 1, 1, CLASS);
    core_world_step(w, (struct core_event){.kind = CORE_DRAIN_WORKER,
                                           .peer = 99,
                                           .drain = {.request = 1, .worker = "a"}});
    assert_non_null(core_world_sent(w, MSG_DRAIN, 0));
    submit_one(w, 1);
    assert_null(core_world_sent(w, MSG_LEASE, 0));
    assert_string_equal(core_wait_reason(w->core, &w->rows[0].state.identity, w->now_ms),
                        "Draining");
    struct msg beat = core_world_beat(a, NULL, 0); /* has not heard it: said again */
    core_world_say(w, 1, &beat);
    assert_non_null(core_world_sent(w, MSG_DRAIN, 0));
    core_world_step(w, (struct core_event){.kind = CORE_DRAIN_WORKER,
                                           .peer = 99,
                                           .drain = {.request = 1, .worker = "nobody"}});
    assert_int_equal(core_world_sent(w, MSG_ERROR, 0)->error.code, ERR_NOT_FOUND);
}

static void test_planted_faults_do_what_they_say(void **state)
{
    (void)state;
    for (int fault = CORE_FAULT_NONE; fault <= CORE_FAULT_DROP_CHECKPOINT; fault++) {
        struct core_world *w = core_world_new();
        core_free(w->core);
        w->core = core_new_with_fault(&(struct core_options){.boot = 1}, 1, (enum core_fault)fault);
        submit_one(w, 1);
        uint64_t a = core_world_hello(w, "a", 1, 1, CLASS);
        assert_int_equal(w->out.sends[0].immediate, fault == CORE_FAULT_ACK_BEFORE_COMMIT);
        struct msg m = {.kind = MSG_CHECKPOINT,
                        .checkpoint = {.session = a, .lease = key(1, 1), .step = 5}};
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

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_state_table_is_the_diagram),
        TEST(test_a_job_runs_to_its_end),
        TEST(test_stale_epochs_change_nothing),
        TEST(test_another_workers_lease_is_not_mine),
        TEST(test_sessions_belong_to_connections),
        TEST(test_batches_are_stored_once_and_in_order),
        cmocka_unit_test(test_results_that_contradict_the_store_fail),
        TEST(test_damaged_batches_end_the_attempt),
        TEST(test_retries_back_off_until_the_budget_ends),
        cmocka_unit_test(test_the_same_failure_on_two_workers_quarantines),
        TEST(test_a_long_reason_is_cut_between_characters),
        TEST(test_divergence_is_final),
        TEST(test_lost_attempts_cost_nothing_but_end),
        TEST(test_children_wait_for_parents_and_fall_with_them),
        TEST(test_impossible_plans_change_nothing),
        TEST(test_a_plan_in_parts_is_the_plan),
        TEST(test_numeric_class_is_fixed_by_the_first_lease),
        TEST(test_threads_of_a_host_are_shared),
        TEST(test_no_sum_of_threads_wraps),
        TEST(test_no_sum_of_ranks_threads_wraps),
        TEST(test_no_time_of_a_worker_overflows),
        TEST(test_priority_then_warm_models_then_order),
        TEST(test_checkpoints_are_remembered),
        TEST(test_cancel_and_retry),
        TEST(test_draining_workers_get_nothing_new),
        cmocka_unit_test(test_planted_faults_do_what_they_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
