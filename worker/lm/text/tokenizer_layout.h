/* How tokenizers are spelled in tokenizer.json: a table of the forms that each part may have, which
 * reader and writer share. */
#ifndef TRIAD_TOKENIZER_LAYOUT_H
#define TRIAD_TOKENIZER_LAYOUT_H

#include <jansson.h>

#include "err.h"
#include "str.h"
#include "text_split.h"
#include "tokenizer_image.h"

/* The key of a part, as in "pre_tokenizer". */
const char *tokenizer_part_key(enum image_part part);
/* Find the form of a part (a normalizer, pre_tokenizer or decoder; NULL stands for null) and add
 * what it means to `*flags`, which has IMAGE_BYTE_FALLBACK set already or not. A pre_tokenizer sets
 * `*pattern`. ERR_INVALID shows a part that has none of our forms. */
NODISCARD enum err_code tokenizer_layout_read(enum image_part part, const json_t *given,
                                              uint32_t *flags, enum split_pattern *pattern,
                                              struct err *err);
/* Check that a post_processor is one of ours: null, ByteLevel (which moves offsets only),
 * TemplateProcessing with at most one token, in front of the text, or a sequence of those.
 * `*before` becomes that token (borrowed from `given`), or stays as it was. */
NODISCARD enum err_code tokenizer_template_read(const json_t *given, const char **before,
                                                struct err *err);
/* Append the texts of PARTS for a tokenizer that was not read from a file. The post_processor is
 * empty: it follows from bos, which may come later. */
void tokenizer_layout_parts(uint32_t flags, enum split_pattern pattern, struct strbuf *out);
/* Append text, which must be UTF-8, as a JSON string with its quotes. */
void tokenizer_layout_quote(struct str text, struct strbuf *out);

#endif
