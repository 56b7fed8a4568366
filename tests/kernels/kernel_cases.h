/* Shared by the kernel tests and benchmarks: random data, guarded buffers, a batch layout. */
#ifndef TRIAD_KERNEL_CASES_H
#define TRIAD_KERNEL_CASES_H

#include <stddef.h>

#include "kernels.h"
#include "rng.h"

/* A buffer whose `count` floats are NaN and whose neighbours are known: stray writes and unwritten
 * outputs show. Free with guarded_free(). */
struct guarded {
    float *data;
    size_t count;
    float *whole;
};
struct guarded guarded_new(size_t count);
/* True when both neighbours are untouched. */
int guarded_is_intact(const struct guarded *g);
void guarded_free(struct guarded *g);

/* `count` values with the given spread, as float and (the same values) as double. */
struct values {
    float *f;
    double *d;
    size_t count;
};
struct values values_random(struct rng *rng, size_t count, double spread);
struct values values_zero(size_t count);
void values_free(struct values *v);

/* Sequences of these lengths laid out on row blocks. */
struct layout {
    struct kernel_batch batch;
    int start[16], len[16];
    int *positions; /* [rows]; 0 in padding */
};
void layout_make(struct layout *l, const int *lens, int count);
void layout_free(struct layout *l);
/* Set the padding rows of x[rows][width] to zero. */
void layout_clear_padding(const struct layout *l, float *x, int width);
void layout_clear_padding_f64(const struct layout *l, double *x, int width);

/* Largest |a - b| over the largest |b|; NaN when anything is NaN. */
double relative_error(const float *a, const double *b, size_t count);

#endif
