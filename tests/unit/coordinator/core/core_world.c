#include "core_world.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

struct core_world *core_world_new(void)
{
    struct core_world *w = calloc(1, sizeof *w);
    ASSERT(w != NULL);
    w->core = core_new(&(struct core_options){.boot = 1}, 42);
    w->now_ms = 1000;
    return w;
}

void core_world_free(struct core_world *w)
{
    for (size_t i = 0; i < w->row_count; i++) {
        free((void *)(uintptr_t)w->rows[i].parents);
        free((void *)(uintptr_t)w->rows[i].experiment);
    }
    arena_release(&w->arena);
    core_free(w->core);
    free(w);
}

int core_world_set_up(void **state)
{
    *state = core_world_new();
    return 0;
}

int core_world_tear_down(void **state)
{
    core_world_free(*state);
    return 0;
}

struct digest core_world_job(uint64_t number)
{
    return hash_bytes(&number, sizeof number);
}

struct lease_key core_world_key(uint64_t job, uint32_t epoch)
{
    return (struct lease_key){.job = core_world_job(job), .epoch = epoch};
}

/* Remember what a store would; texts are not needed by any test. */
static void remember(struct core_world *w, const struct core_op *op)
{
    if (op->kind == CORE_OP_JOB_NEW) {
        const struct submit_job *job = op->job_new.job;
        ASSERT(op->job_new.order == w->row_count + 1 && w->row_count < WORLD_JOBS_MAX);
        struct core_parent *parents = calloc(job->parent_count + 1, sizeof *parents);
        ASSERT(parents != NULL);
        for (size_t i = 0; i < job->parent_count; i++) {
            parents[i].name = "model";
            parents[i].identity = job->parents[i].digest;
        }
        w->rows[w->row_count++] = (struct core_job_row){.kind = job->kind,
                                                        .experiment = strdup("e"),
                                                        .threads = job->threads,
                                                        .memory_bytes = job->memory_bytes,
                                                        .priority = job->priority,
                                                        .retry = job->retry,
                                                        .labels = job->labels,
                                                        .time_limit_s = job->time_limit_s,
                                                        .ranks = job->ranks,
                                                        .items_expected = job->items_expected,
                                                        .parents = parents,
                                                        .parent_count = job->parent_count};
    } else if (op->kind == CORE_OP_JOB) {
        struct core_job_row *row = &w->rows[op->job.state.order - 1];
        row->state = op->job.state;
        row->state.reason = row->state.worker = row->state.numeric_class = "";
    }
}

void core_world_step(struct core_world *w, struct core_event event)
{
    arena_release(&w->arena);
    core_output_init(&w->out, &w->arena);
    event.now_ms = w->now_ms;
    event.time_ms = 1700000000000 + w->now_ms;
    core_step(w->core, &event, &w->out);
    for (size_t i = 0; i < w->out.op_count; i++) {
        remember(w, &w->out.ops[i]);
    }
    core_check(w->core);
}

void core_world_pass(struct core_world *w, int64_t ms)
{
    w->now_ms += ms;
    core_world_step(w, (struct core_event){.kind = CORE_TICK});
}

void core_world_say_with(struct core_world *w, uint64_t peer, struct core_message message)
{
    for (size_t i = 0; message.msg->kind == MSG_RESULT && i < w->row_count; i++) {
        const struct core_job_state *row = &w->rows[i].state;
        if (digest_equal(&row->identity, &message.msg->result.lease.job) &&
            job_state_is_final(row->state)) {
            message.final = row;
        }
    }
    core_world_step(w, (struct core_event){.kind = CORE_MESSAGE, .peer = peer, .message = message});
}

void core_world_say(struct core_world *w, uint64_t peer, const struct msg *m)
{
    core_world_say_with(
        w, peer, (struct core_message){.msg = m, .payload_is_valid = true, .tree_is_stored = true});
}

struct submit_job core_world_plan(uint64_t number)
{
    return (struct submit_job){.identity = core_world_job(number),
                               .kind = JOB_EVALUATE,
                               .label = "job",
                               .family = "",
                               .variant = "",
                               .task = "",
                               .threads = 1,
                               .attempts_max = 3};
}

