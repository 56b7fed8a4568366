/* Sessions: HELLO with back-off until WELCOME, heartbeats while it lasts, and the way out. */
#include <string.h>

#include "agent_state.h"
#include "check.h"

/* A coordinator that asked for beats more often than this would only be wrong. */
#define HEARTBEAT_MS_MIN 20
/* A coordinator whose disk takes longer than LIVENESS beats for a commit answers within its next
 * turn: a worker that began anew each time would never hear the answer in the session that it
 * asked in. So each silence on one connection is allowed to last twice as long as the last; that
 * the connection itself is dead the transport notices. */
#define PATIENCE_MAX 8

void agent_session_reset(struct agent *agent, int64_t hello_in_ms)
{
    agent->session = 0;
    agent->hello_wait_ms = RECONNECT_MS_MIN;
    agent->hello_at_ms = agent->now_ms + hello_in_ms;
}

/* Until it stops for its walltime; 0: it has no end. */
static uint64_t session_ends_in_ms(const struct agent *agent)
{
    const struct agent_options *o = &agent->options;
    if (o->ends_at_ms == 0)
        return 0;
    int64_t left_ms = o->ends_at_ms - o->end_grace_ms - agent->now_ms;
    return left_ms > 0 ? (uint64_t)left_ms : 1;
}

static void session_hello(struct agent *agent, struct agent_actions *out)
{
    const struct agent_options *o = &agent->options;
    agent_emit_message(agent, out, MSG_HELLO)->hello = (struct msg_hello){
        .protocol_version = PROTOCOL_VERSION,
        .worker = o->worker,
        .instance = o->instance,
        .host = o->host,
        .host_cores = o->host_cores,
        .threads = o->threads,
        .memory_bytes = o->memory_bytes,
        .numeric_class = o->numeric_class,
        .version = o->version,
        .held = agent_beat_list(agent, out),
        .held_count = agent->attempt_count,
        .node = o->node,
        .labels = o->labels,
        .ends_in_ms = session_ends_in_ms(agent),
        .ranks = o->ranks,
        .rank_threads = o->rank_threads,
    };
    agent->hello_at_ms = agent->now_ms + agent_jitter(agent, agent->hello_wait_ms, 0.2);
    agent->hello_wait_ms =
        agent->hello_wait_ms * 2 < RECONNECT_MS_MAX ? agent->hello_wait_ms * 2 : RECONNECT_MS_MAX;
}

/* A late or doubled WELCOME is harmless: a stale verdict stays true, and so does what is durable. A
 * session that the coordinator has given up costs one NO_SESSION. */
static void session_welcome(struct agent *agent, const struct msg_welcome *m,
                            struct agent_actions *out)
{
    if (m->session == 0)
        return;
    bool new_session = m->session != agent->session;
    agent->session = m->session;
    agent->hello_at_ms = TIME_NEVER;
    agent->hello_wait_ms = RECONNECT_MS_MIN;
    agent->heartbeat_ms = m->heartbeat_ms > HEARTBEAT_MS_MIN ? m->heartbeat_ms : HEARTBEAT_MS_MIN;
    if (new_session)
        agent->heartbeat_at_ms = agent->now_ms + agent_jitter(agent, agent->heartbeat_ms, 0.2);
    for (size_t i = 0; i < m->verdict_count; i++) {
        const struct held_verdict *verdict = &m->verdicts[i];
        struct attempt *a = agent_attempt_find(agent, &verdict->lease);
        if (!a)
            continue;
        if (!verdict->keep) {
            agent_attempt_forget(agent, a, "the coordinator gave its lease to another attempt",
                                 out);
            continue;
        }
        for (int s = 0; s < STREAM_COUNT; s++)
            agent_delivery_acknowledged(agent, a, (enum stream_kind)s, verdict->next[s], out);
    }
    if (new_session) {
        agent_beat_restart(agent);
        for (size_t i = 0; i < agent->attempt_count; i++)
            agent_delivery_restart(agent, agent->attempts[i]);
        agent->had_session = true;
    }
}

static void session_none(struct agent *agent, const struct msg_no_session *m,
                         struct agent_actions *out)
{
    if (m->refused && agent->session == 0) {
        agent_leave(agent, out, true, m->reason[0] ? m->reason : "the coordinator refused us");
        return;
    }
    if (agent->session != 0 && m->session == agent->session)
        agent_session_reset(agent, agent_jitter(agent, RECONNECT_MS_MIN, 0.5));
}

