/* A real coordinator process, spoken to over real sockets by a scripted worker and client: jobs
 * with parents and records run to their end although the coordinator is killed with SIGKILL in the
 * middle; nothing is counted twice; strangers and a second coordinator are refused. */
#include "cmocka_all.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <zmq.h>

#include "bounds.h"
#include "codec.h"
#include "coordinator_world.h"
#include "net_keys.h"
#include "records.h"
#include "str.h"

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
    const struct msg *reply = world_ask(w, &m);
    assert_int_equal(reply->kind, MSG_SUBMITTED);
    assert_int_equal(reply->submitted.jobs_new, JOBS);
}

static uint64_t count_done(struct world *w)
{
    struct msg m = {.kind = MSG_GET_STATUS, .get_status.experiment = "noops"};
    const struct msg *reply = world_ask(w, &m);
    assert_int_equal(reply->kind, MSG_STATUS);
    assert_int_equal(reply->status.experiment_count, 1);
    return reply->status.experiments[0].counts[JOB_DONE];
}

static void check_records(struct world *w)
{
    for (uint8_t i = 0; i < JOBS; i++) {
        struct msg m = {.kind = MSG_READ_STREAM,
                        .read_stream = {.job = hash_bytes(&i, 1), .stream = STREAM_RECORDS}};
        const struct msg *reply = world_ask(w, &m);
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
    AWAIT_BY(world_run_for(w, 10), w->results_acked >= 7);
    assert_in_range(w->results_acked, 7, JOBS - 1);
    kill(w->coordinator, SIGKILL);
    assert_int_equal(WTERMSIG(world_wait_for(w->coordinator)), SIGKILL);
    world_start(w);
    AWAIT_BY(world_run_for(w, AWAIT_TICK_MS), count_done(w) == JOBS);
    check_records(w);

    /* No attempt was wasted: the worker kept its leases over the restart. */
    struct msg m = {.kind = MSG_LIST_JOBS, .list_jobs.experiment = "noops"};
    const struct msg *reply = world_ask(w, &m);
    assert_int_equal(reply->kind, MSG_JOBS);
    assert_int_equal(reply->jobs.row_count, JOBS);
    for (size_t i = 0; i < JOBS; i++) {
        assert_int_equal(reply->jobs.rows[i].attempts, 1);
        assert_int_equal(reply->jobs.rows[i].items, ITEMS_PER_JOB);
        assert_string_equal(reply->jobs.rows[i].worker, "scripted");
    }
    /* Submitted again, nothing runs. */
    struct msg again = {.kind = MSG_GET_INFO};
    assert_int_equal(world_ask(w, &again)->info.jobs_unfinished, 0);
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
    const struct msg *reply = world_ask(w, &m);
    assert_int_equal(reply->kind, MSG_ERROR);
    assert_int_equal(reply->error.code, ERR_IO);
    assert_non_null(strstr(reply->error.text, "the state cannot be written"));
    struct msg info = {.kind = MSG_GET_INFO};
    world_run_for(w, 1500); /* it has tried again meanwhile, in vain */
    assert_int_equal(world_ask(w, &info)->kind, MSG_ERROR);
    assert_int_equal(prlimit(w->coordinator, RLIMIT_FSIZE, &former, NULL), 0);
    AWAIT_BY(world_run_for(w, AWAIT_TICK_MS), world_ask(w, &info)->kind == MSG_INFO);
    assert_int_equal(w->reply.info.jobs_finished, JOBS);
    assert_int_equal(w->reply.info.jobs_unfinished, 0); /* the refused plan left nothing */
    reply = world_ask(w, &m);
    assert_int_equal(reply->kind, MSG_SUBMITTED);
    AWAIT_BY(world_run_for(w, AWAIT_TICK_MS), world_ask(w, &info)->info.jobs_finished == JOBS + 1);
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
    const struct msg *reply = world_ask(w, &m);
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
                                               .receive = world_on_worker_frame,
                                               .status = on_stranger_status,
                                               .ctx = w};
    assert_int_equal(net_dealer_new(w->net, &options, &socket, &err), ERR_OK);
    AWAIT_BY(world_run_for(w, AWAIT_TICK_MS), *w->stranger_text);
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
    pid_t second = world_spawn(w->dir, ready[1]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 0); /* never ready */
    close(ready[0]);
    assert_int_equal(WEXITSTATUS(world_wait_for(second)), 1);
}

