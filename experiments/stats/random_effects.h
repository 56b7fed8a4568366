/* The mean of several estimates that need not agree: DerSimonian and Laird's random effects. */
#ifndef TRIAD_RANDOM_EFFECTS_H
#define TRIAD_RANDOM_EFFECTS_H

#include <stddef.h>

struct random_effects {
    double mean;
    double se;
    double lo, hi; /* normal interval */
    double tau2;   /* variance between the studies, truncated at 0 */
    double q;      /* Cochran's Q, chi-squared with count - 1 under homogeneity */
    double q_p;    /* its p */
    double i2;     /* share of the variation that is heterogeneity, 0 ... 1 */
    size_t count;
};

/* Pool `count` >= 2 estimates with their standard errors (> 0), weights 1 / (se^2 + tau^2) with the
 * moment estimate of tau^2 (DerSimonian and Laird, Controlled Clinical Trials 7, 1986); I^2 of
 * Higgins and Thompson (Statistics in Medicine 21, 2002). With fewer than two, or an error that is
 * not a positive number, everything but `count` is NaN. */
struct random_effects random_effects_pool(const double *means, const double *ses, size_t count,
                                          double alpha);

#endif
