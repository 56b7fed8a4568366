#include "codec.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bounds.h"
#include "check.h"
#include "codec_shapes.h"

#define FRAME_HEADER_BYTES 2u

/* The field at hand: what errors name, and where memory comes from. */
struct pass {
    const char *message;
    const struct shape *shape;
    const struct field *field;
    struct arena *arena;
    struct err *err;
};

/* What protobuf-c keeps of a field: descriptor, value and quantifier (has_x or n_x). */
struct slot {
    const ProtobufCFieldDescriptor *wire;
    void *value;
    void *quantifier;
};

static char sender_of(unsigned kind)
{
    static const char senders[MSG_KIND_COUNT] = {
#define X(KIND, member, sender) [MSG_##KIND] = (sender),
        MSG_KINDS(X)
#undef X
    };
    return senders[kind];
}

static enum err_code refuse(const struct pass *p, enum err_code code, const char *format, ...)
    PRINTF(3, 4);
static enum err_code refuse(const struct pass *p, enum err_code code, const char *format, ...)
{
    char what[160];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return err_set(p->err, code, "message '%s': field '%s.%s' %s", p->message, p->shape->name,
                   p->field->name, what);
}

static enum err_code out_of_budget(const struct pass *p)
{
    return refuse(p, ERR_LIMIT, "needs more memory than the %zu bytes allowed for one message",
                  p->arena->bytes_max);
}

static struct slot slot_of(const struct pass *p, const ProtobufCMessage *wire)
{
    size_t index = (size_t)(p->field - p->shape->fields);
    ASSERT(index < p->shape->wire->n_fields);
    const ProtobufCFieldDescriptor *descriptor = &p->shape->wire->fields[index];
    /* protobuf-c's own API has no const: reading does not write through these. */
    uint8_t *base = (uint8_t *)(uintptr_t)wire;
    return (struct slot){descriptor, base + descriptor->offset,
                         base + descriptor->quantifier_offset};
}

/* ---- rules that hold in both directions ---- */

static enum err_code check_text(const struct pass *p, const char *text)
{
    size_t len = strlen(text);
    if (len > p->field->limit)
        return refuse(p, ERR_LIMIT, "has %zu bytes, more than %zu", len, p->field->limit);
    if (!str_is_utf8(text, len))
        return refuse(p, ERR_INVALID, "is not UTF-8");
    return ERR_OK;
}

static enum err_code check_len(const struct pass *p, size_t len, size_t limit)
{
    return len <= limit ? ERR_OK : refuse(p, ERR_LIMIT, "has %zu bytes, more than %zu", len, limit);
}

static enum err_code check_count(const struct pass *p, size_t count)
{
    return count <= p->field->limit
               ? ERR_OK
               : refuse(p, ERR_LIMIT, "has %zu entries, more than %zu", count, p->field->limit);
}

static enum err_code check_range(const struct pass *p, uint32_t value)
{
    return value < p->field->limit ? ERR_OK : refuse(p, ERR_INVALID, "has no value %u", value);
}

/* Bytes of a number, the same in our struct and in protobuf-c's. */
static size_t number_bytes(enum field_type type)
{
    switch (type) {
    case FIELD_U32:
    case FIELD_I32:
    case FIELD_ENUM:
    case FIELD_CODE:
    case FIELD_U32S:
        return 4;
    case FIELD_U64:
    case FIELD_I64:
    case FIELD_DOUBLE:
    case FIELD_U64S:
    case FIELD_I64_LIST:
        return 8;
    case FIELD_BOOL:
    case FIELD_STRING:
    case FIELD_BYTES:
    case FIELD_DIGEST:
    case FIELD_PART:
    case FIELD_DIGEST_LIST:
    case FIELD_BYTES_LIST:
    case FIELD_PART_LIST:
        break;
    }
    UNREACHABLE("not a number");
}

/* ---- protobuf-c → our structs ---- */

static enum err_code part_from_wire(const struct pass *outer, const struct shape *shape,
                                    const ProtobufCMessage *wire, void *ours);

