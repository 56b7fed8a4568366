/* Products on oneDNN: KERNEL_ROW_BLOCK rows by a tile of columns whose width depends on the matrix
 * alone, as on OpenBLAS (blas_matmul.c). Factors are rounded to bf16 once for all calls. */
#include <stdint.h>

#include "blas_ops.h"
#include "gemm_pack.h"
#include "kernel_pool.h"
#include "onednn_ops.h"
#include "onednn_plan.h"

#define ROUND_NS     0.3 /* an element */
#define FLOPS_PER_NS 200.0

/* The right factor, [K][N]. */
struct right {
    const void *data;
    long strides[2];
    bool is_float;
};

struct product {
    float *out;
    const uint16_t *left;
    struct right right;
    char *packed; /* tiles of the right factor in the product's layout */
    struct onednn_shape shape;
    int M, tile, tiles;
    const struct onednn_plan *plans[2][2]; /* [last rows][last tile] */
};

static _Thread_local struct gemm_scratch left_scratch, line_scratch, packed_scratch, work_scratch;

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

/* ---- rounding ---- */

struct rounding {
    uint16_t *to;
    const float *from;
    size_t count;
};

#define ROUND_RANGE 32768

static void round_task(void *ctx, int index, int thread)
{
    const struct rounding *r = ctx;
    const size_t first = (size_t)index * ROUND_RANGE, left = r->count - first;
    (void)thread;
    gemm_tiles()->round((uint32_t *)(void *)(r->to + first), r->from + first,
                        (int)(left < ROUND_RANGE ? left : ROUND_RANGE));
}

/* `count` values as bf16, in memory that is kept until the next call. */
static const uint16_t *rounded(const float *from, size_t count)
{
    struct rounding r = {(uint16_t *)gemm_scratch_need(&left_scratch, count / 2 + 1), from, count};
    kernel_pool_run(round_task, &r, (int)((count + ROUND_RANGE - 1) / ROUND_RANGE),
                    ROUND_NS * (double)count);
    return r.to;
}

/* ---- the right factor ---- */

/* Lines along K are rounded first: the library's reorder is slow at both at once (measured: 1.0
 * against 0.45 ns an element). */
static bool rounds_lines(const struct right *right)
{
    return right->is_float && right->strides[0] == 1;
}

static void pack_task(void *ctx, int index, int thread)
{
    const struct product *p = ctx;
    const struct onednn_plan *plan = p->plans[0][index == p->tiles - 1];
    const long first = (long)index * p->tile * p->right.strides[1];
    const size_t width = p->right.is_float ? sizeof(float) : sizeof(uint16_t);
    const void *from = (const char *)p->right.data + (size_t)first * width;
    (void)thread;
    if (rounds_lines(&p->right)) {
        const size_t words = (size_t)(p->shape.K + 1) / 2;
        float *lines = gemm_scratch_need(&line_scratch, words * (size_t)p->tile);
        for (int n = 0; n < plan->shape.N; n++)
            gemm_tiles()->round((uint32_t *)(void *)lines + (size_t)n * words,
                                (const float *)from + (long)n * p->right.strides[1], p->shape.K);
        from = lines;
    }
    onednn_pack(plan, from, p->packed + (size_t)index * p->plans[0][0]->packed_bytes);
}

/* ---- products ---- */

static void product_task(void *ctx, int index, int thread)
{
    const struct product *p = ctx;
    const int tile = index % p->tiles, row = index / p->tiles * KERNEL_ROW_BLOCK;
    const struct onednn_plan *plan = p->plans[p->M - row < KERNEL_ROW_BLOCK][tile == p->tiles - 1];
    (void)thread;
    onednn_multiply(plan, p->out + row * p->shape.out + (long)tile * p->tile,
                    p->left + row * p->shape.left[0],
                    p->packed + (size_t)tile * p->plans[0][0]->packed_bytes,
                    gemm_scratch_need(&work_scratch, plan->scratch_bytes / sizeof(float) + 1));
}

static void make_plans(struct product *p, int N)
{
    struct onednn_shape s = p->shape;
    for (int last = 0; last < 2; last++) {
        s.N = last ? N - (p->tiles - 1) * p->tile : min_int(p->tile, N);
        s.M = min_int(KERNEL_ROW_BLOCK, p->M);
        p->plans[0][last] = onednn_plan(&s, NULL);
        s.M = p->M % KERNEL_ROW_BLOCK ? p->M % KERNEL_ROW_BLOCK : s.M;
        p->plans[1][last] = s.M == p->plans[0][last]->shape.M ? p->plans[0][last]
                                                              : onednn_plan(&s, p->plans[0][last]);
    }
}

/* out[M][N] = left[M][K] * right[K][N], or += when `add`; `left` as [2] strides. */
static void multiply(float *out, const uint16_t *left, long row, long column, struct right right,
                     int M, int K, int N, bool add)
{
    struct product p = {.out = out, .left = left, .right = right, .M = M};
    p.tile = blas_column_tile(N);
    p.tiles = (N + p.tile - 1) / p.tile;
    p.shape = (struct onednn_shape){.K = K,
                                    .left = {row, column},
                                    .right = {right.strides[0], right.strides[1]},
                                    .right_is_float = right.is_float,
                                    .out = N,
                                    .add = add};
    if (rounds_lines(&right)) {
        p.shape.right[1] = (K + 1) / 2 * 2;
        p.shape.right_is_float = false;
    }
    make_plans(&p, N);
    const size_t bytes = p.plans[0][0]->packed_bytes * (size_t)p.tiles;
    p.packed = (char *)gemm_scratch_need(&packed_scratch, bytes / sizeof(float) + 1);
    kernel_pool_run(pack_task, &p, p.tiles, ROUND_NS * K * N);
    kernel_pool_run(product_task, &p, (M + KERNEL_ROW_BLOCK - 1) / KERNEL_ROW_BLOCK * p.tiles,
                    2.0 * M * K * N / FLOPS_PER_NS);
}

void onednn_matmul_forward(float *out, const float *in, const float *weight, int N, int C, int O)
{
    const struct right right = {weight, {1, C}, true};
    multiply(out, rounded(in, (size_t)N * (size_t)C), C, 1, right, N, C, O, false);
}

void onednn_matmul_forward_stored(float *out, const float *in, const void *weight, int N, int C,
                                  int O)
{
    const struct right right = {weight, {1, C}, false};
    multiply(out, rounded(in, (size_t)N * (size_t)C), C, 1, right, N, C, O, false);
}

void onednn_matmul_backward_input(float *grad_in, const float *grad_out, const float *weight, int N,
                                  int C, int O, bool add)
{
    const struct right right = {weight, {C, 1}, true};
    multiply(grad_in, rounded(grad_out, (size_t)N * (size_t)O), O, 1, right, N, O, C, add);
}

/* Token rows are the terms: shards of them are added in order. */
void onednn_matmul_backward_weight(float *grad_weight, const float *grad_out, const float *in,
                                   int N, int C, int O)
{
    const uint16_t *left = rounded(grad_out, (size_t)N * (size_t)O);
    for (int n = 0; n < N; n += KERNEL_SHARD_ROWS) {
        const struct right right = {in + (size_t)n * (size_t)C, {C, 1}, true};
        multiply(grad_weight, left + (size_t)n * (size_t)O, 1, O, right, O,
                 min_int(KERNEL_SHARD_ROWS, N - n), C, true);
    }
}
