/* Bringing an attempt's streams, checkpoint and result to the coordinator: go-back-n with a window
 * per stream, everything repeated until acknowledged (docs/protocol.md section 3). */
#include "agent_state.h"
#include "check.h"

void agent_delivery_acknowledged(struct agent *agent, struct attempt *a, enum stream_kind stream,
                                 uint32_t next, struct agent_actions *out)
{
    struct delivery *d = &a->streams[stream];
    if (next > d->count && a->phase == AGENT_FINISHED && a->outcome.outcome != OUTCOME_OK)
        next = d->count; /* the store has what a damaged spool has lost */
    if (next > d->count || next <= d->acknowledged)
        return; /* late, or about batches that we never made */
    d->acknowledged = next;
    if (d->sent < next)
        d->sent = next;
    d->resend_wait_ms = AGENT_RESEND_MS;
    d->resend_at_ms = agent->now_ms + d->resend_wait_ms;
    struct agent_action *action = agent_emit(out, AGENT_DO_SPOOL_DROP);
    action->lease = a->lease;
    action->stream = stream;
    action->below = next;
}

/* One ACK alone may be a late one, of before a session that a late WELCOME has brought back. */
#define BEHIND_MS (3 * AGENT_RESEND_MS)

bool agent_delivery_is_behind(const struct agent *agent, struct attempt *a, enum stream_kind stream,
                              uint32_t next)
{
    struct delivery *d = &a->streams[stream];
    if (next >= d->durable)
        d->behind_ms = 0;
    else if (d->behind_ms == 0)
        d->behind_ms = agent->now_ms;
    return d->behind_ms != 0 && agent->now_ms >= d->behind_ms + BEHIND_MS;
}

void agent_delivery_restart(struct agent *agent, struct attempt *a)
{
    for (int s = 0; s < STREAM_COUNT; s++) {
        a->streams[s].sent = a->streams[s].durable = a->streams[s].acknowledged;
        a->streams[s].behind_ms = 0;
        a->streams[s].resend_wait_ms = AGENT_RESEND_MS;
    }
    /* Who came back with an older state may not have its blobs: the upload asks for each. */
    a->upload_again = a->upload.in_flight && agent->had_session;
    if (a->checkpoint.state == CHECKPOINT_STORED) {
        a->checkpoint.state = CHECKPOINT_LOCAL;
        if (!a->upload.in_flight)
            agent_retry_start(&a->upload, agent->now_ms);
    }
    a->started_sends = a->started && a->phase == AGENT_RUNNING ? 1 : 0;
    a->started_at_ms = agent->now_ms;
    a->checkpoint_at_ms = agent->now_ms;
    a->result_at_ms = agent->now_ms;
}

void agent_delivery_checkpoint_saved(struct attempt *a, uint64_t step, const struct digest *tree,
                                     int64_t now_ms)
{
    struct checkpoint saved = {.state = CHECKPOINT_LOCAL,
                               .metrics = a->streams[STREAM_METRICS].count,
                               .step = step,
                               .tree = *tree};
    if (a->checkpoint.state != CHECKPOINT_NONE &&
        (a->upload.in_flight || a->checkpoint.state == CHECKPOINT_STORED)) {
        a->newer = saved;
        return;
    }
    a->checkpoint = saved;
    a->newer.state = CHECKPOINT_NONE; /* it can only be older */
    agent_retry_start(&a->upload, now_ms);
}

/* Go on with the newer checkpoint, if one came meanwhile. */
static void checkpoint_advance(struct agent *agent, struct attempt *a)
{
    a->checkpoint = a->newer;
    a->newer.state = CHECKPOINT_NONE;
    agent_retry_start(&a->upload, agent->now_ms);
}

void agent_delivery_checkpoint_acknowledged(struct agent *agent, struct attempt *a, uint64_t step)
{
    if (a->checkpoint.state == CHECKPOINT_STORED && step >= a->checkpoint.step)
        checkpoint_advance(agent, a);
}

