#include "scripted_coordinator.h"

#include "cmocka_all.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bounds.h"
#include "codec.h"
#include "file.h"
#include "slow_disk.h"

/* ---- sending ---- */

static void send_to(struct net_socket *socket, const struct net_peer *peer, const struct msg *m,
                    size_t frame_bytes_max)
{
    struct strbuf frame = {0};
    struct err err;
    if (codec_encode(m, frame_bytes_max, &frame, &err))
        fail_msg("encode %s: %s", msg_kind_name(m->kind), err.text);
    (void)!net_router_send(socket, peer, frame.data, frame.len, &err); /* it may be dead */
    strbuf_release(&frame);
}

static void tell(struct scripted *s, const struct msg *m)
{
    if (!s->mute && s->session)
        send_to(s->control, &s->peer, m, FRAME_BYTES_MAX);
}

static struct scripted_job *job_find(struct scripted *s, const struct lease_key *lease)
{
    for (size_t i = 0; i < s->job_count; i++) {
        const struct lease_key *known = &s->jobs[i].lease.lease;
        if (known->epoch == lease->epoch && digest_equal(&known->job, &lease->job))
            return &s->jobs[i];
    }
    return NULL;
}

/* ---- the control socket ---- */

static void on_hello(struct scripted *s, const struct msg_hello *m)
{
    struct held_verdict verdicts[SCRIPTED_JOBS_MAX];
    struct msg welcome = {.kind = MSG_WELCOME,
                          .welcome = {.session = ++s->session,
                                      .heartbeat_ms = SCRIPTED_BEAT_MS,
                                      .lease_ms = 30000,
                                      .verdicts = verdicts}};
    s->hellos++;
    s->instance = m->instance;
    s->held_count = m->held_count;
    s->finished_in_hello = 0;
    for (size_t i = 0; i < m->held_count && i < SCRIPTED_JOBS_MAX; i++) {
        struct scripted_job *job = job_find(s, &m->held[i].lease);
        struct held_verdict *v = &verdicts[welcome.welcome.verdict_count++];
        *v = (struct held_verdict){.lease = m->held[i].lease, .keep = job != NULL};
        if (job)
            memcpy(v->next, job->next, sizeof v->next);
        s->finished_in_hello += m->held[i].state == HELD_FINISHED;
    }
    tell(s, &welcome);
}

static void on_stream(struct scripted *s, const struct msg_stream *m)
{
    struct scripted_job *job = job_find(s, &m->lease);
    if (!job)
        return;
    if (m->index == job->next[m->stream]) {
        strbuf_append(&job->streams[m->stream], m->payload.data, m->payload.len);
        job->next[m->stream]++;
    }
    tell(s, &(struct msg){.kind = MSG_ACK,
                          .ack = {.session = s->session,
                                  .lease = m->lease,
                                  .stream = m->stream,
                                  .next = job->next[m->stream]}});
}

static void on_result(struct scripted *s, const struct msg_result *m)
{
    struct scripted_job *job = job_find(s, &m->lease);
    if (!job)
        return;
    for (int i = 0; i < STREAM_COUNT; i++)
        assert_int_equal(job->next[i], m->batches[i]); /* never before its batches */
    job->ended = true;
    job->result = *m;
    snprintf(job->reason, sizeof job->reason, "%s", m->reason);
    snprintf(job->numeric_class, sizeof job->numeric_class, "%s", m->numeric_class);
    if (!s->keep_result_acks)
        tell(s, &(struct msg){.kind = MSG_RESULT_ACK,
                              .result_ack = {.session = s->session, .lease = m->lease}});
}

static void on_checkpoint(struct scripted *s, const struct msg_checkpoint *m)
{
    struct scripted_job *job = job_find(s, &m->lease);
    if (!job)
        return;
    assert_non_null(scripted_blob(s, &m->tree)); /* stored before it is told */
    job->checkpoint_step = m->step;
    job->checkpoint = m->tree;
    tell(s, &(struct msg){
                .kind = MSG_CHECKPOINT_ACK,
                .checkpoint_ack = {.session = s->session, .lease = m->lease, .step = m->step}});
}

