/* The signed sum of 64 sequences costs eight additions: for every eight of them the 256 possible
 * signed sums are tabulated once, and a random byte picks one (the "four Russians" of Arlazarov et
 * al. 1970). Blocks of 64 sequences are the outer loop, so the 16 KiB of tables stay in the first
 * cache; additions happen in one fixed order, so the result has the same bits everywhere. */
#include "signflip.h"

#include <math.h>
#include <stdlib.h>

#define FLIPS_PER_TABLE  8
#define TABLE_SIZE       256
#define TABLES_PER_BLOCK 8
#define FLIPS_PER_BLOCK  ((size_t)FLIPS_PER_TABLE * TABLES_PER_BLOCK)

/* Sums in a different order differ by rounding; patterns this near to the observed one, relative to
 * the sum of all |S_g|, are ties and count as extreme. */
#define TIE_TOLERANCE 1e-12

uint64_t signflip_resamples(size_t declared, double alpha)
{
    double needed = 20.0 * (double)declared / alpha;
    if (needed >= (double)SIGNFLIP_RESAMPLES_MAX)
        return SIGNFLIP_RESAMPLES_MAX;
    /* 20 * 228 / 0.05 is a hair above 91,200: do not let rounding buy one more. */
    uint64_t resamples = (uint64_t)ceil(needed * (1.0 - 1e-12));
    return resamples < 10000 ? 10000 : resamples;
}

/* table[bits] = sum of +sum or, where the bit is set, -sum. */
static void table_fill(double table[TABLE_SIZE], const struct cluster *clusters, size_t count)
{
    table[0] = 0.0;
    for (size_t i = 0; i < FLIPS_PER_TABLE; i++) {
        double sum = i < count ? clusters[i].sum : 0.0;
        for (size_t bits = 0; bits < (size_t)1 << i; bits++) {
            table[bits | (size_t)1 << i] = table[bits] - sum;
            table[bits] += sum;
        }
    }
}

static void block_fill(double tables[TABLES_PER_BLOCK][TABLE_SIZE], const struct cluster *clusters,
                       size_t count)
{
    for (size_t t = 0; t < TABLES_PER_BLOCK; t++) {
        size_t first = t * FLIPS_PER_TABLE;
        table_fill(tables[t], clusters + (first < count ? first : count),
                   first < count ? count - first : 0);
    }
}

/* The block's sum with the signs of `flips`, one bit per sequence. */
static inline double block_sum(const double tables[TABLES_PER_BLOCK][TABLE_SIZE], uint64_t flips)
{
    return ((tables[0][flips & 255] + tables[1][flips >> 8 & 255]) +
            (tables[2][flips >> 16 & 255] + tables[3][flips >> 24 & 255])) +
           ((tables[4][flips >> 32 & 255] + tables[5][flips >> 40 & 255]) +
            (tables[6][flips >> 48 & 255] + tables[7][flips >> 56]));
}

static uint64_t count_extreme(const double *sums, uint64_t count, double threshold)
{
    uint64_t extreme = 0;
    for (uint64_t r = 0; r < count; r++)
        extreme += fabs(sums[r]) >= threshold;
    return extreme;
}

static double exact_p(const struct cluster *clusters, size_t count, double threshold)
{
    double tables[TABLES_PER_BLOCK][TABLE_SIZE];
    block_fill(tables, clusters, count);
    const uint64_t patterns = UINT64_C(1) << count;
    uint64_t extreme = 0;
    for (uint64_t flips = 0; flips < patterns; flips++)
        extreme += fabs(block_sum(tables, flips)) >= threshold;
    return (double)extreme / (double)patterns;
}

/* Add the signed sums of every block to `sums`, one per resample. A block's signs come from a
 * child stream of its own. */
static void random_sums(const struct cluster *clusters, size_t count, uint64_t resamples,
                        const struct rng *stream, double *sums)
{
    double tables[TABLES_PER_BLOCK][TABLE_SIZE];
    for (size_t first = 0; first < count; first += FLIPS_PER_BLOCK) {
        struct rng rng = rng_child(stream, "signflip", first / FLIPS_PER_BLOCK);
        size_t left = count - first;
        block_fill(tables, clusters + first, left < FLIPS_PER_BLOCK ? left : FLIPS_PER_BLOCK);
        for (uint64_t r = 0; r < resamples; r++)
            sums[r] += block_sum(tables, rng_u64(&rng));
    }
}

enum err_code signflip_test(const struct cluster *clusters, size_t count, uint64_t resamples,
                            const struct rng *stream, struct signflip *out, struct err *err)
{
    double observed = 0.0;
    double scale = 0.0;
    for (size_t g = 0; g < count; g++) {
        observed += clusters[g].sum;
        scale += fabs(clusters[g].sum);
    }
    if (count == 0 || !isfinite(scale)) {
        *out = (struct signflip){.p = NAN};
        return ERR_OK;
    }
    if (resamples == 0 || resamples > SIGNFLIP_RESAMPLES_MAX)
        return err_set(err, ERR_LIMIT, "test by sign flips: %llu resamples are not in 1 ... %llu",
                       (unsigned long long)resamples, (unsigned long long)SIGNFLIP_RESAMPLES_MAX);
    const double threshold = fabs(observed) - TIE_TOLERANCE * scale;
    if (count < FLIPS_PER_BLOCK && UINT64_C(1) << count <= resamples) {
        *out = (struct signflip){exact_p(clusters, count, threshold), UINT64_C(1) << count, true};
        return ERR_OK;
    }
    double *sums = calloc(resamples, sizeof *sums);
    if (!sums)
        return err_set(err, ERR_LIMIT, "test by sign flips: no memory for %llu resamples",
                       (unsigned long long)resamples);
    random_sums(clusters, count, resamples, stream, sums);
    uint64_t extreme = count_extreme(sums, resamples, threshold);
    free(sums);
    *out = (struct signflip){(1.0 + (double)extreme) / (1.0 + (double)resamples), resamples, false};
    return ERR_OK;
}
