/* The operations on products of our own (gemm.h), gathered into kernels_packed. Contracts:
 * kernels.h. */
#ifndef TRIAD_PACKED_OPS_H
#define TRIAD_PACKED_OPS_H

#include "kernels.h"

/* packed_matmul.c */
void packed_matmul_forward(float *out, const float *in, const float *weight, int N, int C, int O);
void packed_matmul_forward_stored(float *out, const float *in, const void *weight, int N, int C,
                                  int O);
void packed_matmul_backward_input(float *grad_in, const float *grad_out, const float *weight, int N,
                                  int C, int O, bool add);
void packed_matmul_backward_weight(float *grad_weight, const float *grad_out, const float *in,
                                   int N, int C, int O);

/* The same with factors rounded to bf16. */
void half_matmul_forward(float *out, const float *in, const float *weight, int N, int C, int O);
void half_matmul_forward_stored(float *out, const float *in, const void *weight, int N, int C,
                                int O);
void half_matmul_backward_input(float *grad_in, const float *grad_out, const float *weight, int N,
                                int C, int O, bool add);
void half_matmul_backward_weight(float *grad_weight, const float *grad_out, const float *in, int N,
                                 int C, int O);

/* packed_attention.c */
void packed_attention_forward(float *out, float *lse, const float *q, const float *k,
                              const float *v, const struct kernel_batch *batch,
                              const struct kernel_attention *shape, void *work);
void packed_attention_backward(float *grad_q, float *grad_k, float *grad_v, const float *grad_out,
                               const float *out, const float *lse, const float *q, const float *k,
                               const float *v, const struct kernel_batch *batch,
                               const struct kernel_attention *shape, void *work);
size_t packed_attention_bytes(int len_max, int D);
/* The same with the factors of all products rounded to bf16: queries, keys, values, weights, and
 * their gradients. */
void half_attention_forward(float *out, float *lse, const float *q, const float *k, const float *v,
                            const struct kernel_batch *batch, const struct kernel_attention *shape,
                            void *work);
void half_attention_backward(float *grad_q, float *grad_k, float *grad_v, const float *grad_out,
                             const float *out, const float *lse, const float *q, const float *k,
                             const float *v, const struct kernel_batch *batch,
                             const struct kernel_attention *shape, void *work);

/* packed_branch.c */
void packed_attention_branch(float *out, const float *q, const float *shared_k,
                             const float *shared_v, const float *own_k, const float *own_v,
                             const struct kernel_branch *branch,
                             const struct kernel_attention *shape, void *work);
void half_attention_branch(float *out, const float *q, const float *shared_k, const float *shared_v,
                           const float *own_k, const float *own_v,
                           const struct kernel_branch *branch, const struct kernel_attention *shape,
                           void *work);

/* A table whose attention is ours, with the PRODUCTS that this names; rows and elements are shared
 * with the table on OpenBLAS (blas_ops.h, which whoever uses it includes). */
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

#endif
