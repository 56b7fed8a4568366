/* What the files of worker/agent share; nobody else includes this. */
#ifndef TRIAD_AGENT_STATE_H
#define TRIAD_AGENT_STATE_H

#include "agent.h"
#include "bounds.h"
#include "rng.h"

#define TIME_NEVER INT64_MAX

/* A retried act: at most one try at a time, with doubling waits between failures. */
struct retry {
    bool in_flight;
    int64_t at_ms; /* when the next try is due; TIME_NEVER: not wanted */
    int64_t wait_ms;
};

/* Delivery of one stream: 0 ≤ acknowledged ≤ sent ≤ count, sent - acknowledged ≤ AGENT_WINDOW. */
struct delivery {
    uint32_t count; /* batches in the spool */
    uint32_t acknowledged;
    uint32_t sent;
    int64_t resend_at_ms, resend_wait_ms;
    uint32_t durable;  /* acknowledged before this session began */
    int64_t behind_ms; /* the coordinator has wanted less than that since then; 0: it does not */
};

enum checkpoint_state { CHECKPOINT_NONE, CHECKPOINT_LOCAL, CHECKPOINT_STORED };

struct checkpoint {
    enum checkpoint_state state; /* STORED: its tree is in the store, the message unacknowledged */
    uint32_t metrics; /* batches of the curve up to it: they come first, or a resumed curve has a
                         hole where this attempt ended */
    uint64_t step;
    struct digest tree;
};

/* What the coordinator knows of a held lease, as far as we know. */
struct told {
    bool known;
    enum held_state state;
    uint64_t progress;
};

struct attempt {
    struct arena arena; /* owns what `job` and `outcome` point to */
    struct lease_key lease;
    struct msg_lease job; /* all zero for a survivor */
    enum agent_phase phase;
    bool has_spool; /* a refused lease has none */
    bool stopping;  /* we asked its child to stop: an end without result is a cancellation */
    enum outcome stop_outcome; /* what such an end is */
    const char *stop_why;      /* and its sentence */
    int64_t limit_at_ms;       /* RUNNING: when its time is over; TIME_NEVER: it has no limit */
    uint32_t child;            /* while RUNNING */
    struct retry fetch;

    bool started; /* the child has the job; STARTED is not acknowledged, so it is sent thrice */
    uint32_t started_sends;
    int64_t started_at_ms;

    uint64_t progress, done, total; /* progress grows with every news, its end included */
    double loss_nats, tokens_per_s;
    struct told said, heard; /* as the latest beat that listed it said, and a PULSE confirmed */
    uint64_t said_beat;      /* that beat; 0: none in this session */

    struct delivery streams[STREAM_COUNT];
    struct checkpoint checkpoint, newer; /* `newer` waits while `checkpoint` is under way */
    int64_t checkpoint_at_ms;
    struct retry upload; /* of the checkpoint's or the artifact's tree, whichever is due */
    bool upload_again;   /* a session began meanwhile: what came before it may be gone */
    bool artifact_stored;
    struct agent_outcome outcome; /* when FINISHED */
    int64_t result_at_ms;
};

enum child_state { CHILD_BUSY, CHILD_IDLE /* warm, its model loaded */, CHILD_STOPPING };

struct child {
    uint32_t id;
    enum child_state state;
    struct digest model; /* what a warm child has loaded; none when it cannot be reused */
    uint32_t threads;
    uint64_t memory_bytes;
    int64_t deadline_ms; /* idle: let go; stopping: SIGKILL; TIME_NEVER otherwise */
};

struct agent {
    struct arena arena; /* the options' strings */
    struct agent_options options;
    struct rng jitter;
    int64_t now_ms;

    uint64_t session; /* 0: none */
    bool had_session; /* one before this one */
    int64_t heartbeat_ms, heartbeat_at_ms, heard_ms, hello_at_ms, hello_wait_ms;
    int patience;  /* a factor of the silence after which it says HELLO; 1 on a new connection */
    uint64_t beat; /* number of the latest */
    bool beat_was_list; /* it listed everything */
    bool list_wanted;   /* the coordinator asked for everything in answer to it */

    struct attempt *attempts[LEASES_PER_WORKER_MAX]; /* oldest first */
    size_t attempt_count;
    struct lease_key forgotten[AGENT_FORGOTTEN_KEYS]; /* a ring */
    size_t forgotten_count;

    struct child *children;
    size_t child_count, child_capacity;
    uint32_t child_id_last;

    bool draining, terminating, signalled, left;
    int64_t terminate_at_ms;    /* its walltime's end, or a drain's; TIME_NEVER: neither */
    int64_t terminate_grace_ms; /* from then on */
    const char *terminate_why;
    int64_t leave_at_ms;   /* terminating: the end of the grace period */
    int64_t idle_since_ms; /* TIME_NEVER while leases are held */
};

