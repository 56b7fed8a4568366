/* Attention by blocks of KERNEL_ROW_BLOCK queries against the key blocks that its rows see: two
 * small products and a row-wise softmax forward, five products backward. The scores of a block live
 * in the work space; no T x T matrix is kept (Dao et al. 2022), the backward pass recomputes them
 * from the saved log-sum-exp. A block's shapes depend on its place in its own sequence only. */
#include <cblas.h>
#include <math.h>
#include <string.h>

#include "blas_ops.h"
#include "kernel_pool.h"
#include "vector_math.h"

#define BLOCK        KERNEL_ROW_BLOCK
#define FLOPS_PER_NS 30.0

struct attention {
    const float *q, *k, *v, *out, *lse, *grad_out;
    float *out_w, *lse_w, *grad_q, *grad_k, *grad_v;
    const struct kernel_batch *batch;
    int H, G, D, window;
    float scale;
    int len_padded_max;
    float *work;
};

static int len_padded_max(const struct kernel_batch *batch)
{
    int len = 0;
    for (int b = 0; b < batch->sequence_count; b++)
        len = batch->len[b] > len ? batch->len[b] : len;
    return kernel_rows_padded(len);
}

size_t blas_attention_bytes(int len_max, int D)
{
    (void)D;
    /* Two score blocks and one row of block-local sums per thread. */
    return (size_t)kernel_threads() *
           (2 * (size_t)BLOCK * (size_t)kernel_rows_padded(len_max) + BLOCK) * sizeof(float);
}

static float *thread_work(const struct attention *a, int thread)
{
    return a->work +
           (size_t)thread * (2 * (size_t)BLOCK * (size_t)a->len_padded_max + (size_t)BLOCK);
}

/* The first of the rows that row t sees. */
KERNEL_INLINE int window_begin(int window, int t)
{
    return window > 0 && t >= window ? t - window + 1 : 0;
}

/* The first row of the key blocks that query block `block` sees. */
static int first_key(const struct attention *a, int block)
{
    return window_begin(a->window, block * BLOCK) / BLOCK * BLOCK;
}

static double attention_ns(const struct attention *a)
{
    double pairs = 0;
    for (int b = 0; b < a->batch->sequence_count; b++) {
        const double len = a->batch->len[b];
        const double seen = a->window > 0 && a->window < 0.5 * len ? a->window : 0.5 * len;
        pairs += len * seen;
    }
    return 4.0 * pairs * a->H * a->D / FLOPS_PER_NS;
}

/* scores[BLOCK][columns] = factor * rows[BLOCK][D] . keys[columns][D]^T, with row strides. */
static void block_scores(float *scores, const float *rows, int row_stride, const float *keys,
                         int key_stride, int columns, int D, float factor)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, BLOCK, columns, D, factor, rows,
                row_stride, keys, key_stride, 0.0f, scores, columns);
}

/* What row t of a sequence of `len` rows sees, as columns begin … end - 1 of a score block whose
 * first key is `key`; nothing in padding rows. */
struct seen {
    int begin, end;
};

KERNEL_INLINE struct seen seen_by(int t, int len, int window, int key)
{
    return t < len ? (struct seen){window_begin(window, t) - key, t + 1 - key}
                   : (struct seen){0, 0};
}

/* Softmax of each row over what it sees, without the division; zero around. */
KERNEL_CLONES
static void block_softmax(float *scores, float *sums, float *lse, int lse_stride, int columns,
                          int first, int key, int len, int window)
{
    for (int r = 0; r < BLOCK; r++) {
        float *row = scores + (size_t)r * (size_t)columns;
        const struct seen s = seen_by(first + r, len, window, key);
        const bool any = s.end > s.begin;
        float largest = 0;
        sums[r] = 1;
        if (any) {
            largest = row_max(row + s.begin, s.end - s.begin);
            sums[r] = row_exp_sum(row + s.begin, s.end - s.begin, largest);
        }
        lse[(size_t)r * (size_t)lse_stride] = any ? largest + logf(sums[r]) : 0;
        memset(row, 0, (size_t)s.begin * sizeof *row);
        memset(row + s.end, 0, (size_t)(columns - s.end) * sizeof *row);
    }
}

