#include "chat_template.h"

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "file.h"
#include "json_field.h"
#include "str.h"

enum { CONFIG_BYTES_MAX = 64 << 20, TEMPLATE_BYTES_MAX = 1 << 20, SHOWN_BYTES = 60 };

struct known {
    const char *label, *style;
    const uint64_t *lines;
    size_t count;
};

#define TEMPLATE(label_, style_, ...)                                                              \
    {.label = (label_),                                                                            \
     .style = (style_),                                                                            \
     .lines = (const uint64_t[]){__VA_ARGS__},                                                     \
     .count = sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t)},
static const struct known all[] = {
#include "chat_template_lines.inc"
#include "chat_template_ours.inc"
};
#undef TEMPLATE

/* ---- reading ---- */

/* A text, or a list of {"name", "template"} of which one is the default. */
static enum err_code read_value(const json_t *value, const char *source, struct arena *arena,
                                const char **text_out, struct err *err)
{
    if (json_is_array(value)) {
        const json_t *chosen = NULL;
        for (size_t i = 0; i < json_array_size(value); i++) {
            const json_t *entry = json_array_get(value, i);
            const char *name = json_string_value(json_object_get(entry, "name"));
            if (name && strcmp(name, "default") == 0)
                chosen = json_object_get(entry, "template");
        }
        value = chosen;
    }
    if (!value || json_is_null(value))
        return ERR_OK;
    if (!json_is_string(value))
        return err_set(err, ERR_INVALID,
                       "read '%s': key 'chat_template' is neither a text nor a list of templates",
                       source);
    if (json_string_length(value) > TEMPLATE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "read '%s': the chat template has more than %d bytes",
                       source, TEMPLATE_BYTES_MAX);
    *text_out = arena_strdup(arena, json_string_value(value));
    return ERR_OK;
}

enum err_code chat_template_of_config(const char *json, size_t len, const char *source,
                                      struct arena *arena, const char **text_out, struct err *err)
{
    json_t *root = NULL;
    *text_out = NULL;
    enum err_code rc = json_parse_object(json, len, source, &root, err);
    if (rc != ERR_OK)
        return rc;
    rc = read_value(json_object_get(root, "chat_template"), source, arena, text_out, err);
    json_decref(root);
    return rc;
}

static enum err_code read_config(const char *folder, const char *name, struct arena *arena,
                                 const char **text_out, struct err *err)
{
    const char *path = arena_printf(arena, "%s/%s", folder, name);
    char *text = NULL;
    size_t len = 0;
    if (!file_exists(path))
        return ERR_OK;
    enum err_code rc = file_read(path, CONFIG_BYTES_MAX, &text, &len, err);
    if (rc == ERR_OK)
        rc = chat_template_of_config(text, len, path, arena, text_out, err);
    free(text);
    return rc;
}

enum err_code chat_template_read(const char *folder, struct arena *arena, const char **text_out,
                                 struct err *err)
{
    const char *path = arena_printf(arena, "%s/chat_template.jinja", folder);
    char *text = NULL;
    size_t len = 0;
    *text_out = NULL;
    if (file_exists(path)) {
        enum err_code rc = file_read(path, TEMPLATE_BYTES_MAX, &text, &len, err);
        if (rc == ERR_OK)
            *text_out = arena_strndup(arena, text, strnlen(text, len));
        free(text);
        return rc;
    }
    enum err_code rc = read_config(folder, "tokenizer_config.json", arena, text_out, err);
    if (rc == ERR_OK && !*text_out)
        rc = read_config(folder, "chat_template.json", arena, text_out, err);
    return rc;
}

/* ---- comparing ---- */

/* A line that is not blank. */
struct line {
    const char *text;
    size_t len;
    int number; /* 1-based */
    uint64_t print;
};

/* FNV-1a, 64 bits (Fowler, Noll, Vo): to recognise, not to resist. */
static uint64_t fingerprint(const char *text, size_t len)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (uint8_t)text[i]) * 0x100000001b3;
    return hash;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Lines of a text without the blank ones and without white space at their ends; free() them. */
