/* A mean over records that come in clusters (the answers of one sequence share their context), with
 * its cluster-robust standard error and Student's t interval. */
#ifndef TRIAD_ESTIMATE_H
#define TRIAD_ESTIMATE_H

#include <stddef.h>
#include <stdint.h>

/* The records of one sequence, summed: all that means, sign flips and bootstraps need. Clusters of
 * different size keep their weight: a cluster counts as many times as it has records, so that the
 * difference of two means is the mean of the differences. */
struct cluster {
    double sum;
    uint32_t count; /* >= 1 */
};

/* What cannot be computed is NaN: everything without records, se and interval with one cluster. */
struct estimate {
    double mean;
    double se;
    double lo, hi; /* t interval with clusters - 1 degrees of freedom */
    uint64_t records;
    uint32_t clusters;
};

extern const struct estimate ESTIMATE_NONE; /* all NaN, no records */

/* With G clusters of n_g records summing to S_g, N = sum of n_g and mean m = sum of S_g / N:
 *   se^2 = G / (G - 1) * sum over g of (S_g - n_g m)^2 / N^2
 * the sandwich estimator of Liang and Zeger (Biometrika 73, 1986) for a regression on a constant
 * with the usual small-sample factor (Cameron and Miller, J. Human Resources 50, 2015, eq. 11-12;
 * (N - 1) / (N - K) is 1 for K = 1). With one record per cluster it is the familiar s / sqrt(N).
 * The interval has coverage 1 - alpha and G - 1 degrees of freedom (same paper, section VI.D). */
struct estimate estimate_clustered(const struct cluster *clusters, size_t count, double alpha);

/* sqrt(v) of the mean of `count` values taken as independent: s / sqrt(count), NaN below two. */
double estimate_se_independent(const double *values, size_t count);

/* Two-sided p of a standard normal z. */
double estimate_normal_p(double z);
/* The standard normal quantile that leaves alpha / 2 above it: 1.96 for 0.05. */
double estimate_normal_critical(double alpha);

#endif
