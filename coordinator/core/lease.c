#include "lease.h"

#include <math.h>
#include <string.h>

#include "check.h"
#include "claim.h"
#include "core_memory.h"
#include "dispatch.h"
#include "held_set.h"
#include "host.h"
#include "job.h"
#include "retry.h"
#include "session.h"

/* Ranks beside a job's own process count; a job of one has none. */
static uint32_t own_ranks(const struct job *job)
{
    return job->terms->ranks > 1 ? job->terms->ranks : 0;
}

static void threads_take(const struct attempt *attempt, struct worker *worker, uint32_t threads)
{
    worker->threads_busy += threads;
    worker->host->threads_busy += threads;
    attempt->payer->threads_busy += threads;
}

static void threads_give(const struct attempt *attempt, struct worker *worker, uint32_t threads)
{
    worker->threads_busy -= threads;
    worker->host->threads_busy -= threads;
    attempt->payer->threads_busy -= threads;
}

/* What runs goes on while all are paused who want it. */
static struct experiment *payer_of(const struct core *core, const struct job *job)
{
    struct experiment *payer = claim_payer(core, job->claim);
    return payer != NULL ? payer : job->claim->queued_by;
}

static struct lease_key key_of(const struct job *job)
{
    return (struct lease_key){.job = job->identity, .epoch = job->epoch};
}

/* When its worker has been silent about it for too long. */
static int64_t silence_end_ms(const struct core *core, const struct attempt *attempt)
{
    const int64_t proven_ms = attempt->worker->proven_ms;
    const int64_t renewed_ms = attempt->renewed_ms > proven_ms ? attempt->renewed_ms : proven_ms;
    return renewed_ms + core->options.lease_ms;
}

/* When its computation has stood still for too long; one that has ended only waits for its
 * delivery. */
static int64_t stall_end_ms(const struct core *core, const struct attempt *attempt)
{
    return attempt->held == HELD_FINISHED ? INT64_MAX
                                          : attempt->progress_ms + core->options.stall_ms;
}

/* Both only ever move away, so that the timer may lag behind: it is set anew when it fires. */
static int64_t lease_deadline_ms(const struct core *core, const struct attempt *attempt)
{
    const int64_t silence_ms = silence_end_ms(core, attempt);
    const int64_t stall_ms = stall_end_ms(core, attempt);
    return silence_ms < stall_ms ? silence_ms : stall_ms;
}

/* Give the job an attempt on the worker and take the threads and memory it needs. */
static void take(struct core *core, struct job *job, struct worker *worker, int64_t now_ms)
{
    ASSERT(job->attempt == NULL);
    struct attempt *attempt = core_memory_array(1, sizeof *attempt);
    *attempt = (struct attempt){.worker = worker,
                                .payer = payer_of(core, job),
                                .leased_ms = now_ms,
                                .renewed_ms = now_ms,
                                .held = HELD_RUNNING,
                                .progress_ms = now_ms,
                                .memory_bytes = dispatch_memory_bytes(job, worker),
                                .threads = dispatch_threads(job, worker),
                                .beat = worker->beat,
                                .next_lease = worker->leases,
                                .loss_nats = NAN};
    hash_init(&attempt->records);
    if (worker->leases != NULL) {
        worker->leases->attempt->previous_lease = job;
    }
    worker->leases = job;
    worker->lease_count++;
    worker->ranks_busy += own_ranks(job);
    threads_take(attempt, worker, attempt->threads);
    worker_note_room(core, worker);
    worker->memory_busy += attempt->memory_bytes;
    core->lease_count++;
    job->attempt = attempt;
    const struct lease_key key = key_of(job);
    held_set_add(&worker->held, &key, attempt->held);
    timers_set(&core->timers, &job->timer, lease_deadline_ms(core, attempt));
}

static void release(struct core *core, struct job *job)
{
    struct attempt *attempt = job->attempt;
    struct worker *worker = attempt->worker;
    if (attempt->previous_lease != NULL) {
        attempt->previous_lease->attempt->next_lease = attempt->next_lease;
    } else {
        ASSERT(worker->leases == job);
        worker->leases = attempt->next_lease;
    }
    if (attempt->next_lease != NULL) {
        attempt->next_lease->attempt->previous_lease = attempt->previous_lease;
    }
    ASSERT(worker->lease_count > 0 && worker->threads_busy >= attempt->threads);
    worker->lease_count--;
    worker->ranks_busy -= own_ranks(job);
    threads_give(attempt, worker, attempt->threads);
    worker_note_room(core, worker);
    worker->memory_busy -= attempt->memory_bytes;
    const struct lease_key key = key_of(job);
    held_set_remove(&worker->held, &key, attempt->held);
    core->lease_count--;
    core_memory_free(attempt);
    job->attempt = NULL;
    timers_clear(&core->timers, &job->timer);
    core->dispatch_wanted = true;
}

