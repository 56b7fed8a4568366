/* `triad-worker exec`: the child process that computes. It takes jobs from its standard input one
 * after the other (exec_protocol.h) and leaves at its end, on SIGTERM (after the step it is at) or
 * when its parent dies. */
#ifndef TRIAD_EXEC_MAIN_H
#define TRIAD_EXEC_MAIN_H

/* `argv` as given after "exec": "--parent PID". Returns the exit status. */
int exec_main(int argc, char **argv);

#endif
