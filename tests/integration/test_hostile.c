/* Hostile bytes against real processes while a real experiment runs: frames mutated from valid
 * messages of every kind, sent with an authorised worker's and client's key to all three doors, and
 * byte streams without a key. The coordinator's memory stays bounded, and the experiment ends with
 * the table of an undisturbed run, no attempt lost. Everything is drawn from one seed. */
#include "cmocka_all.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "await.h"
#include "bounds.h"
#include "codec.h"
#include "file.h"
#include "hostile_bytes.h"
#include "net.h"
#include "rng.h"
#include "str.h"

#define SEED                20260101
#define FRAMES              10000
#define STREAMS             10000
#define STREAMS_OPEN        64
#define GROWTH_KIB_MAX      (16 * 1024)
#define FRAMES_BETWEEN_PEEK 250
#define ARGUMENTS_MAX       16
#define ENDPOINT_SIZE       256

struct world {
    char dir[64];
    pid_t coordinator, worker;
    uv_loop_t loop;
    struct net *net;
    struct net_socket *doors[DOOR_COUNT];
    char endpoints[3][ENDPOINT_SIZE];
    uint64_t request;
    struct arena arena; /* of the latest reply */
    struct msg reply;
    bool has_reply;
    uint64_t received_back;
};

/* ---- processes ---- */

static const char *path_in(const struct world *w, const char *name)
{
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", w->dir, name);
    return path;
}

/* The program named first, its output in `out`; the kernel ends it should this test be killed. */
static pid_t spawn(const char *out, const char *const *words)
{
    const char *argv[ARGUMENTS_MAX] = {NULL};
    for (size_t i = 0; words[i] != NULL; i++) {
        assert_in_range(i, 0, ARGUMENTS_MAX - 2);
        argv[i] = words[i];
    }
    const pid_t parent = getpid();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(fd, STDOUT_FILENO);
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent) {
            execv(argv[0], (char *const *)(uintptr_t)argv);
        }
        _exit(127);
    }
    return pid;
}

static int run(const char *out, const char *const *words)
{
    int status = 0;
    pid_t pid = spawn(out, words);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void end_process(pid_t *pid, int signal_number)
{
    if (*pid > 0) {
        kill(*pid, signal_number);
        waitpid(*pid, NULL, 0);
    }
    *pid = 0;
}

static char *text_of(const char *path)
{
    char *text = NULL;
    size_t len = 0;
    struct err err;
    assert_int_equal(file_read(path, 16 << 20, &text, &len, &err), ERR_OK);
    return text;
}

/* A figure of /proc/PID/status, in KiB. */
static long memory_kib(pid_t pid, const char *name)
{
    char path[64];
    char line[256];
    long kib = -1;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file); /* the coordinator lives */
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0) {
            kib = strtol(line + strlen(name), NULL, 10);
        }
    }
    fclose(file);
    assert_true(kib > 0);
    return kib;
}

/* ---- the live experiment ---- */

