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

#endif
