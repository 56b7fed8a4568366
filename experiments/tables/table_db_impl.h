/* The inside of the table database, shared by its files: table_db.c (opening, guarding),
 * table_import.c (files into tables), row_set.c (queries into rows). */
#ifndef TRIAD_TABLE_DB_IMPL_H
#define TRIAD_TABLE_DB_IMPL_H

#include <sqlite3.h>
#include <stdio.h>

#include "table_db.h"

struct table_db {
    sqlite3 *sqlite;
    bool guarded; /* only reading is allowed now */
    int row_sets; /* made so far, for the names of their tables */
    struct table_limits limits;
    bool counting; /* a query of the task file is running … */
    int64_t steps; /* … and has taken about so many */
};

/* What runs from here to table_db_end() is a task file's and is held to the limits. */
void table_db_begin(struct table_db *db);
void table_db_end(struct table_db *db);

/* ERR_INVALID "what: SQLite's message", or ERR_LIMIT and which one. */
enum err_code table_db_fail(struct table_db *db, const char *what, struct err *err);
NODISCARD enum err_code table_db_run(struct table_db *db, const char *sql, const char *what,
                                     struct err *err);
/* Is `sql` one statement that only reads? */
NODISCARD enum err_code table_db_check_query(struct table_db *db, const char *sql, const char *what,
                                             struct err *err);
/* Append a quoted identifier. */
void table_db_put_name(struct strbuf *out, const char *name);

#endif
