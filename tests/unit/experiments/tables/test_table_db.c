/* Tables by SQL: import, guard, functions, rows by group. */
#include "cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table_db.h"

/* Files of a test: names and contents. */
struct memory_file {
    const char *path, *text;
};

static enum err_code memory_open(void *ctx, const char *path, struct byte_stream *out,
                                 struct err *err)
{
    for (const struct memory_file *f = ctx; f->path; f++) {
        if (strcmp(f->path, path) == 0) {
            *out = byte_stream_memory(f->text, strlen(f->text));
            return ERR_OK;
        }
    }
    return err_set(err, ERR_NOT_FOUND, "no '%s'", path);
}

static struct table_db *db;

static int open_limited(int64_t steps, int64_t bytes)
{
    struct err err;
    const struct table_limits limits = {steps, bytes};
    return table_db_open(&limits, &db, &err) == ERR_OK ? 0 : -1;
}

static int open_db(void **state)
{
    (void)state;
    return open_limited(TABLE_STEPS_MAX, TABLE_BYTES_MAX);
}

static int open_small(void **state)
{
    (void)state;
    return open_limited(2000000, 4 << 20);
}

static int close_db(void **state)
{
    (void)state;
    table_db_close(db);
    return 0;
}

static enum err_code import(const struct table_import *table, const char *one, const char *two,
                            struct err *err)
{
    struct memory_file memory[] = {{"one", one}, {"two", two}, {NULL, NULL}};
    struct table_opener opener = {memory, memory_open};
    struct table_file files[] = {{"one", "a/one"}, {"two", "b/two"}};
    return table_db_import(db, table, &opener, files, two ? 2 : 1, err);
}

/* The rows of a query as text: cells between bars, a line each, groups under each other. */
static void expect_rows(const char *sql, const char *group, const char *const *columns,
                        size_t count, size_t needed, const char *wanted)
{
    struct row_set set;
    struct err err;
    struct arena arena = {0};
    struct strbuf out = {0};
    if (row_set_make(db, sql, "q", group, columns, count, needed, &set, &err) != ERR_OK) {
        assert_string_equal(err.text, wanted);
        return;
    }
    for (size_t g = 0; g < set.group_count; g++) {
        strbuf_printf(&out, "#%zu\n", g);
        for (uint32_t r = 0; r < set.groups[g].count; r++) {
            struct cell cells[8];
            row_set_fetch(&set, set.groups[g].first + r, &arena, cells);
            for (size_t c = 0; c < count; c++)
                strbuf_printf(&out, "%s%s", c ? "|" : "", cells[c].text);
            strbuf_putc(&out, '\n');
        }
    }
    assert_string_equal(strbuf_text(&out), wanted);
    strbuf_release(&out);
    arena_release(&arena);
    row_set_release(&set);
}

#define ROWS(sql, group, needed, wanted, ...)                                                      \
    do {                                                                                           \
        static const char *const names[] = {__VA_ARGS__};                                          \
        expect_rows(sql, group, names, sizeof names / sizeof names[0], needed, wanted);            \
    } while (0)

static void files_become_one_table(void **state)
{
    (void)state;
    struct err err;
    static const struct table_column columns[] = {{"who", "person"}, {"what", "answer"}};
    static const char *const missing[] = {"NA"};
    struct table_import table = {.name = "t",
                                 .records = {.format = RECORD_CSV, .quote = '"'},
                                 .columns = columns,
                                 .column_count = 2,
                                 .missing = missing,
                                 .missing_count = 1};
    if (import(&table, "person,answer\np,1\nq,NA\n", "answer,x,person\n2,9,p\n,9,p\n", &err))
        fail_msg("%s", err.text);
    ROWS("select * from t order by _row", "who", 0,
         "#0\np|1|a/one|1\np|2|b/two|3\np||b/two|4\n#1\nq||a/one|2\n", "who", "what", "_file",
         "_row");
    /* Two rows have nothing in a needed column. */
    ROWS("select * from t order by _row desc", "who", 2, "#0\np|2\np|1\n", "who", "what");
    table.name = "u";
    table.where = "what = '2'";
    assert_int_equal(import(&table, "person,answer\np,1\n", "answer,person\n2,p\n", &err), ERR_OK);
    ROWS("select * from u", NULL, 0, "#0\np|2\n", "who", "what");
    table.name = "v";
    table.where = NULL;
    table.limit = 1;
    assert_int_equal(import(&table, "person,answer\np,1\nq,2\n", NULL, &err), ERR_OK);
    ROWS("select count(*) as n from v", NULL, 0, "#0\n1\n", "n");
    table.name = "w";
    assert_int_equal(import(&table, "person,anser\np,1\n", NULL, &err), ERR_INVALID);
    assert_string_equal(err.text, "a/one: no column 'answer', did you mean 'anser'?");
}

