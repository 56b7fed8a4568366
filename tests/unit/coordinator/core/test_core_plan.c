/* Submissions: parts, parents and children, impossible plans, cancelling and submitting again. */
#include "cmocka_all.h"

#include <string.h>

#include "core_world.h"

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
    uint64_t a = core_world_hello(w, "a", 1, 4, WORLD_CLASS);
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
    uint64_t a = core_world_hello(w, "a", 1, 1, WORLD_CLASS);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        CORE_TEST(test_a_plan_in_parts_is_the_plan),
        CORE_TEST(test_children_wait_for_parents_and_fall_with_them),
        CORE_TEST(test_impossible_plans_change_nothing),
        CORE_TEST(test_cancel_and_retry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
