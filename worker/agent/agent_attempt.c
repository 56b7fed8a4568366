/* The life of an attempt, from its lease until it is forgotten. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agent_state.h"
#include "check.h"
#include "str.h"

/* STARTED has no acknowledgement; the heartbeats say the same, so a few repetitions are enough. */
#define STARTED_SENDS 3

struct attempt *agent_attempt_find(const struct agent *agent, const struct lease_key *lease)
{
    for (size_t i = 0; i < agent->attempt_count; i++) {
        if (agent_lease_equal(&agent->attempts[i]->lease, lease))
            return agent->attempts[i];
    }
    return NULL;
}

static struct attempt *attempt_of_job(const struct agent *agent, const struct digest *job)
{
    for (size_t i = 0; i < agent->attempt_count; i++) {
        if (digest_equal(&agent->attempts[i]->lease.job, job))
            return agent->attempts[i];
    }
    return NULL;
}

static struct attempt *attempt_new(struct agent *agent, const struct lease_key *lease)
{
    ASSERT(agent->attempt_count < LEASES_PER_WORKER_MAX);
    struct attempt *a = calloc(1, sizeof *a);
    ASSERT(a);
    arena_init(&a->arena, 0);
    a->lease = *lease;
    a->job.lease = *lease;
    a->loss_nats = NAN;
    for (int s = 0; s < STREAM_COUNT; s++)
        a->streams[s].resend_wait_ms = AGENT_RESEND_MS;
    a->fetch.at_ms = TIME_NEVER;
    a->upload.at_ms = TIME_NEVER;
    a->limit_at_ms = TIME_NEVER;
    agent->attempts[agent->attempt_count++] = a;
    return a;
}

static void outcome_copy(struct attempt *a, const struct agent *agent,
                         const struct agent_outcome *outcome)
{
    a->outcome = *outcome;
    /* A child quotes what it read and a path may be any bytes, but a message carries only so much
     * of clean text: a result that cannot be sent would be held for ever. */
    struct strbuf reason = {0};
    const char *said = outcome->reason ? outcome->reason : "";
    strbuf_append_clean(&reason, said, str_whole_characters(said, strnlen(said, REASON_BYTES_MAX)));
    a->outcome.reason = arena_strdup(&a->arena, strbuf_text(&reason));
    strbuf_release(&reason);
    const char *numeric_class = outcome->numeric_class && outcome->numeric_class[0]
                                    ? outcome->numeric_class
                                    : agent->options.numeric_class;
    a->outcome.numeric_class = arena_strdup(&a->arena, numeric_class);
}

void agent_attempt_survive(struct agent *agent, const struct agent_survivor *survivor)
{
    if (agent->attempt_count == LEASES_PER_WORKER_MAX ||
        attempt_of_job(agent, &survivor->lease.job))
        return;
    struct attempt *a = attempt_new(agent, &survivor->lease);
    a->phase = AGENT_FINISHED;
    a->has_spool = true;
    outcome_copy(a, agent, &survivor->outcome);
    for (int s = 0; s < STREAM_COUNT; s++)
        a->streams[s].count = survivor->batches[s];
    agent_retry_start(&a->upload, agent->now_ms);
}

static bool lease_was_forgotten(const struct agent *agent, const struct lease_key *lease)
{
    size_t known = agent->forgotten_count < AGENT_FORGOTTEN_KEYS ? agent->forgotten_count
                                                                 : AGENT_FORGOTTEN_KEYS;
    for (size_t i = 0; i < known; i++) {
        const struct lease_key *old = &agent->forgotten[i];
        if (digest_equal(&old->job, &lease->job) && old->epoch >= lease->epoch)
            return true;
    }
    return false;
}

static void job_copy(struct arena *arena, const struct msg_lease *m, struct msg_lease *out)
{
    *out = *m;
    out->label = arena_strdup(arena, m->label);
    out->spec.data = m->spec.len ? arena_memdup(arena, m->spec.data, m->spec.len) : NULL;
    out->inputs = NULL;
    out->parents = NULL;
    if (m->input_count)
        out->inputs = arena_memdup(arena, m->inputs, m->input_count * sizeof *m->inputs);
    if (m->parent_count)
        out->parents = arena_memdup(arena, m->parents, m->parent_count * sizeof *m->parents);
    for (size_t i = 0; i < m->input_count; i++)
        out->inputs[i].name = arena_strdup(arena, m->inputs[i].name);
    for (size_t i = 0; i < m->parent_count; i++)
        out->parents[i].name = arena_strdup(arena, m->parents[i].name);
}

