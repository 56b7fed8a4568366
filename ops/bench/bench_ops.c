#include "bench_ops.h"

#include <stdio.h>

#include "clock.h"
#include "kernels.h"

enum op {
    OP_GATHER,
    OP_SCATTER,
    OP_NORM,
    OP_NORM_BACKWARD,
    OP_ROPE,
    OP_ATTENTION,
    OP_ATTENTION_BACKWARD,
    OP_BRANCH,
    OP_GATE,
    OP_GATE_BACKWARD,
    OP_MATMUL,
    OP_MATMUL_INPUT,
    OP_MATMUL_WEIGHT,
    OP_LOSS,
    OP_LOSS_BACKWARD,
    OP_ADD,
    OP_SCALE,
    OP_SQUARES,
    OP_ADAMW,
    OP_COUNT,
};

static const char *const names[OP_COUNT] = {
    "gather",
    "scatter add",
    "norm",
    "norm backward",
    "rope, both ways",
    "attention",
    "attention backward",
    "attention, branches",
    "gate",
    "gate backward",
    "product",
    "product, input gradient",
    "product, weight gradient",
    "loss",
    "loss backward",
    "add",
    "scale",
    "sum of squares",
    "AdamW",
};

/* Operations run one after the other on the thread that computes. */
static struct {
    double seconds, flops, bytes;
} totals[OP_COUNT];
static const struct kernel_ops *inner;

#define TIMED(OP, FLOPS, FLOATS, CALL)                                                             \
    do {                                                                                           \
        const int64_t start_ns = clock_cpu_ns();                                                   \
        inner->CALL;                                                                               \
        totals[OP].seconds += (double)(clock_cpu_ns() - start_ns) * 1e-9;                          \
        totals[OP].flops += (FLOPS);                                                               \
        totals[OP].bytes += 4.0 * (FLOATS);                                                        \
    } while (0)

static void gather(float *out, const int32_t *ids, const float *table, int N, int C)
{
    TIMED(OP_GATHER, 0, 2.0 * N * C, gather(out, ids, table, N, C));
}

static void scatter_add(float *table, const int32_t *ids, const float *out, int N, int C)
{
    TIMED(OP_SCATTER, 0, 3.0 * N * C, scatter_add(table, ids, out, N, C));
}

static void norm_forward(float *out, float *rstd, const float *in, const float *weight, double base,
                         double epsilon, int N, int C)
{
    TIMED(OP_NORM, 0, 2.0 * N * C, norm_forward(out, rstd, in, weight, base, epsilon, N, C));
}

static void norm_backward(float *grad_in, float *grad_weight, const float *grad_out,
                          const float *in, const float *weight, double base, const float *rstd,
                          int N, int C)
{
    TIMED(OP_NORM_BACKWARD, 0, 4.0 * N * C,
          norm_backward(grad_in, grad_weight, grad_out, in, weight, base, rstd, N, C));
}

static void rope_forward(float *x, const int32_t *positions, const float *table, int N, int H,
                         int D)
{
    TIMED(OP_ROPE, 0, 2.0 * N * H * D, rope_forward(x, positions, table, N, H, D));
}

static void rope_backward(float *x, const int32_t *positions, const float *table, int N, int H,
                          int D)
{
    TIMED(OP_ROPE, 0, 2.0 * N * H * D, rope_backward(x, positions, table, N, H, D));
}

/* Pairs of rows that see each other. */
static double pairs_of(const struct kernel_batch *batch, const struct kernel_attention *shape)
{
    double pairs = 0;
    for (int b = 0; b < batch->sequence_count; b++) {
        const double len = batch->len[b];
        const double window = shape->window > 0 && shape->window < len ? shape->window : len;
        pairs += window * (len - window) + 0.5 * window * (window + 1);
    }
    return pairs;
}

static void attention_forward(float *out, float *lse, const float *q, const float *k,
                              const float *v, const struct kernel_batch *batch,
                              const struct kernel_attention *shape, void *work)
{
    TIMED(OP_ATTENTION, 4 * pairs_of(batch, shape) * shape->H * shape->D, 0,
          attention_forward(out, lse, q, k, v, batch, shape, work));
}

static void attention_backward(float *grad_q, float *grad_k, float *grad_v, const float *grad_out,
                               const float *out, const float *lse, const float *q, const float *k,
                               const float *v, const struct kernel_batch *batch,
                               const struct kernel_attention *shape, void *work)
{
    TIMED(OP_ATTENTION_BACKWARD, 10 * pairs_of(batch, shape) * shape->H * shape->D, 0,
          attention_backward(grad_q, grad_k, grad_v, grad_out, out, lse, q, k, v, batch, shape,
                             work));
}

static void attention_branch(float *out, const float *q, const float *shared_k,
                             const float *shared_v, const float *own_k, const float *own_v,
                             const struct kernel_branch *branch,
                             const struct kernel_attention *shape, void *work)
{
    double pairs = 0;
    for (int n = 0; n < branch->rows; n++)
        pairs += branch->own_len[n] > 0 ? branch->shared_len + branch->own_len[n] : 0;
    TIMED(OP_BRANCH, 4 * pairs * shape->H * shape->D, 0,
          attention_branch(out, q, shared_k, shared_v, own_k, own_v, branch, shape, work));
}

static void swiglu_forward(float *out, const float *gate, const float *up, size_t count)
{
    TIMED(OP_GATE, 0, 3.0 * (double)count, swiglu_forward(out, gate, up, count));
}

