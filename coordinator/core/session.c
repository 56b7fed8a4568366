#include "session.h"

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "core_memory.h"
#include "held_set.h"
#include "host.h"
#include "job.h"
#include "labels.h"
#include "lease.h"

/* A century: whatever a worker says, sums of times do not overflow. */
#define ENDS_IN_MS_MAX INT64_C(3155760000000)

/* ---- workers and hosts ---- */

static void set_name(char out[NAME_BYTES_MAX + 1], const char *name)
{
    snprintf(out, NAME_BYTES_MAX + 1, "%s", name != NULL ? name : "");
}

void worker_note_room(struct core *core, const struct worker *worker)
{
    uint64_t *word = &core->roomy[worker->place / 64];
    const uint64_t bit = UINT64_C(1) << worker->place % 64;
    *word = worker->threads > worker->threads_busy ? *word | bit : *word & ~bit;
}

void worker_move(struct core *core, struct worker *worker, const char *host)
{
    if (strcmp(worker->host->name, host) != 0) {
        host_leave(core, worker);
        host_join(core, worker, host);
    }
}

struct worker *worker_known(struct core *core, const char *name)
{
    struct digest key = digest_of_text(name);
    struct worker *worker = digest_map_get(&core->worker_names, &key);
    if (worker != NULL) {
        return worker;
    }
    worker = core_memory_array(1, sizeof *worker);
    set_name(worker->name, name);
    worker->name_digest = digest_number(&key);
    worker->timer = (struct timer){.kind = TIMER_WORKER, .tie = worker->name_digest};
    host_join(core, worker, "");
    core->workers =
        core_memory_grow(core->workers, core->worker_count + 1, sizeof(struct worker *));
    core->roomy = core_memory_grow(core->roomy, core->worker_count / 64 + 1, sizeof(uint64_t));
    if (core->worker_count % 64 == 0) {
        core->roomy[core->worker_count / 64] = 0;
    }
    worker->place = core->worker_count;
    core->workers[core->worker_count++] = worker;
    worker_note_room(core, worker);
    digest_map_put(&core->worker_names, &key, worker);
    return worker;
}

void worker_set_spot(struct core *core, struct worker *worker, const struct digest *job)
{
    if (!digest_is_none(&worker->spot)) {
        uintptr_t count = (uintptr_t)digest_map_remove(&core->spots, &worker->spot);
        ASSERT(count > 0);
        if (count > 1) {
            digest_map_put(&core->spots, &worker->spot, (void *)(count - 1));
        }
    }
    worker->spot = *job;
    if (!digest_is_none(job)) {
        uintptr_t count = (uintptr_t)digest_map_get(&core->spots, job);
        digest_map_put(&core->spots, job, (void *)(count + 1));
    }
}

size_t worker_spot_count(const struct core *core, const struct digest *job)
{
    return (size_t)(uintptr_t)digest_map_get(&core->spots, job);
}

static void close_session(struct core *core, struct worker *worker)
{
    if (worker->session != 0) {
        struct digest key = digest_of_number(worker->session);
        digest_map_remove(&core->worker_sessions, &key);
    }
    worker->session = 0;
    worker->peer = 0;
    worker->live = false;
    timers_clear(&core->timers, &worker->timer);
}

static void worker_free(struct core *core, struct worker *worker)
{
    ASSERT(worker->leases == NULL);
    struct digest none = {{0}};
    worker_set_spot(core, worker, &none);
    close_session(core, worker);
    host_leave(core, worker);
    core_memory_free(worker->drain_reason);
    struct digest key = digest_of_text(worker->name);
    digest_map_remove(&core->worker_names, &key);
    core->worker_count--;
    for (size_t i = worker->place; i < core->worker_count; i++) {
        core->workers[i] = core->workers[i + 1];
        core->workers[i]->place = i;
        worker_note_room(core, core->workers[i]);
    }
    core_memory_free(worker);
}

