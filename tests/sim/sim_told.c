/* Between what is said and what is stored (docs/protocol.md section 1): durable before told, the
 * fence of job and epoch, the session of one connection, and how long a lease lasts. These checks
 * watch messages and operations and know nothing of how the core keeps its word. */
#include <string.h>

#include "sim.h"
#include "sim_told.h"

/* ---- durable before told ---- */

static void check_lease_sent(struct sim *s, const struct msg_lease *m)
{
    const int job = sim_job_index(s, &m->lease.job);
    struct sim_row *row = &s->store.rows[job];
    const char *label = s->jobs[job].label;
    if (m->lease.epoch > row->epoch_begun) {
        sim_fail(s, "%s: a lease leaves before its epoch %u is stored", label, m->lease.epoch);
        return;
    }
    s->counters.memory_grown += m->memory_bytes > s->jobs[job].memory_bytes;
    if (m->memory_bytes < s->jobs[job].memory_bytes || m->memory_bytes > (uint64_t)1 << 30)
        sim_fail(s, "%s: a lease of %llu bytes, planned were %llu", label,
                 (unsigned long long)m->memory_bytes,
                 (unsigned long long)s->jobs[job].memory_bytes);
    if (m->lease.epoch == row->epoch_begun && m->resume_step < row->step_told)
        sim_fail(s, "%s: step %llu was acknowledged, the next attempt starts at %llu", label,
                 (unsigned long long)row->step_told, (unsigned long long)m->resume_step);
    if (m->resume_step > 0 && !sim_store_has_tree(s, &m->resume))
        sim_fail(s, "%s: the lease's checkpoint is not in the artifact store", label);
    for (size_t p = 0; p < m->parent_count; p++)
        if (!sim_store_has_tree(s, &m->parents[p].digest))
            sim_fail(s, "%s: a parent's artifact is not in the artifact store", label);
}

static const struct sim_attempt *attempt_of(struct sim *s, const struct lease_key *lease)
{
    return &s->store.rows[sim_job_index(s, &lease->job)].attempts[lease->epoch % SIM_EPOCHS_MAX];
}

static void check_welcome_sent(struct sim *s, const struct msg_welcome *m)
{
    for (size_t i = 0; i < m->verdict_count; i++) {
        const struct held_verdict *v = &m->verdicts[i];
        const struct sim_attempt *attempt = attempt_of(s, &v->lease);
        for (int stream = 0; v->keep && stream < STREAM_COUNT; stream++)
            if (v->next[stream] > attempt->batches[stream])
                sim_fail(s, "WELCOME says %u batches are stored, %u are", v->next[stream],
                         attempt->batches[stream]);
    }
}

void sim_check_send(struct sim *s, const struct msg *m)
{
    switch ((int)m->kind) {
    case MSG_LEASE:
        check_lease_sent(s, &m->lease);
        return;
    case MSG_WELCOME:
        check_welcome_sent(s, &m->welcome);
        return;
    case MSG_ACK:
        if (m->ack.next > attempt_of(s, &m->ack.lease)->batches[m->ack.stream])
            sim_fail(s, "an ACK says %u batches are stored, %u are", m->ack.next,
                     attempt_of(s, &m->ack.lease)->batches[m->ack.stream]);
        s->counters.batches_acknowledged++;
        return;
    case MSG_CHECKPOINT_ACK: {
        struct sim_row *row = &s->store.rows[sim_job_index(s, &m->checkpoint_ack.lease.job)];
        s->counters.checkpoints_acknowledged++;
        if (row->state.resume_step < m->checkpoint_ack.step)
            sim_fail(s, "step %llu is acknowledged, the stored resume point is step %llu",
                     (unsigned long long)m->checkpoint_ack.step,
                     (unsigned long long)row->state.resume_step);
        if (row->step_told < m->checkpoint_ack.step)
            row->step_told = m->checkpoint_ack.step;
        return;
    }
    case MSG_RESULT_ACK:
        s->counters.results_acknowledged++;
        if (!attempt_of(s, &m->result_ack.lease)->ended)
            sim_fail(s, "a result is acknowledged that is not stored");
        return;
    case MSG_REVOKE:
        s->counters.revokes++;
        return;
    case MSG_NO_SESSION:
        s->counters.no_sessions++;
        return;
    default:
        return;
    }
}

