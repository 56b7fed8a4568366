#include "metrics.h"

#include <string.h>

#include "bounds.h"
#include "check.h"
#include "hash.h"

#define METRICS_MAGIC        0x31424d54u /* "TMB1" */
#define METRICS_HEADER_BYTES 12u
#define POINT_FIXED_BYTES    25u
#define NAME_LEN_MAX         63u

_Static_assert(METRICS_HEADER_BYTES + (POINT_FIXED_BYTES + NAME_LEN_MAX) * METRICS_PER_BATCH_MAX <=
                   STREAM_PAYLOAD_BYTES_MAX,
               "a full batch fits a stream payload");

void metrics_encode(struct strbuf *out, const struct metric_point *points, uint32_t count)
{
    ASSERT(count > 0);
    ASSERT(count <= METRICS_PER_BATCH_MAX);
    const size_t start = out->len;
    uint32_t header[3] = {METRICS_MAGIC, count, 0};
    strbuf_append(out, header, sizeof header);
    for (uint32_t i = 0; i < count; i++) {
        const struct metric_point *p = &points[i];
        size_t name_len = strlen(p->name);
        ASSERT(name_len > 0);
        ASSERT(name_len <= NAME_LEN_MAX);
        strbuf_append(out, &p->step, 8);
        strbuf_append(out, &p->time_ms, 8);
        strbuf_append(out, &p->value, 8);
        strbuf_putc(out, (char)name_len);
        strbuf_append(out, p->name, name_len);
    }
    header[2] = hash_crc32c(out->data + start + METRICS_HEADER_BYTES,
                            out->len - start - METRICS_HEADER_BYTES);
    memcpy(out->data + start, header, sizeof header);
}

enum err_code metrics_decode(const void *bytes, size_t len, struct arena *arena,
                             struct metric_point **points_out, uint32_t *count_out, struct err *err)
{
    uint32_t header[3];
    const char *at = bytes;
    const char *end = at + len;
    if (len < sizeof header)
        return err_set(err, ERR_CORRUPT, "metric batch: %zu bytes are too few", len);
    memcpy(header, at, sizeof header);
    at += sizeof header;
    if (header[0] != METRICS_MAGIC || header[1] == 0 || header[1] > METRICS_PER_BATCH_MAX)
        return err_set(err, ERR_CORRUPT, "metric batch: bad header");
    if (hash_crc32c(at, (size_t)(end - at)) != header[2])
        return err_set(err, ERR_CORRUPT, "metric batch: checksum does not match");
    struct metric_point *points = arena_array(arena, header[1], sizeof *points);
    for (uint32_t i = 0; i < header[1]; i++) {
        if ((size_t)(end - at) < POINT_FIXED_BYTES)
            return err_set(err, ERR_CORRUPT, "metric batch: point %u is cut", i);
        memcpy(&points[i].step, at, 8);
        memcpy(&points[i].time_ms, at + 8, 8);
        memcpy(&points[i].value, at + 16, 8);
        size_t name_len = (unsigned char)at[24];
        at += POINT_FIXED_BYTES;
        if (name_len == 0 || name_len > NAME_LEN_MAX || (size_t)(end - at) < name_len ||
            memchr(at, '\0', name_len))
            return err_set(err, ERR_CORRUPT, "metric batch: bad name in point %u", i);
        points[i].name = arena_strndup(arena, at, name_len);
        at += name_len;
    }
    if (at != end)
        return err_set(err, ERR_CORRUPT, "metric batch: %zu bytes left over", (size_t)(end - at));
    *points_out = points;
    *count_out = header[1];
    return ERR_OK;
}
