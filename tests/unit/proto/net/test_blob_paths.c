/* The way of a blob from another worker (proto/net/blob_serve, or a scripted one that breaks off,
 * is busy, or lies). Whatever happens on the way, the blob arrives whole, and the coordinator sends
 * no more than what was missing. */
#include "cmocka_all.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blob_cache.h"
#include "blob_world.h"
#include "bounds.h"
#include "codec.h"

static void test_a_blob_comes_from_another_worker(void **state)
{
    struct blob_world *f = *state;
    struct ending e;
    serve_it(f);
    begin(f, &e);
    end_well(f, &e);
    assert_int_equal(f->coordinator.reads, 0);
    assert_int_equal(blob_client_traffic(f->client).peer_bytes, LEN);
    assert_int_equal(blob_client_traffic(f->client).coordinator_bytes, 0);
    assert_int_equal(blob_serve_bytes(f->serve), LEN);
}

/* Its key is revoked in the middle: not one more chunk. (Coordinator and worker share a net here,
 * so both refuse it.) */
static void test_a_revoked_key_reads_no_further(void **state)
{
    struct blob_world *f = *state;
    struct ending e;
    serve_it(f);
    begin(f, &e);
    AWAIT(&f->pair.loop, blob_serve_bytes(f->serve) >= LEN / 4);
    blob_serve_allow(f->serve, NULL, 0);
    const uint64_t sent = blob_serve_bytes(f->serve);
    for (int i = 0; i < 100; i++)
        uv_run(&f->pair.loop, UV_RUN_NOWAIT);
    assert_int_equal(blob_serve_bytes(f->serve), sent);
    assert_false(e.is_over);
}

static void test_a_worker_that_breaks_off_is_left_at_the_same_byte(void **state)
{
    struct blob_world *f = *state;
    struct ending e;
    struct scripted_store *first = add_peer(f), *second = add_peer(f);
    begin(f, &e);
    AWAIT(&f->pair.loop, first->reads >= CHUNKS / 4);
    net_socket_free(first->router); /* it died */
    AWAIT(&f->pair.loop, second->reads >= CHUNKS / 4);
    net_socket_free(second->router);
    end_well(f, &e);
    const uint64_t from_workers = blob_client_traffic(f->client).peer_bytes;
    took(f, LEN - from_workers); /* no byte twice */
    assert_in_range(from_workers, (CHUNKS / 2 - 2 * BLOB_CHUNKS_IN_FLIGHT) * BLOB_CHUNK_BYTES,
                    LEN - 1);
    assert_int_equal(f->coordinator.accused_count, 0);
}

static void test_a_silent_worker_is_left(void **state)
{
    struct blob_world *f = *state;
    struct ending e;
    struct scripted_store *peer = add_peer(f);
    peer->breaks_after_reads = CHUNKS / 2;
    begin(f, &e);
    end_well(f, &e);
    const uint64_t from_worker = blob_client_traffic(f->client).peer_bytes;
    assert_in_range(from_worker, 1, LEN / 2);
    took(f, LEN - from_worker);
}

static void test_a_busy_worker_is_asked_again(void **state)
{
    struct blob_world *f = *state;
    struct ending e;
    struct scripted_store *peer = add_peer(f);
    peer->is_busy = true;
    begin(f, &e);
    AWAIT(&f->pair.loop, peer->refused >= BLOB_CHUNKS_IN_FLIGHT + 1);
    peer->is_busy = false;
    end_well(f, &e);
    assert_int_equal(f->coordinator.reads, 0);
    assert_true(f->coordinator.stats >= 2);
}

static void test_a_liar_is_named_and_not_asked_again(void **state)
{
    struct blob_world *f = *state;
    struct ending e;
    struct scripted_store *liar = add_peer(f), *second = add_peer(f);
    const struct digest key = f->sources[0].server_key;
    liar->lies = true;
    begin(f, &e);
    end_well(f, &e);
    assert_int_equal(f->coordinator.reads, 0); /* the other worker had it, too */
    assert_true(second->reads >= CHUNKS);
    assert_int_equal(blob_client_traffic(f->client).peer_bytes, 2 * LEN);
    AWAIT(&f->pair.loop, f->coordinator.accused_count >= 1);
    assert_true(digest_equal(&f->coordinator.accused[0], &key));
    const size_t reads = liar->reads;
    struct arena arena = {0};
    assert_int_equal(unlink(blob_cache_path(f->cache, &f->digest, &arena)), 0);
    arena_release(&arena);
    begin(f, &e);
    end_well(f, &e);
    assert_int_equal(liar->reads, reads);
}

/* The liar sends a part, an honest one the rest: the honest one is not blamed. */
static void test_a_liar_among_several_is_found(void **state)
{
    struct blob_world *f = *state;
    struct ending e;
    struct scripted_store *liar = add_peer(f), *second = add_peer(f);
    const struct digest key = f->sources[0].server_key;
    liar->lies = true;
    liar->breaks_after_reads = CHUNKS / 2;
    begin(f, &e);
    end_well(f, &e);
    assert_true(second->reads > 0);
    took(f, LEN);
    AWAIT(&f->pair.loop, f->coordinator.accused_count >= 1);
    assert_int_equal(f->coordinator.accused_count, 1);
    assert_true(digest_equal(&f->coordinator.accused[0], &key));
}

