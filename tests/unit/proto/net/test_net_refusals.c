/* proto/net: strangers, wrong roles, revoked keys, huge or multi-part frames and raw bytes get
 * nowhere and disturb nobody. */
#include "cmocka_all.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <zmq.h>

#include "net_pair.h"
#include "rng.h"

#define FRAME_MAX 4096
#define BOTH      (NET_WORKER | NET_CLIENT)

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
            AWAIT(&pair.loop, seen.changes >= 1);
            assert_int_equal(seen.is_connected, allowed[k]);
            assert_int_equal(net_dealer_is_refused(dealer), !allowed[k]);
            if (allowed[k]) {
                size_t before = server.frames;
                net_pair_send(dealer, "x", 1);
                AWAIT(&pair.loop, server.frames >= before + 1);
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
    AWAIT(&pair.loop, seen.changes >= 1);
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
    AWAIT(&pair.loop, seen.is_connected);
    AWAIT(&pair.loop, other.is_connected);
    net_pair_send(worker, "1", 1);
    AWAIT(&pair.loop, server.frames >= 1);
    net_revoke(pair.server_net, &pair.worker.public_key);
    net_pair_send(worker, "2", 1);
    net_pair_send(client, "3", 1);
    AWAIT(&pair.loop, server.frames >= 2);
    assert_string_equal(server.user, "client-key");
    AWAIT(&pair.loop, net_counts(pair.server_net).frames_refused >= 1);
    assert_int_equal(server.frames, 2);
    /* and does not get a new one */
    net_socket_free(worker);
    net_pair_dealer(&pair, router, &pair.worker, FRAME_MAX, &seen);
    AWAIT(&pair.loop, seen.has_trouble);
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
    AWAIT(&pair.loop, seen.has_trouble);
    assert_int_equal(
        net_allow(pair.server_net, &pair.stranger.public_key, NET_WORKER, "late", &err), ERR_OK);
    AWAIT(&pair.loop, seen.is_connected); /* libzmq alone would never try again */
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
    AWAIT(&pair.loop, bad.is_connected);
    AWAIT(&pair.loop, good.is_connected);
    net_pair_send(bad_one, huge, FRAME_MAX); /* the largest that is allowed passes */
    AWAIT(&pair.loop, server.frames >= 1);
    assert_int_equal(server.last_len, FRAME_MAX);
    net_pair_send(bad_one, huge, sizeof huge);
    AWAIT(&pair.loop, bad.has_trouble);
    net_pair_send(good_one, "still here", 10);
    AWAIT(&pair.loop, server.frames >= 2);
    assert_int_equal(server.last_len, 10);
    assert_true(good.is_connected);
    assert_int_equal(good.changes, 1);
    AWAIT(&pair.loop, bad.is_connected); /* and it may come back, as another peer */
    struct err err;
    assert_int_equal(net_dealer_send(good_one, huge, FRAME_MAX + 1, &err), ERR_LIMIT);
    net_pair_close(&pair);
}

/* A socket of libzmq's own with the worker's key; `name`, unless empty, is what it calls itself. */
static void *raw_dealer(void *context, const struct net_pair *pair, const struct net_socket *router,
                        const char *name)
{
    const int linger_ms = 0;
    void *raw = zmq_socket(context, ZMQ_DEALER);
    zmq_setsockopt(raw, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    if (*name)
        zmq_setsockopt(raw, ZMQ_ROUTING_ID, name, strlen(name));
    zmq_setsockopt(raw, ZMQ_CURVE_SERVERKEY, pair->server.public_key.z85, 41);
    zmq_setsockopt(raw, ZMQ_CURVE_PUBLICKEY, pair->worker.public_key.z85, 41);
    zmq_setsockopt(raw, ZMQ_CURVE_SECRETKEY, pair->worker.secret_z85, 41);
    assert_int_equal(zmq_connect(raw, net_endpoint(router)), 0);
    return raw;
}

static void test_multi_part_frames_are_refused(void **state)
{
    (void)state;
    struct net_pair pair;
    struct net_seen server = {0};
    net_pair_open(&pair);
    struct net_socket *router = net_pair_router(&pair, BOTH, FRAME_MAX, net_seen_receive, &server);
    void *context = zmq_ctx_new();
    void *raw = raw_dealer(context, &pair, router, "");
    for (int i = 0; i < 10; i++) {
        for (int part = 0; part < 5; part++)
            zmq_send(raw, "part", 4, part < 4 ? ZMQ_SNDMORE : 0);
    }
    zmq_send(raw, "", 0, ZMQ_SNDMORE);
    zmq_send(raw, "after an empty delimiter", 24, 0);
    zmq_send(raw, "whole", 5, 0);
    AWAIT(&pair.loop, server.frames >= 1);
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
    net_pair_open(&pair);
    struct net_socket *router = net_pair_router(&pair, BOTH, FRAME_MAX, net_seen_receive, &server);
    void *context = zmq_ctx_new();
    void *raw[sizeof names / sizeof *names];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        raw[i] = raw_dealer(context, &pair, router, names[i]);
        zmq_send(raw[i], "frame", 5, 0);
    }
    struct net_socket *dealer = net_pair_dial(&pair, router, &pair.client, FRAME_MAX, &good);
    for (int i = 0; i < 500 && net_counts(pair.server_net).frames_refused < 4; i++) {
        const size_t before = server.frames;
        net_pair_send(dealer, "still here", 10);
        AWAIT(&pair.loop, server.frames >= before + 1);
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
    struct net_socket *dealer = net_pair_dial(&pair, router, &pair.worker, FRAME_MAX, &good);
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
        net_pair_send(dealer, "on we go", 8);
        AWAIT(&pair.loop, server.frames >= i + 1);
    }
    assert_int_equal(good.changes, 1);
    assert_int_equal(net_counts(pair.server_net).frames_refused, 0);
    net_pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_allowed_keys_and_roles_connect),
        cmocka_unit_test(test_wrong_server_key_is_said),
        cmocka_unit_test(test_revoked_key_loses_its_open_connection),
        cmocka_unit_test(test_key_allowed_later_gets_in),
        cmocka_unit_test(test_allow_checks_its_arguments),
        cmocka_unit_test(test_huge_frame_drops_only_its_sender),
        cmocka_unit_test(test_multi_part_frames_are_refused),
        cmocka_unit_test(test_who_names_itself_is_refused),
        cmocka_unit_test(test_raw_bytes_disturb_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
