/* The reference: the formulas of kernels.h as plain loops with double accumulators, one thread.
 * This body is compiled twice, for REAL float (ref_f32.c) and double (ref_f64.c); both are the same
 * text. */
#ifndef TRIAD_REF_BODY_H
#define TRIAD_REF_BODY_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

static void ref_gather(REAL *out, const int32_t *ids, const REAL *table, int N, int C)
{
    for (int n = 0; n < N; n++)
        for (int c = 0; c < C; c++)
            out[(size_t)n * (size_t)C + (size_t)c] =
                ids[n] < 0 ? 0 : table[(size_t)ids[n] * (size_t)C + (size_t)c];
}

static void ref_scatter_add(REAL *grad_table, const int32_t *ids, const REAL *grad_out, int N,
                            int C)
{
    for (int n = 0; n < N; n++)
        for (int c = 0; c < C && ids[n] >= 0; c++)
            grad_table[(size_t)ids[n] * (size_t)C + (size_t)c] +=
                grad_out[(size_t)n * (size_t)C + (size_t)c];
}

static void ref_norm_forward(REAL *out, REAL *rstd, const REAL *in, const REAL *weight, double base,
                             double epsilon, int N, int C)
{
    for (int n = 0; n < N; n++) {
        const REAL *x = in + (size_t)n * (size_t)C;
        double squares = 0;
        for (int c = 0; c < C; c++)
            squares += (double)x[c] * (double)x[c];
        const double r = 1.0 / sqrt(squares / C + epsilon);
        for (int c = 0; c < C; c++)
            out[(size_t)n * (size_t)C + (size_t)c] =
                (REAL)((double)x[c] * r * (base + (double)weight[c]));
        rstd[n] = (REAL)r;
    }
}

/* With y = x r w, w the base and the weight, and r = (mean(x^2) + e)^(-1/2):
 * dL/dx = r (w dy) - x r^3 / C * sum(w dy x). */
static void ref_norm_backward(REAL *grad_in, REAL *grad_weight, const REAL *grad_out,
                              const REAL *in, const REAL *weight, double base, const REAL *rstd,
                              int N, int C)
{
    for (int n = 0; n < N; n++) {
        const REAL *x = in + (size_t)n * (size_t)C;
        const REAL *dy = grad_out + (size_t)n * (size_t)C;
        const double r = (double)rstd[n];
        double dot = 0;
        for (int c = 0; c < C; c++)
            dot += (base + (double)weight[c]) * (double)dy[c] * (double)x[c];
        for (int c = 0; c < C; c++) {
            grad_in[(size_t)n * (size_t)C + (size_t)c] +=
                (REAL)(r * (base + (double)weight[c]) * (double)dy[c] -
                       (double)x[c] * r * r * r / C * dot);
            grad_weight[c] += (REAL)((double)dy[c] * (double)x[c] * r);
        }
    }
}

static void ref_rotate(REAL *x, const int32_t *positions, const REAL *table, int N, int H, int D,
                       double sign)
{
    const int half = D / 2;
    for (int n = 0; n < N; n++) {
        const REAL *cosine = table + (size_t)positions[n] * (size_t)D;
        const REAL *sine = cosine + half;
        for (int h = 0; h < H; h++) {
            REAL *head = x + ((size_t)n * (size_t)H + (size_t)h) * (size_t)D;
            for (int d = 0; d < half; d++) {
                const double a = (double)head[d];
                const double b = (double)head[d + half];
                head[d] = (REAL)(a * (double)cosine[d] - sign * b * (double)sine[d]);
                head[d + half] = (REAL)(b * (double)cosine[d] + sign * a * (double)sine[d]);
            }
        }
    }
}

static void ref_rope_forward(REAL *x, const int32_t *positions, const REAL *table, int N, int H,
                             int D)
{
    ref_rotate(x, positions, table, N, H, D, 1);
}

static void ref_rope_backward(REAL *x, const int32_t *positions, const REAL *table, int N, int H,
                              int D)
{
    ref_rotate(x, positions, table, N, H, D, -1);
}

