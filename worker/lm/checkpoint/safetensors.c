/* Reading; safetensors_write.c writes. */
#include "safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arena.h"
#include "check.h"
#include "file.h"
#include "intern.h"
#include "json_field.h"

enum {
    LENGTH_BYTES = 8,
    /* The original library takes 100 MB; the largest models have headers of a few hundred KB. */
    HEADER_BYTES_MAX = 16 << 20,
    INDEX_BYTES_MAX = 64 << 20,
    SHARDS_MAX = 4096,
};

struct mapping {
    void *data;
    size_t len;
};

struct safetensors {
    struct arena arena; /* names and shard names */
    struct mapping *mappings;
    size_t mappings_count;
    struct tensor_view *views;
    size_t views_count;
    struct intern names; /* key number = index into views */
};

/* A file being read: where its data lie. */
struct shard {
    const char *path;
    const uint8_t *data;
    size_t data_len;
    bool is_mapped;
};

struct dtype_row {
    const char *name;
    size_t bytes;
    enum tensor_dtype dtype;
};

static const struct dtype_row dtypes[] = {
    {"F32", 4, TENSOR_F32},    {"F16", 2, TENSOR_F16},       {"BF16", 2, TENSOR_BF16},
    {"F64", 8, TENSOR_OTHER},  {"I64", 8, TENSOR_OTHER},     {"I32", 4, TENSOR_OTHER},
    {"I16", 2, TENSOR_OTHER},  {"I8", 1, TENSOR_OTHER},      {"U64", 8, TENSOR_OTHER},
    {"U32", 4, TENSOR_OTHER},  {"U16", 2, TENSOR_OTHER},     {"U8", 1, TENSOR_OTHER},
    {"BOOL", 1, TENSOR_OTHER}, {"F8_E4M3", 1, TENSOR_OTHER}, {"F8_E5M2", 1, TENSOR_OTHER},
};

static const struct dtype_row *find_dtype(const char *name)
{
    for (size_t i = 0; name && i < ARRAY_COUNT(dtypes); i++) {
        if (strcmp(dtypes[i].name, name) == 0)
            return &dtypes[i];
    }
    return NULL;
}

static bool read_shape(const json_t *shape, struct tensor_view *view)
{
    if (!json_is_array(shape) || json_array_size(shape) > TENSOR_DIMS_MAX)
        return false;
    view->dims = (int)json_array_size(shape);
    view->elements = 1;
    for (int d = 0; d < view->dims; d++) {
        const json_t *size = json_array_get(shape, (size_t)d);
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return false;
        view->shape[d] = json_integer_value(size);
        if (__builtin_mul_overflow(view->elements, (size_t)view->shape[d], &view->elements))
            return false;
    }
    return true;
}

static enum err_code read_view(const struct shard *shard, const char *name, const json_t *entry,
                               struct tensor_view *view, struct err *err)
{
    const char *dtype_name = json_string_value(json_object_get(entry, "dtype"));
    const struct dtype_row *dtype = find_dtype(dtype_name);
    if (!dtype)
        return err_set(err, ERR_CORRUPT, "tensor '%.100s' has unknown dtype '%.20s'", name,
                       dtype_name ? dtype_name : "(missing)");
    if (!read_shape(json_object_get(entry, "shape"), view))
        return err_set(err, ERR_CORRUPT,
                       "tensor '%.100s' has no usable shape (up to %d sizes, none negative)", name,
                       TENSOR_DIMS_MAX);
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *begin_json = json_array_get(offsets, 0);
    const json_t *end_json = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin_json) || !json_is_integer(end_json))
        return err_set(err, ERR_CORRUPT, "tensor '%.100s' has no pair of data_offsets", name);
    json_int_t begin = json_integer_value(begin_json);
    json_int_t end = json_integer_value(end_json);
    if (begin < 0 || end < begin || (uint64_t)end > shard->data_len)
        return err_set(err, ERR_CORRUPT,
                       "tensor '%.100s' lies at %lld to %lld, outside the %zu bytes of data", name,
                       (long long)begin, (long long)end, shard->data_len);
    size_t bytes = 0;
    if (__builtin_mul_overflow(view->elements, dtype->bytes, &bytes) ||
        bytes != (size_t)(end - begin))
        return err_set(err, ERR_CORRUPT, "tensor '%.100s' has %lld bytes, but %zu elements of %s",
                       name, (long long)(end - begin), view->elements, dtype->name);
    view->dtype = dtype->dtype;
    view->dtype_name = dtype->name;
    view->bytes = shard->data + begin;
    return ERR_OK;
}

