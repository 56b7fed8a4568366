/* proto/net: nothing is lost or reordered between honest ends; strangers, wrong roles, revoked
 * keys, huge or multi-part frames and raw bytes get nowhere and disturb nobody; what is gone is
 * said to be gone; closing leaves no handle and no memory (asan). */
#include "cmocka_all.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <zmq.h>

#include "net_pair.h"
#include "rng.h"

#define FRAME_MAX 4096
#define BOTH      (NET_WORKER | NET_CLIENT)

static void dealer_send(struct net_socket *dealer, const void *bytes, size_t len)
{
    struct err err = {0};
    if (net_dealer_send(dealer, bytes, len, &err) != ERR_OK)
        fail_msg("%s", err.text);
}

/* ---- echo ---- */

#define ECHO_FRAMES 20000
#define ECHO_WINDOW 100

struct echo {
    struct net_socket *socket;
    struct net_seen seen;
    uint32_t sent, received;
    size_t done;
};

static void echo_server(void *ctx, const struct net_peer *peer, enum net_role role,
                        const char *user, const uint8_t *bytes, size_t len)
{
    struct net_socket **router = ctx;
    struct err err;
    (void)role;
    (void)user;
    assert_int_equal(net_router_send(*router, peer, bytes, len, &err), ERR_OK);
}

static void echo_more(struct echo *echo)
{
    while (echo->sent < ECHO_FRAMES && echo->sent - echo->received < ECHO_WINDOW) {
        dealer_send(echo->socket, &echo->sent, sizeof echo->sent);
        echo->sent++;
    }
}

static void echo_back(void *ctx, const struct net_peer *peer, enum net_role role, const char *user,
                      const uint8_t *bytes, size_t len)
{
    struct echo *echo = ctx;
    uint32_t number;
    assert_null(peer);
    assert_int_equal(role, 0);
    assert_null(user);
    assert_int_equal(len, sizeof number);
    memcpy(&number, bytes, sizeof number);
    assert_int_equal(number, echo->received); /* in order, none missing, none twice */
    echo->received++;
    echo->done = echo->received;
    echo_more(echo);
}

static void echo_status(void *ctx, int connected, const char *text)
{
    (void)text;
    if (connected)
        echo_more(ctx);
}

static void test_two_dealers_lose_nothing(void **state)
{
    (void)state;
    struct net_pair pair;
    struct net_socket *router;
    struct echo echoes[2] = {{0}};
    const struct net_key_pair *keys[2] = {&pair.worker, &pair.client};
    struct err err;
    net_pair_open(&pair);
    router = net_pair_router(&pair, BOTH, FRAME_MAX, echo_server, &router);
    for (size_t i = 0; i < 2; i++) {
        const struct net_dealer_options options = {.endpoint = net_endpoint(router),
                                                   .server = &pair.server.public_key,
                                                   .own = keys[i],
                                                   .frame_bytes_max = FRAME_MAX,
                                                   .frames_per_turn = 7 + (int)i,
                                                   .receive = echo_back,
                                                   .status = echo_status,
                                                   .ctx = &echoes[i]};
        assert_int_equal(net_dealer_new(pair.client_net, &options, &echoes[i].socket, &err),
                         ERR_OK);
    }
    net_pair_run_until_count(&pair, &echoes[0].done, ECHO_FRAMES);
    net_pair_run_until_count(&pair, &echoes[1].done, ECHO_FRAMES);
    assert_int_equal(net_counts(pair.server_net).frames_received, 2 * ECHO_FRAMES);
    assert_int_equal(net_counts(pair.server_net).frames_refused, 0);
    net_pair_close(&pair);
}

struct slow {
    uint32_t received;
    uv_check_t turn;
    uint32_t turns; /* of the loop, that brought a frame */
    uint32_t received_before;
};

static void slow_frame(void *ctx, const struct net_peer *peer, enum net_role role, const char *user,
                       const uint8_t *bytes, size_t len)
{
    struct slow *slow = ctx;
    (void)peer, (void)role, (void)user, (void)bytes, (void)len;
    slow->received++;
    for (const uint64_t begin_ns = uv_hrtime(); uv_hrtime() - begin_ns < 100000;) {
    }
}

static void on_slow_turn(uv_check_t *check)
{
    struct slow *slow = check->data;
    slow->turns += slow->received > slow->received_before;
    slow->received_before = slow->received;
}

