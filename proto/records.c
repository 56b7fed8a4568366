#include "records.h"

#include <string.h>

#include "bounds.h"
#include "check.h"
#include "hash.h"

#define RECORDS_MAGIC        0x32425254u /* "TRB2" */
#define RECORDS_HEADER_BYTES 16u
#define COMMON_BYTES         31u /* of a record, in the columns that all kinds have */

enum record_flag { FLAG_FIRST_HIT = 1, FLAG_HIT = 2, FLAG_ENDED = 4, FLAGS_ALL = 7 };

/* What a kind adds to the common columns, in bytes a record and a part. */
static const struct kind_layout {
    const char *name;
    size_t record_bytes, part_bytes;
    uint32_t parts_max;
} layouts[RECORD_KIND_COUNT] = {
    [RECORDS_SCORES] = {"scores", 8, 5, RECORD_ENTRIES_MAX},
    [RECORDS_CHOICES] = {"choices", 0, 24, RECORD_CHOICES_MAX},
    [RECORDS_SAMPLES] = {"samples", 0, 1, RECORD_TEXT_BYTES_MAX},
};

_Static_assert(RECORDS_HEADER_BYTES + (COMMON_BYTES + 8) * RECORDS_PER_BATCH_MAX <=
                   STREAM_PAYLOAD_BYTES_MAX,
               "a full batch fits a stream payload");
_Static_assert(RECORDS_HEADER_BYTES + COMMON_BYTES + 24 * RECORD_CHOICES_MAX <=
                   STREAM_PAYLOAD_BYTES_MAX,
               "any record fits a stream payload");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "columns are stored as they lie in memory");

const char *record_kind_name(enum record_kind kind)
{
    return layouts[kind].name;
}

static size_t batch_bytes(enum record_kind kind, size_t count, size_t parts)
{
    return RECORDS_HEADER_BYTES + count * (COMMON_BYTES + layouts[kind].record_bytes) +
           parts * layouts[kind].part_bytes;
}

size_t records_bytes(enum record_kind kind, const struct record *records, uint32_t count)
{
    size_t parts = 0;
    for (uint32_t i = 0; i < count; i++)
        parts += records[i].part_count;
    return batch_bytes(kind, count, parts);
}

/* Where columns are written; or, for reading, read from. */
struct cursor {
    char *at;
};

static void put(struct cursor *c, const void *value, size_t bytes)
{
    memcpy(c->at, value, bytes);
    c->at += bytes;
}

static void get(struct cursor *c, void *value, size_t bytes)
{
    memcpy(value, c->at, bytes);
    c->at += bytes;
}

/* One column: a member of every record. Both directions walk the same lines, so that they agree. */
#define EACH(records, count, move, member)                                                         \
    for (uint32_t i_ = 0; i_ < (count); i_++)                                                      \
    move(cursor, &(records)[i_].member, sizeof(records)[i_].member)
#define EACH_PART(records, count, list, move, member)                                              \
    for (uint32_t i_ = 0; i_ < (count); i_++)                                                      \
        for (uint16_t p_ = 0; p_ < (records)[i_].part_count; p_++)                                 \
    move(cursor, &(records)[i_].list[p_].member, sizeof(records)[i_].list[p_].member)

static void put_columns(struct cursor *cursor, enum record_kind kind, const struct record *records,
                        uint32_t count)
{
    EACH(records, count, put, sequence);
    EACH(records, count, put, position);
    EACH(records, count, put, content_nats);
    EACH(records, count, put, terminator_nats);
    EACH(records, count, put, token_count);
    EACH(records, count, put, hit_tokens);
    for (uint32_t i = 0; i < count; i++) {
        const struct record *r = &records[i];
        *cursor->at++ = (char)((r->first_hit ? FLAG_FIRST_HIT : 0) | (r->hit ? FLAG_HIT : 0) |
                               (r->ended ? FLAG_ENDED : 0));
    }
    EACH(records, count, put, part_count);
    switch (kind) {
    case RECORDS_SCORES:
        EACH(records, count, put, greedy_nats);
        EACH_PART(records, count, entries, put, log_p);
        EACH_PART(records, count, entries, put, right);
        return;
    case RECORDS_CHOICES:
        EACH_PART(records, count, choices, put, target);
        EACH_PART(records, count, choices, put, content_nats);
        EACH_PART(records, count, choices, put, terminator_nats);
        return;
    case RECORDS_SAMPLES:
        for (uint32_t i = 0; i < count; i++) {
            if (records[i].part_count > 0) /* an empty text may be no text at all */
                put(cursor, records[i].text, records[i].part_count);
        }
        return;
    case RECORD_KIND_COUNT:
        break;
    }
    UNREACHABLE("no such kind of record");
}

