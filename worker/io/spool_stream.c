#include "spool_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bounds.h"
#include "check.h"
#include "file.h"

#define HEADER_BYTES   12
#define PATH_BYTES     4096
#define SEGMENT_DIGITS 10

static const char *segment_path(char out[PATH_BYTES], const char *prefix, uint32_t first)
{
    snprintf(out, PATH_BYTES, "%s.%0*u", prefix, SEGMENT_DIGITS, first);
    return out;
}

static void put_u32(uint8_t out[4], uint32_t value)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t get_u32(const uint8_t bytes[4])
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* The checksum covers length and index too: a batch in the wrong place is damage. */
static uint32_t entry_crc(const uint8_t header[HEADER_BYTES], const void *payload, size_t len)
{
    uint32_t parts[2] = {hash_crc32c(header, 8), hash_crc32c(payload, len)};
    return hash_crc32c(parts, sizeof parts);
}

static void entry_push(struct spool_stream *s, struct spool_entry entry)
{
    size_t used = s->count - s->base;
    if (used == s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : 64;
        struct spool_entry *entries = realloc(s->entries, capacity * sizeof *entries);
        ASSERT(entries);
        s->entries = entries;
        s->capacity = capacity;
    }
    s->entries[used] = entry;
    s->count++;
    s->pending_bytes += entry.len;
}

