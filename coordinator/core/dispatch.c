/* Rules, strongest first:
 *   1. A worker gets a job only if nothing stands in its way (enum obstacle): it lives, does not
 *      drain, its host is not in quarantine, it is of the experiment's numeric class, has the
 * labels, the threads, the memory and the time; the threads in use on a host never pass its cores.
 *   2. The experiment of the highest priority that is not paused; among equals the one with the
 *      fewest threads in use (max-min fairness), then the one that was served longest ago. A job
 *      that several want goes with the first of them.
 *   3. Within the experiment, the job of the highest priority.
 *   4. A job whose model the worker holds warm, then one whose model no worker holds, then others;
 *      a job that has just failed on this worker comes last, so that another may try it.
 *   5. Order of submission.
 * Rule 4 looks at LOOKAHEAD jobs of each shape: a plan lists the tasks of one model together, so
 * that warm ones are near the front if there are any, and a decision stays cheap. */
#include "dispatch.h"

#include <string.h>

#include "check.h"
#include "claim.h"
#include "labels.h"
#include "lease.h"
#include "ready.h"
#include "session.h"

#define LOOKAHEAD 64
/* A worker that must leave sooner gets nothing new: loading a model takes as long. */
#define TIME_LEFT_MIN_MS 30000

enum fit { FIT_FAILED_HERE, FIT_WARM_ELSEWHERE, FIT_COLD, FIT_WARM };

/* ---- may this worker take it? ---- */

static bool same_class(const struct experiment *experiment, const struct worker *worker)
{
    return *experiment->numeric_class == '\0' ||
           strcmp(experiment->numeric_class, worker->numeric_class) == 0;
}

uint32_t dispatch_free_threads(const struct worker *worker)
{
    const struct host *host = worker->host;
    uint32_t own = worker->threads > worker->threads_busy
                       ? worker->threads - (uint32_t)worker->threads_busy
                       : 0;
    uint32_t shared =
        host->cores > host->threads_busy ? host->cores - (uint32_t)host->threads_busy : 0;
    return own < shared ? own : shared;
}

uint64_t dispatch_free_memory(const struct worker *worker)
{
    if (worker->memory_bytes == 0) {
        return UINT64_MAX; /* it did not say */
    }
    return worker->memory_bytes > worker->memory_busy ? worker->memory_bytes - worker->memory_busy
                                                      : 0;
}

uint32_t dispatch_own_ranks(const struct terms *terms, const struct worker *worker)
{
    return worker->rank_threads > 0 ? 1 : terms->ranks;
}

uint32_t dispatch_threads(const struct job *job, const struct worker *worker)
{
    return job->threads * dispatch_own_ranks(job->terms, worker);
}

static uint64_t memory_needed(const struct terms *terms, uint64_t asked, uint64_t grown,
                              const struct worker *worker)
{
    const uint64_t all = worker->memory_bytes, ranks = dispatch_own_ranks(terms, worker);
    asked *= ranks;
    grown *= ranks;
    return all != 0 && grown > all && asked <= all ? all : grown;
}

uint64_t dispatch_memory_bytes(const struct job *job, const struct worker *worker)
{
    return memory_needed(job->terms, job->memory_asked, job->memory_bytes, worker);
}

/* What keeps the worker from anything at all. */
static enum obstacle worker_obstacle(const struct worker *worker)
{
    if (!worker->live) {
        return OBSTACLE_NO_WORKERS;
    }
    if (worker->draining || worker->drain_wanted) {
        return OBSTACLE_DRAINING;
    }
    return worker->host->quarantine != NULL ? OBSTACLE_QUARANTINED : OBSTACLE_NONE;
}

/* What a job asks for; the same for all jobs of a shape. */
struct request {
    const struct experiment *experiment;
    const struct terms *terms;
    uint32_t threads;
    uint64_t memory_asked, memory_bytes;
};

static bool is_too_small(const struct request *r, const struct worker *worker)
{
    const struct host *host = worker->host;
    const uint32_t most = worker->threads < host->cores ? worker->threads : host->cores;
    const uint32_t own = dispatch_own_ranks(r->terms, worker);
    return r->threads > most / own ||
           (r->terms->ranks > 1 && worker->rank_threads > 0 && r->threads > worker->rank_threads) ||
           (worker->memory_bytes != 0 && r->memory_asked > worker->memory_bytes / own);
}

static bool has_the_time(const struct terms *terms, const struct worker *worker, int64_t now_ms)
{
    const int64_t limit_ms = (int64_t)terms->time_limit_s * 1000;
    const int64_t need_ms = limit_ms > TIME_LEFT_MIN_MS ? limit_ms : TIME_LEFT_MIN_MS;
    return worker->ends_ms == 0 || worker->ends_ms - now_ms >= need_ms;
}

static enum obstacle request_obstacle(const struct request *r, const struct worker *worker,
                                      int64_t now_ms)
{
    if (!same_class(r->experiment, worker)) {
        return OBSTACLE_CLASS;
    }
    if (*r->terms->labels != '\0' && !labels_have(worker->labels, r->terms->labels)) {
        return OBSTACLE_LABEL;
    }
    if (r->terms->ranks > 1 && r->terms->ranks > worker->ranks) {
        return OBSTACLE_RANKS;
    }
    if (is_too_small(r, worker)) {
        return OBSTACLE_TOO_LARGE;
    }
    if (!has_the_time(r->terms, worker, now_ms)) {
        return OBSTACLE_TIME_LIMIT;
    }
    const bool fits =
        r->threads * dispatch_own_ranks(r->terms, worker) <= dispatch_free_threads(worker) &&
        (r->terms->ranks == 1 || worker->ranks_busy + r->terms->ranks <= worker->ranks) &&
        memory_needed(r->terms, r->memory_asked, r->memory_bytes, worker) <=
            dispatch_free_memory(worker);
    return fits && worker->lease_count < LEASES_PER_WORKER_MAX ? OBSTACLE_NONE : OBSTACLE_RESOURCES;
}

