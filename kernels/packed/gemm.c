#include "gemm.h"

#include "gemm_pack.h"
#include "kernel_pool.h"
#include "kernels.h"

/* A task's rows: their packed block, GEMM_DEPTH deep, stays in a core's second-level cache. */
#define TASK_ROWS 112
/* How deep, and how many words in all, panels are packed once for all rows. Every chunk of columns
 * packs the rows once more: the more columns, the better, but other cores' rows should find them in
 * the last-level cache (8 MB). */
#define CHUNK_DEPTH  (4 * GEMM_DEPTH)
#define CHUNK_WORDS  (2 << 20)
#define FLOPS_PER_NS 90.0

struct product {
    float *out;
    size_t stride;
    struct gemm_factor left, right;
    const void *stored; /* the right factor's values as bf16, in place of right.data; or NULL */
    int M, N, K;
    bool add;
    int first_k, chunk_depth;
    int first_col, cols;      /* the chunk */
    int task_rows, row_tasks; /* rows of a task, and how many tasks the rows make */
    int task_cols;            /* columns of a task */
    float *panels;            /* the chunk's packed columns; NULL: each task packs its own */
};

static _Thread_local struct gemm_scratch left_scratch, panel_scratch, chunk_scratch;

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

static int parts_of(int count, int size)
{
    return (count + size - 1) / size;
}

/* Where the panels of the depth block at `k` begin in the packed chunk. */
static float *block_panels(const struct product *p, int k)
{
    const int before = gemm_words(p->right.precision, k - p->first_k);
    return p->panels + gemm_right_count(p->cols, before);
}

static int chunk_end(const struct product *p)
{
    return p->first_k + p->chunk_depth;
}

/* Columns of the chunk from `col` on, `depth` deep from `k` on. */
static void pack_cols(const struct product *p, float *to, int col, int cols, int k, int depth)
{
    if (p->stored)
        gemm_pack_stored(to, p->stored, p->right.stride, p->right.precision, p->first_col + col,
                         cols, k, depth);
    else
        gemm_pack_right(to, &p->right, p->first_col + col, cols, k, depth);
}

static void product_task(void *ctx, int index, int thread)
{
    const struct product *p = ctx;
    const int width = gemm_tiles()->cols;
    const int row = index % p->row_tasks * p->task_rows;
    const int rows = min_int(p->task_rows, p->M - row);
    const int first = index / p->row_tasks * p->task_cols;
    const int cols = min_int(p->task_cols, p->cols - first);
    float *left = gemm_scratch_need(&left_scratch, (size_t)TASK_ROWS * GEMM_DEPTH + GEMM_SLACK);
    float *own = gemm_scratch_need(&panel_scratch, (size_t)GEMM_TILE_COLS_MAX * GEMM_DEPTH);
    (void)thread;
    for (int k = p->first_k; k < chunk_end(p); k += GEMM_DEPTH) {
        const int depth = min_int(GEMM_DEPTH, chunk_end(p) - k);
        const int words = gemm_words(p->right.precision, depth);
        const enum gemm_mode mode = p->add || k > 0 ? GEMM_ADD : GEMM_SET;
        float *out = p->out + (size_t)row * p->stride + (size_t)(p->first_col + first);
        gemm_pack_left(left, &p->left, row, rows, k, depth);
        if (p->panels) {
            gemm_block(out, p->stride, left, rows,
                       block_panels(p, k) + (size_t)first * (size_t)words, gemm_panel(words), cols,
                       words, p->right.precision, mode);
            continue;
        }
        for (int col = 0; col < cols; col += width) {
            const int now = min_int(width, cols - col);
            pack_cols(p, own, first + col, now, k, depth);
            gemm_block(out + col, p->stride, left, rows, own, gemm_panel(words), now, words,
                       p->right.precision, mode);
        }
    }
}

