/* Lines of text that are hard for tokenizers: many scripts, emoji and their joiners, combining
 * marks in any order, Hangul jamo, white space, digits, code, NUL, CR LF, the names of special
 * tokens, and bytes that are not UTF-8. The same lines every time: goldens are made of them. */
#ifndef TRIAD_HARD_TEXT_H
#define TRIAD_HARD_TEXT_H

#include <stdint.h>

#include "str.h"

enum {
    HARD_LINES = 12000,
    HARD_ID_LISTS = 2000,
    HARD_IDS = 24, /* in each */
};

/* Make line `number` of HARD_LINES into `out`, which is emptied first. */
void hard_text_line(uint32_t number, struct strbuf *out);
/* Fill in list `number` of HARD_ID_LISTS for a vocabulary of this size. */
void hard_text_ids(uint32_t number, uint32_t vocabulary, int32_t ids[HARD_IDS]);

#endif
