#include "agent.h"

#include <stdlib.h>
#include <string.h>

#include "agent_state.h"
#include "check.h"

struct agent *agent_new(const struct agent_options *options)
{
    ASSERT(options->threads > 0);
    struct agent *agent = calloc(1, sizeof *agent);
    ASSERT(agent);
    arena_init(&agent->arena, 0);
    agent->options = *options;
    agent->options.worker = arena_strdup(&agent->arena, options->worker);
    agent->options.host = arena_strdup(&agent->arena, options->host);
    agent->options.numeric_class = arena_strdup(&agent->arena, options->numeric_class);
    agent->options.version = arena_strdup(&agent->arena, options->version);
    agent->options.node = arena_strdup(&agent->arena, options->node ? options->node : "");
    agent->options.labels = arena_strdup(&agent->arena, options->labels ? options->labels : "");
    agent->jitter = rng_new(options->seed, "agent");
    agent->heartbeat_ms = HEARTBEAT_MS;
    agent->patience = 1;
    agent->hello_at_ms = TIME_NEVER;
    agent->leave_at_ms = TIME_NEVER;
    agent->idle_since_ms = TIME_NEVER;
    agent->terminate_at_ms = TIME_NEVER;
    if (options->ends_at_ms > 0)
        agent_terminate_at(agent, options->ends_at_ms - options->end_grace_ms,
                           options->end_grace_ms, "the worker's time is up");
    return agent;
}

void agent_free(struct agent *agent)
{
    if (!agent)
        return;
    for (size_t i = 0; i < agent->attempt_count; i++) {
        arena_release(&agent->attempts[i]->arena);
        free(agent->attempts[i]);
    }
    free(agent->children);
    arena_release(&agent->arena);
    free(agent);
}

struct agent_action *agent_emit(struct agent_actions *out, enum agent_action_kind kind)
{
    if (out->count == out->capacity) {
        size_t capacity = out->capacity ? 2 * out->capacity : 16;
        struct agent_action *items = realloc(out->items, capacity * sizeof *items);
        ASSERT(items);
        out->items = items;
        out->capacity = capacity;
    }
    struct agent_action *action = &out->items[out->count++];
    memset(action, 0, sizeof *action);
    action->kind = kind;
    return action;
}

struct msg *agent_emit_message(struct agent *agent, struct agent_actions *out, enum msg_kind kind)
{
    ASSERT(kind == MSG_HELLO || agent->session != 0);
    struct agent_action *action =
        agent_emit(out, kind == MSG_STREAM ? AGENT_DO_SEND_BATCH : AGENT_DO_SEND);
    action->message.kind = kind;
    return &action->message;
}

void agent_leave(struct agent *agent, struct agent_actions *out, bool refused, const char *reason)
{
    if (agent->left)
        return;
    agent->left = true;
    struct agent_action *action = agent_emit(out, AGENT_DO_LEAVE);
    action->refused = refused;
    action->reason = arena_strdup(&out->arena, reason);
}

bool agent_lease_equal(const struct lease_key *a, const struct lease_key *b)
{
    return a->epoch == b->epoch && digest_equal(&a->job, &b->job);
}

int64_t agent_jitter(struct agent *agent, int64_t ms, double spread)
{
    double factor = 1.0 - spread + 2.0 * spread * rng_uniform(&agent->jitter);
    int64_t jittered = (int64_t)((double)ms * factor);
    return jittered > 0 ? jittered : 1;
}

void agent_retry_start(struct retry *retry, int64_t now_ms)
{
    *retry = (struct retry){.at_ms = now_ms, .wait_ms = AGENT_RETRY_MS_MIN};
}

void agent_retry_failed(struct agent *agent, struct retry *retry)
{
    retry->in_flight = false;
    retry->at_ms = agent->now_ms + agent_jitter(agent, retry->wait_ms, 0.25);
    retry->wait_ms =
        retry->wait_ms * 2 < AGENT_RETRY_MS_MAX ? retry->wait_ms * 2 : AGENT_RETRY_MS_MAX;
}

