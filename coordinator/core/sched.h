/* Who gets what. */
#ifndef TRIAD_SCHED_H
#define TRIAD_SCHED_H

#include "core_state.h"

/* Lease startable jobs until no worker can take one. */
void sched_run(struct core *core);
/* Why a waiting job waits, in one word. */
const char *sched_wait_reason(const struct core *core, const struct job *job);

#endif
