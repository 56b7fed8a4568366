/* Submitting a plan. */
#ifndef TRIAD_CORE_PLAN_H
#define TRIAD_CORE_PLAN_H

#include "core_state.h"

void plan_submit(struct core *core, const struct core_submit *submit);
/* A queued job whose parents are all in place starts to wait, or ends where a parent has. */
void plan_start_waiting(struct core *core, struct job *job);

/* The experiment wants the job from now on, and may be the one that queues it. */
void plan_add_member(struct core *core, const struct experiment *experiment, uint64_t order,
                     bool queues);

/* The experiment of that name, made if necessary; no op is written. */
struct experiment *plan_experiment(struct core *core, const char *name);

#endif
