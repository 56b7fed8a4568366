/* Heartbeats (docs/protocol.md section 2). A beat may leave out what it holds, so the checks here
 * look at what the worker really held as it left (sim_frame.held), not at what the beat says: a
 * beat counts as proof exactly when that is what the coordinator has given, and otherwise a list is
 * asked for. They know nothing of how the sets are compared. */
#include "check.h"
#include "sim.h"
#include "sim_told.h"

/* In good weather no lease is apart from its holder for longer: the beat that shows it, the list
 * that is asked for, and beats that were under way or queued meanwhile. */
#define APART_MS_MAX ((int64_t)4 * HEARTBEAT_MS)
/* So long after bad weather no frame of it is under way any more, and no lease is left that its
 * worker once held and will not take again. */
#define CLEAR_AFTER_MS (2 * LEASE_MS)

void sim_beat_arrives(struct sim *s, const struct sim_frame *frame)
{
    struct sim_server *server = &s->server;
    const struct step step = {.frame = frame, .name_index = s->workers[frame->worker].name_index};
    server->given_count = 0;
    for (int job = 0; job < s->job_count; job++) {
        const struct core_job_state *state = sim_server_state(s, job);
        if (sim_told_is_holder(s, &step, state, state->epoch))
            server->given[server->given_count++] =
                (struct lease_key){.job = s->jobs[job].identity, .epoch = state->epoch};
    }
}

static const struct sim_held *find_held(const struct sim_frame *frame,
                                        const struct lease_key *lease)
{
    for (size_t i = 0; i < frame->held_count; i++)
        if (frame->held[i].lease.epoch == lease->epoch &&
            digest_equal(&frame->held[i].lease.job, &lease->job))
            return &frame->held[i];
    return NULL;
}

/* Did the worker hold just what it was given, in the states that it has told? */
static bool holds_what_it_should(const struct sim *s, const struct sim_frame *frame)
{
    const struct sim_server *server = &s->server;
    for (int i = 0; i < server->given_count; i++) {
        const struct sim_held *held = find_held(frame, &server->given[i]);
        const bool finished = server->finished[sim_job_index(s, &server->given[i].job)];
        if (!held || held->state != (finished ? HELD_FINISHED : HELD_RUNNING))
            return false;
    }
    return frame->held_count == (size_t)server->given_count;
}

static void check_rows(struct sim *s, const struct step *step, const struct msg_heartbeat *m)
{
    for (size_t i = 0; i < m->held_count; i++) {
        const struct lease_key *lease = &m->held[i].lease;
        const int job = sim_job_index(s, &lease->job);
        if (!find_held(step->frame, lease))
            sim_fail(s, "%s: epoch %u is listed and not held", s->jobs[job].label, lease->epoch);
        if (sim_told_is_current(s, step, lease)) {
            s->server.heard_ms[job] = sim_server_clock_ms(s);
            s->server.finished[job] |= m->held[i].state == HELD_FINISHED;
        } else if (!sim_told_answer(s, step, MSG_REVOKE, lease)) {
            sim_fail(s, "%s: epoch %u is listed, not current, and not revoked", s->jobs[job].label,
                     lease->epoch);
        }
    }
}

/* A beat that leaves something out: proof of all leases, or of none but those it lists. */
static void check_digest(struct sim *s, const struct step *step, bool asked)
{
    const struct sim_server *server = &s->server;
    const bool equal = holds_what_it_should(s, step->frame);
    const char *name = s->workers[step->name_index].name;
    s->counters.beats_proven_by_digest += equal;
    s->counters.beats_that_differ += !equal;
    if (equal && asked)
        sim_fail(s, "%s holds just what it should and is asked for a list", name);
    if (!equal && !asked)
        sim_fail(s, "%s holds other leases than it should and is not asked for a list", name);
    for (int i = 0; equal && i < server->given_count; i++)
        s->server.heard_ms[sim_job_index(s, &server->given[i].job)] = sim_server_clock_ms(s);
}

/* True when it lasts too long. */
static bool lasts(const struct sim *s, bool is_apart, int64_t *since_ms)
{
    const int64_t clock_ms = sim_server_clock_ms(s);
    if (!is_apart || s->now_ms < SIM_FAULTS_END_MS + CLEAR_AFTER_MS)
        *since_ms = 0;
    else if (*since_ms == 0)
        *since_ms = clock_ms;
    return *since_ms != 0 && clock_ms - *since_ms > APART_MS_MAX;
}

