/* The words both sides speak, as plain records. codec.c turns them into frames and back; nothing
 * else knows how they look on the wire. Who sends what, when, and what each reply means:
 * docs/protocol.md.
 *
 * Strings are NUL-terminated and never NULL after decoding; arrays are NULL when their count is 0.
 * Everything a decoded message points to belongs to the arena it was decoded into.
 *
 * It is long because it is whole: a record for each kind in MSG_KINDS, in the order of the
 * protocol's two tables, to be read beside codec_shapes.c, which says of each how it travels. */
#ifndef TRIAD_VOCAB_H
#define TRIAD_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hash.h"
#include "retry_policy.h"
#include "vocab_data.h"

#define PROTOCOL_VERSION 5

struct bytes {
    const uint8_t *data;
    size_t len;
};

/* A worker's right to an attempt. The epoch is the attempt's number (1, 2, …), strictly increasing
 * per job and durable before the lease leaves the coordinator: it is the fence. */
struct lease_key {
    struct digest job; /* the job's identity */
    uint32_t epoch;
};

enum job_kind {
    JOB_IMPORT,
    JOB_PRETRAIN,
    JOB_INSTRUCT,
    JOB_SPECTRUM,
    JOB_EVALUATE,
    JOB_KIND_COUNT
};

enum job_state {
    JOB_WAITING, /* for parents, resources, a worker or a back-off to end */
    JOB_LEASED,  /* an attempt was given to a worker that has not said it started */
    JOB_RUNNING, /* the worker said so */
    JOB_DONE,    /* final from here on */
    JOB_FAILED,
    JOB_CANCELLED,   /* by a person */
    JOB_ABORTED,     /* a parent ended without success */
    JOB_QUARANTINED, /* failed on two distinct workers in the same way */
    JOB_STATE_COUNT,
};

/* How an attempt ended, as the worker saw it. */
enum outcome {
    OUTCOME_OK,
    OUTCOME_FAILED,    /* the child said why: bad input, refused numerics … */
    OUTCOME_DIVERGED,  /* the loss became NaN or infinite: a result, not retried */
    OUTCOME_CRASHED,   /* signal or exit without a result */
    OUTCOME_MEMORY,    /* killed for want of memory, or refused to start for it */
    OUTCOME_CANCELLED, /* revoked by the coordinator, or the worker is shutting down */
    OUTCOME_LOST,      /* set by the coordinator: the worker vanished or stalled */
    OUTCOME_TIMEOUT,   /* longer than the job's time limit */
    OUTCOME_PREEMPTED, /* the worker had to leave: its time was up, or it was told to stop */
    OUTCOME_INVALID,   /* set by the coordinator: the result contradicts the store or the plan */
    OUTCOME_COUNT,
};

/* Streams of an attempt; each is a sequence of batches numbered from 0. */
enum stream_kind { STREAM_METRICS, STREAM_RECORDS, STREAM_LOG, STREAM_COUNT };

/* ---- worker → coordinator ---- */

enum held_state { HELD_RUNNING, HELD_FINISHED /* the result waits for its acknowledgement */ };

/* All of a worker's leases in short, to be compared: held_set.h. */
struct held_set {
    uint32_t count;
    struct digest digest; /* over job, epoch and state of each; none when there are none */
};

/* One lease as its worker sees it; in HELLO and HEARTBEAT. */
struct held_lease {
    struct lease_key lease;
    enum held_state state;
    uint64_t progress;    /* grows whenever the computation advances; a stuck one stays */
    uint64_t done, total; /* steps or items */
    double loss_nats;     /* latest training loss or mean item loss; NaN when there is none */
    double tokens_per_s;  /* 0 when unknown */
};

struct msg_hello {
    uint32_t protocol_version;
    const char *worker; /* stable name: one per worker folder, whose lock guarantees one process */
    struct digest instance; /* random per process start */
    const char *host;       /* same for all workers that share cores: the kernel's boot id */
    uint32_t host_cores;
    uint32_t threads; /* cores this worker may use at once */
    uint64_t memory_bytes;
    const char *numeric_class; /* "packed/f32/fma/3": what decides bits */
    const char *version;
    struct held_lease *held;
    size_t held_count;
    const char *node;      /* what people call the host */
    const char *labels;    /* labels.h: what jobs may ask for */
    uint64_t ends_in_ms;   /* until it must have left, from now; 0: it has no end */
    uint32_t ranks;        /* of one job that it can start, each with threads of its own; 0 is 1 */
    uint32_t rank_threads; /* of each of these, outside its own; 0: they share its own */
};

