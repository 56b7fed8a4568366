/* Reading tokenizer.json (the layout of Hugging Face's tokenizers library, version "1.0"). The keys
 * of the file and of its model are listed in two tables; any other key is refused by name.
 * Vocabulary and merges, which are nearly all of the file, are scanned (json_scan.h); the rest is
 * small. */
#include "tokenizer_json.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "json_field.h"
#include "json_scan.h"
#include "tokenizer_build.h"
#include "tokenizer_impl.h"
#include "tokenizer_layout.h"

/* Truncation and padding are left behind by the last program that used the file; as everywhere
 * else, who encodes says how long. */
enum root_key {
    ROOT_VERSION,
    ROOT_TRUNCATION,
    ROOT_PADDING,
    ROOT_ADDED_TOKENS,
    ROOT_NORMALIZER,
    ROOT_PRE_TOKENIZER,
    ROOT_POST_PROCESSOR,
    ROOT_DECODER,
    ROOT_MODEL,
    ROOT_COUNT,
};

static const char *const root_keys[ROOT_COUNT] = {
    "version",       "truncation",     "padding", "added_tokens", "normalizer",
    "pre_tokenizer", "post_processor", "decoder", "model",
};

enum model_key {
    MODEL_TYPE,
    MODEL_DROPOUT,
    MODEL_UNK_TOKEN,
    MODEL_PREFIX,
    MODEL_SUFFIX,
    MODEL_FUSE_UNK,
    MODEL_BYTE_FALLBACK,
    MODEL_IGNORE_MERGES,
    MODEL_VOCAB,
    MODEL_MERGES,
    MODEL_COUNT,
};

static const char *const model_keys[MODEL_COUNT] = {
    "type",
    "dropout",
    "unk_token",
    "continuing_subword_prefix",
    "end_of_word_suffix",
    "fuse_unk",
    "byte_fallback",
    "ignore_merges",
    "vocab",
    "merges",
};

enum { KEYS_MAX = 16 };
_Static_assert((int)ROOT_COUNT <= KEYS_MAX && (int)MODEL_COUNT <= KEYS_MAX, "room for all keys");

/* Everything that one reading needs. */
struct reading {
    struct json_scan scan;
    struct str root[KEYS_MAX]; /* the text of each value, empty when there is none */
    struct str model[KEYS_MAX];
    struct strbuf rooms[2]; /* for strings with escapes */
    json_t *parts[PART_COUNT];
    struct tokenizer_builder builder;
};

/* Cut an object into its values, by the table of keys it may have. */
static enum err_code cut_object(struct reading *r, const char *where, const char *const *keys,
                                int count, struct str *values, struct err *err)
{
    bool is_first = true;
    enum err_code rc = json_scan_open(&r->scan, '{', err);
    while (rc == ERR_OK) {
        struct str key;
        bool more = false;
        rc = json_scan_key(&r->scan, &is_first, &r->rooms[0], &key, &more, err);
        if (rc != ERR_OK || !more)
            return rc;
        int i = 0;
        while (i < count && !str_equal(key, str_from(keys[i])))
            i++;
        if (i == count)
            return err_set(err, ERR_INVALID, "%skey '%.*s' is not supported", where, (int)key.len,
                           key.data);
        if (values[i].data)
            return json_scan_fault(&r->scan, "the key is there twice", err);
        rc = json_scan_value(&r->scan, &values[i], err);
    }
    return rc;
}

/* Go on at a value that was cut out. */
static void scan_at(struct reading *r, struct str value)
{
    r->scan.at = (size_t)(value.data - r->scan.text.data);
}

/* A small value as a tree, or NULL when it is absent. The caller json_decref()s it. */
static enum err_code load(struct reading *r, struct str value, json_t **out, struct err *err)
{
    *out = NULL;
    if (!value.data)
        return ERR_OK;
    json_error_t fault;
    *out = json_loadb(value.data, value.len,
                      JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &fault);
    scan_at(r, value);
    return *out ? ERR_OK : json_scan_fault(&r->scan, fault.text, err);
}

