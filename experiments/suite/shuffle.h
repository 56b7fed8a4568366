/* One place of a random order of 0 … count-1, without making the whole order where it is long. */
#ifndef TRIAD_SHUFFLE_H
#define TRIAD_SHUFFLE_H

#include "arena.h"
#include "rng.h"

/* An order that depends on the stream and the count only. Up to SHUFFLE_EXACT_MAX it is a uniformly
 * drawn permutation; beyond, a Feistel network over the next power of four, walked until it falls
 * below the count (Black and Rogaway 2002): the places are a permutation, and which one is decided
 * by 64 bits of key. */
enum { SHUFFLE_EXACT_MAX = 4096 };

struct shuffle {
    uint32_t count;
    uint32_t *order; /* when short */
    uint64_t key;
    unsigned half_bits;
};

struct shuffle shuffle_make(struct rng stream, uint32_t count, struct arena *arena);
uint32_t shuffle_at(const struct shuffle *shuffle, uint32_t place);

#endif
