/* The coordinator's driver, as coordinator/io does it: frames of one loop turn are stepped into one
 * output, the turn is committed as a whole, then its messages leave. */
#include <string.h>

#include "check.h"
#include "records.h"
#include "sim.h"

#define COMMIT_MS_MAX    8
#define CONNECT_MS_MAX   400
#define DISK_TROUBLE_MS  1000
#define WALL_CLOCK_START 1700000000000

int64_t sim_server_clock_ms(const struct sim *s)
{
    return s->now_ms - s->server.lag_ms;
}

const struct core_job_state *sim_server_state(const struct sim *s, int job)
{
    const struct core_output *turn = &s->server.turn;
    for (size_t i = turn->op_count; s->server.in_turn && i > 0; i--)
        if (turn->ops[i - 1].kind == CORE_OP_JOB &&
            digest_equal(&turn->ops[i - 1].job.state.identity, &s->jobs[job].identity))
            return &turn->ops[i - 1].job.state;
    return &s->store.rows[job].state;
}

/* ---- life ---- */

static void load_core(struct sim *s)
{
    struct sim_server *server = &s->server;
    const struct core_options options = {.boot = ++s->store.boots,
                                         .host_failures_max = SIM_HOST_FAILURES};
    server->core = core_new_with_fault(&options, options.boot, s->planted);
    server->wake_at_ms = INT64_MAX;
    server->gone_peer = 0;
    memset(server->sessions, 0, sizeof server->sessions);
    memset(server->session_peers, 0, sizeof server->session_peers);
    for (int i = 0; i < s->job_count; i++)
        server->heard_ms[i] = server->leased_ms[i] = sim_server_clock_ms(s);
    memset(server->finished, 0, sizeof server->finished);
    memset(server->apart_since_ms, 0, sizeof server->apart_since_ms);
    memset(server->stale_since_ms, 0, sizeof server->stale_since_ms);
    memset(server->draining, 0, sizeof server->draining);
    memcpy(server->instances, s->store.instances, sizeof server->instances);
    memset(server->drain_wanted, 0, sizeof server->drain_wanted);
    memset(server->ends_ms, 0, sizeof server->ends_ms);
    for (int i = 0; i < SIM_WORKERS_MAX; i++)
        server->quarantined[i] = *s->store.quarantine[i] != '\0';
    for (int e = 0; e < SIM_EXPERIMENTS; e++)
        server->paused[e] = s->store.experiments[e].paused;
    sim_store_load(s, server->core);
    core_check(server->core);
    /* What a restarted coordinator knows is exactly what the former one had committed. */
    if (server->dump_valid) {
        struct strbuf dump = {0};
        core_dump(server->core, &dump);
        s->counters.restarts_compared++;
        if (strcmp(strbuf_text(&dump), strbuf_text(&server->dump)) != 0) {
            sim_fail(s, "a restarted core differs from the one that was lost");
            sim_trace(s, "C", "knew:\n%s", strbuf_text(&server->dump));
            sim_trace(s, "C", "knows:\n%s", strbuf_text(&dump));
        }
        strbuf_release(&dump);
        server->dump_valid = false;
    }
    sim_server_tick(s);
}

void sim_server_start(struct sim *s)
{
    struct sim_server *server = &s->server;
    ASSERT(!server->up);
    server->up = true;
    server->incarnation++;
    server->stalled_until_ms = 0;
    sim_trace(s, "C", "starts");
    load_core(s);
    for (int i = 0; i < s->worker_count; i++)
        if (s->workers[i].agent)
            sim_worker_connect_later(s, &s->workers[i], sim_between(s, 1, CONNECT_MS_MAX));
}

static void forget_turn(struct sim_server *server)
{
    server->in_turn = false;
    server->doom = DOOM_NONE;
    arena_release(&server->arena);
    server->turn = (struct core_output){0};
}

/* A planted fault must be found by what it breaks, so nothing is compared then. */
static void remember(struct sim *s)
{
    struct sim_server *server = &s->server;
    if (s->planted != CORE_FAULT_NONE)
        return;
    strbuf_clear(&server->dump);
    core_dump(server->core, &server->dump);
    server->dump_valid = true;
}

/* The process ends: core, turn and connections are gone, the store stays. */
void sim_server_kill(struct sim *s)
{
    struct sim_server *server = &s->server;
    if (server->core && !server->in_turn)
        remember(s);
    core_free(server->core);
    server->core = NULL;
    server->up = false;
    server->incarnation++;
    forget_turn(server);
    for (int i = 0; i < s->worker_count; i++)
        if (s->workers[i].connected)
            sim_server_forget_peer(s, &s->workers[i]);
}

void sim_server_forget_peer(struct sim *s, struct sim_worker *w)
{
    w->connected = false;
    if (w->agent && sim_chance(s, 0.7)) { /* else it must find out by silence */
        struct agent_event event = {.kind = AGENT_EV_DISCONNECTED};
        sim_worker_step(s, w, &event);
    }
}

/* The loop stands still, as while a disk does not answer or the process is stopped. Its clock is
 * held back by the time, so that a stall of ours is nobody's silence. */
