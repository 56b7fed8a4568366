/* Sessions and heartbeats of the coordinator's core (docs/protocol.md section 2). */
#include "cmocka_all.h"

#include <math.h>
#include <string.h>

#include "core_world.h"
#include "bounds.h"
#include "held_set.h"

static void test_beats_keep_leases_and_unlisted_ones_are_sent_again(void **state)
{
    struct core_world *w = *state;
    core_world_submit_one(w, 1);
    uint64_t a = core_world_hello(w, "a", 1, 1, WORLD_CLASS);
    struct held_lease held = {.lease = core_world_key(1, 1), .loss_nats = NAN};
    for (int i = 0; i < 400; i++) { /* 800 s: far past lease_ms */
        w->now_ms += HEARTBEAT_MS;
        held.progress++;
        struct msg beat = core_world_beat(a, &held, 1);
        core_world_say(w, 1, &beat);
        assert_null(core_world_sent(w, MSG_LEASE, 0));
        assert_null(core_world_sent(w, MSG_REVOKE, 0));
    }
    assert_int_equal(core_world_state(w, 1), JOB_RUNNING);
    struct msg empty = core_world_beat(a, NULL, 0);
    core_world_say(w, 1, &empty);
    assert_int_equal(core_world_sent(w, MSG_LEASE, 0)->lease.lease.epoch, 1); /* the same */
    struct held_lease foreign = {.lease = core_world_key(8, 1), .loss_nats = NAN};
    struct msg beat = core_world_beat(a, &foreign, 1);
    core_world_say(w, 1, &beat);
    assert_non_null(core_world_sent(w, MSG_REVOKE, 0));
}

static void test_attempts_without_progress_are_lost(void **state)
{
    struct core_world *w = *state;
    core_world_submit_one(w, 1);
    uint64_t a = core_world_hello(w, "a", 1, 1, WORLD_CLASS);
    struct held_lease held = {.lease = core_world_key(1, 1), .progress = 5, .loss_nats = NAN};
    int beats = 0;
    for (; core_world_row(w, 1)->epoch == 1 && beats < 1000; beats++) {
        w->now_ms += HEARTBEAT_MS;
        struct msg beat = core_world_beat(a, &held, 1);
        core_world_say(w, 1, &beat);
    }
    assert_in_range(beats * HEARTBEAT_MS, 600000, 610000);
    assert_string_equal(core_world_sent(w, MSG_REVOKE, 0)->revoke.reason, "no progress for 600 s");
    assert_int_equal(core_world_sent(w, MSG_LEASE, 0)->lease.lease.epoch, 2);
    /* A finished attempt that waits for its delivery makes no progress, rightly. */
    held = (struct held_lease){
        .lease = core_world_key(1, 2), .state = HELD_FINISHED, .loss_nats = NAN};
    for (int i = 0; i < 1000; i++) {
        w->now_ms += HEARTBEAT_MS;
        struct msg beat = core_world_beat(a, &held, 1);
        core_world_say(w, 1, &beat);
    }
    assert_int_equal(core_world_row(w, 1)->epoch, 2);
}

static void test_reconciliation_at_hello(void **state)
{
    struct core_world *w = *state;
    struct submit_job jobs[] = {core_world_plan(1), core_world_plan(2)};
    core_world_submit(w, "e", jobs, 2);
    core_world_hello(w, "a", 1, 2, WORLD_CLASS);
    /* The same process, reconnected: what it lists is kept, what it does not know is said again. */
    struct held_lease held = {.lease = core_world_key(1, 1), .loss_nats = NAN};
    struct msg hello = core_world_hello_again("a", &held, 1);
    core_world_say(w, 5, &hello);
    const struct msg *welcome = core_world_sent(w, MSG_WELCOME, 0);
    assert_true(welcome->welcome.verdicts[0].keep);
    assert_int_equal(core_world_sent_count(w, MSG_LEASE), 1);
    assert_int_equal(core_world_row(w, 2)->epoch, 1);
    /* Another process of that name: what it does not list died with the former one. */
    hello = core_world_hello_again("b", &held, 1);
    core_world_say(w, 6, &hello);
    assert_true(core_world_sent(w, MSG_WELCOME, 0)->welcome.verdicts[0].keep);
    assert_int_equal(core_world_row(w, 1)->epoch, 1);
    assert_int_equal(core_world_row(w, 2)->epoch, 2);
    /* And what is not current is stale. */
    held.lease.epoch = 9;
    hello = core_world_hello_again("b", &held, 1);
    core_world_say(w, 7, &hello);
    assert_false(core_world_sent(w, MSG_WELCOME, 0)->welcome.verdicts[0].keep);
}

