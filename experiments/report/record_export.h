/* Item records as CSV or JSON lines; columns in docs/records.md. */
#ifndef TRIAD_RECORD_EXPORT_H
#define TRIAD_RECORD_EXPORT_H

#include "str.h"
#include "stat_cell.h"

enum record_format {
    RECORD_CSV,
    RECORD_JSONL,
};

/* The header line of a CSV; nothing for JSON lines. */
void record_export_header(enum record_format format, struct strbuf *out);
/* One line per record of the cell in the order given; a missing cell has none. Call it cell by cell
 * and write `out` away in between: memory stays bounded by one cell. */
void record_export_cell(enum record_format format, const char *experiment,
                        const struct stat_cell *cell, struct strbuf *out);

#endif