static enum err_code digest_from_wire(const struct pass *p, const ProtobufCBinaryData *in,
                                      struct digest *out)
{
    if (in->len != DIGEST_BYTES)
        return refuse(p, ERR_INVALID, "is a digest of %zu bytes instead of %d", in->len,
                      DIGEST_BYTES);
    memcpy(out->bytes, in->data, DIGEST_BYTES);
    return ERR_OK;
}

static enum err_code list_entry_from_wire(const struct pass *p, const void *in, size_t i, void *out)
{
    enum err_code rc;
    const ProtobufCBinaryData *bytes = in;
    switch (p->field->type) {
    case FIELD_I64_LIST:
        ((int64_t *)out)[i] = ((const int64_t *)in)[i];
        return ERR_OK;
    case FIELD_DIGEST_LIST:
        return digest_from_wire(p, &bytes[i], (struct digest *)out + i);
    case FIELD_BYTES_LIST:
        rc = check_len(p, bytes[i].len, STREAM_PAYLOAD_BYTES_MAX);
        if (rc == ERR_OK)
            ((struct bytes *)out)[i] = (struct bytes){bytes[i].data, bytes[i].len};
        return rc;
    case FIELD_PART_LIST:
        return part_from_wire(p, p->field->part, ((ProtobufCMessage *const *)in)[i],
                              (uint8_t *)out + i * p->field->part->our_bytes);
    case FIELD_U32:
    case FIELD_I32:
    case FIELD_U64:
    case FIELD_I64:
    case FIELD_DOUBLE:
    case FIELD_BOOL:
    case FIELD_ENUM:
    case FIELD_CODE:
    case FIELD_STRING:
    case FIELD_BYTES:
    case FIELD_DIGEST:
    case FIELD_PART:
    case FIELD_U32S:
    case FIELD_U64S:
        break;
    }
    UNREACHABLE("not a list");
}

static size_t list_entry_bytes(const struct field *field)
{
    if (field->type == FIELD_PART_LIST)
        return field->part->our_bytes;
    if (field->type == FIELD_DIGEST_LIST)
        return sizeof(struct digest);
    return field->type == FIELD_BYTES_LIST ? sizeof(struct bytes) : sizeof(int64_t);
}

static enum err_code list_from_wire(const struct pass *p, struct slot slot, uint8_t *ours)
{
    const size_t count = *(const size_t *)slot.quantifier;
    enum err_code rc = check_count(p, count);
    if (rc != ERR_OK || count == 0)
        return rc;
    void *entries = arena_try_alloc(p->arena, count * list_entry_bytes(p->field));
    if (!entries)
        return out_of_budget(p);
    const void *in = *(void *const *)slot.value;
    for (size_t i = 0; rc == ERR_OK && i < count; i++)
        rc = list_entry_from_wire(p, in, i, entries);
    memcpy(ours + p->field->at, &entries, sizeof entries);
    memcpy(ours + p->field->count_at, &count, sizeof count);
    return rc;
}

