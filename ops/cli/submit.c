#include "submit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blob_cache.h"
#include "bounds.h"
#include "job_table.h"

/* What one part may carry beside the manifest: with it, and a spec of SPEC_BYTES_MAX on top, a
 * frame stays below FRAME_BYTES_MAX. */
#define PART_JOB_BYTES  (32 * 1024)
#define PART_PLAN_BYTES (24 * 1024)
/* A part that a new connection of ours does not know of: begin again, this often. */
#define SUBMIT_TRIES 3
/* How long to wait before asking whether a plan has been taken in. */
#define ASK_AGAIN_US 20000
/* Attempts that failed by themselves; lost ones do not count (docs/protocol.md section 3). */
/* Models first: everything else waits for them. */
#define PRIORITY_MODEL 1

struct fate {
    struct digest job;
    enum job_state state;
};

/* ---- fates ---- */

static int compare_fates(const void *a, const void *b)
{
    const struct fate *x = a, *y = b;
    return memcmp(x->job.bytes, y->job.bytes, DIGEST_BYTES);
}

enum err_code fates_fetch(struct connection *c, struct arena *arena, struct fates *out,
                          struct err *err)
{
    struct job_table table;
    enum err_code rc = job_table_fetch(c, "", 0, arena, &table, err);
    if (rc != ERR_OK)
        return rc;
    out->count = table.count;
    out->list = arena_array(arena, table.count, sizeof *out->list);
    for (size_t i = 0; i < table.count; i++)
        out->list[i] = (struct fate){table.rows[i]->job, table.rows[i]->state};
    if (table.count)
        qsort(out->list, table.count, sizeof *out->list, compare_fates);
    return ERR_OK;
}

static const struct fate *find_fate(const struct fates *fates, const struct plan_job *job)
{
    const struct fate key = {.job = job->identity};
    return fates->count ? bsearch(&key, fates->list, fates->count, sizeof key, compare_fates)
                        : NULL;
}

const char *fates_word(void *ctx, const struct plan_job *job)
{
    static const char *const words[JOB_STATE_COUNT] = {
        [JOB_WAITING] = "waiting", [JOB_LEASED] = "running",      [JOB_RUNNING] = "running",
        [JOB_DONE] = "reuse",      [JOB_FAILED] = "retry",        [JOB_CANCELLED] = "retry",
        [JOB_ABORTED] = "retry",   [JOB_QUARANTINED] = "blocked",
    };
    const struct fate *fate = find_fate(ctx, job);
    return fate ? words[fate->state] : "new";
}

bool fates_are_new(const struct fates *fates, const struct plan_job *job)
{
    return find_fate(fates, job) == NULL;
}

const char *fates_why(void *ctx, const struct plan_job *job)
{
    const struct fates *fates = ctx;
    return fates->plan ? fates->why[job - fates->plan->jobs] : NULL;
}

struct fate_counts fates_count(const struct fates *fates, const struct plan *plan)
{
    struct fate_counts counts = {0};
    for (size_t i = 0; i < plan->job_count; i++) {
        const struct fate *fate = find_fate(fates, &plan->jobs[i]);
        if (!fate)
            counts.fresh++;
        else if (fate->state == JOB_DONE)
            counts.done++;
        else if (!job_state_is_final(fate->state))
            counts.open++;
        else if (fate->state == JOB_QUARANTINED)
            counts.quarantined++;
        else
            counts.again++;
    }
    return counts;
}

/* ---- inputs ---- */

/* A blob that exists only in memory travels by way of the cache, and leaves it again. */
static enum err_code put_bytes(struct connection *c, const char *cache,
                               const struct plan_blob *blob, struct arena *arena, struct err *err)
{
    struct digest digest;
    enum err_code rc = blob_cache_add_bytes(cache, blob->data, (size_t)blob->bytes, &digest, err);
    if (rc == ERR_OK && !digest_equal(&digest, &blob->digest))
        rc = err_set(err, ERR_CORRUPT, "the bytes do not have the digest that was planned");
    if (rc != ERR_OK)
        return rc;
    const char *path = blob_cache_path(cache, &digest, arena);
    rc = client_put_file(c->client, &digest, path, err);
    unlink(path);
    return rc;
}

static enum err_code put_blobs(struct connection *c, const char *cache, const struct plan *plan,
                               struct arena *arena, struct err *err)
{
    for (size_t i = 0; i < plan->blob_count; i++) {
        const struct plan_blob *blob = &plan->blobs[i];
        enum err_code rc = blob->data ? put_bytes(c, cache, blob, arena, err)
                                      : client_put_file(c->client, &blob->digest, blob->path, err);
        if (rc != ERR_OK)
            return err_wrap(err, "send %s", blob->what);
    }
    return ERR_OK;
}

enum err_code submit_inputs(struct cli *cli, struct connection *c, const struct plan *plan,
                            struct err *err)
{
    int lock_fd = -1;
    const char *cache = arena_printf(&cli->arena, "%s/cache", cli_state_dir(cli));
    enum err_code rc = connection_lock_cache(cli, &lock_fd, err);
    if (rc != ERR_OK)
        return rc;
    rc = put_blobs(c, cache, plan, &cli->arena, err);
    close(lock_fd);
    return rc;
}

