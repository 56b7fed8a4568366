/* What a benchmark found: printed as it comes, and kept as JSON. */
#ifndef TRIAD_BENCH_REPORT_H
#define TRIAD_BENCH_REPORT_H

#include <jansson.h>
#include <stdbool.h>

#include "err.h"

struct bench_report {
    json_t *root, *ops; /* `ops` of the current section */
    bool is_silent;     /* kept as JSON only */
};

/* Begin: prints (unless silent) and keeps machine, numeric class and threads. Free with
 * bench_report_end(). */
void bench_report_begin(struct bench_report *report, const char *verb, const char *shape,
                        bool is_silent);
/* A figure with its unit ("tokens/s", "x", "%"). */
void bench_report_figure(struct bench_report *report, const char *name, double value,
                         const char *unit);
void bench_report_text(struct bench_report *report, const char *name, const char *text);
/* A breakdown by operation, and its rows. */
void bench_report_section(struct bench_report *report, const char *title);
void bench_report_op(struct bench_report *report, const char *name, double ms, double percent,
                     double gflops, double gbytes);
/* Write the JSON to `path` (NULL: nowhere) and free. */
NODISCARD enum err_code bench_report_end(struct bench_report *report, const char *path,
                                         struct err *err);

#endif
