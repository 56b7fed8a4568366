/* Plans that come in many parts: killed, refused or cancelled in the middle, they are there whole
 * or not at all. */
#include "cmocka_all.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "bounds.h"
#include "coordinator_world.h"

enum { LONG_PARTS = 150, LONG_JOBS = LONG_PARTS * SUBMIT_JOBS_PER_FRAME };

/* A plan of many parts, but for the last one; that is left in *last_out, to be sent by the caller.
 */
static void submit_long(struct world *w, const char *experiment, uint32_t salt, bool dry_run,
                        struct submit_job jobs[SUBMIT_JOBS_PER_FRAME], struct msg *last_out)
{
    static uint64_t specs[SUBMIT_JOBS_PER_FRAME];
    for (uint32_t part = 0; part < LONG_PARTS; part++) {
        for (uint32_t i = 0; i < SUBMIT_JOBS_PER_FRAME; i++) {
            specs[i] = (uint64_t)salt << 32 | (part * SUBMIT_JOBS_PER_FRAME + i);
            jobs[i] = (struct submit_job){.identity = hash_bytes(&specs[i], sizeof specs[i]),
                                          .kind = JOB_EVALUATE,
                                          .label = "long",
                                          .family = "f",
                                          .variant = "v",
                                          .task = "t",
                                          .spec = {(const uint8_t *)&specs[i], sizeof specs[i]},
                                          .threads = 1,
                                          .labels = "nobody", /* no worker is asked for it */
                                          .attempts_max = 1};
        }
        *last_out = (struct msg){.kind = MSG_SUBMIT,
                                 .submit = {.experiment = experiment,
                                            .part_index = part,
                                            .part_count = LONG_PARTS,
                                            .jobs = jobs,
                                            .job_count = SUBMIT_JOBS_PER_FRAME,
                                            .dry_run = dry_run}};
        if (part == 0) {
            last_out->submit.plan_json = (struct bytes){(const uint8_t *)"{}", 2};
        }
        if (part + 1 < LONG_PARTS) {
            assert_int_equal(world_ask(w, last_out)->kind, MSG_OK);
        }
    }
}

/* Ask until the plan has been taken in. */
static struct msg_submitted finish_long(struct world *w, struct msg *last)
{
    AWAIT_BY(, world_ask(w, last)->kind != MSG_OK);
    assert_int_equal(w->reply.kind, MSG_SUBMITTED);
    return w->reply.submitted;
}

/* Jobs of the experiment; *exists_out: is it known at all? */
static uint64_t count_jobs(struct world *w, const char *experiment, bool *exists_out)
{
    struct msg m = {.kind = MSG_GET_STATUS, .get_status.experiment = experiment};
    const struct msg *reply = world_ask(w, &m);
    uint64_t count = 0;
    *exists_out = reply->kind == MSG_STATUS && reply->status.experiment_count == 1;
    for (int s = 0; *exists_out && s < JOB_STATE_COUNT; s++) {
        count += reply->status.experiments[0].counts[s];
    }
    return count;
}

/* Killed at any moment of it, a long submission has left nothing, or goes on by itself. */
static void test_a_long_submission_survives_a_killed_coordinator(void **state)
{
    struct world *w = *state;
    for (uint32_t round = 0; round < 6; round++) {
        struct submit_job jobs[SUBMIT_JOBS_PER_FRAME];
        struct msg last;
        char name[32];
        bool exists = false;
        snprintf(name, sizeof name, "long-%u", round);
        submit_long(w, name, round, false, jobs, &last);
        assert_int_equal(world_ask(w, &last)->kind, MSG_OK); /* not taken in yet */
        world_run_for(w, round * 20);
        kill(w->coordinator, SIGKILL);
        assert_int_equal(WTERMSIG(world_wait_for(w->coordinator)), SIGKILL);
        world_start(w);
        AWAIT_BY(world_run_for(w, AWAIT_TICK_MS),
                 count_jobs(w, name, &exists) == LONG_JOBS || !exists);
        /* Submitted again, it is all there once. */
        submit_long(w, name, round, false, jobs, &last);
        const struct msg_submitted again = finish_long(w, &last);
        assert_int_equal(again.jobs_new + again.jobs_running, LONG_JOBS);
        assert_int_equal(again.jobs_running, exists ? LONG_JOBS : 0);
        assert_int_equal(count_jobs(w, name, &exists), LONG_JOBS);
    }
}

