/* The benchmarks of `triad bench`. Each compares within one run: machines are shared, and a rate
 * alone says little. */
#ifndef TRIAD_BENCH_RUN_H
#define TRIAD_BENCH_RUN_H

#include <stddef.h>

#include "bench_report.h"
#include "err.h"
#include "model_config.h"

struct bench_options {
    struct model_config shape;
    const char *folder; /* weights from here (a checkpoint); NULL: random ones of the shape */
    const char *save;   /* write weights and ids.bin there; NULL: nowhere */
    int rounds;         /* measured, after one that is not */
    size_t tokens;      /* of a sequence, or of a prompt */
    size_t step_tokens; /* of a training step */
    double loss_share;  /* score: share of the positions with a loss */
    size_t candidates;  /* generate */
    size_t texts;       /* generate */
    size_t text_tokens; /* generate: of a text */
};

/* Training steps, update included: tokens/s; 6 N tokens against the best 4096^3 sgemm of OpenBLAS
 * on all threads, before and after. */
NODISCARD enum err_code bench_train(struct bench_report *report,
                                    const struct bench_options *options, struct err *err);
/* One sequence scored: logits at every position; and with a loss at loss_share of them. */
NODISCARD enum err_code bench_score(struct bench_report *report,
                                    const struct bench_options *options, struct err *err);
/* Candidates after one prompt against each from its start; texts of one prompt together against one
 * at a time. */
NODISCARD enum err_code bench_generate(struct bench_report *report,
                                       const struct bench_options *options, struct err *err);
/* Products of the shape's matrices: our own and OpenBLAS's, all threads. */
NODISCARD enum err_code bench_kernels(struct bench_report *report,
                                      const struct bench_options *options, struct err *err);

/* Time that passed, by the wall's clock and by the processors'. */
struct bench_time {
    double wall, cpu; /* seconds */
};
struct bench_time bench_now(void);
struct bench_time bench_since(struct bench_time start);

/* Median of `count` values, which are sorted. */
double bench_median(double *values, size_t count);

#endif
