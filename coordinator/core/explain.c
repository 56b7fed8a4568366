/* Why a job waits: one word, a sentence, and every worker's own word. Nothing changes here. */
#include <inttypes.h>
#include <string.h>

#include "arena.h"
#include "claim.h"
#include "dispatch.h"
#include "ready.h"

/* Jobs looked at to count those ahead; beyond, "at least so many" is as good. */
#define AHEAD_MAX 100000

static const struct {
    const char *word;
    const char *text;
} obstacles[] = {
    [OBSTACLE_NO_WORKERS] = {"NoWorkers", "no worker is connected: start one with 'triad worker "
                                          "start'"},
    [OBSTACLE_DRAINING] = {"Draining", "every worker that is left drains"},
    [OBSTACLE_QUARANTINED] = {"Quarantined", "the workers that could take it are on hosts in "
                                             "quarantine: see 'triad worker list', then 'triad "
                                             "worker release'"},
    [OBSTACLE_CLASS] = {"NumericClass", "its experiment began on workers that compute other bits; "
                                        "none of that kind is left"},
    [OBSTACLE_LABEL] = {"Label", "no worker has the labels that it asks for"},
    [OBSTACLE_RANKS] = {"Ranks",
                        "it wants more ranks than any worker can start: that takes a worker "
                        "in a Slurm allocation of as many tasks, or mpiexec and as many "
                        "threads"},
    [OBSTACLE_TOO_LARGE] = {"TooLarge", "it asks for more threads or memory than any worker has"},
    [OBSTACLE_TIME_LIMIT] = {"TimeLimit", "no worker has as much time left as it may take"},
    [OBSTACLE_RESOURCES] = {"Resources", "the workers that can take it are busy"},
    [OBSTACLE_NONE] = {"Resources", "it is about to be given out"},
};

/* The obstacle of the worker that is nearest to taking it. */
static enum obstacle nearest(const struct core *core, const struct job *job, int64_t now_ms)
{
    enum obstacle best = OBSTACLE_NO_WORKERS;
    for (size_t i = 0; i < core->worker_count; i++) {
        const enum obstacle o = dispatch_obstacle(job, core->workers[i], now_ms);
        best = o > best ? o : best;
    }
    return best;
}

/* A word for what is not about workers, or NULL. */
static const char *own_reason(const struct core *core, const struct job *job, const char **text_out)
{
    if (job->parents_missing > 0) {
        *text_out = "a job that it depends on has not ended";
        return "Parents";
    }
    if (claim_payer(core, job->claim) == NULL) {
        *text_out = job->claim->wanted_count == 1
                        ? "its experiment is paused: 'triad experiment resume'"
                        : "all experiments that want it are paused: 'triad experiment resume'";
        return "Paused";
    }
    if (job->timer.place > 0) {
        *text_out = "it failed and waits before it is tried again";
        return "Backoff";
    }
    return NULL;
}

/* Why a waiting job waits, in one word. */
static const char *dispatch_wait_reason(const struct core *core, const struct job *job,
                                        int64_t now_ms)
{
    const char *text = NULL;
    const char *word = own_reason(core, job, &text);
    return word != NULL ? word : obstacles[nearest(core, job, now_ms)].word;
}

const char *core_wait_reason(const struct core *core, const struct digest *identity, int64_t now_ms)
{
    const struct job *job = digest_map_get(&core->jobs, identity);
    return job == NULL || job->state != JOB_WAITING ? "" : dispatch_wait_reason(core, job, now_ms);
}

