/* UTF-8 as RFC 3629 has it, and GPT-2's spelling of bytes as printable characters. */
#ifndef TRIAD_UTF8_H
#define TRIAD_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Decode the character at the front; returns its length in bytes, 0 when `text` does not start with
 * a well-formed one (overlong, surrogate, above U+10FFFF, cut short, or `len` 0). */
size_t utf8_decode(const char *text, size_t len, uint32_t *codepoint_out);
/* Encode a scalar value; returns 1 to 4. */
size_t utf8_encode(uint32_t codepoint, char out[4]);
/* Length in bytes of the longest well-formed front part. */
size_t utf8_valid_prefix(const char *text, size_t len);
/* Length in bytes of the longest front part that is ASCII. */
size_t utf8_ascii_prefix(const char *text, size_t len);
/* How many bytes U+FFFD takes the place of where no character starts: the maximal subpart of an
 * ill-formed subsequence (Unicode 15 §3.9, D93b and table 3-7), else one byte. `len` > 0. */
size_t utf8_ill_formed(const char *text, size_t len);

/* Byte-level tokenizers store bytes in JSON as characters (Radford et al. 2019, encoder.py of
 * GPT-2, bytes_to_unicode): printable Latin-1 stands for itself, the other 68 bytes for U+0100
 * onward. */
uint32_t byte_spelling(uint8_t byte);
/* The byte a character stands for, or -1. */
int byte_from_spelling(uint32_t codepoint);

#endif
