/* Ablations of `triad bench dispatch`: the coordinator's core and database in one process, without
 * sockets and encryption ("no network"), and the core alone ("no network, no commit"). A turn takes
 * as many results as a busy coordinator's turn does.
 *
 * usage: bench_core [jobs [folder]]     prints one line per figure */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "clock.h"
#include "core.h"
#include "file.h"
#include "store.h"
#include "str.h"

#define WORKERS          16
#define SLOTS            48
#define RESULTS_PER_TURN 100
#define JOBS_PER_SUBMIT  1000

struct world {
    struct core *core;
    struct store *store; /* NULL: the core alone */
    struct arena arena;
    struct core_output out;
    uint64_t sessions[WORKERS + 1];
    struct lease_key *queue; /* leases given and not answered, in order */
    uint64_t *queue_peer;
    size_t first, last;
    uint64_t acknowledged;
};

static void must(enum err_code code, const struct err *err)
{
    if (code != ERR_OK) {
        fprintf(stderr, "bench_core: %s\n", err->text);
        exit(1);
    }
}

static void step(struct world *w, struct core_event event)
{
    event.now_ms = clock_mono_ms();
    event.time_ms = event.now_ms;
    core_step(w->core, &event, &w->out);
}

/* Commit, then hear what is sent. */
static void end_turn(struct world *w)
{
    struct err err;
    if (w->store != NULL) {
        must(store_apply(w->store, w->out.ops, w->out.op_count, &err), &err);
        must(store_commit(w->store, &err), &err);
    }
    for (size_t i = 0; i < w->out.send_count; i++) {
        const struct core_send *send = &w->out.sends[i];
        if (send->msg.kind == MSG_WELCOME) {
            w->sessions[send->peer] = send->msg.welcome.session;
        } else if (send->msg.kind == MSG_LEASE) {
            w->queue[w->last] = send->msg.lease.lease;
            w->queue_peer[w->last++] = send->peer;
        } else if (send->msg.kind == MSG_RESULT_ACK) {
            w->acknowledged++;
        }
    }
    arena_release(&w->arena);
    core_output_init(&w->out, &w->arena);
}

static void submit(struct world *w, size_t first, size_t count)
{
    static struct submit_job jobs[JOBS_PER_SUBMIT];
    static size_t specs[JOBS_PER_SUBMIT];
    for (size_t i = 0; i < count; i++) {
        specs[i] = first + i;
        jobs[i] = (struct submit_job){.identity = hash_bytes(&specs[i], sizeof specs[i]),
                                      .kind = JOB_EVALUATE,
                                      .label = "noop",
                                      .family = "",
                                      .variant = "",
                                      .task = "",
                                      .spec = {(const uint8_t *)&specs[i], sizeof specs[i]},
                                      .threads = 1,
                                      .attempts_max = 1};
    }
    step(w,
         (struct core_event){.kind = CORE_SUBMIT,
                             .peer = WORKERS + 1,
                             .submit = {.experiment = "bench", .jobs = jobs, .job_count = count}});
    end_turn(w);
}

static void hello(struct world *w, uint64_t peer)
{
    char name[32];
    snprintf(name, sizeof name, "bench-%u", (unsigned)peer);
    struct msg m = {.kind = MSG_HELLO,
                    .hello = {.protocol_version = PROTOCOL_VERSION,
                              .worker = name,
                              .host = name,
                              .host_cores = SLOTS,
                              .threads = SLOTS,
                              .numeric_class = "bench",
                              .version = "",
                              .node = "",
                              .labels = ""}};
    step(w, (struct core_event){.kind = CORE_MESSAGE, .peer = peer, .message = {.msg = &m}});
    end_turn(w);
}

static void run(const char *what, size_t jobs, struct store *store)
{
    struct world w = {.store = store, .core = core_new(&(struct core_options){.boot = 1}, 1)};
    w.queue = calloc(jobs + 1, sizeof *w.queue);
    w.queue_peer = calloc(jobs + 1, sizeof *w.queue_peer);
    ASSERT(w.queue != NULL && w.queue_peer != NULL);
    core_output_init(&w.out, &w.arena);
    int64_t begin_ns = clock_mono_ns();
    for (size_t i = 0; i < jobs; i += JOBS_PER_SUBMIT) {
        submit(&w, i, jobs - i < JOBS_PER_SUBMIT ? jobs - i : JOBS_PER_SUBMIT);
    }
    const double submit_s = (double)(clock_mono_ns() - begin_ns) / 1e9;
    begin_ns = clock_mono_ns();
    for (uint64_t peer = 1; peer <= WORKERS; peer++) {
        hello(&w, peer);
    }
    while (w.acknowledged < jobs) {
        for (int n = 0; n < RESULTS_PER_TURN && w.first < w.last; n++, w.first++) {
            struct msg m = {.kind = MSG_RESULT,
                            .result = {.session = w.sessions[w.queue_peer[w.first]],
                                       .lease = w.queue[w.first],
                                       .reason = "",
                                       .numeric_class = "bench"}};
            step(&w, (struct core_event){.kind = CORE_MESSAGE,
                                         .peer = w.queue_peer[w.first],
                                         .message = {.msg = &m}});
        }
        end_turn(&w);
    }
    const double seconds = (double)(clock_mono_ns() - begin_ns) / 1e9;
    printf("%s: submitted %.0f jobs/s, dispatched %.0f jobs/s (%.1f us a job)\n", what,
           (double)jobs / submit_s, (double)jobs / seconds, seconds / (double)jobs * 1e6);
    arena_release(&w.arena);
    core_free(w.core);
    free(w.queue);
    free(w.queue_peer);
}

int main(int argc, char **argv)
{
    long long jobs = 100000;
    char dir[512];
    struct store *store = NULL;
    struct err err;
    uint32_t boot = 0;
    if (argc > 1 && (!str_to_i64(argv[1], &jobs) || jobs < 1)) {
        fprintf(stderr, "usage: bench_core [jobs [folder]]\n");
        return 2;
    }
    run("no network, no commit", (size_t)jobs, NULL);
    snprintf(dir, sizeof dir, "%s/triad-bench-XXXXXX", argc > 2 ? argv[2] : "/var/tmp");
    ASSERT(mkdtemp(dir) != NULL);
    must(store_open(dir, &store, &err), &err);
    must(store_boot(store, &boot, &err), &err);
    run("no network", (size_t)jobs, store);
    store_close(store);
    must(file_remove_tree(dir, &err), &err);
    return 0;
}