static void test_a_damaged_chunk_bans_its_sender(void **state)
{
    struct blob_world *f = *state;
    struct ending e;
    struct scripted_store *peer = add_peer(f);
    peer->damages_chunks = true;
    begin(f, &e);
    end_well(f, &e);
    AWAIT(&f->pair.loop, f->coordinator.accused_count >= 1);
}

/* ---- what a worker serves ---- */

struct asked {
    struct msg answer;
    struct arena arena;
    bool is_there;
};

static void on_answer(void *ctx, const struct net_peer *peer, enum net_role role, const char *user,
                      const uint8_t *bytes, size_t len)
{
    struct asked *asked = ctx;
    struct err err;
    (void)peer;
    (void)role;
    (void)user;
    arena_release(&asked->arena);
    assert_int_equal(codec_decode(bytes, len, "DR", &asked->arena, &asked->answer, &err), ERR_OK);
    asked->is_there = true;
}

static void ask(struct blob_world *f, struct net_socket *dealer, struct asked *asked,
                struct digest digest, uint64_t offset)
{
    struct strbuf frame = {0};
    struct err err;
    const struct msg m = {.kind = MSG_BLOB_READ, .blob_read = {7, digest, offset}};
    assert_int_equal(codec_encode(&m, FRAME_DATA_BYTES_MAX, &frame, &err), ERR_OK);
    asked->is_there = false;
    AWAIT(&f->pair.loop, net_dealer_send(dealer, frame.data, frame.len, &err) == ERR_OK);
    AWAIT(&f->pair.loop, asked->is_there);
    assert_int_equal(asked->answer.kind == MSG_ERROR ? 7 : asked->answer.blob_chunk.request, 7);
    strbuf_release(&frame);
}

static struct net_socket *connect_to(struct blob_world *f, struct asked *asked)
{
    struct net_socket *dealer;
    struct net_public_key key;
    struct err err;
    const struct digest raw = blob_serve_key(f->serve);
    net_public_key_from_raw(raw.bytes, &key);
    const struct net_dealer_options options = {.endpoint = blob_serve_endpoint(f->serve),
                                               .server = &key,
                                               .own = &f->pair.worker,
                                               .frame_bytes_max = FRAME_DATA_BYTES_MAX,
                                               .receive = on_answer,
                                               .ctx = asked};
    assert_int_equal(net_dealer_new(f->pair.client_net, &options, &dealer, &err), ERR_OK);
    return dealer;
}

/* Whole blobs and nothing else; a bounded number of readers. */
static void test_what_a_worker_serves(void **state)
{
    struct blob_world *f = *state;
    const struct digest digest = f->digest;
    struct arena arena = {0};
    struct asked asked[BLOB_SERVE_UPLOADS_MAX + 1] = {{.is_there = false}};
    serve_it(f);
    struct net_socket *dealer = connect_to(f, &asked[0]);
    ask(f, dealer, &asked[0], digest, LEN - 5);
    assert_int_equal(asked[0].answer.kind, MSG_BLOB_CHUNK);
    assert_int_equal(asked[0].answer.blob_chunk.data.len, 5);
    assert_memory_equal(asked[0].answer.blob_chunk.data.data, f->bytes + LEN - 5, 5);
    ask(f, dealer, &asked[0], digest, LEN + 1);
    assert_int_equal(asked[0].answer.kind, MSG_ERROR);
    ask(f, dealer, &asked[0], (struct digest){{9}}, 0);
    assert_int_equal(asked[0].answer.error.code, ERR_NOT_FOUND);
    /* A link that somebody laid under a blob's name does not lead out of the folder. */
    struct digest link = {{8}};
    assert_int_equal(symlink("/etc/passwd", blob_cache_path(f->other, &link, &arena)), 0);
    ask(f, dealer, &asked[0], link, 0);
    assert_int_equal(asked[0].answer.error.code, ERR_NOT_FOUND);
    struct net_socket *readers[BLOB_SERVE_UPLOADS_MAX + 1];
    for (size_t i = 0; i <= BLOB_SERVE_UPLOADS_MAX; i++) {
        readers[i] = connect_to(f, &asked[i]);
        ask(f, readers[i], &asked[i], digest, 0);
        assert_int_equal(asked[i].answer.kind,
                         i < BLOB_SERVE_UPLOADS_MAX ? MSG_BLOB_CHUNK : MSG_ERROR);
    }
    assert_int_equal(asked[BLOB_SERVE_UPLOADS_MAX].answer.error.code, ERR_UNAVAILABLE);
    for (size_t i = 0; i <= BLOB_SERVE_UPLOADS_MAX; i++) {
        net_socket_free(readers[i]);
        arena_release(&asked[i].arena);
    }
    net_socket_free(dealer);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BLOB_TEST(test_a_blob_comes_from_another_worker),
        BLOB_TEST(test_a_revoked_key_reads_no_further),
        BLOB_TEST(test_a_worker_that_breaks_off_is_left_at_the_same_byte),
        BLOB_TEST(test_a_silent_worker_is_left),
        BLOB_TEST(test_a_busy_worker_is_asked_again),
        BLOB_TEST(test_a_liar_is_named_and_not_asked_again),
        BLOB_TEST(test_a_liar_among_several_is_found),
        BLOB_TEST(test_a_damaged_chunk_bans_its_sender),
        BLOB_TEST(test_what_a_worker_serves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
