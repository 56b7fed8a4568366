/* The store against the core it serves: after every commit of random histories, a core rebuilt from
 * the database equals the live one; a full disk loses nothing that was committed; foreign and
 * damaged databases are refused. */
#include "cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
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
#include "file.h"
#include "store_play.h"

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

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_rebuilt_core_equals_the_live_one),
        TEST(test_a_full_disk_loses_nothing_committed),
        TEST(test_the_reader_sees_what_is_committed),
        TEST(test_the_log_is_folded_in_while_work_goes_on),
        TEST(test_a_second_opening_is_refused),
        TEST(test_a_look_at_the_lock_does_not_keep_the_state_closed),
        TEST(test_newer_and_damaged_databases_are_refused),
        TEST(test_boots_are_counted),
        TEST(test_a_database_of_schema_1_is_brought_up),
        TEST(test_a_copy_is_a_state_of_one_moment),
        cmocka_unit_test(test_network_file_systems_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
