/* What must hold in the store, whatever happened: at every operation, after every commit, and in
 * the end. These checks know the promises of docs/protocol.md and the rows, and nothing of how the
 * cores keep them. */
#include <string.h>

#include "sim.h"

/* ---- one operation ---- */

/* Nothing may become durable for an epoch that is not the latest, or after the job has ended. */
static void check_batch(struct sim *s, const struct core_op_batch *op)
{
    const int index = sim_job_index(s, &op->lease.job);
    const struct sim_job *job = &s->jobs[index];
    const struct sim_row *row = &s->store.rows[index];
    const uint32_t next = row->attempts[row->epoch_begun].batches[op->stream];
    if (op->lease.epoch != row->epoch_begun || row->attempts[row->epoch_begun].ended)
        sim_fail(s, "%s: a batch of epoch %u is stored, the current one is %u", job->label,
                 op->lease.epoch, row->epoch_begun);
    else if (op->index != next)
        sim_fail(s, "%s: batch %u is stored, %u was next", job->label, op->index, next);
    else if (op->stream == STREAM_RECORDS &&
             (op->index >= job->batches || op->payload.len != job->payloads[op->index].len ||
              memcmp(op->payload.data, job->payloads[op->index].data, op->payload.len) != 0))
        sim_fail(s, "%s: record batch %u is not what was computed", job->label, op->index);
}

static void check_done(struct sim *s, const struct sim_job *job, const struct core_job_state *state)
{
    const struct digest artifact = sim_tree_of(job, job->steps);
    if (job->kind == JOB_EVALUATE &&
        (!digest_equal(&state->records, &job->records) || state->items != sim_items_of(job)))
        sim_fail(s, "%s is done with wrong records", job->label);
    if (job->kind != JOB_EVALUATE &&
        (!digest_equal(&state->artifact, &artifact) || !sim_store_has_tree(s, &artifact)))
        sim_fail(s, "%s is done without its artifact", job->label);
}

/* A job is quarantined for the same failure on two distinct workers, and for nothing else. */
static bool failed_alike_on_two(const struct sim_row *row)
{
    const struct sim_attempt *last = &row->attempts[row->epoch_begun];
    for (uint32_t e = 1; e < row->epoch_begun; e++)
        if (row->attempts[e].name_index != last->name_index &&
            row->attempts[e].outcome == last->outcome &&
            (row->attempts[e].reason_digest == last->reason_digest ||
             last->outcome == OUTCOME_MEMORY)) /* its sentence quotes sizes */
            return true;
    return false;
}

/* The class that a job's policy counts an attempt under (docs/protocol.md section 3). The simulated
 * children die without a signal's number. */
static enum failure_class class_of(enum outcome outcome)
{
    switch (outcome) {
    case OUTCOME_CRASHED:
        return FAILURE_EXIT;
    case OUTCOME_MEMORY:
        return FAILURE_MEMORY;
    case OUTCOME_TIMEOUT:
        return FAILURE_TIMEOUT;
    case OUTCOME_LOST:
        return FAILURE_LOST;
    case OUTCOME_CANCELLED:
    case OUTCOME_PREEMPTED:
        return FAILURE_PREEMPTED;
    case OUTCOME_INVALID:
        return FAILURE_INVALID;
    case OUTCOME_OK:
    case OUTCOME_FAILED:
    case OUTCOME_DIVERGED:
    case OUTCOME_COUNT:
        break;
    }
    return FAILURE_ERROR;
}

/* Did the latest attempt's class of failure happen more often than the job's policy repeats it? */
static bool policy_is_spent(const struct sim_job *job, const struct sim_row *row)
{
    static const struct retry_policy unset;
    const enum failure_class class = class_of(row->attempts[row->epoch_begun].outcome);
    uint32_t count = 0;
    for (uint32_t e = 1; e <= row->epoch_begun; e++)
        count += row->attempts[e].ended && !row->attempts[e].committed &&
                 class_of(row->attempts[e].outcome) == class;
    return memcmp(&job->retry, &unset, sizeof unset) != 0 && count > job->retry.again[class];
}

