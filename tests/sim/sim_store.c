/* What SQLite would hold: a turn's operations applied together, rows given back after a restart.
 * The artifact store is here too; its trees are durable on their own. */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "sim.h"

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
    ASSERT(s->store.tree_count < SIM_TREES_MAX);
    s->store.trees[s->store.tree_count++] = *tree;
}

bool sim_row_is_held(const struct sim_row *row)
{
    return row->exists && (row->state.state == JOB_LEASED || row->state.state == JOB_RUNNING);
}

bool sim_row_failed(const struct sim_row *row)
{
    return row->exists && job_state_is_final(row->state.state) && row->state.state != JOB_DONE;
}

/* Operations borrow their strings from the turn: copy them. */
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

static struct sim_row *row_of(struct sim *s, const struct digest *job)
{
    return &s->store.rows[sim_job_index(s, job)];
}

static struct sim_attempt *attempt_of(struct sim *s, const struct lease_key *lease)
{
    ASSERT(lease->epoch < SIM_EPOCHS_MAX); /* sim_check.c has looked */
    return &row_of(s, &lease->job)->attempts[lease->epoch];
}

int sim_name_index(const struct sim *s, const char *name)
{
    int index = 0;
    while (strcmp(s->workers[index].name, name) != 0)
        index++;
    return index;
}

static void begin_attempt(struct sim *s, const struct core_op_attempt *op)
{
    struct sim_attempt *attempt = attempt_of(s, &op->lease);
    attempt->begun = true;
    attempt->start_step = op->start_step;
    attempt->name_index = sim_name_index(s, op->worker);
    row_of(s, &op->lease.job)->epoch_begun = op->lease.epoch;
    s->counters.leases_begun++;
}

static void end_attempt(struct sim *s, const struct core_op_attempt *op)
{
    struct sim_attempt *attempt = attempt_of(s, &op->lease);
    const struct digest reason = hash_bytes(op->reason, strlen(op->reason));
    attempt->ended = true;
    attempt->outcome = op->outcome;
    attempt->committed = op->committed;
    memcpy(&attempt->reason_digest, reason.bytes, sizeof attempt->reason_digest);
    row_of(s, &op->lease.job)->commits += op->committed;
    s->counters.attempts_lost += op->outcome == OUTCOME_LOST;
    s->counters.attempts_cancelled += op->outcome == OUTCOME_CANCELLED;
    s->counters.attempts_timed_out += op->outcome == OUTCOME_TIMEOUT;
    s->counters.attempts_preempted += op->outcome == OUTCOME_PREEMPTED;
    s->counters.results_invalid += strncmp(op->reason, "invalid: ", 9) == 0;
}

static int job_of_order(const struct sim *s, uint64_t order)
{
    for (int i = 0; i < s->job_count; i++)
        if (s->store.rows[i].state.order == order)
            return i;
    UNREACHABLE("an operation about a job that is not stored");
}

static void apply(struct sim *s, const struct core_op *op)
{
    struct sim_store *store = &s->store;
    switch (op->kind) {
    case CORE_OP_EXPERIMENT:
        store->experiments[sim_experiment_index(op->experiment.name)].exists = true;
        return;
    case CORE_OP_EXPERIMENT_CLASS:
        snprintf(store->experiments[sim_experiment_index(op->experiment.name)].numeric_class,
                 sizeof store->experiments->numeric_class, "%s", op->experiment.numeric_class);
        return;
    case CORE_OP_JOB_NEW: {
        struct sim_row *row = row_of(s, &op->job_new.job->identity);
        row->state.order = op->job_new.order;
        return;
    }
    case CORE_OP_JOB_TERMS:
        row_of(s, &op->job_new.job->identity)->priority = op->job_new.job->priority;
        return;
    case CORE_OP_MEMBER: {
        const int experiment = sim_experiment_index(op->member.experiment);
        struct sim_row *row = &store->rows[job_of_order(s, op->member.order)];
        row->wanted[experiment] = true;
        if (op->member.queues)
            row->experiment = experiment;
        return;
    }
    case CORE_OP_UNWANT:
        for (int i = 0; i < s->job_count; i++)
            store->rows[i].wanted[sim_experiment_index(op->member.experiment)] = false;
        return;
    case CORE_OP_JOB:
        keep_state(row_of(s, &op->job.state.identity), &op->job.state);
        if (op->job.state.order > store->order_max)
            store->order_max = op->job.state.order;
        return;
    case CORE_OP_ATTEMPT_BEGIN:
        begin_attempt(s, &op->attempt);
        return;
    case CORE_OP_ATTEMPT_END:
        end_attempt(s, &op->attempt);
        return;
    case CORE_OP_BATCH:
        attempt_of(s, &op->batch.lease)->batches[op->batch.stream] = op->batch.index + 1;
        return;
    case CORE_OP_EXPERIMENT_STATE: {
        struct sim_experiment *e = &store->experiments[sim_experiment_index(op->experiment.name)];
        e->paused = op->experiment.paused;
        e->priority = op->experiment.priority;
        return;
    }
    case CORE_OP_JOB_PRIORITY:
        store->rows[job_of_order(s, op->priority.order)].priority = op->priority.priority;
        return;
    case CORE_OP_HOST:
        for (int i = 0; i < s->worker_count; i++)
            if (strcmp(s->workers[i].host, op->host.name) == 0)
                snprintf(store->quarantine[s->workers[i].name_index], sizeof *store->quarantine,
                         "%s", op->host.quarantined ? op->host.reason : "");
        s->counters.hosts_quarantined += op->host.quarantined;
        s->counters.hosts_released += !op->host.quarantined;
        return;
    case CORE_OP_WORKER:
        store->instances[sim_name_index(s, op->worker.name)] = op->worker.instance;
        return;
    }
}

