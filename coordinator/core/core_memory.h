/* The core's only door to the heap. Running out aborts: what grows is bounded by bounds.h, and a
 * coordinator without memory is restarted, which loses nothing. */
#ifndef TRIAD_CORE_MEMORY_H
#define TRIAD_CORE_MEMORY_H

#include <stddef.h>

/* Zeroed. */
void *core_memory_array(size_t count, size_t element_bytes);
/* The grown part is not zeroed. */
void *core_memory_grow(void *memory, size_t count, size_t element_bytes);
char *core_memory_text(const char *text);
void core_memory_free(void *memory);

#endif
