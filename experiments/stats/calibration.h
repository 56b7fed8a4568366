/* Expected calibration error: how far a model's probabilities are from how often it is right.
 *
 * Token level (the published measure): the entries of a scored token are its own probability, and
 * that of every other token of the vocabulary, as far as they exceed CALIBRATION_FLOOR; an entry is
 * right when it is the token that stood there. Answer level: one entry per answer, the probability
 * that the greedy answer gets (the product of the most probable token's probability at every place,
 * with the true answer in front), right when the greedy answer is the true one. */
#ifndef TRIAD_CALIBRATION_H
#define TRIAD_CALIBRATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"

#define CALIBRATION_BINS  10
#define CALIBRATION_FLOOR 0.01

struct calibration_entry {
    double log_p; /* natural logarithm, at most 0 */
    bool right;
};

/* The ways to cut the entries into bins and to average over them. */
enum calibration_kind {
    /* Edges at the 0, 10, … 100 percentiles of the log-probabilities (linear interpolation), both
     * ends of a bin included, so that an entry on an edge counts on both sides; the plain mean over
     * bins that hold something. As published. */
    CALIBRATION_EQUAL_MASS,
    /* The same bins, each weighted by its entries. */
    CALIBRATION_EQUAL_MASS_WEIGHTED,
    /* Ten bins of equal width over [0, 1], the upper end included (the first also 0), weighted by
     * their entries (Guo et al. 2017, equation 3). */
    CALIBRATION_EQUAL_WIDTH,
};
#define CALIBRATION_KIND_COUNT 3

const char *calibration_kind_name(enum calibration_kind kind);

struct calibration_bin {
    double confidence; /* mean probability of its entries; NaN without any */
    double accuracy;   /* share of them that are right */
    uint64_t entries;
};

struct calibration {
    double error; /* NaN without entries */
    uint64_t entries;
    struct calibration_bin bins[CALIBRATION_BINS];
    size_t bin_count; /* min(CALIBRATION_BINS, entries) for equal mass */
};

/* Measure `count` entries, in any order; what is not finite is left out. */
struct calibration calibration_measure(const struct calibration_entry *entries, size_t count,
                                       enum calibration_kind kind, struct arena *scratch);

#endif
