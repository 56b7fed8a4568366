/* Reading and writing files of keys; for the files of this folder that hold them. */
#ifndef TRIAD_NET_KEYS_INTERNAL_H
#define TRIAD_NET_KEYS_INTERNAL_H

#include <stddef.h>

#include <jansson.h>

#include "err.h"
#include "net_keys.h"

/* The JSON object in `bytes` that says `marker`: 1. json_decref() it. `name` is what errors call
 * the text. */
NODISCARD enum err_code net_key_parse_object(const char *bytes, size_t len, const char *name,
                                             const char *marker, json_t **out, struct err *err);
/* Copy the text of `key` into `out` (`out_bytes` with NUL). */
NODISCARD enum err_code net_key_take_text(json_t *object, const char *name, const char *key,
                                          char *out, size_t out_bytes, struct err *err);
/* The same for a key: 40 Z85 characters. */
NODISCARD enum err_code net_key_take_key(json_t *object, const char *name, const char *key,
                                         char out[41], struct err *err);

#endif
