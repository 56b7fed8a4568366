/* Attention by blocks of KERNEL_ROW_BLOCK queries against the keys that they see, on packed keys
 * and values that all query heads of a group share; no T x T matrix is kept (Dao et al. 2022), the
 * backward pass recomputes the scores from the saved log-sum-exp. The mix is one chain over the
 * positions, and what a row does not see adds exactly nothing, so a row's bits depend on the row
 * and what it sees alone. */
#include <string.h>

#include "attention_work.h"
#include "kernel_pool.h"
#include "packed_ops.h"

#define FLOPS_PER_NS 60.0

struct attention {
    const float *q, *k, *v, *out, *lse, *grad_out;
    float *out_w, *lse_w, *grad_q, *grad_k, *grad_v;
    const struct kernel_batch *batch;
    int H, G, D, window;
    float scale;
    enum gemm_precision precision; /* of the factors of all products; the rest is f32 */
    int len_max;                   /* whole blocks */
    void *work;
};

/* A query block of one head and the keys that it sees. */
struct query_block {
    int first, rows;  /* of the sequence */
    int key, columns; /* keys key … key + columns - 1 */
    size_t at;        /* offset of the head in its first row of q */
    size_t lse;       /* and in lse */
};

static int len_max(const struct kernel_batch *batch)
{
    int len = 0;
    for (int b = 0; b < batch->sequence_count; b++)
        len = batch->len[b] > len ? batch->len[b] : len;
    return kernel_rows_padded(len);
}

size_t packed_attention_bytes(int len_longest, int D)
{
    const size_t floats = attention_work_floats(kernel_rows_padded(len_longest), D);
    return ATTENTION_ALIGNMENT + (size_t)kernel_threads() * floats * sizeof(float);
}

/* The first of the rows that row t sees. */
KERNEL_INLINE int window_begin(int window, int t)
{
    return window > 0 && t >= window ? t - window + 1 : 0;
}

static double attention_ns(const struct attention *a)
{
    double pairs = 0;
    for (int b = 0; b < a->batch->sequence_count; b++) {
        const double len = a->batch->len[b];
        pairs += len * (a->window > 0 && a->window < 0.5 * len ? a->window : 0.5 * len);
    }
    return 4.0 * pairs * a->H * a->D / FLOPS_PER_NS;
}

static struct query_block query_block(const struct attention *a, int b, int h, int block)
{
    const int left = a->batch->len[b] - block * BLOCK;
    struct query_block q = {.first = block * BLOCK, .rows = left < BLOCK ? left : BLOCK};
    const size_t row = (size_t)(a->batch->start[b] + q.first);
    q.key = window_begin(a->window, q.first);
    q.columns = q.first + q.rows - q.key;
    q.at = (row * (size_t)a->H + (size_t)h) * (size_t)a->D;
    q.lse = row * (size_t)a->H + (size_t)h;
    return q;
}

static int block_count(const struct attention *a, int b)
{
    return kernel_rows_padded(a->batch->len[b]) / BLOCK;
}

/* Words that `values` of a line take when they are packed. */
static int words_of(const struct attention *a, int values)
{
    return gemm_words(a->precision, values);
}

/* Where position `first` of packed values begins, `first` a multiple of a tile's columns. */
static const float *values_from(const struct attention *a, const float *values, int first)
{
    return values + gemm_panel(words_of(a, first));
}

/* Keys or values `first` … `first` + count - 1 of group g of sequence b as a right factor whose
 * columns (when turned) or depth are positions. */
static struct gemm_factor rows_of(const struct attention *a, const float *x, int b, int g,
                                  int first, bool turned)
{
    const size_t row = (size_t)a->G * (size_t)a->D;
    return (struct gemm_factor){x + (size_t)(a->batch->start[b] + first) * row +
                                    (size_t)g * (size_t)a->D,
                                row, turned, a->precision};
}

static void pack_queries(const struct attention *a, const float *x, const struct query_block *q,
                         float *to)
{
    const struct gemm_factor rows = {x + q->at, (size_t)(a->H * a->D), false, a->precision};
    gemm_pack_left(to, &rows, 0, q->rows, 0, a->D);
}

/* Where panels of positions begin at position `key`: a whole tile back at most. */
static int panel_start(int key)
{
    return key / GEMM_TILE_COLS_MAX * GEMM_TILE_COLS_MAX;
}

