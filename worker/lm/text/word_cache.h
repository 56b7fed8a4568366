/* Words seen before and their ids. What it holds never changes a result, only the time. */
#ifndef TRIAD_WORD_CACHE_H
#define TRIAD_WORD_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "str.h"

enum { CACHE_WORD_BYTES = 23, CACHE_IDS = 9 };

/* 64 bytes, a line of a processor's cache. */
struct word_slot {
    union {
        char bytes[CACHE_WORD_BYTES + 1]; /* the last one is the word's length; 0: free */
        uint64_t key[3];
    };
    uint32_t count;
    int32_t ids[CACHE_IDS];
};

struct word_cache;

struct word_cache *word_cache_new(void);
/* Accepts NULL. */
void word_cache_free(struct word_cache *cache);

/* The slot for a word, or NULL when it is longer than CACHE_WORD_BYTES (or empty). When the word is
 * not there, `*is_hit` is false and the slot is the word's already, to be filled with
 * word_slot_fill().
 */
struct word_slot *word_cache_slot(struct word_cache *cache, struct str word, bool *is_hit);
/* Store the ids of the word that the slot was got for; more than CACHE_IDS free the slot. */
void word_slot_fill(struct word_slot *slot, const int32_t *ids, size_t count);

#endif
