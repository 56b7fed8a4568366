/* The worker as a process: runs the agent (worker/agent) on a libuv loop with real sockets, files
 * and children, until it leaves. */
#ifndef TRIAD_WORKER_DRIVER_H
#define TRIAD_WORKER_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "net_keys.h"

struct worker_options { /* all borrowed while the worker runs */
    const struct net_access *access;
    const char *folder; /* --dir */
    const char *name, *host, *numeric_class, *version;
    uint32_t host_cores, threads;
    uint64_t memory_bytes;
    uint32_t ranks, rank_threads; /* as in msg_hello */
    uint64_t spool_bytes_max, cache_bytes_max;
    const char *program;       /* of the children: "PROGRAM exec" */
    int64_t grace_ms;          /* between SIGTERM and leaving whatever happens */
    int64_t idle_end_ms;       /* leave after holding nothing for so long; 0: never */
    const char *node, *labels; /* labels.h */
    int64_t time_limit_ms;     /* from now: it must be gone by then; 0: it has no end */
    /* HOST[:PORT] where other workers may read the cache; NULL: nowhere. And how they reach it. */
    const char *data_listen, *data_advertise;
    const char *store_folder; /* where this machine sees the coordinator's blobs; NULL: as told */
};

/* Run until drained, told to stop (SIGTERM, SIGINT; a second one stops at once) or refused.
 * ERR_CONFLICT when the folder is another process's, ERR_DENIED when the coordinator refused us
 * (the text is its reason), ERR_IO for a folder that cannot be used. */
NODISCARD enum err_code worker_run(const struct worker_options *options, struct err *err);

#endif
