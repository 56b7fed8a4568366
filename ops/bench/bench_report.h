/* What a benchmark found: printed as it comes, and kept as JSON. */
#ifndef TRIAD_BENCH_REPORT_H
#define TRIAD_BENCH_REPORT_H

#include <jansson.h>

#include "err.h"

struct bench_report {
    json_t *root, *ops; /* `ops` of the current section */
};

/* Begin: prints and keeps machine, numeric class and threads. Free with bench_report_end(). */
void bench_report_begin(struct bench_report *report, const char *verb, const char *shape);
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