/* A member of the model that is true, false, null or absent. */
static enum err_code read_flag(const struct reading *r, enum model_key key, uint32_t flag,
                               uint32_t *flags, struct err *err)
{
    struct str value = r->model[key];
    if (str_equal(value, str_from("true")))
        *flags |= flag;
    else if (value.data && !str_equal(value, str_from("false")) &&
             !str_equal(value, str_from("null")))
        return err_set(err, ERR_INVALID, "model key '%s' must be true or false", model_keys[key]);
    return ERR_OK;
}

/* Settings of model BPE that must have one value, because we do nothing else. */
static enum err_code check_model(const struct reading *r, uint32_t *flags, struct err *err)
{
    struct str type = r->model[MODEL_TYPE];
    if (!str_equal(type, str_from("\"BPE\"")))
        return err_set(err, ERR_INVALID, "model type %.*s is not supported (only \"BPE\" is)",
                       type.data ? (int)(type.len < 80 ? type.len : 80) : 9,
                       type.data ? type.data : "(missing)");
    enum err_code rc = read_flag(r, MODEL_BYTE_FALLBACK, IMAGE_BYTE_FALLBACK, flags, err);
    if (rc == ERR_OK)
        rc = read_flag(r, MODEL_IGNORE_MERGES, IMAGE_IGNORE_MERGES, flags, err);
    if (rc == ERR_OK)
        rc = read_flag(r, MODEL_FUSE_UNK, IMAGE_FUSE_UNK, flags, err);
    if (rc == ERR_OK && (*flags & IMAGE_BYTE_FALLBACK) && (*flags & IMAGE_IGNORE_MERGES))
        rc = err_set(err, ERR_INVALID,
                     "model key 'ignore_merges' is not supported with "
                     "byte_fallback");
    static const enum model_key empty_keys[] = {MODEL_DROPOUT, MODEL_PREFIX, MODEL_SUFFIX};
    static const char *const nothings[] = {"null", "\"\"", "0", "0.0"};
    for (size_t i = 0; rc == ERR_OK && i < ARRAY_COUNT(empty_keys); i++) {
        struct str value = r->model[empty_keys[i]];
        bool is_empty = !value.data;
        for (size_t k = 0; k < ARRAY_COUNT(nothings); k++)
            is_empty = is_empty || str_equal(value, str_from(nothings[k]));
        if (!is_empty)
            rc = err_set(err, ERR_INVALID, "model key '%s' is not supported",
                         model_keys[empty_keys[i]]);
    }
    return rc;
}

/* Read normalizer, pre_tokenizer, post_processor, decoder and unk_token. */
static enum err_code read_parts(struct reading *r, uint32_t *flags, enum split_pattern *pattern,
                                struct err *err)
{
    const struct str texts[PART_COUNT] = {
        [PART_NORMALIZER] = r->root[ROOT_NORMALIZER],
        [PART_PRE_TOKENIZER] = r->root[ROOT_PRE_TOKENIZER],
        [PART_POST_PROCESSOR] = r->root[ROOT_POST_PROCESSOR],
        [PART_DECODER] = r->root[ROOT_DECODER],
        [PART_UNK_TOKEN] = r->model[MODEL_UNK_TOKEN],
    };
    static const enum image_part with_forms[] = {PART_NORMALIZER, PART_PRE_TOKENIZER, PART_DECODER};
    for (int part = 0; part < PART_COUNT; part++) {
        enum err_code rc = load(r, texts[part], &r->parts[part], err);
        if (rc != ERR_OK)
            return rc;
    }
    for (size_t i = 0; i < ARRAY_COUNT(with_forms); i++) {
        enum err_code rc =
            tokenizer_layout_read(with_forms[i], r->parts[with_forms[i]], flags, pattern, err);
        if (rc != ERR_OK)
            return rc;
    }
    const json_t *unk = r->parts[PART_UNK_TOKEN];
    if (unk && !json_is_null(unk) && !json_is_string(unk))
        return err_set(err, ERR_INVALID, "model key 'unk_token' must be a string or null");
    return ERR_OK;
}

