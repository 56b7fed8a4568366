/* Files into tables. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "table_db_impl.h"

/* A table being read. */
struct importer {
    struct table_db *db;
    const struct table_import *t;
    struct record_reader reader;
    bool is_json;
    /* For each bound parameter the reader's column; the first files decides their order. */
    size_t *bound;
    size_t bound_count;
    size_t *items; /* reader's columns that are items */
    const char **wordings;
    size_t item_count;
    sqlite3_stmt *insert;
    int64_t records; /* over all files */
    int64_t kept;
};

static bool is_item(const struct importer *im, size_t column)
{
    for (size_t i = 0; i < im->item_count; i++) {
        if (im->items[i] == column)
            return true;
    }
    return false;
}

static enum err_code no_column(const struct importer *im, const char *name, struct err *err)
{
    char hint[200] = "";
    const char *near = str_did_you_mean(name, im->reader.columns, im->reader.column_count);
    if (near)
        snprintf(hint, sizeof hint, ", did you mean '%.60s'?", near);
    return err_set(err, ERR_INVALID, "%s: no column '%.60s'%s", im->reader.source.name, name, hint);
}

static enum err_code find_column(const struct importer *im, const char *name, size_t *out,
                                 struct err *err)
{
    for (size_t i = 0; i < im->reader.column_count; i++) {
        if (strcmp(im->reader.columns[i], name) == 0) {
            *out = i;
            return ERR_OK;
        }
    }
    return no_column(im, name, err);
}

/* Which of the file's columns are items. */
static enum err_code find_items(struct importer *im, struct err *err)
{
    const struct table_import *t = im->t;
    size_t cap = t->item_count + im->reader.column_count;
    im->items = realloc(im->items, (cap + 1) * sizeof *im->items);
    im->wordings = realloc(im->wordings, (cap + 1) * sizeof *im->wordings);
    ASSERT(im->items && im->wordings);
    im->item_count = 0;
    for (size_t i = 0; i < t->item_count; i++) {
        enum err_code code = find_column(im, t->items[i].code, &im->items[im->item_count], err);
        if (code)
            return code;
        im->wordings[im->item_count++] = t->items[i].wording;
    }
    for (size_t i = 0; t->item_glob && i < im->reader.column_count; i++) {
        if (str_glob(t->item_glob, im->reader.columns[i])) {
            im->items[im->item_count] = i;
            im->wordings[im->item_count++] = im->reader.columns[i];
        }
    }
    if (t->item_glob && im->item_count == 0)
        return err_set(err, ERR_INVALID, "%s: no column matches '%.60s'", im->reader.source.name,
                       t->item_glob);
    return ERR_OK;
}

/* The columns to bind, in the order of the table's columns. JSON binds its key and text once. */
static enum err_code find_bound(struct importer *im, struct err *err)
{
    const struct table_import *t = im->t;
    size_t cap = t->column_count + im->reader.column_count;
    im->bound = realloc(im->bound, (cap + 1) * sizeof *im->bound);
    ASSERT(im->bound);
    im->bound_count = 0;
    for (size_t i = 0; i < im->reader.column_count; i++) {
        if (im->is_json || (t->column_count == 0 && !is_item(im, i)))
            im->bound[im->bound_count++] = i;
    }
    for (size_t i = 0; !im->is_json && i < t->column_count; i++) {
        const char *from = t->columns[i].from ? t->columns[i].from : t->columns[i].name;
        enum err_code code = find_column(im, from, &im->bound[im->bound_count++], err);
        if (code)
            return code;
    }
    return ERR_OK;
}

static void put_json_path(struct strbuf *sql, const char *from)
{
    strbuf_puts(sql, from[0] == '$' ? "'" : "'$.\"");
    for (const char *at = from; *at; at++) {
        if (*at == '\'')
            strbuf_putc(sql, '\'');
        strbuf_putc(sql, *at);
    }
    strbuf_puts(sql, from[0] == '$' ? "'" : "\"'");
}