static double ref_dot(const REAL *a, const REAL *b, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

/* The first row that row t sees. */
static int ref_window_begin(const struct kernel_attention *shape, int t)
{
    return shape->window > 0 && t >= shape->window ? t - shape->window + 1 : 0;
}

/* Log-sum-exp of the scaled scores of a query against the keys that row t sees. */
static double ref_attention_lse(const REAL *q, const REAL *k, size_t key_row, int t,
                                const struct kernel_attention *shape)
{
    const double scale = shape->scale;
    const int D = shape->D, begin = ref_window_begin(shape, t);
    double largest = -HUGE_VAL;
    double sum = 0;
    for (int s = begin; s <= t; s++) {
        const double score = scale * ref_dot(q, k + (size_t)s * key_row, D);
        largest = score > largest || isnan(score) ? score : largest;
    }
    for (int s = begin; s <= t; s++)
        sum += exp(scale * ref_dot(q, k + (size_t)s * key_row, D) - largest);
    return largest + log(sum);
}

/* out = sum of e^(score - lse) v over the keys that row t sees, some channels at a time: their sums
 * are double.
 */
static void ref_attention_mix(REAL *out, double lse, const REAL *q, const REAL *k, const REAL *v,
                              size_t key_row, int t, const struct kernel_attention *shape)
{
    enum { CHANNELS = 64 };
    const int D = shape->D;
    for (int first = 0; first < D; first += CHANNELS) {
        const int end = first + CHANNELS < D ? first + CHANNELS : D;
        double sums[CHANNELS] = {0};
        for (int s = ref_window_begin(shape, t); s <= t; s++) {
            const size_t key = (size_t)s * key_row;
            const double p = exp(shape->scale * ref_dot(q, k + key, D) - lse);
            for (int d = first; d < end; d++)
                sums[d - first] += p * (double)v[key + (size_t)d];
        }
        for (int d = first; d < end; d++)
            out[d] = (REAL)sums[d - first];
    }
}

static void ref_attention_forward(REAL *out, REAL *lse, const REAL *q, const REAL *k, const REAL *v,
                                  const struct kernel_batch *batch,
                                  const struct kernel_attention *shape, void *work)
{
    const int H = shape->H, G = shape->G, D = shape->D;
    const size_t query_row = (size_t)H * (size_t)D;
    const size_t key_row = (size_t)G * (size_t)D;
    (void)work;
    memset(out, 0, (size_t)batch->rows * query_row * sizeof *out);
    memset(lse, 0, (size_t)batch->rows * (size_t)H * sizeof *lse);
    for (int b = 0; b < batch->sequence_count; b++)
        for (int t = 0; t < batch->len[b]; t++)
            for (int h = 0; h < H; h++) {
                const size_t first = (size_t)batch->start[b];
                const size_t n = first + (size_t)t;
                const size_t at = n * query_row + (size_t)h * (size_t)D;
                const size_t keys = first * key_row + (size_t)(h / (H / G)) * (size_t)D;
                const double total = ref_attention_lse(q + at, k + keys, key_row, t, shape);
                ref_attention_mix(out + at, total, q + at, k + keys, v + keys, key_row, t, shape);
                lse[n * (size_t)H + (size_t)h] = (REAL)total;
            }
}

/* One query's share of the gradients. With p = exp(s - lse), o = sum p v:
 * dv += p do; ds = p (do.v - do.o) scale; dq += ds k; dk += ds q (Dao et al. 2022, appendix B.2).
 */
static void ref_attention_query(REAL *grad_q, REAL *grad_k, REAL *grad_v, const REAL *grad_out,
                                double do_dot_o, double lse, const REAL *q, const REAL *k,
                                const REAL *v, size_t key_row, int t,
                                const struct kernel_attention *shape)
{
    const double scale = shape->scale;
    const int D = shape->D;
    for (int s = ref_window_begin(shape, t); s <= t; s++) {
        const size_t key = (size_t)s * key_row;
        const double p = exp(scale * ref_dot(q, k + key, D) - lse);
        const double ds = p * (ref_dot(grad_out, v + key, D) - do_dot_o) * scale;
        for (int d = 0; d < D; d++) {
            grad_v[key + (size_t)d] += (REAL)(p * (double)grad_out[d]);
            grad_q[d] += (REAL)(ds * (double)k[key + (size_t)d]);
            grad_k[key + (size_t)d] += (REAL)(ds * (double)q[d]);
        }
    }
}

static void ref_attention_backward(REAL *grad_q, REAL *grad_k, REAL *grad_v, const REAL *grad_out,
                                   const REAL *out, const REAL *lse, const REAL *q, const REAL *k,
                                   const REAL *v, const struct kernel_batch *batch,
                                   const struct kernel_attention *shape, void *work)
{
    const int H = shape->H, G = shape->G, D = shape->D;
    const size_t query_row = (size_t)H * (size_t)D;
    const size_t key_row = (size_t)G * (size_t)D;
    (void)work;
    memset(grad_q, 0, (size_t)batch->rows * query_row * sizeof *grad_q);
    memset(grad_k, 0, (size_t)batch->rows * key_row * sizeof *grad_k);
    memset(grad_v, 0, (size_t)batch->rows * key_row * sizeof *grad_v);
    for (int b = 0; b < batch->sequence_count; b++)
        for (int t = 0; t < batch->len[b]; t++)
            for (int h = 0; h < H; h++) {
                const size_t first = (size_t)batch->start[b];
                const size_t n = first + (size_t)t;
                const size_t at = n * query_row + (size_t)h * (size_t)D;
                const size_t keys = first * key_row + (size_t)(h / (H / G)) * (size_t)D;
                ref_attention_query(grad_q + at, grad_k + keys, grad_v + keys, grad_out + at,
                                    ref_dot(grad_out + at, out + at, D),
                                    (double)lse[n * (size_t)H + (size_t)h], q + at, k + keys,
                                    v + keys, key_row, t, shape);
            }
}

/* The keys (or values) that a row sees, shared ones first: position s of `total`. */
static const REAL *ref_branch_key(const REAL *shared, const REAL *own,
                                  const struct kernel_branch *branch, int n, int s, size_t key_row)
{
    return s < branch->shared_len
               ? shared + (size_t)s * key_row
               : own + (size_t)(branch->own_first[n] + s - branch->shared_len) * key_row;
}

/* One head of one row, as ref_attention_lse() and ref_attention_mix() do it. */
static void ref_branch_row(REAL *out, const REAL *q, const REAL *const shared[2],
                           const REAL *const own[2], const struct kernel_branch *branch, int n,
                           size_t key_row, const struct kernel_attention *shape)
{
    enum { KEYS, VALUES, CHANNELS = 64 };
    const int D = shape->D;
    const int total = branch->own_len[n] > 0 ? branch->shared_len + branch->own_len[n] : 0;
    const int begin = ref_window_begin(shape, total - 1);
    double largest = -HUGE_VAL, sum = 0;
    for (int s = begin; s < total; s++) {
        const REAL *key = ref_branch_key(shared[KEYS], own[KEYS], branch, n, s, key_row);
        const double score = shape->scale * ref_dot(q, key, D);
        largest = score > largest || isnan(score) ? score : largest;
    }
    for (int first = 0; first < D; first += CHANNELS) {
        const int end = first + CHANNELS < D ? first + CHANNELS : D;
        double sums[CHANNELS] = {0};
        sum = 0;
        for (int s = begin; s < total; s++) {
            const REAL *key = ref_branch_key(shared[KEYS], own[KEYS], branch, n, s, key_row);
            const REAL *value = ref_branch_key(shared[VALUES], own[VALUES], branch, n, s, key_row);
            const double p = exp(shape->scale * ref_dot(q, key, D) - largest);
            sum += p;
            for (int d = first; d < end; d++)
                sums[d - first] += p * (double)value[d];
        }
        for (int d = first; d < end; d++)
            out[d] = (REAL)(total > 0 ? sums[d - first] / sum : 0);
    }
}

static void ref_attention_branch(REAL *out, const REAL *q, const REAL *shared_k,
                                 const REAL *shared_v, const REAL *own_k, const REAL *own_v,
                                 const struct kernel_branch *branch,
                                 const struct kernel_attention *shape, void *work)
{
    const int H = shape->H, G = shape->G, D = shape->D;
    const size_t key_row = (size_t)G * (size_t)D;
    (void)work;
    for (int n = 0; n < branch->rows; n++)
        for (int h = 0; h < H; h++) {
            const size_t at = ((size_t)n * (size_t)H + (size_t)h) * (size_t)D;
            const size_t head = (size_t)(h / (H / G)) * (size_t)D;
            const REAL *const shared[2] = {shared_k + head, shared_v + head};
            const REAL *const own[2] = {own_k + head, own_v + head};
            ref_branch_row(out + at, q + at, shared, own, branch, n, key_row, shape);
        }
}

static size_t ref_attention_bytes(int len_max, int D)
{
    (void)len_max;
    (void)D;
    return 0;
}

static void ref_swiglu_forward(REAL *out, const REAL *gate, const REAL *up, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = (REAL)((double)gate[i] / (1.0 + exp(-(double)gate[i])) * (double)up[i]);
}

/* silu'(x) = s (1 + x (1 - s)) with s = sigmoid(x). */
static void ref_swiglu_backward(REAL *grad_gate, REAL *grad_up, const REAL *grad_out,
                                const REAL *gate, const REAL *up, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const double x = (double)gate[i];
        const double s = 1.0 / (1.0 + exp(-x));
        grad_gate[i] = (REAL)((double)grad_out[i] * (double)up[i] * s * (1.0 + x * (1.0 - s)));
        grad_up[i] = (REAL)((double)grad_out[i] * x * s);
    }
}