static void items_become_rows(void **state)
{
    (void)state;
    struct err err;
    static const struct table_item items[] = {{"q1", "First?"}, {"q3", "Third?"}};
    struct table_import table = {.name = "t",
                                 .records = {.format = RECORD_CSV, .quote = '"'},
                                 .items = items,
                                 .item_count = 2};
    assert_int_equal(import(&table, "id,q1,q2,q3\n7,a,b,\n8,c,d,e\n", NULL, &err), ERR_OK);
    ROWS("select * from t", "id", 0, "#0\n7|b|q1|First?|a\n#1\n8|d|q1|First?|c\n8|d|q3|Third?|e\n",
         "id", "q2", "item", "wording", "answer");
    static const struct table_column only[] = {{"id", NULL}};
    table = (struct table_import){.name = "g",
                                  .records = {.format = RECORD_CSV, .quote = '"'},
                                  .columns = only,
                                  .column_count = 1,
                                  .item_glob = "q*"};
    assert_int_equal(import(&table, "id,q1\n7,a\n", "q1,q2,id\nx,y,8\n", &err), ERR_OK);
    ROWS("select * from g", NULL, 0, "#0\n7|q1|a\n8|q1|x\n8|q2|y\n", "id", "item", "answer");
}

static void json_members_become_columns(void **state)
{
    (void)state;
    struct err err;
    static const struct table_column columns[] = {
        {"name", "_key"}, {"n", "number"}, {"deep", "$.a.b[1]"}, {"gone", "x"}};
    struct table_import table = {
        .name = "t", .records = {.format = RECORD_JSON}, .columns = columns, .column_count = 4};
    assert_int_equal(import(&table,
                            "{\"p\": {\"number\": 0.1, \"a\": {\"b\": [1, \"two\"]}},\n"
                            " \"q\": {\"number\": 3, \"a\": {\"b\": [1, [5]]}}}",
                            NULL, &err),
                     ERR_OK);
    ROWS("select * from t", NULL, 0, "#0\np|0.1|two|\nq|3|[5]|\n", "name", "n", "deep", "gone");
    table.name = "u";
    assert_int_equal(import(&table, "{\"p\": {\"number\": 1},\n\"q\": {number: 2}}", NULL, &err),
                     ERR_INVALID);
    assert_string_equal(err.text, "a/one:2: this is not valid JSON");
}

static void queries_only_read(void **state)
{
    (void)state;
    static const struct table_item pairs[] = {{"a", "1"}};
    struct err err;
    assert_int_equal(table_db_values(db, "t", pairs, 1, &err), ERR_OK);
    ROWS("select key, value from t", NULL, 0, "#0\na|1\n", "key", "value");
    ROWS("delete from t", NULL, 0, "q: not authorized", "key");
    ROWS("select 1 as key; drop table t", NULL, 0, "q: one SELECT is expected", "key");
    ROWS("pragma cache_size", NULL, 0, "q: not authorized", "cache_size");
    ROWS("attach 'x' as y", NULL, 0, "q: not authorized", "key");
    ROWS("select load_extension('x') as key", NULL, 0, "q: not authorized", "key");
    ROWS("select writefile('x', 'y') as key", NULL, 0, "q: no such function: writefile", "key");
    ROWS("select key from t", NULL, 0, "q: the rows have no column 'value'", "value");
    ROWS("select key from", NULL, 0, "q: incomplete input", "key");
    ROWS("select k from t", NULL, 0, "q: no such column: k", "key");
}