static void on_control(void *ctx, const struct net_peer *peer, enum net_role role, const char *user,
                       const uint8_t *bytes, size_t len)
{
    (void)role;
    (void)user;
    struct scripted *s = ctx;
    struct arena arena = {0};
    struct msg m;
    struct err err;
    if (codec_decode(bytes, len, "W", &arena, &m, &err))
        fail_msg("a worker's frame: %s", err.text);
    if (s->mute) { /* as if the network swallowed it */
        arena_release(&arena);
        return;
    }
    s->peer = *peer;
    if (m.kind == MSG_HELLO)
        on_hello(s, &m.hello);
    else if (m.kind == MSG_STREAM)
        on_stream(s, &m.stream);
    else if (m.kind == MSG_RESULT)
        on_result(s, &m.result);
    else if (m.kind == MSG_CHECKPOINT)
        on_checkpoint(s, &m.checkpoint);
    else if (m.kind == MSG_STARTED && job_find(s, &m.started.lease))
        job_find(s, &m.started.lease)->starts++;
    else if (m.kind == MSG_BYE)
        s->byes++;
    else if (m.kind == MSG_HEARTBEAT) {
        s->beats++;
        s->held_count = m.heartbeat.all.count;
        tell(s, &(struct msg){.kind = MSG_PULSE,
                              .pulse = {.session = s->session, .beat = m.heartbeat.beat}});
    }
    arena_release(&arena);
}

/* ---- the data socket ---- */

const struct scripted_blob *scripted_blob(const struct scripted *s, const struct digest *digest)
{
    for (size_t i = 0; i < s->blob_count; i++) {
        if (digest_equal(&s->blobs[i].digest, digest))
            return &s->blobs[i];
    }
    return NULL;
}

static struct scripted_blob *blob_add(struct scripted *s, const struct digest *digest)
{
    s->blobs = realloc(s->blobs, (s->blob_count + 1) * sizeof *s->blobs);
    assert_non_null(s->blobs);
    struct scripted_blob *blob = &s->blobs[s->blob_count++];
    *blob = (struct scripted_blob){.digest = *digest};
    return blob;
}

struct digest scripted_put(struct scripted *s, const void *bytes, size_t len)
{
    struct digest digest = hash_bytes(bytes, len);
    if (!scripted_blob(s, &digest))
        strbuf_append(&blob_add(s, &digest)->bytes, bytes, len);
    return digest;
}

struct digest scripted_put_file(struct scripted *s, const char *path)
{
    char *data = NULL;
    size_t len = 0;
    struct err err;
    if (file_read(path, 0, &data, &len, &err))
        fail_msg("%s", err.text);
    struct digest digest = scripted_put(s, data, len);
    free(data);
    return digest;
}

static void on_stat(struct scripted *s, const struct net_peer *peer, const struct msg_blob_stat *m)
{
    int64_t sizes[1024];
    assert_true(m->digest_count <= 1024);
    for (size_t i = 0; i < m->digest_count; i++) {
        const struct scripted_blob *blob = scripted_blob(s, &m->digests[i]);
        sizes[i] = blob ? (int64_t)blob->bytes.len : -1;
    }
    struct msg reply = {
        .kind = MSG_BLOB_SIZES,
        .blob_sizes = {.request = m->request, .sizes = sizes, .size_count = m->digest_count}};
    send_to(s->data, peer, &reply, FRAME_DATA_BYTES_MAX);
}

static void on_read(struct scripted *s, const struct net_peer *peer, const struct msg_blob_read *m)
{
    const struct scripted_blob *blob = scripted_blob(s, &m->digest);
    assert_non_null(blob);
    size_t left = blob->bytes.len - m->offset;
    struct bytes data = {(const uint8_t *)blob->bytes.data + m->offset,
                         left < BLOB_CHUNK_BYTES ? left : BLOB_CHUNK_BYTES};
    struct msg reply = {.kind = MSG_BLOB_CHUNK,
                        .blob_chunk = {.request = m->request,
                                       .digest = m->digest,
                                       .offset = m->offset,
                                       .total = blob->bytes.len,
                                       .crc32c = hash_crc32c(data.data, data.len),
                                       .data = data}};
    send_to(s->data, peer, &reply, FRAME_DATA_BYTES_MAX);
}

