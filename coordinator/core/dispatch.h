/* Who gets what. (Not sched.h: the C library has one of that name.) */
#ifndef TRIAD_DISPATCH_H
#define TRIAD_DISPATCH_H

#include "core_state.h"

/* Lease startable jobs until no worker can take one. */
void dispatch_run(struct core *core);
/* Why a waiting job waits, in one word. */
const char *dispatch_wait_reason(const struct core *core, const struct job *job);

#endif
