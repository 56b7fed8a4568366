/* How fast the coordinator is: no-op jobs per second (lease after commit; result received,
 * committed, acknowledged) and item records per second, over real encrypted sockets, database on
 * the disk of --dir. One scripted worker on this machine, so both sides share the processor.
 *
 * usage: bench_dispatch [jobs [batches-per-job [folder]]]    prints one line per figure */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "check.h"
#include "clock.h"
#include "codec.h"
#include "file.h"
#include "limits.h"
#include "net.h"
#include "records.h"
#include "str.h"

/* A turn may answer each frame with two, and libzmq frees a queue of 256 by halves. */
#define FRAMES_IN_FLIGHT 48
#define WORKERS          4

struct bench;

/* One scripted worker. */
struct lane {
    struct bench *bench;
    struct net_socket *socket;
    uint64_t session;
};

struct bench {
    uv_loop_t loop;
    struct net *net;
    struct net_socket *client;
    struct lane lanes[WORKERS];
    struct strbuf batch, frame;
    size_t jobs, batches, submitted, acked;
    int64_t begin_ns, end_ns;
};

static void must(enum err_code code, const struct err *err)
{
    if (code != ERR_OK) {
        fprintf(stderr, "bench_dispatch: %s\n", err->text);
        exit(1);
    }
}

static void send_msg(struct bench *b, struct net_socket *socket, const struct msg *m)
{
    struct err err;
    strbuf_clear(&b->frame);
    must(codec_encode(m, FRAME_BYTES_MAX, &b->frame, &err), &err);
    must(net_dealer_send(socket, b->frame.data, b->frame.len, &err), &err);
}

/* What the worker knows is done at once: all batches, then the result. */
static void run_job(const struct lane *lane, const struct lease_key *lease)
{
    struct bench *b = lane->bench;
    struct hash_state hash;
    hash_init(&hash);
    for (size_t i = 0; i < b->batches; i++) {
        struct msg m = {.kind = MSG_STREAM,
                        .stream = {.session = lane->session,
                                   .lease = *lease,
                                   .stream = STREAM_RECORDS,
                                   .index = (uint32_t)i,
                                   .payload = {(const uint8_t *)b->batch.data, b->batch.len}}};
        hash_update(&hash, b->batch.data, b->batch.len);
        send_msg(b, lane->socket, &m);
    }
    struct msg m = {.kind = MSG_RESULT,
                    .result = {.session = lane->session,
                               .lease = *lease,
                               .reason = "",
                               .batches = {[STREAM_RECORDS] = (uint32_t)b->batches},
                               .items = b->batches * RECORDS_PER_BATCH_MAX,
                               .numeric_class = "bench"}};
    if (b->batches > 0) {
        m.result.records = hash_final(&hash);
    }
    send_msg(b, lane->socket, &m);
}

static void on_worker_frame(void *ctx, const struct net_peer *peer, enum net_role role,
                            const char *user, const uint8_t *bytes, size_t len)
{
    struct lane *lane = ctx;
    struct bench *b = lane->bench;
    struct arena arena = {0};
    struct msg m;
    struct err err;
    (void)peer, (void)role, (void)user;
    must(codec_decode(bytes, len, "S", &arena, &m, &err), &err);
    if (m.kind == MSG_WELCOME) {
        lane->session = m.welcome.session;
        uv_stop(&b->loop);
    } else if (m.kind == MSG_LEASE) {
        b->begin_ns = b->begin_ns == 0 ? clock_mono_ns() : b->begin_ns;
        run_job(lane, &m.lease.lease);
    } else if (m.kind == MSG_RESULT_ACK && ++b->acked == b->jobs) {
        b->end_ns = clock_mono_ns();
        uv_stop(&b->loop);
    }
    arena_release(&arena);
}

static void on_client_frame(void *ctx, const struct net_peer *peer, enum net_role role,
                            const char *user, const uint8_t *bytes, size_t len)
{
    struct bench *b = ctx;
    struct arena arena = {0};
    struct msg m;
    struct err err;
    (void)peer, (void)role, (void)user;
    must(codec_decode(bytes, len, "R", &arena, &m, &err), &err);
    if (m.kind == MSG_ERROR) {
        fprintf(stderr, "bench_dispatch: %s\n", m.error.text);
        exit(1);
    }
    arena_release(&arena);
    uv_stop(&b->loop);
}

/* Frames sent before the handshake would be refused: both kinds of context lead to the bench. */
static void on_client_status(void *ctx, int connected, const char *text)
{
    struct bench *b = ctx;
    (void)text;
    if (connected) {
        uv_stop(&b->loop);
    }
}

static void on_worker_status(void *ctx, int connected, const char *text)
{
    const struct lane *lane = ctx;
    on_client_status(lane->bench, connected, text);
}

static struct net_socket *dial(struct bench *b, const char *dir, const char *role,
                               net_receive_f *receive, void *ctx)
{
    char path[512];
    struct net_access access;
    struct net_socket *socket = NULL;
    struct err err;
    snprintf(path, sizeof path, "%s/%s.access", dir, role);
    must(net_access_load(path, &access, &err), &err);
    const struct net_dealer_options options = {
        .endpoint = access.endpoint,
        .server = &access.server,
        .own = &access.own,
        .frame_bytes_max = FRAME_BYTES_MAX,
        .receive = receive,
        .status = receive == on_client_frame ? on_client_status : on_worker_status,
        .ctx = ctx};
    must(net_dealer_new(b->net, &options, &socket, &err), &err);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    return socket;
}

