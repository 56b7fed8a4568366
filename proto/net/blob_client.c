/* A queue of transfers; only the first one's current item is under way.
 *
 *   get: idle → asking (BLOB_WHERE) → near (link or copy) → idle
 *                                   → moving (BLOB_READ …, from a worker or the coordinator) → idle
 *                                   ↔ waiting (those who have it are busy)
 *   put: idle → asking (BLOB_STAT) → near → placing (BLOB_PLACE) → idle
 *                                  → moving (BLOB_WRITE …) → idle
 *
 * Every start and restart takes a new request id, and answers to an older question are ignored:
 * that makes late and doubled answers harmless, and a restart is always safe. Chunks and
 * acknowledgements name blob and place, and count whenever they come: over a slow link all of them
 * come after a restart. `moved` only counts bytes that are here and hashed (get) or that the store
 * acknowledged (put); a restart goes on from there. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blob_cache.h"
#include "blob_client_internal.h"
#include "blob_part.h"
#include "bounds.h"
#include "check.h"
#include "codec.h"
#include "file.h"
#include "log.h"

#define TICK_MS             250
#define PATIENCE_DEFAULT_MS 60000

static void finish(struct blob_client *client, enum err_code code, const struct err *err);

int64_t blob_now_ms(const struct blob_client *client)
{
    return (int64_t)uv_now(client->loop);
}

const struct blob_item *blob_current(const struct blob_client *client)
{
    return &client->head->items[client->head->item_index];
}

/* ---- sending ---- */

bool blob_send_to(struct blob_client *client, struct net_socket *socket, const struct msg *m)
{
    struct err err;
    strbuf_clear(&client->frame);
    enum err_code rc = codec_encode(m, FRAME_DATA_BYTES_MAX, &client->frame, &err);
    ASSERT(rc == ERR_OK);
    return net_dealer_send(socket, client->frame.data, client->frame.len, &err) == ERR_OK;
}

bool blob_send(struct blob_client *client, const struct msg *m)
{
    return blob_send_to(client, client->socket, m);
}

static void blob_ask(struct blob_client *client)
{
    struct digest digest = blob_current(client)->digest;
    const struct msg stat = {.kind = MSG_BLOB_STAT, .blob_stat = {client->request, &digest, 1}};
    const struct msg where = {.kind = MSG_BLOB_WHERE, .blob_where = {client->request, digest}};
    client->phase = BLOB_ASKING;
    if (client->settle_until_ms > blob_now_ms(client))
        return; /* what the coordinator can do is known in a moment */
    client->settle_until_ms = 0;
    blob_send(client, client->is_welcome && !client->head->is_put ? &where : &stat);
}

void blob_arrived(struct blob_client *client, uint64_t request)
{
    client->arrived_ms = blob_now_ms(client);
    if (request != client->request)
        return;
    if (client->in_flight > 0)
        client->in_flight--;
    if (client->arrived_ms - client->restarted_ms < RETRY_MS)
        client->retry_ms = RETRY_MS;
}

void blob_pump(struct blob_client *client)
{
    while (client->phase == BLOB_MOVING && client->in_flight < BLOB_CHUNKS_IN_FLIGHT) {
        const bool empty_put = client->head->is_put && client->total == 0 && client->in_flight == 0;
        if (client->next >= client->total && !empty_put)
            return;
        if (!(client->head->is_put ? blob_put_send(client) : blob_get_send(client)))
            return;
        client->in_flight++;
        client->next += BLOB_CHUNK_BYTES;
        if (client->next > client->total)
            client->next = client->total;
    }
}

void blob_restart(struct blob_client *client)
{
    client->request++;
    client->in_flight = 0;
    client->next = client->moved;
    if (client->head->is_put && client->moved > 0 && client->moved == client->total)
        client->next -= (client->total - 1) % BLOB_CHUNK_BYTES + 1; /* how durable is the end? */
    client->restarted_ms = blob_now_ms(client);
    if (client->phase == BLOB_ASKING)
        blob_ask(client);
    else if (client->phase == BLOB_PLACING)
        blob_put_place(client);
    else
        blob_pump(client);
}

/* ---- the current item ---- */

