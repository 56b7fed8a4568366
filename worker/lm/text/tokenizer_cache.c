#include "tokenizer_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "tokenizer_impl.h"

enum { PATH_BYTES = 4096, FILE_BYTES_MAX = 1 << 30 };

/* The folder, which may not exist. */
static bool cache_folder(char *path, size_t size)
{
    const char *cache = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    int len = 0;
    if (cache && cache[0] == '/')
        len = snprintf(path, size, "%s/triad/tokenizers", cache);
    else if (home && home[0] == '/')
        len = snprintf(path, size, "%s/.cache/triad/tokenizers", home);
    return len > 0 && (size_t)len < size;
}

bool tokenizer_cache_path(const struct digest *source, char *path, size_t size)
{
    char hex[DIGEST_HEX_SIZE];
    if (!cache_folder(path, size))
        return false;
    size_t len = strlen(path);
    int more = snprintf(path + len, size - len, "/%s.v%d", digest_hex(source, hex), IMAGE_VERSION);
    return more > 0 && (size_t)more < size - len;
}

/* Map a whole file; the caller unmaps. */
static enum err_code map_file(const char *path, void **block_out, size_t *bytes_out,
                              struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_NOT_FOUND, "open '%s': there is none", path);
    if (fd < 0)
        return err_os(err, errno, "open '%s'", path);
    struct stat st;
    enum err_code rc = ERR_OK;
    void *block = MAP_FAILED;
    if (fstat(fd, &st) != 0)
        rc = err_os(err, errno, "look at '%s'", path);
    else if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(struct image_header) ||
             st.st_size > FILE_BYTES_MAX)
        rc = err_set(err, ERR_CORRUPT, "open '%s': no tables", path);
    else if ((block = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd,
                           0)) == MAP_FAILED)
        rc = err_os(err, errno, "map '%s'", path);
    close(fd);
    if (rc != ERR_OK)
        return rc;
    *block_out = block;
    *bytes_out = (size_t)st.st_size;
    return ERR_OK;
}

enum err_code tokenizer_cache_open(const struct digest *source, struct tokenizer **tokenizer_out,
                                   struct err *err)
{
    char path[PATH_BYTES];
    void *block = NULL;
    size_t bytes = 0;
    struct tokenizer_image image;
    if (!tokenizer_cache_path(source, path, sizeof path))
        return err_set(err, ERR_NOT_FOUND, "there is no cache folder");
    enum err_code rc = map_file(path, &block, &bytes, err);
    if (rc != ERR_OK)
        return rc;
    rc = image_open(block, bytes, &image, err);
    if (rc == ERR_OK && !digest_equal(&image.header->source, source))
        rc = err_set(err, ERR_CORRUPT, "the tables are those of another file");
    if (rc != ERR_OK) {
        munmap(block, bytes);
        return err_wrap(err, "open '%s'", path);
    }
    /* The time of its last use, for remove_oldest(); nothing depends on it. */
    (void)!utimensat(AT_FDCWD, path, NULL, 0);
    return tokenizer_open_image(block, bytes, &image, tokenizer_out, err);
}

/* Is this the name of one of our files: digits of a digest, ".v" and a version? */
static bool is_ours(const char *name)
{
    size_t digits = strspn(name, "0123456789abcdef");
    return digits == DIGEST_HEX_SIZE - 1 && strncmp(name + digits, ".v", 2) == 0;
}

static bool is_before(const struct stat *a, const struct stat *b)
{
    if (a->st_mtim.tv_sec != b->st_mtim.tv_sec)
        return a->st_mtim.tv_sec < b->st_mtim.tv_sec;
    return a->st_mtim.tv_nsec < b->st_mtim.tv_nsec;
}

/* Remove the file that was used least lately, if there are more than may be. Whoever has it mapped
 * keeps it. */
static void remove_oldest(const char *folder)
{
    DIR *dir = opendir(folder);
    char oldest[NAME_MAX + 1] = "";
    struct stat oldest_st = {0};
    int count = 0;
    if (!dir)
        return;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        struct stat st;
        if (!is_ours(entry->d_name) || fstatat(dirfd(dir), entry->d_name, &st, 0) != 0)
            continue;
        if (count++ == 0 || is_before(&st, &oldest_st)) {
            snprintf(oldest, sizeof oldest, "%s", entry->d_name);
            oldest_st = st;
        }
    }
    if (count > TOKENIZER_CACHE_FILES_MAX)
        (void)!unlinkat(dirfd(dir), oldest, 0);
    closedir(dir);
}

enum err_code tokenizer_cache_write(const struct tokenizer *tokenizer, struct err *err)
{
    char folder[PATH_BYTES];
    char path[PATH_BYTES];
    const struct image_header *header = tokenizer->image.header;
    if (!cache_folder(folder, sizeof folder) ||
        !tokenizer_cache_path(&header->source, path, sizeof path))
        return err_set(err, ERR_NOT_FOUND, "there is no cache folder");
    image_seal(tokenizer->block);
    enum err_code rc = file_mkdirs(folder, 0700, err);
    if (rc == ERR_OK)
        rc = file_write_atomic(path, tokenizer->block, header->total_bytes, 0600, err);
    if (rc == ERR_OK)
        remove_oldest(folder);
    return rc;
}
