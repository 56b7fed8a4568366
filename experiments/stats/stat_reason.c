#include "stat_reason.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "str.h"

void stat_reason(char out[STAT_REASON_SIZE], const char *format, ...)
{
    static const char more[] = "…";
    va_list args;
    va_start(args, format);
    const int len = vsnprintf(out, STAT_REASON_SIZE, format, args);
    va_end(args);
    if (len < STAT_REASON_SIZE)
        return;
    const size_t kept = str_whole_characters(out, STAT_REASON_SIZE - sizeof more);
    memcpy(out + kept, more, sizeof more);
}
