#include "kernel_cases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

#define GUARD       64
#define GUARD_VALUE 1234567.0f

struct guarded guarded_new(size_t count)
{
    struct guarded g = {.count = count, .whole = malloc((count + 2 * GUARD) * sizeof(float))};
    ASSERT(g.whole != NULL);
    for (size_t i = 0; i < count + 2 * GUARD; i++)
        g.whole[i] = i < GUARD || i >= count + GUARD ? GUARD_VALUE : NAN;
    g.data = g.whole + GUARD;
    return g;
}

int guarded_is_intact(const struct guarded *g)
{
    for (size_t i = 0; i < GUARD; i++)
        if (g->whole[i] < GUARD_VALUE || g->whole[i] > GUARD_VALUE ||
            g->whole[g->count + GUARD + i] < GUARD_VALUE ||
            g->whole[g->count + GUARD + i] > GUARD_VALUE)
            return 0;
    return 1;
}

void guarded_free(struct guarded *g)
{
    free(g->whole);
}

struct values values_zero(size_t count)
{
    struct values v = {calloc(count + 1, sizeof(float)), calloc(count + 1, sizeof(double)), count};
    ASSERT(v.f != NULL);
    ASSERT(v.d != NULL);
    return v;
}

struct values values_random(struct rng *rng, size_t count, double spread)
{
    struct values v = values_zero(count);
    for (size_t i = 0; i < count; i++) {
        v.f[i] = (float)(spread * rng_normal(rng));
        v.d[i] = (double)v.f[i];
    }
    return v;
}

void values_free(struct values *v)
{
    free(v->f);
    free(v->d);
}

void layout_make(struct layout *l, const int *lens, int count)
{
    int rows = 0;
    for (int b = 0; b < count; b++) {
        l->start[b] = rows;
        l->len[b] = lens[b];
        rows += kernel_rows_padded(lens[b]);
    }
    l->batch = (struct kernel_batch){
        .sequence_count = count, .rows = rows, .start = l->start, .len = l->len};
    l->positions = calloc((size_t)rows, sizeof *l->positions);
    ASSERT(l->positions != NULL);
    for (int b = 0; b < count; b++)
        for (int t = 0; t < lens[b]; t++)
            l->positions[l->start[b] + t] = t;
}

void layout_free(struct layout *l)
{
    free(l->positions);
}

void layout_clear_padding(const struct layout *l, float *x, int width)
{
    for (int b = 0; b < l->batch.sequence_count; b++)
        for (int r = l->len[b]; r < kernel_rows_padded(l->len[b]); r++)
            memset(x + (size_t)(l->start[b] + r) * (size_t)width, 0, (size_t)width * sizeof *x);
}

void layout_clear_padding_f64(const struct layout *l, double *x, int width)
{
    for (int b = 0; b < l->batch.sequence_count; b++)
        for (int r = l->len[b]; r < kernel_rows_padded(l->len[b]); r++)
            memset(x + (size_t)(l->start[b] + r) * (size_t)width, 0, (size_t)width * sizeof *x);
}

double relative_error(const float *a, const double *b, size_t count)
{
    double largest = 1e-30;
    double worst = 0;
    for (size_t i = 0; i < count; i++) {
        const double difference = fabs((double)a[i] - b[i]);
        if (isnan(difference))
            return NAN;
        worst = difference > worst ? difference : worst;
        largest = fabs(b[i]) > largest ? fabs(b[i]) : largest;
    }
    return worst / largest;
}
