/* What many samples from one prompt say: how many are valid, how different they are, and how much
 * of what is allowed they cover. */
#ifndef TRIAD_GENERATIONS_H
#define TRIAD_GENERATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"

struct generation {
    const char *text; /* NUL-terminated, ready for comparison */
    bool valid;
};

/* Of N samples with V valid ones, U different texts among these; texts are compared byte by byte.
 */
struct generation_counts {
    uint64_t samples, valid, unique_valid, unique;
    double valid_share;   /* V / N */
    double diversity;     /* U / V; 0 when nothing is valid */
    double usable_share;  /* U / N */
    double unique_share;  /* different texts, valid or not, / N */
    double collision;     /* share of equal pairs among the V (V - 1) / 2 valid ones; 0 below two */
    double collision_se;  /* sqrt(p (1 - p) / pairs); 0 below two */
    double list_coverage; /* U / length of the list of all that is allowed; NaN without a list */
};

/* `allowed`: how many texts are valid at all; 0 when that is not a list. The shares are NaN without
 * samples. */
struct generation_counts generations_count(const struct generation *samples, size_t count,
                                           uint64_t allowed, struct arena *scratch);

/* A task's place between validity and diversity, and whether another setting is better in both. */
struct pareto_point {
    double validity, diversity;
    bool on_front; /* no other point is at least as good in both and better in one */
};
/* Decide `on_front` of each; a point that is not finite is never on it. */
void pareto_front(struct pareto_point *points, size_t count);

#endif
