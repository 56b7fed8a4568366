/* worker/lm tokenizer: the goldens in tests/golden/tokenizer were made by Hugging Face's tokenizers
 * library (tests/oracle/tokenizer_goldens.mjs); everything else is checked against its definition.
 */
#include "cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "file.h"
#include "rng.h"
#include "text_normal.h"
#include "tokenizer.h"
#include "tokenizer_made.h"
#include "utf8.h"

/* Text comes back as it was; what is not UTF-8, with U+FFFD in its place. */
static void assert_round_trip(struct tokenizer *t, struct str given)
{
    struct err err;
    struct text_map repaired = {0};
    size_t replaced = 0;
    struct str text = given;
    if (text_repair(given, &repaired, &replaced))
        text = (struct str){repaired.text.data, repaired.text.len};
    size_t replaced_before = tokenizer_replaced(t);
    struct token_list list = made_encode(t, given);
    assert_int_equal(tokenizer_replaced(t), replaced_before + replaced);
    size_t count = 0;
    made_must(tokenizer_count(t, given, &count, &err), &err);
    assert_int_equal(count, list.count);
    struct strbuf back = {0};
    made_must(tokenizer_decode(t, list.ids, list.count, &back, &err), &err);
    assert_int_equal(back.len, text.len);
    if (text.len > 0)
        assert_memory_equal(back.data, text.data, text.len);
    for (size_t i = 0; i < list.count; i++)
        assert_false(tokenizer_is_special(t, list.ids[i]));
    strbuf_release(&back);
    token_list_release(&list);
    text_map_release(&repaired);
}

static void test_byte_spelling_is_the_alphabet_of_gpt2(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++)
        assert_int_equal(byte_from_spelling(byte_spelling((uint8_t)byte)), byte);
    assert_int_equal(byte_spelling(' '), 0x120);  /* Ġ */
    assert_int_equal(byte_spelling('\n'), 0x10a); /* Ċ */
    assert_int_equal(byte_spelling(0x7f), 0x121);
    assert_int_equal(byte_spelling(0xad), 0x143);
    assert_int_equal(byte_from_spelling(0x144), -1);
    assert_int_equal(byte_from_spelling(' '), -1);
}

static void test_utf8_refuses_what_rfc_3629_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {"\x80",
                                      "\xc0\xaf",
                                      "\xc1\x81",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xe2\x96",
                                      "\xff",
                                      "\xc3("};
    uint32_t codepoint;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(utf8_decode(bad[i], strlen(bad[i]), &codepoint), 0);
    static const uint32_t good[] = {0,      0x7f,   0x80,   0x7ff,   0x800,
                                    0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char bytes[4];
        size_t len = utf8_encode(good[i], bytes);
        assert_int_equal(utf8_decode(bytes, len, &codepoint), len);
        assert_int_equal(codepoint, good[i]);
    }
}

/* Worked by hand: "aab" 3 times and "aa" 2 times. Pairs: (a,a) 5, (a,b) 3. Then (aa,b) 3. Ties and
 * the stop at pairs seen once are in the next test. */
static void test_any_bytes_come_back(void **state)
{
    (void)state;
    struct err err;
    struct tokenizer *t = NULL;
    made_must(tokenizer_load(TRAINED_FILE, &t, &err), &err);
    assert_round_trip(t, (struct str){"", 0});
    assert_round_trip(t, (struct str){"\0\0a\0", 4});
    char all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    assert_round_trip(t, (struct str){all, sizeof all});
    struct rng rng = rng_new(1, "any_bytes");
    for (int round = 0; round < 2000; round++) {
        char bytes[300];
        size_t len = rng_below(&rng, sizeof bytes);
        uint64_t range = round % 2 ? 256 : 4;
        for (size_t i = 0; i < len; i++)
            bytes[i] =
                (char)(range == 4 ? " \n\xe2t"[rng_below(&rng, 4)] : (int)rng_below(&rng, 256));
        assert_round_trip(t, (struct str){bytes, len});
    }
    tokenizer_free(t);
}

