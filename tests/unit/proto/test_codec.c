/* proto/codec: every kind round-trips; its tables, triad.proto and vocab.h say the same; whatever
 * hostile bytes come in, either they are refused within the budget, or they are the one frame of
 * the message they decode to. */
#include "cmocka_all.h"

#include <string.h>

#include "bounds.h"
#include "codec.h"
#include "codec_shapes.h"
#include "msg_examples.h"
#include "rng.h"

#define ALL_SENDERS "WSCRD"

static enum err_code decode(const void *bytes, size_t len, struct arena *arena, struct msg *out,
                            struct err *err)
{
    arena_init(arena, DECODE_BUDGET_BYTES);
    return codec_decode(bytes, len, ALL_SENDERS, arena, out, err);
}

static void encode(const struct msg *m, struct strbuf *out)
{
    struct err err;
    strbuf_clear(out);
    assert_int_equal(codec_encode(m, FRAME_DATA_BYTES_MAX, out, &err), ERR_OK);
}

/* ---- deep comparison by the tables, which test_shapes_cover_vocab shows to be complete ---- */

static void assert_same(const struct shape *shape, const uint8_t *a, const uint8_t *b);

static void assert_same_list(const struct field *f, const uint8_t *a, const uint8_t *b)
{
    size_t count = *(const size_t *)(const void *)(a + f->count_at);
    assert_int_equal(count, *(const size_t *)(const void *)(b + f->count_at));
    const uint8_t *x = *(uint8_t *const *)(const void *)(a + f->at);
    const uint8_t *y = *(uint8_t *const *)(const void *)(b + f->at);
    for (size_t i = 0; i < count; i++) {
        if (f->type == FIELD_PART_LIST) {
            assert_same(f->part, x + i * f->part->our_bytes, y + i * f->part->our_bytes);
        } else if (f->type == FIELD_BYTES_LIST) {
            const struct bytes *p = (const struct bytes *)(const void *)x + i;
            const struct bytes *q = (const struct bytes *)(const void *)y + i;
            assert_int_equal(p->len, q->len);
            if (p->len)
                assert_memory_equal(p->data, q->data, p->len);
        } else {
            size_t bytes = f->type == FIELD_DIGEST_LIST ? DIGEST_BYTES : sizeof(int64_t);
            assert_memory_equal(x + i * bytes, y + i * bytes, bytes);
        }
    }
    if (count == 0)
        assert_null(y);
}

static size_t plain_bytes(const struct field *f, size_t *align_out)
{
    size_t one = 8;
    size_t count = 1;
    switch (f->type) {
    case FIELD_U32S:
        count = f->limit;
        one = 4;
        break;
    case FIELD_U64S:
        count = f->limit;
        break;
    case FIELD_U32:
    case FIELD_I32:
    case FIELD_ENUM:
    case FIELD_CODE:
        one = 4;
        break;
    case FIELD_BOOL:
        one = 1;
        break;
    case FIELD_DIGEST:
        one = 1;
        count = DIGEST_BYTES;
        break;
    case FIELD_BYTES:
        count = 2;
        break;
    case FIELD_PART:
        *align_out = strcmp(f->part->name, "lease_key") == 0 ? 4 : 8;
        return f->part->our_bytes;
    case FIELD_U64:
    case FIELD_I64:
    case FIELD_DOUBLE:
    case FIELD_STRING:
    case FIELD_I64_LIST:
    case FIELD_DIGEST_LIST:
    case FIELD_BYTES_LIST:
    case FIELD_PART_LIST:
        break;
    }
    *align_out = one;
    return one * count;
}

