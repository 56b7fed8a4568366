#include "verb_bench_load.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "bounds.h"
#include "check.h"
#include "client_call.h"
#include "clock.h"
#include "codec.h"
#include "file.h"
#include "interrupt.h"
#include "net.h"
#include "records.h"
#include "str.h"

#define STATUS_EVERY_MS 20
#define LANES_PER_NET   250
#define ASK_AGAIN_US    2000
#define INTERRUPT_MS    50
#define NETS_MAX        (WORKERS_MAX / LANES_PER_NET + 1)

struct run;

/* One scripted worker. */
struct lane {
    struct run *run;
    struct net_socket *socket;
    uint64_t session;
    char name[32];
    bool connected;
};

/* A job whose slot is taken until `due_ns`; they end in the order in which they began. */
struct taken {
    const struct lane *lane;
    struct lease_key lease;
    int64_t due_ns;
};

struct run {
    const struct bench_load *load;
    uv_loop_t loop;
    uv_loop_t client_loop; /* apart: a turn of the other one looks at every worker's socket */
    struct net *client_net;
    uv_idle_t due;
    uv_timer_t interrupt, client_interrupt;
    struct net *nets[NETS_MAX]; /* one context has sockets for a thousand connections at most */
    struct net_socket *client;
    struct lane *lanes;
    struct taken *taken; /* a ring */
    size_t taken_first, taken_count, taken_size;
    struct strbuf batch, frame;
    uint64_t submitted, acknowledged;
    int64_t begin_ns, end_ns;
    bool answered; /* the request under way */
    enum msg_kind reply;
    uint32_t lanes_ready;
    struct err *err;
    enum err_code code; /* the first failure */
};

static void fail(struct run *r, enum err_code code)
{
    if (r->code == ERR_OK)
        r->code = code;
    uv_stop(&r->loop);
    uv_stop(&r->client_loop);
}

static void send_msg(struct run *r, struct net_socket *socket, const struct msg *m)
{
    strbuf_clear(&r->frame);
    enum err_code code = codec_encode(m, FRAME_BYTES_MAX, &r->frame, r->err);
    if (code == ERR_OK)
        code = net_dealer_send(socket, r->frame.data, r->frame.len, r->err);
    if (code != ERR_OK)
        fail(r, code);
}

static void on_interrupt_timer(uv_timer_t *timer)
{
    struct run *r = timer->data;
    if (interrupt_seen())
        fail(r, err_set(r->err, ERR_CANCELLED, "interrupted"));
}

/* ---- workers ---- */

static void finish_job(const struct lane *lane, const struct lease_key *lease)
{
    struct run *r = lane->run;
    struct hash_state hash;
    hash_init(&hash);
    for (uint32_t i = 0; i < r->load->batches; i++) {
        const struct msg m = {
            .kind = MSG_STREAM,
            .stream = {.session = lane->session,
                       .lease = *lease,
                       .stream = STREAM_RECORDS,
                       .index = i,
                       .payload = {(const uint8_t *)r->batch.data, r->batch.len}}};
        hash_update(&hash, r->batch.data, r->batch.len);
        send_msg(r, lane->socket, &m);
    }
    struct msg m = {.kind = MSG_RESULT,
                    .result = {.session = lane->session,
                               .lease = *lease,
                               .batches = {[STREAM_RECORDS] = r->load->batches},
                               .items = (uint64_t)r->load->batches * RECORDS_PER_BATCH_MAX,
                               .numeric_class = "bench"}};
    if (r->load->batches > 0)
        m.result.records = hash_final(&hash);
    send_msg(r, lane->socket, &m);
}

static void take_job(struct lane *lane, const struct lease_key *lease)
{
    struct run *r = lane->run;
    if (r->begin_ns == 0)
        r->begin_ns = clock_mono_ns();
    if (r->load->task_us == 0) {
        finish_job(lane, lease);
        return;
    }
    ASSERT(r->taken_count < r->taken_size);
    r->taken[(r->taken_first + r->taken_count++) % r->taken_size] =
        (struct taken){lane, *lease, clock_mono_ns() + (int64_t)r->load->task_us * 1000};
}

