/* Reading tokenizer.json (the layout of Hugging Face's tokenizers library, version "1.0"). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "file.h"
#include "json_field.h"
#include "tokenizer_layout.h"

/* The largest in use (Gemma 3) has 33 MB. */
enum { FILE_BYTES_MAX = 256 << 20, CONFIG_BYTES_MAX = 16 << 20 };

/* Keys that do not change what we do: offsets are not computed, and a byte-level decoder looks at
 * none of its options. */
static bool is_ignored(const char *key, bool in_decoder)
{
    if (strcmp(key, "trim_offsets") == 0)
        return true;
    return in_decoder && (strcmp(key, "add_prefix_space") == 0 || strcmp(key, "use_regex") == 0);
}

/* Does the file's part say what our layout says? */
static bool same(const json_t *wanted, const json_t *given, bool in_decoder)
{
    if (json_typeof(wanted) != json_typeof(given))
        return false;
    if (json_is_array(wanted)) {
        if (json_array_size(wanted) != json_array_size(given))
            return false;
        for (size_t i = 0; i < json_array_size(wanted); i++) {
            if (!same(json_array_get(wanted, i), json_array_get(given, i), in_decoder))
                return false;
        }
        return true;
    }
    if (!json_is_object(wanted))
        return json_equal(wanted, given);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)wanted, key, value)
    {
        const json_t *other = json_object_get(given, key);
        if (!is_ignored(key, in_decoder) && (!other || !same(value, other, in_decoder)))
            return false;
    }
    return true;
}

static enum err_code check_part(struct json_source from, const char *key, const char *wanted_text,
                                struct err *err)
{
    json_t *wanted = json_loads(wanted_text, JSON_DECODE_ANY, NULL);
    ASSERT(wanted != NULL);
    json_t *nothing = json_null();
    const json_t *given = json_object_get(from.object, key);
    bool fits = same(wanted, given ? given : nothing, strcmp(key, "decoder") == 0);
    json_decref(wanted);
    if (fits)
        return ERR_OK;
    char *shown = given ? json_dumps(given, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    enum err_code rc = err_set(err, ERR_INVALID, "%s %.200s is not one that is supported", key,
                               shown ? shown : "(missing)");
    free(shown);
    return rc;
}

/* Settings of model BPE that must have one value, because we do nothing else. */
static enum err_code check_model(struct json_source model, bool *byte_fallback_out, struct err *err)
{
    const char *type = NULL;
    bool ignore_merges = false;
    enum err_code rc = json_field_string(model, "type", false, &type, err);
    if (rc == ERR_OK && (!type || strcmp(type, "BPE") != 0))
        rc = err_set(err, ERR_INVALID, "model type '%s' is not supported (only BPE is)",
                     type ? type : "(missing)");
    if (rc == ERR_OK)
        rc = json_field_bool(model, "byte_fallback", false, byte_fallback_out, err);
    if (rc == ERR_OK)
        rc = json_field_bool(model, "ignore_merges", false, &ignore_merges, err);
    if (rc == ERR_OK && ignore_merges)
        rc = err_set(err, ERR_INVALID, "ignore_merges is not supported");
    static const char *const empty_keys[] = {"dropout", "continuing_subword_prefix",
                                             "end_of_word_suffix"};
    for (size_t i = 0; rc == ERR_OK && i < ARRAY_COUNT(empty_keys); i++) {
        const json_t *value = json_object_get(model.object, empty_keys[i]);
        bool is_empty = !value || json_is_null(value) ||
                        (json_is_string(value) && json_string_length(value) == 0) ||
                        (json_is_number(value) && json_number_value(value) == 0);
        if (!is_empty)
            rc = err_set(err, ERR_INVALID, "model key '%s' is not supported", empty_keys[i]);
    }
    return rc;
}

/* The pattern inside a pre_tokenizer of the byte-level layout. */
static enum err_code read_pattern(const json_t *root, enum split_pattern *pattern_out,
                                  struct err *err)
{
    const json_t *parts = json_object_get(json_object_get(root, "pre_tokenizer"), "pretokenizers");
    const json_t *pattern = json_object_get(json_array_get(parts, 0), "pattern");
    const char *regex = json_string_value(json_object_get(pattern, "Regex"));
    if (!regex)
        return err_set(err, ERR_INVALID, "pre_tokenizer does not begin with a split by a pattern");
    return split_pattern_find(regex, pattern_out, err);
}

static struct str string_of(const json_t *value)
{
    return (struct str){json_string_value(value), json_string_length(value)};
}

static bool id_of(const json_t *value, int32_t *id_out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) >= TOKENIZER_VOCABULARY_MAX)
        return false;
    *id_out = (int32_t)json_integer_value(value);
    return true;
}

