/* One stream of one lease in the spool: numbered batches in segment files. Only spool.c uses it. */
#ifndef TRIAD_SPOOL_STREAM_H
#define TRIAD_SPOOL_STREAM_H

#include <stdint.h>

#include "err.h"
#include "str.h"
#include "vocab.h"

/* A segment is closed when it passes this, so that acknowledged ones can be removed. */
#define SPOOL_SEGMENT_BYTES ((uint64_t)4 * 1024 * 1024)

struct spool_entry {
    uint32_t segment; /* index of the segment's first batch: part of its file name */
    uint32_t len;
    uint64_t offset; /* of the payload */
};

/* Zero-initialise; free with spool_stream_close(). */
struct spool_stream {
    struct spool_entry *entries; /* batches base … count - 1 */
    size_t capacity;
    uint32_t base, count;
    uint64_t pending_bytes; /* payloads of these */
    int fd;                 /* of the segment being written; 0: none */
    uint32_t segment;
    uint64_t segment_bytes;
};

/* `prefix` is the path of the stream's files without ".<first index>". */
NODISCARD enum err_code spool_stream_append(struct spool_stream *s, const char *prefix,
                                            struct bytes payload, struct err *err);
NODISCARD enum err_code spool_stream_read(const struct spool_stream *s, const char *prefix,
                                          uint32_t index, struct strbuf *out, struct err *err);
void spool_stream_drop(struct spool_stream *s, const char *prefix, uint32_t below);
/* Append the paths of its files, each with its final zero. */
void spool_stream_files(const struct spool_stream *s, const char *prefix, struct strbuf *out);
/* Read the segment that begins with batch `first` and must continue where the stream ends (or begin
 * it): cuts off a torn tail. */
NODISCARD enum err_code spool_stream_load(struct spool_stream *s, const char *prefix,
                                          uint32_t first, struct err *err);
void spool_stream_close(struct spool_stream *s);

#endif
