/* What the store tells: of leases, jobs, lists, documents and the work that is left; each answer
 * fits a reply and takes a bounded look. */
#include "cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bounds.h"
#include "codec.h"
#include "store_play.h"

static const struct core_span all_jobs;

static void test_leases_are_completed_from_the_store(void **state)
{
    struct fixture *f = *state;
    struct submit_job jobs[JOBS];
    struct named_digest parents[JOBS];
    struct err err;
    make_plan(jobs, parents, JOBS);
    submit(f, "e", jobs, JOBS, &err, ERR_OK);
    struct msg_lease lease = {.lease.job = job_of(5)};
    assert_int_equal(store_complete_lease(f->store, 6, &f->arena, &lease, &err), ERR_OK);
    assert_string_equal(lease.label, "label");
    assert_int_equal(lease.spec.len, jobs[5].spec.len);
    assert_memory_equal(lease.spec.data, jobs[5].spec.data, lease.spec.len);
    assert_int_equal(lease.input_count, 1);
    assert_string_equal(lease.inputs[0].name, "data");
    lease.lease.job = job_of(999); /* another than the one at that place; and no such place */
    assert_int_not_equal(store_complete_lease(f->store, 6, &f->arena, &lease, &err), ERR_OK);
    assert_int_not_equal(store_complete_lease(f->store, 999, &f->arena, &lease, &err), ERR_OK);
}

/* 300 attempts with reasons of full length are more than a frame: the newest are shown. */
static void test_a_job_with_many_attempts_fits_a_reply(void **state)
{
    struct fixture *f = *state;
    struct submit_job jobs[JOBS];
    struct named_digest parents[JOBS];
    struct err err;
    char reason[REASON_BYTES_MAX + 1];
    char worker[NAME_BYTES_MAX + 1];
    make_plan(jobs, parents, JOBS);
    submit(f, "e", jobs, JOBS, &err, ERR_OK);
    memset(reason, 'r', REASON_BYTES_MAX);
    memset(worker, 'w', NAME_BYTES_MAX);
    reason[REASON_BYTES_MAX] = worker[NAME_BYTES_MAX] = '\0';
    for (uint32_t epoch = 1; epoch <= 300; epoch++) {
        const struct core_op_attempt attempt = {.order = 1,
                                                .lease = {.job = job_of(0), .epoch = epoch},
                                                .worker = worker,
                                                .numeric_class = "",
                                                .outcome = OUTCOME_LOST,
                                                .reason = reason};
        const struct core_op ops[] = {{.kind = CORE_OP_ATTEMPT_BEGIN, .attempt = attempt},
                                      {.kind = CORE_OP_ATTEMPT_END, .attempt = attempt}};
        assert_int_equal(store_apply(f->store, ops, 2, &err), ERR_OK);
    }
    assert_int_equal(store_commit(f->store, &err), ERR_OK);
    struct msg reply = {.kind = MSG_JOB};
    struct msg_show_job request = {.job = job_of(0)};
    assert_int_equal(store_show_job(f->store, &request, &f->arena, &reply.job, &err), ERR_OK);
    assert_true(reply.job.attempt_count > 150);
    assert_int_equal(reply.job.attempts[0].epoch, 300);
    struct strbuf frame = {0};
    if (codec_encode(&reply, FRAME_BYTES_MAX, &frame, &err) != ERR_OK) {
        fail_msg("%s", err.text);
    }
    strbuf_release(&frame);
}

static void test_lists_and_documents(void **state)
{
    struct fixture *f = *state;
    struct submit_job jobs[JOBS];
    struct named_digest parents[JOBS];
    struct err err;
    make_plan(jobs, parents, JOBS);
    submit(f, "e", jobs, JOBS, &err, ERR_OK);
    struct msg_jobs list;
    struct msg_list_jobs request = {.experiment = "e", .cursor = 4};
    assert_int_equal(store_list_jobs(f->store, &request, &f->arena, &list, &err), ERR_OK);
    assert_int_equal(list.row_count, JOBS - 4);
    assert_int_equal(list.next_cursor, 0);
    assert_true(list.rows[0].seed == UINT64_MAX - 4);
    request = (struct msg_list_jobs){.experiment = "e", .state_mask = 1u << JOB_DONE};
    assert_int_equal(store_list_jobs(f->store, &request, &f->arena, &list, &err), ERR_OK);
    assert_int_equal(list.row_count, 0);
    request.experiment = "unknown";
    assert_int_equal(store_list_jobs(f->store, &request, &f->arena, &list, &err), ERR_NOT_FOUND);

    struct msg_experiment document;
    struct msg_get_experiment get = {.experiment = "e", .plan_offset = 1};
    assert_int_equal(store_get_experiment(f->store, &get, &f->arena, &document, &err), ERR_OK);
    assert_int_equal(document.plan_bytes, 2);
    assert_int_equal(document.plan_json.len, 1);
    assert_int_equal(document.manifest.len, 0);
    get.plan_offset = 0;
    assert_int_equal(store_get_experiment(f->store, &get, &f->arena, &document, &err), ERR_OK);
    assert_memory_equal(document.manifest.data, "m: 1\n", 5);

    struct digest *cancel = NULL;
    size_t count = 0;
    submit(f, "other", jobs, 2, &err, ERR_OK); /* shared with the first */
    assert_int_equal(
        store_jobs_to_cancel(f->store, "e", &all_jobs, &f->arena, &cancel, &count, &err), ERR_OK);
    assert_int_equal(count, JOBS - 2);
}

