/* What must hold. These checks know the promises of docs/protocol.md and the store's rows, and
 * nothing of how the cores keep them. */
#include <string.h>

#include "records.h"
#include "sim.h"

/* Nothing may become durable for an epoch that is not the latest, or after the job has ended. */
static void check_fence(struct sim *s, const struct lease_key *lease, const char *what)
{
    const int index = sim_job_index(s, &lease->job);
    const struct sim_row *row = &s->store.rows[index];
    if (lease->epoch != row->epoch_begun)
        sim_fail(s, "%s of %s: epoch %u is stored although %u has begun", what,
                 s->jobs[index].label, lease->epoch, row->epoch_begun);
    if (job_state_is_final(row->state.state))
        sim_fail(s, "%s of %s is stored although the job is %s", what, s->jobs[index].label,
                 job_state_name(row->state.state));
}

static void check_transition(struct sim *s, const struct core_job_state *next)
{
    const int index = sim_job_index(s, &next->identity);
    const struct sim_row *row = &s->store.rows[index];
    if (!row->exists)
        return;
    if (row->state.state == JOB_DONE && next->state != JOB_DONE)
        sim_fail(s, "%s was done and is %s", s->jobs[index].label, job_state_name(next->state));
    if (next->epoch < row->state.epoch)
        sim_fail(s, "%s: the epoch went back", s->jobs[index].label);
    if (next->state == JOB_DONE && row->state.state != JOB_DONE) {
        const struct sim_job *job = &s->jobs[index];
        const struct digest records = sim_records_digest(job);
        if (job->batches > 0 && !digest_equal(&next->records, &records))
            sim_fail(s, "%s is done with wrong records", job->label);
        if (job->kind != JOB_EVALUATE) {
            const struct digest tree = sim_tree_of(job, job->steps);
            if (!digest_equal(&next->artifact, &tree) || !sim_store_has_tree(s, &tree))
                sim_fail(s, "%s is done without its artifact", job->label);
        }
    }
}

void sim_check_op(struct sim *s, const struct core_op *op)
{
    switch (op->kind) {
    case CORE_OP_JOB:
        check_transition(s, &op->job.state);
        return;
    case CORE_OP_ATTEMPT_BEGIN: {
        const int index = sim_job_index(s, &op->attempt.lease.job);
        const struct sim_row *row = &s->store.rows[index];
        if (op->attempt.lease.epoch != row->epoch_begun + 1)
            sim_fail(s, "%s: epoch %u follows %u", s->jobs[index].label, op->attempt.lease.epoch,
                     row->epoch_begun);
        if (op->attempt.lease.epoch >= SIM_EPOCHS_MAX)
            sim_fail(s, "%s: more attempts than any policy allows", s->jobs[index].label);
        return;
    }
    case CORE_OP_ATTEMPT_END: {
        const int index = sim_job_index(s, &op->attempt.lease.job);
        if (op->attempt.lease.epoch != s->store.rows[index].epoch_begun)
            sim_fail(s, "%s: an attempt ends that is not the latest", s->jobs[index].label);
        if (op->attempt.committed && s->store.rows[index].commits > 0)
            sim_fail(s, "%s commits twice", s->jobs[index].label);
        return;
    }
    case CORE_OP_BATCH: {
        const int index = sim_job_index(s, &op->batch.lease.job);
        const struct sim_attempt *attempt =
            &s->store.rows[index].attempts[op->batch.lease.epoch % SIM_EPOCHS_MAX];
        check_fence(s, &op->batch.lease, "a batch");
        if (op->batch.index != attempt->batches[op->batch.stream])
            sim_fail(s, "%s: batch %u is stored, %u was next", s->jobs[index].label,
                     op->batch.index, attempt->batches[op->batch.stream]);
        return;
    }
    case CORE_OP_EXPERIMENT:
    case CORE_OP_EXPERIMENT_CLASS:
    case CORE_OP_JOB_NEW:
    case CORE_OP_MEMBER:
    case CORE_OP_UNWANT:
    case CORE_OP_WORKER:
        return;
    }
}

/* "Durable before told": every message is compared with what the store holds when it leaves. */
void sim_check_send(struct sim *s, const struct msg *m)
{
    if (m->kind == MSG_ACK) {
        const struct sim_row *row = &s->store.rows[sim_job_index(s, &m->ack.lease.job)];
        if (m->ack.next > row->attempts[m->ack.lease.epoch % SIM_EPOCHS_MAX].batches[m->ack.stream])
            sim_fail(s, "batches are acknowledged that are not stored");
    } else if (m->kind == MSG_LEASE) {
        const struct sim_row *row = &s->store.rows[sim_job_index(s, &m->lease.lease.job)];
        s->counters.leases++;
        if (row->epoch_begun != m->lease.lease.epoch)
            sim_fail(s, "a lease leaves before its epoch is stored");
    } else if (m->kind == MSG_CHECKPOINT_ACK) {
        struct sim_row *row = &s->store.rows[sim_job_index(s, &m->checkpoint_ack.lease.job)];
        s->counters.checkpoints_acknowledged++;
        if (row->step_told < m->checkpoint_ack.step)
            row->step_told = m->checkpoint_ack.step;
    } else if (m->kind == MSG_RESULT_ACK) {
        const struct sim_row *row = &s->store.rows[sim_job_index(s, &m->result_ack.lease.job)];
        s->counters.results_acknowledged++;
        if (!row->attempts[m->result_ack.lease.epoch % SIM_EPOCHS_MAX].ended)
            sim_fail(s, "a result is acknowledged that is not stored");
    } else if (m->kind == MSG_REVOKE) {
        s->counters.revokes++;
    } else if (m->kind == MSG_NO_SESSION) {
        s->counters.no_sessions++;
    }
}