void core_world_submit(struct core_world *w, const char *experiment, const struct submit_job *jobs,
                       size_t count)
{
    struct core_job_row finals[WORLD_JOBS_MAX];
    size_t final_count = 0;
    for (size_t i = 0; i < w->row_count; i++) {
        if (job_state_is_final(w->rows[i].state.state)) {
            finals[final_count++] = w->rows[i];
        }
    }
    core_world_step(w, (struct core_event){.kind = CORE_SUBMIT,
                                           .peer = 99,
                                           .submit = {.request = 7,
                                                      .experiment = experiment,
                                                      .jobs = jobs,
                                                      .job_count = count,
                                                      .finals = finals,
                                                      .final_count = final_count}});
}

void core_world_submit_job(struct core_world *w, const char *experiment, struct submit_job job)
{
    core_world_submit(w, experiment, &job, 1);
}

void core_world_submit_one(struct core_world *w, uint64_t number)
{
    core_world_submit_job(w, "e", core_world_plan(number));
}

void core_world_act(struct core_world *w, enum core_event_kind kind, const char *experiment,
                    const struct digest *jobs, size_t count, int32_t priority)
{
    core_world_step(w, (struct core_event){.kind = kind,
                                           .peer = 99,
                                           .act = {.experiment = experiment,
                                                   .reason = "",
                                                   .jobs = jobs,
                                                   .job_count = count,
                                                   .priority = priority}});
}

struct msg core_world_hello_msg(const char *name, const char *host, uint32_t threads)
{
    return (struct msg){.kind = MSG_HELLO,
                        .hello = {.protocol_version = PROTOCOL_VERSION,
                                  .worker = name,
                                  .instance = hash_bytes(name, strlen(name)),
                                  .host = host,
                                  .node = host,
                                  .labels = "",
                                  .host_cores = threads,
                                  .threads = threads,
                                  .numeric_class = WORLD_CLASS,
                                  .version = "test"}};
}

struct msg core_world_hello_again(const char *instance, struct held_lease *held, size_t count)
{
    struct msg m = core_world_hello_msg("a", "a", 2);
    m.hello.instance = hash_bytes(instance, strlen(instance));
    m.hello.held = held;
    m.hello.held_count = count;
    return m;
}

uint64_t core_world_hello_as(struct core_world *w, uint64_t peer, const struct msg *hello)
{
    core_world_say(w, peer, hello);
    const struct msg *welcome = core_world_sent(w, MSG_WELCOME, 0);
    return welcome == NULL ? 0 : welcome->welcome.session;
}

uint64_t core_world_hello(struct core_world *w, const char *name, uint64_t peer, uint32_t threads,
                          const char *numeric_class)
{
    struct msg m = core_world_hello_msg(name, name, threads);
    m.hello.numeric_class = numeric_class;
    return core_world_hello_as(w, peer, &m);
}

struct msg core_world_bad(uint64_t session, uint64_t job, uint32_t epoch, enum outcome outcome,
                          const char *reason)
{
    return (struct msg){.kind = MSG_RESULT,
                        .result = {.session = session,
                                   .lease = core_world_key(job, epoch),
                                   .outcome = outcome,
                                   .reason = reason,
                                   .numeric_class = ""}};
}

struct msg core_world_ok(uint64_t session, uint64_t job, uint32_t epoch)
{
    return core_world_bad(session, job, epoch, OUTCOME_OK, "");
}

struct msg core_world_beat(uint64_t session, struct held_lease *held, size_t count)
{
    return (struct msg){
        .kind = MSG_HEARTBEAT,
        .heartbeat = {
            .session = session, .held = held, .held_count = count, .all.count = (uint32_t)count}};
}

const struct msg *core_world_sent(const struct core_world *w, enum msg_kind kind, size_t nth)
{
    for (size_t i = 0; i < w->out.send_count; i++) {
        if (w->out.sends[i].msg.kind == kind && nth-- == 0) {
            return &w->out.sends[i].msg;
        }
    }
    return NULL;
}

size_t core_world_sent_count(const struct core_world *w, enum msg_kind kind)
{
    size_t count = 0;
    while (core_world_sent(w, kind, count) != NULL) {
        count++;
    }
    return count;
}

const struct core_job_state *core_world_row(const struct core_world *w, uint64_t number)
{
    struct digest identity = core_world_job(number);
    for (size_t i = 0; i < w->row_count; i++) {
        if (digest_equal(&w->rows[i].state.identity, &identity)) {
            return &w->rows[i].state;
        }
    }
    UNREACHABLE("no such job");
}

enum job_state core_world_state(const struct core_world *w, uint64_t number)
{
    return core_world_row(w, number)->state;
}

const char *core_world_reason(const struct core_world *w, uint64_t number)
{
    const struct digest job = core_world_job(number);
    return core_wait_reason(w->core, &job, w->now_ms);
}
