#include "csv.h"

#include <string.h>

#include "check.h"
#include "str.h"

/* Where parsing stands. */
struct cursor {
    const char *at, *end;
    const char *name;
    size_t line;
    char separator;
    struct strbuf field;
};

/* Growing list of fields. */
struct fields {
    const char **items;
    size_t count, cap;
};

static enum err_code fail(const struct cursor *c, const char *what, struct err *err)
{
    return err_set(err, ERR_INVALID, "table '%s': line %zu: %s", c->name, c->line, what);
}

static void push(struct arena *arena, struct fields *list, const char *item)
{
    if (list->count == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 64;
        const char **grown = arena_array(arena, cap, sizeof *grown);
        if (list->count > 0)
            memcpy(grown, list->items, list->count * sizeof *grown);
        list->items = grown;
        list->cap = cap;
    }
    list->items[list->count++] = item;
}

static enum err_code read_quoted(struct cursor *c, struct err *err)
{
    const char quote = *c->at++;
    const size_t first_line = c->line;
    while (c->at < c->end) {
        char byte = *c->at++;
        if (byte == quote && (c->at == c->end || *c->at != quote))
            return ERR_OK;
        c->at += byte == quote; /* a doubled quote stands for one */
        c->line += byte == '\n';
        strbuf_putc(&c->field, byte);
    }
    c->line = first_line;
    return fail(c, "a quote is opened but never closed", err);
}

/* One field; the cursor then stands on the separator, the line's end or the file's end. */
static enum err_code read_field(struct cursor *c, struct err *err)
{
    strbuf_clear(&c->field);
    if (c->at < c->end && (*c->at == '"' || *c->at == '\'')) {
        enum err_code code = read_quoted(c, err);
        if (code)
            return code;
    }
    while (c->at < c->end && *c->at != c->separator && *c->at != '\n' && *c->at != '\r')
        strbuf_putc(&c->field, *c->at++);
    if (memchr(strbuf_text(&c->field), '\0', c->field.len))
        return fail(c, "NUL byte in the text", err);
    return ERR_OK;
}

/* One line of fields. */
static enum err_code read_row(struct cursor *c, struct arena *arena, struct fields *row,
                              struct err *err)
{
    row->count = 0;
    for (;;) {
        enum err_code code = read_field(c, err);
        if (code)
            return code;
        if (row->count == CSV_COLUMNS_MAX)
            return fail(c, "too many columns", err);
        push(arena, row, arena_strndup(arena, strbuf_text(&c->field), c->field.len));
        if (c->at == c->end || *c->at != c->separator)
            break;
        c->at++;
    }
    if (c->at < c->end && *c->at == '\r')
        c->at++;
    if (c->at < c->end && *c->at == '\n')
        c->at++;
    else if (c->at < c->end && c->at[-1] != '\r')
        return fail(c, "text after a closing quote", err);
    c->line++;
    return ERR_OK;
}

static enum err_code read_table(struct cursor *c, struct csv *csv, struct err *err)
{
    struct fields row = {0}, cells = {0};
    enum err_code code = read_row(c, &csv->arena, &row, err);
    if (code)
        return code;
    csv->columns = arena_memdup(&csv->arena, row.items, row.count * sizeof *row.items);
    csv->column_count = row.count;
    while (c->at < c->end) {
        code = read_row(c, &csv->arena, &row, err);
        if (code)
            return code;
        if (row.count != csv->column_count) {
            c->line--;
            return err_set(err, ERR_INVALID, "table '%s': line %zu: %zu fields, the header has %zu",
                           c->name, c->line, row.count, csv->column_count);
        }
        for (size_t i = 0; i < row.count; i++)
            push(&csv->arena, &cells, row.items[i]);
        csv->row_count++;
    }
    csv->cells = cells.items;
    return ERR_OK;
}

enum err_code csv_parse(const char *bytes, size_t len, const char *name, struct csv *out,
                        struct err *err)
{
    if (len > CSV_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "table '%s': %zu bytes, at most %zu are read", name, len,
                       CSV_BYTES_MAX);
    if (len == 0)
        return err_set(err, ERR_INVALID, "table '%s': the file is empty", name);
    const char *line_end = memchr(bytes, '\n', len);
    size_t header_len = line_end ? (size_t)(line_end - bytes) : len;
    struct csv csv = {0};
    struct cursor c = {.at = bytes,
                       .end = bytes + len,
                       .name = name,
                       .line = 1,
                       .separator = memchr(bytes, '\t', header_len) ? '\t' : ','};
    enum err_code code = read_table(&c, &csv, err);
    strbuf_release(&c.field);
    if (code) {
        csv_release(&csv);
        return code;
    }
    *out = csv;
    return ERR_OK;
}

void csv_release(struct csv *csv)
{
    arena_release(&csv->arena);
    *csv = (struct csv){0};
}

int csv_column(const struct csv *csv, const char *name)
{
    for (size_t i = 0; i < csv->column_count; i++) {
        if (strcmp(csv->columns[i], name) == 0)
            return (int)i;
    }
    return -1;
}

const char *csv_cell(const struct csv *csv, size_t row, size_t column)
{
    ASSERT(row < csv->row_count);
    ASSERT(column < csv->column_count);
    return csv->cells[row * csv->column_count + column];
}
