/* Bringing what a job reads into the cache, and what it made into the coordinator's store. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "blob_cache.h"
#include "blob_part.h"
#include "cache_trim.h"
#include "check.h"
#include "clock.h"
#include "driver_internal.h"
#include "file.h"
#include "log.h"
#include "lease_check.h"

bool driver_input_is_tree(const char *name)
{
    return strcmp(name, "checkpoint") == 0; /* docs/data.md section 2: the only such input */
}

char *driver_job_path(const struct driver_job *job, const char *role, const char *name)
{
    struct strbuf path = {0};
    strbuf_printf(&path, "%s/%s-%s", job->folder, role, name);
    return strbuf_take(&path);
}

/* The `index`-th thing to bring: inputs, then parents, then the resume tree. False past the end. */
static bool job_transfer(const struct msg_lease *job, size_t index, struct digest *digest_out,
                         bool *tree_out)
{
    if (index < job->input_count) {
        *digest_out = job->inputs[index].digest;
        *tree_out = driver_input_is_tree(job->inputs[index].name);
        return true;
    }
    index -= job->input_count;
    *tree_out = true;
    if (index < job->parent_count) {
        *digest_out = job->parents[index].digest;
        return true;
    }
    *digest_out = job->resume;
    return index == job->parent_count && !digest_is_none(&job->resume);
}

static struct driver_transfer *transfer_new(struct driver *d, const struct lease_key *lease)
{
    struct driver_transfer *t = calloc(1, sizeof *t);
    ASSERT(t);
    t->driver = d;
    t->lease = *lease;
    t->next = d->transfers;
    d->transfers = t;
    return t;
}

static void transfer_free(struct driver_transfer *t)
{
    struct driver_transfer **at = &t->driver->transfers;
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    free(t);
}

/* Trying again helps when nobody answered, or when our disk is full and somebody makes room (the
 * coordinator gives a job that does not get on to another worker); it does not when the store lacks
 * the blob. */
static bool failure_is_final(enum err_code code, const struct err *err)
{
    return code != ERR_UNAVAILABLE && code != ERR_TIMEOUT && code != ERR_CANCELLED &&
           !err_is_disk_full(err);
}

static enum err_code free_bytes_of(const char *folder, uint64_t *out, struct err *err)
{
    struct statvfs room;
    if (statvfs(folder, &room) != 0)
        return err_os(err, errno, "look at the disk of '%s'", folder);
    *out = (uint64_t)room.f_bavail * room.f_frsize;
    return ERR_OK;
}

/* An attempt that begins without room to work in would only fail: it waits, and is tried again.
 * What was kept of broken-off transfers gives way first. */
static enum err_code check_room(const struct driver *d, struct err *err)
{
    uint64_t free_bytes = 0;
    enum err_code code = free_bytes_of(d->folder.path, &free_bytes, err);
    if (!code && free_bytes < DISK_RESERVE_BYTES) {
        blob_part_drop_idle(d->cache);
        code = free_bytes_of(d->folder.path, &free_bytes, err);
    }
    if (code || free_bytes >= DISK_RESERVE_BYTES)
        return code;
    return err_os(err, ENOSPC, "begin an attempt in '%s' with %llu MiB left", d->folder.path,
                  (unsigned long long)(free_bytes >> 20));
}

static void tell_fetch_failed(struct driver *d, const struct driver_job *job, enum err_code code,
                              const struct err *err)
{
    const bool is_final = failure_is_final(code, err);
    log_event(LOG_WARN, is_final ? "fetch_failed" : "attempt_waits", "text=\"%s\"", err->text);
    driver_post(d, &(struct agent_event){.kind = AGENT_EV_FETCH_FAILED,
                                         .lease = job->lease,
                                         .failure = {.text = err->text, .final = is_final}});
}

static void fetch_next(struct driver *d, struct driver_job *job);

static void on_fetched(void *ctx, enum err_code code, const struct err *err)
{
    struct driver_transfer *t = ctx;
    struct driver *d = t->driver;
    struct driver_job *job = driver_job_find(d, &t->lease);
    transfer_free(t);
    if (!job)
        return;
    if (code) {
        tell_fetch_failed(d, job, code, err);
        return;
    }
    job->fetched++;
    fetch_next(d, job);
}

static void fetch_next(struct driver *d, struct driver_job *job)
{
    struct digest digest;
    bool tree;
    if (!job_transfer(job->job, job->fetched, &digest, &tree)) {
        driver_make_folders(d, job);
        return;
    }
    struct driver_transfer *t = transfer_new(d, &job->lease);
    if (tree)
        blob_client_get_tree(d->blobs, &digest, on_fetched, t);
    else
        blob_client_get(d->blobs, &digest, on_fetched, t);
}

