#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "records.h"
#include "sim.h"

#define NUMERIC_CLASS "blas/f32/Sim/1"

/* ---- what a job produces ---- */

static struct digest digest_of(const struct sim_job *job, const char *what, uint64_t step)
{
    struct hash_state h;
    hash_init(&h);
    hash_update(&h, job->identity.bytes, DIGEST_BYTES);
    hash_update(&h, what, strlen(what));
    hash_update(&h, &step, sizeof step);
    return hash_final(&h);
}

struct digest sim_tree_of(const struct sim_job *job, uint64_t step)
{
    return digest_of(job, step == job->steps ? "artifact" : "checkpoint", step);
}

void sim_records_of(const struct sim_job *job, uint32_t batch, struct strbuf *out)
{
    struct record records[SIM_RECORDS_PER_BATCH];
    for (uint32_t i = 0; i < SIM_RECORDS_PER_BATCH; i++)
        records[i] = (struct record){.sequence = batch * SIM_RECORDS_PER_BATCH + i,
                                     .position = 1,
                                     .content_nats = job->identity.bytes[0] + i,
                                     .token_count = 2};
    records_encode(out, records, SIM_RECORDS_PER_BATCH);
}

struct digest sim_records_digest(const struct sim_job *job)
{
    struct strbuf all = {0};
    for (uint32_t b = 0; b < job->batches; b++)
        sim_records_of(job, b, &all);
    struct digest d = {0};
    if (job->batches > 0)
        d = hash_bytes(all.data, all.len);
    strbuf_release(&all);
    return d;
}

/* ---- leases of a worker ---- */

static struct sim_lease *lease_find(struct sim_worker *w, const struct lease_key *key)
{
    for (int i = 0; i < SIM_LEASES_MAX; i++)
        if (w->leases[i].used && w->leases[i].lease.epoch == key->epoch &&
            digest_equal(&w->leases[i].lease.job, &key->job))
            return &w->leases[i];
    return NULL;
}

static struct sim_lease *lease_take(struct sim *s, struct sim_worker *w,
                                    const struct lease_key *key)
{
    struct sim_lease *lease = lease_find(w, key);
    for (int i = 0; i < SIM_LEASES_MAX && !lease; i++)
        if (!w->leases[i].used)
            lease = &w->leases[i];
    ASSERT(lease != NULL);
    if (!lease->used) {
        uint64_t generation = lease->generation + 1;
        for (int b = 0; b < SIM_BATCHES_MAX; b++)
            strbuf_release(&lease->batches[b]);
        *lease = (struct sim_lease){.used = true, .lease = *key, .generation = generation};
        lease->job = sim_job_index(s, &key->job);
    }
    return lease;
}

static void lease_drop(struct sim_lease *lease)
{
    for (int b = 0; b < SIM_BATCHES_MAX; b++)
        strbuf_release(&lease->batches[b]);
    *lease = (struct sim_lease){.generation = lease->generation + 1};
}

static void schedule_child(struct sim *s, struct sim_worker *w, const struct sim_lease *lease,
                           int64_t delay_ms)
{
    sim_schedule(s, delay_ms,
                 (struct sim_event){.kind = SIM_CHILD,
                                    .worker = w->index,
                                    .incarnation = w->incarnation,
                                    .lease = lease->lease,
                                    .generation = lease->generation});
}

/* ---- process life ---- */

static void start_event(struct sim *s, struct sim_worker *w)
{
    struct agent_survivor survivors[SIM_LEASES_MAX];
    struct agent_event event = {.kind = AGENT_EV_START};
    for (int i = 0; i < SIM_LEASES_MAX; i++) {
        struct sim_lease *lease = &w->leases[i];
        if (!lease->used)
            continue;
        struct agent_survivor *survivor = &survivors[event.survivors.count++];
        *survivor = (struct agent_survivor){.lease = lease->lease, .outcome = lease->outcome};
        memcpy(survivor->batches, lease->spooled, sizeof survivor->batches);
        s->counters.survivors_delivered++;
    }
    event.survivors.items = survivors;
    sim_worker_step(s, w, &event);
}

