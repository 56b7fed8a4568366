#include "client_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob_client.h"
#include "bounds.h"
#include "check.h"
#include "codec.h"
#include "net.h"

#define RESEND_MS 2000
/* People wait at the terminal: give up on the store sooner than a worker does. */
#define TRANSFER_PATIENCE_MS 20000

struct client {
    uv_loop_t loop;
    uv_timer_t deadline;
    uv_timer_t resend;
    struct net *net;
    struct net_socket *control;
    struct blob_client *blobs; /* NULL without a cache */
    char endpoint[256];
    char link[512]; /* why there is no connection, as far as known */
    uint64_t request;

    /* The call that is waiting. */
    struct strbuf frame;
    struct arena *arena;
    struct msg *reply;
    struct err *err;
    enum err_code rc;
    bool is_over;
};

/* Every message of a client and every reply to one begins with its request id. */
#define X(KIND, field, sender)                                                                     \
    _Static_assert(((sender) != 'C' && (sender) != 'R') ||                                         \
                       offsetof(struct msg, field) == offsetof(struct msg, get_info.request),      \
                   "request comes first");
MSG_KINDS(X)
#undef X

static void end_call(struct client *client, enum err_code rc)
{
    client->rc = rc;
    client->is_over = true;
    uv_stop(&client->loop);
}

static void try_to_send(struct client *client)
{
    struct err err;
    if (net_dealer_send(client->control, client->frame.data, client->frame.len, &err) != ERR_OK)
        return; /* not connected: on_status or on_resend try again */
}

static void on_resend(uv_timer_t *timer)
{
    try_to_send(timer->data);
}

static void on_deadline(uv_timer_t *timer)
{
    struct client *client = timer->data;
    end_call(client, ERR_TIMEOUT); /* worded by the one who waits */
}

static void on_status(void *ctx, int connected, const char *text)
{
    struct client *client = ctx;
    snprintf(client->link, sizeof client->link, "%s", connected ? "" : text);
    if (client->is_over)
        return;
    if (connected)
        try_to_send(client);
    else if (net_dealer_is_refused(client->control))
        end_call(client, err_set(client->err, ERR_DENIED, "call %s: %s", client->endpoint, text));
}

static void on_receive(void *ctx, const struct net_peer *peer, enum net_role role, const char *user,
                       const uint8_t *bytes, size_t len)
{
    struct client *client = ctx;
    struct msg reply;
    (void)peer;
    (void)role;
    (void)user;
    if (client->is_over)
        return;
    enum err_code rc = codec_decode(bytes, len, "R", client->arena, &reply, client->err);
    if (rc == ERR_VERSION)
        err_wrap(client->err,
                 "the coordinator at %s is of another version of Triad than this program; end its "
                 "process and start the one of this version",
                 client->endpoint);
    else if (rc != ERR_OK)
        err_wrap(client->err, "call %s: read the reply", client->endpoint);
    if (rc != ERR_OK) {
        end_call(client, rc == ERR_VERSION ? rc : ERR_CORRUPT);
        return;
    }
    if (reply.get_info.request != client->request)
        return; /* the second answer to something we repeated */
    if (reply.kind == MSG_ERROR) {
        rc = reply.error.code == ERR_OK ? ERR_INVALID : (enum err_code)reply.error.code;
        end_call(client, err_set(client->err, rc, "%s", reply.error.text));
        return;
    }
    *client->reply = reply;
    end_call(client, ERR_OK);
}

static enum err_code open_sockets(struct client *client, const struct net_access *access,
                                  const char *cache, struct err *err)
{
    const struct net_dealer_options control = {
        .endpoint = access->endpoint,
        .server = &access->server,
        .own = &access->own,
        .frame_bytes_max = FRAME_BYTES_MAX,
        .receive = on_receive,
        .status = on_status,
        .ctx = client,
    };
    const struct blob_client_options blobs = {
        .net = client->net,
        .loop = &client->loop,
        .endpoint = access->data_endpoint,
        .server = &access->server,
        .own = &access->own,
        .cache = cache,
        .patience_ms = TRANSFER_PATIENCE_MS,
    };
    enum err_code rc = net_dealer_new(client->net, &control, &client->control, err);
    if (rc == ERR_OK && cache)
        rc = blob_client_new(&blobs, &client->blobs, err);
    return rc;
}

