#include "attention_work.h"

static size_t at_64(size_t floats)
{
    return (floats + 15) / 16 * 16;
}

static size_t widest(int len, int D)
{
    return (size_t)(len > D ? len : D);
}

/* Panels of D columns, filled up to whole tiles. */
static size_t padded(int D)
{
    return (size_t)((D + GEMM_TILE_COLS_MAX - 1) / GEMM_TILE_COLS_MAX * GEMM_TILE_COLS_MAX);
}

size_t attention_work_floats(int len, int D)
{
    const size_t rows = (size_t)len, block = BLOCK;
    return 3 * at_64(rows * padded(D)) + 2 * at_64(block * rows) +
           at_64(block * widest(len, D) + GEMM_SLACK) + at_64(block * padded(D));
}

struct attention_work attention_work_at(void *base, int thread, int len, int D)
{
    const size_t rows = (size_t)len, block = BLOCK;
    struct attention_work w;
    const uintptr_t aligned = ((uintptr_t)base + ATTENTION_ALIGNMENT - 1) / ATTENTION_ALIGNMENT;
    w.keys =
        (float *)(aligned * ATTENTION_ALIGNMENT) + (size_t)thread * attention_work_floats(len, D);
    w.values = w.keys + at_64(rows * padded(D));
    w.values_turned = w.values + at_64(rows * padded(D));
    w.scores = w.values_turned + at_64(rows * padded(D));
    w.gradients = w.scores + at_64(block * rows);
    w.left = w.gradients + at_64(block * rows);
    w.right = w.left + at_64(block * widest(len, D) + GEMM_SLACK);
    return w;
}

KERNEL_CLONES
float attention_softmax(float *scores, int count, float scale, float *lse)
{
    for (int i = 0; i < count; i++)
        scores[i] *= scale;
    const float largest = row_max(scores, count);
    const float sum = row_exp_sum(scores, count, largest);
    if (lse)
        *lse = largest + logf(sum);
    return sum;
}
