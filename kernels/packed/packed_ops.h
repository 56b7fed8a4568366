/* The operations on products of our own (gemm.h), gathered into kernels_packed. Contracts:
 * kernels.h. */
#ifndef TRIAD_PACKED_OPS_H
#define TRIAD_PACKED_OPS_H

#include "kernels.h"

/* packed_matmul.c */
void packed_matmul_forward(float *out, const float *in, const float *weight, int N, int C, int O);
void packed_matmul_backward_input(float *grad_in, const float *grad_out, const float *weight, int N,
                                  int C, int O, bool add);
void packed_matmul_backward_weight(float *grad_weight, const float *grad_out, const float *in,
                                   int N, int C, int O);

#endif
