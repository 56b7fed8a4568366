/* Every operation of the table: the fast version and the reference in float against the reference
 * in double, over odd and random shapes, into NaN-filled guarded arrays; and the reference's
 * backward passes against central differences of its forward passes. Negative controls show that
 * each check can fail. */
#include "cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "kernel_cases.h"

#define TESTS_MAX        96
#define SHAPES_RANDOM    6
#define DIFFERENCE_STEP  1e-5
#define DIFFERENCE_BOUND 1e-7
/* Of what is made of products with factors rounded to 8 bits: gradients of attention, where
 * differences of such products are multiplied again, and the rest. */
#define HALF_BOUND          0.03
#define HALF_GRADIENT_BOUND 0.05

static void *memory(size_t count, size_t element_bytes)
{
    void *m = calloc(count + 1, element_bytes);
    ASSERT(m != NULL);
    return m;
}

/* ---- agreement ---- */

static const struct case_shape fixed_shapes[] = {
    {.C = 1, .O = 1, .H = 1, .G = 1, .D = 2},
    {.C = 128, .O = 384, .H = 4, .G = 2, .D = 32},
    {.C = 33, .O = 1030, .H = 6, .G = 2, .D = 10},
    {.C = 172, .O = 65, .H = 3, .G = 3, .D = 64},
};

static struct case_shape random_shape(struct rng *rng)
{
    struct case_shape s = {.C = 1 + (int)rng_below(rng, 200),
                           .O = 1 + (int)rng_below(rng, 600),
                           .G = 1 + (int)rng_below(rng, 3),
                           .D = 2 * (1 + (int)rng_below(rng, 40))};
    s.H = s.G * (1 + (int)rng_below(rng, 3));
    return s;
}

static bool has_word(const char *text, const char *word)
{
    return strstr(text, word) != NULL;
}

static double bound_of(const struct kernel_case *c, const struct kernel_ops *ops)
{
    const bool attention = has_word(c->name, "attention");
    if (!has_word(ops->name, "bf16") || !(attention || has_word(c->name, "matmul")))
        return c->bound;
    return attention && has_word(c->name, "backward") ? HALF_GRADIENT_BOUND : HALF_BOUND;
}

/* Run the case in double and with `ops`; false, with the reason on stderr, when they differ. */
static bool agrees(const struct kernel_case *c, const struct kernel_ops *ops,
                   const struct case_shape *shape, const int *lens, int count)
{
    static const uint64_t keys[CASE_SEQUENCES_MAX] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                      8, 9, 10, 11, 12, 13, 14, 15};
    struct problem p;
    problem_make(&p, c, shape, lens, keys, count);
    c->run_f64(&kernels_ref_f64, &p, p.d);
    c->run_f32(ops, &p, p.f);
    char text[128] = "";
    bool ok = problem_is_intact(&p, text, sizeof text);
    if (!ok)
        fprintf(stderr, "%s of %s: %s\n", c->name, ops->name, text);
    for (int a = 0; a < CASE_ARRAYS_MAX; a++) {
        if (p.count[a] == 0 || c->arrays[a].role == ROLE_IN)
            continue;
        const double error = problem_error(&p, a);
        if (error <= bound_of(c, ops))
            continue;
        fprintf(stderr, "%s of %s: array %d is off by %g, bound %g (C %d O %d H %d G %d D %d)\n",
                c->name, ops->name, a, error, bound_of(c, ops), shape->C, shape->O, shape->H,
                shape->G, shape->D);
        ok = false;
    }
    problem_release(&p);
    return ok;
}

static void check_agreement(const struct kernel_case *c, const struct kernel_ops *ops)
{
    static const int lens[] = {1, 63, 64, 65, 200, 7};
    struct rng rng = rng_new(1, c->name);
    for (size_t i = 0; i < ARRAY_COUNT(fixed_shapes); i++)
        assert_true(agrees(c, ops, &fixed_shapes[i], lens, ARRAY_COUNT(lens)));
    for (int i = 0; i < SHAPES_RANDOM; i++) {
        const struct case_shape shape = random_shape(&rng);
        const int random_lens[] = {1 + (int)rng_below(&rng, 150), 1 + (int)rng_below(&rng, 150)};
        assert_true(agrees(c, ops, &shape, random_lens, ARRAY_COUNT(random_lens)));
    }
}

