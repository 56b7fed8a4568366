/* How fast every operation of the kernel table is, beside the best large sgemm of the same run:
 * GFLOP/s and the ratio for products, GB/s (each array counted once per reading or writing) for the
 * rest.
 *
 * usage: bench_kernels [THREADS] [NAME]     (default: 2 threads, all operations; NAME: a substring)
 *
 * "tiny" is the shape of the quickstart's model, "124M" a 12-layer model of width 768. */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "clock.h"
#include "kernel_cases.h"

#define SECONDS_PER_FIGURE 0.3
#define RUNS_MIN           3
#define FIGURES_MAX        128
#define LOSS_LEN           192

struct model_shape {
    const char *name;
    int C, H, G, D, M, V;
    int lens[10], count;
};

static const struct model_shape models[] = {
    {"tiny", 128, 4, 2, 32, 384, 1024, {500, 400, 600, 300, 768, 350, 420, 510, 200}, 9},
    {"124M", 768, 12, 12, 64, 2048, 32000, {512, 512, 512, 512, 512, 512, 512, 512}, 8},
};

struct figure {
    char name[64];
    double seconds, flops, bytes;
};

/* Accumulated-into arrays get their first values back, so that numbers neither grow nor vanish. */
static void restore(const struct problem *p)
{
    for (int a = 0; a < CASE_ARRAYS_MAX; a++)
        if (p->count[a] > 0 && p->kernel_case->arrays[a].role == ROLE_INOUT)
            for (size_t i = 0; i < p->count[a]; i++)
                p->f[a][i] = (float)p->d[a][i];
}

static double best_seconds(const struct problem *p)
{
    double best = 1e9;
    double spent = 0;
    for (int run = 0; run < RUNS_MIN || spent < SECONDS_PER_FIGURE; run++) {
        restore(p);
        const int64_t start_ns = clock_mono_ns();
        p->kernel_case->run_f32(kernel_select(), p, p->f);
        const double seconds = (double)(clock_mono_ns() - start_ns) * 1e-9;
        best = seconds < best ? seconds : best;
        spent += seconds;
    }
    return best;
}

static double bytes_moved(const struct problem *p)
{
    double bytes = 0;
    for (int a = 0; a < CASE_ARRAYS_MAX; a++)
        bytes += (p->kernel_case->arrays[a].role == ROLE_INOUT ? 8.0 : 4.0) * (double)p->count[a];
    return bytes;
}

static struct figure measure(const struct kernel_case *c, const struct model_shape *m, int O,
                             const int *lens, int count)
{
    static const uint64_t keys[CASE_SEQUENCES_MAX] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    const struct case_shape shape = {.C = m->C, .O = O, .H = m->H, .G = m->G, .D = m->D};
    struct problem p;
    struct figure figure;
    problem_make(&p, c, &shape, lens, keys, count);
    snprintf(figure.name, sizeof figure.name, "%s: %s, %d rows%s", m->name, c->name, p.N,
             c->flops && O == m->C ? ", C->C" : "");
    figure.seconds = best_seconds(&p);
    figure.flops = c->flops ? c->flops(&p) : 0;
    figure.bytes = bytes_moved(&p);
    problem_release(&p);
    return figure;
}

/* OpenBLAS's own best on a large square product, with all threads. */
static double sgemm_gflops(int threads)
{
    enum { SIZE = 2048 };
    const size_t count = (size_t)SIZE * SIZE;
    float *a = malloc(3 * count * sizeof *a);
    double best = 0;
    ASSERT(a != NULL);
    for (size_t i = 0; i < 3 * count; i++)
        a[i] = (float)(i % 251) / 251.0f - 0.5f;
    openblas_set_num_threads(threads);
    for (int i = 0; i < 6; i++) {
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

static int measure_model(const struct model_shape *m, const char *filter, struct figure *figures)
{
    int count = 0;
    for (size_t i = 0; i < kernel_case_count; i++) {
        const struct kernel_case *c = &kernel_cases[i];
        static const int loss_lens[] = {LOSS_LEN};
        if (!strstr(c->name, filter))
            continue;
        if (strstr(c->name, "loss"))
            figures[count++] = measure(c, m, m->V, loss_lens, 1);
        else
            figures[count++] = measure(c, m, m->M, m->lens, m->count);
        if (strstr(c->name, "matmul"))
            figures[count++] = measure(c, m, m->C, m->lens, m->count);
    }
    return count;
}

int main(int argc, char **argv)
{
    static struct figure figures[FIGURES_MAX];
    const int threads = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 2;
    const char *filter = argc > 2 ? argv[2] : "";
    int count = 0;
    kernel_threads_set(threads);
    kernel_select();
    double sgemm = sgemm_gflops(threads);
    for (size_t m = 0; m < ARRAY_COUNT(models); m++) {
        count += measure_model(&models[m], filter, figures + count);
        const double again = sgemm_gflops(threads);
        sgemm = again > sgemm ? again : sgemm;
    }
    printf("%s, %d threads; best 2048^3 sgemm %.1f GFLOP/s\n", kernel_class(), threads, sgemm);
    for (int i = 0; i < count; i++) {
        const struct figure *f = &figures[i];
        const double gflops = f->flops / f->seconds * 1e-9;
        printf("%-56s %9.3f ms ", f->name, f->seconds * 1e3);
        if (f->flops > 0)
            printf("%7.1f GFLOP/s %4.0f %% of sgemm\n", gflops, 100 * gflops / sgemm);
        else
            printf("%7.1f GB/s\n", f->bytes / f->seconds * 1e-9);
    }
    return 0;
}
