/* Finding blobs that nothing needs. Whoever relies on a blob asks for it first (BLOB_STAT, a plan's
 * check of its inputs), which makes it young: so what is old and not needed when the roots were
 * collected is not needed now either. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "artifacts.h"
#include "file.h"
#include "tree.h"

#define PATH_BYTES 4096

void artifacts_tree_files(const struct artifacts *artifacts, const struct digest *tree_digest,
                          struct arena *arena, struct digest **files_out, size_t *count_out)
{
    char path[PATH_BYTES];
    char hex[DIGEST_HEX_SIZE];
    char *bytes = NULL;
    size_t len = 0;
    struct tree tree;
    struct err err;
    *count_out = 0;
    digest_hex(tree_digest, hex);
    snprintf(path, sizeof path, "%s/%.2s/%s", artifacts_folder(artifacts), hex, hex + 2);
    if (file_read(path, TREE_BYTES_MAX, &bytes, &len, &err) != ERR_OK) {
        return; /* too large for a tree, or not here */
    }
    if (tree_parse(bytes, len, &tree, &err) == ERR_OK) {
        *files_out = arena_array(arena, tree.file_count, sizeof **files_out);
        for (size_t i = 0; i < tree.file_count; i++) {
            (*files_out)[i] = tree.files[i].digest;
        }
        *count_out = tree.file_count;
        tree_release(&tree);
    }
    free(bytes);
}

/* The digest that a file is named after; false for other names. */
static bool digest_of_name(unsigned folder, const char *name, struct digest *out)
{
    char hex[DIGEST_HEX_SIZE + 2] = "";
    const size_t len = strlen(name);
    size_t at = 0;
    if (folder < ARTIFACTS_SWEEP_BLOBS) {
        at = 2;
        snprintf(hex, sizeof hex, "%02x", folder & 0xff);
    }
    if (len > DIGEST_HEX_SIZE - 1) {
        return false;
    }
    memcpy(hex + at, name, len + 1);
    return digest_from_hex(hex, out);
}

static enum err_code sweep_file(int dir_fd, const char *path, unsigned folder, const char *name,
                                struct artifacts_sweep *sweep, struct err *err)
{
    struct stat info;
    struct digest digest;
    /* `partial` and `incoming` hold nothing but what is arriving, under whatever name. */
    const bool is_arriving = folder >= ARTIFACTS_SWEEP_BLOBS;
    if ((!is_arriving && !digest_of_name(folder, name, &digest)) ||
        fstatat(dir_fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(info.st_mode)) {
        return ERR_OK;
    }
    const uint64_t bytes = (uint64_t)info.st_size;
    if (!is_arriving && sweep->is_needed(sweep->ctx, &digest)) {
        sweep->kept++;
        sweep->kept_bytes += bytes;
        return ERR_OK;
    }
    if (time(NULL) - info.st_mtime < sweep->age_s) {
        sweep->young++;
        sweep->young_bytes += bytes;
        return ERR_OK;
    }
    if (sweep->apply && unlinkat(dir_fd, name, 0) != 0) {
        return err_os(err, errno, "remove '%s/%s'", path, name);
    }
    sweep->garbage++;
    sweep->garbage_bytes += bytes;
    return ERR_OK;
}

enum err_code artifacts_sweep(struct artifacts *artifacts, unsigned folder,
                              struct artifacts_sweep *sweep, struct err *err)
{
    char path[PATH_BYTES];
    if (folder >= ARTIFACTS_SWEEP_BLOBS) {
        snprintf(path, sizeof path, "%s/%s", artifacts_folder(artifacts),
                 folder == ARTIFACTS_SWEEP_BLOBS ? "partial" : "incoming");
    } else {
        snprintf(path, sizeof path, "%s/%02x", artifacts_folder(artifacts), folder);
    }
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return errno == ENOENT ? ERR_OK : err_os(err, errno, "look into '%s'", path);
    }
    enum err_code code = ERR_OK;
    const struct dirent *entry;
    while (code == ERR_OK && (entry = readdir(dir)) != NULL) {
        code = sweep_file(dirfd(dir), path, folder, entry->d_name, sweep, err);
    }
    closedir(dir);
    return code;
}
