/* Who gets what. (Not sched.h: the C library has one of that name.) */
#ifndef TRIAD_DISPATCH_H
#define TRIAD_DISPATCH_H

#include "core_state.h"

/* Lease startable jobs until no worker can take one. */
void dispatch_run(struct core *core);

/* What the job takes of this worker's memory: what it asks for after its failures, but no more than
 * all of it where its plan's figure fits. */
uint64_t dispatch_memory_bytes(const struct job *job, const struct worker *worker);
/* And of its threads. */
uint32_t dispatch_threads(const struct job *job, const struct worker *worker);
/* So many of its ranks live on the worker's own threads and memory: all, or one. */
uint32_t dispatch_own_ranks(const struct terms *terms, const struct worker *worker);

/* What keeps a worker from taking a startable job, most lasting first. */
enum obstacle {
    OBSTACLE_NO_WORKERS,  /* it is not there */
    OBSTACLE_DRAINING,    /* it takes nothing new */
    OBSTACLE_QUARANTINED, /* nor does its host */
    OBSTACLE_CLASS,       /* it computes other bits than the experiment's first worker */
    OBSTACLE_LABEL,       /* it lacks a label */
    OBSTACLE_RANKS,       /* it cannot start as many ranks */
    OBSTACLE_TOO_LARGE,   /* it is too small, even when it holds nothing */
    OBSTACLE_TIME_LIMIT,  /* it will have left before the job's time is over */
    OBSTACLE_RESOURCES,   /* it is busy */
    OBSTACLE_NONE,
};
enum obstacle dispatch_obstacle(const struct job *job, const struct worker *worker, int64_t now_ms);
uint32_t dispatch_free_threads(const struct worker *worker);
uint64_t dispatch_free_memory(const struct worker *worker);

#endif
