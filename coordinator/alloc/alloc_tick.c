#include "alloc_state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "labels.h"

static bool fits(const struct alloc_queue_options *o, const struct alloc_demand *d)
{
    return labels_have(o->labels, d->labels != NULL ? d->labels : "") && d->threads <= o->cores &&
           (d->ranks > 1) == (o->ranks > 1) && d->ranks <= (o->ranks > 1 ? o->ranks : 1) &&
           (o->memory_bytes == 0 || d->memory_bytes <= o->memory_bytes) &&
           d->time_ms <= o->time_ms - ALLOC_TIME_MARGIN_MS;
}

struct in_flight {
    uint32_t open, pending, coming; /* coming: without a worker yet */
};

static struct in_flight count_open(const struct alloc_queue *queue)
{
    struct in_flight n = {0};
    for (size_t i = 0; i < queue->job_count; i++) {
        const struct alloc_job *job = &queue->jobs[i];
        if (alloc_job_is_open(job)) {
            n.open++;
            n.pending += job->state == ALLOC_SUBMITTING || job->state == ALLOC_PENDING;
            n.coming += !job->registered && !job->cancel_wanted;
        }
    }
    return n;
}

static void give_up_silent(struct alloc_step_state *s, struct alloc_queue *queue)
{
    for (size_t i = 0; i < queue->job_count; i++) {
        struct alloc_job *job = &queue->jobs[i];
        if (job->state == ALLOC_RUNNING && !job->registered && !job->cancel_wanted &&
            s->event->time_ms - job->started_ms >= ALLOC_REGISTER_MS) {
            alloc_job_cancel(s, job);
            /* Judged here: once cancelled, its end would say no more than that. */
            alloc_job_end(s, queue, job, ALLOC_END_NEVER_REGISTERED,
                          "it runs for ten minutes and no worker has come");
        }
    }
}

static void submit(struct alloc_step_state *s, struct alloc_queue *queue, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct alloc_job job = {.number = ++s->alloc->number_last,
                                .state = ALLOC_SUBMITTING,
                                .submitted_ms = s->event->time_ms};
        alloc_job_add(queue, &job);
        struct alloc_action *action = alloc_act(s, ALLOC_DO_SUBMIT);
        action->queue = queue;
        action->number = job.number;
    }
    s->out->changed = true;
}

/* Cancel pending allocations beyond `needed`, the newest first. */
static uint32_t cancel_surplus(struct alloc_step_state *s, struct alloc_queue *queue,
                               uint32_t surplus)
{
    uint32_t count = 0;
    for (size_t i = queue->job_count; i-- > 0 && count < surplus;) {
        struct alloc_job *job = &queue->jobs[i];
        if (job->state == ALLOC_PENDING && !job->cancel_wanted) {
            alloc_job_cancel(s, job);
            count++;
        }
    }
    return count;
}

/* What of the demand a queue takes upon itself. */
struct claim {
    double allocations; /* that it could fill */
    double jobs;
    bool is_short; /* more would fit it than it may have */
};

/* Idle threads serve first, then this queue with at most `budget` allocations; what it takes is
 * gone from `left`, so that the next queue only sees the rest. */
static struct claim claim_demand(const struct alloc_queue *queue, struct alloc_demand *left,
                                 size_t count, double *idle_threads, double budget)
{
    struct claim claim = {0};
    for (size_t i = 0; i < count; i++) {
        struct alloc_demand *d = &left[i];
        if (d->jobs == 0 || !fits(&queue->options, d)) {
            continue;
        }
        const double threads = d->threads > 0 ? d->threads : 1;
        /* An allocation holds one job of several ranks; an idle worker that could start it would
         * have got it. */
        const bool is_shared = d->ranks > 1;
        const double at_once = is_shared ? 1 : floor(queue->options.cores / threads);
        const double idle = is_shared ? 0 : fmin(floor(*idle_threads / threads), (double)d->jobs);
        *idle_threads -= idle * threads;
        const double need = ((double)d->jobs - idle) / at_once;
        const double taken = fmin(need, budget - claim.allocations);
        const double jobs = fmin(idle + ceil(taken * at_once), (double)d->jobs);
        claim.is_short |= taken < need;
        claim.allocations += taken;
        claim.jobs += jobs;
        d->jobs -= (uint64_t)jobs;
    }
    return claim;
}

