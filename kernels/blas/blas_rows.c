/* Operations on whole rows: parallel over fixed ranges of rows, or of columns where rows add up. */
#include <math.h>
#include <string.h>

#include "blas_ops.h"
#include "kernel_pool.h"
#include "vector_math.h"

#define ROWS_PER_TASK      64
#define COLUMNS_PER_TASK   64
#define LOSS_ROWS_PER_TASK 8
#define NS_PER_ELEMENT     0.5

struct rows {
    float *out, *out2;
    const float *a, *b, *c, *d;
    const int32_t *ids;
    double base, epsilon, sign;
    int N, C, H;
};

static int rows_end(int index, int N)
{
    const int end = (index + 1) * ROWS_PER_TASK;
    return end < N ? end : N;
}

static void over_rows(kernel_task_f *task, void *ctx, int N, int C)
{
    kernel_pool_run(task, ctx, (N + ROWS_PER_TASK - 1) / ROWS_PER_TASK, NS_PER_ELEMENT * N * C);
}

static void over_columns(kernel_task_f *task, void *ctx, int N, int C)
{
    kernel_pool_run(task, ctx, (C + COLUMNS_PER_TASK - 1) / COLUMNS_PER_TASK,
                    NS_PER_ELEMENT * N * C);
}

/* ---- gather and scatter ---- */

static void gather_task(void *ctx, int index, int thread)
{
    const struct rows *r = ctx;
    const size_t C = (size_t)r->C;
    (void)thread;
    for (int n = index * ROWS_PER_TASK; n < rows_end(index, r->N); n++) {
        if (r->ids[n] < 0)
            memset(r->out + (size_t)n * C, 0, C * sizeof *r->out);
        else
            memcpy(r->out + (size_t)n * C, r->a + (size_t)r->ids[n] * C, C * sizeof *r->out);
    }
}

void blas_gather(float *out, const int32_t *ids, const float *table, int N, int C)
{
    struct rows r = {.out = out, .a = table, .ids = ids, .N = N, .C = C};
    over_rows(gather_task, &r, N, C);
}

/* Two rows may name the same id: tasks own columns, and each takes the rows in order. */
static void scatter_task(void *ctx, int index, int thread)
{
    const struct rows *r = ctx;
    const size_t C = (size_t)r->C;
    const size_t first = (size_t)index * COLUMNS_PER_TASK;
    const size_t end = first + COLUMNS_PER_TASK < C ? first + COLUMNS_PER_TASK : C;
    (void)thread;
    for (int n = 0; n < r->N; n++) {
        if (r->ids[n] < 0)
            continue;
        float *restrict target = r->out + (size_t)r->ids[n] * C;
        const float *restrict source = r->a + (size_t)n * C;
        for (size_t c = first; c < end; c++)
            target[c] += source[c];
    }
}

void blas_scatter_add(float *grad_table, const int32_t *ids, const float *grad_out, int N, int C)
{
    struct rows r = {.out = grad_table, .a = grad_out, .ids = ids, .N = N, .C = C};
    over_columns(scatter_task, &r, N, C);
}

/* ---- RMSNorm ---- */

KERNEL_CLONES
static void norm_rows(const struct rows *r, int first, int end)
{
    const int C = r->C;
    const float base = (float)r->base;
    const float *restrict weight = r->b;
    for (int n = first; n < end; n++) {
        const float *restrict x = r->a + (size_t)n * (size_t)C;
        float *restrict y = r->out + (size_t)n * (size_t)C;
        const float mean = row_dot(x, x, C) / (float)C;
        const float rstd = 1.0f / sqrtf(mean + (float)r->epsilon);
        for (int c = 0; c < C; c++)
            y[c] = x[c] * rstd * (base + weight[c]);
        r->out2[n] = rstd;
    }
}

static void norm_task(void *ctx, int index, int thread)
{
    const struct rows *r = ctx;
    (void)thread;
    norm_rows(r, index * ROWS_PER_TASK, rows_end(index, r->N));
}

void blas_norm_forward(float *out, float *rstd, const float *in, const float *weight, double base,
                       double epsilon, int N, int C)
{
    struct rows r = {.out = out,
                     .out2 = rstd,
                     .a = in,
                     .b = weight,
                     .base = base,
                     .epsilon = epsilon,
                     .N = N,
                     .C = C};
    over_rows(norm_task, &r, N, C);
}

