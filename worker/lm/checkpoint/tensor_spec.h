/* The parameters of a model as a table: role, layer, name in the checkpoint, shape. Model, trainer
 * and checkpoint all walk this one list, so that a tensor's name and shape are decided here only.
 */
#ifndef TRIAD_TENSOR_SPEC_H
#define TRIAD_TENSOR_SPEC_H

#include <stdbool.h>
#include <stddef.h>

#include "model_config.h"

enum { TENSOR_NAME_SIZE = 96 };

enum tensor_role {
    TENSOR_EMBEDDING, /* vocabulary × width */
    TENSOR_ATTN_NORM, /* vector of width; this and the following once per layer, in the order of
                         the family's table, where those that it lacks are left out */
    TENSOR_ATTN_Q,    /* heads * head_dim × width: rows are outputs, as in torch.nn.Linear */
    TENSOR_ATTN_K,    /* kv_heads * head_dim × width */
    TENSOR_ATTN_V,    /* kv_heads * head_dim × width */
    TENSOR_ATTN_O,    /* width × heads * head_dim */
    TENSOR_Q_NORM,    /* vector of head_dim, one for all heads */
    TENSOR_K_NORM,    /* vector of head_dim */
    TENSOR_ATTN_POST_NORM, /* vector of width: of what attention adds to the stream */
    TENSOR_MLP_NORM,       /* vector of width */
    TENSOR_MLP_GATE,       /* mlp_width × width */
    TENSOR_MLP_UP,         /* mlp_width × width */
    TENSOR_MLP_DOWN,       /* width × mlp_width */
    TENSOR_MLP_POST_NORM,  /* vector of width: of what the MLP adds to the stream */
    TENSOR_FINAL_NORM,     /* vector of width */
    TENSOR_HEAD,           /* vocabulary × width; absent when the head is tied */
    TENSOR_ROLE_COUNT,
};

/* Which number of the configuration a dimension is. */
enum tensor_dim {
    DIM_ONE,
    DIM_VOCABULARY,
    DIM_WIDTH,
    DIM_QUERY,     /* heads * head_dim */
    DIM_KEY_VALUE, /* kv_heads * head_dim */
    DIM_HEAD,      /* head_dim */
    DIM_MLP,
};

struct tensor_spec {
    char name[TENSOR_NAME_SIZE]; /* "model.layers.3.self_attn.q_proj.weight" */
    enum tensor_role role;
    int layer;      /* -1 outside the layers */
    bool is_vector; /* stored with shape [cols] instead of [rows, cols]; rows is 1 */
    int rows;
    int cols;
    float *data; /* rows * cols values, row-major; NULL until the model's owner sets it */
};

/* How many tensors the model has. */
size_t tensor_spec_count(const struct model_config *config);

/* Describe tensor `index` (embedding, layer 0 in its family's order, …, final norm, head); `data`
 * is NULL. `config` must have passed model_config_check(). */
struct tensor_spec tensor_spec_at(const struct model_config *config, size_t index);

size_t tensor_spec_elements(const struct tensor_spec *spec);

#endif
