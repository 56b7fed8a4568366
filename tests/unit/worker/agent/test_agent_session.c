/* The agent's sessions and heartbeats, as transcripts. */
#include "cmocka_all.h"

#include <stdio.h>
#include <string.h>

#include "agent_world.h"
#include "bounds.h"

/* With jitter. */
#define BEAT_MS_MAX (HEARTBEAT_MS * 12 / 10)

static void answer(struct world *w, uint64_t beat, bool list)
{
    say(w, (struct msg){.kind = MSG_PULSE, .pulse = {.session = 1, .beat = beat, .list = list}});
}

/* Let time pass until a beat leaves. */
static void next_beat(struct world *w)
{
    const uint64_t before = w->beat;
    for (int waited_ms = 0; w->beat == before; waited_ms += 10) {
        assert_true(waited_ms <= BEAT_MS_MAX);
        pass(w, 10);
    }
}

/* The next beat is this; what else leaves is the business of other tests. */
static void expect_beat(struct world *w, const char *expected)
{
    strbuf_clear(&w->text);
    next_beat(w);
    const char *at = strstr(strbuf_text(&w->text), "send beat");
    assert_non_null(at);
    assert_int_equal(strncmp(at, expected, strlen(expected)), 0);
    strbuf_clear(&w->text);
}

static void test_silence_ends_the_session_and_hello_backs_off(void **state)
{
    (void)state;
    struct world w;
    begin_with_job(&w, 1, JOB_PRETRAIN);
    w.beats = true;
    pass(&w, HEARTBEAT_LIVENESS * HEARTBEAT_MS - 500);
    assert_int_equal(agent_session(w.agent), 1);
    assert_non_null(strstr(strbuf_text(&w.text), "send beat 5.1\n"));
    strbuf_clear(&w.text);
    pass(&w, 700);
    assert_int_equal(agent_session(w.agent), 0);
    assert_non_null(strstr(strbuf_text(&w.text), "send hello 5.1r\n"));
    strbuf_clear(&w.text);
    pass(&w, 300000); /* the child goes on; HELLOs at most every 36 s, at least every 24 */
    size_t hellos = 0;
    for (const char *at = strbuf_text(&w.text); (at = strstr(at, "hello")) != NULL; at++)
        hellos++;
    assert_in_range(hellos, 10, 25);
    assert_null(strstr(strbuf_text(&w.text), "stop"));
    end(&w);
}

/* It answers, but later than a worker is patient at first: they find together. */
static void test_a_slow_coordinator_is_waited_for_longer(void **state)
{
    (void)state;
    const int64_t slow_ms = HEARTBEAT_LIVENESS * HEARTBEAT_MS + 2000;
    struct world w;
    begin_with_job(&w, 1, JOB_PRETRAIN);
    pass(&w, slow_ms);
    assert_int_equal(agent_session(w.agent), 0);
    welcome(&w, 2);
    for (int i = 0; i < 10; i++) {
        pass(&w, slow_ms);
        assert_int_equal(agent_session(w.agent), 2);
        pulse(&w, 2);
    }
    pass(&w, 2 * HEARTBEAT_LIVENESS * HEARTBEAT_MS + 500);
    assert_int_equal(agent_session(w.agent), 0);
    step(&w, (struct agent_event){.kind = AGENT_EV_CONNECTED}); /* maybe another coordinator */
    welcome(&w, 3);
    pass(&w, HEARTBEAT_LIVENESS * HEARTBEAT_MS + 500);
    assert_int_equal(agent_session(w.agent), 0);
    end(&w);
}

/* The ACK of session `session`. */
static void acknowledge_in(struct world *w, uint64_t session, uint32_t next)
{
    say(w, (struct msg){.kind = MSG_ACK,
                        .ack = {.session = session,
                                .lease = lease_of(5, 1),
                                .stream = STREAM_RECORDS,
                                .next = next}});
}

