/* The fast operations, gathered into kernels_blas by blas_ops.c. Contracts: kernels.h. */
#ifndef TRIAD_BLAS_OPS_H
#define TRIAD_BLAS_OPS_H

#include "kernels.h"

/* blas_matmul.c */
/* Columns of the tiles that a product with so many is cut into: it depends on them alone. */
int blas_column_tile(int columns);
int blas_matmul_part(int O, int first, int most);
void blas_matmul_forward(float *out, const float *in, const float *weight, int N, int C, int O);
void blas_matmul_backward_input(float *grad_in, const float *grad_out, const float *weight, int N,
                                int C, int O, bool add);
void blas_matmul_backward_weight(float *grad_weight, const float *grad_out, const float *in, int N,
                                 int C, int O);

/* blas_attention.c */
void blas_attention_forward(float *out, float *lse, const float *q, const float *k, const float *v,
                            const struct kernel_batch *batch, const struct kernel_attention *shape,
                            void *work);
void blas_attention_backward(float *grad_q, float *grad_k, float *grad_v, const float *grad_out,
                             const float *out, const float *lse, const float *q, const float *k,
                             const float *v, const struct kernel_batch *batch,
                             const struct kernel_attention *shape, void *work);
size_t blas_attention_bytes(int len_max, int D);
/* blas_branch.c */
void blas_attention_branch(float *out, const float *q, const float *shared_k, const float *shared_v,
                           const float *own_k, const float *own_v,
                           const struct kernel_branch *branch, const struct kernel_attention *shape,
                           void *work);

/* blas_rows.c */
void blas_gather(float *out, const int32_t *ids, const float *table, int N, int C);
void blas_scatter_add(float *grad_table, const int32_t *ids, const float *grad_out, int N, int C);
void blas_norm_forward(float *out, float *rstd, const float *in, const float *weight, double base,
                       double epsilon, int N, int C);
void blas_norm_backward(float *grad_in, float *grad_weight, const float *grad_out, const float *in,
                        const float *weight, double base, const float *rstd, int N, int C);
void blas_rope_forward(float *x, const int32_t *positions, const float *table, int N, int H, int D);
void blas_rope_backward(float *x, const int32_t *positions, const float *table, int N, int H,
                        int D);
void blas_loss_forward(double *nats, double *lse, bool *hit, const float *logits,
                       const int32_t *targets, int N, int V);
void blas_loss_backward(float *logits, const double *lse, const int32_t *targets, double scale,
                        int N, int V);

/* blas_elements.c */
void blas_swiglu_forward(float *out, const float *gate, const float *up, size_t count);
void blas_swiglu_backward(float *grad_gate, float *grad_up, const float *grad_out,
                          const float *gate, const float *up, size_t count);
void blas_geglu_forward(float *out, const float *gate, const float *up, size_t count);
void blas_geglu_backward(float *grad_gate, float *grad_up, const float *grad_out, const float *gate,
                         const float *up, size_t count);
void blas_add(float *out, const float *in, size_t count);
void blas_scale(float *x, double factor, size_t count);
double blas_sum_squares(const float *x, size_t count);
void blas_adamw(float *parameters, float *moment1, float *moment2, const float *gradients,
                const struct kernel_adamw *step, size_t count);

#endif
