/* Memory with one lifetime: allocate many things, free them all at once. */
#ifndef TRIAD_ARENA_H
#define TRIAD_ARENA_H

#include <stddef.h>

#include "err.h"

struct arena_block;

/* Zero-initialise or call arena_init(). Not thread-safe: one arena, one user. */
struct arena {
    struct arena_block *blocks; /* newest first */
    size_t bytes_used;          /* handed out so far */
    size_t bytes_max;           /* 0: unlimited; otherwise arena_try_alloc() fails past it */
};

void arena_init(struct arena *a, size_t bytes_max);
/* Free everything; the arena is empty and usable again. */
void arena_release(struct arena *a);

/* Zeroed memory aligned for any type, owned by the arena. Aborts when memory or the limit is
 * exhausted: use it where the caller has bounded the input. */
void *arena_alloc(struct arena *a, size_t bytes) __attribute__((malloc, alloc_size(2)));
/* The same, but NULL when the limit or the machine's memory is exhausted: for outside input. */
void *arena_try_alloc(struct arena *a, size_t bytes);
/* An array of `count` zeroed elements; aborts on overflow. */
void *arena_array(struct arena *a, size_t count, size_t element_bytes);

char *arena_strdup(struct arena *a, const char *text);
char *arena_strndup(struct arena *a, const char *text, size_t len);
void *arena_memdup(struct arena *a, const void *bytes, size_t len);
char *arena_printf(struct arena *a, const char *format, ...) PRINTF(2, 3);

#endif
