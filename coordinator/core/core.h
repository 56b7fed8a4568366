/* The coordinator's decisions as a function: state + event → state + what to make durable, what to
 * tell whom afterwards, and when to call again. Protocol: docs/protocol.md.
 *
 * Pure: no clock, socket, file, thread, database or global; time and randomness come in. Memory
 * comes from malloc (the state) and from the output's arena (one step); running out aborts.
 * Deterministic: the same loads and events give the same outputs.
 *
 * What the driver owes:
 *  1. It commits all of a step's ops before any of its sends leaves the process. If the commit
 *     fails it throws the core away and loads a new one from the store: memory never runs ahead of
 *     the disk.
 *  2. It calls core_step() no later than `wake_at_ms`, with any event.
 *  3. The core keeps unfinished jobs only. Where an event may name a finished one, the driver looks
 *     it up in its store and hands the row in with the event (`finals`, `final`).
 *  4. A LEASE leaves the core without label, spec and inputs (a million specs do not belong in
 *     memory); the driver completes it from its store before encoding.
 *
 * After a restart: core_new(), core_load_*() per durable row, core_load_finish(). The new core
 * equals the lost one in everything core_dump() prints. */
#ifndef TRIAD_CORE_H
#define TRIAD_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "str.h"
#include "vocab.h"

struct core;

struct core_options {
    uint32_t boot;              /* how often this store was opened: makes session numbers unique */
    uint32_t heartbeat_ms;      /* 0: HEARTBEAT_MS */
    uint32_t liveness;          /* silent beats until a worker is lost; 0: HEARTBEAT_LIVENESS */
    uint32_t lease_ms;          /* 0: LEASE_MS */
    uint32_t stall_ms;          /* a running attempt without progress is lost; 0: 10 minutes */
    uint32_t backoff_ms_min;    /* before the second attempt; doubles from there; 0: 1 s */
    uint32_t backoff_ms_max;    /* 0: 60 s */
    uint32_t free_attempts_max; /* attempts that cost no budget (lost, given back); 0: 20 */
    uint32_t host_failures_max; /* different jobs failing in a row: quarantine of a host; 0: 3 */
};

struct core *core_new(const struct core_options *options, uint64_t seed);
void core_free(struct core *core);

/* For the simulator's self-check only: a core with one planted bug, to prove that the simulator
 * finds bugs. Never reachable from the command line. */
enum core_fault {
    CORE_FAULT_NONE,
    CORE_FAULT_SKIP_EPOCH_CHECK,  /* any epoch of a held job passes the fence */
    CORE_FAULT_ACK_BEFORE_COMMIT, /* sends are marked `immediate`: the driver obeys */
    CORE_FAULT_DROP_CHECKPOINT,   /* checkpoints are acknowledged, but not remembered */
    CORE_FAULT_IGNORE_PAUSE,      /* paused experiments get new attempts all the same */
    CORE_FAULT_IGNORE_LABELS,     /* any worker does for a job that asks for labels */
    CORE_FAULT_IGNORE_MISMATCH,   /* any digest of held leases is taken for the right one */
};
struct core *core_new_with_fault(const struct core_options *options, uint64_t seed,
                                 enum core_fault fault);

/* ---- durable rows ---- */

/* The part of a job that changes. Strings are borrowed for as long as the row is. */
struct core_job_state {
    struct digest identity;
    uint64_t order; /* place in submission order, from 1; unique: the store's key */
    enum job_state state;
    const char *reason;      /* final: one sentence; empty otherwise */
    uint32_t epoch;          /* of the current or latest attempt; 0: none yet */
    uint32_t attempts_spent; /* ended attempts of the budget */
    uint32_t attempts_free;  /* ended attempts that cost nothing, since the latest checkpoint */
    uint32_t attempts_max;   /* the budget */
    uint64_t failures;       /* ended attempts by class, a byte each (retry.h) */
    enum outcome outcome;    /* of the latest ended attempt */
    uint64_t failure_digest; /* how it failed, 0: it did not; equal means the same failure */
    uint64_t failure_worker; /* digest of the name of the worker it failed on */
    const char *worker;      /* who holds the lease, or held it last; may be empty */
    struct digest resume;    /* tree of the latest checkpoint */
    uint64_t resume_step;
    struct digest artifact; /* done jobs: their outputs */
    struct digest records;
    uint64_t items;
    const char *numeric_class; /* of that worker */
    int64_t submitted_ms;      /* wall clock, 0: not yet */
    int64_t started_ms;        /* of the latest attempt */
    int64_t ended_ms;          /* of the job */
};

