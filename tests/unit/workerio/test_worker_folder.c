/* The worker's folder, cache and log: one process per folder, least recently used first out,
 * bounded logs. */
#include "cmocka_all.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attempt_log.h"
#include "cache.h"
#include "file.h"
#include "text_clean.h"
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

static struct digest put_blob(const struct cache *cache, const char *text, time_t used)
{
    struct digest digest = hash_bytes(text, strlen(text));
    char *path = cache_path(cache, &digest, "");
    assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, NULL), ERR_OK);
    struct timespec times[2] = {{.tv_sec = used}, {.tv_sec = used}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    free(path);
    return digest;
}

static bool is_there(const struct cache *cache, const struct digest *digest)
{
    char *path = cache_path(cache, digest, "");
    bool there = file_exists(path);
    free(path);
    return there;
}

static void test_the_cache_forgets_what_was_used_longest_ago(void **state)
{
    (void)state;
    char path[] = "/tmp/triad-cache-XXXXXX";
    assert_non_null(mkdtemp(path));
    struct cache cache;
    assert_int_equal(cache_open(path, 25, &cache, NULL), ERR_OK);
    struct digest old = put_blob(&cache, "0123456789", 100);
    struct digest middle = put_blob(&cache, "abcdefghij", 200);
    struct digest recent = put_blob(&cache, "ABCDEFGHIJ", 300);
    cache_trim(&cache, 50); /* all of it may be in use */
    assert_true(is_there(&cache, &old));
    cache_trim(&cache, 1000);
    assert_false(is_there(&cache, &old));
    assert_true(is_there(&cache, &middle));
    assert_true(is_there(&cache, &recent));
    cache_close(&cache);
    assert_int_equal(file_remove_tree(path, NULL), ERR_OK);
}

static void test_a_folder_is_adopted_as_a_tree(void **state)
{
    (void)state;
    char path[] = "/tmp/triad-cache-XXXXXX";
    assert_non_null(mkdtemp(path));
    struct cache cache;
    assert_int_equal(cache_open(path, 1000, &cache, NULL), ERR_OK);
    struct digest digests[2];
    for (int i = 0; i < 2; i++) { /* the second time it is there already */
        struct strbuf folder = {0}, file = {0};
        strbuf_printf(&folder, "%s/work", path);
        strbuf_printf(&file, "%s/work/a", path);
        assert_int_equal(file_mkdirs(folder.data, 0700, NULL), ERR_OK);
        assert_int_equal(file_write_atomic(file.data, "x", 1, 0600, NULL), ERR_OK);
        struct tree tree;
        assert_int_equal(tree_of_folder(folder.data, &tree, NULL), ERR_OK);
        assert_int_equal(cache_adopt(&cache, folder.data, &tree, &digests[i], NULL), ERR_OK);
        tree_release(&tree);
        assert_false(file_exists(folder.data));
        strbuf_release(&folder);
        strbuf_release(&file);
    }
    assert_true(digest_equal(&digests[0], &digests[1]));
    struct tree again;
    assert_int_equal(cache_read_tree(&cache, &digests[0], &again, NULL), ERR_OK);
    assert_int_equal(again.file_count, 1);
    tree_release(&again);
    cache_close(&cache);
    assert_int_equal(file_remove_tree(path, NULL), ERR_OK);
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

static void test_text_is_made_clean(void **state)
{
    (void)state;
    struct strbuf out = {0};
    static const char dirty[] = "a\x1b[1m\xc3\xa4\xff\xed\xa0\x80\t\xe2\x82";
    text_clean(&out, dirty, sizeof dirty - 1);
    assert_string_equal(out.data, "a?[1m\xc3\xa4????\t??");
    strbuf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_folder_has_one_process_and_one_name),
        cmocka_unit_test(test_the_cache_forgets_what_was_used_longest_ago),
        cmocka_unit_test(test_a_folder_is_adopted_as_a_tree),
        cmocka_unit_test(test_a_flood_of_lines_is_bounded_and_its_end_kept),
        cmocka_unit_test(test_text_is_made_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
