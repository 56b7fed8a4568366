/* How each kind of tokenizer is spelled in tokenizer.json: reader and writer share these texts. */
#ifndef TRIAD_TOKENIZER_LAYOUT_H
#define TRIAD_TOKENIZER_LAYOUT_H

#include "tokenizer_impl.h"

struct tokenizer_layout {
    const char *normalizer;
    const char *pre_tokenizer; /* %s stands for the pattern, as a JSON string */
    const char *decoder;
    bool byte_fallback;
};

const struct tokenizer_layout *tokenizer_layout(enum tokenizer_kind kind);
/* Append the pre_tokenizer of a tokenizer with its pattern filled in. */
void tokenizer_layout_pre_tokenizer(enum tokenizer_kind kind, enum split_pattern pattern,
                                    struct strbuf *out);
/* Append text, which must be UTF-8, as a JSON string with its quotes. */
void tokenizer_layout_quote(struct str text, struct strbuf *out);

#endif
