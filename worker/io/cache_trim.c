#include "cache_trim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob_cache.h"
#include "blob_part.h"
#include "check.h"
#include "clock.h"
#include "hash.h"
#include "log.h"

struct usage {
    char name[DIGEST_HEX_SIZE + 16]; /* of a blob, or of a part */
    bool is_linked;                  /* elsewhere, too: removing it here gives nothing back */
    int64_t used_s;
    uint64_t bytes;
};

void cache_touch(const char *path)
{
    /* Times are a hint: a blob that was removed meanwhile is fetched again. */
    if (utimensat(AT_FDCWD, path, NULL, 0) != 0 && errno != ENOENT)
        log_event(LOG_DEBUG, "cache_not_touched", "path=%s", path);
}

static int by_use(const void *a, const void *b)
{
    const struct usage *x = a, *y = b;
    if (x->used_s != y->used_s)
        return x->used_s < y->used_s ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* All blobs and parts, oldest use first; the caller frees the list. Parts that nobody goes on with
 * are removed. */
static struct usage *cache_usage(DIR *dir, size_t *count_out)
{
    struct usage *list = NULL;
    size_t count = 0;
    struct dirent *entry;
    const int64_t now_s = clock_time_ms() / 1000;
    while ((entry = readdir(dir)) != NULL) {
        struct digest digest;
        struct stat st;
        const bool is_part = blob_part_is_name(entry->d_name);
        if ((!is_part && !digest_from_hex(entry->d_name, &digest)) ||
            strlen(entry->d_name) >= sizeof list->name ||
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(st.st_mode))
            continue;
        if (is_part && blob_part_is_old(entry->d_name, now_s - st.st_mtime)) {
            unlinkat(dirfd(dir), entry->d_name, 0);
            continue;
        }
        struct usage *grown = realloc(list, (count + 1) * sizeof *list);
        ASSERT(grown);
        list = grown;
        struct usage *u = &list[count++];
        memcpy(u->name, entry->d_name, strlen(entry->d_name) + 1);
        u->is_linked = st.st_nlink > 1;
        u->used_s = st.st_mtime;
        u->bytes = (uint64_t)st.st_size;
    }
    if (count)
        qsort(list, count, sizeof *list, by_use);
    *count_out = count;
    return list;
}

void cache_trim(const char *folder, uint64_t bytes_max, int64_t keep_since_s)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return;
    size_t count;
    struct usage *list = cache_usage(dir, &count);
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += list[i].is_linked ? 0 : list[i].bytes;
    for (size_t i = 0; i < count && bytes > bytes_max && list[i].used_s < keep_since_s; i++) {
        if (!list[i].is_linked && unlinkat(dirfd(dir), list[i].name, 0) == 0)
            bytes -= list[i].bytes;
    }
    free(list);
    closedir(dir);
}

static void forget_those_of(const char *folder, const struct digest *kept, struct tree *tree)
{
    struct tree other;
    if (blob_cache_read_tree(folder, kept, &other, NULL))
        return;
    for (size_t i = 0; i < other.file_count; i++) {
        for (size_t k = 0; k < tree->file_count; k++) {
            if (digest_equal(&other.files[i].digest, &tree->files[k].digest))
                tree->files[k--] = tree->files[--tree->file_count];
        }
    }
    tree_release(&other);
}

void cache_drop_tree(const char *folder, const struct digest *tree_digest,
                     const struct digest *kept, size_t kept_count)
{
    struct arena arena = {0};
    struct tree tree;
    if (blob_cache_read_tree(folder, tree_digest, &tree, NULL))
        return;
    for (size_t i = 0; i < kept_count; i++)
        forget_those_of(folder, &kept[i], &tree);
    unlink(blob_cache_path(folder, tree_digest, &arena));
    for (size_t i = 0; i < tree.file_count; i++)
        unlink(blob_cache_path(folder, &tree.files[i].digest, &arena));
    tree_release(&tree);
    arena_release(&arena);
}