enum obstacle dispatch_obstacle(const struct job *job, const struct worker *worker, int64_t now_ms)
{
    const struct request r = {.experiment = job->claim->queued_by,
                              .terms = job->terms,
                              .threads = job->threads,
                              .memory_asked = job->memory_asked,
                              .memory_bytes = job->memory_bytes};
    const enum obstacle obstacle = worker_obstacle(worker);
    return obstacle != OBSTACLE_NONE ? obstacle : request_obstacle(&r, worker, now_ms);
}

static bool shape_fits(const struct core *core, const struct shape *shape,
                       const struct worker *worker)
{
    const struct request r = {.experiment = shape->claim->queued_by,
                              .terms = shape->terms,
                              .threads = shape->threads,
                              .memory_asked = shape->memory_asked,
                              .memory_bytes = shape->memory_bytes};
    const enum obstacle obstacle = request_obstacle(&r, worker, core->event->now_ms);
    return obstacle == OBSTACLE_NONE ||
           (obstacle == OBSTACLE_LABEL && core->fault == CORE_FAULT_IGNORE_LABELS &&
            shape->threads <= dispatch_free_threads(worker));
}

/* ---- which one? ---- */

static enum fit fit_of(const struct core *core, const struct job *job, const struct worker *worker)
{
    if (job->failure_digest != 0 && job->failure_worker == worker->name_digest) {
        return FIT_FAILED_HERE;
    }
    enum fit fit = FIT_COLD;
    for (uint32_t i = 0; i < job->parent_count; i++) {
        const struct digest *parent = &job->parents[i].identity;
        if (digest_equal(parent, &worker->spot)) {
            return FIT_WARM;
        }
        if (worker_spot_count(core, parent) > 0) {
            fit = FIT_WARM_ELSEWHERE;
        }
    }
    return fit;
}

struct choice {
    struct job *job;
    enum fit fit;
};

static bool is_better(struct choice a, struct choice b)
{
    if (b.job == NULL || a.job->priority != b.job->priority) {
        return b.job == NULL || a.job->priority > b.job->priority;
    }
    return a.fit != b.fit ? a.fit > b.fit : a.job->order < b.job->order;
}

static struct choice best_of_shape(const struct core *core, const struct shape *shape,
                                   const struct worker *worker, struct choice best)
{
    struct job *job = ready_first(shape);
    const int32_t priority = job->priority;
    /* Without a warm model here, the first cold job is already the best there can be. */
    const enum fit best_fit = digest_is_none(&worker->spot) ? FIT_COLD : FIT_WARM;
    for (int seen = 0; job != NULL && job->priority == priority && seen < LOOKAHEAD; seen++) {
        struct choice choice = {.job = job, .fit = fit_of(core, job, worker)};
        if (is_better(choice, best)) {
            best = choice;
        }
        if (choice.fit == best_fit) {
            break;
        }
        job = ready_next(shape, job);
    }
    return best;
}

static struct job *choose(const struct core *core, const struct worker *worker)
{
    const struct experiment *experiment = NULL;
    struct choice best = {.job = NULL};
    for (size_t i = 0; i < core->shape_count; i++) {
        const struct shape *shape = core->shapes[i];
        const struct experiment *payer = claim_payer(core, shape->claim);
        if (payer == NULL ||
            (experiment != NULL && experiment != payer && !claim_goes_first(payer, experiment))) {
            continue;
        }
        if (!shape_fits(core, shape, worker)) {
            continue;
        }
        if (experiment != payer) {
            experiment = payer;
            best.job = NULL;
        }
        best = best_of_shape(core, shape, worker, best);
    }
    return best.job;
}

/* The next worker with threads of its own to spare; most of thousands have none, and a walk past
 * all of them for each message would cost more than the rest of the step. */
static size_t next_roomy(const struct core *core, size_t from)
{
    for (size_t i = from; i < core->worker_count; i = (i / 64 + 1) * 64) {
        const uint64_t word = core->roomy[i / 64] >> i % 64;
        if (word != 0) {
            return i + (size_t)__builtin_ctzll(word);
        }
    }
    return core->worker_count;
}

/* Workers take turns, one job each, so that a first comer does not empty the queue. */
void dispatch_run(struct core *core)
{
    if (!core->dispatch_wanted) {
        return;
    }
    core->dispatch_wanted = false;
    bool progress = true;
    while (progress && core->ready_count > 0) {
        progress = false;
        for (size_t i = next_roomy(core, 0); i < core->worker_count && core->ready_count > 0;
             i = next_roomy(core, i + 1)) {
            struct worker *worker = core->workers[i];
            if (dispatch_free_threads(worker) == 0 || worker_obstacle(worker) != OBSTACLE_NONE) {
                continue;
            }
            struct job *job = choose(core, worker);
            if (job != NULL) {
                lease_grant(core, job, worker);
                progress = true;
            }
        }
    }
}
