/* A worker's driver, as worker/io does it: performs the agent's actions on a simulated machine with
 * a spool folder that survives kill -9 as far as it was made durable. */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "sim.h"

bool sim_worker_is_stalled(const struct sim *s, const struct sim_worker *w)
{
    return s->now_ms < w->stalled_until_ms;
}

/* ---- the spool ---- */

struct sim_spool *sim_spool_find(struct sim_worker *w, const struct lease_key *lease)
{
    for (int i = 0; i < SIM_LEASES_MAX; i++)
        if (w->spools[i].used && w->spools[i].lease.epoch == lease->epoch &&
            digest_equal(&w->spools[i].lease.job, &lease->job))
            return &w->spools[i];
    return NULL;
}

static struct sim_spool *spool_open(struct sim *s, struct sim_worker *w,
                                    const struct lease_key *lease)
{
    struct sim_spool *spool = sim_spool_find(w, lease);
    for (int i = 0; i < SIM_LEASES_MAX && !spool; i++)
        if (!w->spools[i].used)
            spool = &w->spools[i];
    ASSERT(spool != NULL);
    if (!spool->used)
        *spool =
            (struct sim_spool){.used = true, .lease = *lease, .job = sim_job_index(s, &lease->job)};
    return spool;
}

void sim_worker_wipe(struct sim_worker *w)
{
    memset(w->spools, 0, sizeof w->spools);
}

/* The result so far, with copies of the texts that the message borrows. */
static void spool_result(struct sim *s, struct sim_worker *w, const struct agent_action *action)
{
    const struct msg_result *result = &action->message.result;
    struct sim_spool *spool = spool_open(s, w, &action->lease);
    spool->result_is_durable = true;
    if (result->outcome == OUTCOME_OK)
        spool->step_made = 0; /* the artifact stands for it from now on */
    snprintf(spool->reason, sizeof spool->reason, "%s", result->reason);
    spool->outcome = (struct agent_outcome){.outcome = result->outcome,
                                            .reason = spool->reason,
                                            .items = result->items,
                                            .records = result->records,
                                            .artifact = result->artifact,
                                            .start_step = result->start_step,
                                            .numeric_class = w->numeric_class};
    memcpy(spool->made, result->batches, sizeof spool->made);
}

static void drop_batches(struct sim_worker *w, const struct agent_action *action)
{
    struct sim_spool *spool = sim_spool_find(w, &action->lease);
    if (spool && action->below > spool->dropped[action->stream])
        spool->dropped[action->stream] = action->below;
}

/* ---- process life ---- */

static void say_start(struct sim *s, struct sim_worker *w)
{
    struct agent_survivor survivors[SIM_LEASES_MAX];
    struct agent_event event = {.kind = AGENT_EV_START};
    for (int i = 0; i < SIM_LEASES_MAX; i++) {
        const struct sim_spool *spool = &w->spools[i];
        if (!spool->used)
            continue;
        struct agent_survivor *survivor = &survivors[event.survivors.count++];
        *survivor = (struct agent_survivor){.lease = spool->lease, .outcome = spool->outcome};
        memcpy(survivor->batches, spool->made, sizeof survivor->batches);
        s->counters.survivors_found++;
    }
    event.survivors.items = survivors;
    sim_worker_step(s, w, &event);
}

void sim_worker_start(struct sim *s, struct sim_worker *w)
{
    struct agent_options options = {.worker = w->name,
                                    .host = w->host,
                                    .numeric_class = w->numeric_class,
                                    .version = "sim",
                                    .host_cores = w->host_cores,
                                    .threads = w->threads,
                                    .memory_bytes = 1u << 30,
                                    .node = w->host,
                                    .labels = w->labels,
                                    .seed = rng_u64(&s->rng)};
    ASSERT(w->agent == NULL);
    if (sim_mishap(s, 0.15)) { /* an allocation that ends */
        options.ends_at_ms = s->now_ms + sim_between(s, 40000, 300000);
        options.end_grace_ms = sim_between(s, 2000, 20000);
        s->counters.worker_times_up++;
    }
    w->incarnation++;
    options.instance = sim_tree_of(&s->jobs[0], rng_u64(&s->rng)); /* a random digest */
    memset(w->forgotten, 0, sizeof w->forgotten);
    w->beat = 0;
    w->agent = agent_new(&options);
    w->left = false;
    w->stalled_until_ms = 0;
    w->wake_at_ms = INT64_MAX;
    sim_trace(s, w->name, "starts%s", w->index == w->name_index ? "" : " as a twin");
    say_start(s, w);
    sim_worker_connect_later(s, w, sim_between(s, 1, 200));
}

