/* Any bytes as a safetensors file: whatever is accepted can be read to its last element. */
#include <stdint.h>
#include <stdlib.h>

#include "check.h"
#include "safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct err err;
    struct safetensors *file = NULL;
    if (safetensors_open_memory(data, len, "fuzz", &file, &err) != ERR_OK)
        return 0;
    for (size_t i = 0; i < safetensors_count(file); i++) {
        const struct tensor_view *view = safetensors_at(file, i);
        ASSERT(safetensors_find(file, view->name) == view);
        if (view->dtype == TENSOR_OTHER)
            continue;
        float *values = malloc(view->elements * sizeof *values + 1);
        ASSERT(values != NULL);
        ASSERT(tensor_view_read_f32(view, values, &err) == ERR_OK);
        free(values);
    }
    safetensors_close(file);
    return 0;
}