void sim_worker_start(struct sim *s, struct sim_worker *w)
{
    struct agent_options options = {.worker = w->name,
                                    .host = w->index < 2 ? "host-a" : w->name,
                                    .numeric_class = NUMERIC_CLASS,
                                    .version = "sim",
                                    .host_cores = 2,
                                    .threads = w->threads,
                                    .memory_bytes = 1u << 30,
                                    .seed = rng_u64(&s->rng)};
    w->incarnation++;
    memcpy(options.instance.bytes, &w->incarnation, sizeof w->incarnation);
    options.instance.bytes[20] = 1;
    w->agent = agent_new(&options);
    w->up = true;
    w->left = w->stalled = false;
    w->wake_at_ms = INT64_MAX;
    start_event(s, w);
    sim_schedule(s, sim_between(s, 1, 200),
                 (struct sim_event){.kind = SIM_WORKER_CONNECT,
                                    .worker = w->index,
                                    .incarnation = w->incarnation});
}

/* kill -9: children die with the agent; of the spool only finished leases are of use. */
void sim_worker_kill(struct sim *s, struct sim_worker *w)
{
    bool spooled = false;
    agent_free(w->agent);
    w->agent = NULL;
    w->up = w->connected = false;
    w->incarnation++;
    for (int i = 0; i < SIM_LEASES_MAX; i++) {
        if (w->leases[i].used && !w->leases[i].result_spooled)
            lease_drop(&w->leases[i]);
        spooled = spooled || w->leases[i].used;
    }
    s->counters.worker_kills++;
    s->counters.worker_kills_with_spool += spooled;
    sim_trace(s, "%s is killed%s", w->name, spooled ? ", its spool holds results" : "");
}

/* ---- actions ---- */

static void send_batch(struct sim *s, struct sim_worker *w, const struct agent_action *action)
{
    struct msg m = action->message;
    struct sim_lease *lease = lease_find(w, &m.stream.lease);
    if (!lease || m.stream.stream != STREAM_RECORDS || m.stream.index >= SIM_BATCHES_MAX) {
        sim_fail(s, "%s sends a batch that its spool does not hold", w->name);
        return;
    }
    const struct strbuf *batch = &lease->batches[m.stream.index];
    m.stream.payload = (struct bytes){(const uint8_t *)batch->data, batch->len};
    sim_net_to_server(s, w, &m);
}

static void run_child(struct sim *s, struct sim_worker *w, const struct agent_action *action)
{
    struct sim_lease *lease = lease_find(w, &action->lease);
    ASSERT(lease != NULL);
    lease->child = action->child;
    lease->running = true;
    lease->resume_step = action->job->resume_step;
    lease->step = action->job->resume_step;
    lease->generation++;
    s->counters.resumed_above_zero += lease->step > 0;
    schedule_child(s, w, lease, action->fresh ? sim_between(s, 50, 800) : sim_between(s, 1, 50));
}

static void perform(struct sim *s, struct sim_worker *w, const struct agent_action *action)
{
    struct sim_event event = {
        .worker = w->index, .incarnation = w->incarnation, .lease = action->lease};
    struct sim_lease *lease = NULL;
    switch (action->kind) {
    case AGENT_DO_SEND:
        sim_net_to_server(s, w, &action->message);
        return;
    case AGENT_DO_SEND_BATCH:
        send_batch(s, w, action);
        return;
    case AGENT_DO_FETCH:
        lease_take(s, w, &action->lease);
        sim_check_lease(s, action->job);
        event.kind = SIM_FETCHED;
        sim_schedule(s, sim_between(s, 1, 500), event);
        return;
    case AGENT_DO_RUN:
        run_child(s, w, action);
        return;
    case AGENT_DO_STOP_CHILD:
        event.kind = SIM_CHILD_EXIT;
        event.child = action->child;
        for (int i = 0; i < SIM_LEASES_MAX; i++)
            if (w->leases[i].used && w->leases[i].child == action->child) {
                w->leases[i].running = false;
                w->leases[i].generation++;
            }
        sim_schedule(s, action->hard ? 1 : sim_between(s, 1, 3000), event);
        return;
    case AGENT_DO_UPLOAD:
        event.kind = SIM_UPLOADED;
        event.tree = action->tree;
        sim_schedule(s, sim_between(s, 5, 2000), event);
        return;
    case AGENT_DO_SPOOL_RESULT:
        lease = lease_take(s, w, &action->lease);
        lease->result_spooled = true;
        return;
    case AGENT_DO_SPOOL_DROP:
        return;
    case AGENT_DO_FORGET:
        lease = lease_find(w, &action->lease);
        if (lease)
            lease_drop(lease);
        return;
    case AGENT_DO_LEAVE:
        w->left = true;
        return;
    }
}