static void assert_same(const struct shape *shape, const uint8_t *a, const uint8_t *b)
{
    for (size_t i = 0; i < shape->field_count; i++) {
        const struct field *f = &shape->fields[i];
        size_t align;
        if (f->type >= FIELD_I64_LIST) {
            assert_same_list(f, a, b);
        } else if (f->type == FIELD_STRING) {
            assert_string_equal(*(char *const *)(const void *)(a + f->at),
                                *(char *const *)(const void *)(b + f->at));
        } else if (f->type == FIELD_PART) {
            assert_same(f->part, a + f->at, b + f->at);
        } else if (f->type == FIELD_BYTES) {
            const struct bytes *x = (const struct bytes *)(const void *)(a + f->at);
            const struct bytes *y = (const struct bytes *)(const void *)(b + f->at);
            assert_int_equal(x->len, y->len);
            if (x->len)
                assert_memory_equal(x->data, y->data, x->len);
        } else {
            assert_memory_equal(a + f->at, b + f->at, plain_bytes(f, &align));
        }
    }
}

/* Wire type and repetition that a field type needs. */
static const struct {
    ProtobufCType type;
    bool repeated;
} wire_types[] = {
    [FIELD_U32] = {PROTOBUF_C_TYPE_UINT32, false},
    [FIELD_I32] = {PROTOBUF_C_TYPE_SINT32, false},
    [FIELD_U64] = {PROTOBUF_C_TYPE_UINT64, false},
    [FIELD_I64] = {PROTOBUF_C_TYPE_SINT64, false},
    [FIELD_DOUBLE] = {PROTOBUF_C_TYPE_DOUBLE, false},
    [FIELD_BOOL] = {PROTOBUF_C_TYPE_BOOL, false},
    [FIELD_ENUM] = {PROTOBUF_C_TYPE_ENUM, false},
    [FIELD_CODE] = {PROTOBUF_C_TYPE_UINT32, false},
    [FIELD_STRING] = {PROTOBUF_C_TYPE_STRING, false},
    [FIELD_BYTES] = {PROTOBUF_C_TYPE_BYTES, false},
    [FIELD_DIGEST] = {PROTOBUF_C_TYPE_BYTES, false},
    [FIELD_PART] = {PROTOBUF_C_TYPE_MESSAGE, false},
    [FIELD_U32S] = {PROTOBUF_C_TYPE_UINT32, true},
    [FIELD_U64S] = {PROTOBUF_C_TYPE_UINT64, true},
    [FIELD_I64_LIST] = {PROTOBUF_C_TYPE_SINT64, true},
    [FIELD_DIGEST_LIST] = {PROTOBUF_C_TYPE_BYTES, true},
    [FIELD_BYTES_LIST] = {PROTOBUF_C_TYPE_BYTES, true},
    [FIELD_PART_LIST] = {PROTOBUF_C_TYPE_MESSAGE, true},
};

static size_t round_up(size_t n, size_t align)
{
    return (n + align - 1) / align * align;
}

static void check_shape(const struct shape *shape)
{
    size_t end = 0;
    size_t align_max = 1;
    assert_int_equal(shape->field_count, shape->wire->n_fields);
    for (size_t i = 0; i < shape->field_count; i++) {
        const struct field *f = &shape->fields[i];
        const ProtobufCFieldDescriptor *wire = &shape->wire->fields[i];
        assert_string_equal(f->name, wire->name);
        assert_int_equal(wire->id, i + 1);
        assert_int_equal(wire->type, wire_types[f->type].type);
        assert_int_equal(wire->label == PROTOBUF_C_LABEL_REPEATED, wire_types[f->type].repeated);
        if (f->part) {
            assert_ptr_equal(wire->descriptor, f->part->wire);
            check_shape(f->part);
        }
        /* No member of our struct is left out: each begins where the one before ends. */
        size_t align = 8;
        size_t bytes = plain_bytes(f, &align);
        if (f->at != round_up(end, align))
            fail_msg("%s.%s: something before it is missing in the table", shape->name, f->name);
        end = f->at + bytes;
        if (f->type >= FIELD_I64_LIST) {
            assert_int_equal(f->count_at, end);
            end += sizeof(size_t);
        }
        align_max = align > align_max ? align : align_max;
    }
    assert_int_equal(round_up(end, align_max), shape->our_bytes);
}

