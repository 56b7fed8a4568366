/* Attention of rows that continue one shared text: blocks of rows against the shared keys in two
 * products, each row's own few keys in loops that go on with the same chains. So a row has the bits
 * that it has in the attention of its whole text. */
#include <string.h>

#include "attention_work.h"
#include "kernel_pool.h"
#include "packed_ops.h"

#define FLOPS_PER_NS 30.0
#define KEYS_AT_ONCE 8 /* independent chains: one alone waits for itself */

struct branch_task {
    float *out;
    const float *q, *shared_k, *shared_v, *own_k, *own_v;
    const struct kernel_branch *branch;
    int H, G, D, window;
    float scale;
    enum gemm_precision precision;
    int skipped; /* shared positions that no row sees, in bf16 whole pairs of them */
    int shared;  /* those behind them */
    int whole;   /* of these, as many as make whole pairs: mixed together, the last one by row */
    int stride;  /* scores of a row: whole blocks */
    void *work;
};

static int longest_own(const struct kernel_branch *branch)
{
    int longest = 0;
    for (int n = 0; n < branch->rows; n++)
        longest = branch->own_len[n] > longest ? branch->own_len[n] : longest;
    return longest;
}

/* scores[s] = q . keys[s], one chain each. */
KERNEL_CLONES_FMA
static void own_scores(float *restrict scores, const float *restrict q, const float *restrict keys,
                       size_t key_row, int count, int D)
{
    int s = 0;
    for (; s + KEYS_AT_ONCE <= count; s += KEYS_AT_ONCE) {
        float sums[KEYS_AT_ONCE] = {0};
        for (int d = 0; d < D; d++)
            for (int i = 0; i < KEYS_AT_ONCE; i++)
                sums[i] =
                    __builtin_fmaf(q[d], keys[(size_t)(s + i) * key_row + (size_t)d], sums[i]);
        memcpy(scores + s, sums, sizeof sums);
    }
    for (; s < count; s++) {
        float sum = 0;
        for (int d = 0; d < D; d++)
            sum = __builtin_fmaf(q[d], keys[(size_t)s * key_row + (size_t)d], sum);
        scores[s] = sum;
    }
}

/* A line as the tiles see it in bf16: rounded, the later one of each pair first. */
KERNEL_CLONES
static void half_line(float *restrict to, const float *restrict from, int count)
{
    for (int i = 0; i + 1 < count; i += 2) {
        to[i] = half_value(from[i + 1]);
        to[i + 1] = half_value(from[i]);
    }
    if (count % 2)
        to[count - 1] = half_value(from[count - 1]);
}

/* The same in bf16; `lines` holds KEYS_AT_ONCE + 1 lines. */
static void own_scores_half(float *scores, const float *q, const float *keys, size_t key_row,
                            int count, int D, float *lines)
{
    float *query = lines + (size_t)KEYS_AT_ONCE * (size_t)D;
    half_line(query, q, D);
    for (int s = 0; s < count; s += KEYS_AT_ONCE) {
        const int now = count - s < KEYS_AT_ONCE ? count - s : KEYS_AT_ONCE;
        for (int i = 0; i < now; i++)
            half_line(lines + (size_t)i * (size_t)D, keys + (size_t)(s + i) * key_row, D);
        own_scores(scores + s, query, lines, (size_t)D, now, D);
    }
}

/* out += weight * values, fused. */
KERNEL_CLONES_FMA
static void add_value(float *restrict out, float weight, const float *restrict values, int D)
{
    for (int d = 0; d < D; d++)
        out[d] = __builtin_fmaf(weight, values[d], out[d]);
}

KERNEL_CLONES_FMA
static void add_value_half(float *restrict out, float weight, const float *restrict values, int D)
{
    weight = half_value(weight);
    for (int d = 0; d < D; d++)
        out[d] = __builtin_fmaf(weight, half_value(values[d]), out[d]);
}

KERNEL_CLONES
static void divide(float *out, float total, int D)
{
    const float factor = 1.0f / total;
    for (int d = 0; d < D; d++)
        out[d] *= factor;
}

/* The first that a row with `own` positions sees, of all behind the skipped ones. */
static int first_seen(const struct branch_task *a, int own)
{
    return a->window > 0 && a->shared + own > a->window ? a->shared + own - a->window : 0;
}

/* Scores of row n, own ones added, to weights; returns their sum. */
static float row_weights(const struct branch_task *a, float *row, const float *q, int n,
                         size_t head, float *lines)
{
    const struct kernel_branch *b = a->branch;
    const size_t key_row = (size_t)(a->G * a->D);
    const int own = b->own_len[n], seen = first_seen(a, own);
    const float *keys = a->own_k + (size_t)b->own_first[n] * key_row + head;
    if (a->precision == GEMM_BF16)
        own_scores_half(row + a->shared, q, keys, key_row, own, a->D, lines);
    else
        own_scores(row + a->shared, q, keys, key_row, own, a->D);
    memset(row, 0, (size_t)seen * sizeof *row);
    return attention_softmax(row + seen, a->shared + own - seen, a->scale, NULL);
}

/* out = (out, gone on with the values behind the `whole` ones) / total, in the order of the tiles.
 */
