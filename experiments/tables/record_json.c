/* JSON cut into its elements without being built: brackets and strings are followed, the rest is
 * left to who reads the pieces. */
#include <string.h>

#include "check.h"
#include "record_reader.h"

static bool is_space(int byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

/* The next byte that is no space, not yet read. */
static int skip_space(struct text_source *s, struct err *err)
{
    int byte = text_source_peek(s, err);
    while (is_space(byte)) {
        text_source_next(s, err);
        byte = text_source_peek(s, err);
    }
    return byte;
}

/* What ends before it should. */
static enum err_code cut_off(const struct record_reader *r, int byte, struct err *err)
{
    if (byte == TEXT_FAILED)
        return err->code;
    return text_source_fail(&r->source, r->line, "the JSON value that begins here has no end", err);
}

/* A string with its quotes, appended as it is. */
static enum err_code take_string(struct record_reader *r, struct err *err)
{
    bool escaped = false;
    strbuf_putc(&r->bytes, (char)text_source_next(&r->source, err));
    for (;;) {
        int byte = text_source_next(&r->source, err);
        if (byte < 0)
            return cut_off(r, byte, err);
        strbuf_putc(&r->bytes, (char)byte);
        if (byte == '"' && !escaped)
            return record_check_size(r, err);
        escaped = byte == '\\' && !escaped;
        if (record_check_size(r, err) != ERR_OK)
            return err->code;
    }
}

/* One value, up to a comma, a closing bracket or space outside of it. */
static enum err_code take_value(struct record_reader *r, struct err *err)
{
    struct text_source *s = &r->source;
    size_t depth = 0;
    for (;;) {
        int byte = text_source_peek(s, err);
        if (byte < 0 && (depth > 0 || byte == TEXT_FAILED))
            return cut_off(r, byte, err);
        bool closing = byte == ']' || byte == '}';
        if (byte < 0 || (depth == 0 && (closing || byte == ',' || is_space(byte))))
            return record_check_size(r, err);
        if (byte == '"') {
            enum err_code code = take_string(r, err);
            if (code)
                return code;
        } else {
            depth += byte == '[' || byte == '{';
            depth -= closing;
            strbuf_putc(&r->bytes, (char)text_source_next(s, err));
        }
        if (depth == 0 && (closing || byte == '"'))
            return record_check_size(r, err);
        if (record_check_size(r, err) != ERR_OK)
            return err->code;
    }
}

/* A value with no key before it, in lines or as the whole file. */
static enum err_code take_bare(struct record_reader *r, struct err *err)
{
    record_end_value(r); /* no key */
    enum err_code code = take_value(r, err);
    if (!code)
        record_end_value(r);
    return code;
}

/* A member's key and its colon; the key's text is left as written, without the quotes. */
static enum err_code take_key(struct record_reader *r, struct err *err)
{
    if (text_source_peek(&r->source, err) != '"')
        return text_source_fail(&r->source, r->line, "a key in quotes is missing", err);
    enum err_code code = take_string(r, err);
    if (code)
        return code;
    memmove(r->bytes.data, r->bytes.data + 1, r->bytes.len - 2);
    r->bytes.len -= 2;
    record_end_value(r);
    if (skip_space(&r->source, err) != ':')
        return text_source_fail(&r->source, r->source.line, "a colon is missing after the key",
                                err);
    text_source_next(&r->source, err);
    skip_space(&r->source, err);
    return ERR_OK;
}

/* After the top bracket: a comma before all but the first, or the closing bracket. */
static enum err_code next_element(struct record_reader *r, bool first, bool *got, struct err *err)
{
    struct text_source *s = &r->source;
    int byte = skip_space(s, err);
    if (byte == r->opened + 2) { /* ']' and '}' stand two behind '[' and '{' */
        text_source_next(s, err);
        byte = skip_space(s, err);
        *got = false;
        if (byte == TEXT_FAILED)
            return err->code;
        return byte == TEXT_END ? ERR_OK
                                : text_source_fail(s, s->line, "text after the JSON value", err);
    }
    if (!first && byte == ',') {
        text_source_next(s, err);
        byte = skip_space(s, err);
    } else if (!first && byte >= 0) {
        return text_source_fail(s, s->line, "a comma or the closing bracket is missing", err);
    }
    r->line = s->line;
    if (byte < 0)
        return cut_off(r, byte, err);
    enum err_code code = ERR_OK;
    if (r->opened == '{')
        code = take_key(r, err);
    else
        record_end_value(r);
    size_t start = r->bytes.len;
    if (!code)
        code = take_value(r, err);
    if (!code && r->bytes.len == start)
        code = text_source_fail(s, s->line, "a JSON value is missing", err);
    if (!code)
        record_end_value(r);
    *got = true;
    return code;
}

/* The file is over where a record may begin. */
static enum err_code at_end(const struct record_reader *r, int byte, struct err *err)
{
    if (byte == TEXT_FAILED)
        return err->code;
    if (r->options.format == RECORD_JSON && r->opened)
        return text_source_fail(&r->source, r->line, "the closing bracket is missing", err);
    if (r->options.format == RECORD_JSONL || r->opened)
        return ERR_OK;
    return text_source_fail(&r->source, 1, "the file is empty", err);
}

enum err_code record_json_next(struct record_reader *r, bool *got, struct err *err)
{
    struct text_source *s = &r->source;
    record_begin(r);
    int byte = skip_space(s, err);
    r->line = s->line;
    *got = byte >= 0;
    if (byte < 0)
        return at_end(r, byte, err);
    if (r->options.format == RECORD_JSONL) {
        enum err_code code = take_bare(r, err);
        if (!code && r->ends[1] == r->ends[0] + 1)
            code = text_source_fail(s, r->line, "a JSON value is missing", err);
        return code;
    }
    if (r->options.format == RECORD_DOCUMENT) {
        if (r->opened)
            return text_source_fail(s, s->line, "text after the JSON value", err);
        r->opened = byte;
        return take_bare(r, err);
    }
    bool first = r->opened == 0;
    if (first) {
        if (byte != '[' && byte != '{')
            return text_source_fail(s, s->line, "an array or an object is expected", err);
        r->opened = byte;
        text_source_next(s, err);
    }
    return next_element(r, first, got, err);
}