enum err_code client_open(const struct net_access *access, const char *cache, struct client **out,
                          struct err *err)
{
    struct client *client = calloc(1, sizeof *client);
    ASSERT(client != NULL);
    int uv_rc = uv_loop_init(&client->loop);
    if (uv_rc != 0) {
        free(client);
        return err_set(err, ERR_UNAVAILABLE, "start a loop: %s", uv_strerror(uv_rc));
    }
    uv_timer_init(&client->loop, &client->deadline);
    uv_timer_init(&client->loop, &client->resend);
    client->deadline.data = client->resend.data = client;
    client->is_over = true;
    snprintf(client->endpoint, sizeof client->endpoint, "%s", access->endpoint);
    enum err_code rc = net_new(&client->loop, &client->net, err);
    if (rc == ERR_OK)
        rc = open_sockets(client, access, cache, err);
    if (rc != ERR_OK)
        client_close(client);
    else
        *out = client;
    return rc;
}

void client_close(struct client *client)
{
    if (client->blobs)
        blob_client_free(client->blobs);
    if (client->net)
        net_free(client->net, NULL, NULL);
    uv_close((uv_handle_t *)&client->deadline, NULL);
    uv_close((uv_handle_t *)&client->resend, NULL);
    uv_run(&client->loop, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&client->loop);
    ASSERT(rc == 0);
    strbuf_release(&client->frame);
    free(client);
}

static enum err_code no_answer(const struct client *client, int timeout_ms, struct err *err)
{
    return err_set(err, ERR_UNAVAILABLE,
                   "no answer from %s in %g s%s%s: is the coordinator running?", client->endpoint,
                   timeout_ms / 1000.0, client->link[0] ? ": " : "", client->link);
}

enum err_code client_call(struct client *client, const struct msg *request, int timeout_ms,
                          struct arena *arena, struct msg *reply_out, struct err *err)
{
    struct err local;
    struct msg m = *request;
    m.get_info.request = ++client->request;
    strbuf_clear(&client->frame);
    client->err = err ? err : &local;
    enum err_code rc = codec_encode(&m, FRAME_BYTES_MAX, &client->frame, client->err);
    if (rc != ERR_OK)
        return rc;
    if (net_dealer_is_refused(client->control))
        return err_set(client->err, ERR_DENIED, "call %s: %s", client->endpoint, client->link);
    if (timeout_ms <= 0)
        timeout_ms = CLIENT_TIMEOUT_MS;
    client->arena = arena;
    client->reply = reply_out;
    client->is_over = false;
    uv_update_time(&client->loop); /* the caller may have computed for long */
    uv_timer_start(&client->deadline, on_deadline, (uint64_t)timeout_ms, 0);
    uv_timer_start(&client->resend, on_resend, RESEND_MS, RESEND_MS);
    try_to_send(client);
    while (!client->is_over)
        uv_run(&client->loop, UV_RUN_DEFAULT);
    uv_timer_stop(&client->deadline);
    uv_timer_stop(&client->resend);
    return client->rc == ERR_TIMEOUT ? no_answer(client, timeout_ms, client->err) : client->rc;
}

/* ---- transfers ---- */

struct wait {
    struct client *client;
    enum err_code rc;
    struct err *err;
    bool is_over;
};

static void on_transferred(void *ctx, enum err_code code, const struct err *err)
{
    struct wait *wait = ctx;
    wait->rc = code;
    wait->is_over = true;
    if (code != ERR_OK && wait->err)
        *wait->err = *err;
    uv_stop(&wait->client->loop);
}

static enum err_code wait_for(struct wait *wait)
{
    uv_update_time(&wait->client->loop);
    while (!wait->is_over)
        uv_run(&wait->client->loop, UV_RUN_DEFAULT);
    return wait->rc;
}

enum err_code client_get_tree(struct client *client, const struct digest *digest, struct err *err)
{
    struct wait wait = {.client = client, .err = err};
    ASSERT(client->blobs != NULL);
    blob_client_get_tree(client->blobs, digest, on_transferred, &wait);
    return wait_for(&wait);
}

enum err_code client_put_file(struct client *client, const struct digest *digest, const char *path,
                              struct err *err)
{
    struct wait wait = {.client = client, .err = err};
    ASSERT(client->blobs != NULL);
    blob_client_put_file(client->blobs, digest, path, on_transferred, &wait);
    return wait_for(&wait);
}
