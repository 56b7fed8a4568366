/* Members of a JSON object, set without a thought of errors: keys and texts are checked UTF-8, and
 * running out of memory aborts as everywhere. */
#ifndef TRIAD_JSON_MEMBER_H
#define TRIAD_JSON_MEMBER_H

#include <jansson.h>

#include "vocab.h"

void json_member_text(json_t *object, const char *key, const char *text);
/* A text that may hold any bytes, such as a path or an error: what is not UTF-8 becomes '?'. */
json_t *json_shown(const char *text);
void json_member_shown(json_t *object, const char *key, const char *text);
void json_member_integer(json_t *object, const char *key, int64_t value);
/* Finite. */
void json_member_real(json_t *object, const char *key, double value);
/* As lower-case hexadecimal. */
void json_member_digest(json_t *object, const char *key, const struct digest *digest);
/* An object of digests by their names. */
void json_member_digests(json_t *object, const char *key, const struct named_digest *items,
                         size_t count);

#endif
