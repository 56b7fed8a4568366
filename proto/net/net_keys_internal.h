/* Reading and writing files of keys; for the files of this folder that hold them. */
#ifndef TRIAD_NET_KEYS_INTERNAL_H
#define TRIAD_NET_KEYS_INTERNAL_H

#include <stddef.h>

#include <jansson.h>

#include "err.h"
#include "net_keys.h"

/* Create `path` with mode 0600, durably; ERR_CONFLICT when it is there: it never replaces. */
NODISCARD enum err_code net_key_write_new(const char *path, const char *text, struct err *err);
/* Read a file that holds a secret: ERR_DENIED when others may read it. Give the text to
 * net_key_forget(). */
NODISCARD enum err_code net_key_read_secret(const char *path, char **text_out, size_t *len_out,
                                            struct err *err);
/* Overwrite and free a text that held a secret; accepts NULL. */
void net_key_forget(char *text, size_t len);

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
/* Write a pair as `path`, by net_key_write_new(). */
NODISCARD enum err_code net_key_write_pair(const char *path, const struct net_key_pair *pair,
                                           struct err *err);

#endif
