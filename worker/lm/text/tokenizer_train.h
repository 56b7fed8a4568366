/* Learning a byte-level BPE vocabulary from text (Sennrich et al. 2016; Gage 1994): repeatedly
 * merge the most frequent adjacent pair inside words. Counting is in integers and ties go to the
 * smaller token ids, so the result is a function of the multiset of texts. */
#ifndef TRIAD_TOKENIZER_TRAIN_H
#define TRIAD_TOKENIZER_TRAIN_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "str.h"

struct tokenizer;
struct tokenizer_trainer;

/* The special tokens of our own tiny family, in the style of Llama 3; the count is below. */
extern const char *const tokenizer_family_specials[];
enum { TOKENIZER_FAMILY_SPECIALS_COUNT = 5 };

struct tokenizer_train_options {
    int32_t vocabulary; /* wanted in all: 256 bytes, learned entries and special tokens */
    const char *const *specials;
    size_t specials_count;
};

/* Words are cut with single digits (SPLIT_DIGITS_ONE): every number is spelled the same way, digit
 * by digit. The caller frees with tokenizer_trainer_free(), which accepts NULL. */
NODISCARD enum err_code tokenizer_trainer_new(struct tokenizer_trainer **trainer_out,
                                              struct err *err);
void tokenizer_trainer_free(struct tokenizer_trainer *trainer);

/* Count the words of one more piece of text. Memory grows with the distinct words only. After a
 * failure some words of the piece may be counted: give up the trainer. */
NODISCARD enum err_code tokenizer_trainer_add(struct tokenizer_trainer *trainer, struct str text,
                                              struct err *err);

/* How often U+FFFD has taken the place of bytes that were not UTF-8, in all pieces so far. */
size_t tokenizer_trainer_replaced(const struct tokenizer_trainer *trainer);

/* Learn. Ids: 0 … 255 the bytes, then the learned entries in the order of learning, then the
 * special tokens. The vocabulary is smaller than wanted when no pair occurs twice any more (see
 * tokenizer_vocabulary()). Use the trainer once. ERR_INVALID when the wanted vocabulary has no room
 * for bytes and special tokens. */
NODISCARD enum err_code tokenizer_trainer_finish(struct tokenizer_trainer *trainer,
                                                 const struct tokenizer_train_options *options,
                                                 struct tokenizer **tokenizer_out, struct err *err);

#endif