/* Another key does not get the leases of a live worker by its name; of a silent one it does. */
static void test_a_name_belongs_to_the_key_that_speaks_for_it(void **state)
{
    struct core_world *w = *state;
    core_world_submit_one(w, 1);
    core_world_hello(w, "a", 1, 1, WORLD_CLASS); /* key 0 */
    struct held_lease held = {.lease = core_world_key(1, 1), .loss_nats = NAN};
    struct msg hello = core_world_hello_again("b", &held, 1);
    const struct core_message thief = {.msg = &hello, .key = 7};
    core_world_say_with(w, 5, thief);
    assert_int_equal(core_world_sent_count(w, MSG_WELCOME), 0);
    const struct msg *no = core_world_sent(w, MSG_NO_SESSION, 0);
    assert_non_null(no);
    assert_non_null(strstr(no->no_session.reason, "another key"));
    assert_false(no->no_session.refused); /* it may ask again */
    assert_int_equal(core_world_row(w, 1)->epoch, 1);
    core_world_pass(w, HEARTBEAT_MS * (HEARTBEAT_LIVENESS + 1));
    core_world_say_with(w, 5, thief);
    assert_int_equal(core_world_sent_count(w, MSG_WELCOME), 1);
}

/* Two leases on worker "a" (session `a`, peer 1), both known to run. */
static uint64_t two_leases(struct core_world *w)
{
    struct submit_job jobs[] = {core_world_plan(1), core_world_plan(2)};
    core_world_submit(w, "e", jobs, 2);
    const uint64_t a = core_world_hello(w, "a", 1, 2, WORLD_CLASS);
    struct held_lease held[] = {{.lease = core_world_key(1, 1), .progress = 1, .loss_nats = NAN},
                                {.lease = core_world_key(2, 1), .progress = 1, .loss_nats = NAN}};
    struct msg beat = core_world_beat(a, held, 2);
    core_world_say(w, 1, &beat);
    return a;
}

/* A beat that says only what is held in all, and perhaps one piece of news. True: a list is wanted.
 */
static bool asks(struct core_world *w, uint64_t a, struct held_set all, struct held_lease *news)
{
    struct msg beat = core_world_beat(a, news, news != NULL);
    beat.heartbeat.all = all;
    beat.heartbeat.beat = ++w->beat;
    w->now_ms += HEARTBEAT_MS;
    core_world_say(w, 1, &beat);
    const struct msg *pulse = core_world_sent(w, MSG_PULSE, 0);
    assert_int_equal(pulse->pulse.beat, w->beat);
    return pulse->pulse.list;
}

static struct held_set set_of(struct lease_key x, enum held_state state, struct lease_key y)
{
    struct held_set set = {0};
    held_set_add(&set, &x, state);
    held_set_add(&set, &y, HELD_RUNNING);
    return set;
}

