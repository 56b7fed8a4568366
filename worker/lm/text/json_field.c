#include "json_field.h"

#include <stdlib.h>

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        return "null";
    }
    return "of unknown type";
}

enum err_code json_parse_object(const char *text, size_t len, const char *path, json_t **root_out,
                                struct err *err)
{
    json_error_t fault;
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
    json_t *root = json_loadb(text, len, flags, &fault);
    /* Tokenizers without a limit say "model_max_length": 1000000000000000019884624838656. */
    if (!root && json_error_code(&fault) == json_error_numeric_overflow)
        root = json_loadb(text, len, flags | JSON_DECODE_INT_AS_REAL, &fault);
    if (!root)
        return err_set(err, ERR_CORRUPT, "parse '%s': %d:%d: %s", path, fault.line, fault.column,
                       fault.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return err_set(err, ERR_CORRUPT, "parse '%s': the top level is not an object", path);
    }
    *root_out = root;
    return ERR_OK;
}

char *json_print_object(const json_t *root)
{
    /* 15 digits print 1e-05 as 1e-5, 17 as 1.0000000000000001e-5; but some numbers need them. */
    for (size_t digits = 15;; digits++) {
        char *text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(digits));
        json_t *again = json_loads(text, JSON_ALLOW_NUL, NULL);
        const bool equal = digits == 17 || json_equal(root, again);
        json_decref(again);
        if (equal)
            return text;
        free(text);
    }
}

/* The member, or NULL when it may be absent and is; `*rc` tells a fault from an absence. */
static const json_t *find(struct json_source from, const char *key, bool required,
                          enum err_code *rc, struct err *err)
{
    const json_t *value = json_object_get(from.object, key);
    *rc = ERR_OK;
    if (value && !json_is_null(value))
        return value;
    if (required)
        *rc = err_set(err, ERR_INVALID, "read '%s': key '%s' is missing", from.path, key);
    return NULL;
}

static enum err_code wrong_type(struct json_source from, const char *key, const char *wanted,
                                const json_t *value, struct err *err)
{
    return err_set(err, ERR_INVALID, "read '%s': key '%s' must be %s, not %s", from.path, key,
                   wanted, type_name(value));
}

enum err_code json_field_int(struct json_source from, const char *key, bool required, int min,
                             int max, int *out, struct err *err)
{
    enum err_code rc;
    const json_t *value = find(from, key, required, &rc, err);
    if (!value)
        return rc;
    if (!json_is_integer(value))
        return wrong_type(from, key, "a whole number", value, err);
    json_int_t number = json_integer_value(value);
    if (number < min || number > max)
        return err_set(err, ERR_INVALID,
                       "read '%s': key '%s' is %" JSON_INTEGER_FORMAT
                       ", but must lie between %d and %d",
                       from.path, key, number, min, max);
    *out = (int)number;
    return ERR_OK;
}

enum err_code json_field_double(struct json_source from, const char *key, bool required,
                                double *out, struct err *err)
{
    enum err_code rc;
    const json_t *value = find(from, key, required, &rc, err);
    if (!value)
        return rc;
    if (!json_is_number(value))
        return wrong_type(from, key, "a number", value, err);
    *out = json_number_value(value);
    return ERR_OK;
}

enum err_code json_field_bool(struct json_source from, const char *key, bool required, bool *out,
                              struct err *err)
{
    enum err_code rc;
    const json_t *value = find(from, key, required, &rc, err);
    if (!value)
        return rc;
    if (!json_is_boolean(value))
        return wrong_type(from, key, "true or false", value, err);
    *out = json_is_true(value);
    return ERR_OK;
}

enum err_code json_field_string(struct json_source from, const char *key, bool required,
                                const char **out, struct err *err)
{
    enum err_code rc;
    const json_t *value = find(from, key, required, &rc, err);
    if (!value)
        return rc;
    if (!json_is_string(value))
        return wrong_type(from, key, "a string", value, err);
    *out = json_string_value(value);
    return ERR_OK;
}
