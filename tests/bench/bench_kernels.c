/* How fast each operation is, beside the best large sgemm of the same run: GFLOP/s or GB/s, and the
 * ratio.
 *
 * usage: bench_kernels [THREADS]        (default: 2)
 * Shapes: "tiny" is the quickstart's model, "124M" a 12-layer model of width 768. */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "kernel_cases.h"

#define SECONDS_PER_FIGURE 0.4

struct shape {
    const char *name;
    int C, H, G, D, M, V;
    int lens[10], count;
};

static const struct shape shapes[] = {
    {"tiny", 128, 4, 2, 32, 384, 1030, {500, 400, 600, 300, 768, 350, 420, 510, 200}, 9},
    {"124M", 768, 12, 12, 64, 2048, 32000, {512, 512, 512, 512}, 4},
};

struct bench {
    const struct kernel_ops *ops;
    const struct shape *s;
    struct layout layout;
    int N;
    float *a, *b, *c, *d, *gate, *wide, *weight, *lse;
    void *work;
    double *nats, *lse64;
    bool *hit;
    int32_t *ids;
};

static void run_qkv(struct bench *x)
{
    x->ops->matmul_forward(x->b, x->a, x->weight, x->N, x->s->C, x->s->C);
}

static void run_mlp(struct bench *x)
{
    x->ops->matmul_forward(x->wide, x->a, x->weight, x->N, x->s->C, x->s->M);
}

static void run_mlp_input(struct bench *x)
{
    x->ops->matmul_backward_input(x->b, x->wide, x->weight, x->N, x->s->C, x->s->M, false);
}

static void run_mlp_weight(struct bench *x)
{
    x->ops->matmul_backward_weight(x->weight, x->wide, x->a, x->N, x->s->C, x->s->M);
}

static void run_attention(struct bench *x)
{
    x->ops->attention_forward(x->d, x->lse, x->a, x->b, x->c, &x->layout.batch, x->s->H, x->s->G,
                              x->s->D, x->work);
}

static void run_attention_backward(struct bench *x)
{
    x->ops->attention_backward(x->wide, x->wide + (size_t)x->N * (size_t)x->s->C, x->weight, x->d,
                               x->d, x->lse, x->a, x->b, x->c, &x->layout.batch, x->s->H, x->s->G,
                               x->s->D, x->work);
}

static void run_norm(struct bench *x)
{
    x->ops->norm_forward(x->b, x->lse, x->a, x->weight, 1e-5, x->N, x->s->C);
}

static void run_swiglu(struct bench *x)
{
    const size_t count = (size_t)x->N * (size_t)x->s->M;
    x->ops->swiglu_forward(x->wide, x->gate, x->gate, count);
}

static void run_loss(struct bench *x)
{
    x->ops->loss_forward(x->nats, x->lse64, x->hit, x->wide, x->ids, KERNEL_ROW_BLOCK, x->s->V);
}

static void run_adamw(struct bench *x)
{
    static const struct kernel_adamw step = {1e-3, 0.9, 0.95, 1e-8, 0, 0.1, 0.05};
    x->ops->adamw(x->a, x->b, x->c, x->d, &step, (size_t)x->N * (size_t)x->s->C);
}

/* Best seconds of one call. */
static double best_seconds(void (*run)(struct bench *), struct bench *x)
{
    double best = 1e9;
    double spent = 0;
    run(x);
    while (spent < SECONDS_PER_FIGURE) {
        const int64_t start_ns = clock_mono_ns();
        run(x);
        const double seconds = (double)(clock_mono_ns() - start_ns) * 1e-9;
        best = seconds < best ? seconds : best;
        spent += seconds;
    }
    return best;
}

/* OpenBLAS's own best on a large square product, with all threads. */
static double sgemm_gflops(int threads)
{
    enum { SIZE = 2048 };
    const size_t count = (size_t)SIZE * SIZE;
    float *a = calloc(3 * count, sizeof *a);
    double best = 0;
    openblas_set_num_threads(threads);
    for (int i = 0; i < 4 && a; i++) {
        const int64_t start_ns = clock_mono_ns();
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, SIZE, SIZE, SIZE, 1, a, SIZE,
                    a + count, SIZE, 0, a + 2 * count, SIZE);
        const double rate = 2.0 * SIZE * SIZE * SIZE / (double)(clock_mono_ns() - start_ns);
        best = rate > best ? rate : best;
    }
    openblas_set_num_threads(1);
    free(a);
    return best;
}

