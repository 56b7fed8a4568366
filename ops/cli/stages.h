/* Where the time of a run went, by stage. */
#ifndef TRIAD_STAGES_H
#define TRIAD_STAGES_H

#include "job_table.h"
#include "str.h"

/* What this program did itself, in milliseconds. */
struct stages {
    int64_t plan_ms, start_ms, report_ms;
    int64_t begin_wall_ms; /* wall clock: jobs that ended before are not of this run */
    int64_t total_ms;
};

/* Wall-clock milliseconds during which at least one job of `kind` ran since `begin_ms`, from the
 * rows' start and end; the number of such jobs goes to `*count_out`. */
int64_t stages_busy_ms(const struct job_table *jobs, enum job_kind kind, int64_t begin_ms,
                       size_t *count_out);

/* Append the table: a line per stage that took time. */
void stages_print(const struct stages *stages, const struct job_table *jobs, struct strbuf *out);

#endif