/* The promises at the head of agent.h that a single state can break. */
static void agent_check(const struct agent *agent)
{
    for (size_t i = 0; i < agent->attempt_count; i++) {
        const struct attempt *a = agent->attempts[i];
        for (int s = 0; s < STREAM_COUNT; s++) {
            ASSERT(a->streams[s].acknowledged <= a->streams[s].sent);
            ASSERT(a->streams[s].sent <= a->streams[s].count);
            ASSERT(a->streams[s].sent - a->streams[s].acknowledged <= AGENT_WINDOW);
        }
        ASSERT((a->phase == AGENT_RUNNING) == (a->child != 0));
        ASSERT(a->newer.state != CHECKPOINT_STORED);
        for (size_t k = 0; k < i; k++)
            ASSERT(!digest_equal(&a->lease.job, &agent->attempts[k]->lease.job));
    }
    ASSERT(agent_threads_busy(agent) <= agent->options.threads);
}

static void agent_start(struct agent *agent, const struct agent_event *ev)
{
    for (size_t i = 0; i < ev->survivors.count; i++)
        agent_attempt_survive(agent, &ev->survivors.items[i]);
    agent->idle_since_ms = agent->now_ms;
    agent_session_reset(agent, RECONNECT_MS_MIN); /* CONNECTED usually comes before */
}

/* Stop with a checkpoint what computes and give back what does not yet. */
void agent_terminate(struct agent *agent, int64_t grace_ms, const char *why,
                     struct agent_actions *out)
{
    if (agent->terminating)
        return;
    agent->terminating = agent->draining = true;
    agent->leave_at_ms = agent->now_ms + grace_ms;
    struct agent_outcome preempted = {.outcome = OUTCOME_PREEMPTED, .reason = why};
    for (size_t i = 0; i < agent->attempt_count; i++) {
        struct attempt *a = agent->attempts[i];
        if (a->phase == AGENT_FETCHING || a->phase == AGENT_READY)
            agent_attempt_finish(agent, a, &preempted, out);
        else if (a->phase == AGENT_RUNNING) /* the rest of the time is for delivering */
            agent_attempt_stop(agent, a, &preempted, grace_ms * 3 / 4, out);
    }
}

void agent_terminate_at(struct agent *agent, int64_t at_ms, int64_t grace_ms, const char *why)
{
    if (at_ms >= agent->terminate_at_ms)
        return;
    agent->terminate_at_ms = at_ms;
    agent->terminate_grace_ms = grace_ms;
    agent->terminate_why = arena_strdup(&agent->arena, why);
}

/* The first signal stops in order, whatever has begun to stop before; the second one at once. */
static void agent_signal(struct agent *agent, int64_t grace_ms, struct agent_actions *out)
{
    if (agent->signalled) {
        agent_leave(agent, out, false, "told to stop at once");
        return;
    }
    agent->signalled = true;
    agent_terminate(agent, grace_ms, "the worker is shutting down", out);
    if (agent->now_ms + grace_ms < agent->leave_at_ms)
        agent->leave_at_ms = agent->now_ms + grace_ms;
}

static void agent_time_pump(struct agent *agent, struct agent_actions *out)
{
    if (!agent->terminating && agent->now_ms >= agent->terminate_at_ms)
        agent_terminate(agent, agent->terminate_grace_ms, agent->terminate_why, out);
}

