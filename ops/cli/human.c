#include "human.h"

#include <stdio.h>

#include "check.h"

char *human_duration(int64_t ms, char out[HUMAN_SIZE])
{
    const long long s = (ms + 500) / 1000;
    if (ms < 1000)
        snprintf(out, HUMAN_SIZE, "%lld ms", (long long)ms);
    else if (ms < 60000)
        snprintf(out, HUMAN_SIZE, "%.1f s", (double)ms / 1e3);
    else if (s < 3600)
        snprintf(out, HUMAN_SIZE, "%lldm%02llds", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, HUMAN_SIZE, "%lldh%02lldm", s / 3600, s / 60 % 60);
    else
        snprintf(out, HUMAN_SIZE, "%lldd%02lldh", s / 86400, s / 3600 % 24);
    return out;
}

char *human_bytes(uint64_t bytes, char out[HUMAN_SIZE])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < ARRAY_COUNT(units)) {
        value /= 1024;
        unit++;
    }
    snprintf(out, HUMAN_SIZE, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return out;
}

char *human_count(double count, char out[HUMAN_SIZE])
{
    static const char *const units[] = {"", "k", "M", "G", "T"};
    size_t unit = 0;
    while (count >= 999.5 &&
           unit + 1 < ARRAY_COUNT(units)) { /* 999.9 million are 1G in three digits */
        count /= 1000;
        unit++;
    }
    snprintf(out, HUMAN_SIZE, unit ? "%.3g%s" : "%.0f%s", count, units[unit]);
    return out;
}
