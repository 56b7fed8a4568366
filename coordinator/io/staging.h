/* Plans on their way in: a submission arrives in parts and takes effect with its last one. Parts
 * wait in memory, within bounds and for a limited time. */
#ifndef TRIAD_STAGING_H
#define TRIAD_STAGING_H

#include "arena.h"
#include "err.h"
#include "str.h"
#include "vocab.h"

/* Submissions under way at once; a new one pushes out the one idle for longest. */
#define STAGING_PLANS_MAX 4
/* Memory of all submissions under way: a million jobs of 2 KiB, or several plans of less. */
#define STAGING_BYTES_MAX ((size_t)4 * 1024 * 1024 * 1024)
/* A submission whose next part does not come for this long is forgotten. */
#define STAGING_IDLE_MS 60000

struct staged_plan {
    uint64_t peer; /* 0: free */
    int64_t touched_ms;
    uint32_t parts, part_count;
    struct arena arena;
    const char *experiment;
    struct bytes manifest;
    struct strbuf plan_json;
    struct submit_job *jobs;
    size_t job_count, job_capacity;
    bool dry_run;
};

struct staging {
    size_t bytes_max; /* 0: STAGING_BYTES_MAX */
    struct staged_plan plans[STAGING_PLANS_MAX];
};

/* Add the frame of a SUBMIT (already decoded once as `part`, to know it is sound; decoded again
 * into the plan's own memory). *whole_out is the plan when this was its last part, else NULL; it is
 * borrowed until staging_drop(). A part that is already here is fine. ERR_CONFLICT when it is not
 * the next one, ERR_INVALID or ERR_LIMIT when it cannot be taken; the plan is forgotten then. */
NODISCARD enum err_code staging_add(struct staging *staging, uint64_t peer,
                                    const struct msg_submit *part, const uint8_t *frame,
                                    size_t frame_len, int64_t now_ms,
                                    struct staged_plan **whole_out, struct err *err);
void staging_drop(struct staged_plan *plan);
void staging_expire(struct staging *staging, int64_t now_ms);
void staging_clear(struct staging *staging);

#endif
