/* Heartbeats: a digest of all that is held, and the news. News is what no PULSE has confirmed yet,
 * so that a lost beat loses nothing: leases that are new or have ended, all of them, and progress
 * of others, those first that were told longest ago. With short jobs everything is new, and the
 * beat is the whole list; with long ones hardly anything is, and the digest stands for the rest. */
#include "agent_state.h"
#include "check.h"
#include "held_set.h"

static enum held_state beat_state(const struct attempt *a)
{
    return a->phase == AGENT_FINISHED ? HELD_FINISHED : HELD_RUNNING;
}

static struct held_lease beat_row(const struct attempt *a)
{
    return (struct held_lease){
        .lease = a->lease,
        .state = beat_state(a),
        .progress = a->progress,
        .done = a->done,
        .total = a->total,
        .loss_nats = a->loss_nats,
        .tokens_per_s = a->tokens_per_s,
    };
}

struct held_lease *agent_beat_list(const struct agent *agent, struct agent_actions *out)
{
    if (agent->attempt_count == 0)
        return NULL;
    struct held_lease *held = arena_array(&out->arena, agent->attempt_count, sizeof *held);
    for (size_t i = 0; i < agent->attempt_count; i++)
        held[i] = beat_row(agent->attempts[i]);
    return held;
}

/* The unlisted attempt with progress to tell that was listed longest ago; NULL: there is none. */
static struct attempt *beat_next_moved(const struct agent *agent)
{
    struct attempt *next = NULL;
    for (size_t i = 0; i < agent->attempt_count; i++) {
        struct attempt *a = agent->attempts[i];
        if (a->said_beat != agent->beat && a->progress != a->heard.progress &&
            (!next || a->said_beat < next->said_beat))
            next = a;
    }
    return next;
}

static void beat_say(const struct agent *agent, struct attempt *a, struct msg_heartbeat *m)
{
    m->held[m->held_count++] = beat_row(a);
    a->said = (struct told){.known = true, .state = beat_state(a), .progress = a->progress};
    a->said_beat = agent->beat;
}

void agent_beat_send(struct agent *agent, struct agent_actions *out)
{
    struct msg_heartbeat m = {
        .session = agent->session, .draining = agent->draining, .beat = ++agent->beat};
    if (agent->attempt_count > 0)
        m.held = arena_array(&out->arena, agent->attempt_count, sizeof *m.held);
    for (size_t i = 0; i < agent->attempt_count; i++) {
        struct attempt *a = agent->attempts[i];
        held_set_add(&m.all, &a->lease, beat_state(a));
        if (agent->list_wanted || !a->heard.known || a->heard.state != beat_state(a))
            beat_say(agent, a, &m);
    }
    struct attempt *moved;
    for (int i = 0; i < HEARTBEAT_NEWS_MAX && (moved = beat_next_moved(agent)) != NULL; i++)
        beat_say(agent, moved, &m);
    agent->list_wanted = false;
    agent->beat_was_list = m.held_count == agent->attempt_count;
    agent_emit_message(agent, out, MSG_HEARTBEAT)->heartbeat = m;
}

/* Of an earlier beat it says nothing about what the latest told, and a list is asked for once. */
void agent_beat_answered(struct agent *agent, const struct msg_pulse *m)
{
    if (m->beat != agent->beat)
        return;
    for (size_t i = 0; i < agent->attempt_count; i++) {
        struct attempt *a = agent->attempts[i];
        if (a->said_beat == m->beat)
            a->heard = a->said;
    }
    agent->list_wanted = m->list && !agent->beat_was_list;
}

void agent_beat_restart(struct agent *agent)
{
    agent->list_wanted = false;
    for (size_t i = 0; i < agent->attempt_count; i++) {
        struct attempt *a = agent->attempts[i];
        a->said = a->heard = (struct told){.known = false};
        a->said_beat = 0;
    }
}
