/* The agent as transcripts: each test feeds events and compares the actions, one line each, with
 * what docs/protocol.md asks for. Time is virtual. */
#include "cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent_world.h"
#include "bounds.h"
#include "codec.h"

static void test_an_evaluation_from_lease_to_acknowledged_result(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 2);
    lease_job(&w, 5, 1, JOB_EVALUATE, 1);
    expect(&w, "fetch 5.1\n");
    on(&w, AGENT_EV_FETCHED, 5);
    expect(&w, "run 5.1 child 1 fresh\n");
    on(&w, AGENT_EV_RUNNING, 5);
    expect(&w, "send started 5.1\n");
    batch(&w, 5, STREAM_RECORDS);
    expect(&w, "send batch 5.1 1:0\n");
    ended(&w, 5, OUTCOME_OK, "", 0);
    expect(&w, "spool result 5.1 0 [0 1 0]\n"); /* the batch is not acknowledged yet */
    acknowledge(&w, 5, STREAM_RECORDS, 1);
    expect(&w, "drop 5.1 1<1\nsend result 5.1 0 [0 1 0]\n");
    pass(&w, 2000);
    expect(&w, "send result 5.1 0 [0 1 0]\n"); /* repeated until acknowledged */
    result_acknowledged(&w, 5);
    expect(&w, "forget 5.1\n");
    /* A second evaluation of the model goes to the warm child, one of another kind does not. */
    lease_job(&w, 6, 1, JOB_EVALUATE, 1);
    on(&w, AGENT_EV_FETCHED, 6);
    expect(&w, "fetch 6.1\nrun 6.1 child 1\n");
    lease_job(&w, 7, 1, JOB_INSTRUCT, 1);
    on(&w, AGENT_EV_FETCHED, 7);
    expect(&w, "fetch 7.1\nrun 7.1 child 2 fresh\n");
    end(&w);
}

static void test_streams_go_back_n_with_a_window(void **state)
{
    (void)state;
    struct world w;
    begin_with_job(&w, 1, JOB_EVALUATE);
    for (int i = 0; i < AGENT_WINDOW + 3; i++)
        batch(&w, 5, STREAM_LOG);
    assert_non_null(strstr(strbuf_text(&w.text), "2:15\n"));
    assert_null(strstr(strbuf_text(&w.text), "2:16\n"));
    strbuf_clear(&w.text);
    acknowledge(&w, 5, STREAM_LOG, 15);
    expect(&w, "drop 5.1 2<15\nsend batch 5.1 2:16\nsend batch 5.1 2:17\nsend batch 5.1 2:18\n");
    acknowledge(&w, 5, STREAM_LOG, 9);    /* late */
    acknowledge(&w, 5, STREAM_LOG, 1000); /* about batches we never made */
    expect(&w, "");
    pass(&w, AGENT_RESEND_MS); /* silence: from the first unacknowledged one again */
    expect(&w, "send batch 5.1 2:15\nsend batch 5.1 2:16\nsend batch 5.1 2:17\n"
               "send batch 5.1 2:18\n");
    end(&w);
}

/* On a slow way everything is only late, and repeating fills it. */
static void test_repetitions_become_rarer_until_one_is_answered(void **state)
{
    (void)state;
    struct world w;
    begin_with_job(&w, 1, JOB_EVALUATE);
    batch(&w, 5, STREAM_RECORDS);
    expect(&w, "send batch 5.1 1:0\n");
    for (int64_t wait_ms = AGENT_RESEND_MS; wait_ms <= AGENT_RESEND_MS_MAX; wait_ms *= 2) {
        for (int64_t ms = 1000; ms < wait_ms; ms += 1000) {
            pass(&w, 1000);
            pulse(&w, 1);
        }
        expect(&w, "");
        pass(&w, 1000);
        pulse(&w, 1);
        expect(&w, "send batch 5.1 1:0\n");
    }
    batch(&w, 5, STREAM_RECORDS);
    expect(&w, "send batch 5.1 1:1\n");
    acknowledge(&w, 5, STREAM_RECORDS, 1);
    expect(&w, "drop 5.1 1<1\n");
    pass(&w, AGENT_RESEND_MS);
    expect(&w, "send batch 5.1 1:1\n");
    end(&w);
}

