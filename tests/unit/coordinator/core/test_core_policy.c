/* What people and manifests may ask of the coordinator: labels, time, pauses, priorities, fair
 * shares, quarantine, and the answer to "why does it wait?". */
#include "cmocka_all.h"

#include <stdio.h>
#include <string.h>

#include "bounds.h"
#include "core_world.h"
#include "labels.h"

#define GIB ((uint64_t)1 << 30)

static void release(struct core_world *w, const char *worker)
{
    core_world_step(w, (struct core_event){.kind = CORE_DRAIN_WORKER,
                                           .peer = 99,
                                           .drain = {.worker = worker, .action = WORKER_RELEASE}});
}

/* ---- retry policies ---- */

/* ---- who may take it ---- */

static void test_labels_choose_the_worker(void **state)
{
    struct core_world *w = *state;
    struct submit_job job = core_world_plan(1);
    job.labels = "big,site=north";
    core_world_submit_job(w, "e", job);
    struct msg hello = core_world_hello_msg("a", "node-a", 4);
    hello.hello.labels = "big,site=south";
    core_world_hello_as(w, 1, &hello);
    assert_string_equal(core_world_reason(w, 1), "Label");
    hello = core_world_hello_msg("b", "node-b", 4);
    hello.hello.labels = "big,fast,site=north";
    core_world_hello_as(w, 2, &hello);
    assert_string_equal(core_world_row(w, 1)->worker, "");
    assert_int_equal(core_world_state(w, 1), JOB_LEASED);
    assert_int_equal(core_world_sent_count(w, MSG_LEASE), 1);
    hello = core_world_hello_msg("c", "node-c", 4);
    hello.hello.labels = "site=north,big"; /* not sorted */
    core_world_say(w, 3, &hello);
    assert_true(core_world_sent(w, MSG_NO_SESSION, 0)->no_session.refused);
}

/* Several ranks take a worker's own threads and memory each, or places that it has apart. */
static void test_ranks_need_a_worker_that_starts_them(void **state)
{
    struct core_world *w = *state;
    struct submit_job job = core_world_plan(1);
    job.ranks = 4;
    job.threads = 2;
    job.memory_bytes = 100;
    core_world_submit_job(w, "e", job);
    struct msg hello = core_world_hello_msg("a", "node-a", 16);
    hello.hello.ranks = 2;
    core_world_hello_as(w, 1, &hello);
    assert_string_equal(core_world_reason(w, 1), "Ranks");
    hello = core_world_hello_msg("b", "node-b", 7); /* enough ranks, one thread too few */
    hello.hello.ranks = 4;
    core_world_hello_as(w, 2, &hello);
    assert_string_equal(core_world_reason(w, 1), "TooLarge");
    hello = core_world_hello_msg("c", "node-c", 8);
    hello.hello.ranks = 8;
    hello.hello.memory_bytes = 399;
    core_world_hello_as(w, 3, &hello);
    assert_string_equal(core_world_reason(w, 1), "TooLarge");
    hello = core_world_hello_msg("d", "node-d", 9);
    hello.hello.ranks = 8;
    hello.hello.memory_bytes = 400;
    const uint64_t d = core_world_hello_as(w, 4, &hello);
    assert_int_equal(core_world_state(w, 1), JOB_LEASED);
    const struct msg_lease *lease = &core_world_sent(w, MSG_LEASE, 0)->lease;
    assert_int_equal(lease->ranks, 4);
    assert_int_equal(lease->threads, 2); /* of each */
    assert_int_equal(lease->memory_bytes, 100);
    const struct msg ok = core_world_ok(d, 1, 1);
    core_world_say(w, 4, &ok);
    /* A Slurm allocation of four tasks: one job at a time, beside which it works as ever. */
    for (uint64_t i = 2; i < 4; i++) {
        job = core_world_plan(i);
        job.ranks = 4;
        job.threads = 4;
        core_world_submit_job(w, "e", job);
    }
    assert_string_equal(core_world_reason(w, 2), "TooLarge");
    hello = core_world_hello_msg("e", "node-e", 5);
    hello.hello.ranks = hello.hello.rank_threads = 4;
    core_world_hello_as(w, 5, &hello);
    assert_int_equal(core_world_state(w, 2), JOB_LEASED);
    assert_int_equal(core_world_state(w, 3), JOB_WAITING);
    assert_string_equal(core_world_reason(w, 3), "Resources");
    core_world_submit_job(w, "e", core_world_plan(4));
    assert_int_equal(core_world_state(w, 4), JOB_LEASED);
}

