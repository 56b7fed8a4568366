/* Requests of clients: what only asks is answered at once, what changes something is part of a turn
 * and answered when that is committed. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc_drive.h"
#include "check.h"
#include "client_request.h"
#include "clock.h"
#include "codec.h"
#include "intake.h"
#include "log.h"

/* Within a turn the clients are looked at so often, and no longer than this at a time: a question
 * waits about a millisecond, and a flood of them leaves half of the loop to the workers. */
#define LOOK_US 1000

/* Every request begins with its id, so that any of them can be answered with an error. */
static uint64_t request_of(const struct msg *msg)
{
    _Static_assert(offsetof(struct msg_submit, request) == 0, "id first");
    _Static_assert(offsetof(struct msg_get_info, request) == 0, "id first");
    return msg->get_info.request;
}

/* ---- questions ---- */

static enum err_code ask(const struct request *r, struct err *err)
{
    struct server *server = r->server;
    if (server->in_trouble) {
        *err = server->trouble;
        return err->code;
    }
    struct store *reader = store_reader(server->store);
    enum err_code code = store_read_begin(reader, err);
    if (code == ERR_OK) {
        code = client_questions[r->msg->kind](r, err);
        store_read_end(reader);
    }
    return code;
}

static void question_frame(struct server *server, uint64_t from, const char *user,
                           const uint8_t *bytes, size_t len)
{
    struct err err;
    struct arena arena = {.bytes_max = DECODE_BUDGET_BYTES};
    struct msg msg;
    struct msg reply = {0};
    server->frames_received++;
    enum err_code code = codec_decode(bytes, len, "C", &arena, &msg, &err);
    arena.bytes_max = 0; /* answers have their own bounds */
    if (code != ERR_OK) {
        server_refuse_frame(server, from, user, &err);
        /* A person may be behind it: say why, though not which request. */
        reply = server_error(&arena, 0, &err);
    } else {
        const struct request r = {
            .server = server, .peer = from, .msg = &msg, .arena = &arena, .reply = &reply};
        if (ask(&r, &err) != ERR_OK) {
            reply = server_error(&arena, request_of(&msg), &err);
        }
    }
    turn_send_now(server, from, &reply);
    arena_release(&arena);
}

/* ---- what changes something ---- */

static enum err_code do_stop(const struct request *r, struct err *err)
{
    (void)err;
    turn_reply(r->server, r->peer, MSG_OK)->ok =
        (struct msg_ok){.request = r->msg->stop.request, .count = 1};
    log_event(LOG_INFO, "stop", "by=client");
    server_stop(r->server);
    return ERR_OK;
}

static request_f *const acts[MSG_KIND_COUNT] = {
    [MSG_SUBMIT] = client_submit,
    [MSG_ACT] = client_act,
    [MSG_DRAIN_WORKER] = client_drain_worker,
    [MSG_STOP] = do_stop,
    [MSG_BACKUP] = client_backup,
    [MSG_GC] = client_gc,
    [MSG_ALLOC_ACT] = client_alloc_act,
};

static void act_frame(struct server *server, uint64_t from, enum net_role role, const char *user,
                      const uint8_t *bytes, size_t len)
{
    struct err err;
    turn_begin(server);
    struct msg *msg = arena_alloc(&server->answers, sizeof *msg);
    if (server_decode(server, bytes, len, "C", msg, &err) != ERR_OK) {
        server_refuse_frame(server, from, user, &err);
        turn_reply_error(server, from, 0, &err);
        return;
    }
    const uint64_t request = request_of(msg);
    if (role == NET_VIEWER) {
        err_set(&err, ERR_DENIED, "the key of '%s' may look, but change nothing", user);
        turn_reply_error(server, from, request, &err);
        return;
    }
    if (server->in_trouble && msg->kind != MSG_STOP) {
        turn_reply_error(server, from, request, &server->trouble);
        return;
    }
    const struct request r = {
        .server = server, .peer = from, .msg = msg, .frame = bytes, .frame_len = len};
    if (acts[msg->kind](&r, &err) != ERR_OK) {
        turn_begin(server); /* it may have ended the turn, and the message with it */
        turn_reply_error(server, from, request, &err);
    }
    if (server->frames.bytes_used + server->answers.bytes_used > TURN_BYTES_MAX) {
        turn_finish(server);
    }
}

/* ---- looking at the clients within a turn ---- */

static void hold(struct server *server, const struct net_peer *peer, enum net_role role,
                 const char *user, const uint8_t *bytes, size_t len)
{
    struct held_request *held = malloc(sizeof *held + len);
    ASSERT(held != NULL);
    *held = (struct held_request){.peer = *peer, .role = role, .len = len};
    snprintf(held->user, sizeof held->user, "%s", user);
    memcpy(held->frame, bytes, len);
    *server->held_end = held;
    server->held_end = &held->next;
    server->held_bytes += sizeof *held + len;
    if (server->held_bytes > TURN_BYTES_MAX) {
        net_socket_pause(server->sockets[SOCKET_CLIENT], true);
    }
    turn_begin(server); /* at the end of which it is done */
}

static struct held_request *take_list(struct server *server)
{
    struct held_request *first = server->held;
    server->held = NULL;
    server->held_end = &server->held;
    server->held_bytes = 0;
    return first;
}

void client_take_held(struct server *server)
{
    struct held_request *held = take_list(server); /* more may come while these are done */
    if (held != NULL) {
        net_socket_pause(server->sockets[SOCKET_CLIENT], false);
    }
    while (held != NULL) {
        struct held_request *next = held->next;
        if (!server->stopping) {
            act_frame(server, server_peer_number(SOCKET_CLIENT, &held->peer), held->role,
                      held->user, held->frame, held->len);
        }
        free(held);
        held = next;
    }
}

void client_drop_held(struct server *server)
{
    for (struct held_request *held = take_list(server), *next; held != NULL; held = next) {
        next = held->next;
        free(held);
    }
}

void client_look(struct server *server)
{
    const int64_t now_ns = clock_mono_ns();
    if (server->is_looking || now_ns - server->looked_ns < (int64_t)LOOK_US * 1000) {
        return;
    }
    server->is_looking = true;
    net_router_take(server->sockets[SOCKET_CLIENT], LOOK_US);
    server->is_looking = false;
    server->looked_ns = clock_mono_ns();
}

void client_look_until(struct server *server, int fd)
{
    server->is_looking = true;
    net_router_take_until(server->sockets[SOCKET_CLIENT], fd);
    server->is_looking = false;
}

void client_frame(void *ctx, const struct net_peer *peer, enum net_role role, const char *user,
                  const uint8_t *bytes, size_t len)
{
    struct server *server = ctx;
    const uint64_t from = server_peer_number(SOCKET_CLIENT, peer);
    const unsigned kind = codec_kind(bytes, len);
    if (server->stopping) {
        return;
    }
    if (kind < MSG_KIND_COUNT && client_questions[kind] != NULL) {
        question_frame(server, from, user, bytes, len);
    } else if (server->is_looking || server->held != NULL) {
        hold(server, peer, role, user, bytes, len);
    } else {
        act_frame(server, from, role, user, bytes, len);
    }
}
