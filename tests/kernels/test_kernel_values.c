/* Values known without a reference: the exponential against libm, sums that must be one, ties,
 * what NaN and infinity do, hand-computed steps. */
#include "cmocka_all.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "assert_near.h"
#include "check.h"
#include "kernels.h"
#include "rng.h"
#include "vector_math.h"

static const struct kernel_ops *fast;

/* ---- the exponential ---- */

/* Units in the last place of the true value (normal range). */
static double ulp_error(float got, double wanted)
{
    int exponent = 0;
    (void)frexp(wanted, &exponent);
    return fabs((double)got - wanted) / ldexp(1.0, exponent - FLT_MANT_DIG);
}

/* Every 97th float from -87 to 1, 21 million of them skipped in steps prime to the mantissa. */
static void test_exp_is_within_its_bound(void **state)
{
    double worst = 0;
    (void)state;
    for (float x = -87.0f; x < 1.0f; x += 1.0f / 16384.0f + fabsf(x) * 1e-5f) {
        const double error = ulp_error(vector_exp(x), exp((double)x));
        worst = fmax(worst, error);
    }
    print_message("vector_exp: at most %.3f ulp\n", worst);
    assert_true(worst <= VECTOR_EXP_ULP);
    assert_true(ulp_error(nextafterf(1.0f, 2.0f) * 1.0000004f, 1.0) > VECTOR_EXP_ULP);
}

static void test_exp_at_the_edges(void **state)
{
    (void)state;
    assert_true(isnan(vector_exp(NAN)) != 0);
    assert_near((double)vector_exp(0.0f), 1.0, 0);
    assert_near((double)vector_exp(-0.0f), 1.0, 0);
    assert_near((double)vector_exp(-INFINITY), 0.0, 0);
    assert_near((double)vector_exp(-87.1f), 0.0, 0);
    assert_near((double)vector_exp(-FLT_MAX), 0.0, 0);
    assert_near((double)vector_exp(-FLT_MIN), 1.0, 0);
    assert_true(!isfinite(vector_exp(INFINITY)));
}

/* The same loop as the compiler makes it for other instruction sets: equal bits. */
#define EXP_SUM(NAME, ATTRIBUTE)                                                                   \
    ATTRIBUTE static float NAME(float *x, int count)                                               \
    {                                                                                              \
        const float sum = row_exp_sum(x, count, row_max(x, count));                                \
        return sum + row_dot(x, x, count);                                                         \
    }
EXP_SUM(exp_sum_default, __attribute__((noinline)))
#if defined(__x86_64__)
EXP_SUM(exp_sum_avx2, __attribute__((noinline, target("avx2,fma"))))
EXP_SUM(exp_sum_avx512, __attribute__((noinline, target("avx512f,avx512dq,avx512bw,avx512vl,fma"))))
#endif

static void test_bits_do_not_depend_on_the_instruction_set(void **state)
{
    (void)state;
#if defined(__x86_64__)
    float start[333], x[333], y[333];
    struct rng rng = rng_new(1, "instruction sets");
    for (size_t i = 0; i < ARRAY_COUNT(start); i++)
        start[i] = (float)(5 * rng_normal(&rng));
    memcpy(x, start, sizeof start);
    const float sum = exp_sum_default(x, ARRAY_COUNT(x));
    if (!__builtin_cpu_supports("avx2"))
        skip();
    memcpy(y, start, sizeof start);
    const float sum_avx2 = exp_sum_avx2(y, ARRAY_COUNT(y));
    assert_memory_equal(&sum, &sum_avx2, sizeof sum);
    assert_memory_equal(x, y, sizeof x);
    if (!__builtin_cpu_supports("avx512vl"))
        skip();
    memcpy(y, start, sizeof start);
    const float sum_avx512 = exp_sum_avx512(y, ARRAY_COUNT(y));
    assert_memory_equal(&sum, &sum_avx512, sizeof sum);
    assert_memory_equal(x, y, sizeof x);
#else
    skip();
#endif
}

/* ---- loss ---- */

