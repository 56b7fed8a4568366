#include "random_effects.h"

#include <math.h>
#include <stdbool.h>

#include <gsl/gsl_cdf.h>

#include "estimate.h"

static bool can_pool(const double *means, const double *ses, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(means[i]) || !isfinite(ses[i]) || ses[i] <= 0.0)
            return false;
    return count >= 2;
}

/* Weighted mean with weights 1 / (se^2 + tau2); also the sums of the weights and their squares. */
static double weighted_mean(const double *means, const double *ses, size_t count, double tau2,
                            double *weight_sum, double *weight_squares)
{
    double sum = 0.0;
    *weight_sum = 0.0;
    *weight_squares = 0.0;
    for (size_t i = 0; i < count; i++) {
        double weight = 1.0 / (ses[i] * ses[i] + tau2);
        sum += weight * means[i];
        *weight_sum += weight;
        *weight_squares += weight * weight;
    }
    return sum / *weight_sum;
}

struct random_effects random_effects_pool(const double *means, const double *ses, size_t count,
                                          double alpha)
{
    struct random_effects e = {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, count};
    if (!can_pool(means, ses, count))
        return e;
    double weight_sum, weight_squares;
    const double fixed = weighted_mean(means, ses, count, 0.0, &weight_sum, &weight_squares);
    e.q = 0.0;
    for (size_t i = 0; i < count; i++) {
        double deviation = (means[i] - fixed) / ses[i];
        e.q += deviation * deviation;
    }
    const double df = (double)count - 1.0;
    e.q_p = gsl_cdf_chisq_Q(e.q, df);
    e.i2 = e.q > df ? (e.q - df) / e.q : 0.0;
    e.tau2 = fmax(0.0, (e.q - df) / (weight_sum - weight_squares / weight_sum));

    e.mean = weighted_mean(means, ses, count, e.tau2, &weight_sum, &weight_squares);
    e.se = sqrt(1.0 / weight_sum);
    const double half_width = estimate_normal_critical(alpha) * e.se;
    e.lo = e.mean - half_width;
    e.hi = e.mean + half_width;
    return e;
}
