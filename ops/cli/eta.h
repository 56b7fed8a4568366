/* How long an experiment will still take: the plan's estimates of its jobs, corrected by the pace
 * seen so far. */
#ifndef TRIAD_ETA_H
#define TRIAD_ETA_H

#include <jansson.h>

#include "job_table.h"

struct eta_job {
    struct digest job;
    double work; /* seconds on one core, as planned */
};

struct eta {
    struct eta_job *jobs; /* by identity */
    size_t job_count;     /* 0: nothing is known */
    double work_total;
    double first_done; /* work that was done when looking began; negative: not looked yet */
    int64_t first_ms;
};

/* Take the jobs of a plan document; `arena` owns them. */
void eta_init(struct eta *eta, const json_t *plan, struct arena *arena);
/* Share of the planned work that is finished, 0–1, of jobs as they are in `jobs` and as far as
 * `running` says. Remembers the first look. NaN when nothing is known. */
double eta_look(struct eta *eta, const struct job_table *jobs, const struct running_row *running,
                size_t running_count, int64_t now_ms);
/* Milliseconds still to go if the pace since the first look stays; -1 while there is none. */
int64_t eta_left_ms(const struct eta *eta, double done_ratio, int64_t now_ms);

#endif
