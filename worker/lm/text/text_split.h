/* The pre-tokenizer: cuts text into words that merges never cross. */
#ifndef TRIAD_TEXT_SPLIT_H
#define TRIAD_TEXT_SPLIT_H

#include <stddef.h>

#include "err.h"
#include "str.h"

/* A table of the patterns that real tokenizers use: only what is tested against its original is
 * accepted, because regular-expression dialects differ in what \s and case folding mean. */
enum split_pattern {
    SPLIT_DIGITS_ONE,   /* letters, single digits, punctuation, white space (Qwen 2 and 3) */
    SPLIT_DIGITS_THREE, /* the same with digits in groups of up to three (Llama 3) */
    SPLIT_PATTERN_COUNT,
};

struct text_split;

/* The pattern as it stands in tokenizer.json. */
const char *split_pattern_regex(enum split_pattern pattern);
/* Which pattern a regular expression is; ERR_INVALID for one that is not in the table. */
NODISCARD enum err_code split_pattern_find(const char *regex, enum split_pattern *pattern_out,
                                           struct err *err);

/* The caller frees with text_split_free() (which accepts NULL). */
NODISCARD enum err_code text_split_new(enum split_pattern pattern, struct text_split **split_out,
                                       struct err *err);
void text_split_free(struct text_split *split);

/* Start on a text, which must stay valid until the last word is taken. */
void text_split_begin(struct text_split *split, struct str text);
/* The next word; `word_out->len` is 0 at the end. The words in order are exactly the text: bytes
 * that are not UTF-8 come as words of their own. One user at a time. */
NODISCARD enum err_code text_split_next(struct text_split *split, struct str *word_out,
                                        struct err *err);

#endif