static void test_label_sets(void **state)
{
    struct strbuf set = {0};
    struct err err;
    (void)state;
    assert_int_equal(labels_parse(" b,a  b,,c=1 ", &set, &err), ERR_OK);
    assert_string_equal(strbuf_text(&set), "a,b,c=1");
    assert_true(labels_have("a,b,c=1", ""));
    assert_true(labels_have("a,b,c=1", "a,c=1"));
    assert_false(labels_have("a,b,c=1", "a,c"));
    assert_false(labels_have("", "a"));
    assert_int_equal(labels_parse("a;b", &set, &err), ERR_INVALID);
    char many[2 * NAME_BYTES_MAX];
    for (size_t i = 0; i + 4 < sizeof many; i += 4) {
        snprintf(many + i, 5, "%03x ", (unsigned)(i / 4));
    }
    assert_int_equal(labels_parse(many, &set, &err), ERR_LIMIT);
    strbuf_release(&set);
}

static void test_a_worker_near_its_end_takes_what_fits(void **state)
{
    struct core_world *w = *state;
    struct submit_job job = core_world_plan(1);
    job.time_limit_s = 600;
    core_world_submit_job(w, "e", job);
    struct msg hello = core_world_hello_msg("a", "node-a", 1);
    hello.hello.ends_in_ms = 599000;
    const uint64_t a = core_world_hello_as(w, 1, &hello);
    assert_string_equal(core_world_reason(w, 1), "TimeLimit");
    job = core_world_plan(2);
    job.time_limit_s = 60;
    core_world_submit_job(w, "e", job);
    assert_int_equal(core_world_state(w, 2), JOB_LEASED);
    assert_int_equal(core_world_sent(w, MSG_LEASE, 0)->lease.time_limit_ms, 60000);
    const struct msg ok = core_world_ok(a, 2, 1);
    core_world_say(w, 1, &ok);
    for (int beat = 0; beat < 290; beat++) { /* now it has less than half a minute */
        w->now_ms += 1990;
        const struct msg m = core_world_beat(a, NULL, 0);
        core_world_say(w, 1, &m);
    }
    core_world_submit_job(
        w, "e", core_world_plan(3)); /* no limit, but nothing could be done in that time */
    assert_string_equal(core_world_reason(w, 3), "TimeLimit");
}

static void test_a_job_larger_than_any_worker_says_so(void **state)
{
    struct core_world *w = *state;
    struct submit_job job = core_world_plan(1);
    job.threads = 8;
    core_world_submit_job(w, "e", job);
    const struct msg hello = core_world_hello_msg("a", "node-a", 4);
    core_world_hello_as(w, 1, &hello);
    assert_string_equal(core_world_reason(w, 1), "TooLarge");
    struct msg_explanation why = {.request = 7};
    struct digest identity = core_world_job(1);
    core_explain(w->core, &identity, w->now_ms, &w->arena, &why);
    assert_int_equal(why.request, 7);
    assert_string_equal(why.word, "TooLarge");
    assert_int_equal(why.row_count, 1);
    assert_string_equal(why.rows[0].worker, "a");
    assert_non_null(strstr(why.rows[0].detail, "4 threads"));
}

/* ---- people ---- */

static void test_a_paused_experiment_gets_nothing_new(void **state)
{
    struct core_world *w = *state;
    core_world_submit_job(w, "e", core_world_plan(1));
    const struct msg hello = core_world_hello_msg("a", "node-a", 1);
    const uint64_t a = core_world_hello_as(w, 1, &hello);
    core_world_submit_job(w, "e", core_world_plan(2));
    core_world_act(w, CORE_PAUSE, "e", NULL, 0, 0);
    assert_int_equal(core_world_sent(w, MSG_OK, 0)->ok.count, 1);
    const struct msg ok = core_world_ok(a, 1, 1);
    core_world_say(w, 1, &ok); /* what runs may end */
    assert_int_equal(core_world_state(w, 1), JOB_DONE);
    assert_int_equal(core_world_state(w, 2), JOB_WAITING);
    assert_string_equal(core_world_reason(w, 2), "Paused");
    core_world_act(w, CORE_PAUSE, "e", NULL, 0, 0);
    assert_int_equal(core_world_sent(w, MSG_OK, 0)->ok.count, 0);
    core_world_act(w, CORE_RESUME, "e", NULL, 0, 0);
    assert_int_equal(core_world_state(w, 2), JOB_LEASED);
    core_world_act(w, CORE_PAUSE, "nobody", NULL, 0, 0);
    assert_int_equal(core_world_sent(w, MSG_ERROR, 0)->error.code, ERR_NOT_FOUND);
}

