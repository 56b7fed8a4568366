/* GSL's samplers on our own counter-based stream, so that every sequence has an independent child
 * stream and nothing depends on GSL's global generator. */
#ifndef TRIAD_DICE_H
#define TRIAD_DICE_H

#include <stdint.h>

#include <gsl/gsl_rng.h>

#include "rng.h"

struct dice {
    gsl_rng *gsl; /* its state is a struct rng */
};

/* Start on a copy of `stream`. Free with dice_close(). */
struct dice dice_open(struct rng stream);
void dice_close(struct dice *s);

/* Uniform whole number on low … high, both included. */
int64_t dice_between(struct dice *s, int64_t low, int64_t high);
/* GP(m) of docs/science.md section 1: Geometric(2/m) plus Poisson(m/2), at least 1; m >= 2. */
int64_t dice_gp(struct dice *s, double mean);

#endif
