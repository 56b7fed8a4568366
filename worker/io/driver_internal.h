/* What the files of the driver share; nobody else includes this. */
#ifndef TRIAD_DRIVER_INTERNAL_H
#define TRIAD_DRIVER_INTERNAL_H

#include <uv.h>

#include "agent.h"
#include "attempt_log.h"
#include "blob_client.h"
#include "blob_serve.h"
#include "exec_child.h"
#include "net.h"
#include "spool.h"
#include "worker_driver.h"
#include "worker_folder.h"

/* No attempt begins with less left on the disk. */
#define DISK_RESERVE_BYTES ((uint64_t)32 << 20)
#define DISK_PATIENCE_MS   30000 /* how long a batch may wait for space before its attempt fails */

/* The newest checkpoint of a job, one on its way to the store, and one that has just come. */
#define JOB_CHECKPOINTS_MAX 3

/* A lease in our hands. */
struct driver_job {
    struct driver_job *next;
    struct lease_key lease;
    const struct msg_lease *job; /* the agent's */
    char *folder;                /* of this attempt: links to what it reads, and what it writes */
    size_t fetched;              /* transfers done, in the order of driver_job_transfer() */
    struct attempt_log log;
    bool working; /* a thread hashes or links; checkpoint and result frames wait */
    struct driver_child *child;
    bool prepared;
    struct digest
        checkpoints[JOB_CHECKPOINTS_MAX]; /* in the cache and maybe not in the store yet */
    size_t checkpoint_count;
    int64_t began_s;          /* wall clock, for the cache */
    int64_t run_at_ms;        /* monotonic */
    uint64_t cpu_before_ms;   /* of a warm child */
    int64_t blocked_since_ms; /* its child waits for disk space; 0: it does not */
};

struct driver_child {
    struct driver_child *next;
    uint32_t id;
    struct exec_child *process; /* NULL once it ended */
    struct lease_key lease;     /* of the job it has, or had */
    bool has_job;
    bool ended; /* told to the agent when its job's thread is done */
    struct exec_child_end end;
    char *end_text;
};

/* A transfer under way. */
struct driver_transfer {
    struct driver_transfer *next;
    struct driver *driver;
    struct lease_key lease;
    struct digest tree;
    bool upload;
};

/* An event with its own copy of its texts. */
struct driver_event {
    struct driver_event *next;
    struct agent_event event;
    char *text, *numeric_class;
};

struct driver_end; /* a result on its way to the disk */

struct driver {
    const struct worker_options *options;
    uv_loop_t loop;
    uv_timer_t wake, second; /* the agent's wake-up; once a second: logs, retries, cache */
    uv_signal_t terminate, interrupt;
    struct worker_folder folder;
    char *cache;
    struct spool *spool;
    struct net *net;
    struct net_socket *dealer;
    struct blob_client *blobs;
    uint64_t fetched_bytes, io_bytes; /* as of the last second */
    struct blob_serve *serve;         /* NULL: the cache is nobody else's */
    struct agent *agent;
    struct agent_actions actions;
    struct driver_job *jobs;
    struct driver_child *children;
    struct driver_transfer *transfers;
    struct driver_event *events, **events_end;
    struct driver_end *ends, **ends_end; /* the first one is being written */
    bool stepping, leaving, closed, refused;
    int threads_working;
    char leave_reason[512];
};

/* ---- driver_events.c ---- */
/* Give the agent an event now, or after the one it is busy with; texts are copied. `now_ms` is
 * filled in. */
void driver_post(struct driver *d, const struct agent_event *event);
/* The same for a message, at once. */
void driver_message(struct driver *d, const struct msg *message);
struct driver_job *driver_job_find(struct driver *d, const struct lease_key *lease);
void driver_events_release(struct driver *d);

/* ---- driver.c ---- */
/* The agent wants to go: say goodbye, then close everything. */
void driver_leave(struct driver *d, bool refused, const char *reason);
void driver_job_free(struct driver *d, struct driver_job *job);
/* The folder of an attempt; the caller frees it. */
char *driver_attempt_folder(const struct driver *d, const struct lease_key *lease);
/* Who worked for an attempt is done with it: should it be forgotten, nothing of its folder stays.
 */
void driver_attempt_left(struct driver *d, const struct lease_key *lease);

/* ---- driver_fetch.c ---- */
void driver_fetch(struct driver *d, const struct msg_lease *job);
void driver_upload(struct driver *d, const struct lease_key *lease, const struct digest *tree);
void driver_cancel_transfers(struct driver *d, const struct lease_key *lease);
/* The folder of a tree among a job's inputs, by its role ("parent-model"); the caller frees it. */
char *driver_job_path(const struct driver_job *job, const char *role, const char *name);
bool driver_input_is_tree(const char *name);
/* A checkpoint has come into the cache: those that nobody will upload any more leave it. */
void driver_keep_checkpoint(struct driver *d, struct driver_job *job, const struct digest *tree);

/* ---- driver_run.c ---- */
void driver_run(struct driver *d, const struct agent_action *action);
void driver_stop_child(struct driver *d, uint32_t id, bool hard);
void driver_kill_children(struct driver *d);
/* Part a job from its child, which is returned (or NULL). */
struct driver_child *driver_detach(struct driver_job *job);
/* A child's frames, or its end, may have waited for a thread's work: now they need not. */
void driver_child_continue(struct driver *d, struct driver_child *child);
/* Once a second: write waiting log lines, try what had no room. */
void driver_second(struct driver *d);

/* ---- driver_end.c ---- */
/* Make an attempt's result durable, with its batches, while the loop goes on. */
void driver_end_write(struct driver *d, const struct lease_key *lease,
                      const struct msg_result *result);
/* The lease is forgotten: what waits to be written of it need not be. */
void driver_end_forget(struct driver *d, const struct lease_key *lease);

/* ---- driver_work.c ---- */
/* Hash a folder into the cache on a thread, then post CHECKPOINT (`step`) or, with `outcome`, the
 * RESULT with the folder as its artifact. */
void driver_store_folder(struct driver *d, struct driver_job *job, const char *folder,
                         uint64_t step, const struct agent_outcome *outcome);
/* Link the trees that a job reads into its folder on a thread, then post FETCHED. */
void driver_make_folders(struct driver *d, struct driver_job *job);

#endif