/* `is_part_wanted`: somebody may ask for this blob again, and go on where it was. */
static void close_item(struct blob_client *client, bool is_part_wanted)
{
    if (client->near)
        blob_near_abandon(client);
    if (client->temporary)
        blob_part_leave(client->temporary, is_part_wanted);
    if (client->fd >= 0)
        close(client->fd);
    free(client->temporary);
    free(client->hash);
    client->fd = -1;
    client->temporary = NULL;
    client->hash = NULL;
    client->phase = BLOB_IDLE;
    client->request++; /* whatever is still on its way is not for the next item */
}

static void start_item(struct blob_client *client)
{
    client->moved = client->total = 0;
    client->waits_for[0] = '\0';
    client->near_failed = false;
    client->progress_ms = client->arrived_ms = blob_now_ms(client);
    client->retry_ms = RETRY_MS;
    client->phase = BLOB_ASKING;
    blob_sources_reset(&client->sources);
    if (client->head->is_put)
        blob_put_start(client);
    else if (blob_cache_has(client->cache, &blob_current(client)->digest))
        blob_item_done(client);
    else
        blob_restart(client);
}

/* ---- the queue ---- */

/* The first transfer ends. The callback may ask for more, cancel, or free the client. */
static void finish(struct blob_client *client, enum err_code code, const struct err *err)
{
    struct blob_transfer *transfer = client->head;
    blob_done_f *done = transfer->done;
    void *ctx = transfer->ctx;
    close_item(client, code == ERR_UNAVAILABLE);
    client->head = transfer->next;
    blob_transfer_free(transfer);
    done(ctx, code, err);
}

void blob_fail(struct blob_client *client, enum err_code code, const struct err *err)
{
    char hex[DIGEST_HEX_SIZE];
    struct err named = *err;
    struct digest digest =
        client->head->item_count > 0 ? blob_current(client)->digest : client->head->digest;
    err_wrap(&named, "blob %.12s", digest_hex(&digest, hex));
    finish(client, code, &named);
}

void blob_item_done(struct blob_client *client)
{
    struct blob_transfer *t = client->head;
    struct err err;
    close_item(client, false);
    if (t->is_tree && !t->is_put && t->item_index == 0) {
        enum err_code rc = blob_transfer_list_tree(t, client->cache, &err);
        if (rc != ERR_OK) {
            blob_fail(client, rc, &err);
            return;
        }
    }
    t->item_index++;
    if (t->item_index == t->item_count)
        finish(client, ERR_OK, NULL);
}

void blob_advance(struct blob_client *client)
{
    while (!client->closing && client->head && client->phase == BLOB_IDLE) {
        struct err err;
        enum err_code rc =
            client->head->items ? ERR_OK : blob_transfer_list(client->head, client->cache, &err);
        if (rc != ERR_OK)
            blob_fail(client, rc, &err);
        else
            start_item(client);
    }
    if (!client->closing && !client->head) {
        uv_timer_stop(&client->timer);
        client->ticked_ms = 0;
    }
}

/* Does what is under way wait for the coordinator? */
static bool waits_for_coordinator(const struct blob_client *client)
{
    return client->phase == BLOB_ASKING || client->phase == BLOB_PLACING ||
           (client->phase == BLOB_MOVING && client->sources.current < 0);
}

static void coordinator_tick(struct blob_client *client)
{
    const int64_t now = blob_now_ms(client);
    const bool is_late = now - client->progress_ms >= client->patience_ms;
    if (is_late && client->waits_for[0]) {
        BLOB_FAIL(client, ERR_UNAVAILABLE, "%s", client->waits_for);
    } else if (is_late) {
        BLOB_FAIL(client, ERR_UNAVAILABLE, "no answer from %s for %" PRId64 " s%s%s",
                  client->endpoint, client->patience_ms / 1000, client->link[0] ? ": " : "",
                  client->link);
    } else if (now - client->progress_ms >= client->retry_ms &&
               now - client->arrived_ms >= client->retry_ms &&
               now - client->restarted_ms >= client->retry_ms) {
        client->retry_ms =
            2 * client->retry_ms < RETRY_MS_MAX ? 2 * client->retry_ms : RETRY_MS_MAX;
        blob_restart(client);
    } else if (client->phase == BLOB_ASKING && client->settle_until_ms > 0 &&
               now >= client->settle_until_ms) {
        blob_restart(client);
    }
}

