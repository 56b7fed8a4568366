/* A queue of transfers; the first one's current item is the only one that talks to the store.
 *
 *   idle → asking (BLOB_STAT) → moving (BLOB_READ … or BLOB_WRITE …) → idle
 *
 * Every start and restart takes a new request id, and answers to an older one are ignored: that
 * makes late and doubled answers harmless, and a restart is always safe. `moved` only counts bytes
 * that are here and hashed (get) or that the store acknowledged (put); a restart goes on from
 * there. */
#include "blob_client.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob_cache.h"
#include "blob_transfer.h"
#include "check.h"
#include "codec.h"
#include "file.h"
#include "limits.h"
#include "log.h"

#define TICK_MS             250
#define RETRY_MS            2000
#define PATIENCE_DEFAULT_MS 60000

enum phase { PHASE_IDLE, PHASE_ASKING, PHASE_MOVING };

struct blob_client {
    struct net_socket *socket;
    uv_timer_t timer;
    bool closing;
    char *cache;
    char endpoint[256];
    char link[512];      /* what the socket last said about its connection */
    char waits_for[512]; /* why the store takes nothing now, in its words; or empty */
    int64_t patience_ms;
    struct blob_transfer *head;
    struct strbuf frame;

    /* The current item. */
    enum phase phase;
    uint64_t request;
    int fd;
    char *temporary; /* get: where the bytes gather */
    struct hash_state hash;
    uint64_t total, moved, next; /* bytes; `next` is the offset to ask for or send next */
    int in_flight;
    int64_t progress_ms;  /* when the item last got further */
    int64_t restarted_ms; /* when it last asked anew */
};

static void fail(struct blob_client *client, enum err_code code, const struct err *err);
static void item_done(struct blob_client *client);
static void pump(struct blob_client *client);

static int64_t now_ms(const struct blob_client *client)
{
    return (int64_t)uv_now(client->timer.loop);
}

static const struct blob_item *current(const struct blob_client *client)
{
    return &client->head->items[client->head->item_index];
}

/* Set `err` with the blob's name in front, and give the transfer up. */
#define FAIL(client, code, ...)                                                                    \
    do {                                                                                           \
        struct err failure_;                                                                       \
        fail(client, err_set(&failure_, code, __VA_ARGS__), &failure_);                            \
    } while (0)

#define FAIL_OS(client, ...)                                                                       \
    do {                                                                                           \
        struct err failure_;                                                                       \
        fail(client, err_os(&failure_, errno, __VA_ARGS__), &failure_);                            \
    } while (0)

/* ---- sending ---- */

static bool send_message(struct blob_client *client, const struct msg *m)
{
    struct err err;
    strbuf_clear(&client->frame);
    enum err_code rc = codec_encode(m, FRAME_DATA_BYTES_MAX, &client->frame, &err);
    ASSERT(rc == ERR_OK);
    /* Not connected, or the queue is full: the tick or the next connection repeats. */
    return net_dealer_send(client->socket, client->frame.data, client->frame.len, &err) == ERR_OK;
}

static void ask(struct blob_client *client)
{
    struct digest digest = current(client)->digest;
    const struct msg m = {.kind = MSG_BLOB_STAT, .blob_stat = {client->request, &digest, 1}};
    client->phase = PHASE_ASKING;
    send_message(client, &m);
}

static bool send_read(struct blob_client *client)
{
    const struct msg m = {.kind = MSG_BLOB_READ,
                          .blob_read = {client->request, current(client)->digest, client->next}};
    return send_message(client, &m);
}

static bool send_write(struct blob_client *client)
{
    uint8_t chunk[BLOB_CHUNK_BYTES];
    const uint64_t left = client->total - client->next;
    const size_t len = left < sizeof chunk ? (size_t)left : sizeof chunk;
    ssize_t n = pread(client->fd, chunk, len, (off_t)client->next);
    if (n != (ssize_t)len) {
        FAIL(client, n < 0 ? ERR_IO : ERR_CORRUPT, "send blob: '%s' %s", current(client)->path,
             n < 0 ? strerror(errno) : "became shorter");
        return false;
    }
    const struct msg m = {.kind = MSG_BLOB_WRITE,
                          .blob_write = {.request = client->request,
                                         .digest = current(client)->digest,
                                         .offset = client->next,
                                         .total = client->total,
                                         .crc32c = hash_crc32c(chunk, len),
                                         .data = {chunk, len}}};
    return send_message(client, &m);
}

