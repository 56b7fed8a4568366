#include "blob_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob_cache.h"
#include "bounds.h"
#include "file.h"
#include "rng.h"

void on_done(void *ctx, enum err_code code, const struct err *err)
{
    struct ending *e = ctx;
    assert_false(e->is_over); /* once */
    e->is_over = true;
    e->code = code;
    if (err)
        e->err = *err;
}

void put_blob(struct blob_client *client, const char *cache, const struct digest *digest,
              struct ending *e)
{
    struct arena arena = {0};
    blob_client_put_file(client, digest, blob_cache_path(cache, digest, &arena), on_done, e);
    arena_release(&arena);
}

static struct digest raw_key(const struct net_public_key *key)
{
    struct digest raw;
    assert_true(net_public_key_to_raw(key, raw.bytes));
    return raw;
}

void open_client(struct blob_world *f)
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

int blob_world_set_up(void **state)
{
    struct blob_world *f = calloc(1, sizeof *f);
    assert_non_null(f);
    *state = f;
    net_pair_open(&f->pair);
    snprintf(f->folder, sizeof f->folder, "/tmp/triad-paths-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->cache, sizeof f->cache, "%s/cache", f->folder);
    snprintf(f->other, sizeof f->other, "%s/other", f->folder);
    snprintf(f->store, sizeof f->store, "%s/store", f->folder);
    f->coordinator.router = net_pair_router(&f->pair, NET_WORKER, FRAME_DATA_BYTES_MAX,
                                            scripted_store_receive, &f->coordinator);
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
    scripted_store_add(&f->coordinator, f->bytes, LEN);
    return 0;
}

int blob_world_tear_down(void **state)
{
    struct blob_world *f = *state;
    struct err err;
    blob_client_free(f->client);
    if (f->serve)
        blob_serve_free(f->serve);
    net_pair_close(&f->pair);
    scripted_store_release(&f->coordinator);
    scripted_store_release(&f->peers[0]);
    scripted_store_release(&f->peers[1]);
    assert_int_equal(file_remove_tree(f->folder, &err), ERR_OK);
    test_free(f->bytes);
    free(f);
    return 0;
}

/* Each with a key pair of its own: that is what a ban is about. */
struct scripted_store *add_peer(struct blob_world *f)
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
                                               .receive = scripted_store_receive,
                                               .ctx = &f->peers[i]};
    assert_int_equal(net_router_new(f->pair.server_net, &options, &f->peers[i].router, &err),
                     ERR_OK);
    scripted_store_add(&f->peers[i], f->bytes, LEN);
    f->sources[i] = (struct blob_source){names[i], net_endpoint(f->peers[i].router),
                                         raw_key(&pairs[i].public_key)};
    return &f->peers[i];
}

void begin(struct blob_world *f, struct ending *e)
{
    *e = (struct ending){0};
    blob_client_get(f->client, &f->digest, on_done, e);
}

void end_well(struct blob_world *f, struct ending *e)
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

void took(struct blob_world *f, uint64_t bytes)
{
    assert_int_equal(blob_client_traffic(f->client).coordinator_bytes, bytes);
}

void serve_it(struct blob_world *f)
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
