/* Allocations of a batch system: how many workers to ask it for, when, and what became of them.
 *
 * Pure: state + event → state + actions. Time, the demand for work and what the batch system says
 * come in with events; submitting, listing and cancelling go out as actions. The rules and why:
 *  - Demand is what could run now and finds no idle worker: jobs that wait for parents ask for
 * nothing, and a job that no allocation of a queue could hold (threads, memory, time) does not
 * count there.
 *  - What is on its way (submitted, pending, started but not yet registered) counts as capacity, so
 *    never more is asked for than needed; what is pending and no longer needed is cancelled.
 *  - Ends are told apart. Being preempted, reaching the wall time, idling out or losing a node is
 *    ordinary; only allocations that end without their worker ever having registered, and
 * submissions that are refused, make a queue slower and at last pause it, with the reason.
 *  - Every decision leaves a sentence (`alloc_queue.reason`, and the last ones in `alloc_note`).
 * An allocation is durable as SUBMITTING before it is submitted, and its batch job is named after
 * it: a coordinator killed in between finds it again in the next listing. */
#ifndef TRIAD_ALLOC_H
#define TRIAD_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "str.h"

#define ALLOC_QUEUES_MAX     32
#define ALLOC_NAME_BYTES     32 /* a queue's name: letters, digits, '-', '_' */
#define ALLOC_ARGUMENTS_MAX  64 /* for sbatch */
#define ALLOC_WORKERS_MAX    1024
#define ALLOC_ENDED_KEPT     100 /* of all queues; older ones are forgotten */
#define ALLOC_NOTES_KEPT     50  /* per queue */
#define ALLOC_TEXT_BYTES     256 /* a reason or note; longer ones are cut */
#define ALLOC_BATCH_ID_BYTES 32

#define ALLOC_LIST_MS        10000            /* between two listings */
#define ALLOC_SURPLUS_MS     30000            /* no demand for so long: cancel what is pending */
#define ALLOC_REGISTER_MS    (10 * 60 * 1000) /* running without a worker for so long: give it up */
#define ALLOC_TIME_MARGIN_MS 60000            /* of the wall time that no job may count on */
#define ALLOC_SUBMIT_ERRORS  10               /* in a row: the queue is paused */
#define ALLOC_FAILURES       3                /* allocations in a row without a worker: likewise */

enum alloc_state {
    ALLOC_SUBMITTING, /* about to be, or being, given to the batch system */
    ALLOC_PENDING,    /* the batch system has it */
    ALLOC_RUNNING,
    ALLOC_ENDED,
};
const char *alloc_state_name(enum alloc_state state);

enum alloc_end {
    ALLOC_END_NONE,
    ALLOC_END_DONE,     /* its worker left by itself: idle, drained */
    ALLOC_END_WALLTIME, /* the batch system ended it at its limit */
    ALLOC_END_PREEMPTED,
    ALLOC_END_NODE_FAIL,
    ALLOC_END_CANCELLED, /* by us */
    ALLOC_END_CANCELLED_OUTSIDE,
    ALLOC_END_FAILED,           /* its script ended badly after the worker had registered */
    ALLOC_END_NEVER_REGISTERED, /* it ended, or had to be ended, without any worker */
    ALLOC_END_SUBMIT_ERROR,
    ALLOC_END_COUNT,
};
const char *alloc_end_name(enum alloc_end end);

/* What a person asked for. Strings are owned by the state. */
struct alloc_queue_options {
    char name[ALLOC_NAME_BYTES];
    uint32_t cores;          /* of one allocation: threads of its one worker */
    uint64_t memory_bytes;   /* of one allocation; 0: not stated, any job fits */
    uint32_t ranks;          /* tasks of one allocation, each with these cores and memory; 0 is 1.
                                With several it is asked for only for jobs of several ranks */
    int64_t time_ms;         /* wall time of one allocation */
    uint32_t workers_max;    /* allocations at once, pending ones included */
    uint32_t backlog;        /* allocations pending at once */
    int64_t idle_ms;         /* a worker without work leaves after this */
    const char *labels;      /* of its workers, as labels_parse() writes them */
    const char *access;      /* their access file, as compute nodes see it; "" for the default */
    const char *folder;      /* where their folders go; "" for the default */
    const char *data_listen; /* HOST[:PORT] where they let other workers read checkpoints; "" for
                                nowhere */
    const char **arguments;  /* verbatim for sbatch */
    size_t argument_count;
};

struct alloc_job {
    uint64_t number; /* counts over all queues, never used again: names the batch job */
    enum alloc_state state;
    enum alloc_end end;
    char batch_id[ALLOC_BATCH_ID_BYTES];        /* "" while submitting */
    bool registered;                            /* its worker has been seen */
    bool cancel_wanted;                         /* by us */
    uint32_t missed;                            /* listings in a row that did not name it */
    int64_t submitted_ms, started_ms, ended_ms; /* wall clock; 0: not yet */
    char text[ALLOC_TEXT_BYTES];                /* why it ended, or why it is pending */
};

struct alloc_note {
    int64_t time_ms;
    char text[ALLOC_TEXT_BYTES];
};

