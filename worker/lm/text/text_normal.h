/* What happens to text before it is cut into words: repair of bytes that are not UTF-8, Unicode's
 * normal form C (UAX #15, through utf8proc), and SentencePiece's marked spaces. */
#ifndef TRIAD_TEXT_NORMAL_H
#define TRIAD_TEXT_NORMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "str.h"
#include "text_map.h"

/* Each of these makes `out` (begun by the caller) out of `text` and returns true, or returns false
 * and leaves `out` alone when there is nothing to change. */

/* U+FFFD for every maximal ill-formed subpart; `*replaced` counts them up. */
bool text_repair(struct str text, struct text_map *out, size_t *replaced);

/* Work space of text_nfc(); zero-initialise, free with nfc_space_release(). */
struct nfc_space {
    int32_t *codepoints;
    size_t cap;
};
void nfc_space_release(struct nfc_space *space);

/* Normal form C of well-formed text, in time O(n log n) whatever the text. */
bool text_nfc(struct str text, struct nfc_space *space, struct text_map *out);

/* A space for every U+2581, and one in front if `prepend` and there is text. (Tokenizers of this
 * kind write every space as U+2581; inside this program it is a space, which takes one byte.) The
 * one in front has the place of the first byte, as the reference library has it. */
bool text_join_marks(struct str text, bool prepend, struct text_map *out);

#endif
