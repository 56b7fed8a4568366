#include "fields.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "quantity.h"

enum { KEYS_MAX = 64, NAME_MAX_BYTES = 64 };

/* What is being read, for messages. */
struct place {
    struct yaml_doc *doc;
    const char *what;
};

static const char *kind_text(const struct yaml_node *node)
{
    static const char *const names[] = {"a text", "a list", "a mapping"};
    return yaml_is_null(node) ? "nothing" : names[node->kind];
}

bool field_is_name(const char *text)
{
    size_t len = strlen(text);
    return len > 0 && len <= NAME_MAX_BYTES && text[0] != '.' &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") == len;
}

char *fields_suggest(const char *word, const char *const *candidates, size_t count, char *out,
                     size_t size)
{
    const char *near = str_did_you_mean(word, candidates, count);
    if (near) {
        snprintf(out, size, ", did you mean '%s'?", near);
        return out;
    }
    size_t len = (size_t)snprintf(out, size, "; known are");
    for (size_t i = 0; i < count; i++) {
        bool fits = len + strlen(candidates[i]) + sizeof ", ..." + 1 < size;
        len += (size_t)snprintf(out + len, size - len, "%s %s", i ? "," : "",
                                fits ? candidates[i] : "...");
        if (!fits)
            break;
    }
    return out;
}

static const struct field *find(const struct field_table *table, const char *key)
{
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(table->fields[i].key, key) == 0)
            return &table->fields[i];
    }
    return NULL;
}

static enum err_code unknown_key(const struct place *at, const struct field_table *table,
                                 const struct yaml_node *key, struct err *err)
{
    const char *keys[KEYS_MAX];
    char hint[300];
    ASSERT(table->count <= KEYS_MAX);
    for (size_t i = 0; i < table->count; i++)
        keys[i] = table->fields[i].key;
    fields_suggest(key->text, keys, table->count, hint, sizeof hint);
    return yaml_fail(at->doc, key, err, "unknown key '%.64s' in %s%s", key->text, at->what, hint);
}

static enum err_code wants(const struct place *at, const struct field *f,
                           const struct yaml_node *node, const char *wanted, struct err *err)
{
    if (node->kind == YAML_SCALAR && !yaml_is_null(node))
        return yaml_fail(at->doc, node, err, "'%s' must be %s, not '%.64s'", f->key, wanted,
                         node->text);
    return yaml_fail(at->doc, node, err, "'%s' must be %s, not %s", f->key, wanted,
                     kind_text(node));
}

static enum err_code read_text(const struct place *at, const struct field *f,
                               const struct yaml_node *node, const char **out, struct err *err)
{
    if (node->kind != YAML_SCALAR || yaml_is_null(node) || node->text[0] == '\0')
        return wants(at, f, node, "a text", err);
    if (f->kind == FIELD_NAME && !field_is_name(node->text))
        return wants(at, f, node, "a name (letters, digits, '_', '-', '.'; at most 64)", err);
    *out = node->text;
    return ERR_OK;
}

static enum err_code out_of_range(const struct place *at, const struct field *f,
                                  const struct yaml_node *node, struct err *err)
{
    return yaml_fail(at->doc, node, err, "'%s' is %.40s, allowed is %.15g to %.15g", f->key,
                     node->text, f->min, f->max);
}

static enum err_code read_integer(const struct place *at, const struct field *f,
                                  const struct yaml_node *node, int64_t *out, struct err *err)
{
    bool bytes = f->kind == FIELD_BYTES;
    int64_t value = 0;
    if (node->kind != YAML_SCALAR || !node->plain ||
        !(bytes ? quantity_bytes(node->text, &value) : quantity_count(node->text, &value)))
        return wants(at, f, node,
                     bytes ? "a size such as 4GiB" : "a whole number such as 100 or 600k", err);
    if ((double)value < f->min || (double)value > f->max)
        return out_of_range(at, f, node, err);
    *out = value;
    return ERR_OK;
}

static enum err_code read_real(const struct place *at, const struct field *f,
                               const struct yaml_node *node, double *out, struct err *err)
{
    double value = 0;
    if (node->kind != YAML_SCALAR || !node->plain || !str_to_double(node->text, &value))
        return wants(at, f, node, "a number", err);
    if (value < f->min || value > f->max)
        return out_of_range(at, f, node, err);
    *out = value;
    return ERR_OK;
}

