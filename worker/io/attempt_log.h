/* The log stream of one attempt: lines gathered into batches, bounded, with the end always kept. A
 * child that writes without end costs at most ATTEMPT_LOG_BYTES_MAX and the last lines. */
#ifndef TRIAD_ATTEMPT_LOG_H
#define TRIAD_ATTEMPT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "str.h"

#define ATTEMPT_LOG_BYTES_MAX   ((uint64_t)2 * 1024 * 1024)
#define ATTEMPT_LOG_BATCH_BYTES ((size_t)32 * 1024) /* a batch is due when this much waits */
#define ATTEMPT_LOG_LINES_KEPT  50

/* Zero-initialise; free with attempt_log_release(). */
struct attempt_log {
    struct strbuf waiting;                      /* for the next batch */
    uint64_t bytes;                             /* taken so far */
    struct strbuf kept[ATTEMPT_LOG_LINES_KEPT]; /* a ring: the last lines behind the limit */
    uint64_t skipped;                           /* lines that went there */
};

void attempt_log_line(struct attempt_log *log, const char *line, size_t len);
bool attempt_log_is_due(const struct attempt_log *log);
/* The attempt ends: put the kept lines behind a note of how many are missing. */
void attempt_log_finish(struct attempt_log *log);
void attempt_log_release(struct attempt_log *log);

#endif