static int compare_places(const void *a, const void *b)
{
    const struct tensor_view *x = a;
    const struct tensor_view *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? -1 : 1;
    if (x->elements != y->elements) /* an empty tensor sits in front of its neighbour */
        return x->elements < y->elements ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* The format wants the data covered exactly once: then no tensor can be hidden in another. */
static enum err_code check_cover(const struct shard *shard, const struct tensor_view *views,
                                 size_t count, struct err *err)
{
    const uint8_t *at = shard->data;
    for (size_t i = 0; i < count; i++) {
        if (views[i].bytes != at)
            return err_set(err, ERR_CORRUPT, "tensor '%.100s' %s", views[i].name,
                           views[i].bytes < at ? "overlaps another" : "has a gap before it");
        at += views[i].elements * find_dtype(views[i].dtype_name)->bytes;
    }
    if (at != shard->data + shard->data_len)
        return err_set(err, ERR_CORRUPT, "%zu bytes at the end belong to no tensor",
                       (size_t)(shard->data + shard->data_len - at));
    return ERR_OK;
}

static enum err_code read_entries(struct safetensors *file, const struct shard *shard, json_t *root,
                                  struct err *err)
{
    size_t first = file->views_count;
    file->views = realloc(file->views, (first + json_object_size(root) + 1) * sizeof *file->views);
    ASSERT(file->views != NULL);
    const char *name;
    json_t *entry;
    json_object_foreach(root, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        struct tensor_view view = {.name = arena_strdup(&file->arena, name),
                                   .file = shard->path,
                                   .is_mapped = shard->is_mapped};
        enum err_code rc = read_view(shard, name, entry, &view, err);
        if (rc != ERR_OK)
            return rc;
        file->views[file->views_count++] = view;
    }
    size_t count = file->views_count - first;
    if (count > 0)
        qsort(file->views + first, count, sizeof *file->views, compare_places);
    enum err_code rc = check_cover(shard, file->views + first, count, err);
    for (size_t i = first; rc == ERR_OK && i < file->views_count; i++) {
        const char *key = file->views[i].name;
        if (intern_add(&file->names, key, strlen(key)) != i)
            rc = err_set(err, ERR_CORRUPT, "tensor '%.100s' is in another file, too", key);
    }
    return rc;
}

static enum err_code add_shard(struct safetensors *file, const uint8_t *bytes, size_t len,
                               bool is_mapped, const char *path, struct err *err)
{
    uint64_t header_len = 0;
    if (len < LENGTH_BYTES)
        return err_set(err, ERR_CORRUPT, "read '%s': %zu bytes are too few for a header", path,
                       len);
    for (int i = 0; i < LENGTH_BYTES; i++)
        header_len |= (uint64_t)bytes[i] << (8 * i);
    if (header_len > HEADER_BYTES_MAX || header_len > len - LENGTH_BYTES)
        return err_set(err, ERR_CORRUPT,
                       "read '%s': the header claims %llu bytes; the file has %zu and the limit "
                       "is %d",
                       path, (unsigned long long)header_len, len, HEADER_BYTES_MAX);
    json_t *root = NULL;
    enum err_code rc =
        json_parse_object((const char *)bytes + LENGTH_BYTES, (size_t)header_len, path, &root, err);
    if (rc != ERR_OK)
        return rc;
    struct shard shard = {
        .path = arena_strdup(&file->arena, path),
        .data = bytes + LENGTH_BYTES + header_len,
        .data_len = len - LENGTH_BYTES - (size_t)header_len,
        .is_mapped = is_mapped,
    };
    rc = read_entries(file, &shard, root, err);
    json_decref(root);
    return rc == ERR_OK ? rc : err_wrap(err, "read '%s'", path);
}

static enum err_code map_file(struct safetensors *file, const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_NOT_FOUND, "open '%s': no such file", path);
    if (fd < 0)
        return err_os(err, errno, "open '%s'", path);
    struct stat status;
    if (fstat(fd, &status) != 0) {
        enum err_code rc = err_os(err, errno, "stat '%s'", path);
        close(fd);
        return rc;
    }
    if (!S_ISREG(status.st_mode) || status.st_size < LENGTH_BYTES) {
        close(fd);
        return err_set(err, ERR_CORRUPT, "read '%s': not a file with a header", path);
    }
    size_t len = (size_t)status.st_size;
    void *data = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
    int saved_errno = errno;
    close(fd);
    if (data == MAP_FAILED)
        return err_os(err, saved_errno, "map '%s'", path);
    file->mappings = realloc(file->mappings, (file->mappings_count + 1) * sizeof *file->mappings);
    ASSERT(file->mappings != NULL);
    file->mappings[file->mappings_count++] = (struct mapping){data, len};
    return add_shard(file, data, len, true, path, err);
}