static void submit(struct bench *b)
{
    struct submit_job jobs[SUBMIT_JOBS_PER_FRAME];
    size_t specs[SUBMIT_JOBS_PER_FRAME]; /* a job is named after its spec */
    const uint32_t parts =
        (uint32_t)((b->jobs + SUBMIT_JOBS_PER_FRAME - 1) / SUBMIT_JOBS_PER_FRAME);
    for (uint32_t part = 0; part < parts; part++) {
        size_t count = 0;
        for (; count < SUBMIT_JOBS_PER_FRAME && b->submitted < b->jobs; count++) {
            specs[count] = b->submitted;
            jobs[count] = (struct submit_job){
                .identity = hash_bytes(&specs[count], sizeof specs[count]),
                .kind = JOB_EVALUATE,
                .label = "noop",
                .family = "",
                .variant = "",
                .task = "",
                .spec = {(const uint8_t *)&specs[count], sizeof specs[count]},
                .threads = 1,
                .attempts_max = 1,
            };
            b->submitted++;
        }
        struct msg m = {.kind = MSG_SUBMIT,
                        .submit = {.request = part,
                                   .experiment = "bench",
                                   .part_index = part,
                                   .part_count = parts,
                                   .jobs = jobs,
                                   .job_count = count}};
        send_msg(b, b->client, &m);
        uv_run(&b->loop, UV_RUN_DEFAULT); /* until the reply */
    }
}

static void say_hello(struct bench *b, size_t worker)
{
    /* Jobs at once: what keeps within the frames in flight. */
    const uint32_t threads = (uint32_t)(FRAMES_IN_FLIGHT / (b->batches + 1));
    char name[32];
    snprintf(name, sizeof name, "bench-%zu", worker);
    struct msg hello = {.kind = MSG_HELLO,
                        .hello = {.protocol_version = PROTOCOL_VERSION,
                                  .worker = name,
                                  .host = name,
                                  .host_cores = threads,
                                  .threads = threads,
                                  .numeric_class = "bench",
                                  .version = ""}};
    send_msg(b, b->lanes[worker].socket, &hello);
    uv_run(&b->loop, UV_RUN_DEFAULT); /* until WELCOME */
}

static pid_t start(const char *dir)
{
    int ready[2];
    char fd_text[16];
    char line[8];
    ASSERT(pipe(ready) == 0);
    snprintf(fd_text, sizeof fd_text, "%d", ready[1]);
    pid_t pid = fork();
    if (pid == 0) {
        execl(COORDINATOR_PROGRAM, "triad-coordinator", "--state", dir, "--init-keys",
              "--log-level", "error", "--ready-fd", fd_text, (char *)NULL);
        _exit(127);
    }
    close(ready[1]);
    ASSERT(pid > 0 && read(ready[0], line, 6) == 6);
    close(ready[0]);
    return pid;
}

static size_t argument(int argc, char **argv, int index, size_t otherwise)
{
    long long n = 0;
    return index < argc && str_to_i64(argv[index], &n) && n >= 0 ? (size_t)n : otherwise;
}

int main(int argc, char **argv)
{
    struct bench b = {.jobs = argument(argc, argv, 1, 20000),
                      .batches = argument(argc, argv, 2, 0)};
    char dir[512];
    struct err err;
    snprintf(dir, sizeof dir, "%s/triad-bench-XXXXXX", argc > 3 ? argv[3] : "/tmp");
    ASSERT(mkdtemp(dir) != NULL);
    struct record records[RECORDS_PER_BATCH_MAX] = {{0}};
    records_encode(&b.batch, RECORDS_SCORES, records, RECORDS_PER_BATCH_MAX);
    pid_t pid = start(dir);
    uv_loop_init(&b.loop);
    must(net_new(&b.loop, &b.net, &err), &err);
    b.client = dial(&b, dir, "client", on_client_frame, &b);
    int64_t submit_ns = clock_mono_ns();
    submit(&b);
    submit_ns = clock_mono_ns() - submit_ns;
    for (size_t i = 0; i < WORKERS; i++) {
        b.lanes[i].bench = &b;
        b.lanes[i].socket = dial(&b, dir, "worker", on_worker_frame, &b.lanes[i]);
        say_hello(&b, i);
    }
    while (b.acked < b.jobs) {
        uv_run(&b.loop, UV_RUN_DEFAULT);
    }
    double seconds = (double)(b.end_ns - b.begin_ns) / 1e9;
    printf("submitted %.0f jobs/s\n", (double)b.jobs / ((double)submit_ns / 1e9));
    printf("dispatched %.0f jobs/s (%zu jobs in %.2f s)\n", (double)b.jobs / seconds, b.jobs,
           seconds);
    if (b.batches > 0) {
        printf("records %.0f /s\n", (double)(b.jobs * b.batches) * RECORDS_PER_BATCH_MAX / seconds);
    }
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    must(file_remove_tree(dir, &err), &err);
    net_free(b.net, NULL, NULL);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    uv_loop_close(&b.loop);
    strbuf_release(&b.batch);
    strbuf_release(&b.frame);
    return 0;
}