/* Our own loop stood still (a slow disk): what arrived meanwhile has not been looked at yet. */
static void allow_for_lag(struct blob_client *client)
{
    const int64_t now = blob_now_ms(client);
    const int64_t lag = client->ticked_ms > 0 ? now - client->ticked_ms - TICK_MS : 0;
    client->ticked_ms = now;
    if (lag < TICK_MS)
        return;
    client->progress_ms += lag;
    client->arrived_ms += lag;
    client->restarted_ms += lag;
    client->peer_since_ms += lag;
}

static void on_tick(uv_timer_t *timer)
{
    struct blob_client *client = timer->data;
    allow_for_lag(client);
    if (waits_for_coordinator(client))
        coordinator_tick(client);
    else if (client->phase == BLOB_MOVING || client->phase == BLOB_WAITING)
        blob_get_tick(client);
    blob_advance(client);
}

/* ---- what the store says ---- */

static void on_sizes(struct blob_client *client, int64_t size, const struct blob_source *sources,
                     size_t source_count)
{
    if (client->head->is_put)
        blob_put_size(client, size);
    else
        blob_get_size(client, size, sources, source_count);
}

/* A store that has no room now is asked again until patience ends; other refusals are final, but
 * for what was put into its folder: there is another way. */
static void on_refusal(struct blob_client *client, const struct msg_error *error)
{
    if (error->code == ERR_UNAVAILABLE)
        snprintf(client->waits_for, sizeof client->waits_for, "%s", error->text);
    else if (error->code != ERR_OK && client->phase == BLOB_PLACING)
        blob_put_by_socket(client, error->text);
    else if (error->code != ERR_OK)
        BLOB_FAIL(client, error->code, "%s", error->text);
}

static bool is_about_it(const struct blob_client *client, const struct digest *digest)
{
    return digest_equal(digest, &blob_current(client)->digest);
}

static void on_message(struct blob_client *client, const struct msg *m, const struct err *err)
{
    const bool asking = client->phase == BLOB_ASKING;
    if (!m) {
        log_event(LOG_WARN, "frame_refused", "socket=data error=\"%s\"", err->text);
        return;
    }
    if (m->kind == MSG_DATA_WELCOME) {
        blob_presence_welcome(client, &m->data_welcome);
        return;
    }
    if (!waits_for_coordinator(client))
        return;
    if (m->kind == MSG_BLOB_SIZES && m->blob_sizes.request == client->request && asking &&
        m->blob_sizes.size_count == 1)
        on_sizes(client, m->blob_sizes.sizes[0], NULL, 0);
    else if (m->kind == MSG_BLOB_SOURCES && m->blob_sources.request == client->request && asking)
        on_sizes(client, m->blob_sources.size, m->blob_sources.sources,
                 m->blob_sources.source_count);
    else if (m->kind == MSG_BLOB_CHUNK && is_about_it(client, &m->blob_chunk.digest) &&
             client->phase == BLOB_MOVING && !client->head->is_put)
        blob_get_chunk(client, &m->blob_chunk);
    else if (m->kind == MSG_BLOB_WRITTEN && is_about_it(client, &m->blob_written.digest) &&
             !asking && client->head->is_put)
        blob_put_written(client, &m->blob_written);
    else if (m->kind == MSG_ERROR && m->error.request == client->request)
        on_refusal(client, &m->error);
}

void blob_receive(struct blob_client *client, const uint8_t *bytes, size_t len,
                  blob_message_f *handle)
{
    struct arena arena;
    struct msg m;
    struct err err;
    arena_init(&arena, DECODE_BUDGET_BYTES);
    const enum err_code rc = codec_decode(bytes, len, "DR", &arena, &m, &err);
    handle(client, rc == ERR_OK ? &m : NULL, &err);
    arena_release(&arena);
    blob_advance(client);
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
    snprintf(client->link, sizeof client->link, "%s", connected ? "" : text);
    if (!connected)
        return;
    blob_presence_connected(client);
    client->retry_ms = RETRY_MS; /* what was on its way is lost with the old connection */
    if (waits_for_coordinator(client))
        blob_restart(client);
}

/* ---- life ---- */

