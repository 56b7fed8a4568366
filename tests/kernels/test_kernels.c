/* Every operation: the fast version against the reference in double over odd shapes, into
 * NaN-filled guarded buffers; the reference's backward against central differences of its own
 * forward in double, with a negative control; the bit contract over batch compositions and thread
 * counts. */
#include "cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_cases.h"
#include "kernel_pool.h"

static const struct kernel_ops *fast;
static const struct kernel_ops_f64 *ref = &kernels_ref_f64;

/* Error bounds relative to the largest output: a few units in the last place of float, times the
 * root of the number of terms. */
#define BOUND_ELEMENT 1e-6
#define BOUND_SUM     5e-6 /* the worst case is a norm over one channel, where terms cancel */

static void expect_near(const char *what, const struct guarded *g, const double *wanted,
                        double bound)
{
    const double error = relative_error(g->data, wanted, g->count);
    if (!(error <= bound))
        print_error("%s: relative error %g, bound %g\n", what, error, bound);
    assert_true(error <= bound);
    assert_true(guarded_is_intact(g));
}

/* Copy of accumulated-into floats, guarded. */
static struct guarded guarded_copy(const float *source, size_t count)
{
    struct guarded g = guarded_new(count);
    memcpy(g.data, source, count * sizeof *source);
    return g;
}

/* ---- agreement ---- */

static void test_matmul_agrees(void **state)
{
    (void)state;
    static const int shapes[][3] = {{64, 1, 1},      {64, 7, 5},     {128, 128, 384},
                                    {192, 64, 1030}, {320, 172, 64}, {2112, 33, 65}};
    struct rng rng = rng_new(1, "matmul");
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        const int N = shapes[s][0], C = shapes[s][1], O = shapes[s][2];
        const size_t NC = (size_t)N * (size_t)C, NO = (size_t)N * (size_t)O,
                     OC = (size_t)O * (size_t)C;
        struct values in = values_random(&rng, NC, 1), weight = values_random(&rng, OC, 1);
        struct values grad = values_random(&rng, NO, 1), start = values_random(&rng, NC, 1);
        struct values start_w = values_random(&rng, OC, 1);
        struct values want = values_zero(NO);
        struct guarded out = guarded_new(NO);
        fast->matmul_forward(out.data, in.f, weight.f, N, C, O);
        ref->matmul_forward(want.d, in.d, weight.d, N, C, O);
        expect_near("matmul_forward", &out, want.d, BOUND_SUM);

        struct guarded overwritten = guarded_new(NC);
        struct guarded added = guarded_copy(start.f, NC);
        struct values want_in = values_zero(NC);
        fast->matmul_backward_input(overwritten.data, grad.f, weight.f, N, C, O, false);
        ref->matmul_backward_input(want_in.d, grad.d, weight.d, N, C, O, false);
        expect_near("matmul_backward_input", &overwritten, want_in.d, BOUND_SUM);
        fast->matmul_backward_input(added.data, grad.f, weight.f, N, C, O, true);
        ref->matmul_backward_input(start.d, grad.d, weight.d, N, C, O, true);
        expect_near("matmul_backward_input add", &added, start.d, BOUND_SUM);

        struct guarded grad_w = guarded_copy(start_w.f, OC);
        fast->matmul_backward_weight(grad_w.data, grad.f, in.f, N, C, O);
        ref->matmul_backward_weight(start_w.d, grad.d, in.d, N, C, O);
        expect_near("matmul_backward_weight", &grad_w, start_w.d, BOUND_SUM);
        struct values *all[] = {&in, &weight, &grad, &start, &start_w, &want, &want_in};
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
            values_free(all[i]);
        struct guarded *guards[] = {&out, &overwritten, &added, &grad_w};
        for (size_t i = 0; i < sizeof guards / sizeof guards[0]; i++)
            guarded_free(guards[i]);
    }
}

struct attention_case {
    struct layout layout;
    int H, G, D;
    struct values q, k, v, grad_out, out, lse;
};

