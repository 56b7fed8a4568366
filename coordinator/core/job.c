#include "job.h"

#include <string.h>

#include "check.h"
#include "core_memory.h"
#include "ready.h"
#include "retry.h"

#define BIT(state) (1u << (state))
#define ENDINGS    (BIT(JOB_FAILED) | BIT(JOB_CANCELLED) | BIT(JOB_ABORTED) | BIT(JOB_QUARANTINED))

/* A job is aborted only while it waits: a held one has had all its parents. */
static const struct {
    unsigned successors;
    bool held; /* has an attempt */
    bool final;
} state_table[JOB_STATE_COUNT] = {
    [JOB_WAITING] = {.successors = BIT(JOB_LEASED) | ENDINGS},
    [JOB_LEASED] = {.successors = BIT(JOB_RUNNING) | BIT(JOB_WAITING) | BIT(JOB_DONE) |
                                  BIT(JOB_FAILED) | BIT(JOB_CANCELLED) | BIT(JOB_QUARANTINED),
                    .held = true},
    [JOB_RUNNING] = {.successors = BIT(JOB_WAITING) | BIT(JOB_DONE) | BIT(JOB_FAILED) |
                                   BIT(JOB_CANCELLED) | BIT(JOB_QUARANTINED),
                     .held = true},
    [JOB_DONE] = {.final = true},
    [JOB_FAILED] = {.successors = BIT(JOB_WAITING), .final = true},
    [JOB_CANCELLED] = {.successors = BIT(JOB_WAITING), .final = true},
    [JOB_ABORTED] = {.successors = BIT(JOB_WAITING), .final = true},
    [JOB_QUARANTINED] = {.successors = BIT(JOB_WAITING), .final = true},
};

bool job_may_follow(enum job_state from, enum job_state to)
{
    return (state_table[from].successors & BIT(to)) != 0;
}

struct job *job_new(struct core *core, const struct core_job_row *row, const struct claim *claim)
{
    const struct core_job_state *s = &row->state;
    ASSERT(!state_table[s->state].final);
    if (digest_map_get(&core->jobs, &s->identity) != NULL) {
        return NULL;
    }
    struct job *job = core_memory_array(1, sizeof *job);
    *job = (struct job){
        .identity = s->identity,
        .order = s->order,
        .kind = row->kind,
        .state = s->state,
        .claim = claim,
        .terms = terms_of(core, &row->retry, row->labels, row->time_limit_s, row->ranks),
        .threads = row->threads,
        .memory_asked = row->memory_bytes,
        .failures = s->failures,
        .items_expected = row->items_expected,
        .priority = row->priority,
        .epoch = s->epoch,
        .attempts_spent = s->attempts_spent,
        .attempts_free = s->attempts_free,
        .attempts_max = s->attempts_max,
        .outcome = s->outcome,
        .failure_digest = s->failure_digest,
        .failure_worker = s->failure_worker,
        .resume = s->resume,
        .resume_step = s->resume_step,
        .submitted_ms = s->submitted_ms,
        .started_ms = s->started_ms,
        .parents = row->parent_count == 0
                       ? NULL
                       : core_memory_array(row->parent_count, sizeof *job->parents),
        .parent_count = (uint32_t)row->parent_count,
        .timer = {.kind = TIMER_JOB, .tie = s->order},
    };
    job->memory_bytes = retry_memory_bytes(job->memory_asked, job->terms, job->failures);
    for (size_t i = 0; i < row->parent_count; i++) {
        const struct core_parent *parent = &row->parents[i];
        job->parents[i] = (struct parent_link){.child = job,
                                               .name = core_memory_text(parent->name),
                                               .identity = parent->identity,
                                               .state = parent->state,
                                               .artifact = parent->artifact};
    }
    digest_map_put(&core->jobs, &job->identity, job);
    return job;
}

