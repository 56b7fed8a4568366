/* proto/net/blob_client and blob_cache: every size arrives intact in both directions, whatever is
 * lost on the way or breaks in the middle; what is there already does not travel; damage never gets
 * a name in the cache. */
#include "cmocka_all.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "blob_cache.h"
#include "blob_world.h"
#include "blob_client.h"
#include "bounds.h"
#include "file.h"
#include "net_pair.h"
#include "rng.h"
#include "scripted_store.h"

#define BOTH (NET_WORKER | NET_CLIENT)

struct fixture {
    struct net_pair pair;
    struct scripted_store store;
    struct blob_client *client;
    char folder[64];
    char cache[128];
};

static void open_client_at(struct fixture *f, const char *endpoint, int64_t patience_ms)
{
    struct err err = {0};
    const struct blob_client_options options = {.net = f->pair.client_net,
                                                .loop = &f->pair.loop,
                                                .endpoint = endpoint,
                                                .server = &f->pair.server.public_key,
                                                .own = &f->pair.worker,
                                                .cache = f->cache,
                                                .patience_ms = patience_ms};
    if (blob_client_new(&options, &f->client, &err) != ERR_OK)
        fail_msg("%s", err.text);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    *state = f;
    net_pair_open(&f->pair);
    snprintf(f->folder, sizeof f->folder, "/tmp/triad-blob-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->cache, sizeof f->cache, "%s/cache", f->folder);
    f->store.router =
        net_pair_router(&f->pair, BOTH, FRAME_DATA_BYTES_MAX, scripted_store_receive, &f->store);
    open_client_at(f, net_endpoint(f->store.router), 0);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct err err;
    if (f->client)
        blob_client_free(f->client);
    net_pair_close(&f->pair);
    scripted_store_release(&f->store);
    assert_int_equal(file_remove_tree(f->folder, &err), ERR_OK);
    free(f);
    return 0;
}

static uint8_t *random_bytes(size_t len)
{
    struct rng rng = rng_new(len, "blob");
    uint8_t *bytes = test_malloc(len ? len : 1);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)rng_u32(&rng);
    return bytes;
}

static void wait_ok(struct fixture *f, struct ending *outcome)
{
    AWAIT(&f->pair.loop, outcome->is_over);
    if (outcome->code != ERR_OK)
        fail_msg("%s", outcome->err.text);
}

/* Is the tree in the cache, with every file it names? */
static bool has_tree(const char *cache, const struct digest *digest)
{
    struct tree tree;
    struct err err;
    if (blob_cache_read_tree(cache, digest, &tree, &err) != ERR_OK)
        return false;
    bool complete = true;
    for (size_t i = 0; complete && i < tree.file_count; i++)
        complete = blob_cache_has(cache, &tree.files[i].digest);
    tree_release(&tree);
    return complete;
}

/* Number of entries in the cache, partial ones included. */
static size_t cache_entries(const char *folder)
{
    size_t count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir))
        count += e->d_name[0] != '.';
    closedir(dir);
    return count;
}

static const size_t sizes[] = {0,
                               1,
                               BLOB_CHUNK_BYTES - 1,
                               BLOB_CHUNK_BYTES,
                               BLOB_CHUNK_BYTES + 1,
                               (BLOB_CHUNKS_IN_FLIGHT * 3) * BLOB_CHUNK_BYTES + 17};

static void test_put_every_size(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct ending outcome = {0};
        struct digest digest;
        struct err err;
        uint8_t *bytes = random_bytes(sizes[i]);
        assert_int_equal(blob_cache_add_bytes(f->cache, bytes, sizes[i], &digest, &err), ERR_OK);
        put_blob(f->client, f->cache, &digest, &outcome);
        assert_false(outcome.is_over); /* never from inside the call */
        wait_ok(f, &outcome);
        const struct scripted_blob *blob = scripted_store_find(&f->store, &digest);
        assert_non_null(blob);
        assert_int_equal(blob->total, sizes[i]);
        /* once more: nothing is written */
        size_t writes = f->store.writes;
        outcome.is_over = false;
        put_blob(f->client, f->cache, &digest, &outcome);
        wait_ok(f, &outcome);
        assert_int_equal(f->store.writes, writes);
        test_free(bytes);
    }
}

