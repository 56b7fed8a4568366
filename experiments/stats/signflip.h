/* Sign-flip permutation test: is the mean paired difference zero? */
#ifndef TRIAD_SIGNFLIP_H
#define TRIAD_SIGNFLIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "estimate.h"
#include "rng.h"

/* More flips than this would need more than a gibibyte: refused with ERR_LIMIT. */
#define SIGNFLIP_RESAMPLES_MAX (UINT64_C(1) << 27)

struct signflip {
    double p;           /* two-sided; NaN when the differences are not numbers or there are none */
    uint64_t resamples; /* sign patterns looked at */
    bool exact;         /* all 2^G patterns were */
};

/* Enough resamples that the smallest p, 1 / (1 + R), stays below alpha after a correction for
 * `declared` hypotheses: max(10,000, 20 declared / alpha), at most SIGNFLIP_RESAMPLES_MAX, which is
 * enough for declared / alpha up to a hundred million. */
uint64_t signflip_resamples(size_t declared, double alpha);

/* Under the null hypothesis the two sides are exchangeable within a sequence, so the sum S_g of its
 * differences is as likely -S_g (Fisher 1935; Good, "Permutation, Parametric and Bootstrap Tests of
 * Hypotheses", 2005). The statistic is |sum of S_g|; all differences of a sequence flip together.
 *
 * When the 2^G patterns are at most `resamples` they are enumerated and p is exact. Otherwise signs
 * are drawn from children of `stream`, and p = (1 + b) / (1 + R) with b of R patterns at least as
 * extreme (Phipson and Smyth 2010), so p is never zero. Patterns within rounding of the observed
 * one count as extreme. Same stream, clusters and count: same p, bit by bit.
 * ERR_LIMIT when `resamples` is above SIGNFLIP_RESAMPLES_MAX or memory is short. */
NODISCARD enum err_code signflip_test(const struct cluster *clusters, size_t count,
                                      uint64_t resamples, const struct rng *stream,
                                      struct signflip *out, struct err *err);

#endif
