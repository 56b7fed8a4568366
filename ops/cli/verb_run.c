/* triad run: plan, start what is needed, submit, watch, report. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "clock.h"
#include "crew.h"
#include "file.h"
#include "human.h"
#include "interrupt.h"
#include "report_make.h"
#include "stages.h"
#include "submit.h"
#include "verbs.h"
#include "watch.h"

#define RUN_WORKERS_MAX 256
/* Longer than a coordinator that dies again and again takes to be given up. */
#define RUN_PATIENCE_MS 120000

struct run {
    struct cli *cli;
    const char *state_dir, *report_dir;
    int lock_fd; /* one `triad run` per state folder */
    long long poll_ms, worker_count;
    const char *worker_threads; /* of each; NULL: all cores */
    struct planned planned;
    struct fates fates;
    struct crew crew;
    struct connection connection;
    struct stages stages;
    struct progress progress;
    bool is_submitted;
};

/* ---- before ---- */

static enum err_code take_options(struct run *run, struct err *err)
{
    struct cli *cli = run->cli;
    enum err_code rc = cli_integer(cli, "workers", 1, RUN_WORKERS_MAX, &run->worker_count, err);
    if (rc == ERR_OK)
        rc = cli_integer(cli, "poll-ms", 10, 60000, &run->poll_ms, err);
    if (rc != ERR_OK || !cli_value(cli, "threads"))
        return rc;
    long long threads = 0;
    rc = cli_integer(cli, "threads", 1, 4096, &threads, err);
    if (rc == ERR_OK) {
        if (run->worker_count > threads)
            run->worker_count = threads; /* a worker without a core could do nothing */
        run->worker_threads = arena_printf(&cli->arena, "%lld", threads / run->worker_count);
    }
    return rc;
}