/* ---- jobs ---- */

static struct retry_policy retry_to_submit(const struct manifest_retry *retry)
{
    struct retry_policy policy = {
        .backoff_ms = (uint32_t)(retry->backoff_seconds * 1000),
        .backoff_ms_max = (uint32_t)(retry->backoff_max_seconds * 1000),
        .memory_growth_percent = (uint32_t)(retry->memory_growth * 100 + 0.5),
    };
    for (int c = 0; c < FAILURE_CLASS_COUNT; c++)
        policy.again[c] = (uint32_t)retry->again[c];
    return policy;
}

/* An import reads a file and needs nothing special. */
static const struct manifest_resources *resources_of(const struct manifest *m, enum job_kind kind)
{
    static const struct manifest_resources none = {.label_set = ""};
    return kind == JOB_IMPORT     ? &none
           : kind == JOB_EVALUATE ? &m->evaluate_resources
                                  : &m->train_resources;
}

static struct submit_job job_to_submit(const struct manifest *manifest, const struct plan_job *job)
{
    const struct manifest_resources *resources = resources_of(manifest, job->kind);
    return (struct submit_job){
        .identity = job->identity,
        .kind = job->kind,
        .label = job->label,
        .family = job->family,
        .variant = job->variant,
        .task = job->task,
        .seed = job->seed,
        .spec = {(const uint8_t *)job->spec.data, job->spec.len},
        .inputs = job->inputs,
        .input_count = job->input_count,
        .parents = job->parents,
        .parent_count = job->parent_count,
        .threads = job->threads,
        .memory_bytes = (uint64_t)job->memory_bytes,
        .items_expected = (uint64_t)job->items,
        .priority = job->kind == JOB_EVALUATE ? 0 : PRIORITY_MODEL,
        .attempts_max = (uint32_t)manifest->retry.attempts,
        .retry = retry_to_submit(&manifest->retry),
        .labels = resources->label_set,
        .time_limit_s = (uint32_t)(resources->time_limit_minutes * 60 + 0.5),
        .ranks = job->ranks > 1 ? job->ranks : 0,
        .work = (uint64_t)(job->flops / 1e6),
    };
}

struct place {
    struct digest job;
    size_t index;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return memcmp(x->job.bytes, y->job.bytes, DIGEST_BYTES);
}

/* Put a job's parents in the plan, then the job itself, at the end of `order`, unless they are
 * there already. As deep as the plan's generations, which are few: a plan of ours has no circles.
 */
static void put_in_order(const struct plan *plan, const struct place *places, size_t job,
                         bool *is_there, size_t *order, size_t *count)
{
    if (is_there[job])
        return;
    is_there[job] = true;
    for (size_t p = 0; p < plan->jobs[job].parent_count; p++) {
        const struct place key = {.job = plan->jobs[job].parents[p].digest};
        const struct place *parent =
            bsearch(&key, places, plan->job_count, sizeof key, compare_places);
        if (parent)
            put_in_order(plan, places, parent->index, is_there, order, count);
    }
    order[(*count)++] = job;
}

/* Jobs as they are sent: in the plan's order, but for parents, which come before their children. */
static size_t *order_of_jobs(const struct plan *plan, struct arena *arena)
{
    struct place *places = arena_array(arena, plan->job_count, sizeof *places);
    bool *is_there = arena_array(arena, plan->job_count, sizeof *is_there);
    size_t *order = arena_array(arena, plan->job_count, sizeof *order);
    size_t count = 0;
    for (size_t i = 0; i < plan->job_count; i++)
        places[i] = (struct place){plan->jobs[i].identity, i};
    if (plan->job_count)
        qsort(places, plan->job_count, sizeof *places, compare_places);
    for (size_t i = 0; i < plan->job_count; i++)
        put_in_order(plan, places, i, is_there, order, &count);
    return order;
}

/* Upper bound of a job's bytes in a frame. */
static size_t job_bytes(const struct submit_job *job)
{
    size_t bytes = 320 + (job->labels ? strlen(job->labels) : 0) + job->spec.len +
                   strlen(job->label) + strlen(job->family) + strlen(job->variant) +
                   strlen(job->task);
    for (size_t i = 0; i < job->input_count; i++)
        bytes += 64 + strlen(job->inputs[i].name);
    for (size_t i = 0; i < job->parent_count; i++)
        bytes += 64 + strlen(job->parents[i].name);
    return bytes;
}

/* How many jobs from `first` on go into one part: at least one, if there is one. */
static size_t jobs_in_part(const struct submit_job *jobs, size_t first, size_t job_count)
{
    size_t count = 0, bytes = 0;
    while (first + count < job_count && count < SUBMIT_JOBS_PER_FRAME) {
        bytes += job_bytes(&jobs[first + count]);
        if (count > 0 && bytes > PART_JOB_BYTES)
            break;
        count++;
    }
    return count;
}

