/* One side of a comparison: a variant of a family on a task, over all its seeds. */
#ifndef TRIAD_STAT_ARM_H
#define TRIAD_STAT_ARM_H

#include <stdbool.h>
#include <stddef.h>

#include "arena.h"
#include "estimate.h"
#include "stat_calibration.h"
#include "stat_cell.h"
#include "stat_length.h"
#include "stat_reason.h"

/* A cell ready for arithmetic: complete, records in order. */
struct stat_items {
    const struct stat_cell *cell;
    const struct stat_record *records; /* by (sequence, position), each once */
    uint32_t record_count;
    uint32_t not_finite; /* records with a figure that is not a finite number */
};

struct stat_position {
    uint32_t position;
    struct estimate metric[STAT_METRIC_COUNT];
};

struct stat_arm {
    const char *family, *variant, *format, *suite, *task;
    enum stat_kind kind;
    uint32_t last_position;
    bool complete;                  /* every seed's cell is present with the records expected */
    char reason[STAT_REASON_SIZE];  /* why not, else "" */
    uint32_t not_finite;            /* over all seeds */
    const struct stat_cell **cells; /* one per seed, ascending */
    struct stat_items *items;       /* of complete arms, parallel to `cells` */
    size_t seed_count;
    /* Nothing where the kind has no such metric or scope, and in incomplete arms. */
    struct estimate summary[STAT_SCOPE_COUNT][STAT_METRIC_COUNT];
    double se_independent[STAT_METRIC_COUNT]; /* in context, records taken as independent */
    struct stat_position *positions;          /* complete scores: 0 ... last_position; else NULL */
    struct stat_calibration *calibration;     /* complete scores with entries; else NULL */
    struct stat_length *lengths; /* complete scores: by the answer's tokens; else NULL */
    size_t length_count;
};

/* Build an arm from the cells of its seeds (`cells` is kept, all of one family, variant and task).
 * With several seeds, records of the same sequence of the same data set (equal pairing digest) are
 * one cluster whatever the seed: their errors share the examples; so are permutations of one
 * sequence. */
void stat_arm_build(struct stat_arm *arm, const struct stat_cell **cells, size_t seed_count,
                    double alpha, struct arena *arena);

/* Clusters, one per sequence, of a metric's values in a range of positions; with `baseline`, of the
 * differences arm - baseline of items paired by stat_arm_pair_problem(). Owned by `arena`. */
struct cluster *stat_arm_clusters(const struct stat_arm *arm, const struct stat_arm *baseline,
                                  enum stat_metric metric, struct stat_range range,
                                  struct arena *arena, size_t *count_out);

/* Why the two arms cannot be paired item by item, written into `reason`; false when they can. */
bool stat_arm_pair_problem(const struct stat_arm *baseline, const struct stat_arm *against,
                           char reason[STAT_REASON_SIZE]);

#endif
