/* Tables as text: RFC 4180 with a header line, comma or tab between fields, and single or double
 * quotes. Bounded; errors name the line. */
#ifndef TRIAD_CSV_H
#define TRIAD_CSV_H

#include <stddef.h>

#include "arena.h"
#include "err.h"

#define CSV_BYTES_MAX   ((size_t)256 * 1024 * 1024)
#define CSV_COLUMNS_MAX 4096

struct csv {
    struct arena arena;
    const char **columns; /* names from the header */
    size_t column_count;
    const char **cells; /* row-major, NUL-terminated */
    size_t row_count;
};

/* Parse a table with a header. The separator is a tab if the header has one, else a comma. `name`
 * is for messages ("table 'x.csv': line 7: …"). Free with csv_release(). */
NODISCARD enum err_code csv_parse(const char *bytes, size_t len, const char *name, struct csv *out,
                                  struct err *err);
void csv_release(struct csv *csv);

/* Index of a column, or -1. */
int csv_column(const struct csv *csv, const char *name);
const char *csv_cell(const struct csv *csv, size_t row, size_t column);

#endif
