/* Tokenizers of llama2.c (score-ranked SentencePiece BPE with byte fallback) as tokenizer.json.
 *
 * File: int32 longest entry in bytes, then per token float32 score, int32 length, bytes. Ids 0 to 2
 * are unknown, begin and end of text, 3 to 258 the bytes <0x00> to <0xFF>, the rest is text.
 *
 * Its merging takes the adjacent pair whose joined text has the best score, the leftmost among
 * equals. tokenizer.json knows no scores, but a rank for every pair; only the order of scores
 * matters, so the pairs ranked by the score of what they make give the same tokens, and no file
 * beside tokenizer.json is needed. Two things would break this, and are refused: two texts of equal
 * score (then position decides between different texts), and a text made by two pairs that can
 * share a symbol, as "aaa" of a+aa and aa+a (then position decides between different pairs). Not
 * checked is a text of better score that would join two neighbouring occurrences of a worse one
 * made in two ways (we have seen none); the tests compare with llama2.c's
 * own rule on random text.
 */
#ifndef TRIAD_LLAMA2C_TOKENIZER_H
#define TRIAD_LLAMA2C_TOKENIZER_H

#include <stddef.h>

#include "err.h"

enum { LLAMA2C_UNKNOWN = 0, LLAMA2C_BOS = 1, LLAMA2C_EOS = 2, LLAMA2C_FIRST_BYTE = 3 };

struct tokenizer;

/* Read the content of a tokenizer file. ERR_CORRUPT when it is damaged, ERR_INVALID when ranks
 * cannot express its scores. The caller frees with tokenizer_free(). */
NODISCARD enum err_code llama2c_read_tokenizer(const void *bytes, size_t len, const char *source,
                                               struct tokenizer **tokenizer_out, struct err *err);

#endif