/* A run of one character, spaces and digits: the shapes on which careless pieces turn quadratic. */
static void test_long_runs_are_encoded(void **state)
{
    (void)state;
    struct err err;
    struct tokenizer *t = NULL;
    made_must(tokenizer_load(TRAINED_FILE, &t, &err), &err);
    enum { RUN = 1 << 20 };
    char *run = malloc(RUN);
    for (const char *c = "e 7\n\xff"; *c; c++) {
        memset(run, *c, RUN);
        assert_round_trip(t, (struct str){run, RUN});
    }
    free(run);
    tokenizer_free(t);
}

static void test_plain_text_never_gives_special_tokens(void **state)
{
    (void)state;
    static const char *const files[] = {TRAINED_FILE, GOLDEN_FOLDER "stories260K/tokenizer.json"};
    for (size_t i = 0; i < 2; i++) {
        struct err err;
        struct tokenizer *t = NULL;
        made_must(tokenizer_load(files[i], &t, &err), &err);
        struct token_list list =
            made_encode(t, str_from("<s></s><unk><|eot_id|><|begin_of_text|>"));
        assert_true(list.count > 5);
        for (size_t k = 0; k < list.count; k++)
            assert_false(tokenizer_is_special(t, list.ids[k]));
        token_list_release(&list);
        tokenizer_free(t);
    }
}

static void test_special_tokens_are_found_by_exact_text(void **state)
{
    (void)state;
    struct err err;
    struct tokenizer *t = NULL;
    made_must(tokenizer_load(TRAINED_FILE, &t, &err), &err);
    assert_int_equal(tokenizer_special(t, "<|begin_of_text|>"), 1019);
    assert_int_equal(tokenizer_special(t, "<|eot_id|>"), 1023);
    assert_int_equal(tokenizer_special(t, "<|eot_id|"), TOKEN_NONE);
    assert_int_equal(tokenizer_special(t, "a"), TOKEN_NONE); /* there, but not special */
    assert_int_equal(tokenizer_bos(t), 1019);
    assert_int_equal(tokenizer_eos(t), 1020);
    int32_t id = 0;
    assert_int_equal(tokenizer_add_special(t, "<|eot_id|>", &id, &err), ERR_CONFLICT);
    assert_int_equal(tokenizer_add_special(t, "", &id, &err), ERR_INVALID);
    assert_int_equal(tokenizer_add_special(t, "\xff", &id, &err), ERR_INVALID);
    assert_int_equal(tokenizer_vocabulary(t), 1024);
    made_must(tokenizer_add_special(t, "<|new \"one\"|>", &id, &err), &err);
    assert_int_equal(id, 1024);
    struct strbuf text = {0};
    tokenizer_print(t, &text);
    struct tokenizer *again = NULL;
    made_must(tokenizer_parse(text.data, text.len, "printed", &again, &err), &err);
    assert_int_equal(tokenizer_special(again, "<|new \"one\"|>"), 1024);
    strbuf_release(&text);
    tokenizer_free(again);
    tokenizer_free(t);
}

/* Replay {"cases": [{"text": …, "ids": […]}]}; returns the number of cases. */
static size_t replay(struct tokenizer *t, const char *cases_file)
{
    json_error_t fault;
    json_t *root = json_load_file(cases_file, JSON_ALLOW_NUL, &fault);
    if (!root)
        fail_msg("%s:%d: %s", cases_file, fault.line, fault.text);
    json_t *cases = json_object_get(root, "cases");
    size_t count = json_array_size(cases);
    for (size_t i = 0; i < count; i++) {
        json_t *text = json_object_get(json_array_get(cases, i), "text");
        json_t *ids = json_object_get(json_array_get(cases, i), "ids");
        struct token_list list =
            made_encode(t, (struct str){json_string_value(text), json_string_length(text)});
        if (list.count != json_array_size(ids))
            fail_msg("case %zu '%s': %zu ids, not %zu", i, json_string_value(text), list.count,
                     json_array_size(ids));
        for (size_t k = 0; k < list.count; k++) {
            if (list.ids[k] != json_integer_value(json_array_get(ids, k)))
                fail_msg("case %zu '%s': id %zu differs", i, json_string_value(text), k);
        }
        token_list_release(&list);
    }
    json_decref(root);
    return count;
}