/* An ending without success needs the cause that the protocol names for it. */
static void check_ending(struct sim *s, int index, const struct core_job_state *next)
{
    const struct sim_job *job = &s->jobs[index];
    const struct sim_row *row = &s->store.rows[index];
    const bool budget_spent = next->attempts_spent >= next->attempts_max;
    const bool gave_up = next->attempts_free >= SIM_ATTEMPTS_FREE_MAX;
    if (*next->reason == '\0')
        sim_fail(s, "%s is %s and nobody says why", job->label, job_state_name(next->state));
    if (next->state == JOB_CANCELLED && !row->cancel_asked)
        sim_fail(s, "%s is cancelled and no person wanted it", job->label);
    const bool by_policy = policy_is_spent(job, row);
    s->counters.jobs_failed_by_policy += next->state == JOB_FAILED && by_policy && !budget_spent;
    if (next->state == JOB_FAILED && !budget_spent && !gave_up && !by_policy &&
        row->attempts[row->epoch_begun].outcome != OUTCOME_DIVERGED)
        sim_fail(s, "%s failed after %u of %u attempts: %s", job->label, next->attempts_spent,
                 next->attempts_max, next->reason);
    if (next->state == JOB_QUARANTINED && !failed_alike_on_two(row))
        sim_fail(s, "%s is quarantined without two like failures", job->label);
    s->counters.jobs_given_up += next->state == JOB_FAILED && gave_up;
}

static void check_job(struct sim *s, const struct core_job_state *next)
{
    const int index = sim_job_index(s, &next->identity);
    const struct sim_job *job = &s->jobs[index];
    const struct sim_row *row = &s->store.rows[index];
    if (row->exists && row->state.state == JOB_DONE)
        sim_fail(s, "%s was done and changes", job->label);
    if (row->exists && next->epoch < row->state.epoch)
        sim_fail(s, "%s: the epoch went back", job->label);
    if (row->exists && next->resume_step < row->state.resume_step)
        sim_fail(s, "%s: the resume point went back", job->label);
    if (next->attempts_spent > next->attempts_max || next->attempts_free > SIM_ATTEMPTS_FREE_MAX)
        sim_fail(s, "%s: more attempts than the policy allows", job->label);
    if (next->state == JOB_DONE)
        check_done(s, job, next);
    else if (job_state_is_final(next->state))
        check_ending(s, index, next);
}

static void check_begin(struct sim *s, const struct core_op_attempt *op)
{
    const int index = sim_job_index(s, &op->lease.job);
    const struct sim_row *row = &s->store.rows[index];
    const char *label = s->jobs[index].label;
    const char *numeric_class = s->store.experiments[row->experiment].numeric_class;
    if (op->lease.epoch != row->epoch_begun + 1)
        sim_fail(s, "%s: epoch %u follows %u", label, op->lease.epoch, row->epoch_begun);
    if (op->lease.epoch >= SIM_EPOCHS_MAX)
        sim_fail(s, "%s: more attempts than any policy allows", label);
    if (row->epoch_begun > 0 && !row->attempts[row->epoch_begun].ended)
        sim_fail(s, "%s: an attempt begins before the former one has ended", label);
    if (strcmp(op->numeric_class, numeric_class) != 0)
        sim_fail(s, "%s: numeric class '%s' in an experiment of '%s'", label, op->numeric_class,
                 numeric_class);
    if (op->start_step < row->step_told)
        sim_fail(s, "%s: step %llu was acknowledged, the next attempt starts at %llu", label,
                 (unsigned long long)row->step_told, (unsigned long long)op->start_step);
}

