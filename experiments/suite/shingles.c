#include "shingles.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "check.h"

enum { RUN = 8 };

/* Open addressing; 0 is a free place (and the hash 0 is taken for 1). */
struct shingle_set {
    uint64_t *places;
    size_t size, used; /* a power of two, at most half used */
};

struct shingle_set *shingle_set_new(void)
{
    struct shingle_set *set = calloc(1, sizeof *set);
    ASSERT(set != NULL);
    return set;
}

void shingle_set_free(struct shingle_set *set)
{
    if (set)
        free(set->places);
    free(set);
}

static size_t place_of(const struct shingle_set *set, uint64_t hash)
{
    size_t at = hash & (set->size - 1);
    while (set->places[at] != 0 && set->places[at] != hash)
        at = (at + 1) & (set->size - 1);
    return at;
}

static void insert(struct shingle_set *set, uint64_t hash)
{
    if (2 * set->used >= set->size) {
        struct shingle_set larger = {.size = set->size ? 2 * set->size : 4096};
        larger.places = calloc(larger.size, sizeof *larger.places);
        ASSERT(larger.places != NULL);
        for (size_t i = 0; i < set->size; i++) {
            if (set->places[i] != 0)
                larger.places[place_of(&larger, set->places[i])] = set->places[i];
        }
        larger.used = set->used;
        free(set->places);
        *set = larger;
    }
    size_t at = place_of(set, hash);
    set->used += set->places[at] == 0;
    set->places[at] = hash;
}

/* The words of a text, one hash after another. */
struct words {
    const unsigned char *at;
    uint64_t last[RUN]; /* hashes of the latest words, in a circle */
    size_t count;
};

static bool is_word_byte(unsigned char byte)
{
    return byte >= 0x80 || isalnum(byte);
}

/* FNV-1a of the next word without case; false at the end. */
static bool next_word(struct words *w)
{
    uint64_t hash = 0xcbf29ce484222325u;
    while (*w->at && !is_word_byte(*w->at))
        w->at++;
    if (!*w->at)
        return false;
    for (; is_word_byte(*w->at); w->at++)
        hash = (hash ^ (unsigned)tolower(*w->at)) * 0x100000001b3u;
    w->last[w->count++ % RUN] = hash;
    return true;
}

/* The hash of the latest eight words in their order. */
static uint64_t run_hash(const struct words *w)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < RUN; i++) {
        hash ^= w->last[(w->count + i) % RUN];
        hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9u;
        hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebu + i;
    }
    return hash ? hash : 1;
}

void shingle_set_add(struct shingle_set *set, const char *text)
{
    struct words w = {.at = (const unsigned char *)text};
    while (text && next_word(&w)) {
        if (w.count >= RUN)
            insert(set, run_hash(&w));
    }
}

int shingle_set_percent(const struct shingle_set *set, const char *text)
{
    struct words w = {.at = (const unsigned char *)text};
    size_t runs = 0, known = 0;
    while (text && set->size > 0 && next_word(&w)) {
        if (w.count < RUN)
            continue;
        uint64_t hash = run_hash(&w);
        known += set->places[place_of(set, hash)] == hash;
        runs++;
    }
    return runs ? (int)(100 * known / runs) : 0;
}