static float *numbers(size_t count)
{
    float *x = calloc(count, sizeof *x);
    for (size_t i = 0; x && i < count; i++)
        x[i] = (float)(i % 251) / 251.0f - 0.5f;
    return x;
}

static void bench_shape(const struct shape *s, double sgemm)
{
    struct bench x = {.ops = kernel_select(), .s = s};
    layout_make(&x.layout, s->lens, s->count);
    x.N = x.layout.batch.rows;
    const size_t N = (size_t)x.N, C = (size_t)s->C, M = (size_t)s->M, V = (size_t)s->V;
    const size_t wide = N * M > KERNEL_ROW_BLOCK * V ? N * M : KERNEL_ROW_BLOCK * V;
    x.a = numbers(N * C);
    x.b = numbers(N * C);
    x.c = numbers(N * C);
    x.d = numbers(N * C);
    x.gate = numbers(N * M);
    x.wide = numbers(wide + N * C);
    x.weight = numbers(M * C > N * C ? M * C : N * C);
    x.lse = numbers(N * (size_t)s->H);
    x.work = malloc(x.ops->attention_bytes(768, s->D));
    x.nats = calloc(N, sizeof *x.nats);
    x.lse64 = calloc(N, sizeof *x.lse64);
    x.hit = calloc(N, sizeof *x.hit);
    x.ids = calloc(N, sizeof *x.ids);
    double pairs = 0;
    for (int b = 0; b < s->count; b++)
        pairs += 0.5 * s->lens[b] * s->lens[b];
    const double elements = (double)(N * C);
    const struct {
        const char *name;
        void (*run)(struct bench *);
        double flops, bytes;
    } figures[] = {
        {"matmul C->C", run_qkv, 2 * elements * (double)C, 0},
        {"matmul C->M", run_mlp, 2 * elements * (double)M, 0},
        {"matmul input gradient", run_mlp_input, 2 * elements * (double)M, 0},
        {"matmul weight gradient", run_mlp_weight, 2 * elements * (double)M, 0},
        {"attention (causal half counted)", run_attention, 4 * pairs * s->H * s->D, 0},
        {"attention backward", run_attention_backward, 10 * pairs * s->H * s->D, 0},
        {"norm", run_norm, 0, 8 * elements},
        {"swiglu", run_swiglu, 0, 12 * (double)(N * M)},
        {"loss, one block", run_loss, 0, 4.0 * KERNEL_ROW_BLOCK * s->V},
        {"adamw", run_adamw, 0, 28 * elements},
    };
    printf("%s: %d rows (%d sequences), C %d, H %d, G %d, M %d, V %d\n", s->name, x.N, s->count,
           s->C, s->H, s->G, s->M, s->V);
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        const double seconds = best_seconds(figures[i].run, &x);
        if (figures[i].flops > 0)
            printf("  %-32s %8.3f ms %8.1f GFLOP/s %6.0f %% of sgemm\n", figures[i].name,
                   seconds * 1e3, figures[i].flops / seconds * 1e-9,
                   100 * figures[i].flops / seconds * 1e-9 / sgemm);
        else
            printf("  %-32s %8.3f ms %8.1f GB/s\n", figures[i].name, seconds * 1e3,
                   figures[i].bytes / seconds * 1e-9);
    }
    float *buffers[] = {x.a, x.b, x.c, x.d, x.gate, x.wide, x.weight, x.lse};
    for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++)
        free(buffers[i]);
    free(x.work);
    free(x.nats);
    free(x.lse64);
    free(x.hit);
    free(x.ids);
    layout_free(&x.layout);
}

int main(int argc, char **argv)
{
    const int threads = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 2;
    kernel_threads_set(threads);
    kernel_select();
    const double sgemm = sgemm_gflops(threads);
    printf("%s, %d threads; best 2048^3 sgemm %.1f GFLOP/s\n", kernel_class(), threads, sgemm);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        bench_shape(&shapes[i], sgemm);
    return 0;
}
