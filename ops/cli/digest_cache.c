#include "digest_cache.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "file.h"

enum {
    FILE_BYTES_MIN = 1 << 24,   /* smaller ones are hashed in no time */
    CACHE_BYTES_MAX = 16 << 20, /* then it begins anew */
    AGE_MIN_S = 2,              /* a file that changed just now may change again unseen */
    KEY_SIZE = 160,
};

/* What tells a file from every other state of it; false when it should not be remembered. */
static bool key_of(const char *path, char key[KEY_SIZE], struct stat *status)
{
    if (stat(path, status) != 0 || !S_ISREG(status->st_mode) || status->st_size < FILE_BYTES_MIN)
        return false;
    snprintf(key, KEY_SIZE, "%ju %ju %jd %jd.%09ld %jd.%09ld ", (uintmax_t)status->st_dev,
             (uintmax_t)status->st_ino, (intmax_t)status->st_size, (intmax_t)status->st_mtim.tv_sec,
             status->st_mtim.tv_nsec, (intmax_t)status->st_ctim.tv_sec, status->st_ctim.tv_nsec);
    return true;
}

static bool find(const char *cache, const char *key, struct digest *out)
{
    char *text = NULL, hex[DIGEST_HEX_SIZE];
    size_t len = 0;
    struct err ignored;
    bool found = false;
    if (file_read(cache, CACHE_BYTES_MAX, &text, &len, &ignored) != ERR_OK)
        return false;
    for (const char *line = text; line && *line && !found;) {
        if (strncmp(line, key, strlen(key)) == 0) {
            snprintf(hex, sizeof hex, "%s", line + strlen(key));
            found = digest_from_hex(hex, out);
        }
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    free(text);
    return found;
}

/* Whoever cannot write it down computes it again next time. */
static void remember(const char *cache, const char *key, const struct digest *digest)
{
    char hex[DIGEST_HEX_SIZE];
    struct stat status;
    const bool full = stat(cache, &status) == 0 && status.st_size > CACHE_BYTES_MAX / 2;
    FILE *file = fopen(cache, full ? "we" : "ae");
    if (!file)
        return;
    fprintf(file, "%s%s\n", key, digest_hex(digest, hex));
    fclose(file);
}

static enum err_code cached_digest(void *ctx, const char *path, struct digest *out,
                                   int64_t *bytes_out, struct err *err)
{
    const struct digest_cache *c = ctx;
    char key[KEY_SIZE], after[KEY_SIZE];
    struct stat status;
    const bool large = key_of(path, key, &status);
    if (large && find(c->path, key, out)) {
        *bytes_out = status.st_size;
        return ERR_OK;
    }
    enum err_code rc = c->disk.digest(c->disk.ctx, path, out, bytes_out, err);
    const bool calm = large && status.st_ctim.tv_sec + AGE_MIN_S < time(NULL);
    if (rc == ERR_OK && calm && key_of(path, after, &status) && strcmp(key, after) == 0)
        remember(c->path, key, out);
    return rc;
}

struct reader digest_cache_reader(struct digest_cache *cache, const char *path)
{
    struct reader reader = reader_disk(); /* whose functions need no context */
    *cache = (struct digest_cache){.path = path, .disk = reader};
    reader.ctx = cache;
    reader.digest = cached_digest;
    return reader;
}
