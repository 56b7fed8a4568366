/* How one job's spec differs from another's, in words. */
#include "cmocka_all.h"

#include <string.h>

#include "why_new.h"

static void assert_difference(const char *was, const char *is, const char *expected)
{
    struct strbuf text = {0};
    why_new_difference(was, strlen(was), is, strlen(is), &text);
    assert_string_equal(strbuf_text(&text), expected);
    strbuf_release(&text);
}

static void test_differences_name_places_and_values(void **state)
{
    (void)state;
    assert_difference("{\"a\":{\"b\":1,\"c\":\"x\"}}", "{\"a\":{\"b\":1,\"c\":\"x\"}}", "");
    assert_difference("{\"a\":{\"b\":1,\"c\":\"x\"}}", "{\"a\":{\"b\":2,\"c\":\"x\"}}",
                      "a.b 2, was 1");
    assert_difference("{\"a\":1}", "{\"b\":true}", "a absent, was 1; b true, was absent");
    assert_difference("{\"d\":\"0123456789abcdef0123\"}", "{\"d\":\"ffff\"}",
                      "d ffff, was 0123456789ab…");
    assert_difference("{\"r\":0.001}", "{\"r\":0.0025}", "r 0.0025, was 0.001");
    assert_difference("{\"a\":{\"b\":1}}", "{\"a\":[1]}", "a [1], was {\"b\":1}");
    assert_difference("{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1}", "{}",
                      "a absent, was 1; b absent, was 1; c absent, was 1; d absent, was 1; 2 more");
}

static void test_what_is_no_json_differs_as_a_whole(void **state)
{
    (void)state;
    assert_difference("{", "{\"a\":1}", "the spec {\"a\":1}, was absent");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_differences_name_places_and_values),
        cmocka_unit_test(test_what_is_no_json_differs_as_a_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
