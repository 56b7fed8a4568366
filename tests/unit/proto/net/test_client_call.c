/* proto/net/client_call: a reply reaches its request whatever is lost or doubled, errors keep their
 * code, and each way of not getting an answer is told apart. The coordinator's side runs on a
 * thread with a loop of its own. */
#include "cmocka_all.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bounds.h"
#include "client_call.h"
#include "codec.h"
#include "file.h"
#include "net_pair.h"
#include "scripted_store.h"

struct server {
    struct net_pair pair;
    struct net_socket *control;
    struct scripted_store store;
    uv_async_t stop;
    pthread_t thread;
    atomic_size_t requests;
    atomic_size_t ignore; /* this many requests stay without an answer */
};

static void reply_with(struct server *s, const struct net_peer *peer, const struct msg *m)
{
    struct strbuf frame = {0};
    struct err err;
    assert_int_equal(codec_encode(m, FRAME_BYTES_MAX, &frame, &err), ERR_OK);
    enum err_code rc = net_router_send(s->control, peer, frame.data, frame.len, &err);
    /* Who has its answer may be gone before it comes once more. */
    assert_true(rc == ERR_OK || rc == ERR_NOT_FOUND);
    strbuf_release(&frame);
}

/* Every request gets a stale answer first, then its own, then that once more. */
static void on_request(void *ctx, const struct net_peer *peer, enum net_role role, const char *user,
                       const uint8_t *bytes, size_t len)
{
    struct server *s = ctx;
    struct arena arena;
    struct msg m;
    struct err err;
    (void)user;
    assert_int_equal(role, NET_CLIENT);
    s->requests++;
    if (s->ignore > 0) {
        s->ignore--;
        return;
    }
    arena_init(&arena, DECODE_BUDGET_BYTES);
    assert_int_equal(codec_decode(bytes, len, "C", &arena, &m, &err), ERR_OK);
    const struct msg stale = {.kind = MSG_OK, .ok = {m.get_info.request + 1000, 0}};
    const struct msg error = {
        .kind = MSG_ERROR, .error = {m.get_info.request, ERR_CONFLICT, "it is finished already"}};
    const struct msg ok = {.kind = MSG_OK, .ok = {m.get_info.request, 42}};
    if (m.kind == MSG_STOP) {
        const uint8_t no_such_kind[] = {PROTOCOL_VERSION, 255};
        assert_int_equal(net_router_send(s->control, peer, no_such_kind, 2, &err), ERR_OK);
    } else if (m.kind == MSG_GC) {
        const uint8_t former_version[] = {PROTOCOL_VERSION - 1, MSG_OK};
        assert_int_equal(net_router_send(s->control, peer, former_version, 2, &err), ERR_OK);
    } else {
        reply_with(s, peer, &stale);
        reply_with(s, peer, m.kind == MSG_ACT ? &error : &ok);
        reply_with(s, peer, m.kind == MSG_ACT ? &error : &ok);
    }
    arena_release(&arena);
}

static void on_stop(uv_async_t *async)
{
    uv_stop(async->loop);
}

static void *serve(void *arg)
{
    struct server *s = arg;
    uv_run(&s->pair.loop, UV_RUN_DEFAULT);
    return NULL;
}

static int setup(void **state)
{
    struct server *s = calloc(1, sizeof *s);
    assert_non_null(s);
    *state = s;
    net_pair_open(&s->pair);
    s->control = net_pair_router(&s->pair, NET_CLIENT, FRAME_BYTES_MAX, on_request, s);
    s->store.router = net_pair_router(&s->pair, NET_CLIENT | NET_WORKER, FRAME_DATA_BYTES_MAX,
                                      scripted_store_receive, &s->store);
    uv_async_init(&s->pair.loop, &s->stop, on_stop);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    return 0;
}

static int teardown(void **state)
{
    struct server *s = *state;
    uv_async_send(&s->stop);
    pthread_join(s->thread, NULL);
    uv_close((uv_handle_t *)&s->stop, NULL);
    net_pair_close(&s->pair);
    scripted_store_release(&s->store);
    free(s);
    return 0;
}

static void fill_access(const struct server *s, const struct net_key_pair *own,
                        struct net_access *access)
{
    memset(access, 0, sizeof *access);
    snprintf(access->role, sizeof access->role, "client");
    snprintf(access->endpoint, sizeof access->endpoint, "%s", net_endpoint(s->control));
    snprintf(access->data_endpoint, sizeof access->data_endpoint, "%s",
             net_endpoint(s->store.router));
    access->server = s->pair.server.public_key;
    access->own = *own;
}

static const struct msg get_info = {.kind = MSG_GET_INFO, .get_info = {0}};

static void test_calls_get_their_own_reply(void **state)
{
    struct server *s = *state;
    struct net_access access;
    struct client *client;
    struct err err = {0};
    fill_access(s, &s->pair.client, &access);
    assert_int_equal(client_open(&access, NULL, &client, &err), ERR_OK);
    for (int i = 0; i < 50; i++) {
        struct arena arena = {0};
        struct msg reply;
        if (client_call(client, &get_info, 0, &arena, &reply, &err) != ERR_OK)
            fail_msg("%s", err.text);
        assert_int_equal(reply.kind, MSG_OK);
        assert_int_equal(reply.ok.count, 42);
        assert_int_equal(reply.ok.request, i + 1);
        arena_release(&arena);
    }
    assert_int_equal(s->requests, 50);
    client_close(client);
}

