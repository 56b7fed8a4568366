/* The way through the store's folder, where a worker sees it, and past it, where it does not. */
#include "cmocka_all.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "blob_cache.h"
#include "blob_folder.h"
#include "blob_world.h"
#include "bounds.h"
#include "codec.h"
#include "file.h"

static void make_store(struct blob_world *f)
{
    struct err err;
    char path[256];
    snprintf(path, sizeof path, "%s/incoming", f->store);
    assert_int_equal(file_mkdirs(path, 0700, &err), ERR_OK);
    assert_int_equal(blob_folder_token_make(f->store, &f->welcome.store_token, &err), ERR_OK);
    f->welcome.store_folder = f->store;
}

static void store_has_it(struct blob_world *f, const void *bytes, size_t len)
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
    struct blob_world *f = *state;
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
    struct blob_world *f = *state;
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
    struct blob_world *f = *state;
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

static void on_place(struct scripted_store *store, const struct net_peer *peer,
                     const struct msg_blob_place *place)
{
    struct arena arena = {0};
    struct strbuf frame = {0};
    struct err err;
    const bool complete = store->places % 2 == 0;
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
    struct blob_world *f = *state;
    struct ending e = {0};
    struct digest tree;
    struct err err;
    char made[128], path[160];
    make_store(f);
    placed_at = f->store;
    f->coordinator.on_place = on_place;
    snprintf(made, sizeof made, "%s/made", f->folder);
    snprintf(path, sizeof path, "%s/here", made);
    assert_int_equal(file_mkdirs(made, 0755, &err), ERR_OK);
    assert_int_equal(file_write_atomic(path, "made here", 9, 0644, &err), ERR_OK);
    assert_int_equal(blob_cache_add_folder(f->cache, made, &tree, &err), ERR_OK);
    blob_client_put_tree(f->client, &tree, on_done, &e);
    AWAIT(&f->pair.loop, e.is_over);
    assert_int_equal(e.code, ERR_OK);
    assert_int_equal(f->coordinator.places, 4); /* of the file and the tree */
    assert_int_equal(f->coordinator.writes, 0);
}

/* What a person may edit is copied, whoever sends it: the store's bytes are nobody else's. */
static void test_a_file_outside_the_cache_is_copied(void **state)
{
    struct blob_world *f = *state;
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

static void refuse_place(struct scripted_store *store, const struct net_peer *peer,
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
    struct blob_world *f = *state;
    struct ending e = {0};
    struct digest digest;
    struct err err;
    make_store(f);
    f->coordinator.on_place = refuse_place;
    assert_int_equal(blob_cache_add_bytes(f->cache, "made here", 9, &digest, &err), ERR_OK);
    put_blob(f->client, f->cache, &digest, &e);
    AWAIT(&f->pair.loop, e.is_over);
    assert_int_equal(e.code, ERR_OK);
    assert_int_equal(f->coordinator.writes, 1);
    assert_non_null(scripted_store_find(&f->coordinator, &digest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BLOB_TEST(test_a_blob_is_linked_where_the_store_is_in_sight),
        BLOB_TEST(test_a_folder_that_is_no_use),
        BLOB_TEST(test_another_folder_of_that_name),
        BLOB_TEST(test_a_blob_is_placed_where_the_store_is_in_sight),
        BLOB_TEST(test_a_file_outside_the_cache_is_copied),
        BLOB_TEST(test_what_cannot_be_placed_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
