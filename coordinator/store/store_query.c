#include "store_query.h"

#include <errno.h>
#include <string.h>

#include "check.h"

enum err_code store_failure(struct store *store, int rc, const char *act, struct err *err)
{
    int os_errno = store->db == NULL ? 0 : sqlite3_system_errno(store->db);
    if ((rc & 0xff) == SQLITE_IOERR && rc != SQLITE_IOERR_READ) {
        store->suspect = true;
    }
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return err_os(err, ENOSPC, "%s", act);
    case SQLITE_READONLY:
        return err_os(err, EROFS, "%s", act);
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
        return err_os(err, os_errno != 0 ? os_errno : EIO, "%s", act);
    case SQLITE_CORRUPT:
        return err_set(err, ERR_CORRUPT,
                       "the database '%s' is damaged: put back the newest 'triad backup'",
                       store->path);
    case SQLITE_NOTADB:
        return err_set(err, ERR_CORRUPT,
                       "'%s' is no SQLite database, or its head is damaged: put back the newest "
                       "'triad backup'",
                       store->path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(err, ERR_CONFLICT, "%s: another program uses '%s'", act, store->path);
    case SQLITE_CONSTRAINT:
        return err_set(err, ERR_CONFLICT, "%s: %s", act, sqlite3_errmsg(store->db));
    default:
        return err_set(err, ERR_IO, "%s: %s", act,
                       store->db == NULL ? sqlite3_errstr(rc) : sqlite3_errmsg(store->db));
    }
}

enum err_code store_exec(struct store *store, const char *sql, struct err *err)
{
    int rc = store->db == NULL ? SQLITE_CANTOPEN : sqlite3_exec(store->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? ERR_OK : store_failure(store, rc, "write state", err);
}

static sqlite3_stmt *prepared(struct store *store, const char *sql, int *rc_out)
{
    for (size_t i = 0; i < store->prepared_count; i++) {
        if (store->prepared[i].sql == sql) {
            return store->prepared[i].statement;
        }
    }
    if (store->db == NULL) { /* between two tries to renew it */
        *rc_out = SQLITE_CANTOPEN;
        return NULL;
    }
    ASSERT(store->prepared_count < STORE_QUERIES_MAX);
    sqlite3_stmt *statement = NULL;
    *rc_out = sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
    if (*rc_out != SQLITE_OK) {
        return NULL;
    }
    store->prepared[store->prepared_count].sql = sql;
    store->prepared[store->prepared_count++].statement = statement;
    return statement;
}

struct query query_begin(struct store *store, const char *sql)
{
    struct query q = {.store = store, .rc = SQLITE_OK};
    q.statement = prepared(store, sql, &q.rc);
    return q;
}

static void note(struct query *q, int rc)
{
    q->rc = q->rc == SQLITE_OK ? rc : q->rc;
}

void query_bind_int(struct query *q, int64_t value)
{
    note(q, sqlite3_bind_int64(q->statement, ++q->bound, value));
}

void query_bind_text(struct query *q, const char *text)
{
    note(q, sqlite3_bind_text(q->statement, ++q->bound, text, -1, SQLITE_STATIC));
}

void query_bind_bytes(struct query *q, struct bytes bytes)
{
    /* A null pointer would bind NULL instead of an empty blob. */
    const void *data = bytes.len == 0 ? "" : (const void *)bytes.data;
    note(q, sqlite3_bind_blob64(q->statement, ++q->bound, data, bytes.len, SQLITE_STATIC));
}

void query_bind_digest(struct query *q, const struct digest *digest)
{
    if (digest_is_none(digest)) {
        note(q, sqlite3_bind_null(q->statement, ++q->bound));
    } else {
        note(q, sqlite3_bind_blob(q->statement, ++q->bound, digest->bytes, DIGEST_BYTES,
                                  SQLITE_STATIC));
    }
}

enum err_code query_next(struct query *q, bool *more_out, struct err *err)
{
    int rc = q->rc == SQLITE_OK ? sqlite3_step(q->statement) : q->rc;
    q->column = 0;
    q->rc_last = rc;
    if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
        *more_out = rc == SQLITE_ROW;
        return ERR_OK;
    }
    enum err_code code = store_failure(q->store, rc, "use state", err);
    query_end(q);
    return code;
}

enum err_code query_run(struct query *q, struct err *err)
{
    bool more = false;
    enum err_code code = query_next(q, &more, err);
    if (code == ERR_OK) {
        ASSERT(!more);
        query_end(q);
    }
    return code;
}

void query_end(struct query *q)
{
    if (q->statement != NULL) {
        sqlite3_reset(q->statement);
        sqlite3_clear_bindings(q->statement);
    }
}

int64_t query_int(struct query *q)
{
    return sqlite3_column_int64(q->statement, q->column++);
}

uint64_t query_u64(struct query *q)
{
    return (uint64_t)query_int(q);
}

uint32_t query_u32(struct query *q)
{
    return (uint32_t)query_int(q);
}

const char *query_text(struct query *q, struct arena *arena)
{
    const unsigned char *text = sqlite3_column_text(q->statement, q->column++);
    return text == NULL ? "" : arena_strdup(arena, (const char *)text);
}

struct bytes query_bytes(struct query *q, struct arena *arena)
{
    const void *data = sqlite3_column_blob(q->statement, q->column);
    size_t len = (size_t)sqlite3_column_bytes(q->statement, q->column++);
    struct bytes bytes = {.len = len};
    if (len > 0) {
        bytes.data = arena_memdup(arena, data, len);
    }
    return bytes;
}

struct digest query_digest(struct query *q)
{
    struct digest digest = {{0}};
    const void *data = sqlite3_column_blob(q->statement, q->column);
    if (data != NULL && sqlite3_column_bytes(q->statement, q->column) == DIGEST_BYTES) {
        memcpy(digest.bytes, data, DIGEST_BYTES);
    }
    q->column++;
    return digest;
}

enum err_code store_experiment_id(struct store *store, const char *name, int64_t *id_out,
                                  struct err *err)
{
    struct query q = query_begin(store, "SELECT id FROM experiments WHERE name = ?");
    query_bind_text(&q, name);
    bool more = false;
    enum err_code code = query_next(&q, &more, err);
    if (code != ERR_OK) {
        return code;
    }
    if (more) {
        *id_out = query_int(&q);
    }
    query_end(&q);
    return more ? ERR_OK : err_set(err, ERR_NOT_FOUND, "no experiment is called '%s'", name);
}
