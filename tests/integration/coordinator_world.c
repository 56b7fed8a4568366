#include "coordinator_world.h"

#include "cmocka_all.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bounds.h"
#include "codec.h"
#include "file.h"
#include "records.h"
#include "str.h"

#define BEAT_MS 50

/* ---- the process ---- */

pid_t world_spawn(const char *dir, int ready_fd)
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

void world_start(struct world *w)
{
    int ready[2];
    char line[8] = "";
    assert_int_equal(pipe(ready), 0);
    w->coordinator = world_spawn(w->dir, ready[1]);
    close(ready[1]);
    assert_int_equal(read(ready[0], line, 6), 6);
    assert_string_equal(line, "ready\n");
    close(ready[0]);
}

int world_wait_for(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* ---- speaking ---- */

void world_send(struct net_socket *socket, const struct msg *m)
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
    world_send(w->worker, &m);
    m = (struct msg){.kind = MSG_RESULT,
                     .result = {.session = w->session,
                                .lease = held->lease,
                                .outcome = OUTCOME_OK,
                                .reason = "",
                                .batches = {[STREAM_RECORDS] = 1},
                                .items = ITEMS_PER_JOB,
                                .records = hash_bytes(batch.data, batch.len),
                                .numeric_class = "test"}};
    world_send(w->worker, &m);
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
    world_send(w->worker, &m);
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
    world_send(w->worker, &m);
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

void world_on_worker_frame(void *ctx, const struct net_peer *peer, enum net_role role,
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
        snprintf(w->no_session, sizeof w->no_session, "%s", m.no_session.reason);
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

void world_run_for(struct world *w, uint64_t ms)
{
    await_pass(&w->loop, ms);
}

static void ask_again(struct world *w, const struct msg *m, int tries)
{
    if (tries % 20 == 0) {
        world_send(w->client, m);
    }
    world_run_for(w, AWAIT_TICK_MS);
}

/* Ask until answered; the request id is the first member of every request. */
const struct msg *world_ask(struct world *w, struct msg *m)
{
    m->get_info.request = ++w->request;
    w->replied = false;
    int tries = 0;
    AWAIT_BY(ask_again(w, m, tries++), w->replied);
    return &w->reply;
}

/* ---- a world ---- */

struct net_socket *world_dial_as(struct world *w, const char *role, net_receive_f *receive,
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

static struct net_socket *world_dial(struct world *w, const char *role, net_receive_f *receive)
{
    return world_dial_as(w, role, receive, w);
}

int world_set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct err err;
    snprintf(w->dir, sizeof w->dir, "/tmp/triad-test-coordinator-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    world_start(w);
    uv_loop_init(&w->loop);
    assert_int_equal(net_new(&w->loop, &w->net, &err), ERR_OK);
    w->worker = world_dial(w, "worker", world_on_worker_frame);
    w->client = world_dial(w, "client", on_client_frame);
    uv_timer_init(&w->loop, &w->beat);
    w->beat.data = w;
    uv_timer_start(&w->beat, on_beat, 0, BEAT_MS);
    *state = w;
    return 0;
}

int world_tear_down(void **state)
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
