/* triad bench dispatch: how many jobs a coordinator hands out, takes back and commits. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bounds.h"
#include "verb_bench_load.h"
#include "file.h"
#include "human.h"
#include "interrupt.h"
#include "rows.h"
#include "start.h"
#include "verbs.h"

#define READY_MS 600000 /* a database of millions of jobs is checked first */
#define STOP_MS  30000
/* A turn may answer each frame with two, and libzmq frees a queue of 256 by halves: so many jobs
 * are on their way to a connection at most. */
#define SLOTS_MAX 48

static const struct rows_column columns[] = {
    {"what", "WHAT", ROWS_TEXT},
    {"jobs", "JOBS", ROWS_INTEGER},
    {"connections", "CONN", ROWS_INTEGER},
    {"slots", NULL, ROWS_INTEGER},
    {"task_us", "TASK µs", ROWS_INTEGER},
    {"submit_per_s", "SUBMIT/s", ROWS_REAL},
    {"jobs_per_s", "JOBS/s", ROWS_REAL},
    {"efficiency", "EFF", ROWS_REAL},
    {"coordinator_us_per_job", "COORD µs", ROWS_REAL},
    {"generator_us_per_job", "GEN µs", ROWS_REAL},
    {"memory_bytes_per_job", "B/JOB", ROWS_REAL},
    {"records_per_s", "RECORDS/s", ROWS_REAL},
    {"statuses", NULL, ROWS_INTEGER},
    {"status_ms_mean", "STATUS ms", ROWS_REAL},
    {"status_ms_p50", NULL, ROWS_REAL},
    {"status_ms_p99", "P99 ms", ROWS_REAL},
    {"status_ms_max", "MAX ms", ROWS_REAL},
    {"submit_status_ms_p99", NULL, ROWS_REAL},
    {"submit_status_ms_max", NULL, ROWS_REAL},
    {"status_1ms", NULL, ROWS_INTEGER},
    {"status_2ms", NULL, ROWS_INTEGER},
    {"status_5ms", NULL, ROWS_INTEGER},
    {"status_10ms", NULL, ROWS_INTEGER},
    {"status_20ms", NULL, ROWS_INTEGER},
    {"status_50ms", NULL, ROWS_INTEGER},
    {"status_longer", NULL, ROWS_INTEGER},
};
enum { COLUMNS = sizeof columns / sizeof columns[0] };

struct bench {
    struct cli *cli;
    struct rows rows;
    struct local_child coordinator;
    const char *dir;
    bool own_dir;   /* made by us, removed at the end */
    uint64_t first; /* number of the next job */
    struct err *err;
};

static double per_s(double count, double seconds)
{
    return seconds > 0 ? count / seconds : (double)NAN;
}

/* Share of the slots' time that tasks took. */
static double efficiency(const struct bench_load *load, const struct bench_figures *f)
{
    const double slots = (double)load->connections * load->slots;
    return load->task_us > 0 ? (double)load->jobs * load->task_us / 1e6 / (f->dispatch_s * slots)
                             : (double)NAN;
}

static void add_row(struct bench *b, const char *what, const struct bench_load *load,
                    const struct bench_figures *f)
{
    const double jobs = (double)load->jobs;
    const struct rows_cell values[] = {
        {.text = what},
        {.integer = (int64_t)load->jobs},
        {.integer = load->connections},
        {.integer = load->slots},
        {.integer = load->task_us},
        {.real = per_s(jobs, f->submit_s)},
        {.real = per_s(jobs, f->dispatch_s)},
        {.real = efficiency(load, f)},
        {.real = f->coordinator_cpu_s / jobs * 1e6},
        {.real = f->generator_cpu_s / jobs * 1e6},
        {.real = load->jobs >= 100000 ? f->memory_bytes_per_job : (double)NAN},
        {.real = f->records ? per_s((double)f->records, f->dispatch_s) : (double)NAN},
        {.integer = (int64_t)f->statuses.count},
        {.real = f->statuses.count ? f->statuses.mean_ms : (double)NAN},
        {.real = f->statuses.count ? f->statuses.p50_ms : (double)NAN},
        {.real = f->statuses.count ? f->statuses.p99_ms : (double)NAN},
        {.real = f->statuses.count ? f->statuses.max_ms : (double)NAN},
        {.real = f->submit_statuses.count ? f->submit_statuses.p99_ms : (double)NAN},
        {.real = f->submit_statuses.count ? f->submit_statuses.max_ms : (double)NAN},
        {.integer = (int64_t)f->statuses.within[0]},
        {.integer = (int64_t)f->statuses.within[1]},
        {.integer = (int64_t)f->statuses.within[2]},
        {.integer = (int64_t)f->statuses.within[3]},
        {.integer = (int64_t)f->statuses.within[4]},
        {.integer = (int64_t)f->statuses.within[5]},
        {.integer = (int64_t)f->statuses.within[6]},
    };
    _Static_assert(sizeof values / sizeof values[0] == COLUMNS, "a value per column");
    memcpy(rows_add(&b->rows), values, sizeof values);
}

/* ---- the coordinator under test ---- */