/* ---- what a message may change ---- */

const struct msg *sim_told_answer(const struct sim *s, const struct step *step, enum msg_kind kind,
                                  const struct lease_key *lease)
{
    const struct core_output *turn = &s->server.turn;
    for (size_t i = step->first_send; i < turn->send_count; i++) {
        const struct msg *m = &turn->sends[i].msg;
        const struct lease_key *about = m->kind == MSG_REVOKE       ? &m->revoke.lease
                                        : m->kind == MSG_RESULT_ACK ? &m->result_ack.lease
                                        : m->kind == MSG_LEASE      ? &m->lease.lease
                                                                    : NULL;
        if (turn->sends[i].peer == step->frame->peer && m->kind == kind &&
            (!about || (about->epoch == lease->epoch && digest_equal(&about->job, &lease->job))))
            return m;
    }
    return NULL;
}

bool sim_told_session_is_current(const struct sim *s, const struct step *step, uint64_t session)
{
    return session != 0 && s->server.sessions[step->name_index] == session &&
           s->server.session_peers[step->name_index] == step->frame->peer;
}

bool sim_told_is_holder(const struct sim *s, const struct step *step,
                        const struct core_job_state *state, uint32_t epoch)
{
    return (state->state == JOB_LEASED || state->state == JOB_RUNNING) && state->epoch == epoch &&
           strcmp(state->worker, s->workers[step->name_index].name) == 0;
}

/* Did this step store what only the attempt's own words may store? What time does (a lease that
 * runs out, a new one that begins) is no business of the message. */
static bool took_effect(const struct sim *s, const struct step *step, const struct digest *job,
                        const struct core_job_state *before)
{
    const struct core_output *turn = &s->server.turn;
    for (size_t i = step->first_op; i < turn->op_count; i++) {
        const struct core_op *op = &turn->ops[i];
        if (op->kind == CORE_OP_BATCH && digest_equal(&op->batch.lease.job, job))
            return true;
        if (op->kind == CORE_OP_ATTEMPT_END && digest_equal(&op->attempt.lease.job, job) &&
            op->attempt.outcome != OUTCOME_LOST)
            return true;
        if (op->kind == CORE_OP_JOB && digest_equal(&op->job.state.identity, job) &&
            (op->job.state.resume_step != before->resume_step ||
             (op->job.state.state == JOB_RUNNING && before->state != JOB_RUNNING)))
            return true;
    }
    return false;
}

static void check_fence(struct sim *s, const struct step *step, const struct msg *m,
                        uint64_t session, const struct lease_key *lease,
                        const struct core_job_state *before)
{
    const char *label = s->jobs[sim_job_index(s, &lease->job)].label;
    const bool no_session = sim_told_answer(s, step, MSG_NO_SESSION, lease) != NULL;
    if (!no_session)
        s->server.seen_ms[step->name_index] = sim_server_clock_ms(s);
    if (sim_told_session_is_current(s, step, session) && !no_session &&
        sim_told_is_holder(s, step, before, lease->epoch))
        return;
    s->counters.messages_not_current++;
    if (took_effect(s, step, &lease->job, before))
        sim_fail(s, "%s: %s of epoch %u from %s took effect, but epoch %u is %s on '%s'", label,
                 msg_kind_name(m->kind), lease->epoch, s->workers[step->name_index].name,
                 before->epoch, job_state_name(before->state), before->worker);
    const bool acknowledged =
        m->kind == MSG_RESULT && sim_told_answer(s, step, MSG_RESULT_ACK, lease) != NULL;
    s->counters.results_acknowledged_again += acknowledged;
    if (!no_session && !acknowledged && !sim_told_answer(s, step, MSG_REVOKE, lease))
        sim_fail(s, "%s: nobody tells %s that epoch %u is not current", label,
                 s->workers[step->name_index].name, lease->epoch);
}