static void test_revoke_kills_and_late_duplicates_stay_dead(void **state)
{
    (void)state;
    struct world w;
    begin_with_job(&w, 1, JOB_PRETRAIN);
    say(&w, (struct msg){.kind = MSG_REVOKE,
                         .revoke = {.session = 1, .lease = lease_of(5, 1), .reason = "cancelled"}});
    expect(&w, "stop child 1\nforget 5.1\n");
    lease_job(&w, 5, 1, JOB_PRETRAIN, 1); /* a duplicate of the same lease */
    expect(&w, "");
    lease_job(&w, 5, 2, JOB_PRETRAIN, 1); /* a new attempt is another matter */
    step(&w, (struct agent_event){.kind = AGENT_EV_FETCHED, .lease = lease_of(5, 2)});
    expect(&w, "fetch 5.2\n"); /* its core is still taken by the dying child */
    for (int i = 0; i < 5; i++) {
        pass(&w, 2000);
        pulse(&w, 1);
    }
    expect(&w, "stop child 1 hard\n");
    exited(&w, 1, OUTCOME_CRASHED, "killed");
    expect(&w, "run 5.2 child 2 fresh\n");
    end(&w);
}

static void test_a_crash_is_a_result_with_its_sentence(void **state)
{
    (void)state;
    struct world w;
    begin_with_job(&w, 1, JOB_PRETRAIN);
    exited(&w, 1, OUTCOME_CRASHED, "signal 11");
    expect(&w, "spool result 5.1 3 signal 11[0 0 0]\nsend result 5.1 3 signal 11[0 0 0]\n");
    end(&w);
}

static void test_artifact_before_result_and_uploads_retry(void **state)
{
    (void)state;
    struct world w;
    begin_with_job(&w, 1, JOB_PRETRAIN);
    ended(&w, 5, OUTCOME_OK, "", 42);
    expect(&w, "spool result 5.1 0 [0 0 0]\nstop child 1\nupload 5.1 tree 42\n");
    struct agent_event failed = {.kind = AGENT_EV_UPLOAD_FAILED,
                                 .lease = lease_of(5, 1),
                                 .tree = digest_of(42),
                                 .failure = {.text = "no answer"}};
    step(&w, failed);
    expect(&w, "");
    pass(&w, 1000);
    expect(&w, "upload 5.1 tree 42\n");
    step(&w, (struct agent_event){
                 .kind = AGENT_EV_UPLOADED, .lease = lease_of(5, 1), .tree = digest_of(42)});
    expect(&w, "send result 5.1 0 [0 0 0]\n");
    end(&w);
}

static void checkpoint(struct world *w, uint64_t step_number, uint8_t tree)
{
    step(w, (struct agent_event){.kind = AGENT_EV_CHECKPOINT,
                                 .lease = lease_of(5, 1),
                                 .checkpoint = {.step = step_number, .tree = digest_of(tree)}});
}

static void uploaded(struct world *w, uint8_t tree)
{
    step(w, (struct agent_event){
                .kind = AGENT_EV_UPLOADED, .lease = lease_of(5, 1), .tree = digest_of(tree)});
}

/* It may have an older state, without the blobs. */
static void test_a_restarted_coordinator_is_asked_for_the_blobs_of_a_checkpoint(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 1);
    lease_job(&w, 5, 1, JOB_PRETRAIN, 1);
    on(&w, AGENT_EV_FETCHED, 5);
    checkpoint(&w, 10, 1);
    uploaded(&w, 1);
    strbuf_clear(&w.text);
    say(&w, (struct msg){.kind = MSG_NO_SESSION, .no_session = {.session = 1, .reason = ""}});
    struct held_verdict verdict = {.lease = lease_of(5, 1), .keep = true};
    say(&w, (struct msg){.kind = MSG_WELCOME,
                         .welcome = {.session = 2,
                                     .heartbeat_ms = HEARTBEAT_MS,
                                     .verdicts = &verdict,
                                     .verdict_count = 1}});
    expect(&w, "upload 5.1 tree 1\n");
    uploaded(&w, 1);
    expect(&w, "send checkpoint 5.1 step 10\n");
    /* So is one whose blobs were on their way: some came before. */
    say(&w, (struct msg){.kind = MSG_CHECKPOINT_ACK,
                         .checkpoint_ack = {.session = 2, .lease = lease_of(5, 1), .step = 10}});
    checkpoint(&w, 20, 2);
    expect(&w, "upload 5.1 tree 2\n");
    say(&w, (struct msg){.kind = MSG_NO_SESSION, .no_session = {.session = 2, .reason = ""}});
    say(&w, (struct msg){.kind = MSG_WELCOME,
                         .welcome = {.session = 3,
                                     .heartbeat_ms = HEARTBEAT_MS,
                                     .verdicts = &verdict,
                                     .verdict_count = 1}});
    uploaded(&w, 2);
    expect(&w, "upload 5.1 tree 2\n");
    uploaded(&w, 2);
    expect(&w, "send checkpoint 5.1 step 20\n");
    end(&w);
}

