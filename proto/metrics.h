/* Metric points and their batches (docs/data.md section 5). */
#ifndef TRIAD_METRICS_H
#define TRIAD_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "str.h"

struct metric_point {
    int64_t step;
    int64_t time_ms;  /* wall clock */
    double value;     /* may be NaN: a diverged loss is data */
    const char *name; /* "loss_nats"; at most 63 bytes */
};

#define METRICS_PER_BATCH_MAX 512

/* Append a batch: u32 magic "TMB1", u32 count, u32 crc32c of the rest, then per point
 * i64 step, i64 time_ms, f64 value, u8 name length, name; all little-endian. */
void metrics_encode(struct strbuf *out, const struct metric_point *points, uint32_t count);
/* Decode; points and names belong to `arena`. ERR_CORRUPT when the bytes are not a batch. */
NODISCARD enum err_code metrics_decode(const void *bytes, size_t len, struct arena *arena,
                                       struct metric_point **points_out, uint32_t *count_out,
                                       struct err *err);

#endif