static enum err_code lock_state(struct run *run, struct err *err)
{
    const char *path = arena_printf(&run->cli->arena, "%s/run.lock", run->state_dir);
    run->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (run->lock_fd < 0)
        return err_os(err, errno, "open '%s'", path);
    if (flock(run->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return err_set(err, ERR_CONFLICT,
                       "another 'triad run' is at work in '%s': follow it with 'triad watch', or "
                       "name another folder with --state",
                       run->state_dir);
    return ERR_OK;
}

/* Two lines: what there is to do, and about how long it takes. */
static void say_summary(const struct run *run)
{
    const struct plan *plan = &run->planned.plan;
    const struct fate_counts f = fates_count(&run->fates, plan);
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    double hours = 0;
    int64_t memory = 0;
    char time[HUMAN_SIZE], bytes[HUMAN_SIZE];
    for (size_t i = 0; i < plan->job_count; i++) {
        const struct plan_job *job = &plan->jobs[i];
        if (strcmp(fates_word((void *)(uintptr_t)&run->fates, job), "reuse") != 0)
            hours += job->hours * job->threads;
        memory = job->memory_bytes > memory ? job->memory_bytes : memory;
    }
    cli_note(run->cli, "%s: %zu jobs for %zu cells: %zu new, %zu done already%s", plan->experiment,
             plan->job_count, plan->cell_count, f.fresh, f.done,
             f.again + f.open ? ", the others go on" : "");
    cli_note(run->cli, "about %s on %ld cores, at most %s of memory for one job",
             human_duration((int64_t)(hours * 3600e3 / (double)cores), time), cores,
             human_bytes((uint64_t)memory, bytes));
    for (size_t i = 0; i < plan->warning_count; i++)
        cli_note(run->cli, "warning: %s", plan->warnings[i]);
    if (f.quarantined)
        cli_note(run->cli, "%zu jobs are quarantined: 'triad job retry' lets them try again",
                 f.quarantined);
}

static enum err_code reach_coordinator(struct run *run, struct err *err)
{
    enum err_code rc = connection_open(run->cli, CONNECTION_RUNNING, &run->connection, err);
    if (rc == ERR_OK) {
        cli_note(run->cli, "using the coordinator that runs at %s",
                 run->connection.access.endpoint);
        return ERR_OK;
    }
    if (rc != ERR_UNAVAILABLE || connection_state_is_served(run->state_dir))
        return rc; /* there is one: its refusal is the news */
    connection_close(&run->connection);
    rc = crew_start_coordinator(&run->crew, err);
    return rc == ERR_OK ? connection_open(run->cli, CONNECTION_RUNNING, &run->connection, err) : rc;
}

/* Made before the work, not after it: a folder that cannot be made is found out now. */
static enum err_code make_report_dir(struct run *run, struct err *err)
{
    struct cli *cli = run->cli;
    run->report_dir = cli_value(cli, "report-dir");
    if (!run->report_dir)
        run->report_dir = arena_printf(&cli->arena, "%s/reports/%s", cli_state_dir(cli),
                                       run->planned.plan.experiment);
    return file_mkdirs(run->report_dir, 0755, err);
}

static enum err_code prepare(struct run *run, struct err *err)
{
    struct cli *cli = run->cli;
    const int64_t begin_ms = clock_mono_ms();
    enum err_code rc = take_options(run, err);
    if (rc == ERR_OK)
        rc = start_state_dir(cli, &run->state_dir, err);
    if (rc == ERR_OK)
        rc = lock_state(run, err);
    if (rc == ERR_OK)
        rc = planner_make(cli, cli->arguments[0], false, &run->planned, err);
    if (rc == ERR_OK)
        rc = make_report_dir(run, err);
    const int64_t planned_ms = clock_mono_ms();
    run->stages.plan_ms = planned_ms - begin_ms;
    if (rc != ERR_OK)
        return rc;
    run->crew = (struct crew){.cli = cli, .state_dir = run->state_dir};
    rc = reach_coordinator(run, err);
    if (rc == ERR_OK)
        rc = fates_fetch(&run->connection, &cli->arena, &run->fates, err);
    run->stages.start_ms = clock_mono_ms() - planned_ms;
    if (rc == ERR_OK)
        say_summary(run);
    return rc;
}

/* ---- the jobs ---- */

static enum err_code tend(void *ctx, struct progress *progress, struct err *err)
{
    struct run *run = ctx;
    return crew_tend(&run->crew, progress, err);
}

static enum err_code start_workers(struct run *run, struct err *err)
{
    char *copy = arena_strdup(&run->cli->arena, run->connection.access_path);
    const char *access = arena_printf(&run->cli->arena, "%s/worker.access", dirname(copy));
    return crew_start_workers(&run->crew, access, (int)run->worker_count, run->worker_threads, err);
}

static enum err_code do_jobs(struct run *run, struct err *err)
{
    struct cli *cli = run->cli;
    struct msg_submitted submitted;
    uint64_t counts[JOB_STATE_COUNT] = {0};
    const struct plan *plan = &run->planned.plan;
    const bool all_done = fates_count(&run->fates, plan).done == plan->job_count;
    const int64_t begin_ms = clock_mono_ms();
    enum err_code rc = all_done ? ERR_OK : submit_inputs(cli, &run->connection, plan, err);
    if (rc == ERR_OK)
        rc = submit_jobs(&run->connection, &run->planned, false, &cli->arena, &submitted, err);
    run->is_submitted = rc == ERR_OK;
    if (rc == ERR_OK && submitted.jobs_reused == plan->job_count) {
        cli_note(cli, "all %zu jobs are done already: nothing to run", plan->job_count);
        return ERR_OK;
    }
    if (rc == ERR_OK)
        rc = start_workers(run, err);
    run->stages.start_ms += clock_mono_ms() - begin_ms;
    const struct watch_options options = {.experiment = plan->experiment,
                                          .poll_ms = run->poll_ms,
                                          .between = tend,
                                          .ctx = run,
                                          .patience_ms = RUN_PATIENCE_MS};
    if (rc == ERR_OK) {
        progress_begin(&run->progress, cli->quiet, clock_mono_ms());
        rc = watch_until_final(&run->connection, &options, &run->progress, counts, err);
    }
    return rc;
}

/* ---- after ---- */

static enum report_format stdout_format(const struct cli *cli)
{
    switch (cli->output) {
    case OUTPUT_TABLE:
        return REPORT_TEXT;
    case OUTPUT_JSON:
        return REPORT_JSON;
    case OUTPUT_CSV:
        return REPORT_CSV;
    }
    return REPORT_TEXT;
}

static enum err_code make_report(struct run *run, struct err *err)
{
    struct cli *cli = run->cli;
    struct collected collected = {0};
    struct report *report = NULL;
    struct strbuf text = {0};
    const int64_t begin_ms = clock_mono_ms();
    const char *experiment = run->planned.plan.experiment;
    enum err_code rc = collect_experiment(&run->connection, experiment, "*", &collected, err);
    if (rc == ERR_OK)
        rc = report_make(&collected, &cli->arena, &report, err);
    if (rc == ERR_OK)
        rc = report_make_files(report, &collected, run->report_dir, err);
    if (rc == ERR_OK)
        rc = report_make_text(report, stdout_format(cli), &text, err);
    if (rc == ERR_OK) {
        fwrite(strbuf_text(&text), 1, text.len, stdout);
        fflush(stdout);
        cli_note(cli, "report.md, report.csv, report.json, report.tex and records.csv are in '%s'",
                 run->report_dir);
    }
    run->stages.report_ms = clock_mono_ms() - begin_ms;
    strbuf_release(&text);
    collected_release(&collected);
    return rc;
}

/* Where the time went, and which jobs of the plan did not succeed. */
static enum err_code account(struct run *run, int64_t begin_ms, size_t *undone_out, struct err *err)
{
    struct cli *cli = run->cli;
    const struct plan *plan = &run->planned.plan;
    struct job_table jobs;
    struct fates now;
    enum err_code rc =
        job_table_fetch(&run->connection, plan->experiment, 0, &cli->arena, &jobs, err);
    if (rc == ERR_OK)
        rc = fates_fetch(&run->connection, &cli->arena, &now, err);
    if (rc != ERR_OK)
        return rc;
    struct strbuf text = {0};
    run->stages.total_ms = clock_mono_ms() - begin_ms;
    stages_print(&run->stages, &jobs, &text);
    cli_note(cli, "%.*s", (int)text.len - 1, strbuf_text(&text));
    strbuf_release(&text);
    *undone_out = plan->job_count - fates_count(&now, plan).done;
    if (*undone_out)
        cli_note(cli, "%zu of %zu jobs did not succeed: 'triad job list --experiment %s' tells why",
                 *undone_out, plan->job_count, plan->experiment);
    return ERR_OK;
}

static void release(struct run *run)
{
    if (run->connection.client) /* the crew's coordinator must outlive the workers' farewell */
        connection_close(&run->connection);
    crew_stop(&run->crew);
    planned_release(&run->planned);
    if (run->lock_fd >= 0)
        close(run->lock_fd);
}

enum cli_exit verb_run(struct cli *cli)
{
    struct err err;
    size_t undone = 0;
    const int64_t begin_ms = clock_mono_ms();
    struct run run = {.cli = cli, .lock_fd = -1, .stages.begin_wall_ms = clock_time_ms()};
    interrupt_catch();
    enum err_code rc = prepare(&run, &err);
    if (rc == ERR_OK)
        rc = do_jobs(&run, &err);
    if (rc == ERR_OK)
        rc = make_report(&run, &err);
    if (rc == ERR_OK)
        rc = account(&run, begin_ms, &undone, &err);
    release(&run);
    if (rc != ERR_OK) {
        const enum cli_exit status = cli_fail(cli, &err);
        if (run.is_submitted)
            cli_note(cli, "what is done is kept: the same command goes on from here");
        return status;
    }
    return undone ? EXIT_UNFINISHED : EXIT_OK;
}
