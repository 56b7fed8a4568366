/* Any bytes as a trainer_state.json: what is accepted lies inside its corpus and comes back. */
#include <stdint.h>

#include "check.h"
#include "train_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    enum { SEQUENCES = 100 };
    struct err err;
    struct train_state state = {.fingerprint = {{0}}};
    if (train_state_parse(&state, (const char *)data, len, "fuzz", SEQUENCES, &err) != ERR_OK)
        return 0;
    struct train_state back = {.fingerprint = state.fingerprint};
    struct strbuf text = {0};
    train_state_print(&state, &text);
    ASSERT(train_state_parse(&back, text.data, text.len, "printed", SEQUENCES, &err) == ERR_OK);
    ASSERT(back.cursor.sequence < SEQUENCES);
    ASSERT(back.step == state.step && back.cursor.sequence == state.cursor.sequence);
    ASSERT(back.cursor.epoch == state.cursor.epoch);
    strbuf_release(&text);
    return 0;
}