static bool is_missing(const struct slot *slot)
{
    if (slot->wire->label == PROTOBUF_C_LABEL_REPEATED)
        return false;
    if (slot->wire->type == PROTOBUF_C_TYPE_STRING || slot->wire->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(void *const *)slot->value == NULL;
    return !*(const protobuf_c_boolean *)slot->quantifier;
}

static enum err_code field_from_wire(const struct pass *p, const ProtobufCMessage *wire,
                                     uint8_t *ours)
{
    const struct slot slot = slot_of(p, wire);
    const struct field *f = p->field;
    void *out = ours + f->at;
    const ProtobufCBinaryData *bytes = slot.value;
    enum err_code rc = ERR_OK;
    if (is_missing(&slot))
        return refuse(p, ERR_INVALID, "is missing");
    switch (f->type) {
    case FIELD_U32:
    case FIELD_I32:
    case FIELD_U64:
    case FIELD_I64:
    case FIELD_DOUBLE:
        memcpy(out, slot.value, number_bytes(f->type));
        return ERR_OK;
    case FIELD_BOOL:
        *(bool *)out = *(const protobuf_c_boolean *)slot.value != 0;
        return ERR_OK;
    case FIELD_ENUM:
    case FIELD_CODE:
        memcpy(out, slot.value, number_bytes(f->type));
        return check_range(p, *(const uint32_t *)slot.value);
    case FIELD_STRING:
        *(const char **)out = *(char *const *)slot.value;
        return check_text(p, *(char *const *)slot.value);
    case FIELD_BYTES:
        rc = check_len(p, bytes->len, f->limit);
        *(struct bytes *)out = (struct bytes){bytes->data, bytes->len};
        return rc;
    case FIELD_DIGEST:
        return digest_from_wire(p, bytes, out);
    case FIELD_PART:
        return part_from_wire(p, f->part, *(ProtobufCMessage *const *)slot.value, out);
    case FIELD_U32S:
    case FIELD_U64S:
        if (*(const size_t *)slot.quantifier != f->limit)
            return refuse(p, ERR_INVALID, "has %zu entries instead of %zu",
                          *(const size_t *)slot.quantifier, f->limit);
        memcpy(out, *(void *const *)slot.value, f->limit * number_bytes(f->type));
        return ERR_OK;
    case FIELD_I64_LIST:
    case FIELD_DIGEST_LIST:
    case FIELD_BYTES_LIST:
    case FIELD_PART_LIST:
        return list_from_wire(p, slot, ours);
    }
    UNREACHABLE("field type");
}

static enum err_code part_from_wire(const struct pass *outer, const struct shape *shape,
                                    const ProtobufCMessage *wire, void *ours)
{
    struct pass p = *outer;
    p.shape = shape;
    if (wire->n_unknown_fields > 0)
        return err_set(p.err, ERR_INVALID, "message '%s': '%s' has an unknown field %u", p.message,
                       shape->name, wire->unknown_fields[0].tag);
    for (size_t i = 0; i < shape->field_count; i++) {
        p.field = &shape->fields[i];
        enum err_code rc = field_from_wire(&p, wire, ours);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

/* protobuf-c's allocator over the message's arena: its budget bounds what a hostile frame may cost
 * (measured without it: 56 bytes per input byte). Nothing is freed one by one. */
struct budget {
    struct arena *arena;
    bool exhausted;
};

static void *budget_alloc(void *ctx, size_t bytes)
{
    struct budget *budget = ctx;
    void *p = arena_try_alloc(budget->arena, bytes);
    if (!p)
        budget->exhausted = true;
    return p;
}

static void budget_free(void *ctx, void *p)
{
    (void)ctx;
    (void)p;
}

/* A sink that compares what protobuf-c writes with the bytes that came in. */
struct comparison {
    ProtobufCBuffer base; /* first: protobuf-c hands its address back */
    const uint8_t *at;
    size_t left;
    bool equal;
};

static void comparison_append(ProtobufCBuffer *base, size_t len, const uint8_t *bytes)
{
    struct comparison *c = (struct comparison *)base;
    if (len == 0)
        return; /* `bytes` may be NULL */
    c->equal = c->equal && len <= c->left && memcmp(c->at, bytes, len) == 0;
    if (c->equal) {
        c->at += len;
        c->left -= len;
    }
}

/* Is `body` exactly what we would have written? This refuses what protobuf-c lets through without
 * a trace: NUL in a string, numbers cut to 32 bits, doubled or shuffled fields. It also means that
 * every message has one form only. */
static bool is_canonical(const ProtobufCMessage *wire, const uint8_t *body, size_t len)
{
    struct comparison c = {{comparison_append}, body, len, true};
    protobuf_c_message_pack_to_buffer(wire, &c.base);
    return c.equal && c.left == 0;
}

static enum err_code check_header(const uint8_t *frame, size_t len, const char *senders,
                                  struct err *err)
{
    if (len < FRAME_HEADER_BYTES)
        return err_set(err, ERR_INVALID, "frame of %zu bytes is too short", len);
    if (frame[0] != PROTOCOL_VERSION)
        return err_set(err, ERR_VERSION, "frame has protocol version %u, we speak %u", frame[0],
                       PROTOCOL_VERSION);
    if (!codec_shape(frame[1]))
        return err_set(err, ERR_INVALID, "frame has unknown message kind %u", frame[1]);
    if (!strchr(senders, sender_of(frame[1])))
        return err_set(err, ERR_DENIED, "message '%s' may not be sent here",
                       msg_kind_name(frame[1]));
    const size_t bytes_max = sender_of(frame[1]) == 'D' ? FRAME_DATA_BYTES_MAX : FRAME_BYTES_MAX;
    if (len > bytes_max)
        return err_set(err, ERR_LIMIT, "message '%s': frame has %zu bytes, more than %zu",
                       msg_kind_name(frame[1]), len, bytes_max);
    return ERR_OK;
}

unsigned codec_kind(const void *bytes, size_t len)
{
    const uint8_t *frame = bytes;
    return len < FRAME_HEADER_BYTES || !codec_shape(frame[1]) ? MSG_KIND_COUNT : frame[1];
}

enum err_code codec_decode(const void *bytes, size_t len, const char *senders, struct arena *arena,
                           struct msg *out, struct err *err)
{
    const uint8_t *frame = bytes;
    enum err_code rc = check_header(frame, len, senders, err);
    if (rc != ERR_OK)
        return rc;
    struct msg m;
    memset(&m, 0, sizeof m);
    m.kind = frame[1];
    const struct shape *shape = codec_shape(m.kind);
    const char *name = msg_kind_name(m.kind);
    const uint8_t *body = frame + FRAME_HEADER_BYTES;
    const size_t body_len = len - FRAME_HEADER_BYTES;

    struct budget budget = {arena, false};
    ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
    ProtobufCMessage *wire = protobuf_c_message_unpack(shape->wire, &allocator, body_len, body);
    if (!wire && budget.exhausted)
        return err_set(err, ERR_LIMIT, "message '%s' needs more memory than the %zu bytes allowed",
                       name, arena->bytes_max);
    if (!wire)
        return err_set(err, ERR_INVALID, "message '%s' is malformed", name);
    const struct pass pass = {.message = name, .arena = arena, .err = err};
    rc = part_from_wire(&pass, shape, wire, &m.hello);
    if (rc != ERR_OK)
        return rc;
    if (!is_canonical(wire, body, body_len))
        return err_set(err, ERR_INVALID,
                       "message '%s' is not in its one form (a string with NUL, a number out of "
                       "range, or a field twice or out of order)",
                       name);
    *out = m;
    return ERR_OK;
}

/* ---- our structs → protobuf-c ---- */

static enum err_code part_to_wire(const struct pass *outer, const struct shape *shape,
                                  const void *ours, ProtobufCMessage **out);

/* protobuf-c's structs have no const; packing only reads. */
static ProtobufCBinaryData binary(const void *data, size_t len)
{
    return (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t)data};
}

static enum err_code binaries_to_wire(const struct pass *p, const void *entries, size_t count,
                                      void **out)
{
    ProtobufCBinaryData *list = arena_array(p->arena, count, sizeof *list);
    *out = list;
    for (size_t i = 0; i < count; i++) {
        if (p->field->type == FIELD_DIGEST_LIST) {
            list[i] = binary(((const struct digest *)entries)[i].bytes, DIGEST_BYTES);
            continue;
        }
        const struct bytes *bytes = (const struct bytes *)entries + i;
        list[i] = binary(bytes->data, bytes->len);
        enum err_code rc = check_len(p, bytes->len, STREAM_PAYLOAD_BYTES_MAX);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

static enum err_code list_to_wire(const struct pass *p, const uint8_t *ours, struct slot slot)
{
    const void *entries;
    size_t count;
    memcpy(&entries, ours + p->field->at, sizeof entries);
    memcpy(&count, ours + p->field->count_at, sizeof count);
    enum err_code rc = check_count(p, count);
    if (rc != ERR_OK || count == 0)
        return rc;
    *(size_t *)slot.quantifier = count;
    void **out = slot.value;
    if (p->field->type == FIELD_I64_LIST) {
        *out = (void *)(uintptr_t)entries;
        return ERR_OK;
    }
    if (p->field->type != FIELD_PART_LIST)
        return binaries_to_wire(p, entries, count, out);
    ProtobufCMessage **list = arena_array(p->arena, count, sizeof *list);
    *out = list;
    for (size_t i = 0; rc == ERR_OK && i < count; i++)
        rc = part_to_wire(p, p->field->part,
                          (const uint8_t *)entries + i * p->field->part->our_bytes, &list[i]);
    return rc;
}

static enum err_code field_to_wire(const struct pass *p, const uint8_t *ours,
                                   ProtobufCMessage *wire)
{
    const struct slot slot = slot_of(p, wire);
    const struct field *f = p->field;
    const void *in = ours + f->at;
    const struct bytes *bytes = in;
    if (slot.wire->label != PROTOBUF_C_LABEL_REPEATED &&
        slot.wire->type != PROTOBUF_C_TYPE_STRING && slot.wire->type != PROTOBUF_C_TYPE_MESSAGE)
        *(protobuf_c_boolean *)slot.quantifier = 1;
    switch (f->type) {
    case FIELD_U32:
    case FIELD_I32:
    case FIELD_U64:
    case FIELD_I64:
    case FIELD_DOUBLE:
        memcpy(slot.value, in, number_bytes(f->type));
        return ERR_OK;
    case FIELD_BOOL:
        *(protobuf_c_boolean *)slot.value = *(const bool *)in;
        return ERR_OK;
    case FIELD_ENUM:
    case FIELD_CODE:
        memcpy(slot.value, in, number_bytes(f->type));
        return check_range(p, *(const uint32_t *)in);
    case FIELD_STRING:
        /* A text that nobody set is empty; protobuf-c's structs have no const. */
        *(char **)slot.value =
            *(char *const *)in != NULL ? *(char *const *)in : (char *)(uintptr_t) "";
        return check_text(p, *(char **)slot.value);
    case FIELD_BYTES:
        *(ProtobufCBinaryData *)slot.value = binary(bytes->data, bytes->len);
        return check_len(p, bytes->len, f->limit);
    case FIELD_DIGEST:
        *(ProtobufCBinaryData *)slot.value = binary(in, DIGEST_BYTES);
        return ERR_OK;
    case FIELD_PART:
        return part_to_wire(p, f->part, in, slot.value);
    case FIELD_U32S:
    case FIELD_U64S:
        *(size_t *)slot.quantifier = f->limit;
        *(void **)slot.value = (void *)(uintptr_t)in;
        return ERR_OK;
    case FIELD_I64_LIST:
    case FIELD_DIGEST_LIST:
    case FIELD_BYTES_LIST:
    case FIELD_PART_LIST:
        return list_to_wire(p, ours, slot);
    }
    UNREACHABLE("field type");
}

static enum err_code part_to_wire(const struct pass *outer, const struct shape *shape,
                                  const void *ours, ProtobufCMessage **out)
{
    struct pass p = *outer;
    p.shape = shape;
    ProtobufCMessage *wire = arena_alloc(p.arena, shape->wire->sizeof_message);
    protobuf_c_message_init(shape->wire, wire);
    *out = wire;
    for (size_t i = 0; i < shape->field_count; i++) {
        p.field = &shape->fields[i];
        enum err_code rc = field_to_wire(&p, ours, wire);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

enum err_code codec_encode(const struct msg *m, size_t frame_bytes_max, struct strbuf *out,
                           struct err *err)
{
    const struct shape *shape = codec_shape(m->kind);
    ASSERT(shape != NULL);
    struct arena arena = {0};
    ProtobufCMessage *wire = NULL;
    const struct pass pass = {.message = shape->name, .arena = &arena, .err = err};
    enum err_code rc = part_to_wire(&pass, shape, &m->hello, &wire);
    if (rc != ERR_OK)
        goto done;
    const size_t bytes = FRAME_HEADER_BYTES + protobuf_c_message_get_packed_size(wire);
    if (bytes > frame_bytes_max) {
        rc = err_set(err, ERR_LIMIT, "message '%s': frame would have %zu bytes, more than %zu",
                     shape->name, bytes, frame_bytes_max);
        goto done;
    }
    strbuf_reserve(out, bytes);
    const uint8_t header[FRAME_HEADER_BYTES] = {PROTOCOL_VERSION, (uint8_t)m->kind};
    strbuf_append(out, header, sizeof header);
    protobuf_c_message_pack(wire, (uint8_t *)out->data + out->len);
    out->len += bytes - FRAME_HEADER_BYTES;
    out->data[out->len] = '\0';
done:
    arena_release(&arena);
    return rc;
}