static enum err_code start(struct bench *b)
{
    struct arena *arena = &b->cli->arena;
    const char *at = cli_value(b->cli, "dir");
    if (cli_value(b->cli, "bench-state")) {
        b->dir = cli_value(b->cli, "bench-state");
        b->own_dir = false;
        const enum err_code code = file_mkdirs(b->dir, 0700, b->err);
        if (code != ERR_OK)
            return code;
    } else {
        char *dir = (char *)(uintptr_t)arena_printf(arena, "%s/triad-bench-XXXXXX", at);
        if (mkdtemp(dir) == NULL)
            return err_set(b->err, ERR_IO, "make a folder in '%s'", at);
        b->dir = dir;
        b->own_dir = true;
    }
    const struct start_coordinator options = {.state_dir = b->dir, .init_keys = true};
    start_describe_coordinator(arena, &options, &b->coordinator);
    b->coordinator.dies_with_us = true;
    return local_start(&b->coordinator, READY_MS, b->err);
}

static enum err_code stop(struct bench *b, enum err_code code)
{
    struct err later;
    if (b->coordinator.pid)
        local_stop(&b->coordinator, STOP_MS);
    if (b->dir && b->own_dir) {
        const enum err_code removed = file_remove_tree(b->dir, &later);
        if (removed != ERR_OK)
            cli_note(b->cli, "remove '%s' yourself: %s", b->dir, later.text);
        if (code == ERR_OK && removed != ERR_OK)
            *b->err = later;
        code = code != ERR_OK ? code : removed;
    }
    b->dir = NULL;
    return code;
}

/* One load on a fresh coordinator (or the one of --bench-state). */
static enum err_code run(struct bench *b, const char *what, struct bench_load load,
                         struct bench_figures *out)
{
    enum err_code code =
        interrupt_seen() ? err_set(b->err, ERR_CANCELLED, "interrupted") : start(b);
    if (code == ERR_OK) {
        load.state_dir = b->dir;
        load.coordinator = b->coordinator.pid;
        load.first = b->first;
        b->first += load.jobs;
        code = bench_load_run(&load, out, b->err);
    }
    if (code == ERR_OK)
        add_row(b, what, &load, out);
    return stop(b, code);
}

static uint32_t slots_of(uint32_t connections, uint32_t batches)
{
    const uint32_t wanted = connections >= 1000 ? 4 : SLOTS_MAX / (batches + 1);
    return wanted > 0 ? wanted : 1;
}

/* ---- what is measured ---- */

static enum err_code run_plain(struct bench *b, uint64_t jobs, uint32_t connections,
                               uint32_t batches, const char *what)
{
    struct bench_figures figures;
    const struct bench_load load = {.jobs = jobs,
                                    .connections = connections,
                                    .slots = slots_of(connections, batches),
                                    .batches = batches};
    return run(b, what, load, &figures);
}

/* The smallest task for which the slots are busy half of the time (Slaughter et al., "Task Bench",
 * SC'20): durations double until they are, then one step of interpolation between the last two. */
static enum err_code run_metg(struct bench *b, uint32_t connections, double *metg_us_out)
{
    double former = 0, former_us = 0;
    for (uint32_t us = 125; us <= 1024000; us *= 2) {
        struct bench_load load = {.connections = connections, .slots = 1, .task_us = us};
        const double wanted = 1.5e6 * connections / us; /* about one and a half seconds */
        load.jobs = wanted > 500 ? (wanted < 30000 ? (uint64_t)wanted : 30000) : 500;
        struct bench_figures figures;
        enum err_code code = run(b, "metg", load, &figures);
        if (code != ERR_OK)
            return code;
        const double now = efficiency(&load, &figures);
        if (now >= 0.5) {
            const double share = now > former ? (0.5 - former) / (now - former) : 1;
            *metg_us_out = former_us + ((double)us - former_us) * share;
            return ERR_OK;
        }
        former = now;
        former_us = us;
    }
    *metg_us_out = (double)NAN;
    return ERR_OK;
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

enum cli_exit verb_bench_dispatch(struct cli *cli)
{
    struct err err;
    struct bench b = {.cli = cli, .err = &err};
    long long jobs = 0, connections = 0, batches = 0, first = 0;
    double metg_us = (double)NAN;
    raise_descriptor_limit();
    interrupt_catch(); /* there is a folder to remove */
    rows_init(&b.rows, &cli->arena, "triad.bench_dispatch/1", columns, COLUMNS);
    enum err_code rc = cli_integer(cli, "jobs", 1, SUBMIT_JOBS_MAX, &jobs, &err);
    if (rc == ERR_OK)
        rc = cli_integer(cli, "connections", 1, WORKERS_MAX, &connections, &err);
    if (rc == ERR_OK)
        rc = cli_integer(cli, "batches", 0, 32, &batches, &err);
    if (rc == ERR_OK)
        rc = cli_integer(cli, "first", 0, INT64_MAX / 2, &first, &err);
    b.first = (uint64_t)first;
    if (rc == ERR_OK && cli_flag(cli, "metg"))
        rc = run_metg(&b, (uint32_t)connections, &metg_us);
    else if (rc == ERR_OK)
        rc = run_plain(&b, (uint64_t)jobs, (uint32_t)connections, (uint32_t)batches,
                       batches ? "records" : "noop");
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    const struct rows_total totals[] = {{"metg_us", metg_us, false}};
    if (cli_flag(cli, "metg")) {
        b.rows.totals = totals;
        b.rows.total_count = 1;
    }
    rows_print(&b.rows, cli);
    if (cli_flag(cli, "metg"))
        cli_note(cli, "METG(50 %%) with %lld slots: %.0f µs", connections, metg_us);
    return EXIT_OK;
}
