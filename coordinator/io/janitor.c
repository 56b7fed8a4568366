#include "janitor.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "digest_map.h"
#include "intake.h"
#include "log.h"

#define SLICE_EVERY_MS 5
/* 4 MiB of the database, jobs, folders: a slice stays far below a heartbeat. */
#define BACKUP_PAGES 1024
#define ROOT_JOBS    500
/* Younger blobs may be on their way into a message: not even a person may call them garbage. */
#define GC_AGE_MIN_S 3600

enum gc_phase { GC_NONE, GC_ROOTS, GC_FOLDERS, GC_DONE };

struct janitor {
    uv_timer_t timer;
    enum gc_phase gc;
    uint64_t after;           /* GC_ROOTS: the last job seen */
    unsigned folder;          /* GC_FOLDERS: the next one */
    struct digest_map needed; /* digest → anything */
    struct artifacts_sweep sweep;
    struct err gc_failed, backup_failed; /* code ERR_OK: not */
    bool is_syncing;                     /* a thread makes a copy durable */
};

static struct janitor *janitor_of(struct server *server)
{
    return server->janitor;
}

static bool is_needed(void *ctx, const struct digest *digest)
{
    return digest_map_get(ctx, digest) != NULL;
}

/* ---- sweeping ---- */

static void need(struct janitor *j, const struct digest *digest)
{
    digest_map_put(&j->needed, digest, j);
}

static enum err_code collect_roots(struct server *server, struct err *err)
{
    struct janitor *j = janitor_of(server);
    struct arena arena = {0};
    struct digest *roots = NULL;
    size_t count = 0;
    enum err_code code =
        store_roots(server->store, &j->after, ROOT_JOBS, &arena, &roots, &count, err);
    for (size_t i = 0; code == ERR_OK && i < count; i++) {
        struct digest *files = NULL;
        size_t file_count = 0;
        if (digest_map_get(&j->needed, &roots[i]) != NULL) {
            continue;
        }
        need(j, &roots[i]);
        artifacts_tree_files(server->artifacts, &roots[i], &arena, &files, &file_count);
        for (size_t f = 0; f < file_count; f++) {
            need(j, &files[f]);
        }
    }
    arena_release(&arena);
    if (j->after == UINT64_MAX) {
        j->gc = GC_FOLDERS;
    }
    return code;
}

static enum err_code sweep_folder(struct server *server, struct err *err)
{
    struct janitor *j = janitor_of(server);
    enum err_code code = artifacts_sweep(server->artifacts, j->folder, &j->sweep, err);
    if (++j->folder == ARTIFACTS_SWEEP_FOLDERS) {
        j->gc = GC_DONE;
        log_event(LOG_INFO, "gc", "applied=%d garbage=%llu bytes=%llu kept=%llu", j->sweep.apply,
                  (unsigned long long)j->sweep.garbage, (unsigned long long)j->sweep.garbage_bytes,
                  (unsigned long long)j->sweep.kept);
    }
    return code;
}

static void gc_slice(struct server *server)
{
    struct janitor *j = janitor_of(server);
    struct err err;
    enum err_code code = ERR_OK;
    if (j->gc == GC_ROOTS) {
        code = collect_roots(server, &err);
    } else if (j->gc == GC_FOLDERS) {
        code = sweep_folder(server, &err);
    }
    if (code != ERR_OK) {
        j->gc = GC_DONE;
        j->gc_failed = err;
    }
    if (j->gc == GC_DONE) {
        digest_map_release(&j->needed);
    }
}

/* ---- copying ---- */

static void backup_failed(struct server *server, const struct err *err)
{
    log_event(LOG_ERROR, "backup_failed", "error='%s'", err->text);
    janitor_of(server)->backup_failed = *err;
}

/* A whole copy becomes durable on a thread: that may be gigabytes for the disk to write. */
struct copy_sync {
    uv_work_t work;
    struct server *server;
    char *folder;
    enum err_code code;
    struct err err;
};

static void sync_copy(uv_work_t *work)
{
    struct copy_sync *sync = work->data;
    sync->code = store_backup_sync(sync->folder, &sync->err);
}

static void on_copy_synced(uv_work_t *work, int status)
{
    struct copy_sync *sync = work->data;
    struct server *server = sync->server;
    ASSERT(status == 0);
    janitor_of(server)->is_syncing = false;
    const struct store_backup_progress now = store_backup_progress(server->store);
    const bool is_ours = now.is_copied && strcmp(now.folder, sync->folder) == 0;
    if (is_ours && sync->code == ERR_OK) {
        store_backup_synced(server->store);
    } else if (is_ours) {
        store_backup_drop(server->store);
        backup_failed(server, &sync->err);
    }
    free(sync->folder);
    free(sync);
}

static void begin_copy_sync(struct server *server, const char *folder)
{
    struct copy_sync *sync = calloc(1, sizeof *sync);
    ASSERT(sync != NULL);
    sync->work.data = sync;
    sync->server = server;
    sync->folder = strdup(folder);
    ASSERT(sync->folder != NULL);
    janitor_of(server)->is_syncing = true;
    int status = uv_queue_work(server->loop, &sync->work, sync_copy, on_copy_synced);
    ASSERT(status == 0);
}

