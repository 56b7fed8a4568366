#include "artifacts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "artifacts_naming.h"
#include "blob_folder.h"
#include "bounds.h"
#include "check.h"
#include "file.h"
#include "tree.h"

#define PATH_BYTES 4096
/* Written at most so often for each blob. */
#define TOUCH_AFTER_S 600

struct partial {
    uint64_t total;
    uint64_t next;
    uint64_t used; /* by the store's clock of uses; 0: free slot */
    struct hash_state hash;
    int fd; /* -1: closed for a while */
};

struct artifacts {
    char *dir; /* STATE/blobs */
    struct digest token;
    uint64_t uses;
    struct partial partials[ARTIFACTS_PARTIAL_MAX];
    struct digest partial_digests[ARTIFACTS_PARTIAL_MAX]; /* beside them: a search reads less */
    size_t partials_used; /* slots that were ever taken; those behind are free */
    struct artifacts_naming *namings;
};

static void blob_path(const struct artifacts *a, const struct digest *digest, char out[PATH_BYTES])
{
    char hex[DIGEST_HEX_SIZE];
    digest_hex(digest, hex);
    snprintf(out, PATH_BYTES, "%s/%.2s/%s", a->dir, hex, hex + 2);
}

static void partial_path(const struct artifacts *a, const struct digest *digest,
                         char out[PATH_BYTES])
{
    char hex[DIGEST_HEX_SIZE];
    snprintf(out, PATH_BYTES, "%s/partial/%s", a->dir, digest_hex(digest, hex));
}

static void partial_close(struct partial *p)
{
    if (p->fd >= 0) {
        close(p->fd);
    }
    p->fd = -1;
}

/* Its running digest is not worth anything any more, or not known to anybody. */
static void partial_forget(struct partial *p)
{
    partial_close(p);
    p->used = 0;
}

void artifacts_free(struct artifacts *artifacts)
{
    if (artifacts == NULL) {
        return;
    }
    for (size_t i = 0; i < artifacts->partials_used; i++) {
        partial_close(&artifacts->partials[i]);
    }
    free(artifacts->dir);
    free(artifacts);
}

/* A blob that has its name counts as durable. A process that was killed between the rename and the
 * fsync of the folder left one that may not be yet: the folders are synced before anyone asks. */
static enum err_code sync_folders(const struct artifacts *a, struct err *err)
{
    enum err_code code = file_sync_dir(a->dir, err);
    for (unsigned first = 0; first < 256 && code == ERR_OK; first++) {
        char path[PATH_BYTES];
        snprintf(path, sizeof path, "%s/%02x", a->dir, first);
        if (file_exists(path)) {
            code = file_sync_dir(path, err);
        }
    }
    return code;
}

/* What those need who see this folder. Without it (a full disk, say) blobs come over the socket. */
static void open_to_others(struct artifacts *a)
{
    char path[PATH_BYTES];
    struct err err;
    snprintf(path, sizeof path, "%s/incoming", a->dir);
    if (file_mkdirs(path, 0700, &err) != ERR_OK ||
        blob_folder_token_make(a->dir, &a->token, &err) != ERR_OK) {
        a->token = (struct digest){{0}};
    }
}

enum err_code artifacts_open(const char *dir, struct artifacts **out, struct err *err)
{
    char path[PATH_BYTES];
    /* Names of blobs and suffixes must fit behind it. */
    if (strlen(dir) > PATH_BYTES - 256) {
        return err_set(err, ERR_INVALID, "the path of the state folder is too long");
    }
    snprintf(path, sizeof path, "%s/blobs/partial", dir);
    enum err_code code = file_mkdirs(path, 0700, err);
    if (code != ERR_OK) {
        return code;
    }
    struct artifacts *a = calloc(1, sizeof *a);
    ASSERT(a != NULL);
    int len = asprintf(&a->dir, "%s/blobs", dir);
    ASSERT(len > 0);
    open_to_others(a);
    code = sync_folders(a, err);
    if (code != ERR_OK) {
        artifacts_free(a);
        return code;
    }
    *out = a;
    return ERR_OK;
}

const char *artifacts_folder(const struct artifacts *artifacts)
{
    return artifacts->dir;
}

struct digest artifacts_token(const struct artifacts *artifacts)
{
    return artifacts->token;
}

/* ---- reading ---- */

int64_t artifacts_size(const struct artifacts *artifacts, const struct digest *digest)
{
    char path[PATH_BYTES];
    struct stat info;
    blob_path(artifacts, digest, path);
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode) ||
        artifacts_naming_hides(artifacts->namings, digest)) {
        return -1;
    }
    /* Whoever asks relies on it from now on: it counts as young (artifacts_sweep). */
    if (time(NULL) - info.st_mtime > TOUCH_AFTER_S) {
        (void)!utimensat(AT_FDCWD, path, NULL, 0); /* on a full disk nothing is swept either */
    }
    return (int64_t)info.st_size;
}

