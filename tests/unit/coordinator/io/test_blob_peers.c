/* coordinator/io/blob_peers: who is named for a blob, and who is not (any more): the silent, the
 * asker itself, restarted processes, revoked keys, the accused. */
#include "cmocka_all.h"

#include <stdio.h>
#include <string.h>

#include "blob_peers.h"

static void hello_as(struct blob_peers *p, uint64_t from, const char *name, const char *user,
                     uint8_t key, int64_t now_ms)
{
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "tcp://%s:1", name);
    const struct msg_data_hello hello = {
        .worker = name, .endpoint = endpoint, .server_key = {{key}}, .served_bytes = key};
    blob_peers_hello(p, from, user, &hello, now_ms, now_ms);
}

static void hello(struct blob_peers *p, uint64_t from, const char *name, uint8_t key,
                  int64_t now_ms)
{
    hello_as(p, from, name, "worker", key, now_ms);
}

static const struct digest model = {{42}};
static const struct digest salt = {{7}};

/* Names of those told to `from`, as "ab". */
static const char *where(struct blob_peers *p, uint64_t from, int64_t now_ms)
{
    static char names[64];
    struct blob_source out[BLOB_SOURCES_MAX];
    size_t count = blob_peers_where(p, from, &model, now_ms, out);
    names[0] = '\0';
    for (size_t i = 0; i < count; i++)
        strcat(names, out[i].worker); /* NOLINT: one letter each */
    return names;
}

static void test_holders_are_named_in_turn(void **state)
{
    (void)state;
    struct blob_peers *p = blob_peers_new(&salt);
    hello(p, 1, "a", 1, 0);
    hello(p, 2, "b", 2, 0);
    hello(p, 3, "c", 3, 0);
    assert_string_equal(where(p, 3, 0), "");
    blob_peers_held(p, 1, &model, 1);
    blob_peers_held(p, 2, &model, 1);
    blob_peers_held(p, 2, &model, 1); /* said twice, it is there once */
    assert_string_equal(where(p, 3, 0), "ab");
    assert_string_equal(where(p, 3, 0), "ba"); /* the load is shared out */
    assert_string_equal(where(p, 1, 0), "b");  /* not itself */
    blob_peers_held(p, 9, &model, 1);          /* nobody we know */
    assert_string_equal(where(p, 3, 0), "ab");
    blob_peers_free(p);
}

static void test_the_silent_and_the_restarted_are_not_named(void **state)
{
    (void)state;
    struct blob_peers *p = blob_peers_new(&salt);
    hello(p, 1, "a", 1, 0);
    hello(p, 2, "b", 2, 0);
    blob_peers_held(p, 1, &model, 1);
    blob_peers_held(p, 2, &model, 1);
    hello(p, 1, "a", 1, DATA_SILENCE_MS - 1);
    assert_string_equal(where(p, 3, DATA_SILENCE_MS), "a");
    hello(p, 2, "b", 2, DATA_SILENCE_MS); /* back again, with all it held */
    assert_string_equal(where(p, 3, DATA_SILENCE_MS), "ba");
    hello(p, 7, "a", 1, DATA_SILENCE_MS); /* the same process on a new connection */
    assert_string_equal(where(p, 3, DATA_SILENCE_MS), "ab");
    assert_string_equal(where(p, 1, DATA_SILENCE_MS), "ba");
    hello(p, 8, "a", 9, DATA_SILENCE_MS); /* another process: what it holds it says anew */
    assert_string_equal(where(p, 3, DATA_SILENCE_MS), "b");
    blob_peers_held(p, 7, &model, 1); /* the former connection speaks for nobody */
    assert_string_equal(where(p, 3, DATA_SILENCE_MS), "b");
    blob_peers_held(p, 8, &model, 1);
    assert_string_equal(where(p, 3, DATA_SILENCE_MS), "ab");
    blob_peers_free(p);
}

static bool is_not_bad(void *ctx, const char *user)
{
    (void)ctx;
    return strcmp(user, "bad") != 0;
}

