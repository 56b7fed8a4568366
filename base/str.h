/* Strings: a borrowed view, a growing buffer, and "did you mean". */
#ifndef TRIAD_STR_H
#define TRIAD_STR_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

/* A borrowed piece of text, not NUL-terminated; valid as long as what it points into. */
struct str {
    const char *data;
    size_t len;
};

struct str str_from(const char *text);
bool str_equal(struct str a, struct str b);

/* Well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF)? */
bool str_is_utf8(const char *text, size_t len);
/* `len` without the bytes of a character that is cut off at the end: for UTF-8 text made shorter.
 */
size_t str_whole_characters(const char *text, size_t len);

/* Bytes of the control character that `text` begins with, 0 for any other: C0, DEL, and the C1 of
 * U+0080 … U+009F, which terminals obey too (U+009B begins a sequence as ESC [ does). */
size_t str_control_bytes(const char *text);

/* Columns that UTF-8 text takes on a terminal: combining marks none, the CJK blocks and emoji two.
 * Good enough for names; no locale is asked. */
size_t str_columns(const char *text);
/* Bytes of `text` that fit into so many columns, and how many columns these take. */
size_t str_fit(const char *text, size_t columns_max, size_t *columns_out);

/* A growing byte buffer, always NUL-terminated after the first append. Zero-initialise it; free
 * with strbuf_release(). Allocation failure aborts (bound outside input before appending). */
struct strbuf {
    char *data;
    size_t len;
    size_t cap;
};

void strbuf_release(struct strbuf *b);
void strbuf_clear(struct strbuf *b); /* keeps the memory */
void strbuf_reserve(struct strbuf *b, size_t extra);
void strbuf_append(struct strbuf *b, const void *bytes, size_t len);
void strbuf_puts(struct strbuf *b, const char *text);
void strbuf_putc(struct strbuf *b, char c);
/* Append text that somebody else wrote, fit for messages and terminals: control characters (but
 * tabs) and whatever is not UTF-8 become '?'. */
void strbuf_append_clean(struct strbuf *b, const char *bytes, size_t len);
void strbuf_printf(struct strbuf *b, const char *format, ...) PRINTF(2, 3);
/* The buffer's text, never NULL; borrowed until the next change. */
const char *strbuf_text(const struct strbuf *b);
/* Give the memory to the caller (free() it); the buffer is empty again. Never NULL. */
char *strbuf_take(struct strbuf *b);

/* The candidate nearest to `word`, or NULL when none is near enough to be a likely typing slip
 * (distance at most 1 + len/3). `candidates` holds `count` strings. */
const char *str_did_you_mean(const char *word, const char *const *candidates, size_t count);

/* Whole-string parse of a decimal number; false on anything else (also on overflow, or a non-finite
 * double). The output is untouched on failure. */
bool str_to_i64(const char *text, long long *out);
bool str_to_double(const char *text, double *out);
/* "HOST" or "HOST:PORT"; the port is 0 when it is not said. False when the host is empty, too long
 * or has blanks or slashes, or the port is none. */
bool str_host_port(const char *text, char *host, size_t host_size, long long *port_out);
/* Glob with * and ? over the whole of `text`. */
bool str_glob(const char *pattern, const char *text);

#endif
