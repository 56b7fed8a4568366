#include "rank_mpi.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { INTERFACE = 1, PATH_SIZE = 4096 };

/* "/opt/triad/bin/triad-worker" → "/opt/triad/lib/triad-mpi.so". */
static enum err_code library_path(char path[PATH_SIZE], struct err *err)
{
    const char *given = getenv("TRIAD_MPI");
    if (given && *given) {
        snprintf(path, PATH_SIZE, "%s", given);
        return ERR_OK;
    }
    char program[PATH_SIZE - 64];
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    if (len <= 0)
        return err_set(err, ERR_IO, "cannot find out which program this is from /proc/self/exe");
    program[len] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(program, '/');
        if (slash)
            *slash = '\0';
    }
    snprintf(path, PATH_SIZE, "%s/lib/triad-mpi.so", program);
    return ERR_OK;
}

/* POSIX's way to get a function out of dlsym(). */
static bool find(void *library, const char *name, void *function)
{
    void *address = dlsym(library, name);
    memcpy(function, &address, sizeof address);
    return address != NULL;
}

enum err_code rank_mpi_load(struct rank_mpi *mpi, struct err *err)
{
    char path[PATH_SIZE];
    int (*interface)(void) = NULL;
    struct rank_mpi m = {.library = NULL};
    enum err_code code = library_path(path, err);
    if (code)
        return code;
    if (access(path, R_OK) != 0)
        return err_set(err, ERR_NOT_FOUND,
                       "there is no '%s': make it with 'mpicc -O2 -shared -fPIC -o triad-mpi.so "
                       "triad-mpi.c', see docs/clusters.md",
                       path);
    /* Global: MPI's own plug-ins look for its names. */
    m.library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (!m.library)
        return err_set(err, ERR_UNAVAILABLE, "load MPI: %.400s", dlerror());
    if (!find(m.library, "triad_mpi_interface", (void *)&interface) || interface() != INTERFACE ||
        !find(m.library, "triad_mpi_begin", (void *)&m.begin) ||
        !find(m.library, "triad_mpi_exchange", (void *)&m.exchange) ||
        !find(m.library, "triad_mpi_library", (void *)&m.name) ||
        !find(m.library, "triad_mpi_abort", (void *)&m.abort) ||
        !find(m.library, "triad_mpi_end", (void *)&m.end))
        return err_set(err, ERR_VERSION, "'%s' is of another version of Triad: make it again",
                       path);
    *mpi = m;
    return ERR_OK;
}

const char *rank_mpi_name(const struct rank_mpi *mpi, char out[RANK_MPI_NAME_SIZE])
{
    const char *text = mpi->name();
    size_t len = strcspn(text, ",\n");
    if (len >= RANK_MPI_NAME_SIZE)
        len = RANK_MPI_NAME_SIZE - 1;
    for (size_t i = 0; i < len; i++)
        out[i] = text[i];
    out[len] = '\0';
    for (char *tab = strchr(out, '\t'); tab; tab = strchr(tab, '\t'))
        *tab = ' ';
    return out;
}

enum err_code rank_mpi_probe(struct err *err)
{
    int pipe_ends[2], status = 0;
    if (pipe2(pipe_ends, O_CLOEXEC) != 0)
        return err_os(err, errno, "try MPI");
    const pid_t pid = fork();
    if (pid < 0) {
        close(pipe_ends[0]);
        close(pipe_ends[1]);
        return err_os(err, errno, "try MPI");
    }
    if (pid == 0) {
        struct rank_mpi mpi;
        struct err trouble = {.code = ERR_OK};
        enum err_code code = rank_mpi_load(&mpi, &trouble);
        ssize_t n = code ? write(pipe_ends[1], &trouble, sizeof trouble) : 0;
        _exit(code || n < 0);
    }
    close(pipe_ends[1]);
    struct err trouble;
    const ssize_t n = read(pipe_ends[0], &trouble, sizeof trouble);
    close(pipe_ends[0]);
    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return ERR_OK;
    if (n == (ssize_t)sizeof trouble) {
        if (err)
            *err = trouble;
        return trouble.code;
    }
    return err_set(err, ERR_UNAVAILABLE, "the MPI library cannot be loaded");
}

static enum err_code exchange(void *ctx, uint32_t peer, const void *out, size_t out_len, void *in,
                              size_t in_len, struct err *err)
{
    struct rank_mpi *mpi = ctx;
    if (mpi->exchange((int)peer, out, out_len, in, in_len) == 0)
        return ERR_OK;
    mpi->broken = true;
    return err_set(err, ERR_UNAVAILABLE, "MPI could not exchange bytes with rank %u", peer);
}

enum err_code rank_mpi_begin(struct rank_mpi *mpi, uint32_t ranks, struct train_group *group_out,
                             struct err *err)
{
    char name[RANK_MPI_NAME_SIZE];
    int rank = 0, count = 0;
    if (mpi->begin(&rank, &count) != 0)
        return err_set(err, ERR_UNAVAILABLE, "MPI did not start (%s)", rank_mpi_name(mpi, name));
    if (count != (int)ranks)
        return err_set(err, ERR_UNAVAILABLE,
                       "%u ranks were started, MPI sees %d: what starts them is of another MPI "
                       "(%s); under Slurm, 'srun --mpi=list' shows what there is, and "
                       "SLURM_MPI_TYPE chooses",
                       ranks, count, rank_mpi_name(mpi, name));
    *group_out = (struct train_group){
        .rank = (uint32_t)rank, .count = ranks, .link = {.ctx = mpi, .exchange = exchange}};
    return ERR_OK;
}