void sim_worker_kill(struct sim *s, struct sim_worker *w)
{
    bool spooled = false;
    agent_free(w->agent);
    w->agent = NULL;
    w->connected = false;
    w->incarnation++;
    memset(w->children, 0, sizeof w->children); /* they die with it */
    for (int i = 0; i < SIM_LEASES_MAX; i++) {
        w->spools[i].used = w->spools[i].used && w->spools[i].result_is_durable;
        w->spools[i].step_made = 0; /* its checkpoint was in the cache only */
        spooled = spooled || w->spools[i].used;
    }
    s->counters.worker_kills_with_spool += spooled;
    sim_trace(s, w->name, "is gone%s", spooled ? ", its spool holds results" : "");
}

void sim_worker_connect_later(struct sim *s, const struct sim_worker *w, int64_t delay_ms)
{
    sim_schedule(s, delay_ms,
                 (struct sim_event){.kind = SIM_WORKER_CONNECT,
                                    .worker = w->index,
                                    .incarnation = w->incarnation});
}

void sim_worker_connect(struct sim *s, struct sim_worker *w)
{
    if (w->connected)
        return;
    if (!s->server.up || w->cut_to_server || w->cut_to_worker) {
        sim_worker_connect_later(s, w, sim_between(s, 200, 3000));
        return;
    }
    w->connected = true;
    w->peer = ++s->peer_last;
    struct agent_event event = {.kind = AGENT_EV_CONNECTED};
    sim_worker_step(s, w, &event);
}

/* ---- actions ---- */

static void send_batch(struct sim *s, struct sim_worker *w, const struct agent_action *action)
{
    static uint8_t damaged[STREAM_PAYLOAD_BYTES_MAX];
    struct msg m = action->message;
    const struct sim_spool *spool = sim_spool_find(w, &m.stream.lease);
    if (!spool || m.stream.index >= spool->made[m.stream.stream] ||
        m.stream.index < spool->dropped[m.stream.stream]) {
        sim_fail(s, "%s sends a batch that its spool does not hold", w->name);
        return;
    }
    m.stream.payload = (struct bytes){(const uint8_t *)"metrics", 7};
    if (m.stream.stream == STREAM_RECORDS) {
        const struct strbuf *payload = &s->jobs[spool->job].payloads[m.stream.index];
        m.stream.payload = (struct bytes){(const uint8_t *)payload->data, payload->len};
        if (sim_mishap(s, 0.0005)) {
            memcpy(damaged, payload->data, payload->len);
            damaged[payload->len / 2] ^= 1;
            m.stream.payload.data = damaged;
            s->counters.batches_damaged++;
        }
    }
    sim_net_to_server(s, w, &m);
}

/* "A RESULT leaves only when every batch is acknowledged, the artifact is in the store and a last
 * checkpoint is acknowledged" (agent.h). */
static void check_said(struct sim *s, struct sim_worker *w, const struct msg *m)
{
    if (m->kind != MSG_RESULT)
        return;
    const struct sim_spool *spool = sim_spool_find(w, &m->result.lease);
    if (!spool) /* refused before it had one */
        return;
    for (int stream = 0; stream < STREAM_COUNT; stream++)
        if (spool->dropped[stream] < m->result.batches[stream])
            sim_fail(s, "%s sends a result before its batches are acknowledged", w->name);
    if (m->result.outcome != OUTCOME_OK && spool->step_made > spool->step_acknowledged)
        sim_fail(s, "%s sends a result before its checkpoint is acknowledged", w->name);
    if (!digest_is_none(&m->result.artifact) && !sim_store_has_tree(s, &m->result.artifact))
        sim_fail(s, "%s sends a result before its artifact is stored", w->name);
}

