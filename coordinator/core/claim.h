/* Who wants a job. Experiments may share jobs: a shared job goes on as long as one of them wants
 * it, and is given out for the one of them that goes first. Few sets differ, so that jobs share
 * them. */
#ifndef TRIAD_CLAIM_H
#define TRIAD_CLAIM_H

#include "core_state.h"

/* Does a job of `a` go before one of `b`? A total order; pauses are no part of it. */
bool claim_goes_first(const struct experiment *a, const struct experiment *b);

/* Wanted by its experiment alone. */
const struct claim *claim_alone(struct core *core, struct experiment *experiment);
/* As the row says, for the experiment that queues the job (which need not be the row's). */
const struct claim *claim_of_row(struct core *core, const struct core_job_row *row,
                                 struct experiment *queued_by);
/* One more experiment wants it. */
const struct claim *claim_with(struct core *core, const struct claim *claim,
                               struct experiment *experiment);
/* The experiment wants none of the jobs that others want too. */
void claim_forget(struct core *core, const struct experiment *experiment);

/* For whom the job is given out: of the experiments that want it and are not paused the one that
 * goes first; NULL when all are paused. */
struct experiment *claim_payer(const struct core *core, const struct claim *claim);

#endif