static enum err_code read_vocabulary(struct reading *r, struct err *err)
{
    if (!r->model[MODEL_VOCAB].data)
        return err_set(err, ERR_CORRUPT, "model.vocab is missing");
    scan_at(r, r->model[MODEL_VOCAB]);
    bool is_first = true;
    enum err_code rc = json_scan_open(&r->scan, '{', err);
    while (rc == ERR_OK) {
        struct str name;
        bool more = false;
        int32_t id = TOKEN_NONE;
        rc = json_scan_key(&r->scan, &is_first, &r->rooms[0], &name, &more, err);
        if (rc != ERR_OK || !more)
            return rc;
        if (json_scan_integer(&r->scan, &id, err) != ERR_OK)
            return err_set(err, ERR_CORRUPT, "token '%.*s' has no id between 0 and %d",
                           (int)(name.len < 80 ? name.len : 80), name.data,
                           TOKENIZER_VOCABULARY_MAX - 1);
        rc = tokenizer_enter(&r->builder, name, id, err);
    }
    return rc;
}

/* A merge is "a b", or (since tokenizers 0.20) ["a", "b"]. */
static enum err_code read_merge(struct reading *r, struct str *left, struct str *right,
                                struct err *err)
{
    bool is_first = true;
    bool more = false;
    if (!json_scan_is(&r->scan, '[')) {
        struct str both;
        enum err_code rc = json_scan_string(&r->scan, &r->rooms[0], &both, err);
        if (rc != ERR_OK)
            return rc;
        const char *space = memchr(both.data, ' ', both.len);
        if (!space)
            return json_scan_fault(&r->scan, "a merge is not a pair of tokens", err);
        size_t left_len = (size_t)(space - both.data);
        *left = (struct str){both.data, left_len};
        *right = (struct str){space + 1, both.len - left_len - 1};
        return memchr(right->data, ' ', right->len)
                   ? json_scan_fault(&r->scan, "a merge is not a pair of tokens", err)
                   : ERR_OK;
    }
    enum err_code rc = json_scan_open(&r->scan, '[', err);
    struct str *sides[2] = {left, right};
    for (int i = 0; rc == ERR_OK && i < 3; i++) {
        rc = json_scan_element(&r->scan, &is_first, &more, err);
        if (rc == ERR_OK && more != (i < 2))
            return json_scan_fault(&r->scan, "a merge is not a pair of tokens", err);
        if (rc == ERR_OK && more)
            rc = json_scan_string(&r->scan, &r->rooms[i], sides[i], err);
    }
    return rc;
}

static enum err_code read_merges(struct reading *r, struct err *err)
{
    if (!r->model[MODEL_MERGES].data)
        return err_set(err, ERR_CORRUPT, "model.merges is missing");
    scan_at(r, r->model[MODEL_MERGES]);
    bool is_first = true;
    enum err_code rc = json_scan_open(&r->scan, '[', err);
    while (rc == ERR_OK) {
        struct str left;
        struct str right;
        bool more = false;
        rc = json_scan_element(&r->scan, &is_first, &more, err);
        if (rc != ERR_OK || !more)
            return rc;
        rc = read_merge(r, &left, &right, err);
        if (rc == ERR_OK)
            rc = tokenizer_enter_merge(&r->builder, left, right, err);
    }
    return rc;
}

/* The settings of an added token that would move what it matches: each must be off. "normalized"
 * may be on where nothing is normalized. */
static enum err_code check_added(const json_t *entry, uint32_t flags, struct err *err)
{
    static const char *const off_keys[] = {"single_word", "lstrip", "rstrip", "normalized"};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)entry, key, value)
    {
        bool is_known =
            strcmp(key, "id") == 0 || strcmp(key, "content") == 0 || strcmp(key, "special") == 0;
        bool must_be_off = false;
        for (size_t i = 0; i < ARRAY_COUNT(off_keys); i++)
            must_be_off = must_be_off || strcmp(key, off_keys[i]) == 0;
        bool is_harmless =
            strcmp(key, "normalized") == 0 && !(flags & (IMAGE_NFC | IMAGE_BYTE_FALLBACK));
        if (!is_known && (!must_be_off || (!json_is_false(value) && !is_harmless)))
            return err_set(err, ERR_INVALID, "key '%s' of added token '%.80s' is not supported%s",
                           key, json_string_value(json_object_get(entry, "content")),
                           must_be_off ? " unless false" : "");
    }
    return ERR_OK;
}