/* A result whose batches are not all stored ends nothing: the missing ones are asked for. */
static void check_result(struct sim *s, const struct step *step, const struct msg *m,
                         const struct core_job_state *before)
{
    const struct msg_result *result = &m->result;
    const struct core_output *turn = &s->server.turn;
    uint32_t stored[STREAM_COUNT];
    bool is_missing = false;
    check_fence(s, step, m, result->session, &result->lease, before);
    memcpy(stored, attempt_of(s, &result->lease)->batches, sizeof stored);
    for (size_t i = 0; i < step->first_op; i++) /* earlier in this turn */
        if (turn->ops[i].kind == CORE_OP_BATCH &&
            digest_equal(&turn->ops[i].batch.lease.job, &result->lease.job))
            stored[turn->ops[i].batch.stream] = turn->ops[i].batch.index + 1;
    for (int stream = 0; stream < STREAM_COUNT; stream++)
        is_missing = is_missing || stored[stream] < result->batches[stream];
    if (result->outcome != OUTCOME_OK || !is_missing)
        return;
    for (size_t i = step->first_op; i < turn->op_count; i++)
        if (turn->ops[i].kind == CORE_OP_ATTEMPT_END && turn->ops[i].attempt.result == result)
            sim_fail(s, "%s: a result ends the attempt before its batches are stored",
                     s->jobs[sim_job_index(s, &result->lease.job)].label);
}

/* ---- sessions and listings ---- */

bool sim_told_is_current(const struct sim *s, const struct step *step,
                         const struct lease_key *lease)
{
    return sim_told_is_holder(s, step, sim_server_state(s, sim_job_index(s, &lease->job)),
                              lease->epoch);
}

static bool begins_now(const struct sim *s, const struct step *step, const struct lease_key *lease)
{
    for (size_t i = step->first_op; i < s->server.turn.op_count; i++) {
        const struct core_op *op = &s->server.turn.ops[i];
        if (op->kind == CORE_OP_ATTEMPT_BEGIN && op->attempt.lease.epoch == lease->epoch &&
            digest_equal(&op->attempt.lease.job, &lease->job))
            return true;
    }
    return false;
}

/* What a new process of a worker does not list is lost at once; what the same process does not
 * list is sent again: at HELLO, and in a heartbeat once the lease is older than two beats. */
void sim_told_check_unlisted(struct sim *s, const struct step *step, const struct held_lease *held,
                             size_t held_count, bool new_process, int64_t younger_than_ms)
{
    for (int job = 0; job < s->job_count; job++) {
        const struct core_job_state *state = sim_server_state(s, job);
        const struct lease_key lease = {.job = s->jobs[job].identity, .epoch = state->epoch};
        bool listed = false;
        for (size_t i = 0; i < held_count; i++)
            listed = listed || (held[i].lease.epoch == lease.epoch &&
                                digest_equal(&held[i].lease.job, &lease.job));
        if (listed || !sim_told_is_holder(s, step, state, lease.epoch) ||
            sim_server_clock_ms(s) - s->server.leased_ms[job] < younger_than_ms)
            continue;
        if (new_process && !begins_now(s, step, &lease))
            sim_fail(s, "%s: epoch %u outlives the process that had it", s->jobs[job].label,
                     lease.epoch);
        if (!sim_told_answer(s, step, MSG_LEASE, &lease))
            sim_fail(s, "%s: epoch %u is not listed by its holder and not sent again",
                     s->jobs[job].label, lease.epoch);
    }
}