/* gelu(x) = x s with s = (1 + tanh(u)) / 2 = sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3). */
static double ref_gelu_share(double x)
{
    return 1.0 / (1.0 + exp(-2.0 * sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
}

static void ref_geglu_forward(REAL *out, const REAL *gate, const REAL *up, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = (REAL)((double)gate[i] * ref_gelu_share((double)gate[i]) * (double)up[i]);
}

/* gelu'(x) = s + x s (1 - s) 2u'. */
static void ref_geglu_backward(REAL *grad_gate, REAL *grad_up, const REAL *grad_out,
                               const REAL *gate, const REAL *up, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const double x = (double)gate[i];
        const double s = ref_gelu_share(x);
        const double slope = 2.0 * sqrt(2.0 / M_PI) * (1.0 + 3.0 * 0.044715 * x * x);
        grad_gate[i] =
            (REAL)((double)grad_out[i] * (double)up[i] * (s + x * s * (1.0 - s) * slope));
        grad_up[i] = (REAL)((double)grad_out[i] * x * s);
    }
}

static void ref_matmul_forward(REAL *out, const REAL *in, const REAL *weight, int N, int C, int O)
{
    for (int n = 0; n < N; n++)
        for (int o = 0; o < O; o++)
            out[(size_t)n * (size_t)O + (size_t)o] =
                (REAL)ref_dot(in + (size_t)n * (size_t)C, weight + (size_t)o * (size_t)C, C);
}

static void ref_matmul_backward_input(REAL *grad_in, const REAL *grad_out, const REAL *weight,
                                      int N, int C, int O, bool add)
{
    for (int n = 0; n < N; n++)
        for (int c = 0; c < C; c++) {
            double sum = 0;
            for (int o = 0; o < O; o++)
                sum += (double)grad_out[(size_t)n * (size_t)O + (size_t)o] *
                       (double)weight[(size_t)o * (size_t)C + (size_t)c];
            REAL *target = &grad_in[(size_t)n * (size_t)C + (size_t)c];
            *target = (REAL)(add ? (double)*target + sum : sum);
        }
}

static void ref_matmul_backward_weight(REAL *grad_weight, const REAL *grad_out, const REAL *in,
                                       int N, int C, int O)
{
    for (int o = 0; o < O; o++)
        for (int c = 0; c < C; c++) {
            double sum = 0;
            for (int n = 0; n < N; n++)
                sum += (double)grad_out[(size_t)n * (size_t)O + (size_t)o] *
                       (double)in[(size_t)n * (size_t)C + (size_t)c];
            grad_weight[(size_t)o * (size_t)C + (size_t)c] += (REAL)sum;
        }
}

static void ref_loss_forward(double *nats, double *lse, bool *hit, const REAL *logits,
                             const int32_t *targets, int N, int V)
{
    for (int n = 0; n < N; n++) {
        const REAL *row = logits + (size_t)n * (size_t)V;
        int best = 0;
        double sum = 0;
        nats[n] = lse[n] = 0;
        hit[n] = false;
        if (targets[n] < 0)
            continue;
        for (int i = 1; i < V; i++)
            if (row[i] > row[best])
                best = i;
        for (int i = 0; i < V; i++)
            sum += exp((double)row[i] - (double)row[best]);
        lse[n] = (double)row[best] + log(sum);
        nats[n] = lse[n] - (double)row[targets[n]];
        hit[n] = best == targets[n] && !isnan(nats[n]);
    }
}

static void ref_loss_backward(REAL *logits, const double *lse, const int32_t *targets, double scale,
                              int N, int V)
{
    for (int n = 0; n < N; n++) {
        REAL *row = logits + (size_t)n * (size_t)V;
        for (int i = 0; i < V; i++)
            row[i] = (REAL)(targets[n] < 0 ? 0
                                           : scale * (exp((double)row[i] - lse[n]) -
                                                      (i == targets[n] ? 1.0 : 0.0)));
    }
}

static void ref_add(REAL *out, const REAL *in, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] += in[i];
}

