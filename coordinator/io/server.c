#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "codec.h"
#include "file.h"
#include "alloc_drive.h"
#include "intake.h"
#include "janitor.h"
#include "log.h"
#include "server_state.h"
#include "shared_store.h"

/* ---- helpers of the frame files ---- */

/* The tick calls this every TICK_MS, so a longer gap means that the loop stood still. */
int64_t server_now_ms(struct server *server)
{
    int64_t now_ms = clock_mono_ms();
    int64_t gap_ms = now_ms - server->clock_seen_ms;
    server->clock_seen_ms = now_ms;
    if (gap_ms > 2 * TICK_MS) {
        int64_t lag_ms = gap_ms - TICK_MS;
        server->clock_lag_ms += lag_ms;
        if (lag_ms > server->loop_lag_ms_max) {
            server->loop_lag_ms_max = (uint32_t)(lag_ms < UINT32_MAX ? lag_ms : UINT32_MAX);
        }
    }
    return now_ms - server->clock_lag_ms;
}

uint64_t server_peer_number(enum server_socket socket, const struct net_peer *peer)
{
    /* Automatic routing ids have five bytes; turn.c takes them out again. */
    ASSERT(peer->len == 5);
    uint64_t number = (uint64_t)socket << 56;
    for (size_t i = 0; i < peer->len; i++) {
        number |= (uint64_t)peer->id[i] << (8 * i);
    }
    return number;
}

enum err_code server_decode(struct server *server, const uint8_t *bytes, size_t len,
                            const char *senders, struct msg *out, struct err *err)
{
    server->frames_received++;
    server->frames.bytes_max = server->frames.bytes_used + DECODE_BUDGET_BYTES;
    return codec_decode(bytes, len, senders, &server->frames, out, err);
}

/* An error may quote a path, which is any bytes; a message is UTF-8. */
struct msg server_error(struct arena *arena, uint64_t request, const struct err *err)
{
    struct strbuf clean = {0};
    strbuf_append_clean(&clean, err->text, strlen(err->text));
    const char *text = arena_strdup(arena, strbuf_text(&clean));
    strbuf_release(&clean);
    return (struct msg){.kind = MSG_ERROR,
                        .error = {.request = request, .code = err->code, .text = text}};
}

void server_refuse_frame(struct server *server, uint64_t peer, const char *user,
                         const struct err *err)
{
    server->frames_refused++;
    for (size_t i = 0; i < REFUSED_PEERS_REMEMBERED; i++) {
        if (server->refused_peers[i] == peer) {
            return;
        }
    }
    server->refused_peers[server->refused_peers_next] = peer;
    server->refused_peers_next = (server->refused_peers_next + 1) % REFUSED_PEERS_REMEMBERED;
    log_event(LOG_WARN, "frame_refused", "user=%s peer=%llx error='%s'", user,
              (unsigned long long)peer, err->text);
}

void server_fail(struct server *server, const struct err *err)
{
    if (server->fatal.code == ERR_OK) {
        server->fatal = *err;
    }
    server_stop(server);
}

/* ---- time ---- */

static void on_tick(uv_timer_t *handle)
{
    struct server *server = handle->data;
    int64_t now_ms = server_now_ms(server);
    staging_expire(&server->staging, clock_mono_ms());
    if (keys_watch_look(&server->keys, clock_mono_ms())) {
        data_peers_keys_changed(server);
    }
    alloc_drive_tick(server);
    turn_retry(server);
    if (intake_has_work(server)) {
        turn_begin(server);
    }
    if (!server->in_trouble && now_ms >= server->wake_at_ms) {
        turn_begin(server);
        turn_step(server, &(struct core_event){.kind = CORE_TICK, .peer = 0});
    }
}

/* ---- start ---- */

/* The port of a former life, so that workers which survived find a restarted coordinator where it
 * was; 0 when there was none. */
static uint16_t former_port(const struct server_options *options, enum server_socket which)
{
    char path[4096];
    struct net_access access;
    struct err err;
    long long port = 0;
    snprintf(path, sizeof path, "%s/%s.access", options->state_dir,
             which == SOCKET_WORKER ? "worker" : "client");
    if (net_access_load(path, &access, &err) != ERR_OK) {
        return 0;
    }
    const char *colon = strrchr(which == SOCKET_DATA ? access.data_endpoint : access.endpoint, ':');
    if (colon == NULL || !str_to_i64(colon + 1, &port) || port < 1 || port > 65535) {
        return 0;
    }
    return (uint16_t)port;
}

static enum err_code open_socket(struct server *server, const struct server_options *options,
                                 enum server_socket which, struct err *err)
{
    static const struct {
        unsigned roles;
        enum net_io io;
        size_t frame_bytes_max;
        net_receive_f *receive;
    } kinds[SOCKET_END] = {
        [SOCKET_WORKER] = {NET_WORKER, NET_IO_CONTROL, FRAME_BYTES_MAX, worker_frame},
        [SOCKET_CLIENT] = {NET_CLIENT | NET_VIEWER, NET_IO_QUESTIONS, FRAME_BYTES_MAX,
                           client_frame},
        [SOCKET_DATA] = {NET_ROLES_ALL, NET_IO_BULK, FRAME_DATA_BYTES_MAX, data_frame},
    };
    char endpoint[256];
    struct net_router_options router = {.endpoint = endpoint,
                                        .server = keys_watch_server(&server->keys),
                                        .roles = kinds[which].roles,
                                        .io = kinds[which].io,
                                        .frame_bytes_max = kinds[which].frame_bytes_max,
                                        .frames_per_turn = FRAMES_PER_TURN,
                                        .turn_us = TURN_US,
                                        .receive = kinds[which].receive,
                                        .ctx = server};
    const uint16_t ports[SOCKET_END] = {[SOCKET_WORKER] = options->worker_port,
                                        [SOCKET_CLIENT] = options->client_port,
                                        [SOCKET_DATA] = options->data_port};
    uint16_t port = ports[which] != 0 ? ports[which] : former_port(options, which);
    if (port != 0) {
        snprintf(endpoint, sizeof endpoint, "tcp://%s:%u", options->listen, port);
        enum err_code code = net_router_new(server->net, &router, &server->sockets[which], err);
        if (code != ERR_CONFLICT || ports[which] != 0) {
            return code;
        }
    }
    snprintf(endpoint, sizeof endpoint, "tcp://%s:*", options->listen);
    return net_router_new(server->net, &router, &server->sockets[which], err);
}

