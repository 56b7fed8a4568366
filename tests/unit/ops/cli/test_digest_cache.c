/* Digests that are remembered are those of the files as they are, whatever happens to the files. */
#include "cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "digest_cache.h"
#include "file.h"

enum { BYTES = 17 << 20 };

static char folder[64], path[100], cache_path[100];

static void must(enum err_code rc, const struct err *err)
{
    if (rc != ERR_OK)
        fail_msg("%s", err->text);
}

/* A large file of this byte. */
static void write_file(char byte)
{
    struct err err;
    char *bytes = malloc(BYTES);
    assert_non_null(bytes);
    memset(bytes, byte, BYTES);
    must(file_write_atomic(path, bytes, BYTES, 0644, &err), &err);
    free(bytes);
}

static struct digest digest_of(struct reader *reader)
{
    struct err err;
    struct digest digest, expected;
    int64_t bytes = 0;
    must(reader->digest(reader->ctx, path, &digest, &bytes, &err), &err);
    must(hash_file(path, &expected, &err), &err);
    assert_int_equal(bytes, BYTES);
    assert_true(digest_equal(&digest, &expected));
    return digest;
}

static void digests_are_remembered_until_the_file_changes(void **state)
{
    (void)state;
    struct err err;
    struct digest_cache cache;
    snprintf(folder, sizeof folder, "/tmp/triad-digests-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/weights", folder);
    snprintf(cache_path, sizeof cache_path, "%s/digests", folder);
    struct reader reader = digest_cache_reader(&cache, cache_path);
    const time_t written = time(NULL);
    write_file('a');
    digest_of(&reader);
    if (time(NULL) <= written + 2)
        assert_false(file_exists(cache_path)); /* it changed just now and may do so again */
    sleep(3);
    digest_of(&reader);
    char *text = NULL;
    size_t len = 0;
    must(file_read(cache_path, 0, &text, &len, &err), &err);
    /* What is remembered is what is answered: another digest in the file shows. */
    char *digits = strrchr(text, ' ') + 1;
    digits[0] = digits[0] == '0' ? '1' : '0';
    must(file_write_atomic(cache_path, text, len, 0644, &err), &err);
    struct digest digest, real;
    int64_t bytes = 0;
    must(reader.digest(reader.ctx, path, &digest, &bytes, &err), &err);
    must(hash_file(path, &real, &err), &err);
    assert_false(digest_equal(&digest, &real));
    assert_int_equal(bytes, BYTES);
    free(text);
    write_file('b'); /* the same size, another file */
    digest_of(&reader);
    must(file_remove_tree(folder, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_remembered_until_the_file_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
