#include "blob_part.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob_cache.h"
#include "blob_sources.h"
#include "bounds.h"
#include "check.h"

#define SUFFIX ".part"

/* The lock is on the file, not on its name: whoever held it before may have removed the file, or
 * made a blob of it. */
static bool is_still_there(int fd, const char *path)
{
    struct stat ours, named;
    return fstat(fd, &ours) == 0 && lstat(path, &named) == 0 && ours.st_dev == named.st_dev &&
           ours.st_ino == named.st_ino;
}

/* A descriptor that holds the lock, or -1. */
static int open_locked(const char *path)
{
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && is_still_there(fd, path))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

enum err_code blob_part_open(const char *cache, const struct digest *digest, struct blob_part *out,
                             struct err *err)
{
    struct arena arena = {0};
    struct stat status;
    const char *blob = blob_cache_path(cache, digest, &arena);
    char *path = arena_printf(&arena, "%s" SUFFIX, blob);
    *out = (struct blob_part){.fd = open_locked(path)};
    if (out->fd < 0) {
        path = arena_printf(&arena, "%s" SUFFIX ".XXXXXX", blob);
        out->fd = mkostemp(path, O_CLOEXEC);
    }
    if (out->fd >= 0 && fstat(out->fd, &status) == 0)
        out->len = (uint64_t)status.st_size - (uint64_t)status.st_size % BLOB_CHUNK_BYTES;
    out->path = out->fd >= 0 ? strdup(path) : NULL;
    ASSERT(out->fd < 0 || out->path != NULL);
    enum err_code code =
        out->fd >= 0 ? ERR_OK : err_os(err, errno, "fetch blob: create a file in '%s'", cache);
    arena_release(&arena);
    return code;
}

uint64_t blob_part_read(int fd, uint64_t len, struct hash_state *hash, uint64_t *print_out)
{
    uint8_t *chunk = malloc(BLOB_CHUNK_BYTES);
    uint64_t at = 0;
    ASSERT(chunk != NULL);
    *print_out = 0;
    while (at < len) {
        const size_t want = len - at < BLOB_CHUNK_BYTES ? (size_t)(len - at) : BLOB_CHUNK_BYTES;
        if (pread(fd, chunk, want, (off_t)at) != (ssize_t)want)
            break;
        hash_update(hash, chunk, want);
        *print_out = blob_sources_print(*print_out, hash_crc32c(chunk, want));
        at += want;
    }
    free(chunk);
    return at;
}

/* Others' names are random: nobody would look for them. */
static bool can_be_found(const char *path)
{
    const size_t len = strlen(path);
    return len > strlen(SUFFIX) && strcmp(path + len - strlen(SUFFIX), SUFFIX) == 0;
}

void blob_part_leave(const char *path, bool is_wanted)
{
    struct stat status;
    const bool is_of_use = is_wanted && can_be_found(path) && stat(path, &status) == 0 &&
                           status.st_size >= BLOB_CHUNK_BYTES;
    if (!is_of_use)
        unlink(path);
}

void blob_part_drop_idle(const char *cache)
{
    DIR *dir = opendir(cache);
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        if (!can_be_found(e->d_name))
            continue;
        const int fd = openat(dirfd(dir), e->d_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
            unlinkat(dirfd(dir), e->d_name, 0);
        if (fd >= 0)
            close(fd);
    }
    if (dir)
        closedir(dir);
}

bool blob_part_is_name(const char *name)
{
    return can_be_found(name) || strstr(name, SUFFIX ".") != NULL;
}

bool blob_part_is_old(const char *name, int64_t age_s)
{
    return age_s > (can_be_found(name) ? PART_KEPT_AGE_MAX_S : PART_OTHER_AGE_MAX_S);
}
