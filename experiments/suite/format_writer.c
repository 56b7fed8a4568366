#include "format_writer.h"

#include <string.h>

#include "check.h"

static void push(struct writer *w, enum segment_kind kind, enum segment_loss loss, int32_t example,
                 struct str text)
{
    if (w->count == w->cap) {
        uint32_t cap = w->cap ? 2 * w->cap : 64;
        struct segment *grown = arena_array(w->arena, cap, sizeof *grown);
        if (w->count > 0)
            memcpy(grown, w->segments, w->count * sizeof *grown);
        w->segments = grown;
        w->cap = cap;
    }
    w->segments[w->count++] = (struct segment){kind, loss, example, text};
}

static void flush(struct writer *w)
{
    if (w->text.len == 0)
        return;
    char *text = arena_strndup(w->arena, strbuf_text(&w->text), w->text.len);
    push(w, SEGMENT_TEXT, LOSS_NONE, w->example, (struct str){text, w->text.len});
    strbuf_clear(&w->text);
}

void writer_text(struct writer *w, int32_t example, const char *text)
{
    if (w->text.len == 0)
        w->example = example;
    strbuf_puts(&w->text, text);
}

void writer_special(struct writer *w, enum segment_loss loss, int32_t example, const char *token)
{
    flush(w);
    push(w, SEGMENT_SPECIAL, loss, example, str_from(token));
}

void writer_scored(struct writer *w, enum segment_loss loss, int32_t example, const char *text)
{
    flush(w);
    push(w, SEGMENT_TEXT, loss, example, str_from(text));
}

void writer_open_turn(struct writer *w, int32_t example, const char *role)
{
    writer_special(w, LOSS_NONE, example, w->style->open);
    writer_text(w, example, role);
    if (w->style->close)
        writer_special(w, LOSS_NONE, example, w->style->close);
    writer_text(w, example, w->style->break_text);
}

void writer_end_turn(struct writer *w, enum segment_loss loss, int32_t example)
{
    writer_special(w, loss, example, w->style->end);
    writer_text(w, example, w->style->after_text);
}

void writer_finish(struct writer *w, bool is_prompt, struct sequence *out)
{
    if (is_prompt)
        flush(w);
    strbuf_release(&w->text);
    *out = (struct sequence){.segments = w->segments, .segment_count = w->count};
}

/* Bytes of the white-space character at `text`, 0 when it is none: U+0009 to U+000D, U+001C to
 * U+0020, and the characters of Unicode's White_Space property above ASCII. */
static size_t space_bytes(const char *text)
{
    static const char *const wide[] = {
        "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81",
        "\xe2\x80\x82", "\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86",
        "\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a", "\xe2\x80\xa8",
        "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};
    unsigned char first = (unsigned char)text[0];
    if (first < 0x80)
        return (first >= 0x09 && first <= 0x0d) || (first >= 0x1c && first <= 0x20);
    for (size_t i = 0; i < ARRAY_COUNT(wide); i++) {
        size_t len = strlen(wide[i]);
        if (strncmp(text, wide[i], len) == 0)
            return len;
    }
    return 0;
}

const char *format_trimmed(struct arena *arena, const char *text)
{
    size_t bytes;
    while ((bytes = space_bytes(text)) > 0)
        text += bytes;
    size_t end = 0;
    for (size_t i = 0; text[i] != '\0';) { /* `end` follows the last character that is none */
        bytes = space_bytes(text + i);
        i += bytes ? bytes : 1;
        if (!bytes)
            end = i;
    }
    return text[end] == '\0' ? text : arena_strndup(arena, text, end);
}
