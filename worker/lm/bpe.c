#include "bpe.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

#define END UINT32_MAX /* no neighbour on this side */

void bpe_release(struct bpe *bpe)
{
    free(bpe->merges);
    intern_release(&bpe->ranks);
    free(bpe->ids);
    free(bpe->next);
    free(bpe->previous);
    free(bpe->heap);
    *bpe = (struct bpe){0};
}

bool bpe_add_merge(struct bpe *bpe, struct bpe_merge merge)
{
    int32_t pair[2] = {merge.left, merge.right};
    uint32_t rank = bpe->merges_count;
    if (intern_add(&bpe->ranks, pair, sizeof pair) != rank)
        return false;
    if (rank == bpe->merges_cap) {
        bpe->merges_cap = rank ? rank * 2 : 256;
        bpe->merges = realloc(bpe->merges, bpe->merges_cap * sizeof *bpe->merges);
        ASSERT(bpe->merges != NULL);
    }
    bpe->merges[bpe->merges_count++] = merge;
    return true;
}

int32_t *bpe_symbols(struct bpe *bpe, size_t count)
{
    ASSERT(count <= (size_t)1 << 31);
    if (count > bpe->symbols_cap) {
        size_t cap = count > 2 * bpe->symbols_cap ? count : 2 * bpe->symbols_cap;
        bpe->ids = realloc(bpe->ids, cap * sizeof *bpe->ids);
        bpe->next = realloc(bpe->next, cap * sizeof *bpe->next);
        bpe->previous = realloc(bpe->previous, cap * sizeof *bpe->previous);
        ASSERT(bpe->ids != NULL);
        ASSERT(bpe->next != NULL);
        ASSERT(bpe->previous != NULL);
        bpe->symbols_cap = cap;
    }
    return bpe->ids;
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

/* Queue the merge of the symbol at `position` with the one after it, if there is such a merge. */
static void consider(struct bpe *bpe, uint32_t position)
{
    if (position == END || bpe->next[position] == END)
        return;
    int32_t pair[2] = {bpe->ids[position], bpe->ids[bpe->next[position]]};
    uint32_t rank = intern_find(&bpe->ranks, pair, sizeof pair);
    if (rank != INTERN_NONE)
        heap_push(bpe, (uint64_t)rank << 32 | position);
}

/* Entries are not removed when a neighbour merges away: one that no longer fits is skipped. A
 * symbol that merged into its left neighbour has id -1, which no merge names. */
static void apply(struct bpe *bpe, uint64_t entry)
{
    uint32_t position = (uint32_t)entry;
    const struct bpe_merge *merge = &bpe->merges[entry >> 32];
    uint32_t after = bpe->next[position];
    if (bpe->ids[position] != merge->left || after == END || bpe->ids[after] != merge->right)
        return;
    bpe->ids[position] = merge->result;
    bpe->ids[after] = -1;
    bpe->next[position] = bpe->next[after];
    if (bpe->next[after] != END)
        bpe->previous[bpe->next[after]] = position;
    consider(bpe, bpe->previous[position]);
    consider(bpe, position);
}

size_t bpe_merge_symbols(struct bpe *bpe, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bpe->previous[i] = i > 0 ? (uint32_t)(i - 1) : END;
        bpe->next[i] = i + 1 < count ? (uint32_t)(i + 1) : END;
    }
    bpe->heap_count = 0;
    for (size_t i = 0; i + 1 < count; i++)
        consider(bpe, (uint32_t)i);
    while (bpe->heap_count > 0)
        apply(bpe, heap_pop(bpe));
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (bpe->ids[i] >= 0)
            bpe->ids[kept++] = bpe->ids[i];
    }
    return kept;
}
