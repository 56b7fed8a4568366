/* Does this OpenBLAS keep the bit contract's premise? A block of rows must give the same bits
 * wherever it lies, on every thread, alone and between others. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

enum probe_product { PROBE_FORWARD, PROBE_INPUT, PROBE_WEIGHT, PROBE_COUNT };

static const char *const product_names[] = {"forward", "input-gradient", "weight-gradient"};

/* Values that round: a fixed multiplicative sequence on (-1, 1). */
static void fill(float *x, size_t count, uint32_t seed)
{
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)seed * 0x1p-31f;
    }
}

static void product(const struct kernel_ops *ops, enum probe_product which, float *out,
                    const float *in, const float *weight, int N, int C, int O)
{
    switch (which) {
    case PROBE_FORWARD:
        ops->matmul_forward(out, in, weight, N, C, O);
        return;
    case PROBE_INPUT:
        ops->matmul_backward_input(out, in, weight, N, O, C, false);
        return;
    case PROBE_WEIGHT:
        memset(out, 0, (size_t)C * (size_t)O * sizeof *out);
        ops->matmul_backward_weight(out, in, weight, N, C, O);
        return;
    case PROBE_COUNT:
        return;
    }
}

/* `blocks` blocks at once on all threads against each alone on one; weights: all threads against
 * one. */
static bool agrees(const struct kernel_ops *ops, enum probe_product which, int C, int O)
{
    enum { BLOCKS = 5 };
    const int N = BLOCKS * KERNEL_ROW_BLOCK;
    const int threads = kernel_threads();
    const size_t wide = (size_t)(C > O ? C : O);
    const size_t out_count = which == PROBE_WEIGHT ? (size_t)C * (size_t)O : (size_t)N * (size_t)O;
    float *in = malloc((size_t)N * wide * sizeof *in);
    float *weight = malloc(wide * (wide > (size_t)N ? wide : (size_t)N) * sizeof *weight);
    float *together = malloc(out_count * sizeof *together);
    float *apart = malloc((out_count + 16) * sizeof *apart);
    bool same = in && weight && together && apart;
    if (same) {
        fill(in, (size_t)N * wide, 1);
        fill(weight, wide * (wide > (size_t)N ? wide : (size_t)N), 2);
        product(ops, which, together, in, weight, N, C, O);
        kernel_threads_set(1);
        if (which == PROBE_WEIGHT) {
            product(ops, which, apart + 1, in, weight, N, C, O);
            same = memcmp(together, apart + 1, out_count * sizeof *together) == 0;
        }
        const size_t block = (size_t)KERNEL_ROW_BLOCK * (size_t)O;
        for (int b = 0; b < BLOCKS && which != PROBE_WEIGHT; b++) {
            /* At another alignment, and with the block as the only one. */
            product(ops, which, apart + b % 3, in + (size_t)b * KERNEL_ROW_BLOCK * (size_t)C,
                    weight, KERNEL_ROW_BLOCK, C, O);
            same = same && memcmp(together + (size_t)b * block, apart + b % 3,
                                  block * sizeof *together) == 0;
        }
        kernel_threads_set(threads);
    }
    free(in);
    free(weight);
    free(together);
    free(apart);
    return same;
}

bool kernel_probe(char *text, size_t text_size)
{
    static const int shapes[][2] = {{128, 128}, {128, 384}, {384, 128}, {64, 172}, {96, 1030}};
    const struct kernel_ops *ops = kernel_select();
    for (int p = 0; p < PROBE_COUNT; p++)
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
            if (!agrees(ops, (enum probe_product)p, shapes[s][0], shapes[s][1])) {
                snprintf(text, text_size,
                         "the %s product of %d by %d channels gives other bits when its block lies "
                         "elsewhere or runs on another thread (%s)",
                         product_names[p], shapes[s][0], shapes[s][1], kernel_class());
                return false;
            }
    if (text_size > 0)
        text[0] = '\0';
    return true;
}
