#include <stdio.h>
#include <string.h>

#include "check.h"
#include "records.h"
#include "sim.h"

#define COMMIT_MS_MAX 8

static const char experiment[] = "sim";

/* A turn has something to commit or to say: ask the disk. Until it answers, the process waits. */
static void begin_commit(struct sim *s)
{
    struct sim_server *server = &s->server;
    for (size_t i = 0; i < server->turn.send_count; i++)
        if (server->turn.sends[i].immediate) { /* only a planted fault does this */
            sim_check_send(s, &server->turn.sends[i].msg);
            sim_net_to_worker(s, server->turn.sends[i].peer, &server->turn.sends[i].msg);
        }
    server->committing = true;
    sim_schedule(s, sim_between(s, 0, COMMIT_MS_MAX),
                 (struct sim_event){.kind = SIM_SERVER_COMMIT, .incarnation = server->incarnation});
}

static void step(struct sim *s, struct core_event *event)
{
    struct sim_server *server = &s->server;
    event->now_ms = s->now_ms;
    event->time_ms = s->now_ms + 1700000000000;
    core_step(server->core, event, &server->turn);
    core_check(server->core);
}

void sim_server_start(struct sim *s)
{
    struct sim_server *server = &s->server;
    ASSERT(!server->up);
    const struct core_options options = {.boot = ++s->store.boots};
    server->core = core_new_with_fault(&options, s->seed * 1000 + s->store.boots, s->planted);
    server->up = true;
    server->committing = false;
    server->incarnation++;
    server->wake_at_ms = INT64_MAX;
    sim_store_load(s, server->core);
    core_check(server->core);
    struct strbuf dump = {0};
    core_dump(server->core, &dump);
    /* What a restarted coordinator knows is exactly what the former one had committed. */
    if (server->dump_valid && s->planted == CORE_FAULT_NONE) {
        s->counters.restarts_compared++;
        if (strcmp(strbuf_text(&dump), strbuf_text(&server->dump)) != 0)
            sim_fail(s, "a restarted core differs from the one that was lost");
        if (*s->failure)
            sim_trace(s, "before:\n%s\nafter:\n%s", strbuf_text(&server->dump), strbuf_text(&dump));
    }
    strbuf_release(&dump);
    core_output_init(&server->turn, &server->turn_arena);
    sim_server_tick(s);
    for (int i = 0; i < s->worker_count; i++)
        if (s->workers[i].up)
            sim_schedule(s, sim_between(s, 1, 400),
                         (struct sim_event){.kind = SIM_WORKER_CONNECT,
                                            .worker = i,
                                            .incarnation = s->workers[i].incarnation});
}

/* Forget the process: core, turn and connections. The store stays. */
void sim_server_kill(struct sim *s)
{
    struct sim_server *server = &s->server;
    core_free(server->core);
    server->core = NULL;
    server->up = false;
    server->committing = false;
    server->incarnation++;
    arena_release(&server->turn_arena);
    for (int i = 0; i < s->worker_count; i++) {
        struct sim_worker *w = &s->workers[i];
        if (!w->connected)
            continue;
        w->connected = false;
        if (w->up && sim_chance(s, 0.7)) { /* else the worker must find out by silence */
            struct agent_event event = {.kind = AGENT_EV_DISCONNECTED};
            sim_worker_step(s, w, &event);
        }
    }
}

/* Facts the driver owes to the core about a worker's message. */
static struct core_event message_event(struct sim *s, const struct msg *m, uint64_t peer,
                                       struct core_job_state *final)
{
    struct core_event event = {.kind = CORE_MESSAGE, .peer = peer, .message = {.msg = m}};
    event.message.payload_is_valid = true;
    if (m->kind == MSG_STREAM && m->stream.stream == STREAM_RECORDS) {
        uint32_t count = 0;
        event.message.payload_is_valid =
            records_check(m->stream.payload.data, m->stream.payload.len, &count, NULL) == ERR_OK;
        event.message.items = count;
    }
    if (m->kind == MSG_CHECKPOINT)
        event.message.tree_is_stored = sim_store_has_tree(s, &m->checkpoint.tree);
    if (m->kind == MSG_RESULT) {
        event.message.tree_is_stored =
            digest_is_none(&m->result.artifact) || sim_store_has_tree(s, &m->result.artifact);
        int job = sim_job_index(s, &m->result.lease.job);
        if (!core_has_job(s->server.core, &m->result.lease.job) && s->store.rows[job].exists) {
            *final = s->store.rows[job].state;
            event.message.final = final;
        }
    }
    return event;
}

void sim_server_receive(struct sim *s, const struct sim_frame *frame)
{
    struct sim_server *server = &s->server;
    struct msg m;
    if (!server->up)
        return;
    ASSERT(!server->committing); /* the world holds frames back meanwhile */
    if (!sim_net_decode(s, frame, &server->event_arena, &m))
        return;
    struct core_job_state final;
    struct core_event event = message_event(s, &m, frame->peer, &final);
    step(s, &event);
    begin_commit(s);
}