static void on_write(struct scripted *s, const struct net_peer *peer,
                     const struct msg_blob_write *m)
{
    struct scripted_blob *blob = NULL;
    for (size_t i = 0; i < s->blob_count; i++) {
        if (digest_equal(&s->blobs[i].digest, &m->digest))
            blob = &s->blobs[i];
    }
    if (!blob)
        blob = blob_add(s, &m->digest);
    if (m->offset == blob->bytes.len)
        strbuf_append(&blob->bytes, m->data.data, m->data.len);
    bool complete = blob->bytes.len == m->total;
    if (complete) {
        struct digest found = hash_bytes(blob->bytes.data, blob->bytes.len);
        assert_true(digest_equal(&found, &m->digest));
    }
    struct msg reply = {.kind = MSG_BLOB_WRITTEN,
                        .blob_written = {.request = m->request,
                                         .digest = m->digest,
                                         .next = blob->bytes.len,
                                         .complete = complete}};
    send_to(s->data, peer, &reply, FRAME_DATA_BYTES_MAX);
}

static void on_data(void *ctx, const struct net_peer *peer, enum net_role role, const char *user,
                    const uint8_t *bytes, size_t len)
{
    (void)role;
    (void)user;
    struct scripted *s = ctx;
    struct arena arena = {0};
    struct msg m;
    struct err err;
    if (codec_decode(bytes, len, "D", &arena, &m, &err))
        fail_msg("a worker's data frame: %s", err.text);
    if (m.kind == MSG_BLOB_STAT)
        on_stat(s, peer, &m.blob_stat);
    else if (m.kind == MSG_BLOB_READ)
        on_read(s, peer, &m.blob_read);
    else if (m.kind == MSG_BLOB_WRITE)
        on_write(s, peer, &m.blob_write);
    arena_release(&arena);
}

/* ---- jobs ---- */

static void lease_send(struct scripted *s, struct scripted_job *job)
{
    job->lease.session = s->session;
    tell(s, &(struct msg){.kind = MSG_LEASE, .lease = job->lease});
}

struct scripted_job *scripted_lease(struct scripted *s, enum job_kind kind, const char *spec,
                                    const struct named_digest *inputs, size_t input_count,
                                    const struct named_digest *parents, size_t parent_count)
{
    assert_true(s->job_count < SCRIPTED_JOBS_MAX);
    struct scripted_job *job = &s->jobs[s->job_count++];
    size_t len = strlen(spec);
    *job = (struct scripted_job){.ended = false};
    job->lease = (struct msg_lease){
        .lease = {.job = hash_bytes(spec, len), .epoch = 1},
        .kind = kind,
        .label = "test",
        .spec = {arena_memdup(&s->arena, spec, len), len},
        .inputs = arena_memdup(&s->arena, inputs, input_count * sizeof *inputs),
        .input_count = input_count,
        .parents = arena_memdup(&s->arena, parents, parent_count * sizeof *parents),
        .parent_count = parent_count,
        .threads = 1,
        .memory_bytes = s->lease_memory_bytes,
    };
    lease_send(s, job);
    return job;
}

void scripted_lease_again(struct scripted *s, struct scripted_job *job, uint32_t epoch)
{
    struct msg_lease lease = job->lease;
    for (int i = 0; i < STREAM_COUNT; i++)
        strbuf_release(&job->streams[i]);
    *job = (struct scripted_job){.lease = lease};
    job->lease.lease.epoch = epoch;
    lease_send(s, job);
}