/* Blobs used by what is held now stay: the oldest held lease says since when. */
static void make_room(struct driver *d)
{
    int64_t keep_since_s = clock_time_ms() / 1000;
    for (struct driver_job *job = d->jobs; job; job = job->next) {
        if (job->began_s < keep_since_s)
            keep_since_s = job->began_s;
    }
    if (spool_finished_count(d->spool) > 0)
        return; /* a survivor's artifact may have to be uploaded yet */
    cache_trim(d->cache, d->options->cache_bytes_max, keep_since_s);
}

static void touch_inputs(struct driver *d, const struct msg_lease *job)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct digest digest;
    bool tree;
    for (size_t i = 0; job_transfer(job, i, &digest, &tree); i++)
        cache_touch(blob_cache_path(d->cache, &digest, &arena));
    arena_release(&arena);
}

static struct driver_job *job_new(struct driver *d, const struct msg_lease *lease)
{
    struct driver_job *job = calloc(1, sizeof *job);
    ASSERT(job);
    job->lease = lease->lease;
    job->job = lease;
    job->began_s = clock_time_ms() / 1000;
    job->folder = driver_attempt_folder(d, &job->lease);
    job->next = d->jobs;
    d->jobs = job;
    return job;
}

/* What an attempt needs before anything is fetched for it; once. */
static enum err_code prepare(struct driver *d, struct driver_job *job, struct err *err)
{
    if (job->prepared)
        return ERR_OK;
    make_room(d);
    enum err_code code = spool_begin(d->spool, &job->lease, err);
    if (!code)
        code = lease_check(job->job, err);
    if (!code)
        code = check_room(d, err);
    if (!code)
        code = file_mkdirs(job->folder, 0700, err);
    job->prepared = !code;
    return code;
}

void driver_fetch(struct driver *d, const struct msg_lease *lease)
{
    struct driver_job *job = driver_job_find(d, &lease->lease);
    struct err err;
    if (!job)
        job = job_new(d, lease);
    enum err_code code = prepare(d, job, &err);
    if (code) {
        tell_fetch_failed(d, job, code, &err);
        return;
    }
    touch_inputs(d, job->job);
    fetch_next(d, job);
}

static void on_uploaded(void *ctx, enum err_code code, const struct err *err)
{
    struct driver_transfer *t = ctx;
    struct driver *d = t->driver;
    struct agent_event event = {.kind = code ? AGENT_EV_UPLOAD_FAILED : AGENT_EV_UPLOADED,
                                .lease = t->lease,
                                .tree = t->tree};
    if (code) {
        event.failure.text = err->text;
        event.failure.final = failure_is_final(code, err);
    }
    transfer_free(t);
    driver_post(d, &event);
}

void driver_upload(struct driver *d, const struct lease_key *lease, const struct digest *tree)
{
    struct driver_transfer *t = transfer_new(d, lease);
    t->tree = *tree;
    t->upload = true;
    blob_client_put_tree(d->blobs, tree, on_uploaded, t);
}

static bool is_uploading(const struct driver *d, const struct lease_key *lease,
                         const struct digest *tree)
{
    for (const struct driver_transfer *t = d->transfers; t; t = t->next) {
        if (t->upload && t->lease.epoch == lease->epoch &&
            digest_equal(&t->lease.job, &lease->job) && digest_equal(&t->tree, tree))
            return true;
    }
    return false;
}

/* The agent brings one checkpoint to the store at a time, and then the newest. */
void driver_keep_checkpoint(struct driver *d, struct driver_job *job, const struct digest *tree)
{
    struct digest kept[JOB_CHECKPOINTS_MAX], gone[JOB_CHECKPOINTS_MAX];
    size_t kept_count = 0, gone_count = 0;
    for (size_t i = 0; i < job->checkpoint_count; i++) {
        const struct digest *former = &job->checkpoints[i];
        if (digest_equal(former, tree))
            continue;
        if (is_uploading(d, &job->lease, former))
            kept[kept_count++] = *former;
        else
            gone[gone_count++] = *former;
    }
    ASSERT(kept_count < JOB_CHECKPOINTS_MAX);
    kept[kept_count++] = *tree;
    for (size_t i = 0; i < gone_count; i++)
        cache_drop_tree(d->cache, &gone[i], kept, kept_count);
    memcpy(job->checkpoints, kept, kept_count * sizeof *kept);
    job->checkpoint_count = kept_count;
}

void driver_cancel_transfers(struct driver *d, const struct lease_key *lease)
{
    for (struct driver_transfer *t = d->transfers, *next; t; t = next) {
        next = t->next;
        if (t->lease.epoch != lease->epoch || !digest_equal(&t->lease.job, &lease->job))
            continue;
        blob_client_cancel(d->blobs, t);
        transfer_free(t);
    }
}