static void test_loss_of_equal_logits(void **state)
{
    enum { N = 64, V = 1030 };
    static float logits[N * V];
    int32_t targets[N];
    double nats[N], lse[N];
    bool hit[N];
    (void)state;
    for (int n = 0; n < N; n++)
        targets[n] = n - 1; /* the first row has none */
    for (size_t i = 0; i < ARRAY_COUNT(logits); i++)
        logits[i] = 3.0f;
    fast->loss_forward(nats, lse, hit, logits, targets, N, V);
    assert_near(nats[0], 0, 0);
    assert_near(nats[1], log(V), 1e-12);
    assert_near(lse[1], 3 + log(V), 1e-12);
    assert_true(hit[1]); /* the lowest index wins ties */
    for (int n = 0; n < N; n++)
        assert_int_equal(hit[n], n == 1);
    fast->loss_backward(logits, lse, targets, 0.5, N, V);
    double sum = 0;
    for (int i = 0; i < V; i++) {
        assert_near((double)logits[i], 0, 0);
        sum += (double)logits[V + i]; /* softmax minus one-hot adds up to nothing */
    }
    assert_near(sum, 0, 1e-6);
    assert_near((double)logits[V], 0.5 / V - 0.5, 1e-7);
}

/* A row with a NaN anywhere is NaN and no hit; its neighbours are untouched. */
static void test_loss_shows_nan(void **state)
{
    enum { N = 64, V = 100 };
    static float logits[N * V];
    int32_t targets[N] = {0};
    double nats[N], lse[N];
    bool hit[N];
    (void)state;
    for (int at = 0; at < V; at++) {
        memset(logits, 0, sizeof logits);
        logits[5 * V + at] = NAN;
        logits[6 * V + at] = INFINITY;
        fast->loss_forward(nats, lse, hit, logits, targets, N, V);
        assert_true(isnan(nats[5]) != 0);
        assert_false(hit[5]);
        assert_true(isnan(nats[6]) != 0);
        assert_false(hit[6]);
        assert_near(nats[4], log(V), 1e-12);
        assert_true(hit[4]);
    }
}

/* ---- the rest ---- */

static void test_elements_show_nan(void **state)
{
    float gate[40], up[40], out[40], out2[40];
    (void)state;
    for (int i = 0; i < 40; i++) {
        gate[i] = i == 17 ? NAN : i == 20 ? INFINITY : (float)i - 20.0f;
        up[i] = i == 30 ? NAN : 1.0f;
    }
    fast->swiglu_forward(out, gate, up, 40);
    for (int i = 0; i < 40; i++)
        assert_int_equal(!isfinite(out[i]), i == 17 || i == 20 || i == 30);
    assert_true(isinf(out[20]) != 0);
    fast->swiglu_backward(out, out2, up, gate, up, 40);
    assert_true(isnan(out[17]) != 0);
    assert_true(isnan(out2[17]) != 0);
    assert_true(isnan(out[30]) != 0);
    assert_true(isnan(fast->sum_squares(gate, 40)) != 0);
    gate[17] = 1;
    assert_true(isinf(fast->sum_squares(gate, 40)) != 0);
}

/* Squares that leave the range of float do not leave that of the sum. */
static void test_sum_squares_is_double(void **state)
{
    float x[3] = {3e30f, 4e30f, 1e-30f};
    (void)state;
    assert_near(fast->sum_squares(x, 3) / 2.5e61, 1, 1e-6);
    assert_near(fast->sum_squares(x + 2, 1) / 1e-60, 1, 1e-6);
}

