/* A disk that is slow where it is told to be: preloaded into a program (slow_disk.h), it makes
 * calls wait. The file that TRIAD_SLOW_DISK names holds rules, one a line, and is read at every
 * call:
 *
 *   CALL MS TEXT     calls of this kind on a path that contains TEXT take so many milliseconds more
 *   CALL hold TEXT   they wait until the rule is gone
 *
 * CALL: sync (fsync, fdatasync), write (write, pwrite), rename, unlink. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define RULES_BYTES 4096
#define HOLD_MS     20

static void wait_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* By system calls: what is preloaded must not come here again. */
static void rules_read(char out[RULES_BYTES])
{
    const char *file = getenv("TRIAD_SLOW_DISK");
    const int fd = file ? (int)syscall(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC) : -1;
    const long n = fd >= 0 ? syscall(SYS_read, fd, out, RULES_BYTES - 1) : 0;
    out[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        syscall(SYS_close, fd);
}

/* Milliseconds by which the call is to wait; HOLD_MS with `hold`. */
static long rule_for(const char *call, const char *path, bool *hold)
{
    char rules[RULES_BYTES], name[16], how[16], text[256];
    char *rest = NULL;
    rules_read(rules);
    *hold = false;
    for (char *line = strtok_r(rules, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (sscanf(line, "%15s %15s %255s", name, how, text) != 3 || strcmp(name, call) != 0 ||
            !strstr(path, text))
            continue;
        *hold = strcmp(how, "hold") == 0;
        return *hold ? HOLD_MS : strtol(how, NULL, 10);
    }
    return 0;
}

static void slow_path(const char *call, const char *path)
{
    bool hold = true;
    while (hold)
        wait_ms(rule_for(call, path, &hold));
}

static void slow(const char *call, int fd)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0 || path[0] != '/')
        return;
    path[n] = '\0';
    slow_path(call, path);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int fsync(int fd)
{
    slow("sync", fd);
    return NEXT(fsync)(fd);
}

int fdatasync(int fd)
{
    slow("sync", fd);
    return NEXT(fdatasync)(fd);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    slow("write", fd);
    return NEXT(write)(fd, bytes, len);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    slow("write", fd);
    return NEXT(pwrite)(fd, bytes, len, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t offset)
{
    slow("write", fd);
    return NEXT(pwrite64)(fd, bytes, len, offset);
}

int rename(const char *from, const char *to)
{
    slow_path("rename", to);
    return NEXT(rename)(from, to);
}

int unlink(const char *path)
{
    slow_path("unlink", path);
    return NEXT(unlink)(path);
}
