#include "attempt_log.h"

void attempt_log_line(struct attempt_log *log, const char *line, size_t len)
{
    if (log->bytes + len + 1 <= ATTEMPT_LOG_BYTES_MAX && log->skipped == 0) {
        strbuf_append(&log->waiting, line, len);
        strbuf_putc(&log->waiting, '\n');
        log->bytes += len + 1;
        return;
    }
    struct strbuf *place = &log->kept[log->skipped++ % ATTEMPT_LOG_LINES_KEPT];
    strbuf_clear(place);
    strbuf_append(place, line, len);
}

bool attempt_log_is_due(const struct attempt_log *log)
{
    return log->waiting.len >= ATTEMPT_LOG_BATCH_BYTES;
}

void attempt_log_finish(struct attempt_log *log)
{
    uint64_t kept = log->skipped < ATTEMPT_LOG_LINES_KEPT ? log->skipped : ATTEMPT_LOG_LINES_KEPT;
    if (log->skipped > kept)
        strbuf_printf(&log->waiting, "[%llu lines are missing here: the log is too long]\n",
                      (unsigned long long)(log->skipped - kept));
    for (uint64_t i = log->skipped - kept; i < log->skipped; i++) {
        const struct strbuf *line = &log->kept[i % ATTEMPT_LOG_LINES_KEPT];
        /* 50 lines of 4 KiB could be too much for one batch's payload: the ends are cut. */
        size_t len = line->len < 512 ? line->len : 512;
        strbuf_append(&log->waiting, line->len ? line->data : "", len);
        strbuf_putc(&log->waiting, '\n');
    }
    log->skipped = 0;
}

void attempt_log_release(struct attempt_log *log)
{
    strbuf_release(&log->waiting);
    for (int i = 0; i < ATTEMPT_LOG_LINES_KEPT; i++)
        strbuf_release(&log->kept[i]);
    *log = (struct attempt_log){.bytes = 0};
}
