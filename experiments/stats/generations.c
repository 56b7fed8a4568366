#include "generations.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare_texts(const void *a, const void *b)
{
    const struct generation *x = a, *y = b;
    return strcmp(x->text, y->text);
}

/* Runs of equal texts among the sorted samples: how many runs, and how many pairs within them. */
static uint64_t count_runs(const struct generation *sorted, size_t count, double *pairs_out)
{
    uint64_t runs = 0;
    *pairs_out = 0.0;
    for (size_t i = 0, end; i < count; i = end, runs++) {
        for (end = i + 1; end < count && strcmp(sorted[end].text, sorted[i].text) == 0;)
            end++;
        const double run = (double)(end - i);
        *pairs_out += run * (run - 1.0) / 2.0;
    }
    return runs;
}

struct generation_counts generations_count(const struct generation *samples, size_t count,
                                           uint64_t allowed, struct arena *scratch)
{
    struct generation_counts c = {.samples = count};
    struct generation *sorted = arena_array(scratch, count + 1, sizeof *sorted);
    double equal_pairs;
    for (size_t i = 0; i < count; i++)
        sorted[i] = samples[i];
    qsort(sorted, count, sizeof *sorted, compare_texts);
    c.unique = count_runs(sorted, count, &equal_pairs);
    for (size_t i = 0; i < count; i++) {
        if (sorted[i].valid)
            sorted[c.valid++] = sorted[i]; /* still in order */
    }
    c.unique_valid = count_runs(sorted, c.valid, &equal_pairs);

    const double N = (double)count, V = (double)c.valid, U = (double)c.unique_valid;
    const double pairs = V * (V - 1.0) / 2.0;
    c.valid_share = count ? V / N : (double)NAN;
    c.usable_share = count ? U / N : (double)NAN;
    c.unique_share = count ? (double)c.unique / N : (double)NAN;
    c.diversity = c.valid ? U / V : 0.0;
    if (pairs > 0.0) {
        c.collision = equal_pairs / pairs;
        c.collision_se = sqrt(c.collision * (1.0 - c.collision) / pairs);
    }
    c.list_coverage = allowed ? U / (double)allowed : (double)NAN;
    return c;
}

static bool is_finite_point(const struct pareto_point *p)
{
    return isfinite(p->validity) && isfinite(p->diversity);
}

static bool dominates(const struct pareto_point *a, const struct pareto_point *b)
{
    return a->validity >= b->validity && a->diversity >= b->diversity &&
           (a->validity > b->validity || a->diversity > b->diversity);
}

void pareto_front(struct pareto_point *points, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        points[i].on_front = is_finite_point(&points[i]);
        for (size_t j = 0; j < count && points[i].on_front; j++)
            points[i].on_front =
                !(is_finite_point(&points[j]) && dominates(&points[j], &points[i]));
    }
}