/* Frames that take long leave the others of the loop their turn: each is one of its own here. */
static void test_a_turn_ends_by_the_clock(void **state)
{
    enum { FRAMES = 50 };
    (void)state;
    struct net_pair pair;
    struct net_socket *router = NULL, *dealer = NULL;
    struct net_seen seen = {0};
    struct slow slow = {0};
    struct err err;
    net_pair_open(&pair);
    const struct net_router_options options = {.endpoint = "tcp://127.0.0.1:*",
                                               .server = &pair.server,
                                               .roles = NET_WORKER,
                                               .frame_bytes_max = FRAME_MAX,
                                               .turn_us = 50,
                                               .receive = slow_frame,
                                               .ctx = &slow};
    assert_int_equal(net_router_new(pair.server_net, &options, &router, &err), ERR_OK);
    dealer = net_pair_dealer(&pair, router, &pair.worker, FRAME_MAX, &seen);
    net_pair_run_until(&pair, &seen.is_connected);
    uv_check_init(&pair.loop, &slow.turn);
    slow.turn.data = &slow;
    uv_check_start(&slow.turn, on_slow_turn);
    for (uint32_t i = 0; i < FRAMES; i++)
        dealer_send(dealer, &i, sizeof i);
    for (int i = 0; i < 20000 && slow.received < FRAMES; i++)
        uv_run(&pair.loop, UV_RUN_ONCE);
    uv_run(&pair.loop, UV_RUN_NOWAIT);
    assert_int_equal(slow.received, FRAMES);
    assert_int_equal(slow.turns, FRAMES);
    uv_close((uv_handle_t *)&slow.turn, NULL);
    net_pair_close(&pair);
}

/* ---- between the loop's own looks ---- */

#define MARK "wait is over"

struct inner {
    struct net_socket *router;
    struct net_seen seen;
    int ends[2]; /* of a pipe */
    size_t until, taken;
};

/* The first frame takes those behind it itself, until what it waits for has happened. */
static void inner_frame(void *ctx, const struct net_peer *peer, enum net_role role,
                        const char *user, const uint8_t *bytes, size_t len)
{
    struct inner *inner = ctx;
    net_seen_receive(&inner->seen, peer, role, user, bytes, len);
    if (inner->seen.frames == inner->until)
        assert_int_equal(write(inner->ends[1], MARK, sizeof MARK), sizeof MARK);
    if (inner->seen.frames == 1) {
        net_router_take_until(inner->router, inner->ends[0]);
        inner->taken = inner->seen.frames;
    }
}

static void test_frames_are_taken_while_something_else_is_waited_for(void **state)
{
    enum { FRAMES = 40, UNTIL = 30 };
    (void)state;
    struct net_pair pair;
    struct net_seen client;
    struct inner inner = {.until = UNTIL};
    char mark[sizeof MARK];
    assert_int_equal(pipe(inner.ends), 0);
    net_pair_open(&pair);
    inner.router = net_pair_router(&pair, NET_WORKER, FRAME_MAX, inner_frame, &inner);
    struct net_socket *dealer =
        net_pair_dealer(&pair, inner.router, &pair.worker, FRAME_MAX, &client);
    net_pair_run_until(&pair, &client.is_connected);
    for (uint8_t i = 1; i <= FRAMES; i++)
        dealer_send(dealer, &i, 1);
    net_pair_run_until_count(&pair, &inner.seen.frames, FRAMES);
    assert_int_equal(inner.taken, UNTIL); /* and not one more */
    assert_int_equal(inner.seen.last_byte, FRAMES);
    assert_int_equal(read(inner.ends[0], mark, sizeof mark), sizeof mark);
    close(inner.ends[0]);
    close(inner.ends[1]);
    net_pair_close(&pair);
}