/* Packs one panel of the chunk, all of its depth. */
static void chunk_task(void *ctx, int index, int thread)
{
    const struct product *p = ctx;
    const int col = index * gemm_tiles()->cols;
    const int cols = min_int(gemm_tiles()->cols, p->cols - col);
    (void)thread;
    for (int k = p->first_k; k < chunk_end(p); k += GEMM_DEPTH) {
        const int depth = min_int(GEMM_DEPTH, chunk_end(p) - k);
        const int words = gemm_words(p->right.precision, depth);
        pack_cols(p, block_panels(p, k) + (size_t)col * (size_t)words, col, cols, k, depth);
    }
}

static double product_ns(const struct product *p)
{
    return 2.0 * p->M * p->cols * p->chunk_depth / FLOPS_PER_NS;
}

/* Columns of the chunk are packed once, then rows are shared out. */
static void many_rows(struct product *p)
{
    p->panels = gemm_scratch_need(&chunk_scratch, gemm_right_count(p->cols, p->chunk_depth));
    p->task_cols = p->cols;
    kernel_pool_run(chunk_task, p, parts_of(p->cols, gemm_tiles()->cols),
                    0.3 * p->cols * p->chunk_depth);
    kernel_pool_run(product_task, p, p->row_tasks, product_ns(p));
}

/* Columns are shared out; every panel is packed by who needs it, when it is needed. */
static void few_rows(struct product *p)
{
    const int width = gemm_tiles()->cols;
    const int share = parts_of(p->cols, 4 * kernel_threads());
    p->panels = NULL;
    p->task_cols = parts_of(share, width) * width;
    kernel_pool_run(product_task, p, p->row_tasks * parts_of(p->cols, p->task_cols), product_ns(p));
}

/* Columns of a chunk of so many words of depth: chunks of about equal width, in whole tiles. */
static int chunk_cols(int words, int N)
{
    const int width = gemm_tiles()->cols;
    const int most = CHUNK_WORDS / words;
    return parts_of(parts_of(N, parts_of(N, most)), width) * width;
}

static void multiply(struct product *p)
{
    p->task_rows = parts_of(p->M, parts_of(p->M, TASK_ROWS));
    p->row_tasks = parts_of(p->M, p->task_rows);
    if (p->row_tasks == 1) {
        p->cols = p->N;
        p->chunk_depth = p->K;
        few_rows(p);
        return;
    }
    for (p->first_k = 0; p->first_k < p->K; p->first_k += CHUNK_DEPTH) {
        p->chunk_depth = min_int(CHUNK_DEPTH, p->K - p->first_k);
        const int most = chunk_cols(gemm_words(p->right.precision, p->chunk_depth), p->N);
        for (p->first_col = 0; p->first_col < p->N; p->first_col += most) {
            p->cols = min_int(most, p->N - p->first_col);
            many_rows(p);
        }
    }
}

void gemm(float *out, size_t stride, struct gemm_factor left, struct gemm_factor right, int M,
          int N, int K, bool add)
{
    struct product p = {.out = out,
                        .stride = stride,
                        .left = left,
                        .right = right,
                        .M = M,
                        .N = N,
                        .K = K,
                        .add = add};
    multiply(&p);
}

void gemm_stored(float *out, size_t out_stride, struct gemm_factor left, const void *right,
                 size_t stride, int M, int N, int K)
{
    struct product p = {
        .out = out,
        .stride = out_stride,
        .left = left,
        .right = {.stride = stride, .transposed = true, .precision = left.precision},
        .stored = right,
        .M = M,
        .N = N,
        .K = K};
    multiply(&p);
}

/* The caller's chunk; every thread's rows and panel, and as much again to turn or round them. */
size_t gemm_scratch_bytes(void)
{
    const size_t chunk = CHUNK_WORDS + GEMM_TILE_COLS_MAX * CHUNK_DEPTH;
    const size_t thread =
        2 * ((size_t)TASK_ROWS * GEMM_DEPTH + (size_t)GEMM_TILE_COLS_MAX * GEMM_DEPTH);
    return (chunk + (size_t)kernel_threads() * thread) * sizeof(float);
}

bool gemm_is_fast(void)
{
    return gemm_tiles()->rows > 1;
}