static void attention_make(struct attention_case *c, struct rng *rng, const int *lens, int count,
                           int H, int G, int D, double spread)
{
    layout_make(&c->layout, lens, count);
    const size_t rows = (size_t)c->layout.batch.rows;
    c->H = H;
    c->G = G;
    c->D = D;
    c->q = values_random(rng, rows * (size_t)(H * D), spread);
    c->k = values_random(rng, rows * (size_t)(G * D), spread);
    c->v = values_random(rng, rows * (size_t)(G * D), 1);
    c->grad_out = values_random(rng, rows * (size_t)(H * D), 1);
    c->out = values_zero(rows * (size_t)(H * D));
    c->lse = values_zero(rows * (size_t)H);
    struct values *wide[] = {&c->q, &c->grad_out};
    struct values *narrow[] = {&c->k, &c->v};
    for (int i = 0; i < 2; i++) {
        layout_clear_padding(&c->layout, wide[i]->f, H * D);
        layout_clear_padding_f64(&c->layout, wide[i]->d, H * D);
        layout_clear_padding(&c->layout, narrow[i]->f, G * D);
        layout_clear_padding_f64(&c->layout, narrow[i]->d, G * D);
    }
    ref->attention_forward(c->out.d, c->lse.d, c->q.d, c->k.d, c->v.d, &c->layout.batch, H, G, D,
                           NULL);
    for (size_t i = 0; i < c->out.count; i++)
        c->out.f[i] = (float)c->out.d[i];
    for (size_t i = 0; i < c->lse.count; i++)
        c->lse.f[i] = (float)c->lse.d[i];
}

static void attention_free(struct attention_case *c)
{
    struct values *all[] = {&c->q, &c->k, &c->v, &c->grad_out, &c->out, &c->lse};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        values_free(all[i]);
    layout_free(&c->layout);
}

static void *attention_work(const struct attention_case *c)
{
    void *work = malloc(fast->attention_bytes(c->layout.batch.rows, c->D) + 1);
    assert_non_null(work);
    return work;
}

static void test_attention_agrees(void **state)
{
    (void)state;
    static const int lens[] = {1, 63, 64, 65, 200, 7};
    static const int heads[][3] = {{1, 1, 2}, {4, 2, 32}, {6, 2, 10}, {3, 3, 64}};
    struct rng rng = rng_new(2, "attention");
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        struct attention_case c;
        attention_make(&c, &rng, lens, 6, heads[i][0], heads[i][1], heads[i][2], 1.5);
        void *work = attention_work(&c);
        struct guarded out = guarded_new(c.out.count), lse = guarded_new(c.lse.count);
        fast->attention_forward(out.data, lse.data, c.q.f, c.k.f, c.v.f, &c.layout.batch, c.H, c.G,
                                c.D, work);
        layout_clear_padding(&c.layout, out.data, c.H * c.D);
        layout_clear_padding(&c.layout, lse.data, c.H);
        expect_near("attention_forward", &out, c.out.d, BOUND_SUM);
        expect_near("attention_forward lse", &lse, c.lse.d, BOUND_SUM);
        struct values gq = values_zero(c.q.count), gk = values_zero(c.k.count),
                      gv = values_zero(c.v.count);
        struct guarded fq = guarded_new(c.q.count), fk = guarded_new(c.k.count),
                       fv = guarded_new(c.v.count);
        ref->attention_backward(gq.d, gk.d, gv.d, c.grad_out.d, c.out.d, c.lse.d, c.q.d, c.k.d,
                                c.v.d, &c.layout.batch, c.H, c.G, c.D, NULL);
        fast->attention_backward(fq.data, fk.data, fv.data, c.grad_out.f, c.out.f, c.lse.f, c.q.f,
                                 c.k.f, c.v.f, &c.layout.batch, c.H, c.G, c.D, work);
        expect_near("attention_backward q", &fq, gq.d, 10 * BOUND_SUM);
        expect_near("attention_backward k", &fk, gk.d, 10 * BOUND_SUM);
        expect_near("attention_backward v", &fv, gv.d, 10 * BOUND_SUM);
        struct guarded *guards[] = {&out, &lse, &fq, &fk, &fv};
        for (size_t g = 0; g < sizeof guards / sizeof guards[0]; g++)
            guarded_free(guards[g]);
        values_free(&gq);
        values_free(&gk);
        values_free(&gv);
        free(work);
        attention_free(&c);
    }
}

