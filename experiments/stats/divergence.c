#include "divergence.h"

#include <math.h>
#include <stdbool.h>

/* ln of the summed exp(log_p): scaled by the largest, so that small masses keep their ratios. */
static double log_sum(const double *log_p, size_t count)
{
    double highest = -INFINITY, sum = 0.0;
    for (size_t i = 0; i < count; i++)
        highest = fmax(highest, log_p[i]);
    if (!isfinite(highest))
        return highest;
    for (size_t i = 0; i < count; i++)
        sum += exp(log_p[i] - highest);
    return highest + log(sum);
}

static size_t first_maximum(const double *values, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++) {
        if (values[i] > values[best])
            best = i;
    }
    return best;
}

struct divergence divergence_measure(const double *target, const double *log_p, size_t count,
                                     double epsilon)
{
    struct divergence d = {NAN, NAN, NAN, NAN, NAN, NAN};
    double total = 0.0;
    for (size_t i = 0; i < count; i++) {
        if (isnan(log_p[i]))
            return d;
        total += target[i];
    }
    const double mass = log_sum(log_p, count), scale = 1.0 + epsilon * (double)count;
    d.coverage = exp(mass);
    if (!isfinite(mass) || !(total > 0.0))
        return d;
    d.js = d.kl = d.reverse_kl = d.cross_entropy = 0.0;
    for (size_t i = 0; i < count; i++) {
        const double p = (target[i] / total + epsilon) / scale;
        const double q = (exp(log_p[i] - mass) + epsilon) / scale;
        const double middle = 0.5 * (p + q);
        d.js += 0.5 * (p * log(p / middle) + q * log(q / middle));
        d.kl += p * log(p / q);
        d.reverse_kl += q * log(q / p);
        d.cross_entropy -= p * log(q);
    }
    d.mode_match = first_maximum(target, count) == first_maximum(log_p, count) ? 1.0 : 0.0;
    return d;
}