static void test_checkpoints_are_told_after_they_are_stored(void **state)
{
    (void)state;
    struct world w;
    begin_with_job(&w, 1, JOB_PRETRAIN);
    checkpoint(&w, 10, 10);
    checkpoint(&w, 20, 20);
    checkpoint(&w, 30, 30); /* 20 is overtaken while 10 is under way */
    expect(&w, "upload 5.1 tree 10\n");
    uploaded(&w, 10);
    expect(&w, "send checkpoint 5.1 step 10\n");
    pass(&w, AGENT_RESEND_MS);
    expect(&w, "send checkpoint 5.1 step 10\n");
    struct msg ack = {.kind = MSG_CHECKPOINT_ACK,
                      .checkpoint_ack = {.session = 1, .lease = lease_of(5, 1), .step = 10}};
    say(&w, ack);
    expect(&w, "upload 5.1 tree 30\n");
    /* Shutting down: the result waits for the last checkpoint. */
    step(&w, (struct agent_event){.kind = AGENT_EV_TERMINATE, .grace_ms = 8000});
    expect(&w, "stop child 1\n");
    ended(&w, 5, OUTCOME_CANCELLED, "stopped", 0);
    expect(&w, "spool result 5.1 8 the worker is shutting down[0 0 0]\n");
    uploaded(&w, 30);
    expect(&w, "send checkpoint 5.1 step 30\n");
    ack.checkpoint_ack.step = 30;
    say(&w, ack);
    expect(&w, "send result 5.1 8 the worker is shutting down[0 0 0]\n");
    result_acknowledged(&w, 5);
    expect(&w, "forget 5.1\nsend bye\nleave: stopped\n");
    assert_true(agent_has_left(w.agent));
    end(&w);
}

static void test_terminate_leaves_in_time_whatever_happens(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 1);
    lease_job(&w, 5, 1, JOB_PRETRAIN, 1);
    lease_job(&w, 6, 1, JOB_PRETRAIN, 1);
    on(&w, AGENT_EV_FETCHED, 5);
    strbuf_clear(&w.text);
    step(&w, (struct agent_event){.kind = AGENT_EV_TERMINATE, .grace_ms = 4000});
    expect(&w, "stop child 1\nspool result 6.1 8 the worker is shutting down[0 0 0]\n"
               "send result 6.1 8 the worker is shutting down[0 0 0]\n");
    pass(&w, 3000);
    expect(&w, "send result 6.1 8 the worker is shutting down[0 0 0]\nstop child 1 hard\n");
    exited(&w, 1, OUTCOME_CRASHED, "signal 9");
    expect(&w, "spool result 5.1 8 the worker is shutting down[0 0 0]\n"
               "send result 5.1 8 the worker is shutting down[0 0 0]\n");
    pass(&w, 1000);
    assert_non_null(strstr(strbuf_text(&w.text), "leave: the grace period is over"));
    end(&w);
}

static void test_drain_finishes_what_is_held(void **state)
{
    (void)state;
    struct world w;
    begin_with_job(&w, 1, JOB_EVALUATE);
    say(&w, (struct msg){.kind = MSG_DRAIN, .drain = {.session = 1}});
    expect(&w, "");
    lease_job(&w, 6, 1, JOB_EVALUATE, 1); /* crossed the DRAIN on its way */
    expect(&w, "send result 6.1 5 the worker takes no new work[0 0 0]\n");
    result_acknowledged(&w, 6);
    ended(&w, 5, OUTCOME_OK, "", 0);
    result_acknowledged(&w, 5);
    expect(&w, "forget 6.1\nspool result 5.1 0 [0 0 0]\nstop child 1\n"
               "send result 5.1 0 [0 0 0]\nforget 5.1\nsend bye\nleave: drained\n");
    end(&w);
}

