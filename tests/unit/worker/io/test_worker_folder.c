/* The worker's folder, cache and log: one process per folder, least recently used first out,
 * bounded logs. */
#include "cmocka_all.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "attempt_log.h"
#include "blob_part.h"
#include "cache_trim.h"
#include "file.h"
#include "hash.h"
#include "worker_folder.h"

static void test_a_folder_has_one_process_and_one_name(void **state)
{
    (void)state;
    char path[] = "/tmp/triad-folder-XXXXXX";
    assert_non_null(mkdtemp(path));
    struct worker_folder folder;
    struct err err;
    assert_int_equal(worker_folder_open(path, "w1", &folder, &err), ERR_OK);
    pid_t pid = fork(); /* flock is per open file: another process is the honest test */
    if (pid == 0) {
        struct worker_folder other;
        enum err_code code = worker_folder_open(path, "w1", &other, &err);
        _exit(code == ERR_CONFLICT && strstr(err.text, "has this worker folder") ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    worker_folder_close(&folder);
    assert_int_equal(worker_folder_open(path, "w2", &folder, &err), ERR_INVALID);
    assert_int_equal(worker_folder_open(path, "w1", &folder, &err), ERR_OK);
    worker_folder_close(&folder);
    assert_int_equal(file_remove_tree(path, NULL), ERR_OK);
}

static void put_blob(const char *folder, const char *text, time_t used, char path[256])
{
    struct digest digest = hash_bytes(text, strlen(text));
    char hex[DIGEST_HEX_SIZE];
    snprintf(path, 256, "%s/%s", folder, digest_hex(&digest, hex));
    assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, NULL), ERR_OK);
    struct timespec times[2] = {{.tv_sec = used}, {.tv_sec = used}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_the_cache_forgets_what_was_used_longest_ago(void **state)
{
    (void)state;
    char folder[] = "/tmp/triad-cache-XXXXXX", linked[256], old[256], middle[256], recent[256];
    assert_non_null(mkdtemp(folder));
    put_blob(folder, "in use", 50, linked);
    put_blob(folder, "0123456789", 100, old);
    put_blob(folder, "abcdefghij", 200, middle);
    put_blob(folder, "ABCDEFGHIJ", 300, recent);
    char other[300];
    snprintf(other, sizeof other, "%s/link", folder);
    assert_int_equal(link(linked, other), 0);
    cache_trim(folder, 29, 100); /* all that is not linked may be about to be opened */
    assert_true(file_exists(old));
    cache_trim(folder, 30, 1000); /* what is linked elsewhere would give nothing back */
    assert_true(file_exists(old));
    cache_trim(folder, 29, 1000);
    assert_true(file_exists(linked));
    assert_false(file_exists(old));
    assert_true(file_exists(middle));
    assert_true(file_exists(recent));
    cache_touch(middle); /* used again: now the other one is older */
    cache_trim(folder, 16, INT64_MAX);
    assert_true(file_exists(middle));
    assert_false(file_exists(recent));
    assert_int_equal(file_remove_tree(folder, NULL), ERR_OK);
}

/* What is on its way counts, and what nobody went on with for a day is removed. */
static void test_the_cache_forgets_parts(void **state)
{
    (void)state;
    char folder[] = "/tmp/triad-cache-XXXXXX", blob[256], path[256], old[300], young[300];
    assert_non_null(mkdtemp(folder));
    put_blob(folder, "0123456789", time(NULL) - 100, blob);
    put_blob(folder, "old", time(NULL) - 90000, path);
    snprintf(old, sizeof old, "%s.part", path);
    assert_int_equal(rename(path, old), 0);
    put_blob(folder, "young", time(NULL) - 80000, path);
    snprintf(young, sizeof young, "%s.part", path);
    assert_int_equal(rename(path, young), 0);
    cache_trim(folder, 15, INT64_MAX);
    assert_false(file_exists(old));
    assert_true(file_exists(young));
    cache_trim(folder, 14, INT64_MAX);
    assert_false(file_exists(young));
    assert_true(file_exists(blob));
    assert_int_equal(file_remove_tree(folder, NULL), ERR_OK);
}

/* What gives way when the disk is full: not what somebody writes, and no blob. */
static void test_idle_parts_give_way(void **state)
{
    (void)state;
    char folder[] = "/tmp/triad-cache-XXXXXX", blob[256], path[256], idle[300], written[300];
    assert_non_null(mkdtemp(folder));
    put_blob(folder, "whole", time(NULL), blob);
    put_blob(folder, "idle", time(NULL), path);
    snprintf(idle, sizeof idle, "%s.part", path);
    assert_int_equal(rename(path, idle), 0);
    put_blob(folder, "written", time(NULL), path);
    snprintf(written, sizeof written, "%s.part", path);
    assert_int_equal(rename(path, written), 0);
    const int fd = open(written, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    blob_part_drop_idle(folder);
    assert_true(file_exists(blob));
    assert_true(file_exists(written));
    assert_false(file_exists(idle));
    assert_int_equal(close(fd), 0);
    blob_part_drop_idle("/nowhere");
    assert_int_equal(file_remove_tree(folder, NULL), ERR_OK);
}

static void test_a_flood_of_lines_is_bounded_and_its_end_kept(void **state)
{
    (void)state;
    struct attempt_log log = {.bytes = 0};
    uint64_t taken = 0;
    char line[128];
    for (int i = 0; i < 200000; i++) {
        int len = snprintf(line, sizeof line, "line %d", i);
        attempt_log_line(&log, line, (size_t)len);
        if (attempt_log_is_due(&log)) {
            taken += log.waiting.len;
            strbuf_clear(&log.waiting);
        }
    }
    attempt_log_finish(&log);
    assert_true(taken + log.waiting.len < ATTEMPT_LOG_BYTES_MAX + 64 * 1024);
    assert_non_null(strstr(log.waiting.data, "lines are missing here"));
    assert_non_null(strstr(log.waiting.data, "line 199999\n"));
    assert_null(strstr(log.waiting.data, "line 199949\n"));
    attempt_log_release(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_folder_has_one_process_and_one_name),
        cmocka_unit_test(test_the_cache_forgets_what_was_used_longest_ago),
        cmocka_unit_test(test_the_cache_forgets_parts),
        cmocka_unit_test(test_idle_parts_give_way),
        cmocka_unit_test(test_a_flood_of_lines_is_bounded_and_its_end_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
