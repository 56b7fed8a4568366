#include "cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "file.h"
#include "log.h"

#define TREE_LIST_BYTES_MAX ((size_t)256 * 1024)

enum err_code cache_open(const char *folder, uint64_t bytes_max, struct cache *out, struct err *err)
{
    enum err_code code = file_mkdirs(folder, 0700, err);
    if (code)
        return code;
    DIR *dir = opendir(folder);
    if (!dir)
        return err_os(err, errno, "open cache folder '%s'", folder);
    struct dirent *entry;
    while (!code && (entry = readdir(dir)) != NULL) {
        if (!strstr(entry->d_name, ".part"))
            continue;
        struct strbuf path = {0};
        strbuf_printf(&path, "%s/%s", folder, entry->d_name);
        code = file_remove_tree(path.data, err);
        strbuf_release(&path);
    }
    closedir(dir);
    if (code)
        return code;
    *out = (struct cache){.folder = strdup(folder), .bytes_max = bytes_max};
    return ERR_OK;
}

void cache_close(struct cache *cache)
{
    free(cache->folder);
    cache->folder = NULL;
}

char *cache_path(const struct cache *cache, const struct digest *digest, const char *suffix)
{
    char hex[DIGEST_HEX_SIZE];
    struct strbuf path = {0};
    strbuf_printf(&path, "%s/%s%s", cache->folder, digest_hex(digest, hex), suffix);
    return strbuf_take(&path);
}

bool cache_has(const struct cache *cache, const struct digest *digest)
{
    char *path = cache_path(cache, digest, "");
    /* Setting the times is the test and the mark in one. */
    bool there = utimensat(AT_FDCWD, path, NULL, 0) == 0;
    free(path);
    return there;
}

enum err_code cache_adopt(const struct cache *cache, const char *folder, const struct tree *tree,
                          struct digest *digest_out, struct err *err)
{
    struct strbuf list = {0};
    tree_encode(tree, &list);
    struct digest digest = hash_bytes(list.data, list.len);
    char *path = cache_path(cache, &digest, "");
    char *list_path = cache_path(cache, &digest, ".tree");
    enum err_code code = ERR_OK;
    if (cache_has(cache, &digest)) {
        code = file_remove_tree(folder, err);
        goto done;
    }
    code = file_write_atomic(list_path, list.data, list.len, 0600, err);
    if (!code && rename(folder, path) != 0)
        code = err_os(err, errno, "move folder '%s' to '%s'", folder, path);
    if (!code)
        code = file_sync_dir(cache->folder, err);
done:
    free(list_path);
    free(path);
    strbuf_release(&list);
    if (!code)
        *digest_out = digest;
    return code;
}

enum err_code cache_read_tree(const struct cache *cache, const struct digest *digest,
                              struct tree *out, struct err *err)
{
    char *path = cache_path(cache, digest, ".tree");
    char *data = NULL;
    size_t len = 0;
    enum err_code code = file_read(path, TREE_LIST_BYTES_MAX, &data, &len, err);
    if (!code) {
        struct digest found = hash_bytes(data, len);
        if (!digest_equal(&found, digest))
            code = err_set(err, ERR_CORRUPT, "tree list '%s' is not what its name says", path);
    }
    if (!code)
        code = tree_parse(data, len, out, err);
    free(data);
    free(path);
    return code;
}

/* ---- least recently used ---- */

struct usage {
    char name[DIGEST_HEX_SIZE];
    int64_t used_s;
    uint64_t bytes;
};

static uint64_t folder_bytes(const char *path)
{
    uint64_t bytes = 0;
    DIR *dir = opendir(path);
    if (!dir)
        return 0;
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        struct stat st;
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode))
            bytes += (uint64_t)st.st_size;
    }
    closedir(dir);
    return bytes;
}

static int by_use(const void *a, const void *b)
{
    const struct usage *x = a, *y = b;
    if (x->used_s != y->used_s)
        return x->used_s < y->used_s ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* All complete entries, oldest use first; the caller frees them. */
static struct usage *cache_usage(const struct cache *cache, size_t *count_out)
{
    struct usage *list = NULL;
    size_t count = 0;
    DIR *dir = opendir(cache->folder);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)) != NULL) {
        struct digest digest;
        struct stat st;
        if (!digest_from_hex(entry->d_name, &digest) ||
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        struct usage *grown = realloc(list, (count + 1) * sizeof *list);
        ASSERT(grown);
        list = grown;
        struct usage *u = &list[count++];
        digest_hex(&digest, u->name);
        u->used_s = st.st_mtime;
        char *path = cache_path(cache, &digest, "");
        u->bytes = S_ISDIR(st.st_mode) ? folder_bytes(path) : (uint64_t)st.st_size;
        free(path);
    }
    if (dir)
        closedir(dir);
    if (count)
        qsort(list, count, sizeof *list, by_use);
    *count_out = count;
    return list;
}

void cache_trim(const struct cache *cache, int64_t keep_since_s)
{
    size_t count;
    struct usage *list = cache_usage(cache, &count);
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += list[i].bytes;
    for (size_t i = 0; i < count && bytes > cache->bytes_max; i++) {
        if (list[i].used_s >= keep_since_s)
            break;
        struct digest digest;
        if (!digest_from_hex(list[i].name, &digest))
            continue;
        char *path = cache_path(cache, &digest, "");
        char *list_path = cache_path(cache, &digest, ".tree");
        struct err err;
        if (file_remove_tree(path, &err))
            log_event(LOG_WARN, "cache_not_trimmed", "text=\"%s\"", err.text);
        else
            bytes -= list[i].bytes;
        unlink(list_path);
        free(list_path);
        free(path);
    }
    free(list);
}
