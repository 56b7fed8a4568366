/* Messages to frames and back: codec*.c are the only files that see protobuf-c.
 * Frame: u8 PROTOCOL_VERSION, u8 message kind, then the protobuf body (proto/triad.proto) in its
 * one form: fields in order, each once, nothing unknown. Equal messages give equal frames. */
#ifndef TRIAD_CODEC_H
#define TRIAD_CODEC_H

#include "arena.h"
#include "err.h"
#include "str.h"
#include "vocab.h"

/* Append the frame of `m`, whose strings must not be NULL. What no receiver would take is not sent:
 * ERR_LIMIT when the frame would pass `frame_bytes_max` (FRAME_BYTES_MAX or FRAME_DATA_BYTES_MAX)
 * or a part passes bounds.h, ERR_INVALID for a value out of range or text that is not UTF-8; `out`
 * is then unchanged. */
NODISCARD enum err_code codec_encode(const struct msg *m, size_t frame_bytes_max,
                                     struct strbuf *out, struct err *err);

/* The kind that a frame says it is of, before it is decoded; MSG_KIND_COUNT: none that we know. */
unsigned codec_kind(const void *bytes, size_t len);
/* Decode and validate a frame. `senders` names who may speak here, as letters of MSG_KINDS ("W",
 * "C", "D"…): other kinds are ERR_DENIED. All that `out` points to belongs to `arena` (set its
 * bytes_max to DECODE_BUDGET_BYTES). ERR_VERSION, ERR_INVALID (malformed, enum out of range,
 * missing part, string with NUL or broken UTF-8, wrong digest length, unknown fields), ERR_LIMIT (a
 * bound of bounds.h or the arena's budget). Doubles pass whatever they are: a NaN loss is data. */
NODISCARD enum err_code codec_decode(const void *bytes, size_t len, const char *senders,
                                     struct arena *arena, struct msg *out, struct err *err);

#endif
