/* The store against the core it serves: after every commit of random histories, a core rebuilt from
 * the database equals the live one; a full disk loses nothing that was committed; foreign and
 * damaged databases are refused. */
#include "cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bounds.h"
#include "check.h"
#include "codec.h"
#include "file.h"
#include "store_play.h"

static const struct core_span all_jobs;

static void test_a_rebuilt_core_equals_the_live_one(void **state)
{
    struct fixture *f = *state;
    struct submit_job jobs[JOBS];
    struct named_digest parents[JOBS];
    struct err err;
    struct rng rng = rng_new(11, "history");
    struct actor actors[WORKERS] = {{0}};
    make_plan(jobs, parents, JOBS);
    size_t done = 0;
    for (int turn = 0; turn < 1500; turn++) {
        if (turn % 150 == 0) {
            submit(f, turn % 300 == 0 ? "first" : "second", jobs, JOBS, &err, ERR_OK);
            hear(f, actors);
        }
        random_turn(f, &rng, actors);
        assert_rebuilt_equals_live(f);
        assert_counts_are_right(f);
        if (turn % 400 == 399) { /* a restart: sessions end, the rest goes on */
            close_store(f);
            open_store(f);
            assert_rebuilt_equals_live(f);
            memset(actors, 0, sizeof actors);
        }
    }
    for (uint64_t i = 0; i < JOBS; i++) {
        struct digest job = job_of(i);
        struct core_job_row row;
        assert_int_equal(store_job_row(f->store, &job, &f->arena, &row, &err), ERR_OK);
        done += row.state.state == JOB_DONE;
    }
    assert_true(done > 0); /* the histories got somewhere */
}

/* ---- reading ---- */

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

static void run_sql(struct fixture *f, const char *sql);

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

/* ---- trouble ---- */

static void test_a_full_disk_loses_nothing_committed(void **state)
{
    struct fixture *f = *state;
    struct submit_job jobs[JOBS];
    struct named_digest parents[JOBS];
    struct err err;
    static uint8_t big[SPEC_BYTES_MAX];
    make_plan(jobs, parents, JOBS);
    submit(f, "e", jobs, 4, &err, ERR_OK);
    struct strbuf before = {0};
    core_dump(f->core, &before);
    assert_int_equal(store_limit_pages(f->store, 30, &err), ERR_OK);
    for (size_t i = 0; i < JOBS; i++) {
        jobs[i].spec = (struct bytes){big, sizeof big};
    }
    submit(f, "e", jobs, JOBS, &err, ERR_IO);
    assert_int_equal(err.os_errno, ENOSPC);
    store_rollback(f->store);
    /* Memory ran ahead: it is thrown away, and what comes back is what was committed. */
    core_free(f->core);
    f->core = core_new(&(struct core_options){.boot = 1}, 5);
    assert_int_equal(store_load(f->store, f->core, f->now_ms, &err), ERR_OK);
    struct strbuf after = {0};
    core_dump(f->core, &after);
    assert_string_equal(strbuf_text(&after), strbuf_text(&before));
    /* Space again: the same submission goes through. */
    assert_int_equal(store_limit_pages(f->store, 100000, &err), ERR_OK);
    submit(f, "e", jobs, JOBS, &err, ERR_OK);
    assert_int_equal(core_counts(f->core).jobs, JOBS);
    strbuf_release(&before);
    strbuf_release(&after);
}

static void commit_on_its_thread(struct fixture *f, enum err_code wanted)
{
    struct err err;
    assert_true(store_commit_begin(f->store));
    struct pollfd ended = {.fd = store_commit_fd(f->store), .events = POLLIN};
    uint64_t commits;
    do { /* as a question does meanwhile */
        commits = store_counters(f->store).commits;
    } while (poll(&ended, 1, 0) == 0);
    assert_in_range(store_counters(f->store).commits, commits, commits + 1);
    assert_int_equal(store_commit_end(f->store, &err), wanted);
}

