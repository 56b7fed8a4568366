#include "table_db.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "table_db_impl.h"
#include "table_functions.h"

enum {
    STEPS_BETWEEN_LOOKS = 100000,
    VALUE_BYTES_MAX = 4 * RECORD_BYTES_MAX, /* of one value, which has to fit into memory */
    PAGE_BYTES = 4096,
};

static int look_at_steps(void *ctx)
{
    struct table_db *db = ctx;
    db->steps += STEPS_BETWEEN_LOOKS;
    return db->counting && db->steps > db->limits.steps;
}

void table_db_begin(struct table_db *db)
{
    db->steps = 0;
    db->counting = true;
}

void table_db_end(struct table_db *db)
{
    db->counting = false;
}

enum err_code table_db_fail(struct table_db *db, const char *what, struct err *err)
{
    const int code = sqlite3_errcode(db->sqlite);
    if (code == SQLITE_INTERRUPT)
        return err_set(err, ERR_LIMIT,
                       "%s: not done after %.3g million steps of SQLite; does every table that it "
                       "joins have a condition? If it is right, raise 'query_steps' in the task "
                       "file",
                       what, (double)db->limits.steps / 1e6);
    if (code == SQLITE_FULL) /* by which of the two SQLite does not tell */
        return err_set(err, ERR_LIMIT,
                       "%s: more than %.3g MiB of rows, or no space left for scratch files. If it "
                       "is right, raise 'query_space' in the task file, or let $SQLITE_TMPDIR name "
                       "a folder on a larger disk",
                       what, (double)db->limits.bytes / (1 << 20));
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

enum err_code table_db_open(const struct table_limits *limits, struct table_db **out,
                            struct err *err)
{
    struct table_db *db = calloc(1, sizeof *db);
    ASSERT(db != NULL);
    db->limits = *limits;
    /* The empty name is a private database in scratch space, deleted when it is closed. */
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2("", &db->sqlite, flags, NULL) != SQLITE_OK) {
        enum err_code code = table_db_fail(db, "open a scratch database", err);
        table_db_close(db);
        return code;
    }
    sqlite3_set_authorizer(db->sqlite, allow_reading, db);
    sqlite3_progress_handler(db->sqlite, STEPS_BETWEEN_LOOKS, look_at_steps, db);
    sqlite3_limit(db->sqlite, SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX);
    enum err_code code = table_functions_add(db->sqlite, err);
    /* The table-valued functions are made on first use, which a guard would not allow. */
    if (!code)
        code = table_db_run(db, "select 1 from json_each('[]'), json_tree('[]')",
                            "set up a scratch database", err);
    char pragmas[300];
    snprintf(pragmas, sizeof pragmas,
             "pragma page_size = %d; pragma journal_mode = off; pragma synchronous = off; "
             "pragma cache_size = -65536; pragma temp_store = file; pragma max_page_count = %lld",
             PAGE_BYTES, (long long)(limits->bytes / PAGE_BYTES));
    if (!code)
        code = table_db_run(db, pragmas, "set up a scratch database", err);
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
