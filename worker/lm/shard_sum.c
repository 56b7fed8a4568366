#include "shard_sum.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "kernels.h"

enum { ALIGNMENT_BYTES = 64 };

_Static_assert(SHARDS_MAX == 1 << SHARD_LEVELS_MAX, "a level doubles");

bool shard_count_is_possible(uint64_t shards)
{
    return shards > 0 && shards <= SHARDS_MAX && (shards & (shards - 1)) == 0;
}

uint32_t shard_sum_levels(uint32_t shards)
{
    uint32_t levels = 0;
    while (((uint32_t)1 << levels) < shards)
        levels++;
    return levels;
}

enum err_code shard_sum_init(struct shard_sum *sum, size_t elements, uint32_t shards,
                             struct err *err)
{
    ASSERT(shard_count_is_possible(shards));
    struct shard_sum fresh = {.elements = elements, .levels = shard_sum_levels(shards)};
    size_t bytes = elements * sizeof(float);
    bytes += (ALIGNMENT_BYTES - bytes % ALIGNMENT_BYTES) % ALIGNMENT_BYTES;
    for (uint32_t level = 0; level < fresh.levels; level++) {
        fresh.held[level] = aligned_alloc(ALIGNMENT_BYTES, bytes);
        if (!fresh.held[level]) {
            shard_sum_release(&fresh);
            return err_set(err, ERR_LIMIT, "allocate %zu bytes for the gradients of %u shards",
                           bytes, shards);
        }
    }
    *sum = fresh;
    return ERR_OK;
}

void shard_sum_release(struct shard_sum *sum)
{
    for (uint32_t level = 0; level < sum->levels; level++)
        free(sum->held[level]);
    *sum = (struct shard_sum){0};
}

/* As a binary counter carries: a sum of 2^level shards waits for the next one of its size. */
void shard_sum_take(struct shard_sum *sum, uint32_t shard, float *block, double *nats)
{
    uint32_t level = 0;
    for (; shard >> level & 1; level++) {
        kernel_select()->add(block, sum->held[level], sum->elements);
        *nats = sum->held_nats[level] + *nats;
    }
    if (level == sum->levels)
        return; /* the last one: the sum over all */
    memcpy(sum->held[level], block, sum->elements * sizeof *block);
    sum->held_nats[level] = *nats;
}
