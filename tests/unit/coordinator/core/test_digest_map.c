/* The table of jobs against a plain array, through its growth into parts and back. */
#include "cmocka_all.h"

#include <stdlib.h>

#include "digest_map.h"
#include "rng.h"

enum { KEYS = 30000, ACTS = 200000 };

/* Half of the keys are digests, half are made from small numbers, as those of sessions. */
static struct digest key_of(uint64_t number)
{
    return number % 2 == 0 ? hash_bytes(&number, sizeof number) : digest_of_number(number);
}

static void assert_walk_sees_each_once(const struct digest_map *map, char *values,
                                       const bool *is_there)
{
    int *seen = calloc(KEYS, sizeof *seen);
    size_t at = 0;
    assert_non_null(seen);
    for (char *value; (value = digest_map_next(map, &at)) != NULL;) {
        seen[value - values]++;
    }
    for (size_t i = 0; i < KEYS; i++) {
        assert_int_equal(seen[i], is_there[i]);
    }
    free(seen);
}

static void test_the_table_is_what_was_put_there(void **state)
{
    (void)state;
    struct digest_map map = {0};
    struct rng rng = rng_new(7, "digest-map");
    char *values = calloc(KEYS, 1);
    bool *is_there = calloc(KEYS, sizeof *is_there);
    size_t count = 0;
    assert_true(values != NULL && is_there != NULL);
    for (int i = 0; i < ACTS; i++) {
        /* It fills, then empties. */
        const uint64_t n = rng_below(&rng, KEYS);
        const struct digest key = key_of(n);
        const bool puts = rng_below(&rng, 4) < (i < ACTS / 2 ? 3U : 1U);
        assert_ptr_equal(digest_map_get(&map, &key), is_there[n] ? &values[n] : NULL);
        if (puts) {
            digest_map_put(&map, &key, &values[n]);
        } else {
            assert_ptr_equal(digest_map_remove(&map, &key), is_there[n] ? &values[n] : NULL);
        }
        count += (size_t)(puts && !is_there[n]);
        count -= (size_t)(!puts && is_there[n]);
        is_there[n] = puts;
        assert_int_equal(map.count, count);
        if (i % (ACTS / 8) == 0) {
            assert_walk_sees_each_once(&map, values, is_there);
        }
    }
    assert_non_null(map.parts); /* it was large */
    assert_walk_sees_each_once(&map, values, is_there);
    digest_map_release(&map);
    assert_null(digest_map_get(&map, &(struct digest){{1}}));
    free(values);
    free(is_there);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_table_is_what_was_put_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
