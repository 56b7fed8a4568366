#include "yaml.h"

#include <libfyaml.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "check.h"

/* A collection that is still open. Mappings collect keys and values alternately. */
struct open_node {
    struct yaml_node *node;
    struct yaml_node **children;
    size_t count, cap;
};

struct builder {
    struct yaml_doc *doc;
    struct open_node open[YAML_DEPTH_MAX];
    size_t depth;
    size_t node_count;
    unsigned documents;
};

static enum err_code fail_at(const char *name, unsigned line, unsigned column, struct err *err,
                             enum err_code code, const char *what)
{
    return err_set(err, code, "%s:%u:%u: %s", name, line, column, what);
}

enum err_code yaml_fail(const struct yaml_doc *doc, const struct yaml_node *at, struct err *err,
                        const char *format, ...)
{
    char what[400];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return fail_at(doc->name, at ? at->line : 1, at ? at->column : 1, err, ERR_INVALID, what);
}

/* The length of the UTF-8 sequence at `s`, or 0. */
static size_t utf8_len(const unsigned char *s, size_t left)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = s[0] < 0x80 ? 1 : s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : s[0] >= 0xC2 ? 2 : 0;
    if (len == 0 || len > left || s[0] > 0xF4)
        return 0;
    uint32_t point = len == 1 ? s[0] : s[0] & (0x7Fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
        point = point << 6 | (s[i] & 0x3Fu);
    }
    bool surrogate = point >= 0xD800 && point <= 0xDFFF;
    return point < least[len] || surrogate || point > 0x10FFFF ? 0 : len;
}

bool yaml_is_utf8(const char *bytes, size_t len)
{
    size_t step;
    for (size_t i = 0; i < len; i += step) {
        step = utf8_len((const unsigned char *)bytes + i, len - i);
        if (step == 0)
            return false;
    }
    return true;
}

/* Find bytes that are not text before the library sees them. */
static enum err_code check_bytes(const char *bytes, size_t len, const char *name, struct err *err)
{
    unsigned line = 1, column = 1;
    for (size_t i = 0; i < len;) {
        const unsigned char *s = (const unsigned char *)bytes + i;
        size_t step = utf8_len(s, len - i);
        if (step == 0)
            return fail_at(name, line, column, err, ERR_INVALID, "not UTF-8 text");
        if (s[0] < 0x20 && !strchr("\t\n\r", (char)s[0]))
            return fail_at(name, line, column, err, ERR_INVALID, "control byte in the text");
        if (s[0] == '\0')
            return fail_at(name, line, column, err, ERR_INVALID, "NUL byte in the text");
        column = s[0] == '\n' ? 1 : column + 1;
        line += s[0] == '\n';
        i += step;
    }
    return ERR_OK;
}

static struct yaml_node *new_node(struct builder *b, enum yaml_kind kind, struct fy_event *event)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    struct yaml_node *node = arena_alloc(&b->doc->arena, sizeof *node);
    node->kind = kind;
    node->text = "";
    if (mark) {
        node->line = (unsigned)mark->line + 1;
        node->column = (unsigned)mark->column + 1;
    } else if (b->depth > 0) { /* an empty value has no place: take its key's */
        const struct open_node *top = &b->open[b->depth - 1];
        const struct yaml_node *before = top->count ? top->children[top->count - 1] : top->node;
        node->line = before->line;
        node->column = before->column;
    } else {
        node->line = node->column = 1;
    }
    b->node_count++;
    return node;
}

static enum err_code check_key(struct builder *b, const struct open_node *top,
                               const struct yaml_node *key, struct err *err)
{
    if (key->kind != YAML_SCALAR)
        return yaml_fail(b->doc, key, err, "a key must be a plain word");
    for (size_t i = 0; i < top->count; i += 2) {
        if (strcmp(top->children[i]->text, key->text) == 0)
            return yaml_fail(b->doc, key, err, "key '%.64s' is given twice (first on line %u)",
                             key->text, top->children[i]->line);
    }
    return ERR_OK;
}