void sim_server_stall(struct sim *s, int64_t stall_ms)
{
    struct sim_server *server = &s->server;
    server->stalled_until_ms = s->now_ms + stall_ms;
    server->lag_ms += stall_ms;
    s->counters.coordinator_stalls++;
    s->counters.coordinator_stalls_past_a_lease += stall_ms > LEASE_MS;
    sim_trace(s, "C", "stalls for %lld ms", (long long)stall_ms);
    sim_schedule(s, stall_ms,
                 (struct sim_event){.kind = SIM_SERVER_WAKE, .incarnation = server->incarnation});
}

/* The disk failed: the core is thrown away, because memory must not run ahead of the store. */
static void fall_into_trouble(struct sim *s)
{
    struct sim_server *server = &s->server;
    s->counters.commit_failures++;
    sim_trace(s, "C", "cannot commit");
    core_free(server->core);
    server->core = NULL;
    forget_turn(server);
    sim_schedule(s, DISK_TROUBLE_MS * sim_between(s, 1, 40),
                 (struct sim_event){.kind = SIM_SERVER_RELOAD, .incarnation = server->incarnation});
}

void sim_server_reload(struct sim *s)
{
    sim_trace(s, "C", "has its disk again");
    load_core(s);
}

/* ---- turns ---- */

static void begin_turn(struct sim *s)
{
    struct sim_server *server = &s->server;
    if (server->in_turn)
        return;
    if (server->doom != DOOM_NONE)
        remember(s);
    server->in_turn = true;
    core_output_init(&server->turn, &server->arena);
    sim_schedule(s, sim_between(s, 0, COMMIT_MS_MAX),
                 (struct sim_event){.kind = SIM_SERVER_COMMIT, .incarnation = server->incarnation});
}

static void complete_sends(struct sim *s, size_t first)
{
    for (size_t i = first; i < s->server.turn.send_count; i++) {
        struct core_send *send = &s->server.turn.sends[i];
        if (send->msg.kind == MSG_LEASE) { /* what the core leaves out is in the store */
            struct sim_job *job = &s->jobs[sim_job_index(s, &send->msg.lease.lease.job)];
            send->msg.lease.label = job->label;
            send->msg.lease.spec = (struct bytes){(const uint8_t *)job->spec, strlen(job->spec)};
        }
        if (send->immediate) { /* only a planted fault does this */
            sim_check_send(s, &send->msg);
            sim_net_to_worker(s, send->peer, &send->msg);
        }
    }
}

/* One step and what must hold after it; `m`, `frame` and `before` only when a worker spoke. */
static void take_step(struct sim *s, struct core_event *event, const struct sim_frame *frame,
                      const struct core_job_state *before)
{
    struct sim_server *server = &s->server;
    const struct msg *m = event->kind == CORE_MESSAGE ? event->message.msg : NULL;
    begin_turn(s);
    const size_t first_op = server->turn.op_count;
    const size_t first_send = server->turn.send_count;
    if (m && m->kind == MSG_HEARTBEAT)
        sim_beat_arrives(s, frame);
    event->now_ms = sim_server_clock_ms(s);
    event->time_ms = s->now_ms + WALL_CLOCK_START + server->wall_jump_ms;
    core_step(server->core, event, &server->turn);
    core_check(server->core);
    complete_sends(s, first_send);
    sim_check_step(s, m, frame, before, first_op, first_send);
}

void sim_server_step(struct sim *s, struct core_event *event)
{
    take_step(s, event, NULL, NULL);
}

/* Facts that the driver owes the core about a worker's message. */
static struct core_event message_event(struct sim *s, const struct msg *m, uint64_t peer)
{
    struct core_event event = {.kind = CORE_MESSAGE, .peer = peer, .message = {.msg = m}};
    event.message.payload_is_valid = true;
    if (m->kind == MSG_STREAM && m->stream.stream == STREAM_RECORDS)
        event.message.payload_is_valid =
            records_check(m->stream.payload.data, m->stream.payload.len, &event.message.items,
                          NULL) == ERR_OK;
    if (m->kind == MSG_CHECKPOINT)
        event.message.tree_is_stored = sim_store_has_tree(s, &m->checkpoint.tree);
    if (m->kind == MSG_RESULT) {
        event.message.tree_is_stored =
            digest_is_none(&m->result.artifact) || sim_store_has_tree(s, &m->result.artifact);
        if (!core_has_job(s->server.core, &m->result.lease.job))
            event.message.final = sim_server_state(s, sim_job_index(s, &m->result.lease.job));
    }
    return event;
}

/* The lease that a message of an attempt is about, and the session that it names. */
static struct lease_key *lease_in(struct msg *m, uint64_t **session_out)
{
#define PARTS(of) (*session_out = &(of).session, &(of).lease)
    return m->kind == MSG_STARTED      ? PARTS(m->started)
           : m->kind == MSG_STREAM     ? PARTS(m->stream)
           : m->kind == MSG_CHECKPOINT ? PARTS(m->checkpoint)
           : m->kind == MSG_RESULT     ? PARTS(m->result)
                                       : NULL;
#undef PARTS
}

