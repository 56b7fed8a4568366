/* A hash table from digests to pointers. The order in which it is walked must not reach any output.
 */
#ifndef TRIAD_DIGEST_MAP_H
#define TRIAD_DIGEST_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "hash.h"

struct digest_map_slot {
    struct digest key;
    void *value; /* NULL: free slot */
};

/* Open addressing with linear probing, at most two thirds full. */
struct digest_map_table {
    struct digest_map_slot *slots;
    size_t capacity; /* 0 or a power of two */
    size_t count;
};

/* A large map is many tables by the first bits of the hash: they grow one by one, so that no put
 * takes longer than a small table's moving, however many jobs there are. Zero-initialise. */
struct digest_map {
    struct digest_map_table whole;  /* while it is small */
    struct digest_map_table *parts; /* DIGEST_MAP_PARTS; NULL while it is small */
    size_t count;
};
#define DIGEST_MAP_PARTS 256

void digest_map_release(struct digest_map *map);
/* NULL when absent. */
void *digest_map_get(const struct digest_map *map, const struct digest *key);
/* Insert or replace; `value` is not NULL. */
void digest_map_put(struct digest_map *map, const struct digest *key, void *value);
/* Returns what was removed, or NULL. */
void *digest_map_remove(struct digest_map *map, const struct digest *key);
/* All values in any order: begin with *at = 0; NULL at the end. Nothing may be put or removed
 * meanwhile. */
void *digest_map_next(const struct digest_map *map, size_t *at);

/* A key made from a number or a name, for tables of other things than digests. */
struct digest digest_of_number(uint64_t number);
struct digest digest_of_text(const char *text);
/* The first eight bytes as a number: a short name for a digest. */
uint64_t digest_number(const struct digest *d);

#endif