KERNEL_CLONES
static void norm_backward_rows(const struct rows *r, int first, int end)
{
    const int C = r->C;
    const float base = (float)r->base;
    const float *restrict weight = r->b;
    for (int n = first; n < end; n++) {
        const float *restrict x = r->a + (size_t)n * (size_t)C;
        const float *restrict dy = r->d + (size_t)n * (size_t)C;
        float *restrict dx = r->out + (size_t)n * (size_t)C;
        const float rstd = r->c[n];
        float lanes[KERNEL_LANES] = {0};
        int i = 0;
        for (; i + KERNEL_LANES <= C; i += KERNEL_LANES)
            for (int l = 0; l < KERNEL_LANES; l++)
                lanes[l] += (base + weight[i + l]) * dy[i + l] * x[i + l];
        for (; i < C; i++)
            lanes[i % KERNEL_LANES] += (base + weight[i]) * dy[i] * x[i];
        const float factor = lanes_sum(lanes) * rstd * rstd * rstd / (float)C;
        for (int c = 0; c < C; c++)
            dx[c] += rstd * (base + weight[c]) * dy[c] - x[c] * factor;
    }
}

static void norm_backward_task(void *ctx, int index, int thread)
{
    const struct rows *r = ctx;
    (void)thread;
    norm_backward_rows(r, index * ROWS_PER_TASK, rows_end(index, r->N));
}

KERNEL_CLONES
static void norm_weight_columns(const struct rows *r, int first, int end)
{
    float *restrict grad_weight = r->out2;
    for (int n = 0; n < r->N; n++) {
        const float *restrict x = r->a + (size_t)n * (size_t)r->C;
        const float *restrict dy = r->d + (size_t)n * (size_t)r->C;
        const float rstd = r->c[n];
        for (int c = first; c < end; c++)
            grad_weight[c] += dy[c] * x[c] * rstd;
    }
}

static void norm_weight_task(void *ctx, int index, int thread)
{
    const struct rows *r = ctx;
    const int end = (index + 1) * COLUMNS_PER_TASK;
    (void)thread;
    norm_weight_columns(r, index * COLUMNS_PER_TASK, end < r->C ? end : r->C);
}

void blas_norm_backward(float *grad_in, float *grad_weight, const float *grad_out, const float *in,
                        const float *weight, double base, const float *rstd, int N, int C)
{
    struct rows r = {.out = grad_in,
                     .out2 = grad_weight,
                     .a = in,
                     .b = weight,
                     .c = rstd,
                     .d = grad_out,
                     .base = base,
                     .N = N,
                     .C = C};
    over_rows(norm_backward_task, &r, N, 2 * C);
    over_columns(norm_weight_task, &r, N, C);
}

/* ---- rotary embedding ---- */

KERNEL_CLONES
static void rope_rows(const struct rows *r, int first, int end)
{
    const int D = r->C;
    const int half = D / 2;
    const float sign = (float)r->sign;
    for (int n = first; n < end; n++) {
        const float *restrict cosine = r->a + (size_t)r->ids[n] * (size_t)D;
        const float *restrict sine = cosine + half;
        for (int h = 0; h < r->H; h++) {
            float *restrict x = r->out + ((size_t)n * (size_t)r->H + (size_t)h) * (size_t)D;
            for (int d = 0; d < half; d++) {
                const float a = x[d];
                const float b = x[d + half];
                const float s = sign * sine[d];
                x[d] = a * cosine[d] - b * s;
                x[d + half] = b * cosine[d] + a * s;
            }
        }
    }
}

static void rope_task(void *ctx, int index, int thread)
{
    const struct rows *r = ctx;
    (void)thread;
    rope_rows(r, index * ROWS_PER_TASK, rows_end(index, r->N));
}

static void rope(float *x, const int32_t *positions, const float *table, int N, int H, int D,
                 double sign)
{
    struct rows r = {.out = x, .a = table, .ids = positions, .sign = sign, .N = N, .C = D, .H = H};
    over_rows(rope_task, &r, N, H * D);
}

void blas_rope_forward(float *x, const int32_t *positions, const float *table, int N, int H, int D)
{
    rope(x, positions, table, N, H, D, 1);
}

void blas_rope_backward(float *x, const int32_t *positions, const float *table, int N, int H, int D)
{
    rope(x, positions, table, N, H, D, -1);
}

