/* What the core remembers; private to this folder. Who changes what:
 *   job.c      job.state, through its table        ready.c     the ordered set of startable jobs
 *   claim.c    who wants a job
 *   lease.c    attempts, threads in use            retry.c     budgets, failures, back-offs
 *   session.c  workers, hosts                      streams.c   batches and checkpoints
 *   results.c  results                             core_plan.c submission, cancelling, retrying
 *   dispatch.c    who gets what, and why not          core.c      loading and stepping
 *   core_query.c  answers             output.c    what a step wants done */
#ifndef TRIAD_CORE_STATE_H
#define TRIAD_CORE_STATE_H

#include "bounds.h"
#include "core.h"
#include "digest_map.h"
#include "rng.h"
#include "timers.h"

struct experiment {
    char *name;
    char *numeric_class; /* empty until its first lease fixes it */
    bool paused;
    int32_t priority;          /* against other experiments */
    uint64_t threads_busy;     /* of the attempts that were given out for it */
    uint64_t served;           /* its latest lease: larger is later, as core.served_last counts */
    size_t number;             /* in order of arrival */
    const struct claim *alone; /* of jobs that it alone wants; NULL: there were none yet */
};

/* Who wants a job (claim.h). */
struct claim {
    struct experiment *queued_by;  /* whose numeric class the job follows */
    struct experiment **wanted_by; /* by name; at least one */
    size_t wanted_count;
};

/* What a job asks for beside threads and memory, and what its failures cost. Few differ, so that
 * jobs share them; they live as long as the core. */
struct terms {
    struct retry_policy retry; /* defaults filled in */
    char *labels;
    uint32_t time_limit_s;
    uint32_t ranks; /* processes that share the job; at least 1 */
};

#define HOST_FAILURES_MAX 16

/* Workers that share cores. */
struct host {
    char *name;
    uint32_t cores;
    uint32_t worker_count;
    uint64_t threads_busy; /* of all its workers */
    /* Different jobs that failed here since the latest success, as far as they are the host's fault
     * in all likelihood. */
    uint64_t failed_jobs[HOST_FAILURES_MAX];
    uint32_t failed_count;
    char *quarantine; /* why nothing is given to it; NULL: it is not in quarantine */
};

struct worker {
    char name[NAME_BYTES_MAX + 1];
    char numeric_class[NAME_BYTES_MAX + 1];
    char version[NAME_BYTES_MAX + 1];
    char node[NAME_BYTES_MAX + 1];
    char labels[NAME_BYTES_MAX + 1];
    uint64_t name_digest; /* short form, for failure_worker */
    struct digest instance;
    struct host *host;
    size_t place; /* among the core's workers */
    uint32_t threads;
    uint64_t threads_busy;
    uint64_t memory_bytes, memory_busy;
    uint32_t ranks, ranks_busy; /* of jobs with more than one */
    uint32_t rank_threads;      /* of each, outside its own threads; 0: they share these */
    uint64_t session;           /* 0: none */
    uint64_t peer;              /* connection of the session */
    uint64_t key;               /* whose key that connection uses */
    bool live;                  /* has a session and is not silent */
    bool draining;              /* the worker says so */
    bool drain_wanted;
    uint64_t drain_grace_ms;
    char *drain_reason;   /* a person's; may be NULL */
    int64_t ends_ms;      /* monotonic: when it has to be gone; 0: it has no end */
    int64_t ends_time_ms; /* the same by the wall clock */
    int64_t seen_ms;      /* monotonic */
    int64_t seen_time_ms; /* wall clock */
    uint64_t beat;        /* counts listings (HELLO, HEARTBEAT) */
    struct held_set held; /* what its leases are, as far as it has said */
    int64_t proven_ms;  /* monotonic: when it last proved, by its digest, that it holds them all */
    struct digest spot; /* job whose artifact it holds warm; none: none */
    struct job *leases;
    uint32_t lease_count;
    struct timer timer; /* armed while live: when its silence becomes a loss */
};

/* An attempt under way. */
struct attempt {
    struct worker *worker;
    struct experiment *payer;                /* whose share of the threads it is */
    struct job *next_lease, *previous_lease; /* other leases of the worker */
    int64_t leased_ms;                       /* monotonic */
    int64_t renewed_ms;                      /* monotonic: when it was given or last listed */
    enum held_state held;                    /* as last listed */
    uint64_t memory_bytes;                   /* taken of the worker's */
    uint32_t threads;                        /* likewise */
    uint64_t beat;                           /* latest listing of the worker that names it */
    uint32_t next[STREAM_COUNT];             /* batches stored so far */
    uint64_t items;
    struct hash_state records; /* running digest over the record batches */
    uint64_t progress, done, total;
    int64_t progress_ms; /* monotonic: when it last grew */
    double loss_nats, tokens_per_s;
};