static void backup_slice(struct server *server)
{
    struct err err;
    if (store_backup_step(server->store, BACKUP_PAGES, &err) != ERR_OK) {
        backup_failed(server, &err);
        return;
    }
    const struct store_backup_progress now = store_backup_progress(server->store);
    if (now.is_copied && !janitor_of(server)->is_syncing) {
        begin_copy_sync(server, now.folder);
    }
}

/* ---- the timer ---- */

static bool has_work(struct server *server)
{
    const struct janitor *j = janitor_of(server);
    const struct store_backup_progress backup = store_backup_progress(server->store);
    const bool is_copying = backup.folder != NULL && !backup.is_copied && !backup.complete;
    return is_copying || j->gc == GC_ROOTS || j->gc == GC_FOLDERS;
}

static void on_slice(uv_timer_t *timer)
{
    struct server *server = timer->data;
    turn_finish(server); /* a copy cannot go on within a transaction */
    if (server->in_trouble || store_is_writing(server->store)) {
        return; /* the state is loaded again first; what a worker that is gone led to is committed
                 */
    }
    gc_slice(server);
    backup_slice(server);
    if (!has_work(server)) {
        uv_timer_stop(timer);
    }
}

static void start(struct server *server)
{
    struct janitor *j = janitor_of(server);
    uv_timer_start(&j->timer, on_slice, SLICE_EVERY_MS, SLICE_EVERY_MS);
}

/* ---- requests ---- */

enum err_code janitor_backup(struct server *server, const struct msg_backup *request,
                             struct msg_backup_state *out, struct err *err)
{
    struct janitor *j = janitor_of(server);
    if (j->backup_failed.code != ERR_OK) {
        *err = j->backup_failed;
        j->backup_failed = (struct err){0};
        return err->code;
    }
    if (request->folder[0] != '/') {
        return err_set(err, ERR_INVALID, "the folder of a copy must be an absolute path");
    }
    struct store_backup_progress now = store_backup_progress(server->store);
    if (now.folder == NULL || strcmp(now.folder, request->folder) != 0) {
        enum err_code code = store_backup_begin(server->store, request->folder, err);
        if (code != ERR_OK) {
            return code;
        }
        log_event(LOG_INFO, "backup", "folder='%s'", request->folder);
        start(server);
        now = store_backup_progress(server->store);
    }
    *out = (struct msg_backup_state){.request = request->request,
                                     .complete = now.complete,
                                     .pages = now.pages,
                                     .pages_done = now.pages_done};
    if (now.complete) {
        store_backup_drop(server->store);
    }
    return ERR_OK;
}

enum err_code janitor_gc(struct server *server, const struct msg_gc *request,
                         struct msg_gc_state *out, struct err *err)
{
    struct janitor *j = janitor_of(server);
    if (request->age_s < GC_AGE_MIN_S || request->age_s > INT32_MAX) {
        return err_set(err, ERR_INVALID,
                       "blobs must be at least %d seconds old to be garbage: what is younger may "
                       "be on its way into a result",
                       GC_AGE_MIN_S);
    }
    if (intake_is_busy(server)) {
        return err_set(err, ERR_CONFLICT,
                       "a submission is being taken in: its inputs are not garbage, wait for it");
    }
    if (j->gc_failed.code != ERR_OK) {
        *err = j->gc_failed;
        j->gc_failed = (struct err){0};
        j->gc = GC_NONE;
        return err->code;
    }
    const bool is_the_same =
        j->sweep.apply == request->apply && j->sweep.age_s == (int64_t)request->age_s;
    if (j->gc == GC_NONE || (j->gc == GC_DONE && !is_the_same)) {
        j->gc = GC_ROOTS;
        j->after = 0;
        j->folder = 0;
        j->sweep = (struct artifacts_sweep){.is_needed = is_needed,
                                            .ctx = &j->needed,
                                            .age_s = (int64_t)request->age_s,
                                            .apply = request->apply};
        start(server);
    } else if (!is_the_same) {
        return err_set(err, ERR_CONFLICT, "another sweep is under way: wait for it");
    }
    *out = (struct msg_gc_state){.request = request->request,
                                 .complete = j->gc == GC_DONE,
                                 .applied = j->sweep.apply,
                                 .kept = j->sweep.kept,
                                 .kept_bytes = j->sweep.kept_bytes,
                                 .young = j->sweep.young,
                                 .young_bytes = j->sweep.young_bytes,
                                 .garbage = j->sweep.garbage,
                                 .garbage_bytes = j->sweep.garbage_bytes};
    if (j->gc == GC_DONE) {
        j->gc = GC_NONE;
    }
    return ERR_OK;
}

/* ---- life ---- */

void janitor_init(struct server *server)
{
    struct janitor *j = calloc(1, sizeof *j);
    ASSERT(j != NULL);
    server->janitor = j;
    uv_timer_init(server->loop, &j->timer);
    j->timer.data = server;
}

void janitor_close(struct server *server)
{
    struct janitor *j = janitor_of(server);
    uv_timer_stop(&j->timer);
    uv_close((uv_handle_t *)&j->timer, NULL);
}

void janitor_free(struct server *server)
{
    if (server->janitor != NULL) {
        digest_map_release(&server->janitor->needed);
        free(server->janitor);
    }
}