static void test_priorities_change_while_jobs_wait(void **state)
{
    struct core_world *w = *state;
    for (uint64_t i = 1; i <= 4; i++) {
        core_world_submit_job(w, i == 4 ? "other" : "e", core_world_plan(i));
    }
    struct digest three = core_world_job(3);
    core_world_act(w, CORE_PRIORITY, "", &three, 1, 5);
    core_world_act(w, CORE_PRIORITY, "other", NULL, 0, 1);
    const struct msg hello = core_world_hello_msg("a", "node-a", 1);
    const uint64_t a = core_world_hello_as(w, 1, &hello);
    assert_int_equal(core_world_state(w, 4), JOB_LEASED); /* its experiment comes first */
    struct msg ok = core_world_ok(a, 4, 1);
    core_world_say(w, 1, &ok);
    assert_int_equal(core_world_state(w, 3), JOB_LEASED); /* then the job of its own priority */
}

/* A large experiment does not keep a later, small one from the workers. */
static void test_experiments_share_fairly(void **state)
{
    struct core_world *w = *state;
    for (uint64_t i = 1; i <= 20; i++) {
        core_world_submit_job(w, "large", core_world_plan(i));
    }
    const struct msg hello = core_world_hello_msg("a", "node-a", 4);
    const uint64_t a = core_world_hello_as(w, 1, &hello); /* takes jobs 1 to 4 */
    for (uint64_t i = 21; i <= 24; i++) {
        core_world_submit_job(w, "small", core_world_plan(i));
    }
    for (uint64_t i = 1; i <= 2; i++) { /* both slots that get free go to the small one */
        const struct msg ok = core_world_ok(a, i, 1);
        core_world_say(w, 1, &ok);
        assert_int_equal(core_world_state(w, 20 + i), JOB_LEASED);
    }
    const struct msg ok = core_world_ok(a, 3, 1);
    core_world_say(w, 1, &ok); /* two against one: the large one's turn */
    assert_int_equal(core_world_state(w, 23), JOB_WAITING);
    assert_int_equal(core_world_state(w, 5), JOB_LEASED);
}

/* ---- quarantine of hosts ---- */

static void fail_jobs(struct core_world *w, uint64_t session, uint64_t peer, uint64_t first,
                      uint64_t last)
{
    for (uint64_t i = first; i <= last; i++) {
        struct msg bad = core_world_bad(session, i, 1, OUTCOME_CRASHED, "signal 7");
        bad.result.exit_signal = 7;
        core_world_say(w, peer, &bad);
    }
}

static void test_a_host_on_which_everything_fails_gets_nothing(void **state)
{
    struct core_world *w = *state;
    const struct msg good = core_world_hello_msg("good", "node-good", 1);
    struct msg bad = core_world_hello_msg("bad", "node-bad", 4);
    const uint64_t b = core_world_hello_as(w, 2, &bad);
    for (uint64_t i = 1; i <= 4; i++) {
        core_world_submit_job(w, "e", core_world_plan(i));
    }
    fail_jobs(w, b, 2, 1, 3); /* there is nowhere else to go */
    core_world_pass(w, 2000);
    assert_int_equal(core_world_row(w, 1)->epoch, 2);
    const uint64_t g = core_world_hello_as(w, 1, &good);
    fail_jobs(w, b, 2, 4, 4); /* the fourth in a row: now there is */
    core_world_submit_job(w, "e", core_world_plan(5));
    core_world_submit_job(w, "e", core_world_plan(6));
    struct worker_row rows[2];
    assert_int_equal(core_workers(w->core, rows, 2), 2);
    assert_string_equal(rows[0].state, "quarantined");
    assert_non_null(strstr(rows[0].reason, "3 different jobs failed in a row on node node-bad"));
    for (int i = 0; i < 3; i++) { /* waiting jobs wait for the good one */
        core_world_pass(w, 100);
        assert_int_equal(core_world_sent_count(w, MSG_LEASE), 0);
    }
    const struct msg bye = {.kind = MSG_BYE, .bye.session = g};
    core_world_say(w, 1, &bye);
    assert_string_equal(core_world_reason(w, 6), "Quarantined");
    release(w, "bad");
    assert_true(core_world_sent_count(w, MSG_LEASE) > 0);
}

