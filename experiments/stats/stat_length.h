/* Loss by the length of the answer: long outputs dominate a summed loss, and this shows by how
 * much. */
#ifndef TRIAD_STAT_LENGTH_H
#define TRIAD_STAT_LENGTH_H

#include <stddef.h>
#include <stdint.h>

#include "arena.h"

struct stat_arm;

/* The in-context answers with first … last scored tokens, terminator included. */
struct stat_length {
    uint32_t first, last;
    uint64_t answers, tokens;
    double nats_per_answer, nats_per_token; /* of all of them together */
};

/* Of a complete arm of scores: bins 1, 2, 3-4, 5-8, … that hold an answer, in rising order. */
struct stat_length *stat_length_measure(const struct stat_arm *arm, struct arena *arena,
                                        size_t *count_out);

#endif