KERNEL_CLONES
static void block_divide(float *out, int stride, const float *sums, int D)
{
    for (int r = 0; r < BLOCK; r++) {
        const float factor = 1.0f / sums[r];
        for (int d = 0; d < D; d++)
            out[(size_t)r * (size_t)stride + (size_t)d] *= factor;
    }
}

/* A task: one query block of one head. Blocks of all sequences are numbered through; heads vary
 * fastest. */
static void forward_task(void *ctx, int index, int thread)
{
    const struct attention *a = ctx;
    const int h = index % a->H;
    int block = index / a->H;
    int b = 0;
    while (block >= kernel_rows_padded(a->batch->len[b]) / BLOCK)
        block -= kernel_rows_padded(a->batch->len[b++]) / BLOCK;
    const int key = first_key(a, block);
    const int columns = (block + 1) * BLOCK - key;
    const int query_row = a->H * a->D;
    const int key_row = a->G * a->D;
    const size_t first = (size_t)a->batch->start[b];
    const size_t row = first + (size_t)block * BLOCK;
    const size_t keys =
        (first + (size_t)key) * (size_t)key_row + (size_t)(h / (a->H / a->G) * a->D);
    const size_t at = row * (size_t)query_row + (size_t)(h * a->D);
    float *scores = thread_work(a, thread);
    float *sums = scores + 2 * (size_t)BLOCK * (size_t)a->len_padded_max;
    block_scores(scores, a->q + at, query_row, a->k + keys, key_row, columns, a->D, a->scale);
    block_softmax(scores, sums, a->lse_w + row * (size_t)a->H + (size_t)h, a->H, columns,
                  block * BLOCK, key, a->batch->len[b], a->window);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, BLOCK, a->D, columns, 1.0f, scores,
                columns, a->v + keys, key_row, 0.0f, a->out_w + at, query_row);
    block_divide(a->out_w + at, query_row, sums, a->D);
}

void blas_attention_forward(float *out, float *lse, const float *q, const float *k, const float *v,
                            const struct kernel_batch *batch, const struct kernel_attention *shape,
                            void *work)
{
    struct attention a = {.q = q,
                          .k = k,
                          .v = v,
                          .out_w = out,
                          .lse_w = lse,
                          .batch = batch,
                          .H = shape->H,
                          .G = shape->G,
                          .D = shape->D,
                          .window = shape->window,
                          .scale = (float)shape->scale,
                          .work = work,
                          .len_padded_max = len_padded_max(batch)};
    int blocks = 0;
    for (int b = 0; b < batch->sequence_count; b++)
        blocks += kernel_rows_padded(batch->len[b]) / BLOCK;
    kernel_pool_run(forward_task, &a, blocks * a.H, attention_ns(&a));
}

/* p = e^(s - lse) where a row sees keys, 0 elsewhere; ds = p (dp - do.o) scale, in place of dp. */
KERNEL_CLONES
static void block_gradients(float *p, float *ds, const float *lse, int lse_stride,
                            const float *grad_out, const float *out, int stride, int columns,
                            int first, int key, int len, int window, int D, float scale)
{
    for (int r = 0; r < BLOCK; r++) {
        float *restrict p_row = p + (size_t)r * (size_t)columns;
        float *restrict ds_row = ds + (size_t)r * (size_t)columns;
        const struct seen seen = seen_by(first + r, len, window, key);
        const float shift = lse[(size_t)r * (size_t)lse_stride];
        const float dot =
            row_dot(grad_out + (size_t)r * (size_t)stride, out + (size_t)r * (size_t)stride, D);
        for (int s = seen.begin; s < seen.end; s++) {
            const float probability = vector_exp(p_row[s] - shift);
            p_row[s] = probability;
            ds_row[s] = probability * (ds_row[s] - dot) * scale;
        }
        memset(p_row, 0, (size_t)seen.begin * sizeof *p_row);
        memset(ds_row, 0, (size_t)seen.begin * sizeof *ds_row);
        memset(p_row + seen.end, 0, (size_t)(columns - seen.end) * sizeof *p_row);
        memset(ds_row + seen.end, 0, (size_t)(columns - seen.end) * sizeof *ds_row);
    }
}

