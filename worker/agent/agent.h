/* The worker's half of docs/protocol.md as a pure state machine: event in, actions out. It owns
 * sessions, heartbeats, go-back-n delivery of streams, and the life of every attempt; it knows
 * neither clock, socket, file nor process. worker/io/driver.c performs the actions in production,
 * tests/sim a simulated machine.
 *
 * Life of an attempt, as enum agent_phase:
 *
 *   LEASE → FETCHING → READY → RUNNING → FINISHED → forgotten
 *                                 ├ child result, crash, disk trouble → FINISHED
 *   REVOKE, stale verdict or newer epoch: forgotten at once, whatever the phase; its child is
 * killed
 *
 * Promises (checked by agent_check after every step):
 * 1. Nothing is sent about a lease that is not held; a forgotten lease is never taken up again.
 * 2. A RESULT leaves only when every batch is acknowledged, the artifact is in the store and a last
 *    checkpoint is acknowledged; it is repeated until RESULT_ACK, and the spool keeps it till then.
 * 3. At most AGENT_WINDOW unacknowledged batches of a stream are in flight.
 * 4. The threads of busy and dying children never pass the worker's. */
#ifndef TRIAD_AGENT_H
#define TRIAD_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "vocab.h"

#define AGENT_WINDOW    16   /* docs/protocol.md section 3 */
#define AGENT_RESEND_MS 2000 /* silence after which streams, checkpoints and results repeat */
/* Batches are the large ones: on a slow way they are only late, and repeating fills it. So each
 * repetition without an answer waits twice as long as the last, up to this. */
#define AGENT_RESEND_MS_MAX  16000
#define AGENT_KILL_GRACE_MS  10000
#define AGENT_STOP_GRACE_MS  60000 /* for the checkpoint of an attempt whose time is over */
#define AGENT_RETRY_MS_MIN   500   /* fetches and uploads that may succeed later */
#define AGENT_RETRY_MS_MAX   30000
#define AGENT_CHILD_IDLE_MS  60000 /* an unused warm child is let go after this */
#define AGENT_FORGOTTEN_KEYS 256   /* leases remembered so that a late duplicate is not restarted */

struct agent;

struct agent_options { /* strings are copied */
    const char *worker, *host, *numeric_class, *version;
    const char *node, *labels; /* NULL: empty */
    struct digest instance;
    uint32_t host_cores;
    uint32_t threads;
    uint64_t memory_bytes;
    uint32_t ranks, rank_threads; /* as in msg_hello */
    uint64_t seed;                /* of the jitter */
    int64_t idle_end_ms;          /* leave after holding nothing for this long; 0: never */
    /* Walltime: monotonic time at which this process must be gone, 0: never; it stops with
     * checkpoints so long before. */
    int64_t ends_at_ms, end_grace_ms;
};

/* What is known of an attempt's end before the streams are counted. Strings are borrowed. */
struct agent_outcome {
    enum outcome outcome;
    const char *reason; /* one sentence; empty when ok */
    uint64_t items;
    struct digest records;
    struct digest artifact; /* tree, complete in the worker's own cache; none when there is none */
    uint32_t exit_signal;
    int32_t exit_code;
    uint64_t wall_ms, cpu_ms, memory_peak_bytes;
    uint64_t start_step;
    const char *numeric_class; /* empty: the worker's */
};

/* A finished lease that a former process of this worker left in the spool. */
struct agent_survivor {
    struct lease_key lease;
    struct agent_outcome outcome;
    uint32_t batches[STREAM_COUNT]; /* all of them can be read from the spool */
};

enum agent_event_kind {
    AGENT_EV_START,        /* once, first: `survivors` */
    AGENT_EV_CONNECTED,    /* the transport works (again): any older connection is gone */
    AGENT_EV_DISCONNECTED, /* the transport says that it does not; may be missing or late */
    AGENT_EV_MESSAGE,      /* `message`, from the coordinator */
    AGENT_EV_TICK,         /* nothing but time */
    AGENT_EV_FETCHING,     /* bytes came in since the last one: whoever waits for his is alive */
    AGENT_EV_STORING,      /* `lease`: a thread of the worker gets on with its files */
    AGENT_EV_FETCHED,      /* `lease`: inputs, parents and the resume tree are in the cache */
    AGENT_EV_FETCH_FAILED, /* `lease`, `failure` */
    AGENT_EV_RUNNING,      /* `lease`: its child has taken the job up */
    AGENT_EV_PROGRESS,     /* `lease`, `progress` */
    AGENT_EV_BATCH,        /* `lease`, `stream`: the next batch of it is in the spool */
    AGENT_EV_CHECKPOINT,   /* `lease`, `checkpoint`: a resume tree is complete in the cache */
    AGENT_EV_RESULT,       /* `lease`, `outcome`: its child said how it ended (after its batches) */
    AGENT_EV_CHILD_EXITED, /* `child`, `outcome`: CRASHED or MEMORY, used if no RESULT came */
    AGENT_EV_UPLOADED,     /* `lease`, `tree`: in the coordinator's store, durable */
    AGENT_EV_UPLOAD_FAILED, /* `lease`, `tree`, `failure` */
    AGENT_EV_DISK_TROUBLE,  /* `lease`, `failure`: its spool cannot be written (or read: final) */
    AGENT_EV_DRAIN,         /* finish what is held, then leave */
    AGENT_EV_TERMINATE, /* `grace_ms`: stop children with a checkpoint, deliver, leave in time; a
                           second one leaves at once */
};

