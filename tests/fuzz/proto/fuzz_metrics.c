/* Metric batches: as they come, and with the checksum put right so that the rest is reached. */
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "hash.h"
#include "metrics.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void decode(const uint8_t *data, size_t len)
{
    struct arena arena = {0};
    struct strbuf again = {0};
    struct metric_point *points = NULL;
    uint32_t count = 0;
    struct err err;
    if (metrics_decode(data, len, &arena, &points, &count, &err) == ERR_OK) {
        metrics_encode(&again, points, count);
        if (again.len != len || memcmp(again.data, data, len) != 0)
            abort();
    }
    strbuf_release(&again);
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    decode(data, len);
    if (len < 12 || len > STREAM_PAYLOAD_BYTES_MAX)
        return 0;
    uint8_t *fixed = malloc(len);
    if (!fixed)
        return 0;
    memcpy(fixed, data, len);
    uint32_t crc32c = hash_crc32c(fixed + 12, len - 12);
    memcpy(fixed + 8, &crc32c, sizeof crc32c);
    decode(fixed, len);
    free(fixed);
    return 0;
}
