/* Every operation as an entry of one table: which arrays it reads and writes, and how to call it in
 * float and in double. The tests of agreement, gradients and bits, and the benchmark, all walk this
 * table, so an operation is tested in every way or visibly missing. */
#ifndef TRIAD_KERNEL_CASES_H
#define TRIAD_KERNEL_CASES_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels.h"
#include "rng.h"

#define CASE_ARRAYS_MAX    10
#define CASE_SEQUENCES_MAX 16
#define CASE_POSITIONS     256 /* rows of lookup tables: positions, and ids of the embedding */

#define CASE_SHARED 75 /* positions of a text that all rows continue */

/* Shape letters as in kernels/README.md. H is a multiple of G, D is even. */
struct case_shape {
    int C, O, H, G, D;
};

/* Elements of an array: of each row when it has one row per token, else altogether. */
enum case_extent {
    EXTENT_NONE, /* no such array */
    EXTENT_ONE,
    EXTENT_C,
    EXTENT_O,
    EXTENT_H,
    EXTENT_HD,
    EXTENT_GD,
    EXTENT_OC,
    EXTENT_TC, /* CASE_POSITIONS rows of C */
    EXTENT_TD,
    EXTENT_PGD, /* CASE_SHARED rows of keys */
};

enum case_role {
    ROLE_IN,    /* random; must not change */
    ROLE_OUT,   /* NaN before the call: must be written, never read */
    ROLE_INOUT, /* random; accumulated into or changed in place */
};

struct case_array {
    enum case_role role;
    bool per_row;
    enum case_extent extent;
    double spread; /* standard deviation; 0 means 1; below 0: absolute values, for variances */
};

struct problem;

struct kernel_case {
    const char *name;
    struct case_array arrays[CASE_ARRAYS_MAX];
    double bound; /* largest |fast - reference| over the largest |reference| */
    void (*run_f32)(const struct kernel_ops *ops, const struct problem *p, float *const *x);
    void (*run_f64)(const struct kernel_ops_f64 *ops, const struct problem *p, double *const *x);

    /* Of a backward operation: the forward pass in double from the inputs in `x`, its result into
     * `out` and what it saves for the backward pass into `x`. */
    void (*forward)(const struct problem *p, double *const *x, double *out);
    int upstream; /* index of the gradient of `out`; -1: of its sum, times CASE_LOSS_SCALE */
    /* x[gradient[i]] is the gradient with respect to x[input[i]]. */
    int input[3], gradient[3], gradient_count;

    double (*flops)(const struct problem *p); /* one call's; NULL: memory-bound, see the bytes */
};

extern const struct kernel_case kernel_cases[];
extern const size_t kernel_case_count;

#define CASE_LOSS_SCALE 0.25

/* One call's data. Row arrays of a sequence depend on its key only, not on its place: two problems
 * that share a key share that sequence. Float arrays stand between guard zones. */
struct problem {
    const struct kernel_case *kernel_case;
    struct case_shape shape;
    struct kernel_batch batch;
    int N;
    int start[CASE_SEQUENCES_MAX], len[CASE_SEQUENCES_MAX];
    int32_t *ids, *positions, *targets; /* [N]; padding: -1, 0, -1 */
    int *own_first, *own_len;           /* [N]; each sequence continues the shared text */
    size_t count[CASE_ARRAYS_MAX];      /* 0: no such array */
    float *f[CASE_ARRAYS_MAX];
    double *d[CASE_ARRAYS_MAX];
    void *work;
    double *nats, *lse; /* [N] scratch of the loss */
    bool *hit;
};

/* Sequences of these lengths and keys, laid out on row blocks. Inputs are exactly representable
 * floats, the same in both precisions; what a forward pass saves is rounded for the float side. */
void problem_make(struct problem *p, const struct kernel_case *kernel_case,
                  const struct case_shape *shape, const int *lens, const uint64_t *keys, int count);
void problem_release(struct problem *p);
/* Elements of the result of the case's forward pass. */
size_t problem_forward_count(const struct problem *p);
/* False, with the place in `text`, when something was written outside of an array or to an input.
 */
bool problem_is_intact(const struct problem *p, char *text, size_t text_size);
/* Largest |float - double| over the largest |double| of one array, on rows in use; NaN when
 * anything is NaN (padding rows count there: they must be written). */
double problem_error(const struct problem *p, int array);

#endif
