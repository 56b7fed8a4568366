/* Every rule of validity, at its edges, and the `coverage` settings of a task file. */
#include "cmocka_all.h"

#include <string.h>

#include "check.h"
#include "coverage.h"
#include "str.h"

struct judged {
    const char *text;
    bool valid;
};

static void judge(const struct validator *v, const struct judged *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (validator_accepts(v, cases[i].text) != cases[i].valid)
            fail_msg("rule %s: '%s' should be %s", validity_rule_names[v->rule], cases[i].text,
                     cases[i].valid ? "valid" : "invalid");
    }
}

#define JUDGE(v, cases) judge(v, cases, ARRAY_COUNT(cases))

static void test_members(void **state)
{
    (void)state;
    struct arena arena = {0};
    static const char *const days[] = {"Mon", "Mon.", "MON", "Mon"};
    struct validator v = {.rule = VALID_MEMBER};
    validator_prepare(&v, days, ARRAY_COUNT(days), &arena);
    static const struct judged exact[] = {
        {"Mon", true}, {" Mon.\n", true}, {"mon", false}, {"Monday", false}, {"", false}};
    JUDGE(&v, exact);
    assert_int_equal(validator_allowed(&v), 3);

    static const char *const colours[] = {"Crème Brûlée", "Ärzteweiß", "Cherry"};
    v = (struct validator){.rule = VALID_MEMBER, .ignore_case = true};
    validator_prepare(&v, colours, ARRAY_COUNT(colours), &arena);
    static const struct judged folded[] = {{"cherry", true},
                                           {"CRÈME BRÛLÉE", true},
                                           {"\xc2\xa0"
                                            "CHERRY ",
                                            true}, /* no-break space */
                                           {"ÄRZTEWEIß", true},
                                           {"creme brulee", false}};
    JUDGE(&v, folded);
    assert_int_equal(validator_allowed(&v), 0); /* any spelling: no list */
    arena_release(&arena);
}

static void test_contents(void **state)
{
    (void)state;
    struct arena arena = {0};
    static const char *const cars[] = {"Acura\tIntegra", "Tesla\tModel 3", "MINI\tCooper"};
    struct validator v = {.rule = VALID_CONTAINS, .ignore_case = true};
    validator_prepare(&v, cars, ARRAY_COUNT(cars), &arena);
    static const struct judged cases[] = {
        {"Acura Integra", true}, {"2019 acura integra, red", true}, {"model 3 by TESLA", true},
        {"Tesla", false},        {"Integra Tesla", false},          {"", false}};
    JUDGE(&v, cases);
    arena_release(&arena);
}

static void test_emails(void **state)
{
    (void)state;
    struct arena arena = {0};
    char long_local[80] = "", long_domain[300] = "a@";
    memset(long_local, 'x', 65);
    strcpy(long_local + 65, "@b.de");
    memset(long_domain + 2, 'y', 253);
    strcpy(long_domain + 255, ".com");
    struct validator v = {.rule = VALID_EMAIL};
    const struct judged cases[] = {
        {"a@b.de", true},
        {"first.last+tag_%x-1@sub-domain.example.com", true},
        {" a@b.de ", true},
        {"a@b.d", false},
        {"a@b", false},
        {"@b.de", false},
        {"a@", false},
        {"a@b@c.de", false},
        {".a@b.de", false},
        {"a.@b.de", false},
        {"a..b@c.de", false},
        {"a@b..de", false},
        {"a@.b.de", false},
        {"a@b.de.", false},
        {"a b@c.de", false},
        {"a@b.d3", false},
        {"write to a@b.de", false},
        {"a@b_c.de", false},
        {long_local, false},
        {long_local + 1, true},
        {long_domain, false},
    };
    JUDGE(&v, cases);
    static const char *const endings[] = {".com", ".org", ".edu", ".gov"};
    validator_prepare(&v, endings, ARRAY_COUNT(endings), &arena);
    static const struct judged professional[] = {
        {"a@b.com", true}, {"a@b.c.edu", true}, {"a@b.de", false}, {"a@b.community", false}};
    JUDGE(&v, professional);
    arena_release(&arena);
}

