#include "rank_launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "train_group.h"

#define SOCKET_NAME   "ranks.sock"
#define COME_MS       120000 /* for rank 0 to connect: srun may have to wait for its step */
#define LEAVE_MS      60000  /* for all ranks to leave after rank 0 has closed its end */
#define TICK_MS       100
#define ARGUMENTS_MAX 20

/* ---- what there is ---- */

static bool in_path(const char *name)
{
    const char *path = getenv("PATH");
    while (path && *path) {
        const size_t len = strcspn(path, ":");
        char file[4096];
        if (snprintf(file, sizeof file, "%.*s/%s", (int)len, path, name) < (int)sizeof file &&
            access(file, X_OK) == 0)
            return true;
        path += len + (path[len] == ':');
    }
    return false;
}

static long long number_of(const char *variable)
{
    const char *text = getenv(variable);
    long long value;
    return text && str_to_i64(text, &value) && value > 0 ? value : 0;
}

static uint32_t power_below(long long count)
{
    uint32_t ranks = 1;
    while (ranks < RANKS_MAX && 2 * (long long)ranks <= count)
        ranks *= 2;
    return ranks;
}

struct rank_launch rank_launch_find(uint32_t threads)
{
    struct rank_launch found = {.ranks = 1};
    if (number_of("SLURM_JOB_ID") > 0) {
        /* More ranks than tasks are not ours: other allocations may share the nodes. */
        const long long tasks = number_of("SLURM_NTASKS"), cpus = number_of("SLURM_CPUS_PER_TASK");
        if (tasks < 2)
            found.obstacle = "its Slurm allocation has one task";
        else if (!in_path("srun"))
            found.obstacle = "it is in a Slurm allocation, but there is no srun";
        else
            found = (struct rank_launch){.launcher = RANK_LAUNCH_SRUN,
                                         .ranks = power_below(tasks),
                                         .threads = (uint32_t)(cpus > 0 ? cpus : 1)};
        return found;
    }
    if (threads < 2)
        found.obstacle = "it has one thread and is in no Slurm allocation";
    else if (!in_path("mpiexec"))
        found.obstacle = "it is in no Slurm allocation, and there is no mpiexec";
    else
        found =
            (struct rank_launch){.launcher = RANK_LAUNCH_MPIEXEC, .ranks = power_below(threads)};
    return found;
}

/* ---- the socket ---- */

/* Through an open folder: the path of an attempt may be longer than a socket's address. */
static enum err_code address_of(const char *folder, int *folder_out, struct sockaddr_un *out,
                                struct err *err)
{
    *folder_out = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*folder_out < 0)
        return err_os(err, errno, "open '%s'", folder);
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(out->sun_path, sizeof out->sun_path, "/proc/self/fd/%d/" SOCKET_NAME, *folder_out);
    return ERR_OK;
}

static enum err_code socket_listen(const char *folder, int *out, struct err *err)
{
    struct sockaddr_un address;
    int at = -1;
    enum err_code code = address_of(folder, &at, &address, err);
    if (code)
        return code;
    unlinkat(at, SOCKET_NAME, 0);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const mode_t mask = umask(0177);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1) != 0)
        code = err_os(err, errno, "make the socket '%s/" SOCKET_NAME "'", folder);
    umask(mask);
    close(at);
    if (code && fd >= 0)
        close(fd);
    *out = fd;
    return code;
}

enum err_code rank_launch_join(const char *folder, int *fd_out, struct err *err)
{
    struct sockaddr_un address;
    int at = -1;
    enum err_code code = address_of(folder, &at, &address, err);
    if (code)
        return code;
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        code = err_os(err, errno,
                      "reach the worker through '%s/" SOCKET_NAME "' (rank 0 must run on the "
                      "worker's node)",
                      folder);
    close(at);
    if (code && fd >= 0)
        close(fd);
    *fd_out = code ? -1 : fd;
    return code;
}

/* ---- the keeper ---- */

struct keeper {
    const struct exec_job *job;
    enum rank_launcher launcher;
    pid_t pid; /* of srun or mpiexec; 0: it is gone */
    int status;
    int listening, connection;
    bool stop_passed_on;
};

static size_t command_of(const struct keeper *k, const char *program, const char **words,
                         char numbers[3][48])
{
    size_t count = 0;
    snprintf(numbers[0], sizeof numbers[0], "%u", k->job->ranks);
    if (k->launcher == RANK_LAUNCH_SRUN) {
        snprintf(numbers[1], sizeof numbers[1], "--ntasks=%u", k->job->ranks);
        snprintf(numbers[2], sizeof numbers[2], "--cpus-per-task=%u", k->job->threads);
        const char *const srun[] = {"srun",
                                    numbers[1],
                                    numbers[2],
                                    "--distribution=block",
                                    "--overlap", /* who takes which core is the coordinator's */
                                    "--kill-on-bad-exit=1",
                                    "--quit-on-interrupt",
                                    "--input=none",
                                    "--job-name=triad-ranks"};
        for (size_t i = 0; i < ARRAY_COUNT(srun); i++)
            words[count++] = srun[i];
    } else {
        words[count++] = "mpiexec";
        words[count++] = "-n";
        words[count++] = numbers[0];
    }
    const char *const own[] = {program,   "rank",     "--folder", k->job->work_folder,
                               "--ranks", numbers[0], NULL};
    for (size_t i = 0; i < ARRAY_COUNT(own); i++)
        words[count++] = own[i];
    ASSERT(count <= ARGUMENTS_MAX);
    return count;
}

