#include "gemm.h"
#include "packed_ops.h"

static struct gemm_factor rows_of(const float *data, int width)
{
    return (struct gemm_factor){data, (size_t)width, false};
}

static struct gemm_factor turned(const float *data, int width)
{
    return (struct gemm_factor){data, (size_t)width, true};
}

void packed_matmul_forward(float *out, const float *in, const float *weight, int N, int C, int O)
{
    gemm(out, (size_t)O, rows_of(in, C), turned(weight, C), N, O, C, false);
}

void packed_matmul_backward_input(float *grad_in, const float *grad_out, const float *weight, int N,
                                  int C, int O, bool add)
{
    gemm(grad_in, (size_t)C, rows_of(grad_out, O), rows_of(weight, C), N, C, O, add);
}

/* The sum runs over the token rows, in blocks of GEMM_DEPTH rows of the batch. */
void packed_matmul_backward_weight(float *grad_weight, const float *grad_out, const float *in,
                                   int N, int C, int O)
{
    gemm(grad_weight, (size_t)C, turned(grad_out, O), rows_of(in, C), O, C, N, true);
}
