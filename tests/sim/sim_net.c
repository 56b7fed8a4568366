#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "limits.h"
#include "sim.h"

#define DELAY_MS_MAX      40
#define DELAY_LATE_MS_MAX 20000 /* longer than a session lives: a frame from the past */

struct sim_worker *sim_net_worker_of(struct sim *s, uint64_t peer)
{
    for (int i = 0; i < s->worker_count; i++)
        if (s->workers[i].connected && s->workers[i].peer == peer)
            return &s->workers[i];
    return NULL;
}

void sim_net_frame_free(struct sim_frame *frame)
{
    free(frame->bytes);
    frame->bytes = NULL;
}

static void launch(struct sim *s, struct sim_worker *w, bool to_server, const struct strbuf *bytes)
{
    struct sim_event event = {.kind = SIM_FRAME, .worker = w->index};
    event.frame = (struct sim_frame){.peer = w->peer,
                                     .worker = w->index,
                                     .to_server = to_server,
                                     .bytes = malloc(bytes->len),
                                     .len = bytes->len};
    memcpy(event.frame.bytes, bytes->data, bytes->len);
    int64_t delay_ms = sim_between(s, 0, DELAY_MS_MAX);
    if (sim_weather_is_bad(s) && sim_chance(s, s->late_ratio)) {
        delay_ms = sim_between(s, 0, DELAY_LATE_MS_MAX);
        s->counters.frames_late++;
    }
    sim_schedule(s, delay_ms, event);
}

static void send(struct sim *s, struct sim_worker *w, bool to_server, const struct msg *m)
{
    struct strbuf bytes = {0};
    struct err err;
    if (codec_encode(m, FRAME_BYTES_MAX, &bytes, &err) != ERR_OK) {
        sim_fail(s, "encode %s: %s", msg_kind_name(m->kind), err.text);
        strbuf_release(&bytes);
        return;
    }
    s->counters.frames_sent++;
    const bool bad = sim_weather_is_bad(s);
    if (w->partitioned || (bad && sim_chance(s, s->drop_ratio))) {
        s->counters.frames_dropped++;
    } else {
        launch(s, w, to_server, &bytes);
        if (bad && sim_chance(s, s->double_ratio)) {
            s->counters.frames_doubled++;
            launch(s, w, to_server, &bytes);
        }
    }
    strbuf_release(&bytes);
}

void sim_net_to_server(struct sim *s, struct sim_worker *w, const struct msg *m)
{
    if (!w->connected) {
        s->counters.frames_lost_with_peer++;
        return;
    }
    send(s, w, true, m);
}

void sim_net_to_worker(struct sim *s, uint64_t peer, const struct msg *m)
{
    struct sim_worker *w = sim_net_worker_of(s, peer);
    if (!w) {
        s->counters.frames_lost_with_peer++;
        return;
    }
    send(s, w, false, m);
}

bool sim_net_decode(struct sim *s, const struct sim_frame *frame, struct arena *arena,
                    struct msg *out)
{
    struct err err;
    arena_init(arena, DECODE_BUDGET_BYTES);
    if (codec_decode(frame->bytes, frame->len, frame->to_server ? "W" : "S", arena, out, &err) ==
        ERR_OK)
        return true;
    sim_fail(s, "decode a frame of ours: %s", err.text);
    return false;
}