static void test_fast_agrees(void **state)
{
    check_agreement(*state, kernel_select());
}

static void test_reference_agrees(void **state)
{
    check_agreement(*state, &kernels_ref);
}

/* More rows than one shard of a weight gradient, and rows that do not fill the last one. */
static void test_long_batches_agree(void **state)
{
    static const int lens[] = {KERNEL_SHARD_ROWS, 70, KERNEL_SHARD_ROWS + 30};
    (void)state;
    for (size_t i = 0; i < kernel_case_count; i++) {
        const struct case_shape shape = {.C = 33, .O = 65, .H = 2, .G = 1, .D = 4};
        if (!strstr(kernel_cases[i].name, "attention"))
            assert_true(agrees(&kernel_cases[i], kernel_select(), &shape, lens, 3));
    }
}

/* An error of ten bounds in a single element must be seen. */
static void test_an_error_is_seen(void **state)
{
    static const int lens[] = {30};
    const struct case_shape shape = {.C = 1, .O = 1, .H = 1, .G = 1, .D = 2};
    (void)state;
    for (size_t i = 0; i < kernel_case_count; i++) {
        const struct kernel_case *c = &kernel_cases[i];
        struct problem p;
        problem_make(&p, c, &shape, lens, &(const uint64_t){5}, 1);
        c->run_f64(&kernels_ref_f64, &p, p.d);
        c->run_f32(kernel_select(), &p, p.f);
        const double bound = bound_of(c, kernel_select());
        assert_true(problem_error(&p, 0) <= bound);
        const float largest = (float)fmax(fabs(p.d[0][0]), fabs(p.d[0][p.count[0] - 1]));
        p.f[0][0] += (float)(10 * fmax(bound, 1e-6)) * fmaxf(largest, 4.0f);
        assert_false(problem_error(&p, 0) <= bound);
        char text[128] = "";
        assert_true(problem_is_intact(&p, text, sizeof text));
        p.f[0][-1] = 0;
        assert_false(problem_is_intact(&p, text, sizeof text));
        problem_release(&p);
    }
}

/* ---- central differences in double ---- */

/* Largest |difference quotient - gradient| over the largest quotient, for the input `i` of the
 * case; the quotients are those of the sum of upstream times the forward pass's result. */
static double difference_error(const struct problem *p, int i, const double *upstream,
                               const double *gradient)
{
    const size_t out_count = problem_forward_count(p);
    const int input = p->kernel_case->input[i];
    double *plus = memory(out_count, sizeof *plus), *minus = memory(out_count, sizeof *minus);
    double *x = p->d[input];
    double worst = 0, largest = 1e-12;
    for (size_t e = 0; e < p->count[input]; e++) {
        const double kept = x[e];
        double slope = 0;
        x[e] = kept + DIFFERENCE_STEP;
        p->kernel_case->forward(p, p->d, plus);
        x[e] = kept - DIFFERENCE_STEP;
        p->kernel_case->forward(p, p->d, minus);
        x[e] = kept;
        for (size_t o = 0; o < out_count; o++)
            slope += upstream[o] * (plus[o] - minus[o]) / (2 * DIFFERENCE_STEP);
        worst = fmax(worst, fabs(slope - gradient[e]));
        largest = fmax(largest, fabs(slope));
    }
    free(plus);
    free(minus);
    return worst / largest;
}

/* The gradient must pass, and must not when one entry is off by a thousandth of the largest. */
static void check_input(const struct problem *p, int i, const double *upstream, double *gradient)
{
    const size_t count = p->count[p->kernel_case->input[i]];
    double largest = 0;
    for (size_t e = 0; e < count; e++)
        largest = fmax(largest, fabs(gradient[e]));
    const double error = difference_error(p, i, upstream, gradient);
    if (!(error < DIFFERENCE_BOUND))
        print_error("%s, input %d: differences are off by %g\n", p->kernel_case->name,
                    p->kernel_case->input[i], error);
    assert_true(error < DIFFERENCE_BOUND);
    gradient[count / 2] += 1e-3 * largest;
    assert_true(difference_error(p, i, upstream, gradient) > DIFFERENCE_BOUND);
}