static void test_a_long_plan_is_refused_before_it_takes_effect(void **state)
{
    struct world *w = *state;
    struct submit_job jobs[SUBMIT_JOBS_PER_FRAME];
    struct msg last;
    bool exists = true;
    submit_long(w, "wrong", 100, false, jobs, &last);
    const struct digest stranger = hash_bytes("stranger", 8);
    struct named_digest parent = {"model", stranger};
    jobs[1].parents = &parent;
    jobs[1].parent_count = 1;
    const struct msg *reply = world_ask(w, &last);
    assert_int_equal(reply->kind, MSG_ERROR);
    assert_non_null(strstr(reply->error.text, "neither before it in this plan nor known"));
    assert_int_equal(count_jobs(w, "wrong", &exists), 0);
    assert_false(exists);
    /* Nor does a dry run, which counts all the same. */
    submit_long(w, "dry", 101, true, jobs, &last);
    assert_int_equal(finish_long(w, &last).jobs_new, LONG_JOBS);
    assert_int_equal(count_jobs(w, "dry", &exists), 0);
    assert_false(exists);
}

static void test_cancelling_ends_a_long_submission(void **state)
{
    struct world *w = *state;
    struct submit_job jobs[SUBMIT_JOBS_PER_FRAME];
    struct msg last;
    submit_long(w, "ended", 102, false, jobs, &last);
    assert_int_equal(world_ask(w, &last)->kind, MSG_OK);
    struct msg cancel = {.kind = MSG_ACT,
                         .act = {.action = ACTION_CANCEL, .experiment = "ended", .reason = "no"}};
    const struct msg *reply = world_ask(w, &cancel);
    assert_true(reply->kind == MSG_OK || reply->kind == MSG_ERROR); /* not even begun */
    const bool was_there = reply->kind == MSG_OK;
    AWAIT_BY(, world_ask(w, &last)->kind != MSG_OK);
    assert_true(reply->kind == MSG_ERROR || reply->kind == MSG_SUBMITTED);
    struct msg m = {.kind = MSG_GET_STATUS, .get_status.experiment = "ended"};
    if (was_there) {
        reply = world_ask(w, &m);
        assert_int_equal(reply->kind, MSG_STATUS);
        assert_int_equal(reply->status.experiments[0].counts[JOB_WAITING], 0);
    }
}

/* Ask for all parts of it, with a question in between; gives the number of jobs changed. */
static uint64_t act_in_parts(struct world *w, enum job_action action, size_t *parts_out)
{
    struct msg m = {
        .kind = MSG_ACT,
        .act = {.action = action, .experiment = "parts", .reason = "", .in_parts = true}};
    uint64_t count = 0;
    *parts_out = 0;
    do {
        const struct msg *reply = world_ask(w, &m);
        assert_int_equal(reply->kind, MSG_OK);
        assert_true(reply->ok.next == 0 || reply->ok.next > m.act.after);
        assert_true(reply->ok.count < LONG_JOBS / 4); /* none takes a long turn */
        count += reply->ok.count;
        m.act.after = reply->ok.next;
        (*parts_out)++;
    } while (m.act.after != 0);
    return count;
}

static uint64_t count_in_state(struct world *w, enum job_state job_state)
{
    struct msg m = {.kind = MSG_GET_STATUS, .get_status.experiment = "parts"};
    const struct msg *reply = world_ask(w, &m);
    assert_int_equal(reply->kind, MSG_STATUS);
    return reply->status.experiments[0].counts[job_state];
}

static void test_large_experiments_are_cancelled_and_retried_in_parts(void **state)
{
    struct world *w = *state;
    struct submit_job jobs[SUBMIT_JOBS_PER_FRAME];
    struct msg last;
    size_t parts = 0;
    submit_long(w, "parts", 103, false, jobs, &last);
    assert_int_equal(finish_long(w, &last).jobs_new, LONG_JOBS);
    assert_int_equal(act_in_parts(w, ACTION_CANCEL, &parts), LONG_JOBS);
    assert_true(parts > 4);
    assert_int_equal(count_in_state(w, JOB_CANCELLED), LONG_JOBS);
    assert_int_equal(act_in_parts(w, ACTION_CANCEL, &parts), 0);
    assert_int_equal(act_in_parts(w, ACTION_RETRY, &parts), LONG_JOBS);
    assert_int_equal(count_in_state(w, JOB_WAITING), LONG_JOBS);
    /* Shared with another, they go on for that one. */
    submit_long(w, "other", 103, false, jobs, &last);
    assert_int_equal(finish_long(w, &last).jobs_running, LONG_JOBS);
    assert_int_equal(act_in_parts(w, ACTION_CANCEL, &parts), 0);
    struct msg cancel = {.kind = MSG_ACT,
                         .act = {.action = ACTION_CANCEL, .experiment = "other", .reason = ""}};
    assert_int_equal(world_ask(w, &cancel)->ok.count, LONG_JOBS); /* at once, and it alone */
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_long_submission_survives_a_killed_coordinator),
        cmocka_unit_test(test_a_long_plan_is_refused_before_it_takes_effect),
        cmocka_unit_test(test_cancelling_ends_a_long_submission),
        cmocka_unit_test(test_large_experiments_are_cancelled_and_retried_in_parts),
    };
    return cmocka_run_group_tests(tests, world_set_up, world_tear_down);
}
