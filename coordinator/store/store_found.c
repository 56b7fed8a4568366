/* What lies in the state folder before the database is opened. SQLite makes a new database where it
 * finds none, or an empty file, and reads a damaged write-ahead log as far as it is whole, without
 * a word either way. Here the first is refused where something shows that there was a state, and
 * the second is told, with the log kept aside.
 *
 * The format of the log: https://www.sqlite.org/fileformat2.html#walformat */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "file.h"
#include "log.h"
#include "store_query.h"

/* ---- a database that is gone ---- */

static bool has_bytes(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && info.st_size > 0;
}

/* Folders of blobs are made with their first blob, and blobs come after the database. */
static bool has_blobs(const char *dir)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/blobs", dir);
    DIR *blobs = opendir(path);
    const struct dirent *entry;
    bool found = false;
    while (blobs != NULL && !found && (entry = readdir(blobs)) != NULL) {
        found = strlen(entry->d_name) == 2 && strcmp(entry->d_name, "..") != 0;
    }
    if (blobs != NULL) {
        closedir(blobs);
    }
    return found;
}

static enum err_code refuse_lost(const char *dir, const char *path, const char *log,
                                 struct err *err)
{
    struct stat info;
    char noted[4096];
    const bool is_there = stat(path, &info) == 0;
    snprintf(noted, sizeof noted, "%s/shared-store", dir);
    if (is_there && info.st_size > 0) {
        return ERR_OK;
    }
    const char *sign = has_blobs(dir)       ? "blobs of its jobs"
                       : has_bytes(log)     ? "its write-ahead log"
                       : file_exists(noted) ? "the name of its shared store"
                                            : NULL;
    return sign == NULL
               ? ERR_OK
               : err_set(err, ERR_CORRUPT,
                         "the database '%s' %s, but %s are there: put back the newest 'triad "
                         "backup'; to begin anew, name another folder",
                         path, is_there ? "is empty" : "is missing", sign);
}

/* ---- a damaged log ---- */

#define LOG_HEAD_BYTES   32
#define FRAME_HEAD_BYTES 24
#define LOG_MAGIC        0x377f0682u /* the lowest bit: checksums of big-endian words */
#define PAGE_BYTES_MAX   65536

struct log_look {
    size_t frames;       /* as far as all is whole */
    size_t commits_lost; /* ends of transactions behind that, of the same life of the log */
    bool is_headless;    /* the head is no head, so that nothing of it is read */
};

static uint32_t big_endian(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t little_endian(const uint8_t *at)
{
    return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

/* `len` is a multiple of 8. */
static void add_to_sum(bool is_big, const uint8_t *bytes, size_t len, uint32_t sum[2])
{
    for (size_t i = 0; i < len; i += 8) {
        sum[0] += (is_big ? big_endian(bytes + i) : little_endian(bytes + i)) + sum[1];
        sum[1] += (is_big ? big_endian(bytes + i + 4) : little_endian(bytes + i + 4)) + sum[0];
    }
}

static bool sums_agree(const uint8_t *at, const uint32_t sum[2])
{
    return big_endian(at) == sum[0] && big_endian(at + 4) == sum[1];
}

/* A torn end is what a power cut leaves: at most one transaction that nobody was told of. The next
 * one begins after the sync of that, so two ends of transactions behind a torn place are a loss. */
static void look_at_log(FILE *file, struct log_look *look)
{
    static uint8_t page[PAGE_BYTES_MAX];
    uint8_t head[LOG_HEAD_BYTES], frame[FRAME_HEAD_BYTES];
    uint32_t sum[2] = {0};
    *look = (struct log_look){0};
    if (fread(head, 1, sizeof head, file) != sizeof head) {
        return;
    }
    const bool is_big = (big_endian(head) & 1) != 0;
    const uint32_t page_bytes = big_endian(head + 8);
    add_to_sum(is_big, head, LOG_HEAD_BYTES - 8, sum);
    look->is_headless = (big_endian(head) & ~1u) != LOG_MAGIC || page_bytes < 512 ||
                        page_bytes > PAGE_BYTES_MAX || page_bytes % 512 != 0 ||
                        !sums_agree(head + 24, sum);
    bool is_whole = true;
    while (!look->is_headless && fread(frame, 1, sizeof frame, file) == sizeof frame &&
           fread(page, 1, page_bytes, file) == page_bytes) {
        const bool is_of_this_life = memcmp(frame + 8, head + 16, 8) == 0;
        add_to_sum(is_big, frame, 8, sum);
        add_to_sum(is_big, page, page_bytes, sum);
        is_whole = is_whole && is_of_this_life && sums_agree(frame + 16, sum);
        look->frames += is_whole;
        look->commits_lost += !is_whole && is_of_this_life && big_endian(frame + 4) != 0;
    }
}

static enum err_code keep_log(const char *log, const struct log_look *look, struct err *err)
{
    char kept[4096 + 64];
    snprintf(kept, sizeof kept, "%s.damaged-%lld", log, (long long)(clock_time_ms() / 1000));
    enum err_code code = file_copy(log, kept, 0600, err);
    if (code != ERR_OK) {
        return err_wrap(err, "the write-ahead log '%s' is damaged", log);
    }
    if (look->is_headless) {
        log_event(LOG_ERROR, "log_damaged",
                  "kept='%s' note='the write-ahead log has no head that can be read: the state is "
                  "that of the database, what was acknowledged after its last checkpoint is lost'",
                  kept);
    } else {
        log_event(LOG_ERROR, "log_damaged",
                  "kept='%s' frames=%zu turns_lost=%zu note='the write-ahead log is damaged in its "
                  "middle: the state is that of before, what was acknowledged after is lost; "
                  "submit again what is missing'",
                  kept, look->frames, look->commits_lost);
    }
    return ERR_OK;
}

enum err_code store_look_before(const struct store *store, const char *dir, struct err *err)
{
    char log[4096];
    struct log_look look = {0};
    snprintf(log, sizeof log, "%s-wal", store->path);
    enum err_code code = refuse_lost(dir, store->path, log, err);
    FILE *file = code == ERR_OK ? fopen(log, "rbe") : NULL;
    if (file == NULL) {
        return code;
    }
    look_at_log(file, &look);
    fclose(file);
    return look.is_headless || look.commits_lost > 1 ? keep_log(log, &look, err) : ERR_OK;
}
