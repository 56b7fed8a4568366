#include "tensor_spec.h"

#include <stdio.h>

#include "check.h"

/* Which number of the configuration a dimension is. */
enum dim { DIM_ONE, DIM_VOCABULARY, DIM_WIDTH, DIM_QUERY, DIM_KEY_VALUE, DIM_MLP };

struct role_row {
    const char *name; /* %d stands for the layer */
    enum dim rows;
    enum dim cols;
};

/* Names of LlamaForCausalLM in transformers. */
static const struct role_row roles[TENSOR_ROLE_COUNT] = {
    [TENSOR_EMBEDDING] = {"model.embed_tokens.weight", DIM_VOCABULARY, DIM_WIDTH},
    [TENSOR_ATTN_NORM] = {"model.layers.%d.input_layernorm.weight", DIM_ONE, DIM_WIDTH},
    [TENSOR_ATTN_Q] = {"model.layers.%d.self_attn.q_proj.weight", DIM_QUERY, DIM_WIDTH},
    [TENSOR_ATTN_K] = {"model.layers.%d.self_attn.k_proj.weight", DIM_KEY_VALUE, DIM_WIDTH},
    [TENSOR_ATTN_V] = {"model.layers.%d.self_attn.v_proj.weight", DIM_KEY_VALUE, DIM_WIDTH},
    [TENSOR_ATTN_O] = {"model.layers.%d.self_attn.o_proj.weight", DIM_WIDTH, DIM_QUERY},
    [TENSOR_MLP_NORM] = {"model.layers.%d.post_attention_layernorm.weight", DIM_ONE, DIM_WIDTH},
    [TENSOR_MLP_GATE] = {"model.layers.%d.mlp.gate_proj.weight", DIM_MLP, DIM_WIDTH},
    [TENSOR_MLP_UP] = {"model.layers.%d.mlp.up_proj.weight", DIM_MLP, DIM_WIDTH},
    [TENSOR_MLP_DOWN] = {"model.layers.%d.mlp.down_proj.weight", DIM_WIDTH, DIM_MLP},
    [TENSOR_FINAL_NORM] = {"model.norm.weight", DIM_ONE, DIM_WIDTH},
    [TENSOR_HEAD] = {"lm_head.weight", DIM_VOCABULARY, DIM_WIDTH},
};

enum {
    ROLES_PER_LAYER = TENSOR_MLP_DOWN - TENSOR_ATTN_NORM + 1,
};

static int dim_size(const struct model_config *c, enum dim dim)
{
    switch (dim) {
    case DIM_ONE:
        return 1;
    case DIM_VOCABULARY:
        return c->vocabulary;
    case DIM_WIDTH:
        return c->width;
    case DIM_QUERY:
        return c->heads * c->head_dim;
    case DIM_KEY_VALUE:
        return c->kv_heads * c->head_dim;
    case DIM_MLP:
        return c->mlp_width;
    }
    UNREACHABLE("unknown dimension");
}

size_t tensor_spec_count(const struct model_config *config)
{
    size_t outside = config->head_tied ? 2 : 3;
    return outside + (size_t)config->layers * ROLES_PER_LAYER;
}

struct tensor_spec tensor_spec_at(const struct model_config *config, size_t index)
{
    ASSERT(index < tensor_spec_count(config));
    size_t layer_tensors = (size_t)config->layers * ROLES_PER_LAYER;
    struct tensor_spec spec = {.layer = -1};
    if (index == 0) {
        spec.role = TENSOR_EMBEDDING;
    } else if (index <= layer_tensors) {
        spec.layer = (int)((index - 1) / ROLES_PER_LAYER);
        spec.role = (enum tensor_role)(TENSOR_ATTN_NORM + (index - 1) % ROLES_PER_LAYER);
    } else {
        spec.role = index == layer_tensors + 1 ? TENSOR_FINAL_NORM : TENSOR_HEAD;
    }
    const struct role_row *row = &roles[spec.role];
    const char *mark = row->name;
    size_t used = 0;
    for (; *mark != '\0' && *mark != '%'; mark++)
        spec.name[used++] = *mark;
    if (*mark == '%')
        snprintf(spec.name + used, sizeof spec.name - used, "%d%s", spec.layer, mark + 2);
    spec.rows = dim_size(config, row->rows);
    spec.cols = dim_size(config, row->cols);
    spec.is_vector = row->rows == DIM_ONE;
    return spec;
}

size_t tensor_spec_elements(const struct tensor_spec *spec)
{
    return (size_t)spec->rows * (size_t)spec->cols;
}
