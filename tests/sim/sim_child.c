/* Child processes: they train and evaluate, crash, hang, run out of memory, and hear signals. */
#include <string.h>

#include "check.h"
#include "sim.h"

#define METRICS_STEPS 5 /* training makes a batch of metrics that often */

static struct sim_child *child_find(struct sim_worker *w, uint32_t id)
{
    for (int i = 0; i < SIM_CHILDREN_MAX; i++)
        if (w->children[i].used && w->children[i].id == id)
            return &w->children[i];
    return NULL;
}

static struct sim_child *child_new(struct sim_worker *w, uint32_t id)
{
    for (int i = 0; i < SIM_CHILDREN_MAX; i++)
        if (!w->children[i].used) {
            w->children[i] = (struct sim_child){.used = true, .id = id};
            return &w->children[i];
        }
    UNREACHABLE("more children than threads allow");
}

static void schedule(struct sim *s, const struct sim_worker *w, const struct sim_child *child,
                     enum sim_event_kind kind, int64_t delay_ms)
{
    sim_schedule(s, delay_ms,
                 (struct sim_event){.kind = kind,
                                    .worker = w->index,
                                    .incarnation = w->incarnation,
                                    .child = child->id,
                                    .generation = child->generation});
}

static void check_threads(struct sim *s, const struct sim_worker *w)
{
    uint32_t threads = 0;
    for (int i = 0; i < SIM_CHILDREN_MAX; i++)
        if (w->children[i].used && w->children[i].busy)
            threads += s->jobs[w->children[i].job].threads;
    if (threads > w->threads)
        sim_fail(s, "%s runs children of %u threads on %u", w->name, threads, w->threads);
}

void sim_child_run(struct sim *s, struct sim_worker *w, const struct agent_action *action)
{
    struct sim_child *child =
        action->fresh ? child_new(w, action->child) : child_find(w, action->child);
    if (!child || child->busy) {
        sim_fail(s, "%s gives a job to a child that is %s", w->name, child ? "busy" : "dead");
        return;
    }
    const uint64_t resume_step = action->job->resume_step;
    s->counters.children_reused_warm += !action->fresh;
    s->counters.resumed_above_zero += resume_step > 0;
    *child = (struct sim_child){.used = true,
                                .busy = true,
                                .id = action->child,
                                .lease = action->lease,
                                .job = sim_job_index(s, &action->lease.job),
                                .resume_step = resume_step,
                                .step = resume_step,
                                .generation = child->generation + 1};
    check_threads(s, w);
    schedule(s, w, child, SIM_CHILD, action->fresh ? sim_between(s, 50, 800) : 5);
}

/* SIGTERM lets it write a checkpoint first, unless it hangs; SIGKILL does not ask. */
void sim_child_signal(struct sim *s, struct sim_worker *w, uint32_t id, bool hard)
{
    const struct sim_child *child = child_find(w, id);
    if (!child)
        return;
    s->counters.child_kills_hard += hard;
    if (hard)
        schedule(s, w, child, SIM_CHILD_EXIT, 1);
    else if (!child->hung)
        schedule(s, w, child, SIM_CHILD_STOP, sim_between(s, 1, 2000));
}

/* ---- what it tells its agent ---- */

static bool lies(const struct sim_job *job, enum sim_lie lie)
{
    return job->nature == NATURE_LIES && job->lie == lie;
}

static void tell_end(struct sim *s, struct sim_worker *w, struct sim_child *child,
                     enum outcome outcome, const char *reason)
{
    const struct sim_job *job = &s->jobs[child->job];
    struct agent_event event = {.kind = AGENT_EV_RESULT, .lease = child->lease};
    child->busy = false;
    event.outcome = (struct agent_outcome){.outcome = outcome,
                                           .reason = reason,
                                           .start_step = child->resume_step,
                                           .numeric_class = ""};
    if (outcome == OUTCOME_OK && job->kind == JOB_EVALUATE) {
        event.outcome.items = sim_items_of(job) + lies(job, LIE_COUNT);
        event.outcome.records = lies(job, LIE_DIGEST) ? job->identity : job->records;
    } else if (outcome == OUTCOME_OK && !lies(job, LIE_ARTIFACT)) {
        event.outcome.artifact = sim_tree_of(job, job->steps);
    }
    sim_worker_step(s, w, &event);
}

static void tell_exit(struct sim *s, struct sim_worker *w, struct sim_child *child,
                      enum outcome outcome, const char *reason)
{
    struct agent_event event = {
        .kind = AGENT_EV_CHILD_EXITED, .lease = child->lease, .child = child->id};
    event.outcome = (struct agent_outcome){.outcome = outcome,
                                           .reason = reason,
                                           .start_step = child->resume_step,
                                           .numeric_class = ""};
    child->used = false;
    sim_trace(s, w->name, "child %u: %s", child->id, reason);
    sim_worker_step(s, w, &event);
}

/* A batch into the spool of its lease, if that is still wanted. */
static void tell_batch(struct sim *s, struct sim_worker *w, const struct sim_child *child,
                       enum stream_kind stream)
{
    struct agent_event event = {.kind = AGENT_EV_BATCH, .lease = child->lease, .stream = stream};
    struct sim_spool *spool = sim_spool_find(w, &child->lease);
    if (!spool)
        return;
    spool->made[stream]++;
    sim_worker_step(s, w, &event);
}

