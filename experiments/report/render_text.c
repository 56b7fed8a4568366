/* A document on a terminal. */
#include "report.h"

#include <string.h>

#define GAP_WIDE        2 /* blanks between columns, */
#define GAP_NARROW      1 /* and where they must not cost a label */
#define LABEL_WIDTH_MIN 10

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
        size_t columns = str_columns(word);
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
    size_t used = str_columns(text);
    if (used > width) {
        size_t bytes = str_fit(text, width - 1, &used);
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
        layout->widths[c] = str_columns(table->titles[c]);
        for (const struct table_row *row = table->rows; row; row = row->next) {
            size_t width = str_columns(row->cells[c].text);
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
    put_repeated(out, line, str_columns(text));
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