void sim_worker_step(struct sim *s, struct sim_worker *w, struct agent_event *event)
{
    struct agent_actions actions = {0};
    if (!w->up || w->stalled)
        return;
    event->now_ms = s->now_ms;
    agent_step(w->agent, event, &actions);
    for (size_t i = 0; i < actions.count && !*s->failure; i++)
        perform(s, w, &actions.items[i]);
    if (actions.wake_at_ms != INT64_MAX && actions.wake_at_ms != w->wake_at_ms) {
        w->wake_at_ms = actions.wake_at_ms;
        int64_t delay_ms = actions.wake_at_ms - s->now_ms;
        sim_schedule(s, delay_ms > 0 ? delay_ms : 1,
                     (struct sim_event){.kind = SIM_WORKER_WAKE,
                                        .worker = w->index,
                                        .incarnation = w->incarnation});
    }
    agent_actions_release(&actions);
    if (w->left) /* an agent that was refused or drained: its supervisor starts it again */
        sim_worker_kill(s, w);
}

/* ---- children ---- */

static void child_ends(struct sim *s, struct sim_worker *w, struct sim_lease *lease,
                       enum outcome outcome, const char *reason)
{
    const struct sim_job *job = &s->jobs[lease->job];
    struct agent_event event = {.kind = AGENT_EV_RESULT, .lease = lease->lease};
    lease->running = false;
    lease->finished = true;
    lease->outcome = (struct agent_outcome){.outcome = outcome,
                                            .reason = reason,
                                            .start_step = lease->resume_step,
                                            .numeric_class = ""};
    if (outcome == OUTCOME_OK) {
        lease->outcome.items = (uint64_t)job->batches * SIM_RECORDS_PER_BATCH;
        lease->outcome.records = sim_records_digest(job);
        if (job->kind != JOB_EVALUATE)
            lease->outcome.artifact = sim_tree_of(job, job->steps);
    }
    event.outcome = lease->outcome;
    sim_worker_step(s, w, &event);
}

static void child_crashes(struct sim *s, struct sim_worker *w, struct sim_lease *lease)
{
    struct agent_event event = {
        .kind = AGENT_EV_CHILD_EXITED, .lease = lease->lease, .child = lease->child};
    s->counters.child_crashes++;
    lease->running = false;
    lease->outcome = (struct agent_outcome){.outcome = OUTCOME_CRASHED,
                                            .reason = "killed by signal 11",
                                            .exit_signal = 11,
                                            .numeric_class = ""};
    event.outcome = lease->outcome;
    sim_worker_step(s, w, &event);
}

static void child_trains(struct sim *s, struct sim_worker *w, struct sim_lease *lease)
{
    const struct sim_job *job = &s->jobs[lease->job];
    struct agent_event event = {.kind = AGENT_EV_PROGRESS, .lease = lease->lease};
    if (job->nature == NATURE_DIVERGES && lease->step * 2 >= job->steps) {
        child_ends(s, w, lease, OUTCOME_DIVERGED, "the loss became NaN");
        return;
    }
    if (lease->step >= job->steps) {
        child_ends(s, w, lease, OUTCOME_OK, "");
        return;
    }
    lease->step++;
    event.progress.done = lease->step;
    event.progress.total = job->steps;
    event.progress.loss_nats = 2.5;
    const bool checkpoint = lease->step % job->checkpoint_steps == 0 && lease->step < job->steps;
    const uint64_t step = lease->step;
    schedule_child(s, w, lease, sim_between(s, 200, 1500));
    const struct lease_key key = lease->lease;
    sim_worker_step(s, w, &event);
    if (!checkpoint || !lease_find(w, &key))
        return;
    event = (struct agent_event){.kind = AGENT_EV_CHECKPOINT, .lease = key};
    event.checkpoint.step = step;
    event.checkpoint.tree = sim_tree_of(job, step);
    sim_worker_step(s, w, &event);
}

