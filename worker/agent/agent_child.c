/* Child processes as slots of threads: one job each, kept warm between evaluations of one model,
 * because loading a model can cost more than scoring a task. */
#include <stdlib.h>
#include <string.h>

#include "agent_state.h"
#include "check.h"

struct child *agent_child_find(struct agent *agent, uint32_t id)
{
    for (size_t i = 0; i < agent->child_count; i++) {
        if (agent->children[i].id == id)
            return &agent->children[i];
    }
    return NULL;
}

static struct child *child_add(struct agent *agent)
{
    if (agent->child_count == agent->child_capacity) {
        size_t capacity = agent->child_capacity ? 2 * agent->child_capacity : 8;
        struct child *children = realloc(agent->children, capacity * sizeof *children);
        ASSERT(children);
        agent->children = children;
        agent->child_capacity = capacity;
    }
    struct child *child = &agent->children[agent->child_count++];
    *child = (struct child){.id = ++agent->child_id_last, .deadline_ms = TIME_NEVER};
    return child;
}

/* What a child that runs this job may be reused for: the same model, evaluated again. */
static struct digest job_model(const struct msg_lease *job)
{
    for (size_t i = 0; job->kind == JOB_EVALUATE && i < job->parent_count; i++) {
        if (strcmp(job->parents[i].name, "model") == 0)
            return job->parents[i].digest;
    }
    return (struct digest){{0}};
}

static struct child *child_idle_with(struct agent *agent, const struct digest *model)
{
    for (size_t i = 0; i < agent->child_count && !digest_is_none(model); i++) {
        struct child *child = &agent->children[i];
        if (child->state == CHILD_IDLE && digest_equal(&child->model, model))
            return child;
    }
    return NULL;
}

static uint64_t children_memory_bytes(const struct agent *agent, enum child_state state)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < agent->child_count; i++)
        bytes += agent->children[i].state == state ? agent->children[i].memory_bytes : 0;
    return bytes;
}

/* Let idle children go, oldest first, until one more with this much memory fits. */
static void children_make_room(struct agent *agent, uint64_t memory_bytes,
                               struct agent_actions *out)
{
    for (size_t i = 0; i < agent->child_count; i++) {
        size_t living = 0;
        for (size_t k = 0; k < agent->child_count; k++)
            living += agent->children[k].state != CHILD_STOPPING;
        uint64_t used = children_memory_bytes(agent, CHILD_BUSY) +
                        children_memory_bytes(agent, CHILD_IDLE) + memory_bytes;
        if (living < agent->options.threads && used <= agent->options.memory_bytes)
            return;
        if (agent->children[i].state == CHILD_IDLE)
            agent_child_stop(agent, agent->children[i].id, AGENT_KILL_GRACE_MS, out);
    }
}

/* What a job's ranks take of this worker: each its threads, or one where the others have their own.
 */
static uint32_t own_ranks(const struct agent *agent, const struct msg_lease *job)
{
    return job->ranks > 1 && agent->options.rank_threads == 0 ? job->ranks : 1;
}

void agent_child_place(struct agent *agent, struct attempt *a, struct agent_actions *out)
{
    ASSERT(a->phase == AGENT_READY);
    uint32_t threads = a->job.threads ? a->job.threads : 1;
    const uint32_t ranks = own_ranks(agent, &a->job);
    const uint64_t memory_bytes = a->job.memory_bytes * ranks;
    if (threads > agent->options.threads / ranks)
        threads = ranks < agent->options.threads ? agent->options.threads / ranks : 1;
    const uint32_t each = threads;
    threads = each * ranks < agent->options.threads ? each * ranks : agent->options.threads;
    if (agent_threads_busy(agent) + threads > agent->options.threads)
        return;
    struct digest model = job_model(&a->job);
    struct child *child = child_idle_with(agent, &model);
    bool fresh = !child;
    if (fresh) {
        children_make_room(agent, memory_bytes, out);
        uint64_t dying = children_memory_bytes(agent, CHILD_STOPPING);
        uint64_t used = children_memory_bytes(agent, CHILD_BUSY) + memory_bytes;
        bool waits_for_memory = dying > 0 && used + dying > agent->options.memory_bytes;
        if (waits_for_memory || agent_threads_busy(agent) + threads > agent->options.threads)
            return;
        child = child_add(agent);
    }
    child->state = CHILD_BUSY;
    child->model = model;
    child->threads = threads;
    child->memory_bytes = memory_bytes;
    child->deadline_ms = TIME_NEVER;
    a->phase = AGENT_RUNNING;
    a->child = child->id;
    if (a->job.time_limit_ms > 0 && a->job.time_limit_ms < INT64_MAX / 2)
        a->limit_at_ms = agent->now_ms + (int64_t)a->job.time_limit_ms;
    a->job.threads = each;
    struct agent_action *action = agent_emit(out, AGENT_DO_RUN);
    action->lease = a->lease;
    action->job = &a->job;
    action->child = child->id;
    action->fresh = fresh;
}

void agent_child_job_ended(struct agent *agent, uint32_t id, bool reusable,
                           struct agent_actions *out)
{
    struct child *child = agent_child_find(agent, id);
    if (!child || child->state != CHILD_BUSY)
        return;
    if (!reusable || digest_is_none(&child->model) || agent->draining) {
        agent_child_stop(agent, id, AGENT_KILL_GRACE_MS, out);
        return;
    }
    child->state = CHILD_IDLE;
    child->deadline_ms = agent->now_ms + AGENT_CHILD_IDLE_MS;
}

void agent_child_stop(struct agent *agent, uint32_t id, int64_t grace_ms, struct agent_actions *out)
{
    struct child *child = agent_child_find(agent, id);
    if (!child || child->state == CHILD_STOPPING)
        return;
    /* An idle child's threads sleep, and it dies without computing: it takes no threads while it
     * does, or letting it go could pass the worker's limit. */
    if (child->state == CHILD_IDLE)
        child->threads = 0;
    child->state = CHILD_STOPPING;
    child->deadline_ms = agent->now_ms + grace_ms;
    agent_emit(out, AGENT_DO_STOP_CHILD)->child = id;
}

void agent_child_exited(struct agent *agent, uint32_t id)
{
    for (size_t i = 0; i < agent->child_count; i++) {
        if (agent->children[i].id != id)
            continue;
        agent->child_count--;
        memmove(&agent->children[i], &agent->children[i + 1],
                (agent->child_count - i) * sizeof *agent->children);
        return;
    }
}

void agent_child_pump(struct agent *agent, struct agent_actions *out)
{
    for (size_t i = 0; i < agent->child_count; i++) {
        struct child *child = &agent->children[i];
        if (agent->now_ms < child->deadline_ms)
            continue;
        if (child->state == CHILD_IDLE) {
            agent_child_stop(agent, child->id, AGENT_KILL_GRACE_MS, out);
            continue;
        }
        ASSERT(child->state == CHILD_STOPPING);
        struct agent_action *action = agent_emit(out, AGENT_DO_STOP_CHILD);
        action->child = child->id;
        action->hard = true;
        child->deadline_ms = agent->now_ms + AGENT_KILL_GRACE_MS; /* and again if it still lives */
    }
}

int64_t agent_child_wake_ms(const struct agent *agent)
{
    int64_t wake = TIME_NEVER;
    for (size_t i = 0; i < agent->child_count; i++)
        wake = agent->children[i].deadline_ms < wake ? agent->children[i].deadline_ms : wake;
    return wake;
}
