/* The one seam through which the science reads the world, so that plans can be made from memory in
 * tests. reader_disk() is the real one. */
#ifndef TRIAD_READER_H
#define TRIAD_READER_H

#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "byte_stream.h"
#include "err.h"
#include "hash.h"

struct reader {
    void *ctx;
    /* Read a whole file of at most `bytes_max` into memory that the caller free()s, a NUL behind
     * it. ERR_NOT_FOUND, ERR_LIMIT, ERR_IO. */
    enum err_code (*read)(void *ctx, const char *path, size_t bytes_max, char **data_out,
                          size_t *len_out, struct err *err);
    /* The names in a folder, sorted bytewise, without those that begin with a dot. */
    enum err_code (*list)(void *ctx, const char *folder, struct arena *arena,
                          const char ***names_out, size_t *count_out, struct err *err);
    /* Size and digest of a file of any size. */
    enum err_code (*digest)(void *ctx, const char *path, struct digest *out, int64_t *bytes_out,
                            struct err *err);
    /* A file from its beginning, in pieces. ERR_NOT_FOUND, ERR_IO. */
    enum err_code (*open)(void *ctx, const char *path, struct byte_stream *out, struct err *err);
};

/* Files on this machine. */
struct reader reader_disk(void);

#endif