/* What the store has given and the worker lacks is settled soon … */
static void check_given(struct sim *s, const struct step *step)
{
    struct sim_server *server = &s->server;
    for (int i = 0; i < server->given_count; i++) {
        const struct lease_key *lease = &server->given[i];
        const int job = sim_job_index(s, &lease->job);
        const int64_t age_ms = sim_server_clock_ms(s) - server->leased_ms[job];
        const bool apart = age_ms > 2 * (int64_t)HEARTBEAT_MS && !find_held(step->frame, lease);
        s->counters.leases_apart += apart;
        if (lasts(s, apart, &server->apart_since_ms[job]))
            sim_fail(s, "%s: %s still has not got epoch %u", s->jobs[job].label,
                     s->workers[step->name_index].name, lease->epoch);
    }
}

/* … and what the worker holds and the store has not given. */
static void check_stale(struct sim *s, const struct step *step)
{
    int64_t *since_ms = s->server.stale_since_ms[step->name_index];
    uint32_t *epochs = s->server.stale_epochs[step->name_index];
    for (int job = 0; job < s->job_count; job++) {
        uint32_t stale = 0;
        for (size_t i = 0; i < step->frame->held_count; i++) {
            const struct lease_key *lease = &step->frame->held[i].lease;
            if (sim_job_index(s, &lease->job) == job && !sim_told_is_current(s, step, lease))
                stale = lease->epoch;
        }
        if (stale != epochs[job])
            since_ms[job] = 0;
        epochs[job] = stale;
        if (lasts(s, stale != 0, &since_ms[job]))
            sim_fail(s, "%s: %s still holds epoch %u, which is over", s->jobs[job].label,
                     s->workers[step->name_index].name, stale);
    }
}

void sim_beat_check(struct sim *s, const struct step *step, const struct msg_heartbeat *m)
{
    if (sim_told_answer(s, step, MSG_NO_SESSION, NULL))
        return;
    if (!sim_told_session_is_current(s, step, m->session))
        sim_fail(s, "a heartbeat of a former session is taken");
    s->server.draining[step->name_index] = m->draining;
    s->server.seen_ms[step->name_index] = sim_server_clock_ms(s);
    const struct msg *pulse = sim_told_answer(s, step, MSG_PULSE, NULL);
    if (!pulse || pulse->pulse.beat != m->beat || m->all.count != step->frame->held_count) {
        sim_fail(s, "a heartbeat is not answered, or counts wrongly");
        return;
    }
    check_rows(s, step, m);
    s->counters.lists_asked_for += pulse->pulse.list;
    if (m->held_count < m->all.count) {
        check_digest(s, step, pulse->pulse.list);
    } else {
        s->counters.beats_with_a_list++;
        sim_told_check_unlisted(s, step, m->held, m->held_count, false, 2 * HEARTBEAT_MS);
        if (pulse->pulse.list)
            sim_fail(s, "a list is answered with a wish for a list");
    }
    check_given(s, step);
    check_stale(s, step);
}

static const struct msg_heartbeat *beat_of_step(const struct sim *s)
{
    for (size_t i = 0; i < s->actions.count; i++)
        if (s->actions.items[i].message.kind == MSG_HEARTBEAT)
            return &s->actions.items[i].message.heartbeat;
    return NULL;
}

/* Who is asked for a list gives it at once, and once. */
void sim_beat_check_worker(struct sim *s, struct sim_worker *w, const struct agent_event *event)
{
    const struct msg_heartbeat *said = beat_of_step(s);
    const struct msg *m = event->kind == AGENT_EV_MESSAGE ? event->message : NULL;
    if (m && m->kind == MSG_PULSE && m->pulse.list && !agent_has_left(w->agent)) {
        const bool about_latest = m->pulse.session == agent_session(w->agent) &&
                                  m->pulse.beat == w->beat && !w->beat_was_list;
        if (about_latest && (!said || said->held_count != said->all.count))
            sim_fail(s, "%s is asked for a list and does not give it", w->name);
    }
    if (!said)
        return;
    w->beat = said->beat;
    w->beat_was_list = said->held_count == said->all.count;
}
