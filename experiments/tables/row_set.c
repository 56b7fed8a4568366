/* Queries into rows that stand together by group. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "table_db_impl.h"
#include "table_json.h"

/* The query's wanted columns as c0 … and its group as g, into a table raw<N>. */
static enum err_code make_raw(struct table_db *db, const char *sql, const char *what, int number,
                              const char *group, const char *const *columns, size_t count,
                              struct err *err)
{
    struct strbuf text = {0};
    strbuf_printf(&text, "create table raw%d as select ", number);
    if (group)
        table_db_put_name(&text, group);
    else
        strbuf_puts(&text, "''");
    strbuf_puts(&text, " as g");
    for (size_t i = 0; i < count; i++) {
        strbuf_puts(&text, ", ");
        table_db_put_name(&text, columns[i]);
        strbuf_printf(&text, " as c%zu", i);
    }
    strbuf_printf(&text, " from (%s\n)", sql);
    table_db_begin(db);
    enum err_code code = table_db_run(db, strbuf_text(&text), what, err);
    table_db_end(db);
    strbuf_release(&text);
    return code;
}

/* A quoted name that is no column would be taken for a text by SQLite: look first. */
static enum err_code check_columns(struct table_db *db, const char *sql, const char *what,
                                   const char *group, const char *const *columns, size_t count,
                                   struct err *err)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db->sqlite, sql, -1, &statement, NULL) != SQLITE_OK)
        return table_db_fail(db, what, err);
    enum err_code code = ERR_OK;
    for (size_t i = 0; !code && i < count + (group ? 1 : 0); i++) {
        const char *wanted = i < count ? columns[i] : group;
        int at = 0, width = sqlite3_column_count(statement);
        while (at < width && strcmp(sqlite3_column_name(statement, at), wanted) != 0)
            at++;
        if (at == width)
            code = err_set(err, ERR_INVALID, "%s: the rows have no column '%.60s'", what, wanted);
    }
    sqlite3_finalize(statement);
    return code;
}

/* Rows with what they need, a group's together, groups by their first row. */
static enum err_code arrange(struct table_db *db, const char *what, int number, size_t count,
                             size_t needed, struct err *err)
{
    struct strbuf text = {0};
    strbuf_printf(&text, "delete from raw%d where g is null", number);
    for (size_t i = 0; i < needed; i++)
        strbuf_printf(&text, " or c%zu is null or c%zu = ''", i, i);
    strbuf_printf(&text,
                  "; create table grp%d as select g, min(rowid) as f, count(*) as n from raw%d "
                  "group by g order by f; create index grp%d_g on grp%d(g); create table set%d as "
                  "select ",
                  number, number, number, number, number);
    for (size_t i = 0; i < count; i++)
        strbuf_printf(&text, "%sr.c%zu", i ? ", " : "", i);
    strbuf_printf(&text,
                  " from raw%d r join grp%d on grp%d.g = r.g order by grp%d.f, r.rowid; "
                  "drop table raw%d",
                  number, number, number, number, number);
    enum err_code code = table_db_run(db, strbuf_text(&text), what, err);
    strbuf_release(&text);
    return code;
}

static int64_t count_of(struct table_db *db, const char *table, int number)
{
    char sql[80];
    sqlite3_stmt *statement = NULL;
    snprintf(sql, sizeof sql, "select count(*) from %s%d", table, number);
    ASSERT(sqlite3_prepare_v2(db->sqlite, sql, -1, &statement, NULL) == SQLITE_OK);
    ASSERT(sqlite3_step(statement) == SQLITE_ROW);
    int64_t count = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return count;
}

static void read_groups(struct row_set *set, int number)
{
    char sql[80];
    sqlite3_stmt *statement = NULL;
    size_t count = (size_t)count_of(set->db, "grp", number);
    set->groups = calloc(count + 1, sizeof *set->groups);
    ASSERT(set->groups != NULL);
    snprintf(sql, sizeof sql, "select n from grp%d order by rowid", number);
    ASSERT(sqlite3_prepare_v2(set->db->sqlite, sql, -1, &statement, NULL) == SQLITE_OK);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        uint32_t rows = (uint32_t)sqlite3_column_int64(statement, 0);
        set->groups[set->group_count++] = (struct row_group){set->row_count, rows};
        set->row_count += rows;
    }
    sqlite3_finalize(statement);
}