static enum err_code segment_begin(struct spool_stream *s, const char *prefix, struct err *err)
{
    char path[PATH_BYTES];
    int fd = open(segment_path(path, prefix, s->count),
                  O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_os(err, errno, "create spool file '%s'", path);
    if (s->fd > 0)
        close(s->fd);
    s->fd = fd;
    s->segment = s->count;
    s->segment_bytes = 0;
    return ERR_OK;
}

enum err_code spool_stream_append(struct spool_stream *s, const char *prefix, struct bytes payload,
                                  struct err *err)
{
    ASSERT(payload.len <= STREAM_PAYLOAD_BYTES_MAX);
    if (s->fd <= 0 || s->segment_bytes >= SPOOL_SEGMENT_BYTES) {
        enum err_code code = segment_begin(s, prefix, err);
        if (code)
            return code;
    }
    struct strbuf bytes = {0};
    uint8_t header[HEADER_BYTES];
    put_u32(header, (uint32_t)payload.len);
    put_u32(header + 4, s->count);
    put_u32(header + 8, entry_crc(header, payload.data, payload.len));
    strbuf_append(&bytes, header, sizeof header);
    strbuf_append(&bytes, payload.data, payload.len);
    enum err_code code = file_write_all(s->fd, bytes.data, bytes.len, prefix, err);
    if (code) {
        /* Take back a part that did fit. Where even that fails, the next batch begins a segment:
         * behind a torn entry nothing would be found again. */
        if (ftruncate(s->fd, (off_t)s->segment_bytes) != 0)
            s->segment_bytes = SPOOL_SEGMENT_BYTES;
    } else {
        entry_push(s, (struct spool_entry){.segment = s->segment,
                                           .len = (uint32_t)payload.len,
                                           .offset = s->segment_bytes + HEADER_BYTES});
        s->segment_bytes += bytes.len;
    }
    strbuf_release(&bytes);
    return code;
}

enum err_code spool_stream_read(const struct spool_stream *s, const char *prefix, uint32_t index,
                                struct strbuf *out, struct err *err)
{
    if (index < s->base || index >= s->count)
        return err_set(err, ERR_NOT_FOUND, "batch %u is not in spool '%s'", index, prefix);
    const struct spool_entry *entry = &s->entries[index - s->base];
    char path[PATH_BYTES];
    int fd = open(segment_path(path, prefix, entry->segment), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_os(err, errno, "open spool file '%s'", path);
    size_t len = HEADER_BYTES + (size_t)entry->len;
    strbuf_clear(out);
    strbuf_reserve(out, len);
    ssize_t n = pread(fd, out->data, len, (off_t)(entry->offset - HEADER_BYTES));
    int os_errno = errno;
    close(fd);
    if (n < 0)
        return err_os(err, os_errno, "read spool file '%s'", path);
    const uint8_t *header = (const uint8_t *)out->data;
    if ((size_t)n != len || get_u32(header) != entry->len || get_u32(header + 4) != index ||
        get_u32(header + 8) != entry_crc(header, header + HEADER_BYTES, entry->len))
        return err_set(err, ERR_CORRUPT, "batch %u in spool file '%s' is damaged", index, path);
    memmove(out->data, out->data + HEADER_BYTES, entry->len);
    out->len = entry->len;
    return ERR_OK;
}

void spool_stream_drop(struct spool_stream *s, const char *prefix, uint32_t below)
{
    if (below <= s->base)
        return;
    if (below > s->count)
        below = s->count;
    uint32_t dropped = below - s->base;
    /* Where the next batch begins; the last segment stays, so that a restart knows the count. */
    uint32_t living = below < s->count ? s->entries[dropped].segment : s->segment;
    uint32_t removed = UINT32_MAX;
    for (uint32_t i = 0; i < dropped; i++) {
        const struct spool_entry *entry = &s->entries[i];
        s->pending_bytes -= entry->len;
        if (entry->segment == living || entry->segment == removed)
            continue;
        char path[PATH_BYTES];
        unlink(segment_path(path, prefix, entry->segment));
        removed = entry->segment;
    }
    memmove(s->entries, s->entries + dropped, (s->count - below) * sizeof *s->entries);
    s->base = below;
}

static void put_path(struct strbuf *out, const char *prefix, uint32_t segment)
{
    char path[PATH_BYTES];
    segment_path(path, prefix, segment);
    strbuf_append(out, path, strlen(path) + 1);
}

void spool_stream_files(const struct spool_stream *s, const char *prefix, struct strbuf *out)
{
    uint32_t last = UINT32_MAX;
    for (uint32_t i = 0; i < s->count - s->base; i++) {
        if (s->entries[i].segment != last)
            put_path(out, prefix, s->entries[i].segment);
        last = s->entries[i].segment;
    }
    if (s->fd > 0 && s->segment != last)
        put_path(out, prefix, s->segment);
}

/* Entries of one segment in memory, up to the first that is damaged; returns how many bytes are
 * good. */
static uint64_t segment_scan(struct spool_stream *s, uint32_t first, const uint8_t *data,
                             size_t len)
{
    size_t at = 0;
    while (len - at >= HEADER_BYTES) {
        const uint8_t *header = data + at;
        uint32_t payload_len = get_u32(header);
        if (payload_len > STREAM_PAYLOAD_BYTES_MAX || payload_len > len - at - HEADER_BYTES ||
            get_u32(header + 4) != s->count ||
            get_u32(header + 8) != entry_crc(header, header + HEADER_BYTES, payload_len))
            break;
        entry_push(s, (struct spool_entry){
                          .segment = first, .len = payload_len, .offset = at + HEADER_BYTES});
        at += HEADER_BYTES + payload_len;
    }
    return at;
}

enum err_code spool_stream_load(struct spool_stream *s, const char *prefix, uint32_t first,
                                struct err *err)
{
    char path[PATH_BYTES];
    char *data = NULL;
    size_t len = 0;
    size_t bytes_max = SPOOL_SEGMENT_BYTES + STREAM_PAYLOAD_BYTES_MAX + HEADER_BYTES;
    if (s->count == s->base) {
        s->base = s->count = first;
    } else if (first != s->count) {
        return err_set(err, ERR_CORRUPT, "spool '%s' has a hole before batch %u", prefix, first);
    }
    enum err_code code = file_read(segment_path(path, prefix, first), bytes_max, &data, &len, err);
    if (code)
        return code;
    uint64_t good = segment_scan(s, first, (const uint8_t *)data, len);
    free(data);
    int fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC);
    if (fd < 0)
        return err_os(err, errno, "open spool file '%s'", path);
    if (good < len && ftruncate(fd, (off_t)good) != 0) {
        code = err_os(err, errno, "cut spool file '%s'", path);
        close(fd);
        return code;
    }
    if (s->fd > 0)
        close(s->fd);
    s->fd = fd;
    s->segment = first;
    s->segment_bytes = good;
    return ERR_OK;
}

void spool_stream_close(struct spool_stream *s)
{
    if (s->fd > 0)
        close(s->fd);
    free(s->entries);
    *s = (struct spool_stream){0};
}
