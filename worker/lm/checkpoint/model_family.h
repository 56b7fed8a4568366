/* What makes one family of models differ from another: one description each, in family_NAME.c, and
 * one row each in the table of model_family.c. docs/adding-a-family.md shows how to add one. */
#ifndef TRIAD_MODEL_FAMILY_H
#define TRIAD_MODEL_FAMILY_H

#include <stdbool.h>
#include <stddef.h>

#include "model_config.h"
#include "tensor_spec.h"

/* The MLP's gate: act(Gate x) * Up x. */
enum model_gate {
    GATE_SILU,      /* swiglu of kernels.h */
    GATE_GELU_TANH, /* geglu */
};

/* A tensor of a layer as a checkpoint holds it. */
struct family_tensor {
    enum tensor_role role;
    const char *name; /* behind "model.layers.N." */
    enum tensor_dim rows, cols;
};

struct model_family {
    const char *name;         /* "gemma3": `kind` of a manifest's architecture */
    const char *model_type;   /* of config.json */
    const char *wrapper_type; /* model_type of a config.json that has ours in its `text_config`, the
                                 text half of a multimodal model; NULL: there is none */
    const char *architecture; /* "Gemma3ForCausalLM" */

    /* What config.json may leave out. Sizes that are 0 here must be there, but for key/value heads
     * (as many as heads) and head_dim (width / heads). */
    struct model_config defaults;
    /* Keys that the family reads or that mean nothing to it, though other families' configurations
     * are refused for them (model_config.c); ended by NULL. */
    const char *const *reads;
    const char *activation_key;     /* "hidden_act" */
    const char *const *activations; /* its values that mean `gate`, the one to print first */
    bool windows;                   /* some layers see a sliding window only */

    /* The computation (model_layer.h). */
    enum model_gate gate;
    bool head_norms;      /* RMSNorm of each head's q and k before RoPE */
    bool branch_norms;    /* RMSNorm of what attention and MLP add to the stream */
    bool embedding_scale; /* embeddings times the width's root, rounded to bf16 */
    double norm_base;     /* norms multiply by this plus their weight: 0 or 1 */

    /* Files. A layer's first tensor is its TENSOR_ATTN_NORM; q, k, v follow each other. */
    const struct family_tensor *layer_tensors;
    size_t layer_tensor_count;
    /* Other beginnings of tensor names: "model." may read "language_model.model."; pairs, ended by
     * NULL. */
    const char *const (*spellings)[2];
    /* Beginnings of names that hold other parts of a multimodal model; ended by NULL. */
    const char *const *other_parts;
};

extern const struct model_family family_llama, family_qwen3, family_gemma3;

const struct model_family *model_family(enum model_kind kind);
/* The kind with this name ("llama"). ERR_INVALID naming those there are. */
NODISCARD enum err_code model_kind_find(const char *name, enum model_kind *kind_out,
                                        struct err *err);

/* What embeddings are multiplied by: 1, or the width's root rounded to bf16 as the original, which
 * computes in bf16, does. */
double model_embedding_scale(const struct model_config *config);
/* Does this layer see a sliding window only? */
bool model_layer_is_windowed(const struct model_config *config, int layer);

#endif