static void test_rows_agree(void **state)
{
    (void)state;
    static const int shapes[][2] = {{64, 1}, {128, 127}, {192, 130}, {64, 768}};
    struct rng rng = rng_new(3, "rows");
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        const int N = shapes[s][0], C = shapes[s][1];
        const size_t count = (size_t)N * (size_t)C;
        struct values in = values_random(&rng, count, 2),
                      weight = values_random(&rng, (size_t)C, 1);
        struct values grad = values_random(&rng, count, 1), start = values_random(&rng, count, 1);
        struct values grad_w = values_random(&rng, (size_t)C, 1);
        struct values want = values_zero(count), rstd = values_zero((size_t)N);
        struct guarded out = guarded_new(count), out_r = guarded_new((size_t)N);
        fast->norm_forward(out.data, out_r.data, in.f, weight.f, 1e-5, N, C);
        ref->norm_forward(want.d, rstd.d, in.d, weight.d, 1e-5, N, C);
        expect_near("norm_forward", &out, want.d, BOUND_SUM);
        expect_near("norm_forward rstd", &out_r, rstd.d, BOUND_SUM);
        struct guarded gi = guarded_copy(start.f, count), gw = guarded_copy(grad_w.f, (size_t)C);
        fast->norm_backward(gi.data, gw.data, grad.f, in.f, weight.f, out_r.data, N, C);
        ref->norm_backward(start.d, grad_w.d, grad.d, in.d, weight.d, rstd.d, N, C);
        expect_near("norm_backward", &gi, start.d, BOUND_SUM);
        expect_near("norm_backward weight", &gw, grad_w.d, BOUND_SUM);

        int32_t ids[192];
        for (int n = 0; n < N; n++)
            ids[n] = (int32_t)rng_below(&rng, 20) - 2; /* repeats, and two kinds of nothing */
        struct values table = values_random(&rng, 20 * (size_t)C, 1);
        struct guarded got = guarded_new(count), sum = guarded_copy(table.f, 20 * (size_t)C);
        fast->gather(got.data, ids, table.f, N, C);
        ref->gather(want.d, ids, table.d, N, C);
        expect_near("gather", &got, want.d, 0);
        fast->scatter_add(sum.data, ids, grad.f, N, C);
        ref->scatter_add(table.d, ids, grad.d, N, C);
        expect_near("scatter_add", &sum, table.d, BOUND_SUM);
        struct values *all[] = {&in, &weight, &grad, &start, &grad_w, &want, &rstd, &table};
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
            values_free(all[i]);
        struct guarded *guards[] = {&out, &out_r, &gi, &gw, &got, &sum};
        for (size_t i = 0; i < sizeof guards / sizeof guards[0]; i++)
            guarded_free(guards[i]);
    }
}

static void test_rope_agrees_and_inverts(void **state)
{
    (void)state;
    enum { N = 128, H = 3, D = 10, T = 200 };
    struct rng rng = rng_new(4, "rope");
    struct values x = values_random(&rng, N * H * D, 1), table = values_zero(T * D);
    int32_t positions[N];
    for (int n = 0; n < N; n++)
        positions[n] = (int32_t)rng_below(&rng, T);
    for (int t = 0; t < T; t++)
        for (int d = 0; d < D / 2; d++) {
            const double angle = t * pow(10000, -2.0 * d / D);
            table.f[t * D + d] = (float)cos(angle);
            table.f[t * D + D / 2 + d] = (float)sin(angle);
        }
    for (size_t i = 0; i < table.count; i++)
        table.d[i] = (double)table.f[i];
    struct guarded got = guarded_copy(x.f, x.count);
    struct values want = values_zero(x.count);
    memcpy(want.d, x.d, x.count * sizeof *x.d);
    fast->rope_forward(got.data, positions, table.f, N, H, D);
    ref->rope_forward(want.d, positions, table.d, N, H, D);
    expect_near("rope_forward", &got, want.d, BOUND_ELEMENT);
    fast->rope_backward(got.data, positions, table.f, N, H, D);
    expect_near("rope_backward of rope_forward", &got, x.d, BOUND_ELEMENT);
    values_free(&x);
    values_free(&table);
    values_free(&want);
    guarded_free(&got);
}