struct msg_heartbeat {
    uint64_t session;
    struct held_lease *held; /* those of which there is news; all.count of them: a whole list */
    size_t held_count;
    bool draining;
    uint64_t beat; /* counts on within the process; PULSE repeats it */
    struct held_set all;
};

struct msg_started {
    uint64_t session;
    struct lease_key lease;
};

struct msg_stream {
    uint64_t session;
    struct lease_key lease;
    enum stream_kind stream;
    uint32_t index;
    struct bytes
        payload; /* records.h, metrics.h, or UTF-8 log text; at most STREAM_PAYLOAD_BYTES_MAX */
};

struct msg_checkpoint {
    uint64_t session;
    struct lease_key lease;
    uint64_t step;
    struct digest tree; /* already in the store */
};

struct msg_result {
    uint64_t session;
    struct lease_key lease;
    enum outcome outcome;
    const char *reason;             /* one sentence; empty when ok */
    uint32_t batches[STREAM_COUNT]; /* how many batches each stream has in all */
    uint64_t items;                 /* records sent */
    struct digest records;  /* digest over the record batches in order; none when there are none */
    struct digest artifact; /* tree, already in the store; none when the kind makes none */
    uint32_t exit_signal;   /* 0 when none */
    int32_t exit_code;
    uint64_t wall_ms, cpu_ms, memory_peak_bytes;
    uint64_t start_step; /* the step this attempt resumed from */
    const char *numeric_class;
};

struct msg_bye { /* drained: the worker holds nothing and leaves */
    uint64_t session;
};

/* ---- coordinator → worker ---- */

struct held_verdict {
    struct lease_key lease;
    bool keep;                   /* false: stale, forget it and kill its attempt */
    uint32_t next[STREAM_COUNT]; /* first batch of each stream that is not stored yet */
};

struct msg_welcome {
    uint64_t session;
    uint32_t heartbeat_ms;
    uint32_t lease_ms;
    struct held_verdict *verdicts; /* one per held lease of the HELLO */
    size_t verdict_count;
};

struct named_digest {
    const char *name;
    struct digest digest;
};

struct msg_lease {
    uint64_t session;
    struct lease_key lease;
    enum job_kind kind;
    const char *label;           /* "llama-tiny/ST/flight/42": for people */
    struct bytes spec;           /* canonical JSON, docs/data.md section 2 */
    struct named_digest *inputs; /* blobs and trees by name */
    size_t input_count;
    struct named_digest *parents; /* artifact trees by the parent's name in the spec */
    size_t parent_count;
    struct digest resume; /* tree of the last checkpoint; none: start from the beginning */
    uint64_t resume_step;
    uint32_t threads;
    uint64_t memory_bytes;
    uint64_t time_limit_ms; /* 0: none; longer attempts end as OUTCOME_TIMEOUT */
    uint32_t ranks;         /* processes that share the job, each with threads and memory; 0 is 1 */
};

struct msg_ack { /* everything of this stream below `next` is durable */
    uint64_t session;
    struct lease_key lease;
    enum stream_kind stream;
    uint32_t next;
};

struct msg_checkpoint_ack {
    uint64_t session;
    struct lease_key lease;
    uint64_t step;
};

struct msg_result_ack { /* durable: the worker may forget the attempt */
    uint64_t session;
    struct lease_key lease;
};

struct msg_revoke { /* kill the attempt and forget it; its result is not wanted */
    uint64_t session;
    struct lease_key lease;
    const char *reason;
};

struct msg_pulse { /* the answer to every heartbeat */
    uint64_t session;
    uint64_t beat; /* that it answers: its news has been heard */
    bool list;     /* what is held is not what it should be: beat again at once, with all of it */
};