static void ref_scale(REAL *x, double factor, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] = (REAL)((double)x[i] * factor);
}

static double ref_sum_squares(const REAL *x, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

static void ref_adamw(REAL *parameters, REAL *moment1, REAL *moment2, const REAL *gradients,
                      const struct kernel_adamw *step, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const double g = (double)gradients[i];
        const double m = step->beta1 * (double)moment1[i] + (1.0 - step->beta1) * g;
        const double v = step->beta2 * (double)moment2[i] + (1.0 - step->beta2) * g * g;
        const double update = m / step->correction1 / (sqrt(v / step->correction2) + step->epsilon);
        const double p = (double)parameters[i];
        parameters[i] = (REAL)(p - step->learning_rate * (update + step->weight_decay * p));
        moment1[i] = (REAL)m;
        moment2[i] = (REAL)v;
    }
}

#define REF_OPS                                                                                    \
    {                                                                                              \
        .name = REF_NAME, .gather = ref_gather, .scatter_add = ref_scatter_add,                    \
        .norm_forward = ref_norm_forward, .norm_backward = ref_norm_backward,                      \
        .rope_forward = ref_rope_forward, .rope_backward = ref_rope_backward,                      \
        .attention_forward = ref_attention_forward, .attention_backward = ref_attention_backward,  \
        .attention_branch = ref_attention_branch, .attention_bytes = ref_attention_bytes,          \
        .swiglu_forward = ref_swiglu_forward, .swiglu_backward = ref_swiglu_backward,              \
        .geglu_forward = ref_geglu_forward, .geglu_backward = ref_geglu_backward,                  \
        .matmul_forward = ref_matmul_forward, .matmul_backward_input = ref_matmul_backward_input,  \
        .matmul_backward_weight = ref_matmul_backward_weight, .loss_forward = ref_loss_forward,    \
        .loss_backward = ref_loss_backward, .add = ref_add, .scale = ref_scale,                    \
        .sum_squares = ref_sum_squares, .adamw = ref_adamw,                                        \
    }

#endif