/* Runs whenever the loop turns, which it does without pause: a timer of libuv is too coarse. */
static void on_due(uv_idle_t *idle)
{
    struct run *r = idle->data;
    const int64_t now_ns = clock_mono_ns();
    while (r->taken_count > 0 && r->taken[r->taken_first].due_ns <= now_ns) {
        const struct taken t = r->taken[r->taken_first];
        r->taken_first = (r->taken_first + 1) % r->taken_size;
        r->taken_count--;
        finish_job(t.lane, &t.lease);
    }
}

static void on_worker_frame(void *ctx, const struct net_peer *peer, enum net_role role,
                            const char *user, const uint8_t *bytes, size_t len)
{
    struct lane *lane = ctx;
    struct run *r = lane->run;
    struct arena arena = {0};
    struct msg m;
    (void)peer, (void)role, (void)user;
    enum err_code code = codec_decode(bytes, len, "S", &arena, &m, r->err);
    if (code != ERR_OK) {
        fail(r, code);
    } else if (m.kind == MSG_WELCOME) {
        lane->session = m.welcome.session;
        if (++r->lanes_ready == r->load->connections)
            uv_stop(&r->loop);
    } else if (m.kind == MSG_LEASE) {
        take_job(lane, &m.lease.lease);
    } else if (m.kind == MSG_RESULT_ACK && ++r->acknowledged == r->load->jobs) {
        r->end_ns = clock_mono_ns();
        uv_stop(&r->loop);
    } else if (m.kind == MSG_NO_SESSION || m.kind == MSG_REVOKE) {
        fail(r, err_set(r->err, ERR_CORRUPT, "bench: the coordinator sends '%s': %s",
                        msg_kind_name(m.kind),
                        m.kind == MSG_REVOKE ? m.revoke.reason : m.no_session.reason));
    }
    arena_release(&arena);
}

static void on_worker_status(void *ctx, int connected, const char *text)
{
    struct lane *lane = ctx;
    (void)text;
    if (connected && !lane->connected) {
        lane->connected = true;
        uv_stop(&lane->run->loop);
    }
}

/* ---- the client ---- */

static void on_client_frame(void *ctx, const struct net_peer *peer, enum net_role role,
                            const char *user, const uint8_t *bytes, size_t len)
{
    struct run *r = ctx;
    struct arena arena = {0};
    struct msg m;
    (void)peer, (void)role, (void)user;
    enum err_code code = codec_decode(bytes, len, "R", &arena, &m, r->err);
    if (code == ERR_OK && m.kind == MSG_ERROR)
        code = err_set(r->err, (enum err_code)m.error.code, "%s", m.error.text);
    if (code != ERR_OK)
        fail(r, code);
    r->answered = true;
    r->reply = m.kind;
    arena_release(&arena);
    uv_stop(&r->client_loop);
}

static void on_client_status(void *ctx, int connected, const char *text)
{
    struct run *r = ctx;
    (void)text;
    if (connected) {
        r->answered = true;
        uv_stop(&r->client_loop);
    }
}

static void wait_for_answer(struct run *r)
{
    while (!r->answered && r->code == ERR_OK)
        uv_run(&r->client_loop, UV_RUN_DEFAULT);
    r->answered = false;
}

/* A worker's connection, or with `lane` NULL the client's. */
static enum err_code dial(struct run *r, struct net **net, uv_loop_t *loop, struct lane *lane,
                          struct net_socket **out)
{
    const char *role = lane ? "worker" : "client";
    char path[4096];
    struct net_access access;
    snprintf(path, sizeof path, "%s/%s.access", r->load->state_dir, role);
    enum err_code code = net_access_load(path, &access, r->err);
    if (code == ERR_OK && *net == NULL)
        code = net_new(loop, net, r->err);
    if (code != ERR_OK)
        return code;
    const struct net_dealer_options options = {.endpoint = access.endpoint,
                                               .server = &access.server,
                                               .own = &access.own,
                                               .frame_bytes_max = FRAME_BYTES_MAX,
                                               .receive = lane ? on_worker_frame : on_client_frame,
                                               .status = lane ? on_worker_status : on_client_status,
                                               .ctx = lane ? (void *)lane : (void *)r};
    return net_dealer_new(*net, &options, out, r->err);
}

