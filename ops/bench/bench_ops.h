/* Where the time goes: a table of operations that measures the one it stands for. */
#ifndef TRIAD_BENCH_OPS_H
#define TRIAD_BENCH_OPS_H

#include <stddef.h>
#include <stdint.h>

#include "bench_report.h"

/* Measure every operation of what is made from now on (kernel_override()). */
void bench_ops_begin(void);
/* Forget what was measured so far. */
void bench_ops_reset(void);
/* Stop measuring. */
void bench_ops_end(void);

/* One row per operation that ran: its share of `seconds`, milliseconds per round, GFLOP/s where it
 * has products, GB/s elsewhere (each array read or written counts once); what is left is "between
 * operations". All in processor time, threads together, which other work on the machine changes
 * least: rates are those of one core. */
void bench_ops_report(struct bench_report *report, const char *title, double seconds, int rounds);

#endif