static void test_a_paused_socket_keeps_its_frames(void **state)
{
    enum { FRAMES = 20 };
    (void)state;
    struct net_pair pair;
    struct net_seen server = {0}, client;
    net_pair_open(&pair);
    struct net_socket *router =
        net_pair_router(&pair, NET_WORKER, FRAME_MAX, net_seen_receive, &server);
    struct net_socket *other =
        net_pair_router(&pair, NET_WORKER, FRAME_MAX, net_seen_receive, &server);
    struct net_socket *dealer = net_pair_dealer(&pair, router, &pair.worker, FRAME_MAX, &client);
    net_pair_run_until(&pair, &client.is_connected);
    net_socket_pause(router, true);
    for (uint8_t i = 1; i <= FRAMES; i++)
        dealer_send(dealer, &i, 1);
    struct net_seen second;
    struct net_socket *fresh = net_pair_dealer(&pair, other, &pair.worker, FRAME_MAX, &second);
    net_pair_run_until(&pair, &second.is_connected);
    dealer_send(fresh, "x", 1);
    net_pair_run_until_count(&pair, &server.frames, 1); /* the other one works */
    for (int i = 0; i < 50; i++)
        uv_run(&pair.loop, UV_RUN_NOWAIT);
    net_router_take(router, 1000);
    assert_int_equal(server.frames, 1);
    net_socket_pause(router, false);
    while (server.frames == 1) /* also without the loop */
        net_router_take(router, 1000);
    net_pair_run_until_count(&pair, &server.frames, 1 + FRAMES);
    assert_int_equal(server.last_byte, FRAMES);
    net_pair_close(&pair);
}

/* ---- who may connect ---- */

