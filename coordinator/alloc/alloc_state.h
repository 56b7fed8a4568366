/* What the files of this folder share. */
#ifndef TRIAD_ALLOC_STATE_H
#define TRIAD_ALLOC_STATE_H

#include "alloc.h"

struct alloc {
    char tag[16];
    struct alloc_queue *queues[ALLOC_QUEUES_MAX];
    size_t queue_count;
    uint64_t number_last;
    int64_t listed_ms; /* when the last listing was asked for */
    bool is_listing;   /* and not answered */
};

/* An empty queue that owns a copy of the options. */
struct alloc_queue *alloc_queue_new(const struct alloc_queue_options *options);
/* A new entry at the end; `job` is copied. */
struct alloc_job *alloc_job_add(struct alloc_queue *queue, const struct alloc_job *job);
/* Cut to what a text field holds, on a character boundary. */
void alloc_text(char out[ALLOC_TEXT_BYTES], const char *format, ...) PRINTF(2, 3);

/* One listing may have overtaken the submission, two have not. */
#define ALLOC_MISSED_MAX 2

/* One step under way. */
struct alloc_step_state {
    struct alloc *alloc;
    const struct alloc_event *event;
    struct arena *arena;
    struct alloc_actions *out;
};

/* ---- alloc_job.c: what any file here may do to a queue or an allocation ---- */

struct alloc_action *alloc_act(struct alloc_step_state *s, enum alloc_action_kind kind);
/* The reason of the latest decision; news are also noted. */
void alloc_decide(struct alloc_step_state *s, struct alloc_queue *queue, bool is_news,
                  const char *text);
void alloc_pause(struct alloc_step_state *s, struct alloc_queue *queue, const char *why);
bool alloc_job_is_open(const struct alloc_job *job);
/* What the batch system is asked about: what is open, and what was given up until it is gone. */
bool alloc_job_is_listed(const struct alloc_job *job);
void alloc_job_end(struct alloc_step_state *s, struct alloc_queue *queue, struct alloc_job *job,
                   enum alloc_end end, const char *text);
void alloc_job_cancel(struct alloc_step_state *s, struct alloc_job *job);
/* Forget the oldest ended allocations beyond what is kept. */
void alloc_forget_old(struct alloc *alloc);

/* ---- alloc_batch.c: what the batch system and the workers say ---- */

void alloc_take_listing(struct alloc_step_state *s);
void alloc_take_list_failed(struct alloc_step_state *s);
void alloc_take_submitted(struct alloc_step_state *s);
void alloc_take_submit_failed(struct alloc_step_state *s);
void alloc_take_submit_unsure(struct alloc_step_state *s);
void alloc_take_worker(struct alloc_step_state *s);

/* ---- alloc_tick.c: what to ask for ---- */

void alloc_tick(struct alloc_step_state *s);

#endif