/* "?1 as "a", ?2 as "b" … ?9 as _file, ?10 as _row": the record as a row. */
static void put_row(const struct importer *im, struct strbuf *sql)
{
    const struct table_import *t = im->t;
    size_t next = 1;
    if (im->is_json && t->column_count > 0) {
        for (size_t i = 0; i < t->column_count; i++) {
            const char *from = t->columns[i].from ? t->columns[i].from : t->columns[i].name;
            if (strcmp(from, "_key") == 0 || strcmp(from, "_json") == 0) {
                strbuf_printf(sql, "?%d", from[1] == 'k' ? 1 : 2);
            } else {
                strbuf_puts(sql, "json_extract(?2, ");
                put_json_path(sql, from);
                strbuf_putc(sql, ')');
            }
            strbuf_puts(sql, " as ");
            table_db_put_name(sql, t->columns[i].name);
            strbuf_puts(sql, ", ");
        }
        next = im->bound_count + 1;
    }
    for (; next <= im->bound_count; next++) {
        const char *name =
            t->column_count ? t->columns[next - 1].name : im->reader.columns[im->bound[next - 1]];
        strbuf_printf(sql, "?%zu as ", next);
        table_db_put_name(sql, name);
        strbuf_puts(sql, ", ");
    }
    if (im->item_count > 0) {
        strbuf_printf(sql, "?%zu as item, ?%zu as wording, ?%zu as answer, ", next, next + 1,
                      next + 2);
        next += 3;
    }
    strbuf_printf(sql, "?%zu as _file, ?%zu as _row", next, next + 1);
}

/* The table itself, and the statement that adds a record. */
static enum err_code prepare(struct importer *im, struct err *err)
{
    struct strbuf sql = {0};
    const struct table_import *t = im->t;
    strbuf_puts(&sql, "create table ");
    table_db_put_name(&sql, t->name);
    strbuf_puts(&sql, " as select * from (select ");
    put_row(im, &sql);
    strbuf_puts(&sql, ") where 0");
    enum err_code code = table_db_run(im->db, strbuf_text(&sql), t->name, err);
    strbuf_clear(&sql);
    strbuf_puts(&sql, "select * from (select ");
    put_row(im, &sql);
    strbuf_printf(&sql, ") where (%s\n)", t->where ? t->where : "1");
    char what[160];
    snprintf(what, sizeof what, "'where' of table '%.60s'", t->name);
    if (!code)
        code = table_db_check_query(im->db, strbuf_text(&sql), what, err);
    struct strbuf insert = {0};
    strbuf_puts(&insert, "insert into ");
    table_db_put_name(&insert, t->name);
    strbuf_printf(&insert, " %s", strbuf_text(&sql));
    if (!code && sqlite3_prepare_v2(im->db->sqlite, strbuf_text(&insert), -1, &im->insert, NULL) !=
                     SQLITE_OK)
        code = table_db_fail(im->db, what, err);
    strbuf_release(&insert);
    strbuf_release(&sql);
    return code;
}

static bool is_missing(const struct table_import *t, struct str value)
{
    for (size_t i = 0; i < t->missing_count; i++) {
        if (str_equal(value, str_from(t->missing[i])))
            return true;
    }
    return value.len == 0;
}

static void bind(struct importer *im, size_t parameter, struct str value)
{
    if (is_missing(im->t, value))
        sqlite3_bind_null(im->insert, (int)parameter);
    else
        sqlite3_bind_text(im->insert, (int)parameter, value.data, (int)value.len, SQLITE_STATIC);
}

static enum err_code step(struct importer *im, struct err *err)
{
    table_db_begin(im->db);
    int result = sqlite3_step(im->insert);
    table_db_end(im->db);
    im->kept += result == SQLITE_DONE && sqlite3_changes(im->db->sqlite) > 0;
    if (result != SQLITE_DONE) {
        char what[300];
        snprintf(what, sizeof what, "%.200s:%zu", im->reader.source.name, im->reader.line);
        table_db_fail(im->db, what, err);
    }
    sqlite3_reset(im->insert);
    return result == SQLITE_DONE ? ERR_OK : err->code;
}

