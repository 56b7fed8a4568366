/* A document as GitHub-flavoured Markdown. */
#include "report.h"

#include <string.h>

/* Backslashes before what Markdown would take as markup, line breaks as spaces. An underscore
 * stays: inside a word it is none. */
static void put_escaped(struct strbuf *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("\\|*<>`", *text))
            strbuf_putc(out, '\\');
        const bool breaks = *text == '\n' || *text == '\r';
        strbuf_append(out, breaks ? " " : text, 1);
    }
}

static void put_cell(struct strbuf *out, const struct table_cell *cell)
{
    const char *mark = cell->strong && cell->text[0] ? "**" : "";
    strbuf_printf(out, " %s", mark);
    put_escaped(out, cell->text);
    strbuf_printf(out, "%s |", mark);
}

static void put_table(struct strbuf *out, const struct table *table)
{
    if (table->caption) {
        put_escaped(out, table->caption);
        strbuf_puts(out, "\n\n");
    }
    strbuf_putc(out, '|');
    for (size_t c = 0; c < table->column_count; c++)
        put_cell(out, &(struct table_cell){table->titles[c], false});
    strbuf_puts(out, "\n|");
    for (size_t c = 0; c < table->column_count; c++)
        strbuf_puts(out, table->aligns[c] == ALIGN_RIGHT ? " ---: |" : " --- |");
    strbuf_putc(out, '\n');
    for (const struct table_row *row = table->rows; row; row = row->next) {
        strbuf_putc(out, '|');
        for (size_t c = 0; c < table->column_count; c++)
            put_cell(out, &row->cells[c]);
        strbuf_putc(out, '\n');
    }
    strbuf_putc(out, '\n');
}

static void put_block(struct strbuf *out, const struct block *block)
{
    static const char *const PREFIX[] = {
        [BLOCK_TITLE] = "# ", [BLOCK_HEADING] = "## ", [BLOCK_PARAGRAPH] = "",
        [BLOCK_ITEM] = "- ",  [BLOCK_TABLE] = "",
    };
    if (block->kind == BLOCK_TABLE) {
        put_table(out, &block->table);
        return;
    }
    strbuf_puts(out, PREFIX[block->kind]);
    put_escaped(out, block->text);
    const bool list_goes_on =
        block->kind == BLOCK_ITEM && block->next && block->next->kind == BLOCK_ITEM;
    strbuf_puts(out, list_goes_on ? "\n" : "\n\n");
}

void report_render_markdown(const struct report *report, struct strbuf *out)
{
    for (const struct block *block = report->document.blocks; block; block = block->next)
        put_block(out, block);
}
