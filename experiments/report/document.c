#include "document.h"

#include <stdarg.h>
#include <stdio.h>

#include "check.h"

PRINTF(2, 0)
static const char *format_text(struct arena *arena, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    ASSERT(len >= 0);
    char *text = arena_alloc(arena, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return text;
}

void document_init(struct document *doc, struct arena *arena)
{
    *doc = (struct document){.arena = arena};
}

static struct block *append_block(struct document *doc, enum block_kind kind)
{
    struct block *block = arena_alloc(doc->arena, sizeof *block);
    block->kind = kind;
    block->detail = doc->in_detail;
    if (doc->last)
        doc->last->next = block;
    else
        doc->blocks = block;
    doc->last = block;
    return block;
}

void document_add(struct document *doc, enum block_kind kind, const char *format, ...)
{
    ASSERT(kind != BLOCK_TABLE);
    va_list args;
    va_start(args, format);
    append_block(doc, kind)->text = format_text(doc->arena, format, args);
    va_end(args);
}

struct table *document_add_table(struct document *doc, const char *caption)
{
    struct table *table = &append_block(doc, BLOCK_TABLE)->table;
    table->caption = caption;
    return table;
}

void table_add_column(struct table *table, const char *title, enum align align)
{
    ASSERT(table->column_count < DOCUMENT_COLUMNS_MAX);
    table->titles[table->column_count] = title;
    table->aligns[table->column_count++] = align;
}

struct table_row *table_add_row(struct document *doc, struct table *table, bool starts_group)
{
    struct table_row *row = arena_alloc(doc->arena, sizeof *row);
    for (size_t c = 0; c < DOCUMENT_COLUMNS_MAX; c++)
        row->cells[c].text = "";
    row->starts_group = starts_group;
    if (table->last_row)
        table->last_row->next = row;
    else
        table->rows = row;
    table->last_row = row;
    return row;
}

void table_set(struct document *doc, struct table_row *row, size_t column, const char *format, ...)
{
    ASSERT(column < DOCUMENT_COLUMNS_MAX);
    va_list args;
    va_start(args, format);
    row->cells[column].text = format_text(doc->arena, format, args);
    va_end(args);
}
