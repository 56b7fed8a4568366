/* The sum of a step's gradients over its shards, in one order whatever computes them: a full binary
 * tree over the shards' numbers, ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)). A process that has
 * shards 0 … n - 1 of a subtree takes them in one after the other and holds log2(n) sums beside the
 * one it computes in; ranks that share a step add their subtrees (train_group.h). Sums of floats
 * depend on how they are bracketed and not on the order of the two operands, so that one and many
 * processes give the same bits. */
#ifndef TRIAD_SHARD_SUM_H
#define TRIAD_SHARD_SUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* Shards of a step: a power of two, at most so many. */
#define SHARDS_MAX       1024
#define SHARD_LEVELS_MAX 10

struct shard_sum {
    size_t elements;
    uint32_t levels;
    float *held[SHARD_LEVELS_MAX];      /* of 2^level shards each */
    double held_nats[SHARD_LEVELS_MAX]; /* the sum of their losses */
};

/* Powers of two up to SHARDS_MAX can be a number of shards. */
bool shard_count_is_possible(uint64_t shards);
/* How many sums are held for so many shards: log2. */
uint32_t shard_sum_levels(uint32_t shards);

/* For sums of `elements` floats over `shards`. ERR_LIMIT without memory. Free with
 * shard_sum_release(), which accepts a zeroed struct. */
NODISCARD enum err_code shard_sum_init(struct shard_sum *sum, size_t elements, uint32_t shards,
                                       struct err *err);
void shard_sum_release(struct shard_sum *sum);

/* Take in shard number `shard` (0, 1, 2 …, each once): its gradient in `block`, the sum of its
 * losses in `nats`. After the last one both hold the sum over all; before, their values are used
 * up. */
void shard_sum_take(struct shard_sum *sum, uint32_t shard, float *block, double *nats);

#endif