/* Jobs of a state that hardly any is in are looked for a piece at a time: a long history must not
 * stop the loop. */
static void test_a_list_looks_at_a_bounded_number_of_jobs(void **state)
{
    struct fixture *f = *state;
    enum { FINISHED = 30000, WANTED = 29000 };
    struct submit_job jobs[JOBS];
    struct named_digest parents[JOBS];
    struct err err;
    char sql[1024];
    make_plan(jobs, parents, JOBS);
    submit(f, "e", jobs, JOBS, &err, ERR_OK);
    snprintf(
        sql, sizeof sql,
        "WITH RECURSIVE n (i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
        " INSERT INTO jobs (id, identity, kind, label, family, variant, task, seed, threads,"
        " memory_bytes, items_expected, work, priority, state)"
        " SELECT i, CAST(printf('%%032d', i) AS BLOB), 0, 'l', 'f', 'v', 't', 0, 1, 0, 0, 0, 0,"
        " iif(i = %d, %d, %d) FROM n;"
        "INSERT INTO experiment_jobs SELECT 1, id, 1 FROM jobs WHERE id >= 100",
        FINISHED, WANTED, JOB_FAILED, JOB_DONE);
    run_sql(f, sql);
    static const struct {
        const char *experiment;
        uint32_t mask, rows;
        int pages_min, pages_max;
    } lists[] = {
        {"", 1u << JOB_FAILED, 1, 4, 30},
        {"e", 1u << JOB_FAILED, 1, 4, 30},
        {"", 1u << JOB_CANCELLED, 0, 4, 30},
        {"", 1u << JOB_WAITING, JOBS, 1, 1}, /* there is an index of what is unfinished */
        {"", 1u << JOB_WAITING | 1u << JOB_RUNNING, JOBS, 1, 1},
    };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct msg_list_jobs request = {.experiment = lists[i].experiment,
                                        .state_mask = lists[i].mask};
        size_t rows = 0;
        int pages = 0;
        do {
            struct msg_jobs list;
            assert_int_equal(store_list_jobs(f->store, &request, &f->arena, &list, &err), ERR_OK);
            assert_true(list.next_cursor == 0 || list.next_cursor > request.cursor);
            rows += list.row_count;
            request.cursor = list.next_cursor;
            pages++;
        } while (request.cursor != 0);
        assert_int_equal(rows, lists[i].rows);
        assert_in_range(pages, lists[i].pages_min, lists[i].pages_max);
    }
}

/* A status names as many experiments as a reply may hold, the newest. */
static void test_a_status_of_many_experiments_fits_a_reply(void **state)
{
    struct fixture *f = *state;
    enum { EXPERIMENTS = LIST_ROWS_PER_FRAME + 60 };
    struct submit_job jobs[JOBS];
    struct named_digest parents[JOBS];
    struct err err;
    char name[32];
    make_plan(jobs, parents, JOBS);
    for (int i = 0; i < EXPERIMENTS; i++) {
        snprintf(name, sizeof name, "e%d", i);
        submit(f, name, jobs, 1, &err, ERR_OK);
    }
    struct msg reply = {.kind = MSG_STATUS, .status.trouble = ""};
    struct store_work *work = NULL;
    assert_int_equal(store_experiments(f->store, "", &f->arena, &reply.status.experiments, &work,
                                       &reply.status.experiment_count, &err),
                     ERR_OK);
    assert_string_equal(reply.status.experiments[0].name, name);
    struct strbuf frame = {0};
    assert_int_equal(codec_encode(&reply, FRAME_BYTES_MAX, &frame, &err), ERR_OK);
    strbuf_release(&frame);
}