static void stream_pump(struct agent *agent, struct attempt *a, enum stream_kind stream,
                        struct agent_actions *out)
{
    struct delivery *d = &a->streams[stream];
    if (d->sent > d->acknowledged && agent->now_ms >= d->resend_at_ms) {
        d->sent = d->acknowledged;
        d->resend_wait_ms = 2 * d->resend_wait_ms < AGENT_RESEND_MS_MAX ? 2 * d->resend_wait_ms
                                                                        : AGENT_RESEND_MS_MAX;
    }
    while (d->sent < d->count && d->sent - d->acknowledged < AGENT_WINDOW) {
        if (d->sent == d->acknowledged)
            d->resend_at_ms = agent->now_ms + d->resend_wait_ms;
        struct msg *m = agent_emit_message(agent, out, MSG_STREAM);
        m->stream = (struct msg_stream){
            .session = agent->session, .lease = a->lease, .stream = stream, .index = d->sent++};
        out->items[out->count - 1].lease = a->lease;
    }
}

static bool checkpoint_is_deliverable(const struct attempt *a)
{
    const struct delivery *curve = &a->streams[STREAM_METRICS];
    /* Or all there are: batches that a spool has lost come no more. */
    return a->checkpoint.state == CHECKPOINT_STORED &&
           (curve->acknowledged >= a->checkpoint.metrics || curve->acknowledged == curve->count);
}

static bool result_is_deliverable(const struct attempt *a)
{
    if (a->phase != AGENT_FINISHED)
        return false;
    for (int s = 0; s < STREAM_COUNT; s++) {
        if (a->streams[s].acknowledged < a->streams[s].count)
            return false;
    }
    return (digest_is_none(&a->outcome.artifact) || a->artifact_stored) &&
           a->checkpoint.state == CHECKPOINT_NONE;
}

void agent_delivery_result(const struct agent *agent, const struct attempt *a,
                           struct msg_result *out)
{
    const struct agent_outcome *o = &a->outcome;
    *out = (struct msg_result){
        .session = agent->session,
        .lease = a->lease,
        .outcome = o->outcome,
        .reason = o->reason,
        .items = o->items,
        .records = o->records,
        .artifact = o->artifact,
        .exit_signal = o->exit_signal,
        .exit_code = o->exit_code,
        .wall_ms = o->wall_ms,
        .cpu_ms = o->cpu_ms,
        .memory_peak_bytes = o->memory_peak_bytes,
        .start_step = o->start_step,
        .numeric_class = o->numeric_class,
    };
    for (int s = 0; s < STREAM_COUNT; s++)
        out->batches[s] = a->streams[s].count;
}

void agent_delivery_pump(struct agent *agent, struct attempt *a, struct agent_actions *out)
{
    if (agent->session == 0)
        return;
    if (a->phase == AGENT_RUNNING && a->started_sends > 0 && agent->now_ms >= a->started_at_ms) {
        a->started_sends--;
        a->started_at_ms = agent->now_ms + AGENT_RESEND_MS;
        agent_emit_message(agent, out, MSG_STARTED)->started =
            (struct msg_started){.session = agent->session, .lease = a->lease};
    }
    for (int s = 0; s < STREAM_COUNT; s++)
        stream_pump(agent, a, (enum stream_kind)s, out);
    if (checkpoint_is_deliverable(a) && agent->now_ms >= a->checkpoint_at_ms) {
        a->checkpoint_at_ms = agent->now_ms + AGENT_RESEND_MS;
        agent_emit_message(agent, out, MSG_CHECKPOINT)->checkpoint =
            (struct msg_checkpoint){.session = agent->session,
                                    .lease = a->lease,
                                    .step = a->checkpoint.step,
                                    .tree = a->checkpoint.tree};
    }
    if (result_is_deliverable(a) && agent->now_ms >= a->result_at_ms) {
        a->result_at_ms = agent->now_ms + AGENT_RESEND_MS;
        agent_delivery_result(agent, a, &agent_emit_message(agent, out, MSG_RESULT)->result);
    }
}

int64_t agent_delivery_wake_ms(const struct agent *agent, const struct attempt *a)
{
    int64_t wake = TIME_NEVER;
    if (agent->session == 0)
        return wake;
    if (a->phase == AGENT_RUNNING && a->started_sends > 0)
        wake = a->started_at_ms;
    for (int s = 0; s < STREAM_COUNT; s++) {
        const struct delivery *d = &a->streams[s];
        if (d->sent > d->acknowledged && d->resend_at_ms < wake)
            wake = d->resend_at_ms;
    }
    if (checkpoint_is_deliverable(a) && a->checkpoint_at_ms < wake)
        wake = a->checkpoint_at_ms;
    if (result_is_deliverable(a) && a->result_at_ms < wake)
        wake = a->result_at_ms;
    return wake;
}
