/* worker/lm tokenizer_cache and tokenizer_image: what was stored is used, whatever is wrong with it
 * is noticed, and the folder stays small. A small tokenizer stands for large ones. */
#include "cmocka_all.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "file.h"
#include "tokenizer_cache.h"
#include "tokenizer_impl.h"
#include "tokenizer_json.h"

#define GOLDEN TRIAD_SOURCE_DIR "/tests/golden/"

static void must(enum err_code rc, const struct err *err)
{
    if (rc != ERR_OK)
        fail_msg("%s", err->text);
}

static struct digest digest_of(int number)
{
    return hash_bytes(&number, sizeof number);
}

static struct tokenizer *read_golden(const char *name, const struct digest *source)
{
    struct err err;
    char *text = NULL;
    size_t len = 0;
    struct tokenizer *t = NULL;
    must(file_read(name, 0, &text, &len, &err), &err);
    must(tokenizer_read_json((struct str){text, len}, name, source, &t, &err), &err);
    free(text);
    return t;
}

static void store(const char *name, int number)
{
    struct err err;
    struct digest source = digest_of(number);
    struct tokenizer *t = read_golden(name, &source);
    must(tokenizer_cache_write(t, &err), &err);
    tokenizer_free(t);
}

static enum err_code open_stored(int number, struct tokenizer **t)
{
    struct err err;
    struct digest source = digest_of(number);
    return tokenizer_cache_open(&source, t, &err);
}

static void path_of(int number, char path[4096])
{
    struct digest source = digest_of(number);
    assert_true(tokenizer_cache_path(&source, path, 4096));
}

static void test_stored_tables_are_the_same_tokenizer(void **state)
{
    (void)state;
    static const char *const files[] = {GOLDEN "tokenizer/license-1024.json",
                                        GOLDEN "stories260K/tokenizer.json"};
    for (int i = 0; i < 2; i++) {
        struct err err;
        struct strbuf first = {0};
        struct strbuf second = {0};
        struct tokenizer *t = read_golden(files[i], NULL);
        struct tokenizer *stored = NULL;
        store(files[i], i);
        assert_int_equal(open_stored(i, &stored), ERR_OK);
        tokenizer_print(t, &first);
        tokenizer_print(stored, &second);
        assert_string_equal(first.data, second.data);
        assert_int_equal(tokenizer_bos(t), tokenizer_bos(stored));
        int32_t id = 0;
        must(tokenizer_add_special(stored, "<|one more|>", &id, &err),
             &err); /* the map is read-only */
        assert_int_equal(id, tokenizer_vocabulary(t));
        strbuf_release(&first);
        strbuf_release(&second);
        tokenizer_free(t);
        tokenizer_free(stored);
    }
}

static void test_other_digests_and_missing_files_are_no_hits(void **state)
{
    (void)state;
    char path[4096];
    char other[4096];
    struct tokenizer *t = NULL;
    assert_int_equal(open_stored(77, &t), ERR_NOT_FOUND);
    store(GOLDEN "tokenizer/license-1024.json", 0);
    path_of(0, path);
    path_of(78, other);
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(open_stored(78, &t), ERR_CORRUPT); /* the tables of another file */
    assert_null(t);
}

/* Every byte of the header and some of the tables: one changed bit each. */
static void test_every_change_is_noticed(void **state)
{
    (void)state;
    struct err err;
    char path[4096];
    char *bytes = NULL;
    size_t len = 0;
    struct tokenizer *t = NULL;
    store(GOLDEN "tokenizer/license-1024.json", 1);
    path_of(1, path);
    must(file_read(path, 0, &bytes, &len, &err), &err);
    assert_true(len > sizeof(struct image_header));
    uint64_t *block = malloc(len);
    assert_non_null(block);
    for (size_t at = 0; at < len; at += at < sizeof(struct image_header) ? 1 : 97) {
        struct tokenizer_image image;
        memcpy(block, bytes, len);
        ((uint8_t *)block)[at] ^= 0x10;
        enum err_code rc = image_open(block, len, &image, &err);
        if (rc != ERR_CORRUPT && rc != ERR_VERSION)
            fail_msg("a changed byte %zu of %zu goes unnoticed", at, len);
    }
    for (size_t cut = 0; cut < len; cut += 1009) {
        must(file_write_atomic(path, bytes, cut, 0600, &err), &err);
        assert_int_equal(open_stored(1, &t), ERR_CORRUPT);
    }
    free(block);
    free(bytes);
}

/* Tables whose checksums are right and whose content is not, as somebody who means harm would
 * write. */