static void test_byte_level_ids_equal_those_of_hugging_face(void **state)
{
    (void)state;
    struct err err;
    struct tokenizer *t = NULL;
    made_must(tokenizer_load(TRAINED_FILE, &t, &err), &err);
    assert_true(replay(t, GOLDEN_FOLDER "tokenizer/license-1024.cases.json") > 500);
    tokenizer_free(t);
}

/* The text with one place changed; the caller frees. (Inlined, gcc 12 at -O3 takes `text` for a
 * local that has ended.) */
__attribute__((noinline)) static char *with_change(const char *text, const char *find,
                                                   const char *replace)
{
    const char *at = strstr(text, find);
    struct strbuf changed = {0};
    assert_non_null(at); /* it must be in the file */
    const size_t before = (size_t)(at - text);
    strbuf_append(&changed, text, before);
    strbuf_puts(&changed, replace);
    strbuf_puts(&changed, text + before + strlen(find));
    return strbuf_take(&changed);
}

static void test_ids_with_the_pattern_of_llama_3_equal_those_of_hugging_face(void **state)
{
    (void)state;
    struct err err;
    struct tokenizer *t = NULL;
    made_must(tokenizer_load(GOLDEN_FOLDER "tokenizer/numbers.json", &t, &err), &err);
    assert_true(replay(t, GOLDEN_FOLDER "tokenizer/numbers.cases.json") > 500);
    struct token_list list = made_encode(t, str_from("1234"));
    assert_int_equal(list.count, 2); /* 123 4, though the vocabulary has 1234 */
    token_list_release(&list);
    tokenizer_free(t);
}

static void test_byte_fallback_ids_equal_those_of_hugging_face(void **state)
{
    (void)state;
    struct err err;
    struct tokenizer *t = NULL;
    made_must(tokenizer_load(GOLDEN_FOLDER "stories260K/tokenizer.json", &t, &err), &err);
    assert_true(replay(t, GOLDEN_FOLDER "tokenizer/stories260K.cases.json") > 500);
    tokenizer_free(t);
}

/* One change to a valid file at a time: what it must say. */
struct spoiled {
    const char *find;
    const char *replace;
    enum err_code code;
    const char *says;
};

