#include "artifacts_naming.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blob_folder.h"
#include "check.h"
#include "file.h"

struct artifacts_naming {
    struct artifacts_naming *next;
    struct digest digest;
    int fd;
    struct arena arena; /* owns the paths */
    const char *folder, *parent, *from, *to;
    _Atomic bool hides; /* set by the thread */
};

struct artifacts_naming *artifacts_naming_new(struct artifacts_naming **list, const char *folder,
                                              const struct digest *digest, const char *from, int fd)
{
    struct artifacts_naming *n = calloc(1, sizeof *n);
    ASSERT(n != NULL);
    n->digest = *digest;
    n->fd = fd;
    n->folder = arena_strdup(&n->arena, folder);
    n->from = arena_strdup(&n->arena, from);
    n->to = blob_folder_path(folder, digest, &n->arena);
    n->parent = arena_strndup(&n->arena, n->to, (size_t)(strrchr(n->to, '/') - n->to));
    n->next = *list;
    *list = n;
    return n;
}

bool artifacts_naming_hides(const struct artifacts_naming *list, const struct digest *digest)
{
    for (const struct artifacts_naming *n = list; n != NULL; n = n->next) {
        if (n->hides && digest_equal(&n->digest, digest)) {
            return true;
        }
    }
    return false;
}

bool artifacts_naming_is_written(const struct artifacts_naming *list, const struct digest *digest)
{
    for (const struct artifacts_naming *n = list; n != NULL; n = n->next) {
        if (n->fd >= 0 && digest_equal(&n->digest, digest)) {
            return true;
        }
    }
    return false;
}

/* Fsync, rename, fsync the folder: the name never shows anything but the whole. */
enum err_code artifacts_naming_run(struct artifacts_naming *n, struct err *err)
{
    char hex[DIGEST_HEX_SIZE];
    if (n->fd >= 0 && fsync(n->fd) != 0) {
        enum err_code code =
            err_os(err, errno, "make blob %.12s durable", digest_hex(&n->digest, hex));
        /* What the kernel could not write it forgets to have been asked: a later fsync would
         * succeed without it. The writer begins anew. */
        unlink(n->from);
        return code;
    }
    enum err_code code = file_mkdirs(n->parent, 0700, err);
    code = code != ERR_OK ? code : file_sync_dir(n->folder, err);
    if (code != ERR_OK) {
        return code;
    }
    n->hides = !file_exists(n->to); /* else it is there already, with the same bytes */
    if (rename(n->from, n->to) != 0) {
        return err_os(err, errno, "rename '%s' to '%s'", n->from, n->to);
    }
    code = file_sync_dir(n->parent, err);
    if (code != ERR_OK) {
        unlink(n->to); /* under its name it would count as durable */
    }
    return code;
}

void artifacts_naming_free(struct artifacts_naming **list, struct artifacts_naming *naming)
{
    struct artifacts_naming **at = list;
    while (*at != naming) {
        at = &(*at)->next;
    }
    *at = naming->next;
    if (naming->fd >= 0) {
        close(naming->fd);
    }
    arena_release(&naming->arena);
    free(naming);
}
