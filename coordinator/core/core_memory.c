#include "core_memory.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

void *core_memory_array(size_t count, size_t element_bytes)
{
    void *memory = calloc(count == 0 ? 1 : count, element_bytes);
    ASSERT(memory != NULL);
    return memory;
}

void *core_memory_grow(void *memory, size_t count, size_t element_bytes)
{
    ASSERT(count <= (size_t)-1 / element_bytes);
    void *bigger = realloc(memory, count * element_bytes);
    ASSERT(bigger != NULL);
    return bigger;
}

char *core_memory_text(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(core_memory_array(size, 1), text, size);
}

void core_memory_free(void *memory)
{
    free(memory);
}
