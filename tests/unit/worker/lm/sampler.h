/* Continuing a text token by token, with a cache of keys and values and attention in double: the
 * plain way, with which the tests compare what the product does with many texts at once (branch.h).
 */
#ifndef TRIAD_TEST_SAMPLER_H
#define TRIAD_TEST_SAMPLER_H

#include <stdint.h>

#include "err.h"
#include "model.h"
#include "sample_draw.h"

/* A text being continued. */
struct sampler;

/* For texts up to the model's context; memory for keys and values grows with the text. `model` is
 * borrowed and must outlive the sampler; free with sampler_free(), which accepts NULL. */
NODISCARD enum err_code sampler_new(const struct model *model, const struct sample_options *options,
                                    struct sampler **sampler_out, struct err *err);
void sampler_free(struct sampler *sampler);

/* Read further tokens. ERR_LIMIT when the context or the memory is full, ERR_INVALID for an id
 * outside the vocabulary. */
NODISCARD enum err_code sampler_feed(struct sampler *sampler, const int32_t *ids, size_t count,
                                     struct err *err);
/* Choose the next token from what was fed so far (at least one token), without feeding it. */
int32_t sampler_choose(struct sampler *sampler);
/* Logits of the next token, `vocabulary` values; borrowed until the next feed. */
const float *sampler_logits(const struct sampler *sampler);

#endif