/* An unfinished parent gets the child on its list; of a final one its end is all we need. */
static void link_parent(struct parent_link *link, struct job *parent)
{
    link->state = parent->state;
    if (state_table[parent->state].final) {
        link->artifact = parent->artifact;
        return;
    }
    link->parent = parent;
    link->place = &parent->children;
    link->next_child = parent->children;
    if (link->next_child != NULL) {
        link->next_child->place = &link->next_child;
    }
    parent->children = link;
    link->child->parents_missing++;
}

/* Take a link off its parent's list. */
static void unlink_parent(struct parent_link *link)
{
    if (link->parent == NULL) {
        return;
    }
    *link->place = link->next_child;
    if (link->next_child != NULL) {
        link->next_child->place = link->place;
    }
    link->parent = NULL;
}

bool job_link(struct core *core, struct job *job, const struct parent_link **missing_out)
{
    for (uint32_t i = 0; i < job->parent_count; i++) {
        struct parent_link *link = &job->parents[i];
        struct job *parent = digest_map_get(&core->jobs, &link->identity);
        if (parent != NULL) {
            link_parent(link, parent);
        } else if (!state_table[link->state].final) {
            *missing_out = link;
            return false;
        }
    }
    return true;
}

const struct parent_link *job_unsuccessful_parent(const struct job *job)
{
    for (uint32_t i = 0; i < job->parent_count; i++) {
        const struct parent_link *link = &job->parents[i];
        if (state_table[link->state].final && link->state != JOB_DONE) {
            return link;
        }
    }
    return NULL;
}

/* Take it out of the table and free it. */
static void job_free(struct core *core, struct job *job)
{
    ASSERT(job->shape == NULL);
    ASSERT(job->children == NULL);
    timers_clear(&core->timers, &job->timer);
    digest_map_remove(&core->jobs, &job->identity);
    for (uint32_t i = 0; i < job->parent_count; i++) {
        unlink_parent(&job->parents[i]);
        core_memory_free(job->parents[i].name);
    }
    core_memory_free(job->parents);
    core_memory_free(job->attempt);
    core_memory_free(job);
}

void job_move(struct core *core, struct job *job, enum job_state to)
{
    ASSERT(job_may_follow(job->state, to));
    job->state = to;
    job_changed(core, job);
}

void job_settle(struct core *core, struct job *job)
{
    bool startable =
        job->state == JOB_WAITING && job->parents_missing == 0 && job->timer.place == 0;
    if (startable && job->shape == NULL) {
        ready_insert(core, job);
        core->dispatch_wanted = true;
    } else if (!startable && job->shape != NULL) {
        ready_remove(core, job);
    }
}

void job_set_claim(struct core *core, struct job *job, const struct claim *claim)
{
    if (claim == job->claim) {
        return;
    }
    const bool is_ready = job->shape != NULL;
    if (is_ready) {
        ready_remove(core, job); /* it stands there among those that the same experiments want */
    }
    job->claim = claim;
    if (is_ready) {
        ready_insert(core, job);
        core->dispatch_wanted = true;
    }
}

/* One job's end, without its children's; appended to the queue whose end is `last`. */
static struct job *finish_one(struct core *core, struct job *job, enum job_state state,
                              const char *reason, struct job *last)
{
    ASSERT(state_table[state].final);
    ASSERT(job->attempt == NULL);
    job_move(core, job, state);
    job->end_reason = reason;
    job->ended_ms = core->event->time_ms;
    timers_clear(&core->timers, &job->timer);
    job_settle(core, job);
    job->next_finished = NULL;
    if (last != NULL) {
        last->next_finished = job;
    }
    return job;
}

const char *job_abort_reason(struct core *core, const struct parent_link *link)
{
    char hex[DIGEST_HEX_SIZE];
    return output_printf(core, "parent '%s' (%.12s) ended as %s", link->name,
                         digest_hex(&link->identity, hex), job_state_name(link->state));
}

