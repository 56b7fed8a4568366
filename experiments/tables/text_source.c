#include "text_source.h"

#include <string.h>

#include "check.h"

enum { PIECE = 64 * 1024 };

struct text_source text_source_open(struct byte_stream stream, const char *name,
                                    enum text_encoding encoding)
{
    return (struct text_source){.stream = stream, .name = name, .encoding = encoding, .line = 1};
}

void text_source_close(struct text_source *source)
{
    byte_stream_close(&source->stream);
    strbuf_release(&source->text);
    strbuf_release(&source->carry);
}

enum err_code text_source_fail(const struct text_source *source, size_t line, const char *what,
                               struct err *err)
{
    return err_set(err, ERR_INVALID, "%s:%zu: %s", source->name, line, what);
}

static size_t lines_in(const char *text, size_t len)
{
    size_t lines = 0;
    for (const char *at = memchr(text, '\n', len); at;
         at = memchr(at + 1, '\n', len - (size_t)(at + 1 - text)))
        lines++;
    return lines;
}

/* The longest prefix of whole, well-formed characters. */
static size_t good_prefix(const char *text, size_t len)
{
    size_t low = 0, step = len;
    if (str_is_utf8(text, len))
        return len;
    /* Halve the step: a prefix that ends between characters is good exactly when nothing bad lies
     * in it, and cuts within a character are moved to its start. */
    while (step > 0) {
        size_t end = low + step > len ? len : low + step;
        size_t whole = str_whole_characters(text + low, end - low);
        if (whole > 0 && str_is_utf8(text + low, whole))
            low += whole;
        else
            step /= 2;
    }
    return low;
}

/* Append what is UTF-8, keep a cut character back, refuse the rest. */
static enum err_code take_utf8(struct text_source *s, const char *bytes, size_t len,
                               struct err *err)
{
    strbuf_append(&s->carry, bytes, len);
    const char *data = strbuf_text(&s->carry);
    size_t have = s->carry.len;
    size_t whole = s->ended ? have : str_whole_characters(data, have);
    if (!str_is_utf8(data, whole)) {
        size_t good = good_prefix(data, whole);
        return text_source_fail(
            s, s->line + lines_in(data, good),
            "the text is not UTF-8 here; declare 'encoding: latin1' if that is what it is", err);
    }
    strbuf_append(&s->text, data, whole);
    memmove(s->carry.data, s->carry.data + whole, have - whole);
    s->carry.len = have - whole;
    return ERR_OK;
}

static void take_latin1(struct text_source *s, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (byte >= 0x80) {
            strbuf_putc(&s->text, (char)(0xc0 | byte >> 6));
            byte = 0x80 | (byte & 0x3f);
        }
        strbuf_putc(&s->text, (char)byte);
    }
}

enum err_code text_source_fill(struct text_source *s, struct err *err)
{
    char piece[PIECE];
    size_t got = 0;
    ASSERT(s->at == s->text.len && !s->ended);
    enum err_code code = s->stream.read(s->stream.ctx, piece, sizeof piece, &got, err);
    if (code)
        return code;
    strbuf_clear(&s->text);
    s->at = 0;
    s->ended = got == 0;
    if (s->encoding == TEXT_LATIN1)
        take_latin1(s, piece, got);
    else
        code = take_utf8(s, piece, got, err);
    if (!code && !s->begun && s->text.len > 0) {
        s->at = s->text.len >= 3 && memcmp(s->text.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
        s->begun = true;
    }
    const char *nul = s->text.len > 0 ? memchr(s->text.data, '\0', s->text.len) : NULL;
    if (!code && nul)
        code = text_source_fail(s, s->line + lines_in(s->text.data, (size_t)(nul - s->text.data)),
                                "NUL byte in the text", err);
    return code;
}
