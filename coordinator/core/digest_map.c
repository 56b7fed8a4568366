#include "digest_map.h"

#include <string.h>

#include "check.h"
#include "core_memory.h"

void digest_map_release(struct digest_map *map)
{
    core_memory_free(map->slots);
    *map = (struct digest_map){0};
}

/* Digests are uniform already; the multiplication spreads keys made from small numbers. */
static size_t slot_home(const struct digest_map *map, const struct digest *key)
{
    return (size_t)(digest_number(key) * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (map->capacity - 1);
}

/* The slot that holds `key`, or the free one where it would go. */
static size_t slot_find(const struct digest_map *map, const struct digest *key)
{
    size_t i = slot_home(map, key);
    while (map->slots[i].value != NULL && !digest_equal(&map->slots[i].key, key)) {
        i = (i + 1) & (map->capacity - 1);
    }
    return i;
}

static void grow(struct digest_map *map)
{
    struct digest_map bigger = {.capacity = map->capacity == 0 ? 64 : 2 * map->capacity,
                                .count = map->count};
    bigger.slots = core_memory_array(bigger.capacity, sizeof *bigger.slots);
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->slots[i].value != NULL) {
            bigger.slots[slot_find(&bigger, &map->slots[i].key)] = map->slots[i];
        }
    }
    core_memory_free(map->slots);
    *map = bigger;
}

void *digest_map_get(const struct digest_map *map, const struct digest *key)
{
    return map->capacity == 0 ? NULL : map->slots[slot_find(map, key)].value;
}

void digest_map_put(struct digest_map *map, const struct digest *key, void *value)
{
    ASSERT(value != NULL);
    if (2 * (map->count + 1) > map->capacity) {
        grow(map);
    }
    size_t i = slot_find(map, key);
    map->count += map->slots[i].value == NULL;
    map->slots[i] = (struct digest_map_slot){.key = *key, .value = value};
}

void *digest_map_remove(struct digest_map *map, const struct digest *key)
{
    if (map->capacity == 0) {
        return NULL;
    }
    size_t hole = slot_find(map, key);
    void *removed = map->slots[hole].value;
    if (removed == NULL) {
        return NULL;
    }
    map->slots[hole].value = NULL;
    map->count--;
    /* Close the gap: move back every follower whose home does not lie after the hole. */
    size_t mask = map->capacity - 1;
    for (size_t i = (hole + 1) & mask; map->slots[i].value != NULL; i = (i + 1) & mask) {
        size_t home = slot_home(map, &map->slots[i].key);
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            map->slots[hole] = map->slots[i];
            map->slots[i].value = NULL;
            hole = i;
        }
    }
    return removed;
}

struct digest digest_of_number(uint64_t number)
{
    struct digest key = {{0}};
    memcpy(key.bytes, &number, sizeof number);
    return key;
}

struct digest digest_of_text(const char *text)
{
    return hash_bytes(text, strlen(text));
}

uint64_t digest_number(const struct digest *d)
{
    uint64_t number;
    memcpy(&number, d->bytes, sizeof number);
    return number;
}
