#include "alloc_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { SAYS_PENDING, SAYS_RUNNING, SAYS_ENDED };

/* Slurm's states (squeue(1), JOB STATE CODES). */
static const struct batch_state {
    const char *name;
    int means;
    enum alloc_end end;
} batch_states[] = {
    {"PENDING", SAYS_PENDING, ALLOC_END_NONE},
    {"CONFIGURING", SAYS_PENDING, ALLOC_END_NONE},
    {"REQUEUED", SAYS_PENDING, ALLOC_END_NONE},
    {"REQUEUE_HOLD", SAYS_PENDING, ALLOC_END_NONE},
    {"SPECIAL_EXIT", SAYS_PENDING, ALLOC_END_NONE},
    {"RESV_DEL_HOLD", SAYS_PENDING, ALLOC_END_NONE},
    {"REQUEUE_FED", SAYS_PENDING, ALLOC_END_NONE},
    {"RUNNING", SAYS_RUNNING, ALLOC_END_NONE},
    {"COMPLETING", SAYS_RUNNING, ALLOC_END_NONE},
    {"RESIZING", SAYS_RUNNING, ALLOC_END_NONE},
    {"SIGNALING", SAYS_RUNNING, ALLOC_END_NONE},
    {"STAGE_OUT", SAYS_RUNNING, ALLOC_END_NONE},
    {"STOPPED", SAYS_RUNNING, ALLOC_END_NONE},
    {"SUSPENDED", SAYS_RUNNING, ALLOC_END_NONE},
    {"COMPLETED", SAYS_ENDED, ALLOC_END_DONE},
    {"TIMEOUT", SAYS_ENDED, ALLOC_END_WALLTIME},
    {"DEADLINE", SAYS_ENDED, ALLOC_END_WALLTIME},
    {"PREEMPTED", SAYS_ENDED, ALLOC_END_PREEMPTED},
    {"NODE_FAIL", SAYS_ENDED, ALLOC_END_NODE_FAIL},
    {"BOOT_FAIL", SAYS_ENDED, ALLOC_END_NODE_FAIL},
    {"REVOKED", SAYS_ENDED, ALLOC_END_CANCELLED_OUTSIDE},
    {"CANCELLED", SAYS_ENDED, ALLOC_END_CANCELLED_OUTSIDE},
    {"FAILED", SAYS_ENDED, ALLOC_END_FAILED},
    {"OUT_OF_MEMORY", SAYS_ENDED, ALLOC_END_FAILED},
};

static const struct batch_state *batch_state_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(batch_states); i++) {
        if (strcmp(batch_states[i].name, name) == 0) {
            return &batch_states[i];
        }
    }
    return NULL;
}

static enum alloc_end end_of(const struct alloc_job *job, enum alloc_end said)
{
    if (job->cancel_wanted && said != ALLOC_END_DONE) {
        return ALLOC_END_CANCELLED;
    }
    /* An end that would be ordinary is none if nothing was ever seen of the worker. */
    if (!job->registered && (said == ALLOC_END_DONE || said == ALLOC_END_FAILED)) {
        return ALLOC_END_NEVER_REGISTERED;
    }
    return said;
}

static void take_listed(struct alloc_step_state *s, struct alloc_queue *queue,
                        struct alloc_job *job, const struct alloc_listed *listed)
{
    const struct batch_state *state = batch_state_find(listed->state);
    job->missed = 0;
    if (job->state == ALLOC_SUBMITTING) {
        /* The answer to the submission was lost with a former life; here it is. */
        job->state = ALLOC_PENDING;
        s->out->changed = true;
    }
    if (!*job->batch_id) {
        snprintf(job->batch_id, sizeof job->batch_id, "%s", listed->batch_id);
        s->out->changed = true;
    }
    if (state == NULL) {
        alloc_text(job->text, "state %s is not known to Triad", listed->state);
    } else if (state->means == SAYS_ENDED) {
        alloc_job_end(s, queue, job, end_of(job, state->end), listed->text);
    } else if (state->means == SAYS_RUNNING && job->state != ALLOC_RUNNING) {
        job->state = ALLOC_RUNNING;
        job->started_ms = s->event->time_ms;
        alloc_text(job->text, "%s", "");
        s->out->changed = true;
    } else if (state->means == SAYS_PENDING) {
        s->out->changed |= job->state != ALLOC_PENDING;
        job->state = ALLOC_PENDING;
        alloc_text(job->text, "%s", listed->text);
    }
    if (alloc_job_is_open(job) && job->cancel_wanted) {
        alloc_job_cancel(s, job); /* the first one got lost */
    }
}

/* Gone from the batch system's memory: it ended a while ago, how is not known. */
static void submission_failed(struct alloc_step_state *s, struct alloc_queue *queue,
                              struct alloc_job *job, const char *why)
{
    static const int minutes[] = {0, 1, 15, 30, 60}; /* as HyperQueue does */
    char text[2 * ALLOC_TEXT_BYTES];
    alloc_job_end(s, queue, job, ALLOC_END_SUBMIT_ERROR, why);
    size_t rung = queue->submit_errors++;
    rung = rung < ARRAY_COUNT(minutes) ? rung : ARRAY_COUNT(minutes) - 1;
    queue->not_before_ms = s->event->time_ms + (int64_t)minutes[rung] * 60000;
    if (queue->submit_errors >= ALLOC_SUBMIT_ERRORS) {
        snprintf(text, sizeof text, "paused: the last %u submissions were refused: %s",
                 queue->submit_errors, why);
        alloc_pause(s, queue, text);
    } else {
        snprintf(text, sizeof text, "submission refused (%u in a row), next try in %d min: %s",
                 queue->submit_errors, minutes[rung], why);
        alloc_decide(s, queue, true, text);
    }
}

