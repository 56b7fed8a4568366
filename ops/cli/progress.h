/* The progress display on stderr: a block redrawn in place on a terminal, plain lines elsewhere. */
#ifndef TRIAD_PROGRESS_H
#define TRIAD_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "str.h"
#include "vocab.h"

struct progress {
    FILE *out; /* NULL: silent */
    bool is_terminal;
    int drawn_lines; /* of the block that is on the screen now */
    int64_t begin_ms;
    int64_t line_ms; /* when the last plain line was printed; 0: never */
};

/* Silent when `quiet`; in place when stderr is a terminal. Times are monotonic milliseconds. */
void progress_begin(struct progress *p, bool quiet, int64_t now_ms);
/* Show where things stand. */
void progress_show(struct progress *p, const struct msg_status *status, int64_t now_ms);
/* A line that stays, above the block. */
void progress_say(struct progress *p, const char *format, ...) PRINTF(2, 3);
/* A line about a job that just ended. */
void progress_job_ended(struct progress *p, const struct job_row *row);
/* Remove the block; what is printed next begins on an empty line. */
void progress_end(struct progress *p);

/* The texts, for tests: "quickstart: 7 of 15 jobs done, 2 running, 6 waiting, 3m10s, about 2m00s
 * left" and "  llama-tiny/ST/42  33/60  loss 2.314  5.1k tokens/s  (local-1)". */
void progress_summary(const struct experiment_row *row, int64_t elapsed_ms, struct strbuf *out);
void progress_running(const struct running_row *row, int label_width, struct strbuf *out);

#endif
