/* Children and their jobs: what the agent decides becomes a process and frames, what the process
 * says becomes spool entries and events. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blob_cache.h"
#include "check.h"
#include "clock.h"
#include "driver_internal.h"
#include "log.h"
#include "process_info.h"

static struct driver_child *child_find(struct driver *d, uint32_t id)
{
    for (struct driver_child *c = d->children; c; c = c->next) {
        if (c->id == id)
            return c;
    }
    return NULL;
}

static struct driver_child *child_of(struct driver *d, const struct exec_child *process)
{
    for (struct driver_child *c = d->children; c; c = c->next) {
        if (c->process == process)
            return c;
    }
    UNREACHABLE("a child that nobody knows");
}

static struct driver_job *job_of(struct driver *d, const struct driver_child *c)
{
    struct driver_job *job = c->has_job ? driver_job_find(d, &c->lease) : NULL;
    return job && job->child == c ? job : NULL; /* it may have been forgotten */
}

/* ---- text ---- */

/* Store waiting lines as batches. What finds no room waits for the next second. */
static void log_flush(struct driver *d, struct driver_job *job)
{
    struct strbuf *waiting = &job->log.waiting;
    while (waiting->len > 0) {
        size_t len = waiting->len;
        if (len > STREAM_PAYLOAD_BYTES_MAX)
            len = str_whole_characters(waiting->data, STREAM_PAYLOAD_BYTES_MAX);
        struct err err;
        struct bytes payload = {(const uint8_t *)waiting->data, len};
        if (spool_append(d->spool, &job->lease, STREAM_LOG, payload, &err))
            return;
        memmove(waiting->data, waiting->data + len, waiting->len - len + 1);
        waiting->len -= len;
        driver_post(d, &(struct agent_event){
                           .kind = AGENT_EV_BATCH, .lease = job->lease, .stream = STREAM_LOG});
    }
}

static void on_line(void *ctx, struct exec_child *process, const char *line, size_t len)
{
    struct driver *d = ctx;
    struct driver_child *c = child_of(d, process);
    log_event(LOG_DEBUG, "child_said", "child=%u text=\"%.*s\"", c->id, (int)len, line);
    struct driver_job *job = job_of(d, c);
    if (!job)
        return;
    attempt_log_line(&job->log, line, len);
    if (attempt_log_is_due(&job->log))
        log_flush(d, job);
}

/* ---- frames ---- */

/* Put a batch into the spool. False: no room now, the child has to wait. */
static bool take_batch(struct driver *d, struct driver_job *job, const struct exec_batch *batch)
{
    struct err err;
    enum err_code code = spool_append(d->spool, &job->lease, batch->stream, batch->payload, &err);
    if (!code) {
        job->blocked_since_ms = 0;
        driver_post(d, &(struct agent_event){
                           .kind = AGENT_EV_BATCH, .lease = job->lease, .stream = batch->stream});
        return true;
    }
    int64_t now_ms = clock_mono_ms();
    if (job->blocked_since_ms == 0) {
        job->blocked_since_ms = now_ms;
        log_event(LOG_WARN, "attempt_waits_for_space", "text=\"%s\"", err.text);
    }
    /* A spool at its own limit empties as soon as the coordinator answers; a full disk may not. */
    if (code == ERR_LIMIT || (code == ERR_IO && now_ms - job->blocked_since_ms < DISK_PATIENCE_MS))
        return false;
    driver_post(d, &(struct agent_event){.kind = AGENT_EV_DISK_TROUBLE,
                                         .lease = job->lease,
                                         .failure = {.text = err.text}});
    return true; /* the attempt has failed: what else its child says is not wanted */
}

struct driver_child *driver_detach(struct driver_job *job)
{
    struct driver_child *c = job->child;
    job->child = NULL;
    if (c)
        c->has_job = false;
    return c;
}