static void test_one_bad_job_or_a_success_between_blames_no_host(void **state)
{
    struct core_world *w = *state;
    const struct msg good = core_world_hello_msg("good", "node-good", 1);
    const struct msg bad = core_world_hello_msg("bad", "node-bad", 1);
    core_world_hello_as(w, 1, &good);
    core_world_submit_job(w, "e", core_world_plan(1)); /* keeps the good one busy */
    const uint64_t b = core_world_hello_as(w, 2, &bad);
    for (uint64_t i = 2; i <= 7; i++) {
        core_world_submit_job(w, "e", core_world_plan(i));
        if (i % 2 == 0) {
            fail_jobs(w, b, 2, i, i);
        } else {
            const struct msg ok = core_world_ok(b, i, 1);
            core_world_say(w, 2, &ok);
        }
    }
    struct worker_row rows[2];
    assert_int_equal(core_workers(w->core, rows, 2), 2);
    assert_string_equal(rows[0].state, "ready");
}

static void test_quarantine_tells_its_evidence(void **state)
{
    struct core_world *w = *state;
    core_world_submit_job(w, "e", core_world_plan(1));
    const struct msg first = core_world_hello_msg("a", "node-a", 1);
    const uint64_t a = core_world_hello_as(w, 1, &first);
    struct msg bad = core_world_bad(a, 1, 1, OUTCOME_CRASHED, "killed");
    bad.result.exit_signal = 11;
    core_world_say(w, 1, &bad);
    const struct msg bye = {.kind = MSG_BYE, .bye.session = a};
    core_world_say(w, 1, &bye);
    const struct msg second = core_world_hello_msg("b", "node-b", 1);
    const uint64_t b = core_world_hello_as(w, 2, &second);
    core_world_pass(w, 2000);
    bad = core_world_bad(b, 1, 2, OUTCOME_CRASHED, "killed");
    bad.result.exit_signal = 11;
    bad.result.memory_peak_bytes = 3 * GIB;
    core_world_step(w, (struct core_event){.kind = CORE_MESSAGE,
                                           .peer = 2,
                                           .message = {.msg = &bad, .payload_is_valid = true}});
    const char *said = NULL;
    for (size_t i = 0; i < w->out.op_count; i++) {
        if (w->out.ops[i].kind == CORE_OP_JOB) {
            said = w->out.ops[i].job.state.reason;
        }
    }
    assert_int_equal(core_world_state(w, 1), JOB_QUARANTINED);
    assert_non_null(strstr(said, "signal 11"));
    assert_non_null(strstr(said, "3072 MiB"));
    assert_non_null(strstr(said, "worker b of node node-b"));
}

static void test_a_drain_has_a_reason_and_a_deadline(void **state)
{
    struct core_world *w = *state;
    const struct msg hello = core_world_hello_msg("a", "node-a", 1);
    const uint64_t a = core_world_hello_as(w, 1, &hello);
    core_world_step(w, (struct core_event){
                           .kind = CORE_DRAIN_WORKER,
                           .peer = 99,
                           .drain = {.worker = "a", .reason = "a new disk", .grace_ms = 60000}});
    const struct msg *m = core_world_sent(w, MSG_DRAIN, 0);
    assert_int_equal(m->drain.session, a);
    assert_int_equal(m->drain.grace_ms, 60000);
    assert_string_equal(m->drain.reason, "a new disk");
    struct worker_row row;
    assert_int_equal(core_workers(w->core, &row, 1), 1);
    assert_string_equal(row.state, "draining");
    assert_string_equal(row.reason, "a new disk");
    release(w, "a");
    assert_int_equal(core_workers(w->core, &row, 1), 1);
    assert_string_equal(row.state, "ready");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_label_sets),
        CORE_TEST(test_labels_choose_the_worker),
        CORE_TEST(test_ranks_need_a_worker_that_starts_them),
        CORE_TEST(test_a_worker_near_its_end_takes_what_fits),
        CORE_TEST(test_a_job_larger_than_any_worker_says_so),
        CORE_TEST(test_a_paused_experiment_gets_nothing_new),
        CORE_TEST(test_priorities_change_while_jobs_wait),
        CORE_TEST(test_experiments_share_fairly),
        CORE_TEST(test_a_host_on_which_everything_fails_gets_nothing),
        CORE_TEST(test_one_bad_job_or_a_success_between_blames_no_host),
        CORE_TEST(test_quarantine_tells_its_evidence),
        CORE_TEST(test_a_drain_has_a_reason_and_a_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
