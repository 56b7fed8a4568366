/* Bytes that mean harm, drawn from a seed: frames mutated from valid messages, and streams that are
 * no frames at all. */
#ifndef TRIAD_HOSTILE_BYTES_H
#define TRIAD_HOSTILE_BYTES_H

#include <stdbool.h>

#include "rng.h"
#include "str.h"
#include "vocab.h"

#define STREAM_BYTES_MAX 4096

enum door { DOOR_WORKER, DOOR_CLIENT, DOOR_DATA_AS_WORKER, DOOR_DATA_AS_CLIENT, DOOR_COUNT };

/* Whose word each kind is, as in MSG_KINDS. */
extern const char kind_senders[MSG_KIND_COUNT];

/* What was made, and what is to become of it. */
struct tally {
    uint64_t sent, reached_decoder, refused;
    bool kinds[MSG_KIND_COUNT];
};

/* A mutated frame, and what the coordinator's own decoder says of it at this door. False for a STOP
 * that a client may say: it would be obeyed. */
bool make_frame(struct rng *rng, enum door door, struct strbuf *frame, struct tally *tally);

/* Noise, noise behind a good greeting, or a greeting with a few wrong bits and a CURVE HELLO's
 * beginning. */
size_t make_stream(struct rng *rng, uint8_t bytes[STREAM_BYTES_MAX]);

#endif
