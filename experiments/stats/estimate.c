#include "estimate.h"

#include <math.h>

#include <gsl/gsl_cdf.h>

const struct estimate ESTIMATE_NONE = {.mean = NAN, .se = NAN, .lo = NAN, .hi = NAN};

static double clustered_se(const struct cluster *clusters, size_t count, double mean,
                           double records)
{
    double squares = 0.0;
    for (size_t g = 0; g < count; g++) {
        double deviation = clusters[g].sum - (double)clusters[g].count * mean;
        squares += deviation * deviation;
    }
    double small_sample = (double)count / ((double)count - 1.0);
    return sqrt(small_sample * squares) / records;
}

struct estimate estimate_clustered(const struct cluster *clusters, size_t count, double alpha)
{
    struct estimate e = ESTIMATE_NONE;
    double sum = 0.0;
    for (size_t g = 0; g < count; g++) {
        sum += clusters[g].sum;
        e.records += clusters[g].count;
    }
    e.clusters = (uint32_t)count;
    if (count == 0)
        return e;
    e.mean = sum / (double)e.records;
    if (count == 1)
        return e;
    e.se = clustered_se(clusters, count, e.mean, (double)e.records);
    double half_width = gsl_cdf_tdist_Qinv(alpha / 2.0, (double)count - 1.0) * e.se;
    e.lo = e.mean - half_width;
    e.hi = e.mean + half_width;
    return e;
}

double estimate_se_independent(const double *values, size_t count)
{
    if (count < 2)
        return NAN;
    double sum = 0.0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    double mean = sum / (double)count;
    double squares = 0.0;
    for (size_t i = 0; i < count; i++)
        squares += (values[i] - mean) * (values[i] - mean);
    return sqrt(squares / ((double)count - 1.0) / (double)count);
}

double estimate_normal_p(double z)
{
    return 2.0 * gsl_cdf_ugaussian_Q(fabs(z));
}

double estimate_normal_critical(double alpha)
{
    return gsl_cdf_ugaussian_Qinv(alpha / 2.0);
}
