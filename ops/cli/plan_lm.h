/* What the planner asks of language models, answered by worker/lm. */
#ifndef TRIAD_PLAN_LM_H
#define TRIAD_PLAN_LM_H

#include "plan.h"

/* The planner's environment on this machine. `root` is the folder with suite/, mixes/ and data/; it
 * is borrowed. */
struct plan_env plan_lm_env(const char *root);

#endif
