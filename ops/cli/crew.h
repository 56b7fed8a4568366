/* The processes of `triad run`: a private coordinator and local workers, restarted when they die
 * and stopped in order. */
#ifndef TRIAD_CREW_H
#define TRIAD_CREW_H

#include "local.h"
#include "progress.h"
#include "start.h"

#define CREW_DEATHS_REMEMBERED 6

struct crew_member {
    struct local_child child;
    int ready_ms;          /* how long a start may take; 0: it does not say when it is ready */
    int64_t not_before_ms; /* monotonic; when to start it again */
    int64_t deaths_ms[CREW_DEATHS_REMEMBERED]; /* the last ones, oldest first; 0: none */
};

struct crew {
    struct cli *cli;
    const char *state_dir; /* absolute */
    bool has_coordinator;  /* ours; else one was running */
    struct crew_member coordinator;
    struct crew_member *workers;
    int worker_count;
};

/* Start a private coordinator on the state folder and wait until it is ready. Later restarts come
 * back on the same ports. */
NODISCARD enum err_code crew_start_coordinator(struct crew *crew, struct err *err);
/* Start `count` workers named local-1 …; `threads` for each, or NULL for all cores. */
NODISCARD enum err_code crew_start_workers(struct crew *crew, const char *access, int count,
                                           const char *threads, struct err *err);
/* Notice who died, say so, and start them again after a back-off. ERR_UNAVAILABLE when one dies
 * too often. */
NODISCARD enum err_code crew_tend(struct crew *crew, struct progress *progress, struct err *err);
/* Workers first: they hand their work back to the coordinator. Accepts a zeroed struct. */
void crew_stop(struct crew *crew);

#endif