/* A child's view of a parent, and the parent's list of waiting children. */
struct parent_link {
    struct job *child;
    struct job *parent; /* NULL once it is done */
    struct parent_link *next_child;
    struct parent_link **place; /* the pointer to this link in the parent's list */
    char *name;
    struct digest identity;
    struct digest artifact; /* once done */
    enum job_state state;   /* of a parent that was final when the link was made */
};

/* An unfinished job. Invariants: job_check(). */
struct job {
    struct digest identity;
    uint64_t order;
    enum job_kind kind;
    enum job_state state;
    const struct claim *claim;
    const struct terms *terms;
    uint32_t threads;
    uint64_t memory_asked;                 /* as planned */
    uint64_t memory_bytes, items_expected; /* memory: grown with failures for want of it */
    int32_t priority;
    uint64_t failures; /* core_job_state */
    uint32_t epoch, attempts_spent, attempts_free, attempts_max;
    enum outcome outcome;
    uint64_t failure_digest, failure_worker;
    struct digest resume;
    uint64_t resume_step;
    int64_t submitted_ms, started_ms;

    struct parent_link *parents;
    uint32_t parent_count, parents_missing;
    struct parent_link *children;

    struct attempt *attempt; /* leased and running jobs */
    struct timer timer;      /* waiting: end of the back-off; held: a look at lease_deadline_ms() */

    /* ready.c: place in the set of startable jobs of its shape */
    struct shape *shape; /* NULL: not in the set */
    struct job *left, *right;

    /* Of the step under way; empty between steps. */
    bool changed;
    struct job *next_changed;
    struct job *next_finished;
    const char *end_reason, *end_worker, *end_numeric_class;
    struct digest artifact, records;
    uint64_t items;
    int64_t ended_ms;
};

/* Startable jobs that ask for the same: only the first few of a shape need a look per decision. */
struct shape {
    const struct claim *claim;
    const struct terms *terms;
    uint32_t threads;
    uint64_t memory_asked, memory_bytes;
    struct job *root;
    size_t job_count;
};

struct core {
    struct core_options options;
    enum core_fault fault;
    struct rng rng;

    struct digest_map jobs; /* identity → struct job */
    uint64_t order_last;
    struct digest_map experiments; /* digest of name → struct experiment */
    struct experiment **experiment_list;
    size_t experiment_count;
    struct terms **terms;
    size_t terms_count;
    struct claim **claims;
    size_t claim_count;

    struct digest_map worker_names;    /* digest of name → struct worker */
    struct digest_map worker_sessions; /* number → struct worker */
    struct worker **workers;           /* in order of arrival */
    size_t worker_count;
    uint64_t *roomy;         /* a bit for each: it has threads of its own to spare */
    struct digest_map hosts; /* digest of name → struct host; those in quarantine stay */
    struct digest_map spots; /* job identity → number of workers that hold its artifact warm */
    uint32_t session_last;

    struct shape **shapes;
    size_t shape_count;
    size_t ready_count;
    size_t lease_count;
    uint64_t served_last;
    struct timers timers;
    bool dispatch_wanted; /* something changed that may let a job start */

    /* Of the step under way. */
    const struct core_event *event;
    struct core_output *out;
    struct job *changed_first, *changed_last;
};

/* All jobs in order of submission, as an array to core_memory_free() (core_query.c). */
struct job **core_jobs_in_order(const struct core *core);

/* ---- outputs of the step under way (output.c) ---- */

/* Append an op or a send to fill in; the pointer is good until the next append. */
struct core_op *output_op(struct core *core, enum core_op_kind kind);
/* Room for so many more ops without growing. */
void output_reserve(struct core *core, size_t ops);
struct msg *output_send(struct core *core, uint64_t peer, enum msg_kind kind);
/* Text and bytes that live as long as the output. */
const char *output_text(struct core *core, const char *text);
const char *output_printf(struct core *core, const char *format, ...) PRINTF(2, 3);
void output_error(struct core *core, uint64_t request, enum err_code code, const char *text);

#endif
