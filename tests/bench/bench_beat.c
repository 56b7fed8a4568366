/* What a heartbeat costs: bytes on the wire, and microseconds of the coordinator's core and codec,
 * when it lists all of a full worker's leases (as every beat did before protocol 4, and as one does
 * that was asked for) and when a digest stands for them.
 *
 * usage: bench_beat [LEASES]     prints one line per kind of beat */
#include <stdio.h>
#include <stdlib.h>

#include "bounds.h"
#include "check.h"
#include "clock.h"
#include "codec.h"
#include "core.h"
#include "held_set.h"
#include "str.h"

#define ROUNDS 4000

struct world {
    struct core *core;
    struct arena arena;
    struct core_output out;
    uint64_t session;
};

static void step(struct world *w, struct core_event event)
{
    event.peer = 1;
    event.now_ms = 1000;
    event.time_ms = 1000;
    arena_release(&w->arena);
    core_output_init(&w->out, &w->arena);
    core_step(w->core, &event, &w->out);
    for (size_t i = 0; i < w->out.send_count; i++) {
        if (w->out.sends[i].msg.kind == MSG_WELCOME)
            w->session = w->out.sends[i].msg.welcome.session;
    }
}

/* `count` jobs, all leased to one worker. */
static void fill(struct world *w, struct submit_job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        jobs[i] = (struct submit_job){.identity = hash_bytes(&i, sizeof i),
                                      .kind = JOB_EVALUATE,
                                      .label = "noop",
                                      .family = "",
                                      .variant = "",
                                      .task = "",
                                      .threads = 1,
                                      .attempts_max = 1};
    w->core = core_new(&(struct core_options){.boot = 1}, 1);
    step(w,
         (struct core_event){.kind = CORE_SUBMIT,
                             .submit = {.experiment = "bench", .jobs = jobs, .job_count = count}});
    const struct msg m = {.kind = MSG_HELLO,
                          .hello = {.protocol_version = PROTOCOL_VERSION,
                                    .worker = "bench",
                                    .host = "bench",
                                    .host_cores = (uint32_t)count,
                                    .threads = (uint32_t)count,
                                    .numeric_class = "bench",
                                    .version = "",
                                    .node = "",
                                    .labels = ""}};
    step(w, (struct core_event){.kind = CORE_MESSAGE, .message = {.msg = &m}});
}

/* Beats with `news` rows of `count` leases, decoded and taken. */
static void measure(struct world *w, const char *what, struct held_lease *held, size_t news,
                    const struct held_set *all)
{
    const struct msg beat = {
        .kind = MSG_HEARTBEAT,
        .heartbeat = {
            .session = w->session, .held = held, .held_count = news, .beat = 900, .all = *all}};
    struct strbuf frame = {0};
    struct err err;
    ASSERT(codec_encode(&beat, FRAME_BYTES_MAX, &frame, &err) == ERR_OK);
    const int64_t begin_ns = clock_mono_ns();
    for (int i = 0; i < ROUNDS; i++) {
        struct arena arena;
        struct msg m;
        arena_init(&arena, DECODE_BUDGET_BYTES);
        ASSERT(codec_decode((const uint8_t *)frame.data, frame.len, "W", &arena, &m, &err) ==
               ERR_OK);
        step(w, (struct core_event){.kind = CORE_MESSAGE, .message = {.msg = &m}});
        ASSERT(w->out.send_count == 1 && !w->out.sends[0].msg.pulse.list);
        arena_release(&arena);
    }
    printf("%-34s %6zu bytes %8.1f us\n", what, frame.len,
           (double)(clock_mono_ns() - begin_ns) / 1e3 / ROUNDS);
    strbuf_release(&frame);
}

int main(int argc, char **argv)
{
    long long leases = LEASES_PER_WORKER_MAX;
    if (argc > 1 && (!str_to_i64(argv[1], &leases) || leases < HEARTBEAT_NEWS_MAX + 1 ||
                     leases > LEASES_PER_WORKER_MAX)) {
        fprintf(stderr, "usage: bench_beat [LEASES from %d to %d]\n", HEARTBEAT_NEWS_MAX + 1,
                LEASES_PER_WORKER_MAX);
        return 2;
    }
    const size_t count = (size_t)leases;
    static struct submit_job jobs[LEASES_PER_WORKER_MAX];
    static struct held_lease held[LEASES_PER_WORKER_MAX];
    struct held_set all = {0};
    struct world w = {.session = 0};
    fill(&w, jobs, count);
    for (size_t i = 0; i < count; i++) {
        held[i] = (struct held_lease){.lease = {.job = jobs[i].identity, .epoch = 1},
                                      .progress = 5000 + i,
                                      .done = 700 + i,
                                      .total = 20000,
                                      .loss_nats = 2.5,
                                      .tokens_per_s = 1300};
        held_set_add(&all, &held[i].lease, HELD_RUNNING);
    }
    measure(&w, "all of them listed", held, count, &all);
    measure(&w, "a digest and the news of 16", held, HEARTBEAT_NEWS_MAX, &all);
    measure(&w, "a digest, nothing new", NULL, 0, &all);
    arena_release(&w.arena);
    core_free(w.core);
    return 0;
}
