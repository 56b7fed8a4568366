/* A real coordinator process, spoken to over real sockets by a scripted worker and client: jobs
 * with parents and records run to their end although the coordinator is killed with SIGKILL in the
 * middle; nothing is counted twice; strangers and a second coordinator are refused. */
#include "cmocka_all.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "arena.h"
#include "bounds.h"
#include "codec.h"
#include "file.h"
#include "net.h"
#include "records.h"
#include "str.h"

#define JOBS          20
#define ITEMS_PER_JOB 3
#define BEAT_MS       50

struct held {
    struct lease_key lease;
    bool active;
};

struct world {
    char dir[64];
    pid_t coordinator;
    uv_loop_t loop;
    struct net *net;
    struct net_socket *worker, *client;
    uv_timer_t beat;
    uint64_t session;
    struct held held[JOBS];
    size_t results_acked, leases_seen;
    struct arena arena; /* of the latest client reply */
    struct msg reply;
    bool replied;
    bool dry_run; /* of long plans */
    uint64_t request;
    bool stranger_connected;
    char stranger_text[256];
};

/* ---- the process ---- */

static pid_t spawn(const char *dir, int ready_fd)
{
    char fd_text[16];
    snprintf(fd_text, sizeof fd_text, "%d", ready_fd);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        execl(COORDINATOR_PROGRAM, "triad-coordinator", "--state", dir, "--init-keys",
              "--heartbeat-ms", "200", "--log-level", "error", "--ready-fd", fd_text, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static void start_coordinator(struct world *w)
{
    int ready[2];
    char line[8] = "";
    assert_int_equal(pipe(ready), 0);
    w->coordinator = spawn(w->dir, ready[1]);
    close(ready[1]);
    assert_int_equal(read(ready[0], line, 6), 6);
    assert_string_equal(line, "ready\n");
    close(ready[0]);
}

static int wait_for(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* ---- speaking ---- */

static void send_msg(struct net_socket *socket, const struct msg *m)
{
    struct strbuf frame = {0};
    struct err err;
    assert_int_equal(codec_encode(m, FRAME_BYTES_MAX, &frame, &err), ERR_OK);
    /* May fail while the connection is down: everything is repeated. */
    (void)!net_dealer_send(socket, frame.data, frame.len, &err);
    strbuf_release(&frame);
}

static void make_batch(const struct lease_key *lease, struct strbuf *out)
{
    struct record records[ITEMS_PER_JOB];
    for (uint32_t i = 0; i < ITEMS_PER_JOB; i++) {
        records[i] = (struct record){.sequence = lease->job.bytes[0],
                                     .position = i,
                                     .content_nats = 1.5 * i,
                                     .terminator_nats = NAN,
                                     .token_count = 2};
    }
    records_encode(out, RECORDS_SCORES, records, ITEMS_PER_JOB);
}

/* The whole attempt at once, as often as it takes. */
static void deliver(struct world *w, const struct held *held)
{
    struct strbuf batch = {0};
    make_batch(&held->lease, &batch);
    struct msg m = {.kind = MSG_STREAM,
                    .stream = {.session = w->session,
                               .lease = held->lease,
                               .stream = STREAM_RECORDS,
                               .payload = {(const uint8_t *)batch.data, batch.len}}};
    send_msg(w->worker, &m);
    m = (struct msg){.kind = MSG_RESULT,
                     .result = {.session = w->session,
                                .lease = held->lease,
                                .outcome = OUTCOME_OK,
                                .reason = "",
                                .batches = {[STREAM_RECORDS] = 1},
                                .items = ITEMS_PER_JOB,
                                .records = hash_bytes(batch.data, batch.len),
                                .numeric_class = "test"}};
    send_msg(w->worker, &m);
    strbuf_release(&batch);
}

static size_t list_held(const struct world *w, struct held_lease out[JOBS])
{
    size_t count = 0;
    for (size_t i = 0; i < JOBS; i++) {
        if (w->held[i].active) {
            out[count++] = (struct held_lease){
                .lease = w->held[i].lease, .state = HELD_FINISHED, .loss_nats = NAN};
        }
    }
    return count;
}

static void say_hello(struct world *w)
{
    struct held_lease held[JOBS];
    struct msg m = {.kind = MSG_HELLO,
                    .hello = {.protocol_version = PROTOCOL_VERSION,
                              .worker = "scripted",
                              .instance = hash_bytes("instance", 8),
                              .host = "here",
                              .host_cores = 4,
                              .threads = 4,
                              .numeric_class = "test",
                              .version = "0",
                              .held = held,
                              .held_count = list_held(w, held)}};
    send_msg(w->worker, &m);
}

static void on_beat(uv_timer_t *timer)
{
    struct world *w = timer->data;
    struct held_lease held[JOBS];
    if (w->session == 0) {
        say_hello(w);
        return;
    }
    struct msg m = {
        .kind = MSG_HEARTBEAT,
        .heartbeat = {.session = w->session, .held = held, .held_count = list_held(w, held)}};
    m.heartbeat.all.count = (uint32_t)m.heartbeat.held_count; /* always a whole list */
    send_msg(w->worker, &m);
    for (size_t i = 0; i < JOBS; i++) {
        if (w->held[i].active) {
            deliver(w, &w->held[i]);
        }
    }
}

static struct held *find_held(struct world *w, const struct lease_key *lease)
{
    for (size_t i = 0; i < JOBS; i++) {
        if (w->held[i].active && w->held[i].lease.epoch == lease->epoch &&
            digest_equal(&w->held[i].lease.job, &lease->job)) {
            return &w->held[i];
        }
    }
    return NULL;
}

static void take_lease(struct world *w, const struct msg_lease *lease)
{
    assert_string_equal(lease->label, "noop");
    const struct digest spec = hash_bytes(lease->spec.data, lease->spec.len);
    assert_true(digest_equal(&spec, &lease->lease.job));
    if (find_held(w, &lease->lease) != NULL) {
        return;
    }
    for (size_t i = 0; i < JOBS; i++) {
        if (!w->held[i].active) {
            w->held[i] = (struct held){.lease = lease->lease, .active = true};
            w->leases_seen++;
            return; /* the next beat delivers it */
        }
    }
    fail_msg("more leases than jobs");
}

static void on_worker_frame(void *ctx, const struct net_peer *peer, enum net_role role,
                            const char *user, const uint8_t *bytes, size_t len)
{
    struct world *w = ctx;
    struct arena arena = {0};
    struct msg m;
    struct err err;
    (void)peer, (void)role, (void)user;
    assert_int_equal(codec_decode(bytes, len, "S", &arena, &m, &err), ERR_OK);
    struct held *held = NULL;
    if (m.kind == MSG_WELCOME) {
        w->session = m.welcome.session;
        for (size_t i = 0; i < m.welcome.verdict_count; i++) {
            held = find_held(w, &m.welcome.verdicts[i].lease);
            if (held != NULL && !m.welcome.verdicts[i].keep) {
                held->active = false;
            }
        }
    } else if (m.kind == MSG_NO_SESSION) {
        assert_false(m.no_session.refused);
        w->session = 0;
    } else if (m.kind == MSG_LEASE) {
        take_lease(w, &m.lease);
    } else if (m.kind == MSG_RESULT_ACK || m.kind == MSG_REVOKE) {
        const struct lease_key *lease =
            m.kind == MSG_REVOKE ? &m.revoke.lease : &m.result_ack.lease;
        held = find_held(w, lease);
        if (held != NULL) {
            held->active = false;
            w->results_acked++;
        }
    }
    arena_release(&arena);
}

static void on_client_frame(void *ctx, const struct net_peer *peer, enum net_role role,
                            const char *user, const uint8_t *bytes, size_t len)
{
    struct world *w = ctx;
    struct err err;
    struct msg m;
    (void)peer, (void)role, (void)user;
    if (w->replied) {
        return; /* the answer to a repeated question */
    }
    arena_release(&w->arena);
    assert_int_equal(codec_decode(bytes, len, "R", &w->arena, &m, &err), ERR_OK);
    if (m.ok.request == w->request) { /* every reply begins with it */
        w->reply = m;
        w->replied = true;
        uv_stop(&w->loop); /* the rest of the slice need not be waited for */
    }
}

static void on_slice_end(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static void run_for(struct world *w, uint64_t ms)
{
    uv_timer_t timer;
    uv_timer_init(&w->loop, &timer);
    uv_timer_start(&timer, on_slice_end, ms, 0);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&w->loop, UV_RUN_NOWAIT);
}

/* Ask until answered; the request id is the first member of every request. */
static const struct msg *ask(struct world *w, struct msg *m)
{
    m->get_info.request = ++w->request;
    w->replied = false;
    for (int tries = 0; tries < 1200 && !w->replied; tries++) {
        if (tries % 20 == 0) {
            send_msg(w->client, m);
        }
        run_for(w, 25);
    }
    assert_true(w->replied);
    return &w->reply;
}

/* ---- the test ---- */

static struct net_socket *dial_as(struct world *w, const char *role, net_receive_f *receive,
                                  void *ctx)
{
    char path[128];
    struct net_access access;
    struct net_socket *socket = NULL;
    struct err err;
    snprintf(path, sizeof path, "%s/%s.access", w->dir, role);
    assert_int_equal(net_access_load(path, &access, &err), ERR_OK);
    const struct net_dealer_options options = {.endpoint = access.endpoint,
                                               .server = &access.server,
                                               .own = &access.own,
                                               .frame_bytes_max = FRAME_BYTES_MAX,
                                               .receive = receive,
                                               .ctx = ctx};
    assert_int_equal(net_dealer_new(w->net, &options, &socket, &err), ERR_OK);
    return socket;
}

static struct net_socket *dial(struct world *w, const char *role, net_receive_f *receive)
{
    return dial_as(w, role, receive, w);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct err err;
    snprintf(w->dir, sizeof w->dir, "/tmp/triad-test-coordinator-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    start_coordinator(w);
    uv_loop_init(&w->loop);
    assert_int_equal(net_new(&w->loop, &w->net, &err), ERR_OK);
    w->worker = dial(w, "worker", on_worker_frame);
    w->client = dial(w, "client", on_client_frame);
    uv_timer_init(&w->loop, &w->beat);
    w->beat.data = w;
    uv_timer_start(&w->beat, on_beat, 0, BEAT_MS);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    struct err err;
    if (w->coordinator > 0) {
        kill(w->coordinator, SIGKILL);
        waitpid(w->coordinator, NULL, 0);
    }
    uv_close((uv_handle_t *)&w->beat, NULL);
    net_free(w->net, NULL, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    uv_loop_close(&w->loop);
    arena_release(&w->arena);
    (void)!file_remove_tree(w->dir, &err);
    free(w);
    return 0;
}

/* Each of the second ten needs one of the first ten. */
static void submit(struct world *w)
{
    struct submit_job jobs[JOBS];
    struct named_digest parents[JOBS];
    uint8_t specs[JOBS]; /* nobody reads them, but a job is named after its own */
    for (size_t i = 0; i < JOBS; i++) {
        specs[i] = (uint8_t)i;
        jobs[i] = (struct submit_job){.identity = hash_bytes(&specs[i], 1),
                                      .kind = JOB_EVALUATE,
                                      .label = "noop",
                                      .family = "f",
                                      .variant = "v",
                                      .task = "t",
                                      .spec = {&specs[i], 1},
                                      .threads = 1,
                                      .items_expected = ITEMS_PER_JOB,
                                      .attempts_max = 3};
        if (i >= JOBS / 2) {
            parents[i] = (struct named_digest){"model", jobs[i - JOBS / 2].identity};
            jobs[i].parents = &parents[i];
            jobs[i].parent_count = 1;
        }
    }
    struct msg m = {.kind = MSG_SUBMIT,
                    .submit = {.experiment = "noops",
                               .part_count = 1,
                               .manifest = {(const uint8_t *)"experiment: noops\n", 18},
                               .plan_json = {(const uint8_t *)"{}", 2},
                               .jobs = jobs,
                               .job_count = JOBS}};
    const struct msg *reply = ask(w, &m);
    assert_int_equal(reply->kind, MSG_SUBMITTED);
    assert_int_equal(reply->submitted.jobs_new, JOBS);
}

static uint64_t count_done(struct world *w)
{
    struct msg m = {.kind = MSG_GET_STATUS, .get_status.experiment = "noops"};
    const struct msg *reply = ask(w, &m);
    assert_int_equal(reply->kind, MSG_STATUS);
    assert_int_equal(reply->status.experiment_count, 1);
    return reply->status.experiments[0].counts[JOB_DONE];
}

static void check_records(struct world *w)
{
    for (uint8_t i = 0; i < JOBS; i++) {
        struct msg m = {.kind = MSG_READ_STREAM,
                        .read_stream = {.job = hash_bytes(&i, 1), .stream = STREAM_RECORDS}};
        const struct msg *reply = ask(w, &m);
        assert_int_equal(reply->kind, MSG_BATCHES);
        assert_int_equal(reply->batches.payload_count, 1);
        assert_true(reply->batches.end && reply->batches.attempt_ended);
        struct record_batch batch;
        struct arena arena = {0};
        struct err err;
        assert_int_equal(records_decode(reply->batches.payloads[0].data,
                                        reply->batches.payloads[0].len, &arena, &batch, &err),
                         ERR_OK);
        assert_int_equal(batch.count, ITEMS_PER_JOB);
        assert_int_equal(batch.records[0].sequence, hash_bytes(&i, 1).bytes[0]);
        arena_release(&arena);
    }
}

static void test_jobs_survive_a_killed_coordinator(void **state)
{
    struct world *w = *state;
    submit(w);
    for (int i = 0; i < 6000 && w->results_acked < 7; i++) {
        run_for(w, 10);
    }
    assert_in_range(w->results_acked, 7, JOBS - 1);
    kill(w->coordinator, SIGKILL);
    assert_int_equal(WTERMSIG(wait_for(w->coordinator)), SIGKILL);
    start_coordinator(w);
    uint64_t done = 0;
    for (int i = 0; i < 1200 && done < JOBS; i++) {
        run_for(w, 50);
        done = count_done(w);
    }
    assert_int_equal(done, JOBS);
    check_records(w);

    /* No attempt was wasted: the worker kept its leases over the restart. */
    struct msg m = {.kind = MSG_LIST_JOBS, .list_jobs.experiment = "noops"};
    const struct msg *reply = ask(w, &m);
    assert_int_equal(reply->kind, MSG_JOBS);
    assert_int_equal(reply->jobs.row_count, JOBS);
    for (size_t i = 0; i < JOBS; i++) {
        assert_int_equal(reply->jobs.rows[i].attempts, 1);
        assert_int_equal(reply->jobs.rows[i].items, ITEMS_PER_JOB);
        assert_string_equal(reply->jobs.rows[i].worker, "scripted");
    }
    /* Submitted again, nothing runs. */
    struct msg again = {.kind = MSG_GET_INFO};
    assert_int_equal(ask(w, &again)->info.jobs_unfinished, 0);
}

/* A limit on the size of files stands in for a full disk: it can be set and lifted from outside and
 * needs no privileges. Nothing is promised that is not on disk; once there is space, all goes on.
 */
static void test_an_unwritable_state_is_said_and_survived(void **state)
{
    struct world *w = *state;
    struct rlimit former;
    struct submit_job again = {.identity = hash_bytes("later", 5),
                               .kind = JOB_EVALUATE,
                               .label = "noop",
                               .family = "",
                               .variant = "",
                               .task = "",
                               .spec = {(const uint8_t *)"later", 5},
                               .threads = 1,
                               .items_expected = ITEMS_PER_JOB,
                               .attempts_max = 1};
    struct msg m = {.kind = MSG_SUBMIT,
                    .submit = {.experiment = "later",
                               .part_count = 1,
                               .manifest = {(const uint8_t *)"m", 1},
                               .plan_json = {(const uint8_t *)"{}", 2},
                               .jobs = &again,
                               .job_count = 1}};
    assert_int_equal(prlimit(w->coordinator, RLIMIT_FSIZE, NULL, &former), 0);
    struct rlimit none = {.rlim_cur = 1, .rlim_max = former.rlim_max};
    assert_int_equal(prlimit(w->coordinator, RLIMIT_FSIZE, &none, NULL), 0);
    const struct msg *reply = ask(w, &m);
    assert_int_equal(reply->kind, MSG_ERROR);
    assert_int_equal(reply->error.code, ERR_IO);
    assert_non_null(strstr(reply->error.text, "the state cannot be written"));
    struct msg info = {.kind = MSG_GET_INFO};
    run_for(w, 1500); /* it has tried again meanwhile, in vain */
    assert_int_equal(ask(w, &info)->kind, MSG_ERROR);
    assert_int_equal(prlimit(w->coordinator, RLIMIT_FSIZE, &former, NULL), 0);
    for (int i = 0; i < 1200 && ask(w, &info)->kind != MSG_INFO; i++) {
        run_for(w, 50);
    }
    assert_int_equal(w->reply.kind, MSG_INFO);
    assert_int_equal(w->reply.info.jobs_finished, JOBS);
    assert_int_equal(w->reply.info.jobs_unfinished, 0); /* the refused plan left nothing */
    reply = ask(w, &m);
    assert_int_equal(reply->kind, MSG_SUBMITTED);
    for (int i = 0; i < 1200 && ask(w, &info)->info.jobs_finished < JOBS + 1; i++) {
        run_for(w, 50);
    }
    assert_int_equal(w->reply.info.jobs_finished, JOBS + 1);
}

static void test_an_identity_that_is_not_its_specs_is_refused(void **state)
{
    struct world *w = *state;
    struct submit_job job = {.identity = hash_bytes("what everybody else runs", 24),
                             .kind = JOB_EVALUATE,
                             .label = "forged",
                             .family = "",
                             .variant = "",
                             .task = "",
                             .spec = {(const uint8_t *)"{}", 2},
                             .attempts_max = 1};
    struct msg m = {.kind = MSG_SUBMIT,
                    .submit = {.experiment = "forged",
                               .part_count = 1,
                               .jobs = &job,
                               .job_count = 1,
                               .dry_run = true}};
    const struct msg *reply = ask(w, &m);
    assert_int_equal(reply->kind, MSG_ERROR);
    assert_int_equal(reply->error.code, ERR_INVALID);
    assert_non_null(strstr(reply->error.text, "is not the digest of its spec"));
}

static void on_stranger_status(void *ctx, int connected, const char *text)
{
    struct world *w = ctx;
    w->stranger_connected |= connected != 0;
    snprintf(w->stranger_text, sizeof w->stranger_text, "%s", text);
}

static void test_a_stranger_is_refused(void **state)
{
    struct world *w = *state;
    char path[128];
    struct net_access access;
    struct net_key_pair stranger;
    struct net_socket *socket = NULL;
    struct err err;
    snprintf(path, sizeof path, "%s/worker.access", w->dir);
    assert_int_equal(net_access_load(path, &access, &err), ERR_OK);
    net_key_pair_new(&stranger);
    const struct net_dealer_options options = {.endpoint = access.endpoint,
                                               .server = &access.server,
                                               .own = &stranger,
                                               .frame_bytes_max = FRAME_BYTES_MAX,
                                               .receive = on_worker_frame,
                                               .status = on_stranger_status,
                                               .ctx = w};
    assert_int_equal(net_dealer_new(w->net, &options, &socket, &err), ERR_OK);
    for (int i = 0; i < 1200 && *w->stranger_text == '\0'; i++) {
        run_for(w, 50);
    }
    assert_string_equal(w->stranger_text, "the coordinator does not know this key");
    assert_false(w->stranger_connected);
    net_socket_free(socket);
}

static void test_a_second_coordinator_is_refused(void **state)
{
    struct world *w = *state;
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t second = spawn(w->dir, ready[1]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 0); /* never ready */
    close(ready[0]);
    assert_int_equal(WEXITSTATUS(wait_for(second)), 1);
}

static void test_garbage_is_counted_and_survived(void **state)
{
    struct world *w = *state;
    struct err err;
    struct msg info = {.kind = MSG_GET_INFO};
    uint64_t before = ask(w, &info)->info.frames_refused;
    for (int i = 0; i < 50; i++) {
        uint8_t bytes[40];
        memset(bytes, i, sizeof bytes);
        assert_int_equal(net_dealer_send(w->worker, bytes, sizeof bytes, &err), ERR_OK);
    }
    uint64_t refused = 0;
    for (int i = 0; i < 1200 && refused < 50; i++) { /* the question may overtake them */
        run_for(w, 5);
        refused = ask(w, &info)->info.frames_refused - before;
    }
    assert_int_equal(refused, 50);
}

static void say_hello_as(struct world *w, int number)
{
    char name[NAME_BYTES_MAX + 1];
    memset(name, 'w', sizeof name); /* the longest there is: bytes end a page before rows do */
    snprintf(name + sizeof name - 5, 5, "%04d", number);
    struct msg hello = {.kind = MSG_HELLO,
                        .hello = {.protocol_version = PROTOCOL_VERSION,
                                  .worker = name,
                                  .host = name,
                                  .host_cores = 1,
                                  .threads = 1,
                                  .numeric_class = name,
                                  .version = name}};
    send_msg(w->worker, &hello);
}

/* Workers in all pages of the list, which must be in order. */
static size_t count_workers(struct world *w, int *pages_out)
{
    char after[NAME_BYTES_MAX + 1] = "";
    struct msg list = {.kind = MSG_LIST_WORKERS, .list_workers.after = after};
    size_t seen = 0;
    *pages_out = 0;
    do {
        const struct msg *reply = ask(w, &list);
        assert_int_equal(reply->kind, MSG_WORKERS);
        for (size_t i = 0; i < reply->workers.row_count; i++, seen++) {
            assert_true(strcmp(reply->workers.rows[i].worker, after) > 0);
            snprintf(after, sizeof after, "%s", reply->workers.rows[i].worker);
        }
        ++*pages_out;
    } while (w->reply.workers.more);
    return seen;
}

/* ---- requests without waiting for answers ---- */

#define REQUESTS 400

struct hasty {
    struct world *w;
    uint8_t answered[REQUESTS + 1]; /* by request */
    uint64_t last_act, last_question;
    size_t answers;
};

static bool is_act(uint64_t request)
{
    return request % 2 == 1;
}

static void on_hasty_frame(void *ctx, const struct net_peer *peer, enum net_role role,
                           const char *user, const uint8_t *bytes, size_t len)
{
    struct hasty *h = ctx;
    struct arena arena = {0};
    struct err err;
    struct msg m;
    (void)peer, (void)role, (void)user;
    assert_int_equal(codec_decode(bytes, len, "R", &arena, &m, &err), ERR_OK);
    const uint64_t request = m.ok.request;
    assert_in_range(request, 1, REQUESTS);
    assert_int_equal(m.kind, is_act(request) ? MSG_OK : MSG_STATUS);
    assert_int_equal(h->answered[request]++, 0);
    uint64_t *last = is_act(request) ? &h->last_act : &h->last_question;
    assert_true(request > *last);
    *last = request;
    if (++h->answers == REQUESTS) {
        uv_stop(&h->w->loop);
    }
    arena_release(&arena);
}

/* Questions are answered within turns and while the disk is waited for; what changes something and
 * comes at such a moment is kept until the turn's end. Nothing is lost, doubled or out of order. */
static void test_requests_that_do_not_wait_are_each_answered_once(void **state)
{
    struct world *w = *state;
    struct hasty h = {.w = w};
    struct net_socket *client = dial_as(w, "client", on_hasty_frame, &h);
    for (uint64_t request = 1; request <= REQUESTS; request++) {
        struct msg m = {.kind = MSG_GET_STATUS, .get_status = {.request = request}};
        if (is_act(request)) {
            m = (struct msg){.kind = MSG_ACT,
                             .act = {.request = request,
                                     .action = ACTION_PRIORITY,
                                     .experiment = "noops",
                                     .priority = (int32_t)request}};
        }
        struct strbuf frame = {0};
        struct err err;
        assert_int_equal(codec_encode(&m, FRAME_BYTES_MAX, &frame, &err), ERR_OK);
        for (int tries = 0; tries < 1200; tries++) { /* until it is connected */
            if (net_dealer_send(client, frame.data, frame.len, &err) == ERR_OK) {
                break;
            }
            run_for(w, 25);
        }
        strbuf_release(&frame);
        if (request % 40 == 0) { /* far fewer than fill a queue at a time */
            run_for(w, 5);
        }
    }
    for (int i = 0; i < 1200 && h.answers < REQUESTS; i++) {
        run_for(w, 25);
    }
    assert_int_equal(h.answers, REQUESTS);
    struct msg status = {.kind = MSG_GET_STATUS, .get_status.experiment = "noops"};
    assert_int_equal(ask(w, &status)->status.experiments[0].priority, REQUESTS - 1);
    net_socket_free(client);
}

static void test_a_long_list_of_workers_comes_in_pages(void **state)
{
    struct world *w = *state;
    enum { WORKERS = 250 };
    int pages = 0;
    size_t seen = 0;
    /* Said again until all are known: a full queue drops frames. */
    for (int round = 0; round < 20 && seen < WORKERS + 1; round++) {
        for (int i = 0; i < WORKERS; i++) {
            say_hello_as(w, i);
            if (i % 50 == 49) {
                run_for(w, 20);
            }
        }
        seen = count_workers(w, &pages);
    }
    assert_int_equal(seen, WORKERS + 1); /* with the one of the other tests */
    assert_true(pages >= 2);
}

enum { LONG_PARTS = 150, LONG_JOBS = LONG_PARTS * SUBMIT_JOBS_PER_FRAME };

/* A plan of many parts, but for the last one; that is left in *last_out, to be sent by the caller.
 */
static void submit_long(struct world *w, const char *experiment, uint32_t salt,
                        struct submit_job jobs[SUBMIT_JOBS_PER_FRAME], struct msg *last_out)
{
    static uint64_t specs[SUBMIT_JOBS_PER_FRAME];
    for (uint32_t part = 0; part < LONG_PARTS; part++) {
        for (uint32_t i = 0; i < SUBMIT_JOBS_PER_FRAME; i++) {
            specs[i] = (uint64_t)salt << 32 | (part * SUBMIT_JOBS_PER_FRAME + i);
            jobs[i] = (struct submit_job){.identity = hash_bytes(&specs[i], sizeof specs[i]),
                                          .kind = JOB_EVALUATE,
                                          .label = "long",
                                          .family = "f",
                                          .variant = "v",
                                          .task = "t",
                                          .spec = {(const uint8_t *)&specs[i], sizeof specs[i]},
                                          .threads = 1,
                                          .labels = "nobody", /* no worker is asked for it */
                                          .attempts_max = 1};
        }
        *last_out = (struct msg){.kind = MSG_SUBMIT,
                                 .submit = {.experiment = experiment,
                                            .part_index = part,
                                            .part_count = LONG_PARTS,
                                            .jobs = jobs,
                                            .job_count = SUBMIT_JOBS_PER_FRAME,
                                            .dry_run = w->dry_run}};
        if (part == 0) {
            last_out->submit.plan_json = (struct bytes){(const uint8_t *)"{}", 2};
        }
        if (part + 1 < LONG_PARTS) {
            assert_int_equal(ask(w, last_out)->kind, MSG_OK);
        }
    }
}

/* Ask until the plan has been taken in. */
static struct msg_submitted finish_long(struct world *w, struct msg *last)
{
    const struct msg *reply = ask(w, last);
    while (reply->kind == MSG_OK) {
        reply = ask(w, last);
    }
    assert_int_equal(reply->kind, MSG_SUBMITTED);
    return reply->submitted;
}

/* Jobs of the experiment; *exists_out: is it known at all? */
static uint64_t count_jobs(struct world *w, const char *experiment, bool *exists_out)
{
    struct msg m = {.kind = MSG_GET_STATUS, .get_status.experiment = experiment};
    const struct msg *reply = ask(w, &m);
    uint64_t count = 0;
    *exists_out = reply->kind == MSG_STATUS && reply->status.experiment_count == 1;
    for (int s = 0; *exists_out && s < JOB_STATE_COUNT; s++) {
        count += reply->status.experiments[0].counts[s];
    }
    return count;
}

/* Killed at any moment of it, a long submission has left nothing, or goes on by itself. */
static void test_a_long_submission_survives_a_killed_coordinator(void **state)
{
    struct world *w = *state;
    for (uint32_t round = 0; round < 6; round++) {
        struct submit_job jobs[SUBMIT_JOBS_PER_FRAME];
        struct msg last;
        char name[32];
        bool exists = false;
        snprintf(name, sizeof name, "long-%u", round);
        submit_long(w, name, round, jobs, &last);
        assert_int_equal(ask(w, &last)->kind, MSG_OK); /* not taken in yet */
        run_for(w, round * 20);
        kill(w->coordinator, SIGKILL);
        assert_int_equal(WTERMSIG(wait_for(w->coordinator)), SIGKILL);
        start_coordinator(w);
        uint64_t count = count_jobs(w, name, &exists);
        for (int i = 0; exists && i < 1200 && count < LONG_JOBS; i++) {
            run_for(w, 25);
            count = count_jobs(w, name, &exists);
        }
        assert_int_equal(count, exists ? LONG_JOBS : 0);
        /* Submitted again, it is all there once. */
        submit_long(w, name, round, jobs, &last);
        const struct msg_submitted again = finish_long(w, &last);
        assert_int_equal(again.jobs_new + again.jobs_running, LONG_JOBS);
        assert_int_equal(again.jobs_running, exists ? LONG_JOBS : 0);
        assert_int_equal(count_jobs(w, name, &exists), LONG_JOBS);
    }
}

static void test_a_long_plan_is_refused_before_it_takes_effect(void **state)
{
    struct world *w = *state;
    struct submit_job jobs[SUBMIT_JOBS_PER_FRAME];
    struct msg last;
    bool exists = true;
    submit_long(w, "wrong", 100, jobs, &last);
    const struct digest stranger = hash_bytes("stranger", 8);
    struct named_digest parent = {"model", stranger};
    jobs[1].parents = &parent;
    jobs[1].parent_count = 1;
    const struct msg *reply = ask(w, &last);
    assert_int_equal(reply->kind, MSG_ERROR);
    assert_non_null(strstr(reply->error.text, "neither before it in this plan nor known"));
    assert_int_equal(count_jobs(w, "wrong", &exists), 0);
    assert_false(exists);
    /* Nor does a dry run, which counts all the same. */
    w->dry_run = true;
    submit_long(w, "dry", 101, jobs, &last);
    assert_int_equal(finish_long(w, &last).jobs_new, LONG_JOBS);
    w->dry_run = false;
    assert_int_equal(count_jobs(w, "dry", &exists), 0);
    assert_false(exists);
}

static void test_cancelling_ends_a_long_submission(void **state)
{
    struct world *w = *state;
    struct submit_job jobs[SUBMIT_JOBS_PER_FRAME];
    struct msg last;
    submit_long(w, "ended", 102, jobs, &last);
    assert_int_equal(ask(w, &last)->kind, MSG_OK);
    struct msg cancel = {.kind = MSG_ACT,
                         .act = {.action = ACTION_CANCEL, .experiment = "ended", .reason = "no"}};
    const struct msg *reply = ask(w, &cancel);
    assert_true(reply->kind == MSG_OK || reply->kind == MSG_ERROR); /* not even begun */
    const bool was_there = reply->kind == MSG_OK;
    reply = ask(w, &last);
    for (int i = 0; i < 1200 && reply->kind == MSG_OK; i++) {
        reply = ask(w, &last);
    }
    assert_int_equal(reply->kind == MSG_ERROR || reply->kind == MSG_SUBMITTED, true);
    struct msg m = {.kind = MSG_GET_STATUS, .get_status.experiment = "ended"};
    if (was_there) {
        reply = ask(w, &m);
        assert_int_equal(reply->kind, MSG_STATUS);
        assert_int_equal(reply->status.experiments[0].counts[JOB_WAITING], 0);
    }
}

static void test_stop_ends_the_process_well(void **state)
{
    struct world *w = *state;
    struct msg m = {.kind = MSG_STOP};
    int status = 0;
    pid_t ended = 0;
    m.stop.request = ++w->request;
    w->replied = false;
    send_msg(w->client, &m);
    /* Its answer may be lost with it. */
    for (int tries = 0; tries < 2400 && ended == 0; tries++) {
        run_for(w, 25);
        ended = waitpid(w->coordinator, &status, WNOHANG);
    }
    assert_int_equal(ended, w->coordinator);
    if (w->replied)
        assert_int_equal(w->reply.kind, MSG_OK);
    w->coordinator = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs_survive_a_killed_coordinator),
        cmocka_unit_test(test_an_unwritable_state_is_said_and_survived),
        cmocka_unit_test(test_an_identity_that_is_not_its_specs_is_refused),
        cmocka_unit_test(test_a_stranger_is_refused),
        cmocka_unit_test(test_a_second_coordinator_is_refused),
        cmocka_unit_test(test_garbage_is_counted_and_survived),
        cmocka_unit_test(test_requests_that_do_not_wait_are_each_answered_once),
        cmocka_unit_test(test_a_long_list_of_workers_comes_in_pages),
        cmocka_unit_test(test_a_long_submission_survives_a_killed_coordinator),
        cmocka_unit_test(test_a_long_plan_is_refused_before_it_takes_effect),
        cmocka_unit_test(test_cancelling_ends_a_long_submission),
        cmocka_unit_test(test_stop_ends_the_process_well),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
