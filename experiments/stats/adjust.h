/* Corrections of p-values for the number of hypotheses. */
#ifndef TRIAD_ADJUST_H
#define TRIAD_ADJUST_H

#include <stddef.h>

#include "arena.h"

enum adjust_method {
    ADJUST_NONE,
    ADJUST_HOLM, /* family-wise error rate, any dependence (Holm 1979) */
    ADJUST_BH,   /* false discovery rate (Benjamini and Hochberg 1995) */
};

/* "none", "holm", "benjamini-hochberg". */
const char *adjust_method_name(enum adjust_method method);

/* Adjust `count` p-values into `adjusted` (may not overlap). A hypothesis without a p (NaN) stays
 * NaN but is counted, as if its p were 1: it was declared, and a failed job must not make the
 * others' evidence stronger. `scratch` gives memory for the order. */
void adjust_p(enum adjust_method method, const double *p, double *adjusted, size_t count,
              struct arena *scratch);

#endif