void sim_server_tick(struct sim *s)
{
    struct core_event event = {.kind = CORE_TICK, .peer = 1};
    if (!s->server.up || s->server.committing)
        return;
    step(s, &event);
    begin_commit(s);
}

static void arm_wake(struct sim *s)
{
    struct sim_server *server = &s->server;
    server->wake_at_ms = server->turn.wake_at_ms;
    if (server->wake_at_ms == INT64_MAX)
        return;
    int64_t delay_ms = server->wake_at_ms - s->now_ms;
    sim_schedule(s, delay_ms > 0 ? delay_ms : 1,
                 (struct sim_event){.kind = SIM_SERVER_WAKE, .incarnation = server->incarnation});
}

/* The disk has answered. A failed commit throws the core away, as the driver must. */
void sim_server_commit(struct sim *s, bool disk_fails)
{
    struct sim_server *server = &s->server;
    if (disk_fails && server->turn.op_count > 0) {
        s->counters.commit_failures++;
        sim_trace(s, "commit fails");
        core_free(server->core);
        const struct core_options options = {.boot = ++s->store.boots};
        server->core = core_new_with_fault(&options, s->seed * 1000 + s->store.boots, s->planted);
        sim_store_load(s, server->core);
        server->turn.wake_at_ms = s->now_ms + 1;
    } else {
        sim_store_apply(s, &server->turn);
        for (size_t i = 0; i < server->turn.send_count && !*s->failure; i++) {
            const struct core_send *send = &server->turn.sends[i];
            if (send->immediate)
                continue;
            sim_check_send(s, &send->msg);
            sim_net_to_worker(s, send->peer, &send->msg);
        }
    }
    arm_wake(s);
    strbuf_clear(&server->dump);
    core_dump(server->core, &server->dump);
    server->dump_valid = true;
    server->committing = false;
    arena_release(&server->turn_arena);
    arena_release(&server->event_arena);
    core_output_init(&server->turn, &server->turn_arena);
}

void sim_server_submit(struct sim *s)
{
    struct sim_server *server = &s->server;
    struct arena *arena = &server->event_arena;
    struct submit_job *jobs = arena_array(arena, (size_t)s->job_count, sizeof *jobs);
    for (int i = 0; i < s->job_count; i++) {
        struct sim_job *job = &s->jobs[i];
        struct named_digest *parents =
            arena_array(arena, (size_t)job->parent_count + 1, sizeof *parents);
        for (int p = 0; p < job->parent_count; p++)
            parents[p] = (struct named_digest){p == 0 ? "start" : "embeddings_from",
                                               s->jobs[job->parents[p]].identity};
        jobs[i] =
            (struct submit_job){.identity = job->identity,
                                .kind = job->kind,
                                .label = job->label,
                                .family = "f",
                                .variant = "v",
                                .task = job->kind == JOB_EVALUATE ? "t" : "",
                                .spec = {(const uint8_t *)job->spec, strlen(job->spec)},
                                .parents = parents,
                                .parent_count = (size_t)job->parent_count,
                                .threads = job->threads,
                                .items_expected = (uint64_t)job->batches * SIM_RECORDS_PER_BATCH,
                                .attempts_max = 6};
    }
    struct core_event event = {.kind = CORE_SUBMIT, .peer = UINT64_MAX};
    event.submit = (struct core_submit){
        .request = 1, .experiment = experiment, .jobs = jobs, .job_count = (size_t)s->job_count};
    step(s, &event);
    begin_commit(s);
}

/* Somebody cancels a job, or queues a final one again with its ended parents. */
void sim_server_person(struct sim *s)
{
    struct sim_server *server = &s->server;
    if (!server->up || server->committing)
        return;
    int index = (int)sim_between(s, 0, s->job_count - 1);
    const enum job_state state = s->store.rows[index].state.state;
    struct core_event event = {.peer = UINT64_MAX, .act = {.request = 2, .experiment = ""}};
    event.act.reason = "somebody said so";
    if (!job_state_is_final(state)) {
        event.kind = CORE_CANCEL;
        event.act.jobs = &s->jobs[index].identity;
        event.act.job_count = 1;
        sim_trace(s, "a person cancels %s", s->jobs[index].label);
    } else if (state != JOB_DONE) {
        struct core_job_row *rows =
            arena_array(&server->event_arena, (size_t)s->job_count, sizeof *rows);
        event.kind = CORE_RETRY;
        for (int i = 0; i < s->job_count;
             i++) /* all that ended without success, parents included */
            if (job_state_is_final(s->store.rows[i].state.state) &&
                s->store.rows[i].state.state != JOB_DONE)
                sim_store_job_row(s, i, &server->event_arena, &rows[event.act.row_count++]);
        event.act.rows = rows;
        s->counters.job_retries++;
        sim_trace(s, "a person retries %zu jobs", event.act.row_count);
    } else {
        return;
    }
    step(s, &event);
    begin_commit(s);
}