/* An attempt with three of four batches acknowledged, and then a second session. */
static void begin_again(struct world *w)
{
    begin(w, 1);
    lease_job(w, 5, 1, JOB_EVALUATE, 1);
    on(w, AGENT_EV_FETCHED, 5);
    on(w, AGENT_EV_RUNNING, 5);
    for (int i = 0; i < 4; i++)
        batch(w, 5, STREAM_RECORDS);
    acknowledge(w, 5, STREAM_RECORDS, 3);
    say(w, (struct msg){.kind = MSG_NO_SESSION, .no_session = {.session = 1, .reason = ""}});
    struct held_verdict verdict = {.lease = lease_of(5, 1), .keep = true, .next = {0, 1, 0}};
    say(w, (struct msg){.kind = MSG_WELCOME,
                        .welcome = {.session = 2,
                                    .heartbeat_ms = HEARTBEAT_MS,
                                    .verdicts = &verdict,
                                    .verdict_count = 1}});
    strbuf_clear(&w->text);
}

/* A backup was put back: what it wants is nowhere any more. */
static void test_what_a_coordinator_has_lost_is_given_back(void **state)
{
    (void)state;
    struct world w;
    begin_again(&w);
    acknowledge_in(&w, 2, 1);
    for (int i = 0; i < 3; i++) {
        assert_null(strstr(strbuf_text(&w.text), "stop"));
        pass(&w, AGENT_RESEND_MS);
        strbuf_clear(&w.text);
        acknowledge_in(&w, 2, 1);
    }
    expect(&w, "stop child 1\n"
               "spool result 5.1 5 the coordinator has lost what it had acknowledged of this "
               "attempt (was an older state put back?)[0 3 0]\n"
               "send result 5.1 5 the coordinator has lost what it had acknowledged of this "
               "attempt (was an older state put back?)[0 3 0]\n");
    end(&w);
}

/* Late ones, and one from the past, prove nothing. */
static void test_late_acknowledgements_prove_no_loss(void **state)
{
    (void)state;
    struct world w;
    begin_again(&w);
    for (int i = 0; i < 20; i++) {
        acknowledge_in(&w, 2, 1);
        acknowledge_in(&w, 2, 3);
        pass(&w, AGENT_RESEND_MS);
        pulse(&w, 2);
    }
    acknowledge_in(&w, 2, 4);
    for (int i = 0; i < 20; i++) { /* of this session */
        batch(&w, 5, STREAM_RECORDS);
        acknowledge_in(&w, 2, 3);
        pass(&w, AGENT_RESEND_MS);
        pulse(&w, 2);
    }
    assert_null(strstr(strbuf_text(&w.text), "stop"));
    end(&w);
}

static void test_a_restarted_coordinator_gets_everything_again(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 2);
    lease_job(&w, 5, 1, JOB_EVALUATE, 1);
    on(&w, AGENT_EV_FETCHED, 5);
    on(&w, AGENT_EV_RUNNING, 5);
    batch(&w, 5, STREAM_RECORDS);
    batch(&w, 5, STREAM_RECORDS);
    lease_job(&w, 6, 1, JOB_INSTRUCT, 1);
    on(&w, AGENT_EV_FETCHED, 6);
    strbuf_clear(&w.text);
    say(&w, (struct msg){.kind = MSG_NO_SESSION, .no_session = {.session = 1, .reason = ""}});
    w.beats = true;
    pass(&w, 150);
    expect(&w, "send hello 5.1r 6.1r\n");
    struct held_verdict verdicts[] = {
        {.lease = lease_of(5, 1), .keep = true, .next = {0, 1, 0}},
        {.lease = lease_of(6, 1), .keep = false},
    };
    say(&w, (struct msg){
                .kind = MSG_WELCOME,
                .welcome = {
                    .session = 2, .heartbeat_ms = 2000, .verdicts = verdicts, .verdict_count = 2}});
    expect(&w, "drop 5.1 1<1\nstop child 2\nforget 6.1\nsend started 5.1\nsend batch 5.1 1:1\n");
    /* Orders of the former session mean nothing now. */
    say(&w, (struct msg){.kind = MSG_REVOKE,
                         .revoke = {.session = 1, .lease = lease_of(5, 1), .reason = ""}});
    expect(&w, "");
    end(&w);
}