static struct safetensors *new_file(void)
{
    struct safetensors *file = calloc(1, sizeof *file);
    ASSERT(file != NULL);
    return file;
}

/* Hand over the file, or close it when reading failed. */
static enum err_code finish(struct safetensors *file, enum err_code rc,
                            struct safetensors **file_out)
{
    if (rc == ERR_OK)
        *file_out = file;
    else
        safetensors_close(file);
    return rc;
}

enum err_code safetensors_open(const char *path, struct safetensors **file_out, struct err *err)
{
    struct safetensors *file = new_file();
    return finish(file, map_file(file, path, err), file_out);
}

enum err_code safetensors_open_memory(const void *bytes, size_t len, const char *source,
                                      struct safetensors **file_out, struct err *err)
{
    struct safetensors *file = new_file();
    return finish(file, add_shard(file, bytes, len, false, source, err), file_out);
}

/* ---- shards ---- */

/* The distinct files that a weight_map names, in the order of their first mention. */
static enum err_code list_shards(json_t *weight_map, struct arena *arena, const char ***shards_out,
                                 size_t *count_out, struct err *err)
{
    struct intern known = {0};
    const char **shards = arena_array(arena, SHARDS_MAX, sizeof *shards);
    enum err_code rc = ERR_OK;
    const char *name;
    json_t *value;
    json_object_foreach(weight_map, name, value)
    {
        const char *shard = json_string_value(value);
        uint32_t count = known.count;
        if (!shard || !file_name_is_safe(shard) || count >= SHARDS_MAX) {
            rc = err_set(err, ERR_CORRUPT, "tensor '%.100s' names no usable file", name);
            break;
        }
        if (intern_add(&known, shard, strlen(shard)) == count)
            shards[count] = arena_strdup(arena, shard);
    }
    *shards_out = shards;
    *count_out = known.count;
    intern_release(&known);
    return rc;
}

static enum err_code parse_index(const char *text, size_t len, const char *source,
                                 json_t **root_out, json_t **weight_map_out, struct err *err)
{
    json_t *root = NULL;
    enum err_code rc = json_parse_object(text, len, source, &root, err);
    if (rc != ERR_OK)
        return rc;
    *weight_map_out = json_object_get(root, "weight_map");
    if (json_object_size(*weight_map_out) == 0) {
        json_decref(root);
        return err_set(err, ERR_CORRUPT, "read '%s': there is no weight_map with tensors", source);
    }
    *root_out = root;
    return ERR_OK;
}

