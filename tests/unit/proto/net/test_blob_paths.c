/* The ways that blobs take beside the coordinator's socket: other workers (proto/net/blob_serve, or
 * a scripted one that breaks off, is busy, or lies), and the store's folder. Whatever happens on
 * the way, the blob arrives whole, and the coordinator sends no more than what was missing. */
#include "cmocka_all.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob_cache.h"
#include "blob_client.h"
#include "blob_folder.h"
#include "blob_serve.h"
#include "bounds.h"
#include "codec.h"
#include "file.h"
#include "net_pair.h"
#include "rng.h"
#include "test_store.h"

#define CHUNKS 64
#define LEN    ((size_t)CHUNKS * BLOB_CHUNK_BYTES)

struct ending {
    bool is_over;
    enum err_code code;
    struct err err;
};

struct fixture {
    struct net_pair pair;
    struct test_store coordinator, peers[2]; /* scripted workers */
    struct blob_source sources[2];
    struct msg_data_welcome welcome;
    struct digest keys[1];
    struct blob_client *client;
    struct blob_serve *serve;
    char folder[64], cache[128], other[128], store[128];
    uint8_t *bytes;
    struct digest digest;
};

static void on_done(void *ctx, enum err_code code, const struct err *err)
{
    struct ending *e = ctx;
    e->is_over = true;
    e->code = code;
    if (err)
        e->err = *err;
}

static struct digest raw_key(const struct net_public_key *key)
{
    struct digest raw;
    assert_true(net_public_key_to_raw(key, raw.bytes));
    return raw;
}

