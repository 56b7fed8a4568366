#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "clock.h"
#include "codec.h"
#include "intake.h"
#include "log.h"
#include "server_state.h"

#define TROUBLE_RETRY_MS 1000
/* Of the store's operations: far below a millisecond's. */
#define OPS_PER_LOOK 16

/* An idle callback: it runs in the next iteration before the sockets are looked at again, so a turn
 * is what one iteration received, and sends come before the check for new frames. */
static void on_turn_end(uv_idle_t *handle)
{
    struct server *server = handle->data;
    client_take_held(server);
    intake_step(server);
    turn_finish(server);
    intake_settle(server);
}

void turn_begin(struct server *server)
{
    if (server->in_turn) {
        return;
    }
    server->in_turn = true;
    core_output_init(&server->out, &server->answers);
    server->ops_applied = 0;
    server->replies = NULL;
    server->replies_end = &server->replies;
    uv_idle_start(&server->turn_end, on_turn_end);
}

/* ---- sending ---- */

static size_t frame_bytes_max(uint64_t peer)
{
    return peer >> 56 == SOCKET_DATA ? FRAME_DATA_BYTES_MAX : FRAME_BYTES_MAX;
}

/* Everything that goes to a client begins with the request that it answers (client_call.c proves
 * it for all kinds). */
static uint64_t request_of(const struct msg *reply)
{
    return reply->ok.request;
}

/* Encode; a reply that cannot be becomes an error, so that nobody waits for it in vain. */
static enum err_code encode(uint64_t peer, const struct msg *msg, struct strbuf *frame,
                            struct err *err)
{
    enum err_code code = codec_encode(msg, frame_bytes_max(peer), frame, err);
    if (code == ERR_OK) {
        return code;
    }
    log_event(LOG_ERROR, "reply_not_encoded", "kind=%s error='%s'", msg_kind_name(msg->kind),
              err->text);
    if (peer >> 56 != SOCKET_CLIENT || msg->kind == MSG_ERROR) {
        return code;
    }
    const struct msg error = {
        .kind = MSG_ERROR, .error = {.request = request_of(msg), .code = code, .text = err->text}};
    strbuf_clear(frame);
    return codec_encode(&error, frame_bytes_max(peer), frame, err);
}

static void send_one(struct server *server, uint64_t peer, struct msg *msg, struct strbuf *frame)
{
    struct err err;
    struct net_peer to = {.len = 5};
    for (size_t i = 0; i < to.len; i++) {
        to.id[i] = (uint8_t)(peer >> (8 * i));
    }
    strbuf_clear(frame);
    enum err_code code = encode(peer, msg, frame, &err);
    if (code != ERR_OK) {
        return;
    }
    code = net_router_send(server->sockets[peer >> 56], &to, frame->data, frame->len, &err);
    if (code == ERR_NOT_FOUND && peer >> 56 == SOCKET_WORKER && server->core != NULL) {
        /* Told after this turn: the next one begins with it. */
        server->gone_peer = peer;
    } else if (code != ERR_OK && code != ERR_NOT_FOUND) {
        log_event(LOG_DEBUG, "send_failed", "kind=%s error='%s'", msg_kind_name(msg->kind),
                  err.text); /* everything may be lost: it will be asked for again */
    }
}

/* What the core leaves out of a lease is in the store. */
static bool complete(struct server *server, struct core_send *send)
{
    struct msg *msg = &send->msg;
    struct err err;
    if (msg->kind != MSG_LEASE) {
        return true;
    }
    if (store_complete_lease(server->store, send->order, &server->answers, &msg->lease, &err) ==
        ERR_OK) {
        return true;
    }
    log_event(LOG_ERROR, "lease_not_completed", "error='%s'", err.text);
    return false;
}

void turn_send_now(struct server *server, uint64_t peer, struct msg *msg)
{
    struct strbuf frame = {0};
    send_one(server, peer, msg, &frame);
    strbuf_release(&frame);
}

