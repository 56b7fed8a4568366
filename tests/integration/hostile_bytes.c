#include "hostile_bytes.h"

#include "cmocka_all.h"

#include <string.h>

#include "bounds.h"
#include "codec.h"
#include "msg_examples.h"

/* Whose frames the coordinator takes at each door, as codec_decode() names them. */
static const char *const door_senders[DOOR_COUNT] = {"W", "C", "D", "D"};

#define X(KIND, field, sender) [MSG_##KIND] = (sender),
const char kind_senders[MSG_KIND_COUNT] = {MSG_KINDS(X)};
#undef X

/* Three of four frames are of a kind that this door takes. */
static const struct msg *choose(struct rng *rng, enum door door)
{
    size_t count = 0;
    const struct msg *examples = msg_examples(&count);
    const bool of_the_door = rng_below(rng, 4) > 0;
    for (;;) {
        const struct msg *m = &examples[rng_below(rng, count)];
        const bool fits = strchr(door_senders[door], kind_senders[m->kind]) != NULL;
        if (fits || !of_the_door) {
            return m;
        }
    }
}

static void flip_bits(struct rng *rng, struct strbuf *frame, size_t from)
{
    for (uint64_t n = 1 + rng_below(rng, 4); n > 0 && frame->len > from; n--) {
        const size_t at = from + (size_t)rng_below(rng, frame->len - from);
        frame->data[at] = (char)((uint8_t)frame->data[at] ^ (1u << rng_below(rng, 8)));
    }
}

static void cut(struct rng *rng, struct strbuf *frame)
{
    frame->len = 2 + (size_t)rng_below(rng, frame->len - 1);
}

/* Some bytes of the frame once more, somewhere: lengths and counts no longer fit. */
static void repeat(struct rng *rng, struct strbuf *frame)
{
    struct strbuf out = {0};
    const size_t from = 2 + (size_t)rng_below(rng, frame->len - 1);
    const size_t len = (size_t)rng_below(rng, frame->len - from + 1);
    const size_t times = 1 + (size_t)rng_below(rng, rng_below(rng, 20) == 0 ? 500 : 3);
    strbuf_append(&out, frame->data, from + len);
    for (size_t i = 0; i < times && out.len + len < FRAME_BYTES_MAX / 2; i++) {
        strbuf_append(&out, frame->data + from, len);
    }
    strbuf_append(&out, frame->data + from + len, frame->len - from - len);
    strbuf_release(frame);
    *frame = out;
}

static void mutate(struct rng *rng, struct strbuf *frame)
{
    switch (rng_below(rng, 8)) {
    case 0: /* the version or the kind */
        flip_bits(rng, frame, 0);
        break;
    case 1:
        cut(rng, frame);
        break;
    case 2:
        repeat(rng, frame);
        break;
    case 3: /* a body of nothing but noise */
        for (size_t i = 2; i < frame->len; i++) {
            frame->data[i] = (char)rng_below(rng, 256);
        }
        break;
    case 4:
        repeat(rng, frame);
        flip_bits(rng, frame, 2);
        break;
    default:
        flip_bits(rng, frame, 2);
        break;
    }
}

bool make_frame(struct rng *rng, enum door door, struct strbuf *frame, struct tally *tally)
{
    struct arena arena;
    struct msg m;
    struct err err;
    const struct msg *example = choose(rng, door);
    strbuf_clear(frame);
    assert_int_equal(codec_encode(example, FRAME_DATA_BYTES_MAX, frame, &err), ERR_OK);
    mutate(rng, frame);
    arena_init(&arena, DECODE_BUDGET_BYTES);
    enum err_code code =
        codec_decode(frame->data, frame->len, door_senders[door], &arena, &m, &err);
    arena_release(&arena);
    if (code == ERR_OK && m.kind == MSG_STOP) {
        return false;
    }
    tally->kinds[example->kind] = true;
    tally->sent++;
    tally->refused += code != ERR_OK;
    /* Version and sender are looked at before the body is. */
    tally->reached_decoder += code != ERR_VERSION && code != ERR_DENIED && frame->len > 2;
    return true;
}

/* ZMTP 3.1 (RFC 37): signature, version, mechanism CURVE, as-server 0. */
static const uint8_t zmtp_greeting[64] = {0xff, 0, 0, 0,   0,   0,   0,   0,  1,
                                          0x7f, 3, 1, 'C', 'U', 'R', 'V', 'E'};

size_t make_stream(struct rng *rng, uint8_t bytes[STREAM_BYTES_MAX])
{
    static const uint8_t hello[] = {4, 200, 5, 'H', 'E', 'L', 'L', 'O', 1, 0};
    const size_t len = 1 + (size_t)rng_below(rng, STREAM_BYTES_MAX);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)rng_below(rng, 256);
    }
    const uint64_t kind = rng_below(rng, 3);
    if (kind > 0 && len > sizeof zmtp_greeting + sizeof hello) {
        memcpy(bytes, zmtp_greeting, sizeof zmtp_greeting);
        if (kind == 2) {
            memcpy(bytes + sizeof zmtp_greeting, hello, sizeof hello);
            bytes[rng_below(rng, sizeof zmtp_greeting + sizeof hello)] ^=
                (uint8_t)(1u << rng_below(rng, 8));
        }
    }
    return len;
}