/* A parent as a job sees it. */
struct core_parent {
    const char *name;
    struct digest identity;
    enum job_state state;
    struct digest artifact; /* of a done parent */
};

/* All the core needs of a stored job. */
struct core_job_row {
    struct core_job_state state;
    const char *experiment; /* whose numeric class it follows: the one that queued it last */
    /* The experiments that want it; NULL: that one alone. (An empty list: none does.) */
    const char *const *wanted_by;
    size_t wanted_count;
    enum job_kind kind;
    uint32_t threads;
    uint64_t memory_bytes;
    uint64_t items_expected;
    int32_t priority;
    struct retry_policy retry;
    const char *labels;           /* NULL: none */
    uint32_t time_limit_s, ranks; /* ranks: 0 is 1 */
    const struct core_parent *parents;
    size_t parent_count;
    uint32_t next[STREAM_COUNT]; /* stored batches of the current attempt, when it has one */
};

/* ---- start ---- */

/* Largest `order` in the store, so that new jobs go on from there. */
void core_load_order(struct core *core, uint64_t order_max);
void core_load_experiment(struct core *core, const char *name, const char *numeric_class,
                          bool paused, int32_t priority);
/* A host in quarantine. */
void core_load_host(struct core *core, const char *name, const char *reason);
/* A worker that holds leases, with its host, whose cores the leases use, and the process start that
 * last said HELLO under its name: should another process answer to it now, the leases are lost.
 * Before the jobs. */
void core_load_worker(struct core *core, const char *name, const char *host,
                      const struct digest *instance);
/* An unfinished job; its experiment must be loaded. ERR_CORRUPT when the row contradicts itself. */
NODISCARD enum err_code core_load_job(struct core *core, const struct core_job_row *row,
                                      struct err *err);
/* The stored record batches of a loaded job's current attempt, in order: the core continues their
 * running digest. */
NODISCARD enum err_code core_load_records(struct core *core, const struct digest *job,
                                          struct bytes payload, uint32_t items, struct err *err);
/* Connect parents and children. Leases found held run for another `lease_ms` from `now_ms`. */
NODISCARD enum err_code core_load_finish(struct core *core, int64_t now_ms, struct err *err);

/* ---- events ---- */

enum core_event_kind {
    CORE_TICK,         /* time has passed */
    CORE_MESSAGE,      /* a decoded frame of a worker */
    CORE_PEER_GONE,    /* a connection is known to be gone */
    CORE_SUBMIT,       /* a whole plan */
    CORE_CANCEL,       /* jobs, by a person */
    CORE_RETRY,        /* final jobs are queued again, by a person */
    CORE_PAUSE,        /* an experiment gets no new attempts, by a person */
    CORE_RESUME,       /* it does again */
    CORE_PRIORITY,     /* of jobs, or of an experiment among others, by a person */
    CORE_DRAIN_WORKER, /* by a person, or a release */
};

struct core_message {
    const struct msg *msg; /* a kind of sender 'W' */
    uint64_t key;          /* whose key the connection uses: a short digest of its name */
    /* RESULT of a job that core_has_job() does not know: its stored state, or NULL. */
    const struct core_job_state *final;
    /* STREAM: what the driver found in a record batch (other streams: 0, true). */
    uint32_t items;
    bool payload_is_valid;
    /* CHECKPOINT, RESULT: is the named tree in the store with all its files? */
    bool tree_is_stored;
};