/* At the limit, forget the workers that are gone and hold nothing, longest unseen first. */
static bool make_room(struct core *core)
{
    if (core->worker_count < WORKERS_MAX) {
        return true;
    }
    struct worker *oldest = NULL;
    for (size_t i = 0; i < core->worker_count; i++) {
        struct worker *worker = core->workers[i];
        if (!worker->live && worker->leases == NULL &&
            (oldest == NULL || worker->seen_ms < oldest->seen_ms)) {
            oldest = worker;
        }
    }
    if (oldest != NULL) {
        worker_free(core, oldest);
    }
    return oldest != NULL;
}

/* ---- sessions ---- */

static void mark_alive(struct core *core, struct worker *worker)
{
    worker->seen_ms = core->event->now_ms;
    worker->seen_time_ms = core->event->time_ms;
    if (!worker->live) {
        worker->live = true;
        core->dispatch_wanted = true;
    }
    int64_t silence_ms = (int64_t)core->options.heartbeat_ms * core->options.liveness;
    timers_set(&core->timers, &worker->timer, core->event->now_ms + silence_ms);
}

static void open_session(struct core *core, struct worker *worker)
{
    close_session(core, worker);
    worker->session = (uint64_t)core->options.boot << 32 | ++core->session_last;
    worker->peer = core->event->peer;
    struct digest key = digest_of_number(worker->session);
    digest_map_put(&core->worker_sessions, &key, worker);
    mark_alive(core, worker);
    core->dispatch_wanted = true;
}

static void refuse(struct core *core, uint64_t session, bool refused, const char *reason)
{
    struct msg *m = output_send(core, core->event->peer, MSG_NO_SESSION);
    m->no_session =
        (struct msg_no_session){.session = session, .refused = refused, .reason = reason};
}

struct worker *session_find(struct core *core, uint64_t session)
{
    struct digest key = digest_of_number(session);
    struct worker *worker = digest_map_get(&core->worker_sessions, &key);
    if (worker == NULL || worker->peer != core->event->peer) {
        refuse(core, session, false, "this session is not known here");
        return NULL;
    }
    mark_alive(core, worker);
    return worker;
}

/* A person's wish, or NULL: there is none (any more). */
static void want_drain(struct worker *worker, const struct core_drain *drain)
{
    const char *reason = drain != NULL && drain->reason != NULL ? drain->reason : "";
    core_memory_free(worker->drain_reason);
    worker->drain_wanted = drain != NULL;
    worker->drain_reason = drain != NULL ? core_memory_text(reason) : NULL;
    worker->drain_grace_ms = drain != NULL ? drain->grace_ms : 0;
}

static void send_drain(struct core *core, const struct worker *worker)
{
    struct msg *m = output_send(core, worker->peer, MSG_DRAIN);
    m->drain = (struct msg_drain){.session = worker->session,
                                  .grace_ms = worker->drain_grace_ms,
                                  .reason = output_text(core, worker->drain_reason)};
}

static void update_from_hello(struct core *core, struct worker *worker,
                              const struct msg_hello *hello)
{
    worker_move(core, worker, hello->host);
    worker->host->cores = hello->host_cores;
    worker->threads = hello->threads;
    worker->memory_bytes = hello->memory_bytes;
    worker->ranks = hello->ranks;
    worker->rank_threads = hello->rank_threads;
    lease_measure(worker);
    worker_note_room(core, worker);
    set_name(worker->numeric_class, hello->numeric_class);
    set_name(worker->version, hello->version);
    set_name(worker->node, hello->node);
    set_name(worker->labels, hello->labels);
    const int64_t ends_in_ms =
        hello->ends_in_ms < ENDS_IN_MS_MAX ? (int64_t)hello->ends_in_ms : ENDS_IN_MS_MAX;
    worker->ends_ms = ends_in_ms == 0 ? 0 : core->event->now_ms + ends_in_ms;
    worker->ends_time_ms = ends_in_ms == 0 ? 0 : core->event->time_ms + ends_in_ms;
    worker->draining = false;
    if (!digest_equal(&worker->instance, &hello->instance)) {
        struct digest none = {{0}};
        worker_set_spot(core, worker, &none);
        want_drain(worker, NULL);
    }
    struct core_op *op = output_op(core, CORE_OP_WORKER);
    op->worker = (struct core_op_worker){.instance = hello->instance,
                                         .name = output_text(core, worker->name),
                                         .host = hello->host,
                                         .numeric_class = hello->numeric_class,
                                         .version = hello->version,
                                         .host_cores = hello->host_cores,
                                         .threads = hello->threads,
                                         .memory_bytes = hello->memory_bytes,
                                         .node = hello->node,
                                         .labels = hello->labels};
}