/* scores[rows][stride] = x . keys^T for positions panel_start() … of those packed from `packed` on.
 */
static void block_scores(const struct attention *a, float *scores, int stride, const float *left,
                         const float *panels, int packed, const struct query_block *q)
{
    const int from = panel_start(q->key - packed), words = words_of(a, a->D);
    gemm_block(scores, (size_t)stride, left, q->rows, panels + (size_t)from * (size_t)words,
               gemm_panel(words), q->key + q->columns - packed - from, words, a->precision,
               GEMM_SET);
}

/* ---- forward ---- */

/* Softmax without the division; scores in front of what a row sees and behind it become zero. */
static void block_softmax(const struct attention *a, float *scores, int stride, int origin,
                          float *sums, const struct query_block *q)
{
    const int end = q->key + q->columns - origin;
    for (int r = 0; r < q->rows; r++) {
        float *row = scores + (size_t)r * (size_t)stride;
        const int t = q->first + r;
        const int begin = window_begin(a->window, t) - origin;
        sums[r] = attention_softmax(row + begin, t + 1 - origin - begin, a->scale,
                                    &a->lse_w[q->lse + (size_t)r * (size_t)a->H]);
        memset(row, 0, (size_t)begin * sizeof *row);
        memset(row + (t + 1 - origin), 0, (size_t)(end - (t + 1 - origin)) * sizeof *row);
    }
}

KERNEL_CLONES
static void divide_rows(float *out, size_t stride, const float *sums, int rows, int D)
{
    for (int r = 0; r < rows; r++) {
        const float factor = 1.0f / sums[r];
        for (int d = 0; d < D; d++)
            out[(size_t)r * stride + (size_t)d] *= factor;
    }
}

/* One block of one head; positions from `packed` on are packed, `count` of them. */
static void forward_block(const struct attention *a, const struct attention_work *w,
                          const struct query_block *q, int packed, int count)
{
    const int from = panel_start(q->key - packed), origin = packed + from;
    const int depth = q->key + q->columns - origin;
    const size_t row = (size_t)a->H * (size_t)a->D;
    float sums[BLOCK];
    pack_queries(a, a->q, q, w->left);
    block_scores(a, w->scores, depth, w->left, w->keys, packed, q);
    block_softmax(a, w->scores, depth, origin, sums, q);
    const struct gemm_factor weights = {w->scores, (size_t)depth, false, a->precision};
    gemm_pack_left(w->left, &weights, 0, q->rows, 0, depth);
    gemm_block(a->out_w + q->at, row, w->left, q->rows, values_from(a, w->values, from),
               gemm_panel(words_of(a, count)), a->D, words_of(a, depth), a->precision, GEMM_SET);
    divide_rows(a->out_w + q->at, row, sums, q->rows, a->D);
}

static void clear_padding(const struct attention *a, float *x, int heads, int b)
{
    const int from = a->batch->start[b] + a->batch->len[b];
    const int to = a->batch->start[b] + kernel_rows_padded(a->batch->len[b]);
    const size_t row = (size_t)heads * (size_t)a->D;
    memset(x + (size_t)from * row, 0, (size_t)(to - from) * row * sizeof *x);
}

/* A task: some query blocks of all heads of one group. Tasks of all sequences are numbered through;
 * groups vary fastest. */
static void forward_task(void *ctx, int index, int thread)
{
    const struct attention *a = ctx;
    const struct attention_work w = attention_work_at(a->work, thread, a->len_max, a->D);
    const int g = index % a->G, per_group = a->H / a->G;
    int part = index / a->G, b = 0;
    while (part >= (block_count(a, b) + TASK_BLOCKS - 1) / TASK_BLOCKS)
        part -= (block_count(a, b++) + TASK_BLOCKS - 1) / TASK_BLOCKS;
    const int first = part * TASK_BLOCKS;
    const int end =
        first + TASK_BLOCKS < block_count(a, b) ? first + TASK_BLOCKS : block_count(a, b);
    const struct query_block last = query_block(a, b, 0, end - 1);
    const int packed = panel_start(window_begin(a->window, first * BLOCK));
    const int count = last.key + last.columns - packed;
    const struct gemm_factor keys = rows_of(a, a->k, b, g, packed, true);
    const struct gemm_factor values = rows_of(a, a->v, b, g, packed, false);
    gemm_pack_right(w.keys, &keys, 0, count, 0, a->D);
    gemm_pack_right(w.values, &values, 0, a->D, 0, count);
    for (int h = g * per_group; h < (g + 1) * per_group; h++)
        for (int block = first; block < end; block++) {
            const struct query_block q = query_block(a, b, h, block);
            forward_block(a, &w, &q, packed, count);
        }
}