/* Tell one child. Returns the end of the queue of finished jobs. */
static struct job *finish_child(struct core *core, struct parent_link *link,
                                const struct job *parent, struct job *last)
{
    struct job *child = link->child;
    unlink_parent(link);
    link->state = parent->state;
    link->artifact = parent->artifact;
    ASSERT(child->parents_missing > 0);
    child->parents_missing--;
    if (parent->state == JOB_DONE) {
        job_settle(core, child);
    } else if (!state_table[child->state].final) {
        last = finish_one(core, child, JOB_ABORTED, job_abort_reason(core, link), last);
    }
    return last;
}

/* The descendants of an unsuccessful job are walked with a queue: no recursion as deep as a plan.
 */
uint64_t job_finish(struct core *core, struct job *first, enum job_state state, const char *reason)
{
    struct job *last = finish_one(core, first, state, reason, NULL);
    uint64_t count = 0;
    for (struct job *job = first; job != NULL; job = job->next_finished) {
        while (job->children != NULL) {
            last = finish_child(core, job->children, job, last);
        }
        count++;
    }
    return count;
}

void job_changed(struct core *core, struct job *job)
{
    if (job->changed) {
        return;
    }
    job->changed = true;
    job->next_changed = NULL;
    if (core->changed_last != NULL) {
        core->changed_last->next_changed = job;
    } else {
        core->changed_first = job;
    }
    core->changed_last = job;
}

static struct core_job_state job_durable_state(const struct job *job)
{
    const struct attempt *attempt = job->attempt;
    const char *worker = attempt != NULL ? attempt->worker->name : job->end_worker;
    const char *numeric_class =
        attempt != NULL ? attempt->worker->numeric_class : job->end_numeric_class;
    return (struct core_job_state){
        .identity = job->identity,
        .order = job->order,
        .state = job->state,
        .reason = job->end_reason == NULL ? "" : job->end_reason,
        .epoch = job->epoch,
        .attempts_spent = job->attempts_spent,
        .attempts_free = job->attempts_free,
        .attempts_max = job->attempts_max,
        .failures = job->failures,
        .outcome = job->outcome,
        .failure_digest = job->failure_digest,
        .failure_worker = job->failure_worker,
        .worker = worker == NULL ? "" : worker,
        .resume = job->resume,
        .resume_step = job->resume_step,
        .artifact = job->artifact,
        .records = job->records,
        .items = job->items,
        .numeric_class = numeric_class == NULL ? "" : numeric_class,
        .submitted_ms = job->submitted_ms,
        .started_ms = job->started_ms,
        .ended_ms = job->ended_ms,
    };
}

void job_flush_changes(struct core *core)
{
    struct job *next;
    for (struct job *job = core->changed_first; job != NULL; job = next) {
        next = job->next_changed;
        job_check(job);
        struct core_op *op = output_op(core, CORE_OP_JOB);
        op->job.state = job_durable_state(job);
        op->job.state.worker = output_text(core, op->job.state.worker);
        op->job.state.numeric_class = output_text(core, op->job.state.numeric_class);
        job->changed = false;
        job->next_changed = NULL;
        job->end_reason = job->end_worker = job->end_numeric_class = NULL;
        if (state_table[job->state].final) {
            job_free(core, job);
        }
    }
    core->changed_first = core->changed_last = NULL;
}

void job_check(const struct job *job)
{
    ASSERT(job->order > 0);
    ASSERT((job->attempt != NULL) == state_table[job->state].held);
    ASSERT(IMPLIES(job->attempt != NULL, job->epoch > 0));
    ASSERT(IMPLIES(job->attempt != NULL, job->timer.place > 0));
    ASSERT(IMPLIES(job->attempt != NULL, job->parents_missing == 0));
    ASSERT(IMPLIES(job->shape != NULL, job->state == JOB_WAITING));
    ASSERT(IMPLIES(job->shape != NULL, job->timer.place == 0 && job->parents_missing == 0));
    ASSERT(IMPLIES(state_table[job->state].final, job->timer.place == 0));
    ASSERT(IMPLIES(job->state == JOB_DONE, job->outcome == OUTCOME_OK));
}
