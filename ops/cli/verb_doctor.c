/* triad doctor: what this machine offers, and what would go wrong on it. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "check.h"
#include "connection.h"
#include "file.h"
#include "human.h"
#include "kernels.h"
#include "rank_launch.h"
#include "rank_mpi.h"
#include "rows.h"
#include "verbs.h"

#define FREE_BYTES_WANTED ((uint64_t)1 << 30) /* checkpoints, data sets and the database */

static const struct rows_column doctor_columns[] = {
    {"check", "CHECK", ROWS_TEXT},
    {"status", "STATUS", ROWS_TEXT},
    {"text", "FOUND", ROWS_TEXT},
};
enum { DOCTOR_COLUMNS = sizeof doctor_columns / sizeof doctor_columns[0] };

enum verdict { FINE, WARN, BAD };

static void say(struct rows *rows, const char *check, enum verdict verdict, const char *format, ...)
    PRINTF(4, 5);

static void say(struct rows *rows, const char *check, enum verdict verdict, const char *format, ...)
{
    static const char *const names[] = {[FINE] = "ok", [WARN] = "warning", [BAD] = "BAD"};
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct rows_cell *cell = rows_add(rows);
    cell[0].text = check;
    cell[1].text = names[verdict];
    cell[2].text = arena_strdup(rows->arena, text);
}

/* The value of the first line "KEY : VALUE" of a /proc file; false when there is none. */
static bool proc_value(const char *path, const char *key, char *out, size_t out_size)
{
    char line[512];
    FILE *file = fopen(path, "re");
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (!colon || strncmp(line, key, strlen(key)) != 0)
            continue;
        char *value = colon + 1 + strspn(colon + 1, " \t");
        value[strcspn(value, "\n")] = '\0';
        snprintf(out, out_size, "%s", value);
        found = true;
    }
    if (file)
        fclose(file);
    return found;
}

static void check_machine(struct rows *rows)
{
    char model[256] = "unknown", memory[64] = "", text[HUMAN_SIZE];
    struct utsname host;
    proc_value("/proc/cpuinfo", "model name", model, sizeof model);
    say(rows, "processor", FINE, "%s, %ld cores", model, sysconf(_SC_NPROCESSORS_ONLN));
    if (proc_value("/proc/meminfo", "MemAvailable", memory, sizeof memory)) {
        const uint64_t bytes = strtoull(memory, NULL, 10) * 1024;
        say(rows, "memory", bytes >= FREE_BYTES_WANTED ? FINE : WARN, "%s available",
            human_bytes(bytes, text));
    }
    if (uname(&host) == 0)
        say(rows, "system", FINE, "%s %s %s", host.sysname, host.release, host.machine);
}

static void check_numerics(struct rows *rows)
{
    char text[512] = "";
    kernel_select();
    kernel_threads_set((int)sysconf(_SC_NPROCESSORS_ONLN));
    say(rows, "openblas", FINE, "%s", kernel_library());
    say(rows, "numeric class", FINE, "%s", kernel_class());
    if (kernel_probe(text, sizeof text))
        say(rows, "strict numerics", FINE,
            "same bits wherever a block lies, on %d threads: 'numerics: strict' works here",
            kernel_threads());
    else
        say(rows, "strict numerics", BAD, "%s; only 'numerics: fast' works here", text);
}

/* Trainings of several ranks: nobody must have them, so their absence is no fault. */
static void check_ranks(struct rows *rows)
{
    struct err err;
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const struct rank_launch found = rank_launch_find((uint32_t)(cores > 0 ? cores : 1));
    if (found.obstacle)
        say(rows, "ranks", FINE, "none here: %s", found.obstacle);
    else if (rank_mpi_probe(&err))
        say(rows, "ranks", FINE, "none here: %s", err.text);
    else
        say(rows, "ranks", FINE, "trainings may have %u here, started by %s", found.ranks,
            found.launcher == RANK_LAUNCH_SRUN ? "srun" : "mpiexec");
}

/* Magic numbers of statfs(2) of file systems on other machines, where SQLite's locks and fsync are
 * not to be trusted. */