static void take_missing(struct alloc_step_state *s, struct alloc_queue *queue,
                         struct alloc_job *job)
{
    if (++job->missed < ALLOC_MISSED_MAX) {
        return;
    }
    if (job->state == ALLOC_SUBMITTING) {
        submission_failed(s, queue, job, "it never reached the batch system");
    } else {
        alloc_job_end(s, queue, job, end_of(job, ALLOC_END_DONE),
                      "gone from the batch system's list");
    }
}

/* It was judged and cancelled, and has to be gone, too. */
static void take_given_up(struct alloc_step_state *s, struct alloc_job *job,
                          const struct alloc_listed *listed)
{
    const struct batch_state *state = listed != NULL ? batch_state_find(listed->state) : NULL;
    s->out->changed = true;
    if (listed == NULL) {
        job->missed++;
    } else if (state != NULL && state->means == SAYS_ENDED) {
        job->missed = ALLOC_MISSED_MAX;
    } else {
        job->missed = 0;
        alloc_job_cancel(s, job); /* the first one got lost */
    }
}

void alloc_take_listing(struct alloc_step_state *s)
{
    char name[96];
    s->alloc->is_listing = false;
    for (size_t i = 0; i < s->alloc->queue_count; i++) {
        struct alloc_queue *queue = s->alloc->queues[i];
        for (size_t k = 0; k < queue->job_count; k++) {
            struct alloc_job *job = &queue->jobs[k];
            const struct alloc_listed *found = NULL;
            if (!alloc_job_is_listed(job)) {
                continue;
            }
            alloc_job_name(s->alloc, queue, job->number, name);
            for (size_t n = 0; n < s->event->listed_count && found == NULL; n++) {
                const struct alloc_listed *row = &s->event->listed[n];
                found = strcmp(row->name, name) == 0 ? row : NULL;
            }
            if (!alloc_job_is_open(job)) {
                take_given_up(s, job, found);
            } else if (found != NULL) {
                take_listed(s, queue, job, found);
            } else {
                take_missing(s, queue, job);
            }
        }
    }
    alloc_forget_old(s->alloc);
}

static struct alloc_job *job_by_number(const struct alloc_step_state *s,
                                       struct alloc_queue **queue_out)
{
    for (size_t i = 0; i < s->alloc->queue_count; i++) {
        struct alloc_queue *queue = s->alloc->queues[i];
        for (size_t k = 0; k < queue->job_count; k++) {
            if (queue->jobs[k].number == s->event->number && alloc_job_is_open(&queue->jobs[k])) {
                *queue_out = queue;
                return &queue->jobs[k];
            }
        }
    }
    return NULL;
}

void alloc_take_submitted(struct alloc_step_state *s)
{
    struct alloc_queue *queue = NULL;
    struct alloc_job *job = job_by_number(s, &queue);
    if (job == NULL) { /* its queue was removed meanwhile: nobody would count or cancel it */
        alloc_act(s, ALLOC_DO_CANCEL)->text = arena_strdup(s->arena, s->event->text);
        return;
    }
    if (job->state != ALLOC_SUBMITTING) {
        return; /* a listing was faster */
    }
    job->state = ALLOC_PENDING;
    job->missed = 0;
    snprintf(job->batch_id, sizeof job->batch_id, "%s", s->event->text);
    queue->submit_errors = 0;
    s->out->changed = true;
    if (job->cancel_wanted) {
        alloc_job_cancel(s, job);
    }
}

void alloc_take_submit_failed(struct alloc_step_state *s)
{
    struct alloc_queue *queue = NULL;
    struct alloc_job *job = job_by_number(s, &queue);
    if (job != NULL) {
        submission_failed(s, queue, job, s->event->text);
    }
}

/* It stays open, so that no second one is asked for until the listing has or has not got it. */
void alloc_take_submit_unsure(struct alloc_step_state *s)
{
    char text[2 * ALLOC_TEXT_BYTES];
    struct alloc_queue *queue = NULL;
    const struct alloc_job *job = job_by_number(s, &queue);
    if (job != NULL && job->state == ALLOC_SUBMITTING) {
        snprintf(text, sizeof text, "looking whether a submission was taken: %s", s->event->text);
        alloc_decide(s, queue, true, text);
    }
}

void alloc_take_worker(struct alloc_step_state *s)
{
    char name[96];
    for (size_t i = 0; i < s->alloc->queue_count; i++) {
        struct alloc_queue *queue = s->alloc->queues[i];
        for (size_t k = 0; k < queue->job_count; k++) {
            struct alloc_job *job = &queue->jobs[k];
            alloc_job_name(s->alloc, queue, job->number, name);
            if (alloc_job_is_open(job) && !job->registered && strcmp(name, s->event->text) == 0) {
                job->registered = true;
                queue->failures = 0;
                s->out->changed = true;
            }
        }
    }
}

void alloc_take_list_failed(struct alloc_step_state *s)
{
    char text[2 * ALLOC_TEXT_BYTES];
    s->alloc->is_listing = false;
    snprintf(text, sizeof text, "the batch system cannot be asked: %s", s->event->text);
    for (size_t i = 0; i < s->alloc->queue_count; i++) {
        struct alloc_queue *queue = s->alloc->queues[i];
        bool has_open = false;
        for (size_t k = 0; k < queue->job_count; k++) {
            has_open |= alloc_job_is_open(&queue->jobs[k]);
        }
        if (has_open) {
            alloc_decide(s, queue, false, text);
        }
    }
}
