/* Following experiments until every job has ended; shared by run, watch and submit --wait. */
#ifndef TRIAD_WATCH_H
#define TRIAD_WATCH_H

#include "connection.h"
#include "progress.h"

struct watch_options {
    const char *experiment; /* "" for all */
    int64_t poll_ms;
    int64_t deadline_ms; /* monotonic; 0: none */
    /* Called between polls; a failure ends the watch with it. May be NULL. */
    enum err_code (*between)(void *ctx, struct progress *progress, struct err *err);
    void *ctx;
    int64_t patience_ms; /* how long the coordinator may be silent */
};

/* Returns when all jobs are final, with their counts by state. ERR_CANCELLED after Ctrl-C (which
 * the caller has arranged for with interrupt_catch()), ERR_TIMEOUT past the deadline,
 * ERR_UNAVAILABLE when the coordinator is silent for too long. */
NODISCARD enum err_code watch_until_final(struct connection *c, const struct watch_options *options,
                                          struct progress *progress,
                                          uint64_t counts_out[JOB_STATE_COUNT], struct err *err);

/* EXIT_OK when all of them are done, else EXIT_UNFINISHED. */
enum cli_exit watch_exit(const uint64_t counts[JOB_STATE_COUNT]);

#endif