/* The job's end as its child tells it, with what we measured and counted ourselves. */
static void take_result(struct driver *d, struct driver_job *job, const struct exec_result *r)
{
    struct driver_child *c = job->child;
    exec_child_drain_text(c->process);
    attempt_log_finish(&job->log);
    log_flush(d, job);
    struct spool_totals totals = spool_totals(d->spool, &job->lease);
    struct exec_child_usage usage = exec_child_usage(c->process);
    struct agent_outcome outcome = {
        .outcome = r->outcome,
        .reason = r->reason,
        .items = totals.items,
        .records = totals.records,
        .wall_ms = (uint64_t)(clock_mono_ms() - job->run_at_ms),
        .cpu_ms = usage.cpu_ms - job->cpu_before_ms,
        .memory_peak_bytes = usage.memory_peak_bytes,
        .start_step = r->start_step,
        .numeric_class = r->numeric_class,
    };
    if (r->outcome == OUTCOME_OK && r->items != totals.items) {
        outcome.outcome = OUTCOME_FAILED;
        outcome.reason = "the child process counted other items than it delivered";
    }
    if (r->artifact[0] && outcome.outcome == OUTCOME_OK) {
        struct strbuf path = {0};
        strbuf_printf(&path, "%s/%s", job->folder, r->artifact);
        driver_store_folder(d, job, path.data, 0, &outcome);
        strbuf_release(&path);
        return; /* the child stays attached until its artifact is safe */
    }
    driver_detach(job); /* before the agent gives it another job */
    driver_post(
        d, &(struct agent_event){.kind = AGENT_EV_RESULT, .lease = job->lease, .outcome = outcome});
}

static bool take_frame(struct driver *d, struct driver_job *job, const struct exec_frame *frame)
{
    struct agent_event event = {.lease = job->lease};
    switch (frame->kind) {
    case EXEC_RUNNING:
        event.kind = AGENT_EV_RUNNING;
        driver_post(d, &event);
        return true;
    case EXEC_PROGRESS:
        event.kind = AGENT_EV_PROGRESS;
        event.progress.done = frame->progress.done;
        event.progress.total = frame->progress.total;
        event.progress.loss_nats = frame->progress.loss_nats;
        event.progress.tokens_per_s = frame->progress.tokens_per_s;
        driver_post(d, &event);
        return true;
    case EXEC_BATCH:
        return take_batch(d, job, &frame->batch);
    case EXEC_CHECKPOINT: {
        struct strbuf path = {0};
        strbuf_printf(&path, "%s/%s", job->folder, frame->checkpoint.folder);
        driver_store_folder(d, job, path.data, frame->checkpoint.step, NULL);
        strbuf_release(&path);
        return true;
    }
    case EXEC_RESULT:
        take_result(d, job, &frame->result);
        return true;
    case EXEC_JOB:
    case EXEC_FRAME_KIND_COUNT:
        break;
    }
    log_event(LOG_WARN, "child_frame_ignored", "kind=%d", (int)frame->kind);
    return true;
}

static bool on_frame(void *ctx, struct exec_child *process, const struct exec_frame *frame)
{
    struct driver *d = ctx;
    struct driver_job *job = job_of(d, child_of(d, process));
    if (!job || d->leaving)
        return true; /* of a job that is not wanted any more */
    bool waits_for_work = frame->kind == EXEC_CHECKPOINT || frame->kind == EXEC_RESULT;
    if (job->working && waits_for_work)
        return false;
    return take_frame(d, job, frame);
}

/* ---- processes ---- */

static void child_remove(struct driver *d, struct driver_child *c)
{
    struct driver_job *job = job_of(d, c);
    if (job)
        driver_detach(job);
    struct driver_child **at = &d->children;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    free(c->end_text);
    free(c);
}

