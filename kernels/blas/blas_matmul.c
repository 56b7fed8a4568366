/* Products on OpenBLAS at one thread, in calls of fixed shape: KERNEL_ROW_BLOCK rows by a tile of
 * columns whose width depends on the matrix alone. */
#include <cblas.h>

#include "blas_ops.h"
#include "kernel_pool.h"

#define TILE_COLUMNS_MAX 512
#define TILE_WEIGHT_ROWS 64   /* 32 are 8 % slower, 128 are 5 % faster: measured for C = 128 */
#define FLOPS_PER_NS     60.0 /* about one core's rate; only to skip waking threads for trifles */

struct product {
    float *out;
    const float *in, *weight;
    int N, C, O;
    bool add;
    int tiles, tile;
};

/* As few tiles of at most TILE_COLUMNS_MAX as it takes, of equal width. */
int blas_column_tile(int columns)
{
    const int tiles = (columns + TILE_COLUMNS_MAX - 1) / TILE_COLUMNS_MAX;
    return ((columns + tiles - 1) / tiles + 15) / 16 * 16;
}

static void cut_columns(struct product *p, int columns)
{
    p->tile = blas_column_tile(columns);
    p->tiles = (columns + p->tile - 1) / p->tile;
}

static int tile_width(int columns, int tile, int index)
{
    const int left = columns - index * tile;
    return left < tile ? left : tile;
}

static double product_ns(int N, int C, int O)
{
    return 2.0 * N * C * O / FLOPS_PER_NS;
}

static void forward_task(void *ctx, int index, int thread)
{
    const struct product *p = ctx;
    const size_t row = (size_t)(index / p->tiles) * KERNEL_ROW_BLOCK;
    const int column = index % p->tiles * p->tile;
    (void)thread;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, KERNEL_ROW_BLOCK,
                tile_width(p->O, p->tile, index % p->tiles), p->C, 1.0f, p->in + row * (size_t)p->C,
                p->C, p->weight + (size_t)column * (size_t)p->C, p->C, 0.0f,
                p->out + row * (size_t)p->O + column, p->O);
}

void blas_matmul_forward(float *out, const float *in, const float *weight, int N, int C, int O)
{
    struct product p = {.out = out, .in = in, .weight = weight, .N = N, .C = C, .O = O};
    cut_columns(&p, O);
    kernel_pool_run(forward_task, &p, N / KERNEL_ROW_BLOCK * p.tiles, product_ns(N, C, O));
}

/* A part has the bits of the whole when it is cut into the same tiles; one tile always is. */
int blas_matmul_part(int O, int first, int most)
{
    struct product whole = {.O = O}, part = {.O = O};
    cut_columns(&whole, O);
    for (int tiles = most / whole.tile; tiles > 1; tiles--) {
        const int left = O - first, columns = tiles * whole.tile;
        cut_columns(&part, columns < left ? columns : left);
        if (part.tile == whole.tile)
            return columns < left ? columns : left;
    }
    return tile_width(O, whole.tile, first / whole.tile);
}

static void input_task(void *ctx, int index, int thread)
{
    const struct product *p = ctx;
    const size_t row = (size_t)(index / p->tiles) * KERNEL_ROW_BLOCK;
    const int column = index % p->tiles * p->tile;
    (void)thread;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, KERNEL_ROW_BLOCK,
                tile_width(p->C, p->tile, index % p->tiles), p->O, 1.0f, p->in + row * (size_t)p->O,
                p->O, p->weight + column, p->C, p->add ? 1.0f : 0.0f,
                p->out + row * (size_t)p->C + column, p->C);
}

void blas_matmul_backward_input(float *grad_in, const float *grad_out, const float *weight, int N,
                                int C, int O, bool add)
{
    struct product p = {
        .out = grad_in, .in = grad_out, .weight = weight, .N = N, .C = C, .O = O, .add = add};
    cut_columns(&p, C);
    kernel_pool_run(input_task, &p, N / KERNEL_ROW_BLOCK * p.tiles, product_ns(N, C, O));
}

/* A tile of rows of the weight: shards of token rows are added in order. */
static void weight_task(void *ctx, int index, int thread)
{
    const struct product *p = ctx;
    const int first = index * p->tile;
    const int rows = tile_width(p->O, p->tile, index);
    (void)thread;
    for (int n = 0; n < p->N; n += KERNEL_SHARD_ROWS) {
        const int shard = p->N - n < KERNEL_SHARD_ROWS ? p->N - n : KERNEL_SHARD_ROWS;
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, rows, p->C, shard, 1.0f,
                    p->in + (size_t)n * (size_t)p->O + first, p->O,
                    p->weight + (size_t)n * (size_t)p->C, p->C, 1.0f,
                    p->out + (size_t)first * (size_t)p->C, p->C);
    }
}

void blas_matmul_backward_weight(float *grad_weight, const float *grad_out, const float *in, int N,
                                 int C, int O)
{
    struct product p = {.out = grad_weight, .in = grad_out, .weight = in, .N = N, .C = C, .O = O};
    /* Narrow outputs (keys and values of small models) still give two threads something to do. */
    p.tile = O > TILE_WEIGHT_ROWS ? TILE_WEIGHT_ROWS : TILE_WEIGHT_ROWS / 2;
    kernel_pool_run(weight_task, &p, (O + p.tile - 1) / p.tile, product_ns(N, C, O));
}
