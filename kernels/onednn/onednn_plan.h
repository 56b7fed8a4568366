/* Primitives of oneDNN by shape, made once each: a product of fixed shape, and the reorder that
 * brings its right factor into the layout that the product wants. */
#ifndef TRIAD_ONEDNN_PLAN_H
#define TRIAD_ONEDNN_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "onednn_library.h"

/* out[M][N] = left[M][K] * right[K][N], or +=. Strides in elements: between rows, between columns.
 */
struct onednn_shape {
    int M, K, N;
    long left[2];        /* bf16 */
    long right[2];       /* as the caller has it ... */
    bool right_is_float; /* ... in f32, or in bf16 */
    long out;            /* between rows, f32 */
    bool add;
};

struct onednn_plan {
    struct onednn_shape shape;
    const struct onednn_plan *like; /* whose layout of the right factor is kept; NULL: its own */
    dnnl_memory_desc_t left, right, packed, out, scratch;
    size_t packed_bytes, scratch_bytes;
    dnnl_primitive_t product, reorder;
    struct onednn_plan *next;
};

/* A process meets few shapes: plans are kept for good. */
const struct onednn_plan *onednn_plan(const struct onednn_shape *shape,
                                      const struct onednn_plan *like);
/* packed = right, in the product's layout. */
void onednn_pack(const struct onednn_plan *plan, const void *right, void *packed);
/* `scratch` has scratch_bytes. */
void onednn_multiply(const struct onednn_plan *plan, float *out, const void *left,
                     const void *packed, void *scratch);

#endif
