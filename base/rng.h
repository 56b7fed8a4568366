/* Counter-based random numbers: a stream is a function of its key alone, so results depend neither
 * on scheduling order nor on who draws first.
 *
 * Generator: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2,
 * 3", SC 2011). Keys are derived by BLAKE2b from (parent key, name), so child streams are
 * independent. */
#ifndef TRIAD_RNG_H
#define TRIAD_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
    uint32_t key[2];
    uint32_t nonce[2]; /* upper half of the counter: 64 more bits of key */
    uint64_t block;    /* lower half of the counter: blocks of four words drawn so far */
    uint32_t words[4];
    uint32_t words_left;
};

/* The root stream of a seed and a name such as "suite" or "init". */
struct rng rng_new(uint64_t seed, const char *name);
/* An independent child stream; the parent does not advance. Equal arguments give equal streams. */
struct rng rng_child(const struct rng *parent, const char *name, uint64_t index);

uint32_t rng_u32(struct rng *r);
uint64_t rng_u64(struct rng *r);
/* Uniform on [0, 1) with 53 bits. */
double rng_uniform(struct rng *r);
/* Uniform integer on 0 … bound-1, without modulo bias; bound > 0. */
uint64_t rng_below(struct rng *r, uint64_t bound);
/* Standard normal (Box-Muller, both uniforms drawn every time: no hidden state). */
double rng_normal(struct rng *r);
/* Fisher-Yates permutation of 0 … count-1 into `order`. */
void rng_permutation(struct rng *r, uint32_t *order, size_t count);

#endif