void submit_begin(struct submit_parts *parts)
{
    size_t count = 0;
    for (size_t first = 0; first < parts->job_count; count++)
        first += jobs_in_part(parts->jobs, first, parts->job_count);
    const size_t slices = (parts->plan_json.len + PART_PLAN_BYTES - 1) / PART_PLAN_BYTES;
    count = count > slices ? count : slices;
    parts->part_count = count ? (uint32_t)count : 1;
    parts->part_index = 0;
    parts->next_job = parts->plan_offset = 0;
}

bool submit_next(struct submit_parts *parts, struct msg *request_out)
{
    if (parts->part_index == parts->part_count)
        return false;
    const size_t left = parts->plan_json.len - parts->plan_offset;
    const size_t slice = left < PART_PLAN_BYTES ? left : PART_PLAN_BYTES;
    const size_t job_count = jobs_in_part(parts->jobs, parts->next_job, parts->job_count);
    *request_out =
        (struct msg){.kind = MSG_SUBMIT,
                     .submit = {.experiment = parts->experiment,
                                .part_index = parts->part_index,
                                .part_count = parts->part_count,
                                .plan_json = {parts->plan_json.data + parts->plan_offset, slice},
                                .job_count = job_count,
                                .dry_run = parts->dry_run}};
    if (job_count) /* requests are only read, but vocab.h serves both directions */
        request_out->submit.jobs = (struct submit_job *)(uintptr_t)&parts->jobs[parts->next_job];
    if (parts->part_index == 0)
        request_out->submit.manifest = parts->manifest;
    parts->next_job += job_count;
    parts->plan_offset += slice;
    parts->part_index++;
    return true;
}

/* A plan of several parts is taken in by and by: the last part is sent again until that is over. */
static enum err_code send_last(struct connection *c, const struct msg *request, struct arena *arena,
                               struct msg_submitted *out, struct err *err)
{
    for (;;) {
        struct msg reply;
        enum err_code rc = connection_ask(c, request, arena, &reply, err);
        if (rc == ERR_OK && reply.kind == MSG_SUBMITTED)
            *out = reply.submitted;
        else if (rc == ERR_OK && reply.kind != MSG_OK)
            rc = err_set(err, ERR_CORRUPT, "the coordinator answered submit with %s",
                         msg_kind_name(reply.kind));
        if (rc != ERR_OK || reply.kind != MSG_OK)
            return rc;
        usleep(ASK_AGAIN_US);
    }
}

static enum err_code send_parts(struct connection *c, struct submit_parts *parts,
                                struct arena *arena, struct msg_submitted *out, struct err *err)
{
    struct msg request, reply;
    enum err_code rc = ERR_OK;
    submit_begin(parts);
    while (rc == ERR_OK && submit_next(parts, &request)) {
        const bool is_last = parts->part_index == parts->part_count;
        rc = is_last ? send_last(c, &request, arena, out, err)
                     : connection_call(c, &request, MSG_OK, arena, &reply, err);
    }
    return rc;
}

enum err_code submit_jobs(struct connection *c, const struct planned *planned, bool dry_run,
                          struct arena *arena, struct msg_submitted *out, struct err *err)
{
    const struct plan *plan = &planned->plan;
    struct strbuf text = {0};
    struct submit_job *jobs = arena_array(arena, plan->job_count, sizeof *jobs);
    const size_t *order = order_of_jobs(plan, arena);
    for (size_t i = 0; i < plan->job_count; i++)
        jobs[i] = job_to_submit(plan->manifest, &plan->jobs[order[i]]);
    plan_json(plan, NULL, NULL, NULL, &text);
    struct submit_parts parts = {
        .experiment = plan->experiment,
        .manifest = {(const uint8_t *)planned->manifest_text, planned->manifest_len},
        .plan_json = {(const uint8_t *)strbuf_text(&text), text.len},
        .jobs = jobs,
        .job_count = plan->job_count,
        .dry_run = dry_run};
    enum err_code rc = ERR_CONFLICT;
    for (int i = 0; i < SUBMIT_TRIES && rc == ERR_CONFLICT; i++)
        rc = send_parts(c, &parts, arena, out, err);
    strbuf_release(&text);
    return rc == ERR_OK ? rc : err_wrap(err, "submit '%s'", plan->experiment);
}

void submit_summary(const struct msg_submitted *s, struct strbuf *out)
{
    const uint64_t total = s->jobs_new + s->jobs_reused + s->jobs_requeued + s->jobs_running;
    strbuf_printf(out, "%" PRIu64 " jobs: %" PRIu64 " new, %" PRIu64 " done already", total,
                  s->jobs_new, s->jobs_reused);
    if (s->jobs_requeued)
        strbuf_printf(out, ", %" PRIu64 " again", s->jobs_requeued);
    if (s->jobs_running)
        strbuf_printf(out, ", %" PRIu64 " waiting or running", s->jobs_running);
}