/* A lease starts at or after every checkpoint that was acknowledged before it began. */
void sim_check_lease(struct sim *s, const struct msg_lease *lease)
{
    const int index = sim_job_index(s, &lease->lease.job);
    const struct sim_row *row = &s->store.rows[index];
    if (lease->lease.epoch == row->epoch_begun && lease->resume_step < row->step_told &&
        !row->attempts[lease->lease.epoch % SIM_EPOCHS_MAX].ended &&
        row->attempts[lease->lease.epoch % SIM_EPOCHS_MAX].start_step < row->step_told)
        sim_fail(s, "%s: step %llu was acknowledged, the next attempt starts at %llu",
                 s->jobs[index].label, (unsigned long long)row->step_told,
                 (unsigned long long)lease->resume_step);
}

bool sim_is_quiet(const struct sim *s)
{
    for (int i = 0; i < s->job_count; i++)
        if (!s->store.rows[i].exists || !job_state_is_final(s->store.rows[i].state.state))
            return false;
    for (int i = 0; i < s->worker_count; i++)
        if (!s->workers[i].up || agent_held_count(s->workers[i].agent) > 0)
            return false;
    return s->server.up && !s->server.committing;
}

static void check_done_records(struct sim *s, int index)
{
    const struct sim_job *job = &s->jobs[index];
    const struct sim_row *row = &s->store.rows[index];
    const struct sim_attempt *attempt = &row->attempts[row->state.epoch % SIM_EPOCHS_MAX];
    bool seen[SIM_BATCHES_MAX * SIM_RECORDS_PER_BATCH] = {false};
    if (attempt->batches[STREAM_RECORDS] != job->batches)
        sim_fail(s, "%s is done with %u of %u batches", job->label,
                 attempt->batches[STREAM_RECORDS], job->batches);
    for (uint32_t b = 0; b < job->batches && !*s->failure; b++) {
        struct record records[SIM_RECORDS_PER_BATCH];
        uint32_t count = 0;
        if (records_decode(attempt->payloads[b].data, attempt->payloads[b].len, records,
                           SIM_RECORDS_PER_BATCH, &count, NULL) != ERR_OK)
            sim_fail(s, "%s: batch %u is damaged", job->label, b);
        for (uint32_t i = 0; i < count; i++) {
            if (records[i].sequence >= job->batches * SIM_RECORDS_PER_BATCH ||
                seen[records[i].sequence])
                sim_fail(s, "%s: record %u is there twice", job->label, records[i].sequence);
            else
                seen[records[i].sequence] = true;
        }
    }
}

void sim_check_end(struct sim *s)
{
    for (int i = 0; i < s->job_count && !*s->failure; i++) {
        const struct sim_job *job = &s->jobs[i];
        const struct sim_row *row = &s->store.rows[i];
        const enum job_state state = row->state.state;
        s->counters.jobs_done += state == JOB_DONE;
        s->counters.jobs_failed += state == JOB_FAILED;
        s->counters.jobs_cancelled += state == JOB_CANCELLED;
        s->counters.jobs_aborted += state == JOB_ABORTED;
        s->counters.jobs_quarantined += state == JOB_QUARANTINED;
        if (!job_state_is_final(state))
            sim_fail(s, "%s never ended: it is %s", job->label, job_state_name(state));
        else if (row->commits != (state == JOB_DONE))
            sim_fail(s, "%s is %s with %u commits", job->label, job_state_name(state),
                     row->commits);
        else if (state != JOB_DONE && row->reason[0] == '\0')
            sim_fail(s, "%s is %s and nobody says why", job->label, job_state_name(state));
        else if (state == JOB_DONE)
            check_done_records(s, i);
        for (int p = 0; p < job->parent_count && !*s->failure; p++)
            if (state == JOB_DONE && s->store.rows[job->parents[p]].state.state != JOB_DONE)
                sim_fail(s, "%s is done although a parent is not", job->label);
    }
    for (int i = 0; i < s->worker_count && !*s->failure; i++)
        if (agent_held_count(s->workers[i].agent) > 0)
            sim_fail(s, "%s still holds a lease", s->workers[i].name);
}
