/* What the store does with what it finds in its folder: a database that is gone, another program's,
 * a write-ahead log with a damaged place. */
#include "cmocka_all.h"

#include <glob.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "store_play.h"

struct found {
    struct fixture *f;
    char path[128], log[128], other[128];
};

static int set_up_found(void **state)
{
    struct found *found = calloc(1, sizeof *found);
    void *fixture = NULL;
    int rc = set_up(&fixture);
    found->f = fixture;
    snprintf(found->path, sizeof found->path, "%s/state.db", found->f->dir);
    snprintf(found->log, sizeof found->log, "%s/state.db-wal", found->f->dir);
    snprintf(found->other, sizeof found->other, "%s/other", found->f->dir);
    *state = found;
    return rc;
}

/* The fixture's tear-down closes what is open; after a refusal nothing is. */
static int tear_down_found(void **state)
{
    struct found *found = *state;
    void *fixture = found->f;
    struct err err;
    assert_int_equal(file_remove_tree(found->other, &err), ERR_OK);
    int rc = tear_down(&fixture);
    free(found);
    return rc;
}

static void make_folder(const struct found *found, const char *name)
{
    char path[192];
    struct err err;
    snprintf(path, sizeof path, "%s/%s", found->f->dir, name);
    assert_int_equal(file_mkdirs(path, 0700, &err), ERR_OK);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void assert_refused(const struct found *found, enum err_code code, const char *words)
{
    struct store *store = NULL;
    struct err err = {0};
    assert_int_equal(store_open(found->f->dir, &store, &err), code);
    if (strstr(err.text, words) == NULL) {
        fail_msg("'%s' does not say '%s'", err.text, words);
    }
}

/* ---- a database that is gone ---- */

static void test_a_folder_that_lost_its_database_is_refused(void **state)
{
    const struct found *found = *state;
    close_store(found->f);
    make_folder(found, "blobs/3f");
    assert_int_equal(truncate(found->path, 0), 0);
    assert_refused(found, ERR_CORRUPT, "is empty, but blobs of its jobs are there");
    assert_int_equal(unlink(found->path), 0);
    assert_refused(found, ERR_CORRUPT, "is missing, but blobs of its jobs are there");
    assert_false(file_exists(found->path)); /* nor is a new one made */
}

static void test_a_log_without_its_database_is_refused(void **state)
{
    const struct found *found = *state;
    close_store(found->f);
    assert_int_equal(unlink(found->path), 0);
    write_file(found->log, "pages");
    assert_refused(found, ERR_CORRUPT, "its write-ahead log");
    assert_true(file_exists(found->log));
}

static void test_a_folder_that_has_lost_a_shared_store_is_refused(void **state)
{
    const struct found *found = *state;
    char noted[128];
    close_store(found->f);
    assert_int_equal(unlink(found->path), 0);
    snprintf(noted, sizeof noted, "%s/shared-store", found->f->dir);
    write_file(noted, "/somewhere\n");
    assert_refused(found, ERR_CORRUPT, "the name of its shared store");
}

/* Keys come before the first start, and a process that was killed then leaves an empty file. */
static void test_a_folder_without_jobs_begins_anew(void **state)
{
    const struct found *found = *state;
    close_store(found->f);
    assert_int_equal(truncate(found->path, 0), 0);
    make_folder(found, "keys");
    make_folder(found, "blobs/incoming");
    open_store(found->f);
}

/* ---- another program's database ---- */

static void test_another_programs_database_is_refused(void **state)
{
    const struct found *found = *state;
    static const char *const versions[] = {"PRAGMA user_version = 0", "PRAGMA user_version = 2",
                                           "PRAGMA user_version = 4"};
    close_store(found->f);
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        sqlite3 *db = NULL;
        assert_int_equal(unlink(found->path), 0);
        assert_int_equal(sqlite3_open(found->path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, "CREATE TABLE jobs (a)", NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, versions[i], NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
        assert_refused(found, ERR_CONFLICT, "another program's database");
    }
    write_file(found->path, "a file that is no database of any kind, and long enough to have a head"
                            " of a hundred bytes, were it one");
    assert_refused(found, ERR_CORRUPT, "is no SQLite database");
}

/* ---- a damaged log ---- */

#define TURNS 12

/* The folder `other` as a killed process leaves it: all turns in the log. */
static void make_killed(const struct found *found)
{
    struct err err;
    char text[32], to[192];
    assert_int_equal(file_remove_tree(found->other, &err), ERR_OK);
    make_folder(found, "other");
    for (int turn = 1; turn <= TURNS; turn++) {
        snprintf(text, sizeof text, "%d", turn);
        assert_int_equal(store_document_put(found->f->store, "turn", text, &err), ERR_OK);
        assert_int_equal(store_commit(found->f->store, &err), ERR_OK);
    }
    snprintf(to, sizeof to, "%s/state.db", found->other);
    assert_int_equal(file_copy(found->path, to, 0600, &err), ERR_OK);
    snprintf(to, sizeof to, "%s/state.db-wal", found->other);
    assert_int_equal(file_copy(found->log, to, 0600, &err), ERR_OK);
}

static off_t log_bytes(const struct found *found)
{
    struct stat info;
    char path[192];
    snprintf(path, sizeof path, "%s/state.db-wal", found->other);
    assert_int_equal(stat(path, &info), 0);
    return info.st_size;
}

static void damage(const struct found *found, off_t place)
{
    char path[192];
    snprintf(path, sizeof path, "%s/state.db-wal", found->other);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, place, SEEK_SET), 0);
    const int byte = fgetc(file);
    assert_int_equal(fseek(file, place, SEEK_SET), 0);
    assert_int_equal(fputc(byte ^ 0xff, file), byte ^ 0xff);
    assert_int_equal(fclose(file), 0);
}