/* A frame of two parts, which net itself refuses, from a socket of libzmq's own. */
static void *send_parts(const struct world *w, void *context)
{
    const int linger_ms = 0;
    char path[128];
    struct net_access access;
    struct err err;
    snprintf(path, sizeof path, "%s/worker.access", w->dir);
    assert_int_equal(net_access_load(path, &access, &err), ERR_OK);
    void *raw = zmq_socket(context, ZMQ_DEALER);
    zmq_setsockopt(raw, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    zmq_setsockopt(raw, ZMQ_CURVE_SERVERKEY, access.server.z85, 41);
    zmq_setsockopt(raw, ZMQ_CURVE_PUBLICKEY, access.own.public_key.z85, 41);
    zmq_setsockopt(raw, ZMQ_CURVE_SECRETKEY, access.own.secret_z85, 41);
    assert_int_equal(zmq_connect(raw, access.endpoint), 0);
    assert_int_equal(zmq_send(raw, "part", 4, ZMQ_SNDMORE), 4);
    assert_int_equal(zmq_send(raw, "part", 4, 0), 4);
    return raw;
}

static void test_garbage_is_counted_and_survived(void **state)
{
    struct world *w = *state;
    struct err err;
    struct msg info = {.kind = MSG_GET_INFO};
    uint64_t before = world_ask(w, &info)->info.frames_refused;
    for (int i = 0; i < 50; i++) {
        uint8_t bytes[40];
        memset(bytes, i, sizeof bytes);
        assert_int_equal(net_dealer_send(w->worker, bytes, sizeof bytes, &err), ERR_OK);
    }
    void *context = zmq_ctx_new();
    void *parts = send_parts(w, context);
    AWAIT_BY(world_run_for(w, 5), /* the question may overtake them */
             world_ask(w, &info)->info.frames_refused >= before + 51);
    assert_int_equal(w->reply.info.frames_refused, before + 51);
    zmq_close(parts);
    zmq_ctx_term(context);
    /* Who is of another version gets to know. */
    AWAIT_BY(world_run_for(w, 5), strstr(w->no_session, "protocol version 49"));
    assert_non_null(strstr(w->no_session, "frame has protocol version 49, we speak"));
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
    world_send(w->worker, &hello);
}

/* Workers in all pages of the list, which must be in order. */
static size_t count_workers(struct world *w, int *pages_out)
{
    char after[NAME_BYTES_MAX + 1] = "";
    struct msg list = {.kind = MSG_LIST_WORKERS, .list_workers.after = after};
    size_t seen = 0;
    *pages_out = 0;
    do {
        const struct msg *reply = world_ask(w, &list);
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

#define REQUESTS  400
#define IN_FLIGHT 150

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
    struct net_socket *client = world_dial_as(w, "client", on_hasty_frame, &h);
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
        AWAIT_BY(world_run_for(w, AWAIT_TICK_MS), /* until it is connected */
                 net_dealer_send(client, frame.data, frame.len, &err) == ERR_OK);
        strbuf_release(&frame);
        /* Fewer on their way than a queue holds: from a full one answers are dropped. */
        AWAIT_BY(world_run_for(w, 5), h.answers + IN_FLIGHT >= request);
    }
    AWAIT_BY(world_run_for(w, AWAIT_TICK_MS), h.answers >= REQUESTS);
    assert_int_equal(h.answers, REQUESTS);
    struct msg status = {.kind = MSG_GET_STATUS, .get_status.experiment = "noops"};
    assert_int_equal(world_ask(w, &status)->status.experiments[0].priority, REQUESTS - 1);
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
                world_run_for(w, 20);
            }
        }
        seen = count_workers(w, &pages);
    }
    assert_int_equal(seen, WORKERS + 1); /* with the one of the other tests */
    assert_true(pages >= 2);
}

static void test_stop_ends_the_process_well(void **state)
{
    struct world *w = *state;
    struct msg m = {.kind = MSG_STOP};
    int status = 0;
    m.stop.request = ++w->request;
    w->replied = false;
    world_send(w->client, &m);
    /* Its answer may be lost with it. */
    AWAIT_BY(world_run_for(w, AWAIT_TICK_MS),
             waitpid(w->coordinator, &status, WNOHANG) == w->coordinator);
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
        cmocka_unit_test(test_stop_ends_the_process_well),
    };
    return cmocka_run_group_tests(tests, world_set_up, world_tear_down);
}
