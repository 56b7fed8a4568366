/* A world in one thread: the coordinator's core and the workers' agents, unchanged, on a virtual
 * clock, with a network that loses, delays, doubles and reorders, disks that fail and processes
 * that die. One 64-bit seed decides everything, so a bad day is replayed by its number.
 *
 *   sim_main.c     seeds, counters, the verdict
 *   sim_world.c    one run: begin, events in order of time, end
 *   sim_time.c     clock, event queue, dice
 *   sim_plan.c     the jobs, what each must produce, who belongs to which experiment
 *   sim_fault.c    what goes wrong, and how often
 *   sim_person.c   people: submit, submit again, cancel, retry, drain
 *   sim_net.c      connections and frames in flight (real frames, through the codec)
 *   sim_server.c   the coordinator's driver: turn, commit, send; crash and reload
 *   sim_store.c    what SQLite would hold
 *   sim_worker.c   a worker's driver: spool, cache, data socket
 *   sim_child.c    its child processes
 *   sim_check.c    what must hold in the store and at the end
 *   sim_told.c     what must hold between what is said and what is stored
 *   sim_beat.c     the same for heartbeats: is what they leave out true?
 *   sim_trace.c    a line per event, for people */
#ifndef TRIAD_SIM_H
#define TRIAD_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent.h"
#include "arena.h"
#include "bounds.h"
#include "core.h"
#include "rng.h"
#include "str.h"
#include "vocab.h"

#define SIM_WORKERS_MAX       6
#define SIM_JOBS_MAX          32
#define SIM_EXPERIMENTS       2
#define SIM_EPOCHS_MAX        160
#define SIM_BATCHES_MAX       24 /* more than AGENT_WINDOW, so that the window is reached */
#define SIM_RECORDS_PER_BATCH 3
#define SIM_LEASES_MAX        32
#define SIM_CHILDREN_MAX      16
#define SIM_TREES_MAX         1024
#define SIM_FAULTS_END_MS     (10 * 60 * 1000) /* after this the weather is fine … */
/* … and this later everything must have ended. 50,000 seeds needed 363 s at most: a lease that runs
 * out, a HELLO back-off, a job's back-off and the jobs that are left add up to a few minutes. */
#define SIM_CALM_MS           (20 * 60 * 1000)
#define SIM_HOST_FAILURES     2
#define SIM_ATTEMPTS_MAX      6
#define SIM_ATTEMPTS_FREE_MAX 20 /* docs/protocol.md section 3 */
#define SIM_PERSON_PEER       UINT64_MAX

/* What happened how often; printed at the end. A counter that stays at 0 fails a long run: what
 * never happens is not tested. */
