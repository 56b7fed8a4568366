#include "net_pair.h"

#include "cmocka_all.h"

#include <stdio.h>
#include <string.h>

/* UV_RUN_ONCE blocks for I/O even when a timer just did what was waited for: so tick. */
#define TICK_MS   20
#define TICKS_MAX 4500

static void on_tick(uv_timer_t *timer)
{
    struct net_pair *pair = timer->data;
    pair->ticks++;
}

static void watch(struct net_pair *pair)
{
    pair->ticks = 0;
    uv_update_time(&pair->loop);
    uv_timer_start(&pair->deadline, on_tick, TICK_MS, TICK_MS);
}

void net_pair_open(struct net_pair *pair)
{
    struct err err;
    memset(pair, 0, sizeof *pair);
    assert_int_equal(uv_loop_init(&pair->loop), 0);
    uv_timer_init(&pair->loop, &pair->deadline);
    pair->deadline.data = pair;
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
    uv_close((uv_handle_t *)&pair->deadline, NULL);
    assert_int_equal(uv_run(&pair->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(closed, 2);
    assert_int_equal(uv_loop_close(&pair->loop), 0); /* no handle is left */
}

void net_pair_run_until_count(struct net_pair *pair, const size_t *count, size_t wanted)
{
    watch(pair);
    while (*count < wanted && pair->ticks < TICKS_MAX)
        uv_run(&pair->loop, UV_RUN_ONCE);
    uv_timer_stop(&pair->deadline);
    if (pair->ticks >= TICKS_MAX)
        fail_msg("hangs: %zu of %zu", *count, wanted);
}

void net_pair_run_until(struct net_pair *pair, const bool *done)
{
    watch(pair);
    while (!*done && pair->ticks < TICKS_MAX)
        uv_run(&pair->loop, UV_RUN_ONCE);
    uv_timer_stop(&pair->deadline);
    if (pair->ticks >= TICKS_MAX)
        fail_msg("hangs");
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

void net_pair_send(struct net_socket *dealer, const void *bytes, size_t len)
{
    struct err err = {0};
    if (net_dealer_send(dealer, bytes, len, &err) != ERR_OK)
        fail_msg("%s", err.text);
}
