/* Products with factors rounded to bf16 on oneDNN, which uses AMX where there is AMX. The library
 * is looked for at run time, and its headers when Triad is built; without either there is a reason.
 * It promises no order of its sums, so it is treated like OpenBLAS: one thread, calls of fixed
 * shape. */
#ifndef TRIAD_ONEDNN_OPS_H
#define TRIAD_ONEDNN_OPS_H

#include <stdbool.h>
#include <stddef.h>

/* Why there are no such products here, in one sentence; NULL when there are. Borrowed. */
const char *onednn_lack(void);
/* What decides their bits: version and instruction set, "2.6.3-avx512_core_amx". */
void onednn_class(char *text, size_t size);

/* Contracts: kernels.h. Only when nothing lacks. */
void onednn_matmul_forward(float *out, const float *in, const float *weight, int N, int C, int O);
void onednn_matmul_forward_stored(float *out, const float *in, const void *weight, int N, int C,
                                  int O);
void onednn_matmul_backward_input(float *grad_in, const float *grad_out, const float *weight, int N,
                                  int C, int O, bool add);
void onednn_matmul_backward_weight(float *grad_weight, const float *grad_out, const float *in,
                                   int N, int C, int O);

#endif