enum err_code blob_client_new(const struct blob_client_options *options, struct blob_client **out,
                              struct err *err)
{
    enum err_code rc = blob_cache_open(options->cache, err);
    if (rc != ERR_OK)
        return rc;
    struct blob_client *client = calloc(1, sizeof *client);
    ASSERT(client != NULL);
    const struct net_dealer_options dealer = {
        .endpoint = options->endpoint,
        .server = options->server,
        .own = options->own,
        .io = NET_IO_BULK,
        .frame_bytes_max = FRAME_DATA_BYTES_MAX,
        .frames_per_turn = 2 * BLOB_CHUNKS_IN_FLIGHT,
        .receive = on_receive,
        .status = on_status,
        .ctx = client,
    };
    rc = net_dealer_new(options->net, &dealer, &client->socket, err);
    if (rc != ERR_OK) {
        free(client);
        return rc;
    }
    client->net = options->net;
    client->loop = options->loop;
    client->own = *options->own;
    client->fd = -1;
    client->sources.current = -1;
    client->cache = strdup(options->cache);
    ASSERT(client->cache != NULL);
    snprintf(client->endpoint, sizeof client->endpoint, "%s", options->endpoint);
    client->patience_ms = options->patience_ms > 0 ? options->patience_ms : PATIENCE_DEFAULT_MS;
    uv_timer_init(options->loop, &client->timer);
    client->timer.data = client;
    client->open_handles = 1;
    blob_presence_open(client, options);
    *out = client;
    return ERR_OK;
}

static void blob_handle_closed(uv_handle_t *handle)
{
    struct blob_client *client = handle->data;
    if (--client->open_handles > 0)
        return;
    blob_presence_release(client);
    explicit_bzero(&client->own, sizeof client->own);
    strbuf_release(&client->frame);
    free(client->cache);
    free(client);
}

void blob_client_free(struct blob_client *client)
{
    ASSERT(!client->closing);
    client->closing = true;
    close_item(client, true);
    while (client->head) {
        struct blob_transfer *transfer = client->head;
        client->head = transfer->next;
        blob_transfer_free(transfer);
    }
    blob_peer_close(client);
    net_socket_free(client->socket);
    uv_close((uv_handle_t *)&client->timer, blob_handle_closed);
    uv_close((uv_handle_t *)&client->beat, blob_handle_closed);
}

static void enqueue(struct blob_client *client, struct blob_transfer *transfer)
{
    struct blob_transfer **at = &client->head;
    while (*at)
        at = &(*at)->next;
    *at = transfer;
    if (client->phase == BLOB_IDLE)
        uv_timer_start(&client->timer, on_tick, 0, TICK_MS);
}

void blob_client_get(struct blob_client *client, const struct digest *digest, blob_done_f *done,
                     void *ctx)
{
    enqueue(client, blob_transfer_new(BLOB_GET, digest, done, ctx));
}

void blob_client_get_tree(struct blob_client *client, const struct digest *digest,
                          blob_done_f *done, void *ctx)
{
    enqueue(client, blob_transfer_new(BLOB_GET | BLOB_TREE, digest, done, ctx));
}

void blob_client_put_file(struct blob_client *client, const struct digest *digest, const char *path,
                          blob_done_f *done, void *ctx)
{
    struct blob_transfer *transfer = blob_transfer_new(BLOB_PUT, digest, done, ctx);
    transfer->path = arena_strdup(&transfer->arena, path);
    enqueue(client, transfer);
}

void blob_client_put_tree(struct blob_client *client, const struct digest *digest,
                          blob_done_f *done, void *ctx)
{
    enqueue(client, blob_transfer_new(BLOB_PUT | BLOB_TREE, digest, done, ctx));
}

struct blob_traffic blob_client_traffic(const struct blob_client *client)
{
    return client->traffic;
}

void blob_client_cancel(struct blob_client *client, const void *ctx)
{
    if (client->head && client->head->ctx == ctx)
        close_item(client, true);
    for (struct blob_transfer **at = &client->head; *at;) {
        struct blob_transfer *transfer = *at;
        if (transfer->ctx == ctx) {
            *at = transfer->next;
            blob_transfer_free(transfer);
        } else {
            at = &transfer->next;
        }
    }
    if (client->head && client->phase == BLOB_IDLE)
        uv_timer_start(&client->timer, on_tick, 0, TICK_MS);
}
