#include "model_rope.h"

#include <math.h>
#include <stddef.h>

#include "check.h"

/* The scaling of Llama 3.1 and later: frequencies whose wave is longer than the original context
 * (over low_freq_factor) become `factor` times lower, those well within it (over high_freq_factor)
 * stay, and those between are blended by how often they turn within the original context. */
static double llama3_scaled(const struct model_config *c, double frequency)
{
    const double pi = acos(-1);
    const double turns = c->rope_original_context * frequency / (2 * pi);
    double kept = (turns - c->rope_low_factor) / (c->rope_high_factor - c->rope_low_factor);
    kept = kept < 0 ? 0 : kept > 1 ? 1 : kept;
    return (1 - kept) * frequency / c->rope_factor + kept * frequency;
}

static double frequency_of(const struct model_config *c, bool windowed, int pair)
{
    const double exponent = -2.0 * pair / c->head_dim;
    if (windowed)
        return pow(c->rope_local_theta, exponent);
    const double frequency = pow(c->rope_theta, exponent);
    switch (c->rope_scaling) {
    case ROPE_UNSCALED:
        return frequency;
    case ROPE_LINEAR:
        return frequency / c->rope_factor;
    case ROPE_LLAMA3:
        return llama3_scaled(c, frequency);
    }
    UNREACHABLE("a scaling outside its enumeration");
}

void model_rope_table(const struct model_config *config, bool windowed, int first, int count,
                      float *table)
{
    const int half = config->head_dim / 2;
    for (int d = 0; d < half; d++) {
        const double frequency = frequency_of(config, windowed, d);
        for (int t = 0; t < count; t++) {
            float *row = table + (size_t)t * (size_t)config->head_dim;
            const double angle = (first + t) * frequency;
            row[d] = (float)cos(angle);
            row[half + d] = (float)sin(angle);
        }
    }
}
