#include "spool.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "check.h"
#include "codec.h"
#include "file.h"
#include "log.h"
#include "records.h"
#include "spool_stream.h"

struct spool_lease {
    struct lease_key lease;
    char *folder;
    struct spool_stream streams[STREAM_COUNT];
    struct hash_state records_hash;
    uint64_t items;
    bool finished;
    struct arena arena;       /* owns what `result` points to */
    struct msg_result result; /* when finished */
};

struct spool {
    char *folder;
    uint64_t bytes_max;
    struct spool_lease **leases; /* finished survivors first, in order of their names */
    size_t count, capacity;
};

static struct spool_lease *lease_find(const struct spool *spool, const struct lease_key *key)
{
    for (size_t i = 0; i < spool->count; i++) {
        struct spool_lease *l = spool->leases[i];
        if (l->lease.epoch == key->epoch && digest_equal(&l->lease.job, &key->job))
            return l;
    }
    return NULL;
}

/* "folder/name"; the caller frees it. */
static char *path_join(const char *folder, const char *name)
{
    struct strbuf path = {0};
    strbuf_printf(&path, "%s/%s", folder, name);
    return strbuf_take(&path);
}

/* The path of a stream's files, without their number. */
static char *stream_prefix(const struct spool_lease *l, enum stream_kind stream)
{
    return path_join(l->folder, stream_kind_name(stream));
}

static struct spool_lease *lease_add(struct spool *spool, const struct lease_key *key)
{
    if (spool->count == spool->capacity) {
        size_t capacity = spool->capacity ? 2 * spool->capacity : 16;
        struct spool_lease **leases = realloc(spool->leases, capacity * sizeof *leases);
        ASSERT(leases);
        spool->leases = leases;
        spool->capacity = capacity;
    }
    struct spool_lease *l = calloc(1, sizeof *l);
    ASSERT(l);
    l->lease = *key;
    char hex[DIGEST_HEX_SIZE];
    char name[DIGEST_HEX_SIZE + 16];
    snprintf(name, sizeof name, "%s-%u", digest_hex(&key->job, hex), key->epoch);
    l->folder = path_join(spool->folder, name);
    hash_init(&l->records_hash);
    spool->leases[spool->count++] = l;
    return l;
}

static void lease_free(struct spool_lease *l)
{
    for (int s = 0; s < STREAM_COUNT; s++)
        spool_stream_close(&l->streams[s]);
    arena_release(&l->arena);
    free(l->folder);
    free(l);
}

static void lease_remove(struct spool *spool, struct spool_lease *l)
{
    struct err err;
    if (file_remove_tree(l->folder, &err))
        log_event(LOG_WARN, "spool_not_removed", "folder=%s text=\"%s\"", l->folder, err.text);
    size_t index = 0;
    while (spool->leases[index] != l)
        index++;
    spool->count--;
    memmove(&spool->leases[index], &spool->leases[index + 1],
            (spool->count - index) * sizeof *spool->leases);
    lease_free(l);
}

/* ---- opening ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names in a folder, sorted; the caller frees each and the list. */
static enum err_code folder_names(const char *folder, char ***names_out, size_t *count_out,
                                  struct err *err)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return err_os(err, errno, "open folder '%s'", folder);
    char **names = NULL;
    size_t count = 0;
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        char **grown = realloc(names, (count + 1) * sizeof *names);
        ASSERT(grown);
        names = grown;
        names[count++] = strdup(entry->d_name);
    }
    closedir(dir);
    if (count)
        qsort(names, count, sizeof *names, by_text);
    *names_out = names;
    *count_out = count;
    return ERR_OK;
}

