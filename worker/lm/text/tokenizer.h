/* Text to token ids and back, for tokenizers stored as Hugging Face's tokenizer.json.
 *
 * Two kinds are supported, both byte-pair merging (bpe.h):
 *   byte level    words cut by a pattern (text_split.h), symbols are bytes (Llama 3, Qwen)
 *   byte fallback spaces are written U+2581, symbols are characters, unknown ones their bytes
 *                 <0x00>…<0xFF> (Gemma, Llama 2)
 * with the normalizers, decoders and templates of tokenizer_layout.c. Anything else in a file is
 * refused by name.
 *
 * Text that is not UTF-8 is repaired first: U+FFFD for each maximal ill-formed subpart
 * (tokenizer_replaced() counts them). decode(encode(x)) is x for byte level without normalizer, and
 * the normal form of x for the others. Plain text never yields a token that controls (a special
 * one, or one that is only in added_tokens), whatever it says: those come from tokenizer_special(),
 * or from text that is asked to give them. */
#ifndef TRIAD_TOKENIZER_H
#define TRIAD_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "added_tokens.h"
#include "err.h"
#include "str.h"
#include "text_map.h"

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

/* Where tokens come from: a place in the text for each. Zero-initialise; free with
 * place_list_release(). */
struct place_list {
    struct text_place *places;
    size_t count;
    size_t cap;
};

void place_list_release(struct place_list *list);
void place_list_append(struct place_list *list, struct text_place place);

/* Read the text of a tokenizer.json. `source` (a path) is for messages. ERR_CORRUPT when it is not
 * JSON or contradicts itself, ERR_INVALID when it asks for what we do not do. The caller frees with
 * tokenizer_free(), which accepts NULL. */
NODISCARD enum err_code tokenizer_parse(const char *text, size_t len, const char *source,
                                        struct tokenizer **tokenizer_out, struct err *err);
/* Read a file tokenizer.json, or a folder with tokenizer.json and (for the names of the tokens that
 * begin and end a text) tokenizer_config.json. Large ones leave their tables in the user's cache
 * folder, and are there in no time when they are read again (tokenizer_cache.h). */
NODISCARD enum err_code tokenizer_load(const char *path, struct tokenizer **tokenizer_out,
                                       struct err *err);
void tokenizer_free(struct tokenizer *tokenizer);

/* Append the ids of `text` (any bytes) to `list`. ERR_INVALID above 512 MiB. */
NODISCARD enum err_code tokenizer_encode(struct tokenizer *tokenizer, struct str text,
                                         struct token_list *list, struct err *err);
/* The same with a choice of the added tokens that text can give, and with the place in `text` (in
 * bytes, whole characters) that each id stands for, unless `places` is NULL. Tokens that are parts
 * of one character have its place. */
NODISCARD enum err_code tokenizer_encode_with(struct tokenizer *tokenizer, struct str text,
                                              enum added_policy policy, struct token_list *list,
                                              struct place_list *places, struct err *err);
/* How many ids tokenizer_encode() would append. */
NODISCARD enum err_code tokenizer_count(struct tokenizer *tokenizer, struct str text,
                                        size_t *count_out, struct err *err);
/* How often U+FFFD has taken the place of bytes that were not UTF-8, since the tokenizer was made:
 * for callers that say so once. */
size_t tokenizer_replaced(const struct tokenizer *tokenizer);

/* Append the bytes of the tokens; special tokens give their text. A decoder that strips drops the
 * space in front of the very first token, as its encoder put it there. ERR_INVALID for an id
 * outside the vocabulary. */
NODISCARD enum err_code tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids,
                                         size_t count, struct strbuf *out, struct err *err);
/* The same as text: bytes that are not UTF-8 become U+FFFD as the reference library has it (per
 * maximal subpart; with byte fallback one for each byte of a run of byte tokens that is not UTF-8).
 * With `skip_special`, special tokens give nothing. */
NODISCARD enum err_code tokenizer_decode_text(const struct tokenizer *tokenizer, const int32_t *ids,
                                              size_t count, bool skip_special, struct strbuf *out,
                                              struct err *err);
/* The bytes of one token, nothing dropped; `id` must be in the vocabulary. Borrowed. */
struct str tokenizer_token(const struct tokenizer *tokenizer, int32_t id);

/* Ids are 0 … vocabulary - 1. */
int32_t tokenizer_vocabulary(const struct tokenizer *tokenizer);
/* The added token with exactly this text, as in "<|eot_id|>", or TOKEN_NONE. */
int32_t tokenizer_special(const struct tokenizer *tokenizer, const char *text);
/* Does it control: is it special, or only in added_tokens? Never from plain text. */
bool tokenizer_is_special(const struct tokenizer *tokenizer, int32_t id);
/* Tokens that begin and end a text, or TOKEN_NONE. */
int32_t tokenizer_bos(const struct tokenizer *tokenizer);
int32_t tokenizer_eos(const struct tokenizer *tokenizer);
/* Does the file's template put the beginning token in front of every text? */
bool tokenizer_adds_bos(const struct tokenizer *tokenizer);

/* Could this be added? ERR_CONFLICT when there is a token of this text, special or not; ERR_INVALID
 * when the text is empty, not UTF-8 or too long; ERR_LIMIT when the vocabulary is full. */
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