static void submit_part(struct run *r, uint32_t part, uint32_t parts)
{
    struct submit_job jobs[SUBMIT_JOBS_PER_FRAME];
    uint64_t specs[SUBMIT_JOBS_PER_FRAME]; /* a job is named after its spec */
    size_t count = 0;
    for (; count < SUBMIT_JOBS_PER_FRAME && r->submitted < r->load->jobs; count++) {
        specs[count] = r->load->first + r->submitted++;
        jobs[count] =
            (struct submit_job){.identity = hash_bytes(&specs[count], sizeof specs[count]),
                                .kind = JOB_EVALUATE,
                                .label = "noop",
                                .spec = {(const uint8_t *)&specs[count], sizeof specs[count]},
                                .threads = 1,
                                .attempts_max = 1};
    }
    const struct msg m = {.kind = MSG_SUBMIT,
                          .submit = {.request = part + 1,
                                     .experiment = "bench",
                                     .part_index = part,
                                     .part_count = parts,
                                     .jobs = jobs,
                                     .job_count = count}};
    const bool is_last = part + 1 == parts;
    do {
        send_msg(r, r->client, &m);
        wait_for_answer(r);
        if (is_last && r->reply == MSG_OK)
            usleep(ASK_AGAIN_US); /* it is being taken in */
    } while (r->code == ERR_OK && is_last && r->reply == MSG_OK);
}

static void submit(struct run *r)
{
    const uint32_t parts =
        (uint32_t)((r->load->jobs + SUBMIT_JOBS_PER_FRAME - 1) / SUBMIT_JOBS_PER_FRAME);
    for (uint32_t part = 0; part < parts && r->code == ERR_OK; part++)
        submit_part(r, part, parts);
}

/* ---- what the kernel counts ---- */

