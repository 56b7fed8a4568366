#include "record_reader.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

static const char *const json_columns[] = {"_key", "_json"};
static const char *const line_columns[] = {"line"};

void record_begin(struct record_reader *r)
{
    strbuf_clear(&r->bytes);
    r->value_count = 0;
}

void record_end_value(struct record_reader *r)
{
    if (r->value_count == r->value_cap) {
        r->value_cap = r->value_cap ? 2 * r->value_cap : 64;
        r->ends = realloc(r->ends, r->value_cap * sizeof *r->ends);
        ASSERT(r->ends != NULL);
    }
    r->ends[r->value_count++] = r->bytes.len;
    strbuf_putc(&r->bytes, '\0');
}

enum err_code record_check_size(const struct record_reader *r, struct err *err)
{
    if (r->bytes.len <= RECORD_BYTES_MAX)
        return ERR_OK;
    return err_set(err, ERR_LIMIT, "%s:%zu: a record of more than %zu MiB", r->source.name, r->line,
                   RECORD_BYTES_MAX >> 20);
}

struct str record_reader_value(const struct record_reader *r, size_t column)
{
    ASSERT(column < r->value_count);
    size_t start = column == 0 ? 0 : r->ends[column - 1] + 1;
    return (struct str){r->bytes.data + start, r->ends[column] - start};
}

static void set_columns(struct record_reader *r, const char *const *names, size_t count)
{
    r->columns = arena_array(&r->arena, count + 1, sizeof *r->columns);
    for (size_t i = 0; i < count; i++)
        r->columns[i] = arena_strdup(&r->arena, names[i]);
    r->column_count = count;
}

/* The header line's names, which must differ; a nameless one (R's row names) is called column1 …
 */
static enum err_code read_header(struct record_reader *r, struct err *err)
{
    bool got;
    enum err_code code = record_csv_row(r, &got, err);
    if (code)
        return code;
    if (!got)
        return text_source_fail(&r->source, 1, "the file is empty", err);
    r->columns = arena_array(&r->arena, r->value_count + 1, sizeof *r->columns);
    for (size_t i = 0; i < r->value_count; i++) {
        struct str name = record_reader_value(r, i);
        r->columns[i] = name.len ? arena_strndup(&r->arena, name.data, name.len)
                                 : arena_printf(&r->arena, "column%zu", i + 1);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(r->columns[j], r->columns[i]) == 0)
                return err_set(err, ERR_INVALID, "%s:%zu: two columns are called '%.60s'",
                               r->source.name, r->line, r->columns[i]);
        }
    }
    r->column_count = r->value_count;
    return ERR_OK;
}

static enum err_code begin(struct record_reader *r, struct err *err)
{
    for (size_t i = 0; i < r->options.skip_lines; i++) {
        int byte;
        while ((byte = text_source_next(&r->source, err)) >= 0 && byte != '\n')
            ;
        if (byte == TEXT_FAILED)
            return err->code;
    }
    switch (r->options.format) {
    case RECORD_TSV:
        r->options.separator = '\t';
        r->options.quote = '\0';
        __attribute__((fallthrough));
    case RECORD_CSV:
        if (r->options.header_count == 0)
            return read_header(r, err);
        set_columns(r, r->options.header, r->options.header_count);
        return ERR_OK;
    case RECORD_JSON:
    case RECORD_JSONL:
    case RECORD_DOCUMENT:
        set_columns(r, json_columns, ARRAY_COUNT(json_columns));
        return ERR_OK;
    case RECORD_LINES:
        set_columns(r, line_columns, ARRAY_COUNT(line_columns));
        return ERR_OK;
    case RECORD_FORMAT_COUNT:
        break;
    }
    UNREACHABLE("unknown format");
}

enum err_code record_reader_open(const struct record_options *options, struct byte_stream stream,
                                 const char *name, struct record_reader *out, struct err *err)
{
    struct record_reader r = {.options = *options,
                              .source = text_source_open(stream, name, options->encoding)};
    enum err_code code = begin(&r, err);
    if (code)
        record_reader_close(&r);
    else
        *out = r;
    return code;
}

void record_reader_close(struct record_reader *r)
{
    text_source_close(&r->source);
    strbuf_release(&r->bytes);
    free(r->ends);
    arena_release(&r->arena);
    *r = (struct record_reader){0};
}

static enum err_code check_width(const struct record_reader *r, struct err *err)
{
    if (r->value_count == r->column_count)
        return ERR_OK;
    return err_set(err, ERR_INVALID, "%s:%zu: %zu fields, the header has %zu", r->source.name,
                   r->line, r->value_count, r->column_count);
}

enum err_code record_reader_next(struct record_reader *r, bool *got, struct err *err)
{
    enum err_code code;
    switch (r->options.format) {
    case RECORD_CSV:
    case RECORD_TSV:
        code = record_csv_row(r, got, err);
        return !code && *got ? check_width(r, err) : code;
    case RECORD_JSON:
    case RECORD_JSONL:
    case RECORD_DOCUMENT:
        return record_json_next(r, got, err);
    case RECORD_LINES:
        return record_line(r, got, err);
    case RECORD_FORMAT_COUNT:
        break;
    }
    UNREACHABLE("unknown format");
}
