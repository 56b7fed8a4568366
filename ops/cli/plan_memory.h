/* What trainings take in memory, for the planner: `training_memory` of struct plan_env. */
#ifndef TRIAD_PLAN_MEMORY_H
#define TRIAD_PLAN_MEMORY_H

#include "plan.h"

int64_t plan_training_memory(void *ctx, const struct plan_model *model,
                             const struct jobspec_train *train, const struct plan_batch *batch,
                             bool again, struct strbuf *text);

#endif
