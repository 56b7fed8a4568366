/* The bit contract: what a sequence's rows give does not depend on its company, its place in the
 * batch or the number of threads; what is summed over sequences does not depend on the threads. */
#include "cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "kernel_cases.h"
#include "kernel_probe.h"

#define KEY_WATCHED 7
#define LEN_WATCHED 150

struct batch_case {
    int lens[4];
    uint64_t keys[4];
    int count, watched; /* which sequence is the watched one */
};

static const struct batch_case batches[] = {
    {{LEN_WATCHED}, {KEY_WATCHED}, 1, 0},
    {{3, LEN_WATCHED, 64, 129}, {1, KEY_WATCHED, 2, 3}, 4, 1},
    {{200, 1, LEN_WATCHED}, {4, 5, KEY_WATCHED}, 3, 2},
    {{LEN_WATCHED, 90, LEN_WATCHED}, {KEY_WATCHED, 6, 8}, 3, 0},
};

static const struct case_shape shapes[] = {
    {.C = 128, .O = 200, .H = 4, .G = 2, .D = 32},
    {.C = 100, .O = 1030, .H = 3, .G = 1, .D = 20},
};

static void run(struct problem *p, const struct kernel_case *c, const struct case_shape *shape,
                const struct batch_case *b, int threads)
{
    kernel_threads_set(2);
    problem_make(p, c, shape, b->lens, b->keys, b->count);
    kernel_threads_set(threads);
    c->run_f32(kernel_select(), p, p->f);
    kernel_threads_set(2);
}

/* Where the rows of sequence `index` lie in array `a`, and how many bytes they have. */
static const float *rows_of(const struct problem *p, int a, int index, size_t *bytes_out)
{
    const size_t width = p->count[a] / (size_t)p->N;
    *bytes_out = (size_t)p->len[index] * width * sizeof(float);
    return p->f[a] + (size_t)p->start[index] * width;
}

/* Rows of sequence `index_a` of `a` and `index_b` of `b`: equal in every array that is written? */
static bool rows_equal(const struct problem *a, int index_a, const struct problem *b, int index_b)
{
    bool equal = true;
    for (int i = 0; i < CASE_ARRAYS_MAX; i++) {
        const struct case_array *array = &a->kernel_case->arrays[i];
        if (a->count[i] == 0 || !array->per_row || array->role == ROLE_IN)
            continue;
        size_t bytes = 0;
        const float *rows_a = rows_of(a, i, index_a, &bytes);
        equal = equal && memcmp(rows_a, rows_of(b, i, index_b, &bytes), bytes) == 0;
    }
    return equal;
}

static bool sums_equal(const struct problem *a, const struct problem *b)
{
    bool equal = true;
    for (int i = 0; i < CASE_ARRAYS_MAX; i++)
        if (a->count[i] > 0 && !a->kernel_case->arrays[i].per_row)
            equal = equal && memcmp(a->f[i], b->f[i], a->count[i] * sizeof(float)) == 0;
    return equal;
}

static bool writes_rows(const struct kernel_case *c)
{
    bool writes = false;
    for (int i = 0; i < CASE_ARRAYS_MAX; i++)
        writes = writes || (c->arrays[i].extent != EXTENT_NONE && c->arrays[i].per_row &&
                            c->arrays[i].role != ROLE_IN);
    return writes;
}

static void test_bits(void **state)
{
    const struct kernel_case *c = *state;
    for (size_t s = 0; s < ARRAY_COUNT(shapes); s++) {
        struct problem alone;
        run(&alone, c, &shapes[s], &batches[0], 1);
        for (size_t i = 0; i < ARRAY_COUNT(batches); i++) {
            struct problem one, two;
            run(&one, c, &shapes[s], &batches[i], 1);
            run(&two, c, &shapes[s], &batches[i], 2);
            assert_true(rows_equal(&alone, 0, &one, batches[i].watched));
            assert_true(rows_equal(&alone, 0, &two, batches[i].watched));
            assert_true(sums_equal(&one, &two));
            /* The comparison can fail: another sequence of the same length differs. */
            if (i == 3 && writes_rows(c))
                assert_false(rows_equal(&alone, 0, &one, 2));
            problem_release(&one);
            problem_release(&two);
        }
        problem_release(&alone);
    }
}

/* ---- the start-up probe ---- */

static void test_probe_passes_here(void **state)
{
    char text[256] = "";
    (void)state;
    const bool passes = kernel_probe(text, sizeof text);
    if (!passes)
        print_error("%s\n", text);
    assert_true(passes);
    print_message("numeric class %s\n", kernel_class());
}

/* Tables whose results depend on the batch, each by one unit in the last place of one element: the
 * probe must name what is wrong with each. */
static void nudge(float *x)
{
    *x = nextafterf(*x, 2.0f);
}

static void planted_forward(float *out, const float *in, const float *weight, int N, int C, int O)
{
    kernels_blas.matmul_forward(out, in, weight, N, C, O);
    if (N > KERNEL_ROW_BLOCK)
        nudge(&out[(size_t)N * (size_t)O - 1]);
}

static void planted_weight(float *grad_weight, const float *grad_out, const float *in, int N, int C,
                           int O)
{
    kernels_blas.matmul_backward_weight(grad_weight, grad_out, in, N, C, O);
    if (kernel_threads() > 1)
        nudge(grad_weight);
}

static void planted_attention(float *out, float *lse, const float *q, const float *k,
                              const float *v, const struct kernel_batch *batch,
                              const struct kernel_attention *shape, void *work)
{
    kernels_blas.attention_forward(out, lse, q, k, v, batch, shape, work);
    if (batch->sequence_count > 1)
        nudge(&out[(size_t)batch->start[1] * (size_t)(shape->H * shape->D)]);
}

static void test_probe_finds_planted_faults(void **state)
{
    struct kernel_ops forward = kernels_blas, weight = kernels_blas, attention = kernels_blas;
    forward.matmul_forward = planted_forward;
    weight.matmul_backward_weight = planted_weight;
    attention.attention_forward = planted_attention;
    char text[256] = "";
    (void)state;
    kernel_threads_set(2);
    assert_false(kernel_probe_ops(&forward, text, sizeof text));
    assert_non_null(strstr(text, "the forward product of 128 by 128"));
    assert_false(kernel_probe_ops(&weight, text, sizeof text));
    assert_non_null(strstr(text, "the weight-gradient product"));
    assert_false(kernel_probe_ops(&attention, text, sizeof text));
    assert_non_null(strstr(text, "attention with 16"));
}

/* Of the fastest table, or of the one named. */
int main(int argc, char **argv)
{
    static struct CMUnitTest tests[64];
    size_t count = 0;
    if (argc > 1 && !kernel_use(argv[1])) {
        printf("SKIP: %s: %s\n", argv[1], kernel_lack(argv[1]));
        return 77;
    }
    ASSERT(kernel_case_count < ARRAY_COUNT(tests));
    for (; count < kernel_case_count; count++)
        tests[count] =
            (struct CMUnitTest){.name = kernel_cases[count].name,
                                .test_func = test_bits,
                                .initial_state = (void *)(uintptr_t)&kernel_cases[count]};
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_probe_passes_here);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_probe_finds_planted_faults);
    return _cmocka_run_group_tests("kernel bits", tests, count, NULL, NULL);
}
