#include "blob_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "blob_folder.h"
#include "blob_part.h"
#include "file.h"

char *blob_cache_path(const char *cache, const struct digest *digest, struct arena *arena)
{
    char hex[DIGEST_HEX_SIZE];
    return arena_printf(arena, "%s/%s", cache, digest_hex(digest, hex));
}

bool blob_cache_has(const char *cache, const struct digest *digest)
{
    struct arena arena = {0};
    bool has = file_exists(blob_cache_path(cache, digest, &arena));
    arena_release(&arena);
    return has;
}

enum err_code blob_cache_open(const char *cache, struct err *err)
{
    enum err_code rc = file_mkdirs(cache, 0700, err);
    DIR *dir = rc == ERR_OK ? opendir(cache) : NULL;
    if (rc == ERR_OK && !dir)
        rc = err_os(err, errno, "open folder '%s'", cache);
    if (rc != ERR_OK)
        return rc;
    const time_t now = time(NULL);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        struct stat status;
        if (blob_part_is_name(e->d_name) && fstatat(dirfd(dir), e->d_name, &status, 0) == 0 &&
            blob_part_is_old(e->d_name, now - status.st_mtime))
            unlinkat(dirfd(dir), e->d_name, 0); /* whoever else removed it: fine */
    }
    closedir(dir);
    return ERR_OK;
}

enum err_code blob_cache_add_bytes(const char *cache, const void *bytes, size_t len,
                                   struct digest *digest_out, struct err *err)
{
    struct arena arena = {0};
    const struct digest digest = hash_bytes(bytes, len);
    const char *path = blob_cache_path(cache, &digest, &arena);
    enum err_code rc = file_mkdirs(cache, 0700, err);
    if (rc == ERR_OK && !file_exists(path))
        rc = file_write_atomic(path, bytes, len, BLOB_MODE, err);
    if (rc == ERR_OK)
        *digest_out = digest;
    arena_release(&arena);
    return rc;
}

/* The content of `path`, whose digest is known, becomes a blob. */
static enum err_code adopt(const char *cache, const char *path, const struct digest *digest,
                           struct err *err)
{
    struct arena arena = {0};
    const char *blob = blob_cache_path(cache, digest, &arena);
    enum err_code rc = ERR_OK;
    if (file_exists(blob))
        goto done;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        rc = err_os(err, errno, "open '%s'", path);
        goto done;
    }
    /* The blob's name promises durable bytes. */
    if (fsync(fd) != 0 || fchmod(fd, BLOB_MODE) != 0)
        rc = err_os(err, errno, "fsync '%s'", path);
    close(fd);
    if (rc == ERR_OK)
        rc = blob_link_or_copy(path, blob, err);
    if (rc == ERR_OK)
        rc = file_sync_dir(cache, err);
done:
    arena_release(&arena);
    return rc;
}

enum err_code blob_cache_add_folder(const char *cache, const char *folder, struct digest *tree_out,
                                    struct err *err)
{
    struct arena arena = {0};
    struct strbuf text = {0};
    struct tree tree;
    enum err_code rc = file_mkdirs(cache, 0700, err);
    if (rc == ERR_OK)
        rc = tree_of_folder(folder, &tree, err);
    if (rc != ERR_OK)
        return rc;
    for (size_t i = 0; rc == ERR_OK && i < tree.file_count; i++)
        rc = adopt(cache, arena_printf(&arena, "%s/%s", folder, tree.files[i].name),
                   &tree.files[i].digest, err);
    tree_encode(&tree, &text);
    if (rc == ERR_OK)
        rc = blob_cache_add_bytes(cache, text.data, text.len, tree_out, err);
    strbuf_release(&text);
    tree_release(&tree);
    arena_release(&arena);
    return rc;
}

enum err_code blob_cache_read_tree(const char *cache, const struct digest *digest, struct tree *out,
                                   struct err *err)
{
    struct arena arena = {0};
    char *text = NULL;
    size_t len = 0;
    enum err_code rc =
        file_read(blob_cache_path(cache, digest, &arena), TREE_BYTES_MAX, &text, &len, err);
    if (rc == ERR_OK)
        rc = tree_parse(text, len, out, err);
    free(text);
    arena_release(&arena);
    return rc;
}

/* Fill the fresh folder `to` with links to the tree's files. */
static enum err_code fill_folder(const char *cache, const struct tree *tree, const char *to,
                                 struct err *err)
{
    struct arena arena = {0};
    enum err_code rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < tree->file_count; i++)
        rc = blob_link_or_copy(blob_cache_path(cache, &tree->files[i].digest, &arena),
                               arena_printf(&arena, "%s/%s", to, tree->files[i].name), err);
    arena_release(&arena);
    return rc;
}

enum err_code blob_cache_make_folder(const char *cache, const struct digest *digest,
                                     const char *folder, struct err *err)
{
    struct arena arena = {0};
    struct tree tree;
    size_t len = strlen(folder);
    while (len > 1 && folder[len - 1] == '/')
        len--;
    folder = arena_strndup(&arena, folder, len);
    char *temporary = arena_printf(&arena, "%s.XXXXXX", folder);
    const char *slash = strrchr(folder, '/');
    enum err_code rc = blob_cache_read_tree(cache, digest, &tree, err);
    if (rc != ERR_OK)
        goto done;
    if (file_exists(folder))
        rc = err_set(err, ERR_CONFLICT, "make folder '%s': it is already there", folder);
    else if (slash && slash > folder)
        rc = file_mkdirs(arena_strndup(&arena, folder, (size_t)(slash - folder)), 0777, err);
    if (rc == ERR_OK && !mkdtemp(temporary))
        rc = err_os(err, errno, "make a folder beside '%s'", folder);
    if (rc == ERR_OK) {
        rc = fill_folder(cache, &tree, temporary, err);
        if (rc == ERR_OK && rename(temporary, folder) != 0)
            rc = err_os(err, errno, "rename to '%s'", folder);
        struct err ignored; /* the first trouble is the one to tell */
        if (rc != ERR_OK)
            (void)!file_remove_tree(temporary, &ignored);
    }
    tree_release(&tree);
done:
    arena_release(&arena);
    return rc;
}
