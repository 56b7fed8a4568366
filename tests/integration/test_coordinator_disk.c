/* A coordinator whose disk makes nothing durable for now: questions are answered meanwhile, and
 * what waits for the disk is done when that works again. */
#include "cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob_client.h"
#include "coordinator_world.h"
#include "file.h"
#include "slow_disk.h"

static char rules[64] = "/tmp/triad-slow-disk-XXXXXX";

static void asks_and_hears(struct world *w)
{
    struct msg m = {.kind = MSG_GET_INFO};
    assert_int_equal(world_ask(w, &m)->kind, MSG_INFO);
}

struct ending {
    bool is_over;
    enum err_code code;
};

static void on_done(void *ctx, enum err_code code, const struct err *err)
{
    struct ending *ending = ctx;
    if (code != ERR_OK)
        print_error("%s\n", err->text);
    *ending = (struct ending){.is_over = true, .code = code};
}

/* Who does not see the store's folder. */
static struct blob_client *open_blobs(struct world *w)
{
    char access_path[128], cache[128];
    struct net_access access;
    struct blob_client *blobs = NULL;
    struct err err;
    snprintf(access_path, sizeof access_path, "%s/worker.access", w->dir);
    snprintf(cache, sizeof cache, "%s/cache", w->dir);
    assert_int_equal(net_access_load(access_path, &access, &err), ERR_OK);
    const struct blob_client_options options = {.net = w->net,
                                                .loop = &w->loop,
                                                .endpoint = access.data_endpoint,
                                                .server = &access.server,
                                                .own = &access.own,
                                                .cache = cache,
                                                .store_folder = "/nowhere"};
    assert_int_equal(blob_client_new(&options, &blobs, &err), ERR_OK);
    return blobs;
}

static bool is_all_there(const char *path, size_t len)
{
    struct stat info;
    return stat(path, &info) == 0 && (size_t)info.st_size == len;
}

static void test_a_blob_waits_for_the_disk_and_nobody_else_does(void **state)
{
    struct world *w = *state;
    struct ending ending = {0};
    struct err err;
    char path[128], partial[256], hex[DIGEST_HEX_SIZE];
    struct blob_client *blobs = open_blobs(w);
    const struct digest digest = hash_bytes("some bytes", 10);
    snprintf(path, sizeof path, "%s/bytes", w->dir);
    assert_int_equal(file_write_atomic(path, "some bytes", 10, 0644, &err), ERR_OK);
    snprintf(partial, sizeof partial, "%s/blobs/partial/%s", w->dir, digest_hex(&digest, hex));
    slow_disk_rules(rules, "sync hold /blobs\n");
    blob_client_put_file(blobs, &digest, path, on_done, &ending);
    AWAIT(&w->loop, is_all_there(partial, 10));
    asks_and_hears(w);
    assert_false(ending.is_over);
    slow_disk_rules(rules, "");
    AWAIT(&w->loop, ending.is_over);
    assert_int_equal(ending.code, ERR_OK);
    assert_false(file_exists(partial));
    blob_client_free(blobs);
}

static const struct msg_backup_state *ask_for_backup(struct world *w, const char *folder)
{
    struct msg m = {.kind = MSG_BACKUP, .backup = {.folder = folder}};
    const struct msg *reply = world_ask(w, &m);
    assert_int_equal(reply->kind, MSG_BACKUP_STATE);
    return &reply->backup_state;
}

static bool is_copied(struct world *w, const char *folder)
{
    const struct msg_backup_state *copy = ask_for_backup(w, folder);
    assert_false(copy->complete);
    return copy->pages > 0 && copy->pages_done == copy->pages;
}

static void test_a_backup_waits_for_the_disk_and_nobody_else_does(void **state)
{
    struct world *w = *state;
    char folder[128];
    snprintf(folder, sizeof folder, "%s/copy", w->dir);
    slow_disk_rules(rules, "sync hold /copy\n");
    AWAIT_BY(world_run_for(w, 20), is_copied(w, folder));
    asks_and_hears(w);
    assert_false(ask_for_backup(w, folder)->complete);
    slow_disk_rules(rules, "");
    AWAIT_BY(world_run_for(w, 20), ask_for_backup(w, folder)->complete);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_blob_waits_for_the_disk_and_nobody_else_does,
                                        world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_a_backup_waits_for_the_disk_and_nobody_else_does,
                                        world_set_up, world_tear_down),
    };
    close(mkstemp(rules));
    slow_disk_enter(rules); /* the coordinators, not this program */
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(rules);
    return failed;
}
