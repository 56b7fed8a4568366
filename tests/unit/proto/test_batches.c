/* proto/records and proto/metrics: batches are laid out as docs/data.md says, come back bit for bit
 * (NaN included), and any damaged byte is noticed. */
#include "cmocka_all.h"

#include <math.h>
#include <string.h>

#include "hash.h"
#include "limits.h"
#include "metrics.h"
#include "records.h"

static const struct record three[] = {
    {1, 2, 2.5, 0.25, 3, 2, true, false},
    {3, 0, NAN, INFINITY, 65535, 0, false, true},
    {UINT32_MAX, UINT32_MAX, -0.0, 5e-324, 1, 1, true, true},
};

static void test_record_layout(void **state)
{
    (void)state;
    struct strbuf batch = {0};
    records_encode(&batch, three, 1);
    /* Written by hand from records.h; 2.5 is 0x4004000000000000, 0.25 is 0x3fd0000000000000. */
    static const uint8_t expected[] = {'T', 'R',  'B', '1', 1, 0, 0, 0, 0,    0,    0, 0, 0, 0, 0,
                                       0,   1,    0,   0,   0, 2, 0, 0, 0,    0,    0, 0, 0, 0, 0,
                                       4,   0x40, 0,   0,   0, 0, 0, 0, 0xd0, 0x3f, 3, 0, 2, 0, 1};
    assert_int_equal(batch.len, sizeof expected);
    uint32_t crc32c = hash_crc32c(expected + 16, sizeof expected - 16);
    assert_memory_equal(batch.data, expected, 8);
    assert_memory_equal(batch.data + 8, &crc32c, 4);
    assert_memory_equal(batch.data + 12, expected + 12, sizeof expected - 12);
    strbuf_release(&batch);
}

static void test_records_round_trip(void **state)
{
    (void)state;
    struct strbuf batch = {0};
    struct record out[3];
    uint32_t count = 0;
    struct err err;
    records_encode(&batch, three, 3);
    assert_int_equal(records_decode(batch.data, batch.len, out, 2, &count, &err), ERR_LIMIT);
    assert_int_equal(records_decode(batch.data, batch.len, out, 3, &count, &err), ERR_OK);
    assert_int_equal(count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(out[i].sequence, three[i].sequence);
        assert_int_equal(out[i].position, three[i].position);
        assert_memory_equal(&out[i].content_nats, &three[i].content_nats, 8);
        assert_memory_equal(&out[i].terminator_nats, &three[i].terminator_nats, 8);
        assert_int_equal(out[i].token_count, three[i].token_count);
        assert_int_equal(out[i].hit_tokens, three[i].hit_tokens);
        assert_int_equal(out[i].first_hit, three[i].first_hit);
        assert_int_equal(out[i].hit, three[i].hit);
    }
    strbuf_release(&batch);
}

static void test_damaged_records(void **state)
{
    (void)state;
    struct strbuf batch = {0};
    uint32_t count = 0;
    struct err err;
    records_encode(&batch, three, 3);
    for (size_t i = 0; i < batch.len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            batch.data[i] = (char)(batch.data[i] ^ (1 << bit));
            assert_int_equal(records_check(batch.data, batch.len, &count, &err), ERR_CORRUPT);
            batch.data[i] = (char)(batch.data[i] ^ (1 << bit));
        }
        assert_int_equal(records_check(batch.data, i, &count, &err), ERR_CORRUPT);
    }
    assert_int_equal(records_check(batch.data, batch.len, &count, &err), ERR_OK);
    /* An unknown flag under a right checksum. */
    batch.data[batch.len - 1] = 4;
    uint32_t crc32c = hash_crc32c(batch.data + 16, batch.len - 16);
    memcpy(batch.data + 8, &crc32c, 4);
    assert_int_equal(records_check(batch.data, batch.len, &count, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, "record 2 has unknown flags"));
    strbuf_release(&batch);
}

static void test_largest_batches_fit_a_payload(void **state)
{
    (void)state;
    static struct record records[RECORDS_PER_BATCH_MAX];
    static struct metric_point points[METRICS_PER_BATCH_MAX];
    struct strbuf batch = {0};
    char name[64];
    memset(name, 'n', 63);
    name[63] = '\0';
    records_encode(&batch, records, RECORDS_PER_BATCH_MAX);
    assert_true(batch.len <= STREAM_PAYLOAD_BYTES_MAX);
    strbuf_clear(&batch);
    for (size_t i = 0; i < METRICS_PER_BATCH_MAX; i++)
        points[i].name = name;
    metrics_encode(&batch, points, METRICS_PER_BATCH_MAX);
    assert_true(batch.len <= STREAM_PAYLOAD_BYTES_MAX);
    strbuf_release(&batch);
}

static void test_metrics_round_trip_and_damage(void **state)
{
    (void)state;
    static const struct metric_point points[] = {
        {0, 1800000000123, 6.93, "loss_nats"},
        {-5, INT64_MIN, NAN, "x"},
    };
    struct strbuf batch = {0};
    struct arena arena = {0};
    struct metric_point *out = NULL;
    uint32_t count = 0;
    struct err err;
    metrics_encode(&batch, points, 2);
    assert_int_equal(batch.len, 12 + 2 * 25 + 9 + 1);
    assert_int_equal(metrics_decode(batch.data, batch.len, &arena, &out, &count, &err), ERR_OK);
    assert_int_equal(count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(out[i].step, points[i].step);
        assert_int_equal(out[i].time_ms, points[i].time_ms);
        assert_memory_equal(&out[i].value, &points[i].value, 8);
        assert_string_equal(out[i].name, points[i].name);
    }
    for (size_t i = 0; i < batch.len; i++) {
        batch.data[i] ^= 1;
        assert_int_equal(metrics_decode(batch.data, batch.len, &arena, &out, &count, &err),
                         ERR_CORRUPT);
        batch.data[i] ^= 1;
        assert_int_equal(metrics_decode(batch.data, i, &arena, &out, &count, &err), ERR_CORRUPT);
    }
    /* A name that runs past the end under a right checksum. */
    batch.data[batch.len - 2] = 60;
    uint32_t crc32c = hash_crc32c(batch.data + 12, batch.len - 12);
    memcpy(batch.data + 8, &crc32c, 4);
    assert_int_equal(metrics_decode(batch.data, batch.len, &arena, &out, &count, &err),
                     ERR_CORRUPT);
    assert_non_null(strstr(err.text, "bad name in point 1"));
    arena_release(&arena);
    strbuf_release(&batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record_layout),
        cmocka_unit_test(test_records_round_trip),
        cmocka_unit_test(test_damaged_records),
        cmocka_unit_test(test_largest_batches_fit_a_payload),
        cmocka_unit_test(test_metrics_round_trip_and_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
