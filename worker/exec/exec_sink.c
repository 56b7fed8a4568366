#include "exec_sink.h"

#include <errno.h>
#include <unistd.h>

#include "bounds.h"
#include "check.h"
#include "clock.h"

void exec_sink_init(struct exec_sink *sink, int fd)
{
    *sink = (struct exec_sink){.fd = fd, .flushed_ms = clock_mono_ms()};
}

enum err_code exec_sink_frame(struct exec_sink *sink, const struct exec_frame *frame,
                              struct err *err)
{
    struct strbuf bytes = {0};
    exec_frame_encode(&bytes, frame);
    enum err_code code = ERR_OK;
    for (size_t at = 0; at < bytes.len && !code;) {
        ssize_t n = write(sink->fd, bytes.data + at, bytes.len - at);
        if (n > 0)
            at += (size_t)n;
        else if (n < 0 && errno != EINTR)
            code = err_os(err, errno, "write to the agent");
    }
    strbuf_release(&bytes);
    return code;
}

static enum err_code batch_write(struct exec_sink *sink, enum stream_kind stream,
                                 const struct strbuf *payload, struct err *err)
{
    struct exec_frame frame = {.kind = EXEC_BATCH, .batch = {.stream = stream}};
    frame.batch.payload = (struct bytes){(const uint8_t *)payload->data, payload->len};
    return exec_sink_frame(sink, &frame, err);
}

static enum err_code records_write(struct exec_sink *sink, struct err *err)
{
    if (sink->record_count == 0)
        return ERR_OK;
    struct strbuf payload = {0};
    records_encode(&payload, sink->kind, sink->records, sink->record_count);
    sink->record_count = 0;
    arena_release(&sink->parts);
    enum err_code code = batch_write(sink, STREAM_RECORDS, &payload, err);
    strbuf_release(&payload);
    return code;
}

static enum err_code metrics_write(struct exec_sink *sink, struct err *err)
{
    sink->flushed_ms = clock_mono_ms();
    if (sink->metric_count == 0)
        return ERR_OK;
    struct strbuf payload = {0};
    metrics_encode(&payload, sink->metrics, sink->metric_count);
    sink->metric_count = 0;
    enum err_code code = batch_write(sink, STREAM_METRICS, &payload, err);
    strbuf_release(&payload);
    return code;
}

/* The record with parts of its own, for its batch is written later. */
static struct record record_kept(struct exec_sink *sink, const struct record *record)
{
    struct record kept = *record;
    const size_t parts = record->part_count;
    if (record->entries)
        kept.entries = arena_memdup(&sink->parts, record->entries, parts * sizeof *kept.entries);
    if (record->choices)
        kept.choices = arena_memdup(&sink->parts, record->choices, parts * sizeof *kept.choices);
    if (record->text)
        kept.text = arena_strndup(&sink->parts, record->text, parts);
    return kept;
}

enum err_code exec_sink_records(struct exec_sink *sink, enum record_kind kind,
                                const struct record *records, uint32_t count, struct err *err)
{
    enum err_code code = ERR_OK;
    ASSERT(sink->record_count == 0 || sink->kind == kind);
    sink->kind = kind;
    for (uint32_t i = 0; i < count && !code; i++) {
        const size_t bytes = records_bytes(kind, &records[i], 1);
        if (sink->record_count > 0 && sink->record_bytes + bytes > STREAM_PAYLOAD_BYTES_MAX)
            code = records_write(sink, err);
        if (code)
            return code;
        sink->record_bytes = (sink->record_count > 0 ? sink->record_bytes : 0) + bytes;
        sink->records[sink->record_count++] = record_kept(sink, &records[i]);
        sink->items++;
        if (sink->record_count == EXEC_RECORDS_PER_BATCH)
            code = records_write(sink, err);
    }
    return code;
}

void exec_sink_release(struct exec_sink *sink)
{
    arena_release(&sink->parts);
    sink->record_count = 0;
}

enum err_code exec_sink_metric(struct exec_sink *sink, int64_t step, const char *name, double value,
                               struct err *err)
{
    sink->metrics[sink->metric_count++] = (struct metric_point){
        .step = step, .time_ms = clock_time_ms(), .value = value, .name = name};
    bool due = sink->metric_count == METRICS_PER_BATCH_MAX ||
               clock_mono_ms() - sink->flushed_ms >= EXEC_FLUSH_MS;
    return due ? metrics_write(sink, err) : ERR_OK;
}

enum err_code exec_sink_progress(struct exec_sink *sink, const struct exec_progress *progress,
                                 struct err *err)
{
    int64_t now_ms = clock_mono_ms();
    if (now_ms - sink->progress_ms < EXEC_PROGRESS_MS && progress->done < progress->total)
        return ERR_OK;
    sink->progress_ms = now_ms;
    struct exec_frame frame = {.kind = EXEC_PROGRESS, .progress = *progress};
    return exec_sink_frame(sink, &frame, err);
}

enum err_code exec_sink_flush(struct exec_sink *sink, struct err *err)
{
    enum err_code code = records_write(sink, err);
    return code ? code : metrics_write(sink, err);
}