static enum err_code open_sockets(struct server *server, const struct server_options *options,
                                  struct err *err)
{
    enum err_code code = net_new(server->loop, &server->net, err);
    code = code != ERR_OK ? code : keys_watch_open(&server->keys, server->net, options, err);
    for (enum server_socket s = SOCKET_WORKER; s < SOCKET_END && code == ERR_OK; s++) {
        code = open_socket(server, options, s, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    return keys_watch_bound(&server->keys, net_endpoint(server->sockets[SOCKET_WORKER]),
                            net_endpoint(server->sockets[SOCKET_CLIENT]),
                            net_endpoint(server->sockets[SOCKET_DATA]), err);
}

static enum err_code open_artifacts(struct server *server, const struct server_options *options,
                                    struct err *err)
{
    char *dir = NULL;
    enum err_code code = shared_store_find(options->state_dir, options->shared_store, &dir, err);
    code = code != ERR_OK ? code : artifacts_open(dir, &server->artifacts, err);
    if (code == ERR_OK) {
        const struct digest token = artifacts_token(server->artifacts);
        code = shared_store_claim(options->state_dir, dir, &token, err);
    }
    free(dir);
    return code;
}

enum err_code server_new(uv_loop_t *loop, const struct server_options *options, struct server **out,
                         struct err *err)
{
    struct server *server = calloc(1, sizeof *server);
    ASSERT(server != NULL);
    server->loop = loop;
    server->core_options = options->core;
    server->held_end = &server->held;
    server->state_dir = strdup(options->state_dir);
    server->version = strdup(options->version);
    ASSERT(server->state_dir != NULL && server->version != NULL);
    server->started_ms = clock_time_ms();
    server->clock_seen_ms = clock_mono_ms();
    enum err_code code = store_open(options->state_dir, &server->store, err);
    code = code != ERR_OK ? code : open_artifacts(server, options, err);
    code = code != ERR_OK ? code : turn_load_core(server, err);
    uv_timer_init(loop, &server->tick);
    uv_idle_init(loop, &server->turn_end);
    server->tick.data = server->turn_end.data = server;
    janitor_init(server);
    code = code != ERR_OK ? code : alloc_drive_open(server, err);
    code = code != ERR_OK ? code : open_sockets(server, options, err);
    code = code != ERR_OK ? code : data_peers_open(server, err);
    if (code != ERR_OK) {
        struct err later;
        server_stop(server);
        uv_run(loop, UV_RUN_DEFAULT);
        (void)!server_free(server, &later);
        return code;
    }
    uv_timer_start(&server->tick, on_tick, TICK_MS, TICK_MS);
    if (store_check_was_cut(server->store)) {
        log_event(LOG_WARN, "check_cut",
                  "the database is large: its integrity was checked in part");
    }
    struct core_counts counts = core_counts(server->core);
    log_event(LOG_INFO, "started", "state='%s' workers=%s clients=%s data=%s jobs=%zu leases=%zu",
              server->state_dir, net_endpoint(server->sockets[SOCKET_WORKER]),
              net_endpoint(server->sockets[SOCKET_CLIENT]),
              net_endpoint(server->sockets[SOCKET_DATA]), counts.jobs, counts.leases);
    *out = server;
    return ERR_OK;
}

/* ---- stop ---- */

/* The turn must end first: in an idle callback of its own, as it may be called within one. */
static void close_all(uv_idle_t *handle)
{
    struct server *server = handle->data;
    turn_finish(server);
    uv_close((uv_handle_t *)&server->turn_end, NULL);
    uv_close((uv_handle_t *)&server->tick, NULL);
    alloc_drive_close(server);
    janitor_close(server);
    placing_stop(server);
    if (server->net != NULL) {
        net_free(server->net, NULL, NULL);
        server->net = NULL;
    }
}

void server_stop(struct server *server)
{
    if (server->stopping) {
        return;
    }
    server->stopping = true;
    uv_timer_stop(&server->tick);
    uv_idle_stop(&server->turn_end);
    uv_idle_start(&server->turn_end, close_all);
}

enum err_code server_free(struct server *server, struct err *err)
{
    struct err fatal = server->fatal;
    core_free(server->core);
    store_close(server->store);
    artifacts_free(server->artifacts);
    staging_close(&server->staging);
    keys_watch_close(&server->keys);
    alloc_drive_free(server);
    janitor_free(server);
    data_peers_free(server);
    arena_release(&server->frames);
    arena_release(&server->answers);
    client_drop_held(server);
    free(server->state_dir);
    free(server->version);
    free(server);
    if (fatal.code != ERR_OK) {
        *err = fatal;
    }
    return fatal.code;
}