void agent_attempt_lease(struct agent *agent, const struct msg_lease *m, struct agent_actions *out)
{
    struct attempt *older = attempt_of_job(agent, &m->lease.job);
    if ((older && older->lease.epoch >= m->lease.epoch) || lease_was_forgotten(agent, &m->lease))
        return;
    if (older)
        agent_attempt_forget(agent, older, "a newer attempt of its job came", out);
    if (agent->attempt_count == LEASES_PER_WORKER_MAX)
        return; /* more than we may hold: it is sent again when it is missed */
    struct attempt *a = attempt_new(agent, &m->lease);
    job_copy(&a->arena, m, &a->job);
    if (agent->draining) {
        struct agent_outcome refused = {.outcome = OUTCOME_CANCELLED,
                                        .reason = "the worker takes no new work"};
        agent_attempt_finish(agent, a, &refused, out);
        return;
    }
    a->phase = AGENT_FETCHING;
    a->has_spool = true;
    agent_retry_start(&a->fetch, agent->now_ms);
}

/* Tell the spool how the attempt ended; the message carries everything a successor needs. */
static void attempt_spool_result(struct agent *agent, struct attempt *a, struct agent_actions *out)
{
    if (!a->has_spool)
        return;
    struct agent_action *action = agent_emit(out, AGENT_DO_SPOOL_RESULT);
    action->lease = a->lease;
    action->message.kind = MSG_RESULT;
    agent_delivery_result(agent, a, &action->message.result);
}

void agent_attempt_finish(struct agent *agent, struct attempt *a,
                          const struct agent_outcome *outcome, struct agent_actions *out)
{
    a->phase = AGENT_FINISHED;
    a->child = 0;
    a->progress++;
    a->result_at_ms = agent->now_ms;
    outcome_copy(a, agent, outcome);
    /* The artifact is the last checkpoint of a job that is done; otherwise the next attempt wants
     * the checkpoint, and the result waits for it. */
    if (outcome->outcome == OUTCOME_OK)
        a->checkpoint.state = a->newer.state = CHECKPOINT_NONE;
    if (!a->upload.in_flight)
        agent_retry_start(&a->upload, agent->now_ms);
    attempt_spool_result(agent, a, out);
}

void agent_attempt_stop(struct agent *agent, struct attempt *a, const struct agent_outcome *stopped,
                        int64_t grace_ms, struct agent_actions *out)
{
    ASSERT(a->phase == AGENT_RUNNING);
    a->stopping = true;
    a->stop_outcome = stopped->outcome;
    a->stop_why = arena_strdup(&a->arena, stopped->reason);
    agent_child_stop(agent, a->child, grace_ms, out);
}

/* A child that was asked to stop says that it was cancelled, or dies of the signal: it ends as
 * whoever asked wants. One that was done before it heard has a result like any other. */
static struct agent_outcome attempt_outcome(const struct attempt *a,
                                            const struct agent_outcome *said)
{
    struct agent_outcome outcome = *said;
    if (a->stopping && said->outcome != OUTCOME_OK && said->outcome != OUTCOME_DIVERGED) {
        outcome.outcome = a->stop_outcome;
        outcome.reason = a->stop_why;
    }
    return outcome;
}

void agent_attempt_forget(struct agent *agent, struct attempt *a, const char *why,
                          struct agent_actions *out)
{
    if (a->phase == AGENT_RUNNING)
        agent_child_stop(agent, a->child, AGENT_KILL_GRACE_MS, out);
    struct agent_action *action = agent_emit(out, AGENT_DO_FORGET);
    action->lease = a->lease;
    action->reason = arena_strdup(&out->arena, why);
    agent->forgotten[agent->forgotten_count++ % AGENT_FORGOTTEN_KEYS] = a->lease;
    size_t index = 0;
    while (agent->attempts[index] != a)
        index++;
    agent->attempt_count--;
    memmove(&agent->attempts[index], &agent->attempts[index + 1],
            (agent->attempt_count - index) * sizeof *agent->attempts);
    arena_release(&a->arena);
    free(a);
}

static void attempt_end(struct agent *agent, struct attempt *a, enum outcome outcome,
                        const char *text, struct agent_actions *out)
{
    struct agent_outcome ended = {.outcome = outcome, .reason = text};
    agent_attempt_finish(agent, a, &ended, out);
}

/* The disk is full (the attempt cannot go on and is given back: it is not the job's fault) or
 * cannot be read (what the spool held is lost). */