static void test_elements_agree(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 15, 1000, KERNEL_RANGE + 3, 3 * KERNEL_RANGE};
    struct rng rng = rng_new(5, "elements");
    for (size_t s = 0; s < sizeof counts / sizeof counts[0]; s++) {
        const size_t n = counts[s];
        struct values a = values_random(&rng, n, 8), b = values_random(&rng, n, 2),
                      c = values_random(&rng, n, 1), want = values_zero(n), want2 = values_zero(n);
        struct guarded out = guarded_new(n), out2 = guarded_new(n);
        fast->swiglu_forward(out.data, a.f, b.f, n);
        ref->swiglu_forward(want.d, a.d, b.d, n);
        expect_near("swiglu_forward", &out, want.d, BOUND_ELEMENT);
        fast->swiglu_backward(out.data, out2.data, c.f, a.f, b.f, n);
        ref->swiglu_backward(want.d, want2.d, c.d, a.d, b.d, n);
        expect_near("swiglu_backward gate", &out, want.d, BOUND_ELEMENT);
        expect_near("swiglu_backward up", &out2, want2.d, BOUND_ELEMENT);
        double squares = ref->sum_squares(a.d, n);
        assert_true(fabs(fast->sum_squares(a.f, n) - squares) <= 1e-12 * squares);
        const struct kernel_adamw step = {.learning_rate = 1e-2,
                                          .beta1 = 0.9,
                                          .beta2 = 0.95,
                                          .epsilon = 1e-8,
                                          .weight_decay = 0.1,
                                          .correction1 = 0.19,
                                          .correction2 = 0.0975};
        for (size_t i = 0; i < n; i++)
            b.d[i] = (double)(b.f[i] = fabsf(b.f[i])); /* second moments are not negative */
        struct guarded p = guarded_copy(a.f, n), v = guarded_copy(b.f, n), m = guarded_copy(c.f, n);
        struct values grad = values_random(&rng, n, 1);
        fast->adamw(p.data, m.data, v.data, grad.f, &step, n);
        ref->adamw(a.d, c.d, b.d, grad.d, &step, n);
        expect_near("adamw parameters", &p, a.d, BOUND_ELEMENT);
        expect_near("adamw first moment", &m, c.d, BOUND_ELEMENT);
        expect_near("adamw second moment", &v, b.d, BOUND_ELEMENT);
        fast->add(p.data, m.data, n);
        ref->add(a.d, c.d, n);
        fast->scale(p.data, 0.37, n);
        ref->scale(a.d, 0.37, n);
        expect_near("add, scale", &p, a.d, BOUND_ELEMENT);
        struct values *all[] = {&a, &b, &c, &want, &want2, &grad};
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
            values_free(all[i]);
        struct guarded *guards[] = {&out, &out2, &p, &v, &m};
        for (size_t i = 0; i < sizeof guards / sizeof guards[0]; i++)
            guarded_free(guards[i]);
    }
}

static void test_loss_agrees(void **state)
{
    (void)state;
    static const int vocabularies[] = {1, 3, 512, 1030};
    struct rng rng = rng_new(6, "loss");
    for (size_t s = 0; s < sizeof vocabularies / sizeof vocabularies[0]; s++) {
        enum { N = 128 };
        const int V = vocabularies[s];
        struct values logits = values_random(&rng, (size_t)N * (size_t)V, 4);
        int32_t targets[N];
        double nats[N], lse[N], want_nats[N], want_lse[N];
        bool hit[N], want_hit[N];
        for (int n = 0; n < N; n++)
            targets[n] = n % 7 == 6 ? -1 : (int32_t)rng_below(&rng, (uint64_t)V);
        fast->loss_forward(nats, lse, hit, logits.f, targets, N, V);
        ref->loss_forward(want_nats, want_lse, want_hit, logits.d, targets, N, V);
        for (int n = 0; n < N; n++) {
            assert_true(fabs(nats[n] - want_nats[n]) <= 2e-7 * (1 + fabs(want_nats[n])));
            assert_int_equal(hit[n], want_hit[n]);
        }
        struct guarded grad = guarded_copy(logits.f, logits.count);
        fast->loss_backward(grad.data, lse, targets, 0.25, N, V);
        ref->loss_backward(logits.d, want_lse, targets, 0.25, N, V);
        expect_near("loss_backward", &grad, logits.d, 4 * BOUND_SUM);
        double row_sum = 0; /* softmax minus one-hot adds up to nothing */
        for (int i = 0; i < V; i++)
            row_sum += (double)grad.data[i];
        assert_true(fabs(row_sum) < 1e-5);
        guarded_free(&grad);
        values_free(&logits);
    }
}

