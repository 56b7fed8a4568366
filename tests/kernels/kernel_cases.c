/* The table of operations: see kernel_cases.h. */
#include "kernel_cases.h"

#include <math.h>
#include <string.h>

#include "check.h"

/* One call, written once and compiled for both precisions; REAL is the type of the arrays. */
#define RUN(NAME, ...)                                                                             \
    static void NAME##_f32(const struct kernel_ops *ops, const struct problem *p, float *const *x) \
    {                                                                                              \
        typedef float REAL;                                                                        \
        const struct case_shape *s = &p->shape;                                                    \
        (void)s;                                                                                   \
        (void)sizeof(REAL);                                                                        \
        __VA_ARGS__                                                                                \
    }                                                                                              \
    static void NAME##_f64(const struct kernel_ops_f64 *ops, const struct problem *p,              \
                           double *const *x)                                                       \
    {                                                                                              \
        typedef double REAL;                                                                       \
        const struct case_shape *s = &p->shape;                                                    \
        (void)s;                                                                                   \
        (void)sizeof(REAL);                                                                        \
        __VA_ARGS__                                                                                \
    }

#define EPSILON 1e-5
#define FACTOR  0.37
#define BASE    0.75
/* A window longer than a block of rows and shorter than the longest sequences, and one that cuts
 * the few rows of the difference quotients. */
#define WINDOW        70
#define WINDOW_NARROW 2
#define ROWS(WIDTH)   ((size_t)p->N * (size_t)s->WIDTH)

static const struct kernel_adamw adamw_step = {.learning_rate = 1e-2,
                                               .beta1 = 0.9,
                                               .beta2 = 0.95,
                                               .epsilon = 1e-8,
                                               .weight_decay = 0.1,
                                               .correction1 = 0.19,
                                               .correction2 = 0.0975};

static struct kernel_attention attention_of(const struct problem *p, int window)
{
    return (struct kernel_attention){p->shape.H, p->shape.G, p->shape.D, window,
                                     1 / sqrt(p->shape.D)};
}

RUN(gather, ops->gather(x[0], p->ids, x[1], p->N, s->C);)
RUN(scatter_add, ops->scatter_add(x[0], p->ids, x[1], p->N, s->C);)
RUN(norm_forward, ops->norm_forward(x[0], x[1], x[2], x[3], BASE, EPSILON, p->N, s->C);)
RUN(norm_backward, ops->norm_backward(x[0], x[1], x[2], x[3], x[4], BASE, x[5], p->N, s->C);)
RUN(rope_forward, ops->rope_forward(x[0], p->positions, x[1], p->N, s->H, s->D);)
RUN(rope_backward, ops->rope_backward(x[0], p->positions, x[1], p->N, s->H, s->D);)
#define RUN_ATTENTION(NAME, W)                                                                     \
    RUN(NAME##_forward, const struct kernel_attention a = attention_of(p, W);                      \
        ops->attention_forward(x[0], x[1], x[2], x[3], x[4], &p->batch, &a, p->work);)             \
    RUN(NAME##_backward, const struct kernel_attention a = attention_of(p, W);                     \
        ops->attention_backward(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7], x[8], &p->batch,   \
                                &a, p->work);)
RUN_ATTENTION(attention, 0)
RUN_ATTENTION(window, WINDOW)
RUN_ATTENTION(narrow, WINDOW_NARROW)
#define RUN_BRANCH(NAME, W)                                                                        \
    RUN(NAME, const struct kernel_attention shape = attention_of(p, W);                            \
        const struct kernel_branch branch = {p->N, CASE_SHARED, p->own_first, p->own_len};         \
        ops->attention_branch(x[0], x[1], x[2], x[3], x[4], x[5], &branch, &shape, p->work);)
RUN_BRANCH(attention_branch, 0)
RUN_BRANCH(window_branch, WINDOW)
RUN_BRANCH(narrow_branch, WINDOW_NARROW)
RUN(swiglu_forward, ops->swiglu_forward(x[0], x[1], x[2], ROWS(O));)
RUN(swiglu_backward, ops->swiglu_backward(x[0], x[1], x[2], x[3], x[4], ROWS(O));)
RUN(geglu_forward, ops->geglu_forward(x[0], x[1], x[2], ROWS(O));)
RUN(geglu_backward, ops->geglu_backward(x[0], x[1], x[2], x[3], x[4], ROWS(O));)
RUN(matmul_forward, ops->matmul_forward(x[0], x[1], x[2], p->N, s->C, s->O);)
RUN(matmul_input, ops->matmul_backward_input(x[0], x[1], x[2], p->N, s->C, s->O, false);)
RUN(matmul_input_add, ops->matmul_backward_input(x[0], x[1], x[2], p->N, s->C, s->O, true);)
RUN(matmul_weight, ops->matmul_backward_weight(x[0], x[1], x[2], p->N, s->C, s->O);)
RUN(
    loss_forward, ops->loss_forward(p->nats, p->lse, p->hit, x[3], p->targets, p->N, s->O);
    for (int n = 0; n < p->N; n++) {
        x[0][n] = (REAL)p->nats[n];
        x[1][n] = (REAL)p->lse[n];
        x[2][n] = p->hit[n] ? 1 : 0;
    })
