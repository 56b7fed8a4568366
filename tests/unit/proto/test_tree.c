/* Trees: what is written is read back, equal folders have equal digests, and nothing unsafe or
 * not canonical is accepted. */
#include "cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "tree.h"

static void put(const char *folder, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, NULL), ERR_OK);
}

static void test_a_folder_becomes_a_tree_and_back(void **state)
{
    (void)state;
    char folder[] = "/tmp/triad-tree-XXXXXX";
    assert_non_null(mkdtemp(folder));
    put(folder, "b.txt", "two");
    put(folder, "a \"quoted\".txt", "");
    struct tree tree, again;
    struct err err;
    assert_int_equal(tree_of_folder(folder, &tree, &err), ERR_OK);
    struct strbuf text = {0};
    tree_encode(&tree, &text);
    assert_int_equal(tree_parse(text.data, text.len, &again, &err), ERR_OK);
    assert_int_equal(again.file_count, 2);
    assert_string_equal(again.files[0].name, "a \"quoted\".txt");
    assert_int_equal(again.files[1].size_bytes, 3);
    struct digest two = hash_bytes("two", 3);
    assert_true(digest_equal(&again.files[1].digest, &two));
    tree_release(&again);
    tree_release(&tree);
    /* A folder inside is refused. */
    char inner[512];
    snprintf(inner, sizeof inner, "%s/inner", folder);
    assert_int_equal(file_mkdirs(inner, 0755, &err), ERR_OK);
    assert_int_equal(tree_of_folder(folder, &tree, &err), ERR_INVALID);
    strbuf_release(&text);
    assert_int_equal(file_remove_tree(folder, &err), ERR_OK);
}

static void test_what_is_not_canonical_or_unsafe_is_refused(void **state)
{
    (void)state;
#define HEX "0000000000000000000000000000000000000000000000000000000000000001"
    static const char good[] = "{\"files\":[{\"digest\":\"" HEX "\",\"name\":\"a\",\"size\":1}],"
                               "\"triad_tree\":1}";
    static const char *const bad[] = {
        "",
        "[]",
        "{\"files\":[],\"triad_tree\":2}",
        "{\"files\":[], \"triad_tree\":1}",
        "{\"files\":[{\"digest\":\"" HEX "\",\"name\":\"../a\",\"size\":1}],\"triad_tree\":1}",
        "{\"files\":[{\"digest\":\"" HEX "\",\"name\":\"a\",\"size\":-1}],\"triad_tree\":1}",
        "{\"files\":[{\"digest\":\"00\",\"name\":\"a\",\"size\":1}],\"triad_tree\":1}",
        "{\"files\":[{\"digest\":\"" HEX "\",\"name\":\"b\",\"size\":1},{\"digest\":\"" HEX
        "\",\"name\":\"a\",\"size\":1}],\"triad_tree\":1}",
        "{\"files\":[{\"digest\":\"" HEX "\",\"extra\":1,\"name\":\"a\",\"size\":1}],"
        "\"triad_tree\":1}",
    };
    struct tree tree;
    assert_int_equal(tree_parse(good, strlen(good), &tree, NULL), ERR_OK);
    tree_release(&tree);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(tree_parse(bad[i], strlen(bad[i]), &tree, NULL), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_folder_becomes_a_tree_and_back),
        cmocka_unit_test(test_what_is_not_canonical_or_unsafe_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