static const char *read_note(struct fixture *f, struct store *store)
{
    const char *body = NULL;
    struct err err;
    assert_int_equal(store_document(store, "note", &f->arena, &body, &err), ERR_OK);
    return body;
}

/* What is told while a turn is under way is what a crash would leave. */
static void test_the_reader_sees_what_is_committed(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct store *reader = store_reader(f->store);
    assert_false(store_commit_begin(f->store)); /* there is nothing to commit */
    assert_int_equal(store_document_put(f->store, "note", "one", &err), ERR_OK);
    assert_string_equal(read_note(f, f->store), "one");
    assert_string_equal(read_note(f, reader), "");
    commit_on_its_thread(f, ERR_OK);
    assert_string_equal(read_note(f, reader), "one");
    /* Of one moment, whatever is committed meanwhile. */
    assert_int_equal(store_read_begin(reader, &err), ERR_OK);
    assert_string_equal(read_note(f, reader), "one");
    assert_int_equal(store_document_put(f->store, "note", "two", &err), ERR_OK);
    commit_on_its_thread(f, ERR_OK);
    assert_string_equal(read_note(f, reader), "one");
    store_read_end(reader);
    assert_string_equal(read_note(f, reader), "two");
    assert_int_equal(store_document_put(f->store, "note", "three", &err), ERR_OK);
    store_rollback(f->store);
    assert_string_equal(read_note(f, reader), "two");
    assert_int_equal(store_document_put(f->store, "note", "four", &err), ERR_OK);
    assert_int_equal(store_document_put(reader, "note", "never", &err), ERR_IO);
    store_rollback(reader);
    commit_on_its_thread(f, ERR_OK);
    assert_string_equal(read_note(f, reader), "four");
    close_store(f);
    open_store(f);
    assert_string_equal(read_note(f, store_reader(f->store)), "four");
}

static int64_t file_bytes(const struct fixture *f, const char *name)
{
    char path[128];
    struct stat info;
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    return stat(path, &info) == 0 ? info.st_size : 0;
}

/* Turns follow each other without a pause, as under load: the log must begin again all the same. */
static void test_the_log_is_folded_in_while_work_goes_on(void **state)
{
    struct fixture *f = *state;
    enum { TURNS = 300, TURN_BYTES = 1 << 20 };
    struct err err;
    char *body = malloc(TURN_BYTES + 1);
    assert_non_null(body);
    for (int i = 0; i < TURNS; i++) {
        memset(body, 'a' + i % 26, TURN_BYTES);
        body[TURN_BYTES] = '\0';
        assert_int_equal(store_document_put(f->store, "filler", body, &err), ERR_OK);
        assert_int_equal(store_commit(f->store, &err), ERR_OK);
    }
    assert_true(file_bytes(f, "state.db-wal") < (int64_t)TURNS * TURN_BYTES / 2);
    close_store(f);
    assert_int_equal(file_bytes(f, "state.db-wal"), 0);
    open_store(f);
    const char *stored = NULL;
    assert_int_equal(store_document(f->store, "filler", &f->arena, &stored, &err), ERR_OK);
    assert_string_equal(stored, body);
    free(body);
}

static void test_a_second_opening_is_refused(void **state)
{
    struct fixture *f = *state;
    struct store *second = NULL;
    struct err err;
    assert_int_equal(store_open(f->dir, &second, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "another coordinator runs there"));
}