RUN(loss_backward, for (int n = 0; n < p->N; n++) p->lse[n] = (double)x[1][n];
    ops->loss_backward(x[0], p->lse, p->targets, CASE_LOSS_SCALE, p->N, s->O);)
RUN(add, ops->add(x[0], x[1], ROWS(C));)
RUN(scale, ops->scale(x[0], FACTOR, ROWS(C));)
RUN(sum_squares, x[0][0] = (REAL)ops->sum_squares(x[1], ROWS(C));)
RUN(adamw, ops->adamw(x[0], x[1], x[2], x[3], &adamw_step, ROWS(C));)

/* ---- the forward passes of the backward operations, in double ---- */

static const struct kernel_ops_f64 *const ref = &kernels_ref_f64;

static void forward_gather(const struct problem *p, double *const *x, double *out)
{
    ref->gather(out, p->ids, x[2], p->N, p->shape.C);
}

static void forward_norm(const struct problem *p, double *const *x, double *out)
{
    ref->norm_forward(out, x[5], x[3], x[4], BASE, EPSILON, p->N, p->shape.C);
}

static void forward_rope(const struct problem *p, double *const *x, double *out)
{
    memcpy(out, x[2], p->count[2] * sizeof *out);
    ref->rope_forward(out, p->positions, x[1], p->N, p->shape.H, p->shape.D);
}

static void forward_attended(const struct problem *p, double *const *x, double *out, int window)
{
    const struct kernel_attention shape = attention_of(p, window);
    ref->attention_forward(out, x[5], x[6], x[7], x[8], &p->batch, &shape, NULL);
    memcpy(x[4], out, p->count[4] * sizeof *out);
}

static void forward_attention(const struct problem *p, double *const *x, double *out)
{
    forward_attended(p, x, out, 0);
}

static void forward_window(const struct problem *p, double *const *x, double *out)
{
    forward_attended(p, x, out, WINDOW);
}

static void forward_narrow(const struct problem *p, double *const *x, double *out)
{
    forward_attended(p, x, out, WINDOW_NARROW);
}

static void forward_swiglu(const struct problem *p, double *const *x, double *out)
{
    ref->swiglu_forward(out, x[3], x[4], p->count[3]);
}

static void forward_geglu(const struct problem *p, double *const *x, double *out)
{
    ref->geglu_forward(out, x[3], x[4], p->count[3]);
}

static void forward_matmul_input(const struct problem *p, double *const *x, double *out)
{
    ref->matmul_forward(out, x[3], x[2], p->N, p->shape.C, p->shape.O);
}

static void forward_matmul_weight(const struct problem *p, double *const *x, double *out)
{
    ref->matmul_forward(out, x[2], x[3], p->N, p->shape.C, p->shape.O);
}

static void forward_loss(const struct problem *p, double *const *x, double *out)
{
    ref->loss_forward(out, x[1], p->hit, x[0], p->targets, p->N, p->shape.O);
}

/* ---- what a call costs ---- */

static double matmul_flops(const struct problem *p)
{
    return 2.0 * p->N * p->shape.C * p->shape.O;
}

/* Two products over the causal half. */
static double attention_flops(const struct problem *p)
{
    double pairs = 0;
    for (int b = 0; b < p->batch.sequence_count; b++)
        pairs += 0.5 * p->len[b] * p->len[b];
    return 4.0 * pairs * p->shape.H * p->shape.D;
}

/* Five products: the scores are computed again. */
static double attention_backward_flops(const struct problem *p)
{
    return 2.5 * attention_flops(p);
}

static double branch_flops(const struct problem *p)
{
    double rows = 0;
    for (int b = 0; b < p->batch.sequence_count; b++)
        rows += p->len[b];
    return attention_flops(p) + 4.0 * rows * CASE_SHARED * p->shape.H * p->shape.D;
}

/* ---- the table ---- */

#define IN_ROWS(E)                                                                                 \
    {                                                                                              \
        ROLE_IN, true, EXTENT_##E, 0                                                               \
    }
