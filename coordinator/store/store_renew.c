/* After a write or sync that failed, the files it was for are not trusted again. The kernel counts
 * a page as clean once it has failed to write it, and a file system may go on to map it to a block
 * that was never written (ext4 does: what is written there later, and synced without an error,
 * reads as zeros after the next mount). What had been committed before is safe, on the disk and for
 * this process to read; so it is copied into a new file, which then takes the old one's place. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "file.h"
#include "store_query.h"

struct paths {
    char *folder, *renewed, *log;
};

static struct paths paths_of(const struct store *store)
{
    struct paths p = {0};
    const char *slash = strrchr(store->path, '/');
    ASSERT(slash != NULL);
    ASSERT(asprintf(&p.folder, "%.*s", (int)(slash - store->path), store->path) > 0);
    ASSERT(asprintf(&p.renewed, "%s.renewed", store->path) > 0);
    ASSERT(asprintf(&p.log, "%s-wal", store->path) > 0);
    return p;
}

static void paths_free(struct paths *p)
{
    free(p->folder);
    free(p->renewed);
    free(p->log);
}

/* All pages at once, into a file that did not exist; synced when done. */
static enum err_code copy_all(struct store *store, const char *path, struct err *err)
{
    sqlite3 *db = NULL;
    unlink(path); /* of an attempt before */
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    sqlite3_backup *backup =
        rc == SQLITE_OK ? sqlite3_backup_init(db, "main", store->db, "main") : NULL;
    if (rc == SQLITE_OK) {
        rc = backup == NULL ? sqlite3_errcode(db) : sqlite3_backup_step(backup, -1);
        rc =
            rc == SQLITE_DONE ? sqlite3_backup_finish(backup) : (sqlite3_backup_finish(backup), rc);
    }
    const int os_errno = db == NULL ? 0 : sqlite3_system_errno(db);
    sqlite3_close(db);
    if (rc == SQLITE_OK && chmod(path, 0600) == 0) {
        return ERR_OK;
    }
    unlink(path);
    const bool is_full = (rc & 0xff) == SQLITE_FULL || os_errno == ENOSPC;
    return err_os(err,
                  is_full         ? ENOSPC
                  : os_errno != 0 ? os_errno
                                  : EIO,
                  "copy the state out of files that could not be written");
}

/* The copy first takes the name, then the old log goes: between the two that log, whole as far as
 * it was ever acknowledged, says nothing that the copy does not. */
static enum err_code take_place(struct store *store, const struct paths *p, struct err *err)
{
    if (rename(p->renewed, store->path) != 0) {
        return err_os(err, errno, "rename '%s'", p->renewed);
    }
    enum err_code code = file_sync_dir(p->folder, err);
    if (code != ERR_OK) {
        return code;
    }
    store_close_database(store);
    if (unlink(p->log) != 0 && errno != ENOENT) {
        return err_os(err, errno, "remove '%s'", p->log);
    }
    return file_sync_dir(p->folder, err);
}

enum err_code store_renew(struct store *store, struct err *err)
{
    enum err_code code = ERR_OK;
    if (!store->suspect && store->db != NULL) {
        return ERR_OK;
    }
    store_rollback(store);
    if (store->db != NULL) {
        struct paths p = paths_of(store);
        code = copy_all(store, p.renewed, err);
        code = code != ERR_OK ? code : take_place(store, &p, err);
        paths_free(&p);
    }
    if (code == ERR_OK) {
        store->suspect = false;
        code = store_open_database(store, err);
    }
    return code == ERR_OK ? ERR_OK : err_wrap(err, "renew the state");
}