static void shrink(struct alloc_step_state *s, struct alloc_queue *queue, uint32_t surplus)
{
    char text[ALLOC_TEXT_BYTES];
    if (queue->surplus_since_ms == 0) {
        queue->surplus_since_ms = s->event->time_ms;
    }
    if (s->event->time_ms - queue->surplus_since_ms < ALLOC_SURPLUS_MS) {
        return;
    }
    uint32_t count = cancel_surplus(s, queue, surplus);
    if (count > 0) {
        snprintf(text, sizeof text, "cancelled %u pending: no runnable job needs them", count);
        alloc_decide(s, queue, true, text);
    }
}

static void grow(struct alloc_step_state *s, struct alloc_queue *queue, uint32_t more,
                 const struct in_flight *n, const struct claim *claim)
{
    char text[ALLOC_TEXT_BYTES];
    const struct alloc_queue_options *o = &queue->options;
    const uint32_t slots = o->backlog > n->pending ? o->backlog - n->pending : 0;
    const uint32_t count = more < slots ? more : slots;
    if (count == 0) {
        snprintf(text, sizeof text, "%u more would be filled, but %u are pending already", more,
                 n->pending);
        alloc_decide(s, queue, false, text);
        return;
    }
    submit(s, queue, count);
    snprintf(
        text, sizeof text,
        "asked for %u more: %.0f runnable jobs, %u allocations on their way, at most %u at once "
        "and %u pending",
        count, claim->jobs, n->coming, o->workers_max, o->backlog);
    alloc_decide(s, queue, true, text);
}

static void decide_queue(struct alloc_step_state *s, struct alloc_queue *queue,
                         struct alloc_demand *left, double *idle_threads)
{
    const struct in_flight n = count_open(queue);
    /* Who may not ask now claims nothing more: another queue may serve it. */
    const bool is_waiting = s->event->time_ms < queue->not_before_ms;
    const uint32_t room = queue->options.workers_max > n.open && !queue->paused && !is_waiting
                              ? queue->options.workers_max - n.open
                              : 0;
    const struct claim claim =
        claim_demand(queue, left, s->event->demand_count, idle_threads, (double)n.coming + room);
    const double balance = claim.allocations - n.coming;
    if (balance > -1) {
        queue->surplus_since_ms = 0;
    }
    if (queue->paused) {
        return; /* the reason of the pause stands */
    }
    if (balance <= -1 && n.pending > 0) {
        shrink(s, queue, (uint32_t)-balance);
    } else if (is_waiting) {
        return; /* the reason of the back-off stands */
    } else if (balance > 0) {
        grow(s, queue, (uint32_t)ceil(balance), &n, &claim);
    } else if (claim.is_short) {
        alloc_decide(s, queue, false, "more could be filled, but as many as allowed exist already");
    } else {
        alloc_decide(s, queue, false,
                     claim.jobs > 0
                         ? "what can run is served by the workers there are or on their way"
                         : "no runnable job fits this queue");
    }
}

/* A batch system that does not answer is not asked again meanwhile, or the questions wait for it in
 * a row. An answer that never came (the state could not be written) is waited for for so long. */
#define LISTING_LOST_MS 180000

static void ask_for_listing(struct alloc_step_state *s)
{
    struct strbuf names = {0};
    char name[96];
    const int64_t pause_ms = s->alloc->is_listing ? LISTING_LOST_MS : ALLOC_LIST_MS;
    if (s->event->time_ms - s->alloc->listed_ms < pause_ms &&
        s->event->time_ms >= s->alloc->listed_ms) {
        return;
    }
    for (size_t i = 0; i < s->alloc->queue_count; i++) {
        for (size_t k = 0; k < s->alloc->queues[i]->job_count; k++) {
            const struct alloc_job *job = &s->alloc->queues[i]->jobs[k];
            if (alloc_job_is_listed(job)) {
                alloc_job_name(s->alloc, s->alloc->queues[i], job->number, name);
                strbuf_printf(&names, "%s%s", names.len > 0 ? "," : "", name);
            }
        }
    }
    if (names.len > 0) {
        s->alloc->listed_ms = s->event->time_ms;
        s->alloc->is_listing = true;
        alloc_act(s, ALLOC_DO_LIST)->text = arena_strdup(s->arena, strbuf_text(&names));
    }
    strbuf_release(&names);
}

void alloc_tick(struct alloc_step_state *s)
{
    double idle_threads = (double)s->event->idle_threads;
    struct alloc_demand *left = arena_array(s->arena, s->event->demand_count + 1, sizeof *left);
    if (s->event->demand_count > 0) {
        memcpy(left, s->event->demand, s->event->demand_count * sizeof *left);
    }
    for (size_t i = 0; i < s->alloc->queue_count; i++) {
        give_up_silent(s, s->alloc->queues[i]);
        decide_queue(s, s->alloc->queues[i], left, &idle_threads);
    }
    ask_for_listing(s);
}
