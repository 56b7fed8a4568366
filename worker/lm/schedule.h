/* The learning rate as a function of the step. */
#ifndef TRIAD_SCHEDULE_H
#define TRIAD_SCHEDULE_H

#include <stdint.h>

#include "err.h"

enum schedule_kind {
    SCHEDULE_LINEAR,   /* falls in a straight line to the minimum */
    SCHEDULE_COSINE,   /* falls along half a cosine (Loshchilov & Hutter 2017, equation 5) */
    SCHEDULE_CONSTANT, /* stays; the minimum is not used */
    SCHEDULE_KIND_COUNT,
};

struct schedule {
    enum schedule_kind kind;
    double learning_rate;    /* the peak */
    double minimum_lr_ratio; /* where linear and cosine end, as a share of the peak */
    int64_t warmup_steps;    /* step s < warmup_steps has (s + 1) / warmup_steps of the peak */
    int64_t steps;           /* of the whole run */
};

/* The rate of step 0 … steps - 1. After the warm-up, linear and cosine fall as a function of
 * (step - warmup_steps) / (steps - warmup_steps): the first step after it has the peak, and the
 * minimum would be reached at `steps`, one past the last. */
double schedule_rate(const struct schedule *s, int64_t step);

/* "linear", "cosine" or "constant". ERR_INVALID with a suggestion for anything else. */
NODISCARD enum err_code schedule_kind_parse(const char *name, enum schedule_kind *kind_out,
                                            struct err *err);

#endif