static void test_get_every_size(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct ending outcome = {0};
        struct arena arena = {0};
        struct err err;
        char *data = NULL;
        size_t len = 0;
        uint8_t *bytes = random_bytes(sizes[i]);
        struct digest digest = hash_bytes(bytes, sizes[i]);
        scripted_store_add(&f->store, bytes, sizes[i]);
        blob_client_get(f->client, &digest, on_done, &outcome);
        wait_ok(f, &outcome);
        const char *path = blob_cache_path(f->cache, &digest, &arena);
        assert_int_equal(file_read(path, 0, &data, &len, &err), ERR_OK);
        assert_int_equal(len, sizes[i]);
        assert_memory_equal(data, bytes, len);
        free(data);
        /* once more: nothing is asked */
        size_t frames = f->store.frames;
        outcome.is_over = false;
        blob_client_get(f->client, &digest, on_done, &outcome);
        wait_ok(f, &outcome);
        assert_int_equal(f->store.frames, frames);
        arena_release(&arena);
        test_free(bytes);
    }
    assert_int_equal(cache_entries(f->cache), sizeof sizes / sizeof sizes[0]); /* no .part left */
}

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[512];
    struct err err;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, &err), ERR_OK);
}

static void test_tree_there_and_back(void **state)
{
    struct fixture *f = *state;
    struct ending outcome = {0};
    struct err err = {0};
    struct digest tree;
    struct digest again;
    char source[128];
    char copy[128];
    char other[128];
    snprintf(source, sizeof source, "%s/source", f->folder);
    snprintf(copy, sizeof copy, "%s/new/copy/", f->folder);
    snprintf(other, sizeof other, "%s/other", f->folder);
    assert_int_equal(file_mkdirs(source, 0755, &err), ERR_OK);
    write_file(source, "config.json", "{}");
    write_file(source, "same.json", "{}");
    write_file(source, "empty", "");
    write_file(source, "weights", "0123456789");
    assert_int_equal(blob_cache_add_folder(f->cache, source, &tree, &err), ERR_OK);
    assert_true(has_tree(f->cache, &tree));
    blob_client_put_tree(f->client, &tree, on_done, &outcome);
    wait_ok(f, &outcome);
    assert_non_null(scripted_store_find(&f->store, &tree));
    assert_int_equal(f->store.blob_count, 4); /* two files are equal; the tree itself */

    /* Into another cache, through the store alone. */
    blob_client_free(f->client);
    snprintf(f->cache, sizeof f->cache, "%s", other);
    open_client_at(f, net_endpoint(f->store.router), 0);
    assert_false(has_tree(f->cache, &tree));
    outcome.is_over = false;
    blob_client_get_tree(f->client, &tree, on_done, &outcome);
    wait_ok(f, &outcome);
    assert_true(has_tree(f->cache, &tree));
    assert_int_equal(blob_cache_make_folder(f->cache, &tree, copy, &err), ERR_OK);
    assert_int_equal(blob_cache_add_folder(f->cache, copy, &again, &err), ERR_OK);
    assert_true(digest_equal(&tree, &again));
    assert_int_equal(blob_cache_make_folder(f->cache, &tree, copy, &err), ERR_CONFLICT);
}

static void test_missing_and_foreign_things_are_said(void **state)
{
    struct fixture *f = *state;
    struct ending outcomes[4] = {{0}};
    struct digest absent = {{1}};
    struct digest not_a_tree = hash_bytes("plain", 5);
    char path[128];
    scripted_store_add(&f->store, "plain", 5);
    snprintf(path, sizeof path, "%s/nowhere", f->folder);
    blob_client_get(f->client, &absent, on_done, &outcomes[0]);
    blob_client_get_tree(f->client, &not_a_tree, on_done, &outcomes[1]);
    blob_client_put_tree(f->client, &absent, on_done, &outcomes[2]);
    blob_client_put_file(f->client, &absent, path, on_done, &outcomes[3]);
    for (size_t i = 0; i < 4; i++)
        AWAIT(&f->pair.loop, outcomes[i].is_over);
    assert_int_equal(outcomes[0].code, ERR_NOT_FOUND);
    assert_string_equal(outcomes[0].err.text, "blob 010000000000: the store does not have it");
    assert_int_equal(outcomes[1].code, ERR_INVALID);
    assert_int_equal(outcomes[2].code, ERR_NOT_FOUND);
    assert_int_equal(outcomes[3].code, ERR_NOT_FOUND);
    assert_non_null(strstr(outcomes[3].err.text, "nowhere"));
}

