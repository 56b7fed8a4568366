#include "worker_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "bounds.h"
#include "file.h"
#include "str.h"

char *worker_folder_path(const struct worker_folder *folder, const char *part)
{
    struct strbuf path = {0};
    strbuf_printf(&path, "%s/%s", folder->path, part);
    return strbuf_take(&path);
}

/* The lock file holds the process id of its owner, for people. */
static enum err_code folder_lock(const char *path, int *fd_out, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_os(err, errno, "open lock file '%s'", path);
    char text[32] = {0};
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int os_errno = errno;
        ssize_t n = pread(fd, text, sizeof text - 1, 0);
        close(fd);
        if (os_errno != EWOULDBLOCK)
            return err_os(err, os_errno, "lock '%s'", path);
        return err_set(err, ERR_CONFLICT,
                       "lock '%s': process %s has this worker folder; start this worker with "
                       "another --dir, or stop that one",
                       path, n > 0 ? text : "?");
    }
    int len = snprintf(text, sizeof text, "%ld", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)len, 0) != len) {
        int os_errno = errno;
        close(fd);
        return err_os(err, os_errno, "write lock file '%s'", path);
    }
    *fd_out = fd;
    return ERR_OK;
}

/* The coordinator knows a worker by its name, and what is in the spool under that name. */
static enum err_code folder_name(const char *path, const char *name, struct err *err)
{
    char *known = NULL;
    size_t len = 0;
    enum err_code code = file_read(path, NAME_BYTES_MAX, &known, &len, err);
    if (code == ERR_NOT_FOUND)
        return file_write_atomic(path, name, strlen(name), 0600, err);
    if (!code && strcmp(known, name) != 0)
        code =
            err_set(err, ERR_INVALID, "'%s' belongs to worker '%s'; start '%s' with another --dir",
                    path, known, name);
    free(known);
    return code;
}

enum err_code worker_folder_open(const char *path, const char *name, struct worker_folder *out,
                                 struct err *err)
{
    enum err_code code = file_mkdirs(path, 0700, err);
    if (code)
        return code;
    char *absolute = realpath(path, NULL);
    if (!absolute)
        return err_os(err, errno, "find folder '%s'", path);
    struct worker_folder folder = {.path = absolute, .lock_fd = -1};
    char *lock = worker_folder_path(&folder, "lock");
    char *owner = worker_folder_path(&folder, "name");
    char *attempts = worker_folder_path(&folder, "attempts");
    code = folder_lock(lock, &folder.lock_fd, err);
    if (!code)
        code = folder_name(owner, name, err);
    if (!code)
        code = file_remove_tree(attempts, err);
    if (!code)
        code = file_mkdirs(attempts, 0700, err);
    free(attempts);
    free(owner);
    free(lock);
    if (code)
        worker_folder_close(&folder);
    else
        *out = folder;
    return code;
}

void worker_folder_close(struct worker_folder *folder)
{
    if (folder->lock_fd >= 0)
        close(folder->lock_fd);
    free(folder->path);
    *folder = (struct worker_folder){.lock_fd = -1};
}