struct agent_event {
    enum agent_event_kind kind;
    int64_t now_ms; /* monotonic, never decreasing from event to event */
    struct lease_key lease;
    union {
        struct {
            const struct agent_survivor *items;
            size_t count;
        } survivors;
        const struct msg *message; /* borrowed during the call */
        struct {
            const char *text; /* one sentence */
            bool final;       /* true: trying again is pointless */
        } failure;
        struct {
            uint64_t done, total;
            double loss_nats, tokens_per_s;
        } progress;
        struct {
            uint64_t step;
            struct digest tree;
        } checkpoint;
        int64_t grace_ms;
    };
    enum stream_kind stream;
    struct digest tree;
    uint32_t child;
    struct agent_outcome outcome;
};

/* The driver performs these in order. What fails, fails as an event later. */
enum agent_action_kind {
    AGENT_DO_SEND,         /* `message` */
    AGENT_DO_SEND_BATCH,   /* `message` is a STREAM without payload: the spool has it */
    AGENT_DO_FETCH,        /* `job`: open its spool, bring what it needs into the cache
                              → FETCHED or FETCH_FAILED */
    AGENT_DO_RUN,          /* `job` on `child`; `fresh`: start that child first
                              → RUNNING, …, RESULT or CHILD_EXITED */
    AGENT_DO_STOP_CHILD,   /* `child`: SIGTERM to its process group; `hard`: SIGKILL
                              → CHILD_EXITED */
    AGENT_DO_UPLOAD,       /* `lease`, `tree` from the cache → UPLOADED or UPLOAD_FAILED */
    AGENT_DO_SPOOL_RESULT, /* `message` is the RESULT so far: make it and the lease's batches
                              durable now */
    AGENT_DO_SPOOL_DROP,   /* `lease`, `stream`: batches below `below` are not needed any more */
    AGENT_DO_FORGET,       /* `lease`: remove all of it; events about it will be ignored */
    AGENT_DO_LEAVE,        /* send what is queued and end the process; `reason`, `refused` */
};

struct agent_action {
    enum agent_action_kind kind;
    struct lease_key lease;
    struct msg message;          /* what it points to is valid until the next step */
    const struct msg_lease *job; /* valid until the lease is forgotten */
    uint32_t child;
    bool fresh, hard, refused;
    struct digest tree;
    enum stream_kind stream;
    uint32_t below;
    const char *reason;
};

/* Zero-initialise; agent_step empties and fills it; release with agent_actions_release(). */
struct agent_actions {
    struct agent_action *items;
    size_t count, capacity;
    struct arena arena;
    int64_t wake_at_ms; /* call with a TICK by then, if nothing else happens; INT64_MAX: never */
};

/* ERR-free: memory exhaustion aborts, outside input is bounded by bounds.h before it gets here. */
struct agent *agent_new(const struct agent_options *options);
void agent_free(struct agent *agent);

/* Advance by one event. Deterministic: equal state and event give equal actions. */
void agent_step(struct agent *agent, const struct agent_event *event, struct agent_actions *out);
void agent_actions_release(struct agent_actions *actions);

/* ---- looking inside, for tests, the simulator's checkers and the status line ---- */

enum agent_phase { AGENT_FETCHING, AGENT_READY, AGENT_RUNNING, AGENT_FINISHED };

struct agent_view {
    struct lease_key lease;
    enum agent_phase phase;
    uint32_t child; /* 0: none */
    uint32_t batches[STREAM_COUNT], acknowledged[STREAM_COUNT];
};
size_t agent_held_count(const struct agent *agent);
struct agent_view agent_held_at(const struct agent *agent, size_t index);
uint64_t agent_session(const struct agent *agent); /* 0: none */
/* A session ends after so long a silence. */
int64_t agent_patience_ms(const struct agent *agent);
uint32_t agent_threads_busy(const struct agent *agent);
bool agent_has_left(const struct agent *agent);

#endif
