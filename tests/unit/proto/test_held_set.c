/* The digest of held leases: worker and coordinator must make the same of the same set. */
#include "cmocka_all.h"

#include <string.h>

#include "held_set.h"

static struct lease_key lease_of(uint8_t job, uint32_t epoch)
{
    struct lease_key key = {.epoch = epoch};
    memset(key.job.bytes, job, sizeof key.job.bytes);
    return key;
}

static void expect_digest(const struct held_set *set, const char *expected)
{
    char hex[DIGEST_HEX_SIZE];
    assert_string_equal(digest_hex(&set->digest, hex), expected);
}

/* Made with Python's integers, as docs/protocol.md section 2 says it. */
static void test_it_is_what_the_protocol_says(void **state)
{
    (void)state;
    struct held_set set = {0};
    struct lease_key one = {.epoch = 1};
    const struct lease_key two = lease_of(2, 0x01020304);
    for (uint8_t i = 0; i < DIGEST_BYTES; i++)
        one.job.bytes[i] = i;
    held_set_add(&set, &one, HELD_RUNNING);
    expect_digest(&set, "9a275ae57abe47bc3c09ba30049a302ae6b000ab0953101cdbfe356bb6673ba4");
    held_set_add(&set, &two, HELD_FINISHED);
    expect_digest(&set, "63b2fad31c168badc59c1a066232fc3b1f25a09d6ffbdc0d226b955dd0cff7b5");
    assert_int_equal(set.count, 2);
}

static void test_order_does_not_matter_members_do(void **state)
{
    (void)state;
    const struct lease_key a = lease_of(1, 1), b = lease_of(2, 1), b2 = lease_of(2, 2);
    struct held_set ab = {0}, ba = {0}, other = {0};
    held_set_add(&ab, &a, HELD_RUNNING);
    held_set_add(&ab, &b, HELD_RUNNING);
    held_set_add(&ba, &b, HELD_RUNNING);
    held_set_add(&ba, &a, HELD_RUNNING);
    assert_true(held_set_equal(&ab, &ba));
    held_set_add(&other, &a, HELD_RUNNING);
    held_set_add(&other, &b2, HELD_RUNNING);
    assert_false(held_set_equal(&ab, &other)); /* the epoch */
    held_set_remove(&other, &b2, HELD_RUNNING);
    held_set_add(&other, &b, HELD_FINISHED);
    assert_false(held_set_equal(&ab, &other)); /* the state */
    held_set_remove(&other, &b, HELD_FINISHED);
    assert_false(held_set_equal(&ab, &other)); /* a member less */
    held_set_add(&other, &b, HELD_RUNNING);
    assert_true(held_set_equal(&ab, &other));
    held_set_remove(&other, &a, HELD_RUNNING);
    held_set_remove(&other, &b, HELD_RUNNING);
    assert_true(held_set_equal(&other, &(struct held_set){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_what_the_protocol_says),
        cmocka_unit_test(test_order_does_not_matter_members_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
