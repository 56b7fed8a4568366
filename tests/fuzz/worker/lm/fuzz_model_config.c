/* Any bytes as a config.json: what is accepted is a sound configuration that comes back. */
#include <stdint.h>
#include <string.h>

#include "check.h"
#include "model_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct err err;
    struct model_config config;
    if (model_config_parse(&config, (const char *)data, len, "fuzz", &err) != ERR_OK)
        return 0;
    struct strbuf printed = {0};
    struct strbuf again = {0};
    struct model_config back;
    ASSERT(model_config_check(&config, &err) == ERR_OK);
    model_config_print(&config, &printed);
    ASSERT(model_config_parse(&back, printed.data, printed.len, "printed", &err) == ERR_OK);
    model_config_print(&back, &again);
    ASSERT(strcmp(printed.data, again.data) == 0);
    strbuf_release(&printed);
    strbuf_release(&again);
    return 0;
}