static void attempt_disk_trouble(struct agent *agent, struct attempt *a, const char *text,
                                 bool lost, struct agent_actions *out)
{
    for (int s = 0; lost && s < STREAM_COUNT; s++)
        a->streams[s].count = a->streams[s].sent = a->streams[s].acknowledged;
    if (a->phase == AGENT_RUNNING)
        agent_child_stop(agent, a->child, AGENT_KILL_GRACE_MS, out);
    if (a->phase != AGENT_FINISHED || lost)
        attempt_end(agent, a, lost ? OUTCOME_FAILED : OUTCOME_CANCELLED, text, out);
}

void agent_attempt_undeliverable(struct agent *agent, struct attempt *a, struct agent_actions *out)
{
    for (int s = 0; s < STREAM_COUNT; s++) {
        struct delivery *d = &a->streams[s];
        *d = (struct delivery){
            .count = d->acknowledged, .acknowledged = d->acknowledged, .sent = d->acknowledged};
    }
    if (a->phase == AGENT_RUNNING)
        agent_child_stop(agent, a->child, AGENT_KILL_GRACE_MS, out);
    attempt_end(agent, a, OUTCOME_CANCELLED,
                "the coordinator has lost what it had acknowledged of this attempt (was an older "
                "state put back?)",
                out);
}

static void attempt_uploaded(struct agent *agent, struct attempt *a, const struct digest *tree)
{
    if (!a->upload.in_flight)
        return;
    agent_retry_start(&a->upload, agent->now_ms);
    if (a->upload_again) {
        a->upload_again = false;
    } else if (a->checkpoint.state == CHECKPOINT_LOCAL && digest_equal(tree, &a->checkpoint.tree)) {
        a->checkpoint.state = CHECKPOINT_STORED;
        a->checkpoint_at_ms = agent->now_ms;
    } else if (a->phase == AGENT_FINISHED && digest_equal(tree, &a->outcome.artifact)) {
        a->artifact_stored = true;
        a->result_at_ms = agent->now_ms;
    }
}

static void attempt_upload_failed(struct agent *agent, struct attempt *a,
                                  const struct agent_event *ev, struct agent_actions *out)
{
    if (!a->upload.in_flight)
        return;
    a->upload_again = false; /* it begins anew by itself */
    if (!ev->failure.final) {
        agent_retry_failed(agent, &a->upload);
        return;
    }
    agent_retry_start(&a->upload, agent->now_ms);
    if (a->checkpoint.state == CHECKPOINT_LOCAL && digest_equal(&ev->tree, &a->checkpoint.tree)) {
        a->checkpoint = a->newer; /* an attempt can live without this one */
        a->newer.state = CHECKPOINT_NONE;
    } else if (a->phase == AGENT_FINISHED && digest_equal(&ev->tree, &a->outcome.artifact)) {
        attempt_end(agent, a, OUTCOME_FAILED, ev->failure.text, out);
    }
}

static void attempt_child_exited(struct agent *agent, const struct agent_event *ev,
                                 struct agent_actions *out)
{
    agent_child_exited(agent, ev->child);
    for (size_t i = 0; i < agent->attempt_count; i++) {
        struct attempt *a = agent->attempts[i];
        if (a->phase != AGENT_RUNNING || a->child != ev->child)
            continue;
        struct agent_outcome outcome = attempt_outcome(a, &ev->outcome);
        agent_attempt_finish(agent, a, &outcome, out);
    }
}

/* What a RUNNING attempt's child says. */
static void attempt_child_event(struct agent *agent, struct attempt *a,
                                const struct agent_event *ev, struct agent_actions *out)
{
    a->progress++;
    if (ev->kind == AGENT_EV_RUNNING && !a->started) {
        a->started = true;
        a->started_sends = STARTED_SENDS;
        a->started_at_ms = agent->now_ms;
    } else if (ev->kind == AGENT_EV_PROGRESS) {
        a->done = ev->progress.done;
        a->total = ev->progress.total;
        a->loss_nats = ev->progress.loss_nats;
        a->tokens_per_s = ev->progress.tokens_per_s;
    } else if (ev->kind == AGENT_EV_BATCH) {
        a->streams[ev->stream].count++;
    } else if (ev->kind == AGENT_EV_CHECKPOINT) {
        agent_delivery_checkpoint_saved(a, ev->checkpoint.step, &ev->checkpoint.tree,
                                        agent->now_ms);
    } else if (ev->kind == AGENT_EV_RESULT) {
        uint32_t child = a->child;
        struct agent_outcome outcome = attempt_outcome(a, &ev->outcome);
        agent_attempt_finish(agent, a, &outcome, out);
        agent_child_job_ended(agent, child, ev->outcome.outcome == OUTCOME_OK, out);
    }
}