static void test_tables_with_right_checksums_are_checked_too(void **state)
{
    (void)state;
    static const struct {
        enum image_section section;
        size_t offset;
        uint32_t value;
    } cases[] = {
        {SECTION_ENDS, 40, 0xfffffff0},  /* tokens out of order */
        {SECTION_WORDS, 0, 0x7fffffff},  /* an id outside the vocabulary */
        {SECTION_PAIRS, 12, 0x7fffffff}, /* a merge to one */
        {SECTION_ADDED, 0, 0x7fffffff},  /* an added token that is none */
        {SECTION_ADDED, 4, 0},           /* with no text */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err;
        struct tokenizer_image image;
        struct tokenizer *t = read_golden(GOLDEN "tokenizer/license-1024.json", NULL);
        struct image_header *header = t->block;
        /* Pairs: the first slot that is taken. */
        size_t at = header->sections[cases[i].section].offset + cases[i].offset;
        if (cases[i].section == SECTION_PAIRS)
            while (((const int32_t *)(const void *)((char *)t->block + at))[-3] == -1)
                at += sizeof(struct image_pair);
        memcpy((char *)t->block + at, &cases[i].value, sizeof cases[i].value);
        image_seal(t->block);
        assert_int_equal(image_open(t->block, header->total_bytes, &image, &err), ERR_CORRUPT);
        tokenizer_free(t);
    }
}

static void test_another_version_is_not_taken(void **state)
{
    (void)state;
    struct err err;
    struct tokenizer_image image;
    struct tokenizer *t = read_golden(GOLDEN "tokenizer/license-1024.json", NULL);
    struct image_header *header = t->block;
    image_seal(header);
    must(image_open(header, header->total_bytes, &image, &err), &err);
    header->version++;
    assert_int_equal(image_open(header, header->total_bytes, &image, &err), ERR_VERSION);
    header->version--;
    header->byte_order = 0x04030201;
    assert_int_equal(image_open(header, header->total_bytes, &image, &err), ERR_VERSION);
    tokenizer_free(t);
}

static int count_files(void)
{
    char path[4096];
    path_of(0, path);
    *strrchr(path, '/') = '\0';
    DIR *dir = opendir(path);
    int count = 0;
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void test_the_least_used_file_makes_room(void **state)
{
    (void)state;
    struct tokenizer *t = NULL;
    struct err err;
    char path[4096];
    path_of(0, path);
    *strrchr(path, '/') = '\0';
    must(file_remove_tree(path, &err), &err);
    for (int i = 0; i < TOKENIZER_CACHE_FILES_MAX; i++) {
        struct timespec times[2] = {{.tv_sec = 1000 + i}, {.tv_sec = 1000 + i}};
        store(GOLDEN "tokenizer/license-1024.json", 100 + i);
        path_of(100 + i, path);
        assert_int_equal(utimensat(0, path, times, 0), 0);
    }
    assert_int_equal(open_stored(100, &t), ERR_OK); /* the oldest, but used just now */
    tokenizer_free(t);
    store(GOLDEN "tokenizer/license-1024.json", 200);
    assert_int_equal(count_files(), TOKENIZER_CACHE_FILES_MAX);
    assert_int_equal(open_stored(101, &t), ERR_NOT_FOUND);
    assert_int_equal(open_stored(100, &t), ERR_OK);
    tokenizer_free(t);
}

static void test_no_folder_is_no_error(void **state)
{
    (void)state;
    char path[4096];
    struct digest source = digest_of(0);
    char *cache = strdup(getenv("XDG_CACHE_HOME"));
    char *home = getenv("HOME") ? strdup(getenv("HOME")) : NULL;
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    assert_false(tokenizer_cache_path(&source, path, sizeof path));
    setenv("HOME", "/somewhere", 1);
    assert_true(tokenizer_cache_path(&source, path, sizeof path));
    assert_memory_equal(path, "/somewhere/.cache/triad/tokenizers/", 35);
    setenv("XDG_CACHE_HOME", cache, 1);
    if (home)
        setenv("HOME", home, 1);
    free(cache);
    free(home);
}

int main(void)
{
    struct err err;
    char cache[] = "/tmp/triad-cache-XXXXXX";
    if (!mkdtemp(cache) || setenv("XDG_CACHE_HOME", cache, 1) != 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stored_tables_are_the_same_tokenizer),
        cmocka_unit_test(test_other_digests_and_missing_files_are_no_hits),
        cmocka_unit_test(test_every_change_is_noticed),
        cmocka_unit_test(test_tables_with_right_checksums_are_checked_too),
        cmocka_unit_test(test_another_version_is_not_taken),
        cmocka_unit_test(test_the_least_used_file_makes_room),
        cmocka_unit_test(test_no_folder_is_no_error),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (file_remove_tree(cache, &err) != ERR_OK)
        printf("%s\n", err.text);
    return failed;
}
