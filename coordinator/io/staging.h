/* Plans on their way in. The parts of a submission are written to a file each, which waits for the
 * last one, for a limited time and within bounds; then they are taken into the state one after the
 * other (intake.c). So the memory of a submission does not grow with its jobs, but for 80 bytes
 * each to know them by, and a plan whose parts are being taken outlives the process. */
#ifndef TRIAD_STAGING_H
#define TRIAD_STAGING_H

#include "arena.h"
#include "digest_map.h"
#include "err.h"
#include "str.h"
#include "vocab.h"

/* Submissions under way at once; a new one pushes out the one idle for longest. */
#define STAGING_PLANS_MAX 4
/* All files together: a million jobs of 2 KiB, or several plans of less. */
#define STAGING_BYTES_MAX ((uint64_t)4 * 1024 * 1024 * 1024)
/* A submission whose next part does not come for this long is forgotten; and one that has ended,
 * whose answer nobody asks for. */
#define STAGING_IDLE_MS 60000
/* Whose submitter is gone. */
#define STAGING_NOBODY UINT64_MAX

enum staged_state {
    STAGED_FREE,
    STAGED_ARRIVING,
    STAGED_WHOLE,   /* all parts are here */
    STAGED_DURABLE, /* and would survive a power cut */
    STAGED_TAKEN,   /* the state holds its first parts, and which they are */
    STAGED_ENDED,   /* with `counts` or `refused` */
};

struct staged_plan {
    enum staged_state state;
    uint64_t number; /* tells plans apart; also the order in which they came */
    uint64_t peer;
    int64_t touched_ms;
    uint32_t parts, part_count; /* that have arrived; in all */
    char *experiment;
    struct strbuf manifest, plan_json;
    size_t job_count;
    bool dry_run;              /* then nothing is written */
    struct digest_map planned; /* its jobs so far */
    int fd;
    uint64_t bytes;

    uint32_t next_part; /* to be read */
    uint64_t next_byte;
    struct msg_submitted counts;
    struct err refused; /* code ERR_OK: it was not */
};

struct staging {
    char *folder;       /* NULL: nothing can be staged yet */
    uint64_t bytes_max; /* 0: STAGING_BYTES_MAX */
    uint64_t number_last;
    struct staged_plan plans[STAGING_PLANS_MAX];
};

/* Keep the files in `folder`, which is made when it is needed. */
void staging_open(struct staging *staging, const char *folder);
/* Forget all plans, but leave the files. */
void staging_close(struct staging *staging);

struct staged_plan *staging_find(struct staging *staging, uint64_t peer);
/* Add the frame of a SUBMIT (decoded as `part`, to know that it is sound). *plan_out is its plan,
 * which is STAGED_WHOLE when this was the last part. A part that is already here is fine.
 * ERR_CONFLICT when it is not the next one or all places are taken, ERR_INVALID or ERR_LIMIT when
 * it cannot be taken, ERR_IO when it cannot be written; the plan is dropped then. */
NODISCARD enum err_code staging_add(struct staging *staging, uint64_t peer,
                                    const struct msg_submit *part, const uint8_t *frame,
                                    size_t frame_len, int64_t now_ms, struct staged_plan **plan_out,
                                    struct err *err);
/* Read the next part: ERR_CORRUPT when it is not what was written. */
NODISCARD enum err_code staging_read(struct staged_plan *plan, struct arena *arena,
                                     struct msg *part_out, struct err *err);
/* After a restart: the plan of which `parts_done` parts are in the state, as STAGED_TAKEN. */
NODISCARD enum err_code staging_adopt(struct staging *staging, uint64_t number, uint32_t parts_done,
                                      struct err *err);
/* Remove the files of plans that are not known. */
void staging_clean(struct staging *staging);
/* The plan to take parts of: one that was begun, else the oldest durable one; NULL: none. */
struct staged_plan *staging_next(struct staging *staging);
/* Forget a plan with its file. */
void staging_drop(struct staging *staging, struct staged_plan *plan);
void staging_expire(struct staging *staging, int64_t now_ms);

#endif
