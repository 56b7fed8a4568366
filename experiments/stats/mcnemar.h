/* McNemar's exact test for paired yes/no answers. */
#ifndef TRIAD_MCNEMAR_H
#define TRIAD_MCNEMAR_H

#include <stdint.h>

/* Two-sided p of `gained` against `lost` discordant answers: twice the smaller binomial tail with
 * probability one half, at most 1 (McNemar 1947; Agresti, "Categorical Data Analysis", 10.1.4).
 * It takes answers as independent, so it stands beside the clustered test, never in its place. */
double mcnemar_exact(uint64_t gained, uint64_t lost);

#endif
