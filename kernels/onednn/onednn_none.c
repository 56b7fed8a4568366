/* Built without oneDNN's headers. */
#include <stdio.h>
#include <stdlib.h>

#include "onednn_ops.h"

const char *onednn_lack(void)
{
    return "this Triad was built without oneDNN's headers (Debian: libdnnl-dev)";
}

void onednn_class(char *text, size_t size)
{
    snprintf(text, size, "none");
}

/* Nobody may call what lacks. */
void onednn_matmul_forward(float *out, const float *in, const float *weight, int N, int C, int O)
{
    (void)out, (void)in, (void)weight, (void)N, (void)C, (void)O;
    abort();
}

void onednn_matmul_forward_stored(float *out, const float *in, const void *weight, int N, int C,
                                  int O)
{
    (void)out, (void)in, (void)weight, (void)N, (void)C, (void)O;
    abort();
}

void onednn_matmul_backward_input(float *grad_in, const float *grad_out, const float *weight, int N,
                                  int C, int O, bool add)
{
    (void)grad_in, (void)grad_out, (void)weight, (void)N, (void)C, (void)O, (void)add;
    abort();
}

void onednn_matmul_backward_weight(float *grad_weight, const float *grad_out, const float *in,
                                   int N, int C, int O)
{
    (void)grad_weight, (void)grad_out, (void)in, (void)N, (void)C, (void)O;
    abort();
}
