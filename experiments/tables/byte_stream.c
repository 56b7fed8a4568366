#include "byte_stream.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "check.h"

enum { PIECE = 64 * 1024, MAGIC_BYTES = 4 };
enum packing { PACKING_UNKNOWN, PACKING_NONE, PACKING_GZIP, PACKING_ZSTD };

struct unpacker {
    struct byte_stream inner;
    const char *name;
    enum packing packing;
    char in[PIECE];
    size_t at, have; /* of `in` */
    bool inner_ended;
    bool in_member; /* a packed member or frame is begun and not finished */
    z_stream gzip;
    ZSTD_DStream *zstd;
};

void byte_stream_close(struct byte_stream *stream)
{
    if (stream->close)
        stream->close(stream->ctx);
    *stream = (struct byte_stream){0};
}

/* Have at least `wanted` bytes in `in`, or all there are. */
static enum err_code fill(struct unpacker *u, size_t wanted, struct err *err)
{
    if (u->have - u->at >= wanted || u->inner_ended)
        return ERR_OK;
    memmove(u->in, u->in + u->at, u->have - u->at);
    u->have -= u->at;
    u->at = 0;
    while (u->have < wanted && !u->inner_ended) {
        size_t got = 0;
        enum err_code code =
            u->inner.read(u->inner.ctx, u->in + u->have, PIECE - u->have, &got, err);
        if (code)
            return code;
        u->have += got;
        u->inner_ended = got == 0;
    }
    return ERR_OK;
}

static enum err_code recognise(struct unpacker *u, struct err *err)
{
    static const unsigned char zstd_magic[] = {0x28, 0xb5, 0x2f, 0xfd};
    enum err_code code = fill(u, MAGIC_BYTES, err);
    if (code)
        return code;
    u->packing = PACKING_NONE;
    if (u->have >= 2 && memcmp(u->in, "\x1f\x8b", 2) == 0) {
        u->packing = PACKING_GZIP;
        ASSERT(inflateInit2(&u->gzip, 15 + 16) == Z_OK);
    } else if (u->have >= 4 && memcmp(u->in, zstd_magic, 4) == 0) {
        u->packing = PACKING_ZSTD;
        u->zstd = ZSTD_createDStream();
        ASSERT(u->zstd != NULL);
    }
    return ERR_OK;
}

static enum err_code damaged(const struct unpacker *u, const char *why, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "'%s': the packed file is damaged: %s", u->name, why);
}

static enum err_code read_gzip(struct unpacker *u, char *buffer, size_t cap, size_t *got_out,
                               struct err *err)
{
    u->gzip.next_in = (unsigned char *)u->in + u->at;
    u->gzip.avail_in = (unsigned)(u->have - u->at);
    u->gzip.next_out = (unsigned char *)buffer;
    u->gzip.avail_out = (unsigned)cap;
    int result = inflate(&u->gzip, Z_NO_FLUSH);
    u->at = u->have - u->gzip.avail_in;
    *got_out = cap - u->gzip.avail_out;
    u->in_member = result != Z_STREAM_END;
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
        return damaged(u, u->gzip.msg ? u->gzip.msg : "unknown", err);
    if (result == Z_STREAM_END)
        ASSERT(inflateReset(&u->gzip) == Z_OK); /* another member may follow */
    return ERR_OK;
}

static enum err_code read_zstd(struct unpacker *u, char *buffer, size_t cap, size_t *got_out,
                               struct err *err)
{
    ZSTD_inBuffer in = {u->in, u->have, u->at};
    ZSTD_outBuffer out = {buffer, cap, 0};
    size_t result = ZSTD_decompressStream(u->zstd, &out, &in);
    if (ZSTD_isError(result))
        return damaged(u, ZSTD_getErrorName(result), err);
    u->at = in.pos;
    *got_out = out.pos;
    u->in_member = result != 0;
    return ERR_OK;
}

static enum err_code read_packed(struct unpacker *u, char *buffer, size_t cap, size_t *got_out,
                                 struct err *err)
{
    *got_out = 0;
    while (*got_out == 0) {
        enum err_code code = fill(u, 1, err);
        if (code)
            return code;
        bool dry = u->at == u->have;
        if (dry && !u->in_member)
            return ERR_OK;
        code = u->packing == PACKING_GZIP ? read_gzip(u, buffer, cap, got_out, err)
                                          : read_zstd(u, buffer, cap, got_out, err);
        if (code)
            return code;
        if (dry && *got_out == 0 && u->in_member)
            return damaged(u, "it ends too early", err);
    }
    return ERR_OK;
}

static enum err_code unpack_read(void *ctx, char *buffer, size_t cap, size_t *got_out,
                                 struct err *err)
{
    struct unpacker *u = ctx;
    enum err_code code = u->packing == PACKING_UNKNOWN ? recognise(u, err) : ERR_OK;
    if (code)
        return code;
    if (u->packing != PACKING_NONE)
        return read_packed(u, buffer, cap, got_out, err);
    if (u->at == u->have)
        return u->inner.read(u->inner.ctx, buffer, cap, got_out, err);
    size_t len = u->have - u->at < cap ? u->have - u->at : cap;
    memcpy(buffer, u->in + u->at, len);
    u->at += len;
    *got_out = len;
    return ERR_OK;
}

static void unpack_close(void *ctx)
{
    struct unpacker *u = ctx;
    if (u->packing == PACKING_GZIP)
        inflateEnd(&u->gzip);
    ZSTD_freeDStream(u->zstd);
    byte_stream_close(&u->inner);
    free(u);
}

struct byte_stream byte_stream_unpack(struct byte_stream inner, const char *name)
{
    struct unpacker *u = calloc(1, sizeof *u);
    ASSERT(u != NULL);
    u->inner = inner;
    u->name = name;
    return (struct byte_stream){u, unpack_read, unpack_close};
}

struct memory {
    const char *at;
    size_t left;
};

static enum err_code memory_read(void *ctx, char *buffer, size_t cap, size_t *got_out,
                                 struct err *err)
{
    struct memory *m = ctx;
    (void)err;
    *got_out = m->left < cap ? m->left : cap;
    if (*got_out > 0)
        memcpy(buffer, m->at, *got_out);
    m->at += *got_out;
    m->left -= *got_out;
    return ERR_OK;
}

struct byte_stream byte_stream_memory(const char *bytes, size_t len)
{
    struct memory *m = calloc(1, sizeof *m);
    ASSERT(m != NULL);
    *m = (struct memory){bytes, len};
    return (struct byte_stream){m, memory_read, free};
}
