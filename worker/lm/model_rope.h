/* What rotary embeddings turn by. */
#ifndef TRIAD_MODEL_ROPE_H
#define TRIAD_MODEL_ROPE_H

#include <stdbool.h>

#include "model_config.h"

/* Fill table[count][head_dim] for positions first … first + count - 1: of each head_dim / 2
 * cosines, then as many sines, of position * frequency[d]. `windowed`: for the layers with a
 * sliding window, whose frequencies have another base and are never scaled. */
void model_rope_table(const struct model_config *config, bool windowed, int first, int count,
                      float *table);

#endif
