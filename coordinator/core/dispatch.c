/* Rules, strongest first:
 *   1. A worker gets a job only if it lives, does not drain, is of the experiment's numeric class,
 *      and has the threads and the memory; the threads in use on a host never pass its cores.
 *   2. Higher priority first.
 *   3. A job whose model the worker holds warm, then one whose model no worker holds, then others;
 *      a job that has just failed on this worker comes last, so that another may try it.
 *   4. Order of submission.
 * Rule 3 looks at LOOKAHEAD jobs of each shape: a plan lists the tasks of one model together, so
 * that warm ones are near the front if there are any, and a decision stays cheap. */
#include "dispatch.h"

#include <string.h>

#include "check.h"
#include "lease.h"
#include "ready.h"
#include "session.h"

#define LOOKAHEAD 64

enum fit { FIT_FAILED_HERE, FIT_WARM_ELSEWHERE, FIT_COLD, FIT_WARM };

static bool same_class(const struct experiment *experiment, const struct worker *worker)
{
    return *experiment->numeric_class == '\0' ||
           strcmp(experiment->numeric_class, worker->numeric_class) == 0;
}

static uint32_t free_threads(const struct worker *worker)
{
    const struct host *host = worker->host;
    uint32_t own =
        worker->threads > worker->threads_busy ? worker->threads - worker->threads_busy : 0;
    uint32_t shared = host->cores > host->threads_busy ? host->cores - host->threads_busy : 0;
    return own < shared ? own : shared;
}

static uint64_t free_memory(const struct worker *worker)
{
    if (worker->memory_bytes == 0) {
        return UINT64_MAX; /* it did not say */
    }
    return worker->memory_bytes > worker->memory_busy ? worker->memory_bytes - worker->memory_busy
                                                      : 0;
}

static bool accepts_leases(const struct worker *worker)
{
    return worker->live && !worker->draining && !worker->drain_wanted &&
           worker->lease_count < LEASES_PER_WORKER_MAX;
}

static bool shape_fits(const struct shape *shape, const struct worker *worker)
{
    return shape->threads <= free_threads(worker) && shape->memory_bytes <= free_memory(worker) &&
           same_class(shape->experiment, worker);
}

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
    struct choice best = {.job = NULL};
    for (size_t i = 0; i < core->shape_count; i++) {
        if (shape_fits(core->shapes[i], worker)) {
            best = best_of_shape(core, core->shapes[i], worker, best);
        }
    }
    return best.job;
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
        for (size_t i = 0; i < core->worker_count && core->ready_count > 0; i++) {
            struct worker *worker = core->workers[i];
            if (!accepts_leases(worker) || free_threads(worker) == 0) {
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

const char *dispatch_wait_reason(const struct core *core, const struct job *job)
{
    if (job->parents_missing > 0) {
        return "Parents";
    }
    if (job->timer.place > 0) {
        return "Backoff";
    }
    size_t live = 0;
    size_t accepting = 0;
    size_t of_class = 0;
    for (size_t i = 0; i < core->worker_count; i++) {
        const struct worker *worker = core->workers[i];
        live += worker->live;
        if (worker->live && !worker->draining && !worker->drain_wanted) {
            accepting++;
            of_class += same_class(job->experiment, worker);
        }
    }
    if (live == 0) {
        return "NoWorkers";
    }
    if (accepting == 0) {
        return "Draining";
    }
    return of_class == 0 ? "NumericClass" : "Resources";
}