static void test_a_digest_renews_all_or_nothing(void **state)
{
    struct core_world *w = *state;
    const uint64_t a = two_leases(w);
    const struct held_set right = set_of(core_world_key(2, 1), HELD_RUNNING, core_world_key(1, 1));
    for (int i = 0; i < 2 * LEASE_MS / HEARTBEAT_MS; i++)
        assert_false(asks(w, a, right, NULL));
    assert_int_equal(core_world_state(w, 1), JOB_RUNNING);
    assert_int_equal(core_world_sent_count(w, MSG_LEASE), 0);
    /* Another epoch, another state, one lease less or more: not what it should hold. */
    struct held_set less = {0};
    const struct lease_key one = core_world_key(1, 1), third = core_world_key(3, 1);
    held_set_add(&less, &one, HELD_RUNNING);
    struct held_set more = right;
    held_set_add(&more, &third, HELD_RUNNING);
    assert_true(asks(w, a, set_of(core_world_key(2, 2), HELD_RUNNING, core_world_key(1, 1)), NULL));
    assert_true(
        asks(w, a, set_of(core_world_key(2, 1), HELD_FINISHED, core_world_key(1, 1)), NULL));
    assert_true(asks(w, a, less, NULL));
    assert_true(asks(w, a, more, NULL));
    struct held_lease news = {.lease = core_world_key(2, 1), .progress = 2, .loss_nats = NAN};
    for (int i = 0; i < LEASE_MS / HEARTBEAT_MS - 5; i++) {
        news.progress++;
        assert_true(asks(w, a, more, &news));
    }
    assert_int_equal(core_world_row(w, 1)->epoch, 1);
    news.progress++;
    asks(w, a, more, &news); /* lease_ms after the last proof */
    assert_int_equal(core_world_row(w, 1)->attempts_free, 1);
    assert_int_equal(core_world_row(w, 2)->epoch, 1); /* what was listed runs on */
    assert_int_equal(core_world_state(w, 2), JOB_RUNNING);
}

static void test_an_end_that_was_told_is_part_of_the_digest(void **state)
{
    struct core_world *w = *state;
    const uint64_t a = two_leases(w);
    const struct held_set ended = set_of(core_world_key(2, 1), HELD_FINISHED, core_world_key(1, 1));
    struct held_lease news = {
        .lease = core_world_key(2, 1), .state = HELD_FINISHED, .progress = 2, .loss_nats = NAN};
    assert_false(asks(w, a, ended, &news));
    assert_false(asks(w, a, ended, NULL));
    /* A beat from before arrives late: what has ended does not run again. */
    news.state = HELD_RUNNING;
    assert_true(
        asks(w, a, set_of(core_world_key(2, 1), HELD_RUNNING, core_world_key(1, 1)), &news));
    assert_false(asks(w, a, ended, NULL));
}

/* A standstill is no news, so that no beat lists it: it is found all the same, and in time. */
static void test_a_standstill_behind_a_digest_is_found(void **state)
{
    struct core_world *w = *state;
    const uint64_t a = two_leases(w);
    const int64_t begin_ms = w->now_ms;
    const struct held_set both = set_of(core_world_key(2, 1), HELD_RUNNING, core_world_key(1, 1));
    struct held_lease news = {.lease = core_world_key(2, 1), .progress = 1, .loss_nats = NAN};
    while (core_world_row(w, 1)->attempts_free == 0 && w->now_ms - begin_ms < 1000000) {
        news.progress++;
        asks(w, a, both, &news);
    }
    assert_in_range(w->now_ms - begin_ms, 600000, 600000 + HEARTBEAT_MS);
    assert_string_equal(core_world_sent(w, MSG_REVOKE, 0)->revoke.reason, "no progress for 600 s");
    assert_int_equal(core_world_row(w, 2)->epoch, 1);
    assert_int_equal(core_world_state(w, 2), JOB_RUNNING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CORE_TEST(test_beats_keep_leases_and_unlisted_ones_are_sent_again),
        CORE_TEST(test_attempts_without_progress_are_lost),
        CORE_TEST(test_reconciliation_at_hello),
        CORE_TEST(test_a_name_belongs_to_the_key_that_speaks_for_it),
        CORE_TEST(test_a_digest_renews_all_or_nothing),
        CORE_TEST(test_an_end_that_was_told_is_part_of_the_digest),
        CORE_TEST(test_a_standstill_behind_a_digest_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
