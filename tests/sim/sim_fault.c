/* What goes wrong: one fault at a time, as often as this seed's weather wants. */
#include <string.h>

#include "sim.h"

static void kill_worker(struct sim *s, struct sim_worker *w, bool wipe)
{
    s->counters.worker_kills += !wipe;
    s->counters.worker_spools_wiped += wipe;
    sim_worker_kill(s, w);
    if (wipe)
        sim_worker_wipe(w);
    if (w->index == w->name_index)
        sim_schedule(s, sim_between(s, 100, 60000),
                     (struct sim_event){.kind = SIM_WORKER_START, .worker = w->index});
}

static void stall_worker(struct sim *s, struct sim_worker *w)
{
    const int64_t stall_ms = sim_between(s, 500, 90000);
    w->stalled_until_ms = s->now_ms + stall_ms;
    s->counters.worker_stalls++;
    sim_trace(s, w->name, "stalls for %lld ms", (long long)stall_ms);
}

static void cut_worker(struct sim *s, struct sim_worker *w)
{
    if (w->cut_to_server || w->cut_to_worker)
        return;
    const int64_t which = sim_between(s, 0, 2);
    w->cut_to_server = which != 1;
    w->cut_to_worker = which != 2;
    s->counters.cuts_both_ways += which == 0;
    s->counters.cuts_one_way += which != 0;
    sim_trace(s, w->name, "is cut off%s", which == 0 ? "" : which == 1 ? ": is deaf" : ": is mute");
    sim_schedule(s, sim_between(s, 500, 120000),
                 (struct sim_event){
                     .kind = SIM_WORKER_HEAL, .worker = w->index, .incarnation = w->incarnation});
}

static void reset_connection(struct sim *s, struct sim_worker *w)
{
    if (!w->connected)
        return;
    s->counters.connections_reset++;
    sim_trace(s, w->name, "loses its connection");
    sim_server_forget_peer(s, w);
    sim_worker_connect_later(s, w, sim_between(s, 1, 3000));
}

static void terminate_worker(struct sim *s, struct sim_worker *w)
{
    struct agent_event event = {.kind = AGENT_EV_TERMINATE};
    event.grace_ms = sim_between(s, 1000, 30000);
    s->counters.worker_terminations++;
    sim_trace(s, w->name, "hears SIGTERM");
    sim_worker_step(s, w, &event);
}

/* A second process under the same name, as when a machine is resumed from a snapshot: the folder's
 * lock should prevent it, but safety must not hang on that. */
static void start_twin(struct sim *s)
{
    struct sim_worker *twin = &s->workers[s->worker_count - 1];
    if (twin->index == twin->name_index || twin->agent)
        return;
    s->counters.worker_twins++;
    sim_worker_start(s, twin);
    sim_schedule(s, sim_between(s, 2000, 30000),
                 (struct sim_event){.kind = SIM_WORKER_END,
                                    .worker = twin->index,
                                    .incarnation = twin->incarnation});
}

static void trouble_worker(struct sim *s)
{
    struct sim_worker *w = &s->workers[sim_between(s, 0, s->worker_count - 1)];
    const int64_t what = sim_between(s, 0, 99);
    if (!w->agent || sim_worker_is_stalled(s, w))
        return;
    if (what < 22)
        kill_worker(s, w, false);
    else if (what < 27)
        kill_worker(s, w, true);
    else if (what < 45)
        stall_worker(s, w);
    else if (what < 65)
        cut_worker(s, w);
    else if (what < 77)
        reset_connection(s, w);
    else if (what < 85)
        terminate_worker(s, w);
    else if (what < 97)
        sim_worker_disk_trouble(s, w);
    else
        start_twin(s);
}

static void trouble_server(struct sim *s)
{
    struct sim_server *server = &s->server;
    if (!server->core || s->now_ms < server->stalled_until_ms)
        return;
    const int64_t what = sim_between(s, 0, 99);
    if (what < 5) {
        server->wall_jump_ms += sim_between(s, -86400000, 86400000);
        s->counters.clock_jumps++;
        sim_trace(s, "C", "has its wall clock set");
    } else if (what < 30) {
        s->counters.coordinator_kills_idle++;
        sim_trace(s, "C", "is killed");
        sim_server_kill(s);
        sim_schedule(s, sim_between(s, 50, 40000), (struct sim_event){.kind = SIM_SERVER_START});
    } else if (what < 50) {
        sim_server_stall(s, sim_between(s, 500, sim_chance(s, 0.3) ? 90000 : 10000));
    } else if (!server->in_turn) {
        server->doom = what < 68   ? DOOM_KILL_BEFORE_COMMIT
                       : what < 85 ? DOOM_KILL_AFTER_COMMIT
                                   : DOOM_DISK;
    }
}

static void count_waiting(struct sim *s)
{
    static const struct {
        const char *word;
        size_t offset;
    } reasons[] = {
        {"Parents", offsetof(struct sim_counters, waits_for_parents)},
        {"NoWorkers", offsetof(struct sim_counters, waits_for_workers)},
        {"Resources", offsetof(struct sim_counters, waits_for_resources)},
        {"NumericClass", offsetof(struct sim_counters, waits_for_class)},
        {"Backoff", offsetof(struct sim_counters, waits_for_backoff)},
        {"Draining", offsetof(struct sim_counters, waits_for_draining)},
        {"Label", offsetof(struct sim_counters, waits_for_label)},
        {"Paused", offsetof(struct sim_counters, waits_for_pause)},
        {"TimeLimit", offsetof(struct sim_counters, waits_for_time)},
        {"Quarantined", offsetof(struct sim_counters, waits_for_quarantine)},
        {"TooLarge", offsetof(struct sim_counters, waits_for_a_larger_worker)},
    };
    for (int i = 0; i < s->job_count && s->server.core; i++) {
        struct arena arena = {0};
        struct msg_explanation why = {0};
        core_explain(s->server.core, &s->jobs[i].identity, sim_server_clock_ms(s), &arena, &why);
        const char *word =
            core_wait_reason(s->server.core, &s->jobs[i].identity, sim_server_clock_ms(s));
        for (size_t r = 0; r < sizeof reasons / sizeof *reasons; r++)
            if (strcmp(word, reasons[r].word) == 0)
                ++*(uint64_t *)(void *)((char *)&s->counters + reasons[r].offset);
        if (strcmp(word, "Paused") == 0 && sim_is_wanted_now(s, i))
            sim_fail(s, "%s waits as paused, and an experiment that is not wants it",
                     s->jobs[i].label);
        if (strcmp(word, why.word) != 0 || (*word && !*why.text))
            sim_fail(s, "%s waits for '%s', explained as '%s': %s", s->jobs[i].label, word,
                     why.word, why.text);
        arena_release(&arena);
    }
}

void sim_fault_happens(struct sim *s)
{
    if (!sim_weather_is_bad(s))
        return;
    const double gap_ms = s->mean_fault_gap_ms * (0.5 + rng_uniform(&s->rng));
    sim_schedule(s, 1 + (int64_t)gap_ms, (struct sim_event){.kind = SIM_FAULT});
    count_waiting(s);
    if (sim_chance(s, 0.3))
        trouble_server(s);
    else
        trouble_worker(s);
}