static void test_damage_gets_no_name(void **state)
{
    struct fixture *f = *state;
    struct ending outcome = {0};
    const size_t len = 3 * BLOB_CHUNK_BYTES;
    uint8_t *bytes = random_bytes(len);
    struct digest digest = hash_bytes(bytes, len);
    scripted_store_add(&f->store, bytes, len);
    f->store.blobs[0].bytes[len - 1] ^=
        1; /* the store's disk rotted: the checksum is of what it has */
    blob_client_get(f->client, &digest, on_done, &outcome);
    AWAIT(&f->pair.loop, outcome.is_over);
    assert_int_equal(outcome.code, ERR_CORRUPT);
    assert_int_equal(cache_entries(f->cache), 0);
    f->store.blobs[0].bytes[len - 1] ^= 1;
    f->store.damages_chunks = true;
    outcome.is_over = false;
    blob_client_get(f->client, &digest, on_done, &outcome);
    AWAIT(&f->pair.loop, outcome.is_over);
    assert_int_equal(outcome.code, ERR_CORRUPT);
    assert_non_null(strstr(outcome.err.text, "damaged chunk at 0"));
    assert_int_equal(cache_entries(f->cache), 0);
    f->store.damages_chunks = false;
    outcome.is_over = false;
    blob_client_get(f->client, &digest, on_done, &outcome);
    wait_ok(f, &outcome);
    test_free(bytes);
}

static void test_lost_frames_are_made_good(void **state)
{
    struct fixture *f = *state;
    struct ending outcomes[2] = {{0}};
    const size_t len = 12 * BLOB_CHUNK_BYTES;
    struct err err;
    struct digest digest;
    uint8_t *bytes = random_bytes(len);
    uint8_t *other = random_bytes(len + 1);
    struct digest wanted = hash_bytes(other, len + 1);
    scripted_store_add(&f->store, other, len + 1);
    f->store.drop_every = 9;
    assert_int_equal(blob_cache_add_bytes(f->cache, bytes, len, &digest, &err), ERR_OK);
    put_blob(f->client, f->cache, &digest, &outcomes[0]);
    blob_client_get(f->client, &wanted, on_done, &outcomes[1]);
    wait_ok(f, &outcomes[0]);
    wait_ok(f, &outcomes[1]);
    assert_non_null(scripted_store_find(&f->store, &digest));
    assert_true(blob_cache_has(f->cache, &wanted));
    test_free(bytes);
    test_free(other);
}

/* Each answer comes when its question has been repeated already. */
static void test_a_slow_link_is_only_slow_in(void **state)
{
    struct fixture *f = *state;
    const size_t len = 2 * BLOB_CHUNK_BYTES;
    struct ending outcome = {0};
    uint8_t *bytes = random_bytes(len);
    struct digest digest = hash_bytes(bytes, len);
    scripted_store_add(&f->store, bytes, len);
    f->store.is_late = true;
    blob_client_get(f->client, &digest, on_done, &outcome);
    wait_ok(f, &outcome);
    assert_true(blob_cache_has(f->cache, &digest));
    test_free(bytes);
}

static void test_a_slow_link_is_only_slow_out(void **state)
{
    struct fixture *f = *state;
    const size_t len = 2 * BLOB_CHUNK_BYTES;
    struct ending outcome = {0};
    struct err err;
    struct digest digest;
    uint8_t *bytes = random_bytes(len);
    f->store.is_late = true;
    assert_int_equal(blob_cache_add_bytes(f->cache, bytes, len, &digest, &err), ERR_OK);
    put_blob(f->client, f->cache, &digest, &outcome);
    wait_ok(f, &outcome);
    assert_non_null(scripted_store_find(&f->store, &digest));
    test_free(bytes);
}