static void check_hello(struct sim *s, const struct step *step, const struct msg_hello *hello)
{
    const struct msg *m = sim_told_answer(s, step, MSG_WELCOME, NULL);
    if (!m) {
        sim_fail(s, "a HELLO is not answered");
        return;
    }
    struct sim_server *server = &s->server;
    const bool new_process = !digest_equal(&hello->instance, &server->instances[step->name_index]);
    if (new_process)
        server->drain_wanted[step->name_index] = false; /* a person meant the former process */
    server->instances[step->name_index] = hello->instance;
    server->draining[step->name_index] = false;
    server->ends_ms[step->name_index] =
        hello->ends_in_ms ? sim_server_clock_ms(s) + (int64_t)hello->ends_in_ms : 0;
    server->sessions[step->name_index] = m->welcome.session;
    server->session_peers[step->name_index] = step->frame->peer;
    server->seen_ms[step->name_index] = sim_server_clock_ms(s);
    for (size_t i = 0; i < m->welcome.verdict_count; i++) {
        const struct held_verdict *v = &m->welcome.verdicts[i];
        const int job = sim_job_index(s, &v->lease.job);
        if (v->keep != sim_told_is_current(s, step, &v->lease))
            sim_fail(s, "%s: WELCOME says %s of epoch %u, the job is %s in epoch %u",
                     s->jobs[job].label, v->keep ? "keep" : "stale", v->lease.epoch,
                     job_state_name(sim_server_state(s, job)->state),
                     sim_server_state(s, job)->epoch);
        if (v->keep) {
            s->server.heard_ms[job] = sim_server_clock_ms(s);
            s->server.finished[job] |= hello->held[i].state == HELD_FINISHED;
        }
        s->counters.leases_kept_after_hello += v->keep;
        s->counters.leases_stale_after_hello += !v->keep;
    }
    sim_told_check_unlisted(s, step, hello->held, hello->held_count, new_process, 0);
}

/* ---- the life of a lease ---- */

bool sim_is_wanted_now(const struct sim *s, int job)
{
    const struct core_output *turn = &s->server.turn;
    bool wanted[SIM_EXPERIMENTS];
    memcpy(wanted, s->store.rows[job].wanted, sizeof wanted);
    for (size_t i = 0; i < turn->op_count; i++) {
        const struct core_op *op = &turn->ops[i];
        if (op->kind == CORE_OP_UNWANT)
            wanted[sim_experiment_index(op->member.experiment)] = false;
        else if (op->kind == CORE_OP_MEMBER && op->member.order == sim_server_state(s, job)->order)
            wanted[sim_experiment_index(op->member.experiment)] = true;
    }
    for (int e = 0; e < SIM_EXPERIMENTS; e++)
        if (wanted[e] && !s->server.paused[e])
            return true;
    return false;
}

static void note_settings(struct sim *s, const struct core_op *op)
{
    if (op->kind == CORE_OP_EXPERIMENT_STATE)
        s->server.paused[sim_experiment_index(op->experiment.name)] = op->experiment.paused;
    for (int i = 0; op->kind == CORE_OP_HOST && i < s->worker_count; i++)
        if (strcmp(s->workers[i].host, op->host.name) == 0)
            s->server.quarantined[s->workers[i].name_index] = op->host.quarantined;
}

/* A worker gets work only while it is heard, and not while it drains. */
static void check_lease_begins(struct sim *s, const struct core_op_attempt *op)
{
    struct sim_server *server = &s->server;
    const int job = sim_job_index(s, &op->lease.job);
    const int64_t clock_ms = sim_server_clock_ms(s);
    const int holder = sim_name_index(s, op->worker);
    server->heard_ms[job] = server->leased_ms[job] = clock_ms;
    server->finished[job] = false;
    server->apart_since_ms[job] = 0;
    if (clock_ms - server->seen_ms[holder] >= HEARTBEAT_MS * HEARTBEAT_LIVENESS)
        sim_fail(s, "%s goes to %s, silent for %lld ms", s->jobs[job].label, op->worker,
                 (long long)(clock_ms - server->seen_ms[holder]));
    const struct sim_job *planned = &s->jobs[job];
    const int64_t need_ms = planned->time_limit_s > 30 ? planned->time_limit_s * 1000 : 30000;
    if (server->quarantined[holder])
        sim_fail(s, "%s goes to %s, whose host is in quarantine", planned->label, op->worker);
    if (!sim_is_wanted_now(s, job))
        sim_fail(s, "%s of paused experiments goes to %s", planned->label, op->worker);
    if (*planned->labels && strstr(s->workers[holder].labels, planned->labels) == NULL)
        sim_fail(s, "%s wants '%s' and goes to %s of '%s'", planned->label, planned->labels,
                 op->worker, s->workers[holder].labels);
    if (server->ends_ms[holder] && server->ends_ms[holder] - clock_ms < need_ms)
        sim_fail(s, "%s goes to %s, which leaves in %lld ms", planned->label, op->worker,
                 (long long)(server->ends_ms[holder] - clock_ms));
    if (server->draining[holder] || server->drain_wanted[holder])
        sim_fail(s, "%s goes to %s, which drains", s->jobs[job].label, op->worker);
}

