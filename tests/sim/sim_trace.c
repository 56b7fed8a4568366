/* The transcript of --verbose: virtual time, who, what. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "sim.h"

static void line(const struct sim *s, const char *who, const char *text)
{
    printf("[%9.3f] %-10s %s\n", (double)s->now_ms / 1000, who, text);
}

void sim_trace(const struct sim *s, const char *who, const char *format, ...)
{
    char text[512];
    if (!s->verbose)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    line(s, who, text);
}

static void put_lease(const struct sim *s, struct strbuf *out, const struct lease_key *lease)
{
    int job = sim_job_find(s, &lease->job);
    strbuf_printf(out, " %s#%u", job < 0 ? "?" : s->jobs[job].label, lease->epoch);
}

static void put_held(const struct sim *s, struct strbuf *out, const struct held_lease *held,
                     size_t count)
{
    for (size_t i = 0; i < count; i++) {
        put_lease(s, out, &held[i].lease);
        strbuf_puts(out, held[i].state == HELD_FINISHED ? " finished," : ",");
    }
}

static void put_from_worker(const struct sim *s, struct strbuf *out, const struct msg *m)
{
    switch ((int)m->kind) {
    case MSG_HELLO:
        put_held(s, out, m->hello.held, m->hello.held_count);
        return;
    case MSG_HEARTBEAT:
        put_held(s, out, m->heartbeat.held, m->heartbeat.held_count);
        strbuf_printf(out, " %u in all, beat %" PRIu64 "%s", m->heartbeat.all.count,
                      m->heartbeat.beat, m->heartbeat.draining ? ", draining" : "");
        return;
    case MSG_STARTED:
        put_lease(s, out, &m->started.lease);
        return;
    case MSG_STREAM:
        put_lease(s, out, &m->stream.lease);
        strbuf_printf(out, " %s batch %u", stream_kind_name(m->stream.stream), m->stream.index);
        return;
    case MSG_CHECKPOINT:
        put_lease(s, out, &m->checkpoint.lease);
        strbuf_printf(out, " step %" PRIu64, m->checkpoint.step);
        return;
    case MSG_RESULT:
        put_lease(s, out, &m->result.lease);
        strbuf_printf(out, " %s %s", outcome_name(m->result.outcome), m->result.reason);
        return;
    default:
        return;
    }
}

static void put_from_server(const struct sim *s, struct strbuf *out, const struct msg *m)
{
    switch ((int)m->kind) {
    case MSG_WELCOME:
        strbuf_printf(out, " session %" PRIx64, m->welcome.session);
        for (size_t i = 0; i < m->welcome.verdict_count; i++) {
            put_lease(s, out, &m->welcome.verdicts[i].lease);
            strbuf_puts(out, m->welcome.verdicts[i].keep ? " keep," : " stale,");
        }
        return;
    case MSG_LEASE:
        put_lease(s, out, &m->lease.lease);
        strbuf_printf(out, " from step %" PRIu64, m->lease.resume_step);
        return;
    case MSG_ACK:
        put_lease(s, out, &m->ack.lease);
        strbuf_printf(out, " %s next %u", stream_kind_name(m->ack.stream), m->ack.next);
        return;
    case MSG_CHECKPOINT_ACK:
        put_lease(s, out, &m->checkpoint_ack.lease);
        strbuf_printf(out, " step %" PRIu64, m->checkpoint_ack.step);
        return;
    case MSG_RESULT_ACK:
        put_lease(s, out, &m->result_ack.lease);
        return;
    case MSG_REVOKE:
        put_lease(s, out, &m->revoke.lease);
        strbuf_printf(out, ": %s", m->revoke.reason);
        return;
    case MSG_PULSE:
        strbuf_printf(out, " of beat %" PRIu64 "%s", m->pulse.beat, m->pulse.list ? ": list" : "");
        return;
    case MSG_NO_SESSION:
        strbuf_printf(out, " %" PRIx64 ": %s", m->no_session.session, m->no_session.reason);
        return;
    case MSG_ERROR:
        strbuf_printf(out, ": %s", m->error.text);
        return;
    default:
        return;
    }
}

void sim_trace_message(const struct sim *s, const char *from, const char *to, const struct msg *m,
                       const char *how)
{
    struct strbuf out = {0};
    char who[32];
    if (!s->verbose)
        return;
    snprintf(who, sizeof who, "%s > %s", from, to);
    strbuf_puts(&out, msg_kind_name(m->kind));
    put_from_worker(s, &out, m);
    put_from_server(s, &out, m);
    strbuf_printf(&out, "%s%s", *how ? "  -- " : "", how);
    line(s, who, strbuf_text(&out));
    strbuf_release(&out);
}

void sim_trace_op(const struct sim *s, const struct core_op *op)
{
    struct strbuf out = {0};
    if (!s->verbose)
        return;
    strbuf_puts(&out, "stores");
    switch (op->kind) {
    case CORE_OP_EXPERIMENT:
    case CORE_OP_EXPERIMENT_CLASS:
        strbuf_printf(&out, " experiment %s %s", op->experiment.name,
                      op->kind == CORE_OP_EXPERIMENT ? "" : op->experiment.numeric_class);
        break;
    case CORE_OP_JOB: {
        const struct core_job_state *j = &op->job.state;
        int job = sim_job_find(s, &j->identity);
        strbuf_printf(&out, " %s is %s, epoch %u, step %" PRIu64 " %s",
                      job < 0 ? "?" : s->jobs[job].label, job_state_name(j->state), j->epoch,
                      j->resume_step, j->reason);
        break;
    }
    case CORE_OP_ATTEMPT_BEGIN:
        put_lease(s, &out, &op->attempt.lease);
        strbuf_printf(&out, " begins on %s", op->attempt.worker);
        break;
    case CORE_OP_ATTEMPT_END:
        put_lease(s, &out, &op->attempt.lease);
        strbuf_printf(&out, " ends: %s %s", outcome_name(op->attempt.outcome), op->attempt.reason);
        break;
    case CORE_OP_BATCH:
        put_lease(s, &out, &op->batch.lease);
        strbuf_printf(&out, " %s batch %u", stream_kind_name(op->batch.stream), op->batch.index);
        break;
    case CORE_OP_EXPERIMENT_STATE:
        strbuf_printf(&out, " experiment %s %s, priority %d", op->experiment.name,
                      op->experiment.paused ? "paused" : "goes on", op->experiment.priority);
        break;
    case CORE_OP_JOB_PRIORITY:
        strbuf_printf(&out, " job %" PRIu64 " priority %d", op->priority.order,
                      op->priority.priority);
        break;
    case CORE_OP_HOST:
        strbuf_printf(&out, " host %s: %s", op->host.name,
                      op->host.quarantined ? op->host.reason : "released");
        break;
    case CORE_OP_WORKER:
        strbuf_printf(&out, " worker %s", op->worker.name);
        break;
    case CORE_OP_JOB_NEW:
    case CORE_OP_JOB_TERMS:
    case CORE_OP_MEMBER:
    case CORE_OP_UNWANT:
        strbuf_release(&out);
        return; /* a plan has many of these, and its jobs tell the story */
    }
    line(s, "C", strbuf_text(&out));
    strbuf_release(&out);
}

