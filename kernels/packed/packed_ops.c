#include "packed_ops.h"

#include "blas_ops.h"
#include "onednn_ops.h"

/* Attention is ours, and so are products but for oneDNN's; rows and elements are shared with the
 * table on OpenBLAS. */
#define PACKED_OPS(NAME, OURS, PRODUCTS, PART)                                                     \
    {                                                                                              \
        .name = NAME, .gather = blas_gather, .scatter_add = blas_scatter_add,                      \
        .norm_forward = blas_norm_forward, .norm_backward = blas_norm_backward,                    \
        .rope_forward = blas_rope_forward, .rope_backward = blas_rope_backward,                    \
        .attention_forward = OURS##_attention_forward,                                             \
        .attention_backward = OURS##_attention_backward,                                           \
        .attention_branch = OURS##_attention_branch, .attention_bytes = packed_attention_bytes,    \
        .swiglu_forward = blas_swiglu_forward, .swiglu_backward = blas_swiglu_backward,            \
        .geglu_forward = blas_geglu_forward, .geglu_backward = blas_geglu_backward,                \
        .matmul_part = PART, .matmul_forward = PRODUCTS##_matmul_forward,                          \
        .matmul_forward_stored = PRODUCTS##_matmul_forward_stored,                                 \
        .matmul_backward_input = PRODUCTS##_matmul_backward_input,                                 \
        .matmul_backward_weight = PRODUCTS##_matmul_backward_weight,                               \
        .loss_forward = blas_loss_forward, .loss_backward = blas_loss_backward, .add = blas_add,   \
        .scale = blas_scale, .sum_squares = blas_sum_squares, .adamw = blas_adamw,                 \
    }

const struct kernel_ops kernels_packed = PACKED_OPS("packed/f32", packed, packed, NULL);
const struct kernel_ops kernels_half = PACKED_OPS("packed/bf16", half, half, NULL);
const struct kernel_ops kernels_onednn = PACKED_OPS("onednn/bf16", half, onednn, blas_matmul_part);
