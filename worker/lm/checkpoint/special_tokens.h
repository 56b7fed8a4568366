/* Special tokens in the embedding (and the head, when it is a matrix of its own). */
#ifndef TRIAD_SPECIAL_TOKENS_H
#define TRIAD_SPECIAL_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "checkpoint.h"
#include "err.h"
#include "str.h"

struct tokenizer;

/* Append those of the named special tokens that the tokenizer lacks, each with a new row: the mean
 * of the existing rows plus normal noise of a hundredth of their spread (Hewitt 2021, "Initializing
 * new word embeddings for pretrained language models": the mean keeps the new tokens from taking
 * probability out of proportion). The noise depends on seed and token text only. Rows beyond the
 * tokenizer that a padded vocabulary has are used first; otherwise `weights` (config, specs and
 * values) is replaced by a larger block. Appends the names that were added to `added`, one per
 * line. ERR_CONFLICT when a plain token has the name; then nothing changes. */
NODISCARD enum err_code special_tokens_append(struct checkpoint_weights *weights,
                                              struct tokenizer *tokenizer, const char *const *names,
                                              size_t count, uint64_t seed, struct strbuf *added,
                                              struct err *err);

/* Has every token a row among `rows`? Special tokens at the end may be without: the tokenizer of
 * Gemma 3's text-only models knows one for images. */
bool special_tokens_fit(const struct tokenizer *tokenizer, int rows);

/* How many of the named tokens special_tokens_append() would append; ERR_CONFLICT as there. */
NODISCARD enum err_code special_tokens_missing(const struct tokenizer *tokenizer,
                                               const char *const *names, size_t count,
                                               int *missing_out, struct err *err);

/* A model with its tokenizer, for copying between two. */
struct special_tokens_side {
    struct checkpoint_weights *weights;
    const struct tokenizer *tokenizer;
};

/* Copy the rows of special tokens between models by token text: embedding, and head when the target
 * has one (from the source's head, or its embedding when that is tied). `names` NULL: every special
 * token that both have. Appends the names that were copied to `copied`, one per line, with
 * both ids where the tokenizers number them differently. ERR_INVALID when the widths differ, or a
 * name is missing on either side; then nothing changes. */
NODISCARD enum err_code special_tokens_copy(struct special_tokens_side to,
                                            struct special_tokens_side from,
                                            const char *const *names, size_t count,
                                            struct strbuf *copied, struct err *err);

#endif