static void send_all(struct server *server)
{
    struct strbuf frame = {0};
    for (size_t i = 0; i < server->out.send_count; i++) {
        struct core_send *send = &server->out.sends[i];
        if (complete(server, send)) {
            send_one(server, send->peer, &send->msg, &frame);
        }
        client_look(server);
    }
    for (struct reply *reply = server->replies; reply != NULL; reply = reply->next) {
        send_one(server, reply->peer, &reply->msg, &frame);
    }
    strbuf_release(&frame);
}

/* What the data socket says is of blobs, which are durable by themselves: it waits for no commit.
 */
static void send_data_replies(struct server *server)
{
    struct strbuf frame = {0};
    struct reply **at = &server->replies;
    while (*at != NULL) {
        struct reply *reply = *at;
        if (reply->peer >> 56 == SOCKET_DATA) {
            send_one(server, reply->peer, &reply->msg, &frame);
            *at = reply->next;
        } else {
            at = &reply->next;
        }
    }
    server->replies_end = at;
    strbuf_release(&frame);
}

/* ---- the end of a turn ---- */

static void forget_turn(struct server *server)
{
    server->in_turn = false;
    if (!server->stopping) { /* else the handle waits to close everything */
        uv_idle_stop(&server->turn_end);
    }
    arena_release(&server->frames);
    arena_release(&server->answers);
}

/* Waiting for the disk is most of a turn: questions are answered meanwhile. */
static enum err_code commit(struct server *server, struct err *err)
{
    if (!store_commit_begin(server->store)) {
        return ERR_OK;
    }
    server->commit_ms = clock_mono_ms();
    client_look_until(server, store_commit_fd(server->store));
    const int64_t took_ms = clock_mono_ms() - server->commit_ms;
    server->commit_ms = 0;
    if (took_ms > COMMIT_SLOW_MS) {
        log_event(LOG_WARN, "commit_slow", "seconds=%lld", (long long)(took_ms / 1000));
    }
    return store_commit_end(server->store, err);
}

void turn_finish(struct server *server)
{
    if (!server->in_turn) {
        return;
    }
    struct err err;
    ASSERT(!server->is_looking);
    send_data_replies(server);
    if (!server->in_trouble && commit(server, &err) != ERR_OK) {
        turn_trouble(server, &err);
    }
    send_all(server); /* in trouble: the errors for clients only */
    uint64_t gone_peer = server->gone_peer;
    server->gone_peer = 0;
    forget_turn(server);
    if (gone_peer != 0 && !server->in_trouble) {
        turn_begin(server);
        turn_step(server, &(struct core_event){.kind = CORE_PEER_GONE, .peer = gone_peer});
    }
    if (server->held != NULL) {
        turn_begin(server);
    }
}

/* In small portions, with a look at the clients between them. (A member belongs to the job before
 * it, which is written faster when the store sees both.) */
static enum err_code apply(struct server *server, const struct core_op *ops, size_t count,
                           struct err *err)
{
    enum err_code code = ERR_OK;
    for (size_t done = 0; done < count && code == ERR_OK;) {
        size_t end = done + OPS_PER_LOOK < count ? done + OPS_PER_LOOK : count;
        while (end < count && ops[end].kind == CORE_OP_MEMBER) {
            end++;
        }
        code = store_apply(server->store, ops + done, end - done, err);
        done = end;
        client_look(server);
    }
    return code;
}

void turn_step(struct server *server, struct core_event *event)
{
    struct err err;
    ASSERT(server->in_turn && !server->in_trouble);
    event->now_ms = server_now_ms(server);
    event->time_ms = clock_time_ms();
    core_step(server->core, event, &server->out);
    server->wake_at_ms = server->out.wake_at_ms;
    const size_t first = server->ops_applied;
    server->ops_applied = server->out.op_count;
    if (apply(server, server->out.ops + first, server->out.op_count - first, &err) != ERR_OK) {
        turn_trouble(server, &err);
    }
}

