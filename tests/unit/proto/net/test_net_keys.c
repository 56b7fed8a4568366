/* Key and access files: made once, never overwritten, never readable by others, never half right.
 */
#include "cmocka_all.h"

#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file.h"
#include "net_keyring.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/triad-keys-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    struct err err;
    (void)state;
    return file_remove_tree(folder, &err) == ERR_OK ? 0 : -1;
}

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void test_server_keys(void **state)
{
    (void)state;
    struct err err;
    struct net_server_keys keys;
    struct net_server_keys again;
    struct stat status;
    char keys_folder[128];
    snprintf(keys_folder, sizeof keys_folder, "%s/keys", folder);
    assert_int_equal(net_server_keys_load(keys_folder, &keys, &err), ERR_NOT_FOUND);
    assert_int_equal(net_server_keys_init(keys_folder, &err), ERR_OK);
    assert_int_equal(net_server_keys_load(keys_folder, &keys, &err), ERR_OK);
    assert_int_equal(stat(in_folder("keys/worker.key"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_string_not_equal(keys.worker.secret_z85, keys.client.secret_z85);
    assert_int_equal(net_server_keys_init(keys_folder, &err), ERR_CONFLICT);
    assert_int_equal(net_server_keys_load(keys_folder, &again, &err), ERR_OK);
    assert_memory_equal(&keys, &again, sizeof keys);
    /* one of the three is enough to refuse */
    assert_int_equal(unlink(in_folder("keys/server.key")), 0);
    assert_int_equal(net_server_keys_init(keys_folder, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "client.key is already there"));
    assert_int_equal(net_server_keys_load(keys_folder, &again, &err), ERR_NOT_FOUND);
}

static const char *numbered_folder(int number)
{
    char name[16];
    snprintf(name, sizeof name, "k%d", number);
    return in_folder(name);
}

/* A process that is killed while it makes keys leaves all three or none, so that the next one
 * finds a set or makes it. */
static void test_keys_come_all_or_none(void **state)
{
    (void)state;
    enum { ROUNDS = 20 };
    struct err err;
    struct net_server_keys keys;
    for (int round = 0; round < ROUNDS; round++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            for (int i = round * 100; i < round * 100 + 100; i++)
                (void)!net_server_keys_init(numbered_folder(i), &err);
            _exit(0);
        }
        usleep((useconds_t)(2000 + 300 * round));
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        for (int i = round * 100; file_exists(numbered_folder(i)); i++) {
            if (net_server_keys_load(numbered_folder(i), &keys, &err) == ERR_OK)
                continue;
            if (net_server_keys_init(numbered_folder(i), &err) != ERR_OK)
                fail_msg("round %d: %s", round, err.text);
        }
    }
}

static void test_a_folder_with_other_files_is_left_alone(void **state)
{
    (void)state;
    struct err err;
    char keys_folder[128];
    snprintf(keys_folder, sizeof keys_folder, "%s/other", folder);
    assert_int_equal(file_mkdirs(keys_folder, 0700, &err), ERR_OK);
    assert_int_equal(file_write_atomic(in_folder("other/notes"), "n", 1, 0600, &err), ERR_OK);
    assert_int_equal(net_server_keys_init(keys_folder, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.text, "holds other files"));
    assert_true(file_exists(in_folder("other/notes")));
    assert_false(file_exists(in_folder("other/server.key")));
}

static void fill(struct net_access *access)
{
    struct net_key_pair server;
    memset(access, 0, sizeof *access);
    net_key_pair_new(&server);
    net_key_pair_new(&access->own);
    access->server = server.public_key;
    strncpy(access->role, "worker", sizeof access->role - 1);
    strncpy(access->endpoint, "tcp://127.0.0.1:7001", sizeof access->endpoint - 1);
    strncpy(access->data_endpoint, "tcp://127.0.0.1:7003", sizeof access->data_endpoint - 1);
}

static void test_access_round_trip(void **state)
{
    (void)state;
    struct err err;
    struct net_access saved;
    struct net_access loaded;
    fill(&saved);
    assert_int_equal(net_access_save(in_folder("worker.access"), &saved, &err), ERR_OK);
    assert_int_equal(net_access_load(in_folder("worker.access"), &loaded, &err), ERR_OK);
    assert_memory_equal(&saved, &loaded, sizeof saved);
    assert_int_equal(net_access_save(in_folder("worker.access"), &saved, &err), ERR_CONFLICT);
    assert_int_equal(chmod(in_folder("worker.access"), 0640), 0);
    assert_int_equal(net_access_load(in_folder("worker.access"), &loaded, &err), ERR_DENIED);
    assert_non_null(strstr(err.text, "chmod 600 "));
    assert_int_equal(net_access_load(in_folder("missing"), &loaded, &err), ERR_NOT_FOUND);
    assert_int_equal(net_access_load("/tmp", &loaded, &err), ERR_INVALID);
    assert_null(strstr(err.text, "chmod")); /* nobody should do that to a folder */
}

static void expect_refused(const char *text, const char *says)
{
    struct err err = {0};
    struct net_access access;
    assert_int_equal(net_access_parse(text, strlen(text), "a.access", &access, &err), ERR_INVALID);
    if (!strstr(err.text, says))
        fail_msg("\"%s\" does not say \"%s\"", err.text, says);
    assert_non_null(strstr(err.text, "'a.access'"));
}

#define KEY_A    "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
#define SECRET_A "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"
#define HEAD                                                                                       \
    "{\"triad_access\":1,\"role\":\"client\",\"endpoint\":\"tcp://h:1\","                          \
    "\"data_endpoint\":\"tcp://h:2\","

static void test_broken_access_files(void **state)
{
    (void)state;
    struct err err;
    struct net_access access;
    /* The pair of RFC 26's example implementation: http://api.zeromq.org/4-2:zmq-curve. */
    const char *good = HEAD "\"server\":\"" KEY_A "\",\"public\":\"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*"
                            "[IaLV{hID\",\"secret\":\"D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs\"}";
    assert_int_equal(net_access_parse(good, strlen(good), "a.access", &access, &err), ERR_OK);
    expect_refused("", "line");
    expect_refused("{\"role\":\"client\"}", "triad_access");
    expect_refused("{\"triad_access\":1,\"role\":\"king\"}", "neither worker, client nor viewer");
    expect_refused("{\"triad_access\":1,\"role\":\"client\"}", "\"endpoint\" is missing");
    expect_refused(HEAD "\"server\":\"short\"}", "\"server\" is not a key");
    expect_refused(HEAD "\"server\":\"" KEY_A "\",\"public\":\"" KEY_A "\",\"secret\":7}",
                   "\"secret\" is missing");
    expect_refused(HEAD "\"server\":\"" KEY_A "\",\"public\":\"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*"
                        "[IaLV{hID\",\"secret\":\"" SECRET_A "\"}",
                   "does not belong");
    expect_refused("{\"triad_access\":1,\"role\":\"clientclientclientclient\"}", "longer than 15");
}

static int refused_count;

static void count_refused(const struct err *why)
{
    (void)why;
    refused_count++;
}

/* Keys come and go by files; what is no entry admits nobody. */
static void test_keyring(void **state)
{
    (void)state;
    struct err err;
    struct net_keyring keyring;
    struct net_key_pair pair;
    struct net_keyring_entry entry = {.name = "node-2", .role = NET_WORKER};
    net_key_pair_new(&pair);
    entry.key = pair.public_key;
    assert_int_equal(net_keyring_load(folder, &keyring, count_refused, &err), ERR_OK);
    assert_int_equal(keyring.count, 0);
    assert_int_equal(net_keyring_add(folder, &entry, &err), ERR_OK);
    assert_int_equal(net_keyring_add(folder, &entry, &err), ERR_CONFLICT);
    snprintf(entry.name, sizeof entry.name, "node-1");
    entry.role = NET_VIEWER;
    assert_int_equal(net_keyring_add(folder, &entry, &err), ERR_OK);
    assert_int_equal(file_write_atomic(in_folder("allowed/bad.json"), "{", 1, 0600, &err), ERR_OK);
    assert_int_equal(file_write_atomic(in_folder("allowed/worker.json"), "{", 1, 0600, &err),
                     ERR_OK);
    refused_count = 0;
    assert_int_equal(net_keyring_load(folder, &keyring, count_refused, &err), ERR_OK);
    assert_int_equal(refused_count, 2);
    assert_int_equal(keyring.count, 2);
    assert_string_equal(keyring.entries[0].name, "node-1");
    assert_int_equal(keyring.entries[0].role, NET_VIEWER);
    assert_string_equal(keyring.entries[1].key.z85, pair.public_key.z85);
    net_keyring_release(&keyring);
    assert_int_equal(net_keyring_remove(folder, "node-2", &err), ERR_OK);
    assert_int_equal(net_keyring_remove(folder, "node-2", &err), ERR_NOT_FOUND);
    static const char *const bad[] = {"", ".x", "a/b", "..", "worker", "client", "viewer", "a b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(net_keyring_name_is_good(bad[i]));
        assert_int_equal(net_keyring_remove(folder, bad[i], &err), ERR_INVALID);
    }
}

static void test_rotation(void **state)
{
    (void)state;
    struct err err;
    struct net_server_keys before;
    struct net_server_keys after;
    char keys_folder[128];
    snprintf(keys_folder, sizeof keys_folder, "%s/rotated", folder);
    assert_int_equal(net_server_keys_init(keys_folder, &err), ERR_OK);
    assert_int_equal(net_server_keys_load(keys_folder, &before, &err), ERR_OK);
    assert_int_equal(net_server_keys_rotate(keys_folder, NET_WORKER, &err), ERR_OK);
    assert_int_equal(net_server_keys_load(keys_folder, &after, &err), ERR_OK);
    assert_string_not_equal(before.worker.public_key.z85, after.worker.public_key.z85);
    assert_memory_equal(&before.client, &after.client, sizeof before.client);
    assert_memory_equal(&before.server, &after.server, sizeof before.server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server_keys),
        cmocka_unit_test(test_keys_come_all_or_none),
        cmocka_unit_test(test_a_folder_with_other_files_is_left_alone),
        cmocka_unit_test(test_access_round_trip),
        cmocka_unit_test(test_broken_access_files),
        cmocka_unit_test(test_keyring),
        cmocka_unit_test(test_rotation),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