static enum err_code read_bool(const struct place *at, const struct field *f,
                               const struct yaml_node *node, bool *out, struct err *err)
{
    bool yes = node->kind == YAML_SCALAR && node->plain && strcmp(node->text, "true") == 0;
    bool no = node->kind == YAML_SCALAR && node->plain && strcmp(node->text, "false") == 0;
    if (!yes && !no)
        return wants(at, f, node, "true or false", err);
    *out = yes;
    return ERR_OK;
}

static enum err_code read_choice(const struct place *at, const struct field *f,
                                 const struct yaml_node *node, int *out, struct err *err)
{
    int count = 0;
    char list[200] = "";
    for (; f->choices[count]; count++) {
        if (node->kind == YAML_SCALAR && strcmp(f->choices[count], node->text) == 0) {
            *out = count;
            return ERR_OK;
        }
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", count ? ", " : "", f->choices[count]);
    }
    if (node->kind != YAML_SCALAR || yaml_is_null(node))
        return yaml_fail(at->doc, node, err, "'%s' must be one of %s, not %s", f->key, list,
                         kind_text(node));
    const char *near = str_did_you_mean(node->text, f->choices, (size_t)count);
    return yaml_fail(at->doc, node, err, "'%s' must be one of %s, not '%.40s'%s%s%s", f->key, list,
                     node->text, near ? ", did you mean '" : "", near ? near : "",
                     near ? "'?" : "");
}

static enum err_code read_texts(const struct place *at, const struct field *f,
                                const struct yaml_node *node, struct field_texts *out,
                                struct err *err)
{
    struct arena *arena = &at->doc->arena;
    bool one = node->kind == YAML_SCALAR;
    size_t count = one ? 1 : node->count;
    if (node->kind == YAML_SEQUENCE && count == 0)
        return yaml_fail(at->doc, node, err, "'%s' is empty: give at least one text", f->key);
    if (node->kind == YAML_MAPPING || yaml_is_null(node))
        return wants(at, f, node, "a text or a list of texts", err);
    struct field_texts texts = {arena_array(arena, count, sizeof *texts.items),
                                arena_array(arena, count, sizeof *texts.nodes), count};
    for (size_t i = 0; i < count; i++) {
        texts.nodes[i] = one ? node : node->items[i];
        enum err_code code = read_text(at, f, texts.nodes[i], &texts.items[i], err);
        if (code)
            return code;
    }
    *out = texts;
    return ERR_OK;
}

static enum err_code read_value(const struct place *at, const struct field *f,
                                const struct yaml_node *node, void *out, struct err *err)
{
    switch (f->kind) {
    case FIELD_TEXT:
    case FIELD_NAME:
        return read_text(at, f, node, out, err);
    case FIELD_INTEGER:
    case FIELD_BYTES:
        return read_integer(at, f, node, out, err);
    case FIELD_REAL:
        return read_real(at, f, node, out, err);
    case FIELD_BOOL:
        return read_bool(at, f, node, out, err);
    case FIELD_CHOICE:
        return read_choice(at, f, node, out, err);
    case FIELD_TEXTS:
        return read_texts(at, f, node, out, err);
    case FIELD_NODE:
        *(const struct yaml_node **)out = node;
        return ERR_OK;
    }
    UNREACHABLE("unknown field kind");
}

enum err_code fields_read(struct yaml_doc *doc, const struct yaml_node *node, const char *what,
                          const struct field_table *table, void *record, struct err *err)
{
    struct place at = {doc, what};
    if (node->kind != YAML_MAPPING)
        return yaml_fail(doc, node, err, "%s must be a mapping (key: value), not %s", what,
                         kind_text(node));
    for (size_t i = 0; i < node->count; i++) {
        const struct field *f = find(table, node->keys[i]->text);
        if (!f)
            return unknown_key(&at, table, node->keys[i], err);
        enum err_code code = read_value(&at, f, node->items[i], (char *)record + f->offset, err);
        if (code)
            return code;
    }
    for (size_t i = 0; i < table->count; i++) {
        const struct field *f = &table->fields[i];
        if (f->required && !yaml_get(node, f->key))
            return yaml_fail(doc, node, err, "key '%s' is missing in %s", f->key, what);
    }
    return ERR_OK;
}
