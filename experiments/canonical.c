#include "canonical.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static int by_key(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void put_text(const json_t *value, struct strbuf *out)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    ASSERT(text != NULL);
    strbuf_puts(out, text);
    free(text);
}

static void put_object(const json_t *value, struct strbuf *out)
{
    json_t *object = json_incref((json_t *)(uintptr_t)value); /* jansson iterates mutables */
    size_t count = json_object_size(object), i = 0;
    const char **keys = calloc(count + 1, sizeof *keys);
    ASSERT(keys != NULL);
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at))
        keys[i++] = json_object_iter_key(at);
    qsort(keys, count, sizeof *keys, by_key);
    strbuf_putc(out, '{');
    for (i = 0; i < count; i++) {
        json_t *key = json_string(keys[i]);
        strbuf_puts(out, i ? "," : "");
        put_text(key, out);
        json_decref(key);
        strbuf_putc(out, ':');
        canonical_json(json_object_get(object, keys[i]), out);
    }
    strbuf_putc(out, '}');
    free(keys);
    json_decref(object);
}

void canonical_json(const json_t *value, struct strbuf *out)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        put_object(value, out);
        return;
    case JSON_ARRAY:
        strbuf_putc(out, '[');
        for (size_t i = 0; i < json_array_size(value); i++) {
            strbuf_puts(out, i ? "," : "");
            canonical_json(json_array_get(value, i), out);
        }
        strbuf_putc(out, ']');
        return;
    case JSON_REAL:
        ASSERT(isfinite(json_real_value(value)));
        strbuf_printf(out, "%.17g", json_real_value(value));
        return;
    case JSON_STRING:
    case JSON_INTEGER:
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
        put_text(value, out);
        return;
    }
    UNREACHABLE("unknown JSON type");
}
