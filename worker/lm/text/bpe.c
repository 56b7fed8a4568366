/* Short words, which is nearly all, are searched for the lowest rank at each step: no list and no
 * heap is quicker for them. Long ones take the heap, so that no text costs more than n log n. */
#include "bpe.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

#define END     UINT32_MAX /* no neighbour on this side */
#define NO_RANK UINT32_MAX /* the pair does not merge */

enum { SHORT_SYMBOLS = 48 };

struct bpe_link {
    uint32_t previous;
    uint32_t next;
    uint32_t rank;  /* of the merge with the next symbol */
    int32_t result; /* and what it gives */
};

void bpe_release(struct bpe *bpe)
{
    free(bpe->ids);
    free(bpe->links);
    free(bpe->heap);
    *bpe = (struct bpe){0};
}

int32_t *bpe_symbols(struct bpe *bpe, size_t count)
{
    ASSERT(count < (size_t)1 << 31);
    if (count > bpe->cap) {
        bpe->cap = count > 2 * bpe->cap ? count : 2 * bpe->cap;
        bpe->ids = realloc(bpe->ids, bpe->cap * sizeof *bpe->ids);
        ASSERT(bpe->ids != NULL);
    }
    return bpe->ids;
}

static size_t merge_short(int32_t *ids, const struct tokenizer_image *image, size_t count)
{
    uint32_t ranks[SHORT_SYMBOLS];
    int32_t results[SHORT_SYMBOLS];
    size_t first = 0; /* ranks[first …] are to be looked up anew */
    size_t last = count - 1;
    for (;;) {
        for (size_t i = first; i < last && i + 1 < count; i++) {
            const struct image_pair *pair = image_find_pair(image, ids[i], ids[i + 1]);
            ranks[i] = pair ? pair->rank : NO_RANK;
            results[i] = pair ? pair->result : 0;
        }
        size_t best = 0;
        uint32_t lowest = NO_RANK;
        for (size_t i = 0; i + 1 < count; i++) {
            if (ranks[i] < lowest) {
                lowest = ranks[i];
                best = i;
            }
        }
        if (lowest == NO_RANK)
            return count;
        ids[best] = results[best];
        size_t moved = count - best - 2;
        memmove(ids + best + 1, ids + best + 2, moved * sizeof *ids);
        memmove(ranks + best + 1, ranks + best + 2, moved * sizeof *ranks);
        memmove(results + best + 1, results + best + 2, moved * sizeof *results);
        count--;
        first = best > 0 ? best - 1 : 0;
        last = best + 1;
    }
}

static void heap_push(struct bpe *bpe, uint64_t entry)
{
    if (bpe->heap_count == bpe->heap_cap) {
        bpe->heap_cap = bpe->heap_cap ? bpe->heap_cap * 2 : 64;
        bpe->heap = realloc(bpe->heap, bpe->heap_cap * sizeof *bpe->heap);
        ASSERT(bpe->heap != NULL);
    }
    size_t at = bpe->heap_count++;
    while (at > 0 && bpe->heap[(at - 1) / 2] > entry) {
        bpe->heap[at] = bpe->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    bpe->heap[at] = entry;
}

static uint64_t heap_pop(struct bpe *bpe)
{
    uint64_t top = bpe->heap[0];
    uint64_t last = bpe->heap[--bpe->heap_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= bpe->heap_count)
            break;
        if (child + 1 < bpe->heap_count && bpe->heap[child + 1] < bpe->heap[child])
            child++;
        if (bpe->heap[child] >= last)
            break;
        bpe->heap[at] = bpe->heap[child];
        at = child;
    }
    bpe->heap[at] = last;
    return top;
}

/* Look up the merge of the symbol at `position` with the one after it, and queue it. */
static void consider(struct bpe *bpe, const struct tokenizer_image *image, uint32_t position)
{
    if (position == END)
        return;
    struct bpe_link *link = &bpe->links[position];
    link->rank = NO_RANK;
    if (link->next == END)
        return;
    const struct image_pair *pair =
        image_find_pair(image, bpe->ids[position], bpe->ids[link->next]);
    if (!pair)
        return;
    link->rank = pair->rank;
    link->result = pair->result;
    heap_push(bpe, (uint64_t)pair->rank << 32 | position);
}

/* Entries are not removed when a neighbour merges away: one whose rank is no longer that of the
 * position is skipped. A symbol that merged into its left neighbour has id -1 and no rank. */
static void apply(struct bpe *bpe, const struct tokenizer_image *image, uint64_t entry)
{
    uint32_t position = (uint32_t)entry;
    struct bpe_link *link = &bpe->links[position];
    if (link->rank != (uint32_t)(entry >> 32))
        return;
    uint32_t after = link->next;
    bpe->ids[position] = link->result;
    bpe->ids[after] = -1;
    bpe->links[after].rank = NO_RANK;
    link->next = bpe->links[after].next;
    if (link->next != END)
        bpe->links[link->next].previous = position;
    consider(bpe, image, link->previous);
    consider(bpe, image, position);
}

static size_t merge_long(struct bpe *bpe, const struct tokenizer_image *image, size_t count)
{
    if (count > bpe->links_cap) {
        bpe->links_cap = bpe->cap;
        free(bpe->links);
        bpe->links = malloc(bpe->links_cap * sizeof *bpe->links);
        ASSERT(bpe->links != NULL);
    }
    for (uint32_t i = 0; i < count; i++) {
        bpe->links[i].previous = i > 0 ? i - 1 : END;
        bpe->links[i].next = i + 1 < count ? i + 1 : END;
    }
    bpe->heap_count = 0;
    for (uint32_t i = 0; i < count; i++)
        consider(bpe, image, i);
    while (bpe->heap_count > 0)
        apply(bpe, image, heap_pop(bpe));
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (bpe->ids[i] >= 0)
            bpe->ids[kept++] = bpe->ids[i];
    }
    return kept;
}

size_t bpe_merge(struct bpe *bpe, const struct tokenizer_image *image, size_t count)
{
    ASSERT(count <= bpe->cap);
    if (count < 2)
        return count;
    return count <= SHORT_SYMBOLS ? merge_short(bpe->ids, image, count)
                                  : merge_long(bpe, image, count);
}