static void test_only_allowed_keys_and_roles_connect(void **state)
{
    (void)state;
    static const struct {
        unsigned roles;
        bool worker, client;
    } cases[] = {{NET_WORKER, true, false}, {NET_CLIENT, false, true}, {BOTH, true, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct net_pair pair;
        struct net_seen server = {0};
        net_pair_open(&pair);
        struct net_socket *router =
            net_pair_router(&pair, cases[i].roles, FRAME_MAX, net_seen_receive, &server);
        const struct net_key_pair *keys[] = {&pair.stranger, &pair.worker, &pair.client};
        const bool allowed[] = {false, cases[i].worker, cases[i].client};
        for (size_t k = 0; k < 3; k++) {
            struct net_seen seen;
            struct err err;
            struct net_socket *dealer = net_pair_dealer(&pair, router, keys[k], FRAME_MAX, &seen);
            net_pair_run_until_count(&pair, &seen.changes, 1);
            assert_int_equal(seen.is_connected, allowed[k]);
            assert_int_equal(net_dealer_is_refused(dealer), !allowed[k]);
            if (allowed[k]) {
                size_t before = server.frames;
                dealer_send(dealer, "x", 1);
                net_pair_run_until_count(&pair, &server.frames, before + 1);
                assert_string_equal(server.user, k == 1 ? "worker-key" : "client-key");
                assert_int_equal(server.role, k == 1 ? NET_WORKER : NET_CLIENT);
            } else {
                assert_string_equal(seen.text, "the coordinator does not know this key");
                assert_int_equal(net_dealer_send(dealer, "x", 1, &err), ERR_NOT_FOUND);
            }
            net_socket_free(dealer);
        }
        assert_int_equal(server.frames, (size_t)cases[i].worker + cases[i].client);
        assert_true(net_counts(pair.server_net).handshakes_refused >= (i == 2 ? 1u : 2u));
        net_pair_close(&pair);
    }
}

static void test_wrong_server_key_is_said(void **state)
{
    (void)state;
    struct net_pair pair;
    struct net_seen server = {0};
    struct net_seen seen;
    net_pair_open(&pair);
    struct net_socket *router = net_pair_router(&pair, BOTH, FRAME_MAX, net_seen_receive, &server);
    const struct net_key_pair real = pair.server;
    pair.server = pair.stranger; /* what the dealer will take for the server's key */
    net_pair_dealer(&pair, router, &pair.worker, FRAME_MAX, &seen);
    pair.server = real;
    net_pair_run_until_count(&pair, &seen.changes, 1);
    assert_false(seen.is_connected);
    assert_non_null(strstr(seen.text, "broke off the handshake"));
    assert_int_equal(server.frames, 0);
    net_pair_close(&pair);
}

static void test_revoked_key_loses_its_open_connection(void **state)
{
    (void)state;
    struct net_pair pair;
    struct net_seen server = {0};
    struct net_seen seen;
    struct net_seen other;
    net_pair_open(&pair);
    struct net_socket *router = net_pair_router(&pair, BOTH, FRAME_MAX, net_seen_receive, &server);
    struct net_socket *worker = net_pair_dealer(&pair, router, &pair.worker, FRAME_MAX, &seen);
    struct net_socket *client = net_pair_dealer(&pair, router, &pair.client, FRAME_MAX, &other);
    net_pair_run_until(&pair, &seen.is_connected);
    net_pair_run_until(&pair, &other.is_connected);
    dealer_send(worker, "1", 1);
    net_pair_run_until_count(&pair, &server.frames, 1);
    net_revoke(pair.server_net, &pair.worker.public_key);
    dealer_send(worker, "2", 1);
    dealer_send(client, "3", 1);
    net_pair_run_until_count(&pair, &server.frames, 2);
    assert_string_equal(server.user, "client-key");
    while (net_counts(pair.server_net).frames_refused < 1)
        uv_run(&pair.loop, UV_RUN_ONCE);
    assert_int_equal(server.frames, 2);
    /* and does not get a new one */
    net_socket_free(worker);
    net_pair_dealer(&pair, router, &pair.worker, FRAME_MAX, &seen);
    net_pair_run_until(&pair, &seen.has_trouble);
    net_pair_close(&pair);
}

static void test_key_allowed_later_gets_in(void **state)
{
    (void)state;
    struct net_pair pair;
    struct net_seen server = {0};
    struct net_seen seen;
    struct err err;
    net_pair_open(&pair);
    struct net_socket *router = net_pair_router(&pair, BOTH, FRAME_MAX, net_seen_receive, &server);
    net_pair_dealer(&pair, router, &pair.stranger, FRAME_MAX, &seen);
    net_pair_run_until(&pair, &seen.has_trouble);
    assert_int_equal(
        net_allow(pair.server_net, &pair.stranger.public_key, NET_WORKER, "late", &err), ERR_OK);
    net_pair_run_until(&pair, &seen.is_connected); /* libzmq alone would never try again */
    net_pair_close(&pair);
}

static void test_allow_checks_its_arguments(void **state)
{
    (void)state;
    struct net_pair pair;
    struct err err;
    net_pair_open(&pair);
    assert_int_equal(
        net_allow(pair.server_net, &pair.worker.public_key, NET_CLIENT, "worker-key", &err),
        ERR_CONFLICT);
    assert_int_equal(
        net_allow(pair.server_net, &pair.worker.public_key, NET_WORKER, "worker-key", &err),
        ERR_OK);
    struct net_public_key broken = {"too short"};
    assert_int_equal(net_allow(pair.server_net, &broken, NET_CLIENT, "x", &err), ERR_INVALID);
    net_pair_close(&pair);
}

/* ---- hostile or clumsy peers ---- */

static void test_huge_frame_drops_only_its_sender(void **state)
{
    (void)state;
    struct net_pair pair;
    struct net_seen server = {0};
    struct net_seen bad;
    struct net_seen good;
    static uint8_t huge[200000];
    net_pair_open(&pair);
    struct net_socket *router = net_pair_router(&pair, BOTH, FRAME_MAX, net_seen_receive, &server);
    struct net_socket *bad_one = net_pair_dealer(&pair, router, &pair.worker, sizeof huge, &bad);
    struct net_socket *good_one = net_pair_dealer(&pair, router, &pair.client, FRAME_MAX, &good);
    net_pair_run_until(&pair, &bad.is_connected);
    net_pair_run_until(&pair, &good.is_connected);
    dealer_send(bad_one, huge, FRAME_MAX); /* the largest that is allowed passes */
    net_pair_run_until_count(&pair, &server.frames, 1);
    assert_int_equal(server.last_len, FRAME_MAX);
    dealer_send(bad_one, huge, sizeof huge);
    net_pair_run_until(&pair, &bad.has_trouble);
    dealer_send(good_one, "still here", 10);
    net_pair_run_until_count(&pair, &server.frames, 2);
    assert_int_equal(server.last_len, 10);
    assert_true(good.is_connected);
    assert_int_equal(good.changes, 1);
    net_pair_run_until(&pair, &bad.is_connected); /* and it may come back, as another peer */
    struct err err;
    assert_int_equal(net_dealer_send(good_one, huge, FRAME_MAX + 1, &err), ERR_LIMIT);
    net_pair_close(&pair);
}

static void test_multi_part_frames_are_refused(void **state)
{
    (void)state;
    struct net_pair pair;
    struct net_seen server = {0};
    int linger_ms = 0;
    net_pair_open(&pair);
    struct net_socket *router = net_pair_router(&pair, BOTH, FRAME_MAX, net_seen_receive, &server);
    void *context = zmq_ctx_new();
    void *raw = zmq_socket(context, ZMQ_DEALER);
    zmq_setsockopt(raw, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    zmq_setsockopt(raw, ZMQ_CURVE_SERVERKEY, pair.server.public_key.z85, 41);
    zmq_setsockopt(raw, ZMQ_CURVE_PUBLICKEY, pair.worker.public_key.z85, 41);
    zmq_setsockopt(raw, ZMQ_CURVE_SECRETKEY, pair.worker.secret_z85, 41);
    assert_int_equal(zmq_connect(raw, net_endpoint(router)), 0);
    for (int i = 0; i < 10; i++) {
        for (int part = 0; part < 5; part++)
            zmq_send(raw, "part", 4, part < 4 ? ZMQ_SNDMORE : 0);
    }
    zmq_send(raw, "", 0, ZMQ_SNDMORE);
    zmq_send(raw, "after an empty delimiter", 24, 0);
    zmq_send(raw, "whole", 5, 0);
    net_pair_run_until_count(&pair, &server.frames, 1);
    assert_int_equal(server.last_len, 5);
    assert_int_equal(net_counts(pair.server_net).frames_refused, 11);
    zmq_close(raw);
    zmq_ctx_term(context);
    net_pair_close(&pair);
}

/* Ids of connections are ours to give: one that a peer chose would be no fence, and has any length.
 */
static void test_who_names_itself_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"m", "me", "abcde", "longer than any of ours"};
    struct net_pair pair;
    struct net_seen server = {0};
    struct net_seen good;
    int linger_ms = 0;
    net_pair_open(&pair);
    struct net_socket *router = net_pair_router(&pair, BOTH, FRAME_MAX, net_seen_receive, &server);
    void *context = zmq_ctx_new();
    void *raw[sizeof names / sizeof *names];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        raw[i] = zmq_socket(context, ZMQ_DEALER);
        zmq_setsockopt(raw[i], ZMQ_LINGER, &linger_ms, sizeof linger_ms);
        zmq_setsockopt(raw[i], ZMQ_ROUTING_ID, names[i], strlen(names[i]));
        zmq_setsockopt(raw[i], ZMQ_CURVE_SERVERKEY, pair.server.public_key.z85, 41);
        zmq_setsockopt(raw[i], ZMQ_CURVE_PUBLICKEY, pair.worker.public_key.z85, 41);
        zmq_setsockopt(raw[i], ZMQ_CURVE_SECRETKEY, pair.worker.secret_z85, 41);
        assert_int_equal(zmq_connect(raw[i], net_endpoint(router)), 0);
        zmq_send(raw[i], "frame", 5, 0);
    }
    struct net_socket *dealer = net_pair_dealer(&pair, router, &pair.client, FRAME_MAX, &good);
    net_pair_run_until(&pair, &good.is_connected);
    for (int i = 0; i < 500 && net_counts(pair.server_net).frames_refused < 4; i++) {
        const size_t before = server.frames;
        dealer_send(dealer, "still here", 10);
        net_pair_run_until_count(&pair, &server.frames, before + 1);
        assert_int_equal(server.last_len, 10);
        assert_int_equal(server.peer.len, 5);
    }
    assert_int_equal(net_counts(pair.server_net).frames_refused, 4);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        zmq_close(raw[i]);
    zmq_ctx_term(context);
    net_pair_close(&pair);
}

