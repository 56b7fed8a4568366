/* A world in one thread: the coordinator's core and the workers' agents, unchanged, on a virtual
 * clock, a network that drops, delays, doubles and reorders, disks that survive and processes that
 * do not. One 64-bit seed decides everything, so a bad day is replayed by its number.
 *
 *   sim_world.c   clock, event queue, faults, the run from submit to quiet
 *   sim_net.c     connections and frames in flight (real frames, through the codec)
 *   sim_store.c   what SQLite would hold: core ops applied at commit, rows given back after a
 * restart sim_server.c  the coordinator's driver: turn, commit, send; crash and reload sim_worker.c
 * a worker's driver: spool, cache, child processes sim_check.c   what must hold: at every commit,
 * at every send, and in the end */
#ifndef TRIAD_SIM_H
#define TRIAD_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent.h"
#include "arena.h"
#include "core.h"
#include "rng.h"
#include "str.h"
#include "vocab.h"

#define SIM_WORKERS_MAX       5
#define SIM_JOBS_MAX          24
#define SIM_EPOCHS_MAX        64
#define SIM_BATCHES_MAX       8
#define SIM_LEASES_MAX        32
#define SIM_RECORDS_PER_BATCH 40
#define SIM_FAULTS_END_MS     (10 * 60 * 1000)  /* after this the weather is fine … */
#define SIM_END_MS            (3 * 3600 * 1000) /* … and by now everything must have ended */

/* What happened how often; printed at the end, so that a fault that never occurs is noticed. */
#define SIM_COUNTERS(X)                                                                            \
    X(frames_sent)                                                                                 \
    X(frames_dropped)                                                                              \
    X(frames_doubled) X(frames_late) X(frames_lost_with_peer) X(partitions) X(worker_kills)        \
        X(worker_kills_with_spool) X(worker_stalls) X(coordinator_kills_before_commit)             \
            X(coordinator_kills_after_commit) X(coordinator_kills_idle) X(commit_failures)         \
                X(child_crashes) X(child_hangs) X(disk_troubles) X(uploads_failed) X(leases)       \
                    X(resumed_above_zero) X(checkpoints_acknowledged) X(results_acknowledged)      \
                        X(survivors_delivered) X(stale_messages) X(revokes) X(no_sessions)         \
                            X(attempts_lost) X(jobs_done) X(jobs_failed) X(jobs_cancelled)         \
                                X(jobs_aborted) X(jobs_quarantined) X(job_retries)                 \
                                    X(restarts_compared)

struct sim_counters {
#define X(name) uint64_t name;
    SIM_COUNTERS(X)
#undef X
};

/* ---- the plan ---- */

enum sim_nature { /* how a job's child behaves */
                  NATURE_FINE,
                  NATURE_FLAKY,    /* crashes now and then */
                  NATURE_DIVERGES, /* its loss becomes NaN: final at once */
                  NATURE_BROKEN,   /* fails the same way everywhere */
};

struct sim_job {
    struct digest identity;
    enum job_kind kind;
    enum sim_nature nature;
    int parents[2];
    int parent_count;
    uint32_t threads;
    uint32_t steps; /* training */
    uint32_t checkpoint_steps;
    uint32_t batches; /* evaluation: record batches in all */
    char label[32];
    char spec[48];
};

/* ---- durable rows ---- */

struct sim_attempt {
    bool begun, ended, committed;
    uint64_t start_step;
    enum outcome outcome;
    uint32_t batches[STREAM_COUNT];
    struct strbuf payloads[SIM_BATCHES_MAX]; /* of STREAM_RECORDS */
};

struct sim_row {
    bool exists;
    struct core_job_state state; /* strings point into `texts` */
    char reason[256], worker[32], numeric_class[64];
    struct sim_attempt attempts[SIM_EPOCHS_MAX];
    uint32_t epoch_begun; /* latest */
    uint32_t commits;
    uint64_t step_told; /* largest checkpoint step ever acknowledged to anybody */
};

struct sim_store {
    struct sim_row rows[SIM_JOBS_MAX];
    bool experiment_exists;
    char numeric_class[64];
    uint32_t boots;
    uint64_t order_max;
    struct digest trees[512]; /* the artifact store */
    size_t tree_count;
};

/* ---- processes ---- */

struct sim_frame { /* in flight or queued */
    uint64_t peer; /* the connection it belongs to */
    int worker;
    bool to_server;
    uint8_t *bytes;
    size_t len;
};

struct sim_server {
    struct core *core;
    bool up, committing;
    struct arena turn_arena;
    struct arena event_arena; /* what the turn's event points to */
    struct core_output turn;  /* waits for its commit */
    bool wake_armed;
    int64_t wake_at_ms;
    struct strbuf dump; /* core_dump at the last commit */
    bool dump_valid;
    uint64_t incarnation; /* events of a former process are ignored */
};

struct sim_lease { /* one held lease of a worker: its spool and its child's work */
    bool used;
    struct lease_key lease;
    int job;
    uint32_t child;
    uint64_t resume_step;
    /* the child */
    bool running, finished;
    uint64_t step;
    uint32_t batches_made;
    uint64_t generation; /* child events of a former run are ignored */
    /* the spool */
    struct strbuf batches[SIM_BATCHES_MAX];
    uint32_t spooled[STREAM_COUNT];
    bool result_spooled;
    struct agent_outcome outcome;
};