void sim_trace_action(const struct sim *s, const char *worker, const struct agent_action *action)
{
    static const char *const names[] = {
        [AGENT_DO_FETCH] = "fetches",       [AGENT_DO_RUN] = "runs",
        [AGENT_DO_STOP_CHILD] = "stops",    [AGENT_DO_UPLOAD] = "uploads",
        [AGENT_DO_SPOOL_RESULT] = "spools", [AGENT_DO_FORGET] = "forgets",
        [AGENT_DO_LEAVE] = "leaves",
    };
    if (!s->verbose || action->kind == AGENT_DO_SEND || action->kind == AGENT_DO_SEND_BATCH ||
        action->kind == AGENT_DO_SPOOL_DROP)
        return;
    struct strbuf out = {0};
    strbuf_puts(&out, names[action->kind]);
    if (action->kind != AGENT_DO_LEAVE && action->kind != AGENT_DO_STOP_CHILD)
        put_lease(s, &out, &action->lease);
    if (action->child)
        strbuf_printf(&out, " child %u%s%s", action->child, action->fresh ? " (new)" : "",
                      action->hard ? " hard" : "");
    if (action->reason)
        strbuf_printf(&out, ": %s", action->reason);
    line(s, worker, strbuf_text(&out));
    strbuf_release(&out);
}
