/* What takes long (hashing folders, linking trees) runs on libuv's threads, so that heartbeats and
 * other attempts go on meanwhile. A piece of work owns copies of all it needs: its lease may be
 * forgotten before it is done. */
#include <stdlib.h>
#include <string.h>

#include "blob_cache.h"
#include "check.h"
#include "clock.h"
#include "driver_internal.h"
#include "file.h"

struct tree_to_make {
    struct digest tree;
    char *folder;
};

struct work {
    uv_work_t request;
    struct driver *driver;
    struct lease_key lease;
    char *cache;
    /* storing */
    char *folder; /* NULL: this is about making folders */
    uint64_t step;
    bool has_outcome;
    struct agent_outcome outcome; /* with its own texts */
    char *reason, *numeric_class;
    struct digest tree;
    /* making */
    struct tree_to_make *trees;
    size_t tree_count;
    enum err_code code;
    struct err err;
};

static void on_thread(uv_work_t *request)
{
    struct work *w = request->data;
    if (w->folder)
        w->code = blob_cache_add_folder(w->cache, w->folder, &w->tree, &w->err);
    /* A checkpoint is the cache's from now on, or lost: its child saves no other one before. */
    struct err ignored;
    if (w->folder && !w->has_outcome)
        (void)!file_remove_tree(w->folder, &ignored);
    for (size_t i = 0; i < w->tree_count && !w->code; i++) {
        w->code = file_remove_tree(w->trees[i].folder, &w->err); /* of a try that failed */
        if (!w->code)
            w->code =
                blob_cache_make_folder(w->cache, &w->trees[i].tree, w->trees[i].folder, &w->err);
    }
}

static void work_free(struct work *w)
{
    for (size_t i = 0; i < w->tree_count; i++)
        free(w->trees[i].folder);
    free(w->trees);
    free(w->cache);
    free(w->folder);
    free(w->reason);
    free(w->numeric_class);
    free(w);
}

static void tell_stored(struct driver *d, struct driver_job *job, struct work *w)
{
    struct agent_event event = {.lease = w->lease};
    if (w->has_outcome) {
        event.kind = AGENT_EV_RESULT;
        event.outcome = w->outcome;
        event.outcome.artifact = w->tree;
        if (w->code) {
            event.outcome.outcome = err_is_disk_full(&w->err) ? OUTCOME_CANCELLED : OUTCOME_FAILED;
            event.outcome.reason = w->err.text;
            event.outcome.artifact = (struct digest){{0}};
        }
        driver_post(d, &event);
    } else if (!w->code) {
        driver_keep_checkpoint(d, job, &w->tree);
        event.kind = AGENT_EV_CHECKPOINT;
        event.checkpoint.step = w->step;
        event.checkpoint.tree = w->tree;
        driver_post(d, &event);
    } else {
        event.kind = AGENT_EV_DISK_TROUBLE; /* a checkpoint that cannot be kept would be missed */
        event.failure.text = w->err.text;
        driver_post(d, &event);
    }
}

static void tell_made(struct driver *d, struct work *w)
{
    struct agent_event event = {.kind = AGENT_EV_FETCHED, .lease = w->lease};
    if (w->code) {
        event.kind = AGENT_EV_FETCH_FAILED;
        event.failure.text = w->err.text;
        event.failure.final = !err_is_disk_full(&w->err);
    }
    driver_post(d, &event);
}

static void on_done(uv_work_t *request, int status)
{
    struct work *w = request->data;
    struct driver *d = w->driver;
    d->threads_working--;
    struct driver_job *job = driver_job_find(d, &w->lease);
    if (job && status == 0 && !d->leaving) {
        job->working = false;
        struct driver_child *c = w->has_outcome ? driver_detach(job) : job->child;
        if (w->folder)
            tell_stored(d, job, w);
        else
            tell_made(d, w);
        driver_child_continue(d, c);
    } else if (!job) {
        driver_attempt_left(d, &w->lease);
    }
    work_free(w);
}

static struct work *work_new(struct driver *d, struct driver_job *job)
{
    struct work *w = calloc(1, sizeof *w);
    ASSERT(w);
    w->request.data = w;
    w->driver = d;
    w->lease = job->lease;
    w->cache = strdup(d->cache);
    return w;
}

static void work_start(struct driver *d, struct driver_job *job, struct work *w)
{
    job->working = true;
    d->threads_working++;
    int status = uv_queue_work(&d->loop, &w->request, on_thread, on_done);
    ASSERT(status == 0);
}

void driver_store_folder(struct driver *d, struct driver_job *job, const char *folder,
                         uint64_t step, const struct agent_outcome *outcome)
{
    struct work *w = work_new(d, job);
    w->folder = strdup(folder);
    w->step = step;
    if (outcome) {
        w->has_outcome = true;
        w->outcome = *outcome;
        w->outcome.reason = w->reason = strdup(outcome->reason);
        w->outcome.numeric_class = w->numeric_class = strdup(outcome->numeric_class);
    }
    work_start(d, job, w);
}

void driver_make_folders(struct driver *d, struct driver_job *job)
{
    const struct msg_lease *lease = job->job;
    struct work *w = work_new(d, job);
    w->trees = calloc(lease->input_count + lease->parent_count + 1, sizeof *w->trees);
    ASSERT(w->trees);
    for (size_t i = 0; i < lease->input_count; i++) {
        if (driver_input_is_tree(lease->inputs[i].name))
            w->trees[w->tree_count++] = (struct tree_to_make){
                lease->inputs[i].digest, driver_job_path(job, "input", lease->inputs[i].name)};
    }
    for (size_t i = 0; i < lease->parent_count; i++)
        w->trees[w->tree_count++] = (struct tree_to_make){
            lease->parents[i].digest, driver_job_path(job, "parent", lease->parents[i].name)};
    if (!digest_is_none(&lease->resume))
        w->trees[w->tree_count++] =
            (struct tree_to_make){lease->resume, driver_job_path(job, "resume", "state")};
    work_start(d, job, w);
}