/* Put a node into the collection that is open, or make it the root. */
static enum err_code attach(struct builder *b, struct yaml_node *node, struct err *err)
{
    if (b->depth == 0) {
        b->doc->root = node;
        return ERR_OK;
    }
    struct open_node *top = &b->open[b->depth - 1];
    if (top->node->kind == YAML_MAPPING && top->count % 2 == 0) {
        enum err_code code = check_key(b, top, node, err);
        if (code)
            return code;
    }
    if (top->count == top->cap) {
        size_t cap = top->cap ? 2 * top->cap : 8;
        struct yaml_node **grown = arena_array(&b->doc->arena, cap, sizeof *grown);
        if (top->count > 0)
            memcpy(grown, top->children, top->count * sizeof *grown);
        top->children = grown;
        top->cap = cap;
    }
    top->children[top->count++] = node;
    return ERR_OK;
}

static enum err_code open_collection(struct builder *b, struct yaml_node *node, struct err *err)
{
    enum err_code code = attach(b, node, err);
    if (code)
        return code;
    if (b->depth == YAML_DEPTH_MAX)
        return yaml_fail(b->doc, node, err, "nested deeper than %d levels", YAML_DEPTH_MAX);
    b->open[b->depth++] = (struct open_node){.node = node};
    return ERR_OK;
}

static void close_collection(struct builder *b)
{
    ASSERT(b->depth > 0);
    struct open_node *top = &b->open[--b->depth];
    struct yaml_node *node = top->node;
    if (node->kind == YAML_SEQUENCE) {
        node->items = top->children;
        node->count = top->count;
        return;
    }
    ASSERT(top->count % 2 == 0);
    node->count = top->count / 2;
    node->keys = arena_array(&b->doc->arena, node->count + 1, sizeof *node->keys);
    node->items = arena_array(&b->doc->arena, node->count + 1, sizeof *node->items);
    for (size_t i = 0; i < node->count; i++) {
        node->keys[i] = top->children[2 * i];
        node->items[i] = top->children[2 * i + 1];
    }
}

static enum err_code take_scalar(struct builder *b, struct fy_event *event, struct err *err)
{
    struct yaml_node *node = new_node(b, YAML_SCALAR, event);
    size_t len = 0;
    const char *text = event->scalar.value ? fy_token_get_text(event->scalar.value, &len) : NULL;
    enum fy_scalar_style style =
        event->scalar.value ? fy_token_scalar_style(event->scalar.value) : FYSS_PLAIN;
    bool quoted = style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED;
    if (quoted && node->column > 1)
        node->column--; /* the mark stands behind the opening quote */
    if (text && memchr(text, '\0', len))
        return yaml_fail(b->doc, node, err, "a text may not hold a NUL character");
    node->text = text ? arena_strndup(&b->doc->arena, text, len) : "";
    node->plain = style == FYSS_PLAIN;
    return attach(b, node, err);
}

static enum err_code refuse_tricks(struct builder *b, struct fy_event *event, struct err *err)
{
    const char *what = NULL;
    if (event->type == FYET_ALIAS || fy_event_get_anchor_token(event))
        what = "anchors and aliases (& and *) are not supported; write the value out";
    else if (fy_event_get_tag_token(event))
        what = "tags (!) are not supported";
    if (!what)
        return ERR_OK;
    return yaml_fail(b->doc, new_node(b, YAML_SCALAR, event), err, "%s", what);
}

static enum err_code take_event(struct builder *b, struct fy_event *event, struct err *err)
{
    enum err_code code = refuse_tricks(b, event, err);
    if (code)
        return code;
    if (b->node_count >= YAML_NODES_MAX)
        return err_set(err, ERR_LIMIT, "%s: more than %d values", b->doc->name, YAML_NODES_MAX);
    switch (event->type) {
    case FYET_MAPPING_START:
        return open_collection(b, new_node(b, YAML_MAPPING, event), err);
    case FYET_SEQUENCE_START:
        return open_collection(b, new_node(b, YAML_SEQUENCE, event), err);
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END:
        close_collection(b);
        return ERR_OK;
    case FYET_SCALAR:
        return take_scalar(b, event, err);
    case FYET_DOCUMENT_START:
        if (++b->documents > 1)
            return yaml_fail(b->doc, new_node(b, YAML_SCALAR, event), err,
                             "a second document begins here; one file holds one document");
        return ERR_OK;
    case FYET_NONE:
    case FYET_STREAM_START:
    case FYET_STREAM_END:
    case FYET_DOCUMENT_END:
    case FYET_ALIAS:
        return ERR_OK;
    }
    UNREACHABLE("unknown YAML event");
}