static void open_client(struct fixture *f)
{
    struct err err;
    const struct blob_client_options options = {.net = f->pair.client_net,
                                                .loop = &f->pair.loop,
                                                .endpoint = net_endpoint(f->coordinator.router),
                                                .server = &f->pair.server.public_key,
                                                .own = &f->pair.worker,
                                                .cache = f->cache,
                                                .worker = "fetcher"};
    assert_int_equal(blob_client_new(&options, &f->client, &err), ERR_OK);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    *state = f;
    net_pair_open(&f->pair);
    snprintf(f->folder, sizeof f->folder, "/tmp/triad-paths-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->cache, sizeof f->cache, "%s/cache", f->folder);
    snprintf(f->other, sizeof f->other, "%s/other", f->folder);
    snprintf(f->store, sizeof f->store, "%s/store", f->folder);
    f->coordinator.router = net_pair_router(&f->pair, NET_WORKER, FRAME_DATA_BYTES_MAX,
                                            test_store_receive, &f->coordinator);
    f->keys[0] = raw_key(&f->pair.worker.public_key);
    f->welcome = (struct msg_data_welcome){
        .keys_version = 1, .has_keys = true, .keys = f->keys, .key_count = 1, .store_folder = ""};
    f->coordinator.welcome = &f->welcome;
    f->coordinator.sources = f->sources;
    open_client(f);
    struct rng rng = rng_new(1, "paths");
    f->bytes = test_malloc(LEN);
    for (size_t i = 0; i < LEN; i += 4) {
        uint32_t word = rng_u32(&rng);
        memcpy(f->bytes + i, &word, 4);
    }
    f->digest = hash_bytes(f->bytes, LEN);
    test_store_add(&f->coordinator, f->bytes, LEN);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct err err;
    blob_client_free(f->client);
    if (f->serve)
        blob_serve_free(f->serve);
    net_pair_close(&f->pair);
    test_store_release(&f->coordinator);
    test_store_release(&f->peers[0]);
    test_store_release(&f->peers[1]);
    assert_int_equal(file_remove_tree(f->folder, &err), ERR_OK);
    test_free(f->bytes);
    free(f);
    return 0;
}

/* A scripted worker that has the blob and is named as the next source. Scripted ones share a key
 * pair, which a ban is about: give each its own. */
static struct test_store *add_peer(struct fixture *f)
{
    const size_t i = f->coordinator.source_count++;
    static const char *const names[] = {"liar", "second"};
    static struct net_key_pair pairs[2];
    struct err err;
    net_key_pair_new(&pairs[i]);
    const struct net_router_options options = {.endpoint = "tcp://127.0.0.1:*",
                                               .server = &pairs[i],
                                               .roles = NET_WORKER,
                                               .frame_bytes_max = FRAME_DATA_BYTES_MAX,
                                               .receive = test_store_receive,
                                               .ctx = &f->peers[i]};
    assert_int_equal(net_router_new(f->pair.server_net, &options, &f->peers[i].router, &err),
                     ERR_OK);
    test_store_add(&f->peers[i], f->bytes, LEN);
    f->sources[i] = (struct blob_source){names[i], net_endpoint(f->peers[i].router),
                                         raw_key(&pairs[i].public_key)};
    return &f->peers[i];
}

static void begin(struct fixture *f, struct ending *e)
{
    *e = (struct ending){0};
    blob_client_get(f->client, &f->digest, on_done, e);
}

static void end_well(struct fixture *f, struct ending *e)
{
    struct digest found;
    struct err err;
    struct arena arena = {0};
    AWAIT(&f->pair.loop, e->is_over);
    if (e->code != ERR_OK)
        fail_msg("%s", e->err.text);
    assert_int_equal(hash_file(blob_cache_path(f->cache, &f->digest, &arena), &found, &err),
                     ERR_OK);
    assert_true(digest_equal(&found, &f->digest));
    arena_release(&arena);
}

/* So many bytes came from the coordinator. What it was asked for may be more: who waits for long
 * asks again, and of a client that ended questions are under way yet. */
static void took(struct fixture *f, uint64_t bytes)
{
    assert_int_equal(blob_client_traffic(f->client).coordinator_bytes, bytes);
}

/* A real server that has the blob and lets our worker's key read it, named as the only source. */
static void serve_it(struct fixture *f)
{
    struct digest digest;
    struct err err;
    const struct blob_serve_options options = {
        .net = f->pair.server_net, .loop = &f->pair.loop, .cache = f->other, .listen = "127.0.0.1"};
    assert_int_equal(blob_cache_add_bytes(f->other, f->bytes, LEN, &digest, &err), ERR_OK);
    assert_int_equal(blob_serve_new(&options, &f->serve, &err), ERR_OK);
    blob_serve_allow(f->serve, f->keys, 1);
    f->sources[0] =
        (struct blob_source){"server", blob_serve_endpoint(f->serve), blob_serve_key(f->serve)};
    f->coordinator.source_count = 1;
}

static void test_a_blob_comes_from_another_worker(void **state)
{
    struct fixture *f = *state;
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
    struct fixture *f = *state;
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
    struct fixture *f = *state;
    struct ending e;
    struct test_store *first = add_peer(f), *second = add_peer(f);
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
    struct fixture *f = *state;
    struct ending e;
    struct test_store *peer = add_peer(f);
    peer->breaks_after_reads = CHUNKS / 2;
    begin(f, &e);
    end_well(f, &e);
    const uint64_t from_worker = blob_client_traffic(f->client).peer_bytes;
    assert_in_range(from_worker, 1, LEN / 2);
    took(f, LEN - from_worker);
}

static void test_a_busy_worker_is_asked_again(void **state)
{
    struct fixture *f = *state;
    struct ending e;
    struct test_store *peer = add_peer(f);
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
    struct fixture *f = *state;
    struct ending e;
    struct test_store *liar = add_peer(f), *second = add_peer(f);
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
    struct fixture *f = *state;
    struct ending e;
    struct test_store *liar = add_peer(f), *second = add_peer(f);
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
    struct fixture *f = *state;
    struct ending e;
    struct test_store *peer = add_peer(f);
    peer->damages_chunks = true;
    begin(f, &e);
    end_well(f, &e);
    AWAIT(&f->pair.loop, f->coordinator.accused_count >= 1);
}

/* ---- a process ends in the middle ---- */

static char *part_path(struct fixture *f, struct arena *arena)
{
    return arena_printf(arena, "%s.part", blob_cache_path(f->cache, &f->digest, arena));
}

/* The process ends when so many chunks were read, and another begins with what it left. */
static size_t end_after(struct fixture *f, struct ending *e, const size_t *reads, size_t count)
{
    struct arena arena = {0};
    struct stat status;
    begin(f, e);
    AWAIT(&f->pair.loop, *reads >= count);
    blob_client_free(f->client);
    assert_false(e->is_over);
    assert_int_equal(stat(part_path(f, &arena), &status), 0);
    arena_release(&arena);
    open_client(f);
    return (size_t)status.st_size / BLOB_CHUNK_BYTES;
}

/* Bytes of the part that was left, changed: a disk that lost power. */
static void spoil_part(struct fixture *f)
{
    struct arena arena = {0};
    FILE *file = fopen(part_path(f, &arena), "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, BLOB_CHUNK_BYTES + 5, SEEK_SET), 0);
    assert_int_equal(fwrite("lost", 1, 4, file), 4);
    assert_int_equal(fclose(file), 0);
    arena_release(&arena);
}

static void test_another_process_goes_on_with_a_part(void **state)
{
    struct fixture *f = *state;
    struct ending e;
    struct arena arena = {0};
    const size_t kept = end_after(f, &e, &f->coordinator.reads, CHUNKS / 2);
    assert_in_range(kept, 1, CHUNKS - 1);
    begin(f, &e);
    end_well(f, &e);
    took(f, (CHUNKS - kept) * BLOB_CHUNK_BYTES);
    assert_false(file_exists(part_path(f, &arena)));
    arena_release(&arena);
}

/* Nobody answered for too long, or the attempt was given up: whoever asks again goes on. */
static void test_a_cancelled_transfer_is_gone_on_with(void **state)
{
    struct fixture *f = *state;
    struct ending e;
    begin(f, &e);
    AWAIT(&f->pair.loop, f->coordinator.reads >= CHUNKS / 2);
    blob_client_cancel(f->client, &e);
    begin(f, &e);
    end_well(f, &e);
    took(f, LEN);
}

static void test_a_spoilt_part_is_fetched_anew(void **state)
{
    struct fixture *f = *state;
    struct ending e;
    const size_t kept = end_after(f, &e, &f->coordinator.reads, CHUNKS / 2);
    spoil_part(f);
    begin(f, &e);
    end_well(f, &e);
    took(f, (2 * CHUNKS - kept) * BLOB_CHUNK_BYTES);
    assert_int_equal(f->coordinator.accused_count, 0);
}

static void test_a_spoilt_part_blames_no_worker(void **state)
{
    struct fixture *f = *state;
    struct ending e;
    struct test_store *peer = add_peer(f);
    end_after(f, &e, &peer->reads, CHUNKS / 2);
    spoil_part(f);
    begin(f, &e);
    end_well(f, &e);
    took(f, LEN);
    for (int i = 0; i < 200; i++)
        uv_run(&f->pair.loop, UV_RUN_NOWAIT);
    assert_int_equal(f->coordinator.accused_count, 0);
}

/* A liar is found also when another sent the beginning, to another process. */
static void test_a_liar_after_a_part_is_found(void **state)
{
    struct fixture *f = *state;
    struct ending e;
    end_after(f, &e, &f->coordinator.reads, CHUNKS / 2);
    add_peer(f)->lies = true;
    const struct digest key = f->sources[0].server_key;
    begin(f, &e);
    end_well(f, &e);
    AWAIT(&f->pair.loop, f->coordinator.accused_count >= 1);
    assert_true(digest_equal(&f->coordinator.accused[0], &key));
}

/* Another process writes it: ours goes its own way, and disturbs nobody. */
static void test_a_part_of_another_process_is_left_alone(void **state)
{
    struct fixture *f = *state;
    struct ending e;
    struct arena arena = {0};
    struct stat status;
    const char *path = part_path(f, &arena);
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(ftruncate(fd, 3 * BLOB_CHUNK_BYTES), 0);
    begin(f, &e);
    end_well(f, &e);
    took(f, LEN);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 3 * BLOB_CHUNK_BYTES);
    assert_int_equal(close(fd), 0);
    arena_release(&arena);
}

/* Nothing of it stays behind the blob's end, also where less than a chunk goes beyond. */
static void test_a_part_that_is_too_long_is_cut(void **state)
{
    struct fixture *f = *state;
    struct ending e;
    struct arena arena = {0};
    struct err err;
    static const size_t beyond[] = {5, BLOB_CHUNK_BYTES};
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++) {
        uint8_t *bytes = test_calloc(1, LEN + beyond[i]);
        memcpy(bytes, f->bytes, LEN);
        assert_int_equal(
            file_write_atomic(part_path(f, &arena), bytes, LEN + beyond[i], 0600, &err), ERR_OK);
        test_free(bytes);
        begin(f, &e);
        end_well(f, &e);
        assert_int_equal(unlink(blob_cache_path(f->cache, &f->digest, &arena)), 0);
    }
    arena_release(&arena);
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

static void ask(struct fixture *f, struct net_socket *dealer, struct asked *asked,
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

static struct net_socket *connect_to(struct fixture *f, struct asked *asked)
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
    struct fixture *f = *state;
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

/* ---- the store's folder ---- */

static void make_store(struct fixture *f)
{
    struct err err;
    char path[256];
    snprintf(path, sizeof path, "%s/incoming", f->store);
    assert_int_equal(file_mkdirs(path, 0700, &err), ERR_OK);
    assert_int_equal(blob_folder_token_make(f->store, &f->welcome.store_token, &err), ERR_OK);
    f->welcome.store_folder = f->store;
}

static void store_has_it(struct fixture *f, const void *bytes, size_t len)
{
    struct arena arena = {0};
    struct err err;
    char *path = blob_folder_path(f->store, &f->digest, &arena);
    *strrchr(path, '/') = '\0';
    assert_int_equal(file_mkdirs(path, 0700, &err), ERR_OK);
    assert_int_equal(
        file_write_atomic(blob_folder_path(f->store, &f->digest, &arena), bytes, len, 0444, &err),
        ERR_OK);
    arena_release(&arena);
}

static void test_a_blob_is_linked_where_the_store_is_in_sight(void **state)
{
    struct fixture *f = *state;
    struct ending e;
    struct stat status;
    struct arena arena = {0};
    make_store(f);
    store_has_it(f, f->bytes, LEN);
    add_peer(f);
    begin(f, &e);
    end_well(f, &e);
    assert_int_equal(f->coordinator.reads + f->peers[0].reads, 0);
    assert_int_equal(blob_client_traffic(f->client).shared_bytes, LEN);
    assert_int_equal(stat(blob_cache_path(f->cache, &f->digest, &arena), &status), 0);
    assert_int_equal(status.st_nlink, 2);
    arena_release(&arena);
}

/* What lies there is rotten, or it is another folder of that name: bytes come over the socket. */
static void test_a_folder_that_is_no_use(void **state)
{
    struct fixture *f = *state;
    struct ending e;
    make_store(f);
    store_has_it(f, "rotten", 6);
    begin(f, &e);
    end_well(f, &e);
    took(f, LEN);
    assert_int_equal(blob_client_traffic(f->client).shared_bytes, 0);
}

static void test_another_folder_of_that_name(void **state)
{
    struct fixture *f = *state;
    struct ending e;
    make_store(f);
    store_has_it(f, f->bytes, LEN);
    f->welcome.store_token.bytes[0] ^= 1;
    begin(f, &e);
    end_well(f, &e);
    took(f, LEN);
}

/* The coordinator's part of BLOB_PLACE, in two steps: first it says how far it is. */
static const char *placed_at;

static void on_place(struct test_store *store, const struct net_peer *peer,
                     const struct msg_blob_place *place)
{
    struct arena arena = {0};
    struct strbuf frame = {0};
    struct err err;
    const bool complete = store->places > 1;
    const char *from = blob_folder_incoming(placed_at, &place->digest, place->nonce, &arena);
    struct digest found;
    assert_int_equal(hash_file(from, &found, &err), ERR_OK);
    assert_true(digest_equal(&found, &place->digest));
    const struct msg m = {
        .kind = MSG_BLOB_WRITTEN,
        .blob_written = {place->request, place->digest, complete ? place->size : 1, complete}};
    assert_int_equal(codec_encode(&m, FRAME_DATA_BYTES_MAX, &frame, &err), ERR_OK);
    assert_int_equal(net_router_send(store->router, peer, frame.data, frame.len, &err), ERR_OK);
    strbuf_release(&frame);
    arena_release(&arena);
}

static void test_a_blob_is_placed_where_the_store_is_in_sight(void **state)
{
    struct fixture *f = *state;
    struct ending e = {0};
    struct digest digest;
    struct err err;
    make_store(f);
    placed_at = f->store;
    f->coordinator.on_place = on_place;
    assert_int_equal(blob_cache_add_bytes(f->cache, "made here", 9, &digest, &err), ERR_OK);
    blob_client_put(f->client, &digest, on_done, &e);
    AWAIT(&f->pair.loop, e.is_over);
    assert_int_equal(e.code, ERR_OK);
    assert_int_equal(f->coordinator.places, 2);
    assert_int_equal(f->coordinator.writes, 0);
}

/* What a person may edit is copied, whoever sends it: the store's bytes are nobody else's. */
static void test_a_file_outside_the_cache_is_copied(void **state)
{
    struct fixture *f = *state;
    struct ending e = {0};
    struct stat status;
    struct err err;
    char path[256];
    const struct digest digest = hash_bytes("a person's", 10);
    make_store(f);
    placed_at = f->store;
    f->coordinator.on_place = on_place;
    snprintf(path, sizeof path, "%s/own", f->folder);
    assert_int_equal(file_write_atomic(path, "a person's", 10, 0644, &err), ERR_OK);
    blob_client_put_file(f->client, &digest, path, on_done, &e);
    AWAIT(&f->pair.loop, e.is_over);
    assert_int_equal(e.code, ERR_OK);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_nlink, 1);
    assert_int_equal(status.st_mode & 0777, 0644);
}

static void refuse_place(struct test_store *store, const struct net_peer *peer,
                         const struct msg_blob_place *place)
{
    struct strbuf frame = {0};
    struct err err;
    const struct msg m = {.kind = MSG_ERROR,
                          .error = {place->request, ERR_NOT_FOUND, "not in sight from here"}};
    assert_int_equal(codec_encode(&m, FRAME_DATA_BYTES_MAX, &frame, &err), ERR_OK);
    assert_int_equal(net_router_send(store->router, peer, frame.data, frame.len, &err), ERR_OK);
    strbuf_release(&frame);
}

static void test_what_cannot_be_placed_is_sent(void **state)
{
    struct fixture *f = *state;
    struct ending e = {0};
    struct digest digest;
    struct err err;
    make_store(f);
    f->coordinator.on_place = refuse_place;
    assert_int_equal(blob_cache_add_bytes(f->cache, "made here", 9, &digest, &err), ERR_OK);
    blob_client_put(f->client, &digest, on_done, &e);
    AWAIT(&f->pair.loop, e.is_over);
    assert_int_equal(e.code, ERR_OK);
    assert_int_equal(f->coordinator.writes, 1);
    assert_non_null(test_store_find(&f->coordinator, &digest));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_another_process_goes_on_with_a_part),
        TEST(test_a_cancelled_transfer_is_gone_on_with),
        TEST(test_a_spoilt_part_is_fetched_anew),
        TEST(test_a_spoilt_part_blames_no_worker),
        TEST(test_a_liar_after_a_part_is_found),
        TEST(test_a_part_of_another_process_is_left_alone),
        TEST(test_a_part_that_is_too_long_is_cut),
        TEST(test_a_blob_comes_from_another_worker),
        TEST(test_a_revoked_key_reads_no_further),
        TEST(test_a_worker_that_breaks_off_is_left_at_the_same_byte),
        TEST(test_a_silent_worker_is_left),
        TEST(test_a_busy_worker_is_asked_again),
        TEST(test_a_liar_is_named_and_not_asked_again),
        TEST(test_a_liar_among_several_is_found),
        TEST(test_a_damaged_chunk_bans_its_sender),
        TEST(test_what_a_worker_serves),
        TEST(test_a_blob_is_linked_where_the_store_is_in_sight),
        TEST(test_a_folder_that_is_no_use),
        TEST(test_another_folder_of_that_name),
        TEST(test_a_blob_is_placed_where_the_store_is_in_sight),
        TEST(test_a_file_outside_the_cache_is_copied),
        TEST(test_what_cannot_be_placed_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
