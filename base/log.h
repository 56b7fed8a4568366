/* One event, one line on stderr: time, level, event name, key=value pairs. */
#ifndef TRIAD_LOG_H
#define TRIAD_LOG_H

#include "err.h"

enum log_level {
    LOG_ERROR, /* needs a person */
    LOG_WARN,  /* handled, but worth knowing */
    LOG_INFO,  /* state changes */
    LOG_DEBUG,
};

/* Lines below `level` are dropped. Default: LOG_INFO. Call before threads start. */
void log_set_level(enum log_level level);
/* A word put on every line, such as "coordinator"; borrowed, must stay valid. */
void log_set_program(const char *program);

/* log_event(LOG_INFO, "lease_sent", "job=%s worker=%s", ...). `format` may be "". */
void log_event(enum log_level level, const char *event, const char *format, ...) PRINTF(3, 4);

#endif