static void names_free(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

static bool lease_from_name(const char *name, struct lease_key *out)
{
    char hex[DIGEST_HEX_SIZE] = {0};
    long long epoch;
    if (strlen(name) < DIGEST_HEX_SIZE || name[DIGEST_HEX_SIZE - 1] != '-')
        return false;
    memcpy(hex, name, DIGEST_HEX_SIZE - 1);
    if (!digest_from_hex(hex, &out->job) || !str_to_i64(name + DIGEST_HEX_SIZE, &epoch) ||
        epoch < 1 || epoch > UINT32_MAX)
        return false;
    out->epoch = (uint32_t)epoch;
    return true;
}

static enum err_code lease_load_result(struct spool_lease *l, struct err *err)
{
    char *path = path_join(l->folder, "result");
    char *data = NULL;
    size_t len = 0;
    struct msg m;
    enum err_code code = file_read(path, FRAME_BYTES_MAX, &data, &len, err);
    if (!code)
        code = codec_decode(data, len, "W", &l->arena, &m, err);
    if (!code && m.kind != MSG_RESULT)
        code = err_set(err, ERR_CORRUPT, "'%s' holds no result", path);
    if (!code)
        l->result = m.result;
    free(data);
    free(path);
    return code;
}

/* Streams as far as they are whole; names are sorted, so a stream's segments come in order. */
static enum err_code lease_load_streams(struct spool_lease *l, struct err *err)
{
    char **names;
    size_t count;
    enum err_code code = folder_names(l->folder, &names, &count, err);
    if (code)
        return code;
    for (size_t i = 0; i < count && !code; i++) {
        for (int s = 0; s < STREAM_COUNT && !code; s++) {
            const char *kind = stream_kind_name((enum stream_kind)s);
            size_t len = strlen(kind);
            long long first;
            if (strncmp(names[i], kind, len) != 0 || names[i][len] != '.' ||
                !str_to_i64(names[i] + len + 1, &first) || first < 0 || first > UINT32_MAX)
                continue;
            char *prefix = stream_prefix(l, (enum stream_kind)s);
            code = spool_stream_load(&l->streams[s], prefix, (uint32_t)first, err);
            free(prefix);
        }
    }
    names_free(names, count);
    for (int s = 0; s < STREAM_COUNT && !code; s++) {
        if (l->streams[s].count != l->result.batches[s])
            code = err_set(err, ERR_CORRUPT, "spool '%s' has %u of %u %s batches", l->folder,
                           l->streams[s].count, l->result.batches[s],
                           stream_kind_name((enum stream_kind)s));
    }
    return code;
}

static void spool_adopt(struct spool *spool, const char *name)
{
    struct lease_key key;
    if (!lease_from_name(name, &key))
        return;
    struct spool_lease *l = lease_add(spool, &key);
    struct err err;
    enum err_code code = lease_load_result(l, &err);
    if (!code)
        code = lease_load_streams(l, &err);
    if (!code) {
        l->finished = true;
        return;
    }
    log_event(code == ERR_NOT_FOUND ? LOG_INFO : LOG_WARN, "spool_discarded",
              "lease=%.12s text=\"%s\"", name,
              code == ERR_NOT_FOUND ? "its process ended before the attempt did" : err.text);
    lease_remove(spool, l);
}

enum err_code spool_open(const char *folder, uint64_t bytes_max, struct spool **out,
                         struct err *err)
{
    enum err_code code = file_mkdirs(folder, 0700, err);
    if (code)
        return code;
    char **names;
    size_t count;
    code = folder_names(folder, &names, &count, err);
    if (code)
        return code;
    struct spool *spool = calloc(1, sizeof *spool);
    ASSERT(spool);
    spool->folder = strdup(folder);
    spool->bytes_max = bytes_max;
    for (size_t i = 0; i < count; i++)
        spool_adopt(spool, names[i]);
    names_free(names, count);
    *out = spool;
    return ERR_OK;
}

void spool_free(struct spool *spool)
{
    if (!spool)
        return;
    for (size_t i = 0; i < spool->count; i++)
        lease_free(spool->leases[i]);
    free(spool->leases);
    free(spool->folder);
    free(spool);
}

size_t spool_finished_count(const struct spool *spool)
{
    size_t count = 0;
    for (size_t i = 0; i < spool->count; i++)
        count += spool->leases[i]->finished;
    return count;
}

const struct msg_result *spool_finished_at(const struct spool *spool, size_t index)
{
    for (size_t i = 0; i < spool->count; i++) {
        if (spool->leases[i]->finished && index-- == 0)
            return &spool->leases[i]->result;
    }
    UNREACHABLE("no such finished lease");
}

/* ---- writing ---- */

enum err_code spool_begin(struct spool *spool, const struct lease_key *lease, struct err *err)
{
    struct spool_lease *l = lease_find(spool, lease);
    if (l)
        lease_remove(spool, l);
    l = lease_add(spool, lease);
    enum err_code code = file_mkdirs(l->folder, 0700, err);
    if (code)
        lease_remove(spool, l);
    return code;
}

static uint64_t spool_bytes(const struct spool *spool)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < spool->count; i++) {
        for (int s = 0; s < STREAM_COUNT; s++)
            bytes += spool->leases[i]->streams[s].pending_bytes;
    }
    return bytes;
}

enum err_code spool_append(struct spool *spool, const struct lease_key *lease,
                           enum stream_kind stream, struct bytes payload, struct err *err)
{
    struct spool_lease *l = lease_find(spool, lease);
    if (!l)
        return err_set(err, ERR_NOT_FOUND, "no such lease in the spool");
    uint32_t items = 0;
    enum err_code code = ERR_OK;
    if (stream == STREAM_RECORDS)
        code = records_check(payload.data, payload.len, &items, err);
    if (code)
        return code;
    if (spool_bytes(spool) + payload.len > spool->bytes_max)
        return err_set(err, ERR_LIMIT, "spool '%s' holds its %llu MiB already", spool->folder,
                       (unsigned long long)(spool->bytes_max >> 20));
    char *prefix = stream_prefix(l, stream);
    code = spool_stream_append(&l->streams[stream], prefix, payload, err);
    free(prefix);
    if (!code && stream == STREAM_RECORDS) {
        hash_update(&l->records_hash, payload.data, payload.len);
        l->items += items;
    }
    return code;
}