struct msg_drain { /* finish what you hold, then BYE */
    uint64_t session;
    uint64_t grace_ms; /* after this, stop with a checkpoint; 0: however long it takes */
    const char *reason;
};

/* The session is not known (restart, expiry): say HELLO again. Also refuses a HELLO, with a text.
 */
struct msg_no_session {
    uint64_t session;
    bool refused; /* true: do not come back with the same HELLO (version, limits) */
    const char *reason;
};

/* ---- client ↔ coordinator: every request carries a request id that its reply repeats ---- */

struct submit_job {
    struct digest identity;
    enum job_kind kind;
    const char *label, *family, *variant, *task; /* task empty for training jobs */
    uint64_t seed;
    struct bytes spec;
    struct named_digest *inputs;
    size_t input_count;
    struct named_digest *parents; /* name → identity of a job of this plan */
    size_t parent_count;
    uint32_t threads;
    uint64_t memory_bytes;
    uint64_t items_expected; /* records an evaluation must deliver; 0 otherwise */
    int32_t priority;
    uint32_t attempts_max;
    uint64_t work; /* estimated cost in any unit, the same for all jobs: for the time left */
    struct retry_policy retry;
    const char *labels;    /* labels.h: its worker must have all of them */
    uint32_t time_limit_s; /* of one attempt, and what a worker near its end must still have; 0 */
    uint32_t ranks; /* processes that share it, each with so many threads and memory; 0 is 1 */
};

/* A plan arrives in `part_count` parts and takes effect as a whole with the last one. */
struct msg_submit {
    uint64_t request;
    const char *experiment;
    uint32_t part_index, part_count;
    struct bytes manifest;  /* text as written, in part 0 */
    struct bytes plan_json; /* this part's slice of the plan document (report needs it) */
    struct submit_job *jobs;
    size_t job_count;
    bool dry_run; /* only tell what would happen; `reuse` says per job */
};

struct msg_submitted {
    uint64_t request;
    uint64_t jobs_new, jobs_reused, jobs_requeued, jobs_running;
};

struct msg_get_status {
    uint64_t request;
    const char *experiment; /* empty: all */
};

struct running_row {
    struct digest job;
    const char *label, *worker;
    uint64_t done, total;
    double loss_nats, tokens_per_s;
    int64_t started_ms;
};

struct experiment_row {
    const char *name;
    int64_t created_ms;
    uint64_t counts[JOB_STATE_COUNT];
    double work_done_ratio; /* share of the planned work that is done, 0–1 */
    int64_t eta_ms;         /* remaining, at the rate since the submission; -1 when unknown */
    int32_t priority;
    bool paused;
};

struct msg_status {
    uint64_t request;
    struct experiment_row *experiments;
    size_t experiment_count;
    struct running_row *running;
    size_t running_count;
    uint32_t workers;
    uint32_t threads;
    const char *trouble; /* what the coordinator waits for, such as space on its disk; or empty */
};

struct msg_list_jobs {
    uint64_t request;
    const char *experiment; /* empty: all */
    uint32_t state_mask;    /* bit per enum job_state; 0: all */
    uint64_t cursor;        /* 0 first, then next_cursor */
};

struct job_row {
    struct digest job;
    enum job_kind kind;
    enum job_state state;
    const char *label, *family, *variant, *task;
    uint64_t seed;
    const char *reason; /* waiting: one word; final: one sentence */
    const char *worker;
    uint32_t attempts;
    uint64_t done, total, items;
    int64_t submitted_ms, started_ms, ended_ms;
    struct digest artifact;
    struct digest records;
    const char *numeric_class;
    int32_t priority;
};

struct msg_jobs {
    uint64_t request;
    struct job_row *rows;
    size_t row_count;
    uint64_t next_cursor; /* 0: that was all */
};

struct msg_show_job {
    uint64_t request;
    struct digest job; /* a full identity; the CLI resolves prefixes through LIST_JOBS */
};

struct attempt_row {
    uint32_t epoch;
    const char *worker;
    enum outcome outcome;
    bool ended, committed;
    const char *reason;
    uint64_t start_step;
    int64_t started_ms, ended_ms;
    uint64_t wall_ms, cpu_ms, memory_peak_bytes;
    uint32_t exit_signal;
    int32_t exit_code;
    struct digest artifact;
    uint32_t batches[STREAM_COUNT];
    const char *node; /* of the worker, as it last said; empty when unknown */
};