/* An authorised worker that is wrong or hostile: another one's words come over its connection, with
 * their own session or with its own. Nobody honest does this; the fence must hold anyway. */
static void confuse(struct sim *s, uint64_t *session, struct sim_frame *frame)
{
    const struct sim_worker *other = &s->workers[sim_between(s, 0, s->worker_count - 1)];
    if (!sim_mishap(s, 0.002) || !other->connected ||
        other->name_index == s->workers[frame->worker].name_index)
        return;
    frame->peer = other->peer;
    if (sim_chance(s, 0.5)) {
        s->counters.messages_misdirected++;
        return;
    }
    frame->worker = other->index;
    *session = s->server.sessions[other->name_index];
    s->counters.messages_forged++;
}

/* A result that speaks of a batch more than there is, or of an artifact that nobody stored: the
 * first is asked for, the second is refused. The honest one comes again. */
static void alter(struct sim *s, struct msg_result *result)
{
    if (result->outcome != OUTCOME_OK || !sim_mishap(s, 0.005))
        return;
    s->counters.results_altered++;
    if (digest_is_none(&result->artifact))
        result->batches[STREAM_RECORDS]++;
    else
        result->artifact = result->lease.job;
}

void sim_server_receive(struct sim *s, const struct sim_frame *arrived)
{
    struct sim_server *server = &s->server;
    struct sim_frame frame = *arrived;
    struct core_job_state before = {0};
    struct msg m;
    uint64_t *session = NULL;
    if (!server->core || !sim_net_decode(s, &frame, &server->arena, &m))
        return;
    const struct lease_key *lease = lease_in(&m, &session);
    if (lease) {
        confuse(s, session, &frame);
        if (m.kind == MSG_RESULT)
            alter(s, &m.result);
        before = *sim_server_state(s, sim_job_index(s, &lease->job));
    }
    sim_trace_message(s, s->workers[frame.worker].name, "C", &m, "");
    struct core_event event = message_event(s, &m, frame.peer);
    take_step(s, &event, &frame, &before);
}

void sim_server_tick(struct sim *s)
{
    struct sim_server *server = &s->server;
    if (!server->core || s->now_ms < server->stalled_until_ms)
        return;
    struct core_event event = {.kind = CORE_TICK, .peer = SIM_PERSON_PEER};
    if (server->gone_peer) {
        event = (struct core_event){.kind = CORE_PEER_GONE, .peer = server->gone_peer};
        server->gone_peer = 0;
        s->counters.peers_reported_gone++;
    }
    sim_server_step(s, &event);
}

static void send_all(struct sim *s)
{
    for (size_t i = 0; i < s->server.turn.send_count && !*s->failure; i++) {
        const struct core_send *send = &s->server.turn.sends[i];
        if (send->peer == SIM_PERSON_PEER) {
            sim_trace_message(s, "C", "person", &send->msg, "");
            continue;
        }
        if (send->immediate)
            continue;
        sim_check_send(s, &send->msg);
        sim_trace_message(s, "C", "W", &send->msg, "");
        if (!sim_net_to_worker(s, send->peer, &send->msg) && sim_chance(s, 0.5))
            s->server.gone_peer = send->peer;
    }
}

static void arm_wake(struct sim *s)
{
    struct sim_server *server = &s->server;
    int64_t delay_ms = server->gone_peer ? 0 : INT64_MAX;
    if (server->turn.wake_at_ms != INT64_MAX && !server->gone_peer) {
        delay_ms = server->turn.wake_at_ms - sim_server_clock_ms(s);
        delay_ms = delay_ms > 0 ? delay_ms : 1;
    }
    server->wake_at_ms = INT64_MAX;
    if (delay_ms == INT64_MAX)
        return;
    server->wake_at_ms = s->now_ms + delay_ms;
    sim_schedule(s, delay_ms,
                 (struct sim_event){.kind = SIM_SERVER_WAKE, .incarnation = server->incarnation});
}

static void die(struct sim *s, const char *when)
{
    sim_trace(s, "C", "is killed %s its commit", when);
    sim_server_kill(s);
    sim_schedule(s, sim_between(s, 50, 40000), (struct sim_event){.kind = SIM_SERVER_START});
}

void sim_server_commit(struct sim *s)
{
    struct sim_server *server = &s->server;
    const enum sim_doom doom = server->turn.op_count > 0 ? server->doom : DOOM_NONE;
    if (doom == DOOM_DISK) {
        fall_into_trouble(s);
        return;
    }
    if (doom == DOOM_KILL_BEFORE_COMMIT) {
        s->counters.coordinator_kills_before_commit++;
        die(s, "before");
        return;
    }
    sim_store_apply(s, &server->turn);
    if (doom == DOOM_KILL_AFTER_COMMIT) { /* nothing of it is said */
        remember(s);
        s->counters.coordinator_kills_after_commit++;
        die(s, "after");
        return;
    }
    send_all(s);
    arm_wake(s);
    const enum sim_doom later = server->doom; /* the turn had nothing to commit */
    forget_turn(server);
    server->doom = later;
    server->dump_valid = false;
}