enum err_code spool_read(struct spool *spool, const struct lease_key *lease,
                         enum stream_kind stream, uint32_t index, struct strbuf *out,
                         struct err *err)
{
    struct spool_lease *l = lease_find(spool, lease);
    if (!l)
        return err_set(err, ERR_NOT_FOUND, "no such lease in the spool");
    char *prefix = stream_prefix(l, stream);
    enum err_code code = spool_stream_read(&l->streams[stream], prefix, index, out, err);
    free(prefix);
    return code;
}

void spool_drop(struct spool *spool, const struct lease_key *lease, enum stream_kind stream,
                uint32_t below)
{
    struct spool_lease *l = lease_find(spool, lease);
    if (!l)
        return;
    char *prefix = stream_prefix(l, stream);
    spool_stream_drop(&l->streams[stream], prefix, below);
    free(prefix);
}

struct spool_end {
    struct lease_key lease;
    char *spool_folder, *folder; /* of all, and of the lease */
    struct strbuf files;         /* of its streams, one zero-ended path after the other */
    struct strbuf frame;         /* the result */
};

enum err_code spool_end_new(struct spool *spool, const struct lease_key *lease,
                            const struct msg_result *result, struct spool_end **out,
                            struct err *err)
{
    const struct spool_lease *l = lease_find(spool, lease);
    const struct msg m = {.kind = MSG_RESULT, .result = *result};
    struct strbuf frame = {0};
    enum err_code code = l ? codec_encode(&m, FRAME_BYTES_MAX, &frame, err)
                           : err_set(err, ERR_NOT_FOUND, "no such lease in the spool");
    if (code) {
        strbuf_release(&frame);
        return code;
    }
    struct spool_end *end = calloc(1, sizeof *end);
    ASSERT(end);
    end->lease = *lease;
    end->spool_folder = strdup(spool->folder);
    end->folder = strdup(l->folder);
    end->frame = frame;
    for (int s = 0; s < STREAM_COUNT; s++) {
        char *prefix = stream_prefix(l, (enum stream_kind)s);
        spool_stream_files(&l->streams[s], prefix, &end->files);
        free(prefix);
    }
    *out = end;
    return ERR_OK;
}

enum err_code spool_end_write(const struct spool_end *end, struct err *err)
{
    enum err_code code = ERR_OK;
    for (size_t at = 0; at < end->files.len && !code; at += strlen(end->files.data + at) + 1) {
        code = file_sync(end->files.data + at, err);
        code = code == ERR_NOT_FOUND ? ERR_OK : code; /* it was acknowledged meanwhile */
    }
    if (!code)
        code = file_sync_dir(end->folder, err);
    char *path = path_join(end->folder, "result");
    if (!code)
        code = file_write_atomic(path, end->frame.data, end->frame.len, 0600, err);
    if (!code)
        code = file_sync_dir(end->spool_folder, err);
    free(path);
    return code;
}

bool spool_end_free(struct spool *spool, struct spool_end *end)
{
    const bool is_held = lease_find(spool, &end->lease) != NULL;
    struct err err;
    if (!is_held && file_remove_tree(end->folder, &err))
        log_event(LOG_WARN, "spool_not_removed", "folder=%s text=\"%s\"", end->folder, err.text);
    free(end->spool_folder);
    free(end->folder);
    strbuf_release(&end->files);
    strbuf_release(&end->frame);
    free(end);
    return is_held;
}

void spool_forget(struct spool *spool, const struct lease_key *lease)
{
    struct spool_lease *l = lease_find(spool, lease);
    if (l)
        lease_remove(spool, l);
}

struct spool_totals spool_totals(const struct spool *spool, const struct lease_key *lease)
{
    struct spool_totals totals = {.items = 0};
    const struct spool_lease *l = lease_find(spool, lease);
    if (!l)
        return totals;
    for (int s = 0; s < STREAM_COUNT; s++) {
        totals.batches[s] = l->streams[s].count;
        totals.pending_bytes += l->streams[s].pending_bytes;
    }
    totals.items = l->items;
    if (totals.batches[STREAM_RECORDS] > 0) {
        struct hash_state hash = l->records_hash;
        totals.records = hash_final(&hash);
    }
    return totals;
}
