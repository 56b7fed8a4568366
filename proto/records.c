#include "records.h"

#include <string.h>

#include "check.h"
#include "hash.h"
#include "limits.h"

#define RECORDS_MAGIC        0x31425254u /* "TRB1" */
#define RECORDS_HEADER_BYTES 16u
#define RECORD_BYTES         29u

_Static_assert(RECORDS_HEADER_BYTES + RECORD_BYTES * RECORDS_PER_BATCH_MAX <=
                   STREAM_PAYLOAD_BYTES_MAX,
               "a full batch fits a stream payload");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "columns are stored as they lie in memory");

/* Byte offsets of the columns of a batch of `n` records, after the header. */
struct columns {
    size_t sequence, position, content, terminator, tokens, hits, flags, end;
};

static struct columns columns_of(size_t n)
{
    struct columns c;
    c.sequence = RECORDS_HEADER_BYTES;
    c.position = c.sequence + 4 * n;
    c.content = c.position + 4 * n;
    c.terminator = c.content + 8 * n;
    c.tokens = c.terminator + 8 * n;
    c.hits = c.tokens + 2 * n;
    c.flags = c.hits + 2 * n;
    c.end = c.flags + n;
    return c;
}

void records_encode(struct strbuf *out, const struct record *records, uint32_t count)
{
    ASSERT(count > 0);
    ASSERT(count <= RECORDS_PER_BATCH_MAX);
    const struct columns c = columns_of(count);
    strbuf_reserve(out, c.end);
    char *base = out->data + out->len;
    for (size_t i = 0; i < count; i++) {
        const struct record *r = &records[i];
        memcpy(base + c.sequence + 4 * i, &r->sequence, 4);
        memcpy(base + c.position + 4 * i, &r->position, 4);
        memcpy(base + c.content + 8 * i, &r->content_nats, 8);
        memcpy(base + c.terminator + 8 * i, &r->terminator_nats, 8);
        memcpy(base + c.tokens + 2 * i, &r->token_count, 2);
        memcpy(base + c.hits + 2 * i, &r->hit_tokens, 2);
        base[c.flags + i] = (char)((r->first_hit ? 1 : 0) | (r->hit ? 2 : 0));
    }
    const uint32_t header[4] = {
        RECORDS_MAGIC, count,
        hash_crc32c(base + RECORDS_HEADER_BYTES, c.end - RECORDS_HEADER_BYTES), 0};
    memcpy(base, header, sizeof header);
    out->len += c.end;
    out->data[out->len] = '\0';
}

enum err_code records_check(const void *bytes, size_t len, uint32_t *count_out, struct err *err)
{
    uint32_t header[4];
    if (len < sizeof header)
        return err_set(err, ERR_CORRUPT, "record batch: %zu bytes are too few", len);
    memcpy(header, bytes, sizeof header);
    if (header[0] != RECORDS_MAGIC || header[3] != 0)
        return err_set(err, ERR_CORRUPT, "record batch: bad magic");
    if (header[1] == 0 || header[1] > RECORDS_PER_BATCH_MAX || columns_of(header[1]).end != len)
        return err_set(err, ERR_CORRUPT, "record batch: %u records do not make %zu bytes",
                       header[1], len);
    const char *columns = (const char *)bytes + RECORDS_HEADER_BYTES;
    if (hash_crc32c(columns, len - RECORDS_HEADER_BYTES) != header[2])
        return err_set(err, ERR_CORRUPT, "record batch: checksum does not match");
    const unsigned char *flags = (const unsigned char *)bytes + columns_of(header[1]).flags;
    for (uint32_t i = 0; i < header[1]; i++) {
        if (flags[i] > 3)
            return err_set(err, ERR_CORRUPT, "record batch: record %u has unknown flags", i);
    }
    *count_out = header[1];
    return ERR_OK;
}

enum err_code records_decode(const void *bytes, size_t len, struct record *records,
                             uint32_t records_max, uint32_t *count_out, struct err *err)
{
    uint32_t count = 0;
    enum err_code rc = records_check(bytes, len, &count, err);
    if (rc != ERR_OK)
        return rc;
    if (count > records_max)
        return err_set(err, ERR_LIMIT, "record batch: %u records, room for %u", count, records_max);
    const struct columns c = columns_of(count);
    const char *base = bytes;
    for (size_t i = 0; i < count; i++) {
        struct record *r = &records[i];
        memcpy(&r->sequence, base + c.sequence + 4 * i, 4);
        memcpy(&r->position, base + c.position + 4 * i, 4);
        memcpy(&r->content_nats, base + c.content + 8 * i, 8);
        memcpy(&r->terminator_nats, base + c.terminator + 8 * i, 8);
        memcpy(&r->token_count, base + c.tokens + 2 * i, 2);
        memcpy(&r->hit_tokens, base + c.hits + 2 * i, 2);
        r->first_hit = (base[c.flags + i] & 1) != 0;
        r->hit = (base[c.flags + i] & 2) != 0;
    }
    *count_out = count;
    return ERR_OK;
}
