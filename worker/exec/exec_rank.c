/* `triad-worker rank`: one of the processes that share a training (rank_launch.h). Rank 0 has the
 * worker's socket; the others have nothing but MPI, and get everything from rank 0 through it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exec_main.h"
#include "log.h"
#include "rank_launch.h"
#include "rank_mpi.h"

struct rank_options {
    const char *folder;
    long long ranks;
};

static int connection = -1; /* rank 0's, to the worker */

static bool rank_should_stop(void)
{
    struct pollfd end = {.fd = connection, .events = POLLIN};
    return exec_should_stop() || (connection >= 0 && poll(&end, 1, 0) > 0);
}

static bool options_parse(int argc, char **argv, struct rank_options *out)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--folder") == 0)
            out->folder = argv[i + 1];
        else if (strcmp(argv[i], "--ranks") != 0 || !str_to_i64(argv[i + 1], &out->ranks))
            return false;
    }
    return out->folder && out->ranks > 1 && out->ranks <= RANKS_MAX;
}

/* The one frame that the worker sends. */
static enum err_code read_job(struct strbuf *bytes, struct err *err)
{
    char buffer[16384];
    for (;;) {
        struct arena arena;
        struct exec_frame frame;
        size_t used = 0;
        arena_init(&arena, 0);
        enum err_code code =
            exec_frame_decode(strbuf_text(bytes), bytes->len, &arena, &frame, &used, err);
        arena_release(&arena);
        if (code || used > 0)
            return code;
        const ssize_t n = read(connection, buffer, sizeof buffer);
        if (n == 0)
            return err_set(err, ERR_CANCELLED, "the worker went away");
        if (n < 0 && errno != EINTR)
            return err_os(err, errno, "read the job");
        if (n > 0)
            strbuf_append(bytes, buffer, (size_t)n);
    }
}

/* The job frame, for all ranks. */
static enum err_code share_job(const struct train_group *group, const char *folder,
                               struct strbuf *bytes, struct err *err)
{
    enum err_code code = ERR_OK;
    if (group->rank == 0) {
        code = rank_launch_join(folder, &connection, err);
        code = code ? code : read_job(bytes, err);
    }
    code = train_group_agree(group, code, err);
    uint64_t len = bytes->len;
    code = code ? code : train_group_share(group, &len, sizeof len, err);
    if (code)
        return code;
    static const char zeros[4096];
    while (bytes->len < len)
        strbuf_append(bytes, zeros,
                      len - bytes->len < sizeof zeros ? len - bytes->len : sizeof zeros);
    return train_group_share(group, bytes->data, len, err);
}

static enum err_code run(const struct train_group *group, const char *folder, struct err *err)
{
    struct strbuf bytes = {0};
    struct exec_warm warm = {.model = NULL};
    struct arena arena;
    struct exec_frame frame;
    size_t used = 0;
    arena_init(&arena, 0);
    enum err_code code = share_job(group, folder, &bytes, err);
    if (!code)
        code = exec_frame_decode(strbuf_text(&bytes), bytes.len, &arena, &frame, &used, err);
    if (!code && (used == 0 || frame.kind != EXEC_JOB))
        code = err_set(err, ERR_CORRUPT, "the worker sent no job");
    const int fd = connection >= 0 ? connection : open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (!code)
        code = exec_job_run(&frame.job, &warm, group, fd, rank_should_stop, err);
    exec_warm_release(&warm);
    arena_release(&arena);
    strbuf_release(&bytes);
    return code;
}

int exec_rank_main(int argc, char **argv)
{
    struct rank_options options = {.folder = NULL};
    struct rank_mpi mpi;
    struct train_group group = {.rank = 0};
    struct err err;
    log_set_program("rank");
    exec_signals_catch();
    signal(SIGPIPE, SIG_IGN);
    /* What MPI libraries have to say is text for people. */
    dup2(STDERR_FILENO, STDOUT_FILENO);
    if (!options_parse(argc, argv, &options)) {
        fprintf(stderr, "triad-worker rank: is started by a worker, not by hand\n");
        return 2;
    }
    enum err_code code = rank_mpi_load(&mpi, &err);
    if (!code)
        code = rank_mpi_begin(&mpi, (uint32_t)options.ranks, &group, &err);
    if (code) {
        fprintf(stderr, "triad-worker rank: %s\n", err.text);
        return 1;
    }
    code = run(&group, options.folder, &err);
    if (code && (group.rank == 0 || mpi.broken))
        fprintf(stderr, "triad-worker rank: %s\n", err.text);
    if (mpi.broken)
        mpi.abort(1);
    mpi.end();
    return code ? 1 : 0;
}