static void test_faulty_files_are_refused_by_name(void **state)
{
    (void)state;
    static const struct spoiled cases[] = {
        {"\"type\": \"BPE\"", "\"type\": \"Unigram\"", ERR_INVALID, "model type \"Unigram\""},
        {"\"normalizer\": null", "\"normalizer\": {\"type\": \"NFKC\"}", ERR_INVALID, "normalizer"},
        {"\"normalizer\": null", "\"normalizer\": {\"type\": \"NFC\", \"x\": 1}", ERR_INVALID,
         "normalizer"},
        {"\"ignore_merges\": false", "\"ignore_merges\": 1", ERR_INVALID, "ignore_merges"},
        {"\"ignore_merges\": false", "\"dropout\": null", ERR_CORRUPT, "twice"},
        {"\"ignore_merges\"", "\"ignore\"", ERR_INVALID, "model key 'ignore'"},
        {"\"padding\": null", "\"paddings\": null", ERR_INVALID, "key 'paddings'"},
        {"\"lstrip\": false", "\"lstrip\": true", ERR_INVALID, "'lstrip' of added token"},
        {"\"single_word\"", "\"single\"", ERR_INVALID, "'single' of added token"},
        {"\"post_processor\": {\"type\": \"TemplateProcessing\"",
         "\"post_processor\": {\"type\": \"BertProcessing\"", ERR_INVALID, "post_processor"},
        {"\"SpecialToken\": {\"id\": \"<|begin_of_text|>\"", "\"SpecialToken\": {\"id\": \"<s>\"",
         ERR_CORRUPT, "post_processor"},
        {"\"dropout\": null", "\"dropout\": 0.1", ERR_INVALID, "dropout"},
        {"\\\\p{N}|", "\\\\p{N}{1,2}|", ERR_INVALID, "pattern"},
        {"\"Isolated\"", "\"Removed\"", ERR_INVALID, "pre_tokenizer"},
        {"\"a\": 97", "\"a\": 98", ERR_CORRUPT, "id 98"},
        {"\"a\": 97", "\"a\": 2000", ERR_CORRUPT, "no token has id 97"},
        {"\"a\": 97", "\"a\": -1", ERR_CORRUPT, "has no id"},
        {"\"a\": 97", "\"a\": \"x\"", ERR_CORRUPT, "has no id"},
        {"\"a\": 97", "\"a b\": 97", ERR_CORRUPT, "byte alphabet"},
        {"\"content\": \"<|eot_id|>\"", "\"content\": \"<|begin_of_text|>\"", ERR_CORRUPT, "twice"},
        {"\"merges\": [", "\"merges\": [[\"~\", \"~\"],", ERR_CORRUPT, "lacks"},
        {"\"merges\": [", "\"merges\": [\"~\",", ERR_CORRUPT, "not a pair"},
        {"\"vocab\"", "\"vocabulary\"", ERR_INVALID, "model key 'vocabulary'"},
        {"{\n", "[\n", ERR_CORRUPT, "parse"},
    };
    size_t len = 0;
    char *good = made_read(TRAINED_FILE, &len);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = with_change(good, cases[i].find, cases[i].replace);
        struct err err = {0};
        struct tokenizer *t = NULL;
        assert_int_equal(tokenizer_parse(text, strlen(text), "spoiled.json", &t, &err),
                         cases[i].code);
        assert_null(t);
        if (!strstr(err.text, cases[i].says))
            fail_msg("'%s' does not say '%s'", err.text, cases[i].says);
        free(text);
    }
    free(good);
}

/* The trained tokenizer with one setting changed. The caller frees. */
static struct tokenizer *load_changed(const char *find, const char *replace)
{
    struct err err;
    size_t len = 0;
    struct tokenizer *t = NULL;
    char *good = made_read(TRAINED_FILE, &len);
    char *text = with_change(good, find, replace);
    made_must(tokenizer_parse(text, strlen(text), "changed.json", &t, &err), &err);
    free(text);
    free(good);
    return t;
}

static void assert_same_ids(struct tokenizer *a, const char *text_a, struct tokenizer *b,
                            const char *text_b)
{
    struct token_list one = made_encode(a, str_from(text_a));
    struct token_list other = made_encode(b, str_from(text_b));
    assert_int_equal(one.count, other.count);
    assert_memory_equal(one.ids, other.ids, one.count * sizeof *one.ids);
    token_list_release(&one);
    token_list_release(&other);
}

static void test_form_c_comes_first_when_the_file_asks(void **state)
{
    (void)state;
    struct err err;
    struct tokenizer *plain = NULL;
    made_must(tokenizer_load(TRAINED_FILE, &plain, &err), &err);
    struct tokenizer *nfc =
        load_changed("\"normalizer\": null", "\"normalizer\": {\"type\": \"NFC\"}");
    assert_same_ids(nfc, "cafe\u0301 \u1112\u1161\u11ab", plain, "caf\u00e9 \ud55c");
    assert_same_ids(nfc, "a\u0323\u0302", plain, "\u1ead");
    struct token_list list = {0};
    struct place_list places = {0};
    made_must(tokenizer_encode_with(nfc, str_from("xe\u0301"), ADDED_ALL, &list, &places, &err),
              &err);
    assert_int_equal(list.count, 3); /* x and the two bytes of U+00E9 */
    for (int i = 1; i < 3; i++) {
        assert_int_equal(places.places[i].begin, 1);
        assert_int_equal(places.places[i].end, 4);
    }
    token_list_release(&list);
    place_list_release(&places);
    tokenizer_free(nfc);
    tokenizer_free(plain);
}