static enum err_code read_added(struct reading *r, struct err *err)
{
    json_t *added;
    enum err_code rc = load(r, r->root[ROOT_ADDED_TOKENS], &added, err);
    if (rc == ERR_OK && added && !json_is_null(added) && !json_is_array(added))
        rc = err_set(err, ERR_CORRUPT, "added_tokens is not a list");
    for (size_t i = 0; rc == ERR_OK && i < json_array_size(added); i++) {
        const json_t *entry = json_array_get(added, i);
        const json_t *content = json_object_get(entry, "content");
        const json_t *id = json_object_get(entry, "id");
        if (!json_is_string(content) || !json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) >= TOKENIZER_VOCABULARY_MAX) {
            rc = err_set(err, ERR_CORRUPT, "added token %zu lacks its id or its content", i + 1);
            break;
        }
        struct str text = {json_string_value(content), json_string_length(content)};
        rc = check_added(entry, r->builder.flags, err);
        if (rc == ERR_OK)
            rc = tokenizer_enter_added(&r->builder, text, (int32_t)json_integer_value(id),
                                       json_is_true(json_object_get(entry, "special")), err);
    }
    json_decref(added);
    return rc;
}

/* The parts as they are written again: one line each. The caller frees them. */
static void dump_parts(const struct reading *r, char *texts[PART_COUNT])
{
    for (int part = 0; part < PART_COUNT; part++) {
        texts[part] = r->parts[part] ? json_dumps(r->parts[part], JSON_ENCODE_ANY)
                                     : json_dumps(json_null(), JSON_ENCODE_ANY);
        ASSERT(texts[part] != NULL);
    }
}

static enum err_code finish(struct reading *r, const struct digest *source,
                            struct tokenizer **tokenizer_out, struct err *err)
{
    char *texts[PART_COUNT];
    dump_parts(r, texts);
    enum err_code rc = tokenizer_builder_finish(&r->builder, (const char *const *)texts, source,
                                                tokenizer_out, err);
    for (int part = 0; part < PART_COUNT; part++)
        free(texts[part]);
    return rc;
}

static enum err_code read_all(struct reading *r, const struct digest *source,
                              struct tokenizer **tokenizer_out, struct err *err)
{
    uint32_t flags = 0;
    enum split_pattern pattern = SPLIT_DIGITS_ONE;
    enum err_code rc = cut_object(r, "", root_keys, ROOT_COUNT, r->root, err);
    if (rc == ERR_OK)
        rc = json_scan_end(&r->scan, err);
    if (rc == ERR_OK && !r->root[ROOT_MODEL].data)
        rc = err_set(err, ERR_CORRUPT, "there is no model");
    if (rc == ERR_OK) {
        scan_at(r, r->root[ROOT_MODEL]);
        rc = cut_object(r, "model ", model_keys, MODEL_COUNT, r->model, err);
    }
    if (rc == ERR_OK)
        rc = check_model(r, &flags, err);
    if (rc == ERR_OK)
        rc = read_parts(r, &flags, &pattern, err);
    tokenizer_builder_begin(&r->builder, flags, pattern);
    if (rc == ERR_OK)
        rc = read_vocabulary(r, err);
    if (rc == ERR_OK)
        rc = read_merges(r, err);
    if (rc == ERR_OK)
        rc = read_added(r, err);
    return rc == ERR_OK ? finish(r, source, tokenizer_out, err) : rc;
}

enum err_code tokenizer_read_json(struct str text, const char *path, const struct digest *source,
                                  struct tokenizer **tokenizer_out, struct err *err)
{
    struct reading r = {0};
    enum err_code rc = json_scan_begin(&r.scan, text, path, err);
    if (rc == ERR_OK)
        rc = read_all(&r, source, tokenizer_out, err);
    for (int part = 0; part < PART_COUNT; part++)
        json_decref(r.parts[part]);
    tokenizer_builder_release(&r.builder);
    strbuf_release(&r.rooms[0]);
    strbuf_release(&r.rooms[1]);
    return rc == ERR_OK ? rc : err_wrap(err, "read tokenizer '%s'", path);
}