void records_encode(struct strbuf *out, enum record_kind kind, const struct record *records,
                    uint32_t count)
{
    ASSERT(count > 0);
    ASSERT(count <= RECORDS_PER_BATCH_MAX);
    const size_t bytes = records_bytes(kind, records, count);
    ASSERT(bytes <= STREAM_PAYLOAD_BYTES_MAX);
    strbuf_reserve(out, bytes);
    char *base = out->data + out->len;
    struct cursor cursor = {base + RECORDS_HEADER_BYTES};
    put_columns(&cursor, kind, records, count);
    ASSERT(cursor.at == base + bytes);
    const uint32_t header[4] = {
        RECORDS_MAGIC, count,
        hash_crc32c(base + RECORDS_HEADER_BYTES, bytes - RECORDS_HEADER_BYTES), (uint32_t)kind};
    memcpy(base, header, sizeof header);
    out->len += bytes;
    out->data[out->len] = '\0';
}

/* The flags, the part counts and what follows from them; the columns before hold any bytes. */
static enum err_code check_columns(const uint8_t *columns, size_t len, enum record_kind kind,
                                   uint32_t count, struct err *err)
{
    const uint8_t *flags = columns + (size_t)count * (COMMON_BYTES - 3);
    size_t parts = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint16_t own;
        memcpy(&own, flags + count + 2 * (size_t)i, sizeof own);
        if (flags[i] > FLAGS_ALL)
            return err_set(err, ERR_CORRUPT, "record batch: record %u has unknown flags", i);
        if (own > layouts[kind].parts_max)
            return err_set(err, ERR_CORRUPT, "record batch: record %u has too many parts", i);
        parts += own;
    }
    if (batch_bytes(kind, count, parts) != len + RECORDS_HEADER_BYTES)
        return err_set(err, ERR_CORRUPT,
                       "record batch: %u records with %zu parts do not make %zu "
                       "bytes",
                       count, parts, len + RECORDS_HEADER_BYTES);
    const uint8_t *right = columns + len - parts;
    for (size_t i = 0; kind == RECORDS_SCORES && i < parts; i++) {
        if (right[i] > 1)
            return err_set(err, ERR_CORRUPT, "record batch: entry %zu is neither right nor wrong",
                           i);
    }
    return ERR_OK;
}

static enum err_code check(const void *bytes, size_t len, enum record_kind *kind_out,
                           uint32_t *count_out, struct err *err)
{
    uint32_t header[4];
    if (len < sizeof header)
        return err_set(err, ERR_CORRUPT, "record batch: %zu bytes are too few", len);
    memcpy(header, bytes, sizeof header);
    if (header[0] != RECORDS_MAGIC || header[3] >= RECORD_KIND_COUNT)
        return err_set(err, ERR_CORRUPT, "record batch: bad magic");
    const uint32_t count = header[1];
    const enum record_kind kind = (enum record_kind)header[3];
    if (count == 0 || count > RECORDS_PER_BATCH_MAX || len > STREAM_PAYLOAD_BYTES_MAX ||
        batch_bytes(kind, count, 0) > len)
        return err_set(err, ERR_CORRUPT, "record batch: %u records do not make %zu bytes", count,
                       len);
    const uint8_t *columns = (const uint8_t *)bytes + RECORDS_HEADER_BYTES;
    if (hash_crc32c(columns, len - RECORDS_HEADER_BYTES) != header[2])
        return err_set(err, ERR_CORRUPT, "record batch: checksum does not match");
    enum err_code rc = check_columns(columns, len - RECORDS_HEADER_BYTES, kind, count, err);
    if (rc == ERR_OK) {
        *kind_out = kind;
        *count_out = count;
    }
    return rc;
}

