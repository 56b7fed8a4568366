/* Drawing one token from logits: greedy, temperature, top-k, nucleus. */
#ifndef TRIAD_SAMPLE_DRAW_H
#define TRIAD_SAMPLE_DRAW_H

#include <stdint.h>

#include "err.h"
#include "rng.h"

struct sample_options {
    double temperature; /* logits are divided by it; 0: greedy (the lowest id wins ties) */
    int top_k;          /* keep the k most probable; 0: all */
    double top_p;       /* then the fewest most probable that reach this mass (Holtzman et al. 2020,
                           section 3.1); 1: all */
    uint64_t seed;
};

struct sample_weight {
    double weight;
    int32_t id;
};

/* ERR_INVALID, naming the option, when one lies outside its range. */
NODISCARD enum err_code sample_options_check(const struct sample_options *options, struct err *err);

/* Draw an id in 0 … vocabulary - 1. `work` holds `vocabulary` entries. One uniform number is taken
 * from `rng` per draw (none when greedy); equal logits are ordered by id, so that a stream gives
 * equal draws everywhere. */
int32_t sample_draw(const float *logits, int vocabulary, const struct sample_options *options,
                    struct rng *rng, struct sample_weight *work);

#endif
