/* Products of our own: against sums in double, and the promise that an element's bits depend on its
 * row, its column and nothing else: not on the vector width, the rows and columns around it, the
 * threads, or a cut of the sum that goes on from what is there. */
#include "cmocka_all.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "gemm.h"
#include "gemm_pack.h"
#include "kernels.h"
#include "rng.h"

#define BOUND 2e-6

struct shape {
    int M, N, K;
};

static const struct shape shapes[] = {
    {1, 1, 1},     {64, 32, 512},   {14, 33, 7},    {65, 200, 513},
    {200, 31, 64}, {113, 2100, 40}, {1, 300, 1030}, {400, 96, 1100},
};

static float *random_values(size_t count, const char *name)
{
    float *x = malloc((count + 1) * sizeof *x);
    struct rng rng = rng_new(1, name);
    ASSERT(x != NULL);
    for (size_t i = 0; i < count; i++)
        x[i] = (float)rng_normal(&rng);
    return x;
}

/* The same numbers with lines along the other axis. */
static float *turned(const float *x, int rows, int cols)
{
    float *y = malloc(((size_t)rows * (size_t)cols + 1) * sizeof *y);
    ASSERT(y != NULL);
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++)
            y[(size_t)c * (size_t)rows + (size_t)r] = x[(size_t)r * (size_t)cols + (size_t)c];
    return y;
}

struct factors {
    struct shape s;
    enum gemm_precision precision;
    float *left, *left_turned, *right, *right_turned, *out, *expected;
    size_t count;
};

static void factors_make(struct factors *f, struct shape s, enum gemm_precision precision)
{
    f->s = s;
    f->precision = precision;
    f->count = (size_t)s.M * (size_t)s.N;
    f->left = random_values((size_t)s.M * (size_t)s.K, "left");
    f->right = random_values((size_t)s.K * (size_t)s.N, "right");
    f->left_turned = turned(f->left, s.M, s.K);
    f->right_turned = turned(f->right, s.K, s.N);
    f->out = random_values(f->count, "out");
    f->expected = random_values(f->count, "out");
}

static void factors_free(struct factors *f)
{
    float *const all[] = {f->left, f->right, f->left_turned, f->right_turned, f->out, f->expected};
    for (size_t i = 0; i < ARRAY_COUNT(all); i++)
        free(all[i]);
}

/* Which of the two layouts of each factor: bits 1 and 2 of `layout`. */
static void multiply(const struct factors *f, int layout, float *out, bool add)
{
    struct gemm_factor left = {f->left, (size_t)f->s.K, false, f->precision};
    struct gemm_factor right = {f->right, (size_t)f->s.N, false, f->precision};
    if (layout & 1)
        left = (struct gemm_factor){f->left_turned, (size_t)f->s.M, true, f->precision};
    if (layout & 2)
        right = (struct gemm_factor){f->right_turned, (size_t)f->s.K, true, f->precision};
    gemm(out, (size_t)f->s.N, left, right, f->s.M, f->s.N, f->s.K, add);
}

/* A value as the precision holds it: bf16 is the nearest float with 8 bits, ties to even. */
static double held(float x, enum gemm_precision precision)
{
    int exponent = 0;
    if (precision == GEMM_F32 || !isfinite(x))
        return (double)x;
    const double fraction = frexp((double)x, &exponent);
    return ldexp(nearbyint(ldexp(fraction, 8)), exponent - 8);
}

static double error_of(const struct factors *f, bool added, const float *start)
{
    double worst = 0;
    for (int m = 0; m < f->s.M; m++)
        for (int n = 0; n < f->s.N; n++) {
            const size_t at = (size_t)m * (size_t)f->s.N + (size_t)n;
            double sum = added ? (double)start[at] : 0, size = 1;
            for (int k = 0; k < f->s.K; k++) {
                const double term =
                    held(f->left[(size_t)m * (size_t)f->s.K + (size_t)k], f->precision) *
                    held(f->right[(size_t)k * (size_t)f->s.N + (size_t)n], f->precision);
                sum += term;
                size += fabs(term);
            }
            worst = fmax(worst, fabs((double)f->out[at] - sum) / size);
        }
    return worst;
}

