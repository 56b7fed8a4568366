/* One run: begin, events in order of time, end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "sim.h"

#define LINGER_MS 3000 /* after all is quiet, so that late frames still arrive somewhere */

/* ---- begin and end ---- */

/* The first two workers share a host. One of the others may compute with other bits; whoever takes
 * the first lease must be able to run every job, so each has two threads and all labels wherever
 * that matters. */
static void make_workers(struct sim *s)
{
    static const char *const names[] = {"w1", "w2", "w3", "w4", "w5"};
    static const char *const hosts[] = {"host-a", "host-a", "host-c", "host-d", "host-e"};
    const int count = (int)sim_between(s, 1, 5);
    const int stranger = sim_chance(s, 0.3) ? count - 1 : -1;
    for (int i = 0; i < count; i++)
        s->workers[i] = (struct sim_worker){
            .index = i,
            .name_index = i,
            .name = names[i],
            .host = hosts[i],
            .host_cores = 2,
            .threads = i == 0 || i == stranger ? 2 : (uint32_t)sim_between(s, 1, 2),
            .labels = i == 0 || i == stranger || sim_chance(s, 0.4) ? "big,fast" : "fast",
            .numeric_class = i == stranger ? "blas/f32/Other/1" : "blas/f32/Sim/1"};
    s->worker_count = count;
    for (int i = 0; i < count; i++)
        sim_schedule(s, sim_between(s, 0, 3000),
                     (struct sim_event){.kind = SIM_WORKER_START, .worker = i});
    if (sim_chance(s, 0.15)) { /* a twin, which starts later if at all */
        struct sim_worker *twin = &s->workers[s->worker_count];
        *twin = s->workers[sim_between(s, 0, count - 1)];
        twin->index = s->worker_count++;
    }
}

static void begin(struct sim *s)
{
    s->drop_ratio = sim_chance(s, 0.5) ? 0.15 * rng_uniform(&s->rng) : 0;
    s->double_ratio = sim_chance(s, 0.5) ? 0.1 * rng_uniform(&s->rng) : 0;
    s->late_ratio = sim_chance(s, 0.5) ? 0.05 * rng_uniform(&s->rng) : 0;
    s->mean_fault_gap_ms = 1000 * (double)sim_between(s, 2, 60);
    sim_plan_make(s);
    make_workers(s);
    sim_server_start(s);
    sim_person_plan(s);
    sim_schedule(s, sim_between(s, 1000, 20000), (struct sim_event){.kind = SIM_FAULT});
}

static void release(struct sim *s)
{
    core_free(s->server.core);
    arena_release(&s->server.arena);
    strbuf_release(&s->server.dump);
    for (int i = 0; i < s->worker_count; i++)
        agent_free(s->workers[i].agent);
    agent_actions_release(&s->actions);
    strbuf_release(&s->frame);
    for (size_t i = 0; i < s->heap_count; i++)
        sim_net_frame_free(&s->heap[i].frame);
    free(s->heap);
    sim_plan_free(s);
}

/* ---- events ---- */

static void worker_receives(struct sim *s, struct sim_worker *w, const struct sim_frame *frame)
{
    struct arena arena;
    struct msg m;
    if (!w->agent || !w->connected || w->peer != frame->peer) {
        s->counters.frames_to_nobody++;
        return;
    }
    arena_init(&arena, DECODE_BUDGET_BYTES);
    if (sim_net_decode(s, frame, &arena, &m)) {
        struct agent_event event = {.kind = AGENT_EV_MESSAGE, .message = &m};
        sim_trace_message(s, "C", w->name, &m, "arrives");
        s->counters.workers_drained += m.kind == MSG_DRAIN;
        sim_worker_hears(s, w, &m);
        sim_worker_step(s, w, &event);
    }
    arena_release(&arena);
}

/* A frame outlives its connection only on its way to the coordinator: there it is one from the
 * past. Frames wait in the socket of a process that stands still. */
static void frame_arrives(struct sim *s, struct sim_event *event)
{
    struct sim_worker *w = &s->workers[event->frame.worker];
    const int64_t busy_until_ms =
        event->frame.to_server ? s->server.stalled_until_ms : w->stalled_until_ms;
    if (s->now_ms < busy_until_ms) {
        sim_schedule(s, busy_until_ms - s->now_ms, *event); /* the frame moves along */
        return;
    }
    if (event->frame.to_server) {
        s->counters.frames_of_former_connections += event->frame.peer != w->peer;
        sim_server_receive(s, &event->frame);
    } else {
        worker_receives(s, w, &event->frame);
    }
    sim_net_frame_free(&event->frame);
}

