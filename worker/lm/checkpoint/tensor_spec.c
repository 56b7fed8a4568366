#include "tensor_spec.h"

#include <stdio.h>

#include "check.h"
#include "model_family.h"

/* Names in transformers that all families share. */
static const struct family_tensor embedding = {TENSOR_EMBEDDING, "model.embed_tokens.weight",
                                               DIM_VOCABULARY, DIM_WIDTH};
static const struct family_tensor final_norm = {TENSOR_FINAL_NORM, "model.norm.weight", DIM_ONE,
                                                DIM_WIDTH};
static const struct family_tensor head = {TENSOR_HEAD, "lm_head.weight", DIM_VOCABULARY, DIM_WIDTH};

static int dim_size(const struct model_config *c, enum tensor_dim dim)
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
    case DIM_HEAD:
        return c->head_dim;
    case DIM_MLP:
        return c->mlp_width;
    }
    UNREACHABLE("unknown dimension");
}

size_t tensor_spec_count(const struct model_config *config)
{
    size_t outside = config->head_tied ? 2 : 3;
    return outside + (size_t)config->layers * model_family(config->kind)->layer_tensor_count;
}

struct tensor_spec tensor_spec_at(const struct model_config *config, size_t index)
{
    ASSERT(index < tensor_spec_count(config));
    const struct model_family *family = model_family(config->kind);
    const size_t per_layer = family->layer_tensor_count;
    const size_t layer_tensors = (size_t)config->layers * per_layer;
    struct tensor_spec spec = {.layer = -1};
    const struct family_tensor *row;
    if (index == 0) {
        row = &embedding;
    } else if (index <= layer_tensors) {
        spec.layer = (int)((index - 1) / per_layer);
        row = &family->layer_tensors[(index - 1) % per_layer];
    } else {
        row = index == layer_tensors + 1 ? &final_norm : &head;
    }
    if (spec.layer < 0)
        snprintf(spec.name, sizeof spec.name, "%s", row->name);
    else
        snprintf(spec.name, sizeof spec.name, "model.layers.%d.%s", spec.layer, row->name);
    spec.role = row->role;
    spec.rows = dim_size(config, row->rows);
    spec.cols = dim_size(config, row->cols);
    spec.is_vector = row->rows == DIM_ONE;
    return spec;
}

size_t tensor_spec_elements(const struct tensor_spec *spec)
{
    return (size_t)spec->rows * (size_t)spec->cols;
}
