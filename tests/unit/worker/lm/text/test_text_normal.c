/* worker/lm text_normal: repair against Unicode's own examples, form C against utf8proc's (whose
 * Hangul composition has one fault, see below) and its defining properties. */
#include "cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "hard_text.h"
#include "text_normal.h"
#include "utf8.h"

static void assert_repaired(const char *text, size_t len, const char *wanted, size_t wanted_count)
{
    struct text_map map = {0};
    size_t count = 0;
    text_map_begin(&map, true);
    bool is_changed = text_repair((struct str){text, len}, &map, &count);
    assert_int_equal(is_changed, wanted_count > 0);
    assert_int_equal(count, wanted_count);
    if (is_changed)
        assert_string_equal(map.text.data, wanted);
    text_map_release(&map);
}

/* Unicode 15 §3.9, tables 3-8 to 3-11 and the text around them. */
static void test_one_replacement_for_each_maximal_subpart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *wanted;
        size_t count;
    } cases[] = {
        {"plain é 字 😀", "", 0},
        {"a\xc0\xaf\xe0\x80\xbf\xf0\x81\x82"
         "A",
         "a\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffdA", 8},
        {"\xed\xa0\x80\xed\xbf\xbf\xed\xaf"
         "A",
         "\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffdA", 8},
        {"\xf4\x91\x92\x93\xff"
         "A\x80\xbf"
         "B",
         "\ufffd\ufffd\ufffd\ufffd\ufffdA\ufffd\ufffdB", 7},
        {"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf"
         "A",
         "\ufffd\ufffd\ufffd\ufffdA", 4},
        {"\xe2\x82", "\ufffd", 1},
        {"\xf0\x9f\x98", "\ufffd", 1},
        {"\xc3", "\ufffd", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_repaired(cases[i].text, strlen(cases[i].text), cases[i].wanted, cases[i].count);
    assert_repaired("", 0, "", 0);
    assert_repaired("a\0b", 3, "", 0);
}

/* text_nfc() as a string of its own; the caller frees. */
static char *form_c(struct str text)
{
    struct nfc_space space = {0};
    struct text_map map = {0};
    bool is_changed = text_nfc(text, &space, &map);
    char *out = is_changed ? strdup(map.text.data) : strndup(text.data, text.len);
    nfc_space_release(&space);
    text_map_release(&map);
    assert_non_null(out);
    return out;
}

static void test_form_c_of_known_texts(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"plain", "plain"},
        {"e\u0301", "\u00e9"},
        {"\u00e9\u0323", "\u1eb9\u0301"}, /* marks are put in order first */
        {"\u212b \u2126 \u212a", "\u00c5 \u03a9 K"},
        {"\u0958", "\u0915\u093c"}, /* excluded from composition */
        {"\u0344", "\u0308\u0301"},
        {"\u1112\u1161\u11ab", "\ud55c"},
        {"\ud558\u11ab", "\ud55c"},
        {"\ud558\u11a7", "\ud558\u11a7"}, /* U+11A7 is no final consonant */
        {"\u09c7\u09be", "\u09cb"},       /* a vowel sign of class 0 composes */
        {"q\u0307\u0323", "q\u0323\u0307"},
        {"\u0f73", "\u0f71\u0f72"}, /* class 0, but its parts have a class */
        {"x\u0f72\u0f73", "x\u0f71\u0f72\u0f72"},
        {"\u2f868", "\u2f86"
                    "8"},
        {"\U0002f868", "\u36fc"},
        {"\u0301abc", "\u0301abc"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *out = form_c((struct str){cases[i][0], strlen(cases[i][0])});
        assert_string_equal(out, cases[i][1]);
        free(out);
    }
}

/* Cutting into units must not show. NUL ends utf8proc's strings, and lines with U+11A7 are left
 * out: it composes that with a syllable, against Unicode 15 §3.12. */
static void test_form_c_equals_that_of_whole_texts(void **state)
{
    (void)state;
    struct strbuf line = {0};
    size_t compared = 0;
    size_t changed = 0;
    for (uint32_t i = 0; i < HARD_LINES; i++) {
        hard_text_line(i, &line);
        if (utf8_valid_prefix(line.data, line.len) != line.len || memchr(line.data, 0, line.len) ||
            strstr(line.data, "\u11a7"))
            continue;
        char *ours = form_c((struct str){line.data, line.len});
        char *theirs = (char *)utf8proc_NFC((const utf8proc_uint8_t *)line.data);
        assert_non_null(theirs);
        if (strcmp(ours, theirs) != 0)
            fail_msg("line %u: '%s' is not '%s'", i, ours, theirs);
        changed += strcmp(ours, line.data) != 0;
        compared++;
        free(ours);
        free(theirs);
    }
    assert_true(compared > 8000);
    assert_true(changed > 1000);
    strbuf_release(&line);
}

/* A million marks on one letter, the worst for a sort that moves one place at a time. */
static void test_many_marks_on_one_letter_are_put_in_order(void **state)
{
    (void)state;
    enum { MARKS = 500000 };
    struct strbuf text = {0};
    strbuf_putc(&text, 'q');
    for (int i = 0; i < MARKS; i++)
        strbuf_puts(&text, "\u0307\u0323");
    char *out = form_c((struct str){text.data, text.len});
    assert_int_equal(strlen(out), text.len);
    for (size_t i = 0; i < MARKS; i++)
        assert_memory_equal(out + 1 + 2 * i, "\u0323", 2);
    assert_memory_equal(out + 1 + 2 * (size_t)MARKS, "\u0307", 2);
    free(out);
    strbuf_release(&text);
}

static void test_places_lead_back_to_what_was_normalized(void **state)
{
    (void)state;
    struct nfc_space space = {0};
    struct text_map map = {0};
    text_map_begin(&map, true);
    assert_true(text_nfc(str_from("ae\u0301b"), &space, &map));
    assert_string_equal(map.text.data, "a\u00e9b");
    struct text_place place = text_map_find(&map, (struct text_place){1, 3});
    assert_int_equal(place.begin, 1);
    assert_int_equal(place.end, 4);
    place = text_map_find(&map, (struct text_place){3, 4});
    assert_int_equal(place.begin, 4);
    assert_int_equal(place.end, 5);
    text_map_begin(&map, true);
    assert_true(text_join_marks(str_from("a\u2581b"), true, &map));
    assert_string_equal(map.text.data, " a b");
    place = text_map_find(&map, (struct text_place){2, 3});
    assert_int_equal(place.begin, 1);
    assert_int_equal(place.end, 4);
    place = text_map_find(&map, (struct text_place){0, 1});
    assert_int_equal(place.begin, 0); /* the space in front is the first character's */
    assert_int_equal(place.end, 1);
    nfc_space_release(&space);
    text_map_release(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_replacement_for_each_maximal_subpart),
        cmocka_unit_test(test_form_c_of_known_texts),
        cmocka_unit_test(test_form_c_equals_that_of_whole_texts),
        cmocka_unit_test(test_many_marks_on_one_letter_are_put_in_order),
        cmocka_unit_test(test_places_lead_back_to_what_was_normalized),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
