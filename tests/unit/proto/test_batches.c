/* proto/records and proto/metrics: batches are laid out as docs/data.md says, come back bit for bit
 * (NaN included), and any damaged byte is noticed. */
#include "cmocka_all.h"

#include <math.h>
#include <string.h>

#include "bounds.h"
#include "hash.h"
#include "metrics.h"
#include "records.h"

static const struct record_entry entries[] = {
    {-0.5f, true}, {-3.0f, false}, {-0.0f, false}, {-4.5f, true}};
static const struct record scores[] = {
    {.sequence = 1,
     .position = 2,
     .content_nats = 2.5,
     .terminator_nats = 0.25,
     .token_count = 3,
     .hit_tokens = 2,
     .first_hit = true,
     .greedy_nats = 1.5,
     .part_count = 1,
     .entries = entries},
    {.sequence = 3,
     .content_nats = (double)NAN,
     .terminator_nats = INFINITY,
     .token_count = 65535,
     .hit = true},
    {.sequence = UINT32_MAX,
     .position = UINT32_MAX,
     .content_nats = -0.0,
     .terminator_nats = 5e-324,
     .token_count = 1,
     .hit_tokens = 1,
     .first_hit = true,
     .hit = true,
     .part_count = 3,
     .entries = entries + 1},
};
static const struct record_choice choices[] = {
    {0.25, 1.5, 0.5}, {0.75, INFINITY, 0}, {0, (double)NAN, 2}};
static const struct record chosen[] = {
    {.sequence = 7, .token_count = 9, .part_count = 2, .choices = choices},
    {.sequence = 8},
    {.sequence = 9, .part_count = 1, .choices = choices + 2},
};
static const struct record samples[] = {
    {.content_nats = 2.0, .token_count = 4, .ended = true, .part_count = 6, .text = "Montag"},
    {.position = 1, .token_count = 16, .text = ""},
    {.position = 2, .token_count = 1, .hit = true, .part_count = 3, .text = "\xe2\x82\xac"},
};

static const struct record_batch batches[] = {
    {RECORDS_SCORES, (struct record *)(uintptr_t)scores, 3},
    {RECORDS_CHOICES, (struct record *)(uintptr_t)chosen, 3},
    {RECORDS_SAMPLES, (struct record *)(uintptr_t)samples, 3},
};

static void encode(struct strbuf *out, const struct record_batch *batch)
{
    records_encode(out, batch->kind, batch->records, batch->count);
}

static void test_record_layout(void **state)
{
    (void)state;
    struct strbuf batch = {0};
    records_encode(&batch, RECORDS_SCORES, scores, 1);
    /* Written by hand from records.h; 2.5 is 0x4004000000000000, 0.25 is 0x3fd0000000000000, 1.5
     * is 0x3ff8000000000000, -0.5f is 0xbf000000. */
    static const uint8_t expected[] = {
        'T', 'R', 'B', '2',  1, 0, 0, 0,    0, 0, 0, 0, 0, 0,    0,    0, /* header */
        1,   0,   0,   0,    2, 0, 0, 0,                                  /* sequence, position */
        0,   0,   0,   0,    0, 0, 4, 0x40, 0, 0, 0, 0, 0, 0,    0xd0, 0x3f, /* nats */
        3,   0,   2,   0,    1, 1, 0, 0,    0, 0, 0, 0, 0, 0xf8, 0x3f,       /* tokens … greedy */
        0,   0,   0,   0xbf, 1};                                             /* the entry */
    assert_int_equal(batch.len, sizeof expected);
    uint32_t crc32c = hash_crc32c(expected + 16, sizeof expected - 16);
    assert_memory_equal(batch.data, expected, 8);
    assert_memory_equal(batch.data + 8, &crc32c, 4);
    assert_memory_equal(batch.data + 12, expected + 12, sizeof expected - 12);
    strbuf_release(&batch);
}

static void assert_parts_equal(enum record_kind kind, const struct record *a,
                               const struct record *b)
{
    for (uint16_t p = 0; p < a->part_count; p++) {
        if (kind == RECORDS_SCORES) {
            assert_memory_equal(&a->entries[p].log_p, &b->entries[p].log_p, 4);
            assert_int_equal(a->entries[p].right, b->entries[p].right);
        } else if (kind == RECORDS_CHOICES) {
            assert_memory_equal(&a->choices[p], &b->choices[p], sizeof a->choices[p]);
        } else {
            assert_int_equal(a->text[p], b->text[p]);
        }
    }
}