/* "th" is an entry and "the" too; without merges to it, "the" is only reached as a whole word. */
static void test_whole_words_need_no_merges_when_the_file_says(void **state)
{
    (void)state;
    struct tokenizer *plain = load_changed("\"a\": 97,", "\"a\": 97, \"qzj\": 1024,");
    struct tokenizer *whole =
        load_changed("\"ignore_merges\": false,\n    \"vocab\": {",
                     "\"ignore_merges\": true,\n    \"vocab\": {\"qzj\": 1024,");
    struct token_list list = made_encode(plain, str_from("qzj"));
    assert_int_equal(list.count, 3);
    token_list_release(&list);
    list = made_encode(whole, str_from("qzj"));
    assert_int_equal(list.count, 1);
    assert_int_equal(list.ids[0], 1024);
    token_list_release(&list);
    list = made_encode(whole, str_from("qzjqzj")); /* not a word of the vocabulary */
    assert_int_equal(list.count, 6);
    token_list_release(&list);
    tokenizer_free(plain);
    tokenizer_free(whole);
}

static void test_text_gives_added_tokens_only_when_asked(void **state)
{
    (void)state;
    struct err err;
    /* "zz" is an entry of the model, and added without being special: ordinary text. */
    struct tokenizer *t =
        load_changed("\"added_tokens\": [", "\"added_tokens\": [{\"id\": 122, \"content\": \"z\", "
                                            "\"special\": false},");
    struct token_list list = {0};
    struct place_list places = {0};
    static const int32_t wanted[] = {'a', 122, 1023, 1023, 'b'};
    struct str text = str_from("az<|eot_id|><|eot_id|>b");
    made_must(tokenizer_encode_with(t, text, ADDED_ALL, &list, &places, &err), &err);
    assert_int_equal(list.count, 5);
    assert_memory_equal(list.ids, wanted, sizeof wanted);
    assert_int_equal(places.places[3].begin, 12);
    assert_int_equal(places.places[3].end, 22);
    list.count = 0;
    made_must(tokenizer_encode(t, text, &list, &err), &err);
    assert_true(list.count > 10);
    assert_int_equal(list.ids[1], 122);
    token_list_release(&list);
    place_list_release(&places);
    tokenizer_free(t);
}

static void test_places_lead_back_through_repair(void **state)
{
    (void)state;
    struct err err;
    struct tokenizer *t = NULL;
    made_must(tokenizer_load(TRAINED_FILE, &t, &err), &err);
    struct token_list list = {0};
    struct place_list places = {0};
    made_must(tokenizer_encode_with(t, str_from("q\xe2\x82z\xff"), ADDED_ALL, &list, &places, &err),
              &err);
    /* q, three bytes of U+FFFD for two bytes, z, three for one. */
    static const uint32_t begins[] = {0, 1, 1, 1, 3, 4, 4, 4};
    static const uint32_t ends[] = {1, 3, 3, 3, 4, 5, 5, 5};
    assert_int_equal(places.count, 8);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(places.places[i].begin, begins[i]);
        assert_int_equal(places.places[i].end, ends[i]);
    }
    assert_int_equal(tokenizer_replaced(t), 2);
    token_list_release(&list);
    place_list_release(&places);
    tokenizer_free(t);
}

static void test_decoded_text_has_no_broken_characters(void **state)
{
    (void)state;
    struct err err;
    struct tokenizer *level = NULL;
    struct tokenizer *fallback = NULL;
    struct strbuf out = {0};
    made_must(tokenizer_load(TRAINED_FILE, &level, &err), &err);
    made_must(tokenizer_load(GOLDEN_FOLDER "stories260K/tokenizer.json", &fallback, &err), &err);
    /* Two maximal subparts of three bytes; a byte-fallback run counts its bytes. */
    static const int32_t bytes[] = {0xe2, 0x96, 0xff};
    made_must(tokenizer_decode_text(level, bytes, 3, false, &out, &err), &err);
    assert_string_equal(out.data, "\ufffd\ufffd");
    strbuf_clear(&out);
    static const int32_t fallback_bytes[] = {3 + 0xe2, 3 + 0x96, 3 + 0xff};
    made_must(tokenizer_decode_text(fallback, fallback_bytes, 3, false, &out, &err), &err);
    assert_string_equal(out.data, "\ufffd\ufffd\ufffd");
    strbuf_clear(&out);
    static const int32_t with_special[] = {1023, 'a'};
    made_must(tokenizer_decode_text(level, with_special, 2, true, &out, &err), &err);
    assert_string_equal(out.data, "a");
    strbuf_release(&out);
    tokenizer_free(level);
    tokenizer_free(fallback);
}

