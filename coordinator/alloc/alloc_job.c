#include "alloc_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

struct alloc_action *alloc_act(struct alloc_step_state *s, enum alloc_action_kind kind)
{
    struct alloc_action *items = arena_array(s->arena, s->out->count + 1, sizeof *items);
    if (s->out->count > 0) {
        memcpy(items, s->out->items, s->out->count * sizeof *items);
    }
    s->out->items = items;
    items[s->out->count] = (struct alloc_action){.kind = kind};
    return &items[s->out->count++];
}

void alloc_decide(struct alloc_step_state *s, struct alloc_queue *queue, bool is_news,
                  const char *text)
{
    if (strcmp(queue->reason, text) != 0) {
        alloc_text(queue->reason, "%s", text);
    } else if (!is_news) {
        return;
    }
    if (is_news) {
        struct alloc_note *note = &queue->notes[queue->note_count++ % ALLOC_NOTES_KEPT];
        note->time_ms = s->event->time_ms;
        alloc_text(note->text, "%s", text);
        s->out->changed = true;
    }
}

void alloc_pause(struct alloc_step_state *s, struct alloc_queue *queue, const char *why)
{
    queue->paused = true;
    alloc_decide(s, queue, true, why);
}

bool alloc_job_is_open(const struct alloc_job *job)
{
    return job->state != ALLOC_ENDED;
}

bool alloc_job_is_listed(const struct alloc_job *job)
{
    const bool is_given_up = job->end == ALLOC_END_NEVER_REGISTERED && job->cancel_wanted;
    return alloc_job_is_open(job) || (is_given_up && job->missed < ALLOC_MISSED_MAX);
}

void alloc_forget_old(struct alloc *alloc)
{
    size_t ended = 0;
    for (size_t i = 0; i < alloc->queue_count; i++) {
        for (size_t k = 0; k < alloc->queues[i]->job_count; k++) {
            ended += !alloc_job_is_open(&alloc->queues[i]->jobs[k]);
        }
    }
    for (; ended > ALLOC_ENDED_KEPT; ended--) {
        struct alloc_queue *oldest = NULL;
        size_t at = 0;
        for (size_t i = 0; i < alloc->queue_count; i++) {
            struct alloc_queue *queue = alloc->queues[i];
            for (size_t k = 0; k < queue->job_count; k++) {
                if (!alloc_job_is_open(&queue->jobs[k]) &&
                    (oldest == NULL || queue->jobs[k].number < oldest->jobs[at].number)) {
                    oldest = queue;
                    at = k;
                }
            }
        }
        oldest->job_count--;
        memmove(&oldest->jobs[at], &oldest->jobs[at + 1],
                (oldest->job_count - at) * sizeof *oldest->jobs);
    }
}

void alloc_job_end(struct alloc_step_state *s, struct alloc_queue *queue, struct alloc_job *job,
                   enum alloc_end end, const char *text)
{
    char note[2 * ALLOC_TEXT_BYTES];
    job->state = ALLOC_ENDED;
    job->end = end;
    job->ended_ms = s->event->time_ms;
    alloc_text(job->text, "%s", text);
    snprintf(note, sizeof note, "allocation %" PRIu64 "%s%s ended: %s%s%s", job->number,
             *job->batch_id ? " = " : "", job->batch_id, alloc_end_name(end), *text ? ", " : "",
             text);
    alloc_decide(s, queue, true, note);
    if (end == ALLOC_END_NEVER_REGISTERED && ++queue->failures >= ALLOC_FAILURES) {
        snprintf(
            note, sizeof note,
            "paused: %u allocations in a row ended without their worker having come; see their "
            "logs, then 'triad alloc resume %s'",
            queue->failures, queue->options.name);
        alloc_pause(s, queue, note);
    }
}

void alloc_job_cancel(struct alloc_step_state *s, struct alloc_job *job)
{
    job->cancel_wanted = true;
    s->out->changed = true;
    if (*job->batch_id) {
        alloc_act(s, ALLOC_DO_CANCEL)->text = arena_strdup(s->arena, job->batch_id);
    }
}
