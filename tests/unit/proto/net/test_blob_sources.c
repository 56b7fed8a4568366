/* proto/net/blob_sources: whom a blob is asked from, in which order; who is to blame for wrong
 * bytes however the blob was put together; and that nobody is blamed for another's. */
#include "cmocka_all.h"

#include <stdio.h>
#include <string.h>

#include "blob_sources.h"

#define CHUNK 1000

static struct blob_source offered[3] = {
    {"a", "tcp://a:1", {{1}}}, {"b", "tcp://b:1", {{2}}}, {"c", "tcp://c:1", {{3}}}};

static void begin(struct blob_sources *s, size_t count)
{
    blob_sources_reset(s);
    blob_sources_offer(s, offered, count);
}

/* `chunks` chunks from the current source; what it sends is named by `seed`. */
static uint64_t take(struct blob_sources *s, uint64_t offset, int chunks, uint32_t seed)
{
    for (int i = 0; i < chunks; i++, offset += CHUNK)
        blob_sources_took(s, offset, CHUNK, seed * 7919 + (uint32_t)(offset / CHUNK));
    return offset;
}

static void test_sources_are_tried_in_turn(void **state)
{
    (void)state;
    struct blob_sources s = {0};
    begin(&s, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(blob_sources_choose(&s), CHOOSE_PEER);
        assert_int_equal(s.current, i);
        blob_sources_failed(&s);
    }
    assert_int_equal(blob_sources_choose(&s), CHOOSE_COORDINATOR);
    assert_int_equal(s.current, -1);
    /* Offered again for the same blob, a failed one stays failed; for the next one it does not. */
    blob_sources_offer(&s, offered, 3);
    assert_int_equal(blob_sources_choose(&s), CHOOSE_COORDINATOR);
    begin(&s, 3);
    assert_int_equal(blob_sources_choose(&s), CHOOSE_PEER);
}

static void test_the_busy_are_waited_for_but_not_for_ever(void **state)
{
    (void)state;
    struct blob_sources s = {0};
    const int waits_max = (SOURCES_WAITS_MS_MIN + 2000) / SOURCES_WAIT_MS;
    int waits = 0;
    begin(&s, 2);
    blob_sources_size(&s, UINT64_MAX);
    assert_int_equal(s.waits_ms_max, SOURCES_WAITS_MS_MAX);
    blob_sources_size(&s, 2000 * SOURCES_WAIT_BYTES_PER_MS);
    for (;;) {
        enum source_choice choice = blob_sources_choose(&s);
        if (choice == CHOOSE_COORDINATOR)
            break;
        if (choice == CHOOSE_PEER) {
            blob_sources_busy(&s);
        } else {
            waits++;
            assert_in_range(waits, 1, waits_max);
            blob_sources_offer(&s, offered, 2); /* asked again: they may have room now */
        }
    }
    assert_int_equal(waits, waits_max);
}

static void test_only_addresses_of_the_network_are_asked(void **state)
{
    (void)state;
    struct blob_sources s = {0};
    const struct blob_source strange[] = {
        {"x", "ipc:///tmp/x", {{7}}}, {"y", "inproc://y", {{8}}}, {"z", "", {{9}}}};
    blob_sources_reset(&s);
    blob_sources_offer(&s, strange, 3);
    assert_int_equal(s.count, 0);
    assert_int_equal(blob_sources_choose(&s), CHOOSE_COORDINATOR);
}

static void test_a_single_liar_is_banned_at_once(void **state)
{
    (void)state;
    struct blob_sources s = {0};
    struct source culprits[SOURCES_PIECES_MAX + 1];
    bool may_retry = false;
    begin(&s, 2);
    assert_int_equal(blob_sources_choose(&s), CHOOSE_PEER);
    take(&s, 0, 5, 1);
    assert_int_equal(blob_sources_mismatch(&s, culprits, &may_retry), 1);
    assert_true(may_retry);
    assert_string_equal(culprits[0].worker, "a");
    /* The other one is asked next, and the liar never again. */
    assert_int_equal(blob_sources_choose(&s), CHOOSE_PEER);
    assert_string_equal(s.list[s.current].worker, "b");
    take(&s, 0, 5, 0);
    assert_int_equal(blob_sources_whole(&s, culprits), 0);
    begin(&s, 2);
    assert_int_equal(s.count, 1);
    assert_string_equal(s.list[0].worker, "b");
}

