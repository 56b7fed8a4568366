#include "core_plan.h"

#include <string.h>

#include "check.h"
#include "claim.h"
#include "core_memory.h"
#include "job.h"

struct experiment *plan_experiment(struct core *core, const char *name)
{
    struct digest key = digest_of_text(name);
    struct experiment *experiment = digest_map_get(&core->experiments, &key);
    if (experiment != NULL) {
        return experiment;
    }
    experiment = core_memory_array(1, sizeof *experiment);
    experiment->name = core_memory_text(name);
    experiment->numeric_class = core_memory_text("");
    experiment->number = core->experiment_count;
    core->experiment_list = core_memory_grow(core->experiment_list, core->experiment_count + 1,
                                             sizeof(struct experiment *));
    core->experiment_list[core->experiment_count++] = experiment;
    digest_map_put(&core->experiments, &key, experiment);
    return experiment;
}

/* ---- submission ---- */

/* What a submission finds of each of its jobs. */
enum fate { FATE_NEW, FATE_SHARED, FATE_REUSED, FATE_REQUEUED };

struct submission {
    const struct core_submit *submit;
    struct digest_map planned; /* identity → 1 + index of the job in the plan */
    struct digest_map finals;  /* identity → struct core_job_row */
    size_t counts[4];          /* by fate */
};

static const struct core_job_row *final_row(const struct submission *s, const struct digest *job)
{
    return digest_map_get(&s->finals, job);
}

/* Where the parents may be found: in this plan, in memory, or among the final rows. */
static enum err_code check_parents(const struct core *core, const struct submission *s,
                                   const struct submit_job *job, struct err *err)
{
    for (size_t i = 0; i < job->parent_count; i++) {
        const struct digest *parent = &job->parents[i].digest;
        if (digest_map_get(&s->planned, parent) == NULL &&
            digest_map_get(&core->jobs, parent) == NULL && final_row(s, parent) == NULL) {
            char hex[DIGEST_HEX_SIZE];
            return err_set(err, ERR_INVALID,
                           "job '%s': its parent '%s' (%.12s) is neither in this plan nor known",
                           job->label, job->parents[i].name, digest_hex(parent, hex));
        }
    }
    return ERR_OK;
}