static void child_evaluates(struct sim *s, struct sim_worker *w, struct sim_lease *lease)
{
    const struct sim_job *job = &s->jobs[lease->job];
    struct agent_event event = {
        .kind = AGENT_EV_BATCH, .lease = lease->lease, .stream = STREAM_RECORDS};
    if (lease->batches_made >= job->batches) {
        child_ends(s, w, lease, OUTCOME_OK, "");
        return;
    }
    strbuf_clear(&lease->batches[lease->batches_made]);
    sim_records_of(job, lease->batches_made, &lease->batches[lease->batches_made]);
    lease->batches_made++;
    lease->spooled[STREAM_RECORDS] = lease->batches_made;
    schedule_child(s, w, lease, sim_between(s, 50, 800));
    sim_worker_step(s, w, &event);
}

void sim_worker_child(struct sim *s, struct sim_worker *w, const struct sim_event *happened)
{
    struct sim_lease *lease = lease_find(w, &happened->lease);
    if (!w->up || !lease || !lease->running || lease->generation != happened->generation)
        return;
    const struct sim_job *job = &s->jobs[lease->job];
    if (w->stalled) { /* SIGSTOP of the whole worker */
        schedule_child(s, w, lease, 500);
        return;
    }
    if (lease->step == lease->resume_step && lease->batches_made == 0) {
        struct agent_event event = {.kind = AGENT_EV_RUNNING, .lease = lease->lease};
        const struct lease_key key = lease->lease;
        sim_worker_step(s, w, &event);
        lease = lease_find(w, &key);
        if (!lease || !lease->running)
            return;
    }
    if (job->nature == NATURE_BROKEN) {
        child_ends(s, w, lease, OUTCOME_FAILED, "the data make no sense");
        return;
    }
    if (job->nature == NATURE_FLAKY && sim_weather_is_bad(s) && sim_chance(s, 0.05)) {
        child_crashes(s, w, lease);
        return;
    }
    if (sim_weather_is_bad(s) && sim_chance(s, 0.002)) { /* hangs: no progress, no result */
        s->counters.child_hangs++;
        return;
    }
    if (job->kind == JOB_EVALUATE)
        child_evaluates(s, w, lease);
    else
        child_trains(s, w, lease);
}

void sim_worker_child_exit(struct sim *s, struct sim_worker *w, const struct sim_event *happened)
{
    struct agent_event event = {.kind = AGENT_EV_CHILD_EXITED, .child = happened->child};
    event.lease = happened->lease;
    event.outcome = (struct agent_outcome){.outcome = OUTCOME_CRASHED,
                                           .reason = "killed by signal 15",
                                           .exit_signal = 15,
                                           .numeric_class = ""};
    sim_worker_step(s, w, &event);
}

void sim_worker_fetched(struct sim *s, struct sim_worker *w, const struct sim_event *happened)
{
    struct agent_event event = {.kind = AGENT_EV_FETCHED, .lease = happened->lease};
    if (!lease_find(w, &happened->lease))
        return;
    if (!s->server.up || w->partitioned || (sim_weather_is_bad(s) && sim_chance(s, 0.05))) {
        event.kind = AGENT_EV_FETCH_FAILED;
        event.failure.text = "the data socket does not answer";
    }
    sim_worker_step(s, w, &event);
}

void sim_worker_uploaded(struct sim *s, struct sim_worker *w, const struct sim_event *happened)
{
    struct agent_event event = {
        .kind = AGENT_EV_UPLOADED, .lease = happened->lease, .tree = happened->tree};
    if (!s->server.up || w->partitioned || (sim_weather_is_bad(s) && sim_chance(s, 0.1))) {
        event.kind = AGENT_EV_UPLOAD_FAILED;
        event.failure.text = "the data socket does not answer";
        event.failure.final = false;
        s->counters.uploads_failed++;
    } else {
        sim_store_add_tree(s, &happened->tree);
    }
    sim_worker_step(s, w, &event);
}

void sim_worker_disk_trouble(struct sim *s, struct sim_worker *w)
{
    for (int i = 0; i < SIM_LEASES_MAX; i++) {
        struct sim_lease *lease = &w->leases[i];
        if (!lease->used || !lease->running)
            continue;
        struct agent_event event = {.kind = AGENT_EV_DISK_TROUBLE, .lease = lease->lease};
        event.failure.text = "no space left on device";
        event.failure.final = true;
        s->counters.disk_troubles++;
        sim_worker_step(s, w, &event);
        return;
    }
}