struct sim_worker {
    struct agent *agent;
    int index;
    bool up, connected, stalled, partitioned, left;
    uint64_t peer;
    uint64_t incarnation;
    uint32_t threads;
    char name[16];
    struct sim_lease leases[SIM_LEASES_MAX];
    int64_t wake_at_ms;
};

/* ---- the world ---- */

enum sim_event_kind {
    SIM_FRAME, /* arrives */
    SIM_SERVER_WAKE,
    SIM_SERVER_COMMIT, /* the disk has answered */
    SIM_SERVER_START,
    SIM_WORKER_WAKE,
    SIM_WORKER_CONNECT,
    SIM_WORKER_START,
    SIM_WORKER_RESUME, /* a stall or partition ends */
    SIM_FETCHED,
    SIM_UPLOADED,
    SIM_CHILD, /* a child gets further */
    SIM_CHILD_EXIT,
    SIM_FAULT,
    SIM_PERSON, /* somebody cancels or retries */
};

struct sim_event {
    int64_t at_ms;
    uint64_t order;
    enum sim_event_kind kind;
    int worker;
    uint64_t incarnation; /* of the server or worker it was meant for */
    struct lease_key lease;
    uint64_t generation;
    uint32_t child;
    struct digest tree;
    struct sim_frame frame;
};

struct sim {
    uint64_t seed;
    struct rng rng;
    bool verbose;
    enum core_fault planted;
    int64_t now_ms;
    uint64_t order_next, peer_next;
    struct sim_event *heap;
    size_t heap_count, heap_cap;
    struct sim_job jobs[SIM_JOBS_MAX];
    int job_count;
    struct sim_store store;
    struct sim_server server;
    struct sim_worker workers[SIM_WORKERS_MAX];
    int worker_count;
    double drop_ratio, double_ratio, late_ratio; /* this seed's weather */
    double mean_fault_gap_ms;
    struct sim_counters counters;
    char failure[512]; /* empty while all is well */
};

/* sim_world.c */
struct sim_result {
    bool ok;
    char failure[512];
    struct sim_counters counters;
    int64_t ended_ms;
};
struct sim_result sim_run(uint64_t seed, enum core_fault planted, bool verbose);
void sim_schedule(struct sim *s, int64_t delay_ms, struct sim_event event);
/* Stop the run: something that must hold does not. The first reason is kept. */
void sim_fail(struct sim *s, const char *format, ...) PRINTF(2, 3);
void sim_trace(const struct sim *s, const char *format, ...) PRINTF(2, 3);
/* Uniform on [low, high]. */
int64_t sim_between(struct sim *s, int64_t low, int64_t high);
bool sim_chance(struct sim *s, double probability);
bool sim_weather_is_bad(const struct sim *s);
int sim_job_index(const struct sim *s, const struct digest *identity);

/* sim_net.c */
void sim_net_to_server(struct sim *s, struct sim_worker *w, const struct msg *m);
void sim_net_to_worker(struct sim *s, uint64_t peer, const struct msg *m);
void sim_net_frame_free(struct sim_frame *frame);
/* Decode into `arena`; frames are ours, so a failure is a bug and fails the run. */
bool sim_net_decode(struct sim *s, const struct sim_frame *frame, struct arena *arena,
                    struct msg *out);
struct sim_worker *sim_net_worker_of(struct sim *s, uint64_t peer);

/* sim_store.c */
void sim_store_apply(struct sim *s, const struct core_output *out);
void sim_store_load(struct sim *s, struct core *core);
void sim_store_free(struct sim *s);
bool sim_store_has_tree(const struct sim *s, const struct digest *tree);
void sim_store_add_tree(struct sim *s, const struct digest *tree);
void sim_store_job_row(const struct sim *s, int job, struct arena *arena, struct core_job_row *out);

/* sim_server.c */
void sim_server_start(struct sim *s);
void sim_server_kill(struct sim *s);
void sim_server_receive(struct sim *s, const struct sim_frame *frame);
void sim_server_tick(struct sim *s);
void sim_server_commit(struct sim *s, bool disk_fails);
void sim_server_submit(struct sim *s);
void sim_server_person(struct sim *s);

/* sim_worker.c */
void sim_worker_start(struct sim *s, struct sim_worker *w);
void sim_worker_kill(struct sim *s, struct sim_worker *w);
void sim_worker_step(struct sim *s, struct sim_worker *w, struct agent_event *event);
void sim_worker_child(struct sim *s, struct sim_worker *w, const struct sim_event *event);
void sim_worker_child_exit(struct sim *s, struct sim_worker *w, const struct sim_event *event);
void sim_worker_fetched(struct sim *s, struct sim_worker *w, const struct sim_event *event);
void sim_worker_uploaded(struct sim *s, struct sim_worker *w, const struct sim_event *event);
void sim_worker_disk_trouble(struct sim *s, struct sim_worker *w);

/* What a job must produce, whoever runs it. */
struct digest sim_tree_of(const struct sim_job *job, uint64_t step);
void sim_records_of(const struct sim_job *job, uint32_t batch, struct strbuf *out);
struct digest sim_records_digest(const struct sim_job *job);

/* sim_check.c */
void sim_check_op(struct sim *s, const struct core_op *op);
void sim_check_send(struct sim *s, const struct msg *m);
void sim_check_lease(struct sim *s, const struct msg_lease *lease);
void sim_check_end(struct sim *s);
bool sim_is_quiet(const struct sim *s);

#endif