static void clear_rows(float *x, int rows, int stride, int D)
{
    for (int r = 0; r < rows; r++)
        memset(x + (size_t)r * (size_t)stride, 0, (size_t)D * sizeof *x);
}

/* One query block of one head: adds to the keys' and values' gradients of its group. */
static void backward_block(const struct attention *a, int b, int h, int block, float *work)
{
    const int D = a->D;
    const int key = first_key(a, block);
    const int columns = (block + 1) * BLOCK - key;
    const int query_row = a->H * D;
    const int key_row = a->G * D;
    const size_t first = (size_t)a->batch->start[b];
    const size_t row = first + (size_t)block * BLOCK;
    const size_t keys = (first + (size_t)key) * (size_t)key_row + (size_t)(h / (a->H / a->G) * D);
    const size_t at = row * (size_t)query_row + (size_t)(h * D);
    float *p = work;
    float *ds = work + (size_t)BLOCK * (size_t)a->len_padded_max;
    block_scores(p, a->q + at, query_row, a->k + keys, key_row, columns, D, a->scale);
    block_scores(ds, a->grad_out + at, query_row, a->v + keys, key_row, columns, D, 1.0f);
    block_gradients(p, ds, a->lse + row * (size_t)a->H + (size_t)h, a->H, a->grad_out + at,
                    a->out + at, query_row, columns, block * BLOCK, key, a->batch->len[b],
                    a->window, D, a->scale);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, columns, D, BLOCK, 1.0f, p, columns,
                a->grad_out + at, query_row, 1.0f, a->grad_v + keys, key_row);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, columns, D, BLOCK, 1.0f, ds, columns,
                a->q + at, query_row, 1.0f, a->grad_k + keys, key_row);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, BLOCK, D, columns, 1.0f, ds, columns,
                a->k + keys, key_row, 0.0f, a->grad_q + at, query_row);
}

/* A task: one key/value head of one sequence, its query heads and blocks in order. */
static void backward_task(void *ctx, int index, int thread)
{
    const struct attention *a = ctx;
    const int b = index / a->G;
    const int g = index % a->G;
    const int rows = kernel_rows_padded(a->batch->len[b]);
    const int per_group = a->H / a->G;
    const size_t keys = (size_t)a->batch->start[b] * (size_t)(a->G * a->D) + (size_t)(g * a->D);
    clear_rows(a->grad_k + keys, rows, a->G * a->D, a->D);
    clear_rows(a->grad_v + keys, rows, a->G * a->D, a->D);
    for (int h = g * per_group; h < (g + 1) * per_group; h++)
        for (int block = 0; block < rows / BLOCK; block++)
            backward_block(a, b, h, block, thread_work(a, thread));
}

void blas_attention_backward(float *grad_q, float *grad_k, float *grad_v, const float *grad_out,
                             const float *out, const float *lse, const float *q, const float *k,
                             const float *v, const struct kernel_batch *batch,
                             const struct kernel_attention *shape, void *work)
{
    struct attention a = {.q = q,
                          .k = k,
                          .v = v,
                          .out = out,
                          .lse = lse,
                          .grad_out = grad_out,
                          .grad_q = grad_q,
                          .grad_k = grad_k,
                          .grad_v = grad_v,
                          .batch = batch,
                          .H = shape->H,
                          .G = shape->G,
                          .D = shape->D,
                          .window = shape->window,
                          .scale = (float)shape->scale,
                          .work = work,
                          .len_padded_max = len_padded_max(batch)};
    kernel_pool_run(backward_task, &a, batch->sequence_count * a.G, 2.5 * attention_ns(&a));
}