/* Keep the allowed number of chunks in flight. */
static void pump(struct blob_client *client)
{
    while (client->phase == PHASE_MOVING && client->in_flight < BLOB_CHUNKS_IN_FLIGHT) {
        const bool empty_put = client->head->is_put && client->total == 0 && client->in_flight == 0;
        if (client->next >= client->total && !empty_put)
            return;
        if (!(client->head->is_put ? send_write(client) : send_read(client)))
            return;
        client->in_flight++;
        client->next += BLOB_CHUNK_BYTES;
        if (client->next > client->total)
            client->next = client->total;
    }
}

static void restart(struct blob_client *client)
{
    client->request++;
    client->in_flight = 0;
    client->next = client->moved;
    client->restarted_ms = now_ms(client);
    if (client->phase == PHASE_ASKING)
        ask(client);
    else
        pump(client);
}

/* ---- the current item ---- */

static void close_item(struct blob_client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    if (client->temporary)
        unlink(client->temporary);
    free(client->temporary);
    client->fd = -1;
    client->temporary = NULL;
    client->phase = PHASE_IDLE;
    client->request++; /* whatever is still on its way is not for the next item */
}

static void start_put(struct blob_client *client)
{
    struct stat status;
    const char *path = current(client)->path;
    client->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (client->fd < 0 || fstat(client->fd, &status) != 0) {
        FAIL(client, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "send blob: open '%s': %s", path,
             strerror(errno));
        return;
    }
    client->total = (uint64_t)status.st_size;
    restart(client);
}

static void start_item(struct blob_client *client)
{
    client->moved = client->total = 0;
    client->waits_for[0] = '\0';
    client->progress_ms = now_ms(client);
    client->phase = PHASE_ASKING;
    if (client->head->is_put)
        start_put(client);
    else if (blob_cache_has(client->cache, &current(client)->digest))
        item_done(client);
    else
        restart(client);
}

static void start_moving_get(struct blob_client *client, int64_t size)
{
    struct arena arena = {0};
    char *path = arena_printf(&arena, "%s.part.XXXXXX",
                              blob_cache_path(client->cache, &current(client)->digest, &arena));
    client->temporary = strdup(path);
    ASSERT(client->temporary != NULL);
    arena_release(&arena);
    client->fd = mkostemp(client->temporary, O_CLOEXEC);
    if (client->fd < 0) {
        free(client->temporary);
        client->temporary = NULL;
        FAIL_OS(client, "fetch blob: create a file in '%s'", client->cache);
        return;
    }
    hash_init(&client->hash);
    client->total = (uint64_t)size;
    client->phase = PHASE_MOVING;
}

/* All bytes are here: check them, make them durable, give them their name. */
static void finish_get(struct blob_client *client)
{
    struct arena arena = {0};
    struct err err;
    enum err_code rc = ERR_OK;
    const struct digest digest = hash_final(&client->hash);
    const char *path = blob_cache_path(client->cache, &current(client)->digest, &arena);
    if (!digest_equal(&digest, &current(client)->digest))
        rc = err_set(&err, ERR_CORRUPT, "fetch blob: the bytes do not match the digest");
    else if (fchmod(client->fd, 0444) != 0 || fsync(client->fd) != 0 ||
             rename(client->temporary, path) != 0)
        rc = err_os(&err, errno, "fetch blob: write '%s'", path);
    else
        rc = file_sync_dir(client->cache, &err);
    arena_release(&arena);
    if (rc == ERR_OK)
        item_done(client);
    else
        fail(client, rc, &err);
}

/* ---- the queue ---- */

/* The first transfer ends. The callback may ask for more, cancel, or free the client. */
static void finish(struct blob_client *client, enum err_code code, const struct err *err)
{
    struct blob_transfer *transfer = client->head;
    blob_done_f *done = transfer->done;
    void *ctx = transfer->ctx;
    close_item(client);
    client->head = transfer->next;
    blob_transfer_free(transfer);
    done(ctx, code, err);
}

static void fail(struct blob_client *client, enum err_code code, const struct err *err)
{
    char hex[DIGEST_HEX_SIZE];
    struct err named = *err;
    struct digest digest =
        client->head->item_count > 0 ? current(client)->digest : client->head->digest;
    err_wrap(&named, "blob %.12s", digest_hex(&digest, hex));
    finish(client, code, &named);
}

