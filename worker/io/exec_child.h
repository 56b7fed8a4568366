/* One child process on the loop: `triad-worker exec` in a process group of its own, spoken to
 * through exec_protocol.h, with its
 * standard error captured line by line (its standard output is thrown away). */
#ifndef TRIAD_EXEC_CHILD_H
#define TRIAD_EXEC_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "err.h"
#include "exec_protocol.h"

struct exec_child;

struct exec_child_usage {
    uint64_t cpu_ms;            /* of the process so far */
    uint64_t memory_peak_bytes; /* highest resident size so far */
};

struct exec_child_end {
    int exit_code;
    int exit_signal;    /* 0: none */
    bool out_of_memory; /* killed by the kernel for want of memory, as far as one can tell */
    const char *text;   /* one sentence, with the last line it wrote */
    struct exec_child_usage usage;
};

struct exec_child_options {
    uv_loop_t *loop;
    const char *program;          /* path of the executable */
    const char *const *arguments; /* with the program's name, NULL at the end */
    const char *folder;           /* working folder */
    void *ctx;
    /* A frame arrived; it is valid during the call. False: it cannot be taken now; the child is
     * paused, and the frame comes again when it goes on. */
    bool (*on_frame)(void *ctx, struct exec_child *child, const struct exec_frame *frame);
    /* A line of text, without its end; control bytes and broken UTF-8 are replaced. */
    void (*on_line)(void *ctx, struct exec_child *child, const char *line, size_t len);
    /* Exited and nothing more to read; the child is freed after the call. */
    void (*on_end)(void *ctx, struct exec_child *child, const struct exec_child_end *end);
};

/* Start it. The callbacks come from the loop, never from within this call. */
NODISCARD enum err_code exec_child_start(const struct exec_child_options *options,
                                         struct exec_child **out, struct err *err);
/* Send a frame to its standard input. */
void exec_child_send(struct exec_child *child, const struct exec_frame *frame);
/* Signal its whole process group. */
void exec_child_signal(struct exec_child *child, int signal_number);
/* Go on after a frame that could not be taken. A child that nobody reads from waits. */
void exec_child_resume(struct exec_child *child);
/* Read what it has written as text so far, before its next frame is acted upon. */
void exec_child_drain_text(struct exec_child *child);
struct exec_child_usage exec_child_usage(struct exec_child *child);

#endif