static void test_revoked_keys_are_forgotten(void **state)
{
    (void)state;
    uint64_t serving[4];
    struct blob_peers *p = blob_peers_new(&salt);
    hello(p, 1, "a", 1, 0);
    hello_as(p, 2, "b", "bad", 2, 0);
    blob_peers_held(p, 1, &model, 1);
    blob_peers_held(p, 2, &model, 1);
    assert_int_equal(blob_peers_serving(p, 0, serving, 4), 2);
    blob_peers_keep(p, is_not_bad, NULL);
    assert_string_equal(where(p, 3, 0), "a");
    assert_int_equal(blob_peers_serving(p, 0, serving, 4), 1);
    assert_int_equal(serving[0], 1);
    blob_peers_free(p);
}

static void test_two_accusers_are_enough(void **state)
{
    (void)state;
    struct blob_peers *p = blob_peers_new(&salt);
    struct traffic_row rows[4];
    struct arena arena = {0};
    bool more = true;
    const struct digest key = {{1}};
    hello(p, 1, "a", 1, 0);
    hello(p, 2, "b", 2, 0);
    hello(p, 3, "c", 3, 0);
    blob_peers_held(p, 1, &model, 1);
    assert_null(blob_peers_accuse(p, 1, &key)); /* by itself */
    assert_null(blob_peers_accuse(p, 9, &key)); /* by nobody we know */
    assert_string_equal(blob_peers_accuse(p, 2, &key), "a");
    assert_null(blob_peers_accuse(p, 2, &key)); /* again: known */
    assert_string_equal(where(p, 3, 0), "a");   /* one alone does not drive out another */
    assert_string_equal(blob_peers_accuse(p, 3, &key), "a");
    assert_string_equal(where(p, 3, 0), "");
    assert_int_equal(blob_peers_rows(p, "", rows, 4, &arena, &more), 3);
    assert_false(more);
    assert_string_equal(rows[0].worker, "a");
    assert_int_equal(rows[0].accusations, 2);
    assert_int_equal(rows[0].served_bytes, 1);
    assert_int_equal(blob_peers_rows(p, "a", rows, 1, &arena, &more), 1);
    assert_true(more);
    assert_string_equal(rows[0].worker, "b");
    arena_release(&arena);
    blob_peers_free(p);
}

/* More blobs and workers than there are places for: the oldest go, nothing grows; and digests that
 * a hostile worker made up to be alike cost no more than others. */
static void test_everything_is_bounded(void **state)
{
    (void)state;
    struct blob_peers *p = blob_peers_new(&salt);
    hello(p, 1, "a", 1, 0);
    blob_peers_held(p, 1, &model, 1);
    for (uint32_t i = 0; i < BLOB_PEERS_HOLDINGS_MAX; i++) {
        struct digest digest = {{1, 2, 3}};
        memcpy(digest.bytes + 8, &i, sizeof i);
        if (i == BLOB_PEERS_HOLDINGS_MAX - 1)
            assert_string_equal(where(p, 3, 0), "a");
        blob_peers_held(p, 1, &digest, 1);
    }
    assert_string_equal(where(p, 3, 0), "");
    for (uint64_t i = 0; i <= WORKERS_MAX; i++) {
        char name[32];
        snprintf(name, sizeof name, "w%llu", (unsigned long long)i);
        hello(p, 100 + i, name, 1, (int64_t)i + 1);
    }
    struct arena arena = {0};
    struct traffic_row row;
    bool more = false;
    assert_int_equal(blob_peers_rows(p, "", &row, 1, &arena, &more), 1);
    assert_string_equal(row.worker, "w1"); /* "a" and "w0" were the longest unheard of */
    arena_release(&arena);
    blob_peers_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_holders_are_named_in_turn),
        cmocka_unit_test(test_the_silent_and_the_restarted_are_not_named),
        cmocka_unit_test(test_revoked_keys_are_forgotten),
        cmocka_unit_test(test_two_accusers_are_enough),
        cmocka_unit_test(test_everything_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