/* Note what a listing says about a lease that stands. A frame that was overtaken knows less than is
 * known; but a new process starts to count anew for what its spool holds. */
static void note_listed(struct core *core, struct job *job, const struct held_lease *held)
{
    struct attempt *attempt = job->attempt;
    lease_renew(core, job, held->state);
    if (held->state == HELD_RUNNING && held->progress <= attempt->progress) {
        return;
    }
    lease_started(core, job);
    attempt->progress_ms = core->event->now_ms;
    attempt->progress = held->progress;
    attempt->done = held->done;
    attempt->total = held->total;
    attempt->loss_nats = held->loss_nats;
    attempt->tokens_per_s = held->tokens_per_s;
}

static void answer_hello(struct core *core, struct worker *worker, const struct msg_hello *hello)
{
    struct held_verdict *verdicts =
        arena_array(core->out->arena, hello->held_count, sizeof *verdicts);
    for (size_t i = 0; i < hello->held_count; i++) {
        const struct held_lease *held = &hello->held[i];
        struct job *job = lease_find(core, worker, &held->lease);
        verdicts[i].lease = held->lease;
        verdicts[i].keep = job != NULL;
        if (job != NULL) {
            note_listed(core, job, held);
            memcpy(verdicts[i].next, job->attempt->next, sizeof verdicts[i].next);
        }
    }
    struct msg *m = output_send(core, core->event->peer, MSG_WELCOME);
    m->welcome = (struct msg_welcome){.session = worker->session,
                                      .heartbeat_ms = core->options.heartbeat_ms,
                                      .lease_ms = core->options.lease_ms,
                                      .verdicts = hello->held_count == 0 ? NULL : verdicts,
                                      .verdict_count = hello->held_count};
}

/* Leases that this HELLO did not list: of a former process they died with it; of this one the
 * LEASE never arrived. */
static void settle_unlisted(struct core *core, struct worker *worker, bool same_instance)
{
    struct job *next;
    for (struct job *job = worker->leases; job != NULL; job = next) {
        next = job->attempt->next_lease;
        if (job->attempt->beat == worker->beat) {
            continue;
        }
        if (same_instance) {
            lease_send(core, job);
        } else {
            lease_end(core, job, OUTCOME_LOST, "the worker was started again without it", NULL);
        }
    }
}

/* One connection speaks for one worker: a former one on it has left. */
static void evict_others(struct core *core, const struct worker *except)
{
    for (size_t i = 0; i < core->worker_count; i++) {
        struct worker *other = core->workers[i];
        if (other != except && other->peer == core->event->peer) {
            close_session(core, other);
        }
    }
}

static bool labels_are_a_set(const char *labels)
{
    struct strbuf set = {0};
    struct err err;
    labels = labels != NULL ? labels : "";
    const bool is_set =
        labels_parse(labels, &set, &err) == ERR_OK && strcmp(strbuf_text(&set), labels) == 0;
    strbuf_release(&set);
    return is_set;
}

