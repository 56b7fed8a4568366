/* Result rows: filled once, printed as an aligned table, as one JSON document or as CSV. */
#ifndef TRIAD_ROWS_H
#define TRIAD_ROWS_H

#include <jansson.h>
#include <stdint.h>

#include "arena.h"
#include "cli.h"

enum rows_kind {
    ROWS_TEXT,
    ROWS_INTEGER,
    ROWS_REAL,   /* NaN prints as "-" and JSON null */
    ROWS_TIME,   /* milliseconds since the epoch; 0 is "-"; ISO 8601 in JSON and CSV */
    ROWS_DIGEST, /* hexadecimal text; the table shows its first 12 digits */
};

struct rows_column {
    const char *name;  /* JSON key and CSV header */
    const char *title; /* table header; NULL leaves the column out of the table */
    enum rows_kind kind;
};

struct rows_cell {
    const char *text;
    int64_t integer;
    double real;
};

/* A figure over all rows: a key beside "rows" in JSON. */
struct rows_total {
    const char *name;
    double value;
    bool whole; /* a count: an integer in JSON */
};

struct rows {
    const char *schema; /* "triad.jobs/1" */
    const struct rows_column *columns;
    int column_count;
    struct rows_cell *cells; /* row-major, in the arena */
    int row_count, row_cap;
    const struct rows_total *totals; /* JSON only; the caller words them for people */
    int total_count;
    struct arena *arena;
};

void rows_init(struct rows *r, struct arena *arena, const char *schema,
               const struct rows_column *columns, int column_count);
/* Append a row; returns its column_count cells to be filled (text must outlive the rows). */
struct rows_cell *rows_add(struct rows *r);
/* One row as a JSON object, all rows as an array of them; the caller owns the reference. */
json_t *rows_json_row(const struct rows *r, int row);
json_t *rows_json(const struct rows *r);
/* Print a JSON document on stdout and drop the reference. */
void rows_print_document(json_t *root);
/* The table on stdout, for a terminal of `width` columns (0: as wide as it is): where it is wider,
 * columns without a word or figure are left out and long texts cut. */
void rows_print_table(const struct rows *r, int width);
/* Print on stdout in the output format of `cli`; a table fits the terminal. */
void rows_print(const struct rows *r, const struct cli *cli);

/* Text that a model or a data set wrote, on stdout: as it is into files and pipes; on a terminal
 * control characters but line ends and tabs become '?'. */
void rows_print_text(const char *text);
/* Text that somebody else wrote, in the arena: nothing in it steers a terminal. */
const char *rows_clean(struct arena *arena, const char *text);

#endif