struct msg_job {
    uint64_t request;
    struct job_row row;
    struct bytes spec;
    struct attempt_row *attempts; /* the newest, as many as fit a frame */
    size_t attempt_count;
    uint64_t resume_step; /* of the last acknowledged checkpoint; 0: none */
    struct digest resume; /* its tree */
};

enum job_action {
    ACTION_CANCEL,
    ACTION_RETRY,
    ACTION_RELEASE,  /* quarantined ones only */
    ACTION_PAUSE,    /* of an experiment: no new attempts, what runs goes on */
    ACTION_RESUME,   /* of an experiment */
    ACTION_PRIORITY, /* higher ones first; of an experiment, against other experiments */
    JOB_ACTION_COUNT,
};

struct msg_act { /* on one job, or on all of an experiment when `job` is none */
    uint64_t request;
    enum job_action action;
    struct digest job;
    const char *experiment;
    const char *reason;
    int32_t priority;
    /* Cancel or retry an experiment: a part of it, behind job number `after`; ask again with
     * msg_ok.next until that is 0. Else all at once, however long that takes. */
    bool in_parts;
    uint64_t after;
};

/* Why a job waits, worker by worker. */
struct msg_explain_job {
    uint64_t request;
    struct digest job;
};

struct explain_row {
    const char *worker, *node;
    const char *word;   /* why this worker does not take it, as in job_row.reason */
    const char *detail; /* with numbers */
};

struct msg_explanation {
    uint64_t request;
    const char *word;   /* as in job_row.reason; empty when the job does not wait */
    const char *text;   /* the same as a sentence, and what to do */
    uint64_t ahead;     /* startable jobs that go first */
    int64_t backoff_ms; /* left of its back-off */
    struct explain_row *rows;
    size_t row_count;
};

struct msg_list_workers {
    uint64_t request;
    const char *after; /* empty first, then the last name of the page before */
};

struct worker_row {
    const char *worker, *host, *numeric_class, *version, *state; /* "ready", "draining", "lost" */
    uint32_t threads, threads_busy, leases;
    int64_t seen_ms;
    uint64_t memory_bytes;
    const char *node, *labels;
    const char *reason; /* why it drains or is quarantined; empty otherwise */
    int64_t ends_ms;    /* wall clock; 0: it has no end */
};

struct msg_workers {
    uint64_t request;
    struct worker_row *rows; /* by name */
    size_t row_count;
    bool more;
};

enum worker_action {
    WORKER_DRAIN,
    WORKER_RELEASE, /* of its host's quarantine, and of a drain that it has not heard */
    WORKER_ACTION_COUNT,
};

struct msg_drain_worker {
    uint64_t request;
    const char *worker;
    enum worker_action action;
    const char *reason;
    uint64_t grace_ms; /* 0: however long it takes */
};

/* Batches of one attempt's stream, in order. epoch 0 means the committed attempt (or the latest).
 */
struct msg_read_stream {
    uint64_t request;
    struct digest job;
    uint32_t epoch;
    enum stream_kind stream;
    uint32_t from;
};

struct msg_batches {
    uint64_t request;
    uint32_t epoch;
    uint32_t from;
    struct bytes *payloads;
    size_t payload_count; /* as many as fit a frame */
    bool end;             /* no more now (final if the attempt has ended) */
    bool attempt_ended;
};

struct msg_get_experiment {
    uint64_t request;
    const char *experiment;
    uint64_t plan_offset; /* the plan document comes in slices */
};

struct msg_experiment {
    uint64_t request;
    struct bytes manifest;
    struct bytes plan_json; /* from plan_offset on */
    uint64_t plan_bytes;    /* in all */
};

struct msg_get_info {
    uint64_t request;
};

struct msg_info {
    uint64_t request;
    const char *version, *state_dir;
    int64_t started_ms;
    uint64_t pid, jobs_unfinished, jobs_finished, workers, database_bytes;
    uint64_t frames_received, frames_refused, commits, records_committed;
    uint32_t loop_lag_ms_max;
};