static const char *detail_of(const struct job *job, const struct worker *worker,
                             enum obstacle obstacle, int64_t now_ms, struct arena *arena)
{
    const double gib = 1024.0 * 1024.0 * 1024.0;
    switch (obstacle) {
    case OBSTACLE_NO_WORKERS:
        return "it is not connected or silent";
    case OBSTACLE_DRAINING:
        return worker->drain_reason != NULL && *worker->drain_reason
                   ? arena_strdup(arena, worker->drain_reason)
                   : "it finishes what it holds and leaves";
    case OBSTACLE_QUARANTINED:
        return arena_strdup(arena, worker->host->quarantine);
    case OBSTACLE_CLASS:
        return arena_printf(arena, "%s, the experiment's is %s", worker->numeric_class,
                            job->claim->queued_by->numeric_class);
    case OBSTACLE_LABEL:
        return arena_printf(arena, "it has '%s', the job wants '%s'", worker->labels,
                            job->terms->labels);
    case OBSTACLE_RANKS:
        return arena_printf(arena, "it can start %u, the job wants %u", worker->ranks,
                            job->terms->ranks);
    case OBSTACLE_TOO_LARGE:
        return arena_printf(
            arena, "it has %u threads and %.1f GiB, the job wants %u and %.1f GiB", worker->threads,
            (double)worker->memory_bytes / gib, dispatch_threads(job, worker),
            (double)job->memory_asked * dispatch_own_ranks(job->terms, worker) / gib);
    case OBSTACLE_TIME_LIMIT:
        return arena_printf(arena, "it leaves in %" PRId64 " s, the job may take %u s",
                            (worker->ends_ms - now_ms) / 1000, job->terms->time_limit_s);
    case OBSTACLE_RESOURCES: {
        const uint64_t memory = dispatch_free_memory(worker);
        return memory == UINT64_MAX
                   ? arena_printf(arena, "%u threads are free, the job wants %u",
                                  dispatch_free_threads(worker), dispatch_threads(job, worker))
                   : arena_printf(arena,
                                  "%u threads and %.1f GiB are free, the job wants %u and %.1f GiB",
                                  dispatch_free_threads(worker), (double)memory / gib,
                                  dispatch_threads(job, worker),
                                  (double)dispatch_memory_bytes(job, worker) / gib);
    }
    case OBSTACLE_NONE:
        break;
    }
    return "it can take the job";
}

/* The first parent that has not ended, by the identity under which it can be asked about. */
static const char *parents_text(const struct job *job, struct arena *arena)
{
    char hex[DIGEST_HEX_SIZE];
    uint32_t i = 0;
    while (job->parents[i].parent == NULL) {
        i++;
    }
    return arena_printf(arena, "its parent '%s' (%.12s) has not ended%s", job->parents[i].name,
                        digest_hex(&job->parents[i].identity, hex),
                        job->parents_missing > 1 ? ", nor have others" : "");
}

/* Startable jobs for the same experiment that go first. */
static uint64_t count_ahead(const struct core *core, const struct job *job)
{
    uint64_t ahead = 0;
    const struct experiment *payer = claim_payer(core, job->claim);
    for (size_t i = 0; i < core->shape_count; i++) {
        const struct shape *shape = core->shapes[i];
        if (claim_payer(core, shape->claim) != payer) {
            continue;
        }
        for (const struct job *at = ready_first(shape);
             at != NULL && ready_is_before(at, job) && ahead < AHEAD_MAX;
             at = ready_next(shape, at)) {
            ahead++;
        }
    }
    return ahead;
}

void core_explain(const struct core *core, const struct digest *identity, int64_t now_ms,
                  struct arena *arena, struct msg_explanation *out)
{
    const struct job *job = digest_map_get(&core->jobs, identity);
    *out = (struct msg_explanation){.request = out->request, .word = "", .text = ""};
    if (job == NULL || job->state != JOB_WAITING) {
        return;
    }
    out->word = own_reason(core, job, &out->text);
    if (out->word != NULL) {
        if (job->parents_missing > 0) {
            out->text = parents_text(job, arena);
        }
        out->backoff_ms = job->timer.place > 0 ? job->timer.at_ms - now_ms : 0;
        return;
    }
    const enum obstacle obstacle = nearest(core, job, now_ms);
    out->word = obstacles[obstacle].word;
    out->text = obstacles[obstacle].text;
    out->ahead = count_ahead(core, job);
    out->rows = arena_array(arena, LIST_ROWS_PER_FRAME, sizeof *out->rows);
    size_t bytes = 0;
    for (size_t i = 0; i < core->worker_count && out->row_count < LIST_ROWS_PER_FRAME; i++) {
        const struct worker *worker = core->workers[i];
        const enum obstacle o = dispatch_obstacle(job, worker, now_ms);
        const struct explain_row row = {.worker = arena_strdup(arena, worker->name),
                                        .node = arena_strdup(arena, worker->node),
                                        .word = o == OBSTACLE_NONE ? "Fits" : obstacles[o].word,
                                        .detail = detail_of(job, worker, o, now_ms, arena)};
        bytes += 64 + strlen(row.worker) + strlen(row.node) + strlen(row.detail);
        if (bytes > REPLY_BYTES_MAX) {
            return; /* enough to see the pattern */
        }
        out->rows[out->row_count++] = row;
    }
}
