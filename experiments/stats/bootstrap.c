#include "bootstrap.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* Uniform on 0 ... bound-1 without bias and, nearly always, without a division (Lemire, ACM TOMACS
 * 29, 2019): ten thousand of these make one resample. */
static uint32_t draw_index(struct rng *rng, uint32_t bound)
{
    uint64_t product = (uint64_t)rng_u32(rng) * bound;
    if ((uint32_t)product < bound) {
        uint32_t rejected = (uint32_t)(UINT64_C(0x100000000) % bound);
        while ((uint32_t)product < rejected)
            product = (uint64_t)rng_u32(rng) * bound;
    }
    return (uint32_t)(product >> 32);
}

static double resampled_mean(const struct cluster *clusters, uint32_t count, struct rng *rng)
{
    double sum = 0.0;
    uint64_t records = 0;
    for (uint32_t g = 0; g < count; g++) {
        const struct cluster *drawn = &clusters[draw_index(rng, count)];
        sum += drawn->sum;
        records += drawn->count;
    }
    return sum / (double)records;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Quantile of sorted values by linear interpolation between neighbours. */
static double quantile(const double *sorted, size_t count, double prob)
{
    double place = prob * (double)(count - 1);
    size_t below = (size_t)place;
    size_t above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (place - (double)below) * (sorted[above] - sorted[below]);
}

static bool all_finite(const struct cluster *clusters, size_t count)
{
    for (size_t g = 0; g < count; g++)
        if (!isfinite(clusters[g].sum))
            return false;
    return true;
}

enum err_code bootstrap_interval(const struct cluster *clusters, size_t count, uint32_t resamples,
                                 double alpha, const struct rng *stream, struct interval *out,
                                 struct err *err)
{
    if (count == 0 || resamples == 0 || !all_finite(clusters, count)) {
        *out = (struct interval){NAN, NAN};
        return ERR_OK;
    }
    double *means = calloc(resamples, sizeof *means);
    if (!means || count > UINT32_MAX) {
        free(means);
        return err_set(err, ERR_LIMIT, "bootstrap: no memory for %u resamples of %zu sequences",
                       resamples, count);
    }
    struct rng rng = rng_child(stream, "bootstrap", 0);
    for (uint32_t r = 0; r < resamples; r++)
        means[r] = resampled_mean(clusters, (uint32_t)count, &rng);
    qsort(means, resamples, sizeof *means, compare_doubles);
    *out = (struct interval){quantile(means, resamples, alpha / 2.0),
                             quantile(means, resamples, 1.0 - alpha / 2.0)};
    free(means);
    return ERR_OK;
}