static void item_done(struct blob_client *client)
{
    struct blob_transfer *t = client->head;
    struct err err;
    close_item(client);
    if (t->is_tree && !t->is_put && t->item_index == 0) {
        enum err_code rc = blob_transfer_list_tree(t, client->cache, &err);
        if (rc != ERR_OK) {
            fail(client, rc, &err);
            return;
        }
    }
    t->item_index++;
    if (t->item_index == t->item_count)
        finish(client, ERR_OK, NULL);
}

/* Start items until one has to wait for the store. */
static void advance(struct blob_client *client)
{
    while (!client->closing && client->head && client->phase == PHASE_IDLE) {
        struct err err;
        enum err_code rc =
            client->head->items ? ERR_OK : blob_transfer_list(client->head, client->cache, &err);
        if (rc != ERR_OK)
            fail(client, rc, &err);
        else
            start_item(client);
    }
    if (!client->closing && !client->head)
        uv_timer_stop(&client->timer);
}

static void on_tick(uv_timer_t *timer)
{
    struct blob_client *client = timer->data;
    const int64_t now = now_ms(client);
    if (client->phase != PHASE_IDLE) {
        const bool is_late = now - client->progress_ms >= client->patience_ms;
        if (is_late && client->waits_for[0])
            FAIL(client, ERR_UNAVAILABLE, "%s", client->waits_for);
        else if (is_late)
            FAIL(client, ERR_UNAVAILABLE, "no answer from %s for %" PRId64 " s%s%s",
                 client->endpoint, client->patience_ms / 1000, client->link[0] ? ": " : "",
                 client->link);
        else if (now - client->progress_ms >= RETRY_MS && now - client->restarted_ms >= RETRY_MS)
            restart(client);
    }
    advance(client);
}

/* ---- what the store says ---- */

static void on_size(struct blob_client *client, int64_t size)
{
    if (client->head->is_put && size >= 0) {
        item_done(client); /* it is there already */
        return;
    }
    if (!client->head->is_put && size < 0) {
        FAIL(client, ERR_NOT_FOUND, "the store does not have it");
        return;
    }
    client->progress_ms = now_ms(client);
    if (client->head->is_put) {
        client->phase = PHASE_MOVING;
    } else if (size > BLOB_BYTES_MAX) {
        FAIL(client, ERR_LIMIT, "it has %" PRId64 " bytes", size);
        return;
    } else {
        start_moving_get(client, size);
    }
    if (client->phase == PHASE_MOVING && !client->head->is_put && client->total == 0)
        finish_get(client);
    else
        pump(client);
}

static void on_chunk(struct blob_client *client, const struct msg_blob_chunk *chunk)
{
    const uint64_t left = client->total - client->moved;
    const size_t expected = left < BLOB_CHUNK_BYTES ? (size_t)left : BLOB_CHUNK_BYTES;
    if (chunk->offset != client->moved)
        return; /* a gap: something was lost, and the tick starts over */
    if (chunk->total != client->total || chunk->data.len != expected ||
        chunk->crc32c != hash_crc32c(chunk->data.data, chunk->data.len)) {
        FAIL(client, ERR_CORRUPT, "fetch blob: a damaged chunk at %" PRIu64, chunk->offset);
        return;
    }
    ssize_t n = pwrite(client->fd, chunk->data.data, chunk->data.len, (off_t)chunk->offset);
    if (n != (ssize_t)chunk->data.len) {
        errno = n < 0 ? errno : ENOSPC; /* a file takes less than asked only when nothing is left */
        FAIL_OS(client, "fetch blob: write in '%s'", client->cache);
        return;
    }
    /* Let the kernel write while more arrives, so that the fsync at the end does not stall the
     * loop; a mere hint. */
    (void)sync_file_range(client->fd, (off_t)chunk->offset, (off_t)chunk->data.len,
                          SYNC_FILE_RANGE_WRITE);
    hash_update(&client->hash, chunk->data.data, chunk->data.len);
    client->moved += chunk->data.len;
    client->in_flight--;
    client->progress_ms = now_ms(client);
    if (client->moved == client->total)
        finish_get(client);
    else
        pump(client);
}

static void on_written(struct blob_client *client, const struct msg_blob_written *written)
{
    if (written->complete) {
        item_done(client);
        return;
    }
    if (written->next > client->total) {
        FAIL(client, ERR_CORRUPT, "send blob: the store wants byte %" PRIu64 " of %" PRIu64,
             written->next, client->total);
        return;
    }
    client->in_flight--;
    if (written->next > client->moved)
        client->progress_ms = now_ms(client);
    if (written->next > client->next)
        client->next = written->next; /* a former writer left a part */
    if (written->next < client->moved) {
        client->moved = written->next; /* the store lost its part */
        restart(client);
        return;
    }
    client->moved = written->next;
    if (client->in_flight == 0)
        client->next = client->moved; /* chunks were lost or out of order */
    pump(client);
}

