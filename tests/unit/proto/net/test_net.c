/* proto/net: nothing is lost or reordered between honest ends; what is gone is said to be gone;
 * closing leaves no handle and no memory (asan). Who is refused: test_net_refusals.c. */
#include "cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net_pair.h"

#define FRAME_MAX 4096
#define BOTH      (NET_WORKER | NET_CLIENT)

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
        net_pair_send(echo->socket, &echo->sent, sizeof echo->sent);
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
    AWAIT(&pair.loop, echoes[0].done >= ECHO_FRAMES);
    AWAIT(&pair.loop, echoes[1].done >= ECHO_FRAMES);
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
    dealer = net_pair_dial(&pair, router, &pair.worker, FRAME_MAX, &seen);
    uv_check_init(&pair.loop, &slow.turn);
    slow.turn.data = &slow;
    uv_check_start(&slow.turn, on_slow_turn);
    for (uint32_t i = 0; i < FRAMES; i++)
        net_pair_send(dealer, &i, sizeof i);
    AWAIT(&pair.loop, slow.received >= FRAMES);
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
    bool waits; /* the first frame does */
};

/* The first frame takes those behind it itself, until what it waits for has happened. */
static void inner_frame(void *ctx, const struct net_peer *peer, enum net_role role,
                        const char *user, const uint8_t *bytes, size_t len)
{
    struct inner *inner = ctx;
    net_seen_receive(&inner->seen, peer, role, user, bytes, len);
    if (inner->seen.frames == inner->until)
        assert_int_equal(write(inner->ends[1], MARK, sizeof MARK), sizeof MARK);
    if (inner->seen.frames == 1 && inner->waits) {
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
    struct inner inner = {.until = UNTIL, .waits = true};
    char mark[sizeof MARK];
    assert_int_equal(pipe(inner.ends), 0);
    net_pair_open(&pair);
    inner.router = net_pair_router(&pair, NET_WORKER, FRAME_MAX, inner_frame, &inner);
    struct net_socket *dealer =
        net_pair_dial(&pair, inner.router, &pair.worker, FRAME_MAX, &client);
    for (uint8_t i = 1; i <= FRAMES; i++)
        net_pair_send(dealer, &i, 1);
    AWAIT(&pair.loop, inner.seen.frames >= FRAMES);
    assert_int_equal(inner.taken, UNTIL); /* and not one more */
    assert_int_equal(inner.seen.last_byte, FRAMES);
    assert_int_equal(read(inner.ends[0], mark, sizeof mark), sizeof mark);
    close(inner.ends[0]);
    close(inner.ends[1]);
    net_pair_close(&pair);
}

/* Somebody who connects while the server waits, on a thread of his own: his first frame is what it
 * waits for. */
struct newcomer {
    const struct net_pair *pair;
    const char *endpoint;
    struct net_seen seen;
    int ticks;
    int mark; /* the wait's end, should he stay outside */
};

static void newcomer_tick(uv_timer_t *timer)
{
    ((struct newcomer *)timer->data)->ticks++;
}

static void *newcomer_comes(void *ctx)
{
    struct newcomer *n = ctx;
    struct net_dealer_options options = {.endpoint = n->endpoint,
                                         .server = &n->pair->server.public_key,
                                         .own = &n->pair->worker,
                                         .frame_bytes_max = FRAME_MAX,
                                         .receive = net_seen_receive,
                                         .status = net_seen_status,
                                         .ctx = &n->seen};
    struct net *net;
    struct net_socket *dealer;
    struct err err;
    uv_loop_t loop;
    uv_timer_t timer;
    uv_loop_init(&loop);
    uv_timer_init(&loop, &timer);
    timer.data = n;
    uv_timer_start(&timer, newcomer_tick, 20, 20);
    bool sent = false;
    if (net_new(&loop, &net, &err) == ERR_OK &&
        net_dealer_new(net, &options, &dealer, &err) == ERR_OK) {
        while (!n->seen.is_connected && n->ticks < 4500)
            uv_run(&loop, UV_RUN_ONCE);
        sent = n->seen.is_connected && net_dealer_send(dealer, "x", 1, &err) == ERR_OK;
    }
    if (!sent)
        (void)!write(n->mark, MARK, sizeof MARK);
    net_free(net, NULL, NULL);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return NULL;
}

static void test_who_connects_during_a_wait_is_let_in(void **state)
{
    (void)state;
    struct net_pair pair;
    struct inner inner = {.until = 1};
    struct newcomer newcomer = {.pair = &pair};
    pthread_t thread;
    assert_int_equal(pipe(inner.ends), 0);
    net_pair_open(&pair);
    inner.router = net_pair_router(&pair, NET_WORKER, FRAME_MAX, inner_frame, &inner);
    newcomer.endpoint = net_endpoint(inner.router);
    newcomer.mark = inner.ends[1];
    assert_int_equal(pthread_create(&thread, NULL, newcomer_comes, &newcomer), 0);
    net_router_take_until(inner.router, inner.ends[0]);
    assert_int_equal(inner.seen.frames, 1);
    pthread_join(thread, NULL);
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
    struct net_socket *dealer = net_pair_dial(&pair, router, &pair.worker, FRAME_MAX, &client);
    net_socket_pause(router, true);
    for (uint8_t i = 1; i <= FRAMES; i++)
        net_pair_send(dealer, &i, 1);
    struct net_seen second;
    struct net_socket *fresh = net_pair_dial(&pair, other, &pair.worker, FRAME_MAX, &second);
    net_pair_send(fresh, "x", 1);
    AWAIT(&pair.loop, server.frames >= 1); /* the other one works */
    for (int i = 0; i < 50; i++)
        uv_run(&pair.loop, UV_RUN_NOWAIT);
    net_router_take(router, 1000);
    assert_int_equal(server.frames, 1);
    net_socket_pause(router, false);
    AWAIT_BY(net_router_take(router, 1000), server.frames > 1); /* also without the loop */
    AWAIT(&pair.loop, server.frames >= 1 + FRAMES);
    assert_int_equal(server.last_byte, FRAMES);
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
    struct net_socket *dealer = net_pair_dial(&pair, router, &pair.worker, FRAME_MAX, &seen);
    net_pair_send(dealer, "x", 1);
    AWAIT(&pair.loop, server.frames >= 1);
    assert_int_equal(net_router_send(router, &server.peer, "y", 1, &err), ERR_OK);
    AWAIT(&pair.loop, seen.frames >= 1);
    net_socket_free(dealer);
    AWAIT(&pair.loop, net_router_send(router, &server.peer, "y", 1, &err) != ERR_OK);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    struct net_peer nobody = {{9, 9, 9, 9, 9}, 5};
    assert_int_equal(net_router_send(router, &nobody, "y", 1, &err), ERR_NOT_FOUND);
    net_pair_close(&pair);
}

/* Two loops in one thread. */
static void turn_both(struct net_pair *one, struct net_pair *other)
{
    uv_run(&one->loop, UV_RUN_NOWAIT);
    uv_run(&other->loop, UV_RUN_NOWAIT);
    usleep(100);
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
    AWAIT_BY(turn_both(&deaf, &pair), seen.is_connected);
    net_pair_send(dealer, "x", 1);
    AWAIT(&pair.loop, server.frames >= 1);
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
    struct net_socket *dealer = net_pair_dial(&pair, router, &pair.worker, FRAME_MAX, &seen);
    net_pair_send(dealer, "x", 1);
    AWAIT(&pair.loop, server.frames >= 1);
    struct net_peer before = server.peer;
    char endpoint[256];
    snprintf(endpoint, sizeof endpoint, "%s", net_endpoint(router));
    net_socket_free(router);
    AWAIT(&pair.loop, seen.has_trouble);
    assert_string_equal(seen.text, "the connection broke");
    assert_int_equal(net_dealer_send(dealer, "stale", 5, &err), ERR_NOT_FOUND);
    const struct net_router_options again = {.endpoint = endpoint,
                                             .server = &pair.server,
                                             .roles = BOTH,
                                             .frame_bytes_max = FRAME_MAX,
                                             .receive = net_seen_receive,
                                             .ctx = &server};
    enum err_code rc = ERR_CONFLICT; /* while the old one is closing */
    AWAIT(&pair.loop,
          (rc = net_router_new(pair.server_net, &again, &router, &err)) != ERR_CONFLICT);
    assert_int_equal(rc, ERR_OK);
    AWAIT(&pair.loop, seen.is_connected);
    net_pair_send(dealer, "fresh", 5);
    AWAIT(&pair.loop, server.frames >= 2);
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
    AWAIT(&pair.loop, seen.has_trouble);
    AWAIT(&pair.loop, strstr(seen.text, "nobody listens"));
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
        AWAIT(&pair.loop, a.is_connected);
        AWAIT(&pair.loop, b.is_connected);
        for (int i = 0; i < 10; i++) {
            net_pair_send(to_first, "x", 1);
            net_pair_send(to_second, "x", 1);
        }
        AWAIT(&pair.loop, closer.frames >= (own ? 1 : 10));
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
        cmocka_unit_test(test_who_connects_during_a_wait_is_let_in),
        cmocka_unit_test(test_a_paused_socket_keeps_its_frames),
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
