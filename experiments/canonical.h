/* Canonical JSON: the one byte string for a value, so that its digest can be an identity. Keys
 * sorted bytewise, no spaces, integers as integers, other numbers as %.17g (docs/data.md). */
#ifndef TRIAD_CANONICAL_H
#define TRIAD_CANONICAL_H

#include <jansson.h>

#include "str.h"

/* Append `value`. Numbers must be finite. */
void canonical_json(const json_t *value, struct strbuf *out);

#endif