static void row_mix(const struct branch_task *a, float *out, const float *row, int n, size_t head,
                    float total)
{
    const struct kernel_branch *b = a->branch;
    const size_t key_row = (size_t)(a->G * a->D);
    const int left = a->shared - a->whole, count = left + b->own_len[n];
    const float *shared = a->shared_v + (size_t)(a->skipped + a->whole) * key_row + head;
    const float *own = a->own_v + (size_t)b->own_first[n] * key_row + head;
    const bool half = a->precision == GEMM_BF16;
    for (int i = 0; i < count; i++) {
        const int s = half && (i ^ 1) < count ? i ^ 1 : i;
        const float *values = s < left ? shared : own + (size_t)(s - left) * key_row;
        (half ? add_value_half : add_value)(out, row[a->whole + s], values, a->D);
    }
    divide(out, total, a->D);
}

/* One block of rows of head h. */
static void branch_block(const struct branch_task *a, const struct attention_work *w, int first,
                         int h)
{
    const struct kernel_branch *b = a->branch;
    const size_t query_row = (size_t)(a->H * a->D);
    const size_t head = (size_t)(h / (a->H / a->G) * a->D);
    const size_t at = (size_t)first * query_row + (size_t)(h * a->D);
    const struct gemm_factor queries = {a->q + at, query_row, false, a->precision};
    const int query_words = gemm_words(a->precision, a->D);
    const int words = gemm_words(a->precision, a->whole);
    float sums[BLOCK];
    gemm_pack_left(w->left, &queries, 0, BLOCK, 0, a->D);
    gemm_block(w->scores, (size_t)a->stride, w->left, BLOCK, w->keys, gemm_panel(query_words),
               a->shared, query_words, a->precision, GEMM_SET);
    for (int r = 0; r < BLOCK; r++) {
        float *row = w->scores + (size_t)r * (size_t)a->stride;
        sums[r] = 1;
        if (b->own_len[first + r] > 0)
            sums[r] =
                row_weights(a, row, a->q + at + (size_t)r * query_row, first + r, head, w->right);
        else
            memset(row, 0, (size_t)a->shared * sizeof *row);
    }
    const struct gemm_factor weights = {w->scores, (size_t)a->stride, false, a->precision};
    gemm_pack_left(w->left, &weights, 0, BLOCK, 0, a->whole);
    gemm_block(a->out + at, query_row, w->left, BLOCK, w->values, gemm_panel(words), a->D, words,
               a->precision, GEMM_SET);
    for (int r = 0; r < BLOCK; r++) {
        float *out = a->out + at + (size_t)r * query_row;
        if (b->own_len[first + r] > 0)
            row_mix(a, out, w->scores + (size_t)r * (size_t)a->stride, first + r, head, sums[r]);
        else
            memset(out, 0, (size_t)a->D * sizeof *out);
    }
}

/* A task: some blocks of rows, all heads of one group. */
static void branch_rows(void *ctx, int index, int thread)
{
    const struct branch_task *a = ctx;
    const struct attention_work w = attention_work_at(a->work, thread, a->stride, a->D);
    const int g = index % a->G, per_group = a->H / a->G;
    const int begin = index / a->G * TASK_BLOCKS * BLOCK;
    const int end = begin + TASK_BLOCKS * BLOCK < a->branch->rows ? begin + TASK_BLOCKS * BLOCK
                                                                  : a->branch->rows;
    const size_t key_row = (size_t)(a->G * a->D);
    const size_t offset = (size_t)a->skipped * key_row + (size_t)(g * a->D);
    const struct gemm_factor keys = {a->shared_k + offset, key_row, true, a->precision};
    const struct gemm_factor values = {a->shared_v + offset, key_row, false, a->precision};
    gemm_pack_right(w.keys, &keys, 0, a->shared, 0, a->D);
    gemm_pack_right(w.values, &values, 0, a->D, 0, a->whole);
    for (int h = g * per_group; h < (g + 1) * per_group; h++)
        for (int first = begin; first < end; first += BLOCK)
            branch_block(a, &w, first, h);
}

static void attend(float *out, const float *q, const float *shared_k, const float *shared_v,
                   const float *own_k, const float *own_v, const struct kernel_branch *branch,
                   const struct kernel_attention *shape, enum gemm_precision precision, void *work)
{
    /* The first own position follows shared_len shared ones; it sees window - 1 of them. */
    const bool cut = shape->window > 0 && branch->shared_len >= shape->window;
    const int pair = precision == GEMM_BF16 ? 2 : 1;
    const int skipped = cut ? (branch->shared_len - shape->window + 1) / pair * pair : 0;
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
                            .scale = (float)shape->scale,
                            .precision = precision,
                            .skipped = skipped,
                            .shared = branch->shared_len - skipped,
                            .whole = (branch->shared_len - skipped) / pair * pair,
                            .stride = kernel_rows_padded(columns),
                            .work = work};
    const int parts = (branch->rows + TASK_BLOCKS * BLOCK - 1) / (TASK_BLOCKS * BLOCK);
    kernel_pool_run(branch_rows, &a, parts * a.G,
                    4.0 * branch->rows * columns * a.H * a.D / FLOPS_PER_NS);
}

void packed_attention_branch(float *out, const float *q, const float *shared_k,
                             const float *shared_v, const float *own_k, const float *own_v,
                             const struct kernel_branch *branch,
                             const struct kernel_attention *shape, void *work)
{
    attend(out, q, shared_k, shared_v, own_k, own_v, branch, shape, GEMM_F32, work);
}

void half_attention_branch(float *out, const float *q, const float *shared_k, const float *shared_v,
                           const float *own_k, const float *own_v,
                           const struct kernel_branch *branch, const struct kernel_attention *shape,
                           void *work)
{
    attend(out, q, shared_k, shared_v, own_k, own_v, branch, shape, GEMM_BF16, work);
}