static void test_a_survivor_of_the_spool_is_delivered(void **state)
{
    (void)state;
    struct world w = {0};
    struct agent_options options = {
        .worker = "w", .host = "h", .numeric_class = "c", .version = "1", .threads = 1};
    w.agent = agent_new(&options);
    w.beats = true;
    struct agent_survivor survivor = {.lease = lease_of(5, 1),
                                      .outcome = {.outcome = OUTCOME_OK, .artifact = digest_of(4)},
                                      .batches = {0, 2, 0}};
    step(&w, (struct agent_event){.kind = AGENT_EV_START, .survivors = {&survivor, 1}});
    step(&w, (struct agent_event){.kind = AGENT_EV_CONNECTED});
    expect(&w, "upload 5.1 tree 4\nsend hello 5.1f\n");
    struct held_verdict verdict = {.lease = lease_of(5, 1), .keep = true, .next = {0, 1, 0}};
    say(&w, (struct msg){
                .kind = MSG_WELCOME,
                .welcome = {
                    .session = 1, .heartbeat_ms = 2000, .verdicts = &verdict, .verdict_count = 1}});
    expect(&w, "drop 5.1 1<1\nsend batch 5.1 1:1\n");
    acknowledge(&w, 5, STREAM_RECORDS, 2);
    expect(&w, "drop 5.1 1<2\n");
    uploaded(&w, 4);
    expect(&w, "send result 5.1 0 [0 2 0]\n");
    end(&w);
}

/* Batch 1 was stored, its acknowledgement lost, then the spool was damaged: the result counts only
 * what could still be read. Nothing of that is asked of the spool again (found by the simulator).
 */
static void test_a_store_that_has_more_than_the_spool_is_believed(void **state)
{
    (void)state;
    struct world w = {0};
    struct agent_options options = {
        .worker = "w", .host = "h", .numeric_class = "c", .version = "1", .threads = 1};
    w.agent = agent_new(&options);
    struct agent_survivor survivor = {.lease = lease_of(5, 1),
                                      .outcome = {.outcome = OUTCOME_FAILED, .reason = "damaged"},
                                      .batches = {0, 1, 0}};
    step(&w, (struct agent_event){.kind = AGENT_EV_START, .survivors = {&survivor, 1}});
    step(&w, (struct agent_event){.kind = AGENT_EV_CONNECTED});
    struct held_verdict verdict = {.lease = lease_of(5, 1), .keep = true, .next = {0, 2, 0}};
    say(&w, (struct msg){
                .kind = MSG_WELCOME,
                .welcome = {
                    .session = 1, .heartbeat_ms = 2000, .verdicts = &verdict, .verdict_count = 1}});
    expect(&w, "drop 5.1 1<1\nsend result 5.1 1 damaged[0 1 0]\n");
    end(&w);
}

/* Whatever a child said, its result can be sent: otherwise it would be held for ever. */
static void test_any_reason_fits_a_message(void **state)
{
    (void)state;
    struct world w;
    struct strbuf said = {0};
    strbuf_puts(&said, "key '\xff\x1b' ");
    while (said.len < 2 * REASON_BYTES_MAX)
        strbuf_puts(&said, "\xe2\x82\xac");
    begin(&w, 1);
    lease_job(&w, 5, 1, JOB_EVALUATE, 1);
    on(&w, AGENT_EV_FETCHED, 5);
    ended(&w, 5, OUTCOME_FAILED, said.data, 0);
    const struct msg *result = NULL;
    for (size_t i = 0; i < w.actions.count; i++) {
        if (w.actions.items[i].kind == AGENT_DO_SEND)
            result = &w.actions.items[i].message;
    }
    assert_non_null(result);
    struct strbuf frame = {0};
    struct err err;
    assert_int_equal(codec_encode(result, FRAME_BYTES_MAX, &frame, &err), ERR_OK);
    assert_true(strlen(result->result.reason) > REASON_BYTES_MAX - 3);
    strbuf_release(&frame);
    strbuf_release(&said);
    strbuf_clear(&w.text);
    end(&w);
}