static void check_product(struct shape shape, enum gemm_precision precision)
{
    struct factors f;
    factors_make(&f, shape, precision);
    multiply(&f, 0, f.out, true);
    assert_true(error_of(&f, true, f.expected) < BOUND);
    multiply(&f, 0, f.out, false);
    assert_true(error_of(&f, false, NULL) < BOUND);
    f.out[f.count / 2] += 1e-3f * (float)f.s.K;
    assert_false(error_of(&f, false, NULL) < BOUND);
    factors_free(&f);
}

static void products_are_right(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(shapes); i++)
        for (int precision = 0; precision < GEMM_PRECISIONS; precision++)
            check_product(shapes[i], (enum gemm_precision)precision);
}

/* Every set of tiles (for bf16: the instruction and its emulations), every layout, one thread and
 * two: the same bits. */
static void check_bits(struct shape shape, enum gemm_precision precision)
{
    struct factors f;
    factors_make(&f, shape, precision);
    kernel_threads_set(1);
    gemm_tiles_use(gemm_tiles_at(0));
    multiply(&f, 0, f.expected, false);
    for (size_t set = 0; gemm_tiles_at(set); set++)
        for (int layout = 0; layout < 4; layout++) {
            gemm_tiles_use(gemm_tiles_at(set));
            kernel_threads_set(1 + layout % 2);
            memset(f.out, 0xFF, f.count * sizeof *f.out);
            multiply(&f, layout, f.out, false);
            assert_memory_equal(f.out, f.expected, f.count * sizeof *f.out);
        }
    gemm_tiles_use(NULL);
    kernel_threads_set(1);
    factors_free(&f);
}

static void vectors_layouts_and_threads_change_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(shapes); i++)
        for (int precision = 0; precision < GEMM_PRECISIONS; precision++)
            check_bits(shapes[i], (enum gemm_precision)precision);
}

/* A right factor that is stored as bf16, at any address: the bits of its values as floats. */
static void check_stored(struct shape shape, enum gemm_precision precision, size_t offset)
{
    struct factors f;
    factors_make(&f, shape, precision);
    const size_t count = (size_t)shape.N * (size_t)shape.K;
    unsigned char *stored = malloc(2 * count + offset + 1);
    ASSERT(stored != NULL);
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &f.right_turned[i], sizeof bits);
        const uint16_t half = (uint16_t)(bits >> 16);
        bits &= 0xFFFF0000u;
        memcpy(&f.right_turned[i], &bits, sizeof bits);
        memcpy(stored + offset + 2 * i, &half, sizeof half);
    }
    multiply(&f, 2, f.expected, false);
    for (size_t set = 0; gemm_tiles_at(set); set++) {
        gemm_tiles_use(gemm_tiles_at(set));
        memset(f.out, 0xFF, f.count * sizeof *f.out);
        gemm_stored(f.out, (size_t)shape.N,
                    (struct gemm_factor){f.left, (size_t)shape.K, false, precision},
                    stored + offset, (size_t)shape.K, shape.M, shape.N, shape.K);
        assert_memory_equal(f.out, f.expected, f.count * sizeof *f.out);
    }
    gemm_tiles_use(NULL);
    free(stored);
    factors_free(&f);
}

static void stored_factors_are_their_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(shapes); i++)
        for (size_t offset = 0; offset < 3; offset++)
            for (int precision = 0; precision < GEMM_PRECISIONS; precision++)
                check_stored(shapes[i], (enum gemm_precision)precision, offset);
}

