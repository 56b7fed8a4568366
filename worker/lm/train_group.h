/* Processes ("ranks") that train one model together. Each holds all weights and moments and
 * computes the gradients of its own shards of a step (shard_sum.h); their sums are added over the
 * ranks in the same binary tree, and then every rank makes the same update: one rank and many give
 * the same bits.
 *
 * Pure: bytes go from rank to rank through a link. Every call below is collective: all ranks make
 * the same calls in the same order. A link's failure is final for the group. */
#ifndef TRIAD_TRAIN_GROUP_H
#define TRIAD_TRAIN_GROUP_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define RANKS_MAX 1024

struct group_link {
    void *ctx;
    /* Send `out_len` bytes to rank `peer` and receive `in_len` from it, at the same time; either
     * may be 0. The peer makes the opposite call. */
    enum err_code (*exchange)(void *ctx, uint32_t peer, const void *out, size_t out_len, void *in,
                              size_t in_len, struct err *err);
};

struct train_group {
    uint32_t rank, count; /* 0 … count - 1; a power of two, at most RANKS_MAX */
    struct group_link link;
};

/* Add `block` and `nats` up over all ranks, in place, as shard_sum.h says. */
NODISCARD enum err_code train_group_sum(const struct train_group *group, float *block, size_t count,
                                        double *nats, struct err *err);
/* Rank 0's bytes, for all. */
NODISCARD enum err_code train_group_share(const struct train_group *group, void *bytes, size_t len,
                                          struct err *err);
/* How did it go? `code` with `err` is this rank's answer; the result is that of the lowest rank
 * that failed, its text with its number in front, or ERR_OK when none did. */
NODISCARD enum err_code train_group_agree(const struct train_group *group, enum err_code code,
                                          struct err *err);

#endif