static void test_jobs_share_the_threads_and_wait_for_them(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 3);
    for (uint8_t job = 1; job <= 3; job++) {
        lease_job(&w, job, 1, JOB_PRETRAIN, 2);
        on(&w, AGENT_EV_FETCHED, job);
    }
    expect(&w, "fetch 1.1\nrun 1.1 child 1 fresh\nfetch 2.1\nfetch 3.1\n");
    exited(&w, 1, OUTCOME_CRASHED, "x");
    expect(&w, "spool result 1.1 3 x[0 0 0]\nsend result 1.1 3 x[0 0 0]\n"
               "run 2.1 child 2 fresh\n");
    assert_int_equal(agent_threads_busy(w.agent), 2);
    end(&w);
}

static void test_a_full_disk_gives_the_attempt_back(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 1);
    lease_job(&w, 5, 1, JOB_EVALUATE, 1);
    on(&w, AGENT_EV_FETCHED, 5);
    batch(&w, 5, STREAM_RECORDS);
    acknowledge(&w, 5, STREAM_RECORDS, 1);
    strbuf_clear(&w.text);
    step(&w, (struct agent_event){.kind = AGENT_EV_DISK_TROUBLE,
                                  .lease = lease_of(5, 1),
                                  .failure = {.text = "no space"}});
    expect(&w, "stop child 1\nspool result 5.1 5 no space[0 1 0]\n"
               "send result 5.1 5 no space[0 1 0]\n");
    end(&w);
}

static void test_equal_events_give_equal_actions(void **state)
{
    (void)state;
    struct world a, b;
    begin(&a, 1);
    begin(&b, 1);
    a.beats = b.beats = true;
    pass(&a, 60000);
    pass(&b, 60000);
    assert_int_equal(a.actions.wake_at_ms, b.actions.wake_at_ms);
    expect(&a, strbuf_text(&b.text));
    end(&a);
    end(&b);
}

/* ---- time ---- */

/* A job's limit: its child is stopped, its checkpoint kept, and the end is a timeout whatever the
 * child says of it. */
static void test_an_attempt_past_its_limit_times_out(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 1);
    struct msg lease = {.kind = MSG_LEASE,
                        .lease = {.session = 1,
                                  .lease = lease_of(5, 1),
                                  .kind = JOB_PRETRAIN,
                                  .label = "x",
                                  .spec = {(const uint8_t *)"{}", 2},
                                  .threads = 1,
                                  .time_limit_ms = 3000}};
    say(&w, lease);
    pass(&w, 5000); /* fetching takes its time: that is not the job's */
    on(&w, AGENT_EV_FETCHED, 5);
    strbuf_clear(&w.text);
    pass(&w, 2900);
    expect(&w, "");
    pass(&w, 200);
    expect(&w, "stop child 1\n");
    ended(&w, 5, OUTCOME_CANCELLED, "stopped", 0);
    expect(&w, "spool result 5.1 7 it took longer than its time limit[0 0 0]\n"
               "send result 5.1 7 it took longer than its time limit[0 0 0]\n");
    end(&w);
}

/* One that was done before it heard is done. */
static void test_a_result_that_beats_the_stop_counts(void **state)
{
    (void)state;
    struct world w;
    begin_with_job(&w, 1, JOB_PRETRAIN);
    step(&w, (struct agent_event){.kind = AGENT_EV_TERMINATE, .grace_ms = 8000});
    expect(&w, "stop child 1\n");
    ended(&w, 5, OUTCOME_OK, "", 40);
    expect(&w, "spool result 5.1 0 [0 0 0]\nupload 5.1 tree 40\n");
    end(&w);
}

static struct agent *agent_with_end(struct world *w, int64_t ends_at_ms)
{
    const struct agent_options options = {.worker = "w",
                                          .host = "h",
                                          .numeric_class = "c",
                                          .version = "1",
                                          .instance = digest_of(7),
                                          .host_cores = 4,
                                          .threads = 1,
                                          .memory_bytes = 1000,
                                          .seed = 3,
                                          .labels = "big",
                                          .ends_at_ms = ends_at_ms,
                                          .end_grace_ms = 4000};
    memset(w, 0, sizeof *w);
    w->agent = agent_new(&options);
    w->now_ms = 1000;
    return w->agent;
}

