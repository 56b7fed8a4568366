/* Record batches: as they come, and with the checksum put right so that the rest is reached. */
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "hash.h"
#include "records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void decode(const uint8_t *data, size_t len)
{
    struct arena arena = {0};
    struct record_batch batch = {0};
    struct strbuf again = {0};
    struct err err;
    uint32_t checked = 0;
    enum err_code rc = records_check(data, len, &checked, &err);
    if (records_decode(data, len, &arena, &batch, &err) != rc)
        abort();
    if (rc != ERR_OK)
        return;
    if (batch.count != checked || batch.count == 0)
        abort();
    records_encode(&again, batch.kind, batch.records, batch.count);
    if (again.len != len || memcmp(again.data, data, len) != 0)
        abort();
    strbuf_release(&again);
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    decode(data, len);
    if (len < 16 || len > STREAM_PAYLOAD_BYTES_MAX)
        return 0;
    uint8_t *fixed = malloc(len);
    if (!fixed)
        return 0;
    memcpy(fixed, data, len);
    uint32_t crc32c = hash_crc32c(fixed + 16, len - 16);
    memcpy(fixed + 8, &crc32c, sizeof crc32c);
    decode(fixed, len);
    free(fixed);
    return 0;
}
