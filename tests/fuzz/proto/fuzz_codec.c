/* Any frame to codec_decode: refused within the budget, or the one frame of the message it means.
 */
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct arena arena;
    struct msg m;
    struct err err;
    struct strbuf again = {0};
    arena_init(&arena, DECODE_BUDGET_BYTES);
    enum err_code rc = codec_decode(data, len, FUZZ_SENDERS, &arena, &m, &err);
    if (arena.bytes_used > DECODE_BUDGET_BYTES)
        abort();
    if (rc == ERR_OK) {
        if (codec_encode(&m, FRAME_DATA_BYTES_MAX, &again, &err) != ERR_OK)
            abort();
        if (again.len != len || memcmp(again.data, data, len) != 0)
            abort();
    }
    strbuf_release(&again);
    arena_release(&arena);
    return 0;
}