/* clang-format off */
#define SIM_COUNTERS(X)                                                                            \
    X(frames_sent)                                                                                 \
    X(frames_dropped)                                                                              \
    X(frames_doubled)                                                                              \
    X(frames_late)                                                                                 \
    X(frames_of_former_connections)                                                                \
    X(frames_to_nobody)                                                                            \
    X(messages_misdirected)                                                                        \
    X(messages_forged)                                                                             \
    X(results_altered)                                                                             \
    X(peers_reported_gone)                                                                         \
    X(connections_reset)                                                                           \
    X(cuts_both_ways)                                                                              \
    X(cuts_one_way)                                                                                \
    X(worker_kills)                                                                                \
    X(worker_kills_with_spool)                                                                     \
    X(worker_stalls)                                                                               \
    X(worker_terminations)                                                                         \
    X(worker_spools_wiped)                                                                         \
    X(worker_twins)                                                                                \
    X(workers_drained)                                                                             \
    X(coordinator_kills_idle)                                                                      \
    X(coordinator_kills_before_commit)                                                             \
    X(coordinator_kills_after_commit)                                                              \
    X(coordinator_stalls)                                                                          \
    X(coordinator_stalls_past_a_lease)                                                             \
    X(commit_failures)                                                                             \
    X(restarts_compared)                                                                           \
    X(child_crashes)                                                                               \
    X(child_out_of_memory)                                                                         \
    X(child_hangs)                                                                                 \
    X(child_kills_hard)                                                                            \
    X(children_reused_warm)                                                                        \
    X(disk_full)                                                                                   \
    X(disk_unreadable)                                                                             \
    X(batches_damaged)                                                                             \
    X(batches_acknowledged)                                                                        \
    X(windows_full)                                                                                \
    X(fetches_failed)                                                                              \
    X(uploads_failed)                                                                              \
    X(uploads_failed_for_good)                                                                     \
    X(submissions)                                                                                 \
    X(submissions_in_parts)                                                                        \
    X(submissions_repeated)                                                                        \
    X(experiments_cancelled)                                                                       \
    X(person_cancels)                                                                              \
    X(person_retries)                                                                              \
    X(jobs_shared)                                                                                 \
    X(jobs_reused)                                                                                 \
    X(jobs_requeued)                                                                               \
    X(beats_with_a_list)                                                                           \
    X(beats_proven_by_digest)                                                                      \
    X(beats_that_differ)                                                                           \
    X(lists_asked_for)                                                                             \
    X(leases_apart)                                                                                \
    X(leases_begun)                                                                                \
    X(leases_sent_again)                                                                           \
    X(leases_kept_after_hello)                                                                     \
    X(leases_stale_after_hello)                                                                    \
    X(resumed_above_zero)                                                                          \
    X(checkpoints_acknowledged)                                                                    \
    X(results_acknowledged)                                                                        \
    X(results_acknowledged_again)                                                                  \
    X(results_invalid)                                                                             \
    X(survivors_found)                                                                             \
    X(messages_not_current)                                                                        \
    X(revokes)                                                                                     \
    X(no_sessions)                                                                                 \
    X(attempts_lost)                                                                               \
    X(attempts_cancelled)                                                                          \
    X(waits_for_parents)                                                                           \
    X(waits_for_workers)                                                                           \
    X(waits_for_resources)                                                                         \
    X(waits_for_class)                                                                             \
    X(waits_for_backoff)                                                                           \
    X(waits_for_draining)                                                                          \
    X(waits_for_label)                                                                             \
    X(waits_for_pause)                                                                             \
    X(waits_for_time)                                                                              \
    X(waits_for_quarantine)                                                                        \
    X(waits_for_a_larger_worker)                                                                   \
    X(experiments_paused)                                                                          \
    X(priorities_changed)                                                                          \
    X(hosts_quarantined)                                                                           \
    X(hosts_released)                                                                              \
    X(worker_times_up)                                                                             \
    X(clock_jumps)                                                                                 \
    X(attempts_timed_out)                                                                          \
    X(attempts_preempted)                                                                          \
    X(jobs_failed_by_policy)                                                                       \
    X(memory_grown)                                                                          \
    X(jobs_done)                                                                                   \
    X(jobs_failed)                                                                                 \
    X(jobs_given_up)                                                                               \
    X(jobs_cancelled)                                                                              \
    X(jobs_aborted)                                                                                \
    X(jobs_quarantined)
/* clang-format on */

struct sim_counters {
#define X(name) uint64_t name;
    SIM_COUNTERS(X)
#undef X
};

/* ---- the plan ---- */

enum sim_nature { /* how a job's child behaves */
                  NATURE_FINE,
                  NATURE_FLAKY,    /* crashes or runs out of memory while the weather is bad */
                  NATURE_DIVERGES, /* its loss becomes NaN: final at once */
                  NATURE_BROKEN,   /* fails the same way everywhere */
                  NATURE_LIES,     /* says ok, and it is not so */
};

enum sim_lie {
    LIE_COUNT,    /* one record too many */
    LIE_DIGEST,   /* records other than those it sent */
    LIE_OMISSION, /* the last batch was never made */
    LIE_ARTIFACT, /* training: there is none */
};

struct sim_job {
    struct digest identity;
    enum job_kind kind;
    enum sim_nature nature;
    enum sim_lie lie;
    int parents[2];
    int parent_count;
    bool of_experiment[SIM_EXPERIMENTS];
    uint32_t threads;
    uint64_t memory_bytes;
    struct retry_policy retry;
    const char *labels;
    uint32_t time_limit_s;
    uint32_t steps; /* training: each also makes a batch of metrics every few steps */
    uint32_t checkpoint_steps;
    uint32_t batches; /* evaluation: record batches in all */
    bool items_are_planned;
    struct strbuf payloads[SIM_BATCHES_MAX];
    struct digest records; /* over all of them; none when there are none */
    char label[32];
    char spec[48];
};

/* ---- durable rows ---- */