/* ---- cross-entropy ---- */

struct loss {
    double *nats, *lse;
    const double *lse_in;
    bool *hit;
    const float *logits;
    float *grad;
    const int32_t *targets;
    double scale;
    int N, V;
};

/* Sum of e^(x - shift) with double partial sums: a row of 262,144 small terms must not lose them.
 */
KERNEL_INLINE double row_exp_sum_f64(const float *x, int count, float shift)
{
    double lanes[KERNEL_LANES] = {0};
    double sum = 0;
    int i = 0;
    for (; i + KERNEL_LANES <= count; i += KERNEL_LANES) {
        float terms[KERNEL_LANES]; /* two loops: mixed widths in one do not vectorise */
        for (int l = 0; l < KERNEL_LANES; l++)
            terms[l] = vector_exp(x[i + l] - shift);
        for (int l = 0; l < KERNEL_LANES; l++)
            lanes[l] += (double)terms[l];
    }
    for (; i < count; i++)
        lanes[i % KERNEL_LANES] += (double)vector_exp(x[i] - shift);
    for (int l = 0; l < KERNEL_LANES; l++)
        sum += lanes[l];
    return sum;
}

KERNEL_CLONES
static void loss_rows(const struct loss *p, int first, int end)
{
    for (int n = first; n < end; n++) {
        const float *row = p->logits + (size_t)n * (size_t)p->V;
        p->nats[n] = p->lse[n] = 0;
        p->hit[n] = false;
        if (p->targets[n] < 0)
            continue;
        const int target = p->targets[n];
        const float largest = row_max(row, p->V);
        int ahead = 0; /* earlier logits as large as the target's: the lowest index wins ties */
        for (int i = 0; i < target; i++)
            ahead += row[i] >= row[target];
        p->lse[n] = (double)largest + log(row_exp_sum_f64(row, p->V, largest));
        p->nats[n] = p->lse[n] - (double)row[target];
        p->hit[n] = ahead == 0 && row[target] >= largest && !isnan(p->nats[n]);
    }
}

/* Vocabularies are wide: few rows make a task. */
static void over_loss_rows(kernel_task_f *task, void *ctx, int N, int V)
{
    kernel_pool_run(task, ctx, (N + LOSS_ROWS_PER_TASK - 1) / LOSS_ROWS_PER_TASK,
                    4 * NS_PER_ELEMENT * N * V);
}

static int loss_rows_end(int index, int N)
{
    const int end = (index + 1) * LOSS_ROWS_PER_TASK;
    return end < N ? end : N;
}

static void loss_task(void *ctx, int index, int thread)
{
    const struct loss *p = ctx;
    (void)thread;
    loss_rows(p, index * LOSS_ROWS_PER_TASK, loss_rows_end(index, p->N));
}

void blas_loss_forward(double *nats, double *lse, bool *hit, const float *logits,
                       const int32_t *targets, int N, int V)
{
    struct loss p = {
        .nats = nats, .lse = lse, .hit = hit, .logits = logits, .targets = targets, .N = N, .V = V};
    over_loss_rows(loss_task, &p, N, V);
}

KERNEL_CLONES
static void loss_backward_rows(const struct loss *p, int first, int end)
{
    const float scale = (float)p->scale;
    const int V = p->V;
    for (int n = first; n < end; n++) {
        float *restrict row = p->grad + (size_t)n * (size_t)p->V;
        if (p->targets[n] < 0) {
            memset(row, 0, (size_t)p->V * sizeof *row);
            continue;
        }
        const float shift = (float)p->lse_in[n];
        for (int i = 0; i < V; i++)
            row[i] = scale * vector_exp(row[i] - shift);
        row[p->targets[n]] -= scale;
    }
}

static void loss_backward_task(void *ctx, int index, int thread)
{
    const struct loss *p = ctx;
    (void)thread;
    loss_backward_rows(p, index * LOSS_ROWS_PER_TASK, loss_rows_end(index, p->N));
}

void blas_loss_backward(float *logits, const double *lse, const int32_t *targets, double scale,
                        int N, int V)
{
    struct loss p = {
        .grad = logits, .lse_in = lse, .targets = targets, .scale = scale, .N = N, .V = V};
    over_loss_rows(loss_backward_task, &p, N, V);
}
