#include "intern.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

/* Multiply and fold eight bytes at a time (the finaliser of SplitMix64). The order of nothing we
 * write depends on it. */
static uint32_t hash_key(const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    uint64_t h = 0x9e3779b97f4a7c15u ^ len;
    while (len > 0) {
        uint64_t word = 0;
        size_t n = len < sizeof word ? len : sizeof word;
        memcpy(&word, at, n);
        h = (h ^ word) * 0xbf58476d1ce4e5b9u;
        h ^= h >> 32;
        at += n;
        len -= n;
    }
    h *= 0x94d049bb133111ebu;
    return (uint32_t)(h >> 32);
}

void intern_release(struct intern *table)
{
    strbuf_release(&table->bytes);
    free(table->keys);
    free(table->slots);
    *table = (struct intern){0};
}

/* The slot that holds the key, or the free slot where it belongs. */
static uint32_t find_slot(const struct intern *table, const void *bytes, size_t len, uint32_t hash)
{
    uint32_t mask = table->slots_count - 1;
    uint32_t slot = hash & mask;
    while (table->slots[slot] != 0) {
        const struct intern_key *key = &table->keys[table->slots[slot] - 1];
        if (key->hash == hash && key->len == len &&
            memcmp(table->bytes.data + key->offset, bytes, len) == 0)
            break;
        slot = (slot + 1) & mask;
    }
    return slot;
}

/* Twice the slots, so that at most half are ever taken. */
static void grow(struct intern *table)
{
    uint32_t slots_count = table->slots_count ? table->slots_count * 2 : 64;
    ASSERT(slots_count > table->slots_count);
    uint32_t *slots = calloc(slots_count, sizeof *slots);
    ASSERT(slots != NULL);
    for (uint32_t i = 0; i < table->count; i++) {
        uint32_t slot = table->keys[i].hash & (slots_count - 1);
        while (slots[slot] != 0)
            slot = (slot + 1) & (slots_count - 1);
        slots[slot] = i + 1;
    }
    free(table->slots);
    table->slots = slots;
    table->slots_count = slots_count;
    table->keys_cap = slots_count / 2;
    struct intern_key *keys = realloc(table->keys, table->keys_cap * sizeof *keys);
    ASSERT(keys != NULL);
    table->keys = keys;
}

uint32_t intern_find(const struct intern *table, const void *bytes, size_t len)
{
    if (table->count == 0)
        return INTERN_NONE;
    uint32_t slot = find_slot(table, bytes, len, hash_key(bytes, len));
    return table->slots[slot] != 0 ? table->slots[slot] - 1 : INTERN_NONE;
}

uint32_t intern_add(struct intern *table, const void *bytes, size_t len)
{
    if (table->count == table->keys_cap)
        grow(table);
    uint32_t hash = hash_key(bytes, len);
    uint32_t slot = find_slot(table, bytes, len, hash);
    if (table->slots[slot] != 0)
        return table->slots[slot] - 1;
    ASSERT(len <= UINT32_MAX);
    table->keys[table->count] =
        (struct intern_key){.offset = table->bytes.len, .len = (uint32_t)len, .hash = hash};
    strbuf_reserve(&table->bytes, len + 1);
    strbuf_append(&table->bytes, bytes, len);
    table->slots[slot] = ++table->count;
    return table->count - 1;
}

struct str intern_key_at(const struct intern *table, uint32_t number)
{
    ASSERT(number < table->count);
    const struct intern_key *key = &table->keys[number];
    return (struct str){table->bytes.data + key->offset, key->len};
}
