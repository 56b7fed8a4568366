#include "tokenizer_layout.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

/* One form of a part; %s stands for a pattern of text_split.h, as a JSON string. Of several that
 * mean the same the first is written. */
struct form {
    enum image_part part;
    uint32_t flags;
    const char *json;
};

#define FALLBACK IMAGE_BYTE_FALLBACK
#define REPLACE_SPACES                                                                             \
    "{\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"\u2581\"}"
#define FUSED_BYTES                                                                                \
    "{\"type\": \"Replace\", \"pattern\": {\"String\": \"\u2581\"}, \"content\": \" \"}, "         \
    "{\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"}"

static const struct form forms[] = {
    {PART_NORMALIZER, 0, "null"},
    {PART_NORMALIZER, IMAGE_NFC, "{\"type\": \"NFC\"}"},
    {PART_NORMALIZER, FALLBACK, REPLACE_SPACES},
    {PART_NORMALIZER, FALLBACK | IMAGE_PREPEND,
     "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\", \"prepend\": "
     "\"\u2581\"}, " REPLACE_SPACES "]}"},
    {PART_PRE_TOKENIZER, 0,
     "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": "
     "%s}, \"behavior\": \"Isolated\", \"invert\": false}, {\"type\": \"ByteLevel\", "
     "\"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": false}]}"},
    {PART_PRE_TOKENIZER, FALLBACK, "null"},
    /* The normalizer has left no space to cut at. */
    {PART_PRE_TOKENIZER, FALLBACK,
     "{\"type\": \"Split\", \"pattern\": {\"String\": \" \"}, \"behavior\": "
     "\"MergedWithPrevious\", \"invert\": false}"},
    {PART_DECODER, 0,
     "{\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": true, "
     "\"use_regex\": true}"},
    {PART_DECODER, FALLBACK, "{\"type\": \"Sequence\", \"decoders\": [" FUSED_BYTES "]}"},
    {PART_DECODER, FALLBACK | IMAGE_STRIP,
     "{\"type\": \"Sequence\", \"decoders\": [" FUSED_BYTES
     ", {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}]}"},
};

const char *tokenizer_part_key(enum image_part part)
{
    static const char *const keys[PART_COUNT] = {
        [PART_NORMALIZER] = "normalizer",         [PART_PRE_TOKENIZER] = "pre_tokenizer",
        [PART_POST_PROCESSOR] = "post_processor", [PART_DECODER] = "decoder",
        [PART_UNK_TOKEN] = "unk_token",
    };
    return keys[part];
}

static void fill_in(const struct form *form, enum split_pattern pattern, struct strbuf *out)
{
    for (const char *c = form->json; *c; c++) {
        if (c[0] == '%' && c[1] == 's') {
            tokenizer_layout_quote(str_from(split_pattern_regex(pattern)), out);
            c++;
        } else {
            strbuf_putc(out, *c);
        }
    }
}

/* Keys whose value does not change what we do: offsets here always hold a token's white space, and
 * a byte-level decoder looks at none of its options. */
static bool is_free(const char *key, enum image_part part)
{
    if (strcmp(key, "trim_offsets") == 0)
        return true;
    return part == PART_DECODER &&
           (strcmp(key, "add_prefix_space") == 0 || strcmp(key, "use_regex") == 0);
}

static bool same(const json_t *wanted, const json_t *given, enum image_part part);

static bool same_object(const json_t *wanted, const json_t *given, enum image_part part)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)wanted, key, value)
    {
        const json_t *other = json_object_get(given, key);
        if (!is_free(key, part) && (!other || !same(value, other, part)))
            return false;
    }
    json_object_foreach((json_t *)(uintptr_t)given, key, value)
    {
        if (!is_free(key, part) && !json_object_get(wanted, key))
            return false;
    }
    return true;
}

/* Does the file's part say what our form says, and nothing else? */
static bool same(const json_t *wanted, const json_t *given, enum image_part part)
{
    if (json_typeof(wanted) != json_typeof(given))
        return false;
    if (json_is_object(wanted))
        return same_object(wanted, given, part);
    if (!json_is_array(wanted))
        return json_equal(wanted, given);
    if (json_array_size(wanted) != json_array_size(given))
        return false;
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        if (!same(json_array_get(wanted, i), json_array_get(given, i), part))
            return false;
    }
    return true;
}

static bool fits(const struct form *form, enum split_pattern pattern, const json_t *given)
{
    struct strbuf text = {0};
    fill_in(form, pattern, &text);
    json_t *wanted = json_loads(text.data, JSON_DECODE_ANY, NULL);
    ASSERT(wanted != NULL);
    bool is_same = same(wanted, given, form->part);
    json_decref(wanted);
    strbuf_release(&text);
    return is_same;
}