/* The first syntax error that the library collected, as ours. */
static enum err_code syntax_error(struct fy_diag *diag, const char *name, struct err *err)
{
    void *previous = NULL;
    const struct fy_diag_error *first = fy_diag_errors_iterate(diag, &previous);
    if (!first)
        return err_set(err, ERR_INVALID, "%s: not YAML", name);
    return err_set(err, ERR_INVALID, "%s:%d:%d: not YAML: %s", name, first->line, first->column,
                   first->msg);
}

static enum err_code run_parser(struct fy_parser *parser, struct fy_diag *diag, struct builder *b,
                                struct err *err)
{
    enum err_code code = ERR_OK;
    struct fy_event *event;
    while (!code && (event = fy_parser_parse(parser))) {
        code = take_event(b, event, err);
        fy_parser_event_free(parser, event);
    }
    if (!code && (fy_parser_get_stream_error(parser) || b->depth > 0))
        code = syntax_error(diag, b->doc->name, err);
    if (!code && !b->doc->root)
        code = err_set(err, ERR_INVALID, "%s:1:1: the file is empty", b->doc->name);
    return code;
}

static enum err_code build_tree(const char *bytes, size_t len, struct yaml_doc *doc,
                                struct err *err)
{
    enum err_code code = ERR_UNAVAILABLE;
    struct fy_parser *parser = NULL;
    struct fy_diag_cfg diag_config;
    fy_diag_cfg_default(&diag_config);
    diag_config.fp = NULL; /* the library's default is to print on stderr */
    struct fy_diag *diag = fy_diag_create(&diag_config);
    if (diag) {
        fy_diag_set_collect_errors(diag, true);
        struct fy_parse_cfg config = {.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG, .diag = diag};
        parser = fy_parser_create(&config);
    }
    if (parser && fy_parser_set_string(parser, bytes, len) == 0) {
        struct builder b = {.doc = doc};
        code = run_parser(parser, diag, &b, err);
    } else {
        err_set(err, code, "%s: cannot start the YAML parser", doc->name);
    }
    if (parser)
        fy_parser_destroy(parser);
    if (diag)
        fy_diag_destroy(diag);
    return code;
}

enum err_code yaml_parse(const char *bytes, size_t len, const char *name, struct yaml_doc *out,
                         struct err *err)
{
    if (len > YAML_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "%s: %zu bytes, at most %d are read", name, len,
                       YAML_BYTES_MAX);
    enum err_code code = check_bytes(bytes, len, name, err);
    if (code)
        return code;
    struct yaml_doc doc = {0};
    doc.name = arena_strdup(&doc.arena, name);
    code = build_tree(bytes, len, &doc, err);
    if (code) {
        yaml_release(&doc);
        return code;
    }
    *out = doc;
    return ERR_OK;
}

void yaml_release(struct yaml_doc *doc)
{
    arena_release(&doc->arena);
    *doc = (struct yaml_doc){0};
}

struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key)
{
    if (!mapping || mapping->kind != YAML_MAPPING)
        return NULL;
    for (size_t i = 0; i < mapping->count; i++) {
        if (strcmp(mapping->keys[i]->text, key) == 0)
            return mapping->items[i];
    }
    return NULL;
}

bool yaml_is_null(const struct yaml_node *node)
{
    return node->kind == YAML_SCALAR && node->plain &&
           (node->text[0] == '\0' || strcmp(node->text, "~") == 0 ||
            strcmp(node->text, "null") == 0);
}