static double process_cpu_s(pid_t pid)
{
    char path[64], *text = NULL;
    size_t len = 0;
    struct err err;
    unsigned long long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (file_read(path, 4096, &text, &len, &err) != ERR_OK)
        return 0;
    const char *after_name = strrchr(text, ')'); /* a name may hold anything */
    if (after_name)
        (void)!sscanf(after_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
                      &user, &system);
    free(text);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double process_memory_bytes(pid_t pid)
{
    char path[64], *text = NULL;
    size_t len = 0;
    struct err err;
    unsigned long long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    if (file_read(path, 4096, &text, &len, &err) != ERR_OK)
        return 0;
    (void)!sscanf(text, "%*u %llu", &pages);
    free(text);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double own_cpu_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* ---- statuses, asked by a process of their own ---- */

struct asker {
    pid_t pid;
    int stop_fd, result_fd;
};

/* At most this many answers are counted: an hour and a half of them. */
#define ASKED_MAX (1 << 18)

const double bench_status_ends_ms[STATUS_BUCKETS - 1] = {1, 2, 5, 10, 20, 50};

static int compare_ms(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct bench_statuses sum_up(double *ms, size_t count)
{
    struct bench_statuses asked = {.count = count};
    qsort(ms, count, sizeof *ms, compare_ms);
    for (size_t i = 0; i < count; i++) {
        size_t b = 0;
        while (b < STATUS_BUCKETS - 1 && ms[i] > bench_status_ends_ms[b])
            b++;
        asked.within[b]++;
        asked.mean_ms += ms[i] / (double)count;
    }
    if (count > 0) {
        asked.p50_ms = ms[(count - 1) / 2];
        asked.p99_ms = ms[(count - 1) * 99 / 100];
        asked.max_ms = ms[count - 1];
    }
    return asked;
}

/* The child: ask from the first byte on `stop_fd` until its other end is closed, then tell. */
static void ask_statuses(const char *state_dir, int stop_fd, int result_fd)
{
    char path[4096];
    struct net_access access;
    struct client *client = NULL;
    double *took_ms = calloc(ASKED_MAX, sizeof *took_ms);
    size_t count = 0;
    struct err err;
    ASSERT(took_ms != NULL);
    snprintf(path, sizeof path, "%s/client.access", state_dir);
    if (net_access_load(path, &access, &err) != ERR_OK ||
        client_open(&access, NULL, &client, &err) != ERR_OK)
        _exit(1);
    char go = 0;
    if (read(stop_fd, &go, 1) != 1)
        _exit(1);
    for (bool first = true;; first = false) {
        struct pollfd stop = {.fd = stop_fd, .events = POLLIN};
        if (poll(&stop, 1, STATUS_EVERY_MS) > 0)
            break;
        struct arena arena = {0};
        struct msg reply;
        const struct msg request = {.kind = MSG_GET_STATUS};
        const int64_t begin_ns = clock_mono_ns();
        const enum err_code code = client_call(client, &request, 0, &arena, &reply, &err);
        const double ms = (double)(clock_mono_ns() - begin_ns) / 1e6;
        arena_release(&arena);
        /* The first one waits for the connection. */
        if (code == ERR_OK && !first && count < ASKED_MAX)
            took_ms[count++] = ms;
    }
    const struct bench_statuses asked = sum_up(took_ms, count);
    (void)!write(result_fd, &asked, sizeof asked);
    _exit(0);
}

static enum err_code asker_start(const char *state_dir, struct asker *out, struct err *err)
{
    int stop[2], result[2];
    if (pipe(stop) != 0 || pipe(result) != 0)
        return err_set(err, ERR_IO, "bench: make a pipe");
    out->pid = fork();
    if (out->pid < 0)
        return err_set(err, ERR_IO, "bench: start a process");
    if (out->pid == 0) {
        close(stop[1]);
        close(result[0]);
        ask_statuses(state_dir, stop[0], result[1]);
    }
    close(stop[0]);
    close(result[1]);
    out->stop_fd = stop[1];
    out->result_fd = result[0];
    return ERR_OK;
}

static void asker_stop(struct asker *asker, struct bench_statuses *out)
{
    if (asker->pid == 0)
        return;
    close(asker->stop_fd);
    if (read(asker->result_fd, out, sizeof *out) != sizeof *out)
        *out = (struct bench_statuses){0};
    close(asker->result_fd);
    waitpid(asker->pid, NULL, 0);
    asker->pid = 0;
}

/* ---- a run ---- */

static enum err_code connect_workers(struct run *r)
{
    const struct bench_load *load = r->load;
    for (uint32_t i = 0; i < load->connections && r->code == ERR_OK; i++) {
        struct lane *lane = &r->lanes[i];
        lane->run = r;
        snprintf(lane->name, sizeof lane->name, "bench-%u", i);
        enum err_code code = dial(r, &r->nets[i / LANES_PER_NET], &r->loop, lane, &lane->socket);
        if (code != ERR_OK)
            fail(r, code);
        while (!lane->connected && r->code == ERR_OK)
            uv_run(&r->loop, UV_RUN_DEFAULT);
    }
    return r->code;
}

static void say_hello(struct run *r)
{
    const struct bench_load *load = r->load;
    for (uint32_t i = 0; i < load->connections && r->code == ERR_OK; i++) {
        struct lane *lane = &r->lanes[i];
        struct msg hello = {.kind = MSG_HELLO,
                            .hello = {.protocol_version = PROTOCOL_VERSION,
                                      .worker = lane->name,
                                      .host = lane->name,
                                      .host_cores = load->slots,
                                      .threads = load->slots,
                                      .numeric_class = "bench"}};
        hello.hello.instance = hash_bytes(&load->first, sizeof load->first);
        send_msg(r, lane->socket, &hello);
    }
    while (r->acknowledged < load->jobs && r->code == ERR_OK)
        uv_run(&r->loop, UV_RUN_DEFAULT);
}

/* One more question, so that the turn of the last answer is over. */
static void ask_info(struct run *r)
{
    const struct msg m = {.kind = MSG_GET_INFO, .get_info = {.request = 1}};
    send_msg(r, r->client, &m);
    wait_for_answer(r);
}

static void measure_submission(struct run *r, struct bench_figures *out)
{
    struct asker asker = {0};
    const pid_t pid = r->load->coordinator;
    enum err_code code = asker_start(r->load->state_dir, &asker, r->err);
    if (code != ERR_OK) {
        fail(r, code);
        return;
    }
    ask_info(r);
    const double memory_before = process_memory_bytes(pid);
    (void)!write(asker.stop_fd, "", 1);
    const int64_t begin_ns = clock_mono_ns();
    submit(r);
    out->submit_s = (double)(clock_mono_ns() - begin_ns) / 1e9;
    asker_stop(&asker, &out->submit_statuses);
    if (r->code == ERR_OK)
        ask_info(r);
    out->memory_bytes_per_job = (process_memory_bytes(pid) - memory_before) / (double)r->load->jobs;
}

static void measure(struct run *r, struct asker *asker, struct bench_figures *out)
{
    const pid_t pid = r->load->coordinator;
    if (connect_workers(r) != ERR_OK)
        return;
    measure_submission(r, out);
    if (r->code != ERR_OK)
        return;
    const double coordinator_s = process_cpu_s(pid);
    const double own_s = own_cpu_s();
    (void)!write(asker->stop_fd, "", 1);
    say_hello(r);
    out->dispatch_s = (double)(r->end_ns - r->begin_ns) / 1e9;
    out->coordinator_cpu_s = process_cpu_s(pid) - coordinator_s;
    out->generator_cpu_s = own_cpu_s() - own_s;
    out->records = r->load->jobs * r->load->batches * RECORDS_PER_BATCH_MAX;
}

enum err_code bench_load_run(const struct bench_load *load, struct bench_figures *out,
                             struct err *err)
{
    struct run r = {.load = load, .err = err};
    struct asker asker = {0};
    *out = (struct bench_figures){0};
    enum err_code code = asker_start(load->state_dir, &asker, err);
    if (code != ERR_OK)
        return code;
    static const struct record nothing[RECORDS_PER_BATCH_MAX];
    records_encode(&r.batch, RECORDS_SCORES, nothing, RECORDS_PER_BATCH_MAX);
    r.lanes = calloc(load->connections, sizeof *r.lanes);
    r.taken_size = (size_t)load->connections * load->slots;
    r.taken = calloc(r.taken_size, sizeof *r.taken);
    ASSERT(r.lanes && r.taken);
    uv_loop_init(&r.loop);
    uv_idle_init(&r.loop, &r.due);
    uv_loop_init(&r.client_loop);
    uv_timer_init(&r.loop, &r.interrupt);
    uv_timer_init(&r.client_loop, &r.client_interrupt);
    r.due.data = r.interrupt.data = r.client_interrupt.data = &r;
    uv_timer_start(&r.interrupt, on_interrupt_timer, INTERRUPT_MS, INTERRUPT_MS);
    uv_timer_start(&r.client_interrupt, on_interrupt_timer, INTERRUPT_MS, INTERRUPT_MS);
    if (load->task_us > 0)
        uv_idle_start(&r.due, on_due);
    r.code = dial(&r, &r.client_net, &r.client_loop, NULL, &r.client);
    if (r.code == ERR_OK) {
        wait_for_answer(&r);
        measure(&r, &asker, out);
    }
    asker_stop(&asker, &out->statuses);
    uv_close((uv_handle_t *)&r.due, NULL);
    uv_close((uv_handle_t *)&r.interrupt, NULL);
    uv_close((uv_handle_t *)&r.client_interrupt, NULL);
    if (r.client_net)
        net_free(r.client_net, NULL, NULL);
    uv_run(&r.client_loop, UV_RUN_DEFAULT);
    uv_loop_close(&r.client_loop);
    for (size_t i = 0; i < NETS_MAX; i++)
        if (r.nets[i])
            net_free(r.nets[i], NULL, NULL);
    uv_run(&r.loop, UV_RUN_DEFAULT);
    uv_loop_close(&r.loop);
    strbuf_release(&r.batch);
    strbuf_release(&r.frame);
    free(r.lanes);
    free(r.taken);
    return r.code;
}