static void swiglu_backward(float *grad_gate, float *grad_up, const float *grad_out,
                            const float *gate, const float *up, size_t count)
{
    TIMED(OP_GATE_BACKWARD, 0, 5.0 * (double)count,
          swiglu_backward(grad_gate, grad_up, grad_out, gate, up, count));
}

static void geglu_forward(float *out, const float *gate, const float *up, size_t count)
{
    TIMED(OP_GATE, 0, 3.0 * (double)count, geglu_forward(out, gate, up, count));
}

static void geglu_backward(float *grad_gate, float *grad_up, const float *grad_out,
                           const float *gate, const float *up, size_t count)
{
    TIMED(OP_GATE_BACKWARD, 0, 5.0 * (double)count,
          geglu_backward(grad_gate, grad_up, grad_out, gate, up, count));
}

static void matmul_forward(float *out, const float *in, const float *weight, int N, int C, int O)
{
    TIMED(OP_MATMUL, 2.0 * N * C * O, 0, matmul_forward(out, in, weight, N, C, O));
}

static void matmul_forward_stored(float *out, const float *in, const void *weight, int N, int C,
                                  int O)
{
    TIMED(OP_MATMUL, 2.0 * N * C * O, 0, matmul_forward_stored(out, in, weight, N, C, O));
}

static void matmul_backward_input(float *grad_in, const float *grad_out, const float *weight, int N,
                                  int C, int O, bool add)
{
    TIMED(OP_MATMUL_INPUT, 2.0 * N * C * O, 0,
          matmul_backward_input(grad_in, grad_out, weight, N, C, O, add));
}

static void matmul_backward_weight(float *grad_weight, const float *grad_out, const float *in,
                                   int N, int C, int O)
{
    TIMED(OP_MATMUL_WEIGHT, 2.0 * N * C * O, 0,
          matmul_backward_weight(grad_weight, grad_out, in, N, C, O));
}

static void loss_forward(double *nats, double *lse, bool *hit, const float *logits,
                         const int32_t *targets, int N, int V)
{
    TIMED(OP_LOSS, 0, 1.0 * N * V, loss_forward(nats, lse, hit, logits, targets, N, V));
}

static void loss_backward(float *logits, const double *lse, const int32_t *targets, double scale,
                          int N, int V)
{
    TIMED(OP_LOSS_BACKWARD, 0, 2.0 * N * V, loss_backward(logits, lse, targets, scale, N, V));
}

static void add(float *out, const float *in, size_t count)
{
    TIMED(OP_ADD, 0, 3.0 * (double)count, add(out, in, count));
}

static void scale(float *x, double factor, size_t count)
{
    TIMED(OP_SCALE, 0, 2.0 * (double)count, scale(x, factor, count));
}

static double sum_squares(const float *x, size_t count)
{
    double sum = 0;
    const int64_t start_ns = clock_cpu_ns();
    sum = inner->sum_squares(x, count);
    totals[OP_SQUARES].seconds += (double)(clock_cpu_ns() - start_ns) * 1e-9;
    totals[OP_SQUARES].bytes += 4.0 * (double)count;
    return sum;
}

static void adamw(float *parameters, float *moment1, float *moment2, const float *gradients,
                  const struct kernel_adamw *step, size_t count)
{
    TIMED(OP_ADAMW, 0, 7.0 * (double)count,
          adamw(parameters, moment1, moment2, gradients, step, count));
}

void bench_ops_begin(void)
{
    static struct kernel_ops timed;
    inner = kernel_select();
    timed = *inner;
    timed.gather = gather;
    timed.scatter_add = scatter_add;
    timed.norm_forward = norm_forward;
    timed.norm_backward = norm_backward;
    timed.rope_forward = rope_forward;
    timed.rope_backward = rope_backward;
    timed.attention_forward = attention_forward;
    timed.attention_backward = attention_backward;
    timed.attention_branch = attention_branch;
    timed.swiglu_forward = swiglu_forward;
    timed.swiglu_backward = swiglu_backward;
    timed.geglu_forward = geglu_forward;
    timed.geglu_backward = geglu_backward;
    timed.matmul_forward = matmul_forward;
    if (inner->matmul_forward_stored)
        timed.matmul_forward_stored = matmul_forward_stored;
    timed.matmul_backward_input = matmul_backward_input;
    timed.matmul_backward_weight = matmul_backward_weight;
    timed.loss_forward = loss_forward;
    timed.loss_backward = loss_backward;
    timed.add = add;
    timed.scale = scale;
    timed.sum_squares = sum_squares;
    timed.adamw = adamw;
    kernel_override(&timed);
    bench_ops_reset();
}

void bench_ops_reset(void)
{
    for (int op = 0; op < OP_COUNT; op++)
        totals[op].seconds = totals[op].flops = totals[op].bytes = 0;
}

void bench_ops_end(void)
{
    kernel_override(NULL);
}

void bench_ops_report(struct bench_report *report, const char *title, double seconds, int rounds)
{
    double left = seconds;
    bench_report_section(report, title);
    for (int op = 0; op < OP_COUNT; op++) {
        const double s = totals[op].seconds;
        if (s <= 0)
            continue;
        left -= s;
        bench_report_op(report, names[op], 1e3 * s / rounds, 100 * s / seconds,
                        1e-9 * totals[op].flops / s, 1e-9 * totals[op].bytes / s);
    }
    bench_report_op(report, "between operations", 1e3 * left / rounds, 100 * left / seconds, 0, 0);
}
