#include "shuffle.h"

#include "check.h"

enum { ROUNDS = 6 };

struct shuffle shuffle_make(struct rng stream, uint32_t count, struct arena *arena)
{
    struct shuffle s = {.count = count, .half_bits = 1};
    if (count <= SHUFFLE_EXACT_MAX) {
        s.order = arena_array(arena, (size_t)count + 1, sizeof *s.order);
        rng_permutation(&stream, s.order, count);
        return s;
    }
    s.key = rng_u64(&stream);
    while ((uint64_t)1 << (2 * s.half_bits) < count)
        s.half_bits++;
    return s;
}

/* The finaliser of splitmix64 (Steele, Lea and Flood 2014). */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static uint64_t walk(const struct shuffle *s, uint64_t x)
{
    const uint64_t mask = ((uint64_t)1 << s->half_bits) - 1;
    uint64_t left = x >> s->half_bits, right = x & mask;
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        uint64_t next = left ^ (mix(s->key + round * 0x9e3779b97f4a7c15u + right) & mask);
        left = right;
        right = next;
    }
    return left << s->half_bits | right;
}

uint32_t shuffle_at(const struct shuffle *s, uint32_t place)
{
    ASSERT(place < s->count);
    if (s->order)
        return s->order[place];
    uint64_t x = place;
    do
        x = walk(s, x);
    while (x >= s->count);
    return (uint32_t)x;
}
