/* A document as LaTeX with booktabs tables. */
#include "report.h"

#include <string.h>

struct replacement {
    const char *from;
    const char *to;
};

/* What TeX would read as a command, and the symbols that reports use beyond ASCII. */
static const struct replacement REPLACEMENTS[] = {
    {"\\", "\\textbackslash{}"},
    {"&", "\\&"},
    {"%", "\\%"},
    {"$", "\\$"},
    {"#", "\\#"},
    {"_", "\\_"},
    {"{", "\\{"},
    {"}", "\\}"},
    {"~", "\\textasciitilde{}"},
    {"^", "\\textasciicircum{}"},
    {"<", "$<$"},
    {">", "$>$"},
    {"±", "$\\pm$"},
    {"Δ", "$\\Delta$"},
    {"↓", "$\\downarrow$"},
    {"↑", "$\\uparrow$"},
    {"τ", "$\\tau$"},
    {"²", "$^2$"},
    {"‡", "$\\ddagger$"},
    {"—", "---"},
    {"…", "\\ldots{}"},
};

static void put_escaped(struct strbuf *out, const char *text)
{
    while (*text) {
        const struct replacement *found = NULL;
        for (size_t i = 0; i < sizeof REPLACEMENTS / sizeof REPLACEMENTS[0] && !found; i++)
            if (strncmp(text, REPLACEMENTS[i].from, strlen(REPLACEMENTS[i].from)) == 0)
                found = &REPLACEMENTS[i];
        if (found) {
            strbuf_puts(out, found->to);
            text += strlen(found->from);
        } else {
            strbuf_putc(out, *text++);
        }
    }
}

static void put_cells(struct strbuf *out, const struct table *table, const struct table_row *row)
{
    for (size_t c = 0; c < table->column_count; c++) {
        const bool strong = row && row->cells[c].strong;
        /* Braces: a leading [ after \\ would be read as its argument. */
        strbuf_puts(out, c > 0 ? " & " : "  ");
        strbuf_puts(out, strong ? "\\textbf{" : "{");
        put_escaped(out, row ? row->cells[c].text : table->titles[c]);
        strbuf_putc(out, '}');
    }
    strbuf_puts(out, " \\\\\n");
}

static void put_table(struct strbuf *out, const struct table *table)
{
    strbuf_puts(out, "\\begin{tabular}{");
    for (size_t c = 0; c < table->column_count; c++)
        strbuf_putc(out, table->aligns[c] == ALIGN_RIGHT ? 'r' : 'l');
    strbuf_puts(out, "}\n\\toprule\n");
    put_cells(out, table, NULL);
    strbuf_puts(out, "\\midrule\n");
    for (const struct table_row *row = table->rows; row; row = row->next) {
        if (row->starts_group && row != table->rows)
            strbuf_puts(out, "\\addlinespace\n");
        put_cells(out, table, row);
    }
    strbuf_puts(out, "\\bottomrule\n\\end{tabular}\n\n");
}

/* Items need their environment; blocks say which one they are in. */
static void put_block(struct strbuf *out, const struct block *block, const struct block *before)
{
    const bool in_list = before && before->kind == BLOCK_ITEM;
    if (in_list && block->kind != BLOCK_ITEM)
        strbuf_puts(out, "\\end{itemize}\n\n");
    if (!in_list && block->kind == BLOCK_ITEM)
        strbuf_puts(out, "\\begin{itemize}\n");
    switch (block->kind) {
    case BLOCK_TITLE:
    case BLOCK_HEADING:
        strbuf_puts(out, block->kind == BLOCK_TITLE ? "\\section*{" : "\\subsection*{");
        put_escaped(out, block->text);
        strbuf_puts(out, "}\n\n");
        break;
    case BLOCK_PARAGRAPH:
        put_escaped(out, block->text);
        strbuf_puts(out, "\n\n");
        break;
    case BLOCK_ITEM:
        strbuf_puts(out, "\\item {");
        put_escaped(out, block->text);
        strbuf_puts(out, "}\n");
        break;
    case BLOCK_TABLE:
        put_table(out, &block->table);
        break;
    }
}

void report_render_latex(const struct report *report, struct strbuf *out)
{
    const struct block *before = NULL;
    for (const struct block *block = report->document.blocks; block; block = block->next) {
        put_block(out, block, before);
        before = block;
    }
    if (before && before->kind == BLOCK_ITEM)
        strbuf_puts(out, "\\end{itemize}\n");
}
