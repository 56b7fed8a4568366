#include "process_info.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The number after `key` in a file of lines; false when there is none. */
static bool number_after(const char *path, const char *key, uint64_t *out)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    char line[512];
    size_t len = strlen(key);
    bool found = false;
    while (!found && fgets(line, sizeof line, file)) {
        if (strncmp(line, key, len) != 0)
            continue;
        char *end;
        unsigned long long value = strtoull(line + len, &end, 10);
        found = end != line + len;
        if (found)
            *out = value;
    }
    fclose(file);
    return found;
}

void process_info_memory_peak(int pid, uint64_t *bytes)
{
    char path[64];
    uint64_t kib;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    if (number_after(path, "VmHWM:", &kib))
        *bytes = kib * 1024;
}

void process_info_cpu(int pid, uint64_t *cpu_ms)
{
    char path[64], line[1024] = {0};
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    size_t n = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    /* Fields 14 and 15, counted behind the name, which may hold spaces and brackets (proc(5)). */
    const char *after = n ? strrchr(line, ')') : NULL;
    unsigned long user, system;
    if (after && sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                        &system) == 2)
        *cpu_ms = (uint64_t)(user + system) * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

uint64_t process_info_own_io(void)
{
    uint64_t in = 0, out = 0;
    number_after("/proc/self/io", "rchar:", &in);
    number_after("/proc/self/io", "wchar:", &out);
    return in + out;
}

uint64_t process_info_oom_kills(void)
{
    uint64_t count = 0;
    number_after("/proc/vmstat", "oom_kill ", &count);
    return count;
}

uint64_t process_info_memory_total(void)
{
    uint64_t total = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGE_SIZE);
    uint64_t limit;
    if (number_after("/sys/fs/cgroup/memory.max", "", &limit) && limit < total)
        total = limit;
    return total;
}