static void test_nan_stays_visible(void **state)
{
    (void)state;
    enum { N = 64, V = 100 };
    struct rng rng = rng_new(7, "nan");
    struct values logits = values_random(&rng, N * V, 1);
    int32_t targets[N] = {0};
    double nats[N], lse[N];
    bool hit[N];
    logits.f[5 * V + 50] = NAN;
    logits.f[6 * V + 1] = INFINITY;
    fast->loss_forward(nats, lse, hit, logits.f, targets, N, V);
    assert_true(isnan(nats[5]));
    assert_true(isfinite(nats[6]) == 0);
    assert_true(isfinite(nats[4]) != 0);
    struct guarded out = guarded_new(V);
    fast->swiglu_forward(out.data, logits.f + 5 * V, logits.f, V);
    assert_true(isnan(out.data[50]));
    assert_true(isnan(fast->sum_squares(logits.f, logits.count)));
    guarded_free(&out);
    values_free(&logits);
}

/* ---- central differences in double ---- */

/* d/dx of sum(weights * forward(x)) by differences against `gradient`; the largest relative error.
 */
typedef void forward_f(void *ctx, double *out);

static double difference_error(forward_f *forward, void *ctx, double *x, size_t x_count,
                               size_t out_count, const double *weights, const double *gradient)
{
    const double step = 1e-5;
    double *plus = calloc(out_count, sizeof *plus), *minus = calloc(out_count, sizeof *minus);
    double worst = 0, largest = 1e-12;
    assert_non_null(plus);
    assert_non_null(minus);
    for (size_t i = 0; i < x_count; i++) {
        const double kept = x[i];
        double slope = 0;
        x[i] = kept + step;
        forward(ctx, plus);
        x[i] = kept - step;
        forward(ctx, minus);
        x[i] = kept;
        for (size_t j = 0; j < out_count; j++)
            slope += weights[j] * (plus[j] - minus[j]) / (2 * step);
        worst = fmax(worst, fabs(slope - gradient[i]));
        largest = fmax(largest, fabs(slope));
    }
    free(plus);
    free(minus);
    return worst / largest;
}

#define DIFFERENCE_BOUND 1e-7

/* The gradient must pass, and the same gradient with one entry off by a thousandth of the largest
 * must not: a test that cannot fail would show here. */
static void expect_gradient(const char *what, forward_f *forward, void *ctx, double *x,
                            size_t x_count, size_t out_count, const double *weights,
                            double *gradient)
{
    const double error = difference_error(forward, ctx, x, x_count, out_count, weights, gradient);
    if (!(error < DIFFERENCE_BOUND))
        print_error("%s: central differences are off by %g\n", what, error);
    assert_true(error < DIFFERENCE_BOUND);
    double largest = 0;
    for (size_t i = 0; i < x_count; i++)
        largest = fmax(largest, fabs(gradient[i]));
    gradient[x_count / 2] += 1e-3 * largest;
    assert_true(difference_error(forward, ctx, x, x_count, out_count, weights, gradient) >
                DIFFERENCE_BOUND);
    gradient[x_count / 2] -= 1e-3 * largest;
}

struct difference {
    int N, C, O;
    double *a, *b, *rstd, *lse;
    const int32_t *targets, *positions;
    const double *table;
    struct attention_case *attention;
};

static void run_matmul(void *ctx, double *out)
{
    const struct difference *d = ctx;
    ref->matmul_forward(out, d->a, d->b, d->N, d->C, d->O);
}

static void run_norm(void *ctx, double *out)
{
    const struct difference *d = ctx;
    ref->norm_forward(out, d->rstd, d->a, d->b, 1e-5, d->N, d->C);
}

