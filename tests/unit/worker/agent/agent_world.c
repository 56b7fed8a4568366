#include "agent_world.h"

#include "cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"

struct digest digest_of(uint8_t n)
{
    struct digest d = {{0}};
    d.bytes[0] = n;
    return d;
}

struct lease_key lease_of(uint8_t job, uint32_t epoch)
{
    return (struct lease_key){.job = digest_of(job), .epoch = epoch};
}

static void show_lease(struct strbuf *out, const struct lease_key *lease)
{
    strbuf_printf(out, " %u.%u", lease->job.bytes[0], lease->epoch);
}

static void show_message(struct strbuf *out, const struct msg *m)
{
    if (m->kind == MSG_HELLO) {
        strbuf_puts(out, "hello");
        for (size_t i = 0; i < m->hello.held_count; i++) {
            show_lease(out, &m->hello.held[i].lease);
            strbuf_puts(out, m->hello.held[i].state == HELD_FINISHED ? "f" : "r");
        }
    } else if (m->kind == MSG_HEARTBEAT) {
        strbuf_puts(out, m->heartbeat.draining ? "beat draining" : "beat");
        for (size_t i = 0; i < m->heartbeat.held_count; i++)
            show_lease(out, &m->heartbeat.held[i].lease);
        if (m->heartbeat.held_count < m->heartbeat.all.count)
            strbuf_printf(out, " of %u", m->heartbeat.all.count);
    } else if (m->kind == MSG_STARTED) {
        strbuf_puts(out, "started");
        show_lease(out, &m->started.lease);
    } else if (m->kind == MSG_STREAM) {
        strbuf_puts(out, "batch");
        show_lease(out, &m->stream.lease);
        strbuf_printf(out, " %d:%u", (int)m->stream.stream, m->stream.index);
    } else if (m->kind == MSG_CHECKPOINT) {
        strbuf_puts(out, "checkpoint");
        show_lease(out, &m->checkpoint.lease);
        strbuf_printf(out, " step %lu", (unsigned long)m->checkpoint.step);
    } else if (m->kind == MSG_RESULT) {
        strbuf_puts(out, "result");
        show_lease(out, &m->result.lease);
        strbuf_printf(out, " %d %s[%u %u %u]", (int)m->result.outcome, m->result.reason,
                      m->result.batches[0], m->result.batches[1], m->result.batches[2]);
    } else if (m->kind == MSG_BYE) {
        strbuf_puts(out, "bye");
    }
}

static void note_beat(struct world *w, const struct msg_heartbeat *m)
{
    w->beat = m->beat;
    w->news_count = m->held_count;
    for (size_t i = 0; i < m->held_count; i++)
        w->news[i] = m->held[i].lease.job.bytes[0];
}

static void show_action(struct world *w, const struct agent_action *a)
{
    struct strbuf *out = &w->text;
    enum msg_kind kind = a->message.kind;
    if (kind == MSG_HEARTBEAT)
        note_beat(w, &a->message.heartbeat);
    if (!w->beats && a->kind == AGENT_DO_SEND && (kind == MSG_HELLO || kind == MSG_HEARTBEAT))
        return;
    static const char *const names[] = {
        [AGENT_DO_SEND] = "send ",          [AGENT_DO_SEND_BATCH] = "send ",
        [AGENT_DO_FETCH] = "fetch",         [AGENT_DO_RUN] = "run",
        [AGENT_DO_STOP_CHILD] = "stop",     [AGENT_DO_UPLOAD] = "upload",
        [AGENT_DO_SPOOL_RESULT] = "spool ", [AGENT_DO_SPOOL_DROP] = "drop",
        [AGENT_DO_FORGET] = "forget",       [AGENT_DO_LEAVE] = "leave",
    };
    strbuf_puts(out, names[a->kind]);
    if (kind)
        show_message(out, &a->message);
    else if (a->kind != AGENT_DO_STOP_CHILD && a->kind != AGENT_DO_LEAVE)
        show_lease(out, &a->lease);
    if (a->child)
        strbuf_printf(out, " child %u%s%s", a->child, a->fresh ? " fresh" : "",
                      a->hard ? " hard" : "");
    if (a->kind == AGENT_DO_UPLOAD)
        strbuf_printf(out, " tree %u", a->tree.bytes[0]);
    if (a->kind == AGENT_DO_SPOOL_DROP)
        strbuf_printf(out, " %d<%u", (int)a->stream, a->below);
    if (a->kind == AGENT_DO_LEAVE)
        strbuf_printf(out, "%s: %s", a->refused ? " refused" : "", a->reason);
    strbuf_putc(out, '\n');
}

