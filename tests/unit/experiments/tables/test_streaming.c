/* Files larger than memory: ten gigabytes go through a table of which a query keeps little, and
 * half a gigabyte through one that keeps all; memory stays within 300 MiB. The bytes are made as
 * they are read, so that the test needs no disk for the first. Minutes: label slow.
 *
 * usage: test_streaming [GIGABYTES] */
#include "cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "table_db.h"

#define MEMORY_MAX_KIB (300 * 1024)

static double gigabytes = 10;

/* A CSV file that nobody has written: a header, then rows of about 2,000 bytes. */
struct made {
    int64_t left, row;
    char line[4096];
    size_t at, len;
};

static void next_line(struct made *m)
{
    static const char words[] = "a quoted text, with commas, \"\"quotes\"\" and\na second line; ";
    m->len = (size_t)snprintf(m->line, sizeof m->line, "%lld,%lld,\"", (long long)m->row,
                              (long long)(m->row % 1000));
    while (m->len < 2000)
        m->len += (size_t)snprintf(m->line + m->len, sizeof m->line - m->len, "%s", words);
    m->len += (size_t)snprintf(m->line + m->len, sizeof m->line - m->len, "\"\n");
    m->at = 0;
    m->row++;
}

static enum err_code made_read(void *ctx, char *buffer, size_t cap, size_t *got_out,
                               struct err *err)
{
    struct made *m = ctx;
    (void)err;
    *got_out = 0;
    while (*got_out < cap) {
        if (m->at == m->len) {
            if (m->left <= 0)
                return ERR_OK;
            next_line(m);
        }
        size_t len = m->len - m->at < cap - *got_out ? m->len - m->at : cap - *got_out;
        memcpy(buffer + *got_out, m->line + m->at, len);
        m->at += len;
        *got_out += len;
        m->left -= (int64_t)len;
    }
    return ERR_OK;
}

static enum err_code made_open(void *ctx, const char *path, struct byte_stream *out,
                               struct err *err)
{
    struct made *m = calloc(1, sizeof *m);
    (void)path, (void)err;
    assert_non_null(m);
    m->left = *(const int64_t *)ctx;
    m->len = (size_t)snprintf(m->line, sizeof m->line, "id,part,text\n");
    *out = (struct byte_stream){m, made_read, free};
    return ERR_OK;
}

static long peak_kib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* Rows of a table read from `bytes` bytes. */
static void import(int64_t bytes, const char *where, const char *sql, struct row_set *rows,
                   struct table_db **db)
{
    struct err err = {0};
    struct table_opener opener = {&bytes, made_open};
    struct table_file file = {"made.csv", "made.csv"};
    const struct table_limits limits = {TABLE_STEPS_MAX, TABLE_BYTES_MAX};
    struct table_import table = {
        .name = "t", .records = {.format = RECORD_CSV, .quote = '"'}, .where = where};
    static const char *const columns[] = {"id", "text"};
    if (table_db_open(&limits, db, &err) || table_db_import(*db, &table, &opener, &file, 1, &err) ||
        row_set_make(*db, sql, "q", "part", columns, 2, 2, rows, &err))
        fail_msg("%s", err.text);
}

static void little_is_kept_of_much(void **state)
{
    (void)state;
    struct row_set rows;
    struct table_db *db = NULL;
    int64_t bytes = (int64_t)(gigabytes * 1e9);
    import(bytes, "part = '7'", "select * from t", &rows, &db);
    assert_int_equal(rows.group_count, 1);
    assert_true(rows.row_count > bytes / 2100 / 1000);
    row_set_release(&rows);
    table_db_close(db);
    printf("%.1f GB read, peak %ld MiB\n", gigabytes, peak_kib() / 1024);
    assert_true(peak_kib() < MEMORY_MAX_KIB);
}

static void all_is_kept_on_scratch_space(void **state)
{
    (void)state;
    struct row_set rows;
    struct arena arena = {0};
    struct table_db *db = NULL;
    struct cell cells[2];
    import(500 * 1000 * 1000, NULL, "select * from t", &rows, &db);
    assert_int_equal(rows.group_count, 1000);
    assert_true(rows.row_count > 200 * 1000);
    row_set_fetch(&rows, rows.groups[999].first, &arena, cells);
    assert_string_equal(cells[0].text, "999");
    assert_true(strlen(cells[1].text) > 1900);
    row_set_release(&rows);
    arena_release(&arena);
    table_db_close(db);
    printf("0.5 GB kept, peak %ld MiB\n", peak_kib() / 1024);
    assert_true(peak_kib() < MEMORY_MAX_KIB);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(little_is_kept_of_much),
        cmocka_unit_test(all_is_kept_on_scratch_space),
    };
    gigabytes = argc > 1 ? strtod(argv[1], NULL) : gigabytes;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
