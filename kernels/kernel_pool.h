/* The one thread pool: OpenMP over independent tasks. Which thread runs a task never changes its
 * bits, so tasks are handed out dynamically. Small jobs stay on the caller: waking threads costs
 * some 5 µs. */
#ifndef TRIAD_KERNEL_POOL_H
#define TRIAD_KERNEL_POOL_H

#include <stddef.h>

/* A task of a parallel loop: `index` of `count`, on thread `thread` of kernel_threads(). */
typedef void kernel_task_f(void *ctx, int index, int thread);

/* Run tasks 0 … count-1; returns when all are done. `cost` is the whole loop's cost in about
 * nanoseconds: below KERNEL_POOL_NS_MIN the caller does it alone. */
void kernel_pool_run(kernel_task_f *task, void *ctx, int count, double cost_ns);

/* Elementwise loops are cut into ranges of this many elements: a multiple of every vector width. */
#define KERNEL_RANGE       ((size_t)16384)
#define KERNEL_POOL_NS_MIN 20000.0

#endif