static void forward(float *out, float *lse, const float *q, const float *k, const float *v,
                    const struct kernel_batch *batch, const struct kernel_attention *shape,
                    enum gemm_precision precision, void *work)
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
                          .precision = precision,
                          .len_max = len_max(batch),
                          .work = work};
    int parts = 0;
    for (int b = 0; b < batch->sequence_count; b++) {
        const int from = batch->start[b] + batch->len[b];
        const int to = batch->start[b] + kernel_rows_padded(batch->len[b]);
        parts += (block_count(&a, b) + TASK_BLOCKS - 1) / TASK_BLOCKS;
        clear_padding(&a, out, a.H, b);
        memset(lse + (size_t)from * (size_t)a.H, 0,
               (size_t)(to - from) * (size_t)a.H * sizeof *lse);
    }
    kernel_pool_run(forward_task, &a, parts * a.G, attention_ns(&a));
}

void packed_attention_forward(float *out, float *lse, const float *q, const float *k,
                              const float *v, const struct kernel_batch *batch,
                              const struct kernel_attention *shape, void *work)
{
    forward(out, lse, q, k, v, batch, shape, GEMM_F32, work);
}

void half_attention_forward(float *out, float *lse, const float *q, const float *k, const float *v,
                            const struct kernel_batch *batch, const struct kernel_attention *shape,
                            void *work)
{
    forward(out, lse, q, k, v, batch, shape, GEMM_BF16, work);
}

/* ---- backward ---- */

/* p = e^(s - lse) where a row sees keys, 0 elsewhere; ds = p (dp - do.o) scale, in place of dp. */
KERNEL_CLONES
static void gradient_row(float *restrict p, float *restrict ds, int begin, int end, int columns,
                         float lse, float dot, float scale)
{
    for (int s = begin; s < end; s++) {
        const float probability = vector_exp(p[s] * scale - lse);
        p[s] = probability;
        ds[s] = probability * (ds[s] - dot) * scale;
    }
    memset(p, 0, (size_t)begin * sizeof *p);
    memset(ds, 0, (size_t)begin * sizeof *ds);
    memset(p + end, 0, (size_t)(columns - end) * sizeof *p);
    memset(ds + end, 0, (size_t)(columns - end) * sizeof *ds);
}

KERNEL_CLONES
static float dot_of(const float *x, const float *y, int count)
{
    return row_dot(x, y, count);
}

static void block_gradients(const struct attention *a, const struct attention_work *w, int origin,
                            int columns, const struct query_block *q)
{
    const size_t row = (size_t)a->H * (size_t)a->D;
    for (int r = 0; r < q->rows; r++) {
        const int t = q->first + r;
        const size_t at = q->at + (size_t)r * row;
        gradient_row(w->scores + (size_t)r * (size_t)columns,
                     w->gradients + (size_t)r * (size_t)columns,
                     window_begin(a->window, t) - origin, t + 1 - origin, columns,
                     a->lse[q->lse + (size_t)r * (size_t)a->H],
                     dot_of(a->grad_out + at, a->out + at, a->D), a->scale);
    }
}

/* target[columns][D] += weights[rows][columns]^T x, x a block of q's shape. */
static void add_turned(const struct attention *a, const struct attention_work *w, float *target,
                       const float *weights, int columns, const float *x,
                       const struct query_block *q)
{
    const struct gemm_factor left = {weights, (size_t)columns, true, a->precision};
    const struct gemm_factor right = {x + q->at, (size_t)(a->H * a->D), false, a->precision};
    const int words = words_of(a, q->rows);
    gemm_pack_right(w->right, &right, 0, a->D, 0, q->rows);
    gemm_pack_left(w->left, &left, 0, columns, 0, q->rows);
    gemm_block(target, (size_t)(a->G * a->D), w->left, columns, w->right, gemm_panel(words), a->D,
               words, a->precision, GEMM_ADD);
}

