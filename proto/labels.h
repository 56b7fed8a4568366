/* Labels: what a worker has and a job may ask for, such as "site=north" or "big". A set of them is
 * a text, comma-separated, sorted, each once; the empty text is the empty set. */
#ifndef TRIAD_LABELS_H
#define TRIAD_LABELS_H

#include <stdbool.h>

#include "err.h"
#include "str.h"

/* Append the set that `text` names: words separated by commas or spaces, in any order, perhaps
 * doubled. A word has letters, digits and _.=-/: only. ERR_INVALID names the wrong word; ERR_LIMIT
 * when the set takes more than NAME_BYTES_MAX. */
NODISCARD enum err_code labels_parse(const char *text, struct strbuf *out, struct err *err);
/* Is every label of the set `wanted` in the set `had`? Both as labels_parse() writes them. */
bool labels_have(const char *had, const char *wanted);

#endif
