/* `triad-worker exec`: the child process of an attempt; and `triad-worker rank`, one of several
 * that share one. */
#ifndef TRIAD_EXEC_MAIN_H
#define TRIAD_EXEC_MAIN_H

#include "exec_kinds.h"

/* `argv` from the verb on. Returns the exit status. */
int exec_main(int argc, char **argv);
int exec_rank_main(int argc, char **argv);

/* SIGTERM makes exec_should_stop() true from now on; SIGINT is not heard. */
void exec_signals_catch(void);
bool exec_should_stop(void);

/* Run one job, alone or as a rank of `group`, and write its frames to `fd`. An error means that
 * nobody takes them: how the job went is in them. */
NODISCARD enum err_code exec_job_run(const struct exec_job *job, struct exec_warm *warm,
                                     const struct train_group *group, int fd,
                                     bool (*should_stop)(void), struct err *err);

#endif
