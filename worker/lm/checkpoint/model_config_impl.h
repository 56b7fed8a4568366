/* What reading, checking and printing of configurations share (model_config.c,
 * model_config_parse.c). */
#ifndef TRIAD_MODEL_CONFIG_IMPL_H
#define TRIAD_MODEL_CONFIG_IMPL_H

#include "model_config.h"

/* Bounds: far above any model of these families, and small enough that rows * cols * sizeof(float)
 * fits 64 bits and heads * head_dim fits an int. */
enum {
    MODEL_LAYERS_MAX = 1024,
    MODEL_WIDTH_MAX = 1 << 17,
    MODEL_HEADS_MAX = 1024,
    MODEL_HEAD_DIM_MAX = 1024,
    MODEL_MLP_WIDTH_MAX = 1 << 20,
    MODEL_VOCABULARY_MAX = 1 << 22,
    MODEL_CONTEXT_MAX = 1 << 24,
};

/* The integer sizes: one row serves parsing, checking, printing and (in this order) messages. */
struct size_row {
    const char *key;
    size_t offset;
    int min;
    int max;
    bool derived; /* follows from the others when absent */
    bool windows; /* of families with windows only */
};

enum { MODEL_SIZE_ROWS = 11 };
extern const struct size_row model_size_rows[MODEL_SIZE_ROWS];

static inline int *model_size_at(struct model_config *config, const struct size_row *row)
{
    return (int *)(void *)((char *)config + row->offset);
}

#endif
