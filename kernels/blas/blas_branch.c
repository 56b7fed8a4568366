/* Attention of rows that continue one shared text: a block of rows against all shared keys in two
 * products, each row's own few keys in plain loops. With a window, shared keys that no row can see
 * are left out of the products. */
#include <cblas.h>
#include <math.h>
#include <string.h>

#include "blas_ops.h"
#include "kernel_pool.h"
#include "vector_math.h"

#define BLOCK        KERNEL_ROW_BLOCK
#define FLOPS_PER_NS 20.0
#define KEYS_AT_ONCE 8 /* independent sums: a chain of fused products alone waits for itself */

struct branch_task {
    float *out;
    const float *q, *shared_k, *shared_v, *own_k, *own_v;
    const struct kernel_branch *branch;
    int H, G, D;
    int window, skipped; /* shared positions before the first that any row sees */
    float scale;
    size_t stride; /* scores of a row */
    float *work;
};

static int longest_own(const struct kernel_branch *branch)
{
    int longest = 0;
    for (int n = 0; n < branch->rows; n++)
        longest = branch->own_len[n] > longest ? branch->own_len[n] : longest;
    return longest;
}

/* scores[s] = scale * q . keys[s], each sum over the channels in order. */
KERNEL_CLONES
static void own_scores(float *restrict scores, const float *q, const float *keys, size_t key_row,
                       int count, int D, float scale)
{
    for (int s = 0; s < count; s += KEYS_AT_ONCE) {
        const int keys_now = count - s < KEYS_AT_ONCE ? count - s : KEYS_AT_ONCE;
        float sums[KEYS_AT_ONCE] = {0};
        for (int d = 0; d < D; d++)
            for (int i = 0; i < keys_now; i++)
                sums[i] += q[d] * keys[(size_t)(s + i) * key_row + (size_t)d];
        for (int i = 0; i < keys_now; i++)
            scores[s + i] = scale * sums[i];
    }
}

/* out = (out + sum of weights[s] values[s]) / total. */
KERNEL_CLONES
static void own_mix(float *restrict out, const float *weights, const float *values, size_t key_row,
                    int count, int D, float total)
{
    for (int s = 0; s < count; s++)
        for (int d = 0; d < D; d++)
            out[d] += weights[s] * values[(size_t)s * key_row + (size_t)d];
    const float factor = 1.0f / total;
    for (int d = 0; d < D; d++)
        out[d] *= factor;
}

KERNEL_CLONES
static float softmax_sum(float *scores, int count)
{
    return row_exp_sum(scores, count, row_max(scores, count));
}

/* Of the P shared and `own` own positions behind the skipped ones: the first that a row sees. */
static int first_seen(const struct branch_task *a, int P, int own)
{
    return a->window > 0 && P + own > a->window ? P + own - a->window : 0;
}

/* A task: one block of rows of one head. */
static void branch_rows(void *ctx, int index, int thread)
{
    const struct branch_task *a = ctx;
    const struct kernel_branch *b = a->branch;
    const int h = index % a->H, first = index / a->H * BLOCK;
    const int P = b->shared_len - a->skipped;
    const int query_row = a->H * a->D, key_row = a->G * a->D;
    const size_t head = (size_t)(h / (a->H / a->G)) * (size_t)a->D;
    const size_t at = (size_t)first * (size_t)query_row + (size_t)(h * a->D);
    const size_t shared = (size_t)a->skipped * (size_t)key_row + head;
    float *scores = a->work + (size_t)thread * BLOCK * a->stride;
    float sums[BLOCK];
    if (P > 0)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, BLOCK, P, a->D, a->scale, a->q + at,
                    query_row, a->shared_k + shared, key_row, 0.0f, scores, (int)a->stride);
    for (int r = 0; r < BLOCK; r++) {
        float *row = scores + (size_t)r * a->stride;
        const int own = b->own_len[first + r];
        const size_t keys = (size_t)b->own_first[first + r] * (size_t)key_row + head;
        if (own > 0) {
            own_scores(row + P, a->q + at + (size_t)r * (size_t)query_row, a->own_k + keys,
                       (size_t)key_row, own, a->D, a->scale);
            const int seen = first_seen(a, P, own);
            sums[r] = softmax_sum(row + seen, P + own - seen);
            memset(row, 0, (size_t)seen * sizeof *row);
        } else {
            memset(row, 0, (size_t)P * sizeof *row);
        }
    }
    if (P > 0)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, BLOCK, a->D, P, 1.0f, scores,
                    (int)a->stride, a->shared_v + shared, key_row, 0.0f, a->out + at, query_row);
    for (int r = 0; r < BLOCK; r++) {
        float *out = a->out + at + (size_t)r * (size_t)query_row;
        const int own = b->own_len[first + r];
        const size_t keys = (size_t)b->own_first[first + r] * (size_t)key_row + head;
        if (P == 0 || own == 0)
            memset(out, 0, (size_t)a->D * sizeof *out);
        if (own > 0)
            own_mix(out, scores + (size_t)r * a->stride + P, a->own_v + keys, (size_t)key_row, own,
                    a->D, sums[r]);
    }
}

void blas_attention_branch(float *out, const float *q, const float *shared_k, const float *shared_v,
                           const float *own_k, const float *own_v,
                           const struct kernel_branch *branch, const struct kernel_attention *shape,
                           void *work)
{
    /* The first own position follows shared_len shared ones; it sees window - 1 of them. */
    const bool cut = shape->window > 0 && branch->shared_len >= shape->window;
    const int skipped = cut ? branch->shared_len - shape->window + 1 : 0;
    const int columns = branch->shared_len - skipped + longest_own(branch);
    struct branch_task a = {.out = out,
                            .q = q,
                            .shared_k = shared_k,
                            .shared_v = shared_v,
                            .own_k = own_k,
                            .own_v = own_v,
                            .branch = branch,
                            .H = shape->H,
                            .G = shape->G,
                            .D = shape->D,
                            .window = shape->window,
                            .skipped = skipped,
                            .scale = (float)shape->scale,
                            .stride = (size_t)kernel_rows_padded(columns),
                            .work = work};
    kernel_pool_run(branch_rows, &a, branch->rows / BLOCK * a.H,
                    4.0 * branch->rows * columns * a.H * a.D / FLOPS_PER_NS);
}
