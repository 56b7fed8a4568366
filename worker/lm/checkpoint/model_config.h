/* The shape of a model: what config.json of a Hugging Face folder says, as far as it changes the
 * computation. */
#ifndef TRIAD_MODEL_CONFIG_H
#define TRIAD_MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"
#include "str.h"

enum model_kind {
    MODEL_LLAMA, /* Llama 3.x */
    MODEL_QWEN3,
    MODEL_GEMMA3,
    MODEL_KIND_COUNT,
};

/* How RoPE's frequencies are stretched for contexts longer than the first training's
 * (model_rope.c).
 */
enum rope_scaling {
    ROPE_UNSCALED,
    ROPE_LINEAR, /* all, by rope_factor */
    ROPE_LLAMA3, /* the slow ones */
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
    enum rope_scaling rope_scaling;
    double rope_factor;                       /* when scaled: at least 1 */
    double rope_low_factor, rope_high_factor; /* ROPE_LLAMA3: low_freq_factor, high_freq_factor */
    int rope_original_context;                /* ROPE_LLAMA3: original_max_position_embeddings */
    /* Of families with windows (model_family.h), 0 in the others: */
    int window;              /* tokens that a windowed layer sees, itself included */
    int window_period;       /* sliding_window_pattern: every so many layers one sees everything */
    int query_scalar;        /* query_pre_attn_scalar: scores are divided by its root */
    double rope_local_theta; /* rope_local_base_freq: of the windowed layers, never scaled */
    double norm_eps;
    bool head_tied; /* the output head is the embedding */
    int bos_id;     /* -1: none */
    int eos_count;
    int eos_ids[MODEL_EOS_MAX];
};

/* Plain defaults of the Llama family for models made here (theta 10,000, eps 1e-5, tied head, no
 * bos or eos, sizes 0).
 */
struct model_config model_config_default(void);

/* Do the numbers fit together and stay within bounds? The text names the key and both numbers. */
NODISCARD enum err_code model_config_check(const struct model_config *config, struct err *err);

/* Read the text of a config.json, of a multimodal model its text half. `source` (a path) is for
 * messages. Keys that would change the computation in a way we do not implement (attention_bias,
 * attn_logit_softcapping, …) are refused by name with ERR_INVALID; keys without influence on the
 * forward pass are ignored. */
NODISCARD enum err_code model_config_parse(struct model_config *config_out, const char *text,
                                           size_t len, const char *source, struct err *err);

/* Append the config.json that transformers would write for this model; equal configurations give
 * equal bytes. */
void model_config_print(const struct model_config *config, struct strbuf *out);

/* What attention scores are multiplied by: 1 / sqrt(query_scalar or head_dim). */
double model_config_score_scale(const struct model_config *config);

/* All parameters of the model, counted once when the head is tied. */
size_t model_config_parameters(const struct model_config *config);

#endif
