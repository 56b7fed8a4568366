/* Who may connect follows the folder of keys: no change of it is missed, or a key that was revoked
 * would stay good for as long as the coordinator lives. */
#include "cmocka_all.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "keys_watch.h"

struct world {
    char dir[64], keys[96];
    uv_loop_t loop;
    struct net *net;
    struct keys_watch watch;
    int64_t now_ms;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct err err;
    assert_non_null(w);
    snprintf(w->dir, sizeof w->dir, "/tmp/triad-test-keys-watch-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->keys, sizeof w->keys, "%s/keys", w->dir);
    assert_int_equal(net_server_keys_init(w->keys, &err), ERR_OK);
    uv_loop_init(&w->loop);
    assert_int_equal(net_new(&w->loop, &w->net, &err), ERR_OK);
    const struct server_options options = {
        .state_dir = w->dir, .listen = "127.0.0.1", .keys_dir = w->keys};
    assert_int_equal(keys_watch_open(&w->watch, w->net, &options, &err), ERR_OK);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    struct err err;
    keys_watch_close(&w->watch);
    net_free(w->net, NULL, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    uv_loop_close(&w->loop);
    (void)!file_remove_tree(w->dir, &err);
    free(w);
    return 0;
}

/* A second later. */
static void look(struct world *w)
{
    w->now_ms += 1000;
    (void)keys_watch_look(&w->watch, w->now_ms);
}

static struct net_keyring_entry new_key(const char *name)
{
    struct net_key_pair pair;
    struct net_keyring_entry entry = {.role = NET_WORKER};
    net_key_pair_new(&pair);
    entry.key = pair.public_key;
    snprintf(entry.name, sizeof entry.name, "%s", name);
    return entry;
}

static bool admits(const struct world *w, const struct net_keyring_entry *entry)
{
    struct digest raw, keys[8];
    const size_t count = keys_watch_worker_keys(&w->watch, keys, 8);
    bool is_there = false;
    assert_true(net_public_key_to_raw(&entry->key, raw.bytes));
    for (size_t i = 0; i < count; i++) {
        is_there |= digest_equal(&keys[i], &raw);
    }
    return is_there;
}

/* The kernel's clock of files ticks every few milliseconds, that of some file systems every two
 * seconds: a change in the same tick as the one before leaves the same time. */
static void test_a_change_within_the_same_tick_is_seen(void **state)
{
    struct world *w = *state;
    struct net_keyring_entry entry = new_key("node1");
    char allowed[128];
    struct stat before;
    struct err err;
    snprintf(allowed, sizeof allowed, "%s/allowed", w->keys);
    assert_int_equal(net_keyring_add(w->keys, &entry, &err), ERR_OK);
    look(w);
    assert_true(admits(w, &entry));
    assert_int_equal(stat(allowed, &before), 0);
    assert_int_equal(net_keyring_remove(w->keys, "node1", &err), ERR_OK);
    const struct timespec same[2] = {before.st_atim, before.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, allowed, same, 0), 0);
    look(w);
    assert_false(admits(w, &entry));
}

/* As by an editor or cp: the folder does not change, the file does. */
static void test_a_file_written_over_is_seen(void **state)
{
    struct world *w = *state;
    const struct timespec old[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    struct net_keyring_entry entry = new_key("node1");
    const struct net_keyring_entry former = entry;
    char allowed[128], path[160], text[256];
    struct err err;
    snprintf(allowed, sizeof allowed, "%s/allowed", w->keys);
    snprintf(path, sizeof path, "%s/node1.json", allowed);
    assert_int_equal(net_keyring_add(w->keys, &entry, &err), ERR_OK);
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    assert_int_equal(utimensat(AT_FDCWD, allowed, old, 0), 0);
    look(w);
    look(w);
    assert_true(admits(w, &former));
    entry = new_key("node1");
    int len =
        snprintf(text, sizeof text,
                 "{\"triad_allowed\": 1, \"role\": \"worker\", \"public\": \"%s\"}", entry.key.z85);
    int fd = open(path, O_WRONLY | O_TRUNC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, (size_t)len), len);
    close(fd);
    look(w);
    assert_false(admits(w, &former));
    assert_true(admits(w, &entry));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_change_within_the_same_tick_is_seen, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_file_written_over_is_seen, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