/* The connection breaks in the middle; the store keeps what it has, and so do we. */
static void check_resume(struct fixture *f, bool is_put)
{
    struct ending outcome = {0};
    const size_t chunks = 64;
    const size_t len = chunks * BLOB_CHUNK_BYTES;
    struct err err = {0};
    struct digest digest;
    char endpoint[256];
    uint8_t *bytes = random_bytes(len);
    snprintf(endpoint, sizeof endpoint, "%s", net_endpoint(f->store.router));
    if (is_put) {
        assert_int_equal(blob_cache_add_bytes(f->cache, bytes, len, &digest, &err), ERR_OK);
        put_blob(f->client, f->cache, &digest, &outcome);
    } else {
        digest = hash_bytes(bytes, len);
        scripted_store_add(&f->store, bytes, len);
        blob_client_get(f->client, &digest, on_done, &outcome);
    }
    AWAIT(&f->pair.loop, (is_put ? f->store.writes : f->store.reads) >= chunks / 2);
    assert_false(outcome.is_over);
    net_socket_free(f->store.router);
    const struct net_router_options again = {.endpoint = endpoint,
                                             .server = &f->pair.server,
                                             .roles = BOTH,
                                             .frame_bytes_max = FRAME_DATA_BYTES_MAX,
                                             .receive = scripted_store_receive,
                                             .ctx = &f->store};
    AWAIT(&f->pair.loop,
          net_router_new(f->pair.server_net, &again, &f->store.router, &err) == ERR_OK);
    wait_ok(f, &outcome);
    /* Not from the beginning: at most what was in flight is repeated. */
    assert_in_range(is_put ? f->store.writes : f->store.reads, chunks,
                    chunks + 2 * BLOB_CHUNKS_IN_FLIGHT);
    test_free(bytes);
}

static void test_put_resumes_after_a_break(void **state)
{
    check_resume(*state, true);
}

static void test_get_resumes_after_a_break(void **state)
{
    check_resume(*state, false);
}

