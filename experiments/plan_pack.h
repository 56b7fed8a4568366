/* Counting the steps of a training while its data are written, as the trainer will take them
 * (docs/data.md section 1): sequences fill a micro-batch until the next one would pass
 * batch_tokens; `accumulate` of these are a step, or so many sequences. */
#ifndef TRIAD_PLAN_PACK_H
#define TRIAD_PLAN_PACK_H

#include "plan.h"

struct plan_packer {
    int64_t batch_tokens, batch_sequences, accumulate, shards; /* shards: 0 is 1 */
    int64_t in_batch, in_batch_sequences;                      /* of the micro-batch being filled */
    int64_t batches, sequences;
    struct plan_batch largest;
};

void plan_packer_add(struct plan_packer *p, int64_t tokens);
/* Steps of one pass over what was added. */
int64_t plan_packer_steps(const struct plan_packer *p);
/* What a micro-batch holds at most: with shards, which cut the steps up anew, a bound. */
struct plan_batch plan_packer_largest(const struct plan_packer *p);
/* Would the next sequence begin another step than the first `steps`? */
bool plan_packer_has_steps(const struct plan_packer *p, int64_t steps, int64_t tokens);

#endif
