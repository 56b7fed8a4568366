#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "str.h"

static enum log_level level_max = LOG_INFO;
static const char *program_name = "triad";

void log_set_level(enum log_level level)
{
    level_max = level;
}

void log_set_program(const char *program)
{
    program_name = program;
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    if (level > level_max)
        return;
    /* One write per line, so that lines of several processes on one terminal do not mix. */
    char line[2048];
    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    size_t used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
    int n = snprintf(line + used, sizeof line - used, ".%03ldZ %s %s %s ", ts.tv_nsec / 1000000,
                     program_name, names[level], event);
    used += n > 0 ? (size_t)n : 0;
    va_list args;
    va_start(args, format);
    n = vsnprintf(line + used, sizeof line - used - 1, format, args);
    va_end(args);
    used += n > 0 ? (size_t)n : 0;
    if (used > sizeof line - 2)
        used = sizeof line - 2;
    line[used] = '\0';
    /* Values come from outside, too: a newline must not fake a second event, an escape sequence not
     * command the terminal that shows the log. */
    for (char *at = line; *at; at++)
        for (size_t bytes = str_control_bytes(at); bytes > 0; bytes--)
            at[bytes - 1] = ' ';
    line[used] = '\n';
    fwrite(line, 1, used + 1, stderr);
}