struct sim_attempt {
    bool begun, ended, committed;
    enum outcome outcome;
    uint64_t reason_digest; /* of a failure's sentence */
    int name_index;         /* the worker's */
    uint64_t start_step;
    uint32_t batches[STREAM_COUNT];
};

struct sim_row {
    bool exists;
    struct core_job_state state; /* its strings are the three below */
    char reason[REASON_BYTES_MAX], worker[32], numeric_class[64];
    int experiment; /* the one that queued it */
    bool wanted[SIM_EXPERIMENTS];
    struct sim_attempt attempts[SIM_EPOCHS_MAX];
    uint32_t epoch_begun; /* latest */
    uint32_t commits;
    uint64_t step_told; /* largest checkpoint step ever acknowledged to anybody */
    bool cancel_asked;  /* a person wanted it cancelled at some time */
    int32_t priority;
};

struct sim_experiment {
    bool exists;
    char numeric_class[64]; /* empty until it is fixed */
    bool paused;
    int32_t priority;
};

struct sim_store {
    struct sim_row rows[SIM_JOBS_MAX];
    struct sim_experiment experiments[SIM_EXPERIMENTS];
    struct digest instances[SIM_WORKERS_MAX]; /* by name_index: the process that last said HELLO */
    char quarantine[SIM_WORKERS_MAX][REASON_BYTES_MAX]; /* of its host; empty: none */
    uint32_t boots;
    uint64_t order_max;
    struct digest trees[SIM_TREES_MAX]; /* the artifact store */
    size_t tree_count;
};

/* ---- processes ---- */

struct sim_held {
    struct lease_key lease;
    enum held_state state;
};

struct sim_frame { /* in flight */
    uint64_t peer; /* the connection it belongs to */
    int worker;
    bool to_server;
    uint8_t *bytes;
    size_t len;
    struct sim_held *held; /* of a heartbeat: what its worker held as it left; may be NULL */
    size_t held_count;
};

enum sim_doom { DOOM_NONE, DOOM_KILL_BEFORE_COMMIT, DOOM_KILL_AFTER_COMMIT, DOOM_DISK };

struct sim_server {
    struct core *core; /* NULL while the process is down or waits for its disk */
    bool up, in_turn;
    enum sim_doom doom; /* of the next turn that has something to commit */
    struct arena arena; /* of the turn: decoded frames and output */
    struct core_output turn;
    int64_t wall_jump_ms; /* somebody has set the wall clock */
    int64_t lag_ms;       /* the core's clock is behind the world's: its loop stood still */
    int64_t stalled_until_ms;
    int64_t wake_at_ms; /* world time; earlier wake-up events are ignored */
    uint64_t gone_peer; /* a send failed: the core hears of it in the next turn */
    struct strbuf dump; /* core_dump() of what was committed last before a crash */
    bool dump_valid;
    uint64_t incarnation; /* events of a former process are ignored */
    /* What the core has said and heard in this life, for the checks: */
    uint64_t sessions[SIM_WORKERS_MAX], session_peers[SIM_WORKERS_MAX]; /* by name_index */
    int64_t heard_ms[SIM_JOBS_MAX];   /* core's clock: when the lease was given or last listed */
    int64_t leased_ms[SIM_JOBS_MAX];  /* core's clock: when it was given */
    int64_t seen_ms[SIM_WORKERS_MAX]; /* core's clock: a frame of the current session */
    bool finished[SIM_JOBS_MAX];      /* the holder has said so of the current attempt */
    struct lease_key given[SIM_JOBS_MAX]; /* to the speaker of a heartbeat, before its step */
    int given_count;
    /* Core's clock, in good weather: since when the beats of a lease's holder show that it does not
     * have it, and those of a worker that it holds an epoch (which) that is over; 0: they do not.
     */
    int64_t apart_since_ms[SIM_JOBS_MAX];
    int64_t stale_since_ms[SIM_WORKERS_MAX][SIM_JOBS_MAX];
    uint32_t stale_epochs[SIM_WORKERS_MAX][SIM_JOBS_MAX];
    struct digest instances[SIM_WORKERS_MAX];
    bool draining[SIM_WORKERS_MAX];     /* the worker says so */
    bool drain_wanted[SIM_WORKERS_MAX]; /* a person does */
    int64_t ends_ms[SIM_WORKERS_MAX];   /* core's clock, as HELLO said; 0: no end */
    bool quarantined[SIM_WORKERS_MAX];  /* its host, the turn under way included */
    bool paused[SIM_EXPERIMENTS];       /* the same */
};