static void test_phones(void **state)
{
    (void)state;
    const struct validator us = {.rule = VALID_US_PHONE};
    static const struct judged domestic[] = {
        {"555-123-4567", true},    {"(555) 123-4567", true}, {"555 123 4567", true},
        {"555-1234567", false},    {"(555)123-4567", false}, {"5551234567", false},
        {"1-555-123-4567", false}, {"555-123-45678", false}, {"555-123-456", false}};
    JUDGE(&us, domestic);
    const struct validator abroad = {.rule = VALID_INTERNATIONAL_PHONE};
    static const struct judged international[] = {
        {"+1 202-555-0147", true},   {"+44 20 7946 0958", true},
        {"+1234567", true},          {"+123456", false},
        {"+123456789012345", true},  {"+1234567890123456", false},
        {"+1-2-3-4-5-6-7", true},    {"+1-2-3-4-5-6-7-8", false},
        {"1 202 555 0147", false},   {"+1  2025550147", false},
        {"+1 202 555 0147-", false}, {"+ 1 2025550147", false},
        {"+1 (202) 5550147", false}, {"+", false}};
    JUDGE(&abroad, international);
}

static void test_numbers(void **state)
{
    (void)state;
    const struct validator percent = {.rule = VALID_INTEGER, .minimum = 1, .maximum = 100};
    static const struct judged plain[] = {{"1", true},
                                          {"100", true},
                                          {"101", false},
                                          {"0", false},
                                          {"07", false},
                                          {"+7", false},
                                          {"7.", false},
                                          {"seven", false},
                                          {"", false},
                                          {" 7 ", true},
                                          {"18446744073709551617", false}};
    JUDGE(&percent, plain);
    const struct validator seed = {.rule = VALID_INTEGER, .lenient = true, .maximum = 4294967295};
    static const struct judged lenient[] = {
        {"0", true},     {"4294967295", true}, {"4294967296", false}, {"007", true},
        {"+15", true},   {"-0", true},         {"-1", false},         {"1_000", true},
        {"1__0", false}, {"_1", false},        {"1_", false},         {"1e3", false},
        {"0x10", false}, {"3.0", false},       {"- 0", false}};
    JUDGE(&seed, lenient);
    const struct validator prime = {.rule = VALID_PRIME, .maximum = INT64_MAX};
    static const struct judged primes[] = {{"2", true},
                                           {"617", true},
                                           {"1", false},
                                           {"0", false},
                                           {"561", false},
                                           {"013", false},
                                           {"25", false},
                                           {"1373653", false},
                                           {"3215031751", false}, /* strong pseudoprimes */
                                           {"2147483647", true},
                                           {"9223372036854775783", true},
                                           {"3825123056546413051", false}};
    JUDGE(&prime, primes);
    const struct validator small = {.rule = VALID_PRIME, .maximum = 99};
    static const struct judged below[] = {{"97", true}, {"101", false}, {"91", false}};
    JUDGE(&small, below);
}

static void test_every_number_below_a_thousand(void **state)
{
    (void)state;
    const struct validator prime = {.rule = VALID_PRIME, .maximum = INT64_MAX};
    for (int n = 0; n < 1000; n++) {
        char text[16];
        bool expected = n > 1;
        for (int d = 2; d < n && expected; d++)
            expected = n % d != 0;
        snprintf(text, sizeof text, "%d", n);
        assert_int_equal(validator_accepts(&prime, text), expected);
    }
}

/* One list in memory. */
static enum err_code read_memory(void *ctx, const char *path, size_t bytes_max, char **data_out,
                                 size_t *len_out, struct err *err)
{
    (void)bytes_max;
    if (strcmp(path, "data/lists/x.txt") != 0)
        return err_set(err, ERR_NOT_FOUND, "no file '%s'", path);
    *data_out = strdup(ctx);
    *len_out = strlen(ctx);
    return ERR_OK;
}