struct core_submit {
    uint64_t request;
    const char *experiment;
    struct bytes manifest;
    struct bytes plan_json;
    const struct submit_job *jobs; /* in any order; parents are jobs of this plan or stored ones */
    size_t job_count;
    /* Stored final rows of jobs and parents that core_has_job() does not know. */
    const struct core_job_row *finals;
    size_t final_count;
    bool dry_run;
    /* One part of a plan that comes in several steps: the counts go to the output instead of to the
     * peer. Parents are in this part, known, or (`dry_run`) checked by the driver. */
    bool is_part;
    const struct msg_submitted *before; /* of the parts before it; NULL: it is the first */
};

/* Jobs by their order: after < order <= last; last 0: to the end. */
struct core_span {
    uint64_t after, last;
};

struct core_act {
    uint64_t request;
    const char *reason;
    /* CANCEL: the jobs (unknown ones are skipped). */
    const struct digest *jobs;
    size_t job_count;
    /* CANCEL of an experiment: its name, else empty. */
    const char *experiment;
    struct core_span span; /* CANCEL, RETRY of an experiment: the part of it that is meant */
    /* RETRY: final rows to queue again; parents that ended without success must be among them or
     * the job is refused. */
    const struct core_job_row *rows;
    size_t row_count;
    int32_t priority; /* PRIORITY: of `jobs`, or of `experiment` when that is named */
};

struct core_drain {
    uint64_t request;
    const char *worker;
    enum worker_action action;
    const char *reason; /* NULL: none */
    uint64_t grace_ms;
};

struct core_event {
    enum core_event_kind kind;
    int64_t now_ms;  /* monotonic; the driver holds it back while its own loop lags */
    int64_t time_ms; /* wall clock: stored and shown, never decided on */
    uint64_t peer;   /* the connection the event came from; never 0 */
    union {
        struct core_message message;
        struct core_submit submit;
        struct core_act act;
        struct core_drain drain;
    };
};

/* ---- outputs ---- */

enum core_op_kind {
    CORE_OP_EXPERIMENT,       /* new, or submitted again: documents replace the old ones */
    CORE_OP_EXPERIMENT_CLASS, /* its numeric class is fixed from now on */
    CORE_OP_EXPERIMENT_STATE, /* paused or not, and its priority */
    CORE_OP_JOB_NEW,          /* followed by its CORE_OP_JOB */
    CORE_OP_JOB_TERMS,        /* submitted again: what the new plan asks for holds */
    CORE_OP_MEMBER,           /* the job belongs to the experiment, which wants it */
    CORE_OP_UNWANT,           /* the experiment wants none of the span's jobs any more */
    CORE_OP_JOB,              /* the changing part of a job */
    CORE_OP_ATTEMPT_BEGIN,
    CORE_OP_ATTEMPT_END,
    CORE_OP_BATCH,
    CORE_OP_WORKER,
    CORE_OP_JOB_PRIORITY,
    CORE_OP_HOST, /* into quarantine, or out of it */
};

struct core_op_experiment {
    const char *name;
    struct bytes manifest, plan_json;
    const char *numeric_class; /* CORE_OP_EXPERIMENT_CLASS */
    bool paused;               /* CORE_OP_EXPERIMENT_STATE */
    int32_t priority;
};

/* JOB_NEW and JOB_TERMS. */
struct core_op_job_new {
    uint64_t order;
    const struct submit_job *job;
};

/* MEMBER and UNWANT (which has no job). */
struct core_op_member {
    const char *experiment;
    uint64_t order;
    bool queues;           /* it queued the job: the job follows this experiment's numeric class */
    struct core_span span; /* UNWANT: of these jobs */
};

struct core_op_job {
    struct core_job_state state;
};

struct core_op_attempt {
    uint64_t order;
    struct lease_key lease;
    const char *worker;        /* BEGIN */
    const char *numeric_class; /* BEGIN */
    uint64_t start_step;       /* BEGIN: the checkpoint that the lease carries */
    /* END: */
    enum outcome outcome;
    bool committed;
    const char *reason;
    const struct msg_result *result; /* what the worker said; NULL when it said nothing */
};

struct core_op_batch {
    uint64_t order;
    struct lease_key lease;
    enum stream_kind stream;
    uint32_t index;
    uint32_t items;
    struct bytes payload; /* the event's */
};