/* One row alone, and one column alone. */
static void check_company(enum gemm_precision precision)
{
    struct factors f;
    factors_make(&f, (struct shape){150, 77, 700}, precision);
    multiply(&f, 0, f.expected, false);
    const struct gemm_factor right = {f.right, (size_t)f.s.N, false, precision};
    for (int m = 0; m < f.s.M; m++) {
        const struct gemm_factor row = {f.left + (size_t)m * (size_t)f.s.K, 1, false, precision};
        gemm(f.out, 1, row, right, 1, f.s.N, f.s.K, false);
        assert_memory_equal(f.out, f.expected + (size_t)m * (size_t)f.s.N,
                            (size_t)f.s.N * sizeof *f.out);
    }
    const struct gemm_factor left = {f.left, (size_t)f.s.K, false, precision};
    for (int n = 0; n < f.s.N; n++) {
        gemm(f.out, 1, left, (struct gemm_factor){f.right + n, (size_t)f.s.N, false, precision},
             f.s.M, 1, f.s.K, false);
        for (int m = 0; m < f.s.M; m++)
            assert_memory_equal(&f.out[m], &f.expected[(size_t)m * (size_t)f.s.N + (size_t)n],
                                sizeof *f.out);
    }
    factors_free(&f);
}

static void company_changes_nothing(void **state)
{
    (void)state;
    check_company(GEMM_F32);
    check_company(GEMM_BF16);
}

/* A chain cut in two gives the bits of the whole, and those of fmaf() one after the other. */
static void a_chain_goes_on(void **state)
{
    enum { ROWS = 23, COLS = 40, DEPTH = 90, CUT = 37 };
    struct factors f;
    (void)state;
    factors_make(&f, (struct shape){ROWS, COLS, DEPTH}, GEMM_F32);
    const struct gemm_factor left = {f.left, DEPTH, false, GEMM_F32},
                             right = {f.right, COLS, false, GEMM_F32};
    float *packed_left = aligned_alloc(64, 4096 * sizeof(float));
    float *packed_right = aligned_alloc(64, 8192 * sizeof(float));
    const int cuts[] = {0, CUT, DEPTH};
    for (int i = 0; i < 2; i++) {
        const int k = cuts[i], depth = cuts[i + 1] - k;
        gemm_pack_left(packed_left, &left, 0, ROWS, k, depth);
        gemm_pack_right(packed_right, &right, 0, COLS, k, depth);
        gemm_block(f.out, COLS, packed_left, ROWS, packed_right, gemm_panel(depth), COLS, depth,
                   GEMM_F32, i == 0 ? GEMM_SET : GEMM_CHAIN);
    }
    for (int m = 0; m < ROWS; m++)
        for (int n = 0; n < COLS; n++) {
            float sum = 0;
            for (int k = 0; k < DEPTH; k++)
                sum = fmaf(f.left[m * DEPTH + k], f.right[k * COLS + n], sum);
            assert_memory_equal(&sum, &f.out[m * COLS + n], sizeof sum);
        }
    free(packed_left);
    free(packed_right);
    factors_free(&f);
}

static void check_nan(enum gemm_precision precision)
{
    struct factors f;
    factors_make(&f, (struct shape){20, 40, 30}, precision);
    f.left[5 * 30 + 29] = NAN;
    f.right[3 * 40 + 7] = INFINITY;
    multiply(&f, 0, f.out, false);
    for (int m = 0; m < 20; m++)
        for (int n = 0; n < 40; n++)
            assert_int_equal(!isfinite(f.out[m * 40 + n]), m == 5 || n == 7);
    factors_free(&f);
}

static void nan_and_infinity_stay_visible(void **state)
{
    (void)state;
    check_nan(GEMM_F32);
    check_nan(GEMM_BF16);
}

int main(void)
{
    for (size_t set = 0; gemm_tiles_at(set); set++)
        print_message("tiles: %s\n", gemm_tiles_at(set)->name);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_right),
        cmocka_unit_test(vectors_layouts_and_threads_change_nothing),
        cmocka_unit_test(stored_factors_are_their_values),
        cmocka_unit_test(company_changes_nothing),
        cmocka_unit_test(a_chain_goes_on),
        cmocka_unit_test(nan_and_infinity_stay_visible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
