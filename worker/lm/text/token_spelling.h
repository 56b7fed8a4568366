/* How the model's vocabulary in tokenizer.json spells the bytes of a token: byte level as
 * characters of GPT-2's alphabet (utf8.h), byte fallback with U+2581 for a space and <0x0A> for a
 * byte. */
#ifndef TRIAD_TOKEN_SPELLING_H
#define TRIAD_TOKEN_SPELLING_H

#include <stdbool.h>
#include <stdint.h>

#include "str.h"

/* Append the bytes that a spelling stands for; false (and nothing is appended) when it is none.
 * With `is_fallback` `*is_byte` tells whether it is a byte's. */
bool token_unspell(struct str name, bool is_fallback, bool *is_byte, struct strbuf *out);
/* Append the spelling of a token's bytes. */
void token_spell(struct str text, bool is_fallback, bool is_byte, struct strbuf *out);

#endif