static void run_swiglu(void *ctx, double *out)
{
    const struct difference *d = ctx;
    ref->swiglu_forward(out, d->a, d->b, (size_t)d->C);
}

static void run_rope(void *ctx, double *out)
{
    const struct difference *d = ctx;
    memcpy(out, d->a, (size_t)(d->N * d->O * d->C) * sizeof *out);
    ref->rope_forward(out, d->positions, d->table, d->N, d->O, d->C);
}

static void run_loss(void *ctx, double *out)
{
    const struct difference *d = ctx;
    bool hit[64];
    ref->loss_forward(out, d->lse, hit, d->a, d->targets, d->N, d->C);
}

static void run_gather(void *ctx, double *out)
{
    const struct difference *d = ctx;
    ref->gather(out, d->targets, d->a, d->N, d->C);
}

static void run_attention(void *ctx, double *out)
{
    struct attention_case *c = ((struct difference *)ctx)->attention;
    ref->attention_forward(out, c->lse.d, c->q.d, c->k.d, c->v.d, &c->layout.batch, c->H, c->G,
                           c->D, NULL);
}

static void test_gradients_matmul_norm(void **state)
{
    (void)state;
    enum { N = 4, C = 5, O = 3 };
    struct rng rng = rng_new(8, "differences");
    struct values in = values_random(&rng, N * C, 1), weight = values_random(&rng, O * C, 1),
                  up = values_random(&rng, N * C, 1), grad_in = values_zero(N * C),
                  grad_weight = values_zero(O * C);
    struct difference d = {.N = N, .C = C, .O = O, .a = in.d, .b = weight.d};
    ref->matmul_backward_input(grad_in.d, up.d, weight.d, N, C, O, false);
    ref->matmul_backward_weight(grad_weight.d, up.d, in.d, N, C, O);
    expect_gradient("matmul input", run_matmul, &d, in.d, N * C, N * O, up.d, grad_in.d);
    expect_gradient("matmul weight", run_matmul, &d, weight.d, O * C, N * O, up.d, grad_weight.d);

    double rstd[N];
    struct values norm_in = values_zero(N * C), norm_w = values_zero(C);
    d.rstd = rstd;
    ref->norm_forward(grad_in.d, rstd, in.d, weight.d, 1e-5, N, C);
    ref->norm_backward(norm_in.d, norm_w.d, up.d, in.d, weight.d, rstd, N, C);
    expect_gradient("norm input", run_norm, &d, in.d, N * C, N * C, up.d, norm_in.d);
    expect_gradient("norm weight", run_norm, &d, weight.d, C, N * C, up.d, norm_w.d);
    struct values *all[] = {&in, &weight, &up, &grad_in, &grad_weight, &norm_in, &norm_w};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        values_free(all[i]);
}

static void test_gradients_elements(void **state)
{
    (void)state;
    enum { COUNT = 9, N = 3, H = 2, D = 4, T = 6, V = 7 };
    struct rng rng = rng_new(9, "differences");
    struct values gate = values_random(&rng, COUNT, 2), up = values_random(&rng, COUNT, 1),
                  weights = values_random(&rng, N * V * D, 1), g1 = values_zero(N * H * D),
                  g2 = values_zero(COUNT);
    struct difference d = {.C = COUNT, .a = gate.d, .b = up.d};
    ref->swiglu_backward(g1.d, g2.d, weights.d, gate.d, up.d, COUNT);
    expect_gradient("swiglu gate", run_swiglu, &d, gate.d, COUNT, COUNT, weights.d, g1.d);
    expect_gradient("swiglu up", run_swiglu, &d, up.d, COUNT, COUNT, weights.d, g2.d);

    struct values x = values_random(&rng, N * H * D, 1), table = values_random(&rng, T * D, 1);
    const int32_t positions[N] = {5, 0, 3};
    struct difference r = {
        .N = N, .C = D, .O = H, .a = x.d, .positions = positions, .table = table.d};
    memcpy(g1.d, weights.d, N * H * D * sizeof *g1.d);
    ref->rope_backward(g1.d, positions, table.d, N, H, D);
    expect_gradient("rope", run_rope, &r, x.d, N * H * D, N * H * D, weights.d, g1.d);

    struct values logits = values_random(&rng, N * V, 2), grad = values_zero(N * V);
    const int32_t targets[N] = {6, -1, 2};
    double lse[N], nats[N];
    bool hit[N];
    struct difference l = {.N = N, .C = V, .a = logits.d, .lse = lse, .targets = targets};
    const double ones[N] = {1, 1, 1};
    ref->loss_forward(nats, lse, hit, logits.d, targets, N, V);
    memcpy(grad.d, logits.d, N * V * sizeof *grad.d);
    ref->loss_backward(grad.d, lse, targets, 1, N, V);
    expect_gradient("loss", run_loss, &l, logits.d, N * V, N, ones, grad.d);

    struct values rows = values_random(&rng, V * D, 1), grad_rows = values_zero(V * D);
    const int32_t ids[N] = {2, 2, -1};
    struct difference e = {.N = N, .C = D, .a = rows.d, .targets = ids};
    ref->scatter_add(grad_rows.d, ids, weights.d, N, D);
    grad_rows.d[V * D / 2] += 0; /* the negative control needs a non-zero largest */
    expect_gradient("gather", run_gather, &e, rows.d, V * D, N * D, weights.d, grad_rows.d);
    struct values *all[] = {&gate,  &up,     &weights, &g1,   &g2,       &x,
                            &table, &logits, &grad,    &rows, &grad_rows};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        values_free(all[i]);
}