enum err_code row_set_make(struct table_db *db, const char *sql, const char *what,
                           const char *group, const char *const *columns, size_t column_count,
                           size_t needed, struct row_set *out, struct err *err)
{
    int number = db->row_sets++;
    struct row_set set = {.db = db, .column_count = column_count};
    enum err_code code = table_db_check_query(db, sql, what, err);
    if (!code)
        code = check_columns(db, sql, what, group, columns, column_count, err);
    if (!code)
        code = make_raw(db, sql, what, number, group, columns, column_count, err);
    if (code)
        return code;
    int64_t all = count_of(db, "raw", number);
    if (all > INT32_MAX)
        return err_set(err, ERR_LIMIT, "%s: more than two thousand million rows", what);
    code = arrange(db, what, number, column_count, needed, err);
    if (code)
        return code;
    read_groups(&set, number);
    set.left_out = (uint32_t)all - set.row_count;
    char fetch[80];
    snprintf(fetch, sizeof fetch, "select * from set%d where rowid = ?1", number);
    sqlite3_stmt *statement = NULL;
    ASSERT(sqlite3_prepare_v2(db->sqlite, fetch, -1, &statement, NULL) == SQLITE_OK);
    set.fetch = statement;
    set.number = number;
    *out = set;
    return ERR_OK;
}

void row_set_release(struct row_set *set)
{
    sqlite3_finalize(set->fetch);
    free(set->groups);
    *set = (struct row_set){0};
}

static const char *real_text(double value, struct arena *arena)
{
    struct strbuf out = {0};
    table_json_put_real(&out, value);
    const char *text = arena_strdup(arena, strbuf_text(&out));
    strbuf_release(&out);
    return text;
}

static struct cell cell_of(sqlite3_stmt *statement, int column, struct arena *arena)
{
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        return (struct cell){
            CELL_INTEGER,
            arena_printf(arena, "%lld", (long long)sqlite3_column_int64(statement, column))};
    case SQLITE_FLOAT:
        return (struct cell){CELL_REAL, real_text(sqlite3_column_double(statement, column), arena)};
    case SQLITE_TEXT:
        return (struct cell){
            CELL_TEXT, arena_strdup(arena, (const char *)sqlite3_column_text(statement, column))};
    case SQLITE_BLOB: /* what json_text() gives: to be put in as it is */
        return (struct cell){CELL_JSON,
                             arena_strndup(arena, sqlite3_column_blob(statement, column),
                                           (size_t)sqlite3_column_bytes(statement, column))};
    default:
        return (struct cell){CELL_NULL, ""};
    }
}

void row_set_fetch(const struct row_set *set, uint32_t row, struct arena *arena, struct cell *cells)
{
    sqlite3_stmt *statement = set->fetch;
    ASSERT(row < set->row_count);
    sqlite3_bind_int64(statement, 1, (int64_t)row + 1);
    ASSERT(sqlite3_step(statement) == SQLITE_ROW);
    for (size_t i = 0; i < set->column_count; i++)
        cells[i] = cell_of(statement, (int)i, arena);
    sqlite3_reset(statement);
}

const char *row_set_commonest(struct row_set *set, size_t column, size_t by, const char *value,
                              struct arena *arena)
{
    char sql[400];
    sqlite3_stmt *statement = NULL;
    snprintf(sql, sizeof sql, "create index if not exists set%d_%zu on set%d(c%zu)", set->number,
             by, set->number, by);
    ASSERT(sqlite3_exec(set->db->sqlite, sql, NULL, NULL, NULL) == SQLITE_OK);
    snprintf(sql, sizeof sql,
             "select c%zu from set%d where c%zu = ?1 group by 1 order by count(*) desc, min(rowid)",
             column, set->number, by);
    ASSERT(sqlite3_prepare_v2(set->db->sqlite, sql, -1, &statement, NULL) == SQLITE_OK);
    sqlite3_bind_text(statement, 1, value, -1, SQLITE_STATIC);
    const char *text = NULL;
    if (sqlite3_step(statement) == SQLITE_ROW)
        text = cell_of(statement, 0, arena).text;
    sqlite3_finalize(statement);
    return text;
}
