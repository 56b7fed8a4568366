/* Elementwise operations over fixed ranges of KERNEL_RANGE elements. */
#include <math.h>

#include "blas_ops.h"
#include "kernel_pool.h"
#include "vector_math.h"

#define NS_PER_ELEMENT 0.3

struct elements {
    float *out, *out2, *out3;
    const float *a, *b, *c;
    double *partial;
    double factor;
    const struct kernel_adamw *step;
    size_t count;
};

static void over_ranges(kernel_task_f *task, struct elements *e, double weight)
{
    kernel_pool_run(task, e, (int)((e->count + KERNEL_RANGE - 1) / KERNEL_RANGE),
                    weight * NS_PER_ELEMENT * (double)e->count);
}

static size_t range_end(int index, size_t count)
{
    const size_t end = ((size_t)index + 1) * KERNEL_RANGE;
    return end < count ? end : count;
}

/* sigmoid(x) without overflow: through e^-|x|. */
KERNEL_INLINE float sigmoid(float x)
{
    const float e = vector_exp(x > 0 ? -x : x);
    const float numerator = x > 0 ? 1.0f : e;
    return numerator / (1.0f + e);
}

KERNEL_CLONES
static void swiglu_range(const struct elements *e, size_t first, size_t end)
{
    /* Local pointers: the compiler cannot vectorise over members that a store might change. */
    float *restrict out = e->out;
    const float *restrict gate = e->a;
    const float *restrict up = e->b;
    for (size_t i = first; i < end; i++)
        out[i] = gate[i] * sigmoid(gate[i]) * up[i];
}

static void swiglu_task(void *ctx, int index, int thread)
{
    const struct elements *e = ctx;
    (void)thread;
    swiglu_range(e, (size_t)index * KERNEL_RANGE, range_end(index, e->count));
}

void blas_swiglu_forward(float *out, const float *gate, const float *up, size_t count)
{
    struct elements e = {.out = out, .a = gate, .b = up, .count = count};
    over_ranges(swiglu_task, &e, 4);
}

KERNEL_CLONES
static void swiglu_backward_range(const struct elements *e, size_t first, size_t end)
{
    float *restrict grad_gate = e->out;
    float *restrict grad_up = e->out2;
    const float *restrict gate = e->a;
    const float *restrict up = e->b;
    const float *restrict grad_out = e->c;
    for (size_t i = first; i < end; i++) {
        const float x = gate[i];
        const float s = sigmoid(x);
        grad_gate[i] = grad_out[i] * up[i] * s * (1.0f + x * (1.0f - s));
        grad_up[i] = grad_out[i] * x * s;
    }
}

static void swiglu_backward_task(void *ctx, int index, int thread)
{
    const struct elements *e = ctx;
    (void)thread;
    swiglu_backward_range(e, (size_t)index * KERNEL_RANGE, range_end(index, e->count));
}

void blas_swiglu_backward(float *grad_gate, float *grad_up, const float *grad_out,
                          const float *gate, const float *up, size_t count)
{
    struct elements e = {
        .out = grad_gate, .out2 = grad_up, .a = gate, .b = up, .c = grad_out, .count = count};
    over_ranges(swiglu_backward_task, &e, 5);
}

/* GELU in its tanh form is x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3). */
#define GELU_SLOPE 1.5957691216f /* 2 sqrt(2/pi) */
#define GELU_CUBIC 0.044715f

KERNEL_CLONES
static void geglu_range(const struct elements *e, size_t first, size_t end)
{
    float *restrict out = e->out;
    const float *restrict gate = e->a;
    const float *restrict up = e->b;
    for (size_t i = first; i < end; i++) {
        const float x = gate[i];
        out[i] = x * sigmoid(GELU_SLOPE * x * (1.0f + GELU_CUBIC * x * x)) * up[i];
    }
}

static void geglu_task(void *ctx, int index, int thread)
{
    const struct elements *e = ctx;
    (void)thread;
    geglu_range(e, (size_t)index * KERNEL_RANGE, range_end(index, e->count));
}

void blas_geglu_forward(float *out, const float *gate, const float *up, size_t count)
{
    struct elements e = {.out = out, .a = gate, .b = up, .count = count};
    over_ranges(geglu_task, &e, 4);
}

KERNEL_CLONES
static void geglu_backward_range(const struct elements *e, size_t first, size_t end)
{
    float *restrict grad_gate = e->out;
    float *restrict grad_up = e->out2;
    const float *restrict gate = e->a;
    const float *restrict up = e->b;
    const float *restrict grad_out = e->c;
    for (size_t i = first; i < end; i++) {
        const float x = gate[i];
        const float s = sigmoid(GELU_SLOPE * x * (1.0f + GELU_CUBIC * x * x));
        const float slope = GELU_SLOPE * (1.0f + 3.0f * GELU_CUBIC * x * x);
        grad_gate[i] = grad_out[i] * up[i] * s * (1.0f + x * (1.0f - s) * slope);
        grad_up[i] = grad_out[i] * x * s;
    }
}