/* Who asks whether a coordinator runs (connection.c) holds the lock for a moment. */
static void test_a_look_at_the_lock_does_not_keep_the_state_closed(void **state)
{
    struct fixture *f = *state;
    char path[128];
    int ready[2];
    char byte;
    close_store(f);
    snprintf(path, sizeof path, "%s/lock", f->dir);
    assert_int_equal(pipe(ready), 0);
    const pid_t looking = fork();
    assert_true(looking >= 0);
    if (looking == 0) {
        const int fd = open(path, O_RDONLY);
        if (fd < 0 || flock(fd, LOCK_SH) != 0 || write(ready[1], "x", 1) != 1)
            _exit(1);
        usleep(100000);
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    open_store(f);
    int status = -1;
    assert_int_equal(waitpid(looking, &status, 0), looking);
    assert_int_equal(status, 0);
}

static void run_sql(struct fixture *f, const char *sql)
{
    char path[128];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/state.db", f->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_newer_and_damaged_databases_are_refused(void **state)
{
    struct fixture *f = *state;
    struct store *again = NULL;
    struct err err;
    char path[128];
    snprintf(path, sizeof path, "%s/state.db", f->dir);
    close_store(f);
    run_sql(f, "PRAGMA user_version = 99");
    assert_int_equal(store_open(f->dir, &again, &err), ERR_VERSION);
    run_sql(f, "PRAGMA user_version = 4");
    open_store(f);
    close_store(f);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, 4096, SEEK_SET);
    for (int i = 0; i < 3 * 4096; i++) {
        fputc(0x5a, file);
    }
    fclose(file);
    assert_int_equal(store_open(f->dir, &again, &err), ERR_CORRUPT);
    /* For the teardown. */
    assert_int_equal(unlink(path), 0);
    open_store(f);
}

/* ---- old databases ---- */

static void load_sql(const char *path, const char *sql_path)
{
    sqlite3 *db = NULL;
    char *sql = NULL;
    size_t len = 0;
    struct err err;
    assert_int_equal(file_read(sql_path, 0, &sql, &len, &err), ERR_OK);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    free(sql);
}

/* A campaign that is done, one that waits and a cancelled job, as the program of schema 1 left
 * them: all there, counted, and ready to go on. */
static void test_a_database_of_schema_1_is_brought_up(void **state)
{
    struct fixture *f = *state;
    struct experiment_row *rows = NULL;
    struct store_work *work = NULL;
    size_t count = 0;
    struct err err;
    char path[128];
    snprintf(path, sizeof path, "%s/state.db", f->dir);
    close_store(f);
    assert_int_equal(unlink(path), 0);
    load_sql(path, TRIAD_SOURCE_DIR "/tests/golden/state/schema-1.sql");
    open_store(f);
    core_check(f->core);
    assert_counts_are_right(f);
    assert_int_equal(store_experiments(f->store, "", &f->arena, &rows, &work, &count, &err),
                     ERR_OK);
    assert_int_equal(count, 2);
    assert_string_equal(rows[0].name, "later");
    assert_int_equal(rows[0].counts[JOB_WAITING], 8);
    assert_int_equal(rows[0].counts[JOB_CANCELLED], 1);
    assert_int_equal(rows[1].counts[JOB_DONE], 9);
    assert_true(work[1].done_since == work[1].all && work[1].all > 0);
    assert_int_equal(core_counts(f->core).jobs, 8);
    struct msg_list_jobs list = {.experiment = "tiny", .state_mask = 1u << JOB_DONE};
    struct msg_jobs jobs;
    assert_int_equal(store_list_jobs(f->store, &list, &f->arena, &jobs, &err), ERR_OK);
    struct msg_read_stream read = {.job = jobs.rows[jobs.row_count - 1].job,
                                   .stream = STREAM_RECORDS};
    struct msg_batches batches;
    assert_int_equal(store_read_stream(f->store, &read, &f->arena, &batches, &err), ERR_OK);
    assert_true(batches.payload_count > 0);
    /* A fresh database and a migrated one are the same from here on. */
    struct msg hello = hello_of(0, 1);
    const struct core_event event = {.kind = CORE_MESSAGE, .peer = 1, .message = {.msg = &hello}};
    assert_int_equal(step(f, event, &err), ERR_OK);
    assert_rebuilt_equals_live(f);
    assert_int_equal(f->out.sends[f->out.send_count - 1].msg.kind, MSG_LEASE);
}

/* ---- copies ---- */

static void test_a_copy_is_a_state_of_one_moment(void **state)
{
    struct fixture *f = *state;
    struct submit_job jobs[JOBS];
    struct named_digest parents[JOBS];
    struct err err;
    struct rng rng = rng_new(12, "copy");
    struct actor actors[WORKERS] = {{0}};
    char folder[128], path[160];
    snprintf(folder, sizeof folder, "%s/copy", f->dir);
    make_plan(jobs, parents, JOBS);
    submit(f, "first", jobs, JOBS, &err, ERR_OK);
    assert_int_equal(store_backup_begin(f->store, folder, &err), ERR_OK);
    assert_int_equal(store_backup_begin(f->store, folder, &err), ERR_CONFLICT);
    while (!store_backup_progress(f->store).is_copied) { /* work goes on between the pages */
        assert_int_equal(store_backup_step(f->store, 2, &err), ERR_OK);
        const struct store_backup_progress now = store_backup_progress(f->store);
        if (!now.is_copied && now.pages_done % 3 == 0) {
            random_turn(f, &rng, actors);
        }
    }
    struct strbuf live = {0}, copied = {0};
    core_dump(f->core, &live);
    assert_int_equal(store_backup_sync(folder, &err), ERR_OK);
    store_backup_synced(f->store);
    assert_true(store_backup_progress(f->store).complete);
    store_backup_drop(f->store);
    assert_int_equal(store_backup_begin(f->store, folder, &err), ERR_CONFLICT); /* it is there */
    struct fixture copy = {.now_ms = f->now_ms};
    snprintf(path, sizeof path, "%s", folder);
    struct store *store = NULL;
    assert_int_equal(store_open(path, &store, &err), ERR_OK);
    copy.core = core_new(&(struct core_options){.boot = 1}, 5);
    assert_int_equal(store_load(store, copy.core, copy.now_ms, &err), ERR_OK);
    core_check(copy.core);
    core_dump(copy.core, &copied);
    assert_string_equal(strbuf_text(&copied), strbuf_text(&live));
    core_free(copy.core);
    store_close(store);
    strbuf_release(&live);
    strbuf_release(&copied);
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

static void test_network_file_systems_have_names(void **state)
{
    (void)state;
    assert_string_equal(store_network_name(0x6969), "NFS");
    assert_string_equal(store_network_name(0x0bd00bd0), "Lustre");
    assert_null(store_network_name(0xef53));     /* ext4 */
    assert_null(store_network_name(0x01021994)); /* tmpfs */
    assert_null(store_network_name(0x58465342)); /* xfs */
}

static void test_boots_are_counted(void **state)
{
    struct fixture *f = *state;
    uint32_t first = f->boot;
    close_store(f);
    open_store(f);
    assert_int_equal(f->boot, first + 1);
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
        cmocka_unit_test(test_time_left_follows_the_work),
        TEST(test_a_rebuilt_core_equals_the_live_one),
        TEST(test_leases_are_completed_from_the_store),
        TEST(test_a_job_with_many_attempts_fits_a_reply),
        TEST(test_lists_and_documents),
        TEST(test_a_list_looks_at_a_bounded_number_of_jobs),
        TEST(test_a_status_of_many_experiments_fits_a_reply),
        TEST(test_retrying_a_job_takes_its_kin_along),
        TEST(test_a_full_disk_loses_nothing_committed),
        TEST(test_the_reader_sees_what_is_committed),
        TEST(test_the_log_is_folded_in_while_work_goes_on),
        TEST(test_a_second_opening_is_refused),
        TEST(test_a_look_at_the_lock_does_not_keep_the_state_closed),
        TEST(test_newer_and_damaged_databases_are_refused),
        TEST(test_boots_are_counted),
        TEST(test_a_database_of_schema_1_is_brought_up),
        TEST(test_a_copy_is_a_state_of_one_moment),
        TEST(test_roots_are_what_jobs_need),
        cmocka_unit_test(test_network_file_systems_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
