/* Item records and their columnar batches (docs/data.md section 4). */
#ifndef TRIAD_RECORDS_H
#define TRIAD_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "str.h"

struct record {
    uint32_t sequence; /* 0-based line of the dataset, after its header */
    uint32_t position; /* 0-based example in the sequence */
    double content_nats;
    double terminator_nats;
    uint16_t token_count; /* tokens with a loss, terminator included */
    uint16_t hit_tokens;  /* how many of them were the argmax */
    bool first_hit;
    bool hit; /* all of them were */
};

/* 16-byte header + 29 bytes a record stay under 64 KiB. */
#define RECORDS_PER_BATCH_MAX 2048

/* Append the batch of `count` records (1 … RECORDS_PER_BATCH_MAX) to `out`:
 *   u32 magic "TRB1", u32 count, u32 crc32c of the columns, u32 0, then the columns
 *   sequence u32[], position u32[], content f64[], terminator f64[], tokens u16[], hits u16[],
 *   flags u8[] (bit 0 first_hit, bit 1 hit); all little-endian. */
void records_encode(struct strbuf *out, const struct record *records, uint32_t count);

/* Number of records in a batch after checking length, magic, checksum and flags; ERR_CORRUPT
 * otherwise. */
NODISCARD enum err_code records_check(const void *bytes, size_t len, uint32_t *count_out,
                                      struct err *err);
/* Decode a batch into `records`, which holds `records_max`; ERR_LIMIT when it has more. */
NODISCARD enum err_code records_decode(const void *bytes, size_t len, struct record *records,
                                       uint32_t records_max, uint32_t *count_out, struct err *err);

#endif