/* The experiment of the shell tests with a longer first training. */
static void write_manifest(const struct world *w)
{
    static const char tokens[] = "tokens: 60k";
    char line[512];
    bool is_longer = false;
    FILE *in = fopen(TRIAD_SOURCE_DIR "/tests/integration/tiny.yaml", "re");
    FILE *out = fopen(path_in(w, "m.yaml"), "we");
    assert_true(in != NULL && out != NULL);
    while (fgets(line, sizeof line, in) != NULL) {
        const char *at = strstr(line, tokens);
        if (at == NULL) {
            fputs(line, out);
            continue;
        }
        fprintf(out, "%.*stokens: 240k%s", (int)(at - line), line, at + strlen(tokens));
        is_longer = true;
    }
    assert_true(is_longer);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

static void start_experiment(struct world *w)
{
    char state[256], jobs[256]; /* path_in() uses its memory again */
    bool is_running = false;
    snprintf(state, sizeof state, "%s", path_in(w, "state"));
    snprintf(jobs, sizeof jobs, "%s", path_in(w, "jobs.csv"));
    assert_int_equal(
        run("/dev/null", WORDS(TRIAD_PROGRAM, "keys", "init", "--quiet", "--state", state)), 0);
    w->coordinator =
        spawn("/dev/null", WORDS(COORDINATOR_PROGRAM, "--state", state, "--log-level", "error"));
    for (int i = 0; i < 1800 && !file_exists(path_in(w, "state/coordinator.pid")); i++) {
        usleep(50000);
    }
    assert_int_equal(run("/dev/null", WORDS(TRIAD_PROGRAM, "submit", path_in(w, "m.yaml"),
                                            "--quiet", "--state", state)),
                     0);
    w->worker =
        spawn("/dev/null", WORDS(WORKER_PROGRAM, "--access", path_in(w, "state/worker.access"),
                                 "--dir", path_in(w, "w1"), "--name", "w1", "--threads", "1",
                                 "--grace", "1", "--log-level", "error"));
    for (int i = 0; i < 1800 && !is_running; i++) {
        usleep(50000);
        assert_int_equal(run(jobs, WORDS(TRIAD_PROGRAM, "job", "list", "--state", state,
                                         "--jobs-state", "running", "--output", "csv")),
                         0);
        char *text = text_of(jobs);
        is_running = strstr(text, ",running,") != NULL;
        free(text);
    }
    assert_true(is_running); /* from here on the experiment's numeric class is the real worker's */
}

/* All jobs done by the first attempt of the real worker, and the undisturbed table. */
static void check_experiment(const struct world *w)
{
    const char *state = path_in(w, "state");
    assert_int_equal(run("/dev/null", WORDS(TRIAD_PROGRAM, "watch", "tiny", "--quiet", "--timeout",
                                            "200s", "--state", state)),
                     0);
    assert_int_equal(run(path_in(w, "jobs.json"),
                         WORDS(TRIAD_PROGRAM, "job", "list", "--state", state, "--output", "json")),
                     0);
    char *jobs = text_of(path_in(w, "jobs.json"));
    int attempts = 0;
    for (const char *at = jobs; (at = strstr(at, "\"attempts\": ")) != NULL; attempts++) {
        at += strlen("\"attempts\": ");
        assert_int_equal(strtol(at, NULL, 10), 1);
    }
    assert_int_equal(attempts, 9);
    free(jobs);
    assert_int_equal(run(path_in(w, "report.csv"), WORDS(TRIAD_PROGRAM, "report", "tiny", "--quiet",
                                                         "--format", "csv", "--state", state)),
                     0);
    char *calm = text_of(path_in(w, "calm-report/report.csv"));
    char *disturbed = text_of(path_in(w, "report.csv"));
    assert_true(strlen(calm) > 1000);
    assert_string_equal(disturbed, calm);
    free(calm);
    free(disturbed);
}

/* ---- talking ---- */

static void on_frame(void *ctx, const struct net_peer *peer, enum net_role role, const char *user,
                     const uint8_t *bytes, size_t len)
{
    struct world *w = ctx;
    struct arena arena = {0};
    struct msg m;
    struct err err;
    (void)peer, (void)role, (void)user;
    w->received_back++;
    /* Whatever is asked, what the coordinator says is well-formed. */
    assert_int_equal(codec_decode(bytes, len, "SRD", &arena, &m, &err), ERR_OK);
    if (m.kind == MSG_INFO && m.info.request == w->request) {
        arena_release(&w->arena);
        w->arena = arena;
        w->reply = m;
        w->has_reply = true;
        return;
    }
    arena_release(&arena);
}

static void send_surely(struct world *w, enum door door, const void *bytes, size_t len)
{
    struct err err;
    AWAIT_BY(await_pass(&w->loop, 5), /* not connected yet, or its queue is full */
             net_dealer_send(w->doors[door], bytes, len, &err) == ERR_OK);
}

static void ask_again(struct world *w, const struct strbuf *frame, int tries)
{
    if (tries % 100 == 0) {
        send_surely(w, DOOR_CLIENT, frame->data, frame->len);
    }
    await_pass(&w->loop, AWAIT_TICK_MS);
}

static struct msg_info ask_info(struct world *w)
{
    struct strbuf frame = {0};
    struct err err;
    w->request = UINT64_MAX - 1; /* no mutated request is this one */
    struct msg m = {.kind = MSG_GET_INFO, .get_info.request = w->request};
    w->has_reply = false;
    assert_int_equal(codec_encode(&m, FRAME_BYTES_MAX, &frame, &err), ERR_OK);
    int tries = 0;
    AWAIT_BY(ask_again(w, &frame, tries++), w->has_reply);
    strbuf_release(&frame);
    return w->reply.info;
}

/* Frames wait at the doors for a while: all have come when many enough did and no more are refused.
 */
static struct msg_info info_when_all_came(struct world *w, const struct msg_info *before)
{
    uint64_t refused = 0;
    struct msg_info info = ask_info(w);
    for (int i = 0; i < 200 && (info.frames_received < before->frames_received + FRAMES ||
                                info.frames_refused != refused);
         i++) {
        refused = info.frames_refused;
        await_pass(&w->loop, 200);
        info = ask_info(w);
    }
    return info;
}

static struct net_socket *dial(struct world *w, const struct net_access *access,
                               const char *endpoint)
{
    struct net_socket *socket = NULL;
    struct err err;
    const struct net_dealer_options options = {.endpoint = endpoint,
                                               .server = &access->server,
                                               .own = &access->own,
                                               .frame_bytes_max = FRAME_DATA_BYTES_MAX,
                                               .receive = on_frame,
                                               .ctx = w};
    assert_int_equal(net_dealer_new(w->net, &options, &socket, &err), ERR_OK);
    return socket;
}

static void dial_all(struct world *w)
{
    struct net_access worker, client;
    struct err err;
    assert_int_equal(net_access_load(path_in(w, "state/worker.access"), &worker, &err), ERR_OK);
    assert_int_equal(net_access_load(path_in(w, "state/client.access"), &client, &err), ERR_OK);
    w->doors[DOOR_WORKER] = dial(w, &worker, worker.endpoint);
    w->doors[DOOR_CLIENT] = dial(w, &client, client.endpoint);
    w->doors[DOOR_DATA_AS_WORKER] = dial(w, &worker, worker.data_endpoint);
    w->doors[DOOR_DATA_AS_CLIENT] = dial(w, &client, client.data_endpoint);
    snprintf(w->endpoints[0], ENDPOINT_SIZE, "%s", worker.endpoint);
    snprintf(w->endpoints[1], ENDPOINT_SIZE, "%s", client.endpoint);
    snprintf(w->endpoints[2], ENDPOINT_SIZE, "%s", client.data_endpoint);
}

/* ---- hostile frames ---- */

static void peek(const struct world *w, long *peak_kib)
{
    const long kib = memory_kib(w->coordinator, "VmRSS:");
    *peak_kib = kib > *peak_kib ? kib : *peak_kib;
}

static long send_hostile_frames(struct world *w, struct tally *tally)
{
    struct rng rng = rng_new(SEED, "hostile frames");
    struct strbuf frame = {0};
    long peak_kib = 0;
    while (tally->sent < FRAMES) {
        const enum door door = (enum door)rng_below(&rng, DOOR_COUNT);
        if (!make_frame(&rng, door, &frame, tally)) {
            continue;
        }
        send_surely(w, door, frame.data, frame.len);
        if (tally->sent % FRAMES_BETWEEN_PEEK == 0) {
            await_pass(&w->loop, 1);
            peek(w, &peak_kib);
        }
    }
    strbuf_release(&frame);
    return peak_kib;
}

/* ---- byte streams without a key ---- */

static int connect_to(const char *endpoint)
{
    const char *colon = strrchr(endpoint, ':');
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(colon + 1))};
    struct linger at_once = {.l_onoff = 1, .l_linger = 0}; /* leaves no port in TIME_WAIT */
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static long send_raw_streams(struct world *w)
{
    struct rng rng = rng_new(SEED, "raw streams");
    uint8_t bytes[STREAM_BYTES_MAX];
    int open_fds[STREAMS_OPEN];
    long peak_kib = 0;
    memset(open_fds, -1, sizeof open_fds);
    for (int i = 0; i < STREAMS; i++) {
        int *fd = &open_fds[i % STREAMS_OPEN];
        if (*fd >= 0) {
            close(*fd);
        }
        *fd = connect_to(w->endpoints[rng_below(&rng, 3)]);
        const size_t len = make_stream(&rng, bytes);
        (void)!send(*fd, bytes, len, MSG_NOSIGNAL); /* it may have hung up on us already */
        if (i % FRAMES_BETWEEN_PEEK == 0) {
            peek(w, &peak_kib);
        }
    }
    for (size_t i = 0; i < STREAMS_OPEN; i++) {
        close(open_fds[i]);
    }
    return peak_kib;
}