struct alloc_queue {
    struct alloc_queue_options options;
    bool paused;
    char reason[ALLOC_TEXT_BYTES]; /* of the latest decision, or of the pause */
    uint32_t submit_errors;        /* in a row */
    uint32_t failures;             /* allocations in a row whose worker never came */
    int64_t not_before_ms;         /* back-off after a submit error; wall clock */
    int64_t surplus_since_ms;      /* pending ones are not needed since; 0: they are */
    struct alloc_job *jobs;        /* in order of number, ended ones included */
    size_t job_count;
    struct alloc_note notes[ALLOC_NOTES_KEPT]; /* a ring */
    size_t note_count;                         /* ever written */
};

struct alloc;

/* `tag` tells this coordinator's batch jobs from those of others of the same user (a few letters
 * and digits); copied. */
struct alloc *alloc_new(const char *tag);
void alloc_free(struct alloc *alloc);
/* Queues in order of creation; borrowed until the next call that takes the state. */
size_t alloc_queue_count(const struct alloc *alloc);
const struct alloc_queue *alloc_queue_at(const struct alloc *alloc, size_t index);
const struct alloc_queue *alloc_queue_find(const struct alloc *alloc, const char *name);
/* The name of an allocation's batch job and of its worker, as "triad-3f09-gpu-17". */
void alloc_job_name(const struct alloc *alloc, const struct alloc_queue *queue, uint64_t number,
                    char out[96]);

/* Jobs that could start now, by what they need. */
struct alloc_demand {
    uint32_t threads;
    uint64_t memory_bytes;
    uint32_t ranks;     /* that share one job, each with these threads and memory; 0 is 1 */
    int64_t time_ms;    /* 0: not stated */
    const char *labels; /* that its worker must have; NULL: none */
    uint64_t jobs;
};

/* One line of the batch system's listing. */
struct alloc_listed {
    const char *batch_id;
    const char *name;
    const char *state; /* Slurm's long name: PENDING, RUNNING, COMPLETED … */
    const char *text;  /* Slurm's reason */
};

enum alloc_event_kind {
    ALLOC_EV_ADD,    /* `options`; ERR_CONFLICT when the name is taken */
    ALLOC_EV_REMOVE, /* `queue`: cancels what it has and forgets it */
    ALLOC_EV_PAUSE,
    ALLOC_EV_RESUME,
    ALLOC_EV_TICK,          /* `demand`, `idle_threads`: decide */
    ALLOC_EV_SUBMITTED,     /* `number`, `text`: the batch id */
    ALLOC_EV_SUBMIT_FAILED, /* `number`, `text` */
    ALLOC_EV_SUBMIT_UNSURE, /* the same, but it may have been taken: a listing will tell */
    ALLOC_EV_LISTED,        /* `listed`: all that the batch system knows of our names */
    ALLOC_EV_LIST_FAILED,   /* `text` */
    ALLOC_EV_WORKER,        /* `text`: a worker of this name is connected */
};

struct alloc_event {
    enum alloc_event_kind kind;
    int64_t time_ms; /* wall clock */
    const struct alloc_queue_options *options;
    const char *queue;
    uint64_t number;
    const char *text;
    const struct alloc_demand *demand;
    size_t demand_count;
    uint64_t idle_threads; /* of live workers that take jobs */
    const struct alloc_listed *listed;
    size_t listed_count;
};

enum alloc_action_kind { ALLOC_DO_SUBMIT, ALLOC_DO_LIST, ALLOC_DO_CANCEL };

struct alloc_action {
    enum alloc_action_kind kind;
    const struct alloc_queue *queue; /* SUBMIT; valid until the next event */
    uint64_t number;                 /* SUBMIT */
    const char *text; /* CANCEL: batch id; LIST: comma-separated names. In the arena */
};

struct alloc_actions {
    struct alloc_action *items;
    size_t count;
    bool changed; /* the state must be stored before the actions are done */
};

/* Only the acts of a person can fail (ADD, REMOVE, PAUSE, RESUME); nothing has changed then.
 * Actions live in `arena`. */
NODISCARD enum err_code alloc_step(struct alloc *alloc, const struct alloc_event *event,
                                   struct arena *arena, struct alloc_actions *out, struct err *err);

/* The state as JSON, and back (ERR_CORRUPT). Equal states give equal texts. */
void alloc_print(const struct alloc *alloc, struct strbuf *out);
NODISCARD enum err_code alloc_parse(const char *text, size_t len, struct alloc **out,
                                    struct err *err);

/* The queues as JSON for people (schema triad.alloc/1): with state names, the reasons and what is
 * open; of the one called `queue` (NULL: all, briefly) also its latest allocations and notes. */
void alloc_show(const struct alloc *alloc, const char *queue, struct strbuf *out);

/* Check what a person asked for. */
NODISCARD enum err_code alloc_options_check(const struct alloc_queue_options *options,
                                            struct err *err);
/* What a person asked for, as JSON with the keys of `struct alloc_queue_options`, checked; its
 * strings and arrays live in `arena`. */
NODISCARD enum err_code alloc_options_parse(const char *text, size_t len, struct arena *arena,
                                            struct alloc_queue_options *out, struct err *err);

#endif