static void test_shapes_cover_vocab_and_proto(void **state)
{
    (void)state;
    assert_null(codec_shape(MSG_NONE));
    assert_null(codec_shape(MSG_KIND_COUNT));
    for (unsigned kind = 1; kind < MSG_KIND_COUNT; kind++)
        check_shape(codec_shape(kind));
}

static void test_every_kind_round_trips(void **state)
{
    (void)state;
    size_t count;
    const struct msg *examples = msg_examples(&count);
    bool seen[MSG_KIND_COUNT] = {false};
    struct strbuf first = {0};
    struct strbuf second = {0};
    for (size_t i = 0; i < count; i++) {
        struct arena arena;
        struct msg out;
        struct err err = {0};
        encode(&examples[i], &first);
        if (decode(first.data, first.len, &arena, &out, &err) != ERR_OK)
            fail_msg("example %zu: %s", i, err.text);
        assert_int_equal(out.kind, examples[i].kind);
        assert_same(codec_shape(out.kind), (const uint8_t *)&examples[i].hello,
                    (const uint8_t *)&out.hello);
        encode(&out, &second);
        assert_int_equal(first.len, second.len);
        assert_memory_equal(first.data, second.data, first.len);
        seen[out.kind] = true;
        arena_release(&arena);
    }
    for (unsigned kind = 1; kind < MSG_KIND_COUNT; kind++) {
        if (!seen[kind])
            fail_msg("no example of %s", msg_kind_name(kind));
    }
    strbuf_release(&first);
    strbuf_release(&second);
}

/* Refused, or the one frame of what it decodes to. Returns whether it was accepted. */
static bool accepted_or_refused(const uint8_t *bytes, size_t len)
{
    struct arena arena;
    struct msg out;
    struct err err = {0};
    enum err_code rc = decode(bytes, len, &arena, &out, &err);
    assert_true(arena.bytes_used <= DECODE_BUDGET_BYTES);
    if (rc == ERR_OK) {
        struct strbuf again = {0};
        encode(&out, &again);
        assert_int_equal(again.len, len);
        assert_memory_equal(again.data, bytes, len);
        strbuf_release(&again);
    } else {
        assert_true(err.text[0] != '\0');
    }
    arena_release(&arena);
    return rc == ERR_OK;
}

static void test_truncated_frames(void **state)
{
    (void)state;
    size_t count;
    size_t accepted = 0;
    size_t tried = 0;
    const struct msg *examples = msg_examples(&count);
    struct strbuf frame = {0};
    for (size_t i = 0; i < count; i++) {
        encode(&examples[i], &frame);
        for (size_t len = 0; len < frame.len; len++) {
            uint8_t *exact = test_malloc(len ? len : 1);
            memcpy(exact, frame.data, len);
            accepted += accepted_or_refused(exact, len);
            tried++;
            test_free(exact);
        }
    }
    /* Only a cut between the entries of a list at a message's end leaves a message. */
    assert_in_range(accepted, 1, 20);
    assert_true(tried > 3000);
    strbuf_release(&frame);
}

static void test_mutated_frames(void **state)
{
    (void)state;
    size_t count;
    size_t accepted = 0;
    const struct msg *examples = msg_examples(&count);
    struct rng rng = rng_new(1, "mutated frames");
    struct strbuf frame = {0};
    for (size_t i = 0; i < 40 * count; i++) {
        encode(&examples[i % count], &frame);
        for (uint64_t n = 1 + rng_below(&rng, 3); n > 0; n--)
            frame.data[1 + rng_below(&rng, frame.len - 1)] = (char)rng_u32(&rng);
        accepted += accepted_or_refused((uint8_t *)frame.data, frame.len);
    }
    assert_true(accepted > 0); /* a changed digest byte is another message */
    strbuf_release(&frame);
}

/* The version in front of the bytes that are written out below. */
#define V "\x05"
_Static_assert(PROTOCOL_VERSION == 5, "V is the version");

