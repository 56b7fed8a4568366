/* A document in the abstract: headings, paragraphs, lists and tables of text, for renderers that
 * know a terminal, Markdown or LaTeX but nothing about statistics. Memory comes from one arena. */
#ifndef TRIAD_DOCUMENT_H
#define TRIAD_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "arena.h"

#define DOCUMENT_COLUMNS_MAX 16

enum align {
    ALIGN_LEFT,
    ALIGN_RIGHT,
};

struct table_cell {
    const char *text;
    bool strong; /* the best of its row */
};

struct table_row {
    struct table_cell cells[DOCUMENT_COLUMNS_MAX];
    bool starts_group; /* rows until the next start belong together */
    struct table_row *next;
};

struct table {
    const char *caption;
    const char *titles[DOCUMENT_COLUMNS_MAX];
    enum align aligns[DOCUMENT_COLUMNS_MAX];
    size_t column_count;
    struct table_row *rows, *last_row;
};

enum block_kind {
    BLOCK_TITLE,
    BLOCK_HEADING,
    BLOCK_PARAGRAPH,
    BLOCK_ITEM, /* one line of a list */
    BLOCK_TABLE,
};

struct block {
    enum block_kind kind;
    const char *text; /* of everything but tables */
    struct table table;
    bool detail; /* for readers who look closer; a terminal leaves it out */
    struct block *next;
};

struct document {
    struct arena *arena;
    struct block *blocks, *last;
    bool in_detail; /* blocks appended from now on are detail */
};

void document_init(struct document *doc, struct arena *arena);
/* Append a block with formatted text. */
void document_add(struct document *doc, enum block_kind kind, const char *format, ...) PRINTF(3, 4);
/* Append a table; the caption may be NULL. Columns and rows follow. */
struct table *document_add_table(struct document *doc, const char *caption);
void table_add_column(struct table *table, const char *title, enum align align);
/* Append a row of empty cells, to be filled by table_set(). */
struct table_row *table_add_row(struct document *doc, struct table *table, bool starts_group);
void table_set(struct document *doc, struct table_row *row, size_t column, const char *format, ...)
    PRINTF(4, 5);

#endif