/* A store that has no room now is asked again until patience ends; other refusals are final. */
static void on_refusal(struct blob_client *client, const struct msg_error *error)
{
    if (error->code == ERR_UNAVAILABLE)
        snprintf(client->waits_for, sizeof client->waits_for, "%s", error->text);
    else if (error->code != ERR_OK)
        FAIL(client, error->code, "%s", error->text);
}

static void on_message(struct blob_client *client, const struct msg *m)
{
    if (client->phase == PHASE_IDLE)
        return;
    if (m->kind == MSG_BLOB_SIZES && m->blob_sizes.request == client->request &&
        m->blob_sizes.size_count == 1 && client->phase == PHASE_ASKING)
        on_size(client, m->blob_sizes.sizes[0]);
    else if (m->kind == MSG_BLOB_CHUNK && m->blob_chunk.request == client->request &&
             client->phase == PHASE_MOVING && !client->head->is_put)
        on_chunk(client, &m->blob_chunk);
    else if (m->kind == MSG_BLOB_WRITTEN && m->blob_written.request == client->request &&
             client->phase == PHASE_MOVING && client->head->is_put)
        on_written(client, &m->blob_written);
    else if (m->kind == MSG_ERROR && m->error.request == client->request)
        on_refusal(client, &m->error);
}

static void on_receive(void *ctx, const struct net_peer *peer, enum net_role role, const char *user,
                       const uint8_t *bytes, size_t len)
{
    struct blob_client *client = ctx;
    struct arena arena;
    struct msg m;
    struct err err;
    (void)peer;
    (void)role;
    (void)user;
    arena_init(&arena, DECODE_BUDGET_BYTES);
    if (codec_decode(bytes, len, "DR", &arena, &m, &err) == ERR_OK)
        on_message(client, &m);
    else
        log_event(LOG_WARN, "frame_refused", "socket=data error=\"%s\"", err.text);
    arena_release(&arena);
    advance(client);
}

static void on_status(void *ctx, int connected, const char *text)
{
    struct blob_client *client = ctx;
    snprintf(client->link, sizeof client->link, "%s", connected ? "" : text);
    if (connected && client->phase != PHASE_IDLE)
        restart(client);
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
    client->fd = -1;
    client->cache = strdup(options->cache);
    ASSERT(client->cache != NULL);
    snprintf(client->endpoint, sizeof client->endpoint, "%s", options->endpoint);
    client->patience_ms = options->patience_ms > 0 ? options->patience_ms : PATIENCE_DEFAULT_MS;
    uv_timer_init(options->loop, &client->timer);
    client->timer.data = client;
    *out = client;
    return ERR_OK;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct blob_client *client = handle->data;
    strbuf_release(&client->frame);
    free(client->cache);
    free(client);
}

void blob_client_free(struct blob_client *client)
{
    ASSERT(!client->closing);
    client->closing = true;
    close_item(client);
    while (client->head) {
        struct blob_transfer *transfer = client->head;
        client->head = transfer->next;
        blob_transfer_free(transfer);
    }
    net_socket_free(client->socket);
    uv_close((uv_handle_t *)&client->timer, on_timer_closed);
}

static void enqueue(struct blob_client *client, struct blob_transfer *transfer)
{
    struct blob_transfer **at = &client->head;
    while (*at)
        at = &(*at)->next;
    *at = transfer;
    if (client->phase == PHASE_IDLE)
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

void blob_client_put(struct blob_client *client, const struct digest *digest, blob_done_f *done,
                     void *ctx)
{
    enqueue(client, blob_transfer_new(BLOB_PUT, digest, done, ctx));
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

void blob_client_cancel(struct blob_client *client, const void *ctx)
{
    if (client->head && client->head->ctx == ctx)
        close_item(client);
    for (struct blob_transfer **at = &client->head; *at;) {
        struct blob_transfer *transfer = *at;
        if (transfer->ctx == ctx) {
            *at = transfer->next;
            blob_transfer_free(transfer);
        } else {
            at = &transfer->next;
        }
    }
    if (client->head && client->phase == PHASE_IDLE)
        uv_timer_start(&client->timer, on_tick, 0, TICK_MS);
}
