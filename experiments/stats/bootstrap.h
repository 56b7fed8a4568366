/* Percentile interval of a mean by resampling whole clusters. */
#ifndef TRIAD_BOOTSTRAP_H
#define TRIAD_BOOTSTRAP_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "estimate.h"
#include "rng.h"

struct interval {
    double lo, hi;
};

/* Draw G clusters with replacement `resamples` times; the interval holds the middle 1 - alpha of
 * the resampled means, sum of S_g / sum of n_g (Efron and Tibshirani 1993, section 13.3; quantiles
 * by linear interpolation, Hyndman and Fan type 7). NaN without clusters or with values that are
 * not numbers. ERR_LIMIT when memory is short. */
NODISCARD enum err_code bootstrap_interval(const struct cluster *clusters, size_t count,
                                           uint32_t resamples, double alpha,
                                           const struct rng *stream, struct interval *out,
                                           struct err *err);

#endif