static struct line *split(const char *text, size_t *count_out)
{
    size_t cap = 1, count = 0;
    for (const char *c = text; *c; c++)
        cap += *c == '\n';
    struct line *lines = calloc(cap, sizeof *lines);
    ASSERT(lines != NULL);
    for (int number = 1; *text; number++) {
        size_t whole = strcspn(text, "\n"), from = 0, end = whole;
        while (from < end && is_blank(text[from]))
            from++;
        while (end > from && is_blank(text[end - 1]))
            end--;
        if (end > from)
            lines[count++] = (struct line){text + from, end - from, number,
                                           fingerprint(text + from, end - from)};
        text += whole + (text[whole] == '\n');
    }
    *count_out = count;
    return lines;
}

static bool has_line(const struct known *k, uint64_t print)
{
    for (size_t i = 0; i < k->count; i++) {
        if (k->lines[i] == print)
            return true;
    }
    return false;
}

static struct chat_template_match compare_with(const struct known *k, const struct line *lines,
                                               size_t count)
{
    struct chat_template_match m = {
        .label = k->label, .style = k->style, .is_known = count == k->count};
    for (size_t i = 0; i < count; i++) {
        m.is_known = m.is_known && lines[i].print == k->lines[i];
        if (has_line(k, lines[i].print))
            continue;
        if (m.extra_lines++ == 0) {
            m.line_number = lines[i].number;
            m.line = lines[i].text;
            m.line_len = lines[i].len;
        }
    }
    for (size_t i = 0; i < k->count; i++) {
        bool found = false;
        for (size_t j = 0; j < count && !found; j++)
            found = lines[j].print == k->lines[i];
        m.missing_lines += !found;
    }
    return m;
}

struct chat_template_match chat_template_compare(const char *text)
{
    size_t count;
    struct line *lines = split(text, &count);
    struct chat_template_match best = {0};
    for (size_t i = 0; i < ARRAY_COUNT(all) && !best.is_known; i++) {
        struct chat_template_match m = compare_with(&all[i], lines, count);
        int differences = m.extra_lines + m.missing_lines;
        if ((size_t)m.extra_lines == count)
            continue; /* nothing in common */
        if (!best.label || m.is_known || differences < best.extra_lines + best.missing_lines)
            best = m;
    }
    free(lines);
    return best;
}

static const char *difference(const struct chat_template_match *m, struct arena *arena)
{
    if (m->extra_lines == 0 && m->missing_lines == 0)
        return "the order of its lines";
    if (m->extra_lines == 0)
        return arena_printf(arena, "%d lines that are missing", m->missing_lines);
    size_t shown = m->line_len < SHOWN_BYTES ? m->line_len : SHOWN_BYTES;
    shown = str_whole_characters(m->line, shown);
    struct strbuf line = {0};
    strbuf_append_clean(&line, m->line, shown);
    const char *text = arena_printf(
        arena, "%d lines of its own, the first on line %d: '%s%s'%s", m->extra_lines,
        m->line_number, strbuf_text(&line), shown < m->line_len ? "…" : "",
        m->missing_lines ? arena_printf(arena, "; %d lines are missing", m->missing_lines) : "");
    strbuf_release(&line);
    return text;
}

const char *chat_template_warning(const char *text, const char *style, struct arena *arena)
{
    if (!text)
        return NULL;
    struct chat_template_match m = chat_template_compare(text);
    if (m.is_known && strcmp(m.style, style) == 0)
        return NULL;
    if (m.is_known)
        return arena_printf(arena,
                            "its chat template is that of %s, whose turns are '%s', but turns are "
                            "written as '%s'",
                            m.label, m.style, style);
    if (!m.label)
        return arena_printf(arena,
                            "its chat template is not known; turns are written as '%s' all the "
                            "same: compare the two before you use chat",
                            style);
    return arena_printf(arena,
                        "its chat template is not known; it differs from that of %s (turns '%s') "
                        "by %s. Turns are written as '%s'",
                        m.label, m.style, difference(&m, arena), style);
}
