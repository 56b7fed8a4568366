#include "sample_draw.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "check.h"

enum err_code sample_options_check(const struct sample_options *options, struct err *err)
{
    if (!(options->temperature >= 0) || !isfinite(options->temperature))
        return err_set(err, ERR_INVALID, "sample: temperature must not be negative");
    if (options->top_k < 0)
        return err_set(err, ERR_INVALID, "sample: top-k must not be negative");
    if (!(options->top_p > 0 && options->top_p <= 1))
        return err_set(err, ERR_INVALID, "sample: top-p must lie above 0 and at most at 1");
    return ERR_OK;
}

static int32_t most_probable(const float *logits, int vocabulary)
{
    int32_t best = 0;
    for (int32_t id = 1; id < vocabulary; id++) {
        if (logits[id] > logits[best])
            best = id;
    }
    return best;
}

/* Heaviest first, then lowest id. */
static int compare(const void *a, const void *b)
{
    const struct sample_weight *x = a, *y = b;
    if (x->weight > y->weight)
        return -1;
    if (x->weight < y->weight)
        return 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* How many of the sorted weights to keep. */
static int kept_count(const struct sample_weight *sorted, int count,
                      const struct sample_options *options)
{
    if (options->top_k > 0 && options->top_k < count)
        count = options->top_k;
    if (options->top_p >= 1)
        return count;
    double total = 0, mass = 0;
    for (int i = 0; i < count; i++)
        total += sorted[i].weight;
    for (int i = 0; i < count; i++) {
        mass += sorted[i].weight;
        if (mass >= options->top_p * total)
            return i + 1;
    }
    return count;
}

int32_t sample_draw(const float *logits, int vocabulary, const struct sample_options *options,
                    struct rng *rng, struct sample_weight *work)
{
    ASSERT(vocabulary > 0);
    int32_t best = most_probable(logits, vocabulary);
    if (!(options->temperature > 0))
        return best;
    double highest = (double)logits[best];
    for (int32_t id = 0; id < vocabulary; id++)
        work[id] =
            (struct sample_weight){exp(((double)logits[id] - highest) / options->temperature), id};
    bool cut = options->top_k > 0 || options->top_p < 1;
    if (cut)
        qsort(work, (size_t)vocabulary, sizeof *work, compare);
    int count = cut ? kept_count(work, vocabulary, options) : vocabulary;
    double total = 0;
    for (int i = 0; i < count; i++)
        total += work[i].weight;
    double point = rng_uniform(rng) * total;
    for (int i = 0; i < count; i++) {
        point -= work[i].weight;
        if (point < 0)
            return work[i].id;
    }
    return best; /* rounding left nothing, or the logits are not finite */
}
