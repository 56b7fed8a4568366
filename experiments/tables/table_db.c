#include "table_db.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "table_db_impl.h"
#include "table_functions.h"

enum err_code table_db_fail(struct table_db *db, const char *what, struct err *err)
{
    return err_set(err, ERR_INVALID, "%s: %s", what, sqlite3_errmsg(db->sqlite));
}

enum err_code table_db_run(struct table_db *db, const char *sql, const char *what, struct err *err)
{
    return sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL) == SQLITE_OK
               ? ERR_OK
               : table_db_fail(db, what, err);
}

/* What a query of a task file may do: read. */
static int allow_reading(void *ctx, int action, const char *a, const char *b, const char *c,
                         const char *d)
{
    const struct table_db *db = ctx;
    (void)a, (void)b, (void)c, (void)d;
    bool reads = action == SQLITE_SELECT || action == SQLITE_READ || action == SQLITE_FUNCTION ||
                 action == SQLITE_RECURSIVE;
    return reads || !db->guarded ? SQLITE_OK : SQLITE_DENY;
}

enum err_code table_db_check_query(struct table_db *db, const char *sql, const char *what,
                                   struct err *err)
{
    sqlite3_stmt *statement = NULL;
    const char *rest = NULL;
    db->guarded = true;
    int result = sqlite3_prepare_v2(db->sqlite, sql, -1, &statement, &rest);
    db->guarded = false;
    bool one = result == SQLITE_OK && statement && sqlite3_column_count(statement) > 0 &&
               rest[strspn(rest, " \t\r\n;")] == '\0';
    sqlite3_finalize(statement);
    if (result != SQLITE_OK)
        return table_db_fail(db, what, err);
    return one ? ERR_OK : err_set(err, ERR_INVALID, "%s: one SELECT is expected", what);
}

enum err_code table_db_open(struct table_db **out, struct err *err)
{
    struct table_db *db = calloc(1, sizeof *db);
    ASSERT(db != NULL);
    /* The empty name is a private database in scratch space, deleted when it is closed. */
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2("", &db->sqlite, flags, NULL) != SQLITE_OK) {
        enum err_code code = table_db_fail(db, "open a scratch database", err);
        table_db_close(db);
        return code;
    }
    sqlite3_set_authorizer(db->sqlite, allow_reading, db);
    enum err_code code = table_functions_add(db->sqlite, err);
    /* The table-valued functions are made on first use, which a guard would not allow. */
    if (!code)
        code = table_db_run(db, "select 1 from json_each('[]'), json_tree('[]')",
                            "set up a scratch database", err);
    if (!code)
        code = table_db_run(db,
                            "pragma journal_mode = off; pragma synchronous = off; "
                            "pragma cache_size = -65536; pragma temp_store = file",
                            "set up a scratch database", err);
    if (code)
        table_db_close(db);
    else
        *out = db;
    return code;
}

void table_db_close(struct table_db *db)
{
    if (!db)
        return;
    sqlite3_close(db->sqlite);
    free(db);
}

void table_db_put_name(struct strbuf *out, const char *name)
{
    strbuf_putc(out, '"');
    for (const char *at = name; *at; at++) {
        if (*at == '"')
            strbuf_putc(out, '"');
        strbuf_putc(out, *at);
    }
    strbuf_putc(out, '"');
}

enum err_code table_db_empty(struct table_db *db, const struct table_import *import,
                             struct err *err)
{
    struct strbuf sql = {0};
    strbuf_puts(&sql, "create table ");
    table_db_put_name(&sql, import->name);
    strbuf_putc(&sql, '(');
    for (size_t i = 0; i < import->column_count; i++) {
        table_db_put_name(&sql, import->columns[i].name);
        strbuf_puts(&sql, ", ");
    }
    strbuf_puts(&sql, "_file, _row)");
    enum err_code code = table_db_run(db, strbuf_text(&sql), import->name, err);
    strbuf_release(&sql);
    return code;
}

enum err_code table_db_values(struct table_db *db, const char *name, const struct table_item *pairs,
                              size_t count, struct err *err)
{
    struct strbuf sql = {0};
    sqlite3_stmt *insert = NULL;
    strbuf_puts(&sql, "create table ");
    table_db_put_name(&sql, name);
    strbuf_puts(&sql, "(key, value)");
    enum err_code code = table_db_run(db, strbuf_text(&sql), name, err);
    strbuf_clear(&sql);
    strbuf_puts(&sql, "insert into ");
    table_db_put_name(&sql, name);
    strbuf_puts(&sql, " values (?1, ?2)");
    if (!code && sqlite3_prepare_v2(db->sqlite, strbuf_text(&sql), -1, &insert, NULL) != SQLITE_OK)
        code = table_db_fail(db, name, err);
    for (size_t i = 0; !code && i < count; i++) {
        sqlite3_bind_text(insert, 1, pairs[i].code, -1, SQLITE_STATIC);
        sqlite3_bind_text(insert, 2, pairs[i].wording, -1, SQLITE_STATIC);
        if (sqlite3_step(insert) != SQLITE_DONE)
            code = table_db_fail(db, name, err);
        sqlite3_reset(insert);
    }
    sqlite3_finalize(insert);
    strbuf_release(&sql);
    return code;
}
