/* Child programs of `triad run` and of the start verbs: found beside this program, started with
 * their output in a log file, watched, restarted when they die, and stopped by pid. */
#ifndef TRIAD_LOCAL_H
#define TRIAD_LOCAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "arena.h"
#include "err.h"

#define LOCAL_ARGUMENTS_MAX 32

struct local_child {
    const char *name;                      /* "coordinator", "worker-1": for messages */
    const char *argv[LOCAL_ARGUMENTS_MAX]; /* ended by NULL; argv[0] is the program's path */
    const char *log_path;                  /* stdout and stderr are appended here */
    bool dies_with_us;                     /* the kernel sends SIGTERM when this process dies */
    pid_t pid;                             /* 0: not running */
    int64_t started_ms;                    /* monotonic */
    int restarts;
    bool is_stopping; /* SIGTERM was sent; a second one would mean "at once" */
};

/* Path of a sibling program: $TRIAD_BIN_DIR, else the folder of this executable, else $PATH's name.
 */
const char *local_program(struct arena *arena, const char *name);

/* Append an argument (and a value unless NULL); asserts that there is room. */
void local_argument(struct local_child *child, const char *option, const char *value);

/* Start the child. When `ready_ms` > 0 the child gets `--ready-fd N` and this waits until it has
 * written a line there; ERR_TIMEOUT, or ERR_UNAVAILABLE with the last line of its log when it died
 * instead. */
NODISCARD enum err_code local_start(struct local_child *child, int ready_ms, struct err *err);

/* Reap without blocking: true when the child has ended (pid is then 0); `text` says how, for
 * people. */
bool local_reap(struct local_child *child, char *text, size_t text_size);

/* SIGTERM, once; does not wait. */
void local_ask_to_stop(struct local_child *child);

/* The same, then wait up to `grace_ms`, then SIGKILL; returns when the child is gone. */
void local_stop(struct local_child *child, int grace_ms);

/* The last non-empty line of a log file, in the arena; "" when there is none. */
const char *local_last_line(struct arena *arena, const char *path);

#endif