void scripted_revoke(struct scripted *s, const struct scripted_job *job)
{
    tell(s, &(struct msg){.kind = MSG_REVOKE,
                          .revoke = {.session = s->session,
                                     .lease = job->lease.lease,
                                     .reason = "cancelled by the test"}});
}

/* ---- beginning and end ---- */

static void router(struct scripted *s, const struct net_key_pair *server, size_t frame_bytes_max,
                   net_receive_f *receive, struct net_socket **out)
{
    struct net_router_options options = {.endpoint = "tcp://127.0.0.1:*",
                                         .server = server,
                                         .roles = NET_WORKER,
                                         .frame_bytes_max = frame_bytes_max,
                                         .receive = receive,
                                         .ctx = s};
    struct err err;
    if (net_router_new(s->net, &options, out, &err))
        fail_msg("%s", err.text);
}

static void access_save(const struct scripted *s, const struct net_key_pair *server,
                        const struct net_key_pair *own)
{
    struct net_access access = {.role = "worker", .server = server->public_key, .own = *own};
    char path[128];
    struct err err;
    snprintf(access.endpoint, sizeof access.endpoint, "%s", net_endpoint(s->control));
    snprintf(access.data_endpoint, sizeof access.data_endpoint, "%s", net_endpoint(s->data));
    snprintf(path, sizeof path, "%s/access", s->folder);
    if (net_access_save(path, &access, &err))
        fail_msg("%s", err.text);
}

void scripted_begin(struct scripted *s)
{
    memset(s, 0, sizeof *s);
    s->lease_memory_bytes = 1 << 30;
    snprintf(s->folder, sizeof s->folder, "/tmp/triad-worker-XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    struct net_key_pair server, worker;
    net_key_pair_new(&server);
    net_key_pair_new(&worker);
    struct err err;
    uv_loop_init(&s->loop);
    assert_int_equal(net_new(&s->loop, &s->net, &err), ERR_OK);
    assert_int_equal(net_allow(s->net, &worker.public_key, NET_WORKER, "w", &err), ERR_OK);
    router(s, &server, FRAME_BYTES_MAX, on_control, &s->control);
    router(s, &server, FRAME_DATA_BYTES_MAX, on_data, &s->data);
    access_save(s, &server, &worker);
    await_tick(&s->loop, &s->ticker);
}

void scripted_end(struct scripted *s)
{
    if (s->worker)
        scripted_worker_stop(s, SIGKILL);
    uv_close((uv_handle_t *)&s->ticker, NULL);
    net_socket_free(s->control);
    net_socket_free(s->data);
    net_free(s->net, NULL, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    for (size_t i = 0; i < s->job_count; i++) {
        for (int k = 0; k < STREAM_COUNT; k++)
            strbuf_release(&s->jobs[i].streams[k]);
    }
    for (size_t i = 0; i < s->blob_count; i++)
        strbuf_release(&s->blobs[i].bytes);
    free(s->blobs);
    arena_release(&s->arena);
    assert_int_equal(file_remove_tree(s->folder, NULL), ERR_OK);
}

void scripted_worker_start(struct scripted *s, const char *threads)
{
    char access[128], folder[128];
    snprintf(access, sizeof access, "%s/access", s->folder);
    snprintf(folder, sizeof folder, "%s/worker", s->folder);
    s->worker = fork();
    assert_true(s->worker >= 0);
    if (s->worker == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves none behind */
        if (s->slow_disk)
            slow_disk_enter(s->slow_disk);
        const char *level = getenv("TRIAD_TEST_LOG") ? getenv("TRIAD_TEST_LOG") : "error";
        execl(WORKER_PROGRAM, "triad-worker", "--access", access, "--dir", folder, "--name", "w",
              "--threads", threads, "--memory", "8GiB", "--log-level", level, (char *)NULL);
        _exit(127);
    }
}

int scripted_worker_stop(struct scripted *s, int signal_number)
{
    int status = 0;
    if (signal_number)
        kill(s->worker, signal_number);
    AWAIT(&s->loop, waitpid(s->worker, &status, WNOHANG) != 0);
    s->worker = 0;
    return status;
}