/* Which artifact a worker has to load for this job: the model it starts from or scores. */
static struct digest spot_of(const struct job *job)
{
    struct digest spot = {{0}};
    for (uint32_t i = 0; i < job->parent_count; i++) {
        const char *name = job->parents[i].name;
        if (i == 0 || strcmp(name, "model") == 0 || strcmp(name, "start") == 0) {
            spot = job->parents[i].identity;
        }
    }
    return spot;
}

/* The first lease of an experiment decides in which numeric class all of it is computed. */
static void fix_numeric_class(struct core *core, struct experiment *experiment,
                              const struct worker *worker)
{
    if (*experiment->numeric_class != '\0') {
        return;
    }
    core_memory_free(experiment->numeric_class);
    experiment->numeric_class = core_memory_text(worker->numeric_class);
    struct core_op *op = output_op(core, CORE_OP_EXPERIMENT_CLASS);
    op->experiment =
        (struct core_op_experiment){.name = output_text(core, experiment->name),
                                    .numeric_class = output_text(core, worker->numeric_class)};
}

void lease_grant(struct core *core, struct job *job, struct worker *worker)
{
    job_move(core, job, JOB_LEASED);
    job_settle(core, job);
    job->epoch++;
    job->started_ms = core->event->time_ms;
    take(core, job, worker, core->event->now_ms);
    job->attempt->payer->served = ++core->served_last;
    fix_numeric_class(core, job->claim->queued_by, worker);
    struct digest spot = spot_of(job);
    worker_set_spot(core, worker, &spot);
    struct core_op *op = output_op(core, CORE_OP_ATTEMPT_BEGIN);
    op->attempt = (struct core_op_attempt){
        .order = job->order,
        .lease = key_of(job),
        .worker = output_text(core, worker->name),
        .numeric_class = output_text(core, worker->numeric_class),
        .start_step = job->resume_step,
    };
    lease_send(core, job);
}

void lease_restore(struct core *core, struct job *job, struct worker *worker,
                   const uint32_t next[STREAM_COUNT], int64_t now_ms)
{
    take(core, job, worker, now_ms);
    memcpy(job->attempt->next, next, sizeof job->attempt->next);
}

void lease_begin_again(struct core *core, struct job *job, int64_t now_ms)
{
    struct attempt *attempt = job->attempt;
    attempt->leased_ms = attempt->renewed_ms = attempt->progress_ms = now_ms;
    timers_set(&core->timers, &job->timer, lease_deadline_ms(core, attempt));
}

void lease_measure(struct worker *worker)
{
    worker->memory_busy = 0;
    for (struct job *job = worker->leases; job != NULL; job = job->attempt->next_lease) {
        threads_give(job->attempt, worker, job->attempt->threads);
        job->attempt->threads = dispatch_threads(job, worker);
        threads_take(job->attempt, worker, job->attempt->threads);
        job->attempt->memory_bytes = dispatch_memory_bytes(job, worker);
        worker->memory_busy += job->attempt->memory_bytes;
    }
}

void lease_send(struct core *core, const struct job *job)
{
    const struct worker *worker = job->attempt->worker;
    ASSERT(worker->session != 0);
    struct named_digest *parents =
        arena_array(core->out->arena, job->parent_count, sizeof *parents);
    for (uint32_t i = 0; i < job->parent_count; i++) {
        parents[i].name = output_text(core, job->parents[i].name);
        parents[i].digest = job->parents[i].artifact;
    }
    struct msg *m = output_send(core, worker->peer, MSG_LEASE);
    core->out->sends[core->out->send_count - 1].order = job->order;
    m->lease = (struct msg_lease){
        .session = worker->session,
        .lease = key_of(job),
        .kind = job->kind,
        .label = "",
        .parents = job->parent_count == 0 ? NULL : parents,
        .parent_count = job->parent_count,
        .resume = job->resume,
        .resume_step = job->resume_step,
        .threads = job->threads,
        .memory_bytes =
            job->attempt->memory_bytes / dispatch_own_ranks(job->terms, job->attempt->worker),
        .time_limit_ms = (uint64_t)job->terms->time_limit_s * 1000,
        .ranks = job->terms->ranks > 1 ? job->terms->ranks : 0,
    };
}

struct job *lease_find(struct core *core, const struct worker *worker, const struct lease_key *key)
{
    struct job *job = digest_map_get(&core->jobs, &key->job);
    if (job == NULL || job->attempt == NULL) {
        return NULL;
    }
    if (core->fault == CORE_FAULT_SKIP_EPOCH_CHECK) {
        return job;
    }
    return job->epoch == key->epoch && job->attempt->worker == worker ? job : NULL;
}