/* A message that holds only within the session that it names. */
static void session_order(struct agent *agent, const struct msg *m, struct agent_actions *out)
{
    struct attempt *a = NULL;
    if (m->kind == MSG_LEASE) {
        agent_attempt_lease(agent, &m->lease, out);
    } else if (m->kind == MSG_ACK) {
        a = agent_attempt_find(agent, &m->ack.lease);
        if (a && agent_delivery_is_behind(agent, a, m->ack.stream, m->ack.next))
            agent_attempt_undeliverable(agent, a, out);
        else if (a)
            agent_delivery_acknowledged(agent, a, m->ack.stream, m->ack.next, out);
    } else if (m->kind == MSG_CHECKPOINT_ACK) {
        a = agent_attempt_find(agent, &m->checkpoint_ack.lease);
        if (a)
            agent_delivery_checkpoint_acknowledged(agent, a, m->checkpoint_ack.step);
    } else if (m->kind == MSG_RESULT_ACK) {
        a = agent_attempt_find(agent, &m->result_ack.lease);
        if (a && a->phase == AGENT_FINISHED)
            agent_attempt_forget(agent, a, "delivered", out);
    } else if (m->kind == MSG_REVOKE) {
        a = agent_attempt_find(agent, &m->revoke.lease);
        if (a)
            agent_attempt_forget(agent, a, m->revoke.reason, out);
    } else if (m->kind == MSG_PULSE) {
        agent_beat_answered(agent, &m->pulse);
    } else if (m->kind == MSG_DRAIN) {
        agent->draining = true;
        if (m->drain.grace_ms > 0 && m->drain.grace_ms < INT64_MAX / 2)
            agent_terminate_at(agent, agent->now_ms + (int64_t)m->drain.grace_ms,
                               AGENT_STOP_GRACE_MS,
                               m->drain.reason[0] ? m->drain.reason : "the worker was drained");
    }
}

static uint64_t session_of(const struct msg *m)
{
    static const struct {
        enum msg_kind kind;
        size_t offset;
    } table[] = {
        {MSG_LEASE, offsetof(struct msg, lease.session)},
        {MSG_ACK, offsetof(struct msg, ack.session)},
        {MSG_CHECKPOINT_ACK, offsetof(struct msg, checkpoint_ack.session)},
        {MSG_RESULT_ACK, offsetof(struct msg, result_ack.session)},
        {MSG_REVOKE, offsetof(struct msg, revoke.session)},
        {MSG_PULSE, offsetof(struct msg, pulse.session)},
        {MSG_DRAIN, offsetof(struct msg, drain.session)},
    };
    uint64_t session = 0;
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        if (table[i].kind == m->kind)
            memcpy(&session, (const char *)m + table[i].offset, sizeof session);
    }
    return session;
}

void agent_session_message(struct agent *agent, const struct msg *m, struct agent_actions *out)
{
    if (m->kind == MSG_WELCOME) {
        agent->heard_ms = agent->now_ms;
        session_welcome(agent, &m->welcome, out);
        return;
    }
    if (m->kind == MSG_NO_SESSION) {
        session_none(agent, &m->no_session, out);
        return;
    }
    if (agent->session == 0 || session_of(m) != agent->session)
        return; /* of a former session, or nothing a coordinator says to a worker */
    agent->heard_ms = agent->now_ms;
    session_order(agent, m, out);
}

int64_t agent_patience_ms(const struct agent *agent)
{
    return HEARTBEAT_LIVENESS * agent->heartbeat_ms * agent->patience;
}

static int64_t session_silence_end_ms(const struct agent *agent)
{
    return agent->heard_ms + agent_patience_ms(agent);
}

/* Leave when nothing is held and somebody wants that, or when the grace period is over. */
static void session_end(struct agent *agent, struct agent_actions *out)
{
    if (agent->attempt_count > 0) {
        agent->idle_since_ms = TIME_NEVER;
        if (agent->now_ms >= agent->leave_at_ms)
            agent_leave(agent, out, false,
                        "the grace period is over; undelivered results stay in the spool");
        return;
    }
    if (agent->idle_since_ms == TIME_NEVER)
        agent->idle_since_ms = agent->now_ms;
    int64_t idle_end_ms = agent->options.idle_end_ms;
    if (idle_end_ms > 0 && agent->now_ms >= agent->idle_since_ms + idle_end_ms)
        agent->draining = true;
    if (!agent->draining)
        return;
    if (agent->session)
        agent_emit_message(agent, out, MSG_BYE)->bye.session = agent->session;
    agent_leave(agent, out, false, agent->terminating ? "stopped" : "drained");
}

void agent_session_pump(struct agent *agent, struct agent_actions *out)
{
    if (agent->session && agent->now_ms >= session_silence_end_ms(agent)) {
        agent_session_reset(agent, 0);
        agent->patience = agent->patience < PATIENCE_MAX ? 2 * agent->patience : PATIENCE_MAX;
    }
    if (agent->session && agent->now_ms >= agent->heartbeat_at_ms) {
        agent_beat_send(agent, out);
        agent->heartbeat_at_ms = agent->now_ms + agent_jitter(agent, agent->heartbeat_ms, 0.2);
    } else if (agent->session && agent->list_wanted) {
        agent_beat_send(agent, out);
    }
    if (!agent->session && agent->now_ms >= agent->hello_at_ms)
        session_hello(agent, out);
    session_end(agent, out);
}

int64_t agent_session_wake_ms(const struct agent *agent)
{
    int64_t wake = agent->leave_at_ms;
    if (agent->options.idle_end_ms > 0 && agent->idle_since_ms != TIME_NEVER &&
        agent->idle_since_ms + agent->options.idle_end_ms < wake)
        wake = agent->idle_since_ms + agent->options.idle_end_ms;
    if (!agent->session)
        return agent->hello_at_ms < wake ? agent->hello_at_ms : wake;
    wake = agent->heartbeat_at_ms < wake ? agent->heartbeat_at_ms : wake;
    return session_silence_end_ms(agent) < wake ? session_silence_end_ms(agent) : wake;
}
