/* The network: every message becomes a real frame, and a frame may be lost, late, doubled or
 * overtaken. ZeroMQ would keep order within a connection; the protocol does not rely on it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "codec.h"
#include "sim.h"

#define DELAY_MS_MAX      40
#define DELAY_LATE_MS_MAX 20000 /* longer than a session lives: a frame from the past */

void sim_net_frame_free(struct sim_frame *frame)
{
    free(frame->bytes);
    free(frame->held);
    frame->bytes = NULL;
    frame->held = NULL;
}

/* What a heartbeat speaks of, told or not. */
static void attach_held(const struct sim_worker *w, struct sim_frame *frame)
{
    frame->held_count = agent_held_count(w->agent);
    frame->held = calloc(frame->held_count + 1, sizeof *frame->held);
    ASSERT(frame->held != NULL);
    for (size_t i = 0; i < frame->held_count; i++) {
        const struct agent_view view = agent_held_at(w->agent, i);
        frame->held[i].lease = view.lease;
        frame->held[i].state = view.phase == AGENT_FINISHED ? HELD_FINISHED : HELD_RUNNING;
    }
}

static void launch(struct sim *s, const struct sim_worker *w, bool to_server, enum msg_kind kind,
                   int64_t delay_ms)
{
    struct sim_event event = {.kind = SIM_FRAME, .worker = w->index};
    event.frame = (struct sim_frame){.peer = w->peer,
                                     .worker = w->index,
                                     .to_server = to_server,
                                     .bytes = malloc(s->frame.len),
                                     .len = s->frame.len};
    ASSERT(event.frame.bytes != NULL);
    memcpy(event.frame.bytes, s->frame.data, s->frame.len);
    if (kind == MSG_HEARTBEAT)
        attach_held(w, &event.frame);
    sim_schedule(s, delay_ms, event);
}

static int64_t draw_delay(struct sim *s)
{
    if (!sim_mishap(s, s->late_ratio))
        return sim_between(s, 0, DELAY_MS_MAX);
    s->counters.frames_late++;
    return sim_between(s, DELAY_MS_MAX, DELAY_LATE_MS_MAX);
}

static void send(struct sim *s, const struct sim_worker *w, bool to_server, const struct msg *m)
{
    struct err err;
    const char *from = to_server ? w->name : "C";
    const char *to = to_server ? "C" : w->name;
    strbuf_clear(&s->frame);
    if (codec_encode(m, FRAME_BYTES_MAX, &s->frame, &err) != ERR_OK) {
        sim_fail(s, "encode %s: %s", msg_kind_name(m->kind), err.text);
        return;
    }
    s->counters.frames_sent++;
    const bool cut = to_server ? w->cut_to_server : w->cut_to_worker;
    if (cut || sim_mishap(s, s->drop_ratio)) {
        s->counters.frames_dropped++;
        sim_trace_message(s, from, to, m, cut ? "lost in a cut" : "lost");
        return;
    }
    const int64_t delay_ms = draw_delay(s);
    launch(s, w, to_server, m->kind, delay_ms);
    if (delay_ms > DELAY_MS_MAX)
        sim_trace_message(s, from, to, m, "late");
    if (sim_mishap(s, s->double_ratio)) {
        s->counters.frames_doubled++;
        launch(s, w, to_server, m->kind, draw_delay(s));
    }
}

void sim_net_to_server(struct sim *s, struct sim_worker *w, const struct msg *m)
{
    if (w->connected)
        send(s, w, true, m);
    else
        s->counters.frames_to_nobody++;
}

bool sim_net_to_worker(struct sim *s, uint64_t peer, const struct msg *m)
{
    for (int i = 0; i < s->worker_count; i++)
        if (s->workers[i].connected && s->workers[i].peer == peer) {
            send(s, &s->workers[i], false, m);
            return true;
        }
    s->counters.frames_to_nobody++;
    return false;
}

bool sim_net_decode(struct sim *s, const struct sim_frame *frame, struct arena *arena,
                    struct msg *out)
{
    struct err err;
    if (codec_decode(frame->bytes, frame->len, frame->to_server ? "W" : "S", arena, out, &err) ==
        ERR_OK)
        return true;
    sim_fail(s, "decode a frame of ours: %s", err.text);
    return false;
}
