#include "adjust.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

struct ranked {
    double p; /* 1 for a hypothesis without one */
    size_t index;
};

const char *adjust_method_name(enum adjust_method method)
{
    static const char *const NAMES[] = {
        [ADJUST_NONE] = "none",
        [ADJUST_HOLM] = "holm",
        [ADJUST_BH] = "benjamini-hochberg",
    };
    return NAMES[method];
}

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a;
    const struct ranked *y = b;
    if (x->p < y->p || x->p > y->p)
        return x->p < y->p ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

/* Step down: the i-th smallest (from 0) times m - i, never below its predecessor. */
static void adjust_holm(struct ranked *ranked, size_t count)
{
    double floor_p = 0.0;
    for (size_t i = 0; i < count; i++) {
        floor_p = fmax(floor_p, ranked[i].p * (double)(count - i));
        ranked[i].p = fmin(floor_p, 1.0);
    }
}

/* Step up: the i-th smallest (from 1) times m / i, never above its successor. */
static void adjust_bh(struct ranked *ranked, size_t count)
{
    double ceiling_p = 1.0;
    for (size_t i = count; i > 0; i--) {
        ceiling_p = fmin(ceiling_p, ranked[i - 1].p * (double)count / (double)i);
        ranked[i - 1].p = ceiling_p;
    }
}

void adjust_p(enum adjust_method method, const double *p, double *adjusted, size_t count,
              struct arena *scratch)
{
    struct ranked *ranked = arena_array(scratch, count, sizeof *ranked);
    for (size_t i = 0; i < count; i++)
        ranked[i] = (struct ranked){isnan(p[i]) ? 1.0 : p[i], i};
    if (count > 0)
        qsort(ranked, count, sizeof *ranked, compare_ranked);
    switch (method) {
    case ADJUST_NONE:
        break;
    case ADJUST_HOLM:
        adjust_holm(ranked, count);
        break;
    case ADJUST_BH:
        adjust_bh(ranked, count);
        break;
    }
    for (size_t i = 0; i < count; i++)
        adjusted[ranked[i].index] = isnan(p[ranked[i].index]) ? (double)NAN : ranked[i].p;
}