/* ---- the test ---- */

static void check_tally(const struct tally *tally, const struct msg_info *before,
                        const struct msg_info *after)
{
    const uint64_t received = after->frames_received - before->frames_received;
    const uint64_t refused = after->frames_refused - before->frames_refused;
    print_message(
        "%llu frames sent, %llu reached the decoder, %llu refused; the coordinator counts "
        "%llu received, %llu refused\n",
        (unsigned long long)tally->sent, (unsigned long long)tally->reached_decoder,
        (unsigned long long)tally->refused, (unsigned long long)received,
        (unsigned long long)refused);
    for (int kind = 0; kind < MSG_KIND_COUNT; kind++) {
        assert_true(tally->kinds[kind] || kind_senders[kind] == '\0');
    }
    assert_int_equal(tally->sent, FRAMES);
    assert_true(tally->reached_decoder >= FRAMES / 2);
    assert_true(tally->sent - tally->refused >= FRAMES / 20); /* some are believed, too */
    assert_true(received >= tally->sent);
    assert_true(refused >= tally->refused && refused <= tally->sent);
}

static void test_hostile_bytes_harm_nothing(void **state)
{
    struct world *w = *state;
    struct tally tally = {0};
    write_manifest(w);
    assert_int_equal(run("/dev/null", WORDS(TRIAD_PROGRAM, "run", path_in(w, "m.yaml"), "--quiet",
                                            "--threads", "1", "--state", path_in(w, "calm"),
                                            "--report-dir", path_in(w, "calm-report"))),
                     0);
    start_experiment(w);
    dial_all(w);
    const struct msg_info before = ask_info(w);
    assert_true(before.jobs_unfinished > 0);
    const long before_kib = memory_kib(w->coordinator, "VmRSS:");

    const long frames_kib = send_hostile_frames(w, &tally);
    const struct msg_info between = info_when_all_came(w, &before);
    const long streams_kib = send_raw_streams(w);
    const struct msg_info after = ask_info(w);
    const long after_kib = memory_kib(w->coordinator, "VmRSS:");
    print_message("memory of the coordinator: %ld KiB before, at most %ld with frames, %ld with "
                  "streams, %ld after\n",
                  before_kib, frames_kib, streams_kib, after_kib);
    check_tally(&tally, &before, &between);
    assert_int_equal(after.frames_refused, between.frames_refused); /* no stream became a frame */
    assert_true(frames_kib - before_kib <= GROWTH_KIB_MAX);
    assert_true(streams_kib - before_kib <= GROWTH_KIB_MAX);
    assert_true(after_kib - before_kib <= GROWTH_KIB_MAX);
    check_experiment(w);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct err err;
    snprintf(w->dir, sizeof w->dir, "/tmp/triad-test-hostile-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    uv_loop_init(&w->loop);
    assert_int_equal(net_new(&w->loop, &w->net, &err), ERR_OK);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    struct err err;
    end_process(&w->worker, SIGTERM);
    end_process(&w->coordinator, SIGTERM);
    net_free(w->net, NULL, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    uv_loop_close(&w->loop);
    arena_release(&w->arena);
    (void)!file_remove_tree(w->dir, &err);
    free(w);
    return 0;
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_hostile_bytes_harm_nothing)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