static void agent_handle(struct agent *agent, const struct agent_event *ev,
                         struct agent_actions *out)
{
    switch (ev->kind) {
    case AGENT_EV_START:
        agent_start(agent, ev);
        return;
    case AGENT_EV_CONNECTED:
        agent->patience = 1;
        agent_session_reset(agent, 0);
        return;
    case AGENT_EV_DISCONNECTED:
        if (agent->session)
            agent_session_reset(agent, RECONNECT_MS_MIN);
        return;
    case AGENT_EV_MESSAGE:
        agent_session_message(agent, ev->message, out);
        return;
    case AGENT_EV_DRAIN:
        agent->draining = true;
        return;
    case AGENT_EV_TERMINATE:
        agent_signal(agent, ev->grace_ms, out);
        return;
    case AGENT_EV_TICK:
        return;
    case AGENT_EV_FETCHING:
        agent_attempts_fetch(agent);
        return;
    case AGENT_EV_STORING:
    case AGENT_EV_FETCHED:
    case AGENT_EV_FETCH_FAILED:
    case AGENT_EV_RUNNING:
    case AGENT_EV_PROGRESS:
    case AGENT_EV_BATCH:
    case AGENT_EV_CHECKPOINT:
    case AGENT_EV_RESULT:
    case AGENT_EV_CHILD_EXITED:
    case AGENT_EV_UPLOADED:
    case AGENT_EV_UPLOAD_FAILED:
    case AGENT_EV_DISK_TROUBLE:
        agent_attempt_event(agent, ev, out);
        return;
    }
    UNREACHABLE("unknown agent event");
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t agent_wake_ms(const struct agent *agent)
{
    int64_t wake = earlier(agent_session_wake_ms(agent), agent_child_wake_ms(agent));
    if (!agent->terminating)
        wake = earlier(wake, agent->terminate_at_ms);
    for (size_t i = 0; i < agent->attempt_count; i++) {
        wake = earlier(wake, agent_attempt_wake_ms(agent, agent->attempts[i]));
        wake = earlier(wake, agent_delivery_wake_ms(agent, agent->attempts[i]));
    }
    return wake;
}

void agent_step(struct agent *agent, const struct agent_event *event, struct agent_actions *out)
{
    ASSERT(event->now_ms >= agent->now_ms || agent->now_ms == 0);
    agent->now_ms = event->now_ms;
    out->count = 0;
    out->wake_at_ms = TIME_NEVER;
    arena_release(&out->arena);
    if (agent->left)
        return;
    agent_handle(agent, event, out);
    agent_time_pump(agent, out);
    /* Everything below is derived from state and time, so that no event has to remember it. */
    agent_child_pump(agent, out);
    for (size_t i = 0; i < agent->attempt_count && !agent->left; i++) {
        agent_attempt_pump(agent, agent->attempts[i], out);
        agent_delivery_pump(agent, agent->attempts[i], out);
    }
    if (!agent->left)
        agent_session_pump(agent, out);
    agent_check(agent);
    if (!agent->left)
        out->wake_at_ms = agent_wake_ms(agent);
}

void agent_actions_release(struct agent_actions *actions)
{
    free(actions->items);
    arena_release(&actions->arena);
    *actions = (struct agent_actions){.wake_at_ms = TIME_NEVER};
}

size_t agent_held_count(const struct agent *agent)
{
    return agent->attempt_count;
}

struct agent_view agent_held_at(const struct agent *agent, size_t index)
{
    ASSERT(index < agent->attempt_count);
    const struct attempt *a = agent->attempts[index];
    struct agent_view view = {.lease = a->lease, .phase = a->phase, .child = a->child};
    for (int s = 0; s < STREAM_COUNT; s++) {
        view.batches[s] = a->streams[s].count;
        view.acknowledged[s] = a->streams[s].acknowledged;
    }
    return view;
}

uint64_t agent_session(const struct agent *agent)
{
    return agent->session;
}

uint32_t agent_threads_busy(const struct agent *agent)
{
    uint32_t threads = 0;
    for (size_t i = 0; i < agent->child_count; i++)
        threads += agent->children[i].state == CHILD_IDLE ? 0 : agent->children[i].threads;
    return threads;
}

bool agent_has_left(const struct agent *agent)
{
    return agent->left;
}
