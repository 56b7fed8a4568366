#include "arena.h"

#include <stdarg.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

#define ARENA_BLOCK_BYTES                                                                          \
    ((size_t)16 * 1024) /* small enough for one message, doubled as it grows */
#define ARENA_BLOCK_MAX ((size_t)1024 * 1024)

struct arena_block {
    struct arena_block *next;
    size_t size;
    size_t used;
    alignas(max_align_t) unsigned char bytes[];
};

void arena_init(struct arena *a, size_t bytes_max)
{
    *a = (struct arena){.bytes_max = bytes_max};
}

void arena_release(struct arena *a)
{
    struct arena_block *block = a->blocks;
    while (block) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    a->blocks = NULL;
    a->bytes_used = 0;
}

static struct arena_block *arena_grow(struct arena *a, size_t bytes)
{
    size_t size = a->blocks ? a->blocks->size * 2 : ARENA_BLOCK_BYTES;
    if (size > ARENA_BLOCK_MAX)
        size = ARENA_BLOCK_MAX;
    if (size < bytes)
        size = bytes;
    struct arena_block *block = malloc(sizeof *block + size);
    if (!block)
        return NULL;
    block->size = size;
    block->used = 0;
    block->next = a->blocks;
    a->blocks = block;
    return block;
}

void *arena_try_alloc(struct arena *a, size_t bytes)
{
    const size_t align = alignof(max_align_t);
    if (bytes > SIZE_MAX / 4)
        return NULL;
    size_t rounded = (bytes + align - 1) / align * align;
    if (rounded == 0)
        rounded = align;
    if (a->bytes_max && (rounded > a->bytes_max || a->bytes_used > a->bytes_max - rounded))
        return NULL;
    struct arena_block *block = a->blocks;
    if (!block || block->size - block->used < rounded)
        block = arena_grow(a, rounded);
    if (!block)
        return NULL;
    void *p = block->bytes + block->used;
    block->used += rounded;
    a->bytes_used += rounded;
    memset(p, 0, rounded);
    return p;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    void *p = arena_try_alloc(a, bytes);
    ASSERT(p != NULL);
    return p;
}

void *arena_array(struct arena *a, size_t count, size_t element_bytes)
{
    size_t bytes = 0;
    ASSERT(!__builtin_mul_overflow(count, element_bytes, &bytes));
    return arena_alloc(a, bytes);
}

void *arena_memdup(struct arena *a, const void *bytes, size_t len)
{
    void *p = arena_alloc(a, len);
    if (len)
        memcpy(p, bytes, len);
    return p;
}

char *arena_strndup(struct arena *a, const char *text, size_t len)
{
    char *p = arena_alloc(a, len + 1);
    if (len)
        memcpy(p, text, len);
    p[len] = '\0';
    return p;
}

char *arena_strdup(struct arena *a, const char *text)
{
    return arena_strndup(a, text, strlen(text));
}

char *arena_printf(struct arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    ASSERT(len >= 0);
    char *text = arena_alloc(a, (size_t)len + 1);
    va_start(args, format);
    vsnprintf(text, (size_t)len + 1, format, args);
    va_end(args);
    return text;
}
