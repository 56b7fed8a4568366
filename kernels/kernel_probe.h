/* The start-up probe's parts, for kernel_probe() and its tests. */
#ifndef TRIAD_KERNEL_PROBE_H
#define TRIAD_KERNEL_PROBE_H

#include "kernels.h"

/* kernel_probe() of another table. */
bool kernel_probe_ops(const struct kernel_ops *ops, char *text, size_t text_size);

/* OpenBLAS obeyed and keeps to one thread (in kernel_select.c, which sees OpenBLAS). */
bool kernel_library_is_serial(void);

#endif
