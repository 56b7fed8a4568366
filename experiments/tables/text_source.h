/* Text out of a byte stream: UTF-8 checked or Latin-1 converted, without byte-order mark, with line
 * numbers for messages. */
#ifndef TRIAD_TEXT_SOURCE_H
#define TRIAD_TEXT_SOURCE_H

#include <stdbool.h>

#include "byte_stream.h"
#include "str.h"

enum text_encoding { TEXT_UTF8, TEXT_LATIN1 };

struct text_source {
    struct byte_stream stream;
    const char *name; /* of the file, for messages; borrowed */
    enum text_encoding encoding;
    size_t line;        /* of the byte that comes next, from 1 */
    struct strbuf text; /* checked text; `at` of it are read */
    size_t at;
    struct strbuf carry; /* the beginning of a character whose rest has not come */
    bool begun, ended;
};

enum { TEXT_END = -1, TEXT_FAILED = -2 };

/* Takes the stream over. */
struct text_source text_source_open(struct byte_stream stream, const char *name,
                                    enum text_encoding encoding);
void text_source_close(struct text_source *source);

/* Read more; ERR_INVALID "FILE:LINE: …" when the bytes are no text. Used by the two below. */
NODISCARD enum err_code text_source_fill(struct text_source *source, struct err *err);

/* The next byte (0 … 255) without reading it, or TEXT_END or TEXT_FAILED with `err` set. */
static inline int text_source_peek(struct text_source *source, struct err *err)
{
    while (source->at == source->text.len) {
        if (source->ended)
            return TEXT_END;
        if (text_source_fill(source, err) != ERR_OK)
            return TEXT_FAILED;
    }
    return (unsigned char)source->text.data[source->at];
}

/* The same, and read it. */
static inline int text_source_next(struct text_source *source, struct err *err)
{
    int byte = text_source_peek(source, err);
    if (byte >= 0) {
        source->at++;
        source->line += byte == '\n';
    }
    return byte;
}

/* Record ERR_INVALID as "FILE:LINE: what" and return it. */
enum err_code text_source_fail(const struct text_source *source, size_t line, const char *what,
                               struct err *err);

#endif
