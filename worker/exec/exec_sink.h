/* The child's side of exec_protocol.h: frames out, with metrics and records gathered into batches.
 *
 * Record batches are cut by what is in them alone (so many records, or as many as fit), never by
 * time: the digest over an attempt's batches is compared between attempts of one job, so their
 * edges must not depend on how fast it ran. */
#ifndef TRIAD_EXEC_SINK_H
#define TRIAD_EXEC_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "exec_protocol.h"
#include "metrics.h"
#include "records.h"

/* Small enough to see records stream, large enough to cost little. */
#define EXEC_RECORDS_PER_BATCH 256
#define EXEC_FLUSH_MS          1000 /* metrics wait at most so long */
#define EXEC_PROGRESS_MS       100  /* progress is told at most so often */

struct exec_sink {
    int fd;
    enum record_kind kind; /* of the records gathered */
    struct record records[EXEC_RECORDS_PER_BATCH];
    uint32_t record_count;
    size_t record_bytes;                                /* that a batch of them takes */
    struct arena parts;                                 /* of the records gathered */
    uint64_t items;                                     /* records taken in all */
    struct metric_point metrics[METRICS_PER_BATCH_MAX]; /* names are literals */
    uint32_t metric_count;
    int64_t flushed_ms, progress_ms;
};

void exec_sink_init(struct exec_sink *sink, int fd);
/* Frees what was never flushed. */
void exec_sink_release(struct exec_sink *sink);
/* Each may write frames; ERR_IO when the agent does not take them any more. Records are copied with
 * their parts; those of one attempt are of one kind. */
NODISCARD enum err_code exec_sink_records(struct exec_sink *sink, enum record_kind kind,
                                          const struct record *records, uint32_t count,
                                          struct err *err);
/* `name` must be a literal. */
NODISCARD enum err_code exec_sink_metric(struct exec_sink *sink, int64_t step, const char *name,
                                         double value, struct err *err);
NODISCARD enum err_code exec_sink_progress(struct exec_sink *sink,
                                           const struct exec_progress *progress, struct err *err);
NODISCARD enum err_code exec_sink_frame(struct exec_sink *sink, const struct exec_frame *frame,
                                        struct err *err);
/* Write what is gathered, whatever its size. */
NODISCARD enum err_code exec_sink_flush(struct exec_sink *sink, struct err *err);

#endif
