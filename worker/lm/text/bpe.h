/* Byte-pair merging: given symbols and ranked merges, merge the adjacent pair of lowest rank
 * (leftmost first among equals) until no pair can merge (Sennrich et al. 2016, algorithm 1). */
#ifndef TRIAD_BPE_H
#define TRIAD_BPE_H

#include <stddef.h>
#include <stdint.h>

#include "tokenizer_image.h"

/* Work space, so one user at a time. Zero-initialise; free with bpe_release(). */
struct bpe {
    int32_t *ids;
    struct bpe_link *links; /* long words: symbols as a doubly linked list over the positions */
    size_t cap;
    size_t links_cap;
    uint64_t *heap; /* rank << 32 | position: the smallest is the merge to do */
    size_t heap_count;
    size_t heap_cap;
};

void bpe_release(struct bpe *bpe);

/* Room for a word of `count` symbols (fewer than 2^31); the caller fills it and calls bpe_merge().
 */
int32_t *bpe_symbols(struct bpe *bpe, size_t count);
/* Merge the `count` symbols there by the image's pairs; returns how many remain, compacted at the
 * front of the room. Time O(n log n). */
size_t bpe_merge(struct bpe *bpe, const struct tokenizer_image *image, size_t count);

#endif
