#include "kernel_pool.h"

#include "kernels.h"

#ifdef _OPENMP
#include <omp.h>
#endif

/* The pool's size is the one piece of process-wide state here: there is one pool. */
static int pool_threads = 1;

void kernel_threads_set(int threads)
{
    pool_threads = threads > 0 ? threads : 1;
}

int kernel_threads(void)
{
#ifdef _OPENMP
    return pool_threads;
#else
    return 1;
#endif
}

int kernel_rows_padded(int count)
{
    return (count + KERNEL_ROW_BLOCK - 1) / KERNEL_ROW_BLOCK * KERNEL_ROW_BLOCK;
}

void kernel_pool_run(kernel_task_f *task, void *ctx, int count, double cost_ns)
{
#ifdef _OPENMP
    if (pool_threads > 1 && count > 1 && cost_ns >= KERNEL_POOL_NS_MIN) {
#pragma omp parallel for schedule(dynamic, 1) num_threads(pool_threads)
        for (int i = 0; i < count; i++)
            task(ctx, i, omp_get_thread_num());
        return;
    }
#else
    (void)cost_ns;
#endif
    for (int i = 0; i < count; i++)
        task(ctx, i, 0);
}