struct msg *turn_reply(struct server *server, uint64_t peer, enum msg_kind kind)
{
    ASSERT(server->in_turn);
    struct reply *reply = arena_alloc(&server->answers, sizeof *reply);
    reply->peer = peer;
    reply->msg.kind = kind;
    *server->replies_end = reply;
    server->replies_end = &reply->next;
    return &reply->msg;
}

void turn_reply_error(struct server *server, uint64_t peer, uint64_t request, const struct err *err)
{
    *turn_reply(server, peer, MSG_ERROR) = server_error(&server->answers, request, err);
}

/* ---- storage trouble ---- */

enum err_code turn_load_core(struct server *server, struct err *err)
{
    uint32_t boot = 0;
    enum err_code code = store_boot(server->store, &boot, err);
    if (code != ERR_OK) {
        return code;
    }
    server->core_options.boot = boot;
    struct core *core = core_new(&server->core_options, boot);
    code = store_load(server->store, core, server_now_ms(server), err);
    code = code != ERR_OK ? code : intake_resume(server, err);
    if (code != ERR_OK) {
        core_free(core);
        return code;
    }
    core_free(server->core);
    server->core = core;
    server->wake_at_ms = 0;
    return ERR_OK;
}

/* Replies that were to follow this turn's commit would be lies now, and so would what was read
 * within its transaction: clients get the reason instead, and workers repeat what was not
 * acknowledged. What the data socket says stands (send_data_replies()). */
static void refuse_turn(struct server *server)
{
    for (struct reply *reply = server->replies; reply != NULL; reply = reply->next) {
        if (reply->peer >> 56 == SOCKET_CLIENT && reply->msg.kind != MSG_ERROR) {
            reply->msg = server_error(&server->answers, request_of(&reply->msg), &server->trouble);
        }
    }
    for (size_t i = 0; i < server->out.send_count; i++) {
        const struct core_send *send = &server->out.sends[i];
        if (send->peer >> 56 == SOCKET_CLIENT) {
            turn_reply_error(server, send->peer, request_of(&send->msg), &server->trouble);
        }
    }
    server->out.send_count = 0;
}

void turn_trouble(struct server *server, const struct err *err)
{
    const char *full = err_is_disk_full(err)
                           ? "disk full: nothing is handed out until there is space again"
                           : "the state cannot be written";
    err_set(&server->trouble, err->code, "%s (%s)", full, err->text);
    server->trouble.os_errno = err->os_errno;
    log_event(LOG_ERROR, "storage_trouble", "error='%s'", server->trouble.text);
    store_rollback(server->store);
    core_free(server->core);
    server->core = NULL;
    server->in_trouble = true;
    server->trouble_retry_ms = clock_mono_ms() + TROUBLE_RETRY_MS;
    staging_close(&server->staging);
    refuse_turn(server);
    if (err->code == ERR_CORRUPT) {
        server_fail(server, &server->trouble); /* waiting does not mend it */
    }
}

/* The store is loaded again as after a restart, so that memory holds what the disk does; from new
 * files, should the old ones have failed. */
void turn_retry(struct server *server)
{
    struct err err;
    if (!server->in_trouble || clock_mono_ms() < server->trouble_retry_ms) {
        return;
    }
    enum err_code code = store_renew(server->store, &err);
    if (code == ERR_OK && turn_load_core(server, &err) == ERR_OK) {
        server->in_trouble = false;
        log_event(LOG_INFO, "storage_recovered", "state=%s", server->state_dir);
        return;
    }
    store_rollback(server->store);
    server->trouble_retry_ms = clock_mono_ms() + TROUBLE_RETRY_MS;
    if (err.code == ERR_CORRUPT) {
        server_fail(server, &err);
    }
}
