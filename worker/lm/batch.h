/* Which sequences a training step takes (docs/data.md section 1), in file order. A micro-batch
 * takes sequences until the next one would pass batch_tokens, at least one. A step is `accumulate`
 * micro-batches, or `batch_sequences` sequences in as many micro-batches as they need: then
 * batch_tokens only bounds memory. Neither a micro-batch nor a step crosses the end of the data:
 * the last step of a pass may be smaller.
 *
 * A step may be dealt out in a fixed number of shards, whose gradients are summed in a fixed order
 * (shard_sum.h) whatever computes them. What a step holds does not depend on their number: they are
 * runs of its sequences, about equal in tokens, each in micro-batches of its own. */
#ifndef TRIAD_BATCH_H
#define TRIAD_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "corpus.h"

/* How far training is in its data: all there is to know for resuming. */
struct data_cursor {
    uint64_t epoch;
    uint32_t sequence; /* the next one, 0 … sequence_count - 1 */
};

/* Consecutive sequences of a corpus. */
struct micro_batch {
    uint32_t first_sequence;
    uint32_t sequence_count;
    size_t token_count;
    size_t loss_token_count;
};

struct batch_plan {
    const struct corpus *corpus; /* borrowed */
    size_t batch_tokens;
    uint32_t accumulate;      /* at least 1; not used when batch_sequences is set */
    uint32_t batch_sequences; /* 0: steps are counted in micro-batches */
    uint32_t shards;          /* of a step; 0 is 1 */
};

/* At most so many micro-batches make a step. */
uint32_t batch_micro_max(const struct batch_plan *plan);
/* The micro-batches of the step at `cursor`, at most batch_micro_max(), shard by shard into `out`;
 * returns their number (at least 1) and moves the cursor behind them. ends[s] is where shard s ends
 * in `out`; a shard may be empty. */
uint32_t batch_step_shards(const struct batch_plan *plan, struct data_cursor *cursor,
                           struct micro_batch *out, uint32_t *ends);
/* The same for a plan of one shard. */
uint32_t batch_step(const struct batch_plan *plan, struct data_cursor *cursor,
                    struct micro_batch *out);
/* Steps that one pass over the data takes. */
int64_t batch_steps_per_pass(const struct batch_plan *plan);
/* The largest micro-batch in each respect (each maximum on its own) on the way from
 * `first_sequence`, where a step begins, to the end of the data. */
struct micro_batch batch_largest(const struct batch_plan *plan, uint32_t first_sequence);

#endif
