/* The connection to another worker, from which one blob after another is read. One at a time: the
 * files of a checkpoint mostly come from the same worker. */
#include <stdio.h>
#include <string.h>

#include "blob_client_internal.h"
#include "log.h"

/* Nothing came for so long: the next source. Much shorter than the coordinator's patience, since
 * there is another way. */
#define PEER_SILENCE_MS 6000
#define PEER_RETRY_MS   1000
/* Slower than 256 KiB/s on average after this long: the next source. */
#define PEER_SLOW_MS        10000
#define PEER_SLOW_BYTES_MIN ((uint64_t)256 * 1024)
/* An unused connection is closed. */
#define PEER_IDLE_MS 10000

static const struct source *source_in_use(const struct blob_client *client)
{
    const bool is_used = client->phase == BLOB_MOVING && client->head && !client->head->is_put;
    return is_used && client->sources.current >= 0 ? &client->sources.list[client->sources.current]
                                                   : NULL;
}

void blob_peer_close(struct blob_client *client)
{
    if (client->peer)
        net_socket_free(client->peer);
    client->peer = NULL;
    client->peer_is_up = false;
}

void blob_peer_close_idle(struct blob_client *client)
{
    if (client->peer && !source_in_use(client) &&
        blob_now_ms(client) - client->peer_used_ms >= PEER_IDLE_MS)
        blob_peer_close(client);
}

/* The one in use is not worth waiting for: the next source. */
static void blob_peer_failed(struct blob_client *client, const char *why)
{
    const struct source *source = source_in_use(client);
    log_event(LOG_INFO, "peer_left", "worker=%s endpoint=%s why=\"%s\" moved=%llu", source->worker,
              source->endpoint, why, (unsigned long long)client->moved);
    blob_sources_failed(&client->sources);
    blob_peer_close(client);
    blob_get_choose(client);
}

void blob_peer_banned(struct blob_client *client, const struct source *who, const char *why)
{
    const struct digest digest = blob_current(client)->digest;
    char hex[DIGEST_HEX_SIZE];
    log_event(LOG_ERROR, "peer_banned", "worker=%s endpoint=%s blob=%.12s why=\"%s\"", who->worker,
              who->endpoint, digest_hex(&digest, hex), why);
    blob_sources_ban(&client->sources, &who->server_key);
    if (client->peer && digest_equal(&client->peer_key, &who->server_key))
        blob_peer_close(client);
    const struct msg m = {.kind = MSG_BLOB_BAD, .blob_bad = {digest, who->server_key}};
    blob_send(client, &m);
}

/* ---- frames ---- */

static void on_error(struct blob_client *client, const struct msg_error *error)
{
    if (error->code == ERR_UNAVAILABLE) {
        blob_sources_busy(&client->sources);
        blob_get_choose(client);
    } else {
        blob_peer_failed(client, error->text);
    }
}

static void on_message(struct blob_client *client, const struct msg *m, const struct err *err)
{
    const struct source *source = source_in_use(client);
    if (!source || !digest_equal(&source->server_key, &client->peer_key))
        return;
    client->peer_used_ms = blob_now_ms(client);
    if (!m)
        blob_peer_failed(client, err->text);
    else if (m->kind == MSG_BLOB_CHUNK && m->blob_chunk.request == client->request)
        blob_get_chunk(client, &m->blob_chunk);
    else if (m->kind == MSG_ERROR && m->error.request == client->request)
        on_error(client, &m->error);
}

static void on_receive(void *ctx, const struct net_peer *peer, enum net_role role, const char *user,
                       const uint8_t *bytes, size_t len)
{
    (void)peer;
    (void)role;
    (void)user;
    blob_receive(ctx, bytes, len, on_message);
}

static void on_status(void *ctx, int connected, const char *text)
{
    struct blob_client *client = ctx;
    const struct source *source = source_in_use(client);
    const bool is_ours = source && digest_equal(&source->server_key, &client->peer_key);
    client->peer_is_up = connected;
    if (is_ours && connected)
        blob_restart(client);
    else if (is_ours)
        blob_peer_failed(client, text);
    blob_advance(client);
}

void blob_peer_use(struct blob_client *client)
{
    const struct source *source = source_in_use(client);
    const int64_t now = blob_now_ms(client);
    client->peer_since_ms = client->peer_used_ms = client->progress_ms = now;
    client->peer_bytes = 0;
    if (client->peer && digest_equal(&client->peer_key, &source->server_key)) {
        if (client->peer_is_up)
            blob_restart(client);
        return;
    }
    blob_peer_close(client);
    struct net_public_key server;
    struct err err;
    net_public_key_from_raw(source->server_key.bytes, &server);
    const struct net_dealer_options dealer = {
        .endpoint = source->endpoint,
        .server = &server,
        .own = &client->own,
        .io = NET_IO_BULK,
        .frame_bytes_max = FRAME_DATA_BYTES_MAX,
        .frames_per_turn = 2 * BLOB_CHUNKS_IN_FLIGHT,
        .receive = on_receive,
        .status = on_status,
        .ctx = client,
    };
    client->peer_key = source->server_key;
    if (net_dealer_new(client->net, &dealer, &client->peer, &err) != ERR_OK) {
        client->peer = NULL;
        blob_peer_failed(client, err.text);
    }
}

void blob_peer_tick(struct blob_client *client)
{
    const int64_t now = blob_now_ms(client);
    const int64_t took_ms = now - client->peer_since_ms;
    if (now - client->progress_ms >= PEER_SILENCE_MS)
        blob_peer_failed(client, client->peer_is_up ? "it does not answer" : "no connection");
    else if (took_ms >= PEER_SLOW_MS &&
             client->peer_bytes / (uint64_t)(took_ms / 1000) < PEER_SLOW_BYTES_MIN)
        blob_peer_failed(client, "it is slow");
    else if (client->peer_is_up && now - client->progress_ms >= PEER_RETRY_MS &&
             now - client->restarted_ms >= PEER_RETRY_MS)
        blob_restart(client);
}
