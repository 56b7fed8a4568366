/* Does this OpenBLAS keep the bit contract's premise? A block of rows must give the same bits
 * wherever it lies, on every thread, alone and between others. */
#include "kernel_probe.h"

#include <stdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* `count` filled floats that begin `offset` floats behind an aligned address; free *block_out. */
static float *filled(size_t count, size_t offset, uint32_t seed, float **block_out)
{
    *block_out = malloc((count + offset) * sizeof **block_out);
    if (!*block_out)
        return NULL;
    fill(*block_out + offset, count, seed);
    return *block_out + offset;
}

/* ---- products ---- */

/* in[N][C], weight (any shape of C and O) -> out[N][O], or for weights in[N][C] and weight[N][O] ->
 * out[C][O]. */
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
        ops->matmul_backward_weight(out, in, weight, N, O, C);
        return;
    case PROBE_COUNT:
        return;
    }
}

/* Several blocks at once on all threads against each alone on one thread, at other alignments. */
static bool blocks_agree(const struct kernel_ops *ops, enum probe_product which,
                         const float *together, const float *in, const float *weight, float *apart,
                         float *in_moved, int blocks, int C, int O)
{
    const size_t in_block = (size_t)KERNEL_ROW_BLOCK * (size_t)C;
    const size_t out_block = (size_t)KERNEL_ROW_BLOCK * (size_t)O;
    for (int b = 0; b < blocks; b++) {
        memcpy(in_moved + b, in + (size_t)b * in_block, in_block * sizeof *in);
        product(ops, which, apart + b % 3, in_moved + b, weight, KERNEL_ROW_BLOCK, C, O);
        if (memcmp(together + (size_t)b * out_block, apart + b % 3, out_block * sizeof *apart) != 0)
            return false;
    }
    return true;
}

/* False also when there is no memory. */
static bool product_agrees(const struct kernel_ops *ops, enum probe_product which, int C, int O)
{
    enum { BLOCKS = 5, N = BLOCKS * KERNEL_ROW_BLOCK };
    const int threads = kernel_threads();
    const size_t wide = (size_t)(C > O ? C : O);
    const size_t narrow = (size_t)(C < O ? C : O);
    const size_t most = wide * (narrow > N ? narrow : N); /* rows of either, or a weight */
    float *blocks[5] = {NULL};
    float *in = filled(most, 0, 1, &blocks[0]);
    float *weight = filled(most, 0, 2, &blocks[1]);
    float *together = filled(most, 0, 3, &blocks[2]);
    float *apart = filled(most, 3, 4, &blocks[3]);
    float *in_moved = filled(most, BLOCKS, 5, &blocks[4]);
    bool same = in && weight && together && apart && in_moved;
    if (same) {
        product(ops, which, together, in, weight, N, C, O);
        kernel_threads_set(1);
        if (which == PROBE_WEIGHT) {
            product(ops, which, apart, in, weight, N, C, O);
            same = memcmp(together, apart, (size_t)C * (size_t)O * sizeof *apart) == 0;
        } else {
            same = blocks_agree(ops, which, together, in, weight, apart, in_moved, BLOCKS, C, O);
        }
        kernel_threads_set(threads);
    }
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        free(blocks[i]);
    return same;
}

/* ---- attention ---- */

enum { HEADS = 4, GROUPS = 2, LEN = 150, LEN_BEFORE = 70 };

/* Forward and backward over `rows` rows; results behind each other in `results`: out, grad_q,
 * grad_k, grad_v. False when there is no memory. */
static bool attend(const struct kernel_ops *ops, const struct kernel_batch *batch, int D,
                   const float *q, const float *k, const float *v, float *results)
{
    const size_t wide = (size_t)batch->rows * (size_t)(HEADS * D);
    const struct kernel_attention shape = {HEADS, GROUPS, D, 0, 1 / sqrt(D)};
    float *lse = malloc((size_t)batch->rows * HEADS * sizeof *lse);
    void *work = malloc(ops->attention_bytes(batch->rows, D) + 1);
    if (lse && work) {
        ops->attention_forward(results, lse, q, k, v, batch, &shape, work);
        ops->attention_backward(results + wide, results + 2 * wide, results + 3 * wide, q, results,
                                lse, q, k, v, batch, &shape, work);
    }
    const bool done = lse && work;
    free(lse);
    free(work);
    return done;
}

/* A sequence behind another one on all threads, against itself alone on one thread. */
static bool attention_agrees(const struct kernel_ops *ops, int D)
{
    const int threads = kernel_threads();
    const int start[] = {0, kernel_rows_padded(LEN_BEFORE)};
    const int len[] = {LEN_BEFORE, LEN};
    const int alone_rows = kernel_rows_padded(LEN);
    const struct kernel_batch both = {2, start[1] + alone_rows, start, len};
    const struct kernel_batch alone = {1, alone_rows, start, len + 1};
    const size_t query_row = (size_t)(HEADS * D), key_row = (size_t)(GROUPS * D);
    const size_t rows = (size_t)both.rows, first = (size_t)start[1];
    float *blocks[5] = {NULL};
    float *q = filled(rows * query_row, 0, 1, &blocks[0]);
    float *k = filled(rows * key_row, 0, 2, &blocks[1]);
    float *v = filled(rows * key_row, 0, 3, &blocks[2]);
    float *together = filled(4 * rows * query_row, 0, 4, &blocks[3]);
    float *apart = filled(4 * rows * query_row, 0, 5, &blocks[4]);
    bool same = q && k && v && together && apart && attend(ops, &both, D, q, k, v, together);
    kernel_threads_set(1);
    same = same && attend(ops, &alone, D, q + first * query_row, k + first * key_row,
                          v + first * key_row, apart);
    kernel_threads_set(threads);
    for (size_t r = 0; r < 4 && same; r++) {
        const size_t width = r < 2 ? query_row : key_row;
        same = memcmp(together + r * rows * query_row + first * width,
                      apart + r * (size_t)alone_rows * query_row, LEN * width * sizeof *apart) == 0;
    }
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        free(blocks[i]);
    return same;
}

/* ---- all of it ---- */

bool kernel_probe_ops(const struct kernel_ops *ops, char *text, size_t text_size)
{
    static const int shapes[][2] = {{128, 128}, {128, 384}, {384, 128}, {64, 172}, {96, 1030}};
    static const int head_dims[] = {16, 32, 64, 128};
    for (int p = 0; p < PROBE_COUNT; p++)
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
            if (!product_agrees(ops, (enum probe_product)p, shapes[s][0], shapes[s][1])) {
                snprintf(text, text_size,
                         "the %s product of %d by %d channels gives other bits when its block lies "
                         "elsewhere or runs on another thread (%s)",
                         product_names[p], shapes[s][0], shapes[s][1], kernel_class());
                return false;
            }
    for (size_t d = 0; d < sizeof head_dims / sizeof head_dims[0]; d++)
        if (!attention_agrees(ops, head_dims[d])) {
            snprintf(text, text_size,
                     "attention with %d channels a head gives other bits when its sequence lies "
                     "behind another one or runs on another thread (%s)",
                     head_dims[d], kernel_class());
            return false;
        }
    if (text_size > 0)
        text[0] = '\0';
    return true;
}

bool kernel_probe(char *text, size_t text_size)
{
    const struct kernel_ops *ops = kernel_select();
    if (!kernel_library_is_serial()) {
        snprintf(text, text_size, "OpenBLAS does not keep to one thread (%s)", kernel_library());
        return false;
    }
    return kernel_probe_ops(ops, text, text_size);
}
