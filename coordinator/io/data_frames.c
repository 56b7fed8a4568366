/* Frames on the data socket: blobs for workers and clients. */
#include "clock.h"
#include "log.h"
#include "server_state.h"

static void stat_blobs(struct server *server, uint64_t peer, const struct msg_blob_stat *request)
{
    int64_t *sizes = arena_array(&server->answers, request->digest_count, sizeof *sizes);
    for (size_t i = 0; i < request->digest_count; i++) {
        sizes[i] = artifacts_size(server->artifacts, &request->digests[i]);
    }
    struct msg *reply = turn_reply(server, peer, MSG_BLOB_SIZES);
    reply->blob_sizes = (struct msg_blob_sizes){
        .request = request->request, .sizes = sizes, .size_count = request->digest_count};
}

static enum err_code read_blob(struct server *server, uint64_t peer,
                               const struct msg_blob_read *request, struct err *err)
{
    uint8_t *bytes = arena_alloc(&server->answers, BLOB_CHUNK_BYTES);
    size_t len = 0;
    uint64_t total = 0;
    enum err_code code = artifacts_read(server->artifacts, &request->digest, request->offset, bytes,
                                        BLOB_CHUNK_BYTES, &len, &total, err);
    if (code != ERR_OK) {
        return code;
    }
    struct msg *reply = turn_reply(server, peer, MSG_BLOB_CHUNK);
    reply->blob_chunk = (struct msg_blob_chunk){.request = request->request,
                                                .digest = request->digest,
                                                .offset = request->offset,
                                                .total = total,
                                                .crc32c = hash_crc32c(bytes, len),
                                                .data = {bytes, len}};
    return ERR_OK;
}

/* A full disk is waited out: the sender is told that trying again later may help. */
enum err_code data_blobs_full(struct server *server, struct err *err)
{
    if (!err_is_disk_full(err)) {
        return err->code;
    }
    struct err cause = *err;
    err_set(err, ERR_UNAVAILABLE,
            "disk full: the coordinator takes no blobs until there is space "
            "again (%s)",
            cause.text);
    if (server->blobs_full_ms == 0) {
        log_event(LOG_ERROR, "blobs_full", "error='%s'", err->text);
    }
    server->blobs_full = *err;
    server->blobs_full_ms = clock_mono_ms();
    return err->code;
}

void data_blobs_have_room(struct server *server)
{
    if (server->blobs_full_ms != 0) {
        log_event(LOG_INFO, "blobs_have_room", "state='%s'", server->state_dir);
    }
    server->blobs_full_ms = 0;
}

static enum err_code write_blob(struct server *server, uint64_t peer,
                                const struct msg_blob_write *request, struct err *err)
{
    if (hash_crc32c(request->data.data, request->data.len) != request->crc32c) {
        return err_set(err, ERR_CORRUPT, "store a blob: a piece does not match its checksum");
    }
    if (!placing_has_room(server)) {
        return err_set(err, ERR_UNAVAILABLE, "the coordinator waits for its disk");
    }
    struct artifacts_progress progress;
    enum err_code code =
        artifacts_write(server->artifacts, &request->digest, request->offset, request->total,
                        request->data.data, request->data.len, &progress, err);
    if (code != ERR_OK) {
        return data_blobs_full(server, err);
    }
    data_blobs_have_room(server);
    if (progress.naming != NULL) {
        placing_written(server, peer, request, progress.naming);
    } else if (progress.next == request->total && !progress.complete) {
        placing_asked(server, peer, request);
    }
    struct msg *reply = turn_reply(server, peer, MSG_BLOB_WRITTEN);
    reply->blob_written = (struct msg_blob_written){.request = request->request,
                                                    .digest = request->digest,
                                                    .next = progress.next,
                                                    .complete = progress.complete};
    return ERR_OK;
}

static uint64_t request_of(const struct msg *msg)
{
    return msg->kind == MSG_BLOB_STAT    ? msg->blob_stat.request
           : msg->kind == MSG_BLOB_READ  ? msg->blob_read.request
           : msg->kind == MSG_BLOB_PLACE ? msg->blob_place.request
                                         : msg->blob_write.request;
}

void data_frame(void *ctx, const struct net_peer *peer, enum net_role role, const char *user,
                const uint8_t *bytes, size_t len)
{
    struct server *server = ctx;
    struct err err;
    const uint64_t from = server_peer_number(SOCKET_DATA, peer);
    if (server->stopping) {
        return;
    }
    turn_begin(server);
    struct msg *msg = arena_alloc(&server->answers, sizeof *msg);
    enum err_code code = server_decode(server, bytes, len, "D", msg, &err);
    if (code != ERR_OK) {
        server_refuse_frame(server, from, user, &err);
        return;
    }
    if (msg->kind == MSG_BLOB_STAT) {
        stat_blobs(server, from, &msg->blob_stat);
    } else if (msg->kind == MSG_BLOB_READ) {
        code = read_blob(server, from, &msg->blob_read, &err);
    } else if ((msg->kind == MSG_BLOB_WRITE || msg->kind == MSG_BLOB_PLACE) && role == NET_VIEWER) {
        code = err_set(&err, ERR_DENIED, "the key of '%s' may look, but change nothing", user);
    } else if (msg->kind == MSG_BLOB_WRITE) {
        code = write_blob(server, from, &msg->blob_write, &err);
    } else if (msg->kind == MSG_BLOB_PLACE) {
        code = placing_begin(server, from, &msg->blob_place, &err);
    } else if (!data_peers_frame(server, from, role, user,
                                 msg)) { /* our own replies share the letter */
        err_set(&err, ERR_DENIED, "%s is for the coordinator to send", msg_kind_name(msg->kind));
        server_refuse_frame(server, from, user, &err);
    }
    if (code != ERR_OK) {
        turn_reply_error(server, from, request_of(msg), &err);
    }
    if (server->frames.bytes_used + server->answers.bytes_used > TURN_BYTES_MAX) {
        turn_finish(server);
    }
    client_look(server);
}