void step(struct world *w, struct agent_event ev)
{
    ev.now_ms = w->now_ms;
    agent_step(w->agent, &ev, &w->actions);
    for (size_t i = 0; i < w->actions.count; i++)
        show_action(w, &w->actions.items[i]);
}

/* Let time pass, ticking exactly when the agent asks for it. */
void pass(struct world *w, int64_t ms)
{
    int64_t end_ms = w->now_ms + ms;
    for (int turns = 0; w->actions.wake_at_ms <= end_ms; turns++) {
        assert_true(turns < 100000); /* a wake-up that does nothing would loop forever */
        if (w->actions.wake_at_ms > w->now_ms)
            w->now_ms = w->actions.wake_at_ms;
        step(w, (struct agent_event){.kind = AGENT_EV_TICK});
    }
    w->now_ms = end_ms;
}

void expect_at(struct world *w, const char *expected, int line)
{
    if (strcmp(strbuf_text(&w->text), expected) != 0)
        fail_msg("line %d: expected\n%sgot\n%s", line, expected, strbuf_text(&w->text));
    strbuf_clear(&w->text);
}

void say(struct world *w, struct msg m)
{
    step(w, (struct agent_event){.kind = AGENT_EV_MESSAGE, .message = &m});
}

void welcome(struct world *w, uint64_t session)
{
    say(w, (struct msg){.kind = MSG_WELCOME,
                        .welcome = {.session = session, .heartbeat_ms = 2000, .lease_ms = 30000}});
}

void pulse(struct world *w, uint64_t session)
{
    say(w, (struct msg){.kind = MSG_PULSE, .pulse = {.session = session, .beat = w->beat}});
}

void lease_job(struct world *w, uint8_t job, uint32_t epoch, enum job_kind kind, uint32_t threads)
{
    struct named_digest model = {.name = "model", .digest = digest_of(99)};
    say(w, (struct msg){.kind = MSG_LEASE,
                        .lease = {.session = 1,
                                  .lease = lease_of(job, epoch),
                                  .kind = kind,
                                  .label = "x",
                                  .spec = {(const uint8_t *)"{}", 2},
                                  .parents = &model,
                                  .parent_count = 1,
                                  .threads = threads,
                                  .memory_bytes = 1}});
}

void acknowledge(struct world *w, uint8_t job, enum stream_kind stream, uint32_t next)
{
    say(w, (struct msg){
               .kind = MSG_ACK,
               .ack = {.session = 1, .lease = lease_of(job, 1), .stream = stream, .next = next}});
}

void result_acknowledged(struct world *w, uint8_t job)
{
    say(w, (struct msg){.kind = MSG_RESULT_ACK,
                        .result_ack = {.session = 1, .lease = lease_of(job, 1)}});
}

void on(struct world *w, enum agent_event_kind kind, uint8_t job)
{
    step(w, (struct agent_event){.kind = kind, .lease = lease_of(job, 1)});
}

void batch(struct world *w, uint8_t job, enum stream_kind stream)
{
    step(w,
         (struct agent_event){.kind = AGENT_EV_BATCH, .lease = lease_of(job, 1), .stream = stream});
}

void ended(struct world *w, uint8_t job, enum outcome outcome, const char *reason, uint8_t artifact)
{
    step(w,
         (struct agent_event){
             .kind = AGENT_EV_RESULT,
             .lease = lease_of(job, 1),
             .outcome = {.outcome = outcome, .reason = reason, .artifact = digest_of(artifact)}});
}

void exited(struct world *w, uint32_t child, enum outcome outcome, const char *reason)
{
    step(w, (struct agent_event){.kind = AGENT_EV_CHILD_EXITED,
                                 .child = child,
                                 .outcome = {.outcome = outcome, .reason = reason}});
}

void begin(struct world *w, uint32_t threads)
{
    memset(w, 0, sizeof *w);
    struct agent_options options = {.worker = "w",
                                    .host = "h",
                                    .numeric_class = "blas/f32/any/1",
                                    .version = "1",
                                    .instance = digest_of(7),
                                    .host_cores = 4,
                                    .threads = threads,
                                    .memory_bytes = 1000,
                                    .seed = 3};
    w->agent = agent_new(&options);
    w->now_ms = 1000;
    step(w, (struct agent_event){.kind = AGENT_EV_START});
    step(w, (struct agent_event){.kind = AGENT_EV_CONNECTED});
    welcome(w, 1);
    strbuf_clear(&w->text);
}

void begin_with_job(struct world *w, uint32_t threads, enum job_kind kind)
{
    begin(w, threads);
    lease_job(w, 5, 1, kind, 1);
    on(w, AGENT_EV_FETCHED, 5);
    strbuf_clear(&w->text);
}

void end(struct world *w)
{
    agent_free(w->agent);
    agent_actions_release(&w->actions);
    strbuf_release(&w->text);
}