struct core_op_worker {
    struct digest instance;
    const char *name, *host, *numeric_class, *version;
    uint32_t host_cores, threads;
    uint64_t memory_bytes;
    const char *node, *labels;
};

struct core_op_priority {
    uint64_t order;
    int32_t priority;
};

struct core_op_host {
    const char *name;
    bool quarantined;
    const char *reason;
};

struct core_op {
    enum core_op_kind kind;
    int64_t time_ms; /* the event's */
    union {
        struct core_op_experiment experiment;
        struct core_op_job_new job_new;
        struct core_op_member member;
        struct core_op_job job;
        struct core_op_attempt attempt;
        struct core_op_batch batch;
        struct core_op_worker worker;
        struct core_op_priority priority;
        struct core_op_host host;
    };
};

struct core_send {
    uint64_t peer;
    bool immediate; /* only ever set by a planted fault */
    uint64_t order; /* LEASE: its job's place in the store */
    struct msg msg;
};

/* What one step wants. Everything belongs to `arena` or to the event. */
struct core_output {
    struct core_op *ops; /* 1st: make durable, in this order, together */
    size_t op_count;
    struct core_send *sends; /* 2nd: then tell, in this order */
    size_t send_count;
    int64_t wake_at_ms; /* 3rd: call again by then; INT64_MAX: nothing to wait for */
    /* SUBMIT of a part: all counts up to it, or why it was refused (NULL: it was not). */
    struct msg_submitted submitted;
    const char *submit_refused;
    struct arena *arena;
    size_t op_capacity, send_capacity;
};

/* Begin an empty output. Several steps may append to one output: a loop turn is one commit. */
void core_output_init(struct core_output *out, struct arena *arena);

/* Advance by one event, appending to `out`. Never fails: what is wrong with a message is answered,
 * and what cannot be answered is ignored. */
void core_step(struct core *core, const struct core_event *event, struct core_output *out);

/* ---- questions (nothing changes) ---- */

bool core_has_job(const struct core *core, const struct digest *job);
/* One word (the list is in docs/protocol.md section 4); empty when the job is not waiting here. */
const char *core_wait_reason(const struct core *core, const struct digest *job, int64_t now_ms);
/* The same with its sentence, and worker by worker; all of it belongs to `arena`. */
void core_explain(const struct core *core, const struct digest *job, int64_t now_ms,
                  struct arena *arena, struct msg_explanation *out);

/* An attempt under way; strings are borrowed until the next step. */
struct core_running {
    struct digest job;
    uint64_t order; /* of submission: the store's key */
    const char *worker;
    enum job_state state;
    uint64_t done, total;
    double loss_nats, tokens_per_s;
    int64_t started_ms;
};
/* False when the job has no attempt under way. */
bool core_running(const struct core *core, const struct digest *job, struct core_running *out);
/* All of them in order of submission, at most `running_max`; returns how many were written. */
size_t core_running_list(const struct core *core, struct core_running *out, size_t running_max);

/* Workers by name; strings are borrowed until the next step. `seen_ms` is wall time. */
size_t core_workers(const struct core *core, struct worker_row *out, size_t workers_max);

struct core_counts {
    size_t jobs; /* unfinished */
    size_t jobs_ready;
    size_t leases;
    size_t workers; /* with a live session */
    size_t threads; /* of those */
};
struct core_counts core_counts(const struct core *core);

/* Startable jobs that ask for the same; jobs of paused experiments are not among them. `labels` is
 * borrowed until the next step. */
struct core_demand {
    uint32_t threads;
    uint64_t memory_bytes;
    uint32_t time_limit_s; /* 0: not stated */
    uint32_t ranks;
    const char *labels;
    size_t jobs;
};
/* At most `max` kinds, how many there were is returned. */
size_t core_demand(const struct core *core, struct core_demand *out, size_t max);
/* Threads without work of workers that take jobs. */
size_t core_idle_threads(const struct core *core);

/* Everything that must survive a restart, as sorted text: two cores with equal dumps decide alike
 * but for clocks and connections. */
void core_dump(const struct core *core, struct strbuf *out);
/* ASSERT the invariants of the whole state; O(jobs), for tests and the simulator. */
void core_check(const struct core *core);

#endif