static bool files_are_here(const struct artifacts *a, const char *bytes, size_t len)
{
    struct tree tree;
    struct err err;
    if (tree_parse(bytes, len, &tree, &err) != ERR_OK) {
        return true; /* not a tree: the blob itself is all there is to it */
    }
    bool here = true;
    for (size_t i = 0; i < tree.file_count && here; i++) {
        const struct tree_file *file = &tree.files[i];
        here = artifacts_size(a, &file->digest) == (int64_t)file->size_bytes;
    }
    tree_release(&tree);
    return here;
}

bool artifacts_has_tree(const struct artifacts *artifacts, const struct digest *digest)
{
    int64_t size = artifacts_size(artifacts, digest);
    if (size < 0 || size > (int64_t)TREE_BYTES_MAX) {
        return size >= 0;
    }
    char path[PATH_BYTES];
    blob_path(artifacts, digest, path);
    char *bytes = NULL;
    size_t len = 0;
    struct err err;
    if (file_read(path, TREE_BYTES_MAX, &bytes, &len, &err) != ERR_OK) {
        return false;
    }
    bool here = files_are_here(artifacts, bytes, len);
    free(bytes);
    return here;
}

enum err_code artifacts_read(const struct artifacts *artifacts, const struct digest *digest,
                             uint64_t offset, void *bytes, size_t bytes_max, size_t *len_out,
                             uint64_t *total_out, struct err *err)
{
    char path[PATH_BYTES];
    char hex[DIGEST_HEX_SIZE];
    struct stat info;
    blob_path(artifacts, digest, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? err_set(err, ERR_NOT_FOUND, "blob %.12s is not in the store",
                                         digest_hex(digest, hex))
                               : err_os(err, errno, "read blob '%s'", path);
    }
    enum err_code code = ERR_OK;
    if (fstat(fd, &info) != 0) {
        code = err_os(err, errno, "read blob '%s'", path);
        goto done;
    }
    uint64_t total = (uint64_t)info.st_size;
    if (offset > total) {
        code =
            err_set(err, ERR_INVALID, "read blob %.12s: offset %llu is past its %llu bytes",
                    digest_hex(digest, hex), (unsigned long long)offset, (unsigned long long)total);
        goto done;
    }
    ssize_t got = pread(fd, bytes, bytes_max, (off_t)offset);
    if (got < 0) {
        code = err_os(err, errno, "read blob '%s'", path);
        goto done;
    }
    *len_out = (size_t)got;
    *total_out = total;
done:
    close(fd);
    return code;
}

/* ---- writing ---- */

static const struct digest *digest_of(const struct artifacts *a, const struct partial *p)
{
    return &a->partial_digests[p - a->partials];
}

static struct partial *partial_find(struct artifacts *a, const struct digest *digest)
{
    for (size_t i = 0; i < a->partials_used; i++) {
        if (digest_equal(&a->partial_digests[i], digest) && a->partials[i].used > 0) {
            return &a->partials[i];
        }
    }
    return NULL;
}

/* A free slot, or that of the blob longest unused. */
static struct partial *free_slot(struct artifacts *a)
{
    struct partial *oldest = &a->partials[0];
    for (size_t i = 0; i < a->partials_used; i++) {
        struct partial *p = &a->partials[i];
        if (p->used == 0) {
            return p;
        }
        oldest = p->used < oldest->used ? p : oldest;
    }
    if (a->partials_used < ARTIFACTS_PARTIAL_MAX) {
        oldest = &a->partials[a->partials_used++];
        oldest->fd = -1;
    }
    partial_forget(oldest);
    return oldest;
}

/* Room for one more descriptor. */
static void limit_open(struct artifacts *a)
{
    struct partial *oldest = NULL;
    size_t open_count = 0;
    for (size_t i = 0; i < a->partials_used; i++) {
        struct partial *p = &a->partials[i];
        if (p->fd >= 0) {
            open_count++;
            oldest = oldest == NULL || p->used < oldest->used ? p : oldest;
        }
    }
    if (open_count >= ARTIFACTS_OPEN_MAX) {
        partial_close(oldest);
    }
}

/* Open again what was closed for a while. False: its file is not what was left. */
static bool partial_reopen(struct artifacts *a, struct partial *p)
{
    char path[PATH_BYTES];
    struct stat info;
    if (p->fd >= 0) {
        return true;
    }
    partial_path(a, digest_of(a, p), path);
    limit_open(a);
    p->fd = open(path, O_RDWR | O_CLOEXEC);
    return p->fd >= 0 && fstat(p->fd, &info) == 0 && (uint64_t)info.st_size == p->next;
}

/* Take the bytes that a former process or a closed slot left behind into the running digest. */
static enum err_code rehash(struct partial *p, uint64_t size, const char *path, struct err *err)
{
    enum { PIECE_BYTES = 256 * 1024 };
    uint8_t *piece = malloc(PIECE_BYTES);
    ASSERT(piece != NULL);
    enum err_code code = ERR_OK;
    while (p->next < size) {
        ssize_t got = pread(p->fd, piece, PIECE_BYTES, (off_t)p->next);
        if (got <= 0) {
            code = err_os(err, got < 0 ? errno : EIO, "read '%s'", path);
            break;
        }
        hash_update(&p->hash, piece, (size_t)got);
        p->next += (uint64_t)got;
    }
    free(piece);
    return code;
}

