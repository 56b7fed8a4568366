#include "local.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"

#define LAST_LINE_SCAN_BYTES 4096

const char *local_program(struct arena *arena, const char *name)
{
    const char *folder = getenv("TRIAD_BIN_DIR");
    char own[4096];
    ssize_t len = readlink("/proc/self/exe", own, sizeof own - 1);
    if (!folder && len > 0) {
        own[len] = '\0';
        char *slash = strrchr(own, '/');
        if (slash)
            *slash = '\0';
        folder = own;
    }
    if (folder) {
        const char *path = arena_printf(arena, "%s/%s", folder, name);
        if (access(path, X_OK) == 0)
            return path;
    }
    return arena_strdup(arena, name);
}

void local_argument(struct local_child *child, const char *option, const char *value)
{
    size_t count = 0;
    while (child->argv[count])
        count++;
    ASSERT(count + 2 < LOCAL_ARGUMENTS_MAX);
    child->argv[count++] = option;
    if (value)
        child->argv[count++] = value;
    child->argv[count] = NULL;
}

/* In the child, after fork: only async-signal-safe calls until exec. */
static _Noreturn void exec_child(const struct local_child *child, const char *const *argv,
                                 int log_fd, pid_t parent)
{
    int null_fd = open("/dev/null", O_RDONLY);
    if (null_fd >= 0)
        dup2(null_fd, STDIN_FILENO);
    dup2(log_fd, STDOUT_FILENO);
    dup2(log_fd, STDERR_FILENO);
    if (child->dies_with_us) {
        /* A group of its own: Ctrl-C reaches `triad run`, which then stops its children in order.
         */
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent) /* it died between fork and prctl */
            _exit(127);
    } else {
        setsid(); /* which the leader of a group must not */
    }
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    static const char text[] = "cannot run the program ";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0 ||
        write(STDERR_FILENO, argv[0], strlen(argv[0])) < 0 || write(STDERR_FILENO, "\n", 1) < 0)
        _exit(126);
    _exit(127);
}

/* Of a log line "… failed error='TEXT'" the text; any other line as it is. */
static const char *error_in_line(struct arena *arena, const char *line)
{
    static const char mark[] = " error='";
    const char *begin = strstr(line, mark);
    const size_t length = begin ? strlen(begin) : 0;
    return length > sizeof mark && begin[length - 1] == '\''
               ? arena_printf(arena, "%.*s", (int)(length - sizeof mark), begin + sizeof mark - 1)
               : line;
}

static enum err_code wait_ready(struct local_child *child, int ready_fd, int ready_ms,
                                struct err *err)
{
    struct arena arena = {0};
    const int64_t deadline_ms = clock_mono_ms() + ready_ms;
    enum err_code rc = ERR_TIMEOUT;
    while (rc == ERR_TIMEOUT && clock_mono_ms() < deadline_ms) {
        struct pollfd p = {.fd = ready_fd, .events = POLLIN};
        if (poll(&p, 1, 100) <= 0)
            continue;
        char byte[64];
        ssize_t n = read(ready_fd, byte, sizeof byte);
        if (n > 0)
            rc = ERR_OK;
        else if (n == 0)
            rc = ERR_UNAVAILABLE;
    }
    if (rc == ERR_TIMEOUT)
        err_set(err, rc, "start %s: not ready after %d s; its log is '%s'", child->name,
                ready_ms / 1000, child->log_path);
    if (rc == ERR_UNAVAILABLE) {
        local_stop(child, 0);
        err_set(err, rc, "start %s: it ended at once: %s", child->name,
                error_in_line(&arena, local_last_line(&arena, child->log_path)));
    }
    arena_release(&arena);
    return rc;
}

enum err_code local_start(struct local_child *child, int ready_ms, struct err *err)
{
    ASSERT(child->pid == 0);
    int ready[2] = {-1, -1};
    int log_fd = open(child->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0)
        return err_os(err, errno, "open log '%s'", child->log_path);
    const char *argv[LOCAL_ARGUMENTS_MAX + 2];
    size_t count = 0;
    while (child->argv[count]) {
        argv[count] = child->argv[count];
        count++;
    }
    char fd_text[16];
    if (ready_ms > 0) {
        if (pipe(ready) != 0) { /* the write end must survive exec */
            close(log_fd);
            return err_os(err, errno, "make a pipe for %s", child->name);
        }
        fcntl(ready[0], F_SETFD, FD_CLOEXEC);
        snprintf(fd_text, sizeof fd_text, "%d", ready[1]);
        argv[count++] = "--ready-fd";
        argv[count++] = fd_text;
    }
    argv[count] = NULL;
    const pid_t parent = getpid();
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        exec_child(child, argv, log_fd, parent);
    int saved_errno = errno;
    close(log_fd);
    if (ready[1] >= 0)
        close(ready[1]);
    enum err_code rc = ERR_OK;
    if (pid < 0) {
        rc = err_os(err, saved_errno, "start %s", child->name);
    } else {
        child->pid = pid;
        child->started_ms = clock_mono_ms();
        if (ready_ms > 0)
            rc = wait_ready(child, ready[0], ready_ms, err);
    }
    if (ready[0] >= 0)
        close(ready[0]);
    return rc;
}

bool local_reap(struct local_child *child, char *text, size_t text_size)
{
    int status = 0;
    if (child->pid == 0 || waitpid(child->pid, &status, WNOHANG) != child->pid)
        return false;
    child->pid = 0;
    child->is_stopping = false;
    if (WIFSIGNALED(status))
        snprintf(text, text_size, "%s was killed by signal %d (%s)", child->name, WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(text, text_size, "%s ended with status %d", child->name, WEXITSTATUS(status));
    return true;
}

void local_ask_to_stop(struct local_child *child)
{
    if (child->pid != 0 && !child->is_stopping)
        kill(child->pid, SIGTERM);
    child->is_stopping = child->pid != 0;
}

void local_stop(struct local_child *child, int grace_ms)
{
    char text[128];
    if (child->pid == 0)
        return;
    local_ask_to_stop(child);
    const int64_t deadline_ms = clock_mono_ms() + grace_ms;
    while (!local_reap(child, text, sizeof text)) {
        if (clock_mono_ms() >= deadline_ms)
            kill(child->pid, SIGKILL);
        poll(NULL, 0, 10);
    }
}

const char *local_last_line(struct arena *arena, const char *path)
{
    char buffer[LAST_LINE_SCAN_BYTES + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return "";
    off_t size = lseek(fd, 0, SEEK_END);
    off_t from = size > LAST_LINE_SCAN_BYTES ? size - LAST_LINE_SCAN_BYTES : 0;
    ssize_t len = pread(fd, buffer, LAST_LINE_SCAN_BYTES, from);
    close(fd);
    if (len <= 0)
        return "";
    while (len > 0 && (buffer[len - 1] == '\n' || buffer[len - 1] == ' '))
        len--;
    ssize_t start = len;
    while (start > 0 && buffer[start - 1] != '\n')
        start--;
    return arena_strndup(arena, buffer + start, (size_t)(len - start));
}