static void forget(struct sim *s, struct sim_worker *w, const struct lease_key *lease)
{
    struct sim_spool *spool = sim_spool_find(w, lease);
    const int job = sim_job_index(s, &lease->job);
    if (spool)
        spool->used = false;
    if (w->forgotten[job] < lease->epoch)
        w->forgotten[job] = lease->epoch;
}

static void perform(struct sim *s, struct sim_worker *w, const struct agent_action *action)
{
    struct sim_event event = {
        .worker = w->index, .incarnation = w->incarnation, .lease = action->lease};
    sim_trace_action(s, w->name, action);
    switch (action->kind) {
    case AGENT_DO_SEND:
        check_said(s, w, &action->message);
        sim_net_to_server(s, w, &action->message);
        return;
    case AGENT_DO_SEND_BATCH:
        send_batch(s, w, action);
        return;
    case AGENT_DO_FETCH:
        if (action->lease.epoch <= w->forgotten[sim_job_index(s, &action->lease.job)])
            sim_fail(s, "%s takes a lease up again that it has forgotten", w->name);
        spool_open(s, w, &action->lease);
        event.kind = SIM_FETCHED;
        event.tree = action->job->resume;
        sim_schedule(s, sim_between(s, 1, 500), event);
        return;
    case AGENT_DO_RUN:
        sim_child_run(s, w, action);
        return;
    case AGENT_DO_STOP_CHILD:
        sim_child_signal(s, w, action->child, action->hard);
        return;
    case AGENT_DO_UPLOAD:
        event.kind = SIM_UPLOADED;
        event.tree = action->tree;
        sim_schedule(s, sim_between(s, 5, 2000), event);
        return;
    case AGENT_DO_SPOOL_RESULT:
        spool_result(s, w, action);
        return;
    case AGENT_DO_SPOOL_DROP:
        drop_batches(w, action);
        return;
    case AGENT_DO_FORGET:
        forget(s, w, &action->lease);
        return;
    case AGENT_DO_LEAVE:
        w->left = true;
        return;
    }
}

static void count_full_windows(struct sim *s, const struct sim_worker *w)
{
    for (size_t i = 0; i < agent_held_count(w->agent); i++) {
        const struct agent_view view = agent_held_at(w->agent, i);
        for (int stream = 0; stream < STREAM_COUNT; stream++)
            s->counters.windows_full +=
                view.batches[stream] - view.acknowledged[stream] > AGENT_WINDOW;
    }
}

static void arm_wake(struct sim *s, struct sim_worker *w, int64_t wake_at_ms)
{
    if (wake_at_ms == INT64_MAX) {
        w->wake_at_ms = INT64_MAX;
        return;
    }
    const int64_t delay_ms = wake_at_ms > s->now_ms ? wake_at_ms - s->now_ms : 1;
    if (w->wake_at_ms == s->now_ms + delay_ms)
        return; /* it is set */
    w->wake_at_ms = s->now_ms + delay_ms;
    sim_schedule(s, delay_ms,
                 (struct sim_event){
                     .kind = SIM_WORKER_WAKE, .worker = w->index, .incarnation = w->incarnation});
}

void sim_worker_hears(struct sim *s, struct sim_worker *w, const struct msg *m)
{
    w->heard_ms = s->now_ms;
    if (m->kind != MSG_CHECKPOINT_ACK)
        return;
    struct sim_spool *spool = sim_spool_find(w, &m->checkpoint_ack.lease);
    if (spool && spool->step_acknowledged < m->checkpoint_ack.step)
        spool->step_acknowledged = m->checkpoint_ack.step;
}

/* "A worker without pulses for LIVENESS beats … says HELLO", and with each time on a connection it
 * waits twice as long, up to eight times: it has no session then. */