/* Equal values average to themselves, whatever the weights: the softmax's rows add up to one. */
static void test_attention_of_equal_values(void **state)
{
    enum { H = 4, G = 2, D = 16, T = 100, N = 128 };
    static float q[N * H * D], k[N * G * D], v[N * G * D], out[N * H * D], lse[N * H];
    const int start = 0, len = T;
    const struct kernel_batch batch = {1, N, &start, &len};
    const struct kernel_attention shape = {H, G, D, 0, 1 / sqrt(D)};
    struct rng rng = rng_new(1, "equal values");
    (void)state;
    for (size_t i = 0; i < T * H * D; i++)
        q[i] = (float)(3 * rng_normal(&rng));
    for (size_t i = 0; i < T * G * D; i++) {
        k[i] = (float)rng_normal(&rng);
        v[i] = (float)(i % D) + 1;
    }
    void *work = malloc(fast->attention_bytes(T, D));
    fast->attention_forward(out, lse, q, k, v, &batch, &shape, work);
    for (int i = 0; i < T * H * D; i++)
        assert_near((double)out[i], i % D + 1, 1e-4);
    /* The first position sees itself alone. */
    double score = 0;
    for (int d = 0; d < D; d++)
        score += (double)q[d] * (double)k[d] / sqrt(D);
    assert_near((double)lse[0], score, 1e-5);
    /* A NaN in one sequence's key reaches later positions of its group, never earlier ones. */
    k[70 * G * D] = NAN;
    fast->attention_forward(out, lse, q, k, v, &batch, &shape, work);
    assert_true(isnan(out[71 * H * D]) != 0);
    assert_true(!isnan(out[69 * H * D]));
    assert_true(!isnan(out[71 * H * D + (H - 1) * D]));
    free(work);
}

/* One step by hand: m = 0.1 g, v = 0.05 g^2; both corrected give g / |g|: a step of the rate. */
static void test_first_adamw_step(void **state)
{
    const struct kernel_adamw step = {.learning_rate = 0.01,
                                      .beta1 = 0.9,
                                      .beta2 = 0.95,
                                      .epsilon = 0,
                                      .weight_decay = 0.1,
                                      .correction1 = 0.1,
                                      .correction2 = 0.05};
    float p[2] = {2, 2}, m[2] = {0}, v[2] = {0};
    const float g[2] = {0.3f, -70};
    (void)state;
    fast->adamw(p, m, v, g, &step, 2);
    assert_near((double)p[0], 2 - 0.01 - 0.01 * 0.1 * 2, 1e-6);
    assert_near((double)p[1], 2 + 0.01 - 0.01 * 0.1 * 2, 1e-6);
    assert_near((double)m[1], -7, 1e-6);
    assert_near((double)v[1], 245, 1e-4);
}

/* Turning back undoes turning, and lengths stay. */
static void test_rope_turns(void **state)
{
    enum { N = 64, H = 3, D = 10, T = 200 };
    static float x[N * H * D], start[N * H * D], table[T * D];
    int32_t positions[N];
    struct rng rng = rng_new(4, "rope");
    (void)state;
    for (int n = 0; n < N; n++)
        positions[n] = (int32_t)rng_below(&rng, T);
    for (int t = 0; t < T; t++)
        for (int d = 0; d < D / 2; d++) {
            table[t * D + d] = (float)cos(t * pow(10000, -2.0 * d / D));
            table[t * D + D / 2 + d] = (float)sin(t * pow(10000, -2.0 * d / D));
        }
    for (size_t i = 0; i < ARRAY_COUNT(x); i++)
        start[i] = x[i] = (float)rng_normal(&rng);
    fast->rope_forward(x, positions, table, N, H, D);
    assert_near(fast->sum_squares(x, N * H * D) / fast->sum_squares(start, N * H * D), 1, 1e-6);
    const double a = (double)start[0], b = (double)start[D / 2], angle = positions[0];
    assert_near((double)x[0], a * cos(angle) - b * sin(angle), 1e-5);
    assert_near((double)x[D / 2], b * cos(angle) + a * sin(angle), 1e-5);
    fast->rope_backward(x, positions, table, N, H, D);
    for (size_t i = 0; i < ARRAY_COUNT(x); i++)
        assert_near((double)x[i], (double)start[i], 1e-5);
}

int main(void)
{
    fast = kernel_select();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp_is_within_its_bound),
        cmocka_unit_test(test_exp_at_the_edges),
        cmocka_unit_test(test_bits_do_not_depend_on_the_instruction_set),
        cmocka_unit_test(test_loss_of_equal_logits),
        cmocka_unit_test(test_loss_shows_nan),
        cmocka_unit_test(test_elements_show_nan),
        cmocka_unit_test(test_sum_squares_is_double),
        cmocka_unit_test(test_attention_of_equal_values),
        cmocka_unit_test(test_first_adamw_step),
        cmocka_unit_test(test_rope_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
