/* Text to token ids and back, for tokenizers stored as Hugging Face's tokenizer.json.
 *
 * Two kinds are supported, both byte-pair merging (bpe.h):
 *   byte level   words cut by a pattern (text_split.h), symbols are bytes (GPT-2, Llama 3, Qwen);
 *                decode(encode(x)) == x for any bytes
 *   byte fallback the whole text with U+2581 for each space and one in front (SentencePiece, Llama
 * 2); symbols are characters, unknown ones their bytes <0x00>…<0xFF> Anything else in a file is
 * refused by name. Plain text never yields an added (special) token, whatever it says: special
 * tokens come only from tokenizer_special(). */
#ifndef TRIAD_TOKENIZER_H
#define TRIAD_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "str.h"

#define TOKEN_NONE (-1)

/* A tokenizer holds work space and a cache: one thread at a time. Results never depend on it. */
struct tokenizer;

/* A growing list of ids. Zero-initialise; free with token_list_release(). */
struct token_list {
    int32_t *ids;
    size_t count;
    size_t cap;
};

void token_list_release(struct token_list *list);
void token_list_append(struct token_list *list, const int32_t *ids, size_t count);

/* Read the text of a tokenizer.json. `source` (a path) is for messages. ERR_CORRUPT when it is not
 * JSON or contradicts itself, ERR_INVALID when it asks for what we do not do. The caller frees with
 * tokenizer_free(), which accepts NULL. */
NODISCARD enum err_code tokenizer_parse(const char *text, size_t len, const char *source,
                                        struct tokenizer **tokenizer_out, struct err *err);
/* Read a file tokenizer.json, or a folder with tokenizer.json and (for the names of the tokens that
 * begin and end a text) tokenizer_config.json. */
NODISCARD enum err_code tokenizer_load(const char *path, struct tokenizer **tokenizer_out,
                                       struct err *err);
void tokenizer_free(struct tokenizer *tokenizer);

/* Append the ids of `text` (any bytes) to `list`. ERR_LIMIT above 512 MiB. */
NODISCARD enum err_code tokenizer_encode(struct tokenizer *tokenizer, struct str text,
                                         struct token_list *list, struct err *err);
/* How many ids tokenizer_encode() would append. */
NODISCARD enum err_code tokenizer_count(struct tokenizer *tokenizer, struct str text,
                                        size_t *count_out, struct err *err);
/* Append the bytes of the tokens; special tokens give their text. With byte fallback the space in
 * front of the very first token is dropped, as its encoder put it there. ERR_INVALID for an id
 * outside the vocabulary. */
NODISCARD enum err_code tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids,
                                         size_t count, struct strbuf *out, struct err *err);
/* The bytes of one token, nothing dropped; `id` must be in the vocabulary. Borrowed. */
struct str tokenizer_token(const struct tokenizer *tokenizer, int32_t id);

/* Ids are 0 … vocabulary - 1. */
int32_t tokenizer_vocabulary(const struct tokenizer *tokenizer);
/* The added token with exactly this text, as in "<|eot_id|>", or TOKEN_NONE. */
int32_t tokenizer_special(const struct tokenizer *tokenizer, const char *text);
bool tokenizer_is_special(const struct tokenizer *tokenizer, int32_t id);
/* Tokens that begin and end a text, or TOKEN_NONE. */
int32_t tokenizer_bos(const struct tokenizer *tokenizer);
int32_t tokenizer_eos(const struct tokenizer *tokenizer);

/* Could this be added? ERR_CONFLICT when there is a token of this text, special or not; ERR_INVALID
 * when the text is empty or not UTF-8; ERR_LIMIT when the vocabulary is full. */
NODISCARD enum err_code tokenizer_check_special(const struct tokenizer *tokenizer, const char *text,
                                                struct err *err);
/* Append a special token at the end of the vocabulary, and name its id. */
NODISCARD enum err_code tokenizer_add_special(struct tokenizer *tokenizer, const char *text,
                                              int32_t *id_out, struct err *err);

/* Append the tokenizer.json. Equal tokenizers give equal bytes, and reading them back gives an
 * equal tokenizer. */
void tokenizer_print(const struct tokenizer *tokenizer, struct strbuf *out);
/* Append the tokenizer_config.json that goes with it, for models of `context` tokens. */
void tokenizer_print_config(const struct tokenizer *tokenizer, int context, struct strbuf *out);

#endif
