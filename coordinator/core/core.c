#include "core.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "claim.h"
#include "core_act.h"
#include "core_memory.h"
#include "core_plan.h"
#include "core_state.h"
#include "dispatch.h"
#include "host.h"
#include "job.h"
#include "lease.h"
#include "results.h"
#include "session.h"
#include "streams.h"

/* ---- life ---- */

struct core *core_new_with_fault(const struct core_options *options, uint64_t seed,
                                 enum core_fault fault)
{
    struct core *core = core_memory_array(1, sizeof *core);
    struct core_options o = *options;
    o.heartbeat_ms = o.heartbeat_ms != 0 ? o.heartbeat_ms : HEARTBEAT_MS;
    o.liveness = o.liveness != 0 ? o.liveness : HEARTBEAT_LIVENESS;
    o.lease_ms = o.lease_ms != 0 ? o.lease_ms : LEASE_MS;
    o.stall_ms = o.stall_ms != 0 ? o.stall_ms : 600000;
    o.backoff_ms_min = o.backoff_ms_min != 0 ? o.backoff_ms_min : 1000;
    o.backoff_ms_max = o.backoff_ms_max != 0 ? o.backoff_ms_max : 60000;
    o.free_attempts_max = o.free_attempts_max != 0 ? o.free_attempts_max : 20;
    o.host_failures_max = o.host_failures_max != 0 ? o.host_failures_max : 3;
    o.host_failures_max =
        o.host_failures_max < HOST_FAILURES_MAX ? o.host_failures_max : HOST_FAILURES_MAX;
    core->options = o;
    core->fault = fault;
    core->rng = rng_new(seed, "coordinator");
    return core;
}

struct core *core_new(const struct core_options *options, uint64_t seed)
{
    return core_new_with_fault(options, seed, CORE_FAULT_NONE);
}

static void free_jobs(struct core *core)
{
    size_t at = 0;
    for (struct job *job; (job = digest_map_next(&core->jobs, &at)) != NULL;) {
        for (uint32_t p = 0; p < job->parent_count; p++) {
            core_memory_free(job->parents[p].name);
        }
        core_memory_free(job->parents);
        core_memory_free(job->attempt);
        core_memory_free(job);
    }
    for (size_t i = 0; i < core->shape_count; i++) {
        core_memory_free(core->shapes[i]);
    }
    core_memory_free(core->shapes);
    digest_map_release(&core->jobs);
}

static void free_workers(struct core *core)
{
    size_t at = 0;
    for (size_t i = 0; i < core->worker_count; i++) {
        core_memory_free(core->workers[i]->drain_reason);
        core_memory_free(core->workers[i]);
    }
    for (struct host *host; (host = digest_map_next(&core->hosts, &at)) != NULL;) {
        core_memory_free(host->name);
        core_memory_free(host->quarantine);
        core_memory_free(host);
    }
    core_memory_free(core->workers);
    core_memory_free(core->roomy);
    digest_map_release(&core->worker_names);
    digest_map_release(&core->worker_sessions);
    digest_map_release(&core->hosts);
}

/* Experiments, and what their jobs share. */
static void free_experiments(struct core *core)
{
    for (size_t i = 0; i < core->terms_count; i++) {
        core_memory_free(core->terms[i]->labels);
        core_memory_free(core->terms[i]);
    }
    for (size_t i = 0; i < core->claim_count; i++) {
        core_memory_free(core->claims[i]->wanted_by);
        core_memory_free(core->claims[i]);
    }
    for (size_t i = 0; i < core->experiment_count; i++) {
        core_memory_free(core->experiment_list[i]->name);
        core_memory_free(core->experiment_list[i]->numeric_class);
        core_memory_free(core->experiment_list[i]);
    }
    core_memory_free(core->experiment_list);
    core_memory_free(core->terms);
    core_memory_free(core->claims);
    digest_map_release(&core->experiments);
}

void core_free(struct core *core)
{
    if (core == NULL) {
        return;
    }
    free_jobs(core);
    free_workers(core);
    free_experiments(core);
    digest_map_release(&core->spots);
    timers_release(&core->timers);
    core_memory_free(core);
}

/* ---- loading ---- */

void core_load_order(struct core *core, uint64_t order_max)
{
    core->order_last = order_max;
}

void core_load_experiment(struct core *core, const char *name, const char *numeric_class,
                          bool paused, int32_t priority)
{
    struct experiment *experiment = plan_experiment(core, name);
    core_memory_free(experiment->numeric_class);
    experiment->numeric_class = core_memory_text(numeric_class);
    experiment->paused = paused;
    experiment->priority = priority;
}

void core_load_host(struct core *core, const char *name, const char *reason)
{
    struct host *host = host_known(core, name);
    core_memory_free(host->quarantine);
    host->quarantine = core_memory_text(reason);
}

void core_load_worker(struct core *core, const char *name, const char *host,
                      const struct digest *instance)
{
    struct worker *worker = worker_known(core, name);
    worker->instance = *instance;
    worker_move(core, worker, host);
}

