/* worker/lm json_scan: what RFC 8259 allows is read, and what it does not is refused with its
 * place. */
#include "cmocka_all.h"

#include <string.h>

#include "json_scan.h"

static void must(enum err_code rc, const struct err *err)
{
    if (rc != ERR_OK)
        fail_msg("%s", err->text);
}

static struct json_scan scan_of(const char *text)
{
    struct err err;
    struct json_scan scan;
    must(json_scan_begin(&scan, str_from(text), "x.json", &err), &err);
    return scan;
}

static void test_strings_are_unescaped(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"\"\"", ""},
        {"\"plain é\"", "plain é"},
        {" \n\"a\\n\\t\\\"\\\\\\/\\b\\f\\r\"", "a\n\t\"\\/\b\f\r"},
        {"\"\\u0041\\u00e9\\u5b57\"", "Aé字"},
        {"\"\\ud83d\\uDE00!\"", "😀!"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err;
        struct json_scan scan = scan_of(cases[i][0]);
        struct strbuf room = {0};
        struct str out;
        must(json_scan_string(&scan, &room, &out, &err), &err);
        assert_int_equal(out.len, strlen(cases[i][1]));
        assert_memory_equal(out.data, cases[i][1], out.len);
        must(json_scan_end(&scan, &err), &err);
        strbuf_release(&room);
    }
}

static void test_faulty_strings_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "\"",
        "\"a",
        "\"\\",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u123",
        "\"\n\"",
        "\"\\ud83d\"",
        "\"\\ud83dx\"",
        "\"\\ud83d\\u0041\"",
        "\"\\ude00\"",
        "\"\\ud83d\\u",
        "1",
        "",
        "\"\\n\x01\"",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err;
        struct json_scan scan = scan_of(cases[i]);
        struct strbuf room = {0};
        struct str out;
        assert_int_equal(json_scan_string(&scan, &room, &out, &err), ERR_CORRUPT);
        assert_non_null(strstr(err.text, "parse 'x.json': "));
        strbuf_release(&room);
    }
}

static void test_objects_and_lists_are_walked(void **state)
{
    (void)state;
    struct err err;
    struct json_scan scan = scan_of("{\"a\": [1, 23,456789] , \"b\\u0062\" :{}}");
    struct strbuf room = {0};
    struct str key;
    bool more = false;
    bool is_first = true;
    must(json_scan_open(&scan, '{', &err), &err);
    must(json_scan_key(&scan, &is_first, &room, &key, &more, &err), &err);
    assert_true(more);
    assert_true(str_equal(key, str_from("a")));
    bool is_first_element = true;
    int32_t sum = 0;
    must(json_scan_open(&scan, '[', &err), &err);
    for (;;) {
        int32_t number = 0;
        must(json_scan_element(&scan, &is_first_element, &more, &err), &err);
        if (!more)
            break;
        must(json_scan_integer(&scan, &number, &err), &err);
        sum += number;
    }
    assert_int_equal(sum, 1 + 23 + 456789);
    must(json_scan_key(&scan, &is_first, &room, &key, &more, &err), &err);
    assert_true(more);
    assert_true(str_equal(key, str_from("bb")));
    struct str value;
    must(json_scan_value(&scan, &value, &err), &err);
    assert_true(str_equal(value, str_from("{}")));
    must(json_scan_key(&scan, &is_first, &room, &key, &more, &err), &err);
    assert_false(more);
    must(json_scan_end(&scan, &err), &err);
    strbuf_release(&room);
}

static void test_values_are_cut_out_whole(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"null, 1", "null"},
        {"-1.5e3]", "-1.5e3"},
        {"\"a]}\\\"\" ]", "\"a]}\\\"\""},
        {" [1, {\"x\": \"]\"}, [[]]] }", "[1, {\"x\": \"]\"}, [[]]]"},
        {"true", "true"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err;
        struct json_scan scan = scan_of(cases[i][0]);
        struct str value;
        must(json_scan_value(&scan, &value, &err), &err);
        assert_true(str_equal(value, str_from(cases[i][1])));
    }
    static const char *const bad[] = {"", "]", "[", "[}", "{\"", "[\"\\", ","};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err;
        struct json_scan scan = scan_of(bad[i]);
        struct str value;
        assert_int_equal(json_scan_value(&scan, &value, &err), ERR_CORRUPT);
    }
}

static void test_depth_and_digits_are_bounded(void **state)
{
    (void)state;
    struct err err;
    struct str value;
    char deep[200];
    memset(deep, '[', 100);
    memset(deep + 100, ']', 99);
    deep[199] = '\0';
    struct json_scan scan = scan_of(deep);
    assert_int_equal(json_scan_value(&scan, &value, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, "deep"));
    int32_t number = 0;
    scan = scan_of("999999999,");
    must(json_scan_integer(&scan, &number, &err), &err);
    assert_int_equal(number, 999999999);
    bool more;
    bool is_first = true;
    scan = scan_of("[12345678901]");
    must(json_scan_open(&scan, '[', &err), &err);
    must(json_scan_element(&scan, &is_first, &more, &err), &err);
    must(json_scan_integer(&scan, &number, &err), &err);
    assert_int_equal(json_scan_element(&scan, &is_first, &more, &err), ERR_CORRUPT);
}

static void test_faults_name_line_and_column(void **state)
{
    (void)state;
    struct err err;
    struct json_scan scan = scan_of("{\n  \"a\" 1}");
    struct strbuf room = {0};
    struct str key;
    bool more;
    bool is_first = true;
    must(json_scan_open(&scan, '{', &err), &err);
    assert_int_equal(json_scan_key(&scan, &is_first, &room, &key, &more, &err), ERR_CORRUPT);
    assert_string_equal(err.text, "parse 'x.json': 2:7: a colon is wanted");
    assert_int_equal(json_scan_begin(&scan, str_from("\"a\xff\""), "y.json", &err), ERR_CORRUPT);
    assert_string_equal(err.text, "parse 'y.json': 1:3: not UTF-8");
    strbuf_release(&room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings_are_unescaped),
        cmocka_unit_test(test_faulty_strings_are_refused),
        cmocka_unit_test(test_objects_and_lists_are_walked),
        cmocka_unit_test(test_values_are_cut_out_whole),
        cmocka_unit_test(test_depth_and_digits_are_bounded),
        cmocka_unit_test(test_faults_name_line_and_column),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
