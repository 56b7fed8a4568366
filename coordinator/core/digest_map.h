/* A hash table from digests to pointers. Never iterated: its order must not reach any output. */
#ifndef TRIAD_DIGEST_MAP_H
#define TRIAD_DIGEST_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "hash.h"

struct digest_map_slot {
    struct digest key;
    void *value; /* NULL: free slot */
};

/* Open addressing with linear probing, at most half full. Zero-initialise. */
struct digest_map {
    struct digest_map_slot *slots;
    size_t capacity; /* 0 or a power of two */
    size_t count;
};

void digest_map_release(struct digest_map *map);
/* NULL when absent. */
void *digest_map_get(const struct digest_map *map, const struct digest *key);
/* Insert or replace; `value` is not NULL. */
void digest_map_put(struct digest_map *map, const struct digest *key, void *value);
/* Returns what was removed, or NULL. */
void *digest_map_remove(struct digest_map *map, const struct digest *key);

/* A key made from a number or a name, for tables of other things than digests. */
struct digest digest_of_number(uint64_t number);
struct digest digest_of_text(const char *text);
/* The first eight bytes as a number: a short name for a digest. */
uint64_t digest_number(const struct digest *d);

#endif
