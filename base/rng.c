#include "rng.h"

#include <math.h>
#include <sodium.h>
#include <string.h>

#include "check.h"

#define PHILOX_M0     0xD2511F53u
#define PHILOX_M1     0xCD9E8D57u
#define PHILOX_W0     0x9E3779B9u /* golden ratio */
#define PHILOX_W1     0xBB67AE85u /* sqrt(3) - 1 */
#define PHILOX_ROUNDS 10

static void philox_block(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        uint64_t p0 = (uint64_t)PHILOX_M0 * c0;
        uint64_t p1 = (uint64_t)PHILOX_M1 * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        uint32_t n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

static struct rng rng_from_digest(const uint8_t digest[16])
{
    struct rng r = {0};
    memcpy(r.key, digest, 8);
    memcpy(r.nonce, digest + 8, 8);
    return r;
}

static void put_u64(uint8_t out[8], uint64_t value)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

struct rng rng_new(uint64_t seed, const char *name)
{
    uint8_t bytes[8];
    uint8_t digest[16];
    put_u64(bytes, seed);
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof digest);
    crypto_generichash_update(&state, bytes, sizeof bytes);
    crypto_generichash_update(&state, (const uint8_t *)name, strlen(name));
    crypto_generichash_final(&state, digest, sizeof digest);
    return rng_from_digest(digest);
}

struct rng rng_child(const struct rng *parent, const char *name, uint64_t index)
{
    uint8_t bytes[24];
    uint8_t digest[16];
    memcpy(bytes, parent->key, 8);
    memcpy(bytes + 8, parent->nonce, 8);
    put_u64(bytes + 16, index);
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof digest);
    crypto_generichash_update(&state, bytes, sizeof bytes);
    crypto_generichash_update(&state, (const uint8_t *)name, strlen(name));
    crypto_generichash_final(&state, digest, sizeof digest);
    return rng_from_digest(digest);
}

uint32_t rng_u32(struct rng *r)
{
    if (r->words_left == 0) {
        const uint32_t counter[4] = {(uint32_t)r->block, (uint32_t)(r->block >> 32), r->nonce[0],
                                     r->nonce[1]};
        philox_block(counter, r->key, r->words);
        r->block++;
        r->words_left = 4;
    }
    return r->words[4 - r->words_left--];
}

uint64_t rng_u64(struct rng *r)
{
    uint64_t high = rng_u32(r);
    return high << 32 | rng_u32(r);
}

double rng_uniform(struct rng *r)
{
    return (double)(rng_u64(r) >> 11) * 0x1p-53;
}

uint64_t rng_below(struct rng *r, uint64_t bound)
{
    ASSERT(bound > 0);
    /* Reject the few values above the largest multiple of `bound`. */
    const uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
    uint64_t value = rng_u64(r);
    while (value >= limit)
        value = rng_u64(r);
    return value % bound;
}

double rng_normal(struct rng *r)
{
    double u = 1.0 - rng_uniform(r); /* (0, 1]: the logarithm is finite */
    double v = rng_uniform(r);
    return sqrt(-2.0 * log(u)) * cos(2.0 * 3.14159265358979323846 * v);
}

void rng_permutation(struct rng *r, uint32_t *order, size_t count)
{
    for (size_t i = 0; i < count; i++)
        order[i] = (uint32_t)i;
    for (size_t i = count; i > 1; i--) {
        size_t j = (size_t)rng_below(r, i);
        uint32_t held = order[i - 1];
        order[i - 1] = order[j];
        order[j] = held;
    }
}