static void expect_refused(const void *bytes, size_t len, enum err_code code, const char *text)
{
    struct arena arena;
    struct msg out;
    struct err err = {0};
    assert_int_equal(decode(bytes, len, &arena, &out, &err), code);
    if (!strstr(err.text, text))
        fail_msg("\"%s\" does not say \"%s\"", err.text, text);
    arena_release(&arena);
}
#define EXPECT_REFUSED(literal, code, text) expect_refused(literal, sizeof(literal) - 1, code, text)

static void test_errors_name_kind_and_field(void **state)
{
    (void)state;
    _Static_assert(MSG_GET_STATUS == 18 && MSG_OK == 36 && MSG_ACK == 10 && MSG_ERROR == 37,
                   "the bytes below");
    EXPECT_REFUSED("", ERR_INVALID, "too short");
    EXPECT_REFUSED(V, ERR_INVALID, "too short");
    EXPECT_REFUSED("\x03\x12", ERR_VERSION, "version 3");
    EXPECT_REFUSED(V "\xff", ERR_INVALID, "kind 255");
    EXPECT_REFUSED(V "\x00", ERR_INVALID, "kind 0");
    EXPECT_REFUSED(V "\x12\x08", ERR_INVALID, "'get_status' is malformed");
    EXPECT_REFUSED(V "\x12\x08\x01", ERR_INVALID, "'get_status.experiment' is missing");
    EXPECT_REFUSED(V "\x12\x12\x01q", ERR_INVALID, "'get_status.request' is missing");
    EXPECT_REFUSED(V "\x12\x08\x01\x12\x02\xc3(", ERR_INVALID,
                   "'get_status.experiment' is not UTF-8");
    EXPECT_REFUSED(V "\x12\x08\x01\x12\x03q\0r", ERR_INVALID, "one form");
    EXPECT_REFUSED(V "\x24\x08\x01\x08\x02\x10\x03\x18\x00", ERR_INVALID, "one form"); /* doubled */
    EXPECT_REFUSED(V "\x24\x10\x03\x08\x01\x18\x00", ERR_INVALID, "one form"); /* out of order */
    EXPECT_REFUSED(V "\x24\x08\x81\x00\x10\x03\x18\x00", ERR_INVALID, "one form"); /* long varint */
    EXPECT_REFUSED(V "\x24\x08\x01\x10\x03\x18\x00\x20\x01", ERR_INVALID, "unknown field 4");
    EXPECT_REFUSED(V "\x25\x08\x01\x10\x63\x1a\x00", ERR_INVALID, "'error.code' has no value 99");
    EXPECT_REFUSED(V "\x0a\x08\x01\x12\x05\x0a\x01x\x10\x01\x18\x00\x20\x00", ERR_INVALID,
                   "'lease_key.job' is a digest of 1 bytes");
}

/* A valid 32-byte job, then an enum value of which there is none. */
static void test_enum_out_of_range(void **state)
{
    (void)state;
    struct msg ack = {.kind = MSG_ACK, .ack = {.session = 1, .stream = STREAM_LOG}};
    struct strbuf frame = {0};
    encode(&ack, &frame);
    assert_int_equal(frame.data[frame.len - 3], STREAM_LOG);
    frame.data[frame.len - 3] = STREAM_COUNT;
    expect_refused(frame.data, frame.len, ERR_INVALID, "'ack.stream' has no value 3");
    ack.ack.stream = STREAM_COUNT;
    struct err err;
    assert_int_equal(codec_encode(&ack, FRAME_BYTES_MAX, &frame, &err), ERR_INVALID);
    strbuf_release(&frame);
}

static void test_wrong_sender(void **state)
{
    (void)state;
    size_t count;
    const struct msg *examples = msg_examples(&count);
    struct strbuf frame = {0};
    size_t taken = 0;
    for (size_t i = 0; i < count; i++) {
        struct arena arena = {0};
        struct msg out;
        struct err err;
        encode(&examples[i], &frame);
        enum err_code rc = codec_decode(frame.data, frame.len, "W", &arena, &out, &err);
        assert_int_equal(rc, examples[i].kind <= MSG_BYE ? ERR_OK : ERR_DENIED);
        taken += rc == ERR_OK;
        arena_release(&arena);
    }
    assert_true(taken >= MSG_BYE);
    strbuf_release(&frame);
}

