/* Direct mapped: a new word simply replaces the old one. */
#include "word_cache.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

/* 4 MiB: the common words of a language, and of the other one in the text. */
enum { SLOTS = 1 << 16 };

_Static_assert(sizeof(struct word_slot) == 64, "a slot is a line of the cache");

struct word_cache {
    struct word_slot slots[SLOTS];
};

struct word_cache *word_cache_new(void)
{
    struct word_cache *cache = NULL;
    int fault = posix_memalign((void **)&cache, sizeof(struct word_slot), sizeof *cache);
    ASSERT(fault == 0);
    memset(cache, 0, sizeof *cache);
    return cache;
}

void word_cache_free(struct word_cache *cache)
{
    free(cache);
}

struct word_slot *word_cache_slot(struct word_cache *cache, struct str word, bool *is_hit)
{
    if (word.len == 0 || word.len > CACHE_WORD_BYTES)
        return NULL;
    union {
        char bytes[CACHE_WORD_BYTES + 1];
        uint64_t key[3];
    } wanted = {{0}};
    memcpy(wanted.bytes, word.data, word.len);
    wanted.bytes[CACHE_WORD_BYTES] = (char)word.len;
    uint64_t h = wanted.key[0] * 0x9e3779b97f4a7c15u;
    h = (h ^ h >> 32 ^ wanted.key[1]) * 0xbf58476d1ce4e5b9u;
    h = (h ^ h >> 32 ^ wanted.key[2]) * 0x94d049bb133111ebu;
    struct word_slot *slot = &cache->slots[h >> 48];
    *is_hit = slot->key[0] == wanted.key[0] && slot->key[1] == wanted.key[1] &&
              slot->key[2] == wanted.key[2];
    if (!*is_hit)
        memcpy(slot->key, wanted.key, sizeof wanted.key);
    return slot;
}

void word_slot_fill(struct word_slot *slot, const int32_t *ids, size_t count)
{
    if (count > CACHE_IDS) {
        slot->key[2] = 0;
        return;
    }
    slot->count = (uint32_t)count;
    memcpy(slot->ids, ids, count * sizeof *ids);
}