static void test_retrying_a_job_takes_its_kin_along(void **state)
{
    struct fixture *f = *state;
    struct submit_job jobs[JOBS];
    struct named_digest parents[JOBS];
    struct err err;
    struct digest root = job_of(0);
    make_plan(jobs, parents, 4); /* 1, 2, 3 need 0 */
    submit(f, "e", jobs, 4, &err, ERR_OK);
    struct msg_act act = {.action = ACTION_RETRY, .job = job_of(1), .experiment = ""};
    struct core_job_row *rows = NULL;
    size_t count = 0;
    assert_int_equal(store_jobs_to_retry(f->store, &act, &all_jobs, &f->arena, &rows, &count, &err),
                     ERR_CONFLICT); /* it still waits */
    assert_int_equal(
        step(f,
             (struct core_event){
                 .kind = CORE_CANCEL,
                 .peer = 9,
                 .act = {.reason = "", .experiment = "", .jobs = &root, .job_count = 1}},
             &err),
        ERR_OK);
    assert_int_equal(core_counts(f->core).jobs, 0);
    assert_int_equal(store_jobs_to_retry(f->store, &act, &all_jobs, &f->arena, &rows, &count, &err),
                     ERR_OK);
    assert_int_equal(count, 2); /* itself and the parent it needs */
    act.job = root;
    assert_int_equal(store_jobs_to_retry(f->store, &act, &all_jobs, &f->arena, &rows, &count, &err),
                     ERR_OK);
    assert_int_equal(count, 4); /* itself and those it took down */
    struct core_event retry = {
        .kind = CORE_RETRY,
        .peer = 9,
        .act = {.reason = "", .experiment = "", .rows = rows, .row_count = count}};
    struct arena kept = f->arena; /* rows live in it */
    f->arena = (struct arena){0};
    assert_int_equal(step(f, retry, &err), ERR_OK);
    assert_int_equal(f->out.sends[0].msg.ok.count, 4);
    assert_int_equal(core_counts(f->core).jobs, 4);
    arena_release(&kept);
    assert_rebuilt_equals_live(f);
}

static bool among(const struct digest *list, size_t count, const struct digest *wanted)
{
    for (size_t i = 0; i < count; i++) {
        if (digest_equal(&list[i], wanted)) {
            return true;
        }
    }
    return false;
}

/* What a sweep keeps: inputs of jobs that are not done, resume points of those, outputs of others.
 */
static void test_roots_are_what_jobs_need(void **state)
{
    struct fixture *f = *state;
    struct submit_job jobs[JOBS];
    struct named_digest parents[JOBS];
    struct err err;
    make_plan(jobs, parents, JOBS);
    submit(f, "e", jobs, JOBS, &err, ERR_OK);
    struct core_op op = {.kind = CORE_OP_JOB};
    struct core_job_row row;
    const struct digest artifact = job_of(500), resume = job_of(501);
    for (uint64_t i = 0; i < JOBS; i++) {
        const struct digest job = job_of(i);
        assert_int_equal(store_job_row(f->store, &job, &f->arena, &row, &err), ERR_OK);
        op.job.state = row.state;
        op.job.state.state = i == 0 ? JOB_DONE : JOB_CANCELLED;
        op.job.state.artifact = i == 0 ? artifact : (struct digest){{0}};
        op.job.state.resume = i == 0 ? job_of(502) : i == 1 ? resume : (struct digest){{0}};
        assert_int_equal(store_apply(f->store, &op, 1, &err), ERR_OK);
    }
    assert_int_equal(store_commit(f->store, &err), ERR_OK);
    struct digest all[8 * JOBS], *some = NULL;
    size_t count = 0, some_count = 0;
    for (uint64_t after = 0; after != UINT64_MAX;) {
        assert_int_equal(store_roots(f->store, &after, 5, &f->arena, &some, &some_count, &err),
                         ERR_OK);
        memcpy(all + count, some, some_count * sizeof *some);
        count += some_count;
    }
    assert_true(among(all, count, &artifact));
    assert_true(among(all, count, &resume));
    const struct digest superseded = job_of(502);
    assert_false(among(all, count, &superseded));
    assert_true(among(all, count, &jobs[1].inputs[0].digest));
}

/* A long job and a short one: what is left follows the work, not the number of jobs. */
static void test_time_left_follows_the_work(void **state)
{
    struct store_work work = {.all = 100, .unfinished = 100, .submitted_ms = 1000};
    struct experiment_row row = {0};
    (void)state;
    store_work_show(&work, 0, 5000, &row);
    assert_int_equal(row.eta_ms, -1); /* nothing done: no pace */
    store_work_show(&work, 25, 11000, &row);
    assert_true(fabs(row.work_done_ratio - 0.25) < 1e-12);
    assert_int_equal(row.eta_ms, 30000);
    work.unfinished = 20;
    work.done = 80;
    work.done_since = 40; /* 40 more were done before this submission */
    store_work_show(&work, 0, 11000, &row);
    assert_true(fabs(row.work_done_ratio - 0.8) < 1e-12);
    assert_int_equal(row.eta_ms, 5000);
    work.unfinished = 0; /* the rest was cancelled */
    store_work_show(&work, 0, 11000, &row);
    assert_int_equal(row.eta_ms, 0);
    assert_true(fabs(row.work_done_ratio - 0.8) < 1e-12);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_leases_are_completed_from_the_store),
        TEST(test_a_job_with_many_attempts_fits_a_reply),
        TEST(test_lists_and_documents),
        TEST(test_a_list_looks_at_a_bounded_number_of_jobs),
        TEST(test_a_status_of_many_experiments_fits_a_reply),
        TEST(test_retrying_a_job_takes_its_kin_along),
        TEST(test_roots_are_what_jobs_need),
        cmocka_unit_test(test_time_left_follows_the_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
