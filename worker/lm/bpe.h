/* Byte-pair merging: given symbols and ranked merges, merge the adjacent pair of lowest rank
 * (leftmost first among equals) until no pair can merge (Sennrich et al. 2016, algorithm 1). */
#ifndef TRIAD_BPE_H
#define TRIAD_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "intern.h"

struct bpe_merge {
    int32_t left;
    int32_t right;
    int32_t result;
};

/* Zero-initialise; free with bpe_release(). Holds work space, so one user at a time. */
struct bpe {
    struct bpe_merge *merges; /* in order of rank: the first merges first */
    uint32_t merges_count;
    uint32_t merges_cap;
    struct intern ranks; /* the pair's eight bytes → rank */
    int32_t *ids;        /* work space: symbols as a doubly linked list over the positions */
    uint32_t *next;
    uint32_t *previous;
    size_t symbols_cap;
    uint64_t *heap; /* rank << 32 | position: the smallest is the merge to do */
    size_t heap_count;
    size_t heap_cap;
};

void bpe_release(struct bpe *bpe);

/* Append a merge of the next rank; false (and no change) when the pair has a rank already. */
bool bpe_add_merge(struct bpe *bpe, struct bpe_merge merge);

/* Room for a word of `count` symbols (at most 2^31); the caller fills it and calls
 * bpe_merge_symbols(). */
int32_t *bpe_symbols(struct bpe *bpe, size_t count);
/* Merge the `count` symbols there; returns how many remain, compacted at the front of the room.
 * Time O(n log n). */
size_t bpe_merge_symbols(struct bpe *bpe, size_t count);

#endif
