/* Item records and their columnar batches (docs/data.md section 4). An evaluation of each kind
 * gives records of one kind; they share their first columns. */
#ifndef TRIAD_RECORDS_H
#define TRIAD_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "str.h"

enum record_kind {
    RECORDS_SCORES,  /* an answer scored by teacher forcing */
    RECORDS_CHOICES, /* every candidate of an item scored */
    RECORDS_SAMPLES, /* one sampled continuation of a prompt */
    RECORD_KIND_COUNT
};
/* "scores", "choices", "samples". */
const char *record_kind_name(enum record_kind kind);

/* A probable token at one of an answer's places. */
struct record_entry {
    float log_p; /* natural logarithm */
    bool right;  /* it is the token that stood there */
};

struct record_choice {
    double target;                        /* share that the candidate should have */
    double content_nats, terminator_nats; /* -ln p of the candidate's tokens, by their loss */
};

/* Members that the kind does not have are zero. */
struct record {
    uint32_t sequence; /* 0-based line of the dataset, after its header */
    uint32_t
        position; /* scores: example in the sequence; choices: 0; samples: number of the draw */
    double content_nats;
    double terminator_nats;
    uint16_t token_count; /* tokens with a loss, terminator included; samples: tokens drawn */
    uint16_t hit_tokens;  /* how many of them were the argmax */
    bool first_hit;
    bool hit;            /* all of them were */
    bool ended;          /* samples: by itself, not because it was as long as it may be */
    double greedy_nats;  /* scores: -ln p of the most probable token at every place, summed */
    uint16_t part_count; /* of the one below that the kind has */
    const struct record_entry *entries;  /* scores: tokens with p > 0.01, if they were asked for */
    const struct record_choice *choices; /* choices */
    const char *text;                    /* samples: UTF-8, part_count bytes */
};

struct record_batch {
    enum record_kind kind;
    struct record *records;
    uint32_t count;
};

/* A batch is at most STREAM_PAYLOAD_BYTES_MAX long; without parts, so many records fit. */
#define RECORDS_PER_BATCH_MAX 1024
/* Most parts of one record, so that any record fits a batch: 20 KiB, 48 KiB, 16 KiB. */
#define RECORD_ENTRIES_MAX    4096
#define RECORD_CHOICES_MAX    2048
#define RECORD_TEXT_BYTES_MAX 16384

/* Bytes that a batch of these records takes. */
size_t records_bytes(enum record_kind kind, const struct record *records, uint32_t count);

/* Append the batch of `count` records (1 … RECORDS_PER_BATCH_MAX, within the payload) to `out`:
 *   u32 magic "TRB2", u32 count, u32 crc32c of all that follows the header, u32 kind, then columns
 *   sequence u32[], position u32[], content f64[], terminator f64[], tokens u16[], hits u16[],
 *   flags u8[] (bit 0 first_hit, bit 1 hit, bit 2 ended), parts u16[], and by kind
 *   scores:  greedy f64[], then of all entries log_p f32[], right u8[]
 *   choices: of all choices target f64[], content f64[], terminator f64[]
 *   samples: the bytes of all texts; all little-endian. */
void records_encode(struct strbuf *out, enum record_kind kind, const struct record *records,
                    uint32_t count);

/* Number of records in a batch after checking length, magic, checksum and flags; ERR_CORRUPT
 * otherwise. */
NODISCARD enum err_code records_check(const void *bytes, size_t len, uint32_t *count_out,
                                      struct err *err);
/* Decode a batch; everything belongs to `arena`. Texts are terminated by a NUL. */
NODISCARD enum err_code records_decode(const void *bytes, size_t len, struct arena *arena,
                                       struct record_batch *out, struct err *err);

#endif