struct sim_spool { /* of one lease */
    bool used;
    struct lease_key lease;
    int job;
    uint32_t made[STREAM_COUNT];           /* batches written */
    uint32_t dropped[STREAM_COUNT];        /* batches below are gone */
    uint64_t step_made, step_acknowledged; /* latest checkpoint */
    bool result_is_durable;
    struct agent_outcome outcome;
    char reason[128]; /* the outcome's */
};

struct sim_child {
    bool used, busy, hung;
    uint32_t id;
    struct lease_key lease;
    int job;
    uint64_t resume_step, step;
    uint32_t batches_made;
    uint64_t generation; /* its scheduled steps of a former job are ignored */
};

struct sim_worker {
    struct agent *agent; /* NULL while down */
    int index;
    int name_index; /* of the worker whose name it bears: another one's, when it is a twin */
    bool connected, left;
    bool cut_to_server, cut_to_worker;
    int64_t stalled_until_ms;
    uint64_t peer;
    uint64_t incarnation;
    uint32_t threads, host_cores;
    const char *name, *host, *numeric_class, *labels;
    struct sim_spool spools[SIM_LEASES_MAX];
    struct sim_child children[SIM_CHILDREN_MAX];
    int64_t wake_at_ms;
    int64_t heard_ms;                 /* latest frame from the coordinator */
    uint32_t forgotten[SIM_JOBS_MAX]; /* latest epoch that this process has forgotten */
    uint64_t beat;                    /* its latest … */
    bool beat_was_list;               /* … and whether that listed everything */
};

/* ---- the world ---- */

enum sim_act {
    ACT_SUBMIT,
    ACT_CANCEL_JOB,
    ACT_CANCEL_EXPERIMENT,
    ACT_RETRY_JOB,
    ACT_RETRY_EXPERIMENT,
    ACT_DRAIN,
    ACT_PAUSE,
    ACT_PRIORITY,
    ACT_RELEASE,
    ACT_COUNT,
    ACT_RESUME, /* follows every pause */
    ACT_RELEASE_ALL,
};

enum sim_event_kind {
    SIM_FRAME, /* arrives */
    SIM_SERVER_WAKE,
    SIM_SERVER_COMMIT, /* the turn ends: the disk has answered */
    SIM_SERVER_START,
    SIM_SERVER_RELOAD, /* the disk can be written again */
    SIM_WORKER_WAKE,
    SIM_WORKER_CONNECT,
    SIM_WORKER_START,
    SIM_WORKER_END,  /* of a twin, for good */
    SIM_WORKER_HEAL, /* a cut ends */
    SIM_FETCHED,
    SIM_UPLOADED,
    SIM_CHILD,      /* a child gets further */
    SIM_CHILD_STOP, /* it has heard SIGTERM */
    SIM_CHILD_EXIT,
    SIM_FAULT,
    SIM_PERSON,
};

struct sim_event {
    int64_t at_ms;
    uint64_t order;
    enum sim_event_kind kind;
    int worker;           /* index */
    uint64_t incarnation; /* of the process it was meant for */
    struct lease_key lease;
    uint64_t generation;
    uint32_t child;
    struct digest tree;
    enum sim_act act;
    int experiment;
    struct sim_frame frame;
};

struct sim {
    uint64_t seed;
    struct rng rng;
    bool verbose;
    enum core_fault planted;
    int64_t now_ms;
    uint64_t order_next, peer_last;
    struct sim_event *heap;
    size_t heap_count, heap_capacity;
    struct sim_job jobs[SIM_JOBS_MAX];
    int job_count;
    struct sim_store store;
    struct sim_server server;
    struct sim_worker workers[SIM_WORKERS_MAX];
    int worker_count;
    struct agent_actions actions;                /* of the agent's step under way */
    struct strbuf frame;                         /* being encoded */
    double drop_ratio, double_ratio, late_ratio; /* this seed's weather */
    double mean_fault_gap_ms;
    int acts_left; /* of people */
    int64_t quiet_since_ms;
    struct sim_counters counters;
    char failure[512]; /* empty while all is well */
};

struct sim_result {
    bool ok;
    char failure[512];
    struct sim_counters counters;
    int64_t ended_ms;
};
struct sim_result sim_run(uint64_t seed, enum core_fault planted, bool verbose);

#include "sim_parts.h"

#endif