static void test_credit_is_kept(void **state)
{
    struct fixture *f = *state;
    struct ending outcome = {0};
    const size_t len = 40 * BLOB_CHUNK_BYTES;
    uint8_t *bytes = random_bytes(len);
    struct digest digest = hash_bytes(bytes, len);
    scripted_store_add(&f->store, bytes, len);
    f->store.holds_answers = true;
    blob_client_get(f->client, &digest, on_done, &outcome);
    AWAIT(&f->pair.loop, f->store.held >= BLOB_CHUNKS_IN_FLIGHT);
    for (int i = 0; i < 50; i++) {
        uv_run(&f->pair.loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    assert_int_equal(f->store.held, BLOB_CHUNKS_IN_FLIGHT);
    f->store.holds_answers = false; /* the next restart goes through */
    wait_ok(f, &outcome);
    test_free(bytes);
}

static void test_patience_ends(void **state)
{
    struct fixture *f = *state;
    struct ending outcome = {0};
    struct digest digest = {{5}};
    /* A busy machine may not have been refused within a short time: then a longer one. */
    for (int64_t patience_ms = 600;
         patience_ms < 60000 && !strstr(outcome.err.text, "nobody listens"); patience_ms *= 4) {
        outcome = (struct ending){0};
        blob_client_free(f->client);
        open_client_at(f, "tcp://127.0.0.1:1", patience_ms);
        blob_client_get(f->client, &digest, on_done, &outcome);
        AWAIT(&f->pair.loop, outcome.is_over);
        assert_int_equal(outcome.code, ERR_UNAVAILABLE);
        assert_non_null(strstr(outcome.err.text, "no answer from tcp://127.0.0.1:1"));
    }
    assert_non_null(strstr(outcome.err.text, "nobody listens"));
}

static void test_cancelled_transfers_do_not_call_back(void **state)
{
    struct fixture *f = *state;
    struct ending unwanted = {0};
    struct ending wanted = {0};
    const size_t len = 40 * BLOB_CHUNK_BYTES;
    uint8_t *bytes = random_bytes(len);
    struct digest big = hash_bytes(bytes, len);
    struct digest small = hash_bytes("small", 5);
    scripted_store_add(&f->store, bytes, len);
    scripted_store_add(&f->store, "small", 5);
    blob_client_get(f->client, &big, on_done, &unwanted);
    blob_client_get(f->client, &small, on_done, &wanted);
    blob_client_get(f->client, &small, on_done, &unwanted);
    AWAIT(&f->pair.loop, f->store.reads >= 20);
    blob_client_cancel(f->client, &unwanted);
    wait_ok(f, &wanted);
    assert_false(unwanted.is_over);
    assert_int_equal(cache_entries(f->cache), 2); /* what came of it stays, for who asks again */
    test_free(bytes);
}

static void free_client(void *ctx, enum err_code code, const struct err *err)
{
    struct fixture *f = ctx;
    (void)err;
    assert_int_equal(code, ERR_OK);
    blob_client_free(f->client);
    f->client = NULL;
}

static void test_a_callback_may_free_the_client(void **state)
{
    struct fixture *f = *state;
    struct ending never = {0};
    struct digest small = hash_bytes("small", 5);
    scripted_store_add(&f->store, "small", 5);
    blob_client_get(f->client, &small, free_client, f);
    blob_client_get(f->client, &small, on_done, &never);
    AWAIT(&f->pair.loop, !f->client);
    assert_false(never.is_over);
}

static void test_cache_links_are_read_only(void **state)
{
    struct fixture *f = *state;
    struct err err;
    struct digest tree;
    struct stat status;
    struct arena arena = {0};
    const struct digest digest = hash_bytes("content", 7);
    char folder[128];
    snprintf(folder, sizeof folder, "%s/tree", f->folder);
    assert_int_equal(mkdir(folder, 0755), 0);
    write_file(folder, "a.txt", "content");
    assert_int_equal(blob_cache_add_folder(f->cache, folder, &tree, &err), ERR_OK);
    assert_int_equal(stat(blob_cache_path(f->cache, &digest, &arena), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0444);
    assert_int_equal(status.st_nlink, 2);                                           /* no copy */
    assert_int_equal(blob_cache_add_folder(f->cache, folder, &tree, &err), ERR_OK); /* again */
    assert_int_equal(blob_cache_add_folder(f->cache, "/nowhere", &tree, &err), ERR_IO);
    arena_release(&arena);
}

static void test_old_parts_are_removed(void **state)
{
    struct fixture *f = *state;
    struct err err;
    char path[256];
    write_file(f->cache, "00.part.old", "left by a dead process");
    write_file(f->cache, "00.part.new", "somebody is writing this");
    write_file(f->cache, "00.part", "of some days ago");
    write_file(f->cache, "01.part", "of two hours ago: may be gone on with");
    write_file(f->cache, "blob", "old, but whole");
    const struct timespec long_ago[2] = {{1000000000, 0}, {1000000000, 0}};
    snprintf(path, sizeof path, "%s/00.part.old", f->cache);
    assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0);
    snprintf(path, sizeof path, "%s/00.part", f->cache);
    assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0);
    snprintf(path, sizeof path, "%s/blob", f->cache);
    assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0);
    const struct timespec hours_ago[2] = {{time(NULL) - 7200, 0}, {time(NULL) - 7200, 0}};
    snprintf(path, sizeof path, "%s/01.part", f->cache);
    assert_int_equal(utimensat(AT_FDCWD, path, hours_ago, 0), 0);
    assert_int_equal(blob_cache_open(f->cache, &err), ERR_OK);
    assert_int_equal(cache_entries(f->cache), 3);
    assert_true(file_exists(path));
    snprintf(path, sizeof path, "%s/00.part.old", f->cache);
    assert_false(file_exists(path));
    snprintf(path, sizeof path, "%s/00.part", f->cache);
    assert_false(file_exists(path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_put_every_size, setup, teardown),
        cmocka_unit_test_setup_teardown(test_get_every_size, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tree_there_and_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing_and_foreign_things_are_said, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage_gets_no_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_slow_link_is_only_slow_in, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_slow_link_is_only_slow_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_frames_are_made_good, setup, teardown),
        cmocka_unit_test_setup_teardown(test_put_resumes_after_a_break, setup, teardown),
        cmocka_unit_test_setup_teardown(test_get_resumes_after_a_break, setup, teardown),
        cmocka_unit_test_setup_teardown(test_credit_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_patience_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancelled_transfers_do_not_call_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_callback_may_free_the_client, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cache_links_are_read_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_old_parts_are_removed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