/* What MPI libraries must be told on a machine that is not theirs alone: no rank is tied to one
 * core, there may be more ranks than cores, memory of other processes is not looked into
 * (containers forbid it), and root is a user. What the user has set stays. */
static void set_environment(void)
{
    static const char *const always[][2] = {
        {"OMPI_MCA_hwloc_base_binding_policy", "none"},
        {"OMPI_MCA_rmaps_base_oversubscribe", "1"},
        {"OMPI_MCA_btl_vader_single_copy_mechanism", "none"},
        {"PRTE_MCA_hwloc_default_binding_policy", "none"},
        {"PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe"},
        {"HYDRA_BINDING", "none"},
    };
    static const char *const root[][2] = {{"OMPI_ALLOW_RUN_AS_ROOT", "1"},
                                          {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"}};
    for (size_t i = 0; i < ARRAY_COUNT(always); i++)
        setenv(always[i][0], always[i][1], 0);
    for (size_t i = 0; i < ARRAY_COUNT(root) && geteuid() == 0; i++)
        setenv(root[i][0], root[i][1], 0);
}

/* In the new process. The launcher leads a session of its own, so that SIGTERM to our group does
 * not end the ranks before their checkpoint; when we die, the kernel tells it to end them. */
static _Noreturn void become_launcher(const struct keeper *k, const char *program, pid_t keeper)
{
    const char *words[ARGUMENTS_MAX];
    char numbers[3][48];
    sigset_t none;
    command_of(k, program, words, numbers);
    setsid();
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* srun takes an interrupt as "end all tasks now", mpiexec a termination. */
    prctl(PR_SET_PDEATHSIG, k->launcher == RANK_LAUNCH_SRUN ? SIGINT : SIGTERM);
    if (getppid() != keeper)
        _exit(1);
    const int nothing = open("/dev/null", O_RDONLY);
    dup2(nothing, STDIN_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    set_environment();
    execvp(words[0], (char *const *)(uintptr_t)words);
    fprintf(stderr, "cannot start '%s': %s\n", words[0], strerror(errno));
    _exit(127);
}

static enum err_code launcher_start(struct keeper *k, struct err *err)
{
    char program[4096];
    const ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    if (len <= 0)
        return err_set(err, ERR_IO, "cannot find out which program this is from /proc/self/exe");
    program[len] = '\0';
    const pid_t keeper = getpid();
    k->pid = fork();
    if (k->pid < 0) {
        k->pid = 0;
        return err_os(err, errno, "start the ranks");
    }
    if (k->pid == 0)
        become_launcher(k, program, keeper);
    return ERR_OK;
}

/* Is the launcher gone? */
static bool launcher_look(struct keeper *k)
{
    if (k->pid > 0 && waitpid(k->pid, &k->status, WNOHANG) == k->pid)
        k->pid = 0;
    return k->pid == 0;
}

/* End all ranks: gently to the launcher, which knows where they are, then without it. */
static void launcher_end(struct keeper *k)
{
    if (launcher_look(k))
        return;
    kill(k->pid, k->launcher == RANK_LAUNCH_SRUN ? SIGINT : SIGTERM);
    for (int64_t until_ms = clock_mono_ms() + 10000;
         !launcher_look(k) && clock_mono_ms() < until_ms;)
        poll(NULL, 0, TICK_MS);
    if (k->pid > 0) {
        kill(-k->pid, SIGKILL);
        waitpid(k->pid, &k->status, 0);
        k->pid = 0;
    }
}

static bool is_ours(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == geteuid();
}

static const char *launcher_name(const struct keeper *k)
{
    return k->launcher == RANK_LAUNCH_SRUN ? "srun" : "mpiexec";
}

/* Wait for rank 0. */
static enum err_code meet(struct keeper *k, bool (*should_stop)(void), struct err *err)
{
    const int64_t until_ms = clock_mono_ms() + COME_MS;
    while (k->connection < 0) {
        struct pollfd listening = {.fd = k->listening, .events = POLLIN};
        if (poll(&listening, 1, TICK_MS) > 0) {
            const int fd = accept4(k->listening, NULL, NULL, SOCK_CLOEXEC);
            if (fd >= 0 && is_ours(fd))
                k->connection = fd;
            else if (fd >= 0)
                close(fd);
        } else if (should_stop()) {
            return err_set(err, ERR_CANCELLED, "stopped while its ranks started");
        } else if (launcher_look(k)) {
            return err_set(err, ERR_UNAVAILABLE, "%s ended before rank 0 came", launcher_name(k));
        } else if (clock_mono_ms() > until_ms) {
            return err_set(err, ERR_UNAVAILABLE, "%s started no rank 0 within %d s",
                           launcher_name(k), COME_MS / 1000);
        }
    }
    return ERR_OK;
}

static enum err_code write_all(int fd, const uint8_t *bytes, size_t len, struct err *err)
{
    for (size_t at = 0; at < len;) {
        const ssize_t n = send(fd, bytes + at, len - at, MSG_NOSIGNAL);
        const ssize_t m = n < 0 && errno == ENOTSOCK ? write(fd, bytes + at, len - at) : n;
        if (m > 0)
            at += (size_t)m;
        else if (m < 0 && errno != EINTR)
            return err_os(err, errno, "pass frames on");
    }
    return ERR_OK;
}

/* Frames from rank 0 to the agent, until it closes its end. */
static enum err_code pass_on(struct keeper *k, bool (*should_stop)(void), struct err *err)
{
    uint8_t buffer[65536];
    for (;;) {
        if (should_stop() && !k->stop_passed_on) {
            k->stop_passed_on = true;
            shutdown(k->connection, SHUT_WR); /* rank 0 sees the end of its input */
        }
        struct pollfd frames = {.fd = k->connection, .events = POLLIN};
        if (poll(&frames, 1, TICK_MS) <= 0) {
            if (!launcher_look(k))
                continue;
            /* It should outlive rank 0. Without it nobody ends the ranks but they themselves: rank
             * 0 sees that it has no worker any more. */
            shutdown(k->connection, SHUT_RDWR);
            return ERR_OK;
        }
        const ssize_t n = read(k->connection, buffer, sizeof buffer);
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return ERR_OK;
        if (n < 0 && errno != EINTR)
            return err_os(err, errno, "read from rank 0");
        enum err_code code = n > 0 ? write_all(EXEC_FD, buffer, (size_t)n, err) : ERR_OK;
        if (code)
            return code;
    }
}

/* The signal a rank died of, in the launcher's words: its own end, 128 + the signal (srun, Open
 * MPI, shells), or the signal itself (MPICH), which is no status of a rank: those are 0 to 2. */
static int signal_of(int status)
{
    if (WIFSIGNALED(status))
        return WTERMSIG(status);
    const int number = WEXITSTATUS(status) > 128 ? WEXITSTATUS(status) - 128
                       : WEXITSTATUS(status) > 2 ? WEXITSTATUS(status)
                                                 : 0;
    return number < NSIG ? number : 0;
}

/* The launcher's end is ours: what a rank died of is what the agent shall see. */
static enum err_code end_as_they_did(struct keeper *k, struct err *err)
{
    const int64_t until_ms = clock_mono_ms() + LEAVE_MS;
    while (!launcher_look(k) && clock_mono_ms() < until_ms)
        poll(NULL, 0, TICK_MS);
    const bool overdue = k->pid > 0;
    launcher_end(k);
    if (overdue)
        return err_set(err, ERR_UNAVAILABLE, "the ranks did not leave within %d s",
                       LEAVE_MS / 1000);
    if (WIFEXITED(k->status) && WEXITSTATUS(k->status) == 0)
        return ERR_OK;
    const int number = signal_of(k->status);
    if (number > 0) {
        fprintf(stderr, "a rank died of signal %d (%s), and all others with it\n", number,
                strsignal(number));
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_UNBLOCK, &all, NULL);
        signal(number, SIG_DFL);
        raise(number);
    }
    return err_set(err, ERR_UNAVAILABLE, "%s ended with status %d", launcher_name(k),
                   WEXITSTATUS(k->status));
}

enum err_code rank_launch_run(const struct exec_job *job, struct bytes frame,
                              bool (*should_stop)(void), struct err *err)
{
    const struct rank_launch found = rank_launch_find(UINT32_MAX);
    if (found.launcher == RANK_LAUNCH_NONE)
        return err_set(err, ERR_UNAVAILABLE, "%u ranks cannot be started here: %s", job->ranks,
                       found.obstacle);
    struct keeper k = {.job = job, .launcher = found.launcher, .listening = -1, .connection = -1};
    enum err_code code = socket_listen(job->work_folder, &k.listening, err);
    if (!code)
        code = launcher_start(&k, err);
    if (!code)
        code = meet(&k, should_stop, err);
    if (!code)
        code = write_all(k.connection, frame.data, frame.len, err);
    if (!code)
        code = pass_on(&k, should_stop, err);
    if (code && k.pid == 0)
        (void)!end_as_they_did(&k, NULL); /* a signal is the better answer */
    else if (!code)
        code = end_as_they_did(&k, err);
    launcher_end(&k);
    if (k.connection >= 0)
        close(k.connection);
    if (k.listening >= 0)
        close(k.listening);
    return code;
}