void sim_store_apply(struct sim *s, const struct core_output *out)
{
    for (size_t i = 0; i < out->op_count && !*s->failure; i++) {
        sim_trace_op(s, &out->ops[i]);
        sim_check_op(s, &out->ops[i]);
        if (!*s->failure)
            apply(s, &out->ops[i]);
    }
    if (!*s->failure)
        sim_check_store(s, out);
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
        parents[p] = (struct core_parent){.name = sim_parent_name(job, p),
                                          .identity = s->jobs[job->parents[p]].identity,
                                          .state = parent->state.state,
                                          .artifact = parent->state.artifact};
    }
    const char **wanted_by = arena_array(arena, SIM_EXPERIMENTS, sizeof *wanted_by);
    size_t wanted_count = 0;
    for (int e = 0; e < SIM_EXPERIMENTS; e++)
        if (row->wanted[e])
            wanted_by[wanted_count++] = sim_experiment_name(e);
    *out = (struct core_job_row){.state = row->state,
                                 .wanted_by = wanted_by,
                                 .wanted_count = wanted_count,
                                 .experiment = sim_experiment_name(row->experiment),
                                 .kind = job->kind,
                                 .threads = job->threads,
                                 .memory_bytes = job->memory_bytes,
                                 .priority = row->priority,
                                 .retry = job->retry,
                                 .labels = job->labels,
                                 .time_limit_s = job->time_limit_s,
                                 .items_expected = job->items_are_planned ? sim_items_of(job) : 0,
                                 .parents = parents,
                                 .parent_count = (size_t)job->parent_count};
    memcpy(out->next, row->attempts[row->state.epoch].batches, sizeof out->next);
}

/* Every stored batch was compared with the plan's bytes, so the plan can give them back. */
static void load_job(struct sim *s, struct core *core, int index)
{
    struct arena arena = {0};
    struct err err;
    struct core_job_row row;
    const struct sim_job *job = &s->jobs[index];
    sim_store_job_row(s, index, &arena, &row);
    if (core_load_job(core, &row, &err) != ERR_OK)
        sim_fail(s, "load job %s: %s", job->label, err.text);
    const bool held = sim_row_is_held(&s->store.rows[index]);
    for (uint32_t b = 0; held && b < row.next[STREAM_RECORDS]; b++) {
        const struct bytes payload = {(const uint8_t *)job->payloads[b].data, job->payloads[b].len};
        if (core_load_records(core, &job->identity, payload, SIM_RECORDS_PER_BATCH, &err) != ERR_OK)
            sim_fail(s, "load records of %s: %s", job->label, err.text);
    }
    arena_release(&arena);
}

void sim_store_load(struct sim *s, struct core *core)
{
    struct err err;
    core_load_order(core, s->store.order_max);
    for (int e = 0; e < SIM_EXPERIMENTS; e++)
        if (s->store.experiments[e].exists)
            core_load_experiment(core, sim_experiment_name(e),
                                 s->store.experiments[e].numeric_class,
                                 s->store.experiments[e].paused, s->store.experiments[e].priority);
    for (int i = 0; i < s->worker_count; i++)
        if (*s->store.quarantine[s->workers[i].name_index])
            core_load_host(core, s->workers[i].host, s->store.quarantine[s->workers[i].name_index]);
    for (int i = 0; i < s->job_count; i++) {
        const struct sim_row *row = &s->store.rows[i];
        if (sim_row_is_held(row)) {
            const int name_index = row->attempts[row->state.epoch].name_index;
            core_load_worker(core, row->worker, s->workers[name_index].host,
                             &s->store.instances[name_index]);
        }
    }
    for (int i = 0; i < s->job_count; i++)
        if (s->store.rows[i].exists && !job_state_is_final(s->store.rows[i].state.state))
            load_job(s, core, i);
    if (core_load_finish(core, sim_server_clock_ms(s), &err) != ERR_OK)
        sim_fail(s, "finish loading: %s", err.text);
}