static int tcp_connect(const char *endpoint)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int port = atoi(strrchr(endpoint, ':') + 1);
    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void test_raw_bytes_disturb_nobody(void **state)
{
    (void)state;
    /* A ZMTP 3.1 greeting that asks for no encryption, then READY. */
    static const uint8_t plain[] =
        "\xff\0\0\0\0\0\0\0\1\x7f\3\1NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
        "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
        "\4\x19\5READY\x0bSocket-Type\0\0\0\6DEALER";
    struct net_pair pair;
    struct net_seen server = {0};
    struct net_seen good;
    struct rng rng = rng_new(7, "raw bytes");
    net_pair_open(&pair);
    struct net_socket *router = net_pair_router(&pair, BOTH, FRAME_MAX, net_seen_receive, &server);
    struct net_socket *dealer = net_pair_dealer(&pair, router, &pair.worker, FRAME_MAX, &good);
    net_pair_run_until(&pair, &good.is_connected);
    for (size_t i = 0; i < 200; i++) {
        uint8_t bytes[512];
        int fd = tcp_connect(net_endpoint(router));
        size_t len = 1 + (size_t)rng_below(&rng, sizeof bytes);
        for (size_t k = 0; k < len; k++)
            bytes[k] = (uint8_t)rng_u32(&rng);
        if (i % 4 == 0)
            (void)!send(fd, plain, sizeof plain - 1, MSG_NOSIGNAL);
        (void)!send(fd, bytes, len, MSG_NOSIGNAL);
        close(fd);
        dealer_send(dealer, "on we go", 8);
        net_pair_run_until_count(&pair, &server.frames, i + 1);
    }
    assert_int_equal(good.changes, 1);
    assert_int_equal(net_counts(pair.server_net).frames_refused, 0);
    net_pair_close(&pair);
}

