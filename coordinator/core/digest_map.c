#include "digest_map.h"

#include <string.h>

#include "check.h"
#include "core_memory.h"

/* From so many entries on a map has parts. */
#define SPLIT_COUNT 8192

void digest_map_release(struct digest_map *map)
{
    for (size_t i = 0; map->parts != NULL && i < DIGEST_MAP_PARTS; i++) {
        core_memory_free(map->parts[i].slots);
    }
    core_memory_free(map->parts);
    core_memory_free(map->whole.slots);
    *map = (struct digest_map){0};
}

/* Digests are uniform already; the multiplication spreads keys made from small numbers. */
static uint64_t spread(const struct digest *key)
{
    return digest_number(key) * UINT64_C(0x9e3779b97f4a7c15);
}

static size_t slot_home(const struct digest_map_table *table, const struct digest *key)
{
    return (size_t)(spread(key) >> 20) & (table->capacity - 1);
}

/* The slot that holds `key`, or the free one where it would go. */
static size_t slot_find(const struct digest_map_table *table, const struct digest *key)
{
    size_t i = slot_home(table, key);
    while (table->slots[i].value != NULL && !digest_equal(&table->slots[i].key, key)) {
        i = (i + 1) & (table->capacity - 1);
    }
    return i;
}

static void grow(struct digest_map_table *table)
{
    struct digest_map_table bigger = {.capacity = table->capacity == 0 ? 64 : 2 * table->capacity,
                                      .count = table->count};
    bigger.slots = core_memory_array(bigger.capacity, sizeof *bigger.slots);
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->slots[i].value != NULL) {
            bigger.slots[slot_find(&bigger, &table->slots[i].key)] = table->slots[i];
        }
    }
    core_memory_free(table->slots);
    *table = bigger;
}

static bool table_put(struct digest_map_table *table, const struct digest *key, void *value)
{
    if (3 * (table->count + 1) > 2 * table->capacity) {
        grow(table);
    }
    const size_t i = slot_find(table, key);
    const bool is_new = table->slots[i].value == NULL;
    table->count += is_new;
    table->slots[i] = (struct digest_map_slot){.key = *key, .value = value};
    return is_new;
}

static void *table_remove(struct digest_map_table *table, const struct digest *key)
{
    if (table->capacity == 0) {
        return NULL;
    }
    size_t hole = slot_find(table, key);
    void *removed = table->slots[hole].value;
    if (removed == NULL) {
        return NULL;
    }
    table->slots[hole].value = NULL;
    table->count--;
    /* Close the gap: move back every follower whose home does not lie after the hole. */
    size_t mask = table->capacity - 1;
    for (size_t i = (hole + 1) & mask; table->slots[i].value != NULL; i = (i + 1) & mask) {
        size_t home = slot_home(table, &table->slots[i].key);
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            table->slots[hole] = table->slots[i];
            table->slots[i].value = NULL;
            hole = i;
        }
    }
    return removed;
}

static struct digest_map_table *table_of(const struct digest_map *map, const struct digest *key)
{
    /* Const is cast away: who changes the table has the map as his own. */
    return map->parts == NULL ? (struct digest_map_table *)(uintptr_t)&map->whole
                              : &map->parts[spread(key) >> 56];
}

static void split(struct digest_map *map)
{
    map->parts = core_memory_array(DIGEST_MAP_PARTS, sizeof *map->parts);
    for (size_t i = 0; i < map->whole.capacity; i++) {
        const struct digest_map_slot *slot = &map->whole.slots[i];
        if (slot->value != NULL) {
            table_put(table_of(map, &slot->key), &slot->key, slot->value);
        }
    }
    core_memory_free(map->whole.slots);
    map->whole = (struct digest_map_table){0};
}

void *digest_map_get(const struct digest_map *map, const struct digest *key)
{
    const struct digest_map_table *table = table_of(map, key);
    return table->capacity == 0 ? NULL : table->slots[slot_find(table, key)].value;
}

void digest_map_put(struct digest_map *map, const struct digest *key, void *value)
{
    ASSERT(value != NULL);
    if (map->parts == NULL && map->count >= SPLIT_COUNT) {
        split(map);
    }
    map->count += table_put(table_of(map, key), key, value);
}

void *digest_map_remove(struct digest_map *map, const struct digest *key)
{
    void *removed = table_remove(table_of(map, key), key);
    map->count -= removed != NULL;
    return removed;
}

void *digest_map_next(const struct digest_map *map, size_t *at)
{
    const size_t tables = map->parts == NULL ? 1 : DIGEST_MAP_PARTS;
    for (size_t t = *at >> 32; t < tables; t++) {
        const struct digest_map_table *table = map->parts == NULL ? &map->whole : &map->parts[t];
        for (size_t i = *at & UINT32_MAX; i < table->capacity; i++) {
            if (table->slots[i].value != NULL) {
                *at = t << 32 | (i + 1);
                return table->slots[i].value;
            }
        }
        *at = (t + 1) << 32;
    }
    return NULL;
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
