/* Programs on a slow disk (slow_disk.c). A test that links this has SLOW_DISK_LIBRARY defined. */
#ifndef TRIAD_SLOW_DISK_H
#define TRIAD_SLOW_DISK_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* From now on these rules hold, in whatever program slow_disk_enter() was called before. */
static inline void slow_disk_rules(const char *file, const char *rules)
{
    char fresh[512];
    snprintf(fresh, sizeof fresh, "%s.new", file);
    FILE *out = fopen(fresh, "w");
    if (!out || fputs(rules, out) < 0 || fclose(out) != 0 || rename(fresh, file) != 0)
        abort();
}

/* Between fork and exec: the program to come has a disk that these rules slow down. */
static inline void slow_disk_enter(const char *file)
{
    const char *asan = getenv("ASAN_OPTIONS");
    char options[512];
    snprintf(options, sizeof options, "%s:verify_asan_link_order=0", asan ? asan : "");
    setenv("ASAN_OPTIONS", options, 1);
    setenv("LD_PRELOAD", SLOW_DISK_LIBRARY, 1);
    setenv("TRIAD_SLOW_DISK", file, 1);
}

#endif
