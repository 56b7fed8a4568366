/* What a person does to jobs, experiments and workers while they run. */
#ifndef TRIAD_CORE_ACT_H
#define TRIAD_CORE_ACT_H

#include "core_state.h"

void act_cancel(struct core *core, const struct core_act *act);
void act_retry(struct core *core, const struct core_act *act);
/* An experiment gets no new attempts, or does again. */
void act_pause(struct core *core, const struct core_act *act, bool paused);
void act_priority(struct core *core, const struct core_act *act);
void act_drain(struct core *core, const struct core_drain *drain);

#endif
