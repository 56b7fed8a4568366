#include <stdio.h>
#include <string.h>

#include "check.h"
#include "records.h"
#include "sim.h"

static const char experiment[] = "sim";

bool sim_store_has_tree(const struct sim *s, const struct digest *tree)
{
    for (size_t i = 0; i < s->store.tree_count; i++)
        if (digest_equal(&s->store.trees[i], tree))
            return true;
    return false;
}

void sim_store_add_tree(struct sim *s, const struct digest *tree)
{
    if (sim_store_has_tree(s, tree))
        return;
    ASSERT(s->store.tree_count < ARRAY_COUNT(s->store.trees));
    s->store.trees[s->store.tree_count++] = *tree;
}

/* Copy a row's strings: ops borrow theirs from the step. */
static void keep_state(struct sim_row *row, const struct core_job_state *state)
{
    snprintf(row->reason, sizeof row->reason, "%s", state->reason);
    snprintf(row->worker, sizeof row->worker, "%s", state->worker);
    snprintf(row->numeric_class, sizeof row->numeric_class, "%s", state->numeric_class);
    row->state = *state;
    row->state.reason = row->reason;
    row->state.worker = row->worker;
    row->state.numeric_class = row->numeric_class;
    row->exists = true;
}

static void apply_batch(struct sim *s, const struct core_op_batch *op)
{
    struct sim_row *row = &s->store.rows[sim_job_index(s, &op->lease.job)];
    struct sim_attempt *attempt = &row->attempts[op->lease.epoch % SIM_EPOCHS_MAX];
    if (op->stream == STREAM_RECORDS && op->index < SIM_BATCHES_MAX) {
        strbuf_clear(&attempt->payloads[op->index]);
        strbuf_append(&attempt->payloads[op->index], op->payload.data, op->payload.len);
    }
    attempt->batches[op->stream] = op->index + 1;
}

static void apply(struct sim *s, const struct core_op *op)
{
    switch (op->kind) {
    case CORE_OP_EXPERIMENT:
        s->store.experiment_exists = true;
        return;
    case CORE_OP_EXPERIMENT_CLASS:
        snprintf(s->store.numeric_class, sizeof s->store.numeric_class, "%s",
                 op->experiment.numeric_class);
        return;
    case CORE_OP_JOB: {
        struct sim_row *row = &s->store.rows[sim_job_index(s, &op->job.state.identity)];
        keep_state(row, &op->job.state);
        if (op->job.state.order > s->store.order_max)
            s->store.order_max = op->job.state.order;
        return;
    }
    case CORE_OP_ATTEMPT_BEGIN: {
        struct sim_row *row = &s->store.rows[sim_job_index(s, &op->attempt.lease.job)];
        struct sim_attempt *attempt = &row->attempts[op->attempt.lease.epoch % SIM_EPOCHS_MAX];
        attempt->begun = true;
        attempt->start_step = op->attempt.start_step;
        row->epoch_begun = op->attempt.lease.epoch;
        return;
    }
    case CORE_OP_ATTEMPT_END: {
        struct sim_row *row = &s->store.rows[sim_job_index(s, &op->attempt.lease.job)];
        struct sim_attempt *attempt = &row->attempts[op->attempt.lease.epoch % SIM_EPOCHS_MAX];
        attempt->ended = true;
        attempt->outcome = op->attempt.outcome;
        attempt->committed = op->attempt.committed;
        row->commits += op->attempt.committed;
        s->counters.attempts_lost += op->attempt.outcome == OUTCOME_LOST;
        return;
    }
    case CORE_OP_BATCH:
        apply_batch(s, &op->batch);
        return;
    case CORE_OP_JOB_NEW:
    case CORE_OP_MEMBER:
    case CORE_OP_UNWANT:
    case CORE_OP_WORKER:
        return;
    }
}

void sim_store_apply(struct sim *s, const struct core_output *out)
{
    for (size_t i = 0; i < out->op_count && !*s->failure; i++) {
        sim_check_op(s, &out->ops[i]);
        apply(s, &out->ops[i]);
    }
}

void sim_store_job_row(const struct sim *s, int index, struct arena *arena,
                       struct core_job_row *out)
{
    const struct sim_job *job = &s->jobs[index];
    const struct sim_row *row = &s->store.rows[index];
    struct core_parent *parents =
        arena_array(arena, (size_t)job->parent_count + 1, sizeof *parents);
    for (int p = 0; p < job->parent_count; p++) {
        const struct sim_row *parent = &s->store.rows[job->parents[p]];
        parents[p] = (struct core_parent){.name = p == 0 ? "start" : "embeddings_from",
                                          .identity = s->jobs[job->parents[p]].identity,
                                          .state = parent->state.state,
                                          .artifact = parent->state.artifact};
    }
    *out = (struct core_job_row){.state = row->state,
                                 .experiment = experiment,
                                 .kind = job->kind,
                                 .threads = job->threads,
                                 .items_expected = (uint64_t)job->batches * SIM_RECORDS_PER_BATCH,
                                 .parents = parents,
                                 .parent_count = (size_t)job->parent_count};
    const struct sim_attempt *attempt = &row->attempts[row->state.epoch % SIM_EPOCHS_MAX];
    memcpy(out->next, attempt->batches, sizeof out->next);
}

static void load_job(struct sim *s, struct core *core, int index)
{
    struct arena arena = {0};
    struct err err;
    struct core_job_row row;
    sim_store_job_row(s, index, &arena, &row);
    if (core_load_job(core, &row, &err) != ERR_OK)
        sim_fail(s, "load job %s: %s", s->jobs[index].label, err.text);
    const struct sim_row *stored = &s->store.rows[index];
    const struct sim_attempt *attempt = &stored->attempts[stored->state.epoch % SIM_EPOCHS_MAX];
    const bool held = row.state.state == JOB_LEASED || row.state.state == JOB_RUNNING;
    for (uint32_t b = 0; held && b < attempt->batches[STREAM_RECORDS]; b++) {
        struct bytes payload = {(const uint8_t *)attempt->payloads[b].data,
                                attempt->payloads[b].len};
        if (core_load_records(core, &s->jobs[index].identity, payload, SIM_RECORDS_PER_BATCH,
                              &err) != ERR_OK)
            sim_fail(s, "load records of %s: %s", s->jobs[index].label, err.text);
    }
    arena_release(&arena);
}

void sim_store_load(struct sim *s, struct core *core)
{
    struct err err;
    core_load_order(core, s->store.order_max);
    if (s->store.experiment_exists)
        core_load_experiment(core, experiment, s->store.numeric_class);
    for (int i = 0; i < s->job_count; i++)
        if (s->store.rows[i].exists && !job_state_is_final(s->store.rows[i].state.state))
            load_job(s, core, i);
    if (core_load_finish(core, s->now_ms, &err) != ERR_OK)
        sim_fail(s, "finish loading: %s", err.text);
}

void sim_store_free(struct sim *s)
{
    for (int i = 0; i < SIM_JOBS_MAX; i++)
        for (int e = 0; e < SIM_EPOCHS_MAX; e++)
            for (int b = 0; b < SIM_BATCHES_MAX; b++)
                strbuf_release(&s->store.rows[i].attempts[e].payloads[b]);
}
