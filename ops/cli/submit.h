/* Giving a plan to a coordinator: what it would mean there, its inputs, and its jobs. */
#ifndef TRIAD_SUBMIT_H
#define TRIAD_SUBMIT_H

#include "connection.h"
#include "planner.h"

/* What the coordinator knows of a plan's jobs. */
struct fates {
    struct fate *list; /* by identity */
    size_t count;
    const struct plan *plan; /* why_new.h: NULL: not asked */
    const char **why;        /* by the plan's jobs; NULL: nothing to say */
};

/* Ask for the states of all jobs. What `out` holds belongs to `arena`. */
NODISCARD enum err_code fates_fetch(struct connection *c, struct arena *arena, struct fates *out,
                                    struct err *err);
/* A plan_fate (ctx: struct fates): "new"; "reuse" (done); "running", "waiting" (shared); "retry"
 * (failed, cancelled or aborted before); "blocked" (quarantined: wants `job retry`). */
const char *fates_word(void *ctx, const struct plan_job *job);
bool fates_are_new(const struct fates *fates, const struct plan_job *job);
/* The same kind of function: why a job is new that the experiment has had, or NULL. */
const char *fates_why(void *ctx, const struct plan_job *job);

struct fate_counts {
    size_t fresh, done, open, again, quarantined;
};
struct fate_counts fates_count(const struct fates *fates, const struct plan *plan);

/* Put the plan's blobs into the coordinator's store; what is there already is not sent. */
NODISCARD enum err_code submit_inputs(struct cli *cli, struct connection *c,
                                      const struct plan *plan, struct err *err);
/* A submission on its way, part by part. */
struct submit_parts {
    const char *experiment;
    struct bytes manifest, plan_json;
    const struct submit_job *jobs;
    size_t job_count;
    bool dry_run;
    /* set by submit_begin() and submit_next() */
    uint32_t part_index, part_count;
    size_t next_job, plan_offset;
};
/* Count the parts; submit_next() then makes the request of each, until it returns false. A part
 * fits a frame (bounds.h); all of them carry every job and the whole plan document, in order. The
 * request borrows from `parts`. */
void submit_begin(struct submit_parts *parts);
bool submit_next(struct submit_parts *parts, struct msg *request_out);

/* Submit the jobs with manifest and plan document, in as many parts as needed. */
NODISCARD enum err_code submit_jobs(struct connection *c, const struct planned *planned,
                                    bool dry_run, struct arena *arena, struct msg_submitted *out,
                                    struct err *err);

/* "15 jobs: 3 new, 12 done already": the first line of run, the result of submit. */
void submit_summary(const struct msg_submitted *submitted, struct strbuf *out);

#endif