static enum err_code refuse(const char *key, const json_t *given, const char *why, struct err *err)
{
    char *shown = json_dumps(given, JSON_COMPACT | JSON_ENCODE_ANY);
    enum err_code rc = err_set(err, ERR_INVALID, "%s %.200s is not one that is supported%s", key,
                               shown ? shown : "?", why);
    free(shown);
    return rc;
}

/* The pattern inside a pre_tokenizer of the byte-level form. */
static enum err_code read_pattern(const json_t *given, enum split_pattern *pattern, struct err *err)
{
    const json_t *parts = json_object_get(given, "pretokenizers");
    const json_t *object = json_object_get(json_array_get(parts, 0), "pattern");
    const char *regex = json_string_value(json_object_get(object, "Regex"));
    if (!regex)
        return refuse("pre_tokenizer", given, " (it does not begin with a split by a pattern)",
                      err);
    return split_pattern_find(regex, pattern, err);
}

enum err_code tokenizer_layout_read(enum image_part part, const json_t *given, uint32_t *flags,
                                    enum split_pattern *pattern, struct err *err)
{
    const json_t *value = given ? given : json_null();
    bool is_fallback = *flags & IMAGE_BYTE_FALLBACK;
    if (part == PART_PRE_TOKENIZER && !is_fallback) {
        enum err_code rc = read_pattern(value, pattern, err);
        if (rc != ERR_OK)
            return rc;
    }
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
        const struct form *form = &forms[i];
        bool is_of_kind = !(form->flags & IMAGE_BYTE_FALLBACK) == !is_fallback;
        if (form->part == part && is_of_kind && fits(form, *pattern, value)) {
            *flags |= form->flags;
            return ERR_OK;
        }
    }
    return refuse(tokenizer_part_key(part), value,
                  is_fallback ? " with byte_fallback" : " without byte_fallback", err);
}

static bool is_text_step(const json_t *step)
{
    const char *id = json_string_value(json_object_get(json_object_get(step, "Sequence"), "id"));
    return id && strcmp(id, "A") == 0;
}

static enum err_code read_template(const json_t *given, const char **before, struct err *err)
{
    const json_t *steps = json_object_get(given, "single");
    size_t count = json_array_size(steps);
    const json_t *token = json_object_get(json_array_get(steps, 0), "SpecialToken");
    const char *id = json_string_value(json_object_get(token, "id"));
    bool has_token = count == 2 && id;
    if (!(count == 1 || has_token) || !is_text_step(json_array_get(steps, count - 1)))
        return refuse("post_processor", given, " (one token in front of the text may be)", err);
    if (has_token)
        *before = id;
    return ERR_OK;
}

enum err_code tokenizer_template_read(const json_t *given, const char **before, struct err *err)
{
    const char *type = json_string_value(json_object_get(given, "type"));
    if (!given || json_is_null(given) || (type && strcmp(type, "ByteLevel") == 0))
        return ERR_OK;
    if (type && strcmp(type, "TemplateProcessing") == 0)
        return read_template(given, before, err);
    const json_t *parts = json_object_get(given, "processors");
    if (!type || strcmp(type, "Sequence") != 0 || !json_is_array(parts))
        return refuse("post_processor", given, "", err);
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i);
        const char *inner = json_string_value(json_object_get(part, "type"));
        if (inner && strcmp(inner, "Sequence") == 0)
            return refuse("post_processor", given, " (a sequence in a sequence)", err);
        enum err_code rc = tokenizer_template_read(part, before, err);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

/* The first form of a part with exactly these flags of its own. */
static const struct form *form_for(enum image_part part, uint32_t flags)
{
    const uint32_t own[PART_COUNT] = {
        [PART_NORMALIZER] = IMAGE_BYTE_FALLBACK | IMAGE_NFC | IMAGE_PREPEND,
        [PART_PRE_TOKENIZER] = IMAGE_BYTE_FALLBACK,
        [PART_DECODER] = IMAGE_BYTE_FALLBACK | IMAGE_STRIP,
    };
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
        if (forms[i].part == part && forms[i].flags == (flags & own[part]))
            return &forms[i];
    }
    UNREACHABLE("flags that no form has");
}

void tokenizer_layout_parts(uint32_t flags, enum split_pattern pattern, struct strbuf *out)
{
    for (int part = 0; part < PART_COUNT; part++) {
        bool has_form = part != PART_POST_PROCESSOR && part != PART_UNK_TOKEN;
        if (has_form)
            fill_in(form_for((enum image_part)part, flags), pattern, out);
        strbuf_append(out, "", 1);
    }
}

void tokenizer_layout_quote(struct str text, struct strbuf *out)
{
    strbuf_putc(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '"' || c == '\\')
            strbuf_putc(out, '\\');
        if ((unsigned char)c < 0x20)
            strbuf_printf(out, "\\u%04x", (unsigned)c);
        else
            strbuf_putc(out, c);
    }
    strbuf_putc(out, '"');
}