static void test_limits_hold_when_sending(void **state)
{
    (void)state;
    static char text[NAME_BYTES_MAX + 2];
    static uint8_t payload[STREAM_PAYLOAD_BYTES_MAX + 1];
    static struct digest digests[BLOB_STAT_DIGESTS_MAX + 1];
    struct strbuf out = {0};
    struct err err;
    memset(text, 'n', NAME_BYTES_MAX + 1);
    struct msg m = {.kind = MSG_GET_STATUS, .get_status = {1, text + 1}};
    assert_int_equal(codec_encode(&m, FRAME_BYTES_MAX, &out, &err), ERR_OK);
    size_t before = out.len;
    m.get_status.experiment = text;
    assert_int_equal(codec_encode(&m, FRAME_BYTES_MAX, &out, &err), ERR_LIMIT);
    assert_non_null(strstr(err.text, "'get_status.experiment' has 257 bytes"));
    m = (struct msg){.kind = MSG_STREAM, .stream = {.payload = {payload, sizeof payload}}};
    assert_int_equal(codec_encode(&m, FRAME_BYTES_MAX, &out, &err), ERR_LIMIT);
    m.stream.payload.len--;
    assert_int_equal(codec_encode(&m, STREAM_PAYLOAD_BYTES_MAX, &out, &err), ERR_LIMIT);
    assert_non_null(strstr(err.text, "frame would have"));
    m = (struct msg){.kind = MSG_BLOB_STAT, .blob_stat = {1, digests, BLOB_STAT_DIGESTS_MAX + 1}};
    assert_int_equal(codec_encode(&m, FRAME_DATA_BYTES_MAX, &out, &err), ERR_LIMIT);
    assert_int_equal(out.len, before); /* failures leave the buffer alone */
    strbuf_release(&out);
}

static void test_limits_hold_when_receiving(void **state)
{
    (void)state;
    struct strbuf frame = {0};
    /* get_status with an experiment of 300 bytes */
    strbuf_append(&frame, V "\x12\x08\x01\x12\xac\x02", 7);
    for (int i = 0; i < 300; i++)
        strbuf_putc(&frame, 'n');
    expect_refused(frame.data, frame.len, ERR_LIMIT, "'get_status.experiment' has 300 bytes");
    /* blob_stat with one digest too many */
    strbuf_clear(&frame);
    char header[] = {PROTOCOL_VERSION, MSG_BLOB_STAT, 8, 1};
    char digest[34] = {0x12, 32};
    strbuf_append(&frame, header, sizeof header);
    for (int i = 0; i <= BLOB_STAT_DIGESTS_MAX; i++)
        strbuf_append(&frame, digest, sizeof digest);
    expect_refused(frame.data, frame.len, ERR_LIMIT, "513 entries");
    /* a control frame larger than control frames may be */
    strbuf_clear(&frame);
    strbuf_reserve(&frame, FRAME_BYTES_MAX + 1);
    header[1] = MSG_HEARTBEAT;
    strbuf_append(&frame, header, 2);
    while (frame.len < FRAME_BYTES_MAX + 1)
        strbuf_putc(&frame, 0);
    expect_refused(frame.data, frame.len, ERR_LIMIT, "frame has");
    strbuf_release(&frame);
}

