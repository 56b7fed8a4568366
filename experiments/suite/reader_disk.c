#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "file.h"
#include "reader.h"

static enum err_code disk_read(void *ctx, const char *path, size_t bytes_max, char **data_out,
                               size_t *len_out, struct err *err)
{
    (void)ctx;
    return file_read(path, bytes_max, data_out, len_out, err);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum err_code disk_list(void *ctx, const char *folder, struct arena *arena,
                               const char ***names_out, size_t *count_out, struct err *err)
{
    (void)ctx;
    DIR *dir = opendir(folder);
    if (!dir) {
        enum err_code code = err_os(err, errno, "open folder '%s'", folder);
        return errno == ENOENT ? ERR_NOT_FOUND : code;
    }
    const char **names = NULL;
    size_t count = 0, cap = 0;
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (entry->d_name[0] == '.')
            continue;
        if (count == cap) {
            size_t next = cap ? 2 * cap : 32;
            const char **grown = arena_array(arena, next, sizeof *grown);
            if (count > 0)
                memcpy(grown, names, count * sizeof *grown);
            names = grown;
            cap = next;
        }
        names[count++] = arena_strdup(arena, entry->d_name);
    }
    closedir(dir);
    if (count > 0)
        qsort(names, count, sizeof *names, by_name);
    *names_out = names;
    *count_out = count;
    return ERR_OK;
}

static enum err_code disk_digest(void *ctx, const char *path, struct digest *out,
                                 int64_t *bytes_out, struct err *err)
{
    (void)ctx;
    struct stat status;
    if (stat(path, &status) != 0)
        return err_os(err, errno, "read '%s'", path);
    *bytes_out = status.st_size;
    return hash_file(path, out, err);
}

static enum err_code stream_read(void *ctx, char *buffer, size_t cap, size_t *got_out,
                                 struct err *err)
{
    FILE *file = ctx;
    *got_out = fread(buffer, 1, cap, file);
    return ferror(file) ? err_os(err, errno, "read a file") : ERR_OK;
}

static void stream_close(void *ctx)
{
    fclose(ctx);
}

static enum err_code disk_open(void *ctx, const char *path, struct byte_stream *out,
                               struct err *err)
{
    (void)ctx;
    FILE *file = fopen(path, "rbe");
    if (!file) {
        enum err_code code = err_os(err, errno, "open '%s'", path);
        return errno == ENOENT ? ERR_NOT_FOUND : code;
    }
    *out = (struct byte_stream){file, stream_read, stream_close};
    return ERR_OK;
}

struct reader reader_disk(void)
{
    return (struct reader){NULL, disk_read, disk_list, disk_digest, disk_open};
}
