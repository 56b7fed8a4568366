#include "sample_draw.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "check.h"

/* When more than one in so many is kept, sorting all is as quick. */
enum { SORT_SHARE = 8 };

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

/* ---- the heaviest first, without sorting them all ---- */

/* The heap's rule below entry `at`: no child is heavier. */
static void sift_down(struct sample_weight *heap, int count, int at)
{
    const struct sample_weight moved = heap[at];
    for (int child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && compare(&heap[child + 1], &heap[child]) < 0)
            child++;
        if (compare(&moved, &heap[child]) <= 0)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

/* Take the heaviest of a heap of `count`, to where the heap then ends. */
static double pop(struct sample_weight *heap, int count)
{
    const struct sample_weight top = heap[0];
    heap[0] = heap[count - 1];
    heap[count - 1] = top;
    sift_down(heap, count - 1, 0);
    return top.weight;
}

/* How many heaviest reach top_p of all weights, as kept_count() would say; they are popped. 0 when
 * that would be many, or hangs on the order in which all of them are summed up. */
static int pop_mass(struct sample_weight *heap, int count, double total, double top_p)
{
    /* Sums of positive numbers in two orders differ by less than this. */
    const double slack = 2 * DBL_EPSILON * (double)count * total;
    double mass = 0;
    for (int kept = 1; kept <= count / SORT_SHARE; kept++) {
        mass += pop(heap, count - kept + 1);
        if (mass >= top_p * (total + slack))
            return kept;
        if (mass >= top_p * (total - slack))
            return 0;
    }
    return 0;
}

/* The weights to keep, heaviest first, at the front of `work`; the same as if all were sorted. */
static int keep(struct sample_weight *work, int count, const struct sample_options *options)
{
    const bool limited = options->top_k > 0 && options->top_k < count;
    double total = 0;
    int kept = 0;
    for (int i = 0; i < count; i++)
        total += work[i].weight;
    if (isfinite(total) && (!limited || options->top_k <= count / SORT_SHARE)) {
        for (int at = count / 2 - 1; at >= 0; at--)
            sift_down(work, count, at);
        if (!limited)
            kept = pop_mass(work, count, total, options->top_p);
        for (; limited && kept < options->top_k; kept++)
            pop(work, count - kept);
    }
    if (kept == 0) {
        qsort(work, (size_t)count, sizeof *work, compare);
        return kept_count(work, count, options);
    }
    for (int i = 0; i < kept; i++) /* at most an eighth of all: the two ends do not meet */
        work[i] = work[count - 1 - i];
    return limited ? kept_count(work, count, options) : kept;
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
    int count = cut ? keep(work, vocabulary, options) : vocabulary;
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
