#include "files_read.h"

#include <stdlib.h>
#include <string.h>

#include "file.h"

void files_read_note(struct files_read *files, const char *path)
{
    /* As it was named, made absolute; what stands behind a link travels under the link's name. */
    char *here = path[0] == '/' ? NULL : realpath(".", NULL);
    if (!file_exists(path) || (path[0] != '/' && !here)) {
        free(here);
        return;
    }
    if (files->count == files->capacity) {
        files->capacity = files->capacity ? 2 * files->capacity : 64;
        const char **grown = arena_array(files->arena, files->capacity, sizeof *grown);
        if (files->count > 0)
            memcpy(grown, files->paths, files->count * sizeof *grown);
        files->paths = grown;
    }
    while (path[0] == '.' && path[1] == '/')
        path += 2;
    files->paths[files->count++] =
        here ? arena_printf(files->arena, "%s/%s", here, path) : arena_strdup(files->arena, path);
    free(here);
}

static enum err_code noting_read(void *ctx, const char *path, size_t bytes_max, char **data_out,
                                 size_t *len_out, struct err *err)
{
    struct files_read *files = ctx;
    enum err_code rc = files->inner.read(files->inner.ctx, path, bytes_max, data_out, len_out, err);
    if (rc == ERR_OK)
        files_read_note(files, path);
    return rc;
}

static enum err_code noting_list(void *ctx, const char *folder, struct arena *arena,
                                 const char ***names_out, size_t *count_out, struct err *err)
{
    struct files_read *files = ctx;
    return files->inner.list(files->inner.ctx, folder, arena, names_out, count_out, err);
}

static enum err_code noting_digest(void *ctx, const char *path, struct digest *out,
                                   int64_t *bytes_out, struct err *err)
{
    struct files_read *files = ctx;
    enum err_code rc = files->inner.digest(files->inner.ctx, path, out, bytes_out, err);
    if (rc == ERR_OK)
        files_read_note(files, path);
    return rc;
}

static enum err_code noting_open(void *ctx, const char *path, struct byte_stream *out,
                                 struct err *err)
{
    struct files_read *files = ctx;
    enum err_code rc = files->inner.open(files->inner.ctx, path, out, err);
    if (rc == ERR_OK)
        files_read_note(files, path);
    return rc;
}

struct reader files_read_reader(struct files_read *files, struct reader inner, struct arena *arena)
{
    *files = (struct files_read){.inner = inner, .arena = arena};
    return (struct reader){.ctx = files,
                           .read = noting_read,
                           .list = noting_list,
                           .digest = noting_digest,
                           .open = noting_open};
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void files_read_sort(struct files_read *files)
{
    size_t kept = 0;
    if (files->count > 0)
        qsort(files->paths, files->count, sizeof *files->paths, by_text);
    for (size_t i = 0; i < files->count; i++) {
        if (kept == 0 || strcmp(files->paths[kept - 1], files->paths[i]) != 0)
            files->paths[kept++] = files->paths[i];
    }
    files->count = kept;
}