enum err_code records_check(const void *bytes, size_t len, uint32_t *count_out, struct err *err)
{
    enum record_kind kind;
    return check(bytes, len, &kind, count_out, err);
}

/* Room for a record's parts, which are read afterwards. */
static void take_parts(struct record *r, enum record_kind kind, struct cursor *texts,
                       struct arena *arena)
{
    switch (kind) {
    case RECORDS_SCORES:
        r->entries = arena_array(arena, r->part_count, sizeof *r->entries);
        return;
    case RECORDS_CHOICES:
        r->choices = arena_array(arena, r->part_count, sizeof *r->choices);
        return;
    case RECORDS_SAMPLES:
        r->text = arena_strndup(arena, texts->at, r->part_count);
        texts->at += r->part_count;
        return;
    case RECORD_KIND_COUNT:
        break;
    }
    UNREACHABLE("no such kind of record");
}

/* The parts were made by take_parts(): what a caller may only read is ours to fill. */
#define OWN(list, type) ((type *)(uintptr_t)(list))

static void get_parts(struct cursor *cursor, enum record_kind kind, struct record *records,
                      uint32_t count)
{
#define EACH_OWN(list, type, member)                                                               \
    for (uint32_t i = 0; i < count; i++)                                                           \
        for (uint16_t p = 0; p < records[i].part_count; p++)                                       \
    get(cursor, &OWN(records[i].list, type)[p].member, sizeof records[i].list[p].member)
    if (kind == RECORDS_SCORES) {
        EACH_OWN(entries, struct record_entry, log_p);
        for (uint32_t i = 0; i < count; i++) {
            for (uint16_t p = 0; p < records[i].part_count; p++)
                OWN(records[i].entries, struct record_entry)[p].right = *cursor->at++ != 0;
        }
    } else if (kind == RECORDS_CHOICES) {
        EACH_OWN(choices, struct record_choice, target);
        EACH_OWN(choices, struct record_choice, content_nats);
        EACH_OWN(choices, struct record_choice, terminator_nats);
    }
#undef EACH_OWN
}

enum err_code records_decode(const void *bytes, size_t len, struct arena *arena,
                             struct record_batch *out, struct err *err)
{
    enum record_kind kind = RECORDS_SCORES;
    uint32_t count = 0;
    enum err_code rc = check(bytes, len, &kind, &count, err);
    if (rc != ERR_OK)
        return rc;
    struct record *records = arena_array(arena, count, sizeof *records);
    struct cursor place = {(char *)(uintptr_t)bytes + RECORDS_HEADER_BYTES}, *cursor = &place;
    EACH(records, count, get, sequence);
    EACH(records, count, get, position);
    EACH(records, count, get, content_nats);
    EACH(records, count, get, terminator_nats);
    EACH(records, count, get, token_count);
    EACH(records, count, get, hit_tokens);
    for (uint32_t i = 0; i < count; i++) {
        const char flags = *cursor->at++;
        records[i].first_hit = (flags & FLAG_FIRST_HIT) != 0;
        records[i].hit = (flags & FLAG_HIT) != 0;
        records[i].ended = (flags & FLAG_ENDED) != 0;
    }
    EACH(records, count, get, part_count);
    if (kind == RECORDS_SCORES)
        EACH(records, count, get, greedy_nats);
    struct cursor texts = *cursor;
    for (uint32_t i = 0; i < count; i++)
        take_parts(&records[i], kind, &texts, arena);
    get_parts(cursor, kind, records, count);
    *out = (struct record_batch){kind, records, count};
    return ERR_OK;
}