static void tell_end(struct driver *d, struct driver_child *c)
{
    const struct exec_child_end *end = &c->end;
    struct driver_job *job = job_of(d, c);
    struct agent_event event = {
        .kind = AGENT_EV_CHILD_EXITED,
        .child = c->id,
        .outcome =
            {
                .outcome = end->out_of_memory ? OUTCOME_MEMORY : OUTCOME_CRASHED,
                .reason = c->end_text,
                .exit_signal = (uint32_t)end->exit_signal,
                .exit_code = end->exit_code,
                .memory_peak_bytes = end->usage.memory_peak_bytes,
                .cpu_ms = end->usage.cpu_ms,
                .numeric_class = "",
            },
    };
    if (job) {
        struct spool_totals totals;
        attempt_log_finish(&job->log);
        log_flush(d, job);
        totals = spool_totals(d->spool, &job->lease);
        event.outcome.items = totals.items;
        event.outcome.records = totals.records;
        event.outcome.wall_ms = (uint64_t)(clock_mono_ms() - job->run_at_ms);
    }
    const struct lease_key lease = c->lease;
    driver_post(d, &event);
    child_remove(d, c);
    driver_attempt_left(d, &lease);
}

static void on_end(void *ctx, struct exec_child *process, const struct exec_child_end *end)
{
    struct driver *d = ctx;
    struct driver_child *c = child_of(d, process);
    c->process = NULL;
    c->ended = true;
    c->end = *end;
    c->end_text = strdup(end->text);
    struct driver_job *job = job_of(d, c);
    if (job && !job->working)
        log_event(LOG_WARN, "child_failed", "child=%u text=\"%s\"", c->id, end->text);
    else
        log_event(LOG_DEBUG, "child_ended", "child=%u status=%d signal=%d", c->id, end->exit_code,
                  end->exit_signal);
    if (!job || !job->working)
        tell_end(d, c);
}

void driver_child_continue(struct driver *d, struct driver_child *c)
{
    if (c && c->ended)
        tell_end(d, c);
    else if (c)
        exec_child_resume(c->process);
}

static struct driver_child *child_start(struct driver *d, uint32_t id, struct err *err)
{
    char parent[32];
    snprintf(parent, sizeof parent, "%ld", (long)getpid());
    const char *arguments[] = {"triad-worker", "exec", "--parent", parent, NULL};
    struct exec_child_options options = {
        .loop = &d->loop,
        .program = d->options->program,
        .arguments = arguments,
        .folder = d->folder.path,
        .ctx = d,
        .on_frame = on_frame,
        .on_line = on_line,
        .on_end = on_end,
    };
    struct exec_child *process;
    if (exec_child_start(&options, &process, err))
        return NULL;
    struct driver_child *c = calloc(1, sizeof *c);
    ASSERT(c);
    c->id = id;
    c->process = process;
    c->next = d->children;
    d->children = c;
    return c;
}

static void send_job(struct driver *d, struct driver_child *c, struct driver_job *job)
{
    const struct msg_lease *lease = job->job;
    struct arena arena;
    arena_init(&arena, 0);
    struct exec_frame frame = {.kind = EXEC_JOB};
    struct exec_job *out = &frame.job;
    *out = (struct exec_job){.kind = lease->kind,
                             .spec = lease->spec,
                             .work_folder = job->folder,
                             .input_count = (uint32_t)lease->input_count,
                             .parent_count = (uint32_t)lease->parent_count,
                             .resume_folder = "",
                             .resume_step = lease->resume_step,
                             .threads = lease->threads,
                             .memory_bytes = lease->memory_bytes,
                             .ranks = lease->ranks};
    out->inputs = arena_array(&arena, lease->input_count + 1, sizeof *out->inputs);
    out->parents = arena_array(&arena, lease->parent_count + 1, sizeof *out->parents);
    for (size_t i = 0; i < lease->input_count; i++) {
        const char *name = lease->inputs[i].name;
        out->inputs[i].name = name;
        out->inputs[i].path = driver_input_is_tree(name)
                                  ? arena_printf(&arena, "%s/input-%s", job->folder, name)
                                  : blob_cache_path(d->cache, &lease->inputs[i].digest, &arena);
    }
    for (size_t i = 0; i < lease->parent_count; i++) {
        out->parents[i].name = lease->parents[i].name;
        out->parents[i].path =
            arena_printf(&arena, "%s/parent-%s", job->folder, lease->parents[i].name);
        if (strcmp(lease->parents[i].name, "model") == 0)
            out->model = lease->parents[i].digest;
    }
    if (!digest_is_none(&lease->resume))
        out->resume_folder = arena_printf(&arena, "%s/resume-state", job->folder);
    exec_child_send(c->process, &frame);
    arena_release(&arena);
}

