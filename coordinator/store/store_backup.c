/* A copy of the database while it is written to (sqlite3_backup_init): pages that change meanwhile
 * are copied again, so that the copy is the state at one commit. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "file.h"
#include "store_query.h"

struct store_backup {
    char *folder, *path;
    sqlite3 *db;
    sqlite3_backup *backup; /* NULL when all is copied */
    uint64_t pages, pages_done;
    bool is_durable;
};

void store_backup_drop(struct store *store)
{
    struct store_backup *b = store->backup;
    if (b == NULL) {
        return;
    }
    sqlite3_backup_finish(b->backup);
    sqlite3_close(b->db);
    if (!b->is_durable && b->path != NULL) {
        unlink(b->path);
    }
    free(b->folder);
    free(b->path);
    free(b);
    store->backup = NULL;
}

static enum err_code failed(struct store *store, int rc, struct err *err)
{
    struct store_backup *b = store->backup;
    const int os_errno = b->db == NULL ? 0 : sqlite3_system_errno(b->db);
    enum err_code code = (rc & 0xff) == SQLITE_FULL || os_errno == ENOSPC
                             ? err_os(err, ENOSPC, "copy the database to '%s'", b->path)
                             : err_set(err, ERR_IO, "copy the database to '%s': %s", b->path,
                                       b->db == NULL ? sqlite3_errstr(rc) : sqlite3_errmsg(b->db));
    store_backup_drop(store);
    return code;
}

enum err_code store_backup_begin(struct store *store, const char *folder, struct err *err)
{
    struct stat info;
    if (store->backup != NULL) {
        return err_set(err, ERR_CONFLICT, "a copy to '%s' is under way", store->backup->folder);
    }
    enum err_code code = file_mkdirs(folder, 0700, err);
    if (code != ERR_OK) {
        return code;
    }
    struct store_backup *b = store->backup = calloc(1, sizeof *b);
    ASSERT(b != NULL);
    b->folder = strdup(folder);
    char *path = NULL;
    ASSERT(b->folder != NULL && asprintf(&path, "%s/state.db", folder) > 0);
    if (stat(path, &info) == 0) {
        code = err_set(err, ERR_CONFLICT, "'%s' is there already: name a new folder", path);
        free(path);
        store_backup_drop(store);
        return code;
    }
    b->path = path;
    int rc = sqlite3_open_v2(b->path, &b->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    /* It is made durable at once, by a thread, when it is whole. */
    rc = rc != SQLITE_OK ? rc : sqlite3_exec(b->db, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
    if (rc == SQLITE_OK && chmod(b->path, 0600) == 0) {
        b->backup = sqlite3_backup_init(b->db, "main", store->db, "main");
    }
    return b->backup != NULL ? ERR_OK : failed(store, rc != SQLITE_OK ? rc : SQLITE_CANTOPEN, err);
}

struct store_backup_progress store_backup_progress(const struct store *store)
{
    const struct store_backup *b = store->backup;
    if (b == NULL) {
        return (struct store_backup_progress){0};
    }
    return (struct store_backup_progress){.folder = b->folder,
                                          .pages = b->pages,
                                          .pages_done = b->pages_done,
                                          .is_copied = b->backup == NULL && !b->is_durable,
                                          .complete = b->is_durable};
}

enum err_code store_backup_step(struct store *store, int pages, struct err *err)
{
    struct store_backup *b = store->backup;
    ASSERT(!store->in_transaction);
    if (b == NULL || b->backup == NULL) {
        return ERR_OK;
    }
    int rc = sqlite3_backup_step(b->backup, pages);
    b->pages = (uint64_t)sqlite3_backup_pagecount(b->backup);
    b->pages_done = b->pages - (uint64_t)sqlite3_backup_remaining(b->backup);
    if (rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED) {
        return ERR_OK;
    }
    if (rc != SQLITE_DONE) {
        return failed(store, rc, err);
    }
    rc = sqlite3_backup_finish(b->backup);
    b->backup = NULL;
    return rc == SQLITE_OK ? ERR_OK : failed(store, rc, err);
}

enum err_code store_backup_sync(const char *folder, struct err *err)
{
    char *path = NULL;
    ASSERT(asprintf(&path, "%s/state.db", folder) > 0);
    enum err_code code = file_sync(path, err);
    free(path);
    return code != ERR_OK ? code : file_sync_dir(folder, err);
}

void store_backup_synced(struct store *store)
{
    ASSERT(store->backup != NULL && store->backup->backup == NULL);
    store->backup->is_durable = true;
}
