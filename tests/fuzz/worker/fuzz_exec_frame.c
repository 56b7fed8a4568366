/* What a dying child may write: a frame that is accepted says the same again when encoded. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "exec_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct arena arena = {0};
    struct exec_frame frame;
    size_t used = 0;
    if (exec_frame_decode(data, len, &arena, &frame, &used, NULL) == ERR_OK && used > 0) {
        struct strbuf again = {0};
        exec_frame_encode(&again, &frame);
        if (again.len != used || memcmp(again.data, data, used) != 0)
            abort();
        strbuf_release(&again);
    }
    arena_release(&arena);
    return 0;
}