static enum err_code read_settings(const char *text, struct yaml_doc *doc,
                                   struct coverage_settings *out, struct err *err)
{
    static char list[] = "one\r\ntwo\n\nthree";
    const struct reader reader = {.ctx = list, .read = read_memory};
    enum err_code code = yaml_parse(text, strlen(text), "t.yaml", doc, err);
    assert_int_equal(code, ERR_OK);
    return coverage_read(doc, yaml_get(doc->root, "coverage"), &reader, "data", out, err);
}

static void test_settings_are_read(void **state)
{
    (void)state;
    struct yaml_doc doc = {0};
    struct coverage_settings s;
    struct err err;
    assert_int_equal(
        read_settings("coverage:\n  max_tokens: 15\n"
                      "  valid: {rule: member, list: lists/x.txt, ignore_case: true}\n",
                      &doc, &s, &err),
        ERR_OK);
    assert_int_equal(s.max_tokens, 15);
    assert_true(s.lines);
    assert_int_equal(s.validator.value_count, 3);
    assert_true(validator_accepts(&s.validator, "TWO"));
    yaml_release(&doc);

    assert_int_equal(read_settings("coverage:\n  max_tokens: 200\n  lines: false\n"
                                   "  valid: {rule: any}\n",
                                   &doc, &s, &err),
                     ERR_OK);
    assert_false(s.lines);
    assert_true(validator_accepts(&s.validator, "x"));
    assert_false(validator_accepts(&s.validator, " \n"));
    yaml_release(&doc);
}

static void test_wrong_settings_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"coverage: {valid: {rule: any}}", "max_tokens"},
        {"coverage: {max_tokens: 5}", "valid"},
        {"coverage: {max_tokens: 5, valid: {rule: membre, values: [a]}}", "member"},
        {"coverage: {max_tokens: 5, valid: {rule: member}}", "needs 'values' or a 'list'"},
        {"coverage: {max_tokens: 5, valid: {rule: member, values: [a], list: lists/x.txt}}",
         "one is enough"},
        {"coverage: {max_tokens: 5, valid: {rule: member, list: lists/y.txt}}", "no file"},
        {"coverage: {max_tokens: 5, valid: {rule: member, list: lists/x.txt, digest: ab}}",
         "not the one with the digest"},
        {"coverage: {max_tokens: 5, valid: {rule: integer, minimum: 5, maximum: 4}}", "above"},
        {"coverage: {max_tokens: 5, valid: {rule: any}, maxtokens: 3}", "max_tokens"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct yaml_doc doc = {0};
        struct coverage_settings s;
        struct err err;
        assert_int_not_equal(read_settings(cases[i].text, &doc, &s, &err), ERR_OK);
        if (!strstr(err.text, cases[i].says))
            fail_msg("\"%s\" does not say \"%s\"", err.text, cases[i].says);
        yaml_release(&doc);
    }
}

static void test_rules_travel_in_plans(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct err err;
    static const char *const values[] = {"Éclair", "tart"};
    struct validator v = {.rule = VALID_MEMBER, .ignore_case = true, .maximum = 7}, again;
    validator_prepare(&v, values, 2, &arena);
    json_t *json = validator_json(&v);
    assert_int_equal(validator_from_json(json, &arena, &again, &err), ERR_OK);
    assert_int_equal(again.rule, VALID_MEMBER);
    assert_true(again.ignore_case && !again.lenient);
    assert_int_equal(again.maximum, 7);
    assert_true(validator_accepts(&again, "ÉCLAIR"));
    json_object_set_new(json, "rule", json_string("guess"));
    assert_int_equal(validator_from_json(json, &arena, &again, &err), ERR_INVALID);
    assert_int_equal(validator_from_json(NULL, &arena, &again, &err), ERR_INVALID);
    json_decref(json);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_contents),
        cmocka_unit_test(test_emails),
        cmocka_unit_test(test_phones),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_every_number_below_a_thousand),
        cmocka_unit_test(test_settings_are_read),
        cmocka_unit_test(test_wrong_settings_are_refused),
        cmocka_unit_test(test_rules_travel_in_plans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
