#include "held_set.h"

#include "check.h"

/* The finaliser of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
 * 2014): a bijection in which every bit of the input reaches every bit of the output. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

static uint64_t load_le64(const uint8_t *bytes)
{
    uint64_t word = 0;
    for (int i = 0; i < 8; i++)
        word |= (uint64_t)bytes[i] << 8 * i;
    return word;
}

static void toggle(struct held_set *set, const struct lease_key *lease, enum held_state state)
{
    const uint64_t what = mix((uint64_t)lease->epoch << 1 | state);
    for (size_t at = 0; at < DIGEST_BYTES; at += 8) {
        const uint64_t member = mix(load_le64(lease->job.bytes + at) + what);
        for (size_t i = 0; i < 8; i++)
            set->digest.bytes[at + i] ^= (uint8_t)(member >> 8 * i);
    }
}

void held_set_add(struct held_set *set, const struct lease_key *lease, enum held_state state)
{
    toggle(set, lease, state);
    set->count++;
}

void held_set_remove(struct held_set *set, const struct lease_key *lease, enum held_state state)
{
    ASSERT(set->count > 0);
    toggle(set, lease, state);
    set->count--;
}

bool held_set_equal(const struct held_set *a, const struct held_set *b)
{
    return a->count == b->count && digest_equal(&a->digest, &b->digest);
}
