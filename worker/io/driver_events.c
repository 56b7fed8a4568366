/* Events into the agent, its actions out of it. An action may cause an event at once (a disk that
 * is full); such events wait until the actions at hand are done. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "clock.h"
#include "codec.h"
#include "driver_internal.h"
#include "log.h"

struct driver_job *driver_job_find(struct driver *d, const struct lease_key *lease)
{
    for (struct driver_job *job = d->jobs; job; job = job->next) {
        if (job->lease.epoch == lease->epoch && digest_equal(&job->lease.job, &lease->job))
            return job;
    }
    return NULL;
}

/* ---- actions ---- */

static void send_message(struct driver *d, const struct msg *m)
{
    struct strbuf frame = {0};
    struct err err;
    enum err_code code = codec_encode(m, FRAME_BYTES_MAX, &frame, &err);
    if (code)
        log_event(LOG_ERROR, "message_not_encoded", "kind=%s text=\"%s\"", msg_kind_name(m->kind),
                  err.text);
    else
        code = net_dealer_send(d->dealer, frame.data, frame.len, &err);
    /* What could not be sent is repeated by the agent, like what is lost on the way. */
    log_event(LOG_DEBUG, code ? "send_failed" : "sent", "kind=%s", msg_kind_name(m->kind));
    strbuf_release(&frame);
}

static void send_batch(struct driver *d, const struct agent_action *action)
{
    struct msg m = action->message;
    struct strbuf payload = {0};
    struct err err;
    enum err_code code =
        spool_read(d->spool, &action->lease, m.stream.stream, m.stream.index, &payload, &err);
    if (code) {
        log_event(LOG_ERROR, "spool_unreadable", "text=\"%s\"", err.text);
        driver_post(d, &(struct agent_event){.kind = AGENT_EV_DISK_TROUBLE,
                                             .lease = action->lease,
                                             .failure = {.text = err.text, .final = true}});
    } else {
        m.stream.payload = (struct bytes){(const uint8_t *)payload.data, payload.len};
        send_message(d, &m);
    }
    strbuf_release(&payload);
}

static void spool_result(struct driver *d, const struct agent_action *action)
{
    const struct msg_result *r = &action->message.result;
    char hex[DIGEST_HEX_SIZE];
    log_event(r->outcome == OUTCOME_OK ? LOG_INFO : LOG_WARN, "attempt_ended",
              "job=%.12s epoch=%u outcome=%s items=%llu wall_ms=%llu reason=\"%s\"",
              digest_hex(&action->lease.job, hex), action->lease.epoch, outcome_name(r->outcome),
              (unsigned long long)r->items, (unsigned long long)r->wall_ms, r->reason);
    driver_end_write(d, &action->lease, r);
}

static void forget(struct driver *d, const struct agent_action *action)
{
    char hex[DIGEST_HEX_SIZE];
    log_event(LOG_INFO, "attempt_forgotten", "job=%.12s epoch=%u reason=\"%s\"",
              digest_hex(&action->lease.job, hex), action->lease.epoch, action->reason);
    driver_cancel_transfers(d, &action->lease);
    driver_end_forget(d, &action->lease);
    spool_forget(d->spool, &action->lease);
    struct driver_job *job = driver_job_find(d, &action->lease);
    if (!job)
        return;
    struct driver_child *c = driver_detach(job);
    driver_job_free(d, job);
    driver_child_continue(d, c); /* its frames are read and thrown away */
}

static void perform(struct driver *d, const struct agent_action *action)
{
    switch (action->kind) {
    case AGENT_DO_SEND:
        send_message(d, &action->message);
        return;
    case AGENT_DO_SEND_BATCH:
        send_batch(d, action);
        return;
    case AGENT_DO_FETCH:
        driver_fetch(d, action->job);
        return;
    case AGENT_DO_RUN:
        driver_run(d, action);
        return;
    case AGENT_DO_STOP_CHILD:
        driver_stop_child(d, action->child, action->hard);
        return;
    case AGENT_DO_UPLOAD:
        driver_upload(d, &action->lease, &action->tree);
        return;
    case AGENT_DO_SPOOL_RESULT:
        spool_result(d, action);
        return;
    case AGENT_DO_SPOOL_DROP:
        spool_drop(d->spool, &action->lease, action->stream, action->below);
        return;
    case AGENT_DO_FORGET:
        forget(d, action);
        return;
    case AGENT_DO_LEAVE:
        driver_leave(d, action->refused, action->reason);
        return;
    }
    UNREACHABLE("unknown agent action");
}

/* ---- events ---- */

static void on_wake(uv_timer_t *timer)
{
    driver_post(timer->data, &(struct agent_event){.kind = AGENT_EV_TICK});
}

static void step(struct driver *d, struct agent_event *event)
{
    event->now_ms = clock_mono_ms();
    agent_step(d->agent, event, &d->actions);
    for (size_t i = 0; i < d->actions.count; i++)
        perform(d, &d->actions.items[i]);
    if (d->leaving || d->actions.wake_at_ms == INT64_MAX) {
        uv_timer_stop(&d->wake);
        return;
    }
    int64_t wait_ms = d->actions.wake_at_ms - clock_mono_ms();
    uv_update_time(&d->loop);
    uv_timer_start(&d->wake, on_wake, wait_ms > 0 ? (uint64_t)wait_ms : 0, 0);
}

/* Which member of the event's union holds a text depends on the kind. */
static const char **event_text(struct agent_event *event)
{
    bool failure = event->kind == AGENT_EV_FETCH_FAILED || event->kind == AGENT_EV_UPLOAD_FAILED ||
                   event->kind == AGENT_EV_DISK_TROUBLE;
    return failure ? &event->failure.text : &event->outcome.reason;
}

static void event_push(struct driver *d, const struct agent_event *event)
{
    struct driver_event *e = calloc(1, sizeof *e);
    ASSERT(e);
    e->event = *event;
    const char **text = event_text(&e->event);
    if (*text)
        *text = e->text = strdup(*text);
    if (event->outcome.numeric_class)
        e->event.outcome.numeric_class = e->numeric_class = strdup(event->outcome.numeric_class);
    *d->events_end = e;
    d->events_end = &e->next;
}

static struct driver_event *event_pop(struct driver *d)
{
    struct driver_event *e = d->events;
    d->events = e->next;
    if (!d->events)
        d->events_end = &d->events;
    return e;
}

static void event_free(struct driver_event *e)
{
    free(e->text);
    free(e->numeric_class);
    free(e);
}

static void drain(struct driver *d)
{
    while (d->events) {
        struct driver_event *e = event_pop(d);
        if (!d->closed)
            step(d, &e->event);
        event_free(e);
    }
    d->stepping = false;
}

void driver_post(struct driver *d, const struct agent_event *event)
{
    if (d->closed)
        return;
    event_push(d, event);
    if (d->stepping)
        return;
    d->stepping = true;
    drain(d);
}

void driver_message(struct driver *d, const struct msg *message)
{
    if (d->closed)
        return;
    ASSERT(!d->stepping); /* the network calls back from the loop only */
    d->stepping = true;
    step(d, &(struct agent_event){.kind = AGENT_EV_MESSAGE, .message = message});
    drain(d);
}

void driver_events_release(struct driver *d)
{
    while (d->events)
        event_free(event_pop(d));
}