static enum err_code partial_begin(struct artifacts *a, const struct digest *digest, uint64_t total,
                                   struct partial **out, struct err *err)
{
    char path[PATH_BYTES];
    struct stat info;
    partial_path(a, digest, path);
    struct partial *p = free_slot(a);
    limit_open(a);
    a->partial_digests[p - a->partials] = *digest;
    *p = (struct partial){.total = total, .used = ++a->uses};
    hash_init(&p->hash);
    p->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    enum err_code code = ERR_OK;
    if (p->fd < 0) {
        code = err_os(err, errno, "open '%s'", path);
    } else if (fstat(p->fd, &info) != 0) {
        code = err_os(err, errno, "look at '%s'", path);
    } else if ((uint64_t)info.st_size > total) {
        /* Left by somebody who claimed another size: begin anew. */
        code = ftruncate(p->fd, 0) == 0 ? ERR_OK : err_os(err, errno, "cut '%s'", path);
    } else {
        code = rehash(p, (uint64_t)info.st_size, path, err);
    }
    if (code != ERR_OK) {
        partial_forget(p);
        return code;
    }
    *out = p;
    return ERR_OK;
}

static enum err_code append(struct partial *p, const void *bytes, size_t len, struct err *err)
{
    size_t written = 0;
    while (written < len) {
        ssize_t n =
            pwrite(p->fd, (const char *)bytes + written, len - written, (off_t)(p->next + written));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            int reason = n < 0 ? errno : EIO;
            /* The file must end where the digest does. Should even this fail, the next reader of
             * the file hashes what is there. */
            if (ftruncate(p->fd, (off_t)p->next) != 0) {
                partial_forget(p);
            }
            return err_os(err, reason, "store a blob");
        }
        written += (size_t)n;
    }
    hash_update(&p->hash, bytes, len);
    p->next += len;
    return ERR_OK;
}

/* All bytes are here: if they are right, they are to get their name. */
static enum err_code finish(struct artifacts *a, struct partial *p, struct artifacts_naming **out,
                            struct err *err)
{
    char from[PATH_BYTES];
    char hex[DIGEST_HEX_SIZE];
    struct digest digest = *digest_of(a, p);
    struct digest found = hash_final(&p->hash);
    enum err_code code = ERR_OK;
    partial_path(a, &digest, from);
    if (digest_equal(&found, &digest)) {
        *out = artifacts_naming_new(&a->namings, a->dir, &digest, from, p->fd);
        p->fd = -1;
    } else {
        unlink(from);
        code = err_set(err, ERR_CORRUPT, "blob %.12s: its bytes do not match its digest",
                       digest_hex(&digest, hex));
    }
    partial_forget(p); /* hash_final() has spent the digest: who goes on begins by reading */
    return code;
}

enum err_code artifacts_write(struct artifacts *artifacts, const struct digest *digest,
                              uint64_t offset, uint64_t total, const void *bytes, size_t len,
                              struct artifacts_progress *out, struct err *err)
{
    if (total > (uint64_t)BLOB_BYTES_MAX) {
        return err_set(err, ERR_LIMIT, "store a blob: %llu bytes are more than a blob may have",
                       (unsigned long long)total);
    }
    if (offset > total || len > total - offset) {
        return err_set(err, ERR_INVALID, "store a blob: a piece reaches past its end");
    }
    if (artifacts_size(artifacts, digest) >= 0) {
        *out = (struct artifacts_progress){.next = total, .complete = true};
        return ERR_OK;
    }
    if (artifacts_naming_is_written(artifacts->namings, digest)) {
        *out = (struct artifacts_progress){.next = total};
        return ERR_OK;
    }
    struct partial *p = partial_find(artifacts, digest);
    if (p != NULL && (p->total != total || !partial_reopen(artifacts, p))) {
        partial_forget(p);
        p = NULL;
    }
    enum err_code code = p != NULL ? ERR_OK : partial_begin(artifacts, digest, total, &p, err);
    if (code != ERR_OK) {
        return code;
    }
    p->used = ++artifacts->uses;
    if (offset == p->next) {
        code = append(p, bytes, len, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    struct artifacts_progress progress = {.next = p->next};
    code = p->next == p->total ? finish(artifacts, p, &progress.naming, err) : ERR_OK;
    if (code == ERR_OK) {
        *out = progress;
    }
    return code;
}

void artifacts_naming_end(struct artifacts *artifacts, struct artifacts_naming *naming)
{
    artifacts_naming_free(&artifacts->namings, naming);
}

struct artifacts_naming *artifacts_name_placed(struct artifacts *artifacts,
                                               const struct artifacts_placed *placed)
{
    struct arena arena = {0};
    const char *from = blob_folder_incoming(artifacts->dir, &placed->digest, placed->nonce, &arena);
    struct artifacts_naming *naming =
        artifacts_naming_new(&artifacts->namings, artifacts->dir, &placed->digest, from, -1);
    arena_release(&arena);
    return naming;
}