static void check_silence(struct sim *s, const struct sim_worker *w)
{
    const int64_t patience_ms = agent_patience_ms(w->agent);
    if (patience_ms > 8 * HEARTBEAT_MS * HEARTBEAT_LIVENESS)
        sim_fail(s, "%s waits for %lld silent ms", w->name, (long long)patience_ms);
    if (agent_session(w->agent) != 0 && s->now_ms - w->heard_ms > patience_ms + 100)
        sim_fail(s, "%s keeps its session after %lld silent ms", w->name,
                 (long long)(s->now_ms - w->heard_ms));
}

void sim_worker_step(struct sim *s, struct sim_worker *w, struct agent_event *event)
{
    if (!w->agent || sim_worker_is_stalled(s, w))
        return;
    event->now_ms = s->now_ms;
    agent_step(w->agent, event, &s->actions);
    sim_beat_check_worker(s, w, event);
    for (size_t i = 0; i < s->actions.count && !*s->failure; i++)
        perform(s, w, &s->actions.items[i]);
    arm_wake(s, w, s->actions.wake_at_ms);
    count_full_windows(s, w);
    check_silence(s, w);
    if (!w->left)
        return;
    sim_worker_kill(s, w); /* and its supervisor starts it again */
    if (w->index == w->name_index)
        sim_schedule(s, sim_between(s, 500, 20000),
                     (struct sim_event){.kind = SIM_WORKER_START, .worker = w->index});
}

/* ---- the data socket ---- */

static bool data_socket_fails(struct sim *s, const struct sim_worker *w, double mishap)
{
    return !s->server.up || w->cut_to_server || w->cut_to_worker || sim_mishap(s, mishap);
}

void sim_worker_fetched(struct sim *s, struct sim_worker *w, const struct sim_event *happened)
{
    struct agent_event event = {.kind = AGENT_EV_FETCHED, .lease = happened->lease};
    if (data_socket_fails(s, w, 0.05)) {
        event.kind = AGENT_EV_FETCH_FAILED;
        event.failure.text = "the data socket does not answer";
        s->counters.fetches_failed++;
    } else if (!digest_is_none(&happened->tree) && !sim_store_has_tree(s, &happened->tree)) {
        sim_fail(s, "%s is to resume from a checkpoint that nobody stored", w->name);
    }
    sim_worker_step(s, w, &event);
}

void sim_worker_uploaded(struct sim *s, struct sim_worker *w, const struct sim_event *happened)
{
    struct agent_event event = {
        .kind = AGENT_EV_UPLOADED, .lease = happened->lease, .tree = happened->tree};
    if (sim_mishap(s, 0.002)) {
        event.kind = AGENT_EV_UPLOAD_FAILED;
        event.failure.text = "a file of the tree is damaged";
        event.failure.final = true;
        s->counters.uploads_failed_for_good++;
        if (sim_spool_find(w, &happened->lease)) /* an attempt can live without a checkpoint */
            sim_spool_find(w, &happened->lease)->step_made = 0;
    } else if (data_socket_fails(s, w, 0.1)) {
        event.kind = AGENT_EV_UPLOAD_FAILED;
        event.failure.text = "the data socket does not answer";
        s->counters.uploads_failed++;
    } else {
        sim_store_add_tree(s, &happened->tree);
    }
    sim_worker_step(s, w, &event);
}

/* A full disk stops what computes; an unreadable one also takes what was finished. */
void sim_worker_disk_trouble(struct sim *s, struct sim_worker *w)
{
    if (!w->agent || sim_worker_is_stalled(s, w) || agent_held_count(w->agent) == 0)
        return;
    const size_t victim = (size_t)sim_between(s, 0, (int64_t)agent_held_count(w->agent) - 1);
    const struct agent_view view = agent_held_at(w->agent, victim);
    if (!sim_spool_find(w, &view.lease))
        return;
    struct agent_event event = {.kind = AGENT_EV_DISK_TROUBLE, .lease = view.lease};
    event.failure.final = sim_chance(s, 0.5);
    event.failure.text = event.failure.final ? "the spool is damaged" : "no space left on device";
    s->counters.disk_unreadable += event.failure.final;
    s->counters.disk_full += !event.failure.final;
    sim_trace(s, w->name, "disk: %s", event.failure.text);
    sim_worker_step(s, w, &event);
}