void lease_renew(struct core *core, struct job *job, enum held_state state)
{
    struct attempt *attempt = job->attempt;
    attempt->beat = attempt->worker->beat;
    attempt->renewed_ms = core->event->now_ms;
    /* An attempt that has ended never runs again: such news is older than what is known. */
    if (state == HELD_FINISHED && attempt->held != state) {
        const struct lease_key key = key_of(job);
        held_set_remove(&attempt->worker->held, &key, attempt->held);
        held_set_add(&attempt->worker->held, &key, state);
        attempt->held = state;
    }
}

void lease_renew_all(struct core *core, struct worker *worker)
{
    worker->proven_ms = core->event->now_ms;
}

void lease_started(struct core *core, struct job *job)
{
    if (job->state == JOB_LEASED) {
        job_move(core, job, JOB_RUNNING);
    }
}

/* Write the attempt's end, remember for the job's row who it was, and let go. */
static void close_attempt(struct core *core, struct job *job, struct core_op_attempt end)
{
    end.order = job->order;
    end.lease = key_of(job);
    output_op(core, CORE_OP_ATTEMPT_END)->attempt = end;
    job->end_worker = output_text(core, job->attempt->worker->name);
    job->end_numeric_class = output_text(core, job->attempt->worker->numeric_class);
    release(core, job);
}

void lease_commit(struct core *core, struct job *job, const struct msg_result *result)
{
    host_succeeded(job->attempt->worker);
    job->outcome = OUTCOME_OK;
    job->artifact = result->artifact;
    job->records = result->records;
    job->items = result->items;
    if (!digest_is_none(&result->artifact)) {
        worker_set_spot(core, job->attempt->worker, &job->identity);
    }
    close_attempt(core, job,
                  (struct core_op_attempt){
                      .outcome = OUTCOME_OK, .committed = true, .reason = "", .result = result});
    job_finish(core, job, JOB_DONE, "");
}

void lease_end(struct core *core, struct job *job, enum outcome outcome, const char *reason,
               const struct msg_result *result)
{
    const struct retry_end end = {.outcome = outcome, .reason = reason, .result = result};
    const char *why = reason;
    enum retry_verdict verdict = retry_decide(core, job, job->attempt->worker, &end, &why);
    if (retry_blames_host(&end)) {
        host_failed(core, job->attempt->worker, job);
    }
    close_attempt(core, job,
                  (struct core_op_attempt){.outcome = outcome, .reason = reason, .result = result});
    switch (verdict) {
    case RETRY_GIVE_UP:
        job_finish(core, job, JOB_FAILED, why);
        return;
    case RETRY_QUARANTINE:
        job_finish(core, job, JOB_QUARANTINED, why);
        return;
    case RETRY_AGAIN:
        break;
    }
    job->end_worker = job->end_numeric_class = NULL;
    job_move(core, job, JOB_WAITING);
    int64_t backoff_ms = retry_backoff_ms(core, job);
    if (backoff_ms > 0) {
        timers_set(&core->timers, &job->timer, core->event->now_ms + backoff_ms);
    }
    job_settle(core, job);
}

/* Tell the holder to stop, if it can be told. */
static void lease_revoke(struct core *core, const struct job *job, const char *reason)
{
    const struct worker *worker = job->attempt->worker;
    if (worker->session == 0) {
        return;
    }
    struct msg *m = output_send(core, worker->peer, MSG_REVOKE);
    m->revoke =
        (struct msg_revoke){.session = worker->session, .lease = key_of(job), .reason = reason};
}

void lease_expire(struct core *core, struct job *job)
{
    const struct attempt *attempt = job->attempt;
    const int64_t now_ms = core->event->now_ms;
    if (lease_deadline_ms(core, attempt) > now_ms) {
        timers_set(&core->timers, &job->timer, lease_deadline_ms(core, attempt));
        return;
    }
    const bool silent = silence_end_ms(core, attempt) <= now_ms;
    const char *stalled =
        output_printf(core, "no progress for %u s", core->options.stall_ms / 1000);
    /* Whoever held it is told, should it still be there. */
    lease_revoke(core, job, silent ? "the lease ran out" : stalled);
    lease_end(core, job, OUTCOME_LOST,
              silent ? "the worker was silent until the lease ran out" : stalled, NULL);
}

uint64_t lease_cancel(struct core *core, struct job *job, const char *reason)
{
    lease_revoke(core, job, reason);
    job->outcome = OUTCOME_CANCELLED;
    close_attempt(core, job,
                  (struct core_op_attempt){.outcome = OUTCOME_CANCELLED, .reason = reason});
    return job_finish(core, job, JOB_CANCELLED, reason);
}

void lease_refuse(struct core *core, uint64_t session, const struct lease_key *key,
                  const char *reason)
{
    struct msg *m = output_send(core, core->event->peer, MSG_REVOKE);
    m->revoke = (struct msg_revoke){.session = session, .lease = *key, .reason = reason};
}
