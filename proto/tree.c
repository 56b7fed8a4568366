#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "bounds.h"
#include "file.h"

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct tree_file *)a)->name, ((const struct tree_file *)b)->name);
}

void tree_release(struct tree *tree)
{
    arena_release(&tree->arena);
    tree->files = NULL;
    tree->file_count = 0;
}

void tree_encode(const struct tree *tree, struct strbuf *out)
{
    strbuf_puts(out, "{\"files\":[");
    for (size_t i = 0; i < tree->file_count; i++) {
        const struct tree_file *file = &tree->files[i];
        char hex[DIGEST_HEX_SIZE];
        strbuf_printf(out, "%s{\"digest\":\"%s\",\"name\":", i ? "," : "",
                      digest_hex(&file->digest, hex));
        json_t *name = json_string(file->name);
        char *quoted = name ? json_dumps(name, JSON_ENCODE_ANY) : NULL;
        strbuf_puts(out, quoted ? quoted : "\"\"");
        free(quoted);
        json_decref(name);
        strbuf_printf(out, ",\"size\":%llu}", (unsigned long long)file->size_bytes);
    }
    strbuf_puts(out, "],\"triad_tree\":1}");
}

static enum err_code file_from_json(json_t *item, struct arena *arena, struct tree_file *out,
                                    struct err *err)
{
    const char *name = json_string_value(json_object_get(item, "name"));
    const char *hex = json_string_value(json_object_get(item, "digest"));
    const json_t *size = json_object_get(item, "size");
    if (!name || !file_name_is_safe(name))
        return err_set(err, ERR_INVALID, "tree: a file's name is missing or unsafe");
    if (!hex || !digest_from_hex(hex, &out->digest))
        return err_set(err, ERR_INVALID, "tree: digest of '%s' is not 64 hexadecimal digits", name);
    if (!json_is_integer(size) || json_integer_value(size) < 0 ||
        json_integer_value(size) > BLOB_BYTES_MAX)
        return err_set(err, ERR_INVALID, "tree: size of '%s' is not within bounds", name);
    out->name = arena_strdup(arena, name);
    out->size_bytes = (uint64_t)json_integer_value(size);
    return ERR_OK;
}

static enum err_code tree_from_json(json_t *root, struct tree *tree, struct err *err)
{
    json_t *files = json_object_get(root, "files");
    if (json_integer_value(json_object_get(root, "triad_tree")) != 1 || !json_is_array(files))
        return err_set(err, ERR_INVALID, "tree: not a tree of version 1");
    if (json_array_size(files) > TREE_FILES_MAX)
        return err_set(err, ERR_LIMIT, "tree: %zu files (at most %d)", json_array_size(files),
                       TREE_FILES_MAX);
    tree->file_count = json_array_size(files);
    tree->files = arena_array(&tree->arena, tree->file_count + 1, sizeof *tree->files);
    for (size_t i = 0; i < tree->file_count; i++) {
        enum err_code code =
            file_from_json(json_array_get(files, i), &tree->arena, &tree->files[i], err);
        if (code)
            return code;
        if (i > 0 && by_name(&tree->files[i - 1], &tree->files[i]) >= 0)
            return err_set(err, ERR_INVALID, "tree: '%s' is not in order", tree->files[i].name);
    }
    return ERR_OK;
}

enum err_code tree_parse(const void *bytes, size_t len, struct tree *out, struct err *err)
{
    if (len > TREE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "tree of %zu bytes (at most %zu)", len, TREE_BYTES_MAX);
    json_error_t at;
    json_t *root = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &at);
    if (!root)
        return err_set(err, ERR_INVALID, "tree: %s (byte %d)", at.text, at.position);
    struct tree tree = {.files = NULL};
    struct strbuf canonical = {0};
    enum err_code code = tree_from_json(root, &tree, err);
    if (code)
        goto done;
    /* One folder, one digest: another spelling of the same list would have another digest. */
    tree_encode(&tree, &canonical);
    if (canonical.len != len || memcmp(canonical.data, bytes, len) != 0)
        code = err_set(err, ERR_INVALID, "tree: not canonical JSON");
done:
    strbuf_release(&canonical);
    json_decref(root);
    if (code)
        tree_release(&tree);
    else
        *out = tree;
    return code;
}

static enum err_code file_of_entry(const char *folder, const char *name, struct arena *arena,
                                   struct tree_file *out, struct err *err)
{
    char *path = arena_printf(arena, "%s/%s", folder, name);
    struct stat st;
    if (lstat(path, &st) != 0)
        return err_os(err, errno, "look at '%s'", path);
    if (!S_ISREG(st.st_mode) || !file_name_is_safe(name))
        return err_set(err, ERR_INVALID, "make tree of '%s': '%s' is not a plain file", folder,
                       name);
    out->name = arena_strdup(arena, name);
    out->size_bytes = (uint64_t)st.st_size;
    return hash_file(path, &out->digest, err);
}

enum err_code tree_of_folder(const char *path, struct tree *out, struct err *err)
{
    DIR *dir = opendir(path);
    if (!dir)
        return err_os(err, errno, "open folder '%s'", path);
    struct tree tree = {.files = NULL};
    tree.files = arena_array(&tree.arena, TREE_FILES_MAX, sizeof *tree.files);
    enum err_code code = ERR_OK;
    struct dirent *entry;
    while (!code && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (tree.file_count == TREE_FILES_MAX) {
            code = err_set(err, ERR_LIMIT, "make tree of '%s': more than %d files", path,
                           TREE_FILES_MAX);
            break;
        }
        code = file_of_entry(path, entry->d_name, &tree.arena, &tree.files[tree.file_count], err);
        tree.file_count += code == ERR_OK;
    }
    closedir(dir);
    if (code) {
        tree_release(&tree);
        return code;
    }
    qsort(tree.files, tree.file_count, sizeof *tree.files, by_name);
    *out = tree;
    return ERR_OK;
}