void driver_run(struct driver *d, const struct agent_action *action)
{
    struct driver_job *job = driver_job_find(d, &action->lease);
    ASSERT(job);
    struct err err;
    struct driver_child *c =
        action->fresh ? child_start(d, action->child, &err) : child_find(d, action->child);
    if (!c || !c->process) {
        /* A warm child that died just now tells so by its end; a fresh one has no end to tell. */
        if (action->fresh)
            driver_post(d, &(struct agent_event){
                               .kind = AGENT_EV_CHILD_EXITED,
                               .child = action->child,
                               .outcome = {.outcome = OUTCOME_CRASHED, .reason = err.text}});
        return;
    }
    c->lease = job->lease;
    c->has_job = true;
    job->child = c;
    job->run_at_ms = clock_mono_ms();
    job->cpu_before_ms = action->fresh ? 0 : exec_child_usage(c->process).cpu_ms;
    send_job(d, c, job);
}

void driver_stop_child(struct driver *d, uint32_t id, bool hard)
{
    struct driver_child *c = child_find(d, id);
    if (c && c->process)
        exec_child_signal(c->process, hard ? SIGKILL : SIGTERM);
}

void driver_kill_children(struct driver *d)
{
    for (struct driver_child *c = d->children; c; c = c->next) {
        if (!c->process)
            continue;
        exec_child_signal(c->process, SIGKILL);
        exec_child_resume(c->process); /* nobody waits for a thread or the disk any more */
    }
}

/* A second in which our files moved by less than this tells nothing: logs do that, too. */
#define MOVED_BYTES ((uint64_t)1 << 20)

static bool is_waited_for(const struct driver *d)
{
    for (const struct driver_transfer *t = d->transfers; t; t = t->next) {
        if (!t->upload)
            return true;
    }
    return false;
}

/* A checkpoint of many gigabytes takes longer than an attempt may stand still: to come in, to be
 * copied from the store's folder, to be hashed and copied when its training has ended. Whoever
 * waits for that gets on as long as bytes move. */
static void tell_moving(struct driver *d)
{
    const struct blob_traffic traffic = blob_client_traffic(d->blobs);
    const uint64_t bytes = traffic.coordinator_bytes + traffic.peer_bytes + traffic.shared_bytes;
    const uint64_t io_bytes = process_info_own_io();
    const bool have_moved = io_bytes - d->io_bytes >= MOVED_BYTES;
    const bool have_come = bytes != d->fetched_bytes;
    d->io_bytes = io_bytes;
    d->fetched_bytes = bytes;
    if (have_come || (have_moved && is_waited_for(d)))
        driver_post(d, &(struct agent_event){.kind = AGENT_EV_FETCHING});
    for (struct driver_job *job = d->jobs, *next; job && have_moved; job = next) {
        next = job->next;
        if (job->working)
            driver_post(d, &(struct agent_event){.kind = AGENT_EV_STORING, .lease = job->lease});
    }
}

void driver_second(struct driver *d)
{
    tell_moving(d);
    for (struct driver_job *job = d->jobs, *next; job; job = next) {
        next = job->next;
        struct driver_child *c = job->child;
        if (c && c->process && job->blocked_since_ms)
            exec_child_resume(c->process);
    }
    for (struct driver_job *job = d->jobs; job; job = job->next) {
        if (job->child)
            log_flush(d, job);
    }
}
