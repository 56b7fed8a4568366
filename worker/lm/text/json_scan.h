/* Reading large JSON texts (RFC 8259) from front to back without a tree: for vocabularies, where a
 * tree would cost more than all the rest. Small parts are cut out with json_scan_value() and read
 * with json_field.h.
 *
 * Every function fails with ERR_CORRUPT, line and column, and names the source. */
#ifndef TRIAD_JSON_SCAN_H
#define TRIAD_JSON_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "str.h"

struct json_scan {
    struct str text;    /* the whole of it */
    const char *source; /* for messages */
    size_t at;
};

/* The text must be UTF-8: ERR_CORRUPT otherwise. */
NODISCARD enum err_code json_scan_begin(struct json_scan *scan, struct str text, const char *source,
                                        struct err *err);
/* Only white space is left. */
NODISCARD enum err_code json_scan_end(struct json_scan *scan, struct err *err);
/* "line:column: what", which the source's name begins. */
enum err_code json_scan_fault(const struct json_scan *scan, const char *what, struct err *err);

/* An object or list: open it ('{' or '['), then ask for a key or an element until there is none.
 * `*is_first` is the caller's: true before the first call. */
NODISCARD enum err_code json_scan_open(struct json_scan *scan, char bracket, struct err *err);
/* The key is decoded as by json_scan_string(). `*more_out` false: the object is closed. */
NODISCARD enum err_code json_scan_key(struct json_scan *scan, bool *is_first, struct strbuf *room,
                                      struct str *key_out, bool *more_out, struct err *err);
NODISCARD enum err_code json_scan_element(struct json_scan *scan, bool *is_first, bool *more_out,
                                          struct err *err);

/* A string: a view of the text, or of `room` when it has escapes. */
NODISCARD enum err_code json_scan_string(struct json_scan *scan, struct strbuf *room,
                                         struct str *out, struct err *err);
/* A whole number of at most 9 digits. */
NODISCARD enum err_code json_scan_integer(struct json_scan *scan, int32_t *out, struct err *err);
/* Is the next character this one? */
bool json_scan_is(struct json_scan *scan, char character);
/* Pass over one value of any kind, and give its text. Brackets and strings are matched, nothing
 * more: whoever uses the value reads it. ERR_CORRUPT when nested deeper than 64. */
NODISCARD enum err_code json_scan_value(struct json_scan *scan, struct str *raw_out,
                                        struct err *err);

#endif
