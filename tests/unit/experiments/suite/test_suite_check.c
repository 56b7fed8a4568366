/* triad suite check: every kind of fault is planted and found, and a sound task has none. */
#include "cmocka_all.h"

#include <string.h>

#include "suite_check.h"

#define HEAD(split) "task: t\nsplit: " split "\ntype: free_text\nsource: s\norigin: o\nlicence: l\n"

static void load(const char *text, struct task *task)
{
    struct err err = {0};
    struct reader reader = reader_disk();
    if (task_parse(text, strlen(text), "t.yaml", task, &err) != ERR_OK ||
        task_load(task, &reader, NULL, NULL, &err) != ERR_OK)
        fail_msg("%s", err.text);
}

/* The kinds found in a task, as text. */
static void expect(const char *text, const char *wanted)
{
    struct task task;
    struct strbuf found = {0};
    struct suite_check check = suite_check_start(50);
    load(text, &task);
    suite_check_task(&check, &task);
    for (size_t i = 0; i < check.count; i++)
        strbuf_printf(&found, "%s;", finding_name(check.items[i].kind));
    assert_string_equal(strbuf_text(&found), wanted);
    strbuf_release(&found);
    suite_check_release(&check);
    task_release(&task);
}

/* A table of 60 rows in ten groups, with whatever columns a query makes of n. */
#define ROWS(columns)                                                                              \
    "tables: {one: {values: {a: b}}}\n"                                                            \
    "rows: with recursive r(n) as (select 0 union all select n + 1 from r where n < 59) select "   \
    "n / 6 as g, " columns " from r\n"

static void faults_are_found(void **state)
{
    (void)state;
    expect(HEAD("train") "descriptions: [Say.]\n" ROWS("'v' || n as v") "output: v\ngroup: g\n",
           "");
    expect(HEAD("train") "descriptions: [\"Say {{name}}.\"]\n" ROWS(
               "'v' || n as v") "output: v\ngroup: g\n",
           "placeholder;");
    expect(HEAD("train") "descriptions: [\"Of {w}.\"]\n" ROWS(
               "'v' || n as v, iif(n < 6, 'x', null) as w") "output: v\ngroup: g\n",
           "no description;");
    expect(HEAD("train") "descriptions: [Say.]\n" ROWS(
               "'v' || (n % 2) as v") "output: v\ngroup: g\nper_group: 20\n",
           "duplicate;");
    expect(HEAD("train") "descriptions: [Say.]\n" ROWS("'same' as v") "output: v\ngroup: g\n",
           "degenerate;");
    expect(HEAD("train") "descriptions: [Say.]\n" ROWS(
               "'v' || n as v") "output: v\ngroup: v\nexamples_min: 1\n",
           "");
    expect(HEAD("train") "descriptions: [Say.]\n" ROWS(
               "iif(n < 54, null, 'v' || n) as v") "output: v\ngroup: g\n",
           "empty;");
    expect(HEAD("train") "descriptions: [Say.]\ncandidates: [v1, v2]\n" ROWS(
               "'v' || n as v") "output: v\ngroup: g\n",
           "candidate;");
    expect(HEAD("train") "descriptions: [Say.]\ngenerator: urn\nexamples: 40\nsequences: 50\n", "");
}

static void near_duplicates_are_found(void **state)
{
    (void)state;
#define LONG_TEXT "'Number ' || n || ' of the long texts that nobody would ever write twice, ' || n"
    struct task test, train, other;
    struct suite_check check = suite_check_start(50);
    load(HEAD("test") "descriptions: [Say.]\n" ROWS(LONG_TEXT " as v") "output: v\ngroup: g\n",
         &test);
    load(HEAD("train") "descriptions: [Say.]\n" ROWS("upper(" LONG_TEXT
                                                     ") || '!' as v") "output: v\ngroup: g\n",
         &train);
    load(HEAD("train") "descriptions: [Say.]\n" ROWS("'A text of quite other words which is long "
                                                     "too, its number being ' || n as v") "output: "
                                                                                          "v\ngroup"
                                                                                          ": g\n",
         &other);
    suite_check_task(&check, &test);
    suite_check_overlap(&check, &other);
    assert_int_equal(check.count, 0);
    suite_check_overlap(&check, &train);
    assert_int_equal(check.count, 1);
    assert_int_equal(check.items[0].kind, FINDING_OVERLAP);
    assert_non_null(strstr(check.items[0].text, "60 examples nearly occur in a test task"));
    suite_check_release(&check);
    task_release(&test);
    task_release(&train);
    task_release(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_are_found),
        cmocka_unit_test(near_duplicates_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
