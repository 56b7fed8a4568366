/* A document on a terminal. */
#include "report.h"

#include <string.h>

#define GAP_WIDE        2 /* blanks between columns, */
#define GAP_NARROW      1 /* and where they must not cost a label */
#define LABEL_WIDTH_MIN 10

/* Length of the UTF-8 sequence that starts with this byte; 1 for anything odd. */
static size_t sequence_len(unsigned char lead)
{
    if (lead >= 0xf0)
        return 4;
    if (lead >= 0xe0)
        return 3;
    return lead >= 0xc0 ? 2 : 1;
}

/* Terminal columns of one code point, by its UTF-8 bytes: combining marks take none, the CJK blocks
 * and emoji two. Good enough for names; no locale is asked. */
static size_t sequence_width(const unsigned char *bytes, size_t len)
{
    if (len == 2 && (bytes[0] == 0xcc || (bytes[0] == 0xcd && bytes[1] < 0xb0)))
        return 0; /* U+0300 ... U+036F */
    if (len == 3 && bytes[0] == 0xe2)
        return 1;
    if (len == 3 && bytes[0] >= 0xe3 && bytes[0] <= 0xed)
        return 2; /* U+3000 ... U+D7FF */
    if (len == 3 && bytes[0] == 0xef && (bytes[1] == 0xbc || bytes[1] == 0xbd))
        return 2; /* full-width forms */
    return len == 4 && bytes[0] == 0xf0 && bytes[1] == 0x9f ? 2 : 1;
}

/* Bytes of `text` that fit into `width` columns; `used_out` says how many columns they take. */
static size_t fitting_bytes(const char *text, size_t width, size_t *used_out)
{
    size_t bytes = 0;
    *used_out = 0;
    const size_t len = strlen(text);
    while (bytes < len) {
        size_t step = sequence_len((unsigned char)text[bytes]);
        if (step > len - bytes)
            step = len - bytes;
        size_t columns = sequence_width((const unsigned char *)text + bytes, step);
        if (*used_out + columns > width)
            break;
        *used_out += columns;
        bytes += step;
    }
    return bytes;
}

static size_t text_width(const char *text)
{
    size_t used;
    fitting_bytes(text, SIZE_MAX, &used);
    return used;
}

static void put_repeated(struct strbuf *out, const char *what, size_t count)
{
    while (count-- > 0)
        strbuf_puts(out, what);
}

/* Paragraph text broken at spaces, continued lines indented by `indent`. */
static void put_wrapped(struct strbuf *out, const char *text, unsigned width, size_t indent)
{
    size_t column = indent;
    bool first = true;
    while (*text) {
        size_t len = strcspn(text, " ");
        char word[512];
        size_t kept = len < sizeof word ? len : sizeof word - 1;
        memcpy(word, text, kept);
        word[kept] = '\0';
        size_t columns = text_width(word);
        if (!first && width > 0 && column + 1 + columns > width) {
            strbuf_putc(out, '\n');
            put_repeated(out, " ", indent);
            column = indent;
        } else if (!first) {
            strbuf_putc(out, ' ');
            column++;
        }
        strbuf_append(out, text, len);
        column += columns;
        first = false;
        text += len + (text[len] == ' ');
    }
    strbuf_putc(out, '\n');
}

static void put_cell(struct strbuf *out, const char *text, size_t width, enum align align)
{
    size_t used = text_width(text);
    if (used > width) {
        size_t bytes = fitting_bytes(text, width - 1, &used);
        strbuf_append(out, text, bytes);
        strbuf_puts(out, "…");
        put_repeated(out, " ", width - 1 - used);
        return;
    }
    if (align == ALIGN_RIGHT)
        put_repeated(out, " ", width - used);
    strbuf_puts(out, text);
    if (align == ALIGN_LEFT)
        put_repeated(out, " ", width - used);
}

/* How a table is drawn: the width of each column and of the gaps between them. */
struct layout {
    size_t widths[DOCUMENT_COLUMNS_MAX];
    size_t gap;
};

static size_t total_width(const struct table *table, const struct layout *layout)
{
    size_t total = layout->gap * (table->column_count - 1);
    for (size_t c = 0; c < table->column_count; c++)
        total += layout->widths[c];
    return total;
}

static void measure(const struct table *table, struct layout *layout)
{
    layout->gap = GAP_WIDE;
    for (size_t c = 0; c < table->column_count; c++) {
        layout->widths[c] = text_width(table->titles[c]);
        for (const struct table_row *row = table->rows; row; row = row->next) {
            size_t width = text_width(row->cells[c].text);
            if (width > layout->widths[c])
                layout->widths[c] = width;
        }
    }
}

/* Narrow the gaps, then the labels, the widest column first, until the table fits; figures are
 * never cut. */
static void fit(const struct table *table, struct layout *layout, unsigned width)
{
    if (width > 0 && total_width(table, layout) > width)
        layout->gap = GAP_NARROW;
    while (width > 0 && total_width(table, layout) > width) {
        size_t widest = table->column_count;
        for (size_t c = 0; c < table->column_count; c++)
            if (table->aligns[c] == ALIGN_LEFT && layout->widths[c] > LABEL_WIDTH_MIN &&
                (widest == table->column_count || layout->widths[c] > layout->widths[widest]))
                widest = c;
        if (widest == table->column_count)
            return;
        layout->widths[widest]--;
    }
}

/* One line of cells; blanks at its end are dropped. */
static void put_cells(struct strbuf *out, const struct table *table, const struct layout *layout,
                      const struct table_row *row)
{
    for (size_t c = 0; c < table->column_count; c++) {
        put_repeated(out, " ", c > 0 ? layout->gap : 0);
        put_cell(out, row ? row->cells[c].text : table->titles[c], layout->widths[c],
                 table->aligns[c]);
    }
    while (out->len > 0 && out->data[out->len - 1] == ' ')
        out->data[--out->len] = '\0';
    strbuf_putc(out, '\n');
}

static void put_table(struct strbuf *out, const struct table *table, unsigned width)
{
    struct layout layout;
    measure(table, &layout);
    fit(table, &layout, width);
    if (table->caption)
        put_wrapped(out, table->caption, width, 0);
    put_cells(out, table, &layout, NULL);
    put_repeated(out, "─", total_width(table, &layout));
    strbuf_putc(out, '\n');
    for (const struct table_row *row = table->rows; row; row = row->next)
        put_cells(out, table, &layout, row);
}

static void put_underlined(struct strbuf *out, const char *text, const char *line)
{
    strbuf_printf(out, "%s\n", text);
    put_repeated(out, line, text_width(text));
    strbuf_putc(out, '\n');
}

static void put_block(struct strbuf *out, const struct block *block, unsigned width)
{
    switch (block->kind) {
    case BLOCK_TITLE:
        put_underlined(out, block->text, "═");
        strbuf_putc(out, '\n');
        break;
    case BLOCK_HEADING:
        strbuf_printf(out, "\n%s\n\n", block->text);
        break;
    case BLOCK_PARAGRAPH:
        put_wrapped(out, block->text, width, 0);
        break;
    case BLOCK_ITEM:
        strbuf_puts(out, "- ");
        put_wrapped(out, block->text, width, 2);
        break;
    case BLOCK_TABLE:
        put_table(out, &block->table, width);
        break;
    }
}

void report_render_text(const struct report *report, unsigned width, struct strbuf *out)
{
    for (const struct block *block = report->document.blocks; block; block = block->next)
        if (!block->detail)
            put_block(out, block, width);
}