static enum err_code read_vocabulary(struct tokenizer *t, json_t *vocab, struct err *err)
{
    if (!json_is_object(vocab))
        return err_set(err, ERR_CORRUPT, "model.vocab is not an object");
    const char *key;
    json_t *value;
    json_object_foreach(vocab, key, value)
    {
        int32_t id = TOKEN_NONE;
        if (!id_of(value, &id))
            return err_set(err, ERR_CORRUPT, "token '%.80s' has no id between 0 and %d", key,
                           TOKENIZER_VOCABULARY_MAX - 1);
        enum err_code rc = tokenizer_enter(t, str_from(key), id, err);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

/* A merge is "a b", or (since tokenizers 0.20) ["a", "b"]. */
static bool merge_sides(const json_t *merge, struct str *left, struct str *right)
{
    if (json_is_array(merge) && json_array_size(merge) == 2) {
        *left = string_of(json_array_get(merge, 0));
        *right = string_of(json_array_get(merge, 1));
        return left->data && right->data;
    }
    struct str both = string_of(merge);
    const char *space = both.data ? memchr(both.data, ' ', both.len) : NULL;
    if (!space)
        return false;
    size_t left_len = (size_t)(space - both.data);
    *left = (struct str){both.data, left_len};
    *right = (struct str){space + 1, both.len - left_len - 1};
    return memchr(right->data, ' ', right->len) == NULL;
}

static enum err_code read_merges(struct tokenizer *t, const json_t *merges, struct err *err)
{
    if (!json_is_array(merges))
        return err_set(err, ERR_CORRUPT, "model.merges is not a list");
    for (size_t i = 0; i < json_array_size(merges); i++) {
        struct str left;
        struct str right;
        if (!merge_sides(json_array_get(merges, i), &left, &right))
            return err_set(err, ERR_CORRUPT, "merge %zu is not a pair of tokens", i + 1);
        enum err_code rc = tokenizer_enter_merge(t, left, right, err);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

static enum err_code read_added(struct tokenizer *t, const json_t *added, struct err *err)
{
    if (!added || json_is_null(added))
        return ERR_OK;
    if (!json_is_array(added))
        return err_set(err, ERR_CORRUPT, "added_tokens is not a list");
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *entry = json_array_get(added, i);
        const json_t *content = json_object_get(entry, "content");
        int32_t id = TOKEN_NONE;
        if (!json_is_string(content) || !id_of(json_object_get(entry, "id"), &id))
            return err_set(err, ERR_CORRUPT, "added token %zu lacks its id or its content", i + 1);
        bool is_special = json_is_true(json_object_get(entry, "special"));
        enum err_code rc = tokenizer_enter_added(t, string_of(content), id, is_special, err);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

static enum err_code check_layout(struct json_source from, enum tokenizer_kind kind,
                                  enum split_pattern pattern, struct err *err)
{
    const struct tokenizer_layout *layout = tokenizer_layout(kind);
    struct strbuf pre_tokenizer = {0};
    tokenizer_layout_pre_tokenizer(kind, pattern, &pre_tokenizer);
    enum err_code rc = check_part(from, "normalizer", layout->normalizer, err);
    if (rc == ERR_OK)
        rc = check_part(from, "pre_tokenizer", pre_tokenizer.data, err);
    if (rc == ERR_OK)
        rc = check_part(from, "decoder", layout->decoder, err);
    strbuf_release(&pre_tokenizer);
    return rc;
}

static enum err_code read_root(struct json_source from, struct tokenizer **tokenizer_out,
                               struct err *err)
{
    json_t *model = json_object_get(from.object, "model");
    bool byte_fallback = false;
    if (!json_is_object(model))
        return err_set(err, ERR_CORRUPT, "there is no model");
    enum err_code rc = check_model((struct json_source){model, from.path}, &byte_fallback, err);
    enum tokenizer_kind kind = byte_fallback ? TOKENIZER_BYTE_FALLBACK : TOKENIZER_BYTE_LEVEL;
    enum split_pattern pattern = SPLIT_DIGITS_ONE;
    if (rc == ERR_OK && kind == TOKENIZER_BYTE_LEVEL)
        rc = read_pattern(from.object, &pattern, err);
    if (rc == ERR_OK)
        rc = check_layout(from, kind, pattern, err);
    struct tokenizer *t = NULL;
    if (rc == ERR_OK)
        rc = tokenizer_new(kind, pattern, &t, err);
    if (rc == ERR_OK)
        rc = read_vocabulary(t, json_object_get(model, "vocab"), err);
    if (rc == ERR_OK)
        rc = read_merges(t, json_object_get(model, "merges"), err);
    if (rc == ERR_OK)
        rc = read_added(t, json_object_get(from.object, "added_tokens"), err);
    if (rc == ERR_OK)
        rc = tokenizer_finish(t, err);
    if (rc != ERR_OK) {
        tokenizer_free(t);
        return rc;
    }
    *tokenizer_out = t;
    return ERR_OK;
}

enum err_code tokenizer_parse(const char *text, size_t len, const char *source,
                              struct tokenizer **tokenizer_out, struct err *err)
{
    json_t *root = NULL;
    enum err_code rc = json_parse_object(text, len, source, &root, err);
    if (rc != ERR_OK)
        return rc;
    rc = read_root((struct json_source){root, source}, tokenizer_out, err);
    json_decref(root);
    return rc == ERR_OK ? rc : err_wrap(err, "read tokenizer '%s'", source);
}

/* bos_token and eos_token are a text, an object with "content", null or absent. */
static enum err_code read_named(const json_t *root, const char *key, const struct tokenizer *t,
                                int32_t *id, struct err *err)
{
    const json_t *value = json_object_get(root, key);
    if (json_is_object(value))
        value = json_object_get(value, "content");
    if (!value || json_is_null(value))
        return ERR_OK;
    const char *text = json_string_value(value);
    int32_t found = text ? tokenizer_special(t, text) : TOKEN_NONE;
    if (found == TOKEN_NONE)
        return err_set(err, ERR_INVALID, "%s '%s' is not among the added tokens", key,
                       text ? text : "(not a text)");
    *id = found;
    return ERR_OK;
}

static enum err_code read_config(struct tokenizer *t, const char *path, struct err *err)
{
    char *text = NULL;
    size_t len = 0;
    json_t *root = NULL;
    enum err_code rc = file_read(path, CONFIG_BYTES_MAX, &text, &len, err);
    if (rc == ERR_OK)
        rc = json_parse_object(text, len, path, &root, err);
    free(text);
    if (rc != ERR_OK)
        return rc;
    rc = read_named(root, "bos_token", t, &t->bos, err);
    if (rc == ERR_OK)
        rc = read_named(root, "eos_token", t, &t->eos, err);
    json_decref(root);
    return rc == ERR_OK ? rc : err_wrap(err, "read '%s'", path);
}

enum err_code tokenizer_load(const char *path, struct tokenizer **tokenizer_out, struct err *err)
{
    char file[4096];
    char config[4096];
    if (snprintf(file, sizeof file, "%s/tokenizer.json", path) >= (int)sizeof file ||
        snprintf(config, sizeof config, "%s/tokenizer_config.json", path) >= (int)sizeof config)
        return err_set(err, ERR_LIMIT, "load tokenizer '%s': path too long", path);
    bool is_folder = file_exists(file);
    char *text = NULL;
    size_t len = 0;
    enum err_code rc = file_read(is_folder ? file : path, FILE_BYTES_MAX, &text, &len, err);
    struct tokenizer *t = NULL;
    if (rc == ERR_OK)
        rc = tokenizer_parse(text, len, is_folder ? file : path, &t, err);
    free(text);
    if (rc == ERR_OK && is_folder && file_exists(config))
        rc = read_config(t, config, err);
    if (rc != ERR_OK) {
        tokenizer_free(t);
        return rc;
    }
    *tokenizer_out = t;
    return ERR_OK;
}