static void server_event(struct sim *s, const struct sim_event *event)
{
    struct sim_server *server = &s->server;
    if (event->kind == SIM_SERVER_START) {
        if (!server->up)
            sim_server_start(s);
        return;
    }
    if (!server->up || event->incarnation != server->incarnation)
        return;
    if (s->now_ms < server->stalled_until_ms)
        sim_schedule(s, server->stalled_until_ms - s->now_ms, *event);
    else if (event->kind == SIM_SERVER_COMMIT)
        sim_server_commit(s);
    else if (event->kind == SIM_SERVER_RELOAD)
        sim_server_reload(s);
    else if (s->now_ms >= server->wake_at_ms)
        sim_server_tick(s);
}

static void worker_event(struct sim *s, struct sim_worker *w, const struct sim_event *event)
{
    struct agent_event tick = {.kind = AGENT_EV_TICK};
    if (event->kind == SIM_WORKER_START && !w->agent)
        sim_worker_start(s, w);
    if (event->kind == SIM_WORKER_HEAL) { /* the cable belongs to no process */
        w->cut_to_server = w->cut_to_worker = false;
        sim_trace(s, w->name, "is no longer cut off");
    }
    if (!w->agent || event->incarnation != w->incarnation)
        return;
    if (event->kind == SIM_WORKER_END) {
        sim_worker_kill(s, w);
        sim_worker_wipe(w);
    } else if (sim_worker_is_stalled(s, w)) { /* what happened waits for the process */
        sim_schedule(s, w->stalled_until_ms - s->now_ms, *event);
    } else if (event->kind == SIM_WORKER_CONNECT) {
        sim_worker_connect(s, w);
    } else if (event->kind == SIM_WORKER_WAKE) {
        if (s->now_ms >= w->wake_at_ms)
            sim_worker_step(s, w, &tick);
    } else if (event->kind == SIM_FETCHED) {
        sim_worker_fetched(s, w, event);
    } else if (event->kind == SIM_UPLOADED) {
        sim_worker_uploaded(s, w, event);
    } else if (event->kind == SIM_CHILD) {
        sim_child_goes_on(s, w, event);
    } else if (event->kind == SIM_CHILD_STOP) {
        sim_child_stops(s, w, event);
    } else if (event->kind == SIM_CHILD_EXIT) {
        sim_child_exits(s, w, event);
    }
}

static void happen(struct sim *s, struct sim_event *event)
{
    switch (event->kind) {
    case SIM_FRAME:
        frame_arrives(s, event);
        return;
    case SIM_SERVER_WAKE:
    case SIM_SERVER_COMMIT:
    case SIM_SERVER_START:
    case SIM_SERVER_RELOAD:
        server_event(s, event);
        return;
    case SIM_FAULT:
        sim_fault_happens(s);
        return;
    case SIM_PERSON:
        sim_person_acts(s, event);
        return;
    case SIM_WORKER_WAKE:
    case SIM_WORKER_CONNECT:
    case SIM_WORKER_START:
    case SIM_WORKER_END:
    case SIM_WORKER_HEAL:
    case SIM_FETCHED:
    case SIM_UPLOADED:
    case SIM_CHILD:
    case SIM_CHILD_STOP:
    case SIM_CHILD_EXIT:
        worker_event(s, &s->workers[event->worker], event);
        return;
    }
}

/* Everything ended long enough ago, or far too late. */
static bool is_over(struct sim *s)
{
    if (s->now_ms > SIM_FAULTS_END_MS + SIM_CALM_MS)
        return true;
    if (!sim_is_quiet(s)) {
        s->quiet_since_ms = INT64_MAX;
        return false;
    }
    if (s->quiet_since_ms == INT64_MAX)
        s->quiet_since_ms = s->now_ms;
    return s->now_ms - s->quiet_since_ms > LINGER_MS;
}

struct sim_result sim_run(uint64_t seed, enum core_fault planted, bool verbose)
{
    struct sim *s = calloc(1, sizeof *s);
    ASSERT(s != NULL);
    s->seed = seed;
    s->rng = rng_new(seed, "sim");
    s->planted = planted;
    s->verbose = verbose;
    s->quiet_since_ms = INT64_MAX;
    begin(s);
    while (!*s->failure && s->heap_count > 0 && !is_over(s)) {
        struct sim_event event = sim_take_next(s);
        s->now_ms = event.at_ms;
        happen(s, &event);
    }
    if (!*s->failure)
        sim_check_end(s);
    struct sim_result result = {.ok = !*s->failure, .counters = s->counters, .ended_ms = s->now_ms};
    memcpy(result.failure, s->failure, sizeof result.failure);
    release(s);
    free(s);
    return result;
}
