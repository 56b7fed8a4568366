/* What a training will take in memory, told before any of it is taken. */
#ifndef TRIAD_TRAIN_MEMORY_H
#define TRIAD_TRAIN_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "adapter.h"
#include "model.h"
#include "str.h"

/* Bytes, but for `layers`. */
struct train_memory {
    int layers;
    size_t weights, layer_weights; /* of the model; of one layer in it */
    size_t adapter;                /* its matrices */
    size_t gradients, moments;     /* of what is trained */
    uint32_t gradient_blocks;      /* the gradients are so many: sums of shards (shard_sum.h) */
    size_t activations;            /* of the largest micro-batch, all together */
    size_t layer_activations;      /* of these, what each further layer keeps */
    size_t kernels;                /* packed factors of products */
    bool again;                    /* activations are computed again: MODEL_TRAIN_AGAIN */
    size_t all;
};

/* `adapter` NULL: all weights are trained. `held` sums of gradients wait beside the one that is
 * computed: shard_sum_levels() of the shards that the process computes. */
struct train_memory train_memory_of(const struct model_config *config,
                                    const struct adapter_config *adapter,
                                    const struct model_capacity *capacity, uint32_t held,
                                    bool again);

/* Append a table for people; `bytes_max` is what there is, 0 when nobody said. */
void train_memory_print(const struct train_memory *memory, size_t bytes_max, struct strbuf *out);
/* The same in one line, in MiB. */
void train_memory_print_line(const struct train_memory *memory, struct strbuf *out);

#endif