static const struct {
    unsigned long magic;
    const char *name;
    bool is_remote;
} file_systems[] = {
    {0x6969, "nfs", true},        {0xff534d42, "cifs", true},     {0xfe534d42, "smb2", true},
    {0x0bd00bd0, "lustre", true}, {0x00c36400, "ceph", true},     {0x65735546, "fuse", true},
    {0x47504653, "gpfs", true},   {0x19830326, "beegfs", true},   {0x01021997, "9p", true},
    {0xef53, "ext4", false},      {0x58465342, "xfs", false},     {0x9123683e, "btrfs", false},
    {0x01021994, "tmpfs", false}, {0x794c7630, "overlay", false}, {0x2fc12fc1, "zfs", false},
    {0xf2f52010, "f2fs", false},
};

static void check_disk(struct rows *rows, const char *state)
{
    struct statfs fs;
    char text[HUMAN_SIZE];
    /* The folder may not be there yet: look at the nearest one above it that is. */
    char *path = arena_strdup(rows->arena, state);
    char *slash;
    while (statfs(path, &fs) != 0 && (slash = strrchr(path, '/')) != NULL && slash != path)
        *slash = '\0';
    if (statfs(path, &fs) != 0 && statfs(".", &fs) != 0) {
        say(rows, "state folder", BAD, "cannot look at '%s'", state);
        return;
    }
    const uint64_t free_bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
    say(rows, "disk space", free_bytes >= FREE_BYTES_WANTED ? FINE : WARN, "%s free for '%s'",
        human_bytes(free_bytes, text), state);
    for (size_t i = 0; i < ARRAY_COUNT(file_systems); i++) {
        if ((unsigned long)fs.f_type != file_systems[i].magic)
            continue;
        say(rows, "file system", file_systems[i].is_remote ? WARN : FINE, "%s%s",
            file_systems[i].name,
            file_systems[i].is_remote
                ? ": keep the state folder on a local disk, locks and fsync are not reliable here"
                : "");
        return;
    }
    say(rows, "file system", FINE, "type 0x%lx", (unsigned long)fs.f_type);
}

static void check_secret(struct rows *rows, const char *path, const char *what)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return;
    if (info.st_mode & (S_IRWXG | S_IRWXO))
        say(rows, what, BAD, "others can read it: chmod 600 '%s'", path);
    else
        say(rows, what, FINE, "private");
}

static void check_keys(struct rows *rows, struct cli *cli, const char *state)
{
    static const char *const files[] = {"keys/server.key", "keys/client.key", "keys/worker.key",
                                        "client.access", "worker.access"};
    size_t there = 0;
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        const char *path = arena_printf(&cli->arena, "%s/%s", state, files[i]);
        there += file_exists(path);
        check_secret(rows, path, files[i]);
    }
    if (there == 0)
        say(rows, "keys", FINE, "none yet; 'triad run' or 'triad keys init' makes them");
}

static void check_coordinator(struct rows *rows, struct cli *cli, const char *state)
{
    struct connection c = {0};
    struct err err;
    enum err_code rc = connection_open(cli, CONNECTION_RUNNING, &c, &err);
    if (rc == ERR_OK)
        say(rows, "coordinator", FINE, "answers at %s", c.access.endpoint);
    else if (connection_state_is_served(state))
        say(rows, "coordinator", BAD, "runs but does not answer: %s", err.text);
    else
        say(rows, "coordinator", FINE, "none runs here; 'triad run' starts its own");
    connection_close(&c);
}

static void check_programs(struct rows *rows, struct cli *cli)
{
    static const char *const names[] = {"triad-coordinator", "triad-worker"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        const char *path = local_program(&cli->arena, names[i]);
        const bool found = strchr(path, '/') != NULL;
        say(rows, names[i], found ? FINE : WARN,
            found ? "%s" : "%s: not beside triad, left to PATH", path);
    }
}

enum cli_exit verb_doctor(struct cli *cli)
{
    struct rows rows;
    const char *state = cli_state_dir(cli);
    rows_init(&rows, &cli->arena, "triad.doctor/1", doctor_columns, DOCTOR_COLUMNS);
    check_machine(&rows);
    check_numerics(&rows);
    check_ranks(&rows);
    check_programs(&rows, cli);
    check_disk(&rows, state);
    check_keys(&rows, cli, state);
    check_coordinator(&rows, cli, state);
    rows_print(&rows, cli);
    for (int i = 0; i < rows.row_count; i++)
        if (strcmp(rows.cells[i * DOCTOR_COLUMNS + 1].text, "BAD") == 0)
            return EXIT_INTERNAL;
    return EXIT_OK;
}
