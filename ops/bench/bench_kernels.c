#include <stdio.h>
#include <stdlib.h>

#include "bench_run.h"
#include "check.h"
#include "clock.h"
#include "kernels.h"

enum { SGEMM_SIZE = 4096, SGEMM_ROUNDS = 3 };

#define ONEDNN "onednn/bf16"

struct product {
    const char *name;
    int C, O;
};

enum direction { FORWARD, INPUT, WEIGHT, DIRECTIONS };

static const char *const direction_names[] = {"forward", "input gradient", "weight gradient"};

/* Best GFLOP per processor second of a product in one direction. */
static double rate_of(const struct kernel_ops *ops, enum direction direction, float *out,
                      const float *in, const float *weight, int N, int C, int O, int rounds)
{
    double best = 0;
    for (int i = 0; i <= rounds; i++) {
        const int64_t start_ns = clock_cpu_ns();
        if (direction == FORWARD)
            ops->matmul_forward(out, in, weight, N, C, O);
        else if (direction == INPUT)
            ops->matmul_backward_input(out, in, weight, N, C, O, false);
        else
            ops->matmul_backward_weight(out, in, weight, N, C, O);
        const double rate = 2.0 * N * C * O / (double)(clock_cpu_ns() - start_ns);
        best = rate > best ? rate : best;
    }
    return best;
}

static float *filled(size_t count)
{
    float *x = malloc(count * sizeof *x);
    ASSERT(x != NULL);
    for (size_t i = 0; i < count; i++)
        x[i] = (float)(i % 17) / 8 - 1;
    return x;
}

static void compare_product(struct bench_report *report, const struct product *p, int N, int rounds)
{
    const size_t wide = (size_t)(p->C > p->O ? p->C : p->O);
    float *in = filled(wide * (size_t)N), *other = filled(wide * (size_t)N);
    float *weight = filled((size_t)p->C * (size_t)p->O);
    for (int d = 0; d < DIRECTIONS; d++) {
        const bool sums = d == WEIGHT;
        float *out = sums ? weight : other;
        const float *right = sums ? other : weight;
        char name[96];
        const double ours =
            rate_of(kernel_select(), (enum direction)d, out, in, right, N, p->C, p->O, rounds);
        const double blas =
            rate_of(&kernels_blas, (enum direction)d, out, in, right, N, p->C, p->O, rounds);
        snprintf(name, sizeof name, "%s %dx%d, %s", p->name, p->C, p->O, direction_names[d]);
        bench_report_figure(report, name, ours, "GFLOP/s");
        snprintf(name, sizeof name, "  over OpenBLAS blocks, %s %s", p->name, direction_names[d]);
        bench_report_figure(report, name, ours / blas, "x");
        if (kernel_lack(ONEDNN))
            continue;
        const double onednn =
            rate_of(&kernels_onednn, (enum direction)d, out, in, right, N, p->C, p->O, rounds);
        snprintf(name, sizeof name, "  over oneDNN in bf16, %s %s", p->name, direction_names[d]);
        bench_report_figure(report, name, ours / onednn, "x");
    }
    free(weight);
    free(other);
    free(in);
}

enum err_code bench_kernels(struct bench_report *report, const struct bench_options *o,
                            struct err *err)
{
    const struct model_config *m = &o->shape;
    const struct product products[] = {
        {"queries", m->width, m->heads * m->head_dim},
        {"keys", m->width, m->kv_heads * m->head_dim},
        {"gate", m->width, m->mlp_width},
        {"down", m->mlp_width, m->width},
        {"head", m->width, m->vocabulary},
    };
    const int N = kernel_rows_padded((int)o->tokens);
    (void)err;
    if (kernel_lack(ONEDNN))
        bench_report_text(report, "oneDNN", kernel_lack(ONEDNN));
    bench_report_figure(report, "rows", N, "");
    bench_report_figure(report, "sgemm 4096^3, best",
                        kernel_sgemm_rate(SGEMM_SIZE, SGEMM_ROUNDS).wall, "GFLOP/s");
    for (size_t i = 0; i < ARRAY_COUNT(products); i++)
        compare_product(report, &products[i], N, o->rounds);
    return ERR_OK;
}