static enum err_code check_jobs(const struct core *core, struct submission *s, struct err *err)
{
    const struct core_submit *submit = s->submit;
    for (size_t i = 0; i < submit->job_count; i++) {
        const struct submit_job *job = &submit->jobs[i];
        if (digest_is_none(&job->identity) || job->parent_count > JOB_PARENTS_MAX) {
            return err_set(err, ERR_INVALID, "job '%s' has no identity or too many parents",
                           job->label);
        }
        if (digest_map_get(&s->planned, &job->identity) != NULL) {
            return err_set(err, ERR_INVALID, "job '%s' is in the plan twice", job->label);
        }
        digest_map_put(&s->planned, &job->identity, (void *)(uintptr_t)(i + 1));
    }
    for (size_t i = 0; i < submit->job_count && !(submit->is_part && submit->dry_run); i++) {
        enum err_code code = check_parents(core, s, &submit->jobs[i], err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

/* Index of a planned parent, or SIZE_MAX. */
static size_t planned_index(const struct submission *s, const struct digest *parent)
{
    uintptr_t found = (uintptr_t)digest_map_get(&s->planned, parent);
    return found == 0 ? SIZE_MAX : (size_t)found - 1;
}

/* Identities contain the parents' identities, so an honest plan cannot go round in circles; a
 * broken one would wait for ever. Kahn's algorithm over child counts: strike out jobs nobody in the
 * plan still needs until none is left. */
static enum err_code check_acyclic(struct core *core, const struct submission *s, struct err *err)
{
    const struct core_submit *submit = s->submit;
    size_t count = submit->job_count;
    size_t *needed_by = arena_array(core->out->arena, count, sizeof *needed_by);
    size_t *queue = arena_array(core->out->arena, count, sizeof *queue);
    for (size_t i = 0; i < count; i++) {
        for (size_t p = 0; p < submit->jobs[i].parent_count; p++) {
            size_t parent = planned_index(s, &submit->jobs[i].parents[p].digest);
            if (parent != SIZE_MAX) {
                needed_by[parent]++;
            }
        }
    }
    size_t queued = 0;
    for (size_t i = 0; i < count; i++) {
        if (needed_by[i] == 0) {
            queue[queued++] = i;
        }
    }
    for (size_t done = 0; done < queued; done++) {
        const struct submit_job *job = &submit->jobs[queue[done]];
        for (size_t p = 0; p < job->parent_count; p++) {
            size_t parent = planned_index(s, &job->parents[p].digest);
            if (parent != SIZE_MAX && --needed_by[parent] == 0) {
                queue[queued++] = parent;
            }
        }
    }
    return queued == count
               ? ERR_OK
               : err_set(err, ERR_INVALID, "the plan's jobs need one another in a circle");
}

static enum fate fate_of(const struct core *core, const struct submission *s,
                         const struct submit_job *job)
{
    if (digest_map_get(&core->jobs, &job->identity) != NULL) {
        return FATE_SHARED;
    }
    const struct core_job_row *row = final_row(s, &job->identity);
    if (row == NULL) {
        return FATE_NEW;
    }
    bool stays = row->state.state == JOB_DONE || row->state.state == JOB_QUARANTINED;
    return stays ? FATE_REUSED : FATE_REQUEUED;
}

/* The row from which a planned job starts to wait; what a former life left behind is kept as far
 * as it still holds: place, epoch, checkpoint. */
static struct core_job_row waiting_row(struct core *core, const struct submission *s,
                                       const struct submit_job *job)
{
    struct core_parent *parents = arena_array(core->out->arena, job->parent_count, sizeof *parents);
    for (size_t i = 0; i < job->parent_count; i++) {
        const struct core_job_row *known = final_row(s, &job->parents[i].digest);
        parents[i] = (struct core_parent){
            .name = job->parents[i].name, .identity = job->parents[i].digest, .state = JOB_WAITING};
        if (known != NULL) {
            parents[i].state = known->state.state;
            parents[i].artifact = known->state.artifact;
        }
    }
    struct core_job_row row = {
        .state = {.identity = job->identity,
                  .attempts_max = job->attempts_max == 0 ? 1 : job->attempts_max,
                  .submitted_ms = core->event->time_ms},
        .kind = job->kind,
        .threads = job->threads == 0 ? 1 : job->threads,
        .memory_bytes = job->memory_bytes,
        .items_expected = job->items_expected,
        .priority = job->priority,
        .retry = job->retry,
        .labels = job->labels,
        .time_limit_s = job->time_limit_s,
        .ranks = job->ranks,
        .parents = parents,
        .parent_count = job->parent_count,
    };
    const struct core_job_row *former = final_row(s, &job->identity);
    if (former != NULL) {
        row.experiment = former->experiment;
        row.wanted_by = former->wanted_by;
        row.wanted_count = former->wanted_count;
        row.state.order = former->state.order;
        row.state.epoch = former->state.epoch;
        row.state.resume = former->state.resume;
        row.state.resume_step = former->state.resume_step;
    } else {
        row.state.order = ++core->order_last;
    }
    return row;
}

void plan_add_member(struct core *core, const struct experiment *experiment, uint64_t order,
                     bool queues)
{
    struct core_op *op = output_op(core, CORE_OP_MEMBER);
    op->member =
        (struct core_op_member){.experiment = experiment->name, .order = order, .queues = queues};
}

static void add_job(struct core *core, const struct submission *s, const struct submit_job *job,
                    enum fate fate, struct experiment *experiment)
{
    if (fate == FATE_SHARED) {
        struct job *known = digest_map_get(&core->jobs, &job->identity);
        job_set_claim(core, known, claim_with(core, known->claim, experiment));
        plan_add_member(core, experiment, known->order, false);
        return;
    }
    if (fate == FATE_REUSED) {
        plan_add_member(core, experiment, final_row(s, &job->identity)->state.order, false);
        return;
    }
    struct core_job_row row = waiting_row(core, s, job);
    const struct claim *claim =
        fate == FATE_NEW ? claim_alone(core, experiment) : claim_of_row(core, &row, experiment);
    struct job *queued = job_new(core, &row, claim_with(core, claim, experiment));
    ASSERT(queued != NULL);
    struct core_op *op = output_op(core, fate == FATE_NEW ? CORE_OP_JOB_NEW : CORE_OP_JOB_TERMS);
    op->job_new = (struct core_op_job_new){.order = queued->order, .job = job};
    plan_add_member(core, experiment, queued->order, true);
    job_changed(core, queued);
}

void plan_start_waiting(struct core *core, struct job *job)
{
    const struct parent_link *missing = NULL;
    bool linked = job_link(core, job, &missing);
    ASSERT(linked);
    const struct parent_link *bad = job_unsuccessful_parent(job);
    if (bad != NULL) {
        job_finish(core, job, JOB_ABORTED, job_abort_reason(core, bad));
    } else {
        job_settle(core, job);
    }
}

static void apply(struct core *core, struct submission *s, const enum fate *fates)
{
    const struct core_submit *submit = s->submit;
    struct experiment *experiment = plan_experiment(core, submit->experiment);
    output_reserve(core, 3 * submit->job_count + 1);
    if (submit->before == NULL) {
        struct core_op *op = output_op(core, CORE_OP_EXPERIMENT);
        op->experiment = (struct core_op_experiment){.name = submit->experiment,
                                                     .manifest = submit->manifest,
                                                     .plan_json = submit->plan_json};
    }
    for (size_t i = 0; i < submit->job_count; i++) {
        add_job(core, s, &submit->jobs[i], fates[i], experiment);
    }
    for (size_t i = 0; i < submit->job_count; i++) {
        if (fates[i] == FATE_NEW || fates[i] == FATE_REQUEUED) {
            plan_start_waiting(core, digest_map_get(&core->jobs, &submit->jobs[i].identity));
        }
    }
}

/* The answer, or what the driver is told of a part. */
static void answer(struct core *core, const struct submission *s)
{
    const struct core_submit *submit = s->submit;
    static const struct msg_submitted none = {0};
    const struct msg_submitted *before = submit->before != NULL ? submit->before : &none;
    const struct msg_submitted counts = {
        .request = submit->request,
        .jobs_new = before->jobs_new + s->counts[FATE_NEW],
        .jobs_reused = before->jobs_reused + s->counts[FATE_REUSED],
        .jobs_requeued = before->jobs_requeued + s->counts[FATE_REQUEUED],
        .jobs_running = before->jobs_running + s->counts[FATE_SHARED]};
    core->out->submitted = counts;
    if (!submit->is_part) {
        output_send(core, core->event->peer, MSG_SUBMITTED)->submitted = counts;
    }
}

static void refuse(struct core *core, const struct core_submit *submit, const struct err *err)
{
    core->out->submit_refused = output_text(core, err->text);
    if (!submit->is_part) {
        output_error(core, submit->request, err->code, core->out->submit_refused);
    }
}

void plan_submit(struct core *core, const struct core_submit *submit)
{
    struct err err;
    struct submission s = {.submit = submit};
    core->out->submit_refused = NULL;
    for (size_t i = 0; i < submit->final_count; i++) {
        /* Const is cast away to sit in the table; nobody writes through it. */
        digest_map_put(&s.finals, &submit->finals[i].state.identity,
                       (void *)(uintptr_t)&submit->finals[i]);
    }
    enum err_code code = *submit->experiment == '\0'
                             ? err_set(&err, ERR_INVALID, "the experiment has no name")
                             : check_jobs(core, &s, &err);
    if (code == ERR_OK) {
        code = check_acyclic(core, &s, &err);
    }
    if (code != ERR_OK) {
        refuse(core, submit, &err);
        goto done;
    }
    enum fate *fates = arena_array(core->out->arena, submit->job_count, sizeof *fates);
    for (size_t i = 0; i < submit->job_count; i++) {
        fates[i] = fate_of(core, &s, &submit->jobs[i]);
        s.counts[fates[i]]++;
    }
    if (!submit->dry_run) {
        apply(core, &s, fates);
    }
    answer(core, &s);
done:
    digest_map_release(&s.planned);
    digest_map_release(&s.finals);
}