static void geglu_backward_task(void *ctx, int index, int thread)
{
    const struct elements *e = ctx;
    (void)thread;
    geglu_backward_range(e, (size_t)index * KERNEL_RANGE, range_end(index, e->count));
}

void blas_geglu_backward(float *grad_gate, float *grad_up, const float *grad_out, const float *gate,
                         const float *up, size_t count)
{
    struct elements e = {
        .out = grad_gate, .out2 = grad_up, .a = gate, .b = up, .c = grad_out, .count = count};
    over_ranges(geglu_backward_task, &e, 5);
}

KERNEL_CLONES
static void add_range(const struct elements *e, size_t first, size_t end)
{
    float *restrict out = e->out;
    const float *restrict in = e->a;
    for (size_t i = first; i < end; i++)
        out[i] += in[i];
}

static void add_task(void *ctx, int index, int thread)
{
    const struct elements *e = ctx;
    (void)thread;
    add_range(e, (size_t)index * KERNEL_RANGE, range_end(index, e->count));
}

void blas_add(float *out, const float *in, size_t count)
{
    struct elements e = {.out = out, .a = in, .count = count};
    over_ranges(add_task, &e, 1);
}

KERNEL_CLONES
static void scale_range(const struct elements *e, size_t first, size_t end)
{
    const float factor = (float)e->factor;
    float *restrict out = e->out;
    for (size_t i = first; i < end; i++)
        out[i] *= factor;
}

static void scale_task(void *ctx, int index, int thread)
{
    const struct elements *e = ctx;
    (void)thread;
    scale_range(e, (size_t)index * KERNEL_RANGE, range_end(index, e->count));
}

void blas_scale(float *x, double factor, size_t count)
{
    struct elements e = {.out = x, .factor = factor, .count = count};
    over_ranges(scale_task, &e, 1);
}

KERNEL_CLONES
static double squares_range(const float *x, size_t count)
{
    double lanes[KERNEL_LANES] = {0};
    double sum = 0;
    size_t i = 0;
    for (; i + KERNEL_LANES <= count; i += KERNEL_LANES)
        for (int l = 0; l < KERNEL_LANES; l++)
            lanes[l] += (double)x[i + (size_t)l] * (double)x[i + (size_t)l];
    for (; i < count; i++)
        lanes[i % KERNEL_LANES] += (double)x[i] * (double)x[i];
    for (int l = 0; l < KERNEL_LANES; l++)
        sum += lanes[l];
    return sum;
}

static void squares_task(void *ctx, int index, int thread)
{
    const struct elements *e = ctx;
    const size_t first = (size_t)index * KERNEL_RANGE;
    (void)thread;
    e->partial[index] = squares_range(e->a + first, range_end(index, e->count) - first);
}

double blas_sum_squares(const float *x, size_t count)
{
    enum { RANGES = 256 }; /* partial sums held at once */
    double partial[RANGES];
    double sum = 0;
    for (size_t first = 0; first < count; first += RANGES * KERNEL_RANGE) {
        const size_t left = count - first;
        struct elements e = {.a = x + first,
                             .partial = partial,
                             .count = left < RANGES * KERNEL_RANGE ? left : RANGES * KERNEL_RANGE};
        over_ranges(squares_task, &e, 1);
        for (size_t i = 0; i < (e.count + KERNEL_RANGE - 1) / KERNEL_RANGE; i++)
            sum += partial[i];
    }
    return sum;
}

KERNEL_CLONES
static void adamw_range(const struct elements *e, size_t first, size_t end)
{
    const struct kernel_adamw *s = e->step;
    const float beta1 = (float)s->beta1, rest1 = (float)(1.0 - s->beta1);
    const float beta2 = (float)s->beta2, rest2 = (float)(1.0 - s->beta2);
    const float rate = (float)(s->learning_rate / s->correction1);
    const float spread = (float)(1.0 / sqrt(s->correction2));
    const float epsilon = (float)s->epsilon;
    const float decay = (float)(s->learning_rate * s->weight_decay);
    float *restrict parameters = e->out;
    float *restrict moment1 = e->out2;
    float *restrict moment2 = e->out3;
    const float *restrict gradients = e->a;
    for (size_t i = first; i < end; i++) {
        const float g = gradients[i];
        const float m = beta1 * moment1[i] + rest1 * g;
        const float v = beta2 * moment2[i] + rest2 * g * g;
        const float p = parameters[i];
        parameters[i] = p - decay * p - rate * m / (sqrtf(v) * spread + epsilon);
        moment1[i] = m;
        moment2[i] = v;
    }
}

static void adamw_task(void *ctx, int index, int thread)
{
    const struct elements *e = ctx;
    (void)thread;
    adamw_range(e, (size_t)index * KERNEL_RANGE, range_end(index, e->count));
}

void blas_adamw(float *parameters, float *moment1, float *moment2, const float *gradients,
                const struct kernel_adamw *step, size_t count)
{
    struct elements e = {.out = parameters,
                         .out2 = moment1,
                         .out3 = moment2,
                         .a = gradients,
                         .step = step,
                         .count = count};
    over_ranges(adamw_task, &e, 4);
}