static void test_names_in_the_spelling_of_the_file_are_taken(void **state)
{
    (void)state;
    struct err err;
    int32_t id;
    struct tokenizer *t = NULL;
    made_must(tokenizer_load(TRAINED_FILE, &t, &err), &err);
    assert_int_equal(tokenizer_add_special(t, "\u0120", &id, &err), ERR_CONFLICT);
    tokenizer_free(t);
    made_must(tokenizer_load(GOLDEN_FOLDER "stories260K/tokenizer.json", &t, &err), &err);
    assert_int_equal(tokenizer_add_special(t, "<0x41>", &id, &err), ERR_CONFLICT);
    assert_int_equal(tokenizer_add_special(t, "\u2581the", &id, &err), ERR_CONFLICT);
    tokenizer_free(t);
}

static void test_whole_words_do_not_go_with_byte_fallback(void **state)
{
    (void)state;
    struct err err = {0};
    size_t len = 0;
    struct tokenizer *t = NULL;
    char *good = made_read(GOLDEN_FOLDER "stories260K/tokenizer.json", &len);
    char *text = with_change(good, "\"ignore_merges\": false", "\"ignore_merges\": true");
    assert_int_equal(tokenizer_parse(text, strlen(text), "x", &t, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "ignore_merges"));
    free(text);
    free(good);
}

static void test_decode_refuses_foreign_ids(void **state)
{
    (void)state;
    struct err err;
    struct tokenizer *t = NULL;
    made_must(tokenizer_load(TRAINED_FILE, &t, &err), &err);
    struct strbuf out = {0};
    assert_int_equal(tokenizer_decode(t, (const int32_t[]){97, 1024}, 2, &out, &err), ERR_INVALID);
    assert_int_equal(out.len, 0);
    assert_int_equal(tokenizer_decode(t, (const int32_t[]){-1}, 1, &out, &err), ERR_INVALID);
    tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_byte_spelling_is_the_alphabet_of_gpt2),
        cmocka_unit_test(test_utf8_refuses_what_rfc_3629_refuses),
        cmocka_unit_test(test_any_bytes_come_back),
        cmocka_unit_test(test_long_runs_are_encoded),
        cmocka_unit_test(test_plain_text_never_gives_special_tokens),
        cmocka_unit_test(test_special_tokens_are_found_by_exact_text),
        cmocka_unit_test(test_byte_level_ids_equal_those_of_hugging_face),
        cmocka_unit_test(test_ids_with_the_pattern_of_llama_3_equal_those_of_hugging_face),
        cmocka_unit_test(test_byte_fallback_ids_equal_those_of_hugging_face),
        cmocka_unit_test(test_faulty_files_are_refused_by_name),
        cmocka_unit_test(test_form_c_comes_first_when_the_file_asks),
        cmocka_unit_test(test_whole_words_need_no_merges_when_the_file_says),
        cmocka_unit_test(test_text_gives_added_tokens_only_when_asked),
        cmocka_unit_test(test_places_lead_back_through_repair),
        cmocka_unit_test(test_decoded_text_has_no_broken_characters),
        cmocka_unit_test(test_names_in_the_spelling_of_the_file_are_taken),
        cmocka_unit_test(test_whole_words_do_not_go_with_byte_fallback),
        cmocka_unit_test(test_decode_refuses_foreign_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