static void test_gradients_attention(void **state)
{
    (void)state;
    static const int lens[] = {5, 1, 3};
    struct rng rng = rng_new(10, "differences");
    struct attention_case c;
    attention_make(&c, &rng, lens, 3, 4, 2, 6, 1);
    struct values gq = values_zero(c.q.count), gk = values_zero(c.k.count),
                  gv = values_zero(c.v.count), out = values_zero(c.out.count);
    struct difference d = {.attention = &c};
    ref->attention_backward(gq.d, gk.d, gv.d, c.grad_out.d, c.out.d, c.lse.d, c.q.d, c.k.d, c.v.d,
                            &c.layout.batch, c.H, c.G, c.D, NULL);
    /* The first sequence's rows are enough: the others must not feel them, which the sums include.
     */
    expect_gradient("attention q", run_attention, &d, c.q.d, 5 * 4 * 6, c.out.count, c.grad_out.d,
                    gq.d);
    expect_gradient("attention k", run_attention, &d, c.k.d, 5 * 2 * 6, c.out.count, c.grad_out.d,
                    gk.d);
    expect_gradient("attention v", run_attention, &d, c.v.d, 5 * 2 * 6, c.out.count, c.grad_out.d,
                    gv.d);
    values_free(&gq);
    values_free(&gk);
    values_free(&gv);
    values_free(&out);
    attention_free(&c);
}

/* ---- the bit contract ---- */

/* Attention, products and norms of one sequence alone, against the same sequence among others, on
 * one and on two threads: equal bits. */
