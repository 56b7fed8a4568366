/* Starting the ranks of one training (train_group.h): by srun inside a Slurm allocation of several
 * tasks, by mpiexec on one machine otherwise. The child process that would have trained becomes
 * their keeper: it starts them, passes the frames between its agent and rank 0 through a socket in
 * the attempt's folder, and sees to it that none outlives it. */
#ifndef TRIAD_RANK_LAUNCH_H
#define TRIAD_RANK_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>

#include "exec_protocol.h"

enum rank_launcher { RANK_LAUNCH_NONE, RANK_LAUNCH_SRUN, RANK_LAUNCH_MPIEXEC };

/* What this process could start. */
struct rank_launch {
    enum rank_launcher launcher;
    uint32_t ranks;       /* at most; 1: none beside itself */
    uint32_t threads;     /* SRUN: of each, outside the threads of this worker; else 0 */
    const char *obstacle; /* a literal that says why not; NULL: nothing stands in the way */
};

/* `threads`: those of this worker. Looks at the environment and at $PATH. */
struct rank_launch rank_launch_find(uint32_t threads);

/* Run the ranks of `job`, whose JOB frame is `frame`; returns when they have ended well, their
 * frames passed on to EXEC_FD. An error means that they did not (ERR_UNAVAILABLE); when they died
 * of a signal, this process dies of it too. `should_stop` passes a wish to stop on to rank 0. */
NODISCARD enum err_code rank_launch_run(const struct exec_job *job, struct bytes frame,
                                        bool (*should_stop)(void), struct err *err);

/* Rank 0's end of the socket in `folder`: the JOB frame comes from it, all others go there; that
 * something can be read later (its end) means: stop. */
NODISCARD enum err_code rank_launch_join(const char *folder, int *fd_out, struct err *err);

#endif
