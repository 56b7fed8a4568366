/* Blobs that somebody who sees the store's folder put into `incoming`. Their bytes did not pass
 * through us, so they are read before they get a name: who holds a worker's key must not be able to
 * give a blob bytes that are not its own, and neither must a broken disk. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "artifacts.h"
#include "blob_folder.h"
#include "check.h"
#include "file.h"

#define PIECE_BYTES ((size_t)1024 * 1024)

static enum err_code hash_all(int fd, const char *path, struct artifacts_placed *placed,
                              struct digest *out, struct err *err)
{
    struct hash_state hash;
    uint8_t *piece = malloc(PIECE_BYTES);
    ASSERT(piece != NULL);
    enum err_code code = ERR_OK;
    hash_init(&hash);
    for (;;) {
        ssize_t got = read(fd, piece, PIECE_BYTES);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            code = err_os(err, errno, "read '%s'", path);
        } else if (placed->stop) {
            code = err_set(err, ERR_CANCELLED, "the coordinator stops");
        }
        if (code != ERR_OK || got == 0) {
            break;
        }
        hash_update(&hash, piece, (size_t)got);
        placed->verified += (uint64_t)got;
    }
    free(piece);
    *out = hash_final(&hash);
    return code;
}

static enum err_code verify(int fd, const char *path, struct artifacts_placed *placed,
                            struct err *err)
{
    struct stat info;
    struct digest found;
    char hex[DIGEST_HEX_SIZE];
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        return err_set(err, ERR_INVALID, "'%s' is no file", path);
    }
    enum err_code code = hash_all(fd, path, placed, &found, err);
    if (code == ERR_OK &&
        ((uint64_t)info.st_size != placed->size || !digest_equal(&found, &placed->digest))) {
        code = err_set(err, ERR_CORRUPT, "blob %.12s: its bytes do not match its digest",
                       digest_hex(&placed->digest, hex));
    }
    /* Who put it there may have left that to us; a file of somebody else may keep its mode. */
    if (code == ERR_OK && fsync(fd) != 0) {
        code = err_os(err, errno, "make '%s' durable", path);
    }
    /* A link of a worker's file may be older than what a sweep calls garbage. */
    if (code == ERR_OK) {
        (void)!futimens(fd, NULL);
    }
    if (code == ERR_OK && fchmod(fd, BLOB_MODE) != 0 && errno != EPERM) {
        code = err_os(err, errno, "make '%s' read-only", path);
    }
    return code;
}

enum err_code artifacts_verify_placed(const struct artifacts *artifacts,
                                      struct artifacts_placed *placed, struct err *err)
{
    struct arena arena = {0};
    const char *path =
        blob_folder_incoming(artifacts_folder(artifacts), &placed->digest, placed->nonce, &arena);
    enum err_code code = ERR_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        code = err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "open '%s': %s", path,
                       strerror(errno));
    } else {
        code = verify(fd, path, placed, err);
        close(fd);
    }
    arena_release(&arena);
    return code;
}

void artifacts_drop_placed(struct artifacts *artifacts, const struct artifacts_placed *placed)
{
    struct arena arena = {0};
    unlink(
        blob_folder_incoming(artifacts_folder(artifacts), &placed->digest, placed->nonce, &arena));
    arena_release(&arena);
}