static void check_end_of_attempt(struct sim *s, const struct core_op_attempt *op)
{
    const int index = sim_job_index(s, &op->lease.job);
    const struct sim_row *row = &s->store.rows[index];
    if (op->lease.epoch != row->epoch_begun || row->attempts[row->epoch_begun].ended)
        sim_fail(s, "%s: an attempt ends that is not under way", s->jobs[index].label);
    if (op->outcome == OUTCOME_TIMEOUT && s->jobs[index].time_limit_s == 0)
        sim_fail(s, "%s times out and has no limit", s->jobs[index].label);
    if (op->committed && row->commits > 0)
        sim_fail(s, "%s commits twice", s->jobs[index].label);
}

/* A host is put into quarantine for what different jobs did there, and for nothing else. */
static void check_host(struct sim *s, const struct core_op_host *op)
{
    int failed = 0;
    for (int i = 0; i < s->job_count; i++) {
        bool here = false;
        const struct sim_row *row = &s->store.rows[i];
        for (uint32_t e = 1; e <= row->epoch_begun; e++)
            here = here || ((row->attempts[e].outcome == OUTCOME_CRASHED ||
                             row->attempts[e].outcome == OUTCOME_INVALID) &&
                            strcmp(s->workers[row->attempts[e].name_index].host, op->name) == 0);
        failed += here;
    }
    /* The attempt that fills the measure may end in this very turn, after this operation. */
    if (op->quarantined && failed < SIM_HOST_FAILURES - 1)
        sim_fail(s, "%s is quarantined after failures of %d jobs", op->name, failed);
}

void sim_check_op(struct sim *s, const struct core_op *op)
{
    switch (op->kind) {
    case CORE_OP_JOB:
        check_job(s, &op->job.state);
        return;
    case CORE_OP_ATTEMPT_BEGIN:
        check_begin(s, &op->attempt);
        return;
    case CORE_OP_ATTEMPT_END:
        check_end_of_attempt(s, &op->attempt);
        return;
    case CORE_OP_BATCH:
        check_batch(s, &op->batch);
        return;
    case CORE_OP_EXPERIMENT_CLASS:
        if (*s->store.experiments[sim_experiment_index(op->experiment.name)].numeric_class)
            sim_fail(s, "the numeric class of %s changes", op->experiment.name);
        return;
    case CORE_OP_EXPERIMENT:
    case CORE_OP_JOB_NEW:
    case CORE_OP_JOB_TERMS:
    case CORE_OP_MEMBER:
    case CORE_OP_UNWANT:
    case CORE_OP_WORKER:
    case CORE_OP_EXPERIMENT_STATE:
    case CORE_OP_JOB_PRIORITY:
        return;
    case CORE_OP_HOST:
        check_host(s, &op->host);
        return;
    }
}

/* ---- the whole store ---- */

/* Threads and memory of the attempts that a worker (and its host) has. */
static void check_capacity(struct sim *s, const struct sim_worker *w)
{
    uint32_t threads = 0, host_threads = 0;
    uint64_t memory_bytes = 0;
    for (int i = 0; i < s->job_count; i++) {
        const struct sim_row *row = &s->store.rows[i];
        if (!sim_row_is_held(row))
            continue;
        const int holder = row->attempts[row->epoch_begun].name_index;
        const bool mine = holder == w->name_index;
        threads += mine ? s->jobs[i].threads : 0;
        memory_bytes += mine ? s->jobs[i].memory_bytes : 0;
        host_threads += strcmp(s->workers[holder].host, w->host) == 0 ? s->jobs[i].threads : 0;
    }
    if (threads > w->threads)
        sim_fail(s, "%s has %u threads and attempts of %u", w->name, w->threads, threads);
    if (host_threads > w->host_cores)
        sim_fail(s, "%s has %u cores and attempts of %u threads", w->host, w->host_cores,
                 host_threads);
    if (memory_bytes > (uint64_t)1 << 30)
        sim_fail(s, "%s has attempts that need more than its memory", w->name);
}

