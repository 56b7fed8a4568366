/* The one thread pool: independent tasks, handed out one by one. Which thread runs a task never
 * changes its bits. Small jobs stay on the caller: waking a thread costs some 5 µs.
 *
 * Why not OpenMP: libgomp's threads spin at the end of every loop until all have arrived, and only
 * the environment can change that. With one other busy process on two cores a loop of 0.1 ms then
 * took 10 ms (measured). Here a loop waits for tasks, never for threads: a helper that has not
 * woken up by the time the tasks are gone is not missed. ThreadSanitizer understands it, too. */
#ifndef TRIAD_KERNEL_POOL_H
#define TRIAD_KERNEL_POOL_H

#include <stddef.h>

/* A task of a parallel loop: `index` of `count`, on thread `thread` of kernel_threads(). */
typedef void kernel_task_f(void *ctx, int index, int thread);

/* Run tasks 0 … count-1; returns when all are done. `cost_ns` is the whole loop's cost in about
 * nanoseconds: below KERNEL_POOL_NS_MIN the caller does it alone, as it does when another loop is
 * running (of another thread, or around this one). */
void kernel_pool_run(kernel_task_f *task, void *ctx, int count, double cost_ns);

/* Elementwise loops are cut into ranges of this many elements: a multiple of every vector width. */
#define KERNEL_RANGE       ((size_t)16384)
#define KERNEL_POOL_NS_MIN 20000.0

#endif