static void test_bits_do_not_depend_on_company(void **state)
{
    (void)state;
    enum { H = 4, G = 2, D = 32, C = H * D, O = 200 };
    static const int alone_len[] = {150};
    static const int company_lens[] = {3, 150, 64, 129};
    struct rng rng = rng_new(11, "bits");
    struct attention_case alone, company;
    attention_make(&alone, &rng, alone_len, 1, H, G, D, 1);
    attention_make(&company, &rng, company_lens, 4, H, G, D, 1);
    const size_t rows = (size_t)alone.layout.batch.rows;
    const size_t at = (size_t)company.layout.start[1];
    memcpy(company.q.f + at * C, alone.q.f, rows * C * sizeof(float));
    memcpy(company.k.f + at * G * D, alone.k.f, rows * G * D * sizeof(float));
    memcpy(company.v.f + at * G * D, alone.v.f, rows * G * D * sizeof(float));
    memcpy(company.grad_out.f + at * C, alone.grad_out.f, rows * C * sizeof(float));
    struct values weight = values_random(&rng, (size_t)O * C, 1);
    for (int threads = 1; threads <= 2; threads++) {
        const struct attention_case *cases[] = {&alone, &company};
        float *out[2], *product[2], *grad[2];
        for (int i = 0; i < 2; i++) {
            const struct attention_case *c = cases[i];
            const int N = c->layout.batch.rows;
            /* Alone always on one thread, company on one and on two. */
            kernel_threads_set(i == 0 ? 1 : threads);
            void *work = attention_work(c);
            float *lse = malloc(c->lse.count * sizeof *lse);
            float *gk = malloc(c->k.count * sizeof *gk), *gv = malloc(c->v.count * sizeof *gv);
            out[i] = malloc(c->out.count * sizeof *out[i]);
            grad[i] = malloc(c->q.count * sizeof *grad[i]);
            product[i] = malloc((size_t)N * O * sizeof *product[i]);
            fast->attention_forward(out[i], lse, c->q.f, c->k.f, c->v.f, &c->layout.batch, H, G, D,
                                    work);
            fast->attention_backward(grad[i], gk, gv, c->grad_out.f, out[i], lse, c->q.f, c->k.f,
                                     c->v.f, &c->layout.batch, H, G, D, work);
            fast->matmul_forward(product[i], out[i], weight.f, N, C, O);
            free(work);
            free(lse);
            free(gk);
            free(gv);
        }
        assert_memory_equal(out[0], out[1] + at * C, 150 * C * sizeof(float));
        assert_memory_equal(grad[0], grad[1] + at * C, 150 * C * sizeof(float));
        assert_memory_equal(product[0], product[1] + at * O, 150 * O * sizeof(float));
        for (int i = 0; i < 2; i++) {
            free(out[i]);
            free(product[i]);
            free(grad[i]);
        }
    }
    kernel_threads_set(2);
    values_free(&weight);
    attention_free(&alone);
    attention_free(&company);
}

static void test_weight_gradients_do_not_depend_on_threads(void **state)
{
    (void)state;
    enum { N = 2112, C = 100, O = 300 };
    struct rng rng = rng_new(12, "bits");
    struct values in = values_random(&rng, N * C, 1), up = values_random(&rng, (size_t)N * O, 1);
    struct values a = values_zero(O * C), b = values_zero(O * C);
    struct values wa = values_zero(C), wb = values_zero(C), gi = values_zero(N * C),
                  rstd = values_random(&rng, N, 1), weight = values_random(&rng, C, 1);
    kernel_threads_set(1);
    fast->matmul_backward_weight(a.f, up.f, in.f, N, C, O);
    fast->norm_backward(gi.f, wa.f, up.f, in.f, weight.f, rstd.f, N, C);
    const double one = fast->sum_squares(up.f, up.count);
    kernel_threads_set(2);
    fast->matmul_backward_weight(b.f, up.f, in.f, N, C, O);
    fast->norm_backward(gi.f, wb.f, up.f, in.f, weight.f, rstd.f, N, C);
    const double two = fast->sum_squares(up.f, up.count);
    assert_memory_equal(a.f, b.f, a.count * sizeof(float));
    assert_memory_equal(wa.f, wb.f, C * sizeof(float));
    assert_memory_equal(&one, &two, sizeof one);
    struct values *all[] = {&in, &up, &a, &b, &wa, &wb, &gi, &rstd, &weight};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        values_free(all[i]);
}

static void test_probe_passes_here(void **state)
{
    (void)state;
    char text[256];
    const bool passes = kernel_probe(text, sizeof text);
    if (!passes)
        print_error("%s\n", text);
    assert_true(passes);
    print_message("numeric class %s\n", kernel_class());
}

int main(void)
{
    fast = kernel_select();
    kernel_threads_set(2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matmul_agrees),
        cmocka_unit_test(test_attention_agrees),
        cmocka_unit_test(test_rows_agree),
        cmocka_unit_test(test_rope_agrees_and_inverts),
        cmocka_unit_test(test_elements_agree),
        cmocka_unit_test(test_loss_agrees),
        cmocka_unit_test(test_nan_stays_visible),
        cmocka_unit_test(test_gradients_matmul_norm),
        cmocka_unit_test(test_gradients_elements),
        cmocka_unit_test(test_gradients_attention),
        cmocka_unit_test(test_bits_do_not_depend_on_company),
        cmocka_unit_test(test_weight_gradients_do_not_depend_on_threads),
        cmocka_unit_test(test_probe_passes_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