/* ---- agent.c ---- */
struct agent_action *agent_emit(struct agent_actions *out, enum agent_action_kind kind);
/* An action that sends `kind` with the current session; the caller fills in the rest. */
struct msg *agent_emit_message(struct agent *agent, struct agent_actions *out, enum msg_kind kind);
void agent_leave(struct agent *agent, struct agent_actions *out, bool refused, const char *reason);
/* Stop children with a checkpoint, deliver, and leave within `grace_ms`. */
void agent_terminate(struct agent *agent, int64_t grace_ms, const char *why,
                     struct agent_actions *out);
/* The same at `at_ms`, unless it is to happen earlier anyway. */
void agent_terminate_at(struct agent *agent, int64_t at_ms, int64_t grace_ms, const char *why);
bool agent_lease_equal(const struct lease_key *a, const struct lease_key *b);
/* Uniform between (1 - spread) and (1 + spread) times `ms`. */
int64_t agent_jitter(struct agent *agent, int64_t ms, double spread);
void agent_retry_start(struct retry *retry, int64_t now_ms);
void agent_retry_failed(struct agent *agent, struct retry *retry);

/* ---- agent_session.c ---- */
void agent_session_reset(struct agent *agent, int64_t hello_in_ms);
void agent_session_message(struct agent *agent, const struct msg *m, struct agent_actions *out);
void agent_session_pump(struct agent *agent, struct agent_actions *out);
int64_t agent_session_wake_ms(const struct agent *agent);

/* ---- agent_beat.c ---- */
/* All that is held, as HELLO lists it; NULL when nothing is. */
struct held_lease *agent_beat_list(const struct agent *agent, struct agent_actions *out);
void agent_beat_send(struct agent *agent, struct agent_actions *out);
void agent_beat_answered(struct agent *agent, const struct msg_pulse *m);
/* A new session: nothing has been heard in it. */
void agent_beat_restart(struct agent *agent);

/* ---- agent_attempt.c ---- */
struct attempt *agent_attempt_find(const struct agent *agent, const struct lease_key *lease);
void agent_attempt_survive(struct agent *agent, const struct agent_survivor *survivor);
void agent_attempt_lease(struct agent *agent, const struct msg_lease *m, struct agent_actions *out);
/* The attempt ended as `outcome` says (strings are copied); makes the result durable. */
void agent_attempt_finish(struct agent *agent, struct attempt *a,
                          const struct agent_outcome *outcome, struct agent_actions *out);
/* Ask its child to stop with a checkpoint; if it obeys, the attempt ends as `stopped` says. */
void agent_attempt_stop(struct agent *agent, struct attempt *a, const struct agent_outcome *stopped,
                        int64_t grace_ms, struct agent_actions *out);
/* Give it back: its batches below `acknowledged` are lost at the coordinator. */
void agent_attempt_undeliverable(struct agent *agent, struct attempt *a, struct agent_actions *out);
void agent_attempt_forget(struct agent *agent, struct attempt *a, const char *why,
                          struct agent_actions *out);
/* Bytes of transfers came in. */
void agent_attempts_fetch(struct agent *agent);
void agent_attempt_event(struct agent *agent, const struct agent_event *ev,
                         struct agent_actions *out);
/* Fetch, place on a child, upload: whatever is due now. */
void agent_attempt_pump(struct agent *agent, struct attempt *a, struct agent_actions *out);
int64_t agent_attempt_wake_ms(const struct agent *agent, const struct attempt *a);

/* ---- agent_delivery.c ---- */
void agent_delivery_acknowledged(struct agent *agent, struct attempt *a, enum stream_kind stream,
                                 uint32_t next, struct agent_actions *out);
/* Does the coordinator go on to ask for what a former session of it acknowledged? That is gone from
 * our spool; it has lost some of its state. Call with each ACK of the session. */
bool agent_delivery_is_behind(const struct agent *agent, struct attempt *a, enum stream_kind stream,
                              uint32_t next);
/* A new session: everything unacknowledged is due again. */
void agent_delivery_restart(struct agent *agent, struct attempt *a);
void agent_delivery_checkpoint_saved(struct attempt *a, uint64_t step, const struct digest *tree,
                                     int64_t now_ms);
void agent_delivery_checkpoint_acknowledged(struct agent *agent, struct attempt *a, uint64_t step);
void agent_delivery_pump(struct agent *agent, struct attempt *a, struct agent_actions *out);
int64_t agent_delivery_wake_ms(const struct agent *agent, const struct attempt *a);
void agent_delivery_result(const struct agent *agent, const struct attempt *a,
                           struct msg_result *out);

/* ---- agent_child.c ---- */
struct child *agent_child_find(struct agent *agent, uint32_t id);
/* Put a READY attempt on a child if there is room now. */
void agent_child_place(struct agent *agent, struct attempt *a, struct agent_actions *out);
/* The child said how its job ended: it stays warm or is let go. */
void agent_child_job_ended(struct agent *agent, uint32_t id, bool reusable,
                           struct agent_actions *out);
void agent_child_stop(struct agent *agent, uint32_t id, int64_t grace_ms,
                      struct agent_actions *out);
void agent_child_exited(struct agent *agent, uint32_t id);
void agent_child_pump(struct agent *agent, struct agent_actions *out);
int64_t agent_child_wake_ms(const struct agent *agent);

#endif
