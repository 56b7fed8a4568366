/* What the pairs say together: verdicts counted, effects pooled. */
#ifndef TRIAD_STAT_OVERVIEW_H
#define TRIAD_STAT_OVERVIEW_H

#include "arena.h"

struct stats;

/* Fill `stats->counts` and `stats->pooled` from its decided comparisons. */
void stat_overview_build(struct stats *stats, struct arena *arena);

#endif
