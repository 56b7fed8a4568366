#include "gemm.h"
#include "packed_ops.h"

static struct gemm_factor rows_of(const float *data, int width, enum gemm_precision precision)
{
    return (struct gemm_factor){data, (size_t)width, false, precision};
}

static struct gemm_factor turned(const float *data, int width, enum gemm_precision precision)
{
    return (struct gemm_factor){data, (size_t)width, true, precision};
}

static void forward(float *out, const float *in, const float *weight, int N, int C, int O,
                    enum gemm_precision precision)
{
    gemm(out, (size_t)O, rows_of(in, C, precision), turned(weight, C, precision), N, O, C, false);
}

static void forward_stored(float *out, const float *in, const void *weight, int N, int C, int O,
                           enum gemm_precision precision)
{
    gemm_stored(out, (size_t)O, rows_of(in, C, precision), weight, (size_t)C, N, O, C);
}

static void backward_input(float *grad_in, const float *grad_out, const float *weight, int N, int C,
                           int O, bool add, enum gemm_precision precision)
{
    gemm(grad_in, (size_t)C, rows_of(grad_out, O, precision), rows_of(weight, C, precision), N, C,
         O, add);
}

/* The sum runs over the token rows, in blocks of GEMM_DEPTH rows of the batch. */
static void backward_weight(float *grad_weight, const float *grad_out, const float *in, int N,
                            int C, int O, enum gemm_precision precision)
{
    gemm(grad_weight, (size_t)C, turned(grad_out, O, precision), rows_of(in, C, precision), O, C, N,
         true);
}

void packed_matmul_forward(float *out, const float *in, const float *weight, int N, int C, int O)
{
    forward(out, in, weight, N, C, O, GEMM_F32);
}

void packed_matmul_forward_stored(float *out, const float *in, const void *weight, int N, int C,
                                  int O)
{
    forward_stored(out, in, weight, N, C, O, GEMM_F32);
}

void packed_matmul_backward_input(float *grad_in, const float *grad_out, const float *weight, int N,
                                  int C, int O, bool add)
{
    backward_input(grad_in, grad_out, weight, N, C, O, add, GEMM_F32);
}

void packed_matmul_backward_weight(float *grad_weight, const float *grad_out, const float *in,
                                   int N, int C, int O)
{
    backward_weight(grad_weight, grad_out, in, N, C, O, GEMM_F32);
}

void half_matmul_forward(float *out, const float *in, const float *weight, int N, int C, int O)
{
    forward(out, in, weight, N, C, O, GEMM_BF16);
}

void half_matmul_forward_stored(float *out, const float *in, const void *weight, int N, int C,
                                int O)
{
    forward_stored(out, in, weight, N, C, O, GEMM_BF16);
}

void half_matmul_backward_input(float *grad_in, const float *grad_out, const float *weight, int N,
                                int C, int O, bool add)
{
    backward_input(grad_in, grad_out, weight, N, C, O, add, GEMM_BF16);
}

void half_matmul_backward_weight(float *grad_weight, const float *grad_out, const float *in, int N,
                                 int C, int O)
{
    backward_weight(grad_weight, grad_out, in, N, C, O, GEMM_BF16);
}