/* What the backward pass gives for its gradient `i`, from zero where it adds up. */
static double *gradient_alone(const struct problem *p, int i)
{
    const struct kernel_case *c = p->kernel_case;
    const int g = c->gradient[i];
    double *copies[CASE_ARRAYS_MAX] = {NULL};
    for (int a = 0; a < CASE_ARRAYS_MAX; a++) {
        copies[a] = memory(p->count[a], sizeof **copies);
        if (p->count[a] > 0)
            memcpy(copies[a], p->d[a], p->count[a] * sizeof **copies);
    }
    if (c->arrays[g].role == ROLE_INOUT && g != c->input[i] && g != c->upstream)
        memset(copies[g], 0, p->count[g] * sizeof **copies);
    c->run_f64(&kernels_ref_f64, p, copies);
    for (int a = 0; a < CASE_ARRAYS_MAX; a++)
        if (a != g)
            free(copies[a]);
    return copies[g];
}

static void test_gradients(void **state)
{
    static const int lens[] = {5, 1, 3};
    static const uint64_t keys[] = {1, 2, 3};
    const struct kernel_case *c = *state;
    const struct case_shape shape = {.C = 5, .O = 7, .H = 4, .G = 2, .D = 6};
    struct problem p;
    problem_make(&p, c, &shape, lens, keys, 3);
    const size_t out_count = problem_forward_count(&p);
    double *upstream = memory(out_count, sizeof *upstream);
    for (size_t o = 0; o < out_count; o++)
        upstream[o] = c->upstream < 0 ? CASE_LOSS_SCALE : p.d[c->upstream][o];
    for (int i = 0; i < c->gradient_count; i++) {
        double *gradient = gradient_alone(&p, i);
        check_input(&p, i, upstream, gradient);
        free(gradient);
    }
    free(upstream);
    problem_release(&p);
}

/* ---- one cmocka test per operation and kind of check ---- */

static size_t add_test(struct CMUnitTest *tests, size_t count, const char *kind,
                       CMUnitTestFunction function, const struct kernel_case *c)
{
    static char names[TESTS_MAX][64];
    ASSERT(count < TESTS_MAX);
    snprintf(names[count], sizeof names[count], "%s: %s", kind, c ? c->name : "all");
    tests[count] = (struct CMUnitTest){
        .name = names[count], .test_func = function, .initial_state = (void *)(uintptr_t)c};
    return count + 1;
}

/* Of the fastest table, or of the one named. */
int main(int argc, char **argv)
{
    static struct CMUnitTest tests[TESTS_MAX];
    size_t count = 0;
    if (argc > 1 && !kernel_use(argv[1])) {
        printf("SKIP: %s: %s\n", argv[1], kernel_lack(argv[1]));
        return 77;
    }
    kernel_threads_set(2);
    for (size_t i = 0; i < kernel_case_count; i++) {
        const struct kernel_case *c = &kernel_cases[i];
        count = add_test(tests, count, "fast agrees", test_fast_agrees, c);
        if (c->forward)
            count = add_test(tests, count, "gradients", test_gradients, c);
    }
    /* The reference in float differs by its final rounding only: the cheap cases are enough. */
    for (size_t i = 0; i < kernel_case_count; i++)
        if (!strstr(kernel_cases[i].name, "attention") && !strstr(kernel_cases[i].name, "matmul"))
            count =
                add_test(tests, count, "reference agrees", test_reference_agrees, &kernel_cases[i]);
    count = add_test(tests, count, "long batches agree", test_long_batches_agree, NULL);
    count = add_test(tests, count, "an error is seen", test_an_error_is_seen, NULL);
    return _cmocka_run_group_tests("kernels", tests, count, NULL, NULL);
}