/* One query block of one head: adds to the keys' and values' gradients of its group, whose first
 * row is at `keys`. */
static void backward_block(const struct attention *a, const struct attention_work *w,
                           const struct query_block *q, size_t keys, int len)
{
    const int origin = panel_start(q->key);
    const int columns = q->key + q->columns - origin;
    const size_t target = keys + (size_t)origin * (size_t)(a->G * a->D);
    pack_queries(a, a->q, q, w->left);
    block_scores(a, w->scores, columns, w->left, w->keys, 0, q);
    pack_queries(a, a->grad_out, q, w->left);
    block_scores(a, w->gradients, columns, w->left, w->values_turned, 0, q);
    block_gradients(a, w, origin, columns, q);
    add_turned(a, w, a->grad_v + target, w->scores, columns, a->grad_out, q);
    add_turned(a, w, a->grad_k + target, w->gradients, columns, a->q, q);
    const struct gemm_factor gradients = {w->gradients, (size_t)columns, false, a->precision};
    gemm_pack_left(w->left, &gradients, 0, q->rows, 0, columns);
    gemm_block(a->grad_q + q->at, (size_t)(a->H * a->D), w->left, q->rows,
               values_from(a, w->values, origin), gemm_panel(words_of(a, len)), a->D,
               words_of(a, columns), a->precision, GEMM_SET);
}

/* A task: one key/value head of one sequence, its query heads and blocks in order. */
static void backward_task(void *ctx, int index, int thread)
{
    const struct attention *a = ctx;
    const struct attention_work w = attention_work_at(a->work, thread, a->len_max, a->D);
    const int b = index / a->G, g = index % a->G, len = a->batch->len[b];
    const int per_group = a->H / a->G;
    const size_t row = (size_t)(a->G * a->D);
    const size_t keys = (size_t)a->batch->start[b] * row + (size_t)(g * a->D);
    const struct gemm_factor turned_keys = rows_of(a, a->k, b, g, 0, true);
    const struct gemm_factor turned_values = rows_of(a, a->v, b, g, 0, true);
    const struct gemm_factor straight_keys = rows_of(a, a->k, b, g, 0, false);
    gemm_pack_right(w.keys, &turned_keys, 0, len, 0, a->D);
    gemm_pack_right(w.values_turned, &turned_values, 0, len, 0, a->D);
    gemm_pack_right(w.values, &straight_keys, 0, a->D, 0, len);
    for (int r = 0; r < kernel_rows_padded(len); r++) {
        memset(a->grad_k + keys + (size_t)r * row, 0, (size_t)a->D * sizeof(float));
        memset(a->grad_v + keys + (size_t)r * row, 0, (size_t)a->D * sizeof(float));
    }
    for (int h = g * per_group; h < (g + 1) * per_group; h++)
        for (int block = 0; block < block_count(a, b); block++) {
            const struct query_block q = query_block(a, b, h, block);
            backward_block(a, &w, &q, keys, len);
        }
}

static void backward(float *grad_q, float *grad_k, float *grad_v, const float *grad_out,
                     const float *out, const float *lse, const float *q, const float *k,
                     const float *v, const struct kernel_batch *batch,
                     const struct kernel_attention *shape, enum gemm_precision precision,
                     void *work)
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
                          .precision = precision,
                          .len_max = len_max(batch),
                          .work = work};
    for (int b = 0; b < batch->sequence_count; b++)
        clear_padding(&a, grad_q, a.H, b);
    kernel_pool_run(backward_task, &a, batch->sequence_count * a.G, 2.5 * attention_ns(&a));
}

void packed_attention_backward(float *grad_q, float *grad_k, float *grad_v, const float *grad_out,
                               const float *out, const float *lse, const float *q, const float *k,
                               const float *v, const struct kernel_batch *batch,
                               const struct kernel_attention *shape, void *work)
{
    backward(grad_q, grad_k, grad_v, grad_out, out, lse, q, k, v, batch, shape, GEMM_F32, work);
}

void half_attention_backward(float *grad_q, float *grad_k, float *grad_v, const float *grad_out,
                             const float *out, const float *lse, const float *q, const float *k,
                             const float *v, const struct kernel_batch *batch,
                             const struct kernel_attention *shape, void *work)
{
    backward(grad_q, grad_k, grad_v, grad_out, out, lse, q, k, v, batch, shape, GEMM_BF16, work);
}