static void test_a_refused_hello_ends_the_worker(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 1);
    struct msg refused = {.kind = MSG_NO_SESSION,
                          .no_session = {.refused = true, .reason = "version 2 wanted"}};
    say(&w, refused); /* late, about another HELLO: the session stands */
    expect(&w, "");
    step(&w, (struct agent_event){.kind = AGENT_EV_CONNECTED});
    say(&w, refused);
    expect(&w, "leave refused: version 2 wanted\n");
    end(&w);
}

/* News is told until a PULSE has confirmed it; the digest stands for the rest. */
static void test_a_beat_tells_what_is_new(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 2);
    w.beats = true;
    pass(&w, BEAT_MS_MAX);
    expect(&w, "send beat\n");
    pulse(&w, 1);
    lease_job(&w, 5, 1, JOB_EVALUATE, 1);
    lease_job(&w, 6, 1, JOB_EVALUATE, 1);
    strbuf_clear(&w.text);
    expect_beat(&w, "send beat 5.1 6.1\n");
    expect_beat(&w, "send beat 5.1 6.1\n"); /* nobody has answered */
    pulse(&w, 1);
    expect_beat(&w, "send beat of 2\n");
    pulse(&w, 1);
    on(&w, AGENT_EV_FETCHED, 6);
    on(&w, AGENT_EV_RUNNING, 6);
    strbuf_clear(&w.text);
    expect_beat(&w, "send beat 6.1 of 2\n"); /* it has started: its counter moved */
    const uint64_t before = w.beat;
    on(&w, AGENT_EV_PROGRESS, 6);
    expect_beat(&w, "send beat 6.1 of 2\n");
    answer(&w, before, false); /* late: of what the latest beat told it says nothing */
    expect_beat(&w, "send beat 6.1 of 2\n");
    pulse(&w, 1);
    expect_beat(&w, "send beat of 2\n");
    pulse(&w, 1);
    step(&w, (struct agent_event){.kind = AGENT_EV_FETCH_FAILED,
                                  .lease = lease_of(5, 1),
                                  .failure = {.text = "no such blob", .final = true}});
    strbuf_clear(&w.text);
    expect_beat(&w, "send beat 5.1 of 2\n"); /* it has ended */
    say(&w, (struct msg){.kind = MSG_NO_SESSION, .no_session = {.session = 1, .reason = ""}});
    welcome(&w, 2);
    strbuf_clear(&w.text);
    expect_beat(&w, "send beat 5.1 6.1\n"); /* a new session has heard nothing */
    end(&w);
}

static void test_a_list_is_given_at_once_and_once(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 2);
    w.beats = true;
    lease_job(&w, 5, 1, JOB_EVALUATE, 1);
    lease_job(&w, 6, 1, JOB_EVALUATE, 1);
    next_beat(&w);
    pulse(&w, 1);
    next_beat(&w);
    pulse(&w, 1);
    next_beat(&w);
    strbuf_clear(&w.text);
    const uint64_t asked_about = w.beat;
    answer(&w, asked_about, true);
    expect(&w, "send beat 5.1 6.1\n");
    answer(&w, asked_about, true); /* doubled */
    expect(&w, "");
    answer(&w, w.beat, true); /* that was the list */
    expect(&w, "");
    pulse(&w, 1);
    next_beat(&w);
    expect(&w, "send beat of 2\n");
    end(&w);
}

static void run_jobs(struct world *w, uint8_t count)
{
    for (uint8_t job = 0; job < count; job++) {
        lease_job(w, job, 1, JOB_EVALUATE, 1);
        on(w, AGENT_EV_FETCHED, job);
        on(w, AGENT_EV_RUNNING, job);
    }
}

