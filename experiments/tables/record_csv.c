/* Rows of CSV and TSV, and lines of text. */
#include <string.h>

#include "check.h"
#include "record_reader.h"

/* After the opening quote, to the closing one; a doubled quote stands for one. */
static enum err_code read_quoted(struct record_reader *r, struct err *err)
{
    struct text_source *s = &r->source;
    const size_t first_line = s->line;
    for (;;) {
        int byte = text_source_next(s, err);
        if (byte == TEXT_FAILED)
            return err->code;
        if (byte == TEXT_END)
            return text_source_fail(s, first_line, "a quote is opened but never closed", err);
        if (byte == r->options.quote) {
            if (text_source_peek(s, err) != r->options.quote)
                return ERR_OK;
            text_source_next(s, err);
        }
        strbuf_putc(&r->bytes, (char)byte);
        if (record_check_size(r, err) != ERR_OK)
            return text_source_fail(s, first_line, "a quote is opened and not closed for long",
                                    err);
    }
}

static bool ends_field(const struct record_reader *r, int byte)
{
    return byte < 0 || byte == '\n' || byte == '\r' || byte == r->options.separator;
}

/* In the first line the separator may still be unknown: a tab decides for tabs, a comma for commas.
 */
static void find_separator(struct record_reader *r, int byte)
{
    if (r->options.separator == '\0' && (byte == '\t' || byte == ','))
        r->options.separator = (char)byte;
}

static enum err_code read_field(struct record_reader *r, struct err *err)
{
    struct text_source *s = &r->source;
    int byte = text_source_peek(s, err);
    if (byte >= 0 && r->options.quote && byte == r->options.quote) {
        text_source_next(s, err);
        enum err_code code = read_quoted(r, err);
        if (code)
            return code;
        byte = text_source_peek(s, err);
        find_separator(r, byte);
        if (!ends_field(r, byte))
            return text_source_fail(s, s->line, "text after a closing quote", err);
    }
    for (find_separator(r, byte); !ends_field(r, byte); find_separator(r, byte)) {
        strbuf_putc(&r->bytes, (char)byte);
        text_source_next(s, err);
        byte = text_source_peek(s, err);
    }
    if (byte == TEXT_FAILED)
        return err->code;
    record_end_value(r);
    return record_check_size(r, err);
}

/* The end of a line, whichever of \n, \r\n and \r it is. */
static enum err_code end_line(struct record_reader *r, struct err *err)
{
    struct text_source *s = &r->source;
    int byte = text_source_peek(s, err);
    if (byte == '\r') {
        text_source_next(s, err);
        byte = text_source_peek(s, err);
        s->line += byte != '\n' && byte != TEXT_FAILED;
    }
    if (byte == '\n')
        text_source_next(s, err);
    return byte == TEXT_FAILED ? err->code : ERR_OK;
}

/* Nothing but an empty line: no row. */
static bool is_blank(const struct record_reader *r)
{
    return r->value_count == 1 && r->ends[0] == 0 && r->column_count != 1;
}

enum err_code record_csv_row(struct record_reader *r, bool *got, struct err *err)
{
    struct text_source *s = &r->source;
    do {
        int byte = text_source_peek(s, err);
        *got = byte >= 0;
        if (byte < 0)
            return byte == TEXT_FAILED ? err->code : ERR_OK;
        record_begin(r);
        r->line = s->line;
        for (;;) {
            enum err_code code = read_field(r, err);
            if (code)
                return code;
            if (r->value_count > RECORD_COLUMNS_MAX)
                return text_source_fail(s, r->line, "too many columns", err);
            byte = text_source_peek(s, err);
            if (byte < 0 || byte != r->options.separator)
                break;
            text_source_next(s, err);
        }
        enum err_code code = end_line(r, err);
        if (code)
            return code;
    } while (is_blank(r));
    return ERR_OK;
}

enum err_code record_line(struct record_reader *r, bool *got, struct err *err)
{
    struct text_source *s = &r->source;
    int byte = text_source_peek(s, err);
    *got = byte >= 0;
    if (byte < 0)
        return byte == TEXT_FAILED ? err->code : ERR_OK;
    record_begin(r);
    r->line = s->line;
    for (; byte >= 0 && byte != '\n' && byte != '\r'; byte = text_source_peek(s, err)) {
        strbuf_putc(&r->bytes, (char)byte);
        text_source_next(s, err);
        enum err_code code = record_check_size(r, err);
        if (code)
            return code;
    }
    if (byte == TEXT_FAILED)
        return err->code;
    record_end_value(r);
    return end_line(r, err);
}