static void assert_record_equal(enum record_kind kind, const struct record *a,
                                const struct record *b)
{
    assert_int_equal(a->sequence, b->sequence);
    assert_int_equal(a->position, b->position);
    assert_memory_equal(&a->content_nats, &b->content_nats, 8);
    assert_memory_equal(&a->terminator_nats, &b->terminator_nats, 8);
    assert_memory_equal(&a->greedy_nats, &b->greedy_nats, 8);
    assert_int_equal(a->token_count, b->token_count);
    assert_int_equal(a->hit_tokens, b->hit_tokens);
    assert_int_equal(a->first_hit, b->first_hit);
    assert_int_equal(a->hit, b->hit);
    assert_int_equal(a->ended, b->ended);
    assert_int_equal(a->part_count, b->part_count);
    assert_parts_equal(kind, a, b);
}

static void test_records_round_trip(void **state)
{
    (void)state;
    for (size_t k = 0; k < RECORD_KIND_COUNT; k++) {
        struct strbuf bytes = {0};
        struct arena arena = {0};
        struct record_batch out;
        struct err err;
        encode(&bytes, &batches[k]);
        assert_int_equal(records_decode(bytes.data, bytes.len, &arena, &out, &err), ERR_OK);
        assert_int_equal(out.kind, batches[k].kind);
        assert_int_equal(out.count, 3);
        for (uint32_t i = 0; i < 3; i++)
            assert_record_equal(out.kind, &batches[k].records[i], &out.records[i]);
        if (out.kind == RECORDS_SAMPLES)
            assert_string_equal(out.records[0].text, "Montag");
        arena_release(&arena);
        strbuf_release(&bytes);
    }
}

/* Change a byte and put the checksum right. */
static enum err_code check_with(struct strbuf *batch, size_t at, uint8_t value, struct err *err)
{
    const char before = batch->data[at];
    uint32_t count;
    batch->data[at] = (char)value;
    uint32_t crc32c = hash_crc32c(batch->data + 16, batch->len - 16);
    memcpy(batch->data + 8, &crc32c, 4);
    enum err_code code = records_check(batch->data, batch->len, &count, err);
    batch->data[at] = before;
    return code;
}

static void test_damaged_records(void **state)
{
    (void)state;
    for (size_t k = 0; k < RECORD_KIND_COUNT; k++) {
        struct strbuf batch = {0};
        uint32_t count = 0;
        struct err err;
        encode(&batch, &batches[k]);
        for (size_t i = 0; i < batch.len; i++) {
            for (int bit = 0; bit < 8; bit++) {
                if (i == 12) /* another kind has another length, as is checked below */
                    continue;
                batch.data[i] = (char)(batch.data[i] ^ (1 << bit));
                assert_int_equal(records_check(batch.data, batch.len, &count, &err), ERR_CORRUPT);
                batch.data[i] = (char)(batch.data[i] ^ (1 << bit));
            }
            assert_int_equal(records_check(batch.data, i, &count, &err), ERR_CORRUPT);
        }
        assert_int_equal(records_check(batch.data, batch.len, &count, &err), ERR_OK);
        assert_int_equal(check_with(&batch, 12, (uint8_t)((k + 1) % RECORD_KIND_COUNT), &err),
                         ERR_CORRUPT);
        assert_int_equal(check_with(&batch, 12, RECORD_KIND_COUNT, &err), ERR_CORRUPT);
        /* An unknown flag, and a part too many, under right checksums. */
        assert_int_equal(check_with(&batch, 16 + 3 * 28, 8, &err), ERR_CORRUPT);
        assert_non_null(strstr(err.text, "record 0 has unknown flags"));
        assert_int_equal(check_with(&batch, 16 + 3 * 29, 77, &err), ERR_CORRUPT);
        assert_int_equal(check_with(&batch, 16 + 3 * 29 + 1, 0xff, &err), ERR_CORRUPT);
        assert_non_null(strstr(err.text, "record 0 has too many parts"));
        strbuf_release(&batch);
    }
    struct strbuf batch = {0};
    struct err err;
    encode(&batch, &batches[RECORDS_SCORES]);
    assert_int_equal(check_with(&batch, batch.len - 1, 2, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.text, "entry 3 is neither"));
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
    for (int kind = 0; kind < RECORD_KIND_COUNT; kind++) {
        strbuf_clear(&batch);
        records_encode(&batch, (enum record_kind)kind, records, RECORDS_PER_BATCH_MAX);
        assert_true(batch.len <= STREAM_PAYLOAD_BYTES_MAX);
        assert_int_equal(batch.len,
                         records_bytes((enum record_kind)kind, records, RECORDS_PER_BATCH_MAX));
    }
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