/* Transfers take turns: while one moves, those behind it do not stand still. */
void agent_attempts_fetch(struct agent *agent)
{
    for (size_t i = 0; i < agent->attempt_count; i++)
        agent->attempts[i]->progress += agent->attempts[i]->phase == AGENT_FETCHING;
}

static void attempt_fetch_event(struct agent *agent, struct attempt *a,
                                const struct agent_event *ev, struct agent_actions *out)
{
    if (a->phase != AGENT_FETCHING || !a->fetch.in_flight)
        return;
    if (ev->kind == AGENT_EV_FETCHED)
        a->phase = AGENT_READY;
    else if (ev->failure.final)
        attempt_end(agent, a, OUTCOME_FAILED, ev->failure.text, out);
    else
        agent_retry_failed(agent, &a->fetch);
}

void agent_attempt_event(struct agent *agent, const struct agent_event *ev,
                         struct agent_actions *out)
{
    if (ev->kind == AGENT_EV_CHILD_EXITED) {
        attempt_child_exited(agent, ev, out);
        return;
    }
    struct attempt *a = agent_attempt_find(agent, &ev->lease);
    if (!a)
        return; /* forgotten meanwhile */
    if (ev->kind == AGENT_EV_STORING)
        a->progress++;
    else if (ev->kind == AGENT_EV_FETCHED || ev->kind == AGENT_EV_FETCH_FAILED)
        attempt_fetch_event(agent, a, ev, out);
    else if (ev->kind == AGENT_EV_UPLOADED)
        attempt_uploaded(agent, a, &ev->tree);
    else if (ev->kind == AGENT_EV_UPLOAD_FAILED)
        attempt_upload_failed(agent, a, ev, out);
    else if (ev->kind == AGENT_EV_DISK_TROUBLE)
        attempt_disk_trouble(agent, a, ev->failure.text, ev->failure.final, out);
    else if (a->phase == AGENT_RUNNING)
        attempt_child_event(agent, a, ev, out);
}

/* The tree that should be on its way to the store, or NULL. */
static const struct digest *attempt_tree_due(const struct attempt *a)
{
    if (a->checkpoint.state == CHECKPOINT_LOCAL)
        return &a->checkpoint.tree;
    bool artifact_due =
        a->phase == AGENT_FINISHED && !a->artifact_stored && !digest_is_none(&a->outcome.artifact);
    return artifact_due ? &a->outcome.artifact : NULL;
}

void agent_attempt_pump(struct agent *agent, struct attempt *a, struct agent_actions *out)
{
    if (a->phase == AGENT_FETCHING && !a->fetch.in_flight && agent->now_ms >= a->fetch.at_ms) {
        a->fetch.in_flight = true;
        struct agent_action *action = agent_emit(out, AGENT_DO_FETCH);
        action->lease = a->lease;
        action->job = &a->job;
    }
    if (a->phase == AGENT_READY)
        agent_child_place(agent, a, out);
    if (a->phase == AGENT_RUNNING && !a->stopping && agent->now_ms >= a->limit_at_ms) {
        struct agent_outcome timeout = {.outcome = OUTCOME_TIMEOUT,
                                        .reason = "it took longer than its time limit"};
        agent_attempt_stop(agent, a, &timeout, AGENT_STOP_GRACE_MS, out);
    }
    const struct digest *tree = attempt_tree_due(a);
    if (tree && !a->upload.in_flight && agent->now_ms >= a->upload.at_ms) {
        a->upload.in_flight = true;
        struct agent_action *action = agent_emit(out, AGENT_DO_UPLOAD);
        action->lease = a->lease;
        action->tree = *tree;
    }
}

int64_t agent_attempt_wake_ms(const struct agent *agent, const struct attempt *a)
{
    (void)agent;
    int64_t wake = TIME_NEVER;
    if (a->phase == AGENT_FETCHING && !a->fetch.in_flight)
        wake = a->fetch.at_ms;
    if (attempt_tree_due(a) && !a->upload.in_flight && a->upload.at_ms < wake)
        wake = a->upload.at_ms;
    if (a->phase == AGENT_RUNNING && !a->stopping && a->limit_at_ms < wake)
        wake = a->limit_at_ms;
    return wake;
}
