/* What clients change: submitting a plan, cancelling and retrying jobs. */
#ifndef TRIAD_CORE_PLAN_H
#define TRIAD_CORE_PLAN_H

#include "core_state.h"

void plan_submit(struct core *core, const struct core_submit *submit);
void plan_cancel(struct core *core, const struct core_act *act);
void plan_retry(struct core *core, const struct core_act *act);

/* The experiment of that name, made if necessary; no op is written. */
struct experiment *plan_experiment(struct core *core, const char *name);

#endif