static void test_lost_request_is_repeated(void **state)
{
    struct server *s = *state;
    struct net_access access;
    struct client *client;
    struct arena arena = {0};
    struct msg reply;
    struct err err = {0};
    s->ignore = 1;
    fill_access(s, &s->pair.client, &access);
    assert_int_equal(client_open(&access, NULL, &client, &err), ERR_OK);
    assert_int_equal(client_call(client, &get_info, 0, &arena, &reply, &err), ERR_OK);
    assert_int_equal(s->requests, 2);
    arena_release(&arena);
    client_close(client);
}

static void test_errors_keep_their_code(void **state)
{
    struct server *s = *state;
    struct net_access access;
    struct client *client;
    struct arena arena = {0};
    struct msg reply;
    struct err err = {0};
    const struct msg act = {.kind = MSG_ACT, .act = {.experiment = "e", .reason = "r"}};
    const struct msg stop = {.kind = MSG_STOP};
    const struct msg gc = {.kind = MSG_GC};
    static char long_name[NAME_BYTES_MAX + 2];
    memset(long_name, 'n', sizeof long_name - 1);
    const struct msg too_long = {.kind = MSG_GET_STATUS, .get_status = {.experiment = long_name}};
    fill_access(s, &s->pair.client, &access);
    assert_int_equal(client_open(&access, NULL, &client, &err), ERR_OK);
    assert_int_equal(client_call(client, &act, 0, &arena, &reply, &err), ERR_CONFLICT);
    assert_string_equal(err.text, "it is finished already");
    assert_int_equal(client_call(client, &stop, 0, &arena, &reply, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, "read the reply"));
    assert_int_equal(client_call(client, &gc, 0, &arena, &reply, &err), ERR_VERSION);
    assert_non_null(strstr(err.text, "of another version of Triad"));
    assert_int_equal(client_call(client, &too_long, 0, &arena, &reply, &err), ERR_LIMIT);
    arena_release(&arena);
    client_close(client);
}

static void test_no_answer_is_told_apart(void **state)
{
    struct server *s = *state;
    struct net_access access;
    struct client *client;
    struct arena arena = {0};
    struct msg reply;
    struct err err = {0};
    fill_access(s, &s->pair.stranger, &access);
    assert_int_equal(client_open(&access, NULL, &client, &err), ERR_OK);
    assert_int_equal(client_call(client, &get_info, 0, &arena, &reply, &err), ERR_DENIED);
    assert_non_null(strstr(err.text, "does not know this key"));
    client_close(client);

    fill_access(s, &s->pair.client, &access);
    snprintf(access.endpoint, sizeof access.endpoint, "tcp://127.0.0.1:1");
    assert_int_equal(client_open(&access, NULL, &client, &err), ERR_OK);
    /* A busy machine may not have been refused within a short time: then a longer one. */
    int patience_ms = 300;
    do {
        assert_int_equal(client_call(client, &get_info, patience_ms, &arena, &reply, &err),
                         ERR_UNAVAILABLE);
        patience_ms *= 4;
    } while (!strstr(err.text, "nobody listens") && patience_ms < 60000);
    assert_non_null(strstr(err.text, "no answer from tcp://127.0.0.1:1 in "));
    assert_non_null(strstr(err.text, " s: nobody listens at tcp://127.0.0.1:1: is the coordinator "
                                     "running?"));
    client_close(client);

    s->ignore = 100;
    fill_access(s, &s->pair.client, &access);
    assert_int_equal(client_open(&access, NULL, &client, &err), ERR_OK);
    assert_int_equal(client_call(client, &get_info, 300, &arena, &reply, &err), ERR_UNAVAILABLE);
    assert_null(strstr(err.text, "nobody listens"));
    client_close(client);
    arena_release(&arena);
}

static void test_refused_key_is_said_on_every_call(void **state)
{
    struct server *s = *state;
    struct net_access access;
    struct client *client;
    struct arena arena = {0};
    struct msg reply;
    struct err err = {0};
    fill_access(s, &s->pair.stranger, &access);
    assert_int_equal(client_open(&access, NULL, &client, &err), ERR_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(client_call(client, &get_info, 0, &arena, &reply, &err), ERR_DENIED);
    client_close(client);
    arena_release(&arena);
}

static void test_transfers_block_until_done(void **state)
{
    struct server *s = *state;
    struct net_access access;
    struct client *client;
    struct err err = {0};
    char folder[] = "/tmp/triad-call-XXXXXX";
    char path[128];
    char cache[128];
    struct digest digest = hash_bytes("content", 7);
    struct digest absent = {{3}};
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
    snprintf(cache, sizeof cache, "%s/cache", folder);
    assert_int_equal(file_write_atomic(path, "content", 7, 0644, &err), ERR_OK);
    fill_access(s, &s->pair.client, &access);
    assert_int_equal(client_open(&access, cache, &client, &err), ERR_OK);
    if (client_put_file(client, &digest, path, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(client_get_tree(client, &absent, &err), ERR_NOT_FOUND);
    assert_int_equal(client_get_tree(client, &digest, &err),
                     ERR_INVALID); /* it came; it is no tree */
    client_close(client);
    assert_int_equal(file_remove_tree(folder, &err), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_calls_get_their_own_reply, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_request_is_repeated, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors_keep_their_code, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_answer_is_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_key_is_said_on_every_call, setup, teardown),
        cmocka_unit_test_setup_teardown(test_transfers_block_until_done, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
