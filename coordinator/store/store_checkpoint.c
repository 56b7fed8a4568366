/* Folding the write-ahead log back into the database, by a thread with a connection of its own: on
 * the loop it would be a pause of tens of milliseconds every few thousand pages, in which nobody is
 * answered.
 *
 * The log begins again from its start when all of it is in the database as a transaction begins. A
 * thread alone would never get there under load, as the loop goes on writing meanwhile: so rounds
 * of the thread leave ever less, and what little is left the loop folds in itself. */
#include <stdlib.h>

#include "check.h"
#include "log.h"
#include "store_query.h"
#include "store_thread.h"

/* A log of this many pages of 4 KiB is worth a round. */
#define ROUND_PAGES 6000
/* What is folded in on the loop: a megabyte, some milliseconds. */
#define REST_PAGES 256
/* A log as long as this (96 MiB) is folded in on the loop, whatever it takes: its growth has a
 * bound, also when turns write as fast as the thread. */
#define LOG_PAGES_MAX 24576

struct store_checkpoint {
    struct store_thread thread;
    sqlite3 *db;
    /* Under the thread's mutex. */
    bool is_busy;
    int rc;         /* of the latest round */
    int pages_done; /* of the log, when that ended */
    /* The loop's. */
    int pages_seen;  /* in the log, when it was last looked at */
    bool has_failed; /* the latest round did, and that was told */
};

static void fold(void *ctx)
{
    struct store_checkpoint *c = ctx;
    int pages = 0, pages_done = 0;
    c->is_busy = true;
    pthread_mutex_unlock(&c->thread.mutex);
    int rc = sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &pages_done);
    pthread_mutex_lock(&c->thread.mutex);
    c->is_busy = false;
    c->rc = rc;
    c->pages_done = pages_done;
}

enum err_code store_checkpoint_begin(struct store *store, struct err *err)
{
    struct store_checkpoint *c = calloc(1, sizeof *c);
    ASSERT(c != NULL);
    int rc = sqlite3_open_v2(store->path, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                             STORE_VFS);
    /* A checkpoint does not read the schema, but the connection must know that there is a log. */
    rc = rc != SQLITE_OK ? rc
                         : sqlite3_exec(c->db,
                                        "PRAGMA synchronous = FULL;"
                                        "SELECT count(*) FROM meta",
                                        NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
        sqlite3_close(c->db);
        free(c);
        return store_failure(store, rc, "open state a second time", err);
    }
    store_thread_begin(&c->thread, fold, c);
    store->checkpoint = c;
    return ERR_OK;
}

void store_checkpoint_end(struct store *store)
{
    struct store_checkpoint *c = store->checkpoint;
    if (c == NULL) {
        return;
    }
    store_thread_end(&c->thread);
    sqlite3_close(c->db);
    free(c);
    store->checkpoint = NULL;
}

/* Without space nothing is lost: the pages stay in the log, which grows. What the disk fails to
 * take makes the files suspect: the next commit is refused, and they are left (store_renew.c). */
static void tell(struct store *store, int rc)
{
    struct store_checkpoint *c = store->checkpoint;
    const bool failed = rc != SQLITE_OK && rc != SQLITE_BUSY;
    if (failed && !c->has_failed) {
        log_event(LOG_ERROR, "checkpoint_failed",
                  "error='%s' note='the write-ahead log grows until it can be folded in'",
                  sqlite3_errstr(rc));
    }
    c->has_failed = failed;
    store->suspect = store->suspect || (rc & 0xff) == SQLITE_IOERR;
}

static void fold_here(struct store *store)
{
    tell(store, sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL));
}

void store_checkpoint_look(struct store *store)
{
    struct store_checkpoint *c = store->checkpoint;
    const int pages = store->log_pages;
    if (c == NULL) {
        return;
    }
    if (store->fold_pages != 0 && pages >= store->fold_pages) {
        fold_here(store);
        return;
    }
    const bool is_new = pages < c->pages_seen;
    c->pages_seen = pages;
    if (pages < ROUND_PAGES && !is_new) {
        return;
    }
    pthread_mutex_lock(&c->thread.mutex);
    if (is_new && !c->is_busy) {
        c->pages_done = 0; /* that was of the log before it began again */
    }
    const bool is_free = !c->is_busy && !c->thread.is_wanted && pages >= ROUND_PAGES;
    const int rc = c->rc;
    const bool is_bad = (rc & 0xff) == SQLITE_IOERR;
    const bool is_near = pages >= LOG_PAGES_MAX || (rc == SQLITE_OK && c->pages_done <= pages &&
                                                    pages - c->pages_done <= REST_PAGES);
    if (is_free && !is_near && !is_bad) {
        store_thread_want(&c->thread);
    }
    pthread_mutex_unlock(&c->thread.mutex);
    if (is_free) {
        tell(store, rc);
    }
    if (is_free && is_near && !is_bad) {
        fold_here(store);
    }
}