/* However many compute: a beat tells so many counters, and all of them in turn. */
static void test_a_full_worker_tells_its_progress_in_turn(void **state)
{
    (void)state;
    enum { JOBS = 2 * HEARTBEAT_NEWS_MAX + 3 };
    struct world w;
    int told[JOBS] = {0};
    begin(&w, JOBS);
    run_jobs(&w, JOBS);
    next_beat(&w);
    pulse(&w, 1);
    for (int beat = 0; beat < 6; beat++) {
        for (uint8_t job = 0; job < JOBS; job++)
            on(&w, AGENT_EV_PROGRESS, job);
        next_beat(&w);
        assert_int_equal(w.news_count, HEARTBEAT_NEWS_MAX);
        for (size_t i = 0; i < w.news_count; i++)
            told[w.news[i]]++;
        pulse(&w, 1);
    }
    for (int job = 0; job < JOBS; job++)
        assert_in_range(told[job], 6 * HEARTBEAT_NEWS_MAX / JOBS, 3);
    end(&w);
}

/* Bytes that come in are progress of all that wait for theirs, and of nobody else. */
static void test_a_long_fetch_does_not_stand_still(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 3);
    for (uint8_t job = 0; job < 3; job++)
        lease_job(&w, job, 1, JOB_EVALUATE, 1);
    on(&w, AGENT_EV_FETCHED, 2);
    on(&w, AGENT_EV_RUNNING, 2);
    next_beat(&w);
    pulse(&w, 1);
    next_beat(&w);
    assert_int_equal(w.news_count, 0);
    pulse(&w, 1);
    step(&w, (struct agent_event){.kind = AGENT_EV_FETCHING});
    next_beat(&w);
    assert_int_equal(w.news_count, 2);
    assert_int_equal(w.news[0] + w.news[1], 0 + 1);
    end(&w);
}

/* Its child is done, and a thread hashes what it made. */
static void test_a_long_storing_does_not_stand_still(void **state)
{
    (void)state;
    struct world w;
    begin(&w, 3);
    for (uint8_t job = 0; job < 3; job++) {
        lease_job(&w, job, 1, JOB_PRETRAIN, 1);
        on(&w, AGENT_EV_FETCHED, job);
        on(&w, AGENT_EV_RUNNING, job);
    }
    next_beat(&w);
    pulse(&w, 1);
    on(&w, AGENT_EV_STORING, 1);
    next_beat(&w);
    assert_int_equal(w.news_count, 1);
    assert_int_equal(w.news[0], 1);
    end(&w);
}

/* More moved than a beat tells, and that beat was lost: its news comes again, though a later beat
 * that tells others is answered. */
static void test_an_answer_confirms_only_what_its_beat_told(void **state)
{
    (void)state;
    enum { JOBS = HEARTBEAT_NEWS_MAX + 1 };
    struct world w;
    begin(&w, JOBS);
    run_jobs(&w, JOBS);
    next_beat(&w);
    pulse(&w, 1);
    for (uint8_t job = 0; job < JOBS; job++)
        on(&w, AGENT_EV_PROGRESS, job);
    next_beat(&w); /* lost: all but one */
    next_beat(&w); /* that one, and all but one of the others */
    assert_int_equal(w.news_count, HEARTBEAT_NEWS_MAX);
    pulse(&w, 1);
    next_beat(&w);
    assert_int_equal(w.news_count, 1);
    pulse(&w, 1);
    next_beat(&w);
    assert_int_equal(w.news_count, 0);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_silence_ends_the_session_and_hello_backs_off),
        cmocka_unit_test(test_a_slow_coordinator_is_waited_for_longer),
        cmocka_unit_test(test_a_restarted_coordinator_gets_everything_again),
        cmocka_unit_test(test_what_a_coordinator_has_lost_is_given_back),
        cmocka_unit_test(test_late_acknowledgements_prove_no_loss),
        cmocka_unit_test(test_a_refused_hello_ends_the_worker),
        cmocka_unit_test(test_a_beat_tells_what_is_new),
        cmocka_unit_test(test_a_list_is_given_at_once_and_once),
        cmocka_unit_test(test_a_full_worker_tells_its_progress_in_turn),
        cmocka_unit_test(test_a_long_fetch_does_not_stand_still),
        cmocka_unit_test(test_a_long_storing_does_not_stand_still),
        cmocka_unit_test(test_an_answer_confirms_only_what_its_beat_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