/* Copy the database to `folder`/state.db while work goes on. Repeated with the same folder it tells
 * how far that is; a copy that is complete is told once more, then forgotten. */
struct msg_backup {
    uint64_t request;
    const char *folder; /* absolute; made by the coordinator, must not hold a database yet */
};

struct msg_backup_state {
    uint64_t request;
    bool complete;
    uint64_t pages, pages_done;
};

/* Find, and with `apply` remove, blobs that nothing needs and that nobody asked about for
 * `age_s`. Repeated, it tells how far that is. */
struct msg_gc {
    uint64_t request;
    uint64_t age_s;
    bool apply;
};

/* What a person wants of the allocations of a batch system. */
enum alloc_wish {
    ALLOC_WISH_ADD,     /* `options`: the queue */
    ALLOC_WISH_DRY_RUN, /* `options`; the batch system is asked whether it would run */
    ALLOC_WISH_PAUSE,   /* `queue`; as in what follows */
    ALLOC_WISH_RESUME,
    ALLOC_WISH_REMOVE,
    ALLOC_WISH_COUNT,
};

struct msg_get_allocs {
    uint64_t request;
    const char *queue; /* empty: all, without their allocations and notes */
};

struct msg_alloc_act {
    uint64_t request;
    enum alloc_wish action;
    const char *queue;
    const char *options; /* JSON, as alloc_options_parse() reads it; empty where not needed */
};

struct msg_allocs {
    uint64_t request;
    const char *text; /* GET_ALLOCS: JSON; ALLOC_ACT: a sentence */
};

struct msg_gc_state {
    uint64_t request;
    bool complete, applied;
    uint64_t kept, kept_bytes;
    uint64_t young, young_bytes;     /* unneeded, but too young */
    uint64_t garbage, garbage_bytes; /* found, or removed when applied */
};

struct msg_stop { /* finish this turn, commit, exit 0; workers keep running and wait */
    uint64_t request;
};

struct msg_ok {
    uint64_t request;
    uint64_t count; /* things changed */
    uint64_t next;  /* there may be more behind it (msg_act.in_parts); 0: that was all */
};

struct msg_error {
    uint64_t request;
    uint32_t code; /* enum err_code */
    const char *text;
};

/* ---- data socket: workers and clients ---- */

struct msg_blob_stat {
    uint64_t request;
    struct digest *digests;
    size_t digest_count;
};

struct msg_blob_sizes {
    uint64_t request;
    int64_t *sizes; /* -1: not here */
    size_t size_count;
};

struct msg_blob_read {
    uint64_t request;
    struct digest digest;
    uint64_t offset;
};

struct msg_blob_chunk { /* at most BLOB_CHUNK_BYTES from `offset` */
    uint64_t request;
    struct digest digest;
    uint64_t offset, total;
    uint32_t crc32c;
    struct bytes data;
};

struct msg_blob_write {
    uint64_t request;
    struct digest digest;
    uint64_t offset, total;
    uint32_t crc32c;
    struct bytes data;
};

struct msg_blob_written {
    uint64_t request;
    struct digest digest;
    uint64_t next; /* send from here: chunks are taken in order, others are ignored */
    bool complete; /* verified and durable */
};

/* The one list of message kinds: X(KIND, field of struct msg, sender). The wire number of a kind is
 * its place here, so only append. Senders: W worker, S coordinator to worker, C client, R reply to
 * a client, D either end of the data socket. */