enum err_code safetensors_index_parse(const char *text, size_t len, const char *source,
                                      struct arena *arena, const char ***shards_out,
                                      size_t *count_out, struct err *err)
{
    json_t *root = NULL, *weight_map = NULL;
    enum err_code rc = parse_index(text, len, source, &root, &weight_map, err);
    if (rc != ERR_OK)
        return rc;
    rc = list_shards(weight_map, arena, shards_out, count_out, err);
    json_decref(root);
    return rc == ERR_OK ? rc : err_wrap(err, "read '%s'", source);
}

static const char *index_path(const char *folder, struct arena *arena)
{
    return arena_printf(arena, "%s/model.safetensors.index.json", folder);
}

enum err_code safetensors_index(const char *folder, struct arena *arena, const char ***shards_out,
                                size_t *count_out, struct err *err)
{
    const char *path = index_path(folder, arena);
    char *text = NULL;
    size_t len = 0;
    enum err_code rc = file_read(path, INDEX_BYTES_MAX, &text, &len, err);
    if (rc == ERR_OK)
        rc = safetensors_index_parse(text, len, path, arena, shards_out, count_out, err);
    free(text);
    return rc;
}

/* Every tensor must lie where the index says. */
static enum err_code check_places(const struct safetensors *file, json_t *weight_map,
                                  struct err *err)
{
    const char *name;
    json_t *value;
    json_object_foreach(weight_map, name, value)
    {
        const char *shard = json_string_value(value);
        const struct tensor_view *view = safetensors_find(file, name);
        if (!view)
            return err_set(err, ERR_CORRUPT, "tensor '%.100s' is in none of the files", name);
        const char *slash = strrchr(view->file, '/');
        if (strcmp(slash ? slash + 1 : view->file, shard) != 0)
            return err_set(err, ERR_CORRUPT, "tensor '%.100s' is not in '%.100s' but in '%s'", name,
                           shard, view->file);
    }
    return ERR_OK;
}

/* Map every file of the index once. */
static enum err_code map_shards(struct safetensors *file, const char *folder, json_t *weight_map,
                                struct err *err)
{
    const char **shards = NULL;
    size_t count = 0;
    enum err_code rc = list_shards(weight_map, &file->arena, &shards, &count, err);
    for (size_t i = 0; rc == ERR_OK && i < count; i++) {
        const char *path = arena_printf(&file->arena, "%s/%s", folder, shards[i]);
        rc = map_file(file, path, err);
        if (rc == ERR_NOT_FOUND)
            rc = err_set(err, ERR_NOT_FOUND, "shard '%s' (%zu of %zu) is missing", path, i + 1,
                         count);
    }
    return rc == ERR_OK ? check_places(file, weight_map, err) : rc;
}

enum err_code safetensors_open_sharded(const char *folder, struct safetensors **file_out,
                                       struct err *err)
{
    struct safetensors *file = new_file();
    const char *path = index_path(folder, &file->arena);
    char *text = NULL;
    size_t len = 0;
    json_t *root = NULL, *weight_map = NULL;
    enum err_code rc = file_read(path, INDEX_BYTES_MAX, &text, &len, err);
    if (rc == ERR_OK)
        rc = parse_index(text, len, path, &root, &weight_map, err);
    free(text);
    if (rc == ERR_OK) {
        rc = map_shards(file, folder, weight_map, err);
        if (rc != ERR_OK)
            err_wrap(err, "read '%s'", path);
    }
    json_decref(root);
    return finish(file, rc, file_out);
}

void safetensors_close(struct safetensors *file)
{
    if (!file)
        return;
    for (size_t i = 0; i < file->mappings_count; i++)
        munmap(file->mappings[i].data, file->mappings[i].len);
    free(file->mappings);
    free(file->views);
    intern_release(&file->names);
    arena_release(&file->arena);
    free(file);
}

size_t safetensors_count(const struct safetensors *file)
{
    return file->views_count;
}

const struct tensor_view *safetensors_at(const struct safetensors *file, size_t index)
{
    ASSERT(index < file->views_count);
    return &file->views[index];
}

const struct tensor_view *safetensors_find(const struct safetensors *file, const char *name)
{
    uint32_t index = intern_find(&file->names, name, strlen(name));
    return index == INTERN_NONE ? NULL : &file->views[index];
}