enum err_code core_load_job(struct core *core, const struct core_job_row *row, struct err *err)
{
    const struct core_job_state *s = &row->state;
    char hex[DIGEST_HEX_SIZE];
    digest_hex(&s->identity, hex);
    bool held = s->state == JOB_LEASED || s->state == JOB_RUNNING;
    if (s->order == 0 || job_state_is_final(s->state) || (held && s->epoch == 0) ||
        (held && *s->worker == '\0')) {
        return err_set(err, ERR_CORRUPT, "load job %.12s: its row contradicts itself", hex);
    }
    struct experiment *queued_by = plan_experiment(core, row->experiment);
    struct job *job = job_new(core, row, claim_of_row(core, row, queued_by));
    if (job == NULL) {
        return err_set(err, ERR_CORRUPT, "load job %.12s: it is there twice", hex);
    }
    core->order_last = core->order_last > s->order ? core->order_last : s->order;
    if (held) {
        lease_restore(core, job, worker_known(core, s->worker), row->next, 0);
    }
    return ERR_OK;
}

enum err_code core_load_records(struct core *core, const struct digest *identity,
                                struct bytes payload, uint32_t items, struct err *err)
{
    struct job *job = digest_map_get(&core->jobs, identity);
    if (job == NULL || job->attempt == NULL) {
        return err_set(err, ERR_CORRUPT, "load records: their job has no attempt");
    }
    hash_update(&job->attempt->records, payload.data, payload.len);
    job->attempt->items += items;
    return ERR_OK;
}

enum err_code core_load_finish(struct core *core, int64_t now_ms, struct err *err)
{
    struct job **jobs = core_jobs_in_order(core);
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < core->jobs.count && code == ERR_OK; i++) {
        struct job *job = jobs[i];
        const struct parent_link *missing = NULL;
        char hex[DIGEST_HEX_SIZE];
        if (!job_link(core, job, &missing) || job_unsuccessful_parent(job) != NULL ||
            (job->attempt != NULL && job->parents_missing > 0)) {
            code = err_set(err, ERR_CORRUPT, "load job %.12s: its state contradicts its parents'",
                           digest_hex(&job->identity, hex));
            break;
        }
        if (job->attempt != NULL) {
            lease_begin_again(core, job, now_ms);
        }
        job_settle(core, job);
    }
    core_memory_free(jobs);
    return code;
}

/* ---- stepping ---- */

static void take_message(struct core *core, const struct core_message *message)
{
    const struct msg *msg = message->msg;
    struct worker *worker = NULL;
#define WITH_SESSION(of) (worker = session_find(core, (of).session)) != NULL
    switch ((int)msg->kind) {
    case MSG_HELLO:
        session_hello(core, &msg->hello);
        break;
    case MSG_HEARTBEAT:
        if (WITH_SESSION(msg->heartbeat)) {
            session_heartbeat(core, worker, &msg->heartbeat);
        }
        break;
    case MSG_STARTED:
        if (WITH_SESSION(msg->started)) {
            streams_started(core, worker, &msg->started);
        }
        break;
    case MSG_STREAM:
        if (WITH_SESSION(msg->stream)) {
            streams_batch(core, worker, message);
        }
        break;
    case MSG_CHECKPOINT:
        if (WITH_SESSION(msg->checkpoint)) {
            streams_checkpoint(core, worker, message);
        }
        break;
    case MSG_RESULT:
        if (WITH_SESSION(msg->result)) {
            results_take(core, worker, message);
        }
        break;
    case MSG_BYE:
        if (WITH_SESSION(msg->bye)) {
            session_bye(core, worker);
        }
        break;
    default: /* the driver hands in kinds of sender 'W' only */
        UNREACHABLE("a kind that no worker sends");
    }
#undef WITH_SESSION
}

static void handle(struct core *core, const struct core_event *event)
{
    switch (event->kind) {
    case CORE_TICK:
        break;
    case CORE_MESSAGE:
        take_message(core, &event->message);
        break;
    case CORE_PEER_GONE:
        session_peer_gone(core, event->peer);
        break;
    case CORE_SUBMIT:
        plan_submit(core, &event->submit);
        break;
    case CORE_CANCEL:
        act_cancel(core, &event->act);
        break;
    case CORE_RETRY:
        act_retry(core, &event->act);
        break;
    case CORE_PAUSE:
    case CORE_RESUME:
        act_pause(core, &event->act, event->kind == CORE_PAUSE);
        break;
    case CORE_PRIORITY:
        act_priority(core, &event->act);
        break;
    case CORE_DRAIN_WORKER:
        act_drain(core, &event->drain);
        break;
    }
}

#define OWNER(timer_pointer, type) ((type *)(void *)((char *)(timer_pointer)-offsetof(type, timer)))

/* After the event itself: a beat that arrives with the deadline counts. */
static void expire(struct core *core, int64_t now_ms)
{
    struct timer *timer;
    while ((timer = timers_first(&core->timers)) != NULL && timer->at_ms <= now_ms) {
        if (timer->kind == TIMER_WORKER) {
            session_silent(core, OWNER(timer, struct worker));
            continue;
        }
        struct job *job = OWNER(timer, struct job);
        timers_clear(&core->timers, timer);
        if (job->attempt != NULL) {
            lease_expire(core, job);
        } else {
            job_settle(core, job); /* its back-off is over */
        }
    }
}

void core_step(struct core *core, const struct core_event *event, struct core_output *out)
{
    core->event = event;
    core->out = out;
    handle(core, event);
    expire(core, event->now_ms);
    dispatch_run(core);
    job_flush_changes(core);
    const struct timer *next = timers_first(&core->timers);
    out->wake_at_ms = next == NULL ? INT64_MAX : next->at_ms;
    core->event = NULL;
    core->out = NULL;
}