#define MSG_KINDS(X)                                                                               \
    X(HELLO, hello, 'W')                                                                           \
    X(HEARTBEAT, heartbeat, 'W')                                                                   \
    X(STARTED, started, 'W')                                                                       \
    X(STREAM, stream, 'W')                                                                         \
    X(CHECKPOINT, checkpoint, 'W')                                                                 \
    X(RESULT, result, 'W')                                                                         \
    X(BYE, bye, 'W')                                                                               \
    X(WELCOME, welcome, 'S')                                                                       \
    X(LEASE, lease, 'S')                                                                           \
    X(ACK, ack, 'S')                                                                               \
    X(CHECKPOINT_ACK, checkpoint_ack, 'S')                                                         \
    X(RESULT_ACK, result_ack, 'S')                                                                 \
    X(REVOKE, revoke, 'S')                                                                         \
    X(PULSE, pulse, 'S')                                                                           \
    X(DRAIN, drain, 'S')                                                                           \
    X(NO_SESSION, no_session, 'S')                                                                 \
    X(SUBMIT, submit, 'C')                                                                         \
    X(GET_STATUS, get_status, 'C')                                                                 \
    X(LIST_JOBS, list_jobs, 'C')                                                                   \
    X(SHOW_JOB, show_job, 'C')                                                                     \
    X(ACT, act, 'C')                                                                               \
    X(LIST_WORKERS, list_workers, 'C')                                                             \
    X(DRAIN_WORKER, drain_worker, 'C')                                                             \
    X(READ_STREAM, read_stream, 'C')                                                               \
    X(GET_EXPERIMENT, get_experiment, 'C')                                                         \
    X(GET_INFO, get_info, 'C')                                                                     \
    X(STOP, stop, 'C')                                                                             \
    X(SUBMITTED, submitted, 'R')                                                                   \
    X(STATUS, status, 'R')                                                                         \
    X(JOBS, jobs, 'R')                                                                             \
    X(JOB, job, 'R')                                                                               \
    X(WORKERS, workers, 'R')                                                                       \
    X(BATCHES, batches, 'R')                                                                       \
    X(EXPERIMENT, experiment, 'R')                                                                 \
    X(INFO, info, 'R')                                                                             \
    X(OK, ok, 'R')                                                                                 \
    X(ERROR, error, 'R')                                                                           \
    X(BLOB_STAT, blob_stat, 'D')                                                                   \
    X(BLOB_SIZES, blob_sizes, 'D')                                                                 \
    X(BLOB_READ, blob_read, 'D')                                                                   \
    X(BLOB_CHUNK, blob_chunk, 'D')                                                                 \
    X(BLOB_WRITE, blob_write, 'D')                                                                 \
    X(BLOB_WRITTEN, blob_written, 'D')                                                             \
    X(EXPLAIN_JOB, explain_job, 'C')                                                               \
    X(BACKUP, backup, 'C')                                                                         \
    X(GC, gc, 'C')                                                                                 \
    X(EXPLANATION, explanation, 'R')                                                               \
    X(BACKUP_STATE, backup_state, 'R')                                                             \
    X(GC_STATE, gc_state, 'R')                                                                     \
    X(GET_ALLOCS, get_allocs, 'C')                                                                 \
    X(ALLOC_ACT, alloc_act, 'C')                                                                   \
    X(ALLOCS, allocs, 'R')                                                                         \
    X(DATA_HELLO, data_hello, 'D')                                                                 \
    X(DATA_WELCOME, data_welcome, 'D')                                                             \
    X(BLOB_WHERE, blob_where, 'D')                                                                 \
    X(BLOB_SOURCES, blob_sources, 'D')                                                             \
    X(BLOB_HELD, blob_held, 'D')                                                                   \
    X(BLOB_BAD, blob_bad, 'D')                                                                     \
    X(BLOB_PLACE, blob_place, 'D')                                                                 \
    X(LIST_TRAFFIC, list_traffic, 'C')                                                             \
    X(TRAFFIC, traffic, 'R')

enum msg_kind {
    MSG_NONE = 0,
#define X(KIND, field, sender) MSG_##KIND,
    MSG_KINDS(X)
#undef X
        MSG_KIND_COUNT,
};

struct msg {
    enum msg_kind kind;
    union {
#define X(KIND, field, sender) struct msg_##field field;
        MSG_KINDS(X)
#undef X
    };
};

/* Names for people and files; never NULL. */
const char *msg_kind_name(enum msg_kind kind);
const char *job_kind_name(enum job_kind kind);       /* "pretrain" */
const char *job_state_name(enum job_state state);    /* "running" */
const char *outcome_name(enum outcome outcome);      /* "diverged" */
const char *stream_kind_name(enum stream_kind kind); /* "records" */
bool job_state_is_final(enum job_state state);

#endif
