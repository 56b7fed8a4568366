#include "net_pair.h"

#include <stdio.h>
#include <string.h>

void net_pair_open(struct net_pair *pair)
{
    struct err err;
    memset(pair, 0, sizeof *pair);
    assert_int_equal(uv_loop_init(&pair->loop), 0);
    await_tick(&pair->loop, &pair->ticker);
    net_key_pair_new(&pair->server);
    net_key_pair_new(&pair->worker);
    net_key_pair_new(&pair->client);
    net_key_pair_new(&pair->stranger);
    assert_int_equal(net_new(&pair->loop, &pair->server_net, &err), ERR_OK);
    assert_int_equal(net_new(&pair->loop, &pair->client_net, &err), ERR_OK);
    assert_int_equal(
        net_allow(pair->server_net, &pair->worker.public_key, NET_WORKER, "worker-key", &err),
        ERR_OK);
    assert_int_equal(
        net_allow(pair->server_net, &pair->client.public_key, NET_CLIENT, "client-key", &err),
        ERR_OK);
}

static void on_net_closed(void *ctx)
{
    (*(size_t *)ctx)++;
}

void net_pair_close(struct net_pair *pair)
{
    size_t closed = 0;
    net_free(pair->client_net, on_net_closed, &closed);
    net_free(pair->server_net, on_net_closed, &closed);
    AWAIT(&pair->loop, !uv_loop_alive(&pair->loop));
    assert_int_equal(closed, 2);
    uv_close((uv_handle_t *)&pair->ticker, NULL);
    uv_run(&pair->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&pair->loop), 0); /* no handle is left */
}

void net_seen_receive(void *ctx, const struct net_peer *peer, enum net_role role, const char *user,
                      const uint8_t *bytes, size_t len)
{
    struct net_seen *seen = ctx;
    seen->frames++;
    seen->last_len = len;
    seen->last_byte = len ? bytes[len - 1] : 0;
    seen->role = role;
    if (peer)
        seen->peer = *peer;
    snprintf(seen->user, sizeof seen->user, "%s", user ? user : "");
}

void net_seen_status(void *ctx, int connected, const char *text)
{
    struct net_seen *seen = ctx;
    seen->changes++;
    seen->is_connected = connected != 0;
    seen->has_trouble = !connected;
    snprintf(seen->text, sizeof seen->text, "%s", text);
}

struct net_socket *net_pair_router(struct net_pair *pair, unsigned roles, size_t frame_bytes_max,
                                   net_receive_f *receive, void *ctx)
{
    struct net_socket *socket;
    struct err err = {0};
    const struct net_router_options options = {.endpoint = "tcp://127.0.0.1:*",
                                               .server = &pair->server,
                                               .roles = roles,
                                               .frame_bytes_max = frame_bytes_max,
                                               .frames_per_turn = 16,
                                               .receive = receive,
                                               .ctx = ctx};
    if (net_router_new(pair->server_net, &options, &socket, &err) != ERR_OK)
        fail_msg("%s", err.text);
    return socket;
}

struct net_socket *net_pair_dealer(struct net_pair *pair, const struct net_socket *router,
                                   const struct net_key_pair *own, size_t frame_bytes_max,
                                   struct net_seen *seen)
{
    struct net_socket *socket;
    struct err err = {0};
    const struct net_dealer_options options = {.endpoint = net_endpoint(router),
                                               .server = &pair->server.public_key,
                                               .own = own,
                                               .frame_bytes_max = frame_bytes_max,
                                               .frames_per_turn = 16,
                                               .receive = net_seen_receive,
                                               .status = net_seen_status,
                                               .ctx = seen};
    memset(seen, 0, sizeof *seen);
    if (net_dealer_new(pair->client_net, &options, &socket, &err) != ERR_OK)
        fail_msg("%s", err.text);
    return socket;
}

struct net_socket *net_pair_dial(struct net_pair *pair, const struct net_socket *router,
                                 const struct net_key_pair *own, size_t frame_bytes_max,
                                 struct net_seen *seen)
{
    struct net_socket *socket = net_pair_dealer(pair, router, own, frame_bytes_max, seen);
    AWAIT(&pair->loop, seen->is_connected);
    return socket;
}

void net_pair_send(struct net_socket *dealer, const void *bytes, size_t len)
{
    struct err err = {0};
    if (net_dealer_send(dealer, bytes, len, &err) != ERR_OK)
        fail_msg("%s", err.text);
}
