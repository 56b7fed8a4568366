#include "core_act.h"

#include <string.h>

#include "check.h"
#include "claim.h"
#include "core_plan.h"
#include "job.h"
#include "lease.h"
#include "ready.h"
#include "session.h"

static void answer_ok(struct core *core, uint64_t request, uint64_t count)
{
    struct msg *m = output_send(core, core->event->peer, MSG_OK);
    m->ok = (struct msg_ok){.request = request, .count = count};
}

/* Of an act on a part of an experiment: where the next one begins. */
static void answer_part(struct core *core, const struct core_act *act, uint64_t count)
{
    struct msg *m = output_send(core, core->event->peer, MSG_OK);
    m->ok = (struct msg_ok){.request = act->request, .count = count, .next = act->span.last};
}

void act_cancel(struct core *core, const struct core_act *act)
{
    const char *reason = *act->reason == '\0' ? "cancelled by a person"
                                              : output_printf(core, "cancelled: %s", act->reason);
    if (*act->experiment != '\0') {
        output_op(core, CORE_OP_UNWANT)->member =
            (struct core_op_member){.experiment = act->experiment, .span = act->span};
        if (act->span.last == 0) { /* of what is shared; until its last part it may share on */
            claim_forget(core, plan_experiment(core, act->experiment));
        }
    }
    uint64_t count = 0;
    for (size_t i = 0; i < act->job_count; i++) {
        struct job *job = digest_map_get(&core->jobs, &act->jobs[i]);
        if (job == NULL || job_state_is_final(job->state)) {
            continue; /* ended meanwhile, or aborted by a parent cancelled just now */
        }
        if (job->attempt != NULL) {
            count += lease_cancel(core, job, reason);
        } else {
            count += job_finish(core, job, JOB_CANCELLED, reason);
        }
    }
    answer_part(core, act, count);
}

/* Refuse a retry that could only be aborted again. */
static bool retry_is_possible(struct core *core, const struct core_act *act,
                              const struct digest_map *rows)
{
    for (size_t i = 0; i < act->row_count; i++) {
        for (size_t p = 0; p < act->rows[i].parent_count; p++) {
            const struct core_parent *parent = &act->rows[i].parents[p];
            if (parent->state == JOB_DONE ||
                digest_map_get(&core->jobs, &parent->identity) != NULL ||
                digest_map_get(rows, &parent->identity) != NULL) {
                continue;
            }
            char hex[DIGEST_HEX_SIZE];
            output_error(core, act->request, ERR_CONFLICT,
                         output_printf(core, "its parent '%s' (%.12s) is %s: retry that one first",
                                       parent->name, digest_hex(&parent->identity, hex),
                                       job_state_name(parent->state)));
            return false;
        }
    }
    return true;
}

void act_retry(struct core *core, const struct core_act *act)
{
    struct digest_map rows = {0};
    for (size_t i = 0; i < act->row_count; i++) {
        digest_map_put(&rows, &act->rows[i].state.identity, (void *)(uintptr_t)&act->rows[i]);
    }
    if (!retry_is_possible(core, act, &rows)) {
        goto done;
    }
    uint64_t count = 0;
    for (size_t i = 0; i < act->row_count; i++) {
        struct core_job_row row = act->rows[i];
        if (!job_may_follow(row.state.state, JOB_WAITING)) {
            continue; /* a done job is not done again */
        }
        row.state.state = JOB_WAITING;
        row.state.attempts_spent = row.state.attempts_free = 0;
        row.state.failure_digest = row.state.failure_worker = row.state.failures = 0;
        struct experiment *queued_by = plan_experiment(core, row.experiment);
        struct job *job = job_new(core, &row, claim_of_row(core, &row, queued_by));
        if (job == NULL) {
            continue;
        }
        if (row.wanted_by != NULL && row.wanted_count == 0) {
            plan_add_member(core, queued_by, job->order, false); /* somebody wants it again */
        }
        job_changed(core, job);
        count++;
    }
    for (size_t i = 0; i < act->row_count; i++) {
        struct job *job = digest_map_get(&core->jobs, &act->rows[i].state.identity);
        if (job != NULL && job->changed) {
            plan_start_waiting(core, job);
        }
    }
    answer_part(core, act, count);
done:
    digest_map_release(&rows);
}

/* ---- experiments and priorities ---- */

static void write_experiment_state(struct core *core, const struct experiment *experiment)
{
    struct core_op *op = output_op(core, CORE_OP_EXPERIMENT_STATE);
    op->experiment = (struct core_op_experiment){.name = output_text(core, experiment->name),
                                                 .paused = experiment->paused,
                                                 .priority = experiment->priority};
}

/* NULL after an error has been answered. */
static struct experiment *need_experiment(struct core *core, const struct core_act *act)
{
    struct digest key = digest_of_text(act->experiment);
    struct experiment *experiment = digest_map_get(&core->experiments, &key);
    if (experiment == NULL) {
        output_error(core, act->request, ERR_NOT_FOUND,
                     output_printf(core, "no experiment is called '%s'", act->experiment));
    }
    return experiment;
}

void act_pause(struct core *core, const struct core_act *act, bool paused)
{
    struct experiment *experiment = need_experiment(core, act);
    if (experiment == NULL) {
        return;
    }
    const bool changes = experiment->paused != paused;
    experiment->paused = paused;
    core->dispatch_wanted = true;
    if (changes) {
        write_experiment_state(core, experiment);
    }
    answer_ok(core, act->request, changes);
}

static void set_priority(struct core *core, struct job *job, int32_t priority)
{
    struct core_op *op = output_op(core, CORE_OP_JOB_PRIORITY);
    op->priority = (struct core_op_priority){.order = job->order, .priority = priority};
    const bool is_ready = job->shape != NULL;
    if (is_ready) {
        ready_remove(core, job); /* its place there depends on the priority */
    }
    job->priority = priority;
    if (is_ready) {
        ready_insert(core, job);
    }
}

void act_priority(struct core *core, const struct core_act *act)
{
    uint64_t count = 0;
    if (*act->experiment != '\0') {
        struct experiment *experiment = need_experiment(core, act);
        if (experiment == NULL) {
            return;
        }
        experiment->priority = act->priority;
        write_experiment_state(core, experiment);
        count = 1;
    }
    for (size_t i = 0; i < act->job_count; i++) {
        struct job *job = digest_map_get(&core->jobs, &act->jobs[i]);
        if (job != NULL && !job_state_is_final(job->state)) {
            set_priority(core, job, act->priority);
            count++;
        }
    }
    core->dispatch_wanted = true;
    answer_ok(core, act->request, count);
}

/* ---- workers ---- */

void act_drain(struct core *core, const struct core_drain *drain)
{
    if (!session_drain(core, drain)) {
        output_error(core, drain->request, ERR_NOT_FOUND,
                     output_printf(core, "no worker is called '%s'", drain->worker));
        return;
    }
    answer_ok(core, drain->request, 1);
}