static void tell_checkpoint(struct sim *s, struct sim_worker *w, const struct sim_child *child)
{
    struct agent_event event = {.kind = AGENT_EV_CHECKPOINT, .lease = child->lease};
    struct sim_spool *spool = sim_spool_find(w, &child->lease);
    if (spool && !spool->result_is_durable) /* else the attempt has ended without it */
        spool->step_made = child->step;
    event.checkpoint.step = child->step;
    event.checkpoint.tree = sim_tree_of(&s->jobs[child->job], child->step);
    sim_worker_step(s, w, &event);
}

/* ---- what it does ---- */

static void train(struct sim *s, struct sim_worker *w, struct sim_child *child)
{
    const struct sim_job *job = &s->jobs[child->job];
    struct agent_event event = {.kind = AGENT_EV_PROGRESS, .lease = child->lease};
    if (job->nature == NATURE_DIVERGES && child->step * 2 >= job->steps) {
        tell_end(s, w, child, OUTCOME_DIVERGED, "the loss became NaN");
        return;
    }
    if (child->step >= job->steps) {
        tell_end(s, w, child, OUTCOME_OK, "");
        return;
    }
    child->step++;
    event.progress.done = child->step;
    event.progress.total = job->steps;
    event.progress.loss_nats = 2.5;
    schedule(s, w, child, SIM_CHILD, sim_between(s, 200, 1500));
    sim_worker_step(s, w, &event);
    if (!child->used)
        return; /* its worker has left */
    if (child->step % METRICS_STEPS == 0)
        tell_batch(s, w, child, STREAM_METRICS);
    if (child->step % job->checkpoint_steps == 0 && child->step < job->steps)
        tell_checkpoint(s, w, child);
}

static void evaluate(struct sim *s, struct sim_worker *w, struct sim_child *child)
{
    const struct sim_job *job = &s->jobs[child->job];
    if (child->batches_made + lies(job, LIE_OMISSION) >= job->batches) {
        tell_end(s, w, child, OUTCOME_OK, "");
        return;
    }
    /* Small tasks come in bursts: that is how windows fill. */
    child->batches_made++;
    schedule(s, w, child, SIM_CHILD, sim_between(s, 1, sim_chance(s, 0.5) ? 10 : 800));
    tell_batch(s, w, child, STREAM_RECORDS);
}

static void compute(struct sim *s, struct sim_worker *w, struct sim_child *child)
{
    const enum sim_nature nature = s->jobs[child->job].nature;
    if (nature == NATURE_BROKEN)
        tell_end(s, w, child, OUTCOME_FAILED, "the data make no sense");
    else if (s->jobs[child->job].kind == JOB_EVALUATE)
        evaluate(s, w, child);
    else
        train(s, w, child);
}

static bool has_trouble(struct sim *s, struct sim_worker *w, struct sim_child *child)
{
    const bool flaky = s->jobs[child->job].nature == NATURE_FLAKY;
    if (flaky && sim_mishap(s, 0.04)) {
        s->counters.child_crashes++;
        tell_exit(s, w, child, OUTCOME_CRASHED, "killed by signal 11");
    } else if (flaky && sim_mishap(s, 0.02)) {
        s->counters.child_out_of_memory++;
        tell_exit(s, w, child, OUTCOME_MEMORY, "killed for want of memory");
    } else if (sim_mishap(s, 0.002)) {
        s->counters.child_hangs++;
        sim_trace(s, w->name, "child %u hangs", child->id);
        child->hung = true;
        schedule(s, w, child, SIM_CHILD, sim_between(s, 5000, 200000));
    } else {
        return false;
    }
    return true;
}

void sim_child_goes_on(struct sim *s, struct sim_worker *w, const struct sim_event *happened)
{
    struct sim_child *child = child_find(w, happened->child);
    if (!child || !child->busy || child->generation != happened->generation)
        return;
    child->hung = false;
    if (child->step == child->resume_step && child->batches_made == 0) {
        struct agent_event event = {.kind = AGENT_EV_RUNNING, .lease = child->lease};
        sim_worker_step(s, w, &event);
    }
    if (!has_trouble(s, w, child))
        compute(s, w, child);
}

void sim_child_stops(struct sim *s, struct sim_worker *w, const struct sim_event *happened)
{
    struct sim_child *child = child_find(w, happened->child);
    if (!child || child->hung)
        return;
    const bool training = child->busy && s->jobs[child->job].kind != JOB_EVALUATE;
    if (training && child->step > child->resume_step && child->step < s->jobs[child->job].steps)
        tell_checkpoint(s, w, child);
    tell_exit(s, w, child, OUTCOME_CRASHED, "killed by signal 15");
}

void sim_child_exits(struct sim *s, struct sim_worker *w, const struct sim_event *happened)
{
    struct sim_child *child = child_find(w, happened->child);
    if (child)
        tell_exit(s, w, child, OUTCOME_CRASHED, "killed by signal 9");
}