static void functions_do_what_they_say(void **state)
{
    (void)state;
    ROWS("select letter(0) as a, letter(25) as b, letter(26) as c, lettered('[\"x\", 2]') as d",
         NULL, 0, "#0\nA|Z||A. x\nB. 2\n", "a", "b", "c", "d");
    ROWS("select position('[\"x\", 2]', 2) as a, position('[\"x\"]', 'y') as b", NULL, 0,
         "#0\n1|\n", "a", "b");
    ROWS("select words(' a  b c ') as a, word(' a  b c ', 1) as b, word('a', 3) as c", NULL, 0,
         "#0\n3|b|\n", "a", "b", "c");
    ROWS("select sentence('One 1.5 a. Two!') as a, sentence('None') as b, trimmed(' x ') as c",
         NULL, 0, "#0\nOne 1.5 a.|None|x\n", "a", "b", "c");
    ROWS("select json_text('{\"a\":[1,true,null,0.5,\"\u00e9\\n\"]}') as a", NULL, 0,
         "#0\n{\"a\": [1, true, null, 0.5, \"\\u00e9\\n\"]}\n", "a");
    ROWS("select python_list('[\"it''s\", true, null, \"a\", 2.0]') as a", NULL, 0,
         "#0\n[\"it's\", True, None, 'a', 2.0]\n", "a");
    /* python3 -c
     * 'print(repr(["a\u00a0b\u200b\u001f\u007f\ue000\u00e9\u20ac\U0001f600\U000e0001\u3000"]))' */
    ROWS("select python_list('[\"a\\u00a0b\\u200b\\u001f\\u007f\\ue000\\u00e9\\u20ac\\ud83d\\ude00"
         "\\udb40\\udc01\\u3000\"]') as a",
         NULL, 0,
         "#0\n['a\\xa0b\\u200b\\x1f\\x7f\\ue000\u00e9\u20ac\U0001f600\\U000e0001\\u3000']\n", "a");
    ROWS("select from_python('defaultdict(<class ''list''>, {''a b'': [0.5, 1e-05, True], \"c\": "
         "(None, ''d'')})') as a",
         NULL, 0, "#0\n{\"a b\": [0.5, 1e-05, true], \"c\": [null, \"d\"]}\n", "a");
    ROWS("select from_python('[''caf\\xe9\\u200b\\U0001f600\\n\\''\\\\'', 7]') as a", NULL, 0,
         "#0\n[\"caf\\u00e9\\u200b\\ud83d\\ude00\\n'\\\\\", 7]\n", "a");
    ROWS("select from_python('[''\\x9'']') as a", NULL, 0,
         "q: from_python(): the text is no Python literal", "a");
    ROWS("select from_python('{''a''') as a", NULL, 0,
         "q: from_python(): the text is no Python literal", "a");
    ROWS("select from_python('[1') as a", NULL, 0,
         "q: from_python(): the text is no Python literal", "a");
    ROWS("select syllables('an old silent pond' || char(10) || 'a frog jumps' || char(10) || "
         "'table') as a",
         NULL, 0, "#0\n5-3-2\n", "a");
    ROWS("select draw(1, 'a') = draw(1, 'a') as a, draw(1, 'a') = draw(1, 'b') as b,"
         " draw(1, 'a') = draw(2, 'a') as c, draw(1, 'a') between 0 and 1 as d",
         NULL, 0, "#0\n1|0|0|1\n", "a", "b", "c", "d");
    ROWS("select json_array_length(shuffled(5, '[1,2,3,4,5,6,7]')) as a,"
         " shuffled(5, '[1,2,3,4,5,6,7]') = shuffled(6, '[1,2,3,4,5,6,7]') as b",
         NULL, 0, "#0\n7|0\n", "a", "b");
    /* Python's json.dumps() and repr() of the same. */
    ROWS("select json_text('[20.0,100.0,-30.0,1e5,1e15,1e16,1e22,0.0,-0.0,0.0001,1e-5,12.5,"
         "12345678901234567890.0,123456789.125]') as a",
         NULL, 0,
         "#0\n[20.0, 100.0, -30.0, 100000.0, 1000000000000000.0, 1e+16, 1e+22, 0.0, -0.0, 0.0001, "
         "1e-05, 12.5, 1.2345678901234567e+19, 123456789.125]\n",
         "a");
    ROWS("select 20.0 as a, 12345678901234568.0 as b, -1e-7 as c", NULL, 0,
         "#0\n20.0|1.2345678901234568e+16|-1e-07\n", "a", "b", "c");
    ROWS("select 1e22 as a, 0.1 as b, 100.0 as c, 1e15 as d, 1e-5 as e", NULL, 0,
         "#0\n1e+22|0.1|100.0|1000000000000000.0|1e-05\n", "a", "b", "c", "d", "e");
}

