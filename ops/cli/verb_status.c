/* triad status, triad watch. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "clock.h"
#include "human.h"
#include "interrupt.h"
#include "rows.h"
#include "verbs.h"
#include "watch.h"

#define WATCH_PATIENCE_MS 60000 /* a coordinator that is being restarted */

static const struct rows_column experiment_columns[] = {
    {"experiment", "EXPERIMENT", ROWS_TEXT},
    {"created", NULL, ROWS_TIME},
    {"jobs", "JOBS", ROWS_INTEGER},
    {"waiting", "WAITING", ROWS_INTEGER},
    {"leased", NULL, ROWS_INTEGER},
    {"running", "RUNNING", ROWS_INTEGER},
    {"done", "DONE", ROWS_INTEGER},
    {"failed", "FAILED", ROWS_INTEGER},
    {"cancelled", "CANCELLED", ROWS_INTEGER},
    {"aborted", "ABORTED", ROWS_INTEGER},
    {"quarantined", "QUARANTINED", ROWS_INTEGER},
    {"work_done", "WORK", ROWS_REAL},
    {"eta_s", NULL, ROWS_REAL},
    {"eta", "LEFT", ROWS_TEXT},
    {"priority", NULL, ROWS_INTEGER},
    {"paused", "PAUSED", ROWS_TEXT},
};
enum { EXPERIMENT_COLUMNS = sizeof experiment_columns / sizeof experiment_columns[0] };
/* Columns 3 … 10 are the states in the order of enum job_state. */
enum { FIRST_STATE_COLUMN = 3 };

static void add_experiment(struct rows *rows, const struct experiment_row *e)
{
    struct rows_cell *cell = rows_add(rows);
    char text[HUMAN_SIZE];
    cell[0].text = e->name;
    cell[1].integer = e->created_ms;
    for (int s = 0; s < JOB_STATE_COUNT; s++) {
        cell[2].integer += (int64_t)e->counts[s];
        cell[FIRST_STATE_COLUMN + s].integer = (int64_t)e->counts[s];
    }
    cell[11].real = e->work_done_ratio;
    cell[12].real = e->eta_ms < 0 ? (double)NAN : (double)e->eta_ms / 1e3;
    cell[13].text =
        e->eta_ms < 0 ? "-" : arena_strdup(rows->arena, human_duration(e->eta_ms, text));
    cell[14].integer = e->priority;
    cell[15].text = e->paused ? "yes" : "";
}

static void print_running(const struct msg_status *status)
{
    struct strbuf line = {0};
    printf("\n%" PRIu32 " worker%s with %" PRIu32 " thread%s; running now:%s\n", status->workers,
           status->workers == 1 ? "" : "s", status->threads, status->threads == 1 ? "" : "s",
           status->running_count ? "" : " nothing");
    for (size_t i = 0; i < status->running_count; i++) {
        strbuf_clear(&line);
        progress_running(&status->running[i], 24, &line);
        puts(strbuf_text(&line));
    }
    strbuf_release(&line);
}

enum cli_exit verb_status(struct cli *cli)
{
    struct err err;
    struct connection c = {0};
    struct msg reply;
    const char *name = cli->argument_count ? cli->arguments[0] : "";
    enum err_code rc = connection_open(cli, CONNECTION_STATE, &c, &err);
    if (rc == ERR_OK && *name)
        rc = connection_check_experiment(&c, name, &cli->arena, &err);
    const struct msg request = {.kind = MSG_GET_STATUS, .get_status = {.experiment = name}};
    if (rc == ERR_OK)
        rc = connection_call(&c, &request, MSG_STATUS, &cli->arena, &reply, &err);
    if (rc == ERR_OK) {
        struct rows rows;
        rows_init(&rows, &cli->arena, "triad.status/1", experiment_columns, EXPERIMENT_COLUMNS);
        for (size_t i = 0; i < reply.status.experiment_count; i++)
            add_experiment(&rows, &reply.status.experiments[i]);
        rows_print(&rows, cli);
        if (cli->output == OUTPUT_TABLE)
            print_running(&reply.status);
        if (*reply.status.trouble)
            cli_note(cli, "%s", reply.status.trouble);
    }
    connection_close(&c);
    return rc == ERR_OK ? EXIT_OK : cli_fail(cli, &err);
}

enum cli_exit verb_watch(struct cli *cli)
{
    struct err err;
    struct connection c = {0};
    struct progress progress;
    uint64_t counts[JOB_STATE_COUNT] = {0};
    long long poll_ms = 0, timeout_ms = 0;
    enum err_code rc = cli_integer(cli, "poll-ms", 10, 60000, &poll_ms, &err);
    if (rc == ERR_OK && cli_value(cli, "timeout"))
        rc = cli_duration_ms(cli, "timeout", &timeout_ms, &err);
    if (rc == ERR_OK)
        rc = connection_open(cli, CONNECTION_RUNNING, &c, &err);
    struct watch_options options = {.experiment = cli->argument_count ? cli->arguments[0] : "",
                                    .poll_ms = poll_ms,
                                    .patience_ms = WATCH_PATIENCE_MS};
    if (cli_is_given(cli, "timeout"))
        options.deadline_ms = clock_mono_ms() + timeout_ms;
    if (rc == ERR_OK && *options.experiment)
        rc = connection_check_experiment(&c, options.experiment, &cli->arena, &err);
    if (rc == ERR_OK) {
        interrupt_catch();
        progress_begin(&progress, cli->quiet, clock_mono_ms());
        rc = watch_until_final(&c, &options, &progress, counts, &err);
    }
    connection_close(&c);
    return rc == ERR_OK ? watch_exit(counts) : cli_fail(cli, &err);
}
