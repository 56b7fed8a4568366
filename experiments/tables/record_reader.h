/* Records out of a text: rows of a CSV or TSV table, elements of JSON or JSON Lines, lines of plain
 * text. One at a time, so that a file of any size takes the memory of its largest record. Errors
 * name file and line. */
#ifndef TRIAD_RECORD_READER_H
#define TRIAD_RECORD_READER_H

#include "arena.h"
#include "text_source.h"

#define RECORD_BYTES_MAX   ((size_t)64 * 1024 * 1024)
#define RECORD_COLUMNS_MAX 4096

enum record_format {
    RECORD_CSV,      /* RFC 4180; a separator may be named, a tab in the header means tabs */
    RECORD_TSV,      /* tabs, no quotes */
    RECORD_JSON,     /* an array: its elements; an object: its members, with their keys */
    RECORD_JSONL,    /* a value per line */
    RECORD_DOCUMENT, /* the whole file is one JSON value */
    RECORD_LINES,    /* a line of text each */
    RECORD_FORMAT_COUNT,
};

struct record_options {
    enum record_format format;
    enum text_encoding encoding;
    char separator; /* CSV; 0: a tab if the first line has one, else a comma */
    char quote;     /* CSV; 0: none */
    /* CSV, TSV: names of the columns where the file has no header line. */
    const char *const *header;
    size_t header_count;
    size_t skip_lines; /* at the beginning of the file */
};

struct record_reader {
    struct record_options options;
    struct text_source source;
    struct arena arena; /* owns the columns */
    const char **columns;
    size_t column_count;
    struct strbuf bytes; /* of the current record: its values, a NUL behind each */
    size_t *ends;        /* where each value ends in `bytes` */
    size_t value_count, value_cap;
    size_t line; /* of the current record */
    int opened;  /* JSON: the bracket that is open, 0 before it */
};

/* Open a reader on a stream, which is taken over also on failure. CSV and TSV have the columns of
 * the header; JSON has `_key` (objects only: the member's, else empty) and `_json`; lines have
 * `line`. Free with record_reader_close(). */
NODISCARD enum err_code record_reader_open(const struct record_options *options,
                                           struct byte_stream stream, const char *name,
                                           struct record_reader *out, struct err *err);
void record_reader_close(struct record_reader *reader);

/* Read the next record; `*got` is false at the end. */
NODISCARD enum err_code record_reader_next(struct record_reader *reader, bool *got,
                                           struct err *err);
/* Value `column` of the current record; valid until the next call. */
struct str record_reader_value(const struct record_reader *reader, size_t column);

/* The parts that the formats share (record_csv.c, record_json.c). */
void record_begin(struct record_reader *reader);
void record_end_value(struct record_reader *reader);
NODISCARD enum err_code record_check_size(const struct record_reader *reader, struct err *err);
NODISCARD enum err_code record_csv_row(struct record_reader *reader, bool *got, struct err *err);
NODISCARD enum err_code record_json_next(struct record_reader *reader, bool *got, struct err *err);
NODISCARD enum err_code record_line(struct record_reader *reader, bool *got, struct err *err);

#endif