/* An allocation that ends: HELLO says so, and before the end the job is stopped and given back. A
 * SIGTERM on the way does not shorten the way to a death without checkpoint. */
static void test_a_worker_stops_before_its_time_is_up(void **state)
{
    (void)state;
    struct world w;
    agent_with_end(&w, 21000);
    step(&w, (struct agent_event){.kind = AGENT_EV_START});
    step(&w, (struct agent_event){.kind = AGENT_EV_CONNECTED});
    bool said = false;
    for (size_t i = 0; i < w.actions.count; i++) {
        const struct agent_action *action = &w.actions.items[i];
        if (action->kind == AGENT_DO_SEND && action->message.kind == MSG_HELLO) {
            assert_int_equal(action->message.hello.ends_in_ms, 16000); /* less its own grace */
            assert_string_equal(action->message.hello.labels, "big");
            said = true;
        }
    }
    assert_true(said);
    welcome(&w, 1);
    lease_job(&w, 5, 1, JOB_PRETRAIN, 1);
    on(&w, AGENT_EV_FETCHED, 5);
    strbuf_clear(&w.text);
    pulse(&w, 1);
    pass(&w, 9000);
    pulse(&w, 1);
    pass(&w, 6900);
    strbuf_clear(&w.text);
    pulse(&w, 1);
    pass(&w, 200);
    expect(&w, "stop child 1\n");
    step(&w, (struct agent_event){.kind = AGENT_EV_TERMINATE, .grace_ms = 60000});
    assert_false(agent_has_left(w.agent));
    exited(&w, 1, OUTCOME_CRASHED, "signal 15");
    expect(&w, "spool result 5.1 8 the worker's time is up[0 0 0]\n"
               "send result 5.1 8 the worker's time is up[0 0 0]\n");
    result_acknowledged(&w, 5);
    assert_true(agent_has_left(w.agent));
    end(&w);
}

static void test_a_drain_with_a_deadline_stops_then(void **state)
{
    (void)state;
    struct world w;
    begin_with_job(&w, 1, JOB_PRETRAIN);
    const struct msg drain = {.kind = MSG_DRAIN,
                              .drain = {.session = 1, .grace_ms = 5000, .reason = "a new disk"}};
    say(&w, drain);
    pass(&w, 4000);
    say(&w, drain); /* repeated because it was late: the deadline stays */
    expect(&w, "");
    pass(&w, 1100);
    expect(&w, "stop child 1\n");
    exited(&w, 1, OUTCOME_CRASHED, "signal 15");
    expect(&w, "spool result 5.1 8 a new disk[0 0 0]\nsend result 5.1 8 a new disk[0 0 0]\n");
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_attempt_past_its_limit_times_out),
        cmocka_unit_test(test_a_result_that_beats_the_stop_counts),
        cmocka_unit_test(test_a_worker_stops_before_its_time_is_up),
        cmocka_unit_test(test_a_drain_with_a_deadline_stops_then),
        cmocka_unit_test(test_an_evaluation_from_lease_to_acknowledged_result),
        cmocka_unit_test(test_streams_go_back_n_with_a_window),
        cmocka_unit_test(test_repetitions_become_rarer_until_one_is_answered),
        cmocka_unit_test(test_revoke_kills_and_late_duplicates_stay_dead),
        cmocka_unit_test(test_a_crash_is_a_result_with_its_sentence),
        cmocka_unit_test(test_artifact_before_result_and_uploads_retry),
        cmocka_unit_test(test_checkpoints_are_told_after_they_are_stored),
        cmocka_unit_test(test_a_restarted_coordinator_is_asked_for_the_blobs_of_a_checkpoint),
        cmocka_unit_test(test_terminate_leaves_in_time_whatever_happens),
        cmocka_unit_test(test_drain_finishes_what_is_held),
        cmocka_unit_test(test_a_survivor_of_the_spool_is_delivered),
        cmocka_unit_test(test_a_store_that_has_more_than_the_spool_is_believed),
        cmocka_unit_test(test_jobs_share_the_threads_and_wait_for_them),
        cmocka_unit_test(test_a_full_disk_gives_the_attempt_back),
        cmocka_unit_test(test_any_reason_fits_a_message),
        cmocka_unit_test(test_equal_events_give_equal_actions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
