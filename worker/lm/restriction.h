/* Answers bounded to a set of tokens: all other tokens lose MODEL_FORBIDDEN before the softmax. */
#ifndef TRIAD_RESTRICTION_H
#define TRIAD_RESTRICTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "corpus.h"
#include "err.h"
#include "tokenizer.h"

/* Most tokens that restriction_automatic() takes for a set of answers. */
#define RESTRICTION_TOKENS_MAX 30

struct restriction {
    /* A flag per id, of the model's rows and of the tokenizer's entries: either may have more.
     * free() it. */
    uint8_t *allowed;
    size_t token_count;
};

/* Allow every token that has a loss anywhere in the corpus, with `terminators` also those that end
 * answers. ERR_INVALID when these are more than RESTRICTION_TOKENS_MAX: such answers are no set. */
NODISCARD enum err_code restriction_automatic(struct corpus *corpus, int32_t vocabulary,
                                              bool terminators, struct restriction *out,
                                              struct err *err);
/* Allow the first token of each text, with `prefix` before it (" " where answers begin with a
 * space). ERR_INVALID when two texts begin alike. */
NODISCARD enum err_code restriction_listed(struct corpus *corpus, struct tokenizer *tokenizer,
                                           int32_t vocabulary, const char *const *texts,
                                           size_t count, const char *prefix, bool terminators,
                                           struct restriction *out, struct err *err);

/* Both take the loss from every token of the corpus that is not allowed, and say ERR_INVALID when
 * an answer has none left. */

#endif