/* The record as one row, or as one per answered item. */
static enum err_code add_record(struct importer *im, const char *label, struct err *err)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < im->bound_count; i++)
        bind(im, i + 1, record_reader_value(&im->reader, im->bound[i]));
    int next = (int)im->bound_count + 1 + (im->item_count > 0 ? 3 : 0);
    sqlite3_bind_text(im->insert, next, label, -1, SQLITE_STATIC);
    sqlite3_bind_int64(im->insert, next + 1, ++im->records);
    if (im->item_count == 0)
        return step(im, err);
    for (size_t i = 0; !code && i < im->item_count; i++) {
        struct str value = record_reader_value(&im->reader, im->items[i]);
        if (is_missing(im->t, value))
            continue;
        bind(im, im->bound_count + 1, str_from(im->reader.columns[im->items[i]]));
        bind(im, im->bound_count + 2, str_from(im->wordings[i]));
        bind(im, im->bound_count + 3, value);
        code = step(im, err);
    }
    return code;
}

/* JSON that is none must not slip through where no column looks into it. */
static enum err_code check_json(struct importer *im, sqlite3_stmt *valid, struct err *err)
{
    struct str text = record_reader_value(&im->reader, 1);
    sqlite3_bind_text(valid, 1, text.data, (int)text.len, SQLITE_STATIC);
    bool good = sqlite3_step(valid) == SQLITE_ROW && sqlite3_column_int(valid, 0) == 1;
    sqlite3_reset(valid);
    return good ? ERR_OK
                : err_set(err, ERR_INVALID, "%s:%zu: this is not valid JSON",
                          im->reader.source.name, im->reader.line);
}

static enum err_code add_records(struct importer *im, const char *label, struct err *err)
{
    sqlite3_stmt *valid = NULL;
    if (sqlite3_prepare_v2(im->db->sqlite, "select json_valid(?1)", -1, &valid, NULL) != SQLITE_OK)
        return table_db_fail(im->db, label, err);
    bool got = true;
    enum err_code code = ERR_OK;
    while (!code && got && (im->t->limit == 0 || im->kept < im->t->limit)) {
        code = record_reader_next(&im->reader, &got, err);
        if (!code && got && im->is_json)
            code = check_json(im, valid, err);
        if (!code && got)
            code = add_record(im, label, err);
    }
    sqlite3_finalize(valid);
    return code;
}

static enum err_code add_file(struct importer *im, const struct table_opener *opener,
                              const struct table_file *file, struct err *err)
{
    struct byte_stream stream;
    enum err_code code = opener->open(opener->ctx, file->path, &stream, err);
    if (code)
        return code;
    stream = byte_stream_unpack(stream, file->label);
    code = record_reader_open(&im->t->records, stream, file->label, &im->reader, err);
    if (code)
        return code;
    code = find_items(im, err);
    if (!code)
        code = find_bound(im, err);
    if (!code && !im->insert)
        code = prepare(im, err);
    /* A later file may hold its columns in another order, but the same number of them. */
    if (!code && (int)(im->bound_count + 2 + (im->item_count ? 3 : 0)) !=
                     sqlite3_bind_parameter_count(im->insert))
        code = err_set(err, ERR_INVALID,
                       "%s: its columns are not those of the files before it; name those wanted in "
                       "'columns'",
                       file->label);
    if (!code)
        code = add_records(im, file->label, err);
    record_reader_close(&im->reader);
    return code;
}

enum err_code table_db_import(struct table_db *db, const struct table_import *t,
                              const struct table_opener *opener, const struct table_file *files,
                              size_t file_count, struct err *err)
{
    enum record_format format = t->records.format;
    struct importer im = {.db = db,
                          .t = t,
                          .is_json = format == RECORD_JSON || format == RECORD_JSONL ||
                                     format == RECORD_DOCUMENT};
    ASSERT(file_count > 0);
    enum err_code code = table_db_run(db, "begin", "begin", err);
    for (size_t i = 0; !code && i < file_count && (t->limit == 0 || im.kept < t->limit); i++)
        code = add_file(&im, opener, &files[i], err);
    sqlite3_finalize(im.insert);
    free(im.bound);
    free(im.items);
    free(im.wordings);
    return code ? code : table_db_run(db, "commit", t->name, err);
}
