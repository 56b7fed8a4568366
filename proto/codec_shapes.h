/* What a message consists of: one table row per field, read by codec.c in both directions. Row i of
 * a shape describes field i of the protobuf message (same name, numbered i + 1; test_codec checks
 * it). Private to proto/: nobody else sees protobuf-c. */
#ifndef TRIAD_CODEC_SHAPES_H
#define TRIAD_CODEC_SHAPES_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

#include "vocab.h"

enum field_type {
    FIELD_U32,
    FIELD_I32,
    FIELD_U64,
    FIELD_I64,
    FIELD_DOUBLE,
    FIELD_BOOL,
    FIELD_ENUM,     /* below `limit` */
    FIELD_CODE,     /* a uint32_t below `limit` */
    FIELD_STRING,   /* UTF-8 without NUL, at most `limit` bytes */
    FIELD_BYTES,    /* struct bytes, at most `limit` */
    FIELD_DIGEST,   /* exactly 32 bytes */
    FIELD_PART,     /* one struct of shape `part`, in place */
    FIELD_U32S,     /* exactly `limit` numbers, in place */
    FIELD_U64S,     /* exactly `limit` numbers, in place */
    FIELD_I64_LIST, /* pointer and count, at most `limit`; so for all lists */
    FIELD_DIGEST_LIST,
    FIELD_BYTES_LIST, /* each at most STREAM_PAYLOAD_BYTES_MAX */
    FIELD_PART_LIST,
};

struct shape;

struct field {
    enum field_type type;
    const char *name;
    size_t at;       /* offset in our struct */
    size_t count_at; /* offset of a list's count (size_t) */
    size_t limit;
    const struct shape *part;
};

struct shape {
    const char *name;
    size_t our_bytes; /* size of our struct */
    const ProtobufCMessageDescriptor *wire;
    const struct field *fields;
    size_t field_count;
};

/* The shape of a kind; NULL for MSG_NONE and what is no kind. */
const struct shape *codec_shape(unsigned kind);

#endif