/* ---- peers that are gone, silent, or come back ---- */

static void test_vanished_peer_is_not_found(void **state)
{
    (void)state;
    struct net_pair pair;
    struct net_seen server = {0};
    struct net_seen seen;
    struct err err = {0};
    net_pair_open(&pair);
    struct net_socket *router = net_pair_router(&pair, BOTH, FRAME_MAX, net_seen_receive, &server);
    struct net_socket *dealer = net_pair_dealer(&pair, router, &pair.worker, FRAME_MAX, &seen);
    net_pair_run_until(&pair, &seen.is_connected);
    dealer_send(dealer, "x", 1);
    net_pair_run_until_count(&pair, &server.frames, 1);
    assert_int_equal(net_router_send(router, &server.peer, "y", 1, &err), ERR_OK);
    net_pair_run_until_count(&pair, &seen.frames, 1);
    net_socket_free(dealer);
    enum err_code rc = ERR_OK;
    for (int i = 0; i < 90000 && rc == ERR_OK; i++) {
        uv_run(&pair.loop, UV_RUN_NOWAIT);
        usleep(1000);
        rc = net_router_send(router, &server.peer, "y", 1, &err);
    }
    assert_int_equal(rc, ERR_NOT_FOUND);
    struct net_peer nobody = {{9, 9, 9, 9, 9}, 5};
    assert_int_equal(net_router_send(router, &nobody, "y", 1, &err), ERR_NOT_FOUND);
    net_pair_close(&pair);
}

/* A peer that does not read fills its queue: said, not swallowed, and nobody blocks. */
static void test_peer_that_does_not_read_is_a_limit(void **state)
{
    (void)state;
    struct net_pair pair;
    struct net_seen server = {0};
    struct net_pair deaf;
    struct net_seen seen;
    struct err err = {0};
    static uint8_t frame[FRAME_MAX];
    net_pair_open(&pair);
    net_pair_open(&deaf);
    struct net_socket *router = net_pair_router(&pair, BOTH, FRAME_MAX, net_seen_receive, &server);
    deaf.server = pair.server;
    struct net_socket *dealer = net_pair_dealer(&deaf, router, &pair.worker, FRAME_MAX, &seen);
    for (int i = 0; i < 900000 && !seen.is_connected; i++) { /* two loops in one thread */
        uv_run(&deaf.loop, UV_RUN_NOWAIT);
        uv_run(&pair.loop, UV_RUN_NOWAIT);
        usleep(100);
    }
    dealer_send(dealer, "x", 1);
    net_pair_run_until_count(&pair, &server.frames, 1);
    size_t sent = 0;
    while (sent < 100000 &&
           net_router_send(router, &server.peer, frame, sizeof frame, &err) == ERR_OK)
        sent++;
    assert_int_equal(err.code, ERR_LIMIT);
    assert_true(sent >= 256);
    net_pair_close(&deaf);
    net_pair_close(&pair);
}

