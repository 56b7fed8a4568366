#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BYTES ((size_t)1 << 20)

enum err_code file_read_open(int fd, const char *name, size_t bytes_max, char **data_out,
                             size_t *len_out, struct err *err)
{
    char *data = NULL;
    size_t len = 0;
    size_t cap = 0;
    enum err_code rc = ERR_OK;
    for (;;) {
        if (len + 1 >= cap) {
            size_t grown_cap = cap ? cap * 2 : 8192;
            char *grown = realloc(data, grown_cap);
            if (!grown) {
                rc = err_set(err, ERR_LIMIT, "read '%s': out of memory", name);
                goto done;
            }
            data = grown;
            cap = grown_cap;
        }
        ssize_t n = read(fd, data + len, cap - len - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EISDIR) {
            rc = err_set(err, ERR_INVALID, "read '%s': it is a folder, not a file", name);
            goto done;
        }
        if (n < 0) {
            rc = err_os(err, errno, "read '%s'", name);
            goto done;
        }
        if (n == 0)
            break;
        len += (size_t)n;
        if (bytes_max && len > bytes_max) {
            rc = err_set(err, ERR_LIMIT, "read '%s': larger than the %zu bytes allowed", name,
                         bytes_max);
            goto done;
        }
    }
    data[len] = '\0';
    *data_out = data;
    *len_out = len;
    data = NULL;
done:
    free(data);
    return rc;
}

enum err_code file_read(const char *path, size_t bytes_max, char **data_out, size_t *len_out,
                        struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int saved_errno = errno;
        err_os(err, saved_errno, "open '%s'", path);
        const bool is_missing = saved_errno == ENOENT || saved_errno == ENOTDIR;
        if (is_missing && err)
            err->code = ERR_NOT_FOUND;
        return is_missing ? ERR_NOT_FOUND : ERR_IO;
    }
    enum err_code rc = file_read_open(fd, path, bytes_max, data_out, len_out, err);
    close(fd);
    return rc;
}

enum err_code file_sync(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_NOT_FOUND, "sync '%s': no such file", path);
    if (fd < 0)
        return err_os(err, errno, "open '%s'", path);
    enum err_code rc = fdatasync(fd) == 0 ? ERR_OK : err_os(err, errno, "sync '%s'", path);
    close(fd);
    return rc;
}

enum err_code file_sync_dir(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_os(err, errno, "open folder '%s'", path);
    int rc = fsync(fd);
    int saved_errno = errno;
    close(fd);
    if (rc != 0)
        return err_os(err, saved_errno, "fsync folder '%s'", path);
    return ERR_OK;
}

enum err_code file_write_all(int fd, const void *data, size_t len, const char *path,
                             struct err *err)
{
    const char *at = data;
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_os(err, errno, "write '%s'", path);
        at += n;
        len -= (size_t)n;
    }
    return ERR_OK;
}

enum err_code file_replace_begin(const char *path, struct file_replacement *out, struct err *err)
{
    int n = snprintf(out->temporary, sizeof out->temporary, "%s.XXXXXX", path);
    if (n < 0 || (size_t)n >= sizeof out->temporary)
        return err_set(err, ERR_LIMIT, "write '%s': path too long", path);
    out->path = path;
    out->fd = mkostemp(out->temporary, O_CLOEXEC);
    if (out->fd < 0)
        return err_os(err, errno, "create a file beside '%s'", path);
    return ERR_OK;
}

/* fsync the folder that `path` is in. */
static enum err_code sync_parent(const char *path, struct err *err)
{
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    return file_sync_dir(slash ? folder : ".", err);
}

enum err_code file_replace_end(struct file_replacement *r, unsigned mode, enum err_code written,
                               struct err *err)
{
    enum err_code rc = written;
    if (rc == ERR_OK && fchmod(r->fd, (mode_t)mode) != 0)
        rc = err_os(err, errno, "set the mode of '%s'", r->path);
    if (rc == ERR_OK && fsync(r->fd) != 0)
        rc = err_os(err, errno, "fsync '%s'", r->path);
    close(r->fd);
    if (rc == ERR_OK && rename(r->temporary, r->path) != 0)
        rc = err_os(err, errno, "rename to '%s'", r->path);
    if (rc != ERR_OK) {
        unlink(r->temporary);
        return rc;
    }
    return sync_parent(r->path, err);
}

enum err_code file_write_atomic(const char *path, const void *data, size_t len, unsigned mode,
                                struct err *err)
{
    struct file_replacement replacement;
    enum err_code rc = file_replace_begin(path, &replacement, err);
    if (rc != ERR_OK)
        return rc;
    rc = file_write_all(replacement.fd, data, len, path, err);
    return file_replace_end(&replacement, mode, rc, err);
}

enum err_code file_copy(const char *from, const char *to, unsigned mode, struct err *err)
{
    struct file_replacement copy;
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0 && errno == ENOENT)
        return err_set(err, ERR_NOT_FOUND, "copy '%s': no such file", from);
    if (in < 0)
        return err_os(err, errno, "open '%s'", from);
    enum err_code rc = file_replace_begin(to, &copy, err);
    if (rc != ERR_OK) {
        close(in);
        return rc;
    }
    ssize_t n = ioctl(copy.fd, FICLONE, in) == 0 ? 0 : 1;
    while (n > 0 || (n < 0 && errno == EINTR))
        n = sendfile(copy.fd, in, NULL, COPY_BYTES);
    if (n < 0)
        rc = err_os(err, errno, "copy '%s' to '%s'", from, to);
    close(in);
    return file_replace_end(&copy, mode, rc, err);
}

enum err_code file_create_failed(const char *path, int os_errno, struct err *err)
{
    if (os_errno == ENOENT || os_errno == ENOTDIR)
        return err_set(err, ERR_NOT_FOUND, "create '%s': the folder it should go into is not there",
                       path);
    return err_os(err, os_errno, "create '%s'", path);
}

enum err_code file_mkdirs(const char *path, unsigned mode, struct err *err)
{
    char partial[4096];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof partial)
        return err_set(err, ERR_INVALID, "make folder '%s': empty or too long a path", path);
    memcpy(partial, path, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (partial[i] != '/' && partial[i] != '\0')
            continue;
        char kept = partial[i];
        partial[i] = '\0';
        if (mkdir(partial, (mode_t)mode) != 0 && errno != EEXIST)
            return err_os(err, errno, "make folder '%s'", partial);
        partial[i] = kept;
    }
    struct stat st;
    if (stat(path, &st) != 0)
        return err_os(err, errno, "make folder '%s'", path);
    if (!S_ISDIR(st.st_mode))
        return err_set(err, ERR_CONFLICT, "make folder '%s': a file of that name is there", path);
    return ERR_OK;
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool file_is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

enum err_code file_remove_tree(const char *path, struct err *err)
{
    if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
        return err_os(err, errno, "remove folder '%s'", path);
    return ERR_OK;
}

void file_hold_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY); /* takes fd */
}

bool file_name_is_safe(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > 255 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return false;
    for (size_t i = 0; i < len; i++)
        if (name[i] == '/' || (unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return false;
    return true;
}