/* Two bytes on the wire that cost protobuf-c 44–58 each: unknown fields, empty sub-messages. */
static void test_amplification_stays_in_budget(void **state)
{
    (void)state;
    static const struct {
        enum msg_kind kind;
        const char *unit;
    } attacks[] = {
        {MSG_OK, "\x78\x01"},         /* unknown varint field 15 */
        {MSG_HEARTBEAT, "\x12\x00"},  /* empty held lease */
        {MSG_BATCHES, "\x22\x00"},    /* empty payload */
        {MSG_BLOB_SIZES, "\x10\x02"}, /* unpacked entry */
        {MSG_OK, "\x08\x01"},         /* the same field again */
    };
    struct strbuf frame = {0};
    for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
        const char header[2] = {PROTOCOL_VERSION, (char)attacks[i].kind};
        strbuf_clear(&frame);
        strbuf_append(&frame, header, sizeof header);
        while (frame.len + 2 <= FRAME_BYTES_MAX)
            strbuf_append(&frame, attacks[i].unit, 2);
        struct arena arena;
        struct msg out;
        struct err err;
        enum err_code rc = decode(frame.data, frame.len, &arena, &out, &err);
        assert_true(rc == ERR_LIMIT || rc == ERR_INVALID);
        assert_true(arena.bytes_used <= DECODE_BUDGET_BYTES);
        arena_release(&arena);
        if (i < 2) {
            /* Negative control: without the budget the same frame takes far more. */
            arena_init(&arena, 0);
            assert_int_not_equal(
                codec_decode(frame.data, frame.len, ALL_SENDERS, &arena, &out, &err), ERR_OK);
            assert_true(arena.bytes_used > 2 * DECODE_BUDGET_BYTES);
            arena_release(&arena);
        }
    }
    strbuf_release(&frame);
}

/* The budget leaves room for the largest honest frames. */
static void test_full_frames_fit_the_budget(void **state)
{
    (void)state;
    static struct held_lease held[LEASES_PER_WORKER_MAX];
    static uint8_t chunk[BLOB_CHUNK_BYTES];
    static struct job_row rows[LIST_ROWS_PER_FRAME];
    static char reason[700];
    memset(reason, 'r', sizeof reason - 1);
    for (size_t i = 0; i < LIST_ROWS_PER_FRAME; i++)
        rows[i] = (struct job_row){.label = "tiny/ST/flight/42",
                                   .family = "tiny",
                                   .variant = "ST",
                                   .task = "flight",
                                   .reason = reason,
                                   .worker = "worker-1",
                                   .numeric_class = "blas/f32/SkylakeX/1"};
    const struct msg messages[] = {
        {.kind = MSG_HEARTBEAT, .heartbeat = {1, held, LEASES_PER_WORKER_MAX, false, 1, {0}}},
        {.kind = MSG_BLOB_CHUNK, .blob_chunk = {.data = {chunk, sizeof chunk}}},
        {.kind = MSG_JOBS, .jobs = {1, rows, LIST_ROWS_PER_FRAME, 0}},
    };
    struct strbuf frame = {0};
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        encode(&messages[i], &frame);
        assert_true(accepted_or_refused((uint8_t *)frame.data, frame.len));
    }
    strbuf_release(&frame);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(msg_kind_name(MSG_CHECKPOINT_ACK), "checkpoint_ack");
    assert_string_equal(msg_kind_name((enum msg_kind)200), "unknown");
    assert_string_equal(job_kind_name(JOB_PRETRAIN), "pretrain");
    assert_string_equal(job_state_name(JOB_QUARANTINED), "quarantined");
    assert_string_equal(outcome_name(OUTCOME_DIVERGED), "diverged");
    assert_string_equal(stream_kind_name(STREAM_RECORDS), "records");
    assert_string_equal(stream_kind_name(STREAM_COUNT), "unknown");
    assert_false(job_state_is_final(JOB_RUNNING));
    assert_true(job_state_is_final(JOB_DONE));
    assert_true(job_state_is_final(JOB_QUARANTINED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes_cover_vocab_and_proto),
        cmocka_unit_test(test_every_kind_round_trips),
        cmocka_unit_test(test_truncated_frames),
        cmocka_unit_test(test_mutated_frames),
        cmocka_unit_test(test_errors_name_kind_and_field),
        cmocka_unit_test(test_enum_out_of_range),
        cmocka_unit_test(test_wrong_sender),
        cmocka_unit_test(test_limits_hold_when_sending),
        cmocka_unit_test(test_limits_hold_when_receiving),
        cmocka_unit_test(test_amplification_stays_in_budget),
        cmocka_unit_test(test_full_frames_fit_the_budget),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