static void test_reconnection_is_another_peer(void **state)
{
    (void)state;
    struct net_pair pair;
    struct net_seen server = {0};
    struct net_seen seen;
    struct err err = {0};
    net_pair_open(&pair);
    struct net_socket *router = net_pair_router(&pair, BOTH, FRAME_MAX, net_seen_receive, &server);
    struct net_socket *dealer = net_pair_dealer(&pair, router, &pair.worker, FRAME_MAX, &seen);
    net_pair_run_until(&pair, &seen.is_connected);
    dealer_send(dealer, "x", 1);
    net_pair_run_until_count(&pair, &server.frames, 1);
    struct net_peer before = server.peer;
    char endpoint[256];
    snprintf(endpoint, sizeof endpoint, "%s", net_endpoint(router));
    net_socket_free(router);
    net_pair_run_until(&pair, &seen.has_trouble);
    assert_string_equal(seen.text, "the connection broke");
    assert_int_equal(net_dealer_send(dealer, "stale", 5, &err), ERR_NOT_FOUND);
    const struct net_router_options again = {.endpoint = endpoint,
                                             .server = &pair.server,
                                             .roles = BOTH,
                                             .frame_bytes_max = FRAME_MAX,
                                             .receive = net_seen_receive,
                                             .ctx = &server};
    while (net_router_new(pair.server_net, &again, &router, &err) != ERR_OK) {
        assert_int_equal(err.code, ERR_CONFLICT); /* the old one is still closing */
        uv_run(&pair.loop, UV_RUN_NOWAIT);
    }
    net_pair_run_until(&pair, &seen.is_connected);
    dealer_send(dealer, "fresh", 5);
    net_pair_run_until_count(&pair, &server.frames, 2);
    assert_int_equal(server.last_len, 5); /* what was sent in between did not wait in a queue */
    assert_true(before.len != server.peer.len ||
                memcmp(before.id, server.peer.id, before.len) != 0);
    assert_int_equal(net_router_send(router, &before, "y", 1, &err), ERR_NOT_FOUND);
    net_pair_close(&pair);
}

static void test_nobody_listens_is_said(void **state)
{
    (void)state;
    struct net_pair pair;
    struct net_seen server = {0};
    struct net_seen seen;
    net_pair_open(&pair);
    struct net_socket *router = net_pair_router(&pair, BOTH, FRAME_MAX, net_seen_receive, &server);
    struct net_socket *free_port =
        net_pair_router(&pair, BOTH, FRAME_MAX, net_seen_receive, &server);
    struct net_socket *dealer = net_pair_dealer(&pair, free_port, &pair.worker, FRAME_MAX, &seen);
    net_socket_free(free_port);
    net_pair_run_until(&pair, &seen.has_trouble);
    while (!strstr(seen.text, "nobody listens"))
        net_pair_run_until_count(&pair, &seen.changes, seen.changes + 1);
    (void)router;
    net_socket_free(dealer);
    net_pair_close(&pair);
}

/* ---- closing ---- */

struct closer {
    struct net_socket *victim;
    size_t frames;
};

static void close_victim(void *ctx, const struct net_peer *peer, enum net_role role,
                         const char *user, const uint8_t *bytes, size_t len)
{
    struct closer *closer = ctx;
    (void)peer;
    (void)role;
    (void)user;
    (void)bytes;
    (void)len;
    closer->frames++;
    if (closer->victim)
        net_socket_free(closer->victim);
    closer->victim = NULL;
}

static void test_a_callback_may_close_its_own_or_another_socket(void **state)
{
    (void)state;
    for (int own = 0; own < 2; own++) {
        struct net_pair pair;
        struct net_seen other = {0};
        struct net_seen a;
        struct net_seen b;
        struct closer closer = {0};
        net_pair_open(&pair);
        struct net_socket *second =
            net_pair_router(&pair, BOTH, FRAME_MAX, net_seen_receive, &other);
        struct net_socket *first = net_pair_router(&pair, BOTH, FRAME_MAX, close_victim, &closer);
        closer.victim = own ? first : second;
        struct net_socket *to_first = net_pair_dealer(&pair, first, &pair.worker, FRAME_MAX, &a);
        struct net_socket *to_second = net_pair_dealer(&pair, second, &pair.client, FRAME_MAX, &b);
        net_pair_run_until(&pair, &a.is_connected);
        net_pair_run_until(&pair, &b.is_connected);
        for (int i = 0; i < 10; i++) {
            dealer_send(to_first, "x", 1);
            dealer_send(to_second, "x", 1);
        }
        net_pair_run_until_count(&pair, &closer.frames, own ? 1 : 10);
        usleep(20000);
        uv_run(&pair.loop, UV_RUN_NOWAIT);
        if (own)
            assert_int_equal(closer.frames, 1); /* no callback after the free */
        net_pair_close(&pair);
    }
}

