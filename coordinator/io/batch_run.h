/* Running a batch system's commands one after the other on the loop: a command gets a text on
 * stdin, and what it writes is collected. One at a time, in order: a listing that is asked for
 * after a submission also runs after it. */
#ifndef TRIAD_BATCH_RUN_H
#define TRIAD_BATCH_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#define BATCH_OUTPUT_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define BATCH_RUN_MS           60000

struct batch_run;

enum batch_end {
    BATCH_DONE,
    BATCH_REFUSED, /* it ended with a failure, or could not be started */
    BATCH_CUT,     /* it was killed, or stopped: it may have done its work, and not said so */
};

/* How a command ended: `text` is its standard output, or, when not done, one line that says why.
 * Valid during the call. */
typedef void batch_done_f(void *ctx, enum batch_end end, const char *text, size_t len);

/* `loop` is borrowed until batch_run_free() has run its course. */
struct batch_run *batch_run_new(uv_loop_t *loop);
/* Kill what runs; it and what waits end as cut, once the loop has closed the handles. Accepts
 * NULL. */
void batch_run_free(struct batch_run *run);
/* Queue a command: `argv` (ended by NULL) and `input` are copied. */
void batch_run_add(struct batch_run *run, const char *const *argv, const char *input,
                   batch_done_f *done, void *ctx);
#endif