#define OUT_ROWS(E)                                                                                \
    {                                                                                              \
        ROLE_OUT, true, EXTENT_##E, 0                                                              \
    }
#define INOUT_ROWS(E)                                                                              \
    {                                                                                              \
        ROLE_INOUT, true, EXTENT_##E, 0                                                            \
    }
#define IN_ALL(E)                                                                                  \
    {                                                                                              \
        ROLE_IN, false, EXTENT_##E, 0                                                              \
    }
#define OUT_ALL(E)                                                                                 \
    {                                                                                              \
        ROLE_OUT, false, EXTENT_##E, 0                                                             \
    }
#define INOUT_ALL(E)                                                                               \
    {                                                                                              \
        ROLE_INOUT, false, EXTENT_##E, 0                                                           \
    }
#define RUNS(NAME) .run_f32 = NAME##_f32, .run_f64 = NAME##_f64
#define ATTENTION_FORWARD(TEXT, NAME, ...)                                                         \
    {                                                                                              \
        TEXT,                                                                                      \
            {OUT_ROWS(HD),                                                                         \
             OUT_ROWS(H),                                                                          \
             {ROLE_IN, true, EXTENT_HD, 1.5},                                                      \
             IN_ROWS(GD),                                                                          \
             IN_ROWS(GD)},                                                                         \
            BOUND_SUM, RUNS(NAME), __VA_ARGS__                                                     \
    }
#define ATTENTION_BRANCH(TEXT, NAME, ...)                                                          \
    {                                                                                              \
        TEXT,                                                                                      \
            {OUT_ROWS(HD), {ROLE_IN, true, EXTENT_HD, 1.5}, IN_ALL(PGD), IN_ALL(PGD), IN_ROWS(GD), \
             IN_ROWS(GD)},                                                                         \
            BOUND_SUM, RUNS(NAME), __VA_ARGS__                                                     \
    }
#define ATTENTION_BACKWARD(TEXT, NAME, FORWARD, ...)                                               \
    {                                                                                              \
        TEXT,                                                                                      \
            {OUT_ROWS(HD),                                                                         \
             OUT_ROWS(GD),                                                                         \
             OUT_ROWS(GD),                                                                         \
             IN_ROWS(HD),                                                                          \
             IN_ROWS(HD),                                                                          \
             IN_ROWS(H),                                                                           \
             {ROLE_IN, true, EXTENT_HD, 1.5},                                                      \
             IN_ROWS(GD),                                                                          \
             IN_ROWS(GD)},                                                                         \
            BOUND_CHAIN, RUNS(NAME), .forward = FORWARD, .upstream = 3, .input = {6, 7, 8},        \
                                     .gradient = {0, 1, 2}, .gradient_count = 3, __VA_ARGS__       \
    }

/* Bounds: one rounding is 6e-8; sums add the root of their number of terms, and cancel. */
#define BOUND_ELEMENT 1e-6
#define BOUND_SUM     5e-6
#define BOUND_CHAIN   5e-5 /* sums of products of rounded exponentials */

