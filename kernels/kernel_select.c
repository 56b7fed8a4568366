#include <cblas.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gemm.h"
#include "kernel_probe.h"
#include "onednn_ops.h"

/* What decides the bits. Our own products give the same ones on every processor with fused
 * multiply-add; OpenBLAS's depend on its core type. */
/* The first is the default, the second where that would be slow. */
static struct backend {
    const char *name; /* "backend/precision" */
    const struct kernel_ops *ops;
    char class[64];
} backends[] = {
    {.name = "packed/f32", .ops = &kernels_packed},
    {.name = "blas/f32", .ops = &kernels_blas},
    {.name = "packed/bf16", .ops = &kernels_half},
    {.name = "onednn/bf16", .ops = &kernels_onednn},
};

enum { BACKEND_COUNT = sizeof backends / sizeof backends[0] };

static pthread_once_t selected_once = PTHREAD_ONCE_INIT;
static struct backend *_Atomic selected;
static const struct kernel_ops *_Atomic override;

static bool is_of(const struct backend *b, const char *library)
{
    return strncmp(b->name, library, strlen(library)) == 0;
}

static void select_once(void)
{
    /* OpenBLAS's own threads would split products (other bits) and fight with our pool (measured:
     * 130 to 45 GFLOP/s when both alternate). */
    openblas_set_num_threads(1);
    for (int i = 0; i < BACKEND_COUNT; i++) {
        struct backend *b = &backends[i];
        if (!is_of(b, "onednn/")) /* it is opened when it is wanted */
            snprintf(b->class, sizeof b->class, "%s/%s", b->name,
                     is_of(b, "packed/") ? "fma" : openblas_get_corename());
    }
    atomic_store(&selected, &backends[gemm_is_fast() ? 0 : 1]);
}

const struct kernel_ops *kernel_select(void)
{
    pthread_once(&selected_once, select_once);
    const struct kernel_ops *instead = atomic_load(&override);
    return instead ? instead : atomic_load(&selected)->ops;
}

void kernel_override(const struct kernel_ops *ops)
{
    atomic_store(&override, ops);
}

static struct backend *backend_of(const char *name)
{
    for (int i = 0; i < BACKEND_COUNT; i++)
        if (strcmp(backends[i].name, name) == 0)
            return &backends[i];
    return NULL;
}

const char *kernel_lack(const char *name)
{
    const struct backend *b = backend_of(name);
    if (!b)
        return "there are packed/f32, packed/bf16, blas/f32 and onednn/bf16";
    return is_of(b, "onednn/") ? onednn_lack() : NULL;
}

bool kernel_use(const char *name)
{
    struct backend *b = backend_of(name);
    pthread_once(&selected_once, select_once);
    if (kernel_lack(name))
        return false;
    if (is_of(b, "onednn/")) {
        char kind[40];
        onednn_class(kind, sizeof kind);
        snprintf(b->class, sizeof b->class, "%s/%s", b->name, kind);
    }
    atomic_store(&selected, b);
    return true;
}

size_t kernel_scratch_bytes(void)
{
    return gemm_scratch_bytes();
}

const char *kernel_class(void)
{
    pthread_once(&selected_once, select_once);
    return atomic_load(&selected)->class;
}

const char *kernel_library(void)
{
    return openblas_get_config();
}

bool kernel_library_is_serial(void)
{
    return openblas_get_num_threads() == 1;
}

/* A clock in seconds; this room has no other. */
static double seconds_of(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double sgemm_best(float *c, const float *a, int size, int rounds, int threads, clockid_t id)
{
    double best = 0;
    openblas_set_num_threads(threads);
    for (int round = 0; round < rounds; round++) {
        const double start = seconds_of(id);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, size, size, size, 1.0f, a, size, a,
                    size, 0.0f, c, size);
        const double rate = 2e-9 * (double)size * size * size / (seconds_of(id) - start);
        best = rate > best ? rate : best;
    }
    openblas_set_num_threads(1);
    return best;
}

struct kernel_rate kernel_sgemm_rate(int size, int rounds)
{
    const size_t count = (size_t)size * (size_t)size;
    float *a = malloc(count * sizeof *a), *c = malloc(count * sizeof *c);
    struct kernel_rate rate = {0, 0};
    pthread_once(&selected_once, select_once);
    for (size_t i = 0; a && i < count; i++)
        a[i] = (float)(i % 7) - 3.0f;
    if (a && c) {
        rate.wall = sgemm_best(c, a, size, rounds, kernel_threads(), CLOCK_MONOTONIC);
        rate.cpu = sgemm_best(c, a, size, rounds, 1, CLOCK_THREAD_CPUTIME_ID);
    }
    free(a);
    free(c);
    return rate;
}
