#include <cblas.h>
#include <pthread.h>
#include <stdio.h>

#include "kernel_probe.h"

static pthread_once_t selected_once = PTHREAD_ONCE_INIT;
static char class_text[64];

static void select_once(void)
{
    /* OpenBLAS's own threads would split products (other bits) and fight with our pool (measured:
     * 130 to 45 GFLOP/s when both alternate). */
    openblas_set_num_threads(1);
    snprintf(class_text, sizeof class_text, "blas/f32/%s", openblas_get_corename());
}

const struct kernel_ops *kernel_select(void)
{
    pthread_once(&selected_once, select_once);
    return &kernels_blas;
}

const char *kernel_class(void)
{
    pthread_once(&selected_once, select_once);
    return class_text;
}

const char *kernel_library(void)
{
    return openblas_get_config();
}

bool kernel_library_is_serial(void)
{
    return openblas_get_num_threads() == 1;
}
