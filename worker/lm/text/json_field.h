/* Reading members of a JSON object with messages that name the file and the key. */
#ifndef TRIAD_JSON_FIELD_H
#define TRIAD_JSON_FIELD_H

#include <stdbool.h>

#include <jansson.h>

#include "err.h"

/* An object and where it came from, for messages: "config.json 'path': key 'x' …". */
struct json_source {
    const json_t *object;
    const char *path;
};

/* Parse text whose root must be an object; duplicate keys are refused. ERR_CORRUPT with line and
 * column otherwise. The caller json_decref()s `*root_out`. */
NODISCARD enum err_code json_parse_object(const char *text, size_t len, const char *path,
                                          json_t **root_out, struct err *err);

/* The object as indented text, every number the same when it is read again, in 15 digits where all
 * of them fit; free() it. */
char *json_print_object(const json_t *root);

/* Each reads one member into `*out`. With `required` false, a missing or null member leaves `*out`
 * as it was. ERR_INVALID when the type or the range (both ends included) is wrong. */
NODISCARD enum err_code json_field_int(struct json_source from, const char *key, bool required,
                                       int min, int max, int *out, struct err *err);
NODISCARD enum err_code json_field_double(struct json_source from, const char *key, bool required,
                                          double *out, struct err *err);
NODISCARD enum err_code json_field_bool(struct json_source from, const char *key, bool required,
                                        bool *out, struct err *err);
/* `*out` is borrowed from the object. */
NODISCARD enum err_code json_field_string(struct json_source from, const char *key, bool required,
                                          const char **out, struct err *err);

#endif
