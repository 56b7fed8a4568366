#include "dice.h"

#include <gsl/gsl_randist.h>

#include "check.h"

/* The stream comes ready-made: GSL's seed is ignored. */
static void stream_set(void *state, unsigned long seed)
{
    (void)seed;
    *(struct rng *)state = rng_new(0, "unset");
}

static unsigned long stream_get(void *state)
{
    return rng_u32(state);
}

static double stream_get_double(void *state)
{
    return rng_uniform(state);
}

static const gsl_rng_type stream_type = {
    .name = "triad",
    .max = 0xFFFFFFFFu,
    .min = 0,
    .size = sizeof(struct rng),
    .set = stream_set,
    .get = stream_get,
    .get_double = stream_get_double,
};

struct dice dice_open(struct rng stream)
{
    gsl_rng *gsl = gsl_rng_alloc(&stream_type);
    ASSERT(gsl != NULL);
    *(struct rng *)gsl_rng_state(gsl) = stream;
    return (struct dice){gsl};
}

void dice_close(struct dice *s)
{
    gsl_rng_free(s->gsl);
    s->gsl = NULL;
}

int64_t dice_between(struct dice *s, int64_t low, int64_t high)
{
    ASSERT(low <= high);
    return low + (int64_t)rng_below(gsl_rng_state(s->gsl), (uint64_t)(high - low) + 1);
}

int64_t dice_gp(struct dice *s, double mean)
{
    ASSERT(mean >= 2.0);
    int64_t value = (int64_t)gsl_ran_geometric(s->gsl, 2.0 / mean) +
                    (int64_t)gsl_ran_poisson(s->gsl, mean / 2.0);
    return value < 1 ? 1 : value;
}
