/* A job spec from anywhere: refused with a text, or read; never a crash. */
#include <stdint.h>
#include <stdlib.h>

#include "spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct spec spec;
    struct err err = {.code = ERR_OK};
    if (spec_parse(data, len, &spec, &err) == ERR_OK)
        spec_release(&spec);
    else if (err.text[0] == '\0')
        abort();
    return 0;
}
