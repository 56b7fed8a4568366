#include <cblas.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "gemm.h"
#include "kernel_probe.h"

/* What decides the bits. Our own products give the same ones on every processor with fused
 * multiply-add; OpenBLAS's depend on its core type. */
static struct backend {
    const char *name; /* "backend/precision" */
    const struct kernel_ops *ops;
    char class[64];
} backends[] = {
    {.name = "packed/f32", .ops = &kernels_packed},
    {.name = "blas/f32", .ops = &kernels_blas},
};

enum { BACKEND_COUNT = sizeof backends / sizeof backends[0] };

static pthread_once_t selected_once = PTHREAD_ONCE_INIT;
static struct backend *_Atomic selected;

static bool is_packed(const struct backend *b)
{
    return strncmp(b->name, "packed/", strlen("packed/")) == 0;
}

static void select_once(void)
{
    /* OpenBLAS's own threads would split products (other bits) and fight with our pool (measured:
     * 130 to 45 GFLOP/s when both alternate). */
    openblas_set_num_threads(1);
    for (int i = BACKEND_COUNT - 1; i >= 0; i--) {
        struct backend *b = &backends[i];
        snprintf(b->class, sizeof b->class, "%s/%s", b->name,
                 is_packed(b) ? "fma" : openblas_get_corename());
        if (!is_packed(b) || gemm_is_fast())
            atomic_store(&selected, b);
    }
}

const struct kernel_ops *kernel_select(void)
{
    pthread_once(&selected_once, select_once);
    return atomic_load(&selected)->ops;
}

bool kernel_use(const char *name)
{
    pthread_once(&selected_once, select_once);
    for (int i = 0; i < BACKEND_COUNT; i++)
        if (strcmp(backends[i].name, name) == 0) {
            atomic_store(&selected, &backends[i]);
            return true;
        }
    return false;
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
