/* Calibration of one variant on one task: over scopes and positions, by token and by answer. */
#ifndef TRIAD_STAT_CALIBRATION_H
#define TRIAD_STAT_CALIBRATION_H

#include "arena.h"
#include "calibration.h"
#include "stat_cell.h"

struct stat_arm;

struct stat_calibration {
    /* Entries of every scored token (calibration.h), pooled over the scope and all seeds. */
    struct calibration tokens[STAT_SCOPE_COUNT][CALIBRATION_KIND_COUNT];
    struct calibration tokens_all[CALIBRATION_KIND_COUNT]; /* over all positions */
    double *tokens_at; /* error by equal mass at positions 0 … last_position */
    /* One entry per answer: the probability of the greedy answer. */
    struct calibration answers[STAT_SCOPE_COUNT][CALIBRATION_KIND_COUNT];
};

/* Of a complete arm of scores; NULL when its records hold no entries. */
struct stat_calibration *stat_calibration_measure(const struct stat_arm *arm, struct arena *arena);

#endif