/* a sends two chunks, b two, the coordinator the rest; `liar` of them other ones than the truth. */
static size_t mixed(struct blob_sources *s, int liar, bool shows,
                    struct source culprits[SOURCES_PIECES_MAX + 1])
{
    bool may_retry = false;
    begin(s, 2);
    uint64_t at = 0;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(blob_sources_choose(s), CHOOSE_PEER);
        at = take(s, at, 2, i == liar && shows ? 5 : 0);
        blob_sources_failed(s);
    }
    assert_int_equal(blob_sources_choose(s), CHOOSE_COORDINATOR);
    take(s, at, 3, 0);
    assert_int_equal(blob_sources_mismatch(s, culprits, &may_retry), 0);
    assert_true(may_retry);
    assert_int_equal(blob_sources_choose(s), CHOOSE_COORDINATOR);
    take(s, 0, 7, 0);
    return blob_sources_whole(s, culprits);
}

static void test_the_liar_among_several_is_found(void **state)
{
    (void)state;
    for (int liar = 0; liar < 2; liar++) {
        struct blob_sources s = {0};
        struct source culprits[SOURCES_PIECES_MAX + 1];
        assert_int_equal(mixed(&s, liar, true, culprits), 1);
        assert_string_equal(culprits[0].worker, liar == 0 ? "a" : "b");
        assert_true(blob_sources_is_banned(&s, &offered[liar].server_key));
        assert_false(blob_sources_is_banned(&s, &offered[1 - liar].server_key));
    }
    /* Who forges checksums, too, takes the others with him. */
    struct blob_sources s = {0};
    struct source culprits[SOURCES_PIECES_MAX + 1];
    assert_int_equal(mixed(&s, 0, false, culprits), 2);
}

static void test_the_coordinator_alone_cannot_be_replaced(void **state)
{
    (void)state;
    struct blob_sources s = {0};
    struct source culprits[SOURCES_PIECES_MAX + 1];
    bool may_retry = true;
    begin(&s, 0);
    assert_int_equal(blob_sources_choose(&s), CHOOSE_COORDINATOR);
    take(&s, 0, 5, 1);
    assert_int_equal(blob_sources_mismatch(&s, culprits, &may_retry), 0);
    assert_false(may_retry);
}

/* However often sources change, what is remembered of it is bounded, and still complete: a lie in
 * any piece is found. */
static void test_many_pieces(void **state)
{
    (void)state;
    struct blob_sources s = {0};
    struct source culprits[SOURCES_PIECES_MAX + 1];
    bool may_retry = false;
    uint64_t at = 0;
    int peers = 0;
    blob_sources_reset(&s);
    while (at < 40 * CHUNK) {
        blob_sources_offer(&s, NULL, 0); /* who failed has come back: ask him again */
        blob_sources_offer(&s, &offered[peers % 2], 1);
        if (blob_sources_choose(&s) == CHOOSE_PEER) {
            peers++;
            at = take(&s, at, 1, peers == 5 ? 5 : 0); /* the fifth is of "a" */
            blob_sources_failed(&s);
        } else {
            at = take(&s, at, 1, 0);
        }
    }
    assert_int_equal(peers, SOURCES_PIECES_MAX);
    assert_int_equal(blob_sources_mismatch(&s, culprits, &may_retry), 0);
    assert_int_equal(blob_sources_choose(&s), CHOOSE_COORDINATOR);
    take(&s, 0, 40, 0);
    assert_int_equal(blob_sources_whole(&s, culprits), 1);
    assert_string_equal(culprits[0].worker, "a");
}

static void test_bans_are_bounded(void **state)
{
    (void)state;
    struct blob_sources s = {0};
    for (int i = 0; i < SOURCES_BANNED_MAX + 3; i++) {
        const struct digest key = {{(uint8_t)i, 1}};
        blob_sources_ban(&s, &key);
        blob_sources_ban(&s, &key);
    }
    assert_false(blob_sources_is_banned(&s, &(struct digest){{0, 1}}));
    assert_true(blob_sources_is_banned(&s, &(struct digest){{3, 1}}));
    assert_true(blob_sources_is_banned(&s, &(struct digest){{SOURCES_BANNED_MAX + 2, 1}}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sources_are_tried_in_turn),
        cmocka_unit_test(test_the_busy_are_waited_for_but_not_for_ever),
        cmocka_unit_test(test_only_addresses_of_the_network_are_asked),
        cmocka_unit_test(test_a_single_liar_is_banned_at_once),
        cmocka_unit_test(test_the_liar_among_several_is_found),
        cmocka_unit_test(test_the_coordinator_alone_cannot_be_replaced),
        cmocka_unit_test(test_many_pieces),
        cmocka_unit_test(test_bans_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
