/* Any bytes as an adapter_config.json: what is accepted has numbers that can be computed with. */
#include <math.h>
#include <stdint.h>

#include "check.h"
#include "peft.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct err err;
    struct peft_config config;
    if (peft_config_parse(&config, (const char *)data, len, "fuzz", &err) != ERR_OK)
        return 0;
    ASSERT(config.rank >= 1 && isfinite(config.alpha) && isfinite(config.dropout));
    struct adapter_config ours = {.rank = config.rank, .alpha = config.alpha, .dropout = 0.5};
    struct strbuf text = {0};
    struct peft_config back;
    ours.targets[ADAPTER_UP] = true;
    peft_config_print(&ours, len % 2 == 0, "a \"name\"", &text);
    ASSERT(peft_config_parse(&back, text.data, text.len, "printed", &err) == ERR_OK);
    ASSERT(back.rank == config.rank && back.alpha == config.alpha && back.dropout == 0.5);
    strbuf_release(&text);
    return 0;
}