/* A job is aborted because a parent ended without success. */
static void check_aborted(struct sim *s, const struct core_job_state *state)
{
    const struct sim_job *job = &s->jobs[sim_job_index(s, &state->identity)];
    for (int p = 0; p < job->parent_count; p++)
        if (sim_row_failed(&s->store.rows[job->parents[p]]))
            return;
    sim_fail(s, "%s is aborted although no parent failed", job->label);
}

void sim_check_store(struct sim *s, const struct core_output *turn)
{
    for (size_t i = 0; i < turn->op_count; i++)
        if (turn->ops[i].kind == CORE_OP_JOB && turn->ops[i].job.state.state == JOB_ABORTED)
            check_aborted(s, &turn->ops[i].job.state);
    for (int i = 0; i < s->job_count; i++) {
        const struct sim_job *job = &s->jobs[i];
        const struct sim_row *row = &s->store.rows[i];
        const bool held = sim_row_is_held(row);
        if (held != (row->epoch_begun > 0 && !row->attempts[row->epoch_begun].ended))
            sim_fail(s, "%s is %s, its latest attempt %s", job->label,
                     job_state_name(row->state.state), held ? "has ended" : "is under way");
        for (int p = 0; held && p < job->parent_count; p++)
            if (s->store.rows[job->parents[p]].state.state != JOB_DONE)
                sim_fail(s, "%s has an attempt although a parent is not done", job->label);
    }
    for (int i = 0; i < s->worker_count; i++)
        check_capacity(s, &s->workers[i]);
}

/* ---- the end ---- */

bool sim_is_quiet(const struct sim *s)
{
    for (int i = 0; i < s->job_count; i++) {
        const struct sim_row *row = &s->store.rows[i];
        const bool submitted = row->exists || !s->jobs[i].of_experiment[0];
        if (!submitted || (row->exists && !job_state_is_final(row->state.state)))
            return false;
    }
    for (int i = 0; i < s->worker_count; i++) {
        const struct sim_worker *w = &s->workers[i];
        if (w->agent ? agent_held_count(w->agent) > 0 : w->name_index == w->index)
            return false;
    }
    return s->acts_left == 0 && s->server.core != NULL;
}

static void count_ending(struct sim *s, enum job_state state)
{
    s->counters.jobs_done += state == JOB_DONE;
    s->counters.jobs_failed += state == JOB_FAILED;
    s->counters.jobs_cancelled += state == JOB_CANCELLED;
    s->counters.jobs_aborted += state == JOB_ABORTED;
    s->counters.jobs_quarantined += state == JOB_QUARANTINED;
}

void sim_check_end(struct sim *s)
{
    for (int i = 0; i < s->job_count && !*s->failure; i++) {
        const struct sim_job *job = &s->jobs[i];
        const struct sim_row *row = &s->store.rows[i];
        const enum job_state state = row->state.state;
        if (!row->exists)
            continue; /* of the second experiment, which nobody submitted */
        count_ending(s, state);
        if (!job_state_is_final(state))
            sim_fail(s, "%s never ended: it is %s", job->label, job_state_name(state));
        else if (row->commits != (state == JOB_DONE))
            sim_fail(s, "%s is %s with %u commits", job->label, job_state_name(state),
                     row->commits);
        else if (state == JOB_DONE &&
                 row->attempts[row->epoch_begun].batches[STREAM_RECORDS] != job->batches)
            sim_fail(s, "%s is done with %u of %u record batches", job->label,
                     row->attempts[row->epoch_begun].batches[STREAM_RECORDS], job->batches);
        for (int p = 0; p < job->parent_count && !*s->failure; p++)
            if (state == JOB_DONE && s->store.rows[job->parents[p]].state.state != JOB_DONE)
                sim_fail(s, "%s is done although a parent is not", job->label);
    }
    for (int i = 0; i < s->worker_count && !*s->failure; i++)
        if (s->workers[i].agent && agent_held_count(s->workers[i].agent) > 0)
            sim_fail(s, "%s still holds a lease", s->workers[i].name);
}