/* Leases begin, and end as lost: not before lease_ms of silence, unless the worker itself says
 * that it holds them no more. */
static void check_leases(struct sim *s, const struct msg *m, const struct step *step)
{
    const bool worker_said = m && (m->kind == MSG_HELLO || m->kind == MSG_BYE);
    const int64_t clock_ms = sim_server_clock_ms(s);
    for (size_t i = step->first_op; i < s->server.turn.op_count; i++) {
        const struct core_op *op = &s->server.turn.ops[i];
        note_settings(s, op);
        if (op->kind != CORE_OP_ATTEMPT_BEGIN && op->kind != CORE_OP_ATTEMPT_END)
            continue;
        const int job = sim_job_index(s, &op->attempt.lease.job);
        if (op->kind == CORE_OP_ATTEMPT_BEGIN)
            check_lease_begins(s, &op->attempt);
        else if (op->attempt.outcome == OUTCOME_LOST && !worker_said &&
                 clock_ms - s->server.heard_ms[job] < LEASE_MS)
            sim_fail(s, "%s is lost %lld ms after its worker last listed it", s->jobs[job].label,
                     (long long)(clock_ms - s->server.heard_ms[job]));
    }
    /* And no lease outlives its time. */
    for (int job = 0; job < s->job_count; job++) {
        const enum job_state state = sim_server_state(s, job)->state;
        if ((state == JOB_LEASED || state == JOB_RUNNING) &&
            clock_ms - s->server.heard_ms[job] > LEASE_MS + 1000)
            sim_fail(s, "%s is still leased %lld ms after its worker last listed it",
                     s->jobs[job].label, (long long)(clock_ms - s->server.heard_ms[job]));
    }
}

static void count_leases_sent(struct sim *s, const struct step *step)
{
    for (size_t i = step->first_send; i < s->server.turn.send_count; i++) {
        const struct msg *m = &s->server.turn.sends[i].msg;
        s->counters.leases_sent_again +=
            m->kind == MSG_LEASE && attempt_of(s, &m->lease.lease)->begun;
    }
}

void sim_check_step(struct sim *s, const struct msg *m, const struct sim_frame *frame,
                    const struct core_job_state *before, size_t first_op, size_t first_send)
{
    struct step step = {.frame = frame, .first_op = first_op, .first_send = first_send};
    if (frame)
        step.name_index = s->workers[frame->worker].name_index;
    if (m && m->kind == MSG_HELLO)
        check_hello(s, &step, &m->hello);
    else if (m && m->kind == MSG_HEARTBEAT)
        sim_beat_check(s, &step, &m->heartbeat);
    else if (m && m->kind == MSG_STARTED)
        check_fence(s, &step, m, m->started.session, &m->started.lease, before);
    else if (m && m->kind == MSG_STREAM)
        check_fence(s, &step, m, m->stream.session, &m->stream.lease, before);
    else if (m && m->kind == MSG_CHECKPOINT)
        check_fence(s, &step, m, m->checkpoint.session, &m->checkpoint.lease, before);
    else if (m && m->kind == MSG_RESULT)
        check_result(s, &step, m, before);
    check_leases(s, m, &step);
    count_leases_sent(s, &step);
}