void session_hello(struct core *core, const struct msg_hello *hello)
{
    if (hello->protocol_version != PROTOCOL_VERSION) {
        refuse(core, 0, true,
               output_printf(core, "the worker speaks protocol %u, the coordinator %u",
                             hello->protocol_version, PROTOCOL_VERSION));
        return;
    }
    if (!labels_are_a_set(hello->labels)) {
        refuse(core, 0, true, "the worker's labels are not a sorted set of words");
        return;
    }
    if (*hello->worker == '\0' || hello->threads == 0 || hello->host_cores == 0) {
        refuse(core, 0, true, "a worker needs a name, threads and cores");
        return;
    }
    struct digest key = digest_of_text(hello->worker);
    struct worker *worker = digest_map_get(&core->worker_names, &key);
    if (worker == NULL && !make_room(core)) {
        refuse(core, 0, true, "too many workers");
        return;
    }
    const uint64_t from = core->event->message.key;
    if (worker != NULL && worker->live && worker->key != from) {
        /* Nobody takes over another's leases by calling himself by his name. Once the name's owner
         * is silent it may come back with a new key. */
        refuse(core, 0, false,
               output_printf(core, "worker '%s' is here with another key", hello->worker));
        return;
    }
    worker = worker_known(core, hello->worker);
    worker->key = from;
    evict_others(core, worker);
    bool same_instance = digest_equal(&worker->instance, &hello->instance);
    update_from_hello(core, worker, hello);
    worker->instance = hello->instance;
    worker->beat++;
    open_session(core, worker);
    answer_hello(core, worker, hello);
    settle_unlisted(core, worker, same_instance);
}

/* A whole list: what is missing although it must have arrived is sent again. */
static void send_missing(struct core *core, const struct worker *worker)
{
    const int64_t settled_ms = core->event->now_ms - 2 * (int64_t)core->options.heartbeat_ms;
    for (struct job *job = worker->leases; job != NULL; job = job->attempt->next_lease) {
        if (job->attempt->beat != worker->beat && job->attempt->leased_ms <= settled_ms) {
            lease_send(core, job);
        }
    }
}

/* Does the worker hold what it should? A beat that lists everything settles that by itself. */
static bool must_list(struct core *core, struct worker *worker,
                      const struct msg_heartbeat *heartbeat)
{
    if (heartbeat->held_count == heartbeat->all.count) {
        send_missing(core, worker);
        return false;
    }
    if (held_set_equal(&heartbeat->all, &worker->held) ||
        core->fault == CORE_FAULT_IGNORE_MISMATCH) {
        lease_renew_all(core, worker);
        return false;
    }
    return true;
}

void session_heartbeat(struct core *core, struct worker *worker,
                       const struct msg_heartbeat *heartbeat)
{
    worker->beat++;
    if (worker->draining && !heartbeat->draining) {
        core->dispatch_wanted = true;
    }
    worker->draining = heartbeat->draining;
    for (size_t i = 0; i < heartbeat->held_count; i++) {
        const struct held_lease *held = &heartbeat->held[i];
        struct job *job = lease_find(core, worker, &held->lease);
        if (job != NULL) {
            note_listed(core, job, held);
        } else {
            lease_refuse(core, worker->session, &held->lease, "the attempt is not current");
        }
    }
    const bool list = must_list(core, worker, heartbeat);
    output_send(core, worker->peer, MSG_PULSE)->pulse =
        (struct msg_pulse){.session = worker->session, .beat = heartbeat->beat, .list = list};
    if (worker->drain_wanted && !worker->draining) {
        send_drain(core, worker);
    }
}

static void lose_leases(struct core *core, struct worker *worker, const char *reason)
{
    while (worker->leases != NULL) {
        lease_end(core, worker->leases, OUTCOME_LOST, reason, NULL);
    }
}

void session_bye(struct core *core, struct worker *worker)
{
    lose_leases(core, worker, "the worker left");
    close_session(core, worker);
}

void session_peer_gone(struct core *core, uint64_t peer)
{
    for (size_t i = 0; i < core->worker_count; i++) {
        if (core->workers[i]->peer == peer) {
            close_session(core, core->workers[i]);
        }
    }
}

void session_silent(struct core *core, struct worker *worker)
{
    ASSERT(worker->live);
    worker->live = false;
    timers_clear(&core->timers, &worker->timer);
}

bool session_drain(struct core *core, const struct core_drain *drain)
{
    struct digest key = digest_of_text(drain->worker);
    struct worker *worker = digest_map_get(&core->worker_names, &key);
    if (worker == NULL) {
        return false;
    }
    if (drain->action == WORKER_RELEASE) {
        host_release(core, worker->host);
        want_drain(worker, NULL);
        core->dispatch_wanted = true;
        return true;
    }
    want_drain(worker, drain);
    if (worker->session != 0) {
        send_drain(core, worker);
    }
    return true;
}
