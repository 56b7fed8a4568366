/* The shape of a model: what config.json of a Hugging Face folder says, as far as it changes the
 * computation. */
#ifndef TRIAD_MODEL_CONFIG_H
#define TRIAD_MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"
#include "str.h"

enum model_kind {
    MODEL_LLAMA, /* LlamaForCausalLM: RMSNorm, RoPE (half-split), grouped-query attention, SwiGLU */
    MODEL_KIND_COUNT,
};

enum { MODEL_EOS_MAX = 8 };

/* Every bound is checked by model_config_check(): a valid configuration cannot make a size product
 * overflow. */
struct model_config {
    enum model_kind kind;
    int layers;
    int width;     /* hidden_size */
    int heads;     /* query heads */
    int kv_heads;  /* key/value heads; divides heads */
    int head_dim;  /* even; heads * head_dim need not equal width */
    int mlp_width; /* intermediate_size */
    int vocabulary;
    int context; /* longest sequence, in tokens */
    double rope_theta;
    double norm_eps;
    bool head_tied; /* the output head is the embedding */
    int bos_id;     /* -1: none */
    int eos_count;
    int eos_ids[MODEL_EOS_MAX];
};

/* Plain defaults of the Llama family (theta 10,000, eps 1e-5, tied head, no bos or eos, sizes 0).
 */
struct model_config model_config_default(void);

/* Do the numbers fit together and stay within bounds? The text names the key and both numbers. */
NODISCARD enum err_code model_config_check(const struct model_config *config, struct err *err);

/* Read the text of a config.json. `source` (a path) is for messages. Keys that would change the
 * computation in a way we do not implement (rope_scaling, attention_bias, sliding_window, …) are
 * refused by name with ERR_INVALID; keys without influence on the forward pass are ignored. */
NODISCARD enum err_code model_config_parse(struct model_config *config_out, const char *text,
                                           size_t len, const char *source, struct err *err);

/* Append the config.json that transformers would write for this model; equal configurations give
 * equal bytes. */
void model_config_print(const struct model_config *config, struct strbuf *out);

/* All parameters of the model, counted once when the head is tied. */
size_t model_config_parameters(const struct model_config *config);

#endif
