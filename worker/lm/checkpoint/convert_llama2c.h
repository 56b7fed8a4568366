/* Models of llama2.c (Karpathy) into Hugging Face folders.
 *
 * Weights ("legacy" layout, no magic): seven int32 (width, mlp_width, layers, heads, kv_heads,
 * vocabulary, context; a negative vocabulary means an untied head), then float32: embedding; over
 * all layers attention norms, wq, wk, wv, wo, mlp norms, w1 (gate), w2 (down), w3 (up); final norm;
 * two unused RoPE tables of context × head_dim / 2; the head if untied. RoPE turns the pairs
 * (2i, 2i + 1); Hugging Face's turns (i, i + head_dim / 2), so rows of wq and wk move.
 *
 * The tokenizer file is described in llama2c_tokenizer.h. */
#ifndef TRIAD_CONVERT_LLAMA2C_H
#define TRIAD_CONVERT_LLAMA2C_H

#include <stddef.h>
#include <stdint.h>

#include "checkpoint.h"
#include "err.h"

/* Read the content of a model file; ERR_CORRUPT when its length does not fit its header. Release
 * the result with checkpoint_weights_release(). */
NODISCARD enum err_code llama2c_read_weights(const void *bytes, size_t len, const char *source,
                                             struct checkpoint_weights *weights_out,
                                             struct err *err);
/* Convert both files into a folder, as F32. */
NODISCARD enum err_code llama2c_convert(const char *model_path, const char *tokenizer_path,
                                        const char *folder, struct err *err);

#endif
