/* Tables out of files, and rows out of tables by SQL: a private SQLite database on scratch space of
 * the operating system, so that neither tables nor rows must fit into memory.
 *
 * Every imported table has, besides its own columns, `_file` (the path below the source's folder)
 * and `_row` (1 … over all its files). Functions a query may use beyond SQLite's:
 * table_functions.h.
 */
#ifndef TRIAD_TABLE_DB_H
#define TRIAD_TABLE_DB_H

#include <stdint.h>

#include "record_reader.h"

struct table_db;

/* What the queries of a task file may take. Steps are SQLite's (its virtual machine's
 * instructions), not seconds: what is too long is then too long on every machine. */
struct table_limits {
    int64_t steps; /* of one query, or of a table's `where` for one record */
    int64_t bytes; /* of scratch space, tables and rows together */
};
#define TABLE_STEPS_MAX ((int64_t)50 * 1000 * 1000 * 1000) /* some twenty minutes */
#define TABLE_BYTES_MAX ((int64_t)64 << 30)

struct table_column {
    const char *name; /* in the table */
    const char *from; /* the file's column, or a JSON path; as `name` when NULL */
};

/* A table of which each record becomes a row per item: its column's name as `item`, its wording as
 * `wording`, its value as `answer`. */
struct table_item {
    const char *code, *wording;
};

struct table_import {
    const char *name;
    struct record_options records;
    /* Columns to keep; none: all of a CSV file, the columns of the record reader for others. */
    const struct table_column *columns;
    size_t column_count;
    const struct table_item *items; /* items, or a glob over columns, or neither */
    size_t item_count;
    const char *item_glob;
    const char *const *missing; /* values that mean "nothing", besides the empty one */
    size_t missing_count;
    const char *where; /* SQL over a row; NULL: every row */
    int64_t limit;     /* rows kept at most; 0: no limit */
};

/* Files that make up a table, in order. */
struct table_file {
    const char *path, *label; /* to open; as errors and `_file` call it */
};
/* How files are opened. */
struct table_opener {
    void *ctx;
    enum err_code (*open)(void *ctx, const char *path, struct byte_stream *out, struct err *err);
};

NODISCARD enum err_code table_db_open(const struct table_limits *limits, struct table_db **out,
                                      struct err *err);
void table_db_close(struct table_db *db); /* accepts NULL */

/* Read a table. Errors name the file and, where there is one, the line. */
NODISCARD enum err_code table_db_import(struct table_db *db, const struct table_import *import,
                                        const struct table_opener *opener,
                                        const struct table_file *files, size_t file_count,
                                        struct err *err);
/* The same table without rows; its columns must be named. */
NODISCARD enum err_code table_db_empty(struct table_db *db, const struct table_import *import,
                                       struct err *err);
/* A table of two columns, key and value. */
NODISCARD enum err_code table_db_values(struct table_db *db, const char *name,
                                        const struct table_item *pairs, size_t count,
                                        struct err *err);

/* A value of a row as SQLite has it. */
enum cell_kind { CELL_NULL, CELL_INTEGER, CELL_REAL, CELL_TEXT, CELL_JSON };
struct cell {
    enum cell_kind kind;
    const char *text; /* as shown; "" for CELL_NULL */
};

/* The rows of one query, kept by group. */
struct row_group {
    uint32_t first, count; /* rows; the first is 0 */
};
struct row_set {
    struct table_db *db;
    void *fetch; /* a prepared statement */
    size_t column_count;
    struct row_group *groups; /* in order of first appearance; malloc()ed */
    size_t group_count;
    uint32_t row_count, left_out; /* left out: rows without a group or a needed value */
    int number;                   /* of its table in the database */
};

/* Run `sql` (one SELECT) and keep its `columns`, grouped by column `group` (NULL: one group). Rows
 * in which one of the first `needed` columns is missing are left out and counted. The order within
 * a group is the query's. `what` is for messages. ERR_LIMIT past the limits. Free with
 * row_set_release() before the database. */
NODISCARD enum err_code row_set_make(struct table_db *db, const char *sql, const char *what,
                                     const char *group, const char *const *columns,
                                     size_t column_count, size_t needed, struct row_set *out,
                                     struct err *err);
void row_set_release(struct row_set *set);

/* The cells of row `row` into `cells`, their texts in `arena`. */
void row_set_fetch(const struct row_set *set, uint32_t row, struct arena *arena,
                   struct cell *cells);
/* The commonest text of column `column` among rows whose column `by` is `value`, the first to
 * appear on ties; NULL when there is none. In `arena`. */
const char *row_set_commonest(struct row_set *set, size_t column, size_t by, const char *value,
                              struct arena *arena);

#endif