/* A worker that reconnects closes a dealer and opens the next one, often into the memory that the
 * first one has just given back. */
static void test_the_next_dealer_may_lie_where_the_last_one_lay(void **state)
{
    (void)state;
    struct net_pair pair;
    struct net_seen server = {0};
    struct net_seen seen;
    net_pair_open(&pair);
    struct net_socket *router = net_pair_router(&pair, BOTH, FRAME_MAX, net_seen_receive, &server);
    for (int i = 0; i < 200; i++) {
        net_socket_free(net_pair_dealer(&pair, router, &pair.worker, FRAME_MAX, &seen));
        for (int turn = 0; turn < 3; turn++)
            uv_run(&pair.loop, UV_RUN_NOWAIT);
    }
    net_pair_close(&pair);
}

static void test_close_without_ever_running(void **state)
{
    (void)state;
    struct net_pair pair;
    struct net_seen server = {0};
    struct net_seen seen;
    net_pair_open(&pair);
    struct net_socket *router = net_pair_router(&pair, BOTH, FRAME_MAX, net_seen_receive, &server);
    net_pair_dealer(&pair, router, &pair.worker, FRAME_MAX, &seen);
    net_pair_close(&pair);
}

static void test_bad_endpoints_are_errors(void **state)
{
    (void)state;
    struct net_pair pair;
    struct net_seen seen = {0};
    struct net_socket *socket;
    struct err err;
    net_pair_open(&pair);
    struct net_socket *taken = net_pair_router(&pair, BOTH, FRAME_MAX, net_seen_receive, &seen);
    struct net_router_options router = {.endpoint = net_endpoint(taken),
                                        .server = &pair.server,
                                        .roles = BOTH,
                                        .frame_bytes_max = FRAME_MAX,
                                        .receive = net_seen_receive,
                                        .ctx = &seen};
    assert_int_equal(net_router_new(pair.server_net, &router, &socket, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "listen at 'tcp://127.0.0.1:"));
    router.endpoint = "nonsense";
    assert_int_not_equal(net_router_new(pair.server_net, &router, &socket, &err), ERR_OK);
    struct net_dealer_options dealer = {.endpoint = "nonsense",
                                        .server = &pair.server.public_key,
                                        .own = &pair.worker,
                                        .frame_bytes_max = FRAME_MAX,
                                        .receive = net_seen_receive,
                                        .ctx = &seen};
    assert_int_equal(net_dealer_new(pair.client_net, &dealer, &socket, &err), ERR_INVALID);
    struct net_public_key broken = {"not a key"};
    dealer.endpoint = net_endpoint(taken);
    dealer.server = &broken;
    assert_int_equal(net_dealer_new(pair.client_net, &dealer, &socket, &err), ERR_INVALID);
    net_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_dealers_lose_nothing),
        cmocka_unit_test(test_a_turn_ends_by_the_clock),
        cmocka_unit_test(test_frames_are_taken_while_something_else_is_waited_for),
        cmocka_unit_test(test_a_paused_socket_keeps_its_frames),
        cmocka_unit_test(test_only_allowed_keys_and_roles_connect),
        cmocka_unit_test(test_wrong_server_key_is_said),
        cmocka_unit_test(test_revoked_key_loses_its_open_connection),
        cmocka_unit_test(test_key_allowed_later_gets_in),
        cmocka_unit_test(test_allow_checks_its_arguments),
        cmocka_unit_test(test_huge_frame_drops_only_its_sender),
        cmocka_unit_test(test_who_names_itself_is_refused),
        cmocka_unit_test(test_multi_part_frames_are_refused),
        cmocka_unit_test(test_raw_bytes_disturb_nobody),
        cmocka_unit_test(test_vanished_peer_is_not_found),
        cmocka_unit_test(test_peer_that_does_not_read_is_a_limit),
        cmocka_unit_test(test_reconnection_is_another_peer),
        cmocka_unit_test(test_nobody_listens_is_said),
        cmocka_unit_test(test_a_callback_may_close_its_own_or_another_socket),
        cmocka_unit_test(test_the_next_dealer_may_lie_where_the_last_one_lay),
        cmocka_unit_test(test_close_without_ever_running),
        cmocka_unit_test(test_bad_endpoints_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
