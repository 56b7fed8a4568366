/* Bytes in order, from wherever they come, so that files of any size are read in bounded memory. */
#ifndef TRIAD_BYTE_STREAM_H
#define TRIAD_BYTE_STREAM_H

#include <stddef.h>

#include "err.h"

struct byte_stream {
    void *ctx;
    /* Up to `cap` bytes into `buffer`; `*got_out` is 0 at the end and only there. */
    enum err_code (*read)(void *ctx, char *buffer, size_t cap, size_t *got_out, struct err *err);
    void (*close)(void *ctx);
};

void byte_stream_close(struct byte_stream *stream);

/* A stream that gives what `inner` holds: unpacked when its first bytes are those of gzip (several
 * members too) or zstd, else as it is. Takes `inner` over. `name` is borrowed, for messages;
 * ERR_CORRUPT from reads when packed bytes are damaged or end early. */
struct byte_stream byte_stream_unpack(struct byte_stream inner, const char *name);

/* The bytes of a text that the caller keeps. */
struct byte_stream byte_stream_memory(const char *bytes, size_t len);

#endif
