/* The end of an attempt, as its worker reports it: docs/protocol.md section 3, "Result". */
#ifndef TRIAD_RESULTS_H
#define TRIAD_RESULTS_H

#include "core_state.h"

void results_take(struct core *core, struct worker *worker, const struct core_message *message);

#endif