/* clang-format off */
const struct kernel_case kernel_cases[] = {
    {"gather", {OUT_ROWS(C), IN_ALL(TC)}, 0, RUNS(gather)},
    {"scatter_add", {INOUT_ALL(TC), IN_ROWS(C), IN_ALL(TC)}, BOUND_SUM, RUNS(scatter_add),
     .forward = forward_gather, .upstream = 1, .input = {2}, .gradient = {0}, .gradient_count = 1},
    {"norm_forward", {OUT_ROWS(C), OUT_ROWS(ONE), IN_ROWS(C), IN_ALL(C)}, BOUND_SUM,
     RUNS(norm_forward)},
    {"norm_backward",
     {INOUT_ROWS(C), INOUT_ALL(C), IN_ROWS(C), IN_ROWS(C), IN_ALL(C), IN_ROWS(ONE)}, BOUND_SUM,
     RUNS(norm_backward), .forward = forward_norm, .upstream = 2, .input = {3, 4},
     .gradient = {0, 1}, .gradient_count = 2},
    {"rope_forward", {INOUT_ROWS(HD), IN_ALL(TD)}, BOUND_ELEMENT, RUNS(rope_forward)},
    {"rope_backward", {INOUT_ROWS(HD), IN_ALL(TD), IN_ROWS(HD)}, BOUND_ELEMENT,
     RUNS(rope_backward), .forward = forward_rope, .upstream = 0, .input = {2}, .gradient = {0},
     .gradient_count = 1},
    ATTENTION_FORWARD("attention_forward", attention_forward, .flops = attention_flops),
    ATTENTION_BACKWARD("attention_backward", attention_backward, forward_attention,
                       .flops = attention_backward_flops),
    ATTENTION_FORWARD("attention_forward, window", window_forward),
    ATTENTION_BACKWARD("attention_backward, window", window_backward, forward_window),
    ATTENTION_FORWARD("attention_forward, narrow window", narrow_forward),
    ATTENTION_BACKWARD("attention_backward, narrow window", narrow_backward, forward_narrow),
    ATTENTION_BRANCH("attention_branch", attention_branch, .flops = branch_flops),
    ATTENTION_BRANCH("attention_branch, window", window_branch),
    ATTENTION_BRANCH("attention_branch, narrow window", narrow_branch),
    {"swiglu_forward", {OUT_ROWS(O), {ROLE_IN, true, EXTENT_O, 8}, IN_ROWS(O)}, BOUND_ELEMENT,
     RUNS(swiglu_forward)},
    {"swiglu_backward",
     {OUT_ROWS(O), OUT_ROWS(O), IN_ROWS(O), {ROLE_IN, true, EXTENT_O, 2}, IN_ROWS(O)},
     BOUND_ELEMENT, RUNS(swiglu_backward), .forward = forward_swiglu, .upstream = 2,
     .input = {3, 4}, .gradient = {0, 1}, .gradient_count = 2},
    {"geglu_forward", {OUT_ROWS(O), {ROLE_IN, true, EXTENT_O, 4}, IN_ROWS(O)}, BOUND_ELEMENT,
     RUNS(geglu_forward)},
    {"geglu_backward",
     {OUT_ROWS(O), OUT_ROWS(O), IN_ROWS(O), {ROLE_IN, true, EXTENT_O, 1.5}, IN_ROWS(O)},
     BOUND_ELEMENT, RUNS(geglu_backward), .forward = forward_geglu, .upstream = 2,
     .input = {3, 4}, .gradient = {0, 1}, .gradient_count = 2},
    {"matmul_forward", {OUT_ROWS(O), IN_ROWS(C), IN_ALL(OC)}, BOUND_SUM, RUNS(matmul_forward),
     .flops = matmul_flops},
    {"matmul_backward_input", {OUT_ROWS(C), IN_ROWS(O), IN_ALL(OC), IN_ROWS(C)}, BOUND_SUM,
     RUNS(matmul_input), .forward = forward_matmul_input, .upstream = 1, .input = {3},
     .gradient = {0}, .gradient_count = 1, .flops = matmul_flops},
    {"matmul_backward_input, added", {INOUT_ROWS(C), IN_ROWS(O), IN_ALL(OC), IN_ROWS(C)}, BOUND_SUM,
     RUNS(matmul_input_add), .forward = forward_matmul_input, .upstream = 1, .input = {3},
     .gradient = {0}, .gradient_count = 1, .flops = matmul_flops},
    {"matmul_backward_weight", {INOUT_ALL(OC), IN_ROWS(O), IN_ROWS(C), IN_ALL(OC)}, BOUND_SUM,
     RUNS(matmul_weight), .forward = forward_matmul_weight, .upstream = 1, .input = {3},
     .gradient = {0}, .gradient_count = 1, .flops = matmul_flops},
    {"loss_forward",
     {OUT_ROWS(ONE), OUT_ROWS(ONE), OUT_ROWS(ONE), {ROLE_IN, true, EXTENT_O, 4}}, BOUND_ELEMENT,
     RUNS(loss_forward)},
    {"loss_backward", {{ROLE_INOUT, true, EXTENT_O, 4}, IN_ROWS(ONE)}, BOUND_SUM,
     RUNS(loss_backward), .forward = forward_loss, .upstream = -1, .input = {0}, .gradient = {0},
     .gradient_count = 1},
    {"add", {INOUT_ROWS(C), IN_ROWS(C)}, BOUND_ELEMENT, RUNS(add)},
    {"scale", {INOUT_ROWS(C)}, BOUND_ELEMENT, RUNS(scale)},
    {"sum_squares", {OUT_ALL(ONE), IN_ROWS(C)}, BOUND_ELEMENT, RUNS(sum_squares)},
    {"adamw", {INOUT_ROWS(C), INOUT_ROWS(C), {ROLE_INOUT, true, EXTENT_C, -1}, IN_ROWS(C)},
     BOUND_ELEMENT, RUNS(adamw)},
};
/* clang-format on */

const size_t kernel_case_count = ARRAY_COUNT(kernel_cases);