/* The last turn that `other` knows, and whether a log was kept aside. */
static int turn_of(const struct found *found, bool *kept)
{
    struct store *store = NULL;
    struct err err;
    char pattern[192];
    const char *text = NULL;
    glob_t paths = {0};
    assert_int_equal(store_open(found->other, &store, &err), ERR_OK);
    assert_int_equal(store_document(store, "turn", &found->f->arena, &text, &err), ERR_OK);
    store_close(store);
    snprintf(pattern, sizeof pattern, "%s/state.db-wal.damaged-*", found->other);
    *kept = glob(pattern, 0, NULL, &paths) == 0;
    globfree(&paths);
    return atoi(text);
}

static void test_a_whole_log_is_read_and_none_kept(void **state)
{
    const struct found *found = *state;
    bool kept = true;
    make_killed(found);
    assert_int_equal(turn_of(found, &kept), TURNS);
    assert_false(kept);
}

static void test_a_torn_end_is_what_a_power_cut_leaves(void **state)
{
    const struct found *found = *state;
    bool kept = true;
    make_killed(found);
    damage(found, log_bytes(found) - 1);
    assert_int_equal(turn_of(found, &kept), TURNS - 1);
    assert_false(kept);
}

static void test_a_log_damaged_in_its_middle_is_kept_aside(void **state)
{
    const struct found *found = *state;
    bool kept = false;
    make_killed(found);
    damage(found, log_bytes(found) - 3 * (4096 + 24) - 1);
    const int turn = turn_of(found, &kept);
    assert_true(turn < TURNS - 1);
    assert_true(turn > 0); /* what was before is there */
    assert_true(kept);
}

static void test_a_log_without_a_head_is_kept_aside(void **state)
{
    const struct found *found = *state;
    bool kept = false;
    make_killed(found);
    damage(found, 17);
    turn_of(found, &kept);
    assert_true(kept);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up_found, tear_down_found)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_folder_that_lost_its_database_is_refused),
        TEST(test_a_log_without_its_database_is_refused),
        TEST(test_a_folder_that_has_lost_a_shared_store_is_refused),
        TEST(test_a_folder_without_jobs_begins_anew),
        TEST(test_another_programs_database_is_refused),
        TEST(test_a_whole_log_is_read_and_none_kept),
        TEST(test_a_torn_end_is_what_a_power_cut_leaves),
        TEST(test_a_log_damaged_in_its_middle_is_kept_aside),
        TEST(test_a_log_without_a_head_is_kept_aside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