#define ENDLESS "with recursive n(i) as (select 1 union all select i + 1 from n) "

static void expect_limit(const char *sql, const char *key)
{
    static const char *const columns[] = {"a"};
    struct row_set set;
    struct err err;
    enum err_code code = row_set_make(db, sql, "t.yaml:7: rows", NULL, columns, 1, 1, &set, &err);
    if (code != ERR_LIMIT || !strstr(err.text, "t.yaml:7: rows: ") || !strstr(err.text, key))
        fail_msg("%d %s", code, code ? err.text : "");
}

/* What has no end is told so, whether it computes or fills the disk, in rows and in `where`. Each
 * with a database of its own: after a limit it is only good for closing. */
static void queries_end(void **state)
{
    (void)state;
    expect_limit(ENDLESS "select count(*) as a from n",
                 "not done after 2 million steps of SQLite; does every table that it joins have a "
                 "condition? If it is right, raise 'query_steps' in the task file");
}

static void rows_end(void **state)
{
    (void)state;
    expect_limit(ENDLESS "select hex(zeroblob(5000)) as a from n",
                 "more than 4 MiB of rows, or no space left for scratch files. If it is right, "
                 "raise 'query_space' in the task file");
}

static void conditions_end(void **state)
{
    (void)state;
    struct err err;
    struct table_import table = {
        .name = "t",
        .records = {.format = RECORD_CSV, .quote = '"'},
        .where = "x in (" ENDLESS "select count(*) from n)",
    };
    assert_int_equal(import(&table, "x\n1\n", NULL, &err), ERR_LIMIT);
    assert_non_null(strstr(err.text, "a/one:2: not done after 2 million steps"));
    assert_non_null(strstr(err.text, "query_steps"));
}

/* Steps are counted for each query and each record anew. */
static void limits_are_of_one_query(void **state)
{
    (void)state;
    struct err err;
    struct strbuf rows = {0};
    strbuf_puts(&rows, "x\n");
    for (int i = 0; i < 60; i++)
        strbuf_printf(&rows, "%d\n", i);
    struct table_import table = {
        .name = "t",
        .records = {.format = RECORD_CSV, .quote = '"'},
        .where = "(" ENDLESS "select count(*) from (select i from n limit 20000)) = 20000",
    };
    assert_int_equal(import(&table, strbuf_text(&rows), NULL, &err), ERR_OK);
    for (int i = 0; i < 10; i++)
        ROWS(ENDLESS "select count(*) as a from (select i from n limit 50000)", NULL, 0,
             "#0\n50000\n", "a");
    strbuf_release(&rows);
}

/* Numbers of draw() are uniform: a mean of 20,000 within five standard errors. */
static void draws_are_uniform(void **state)
{
    (void)state;
    ROWS("with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)"
         " select abs(avg(draw(9, i)) - 0.5) < 5 * 0.2887 / sqrt(20000.0) as a from n",
         NULL, 0, "#0\n1\n", "a");
}

#define WITH_DB(test)       cmocka_unit_test_setup_teardown(test, open_db, close_db)
#define WITH_SMALL_DB(test) cmocka_unit_test_setup_teardown(test, open_small, close_db)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DB(files_become_one_table),      WITH_DB(items_become_rows),
        WITH_DB(json_members_become_columns), WITH_DB(queries_only_read),
        WITH_DB(functions_do_what_they_say),  WITH_DB(draws_are_uniform),
        WITH_SMALL_DB(queries_end),           WITH_SMALL_DB(rows_end),
        WITH_SMALL_DB(conditions_end),        WITH_SMALL_DB(limits_are_of_one_query),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
