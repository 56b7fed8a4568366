/* triad submit. */
#include "clock.h"
#include "interrupt.h"
#include "rows.h"
#include "submit.h"
#include "verbs.h"
#include "watch.h"

#define SUBMIT_POLL_MS     500
#define SUBMIT_PATIENCE_MS 60000

static const struct rows_column submit_columns[] = {
    {"experiment", "EXPERIMENT", ROWS_TEXT}, {"new", "NEW", ROWS_INTEGER},
    {"reused", "REUSED", ROWS_INTEGER},      {"again", "AGAIN", ROWS_INTEGER},
    {"running", "RUNNING", ROWS_INTEGER},
};
enum { SUBMIT_COLUMNS = sizeof submit_columns / sizeof submit_columns[0] };

static void print_submitted(struct cli *cli, const char *experiment, const struct msg_submitted *s)
{
    struct strbuf summary = {0};
    struct rows rows;
    submit_summary(s, &summary);
    cli_note(cli, "%s: %s", experiment, strbuf_text(&summary));
    strbuf_release(&summary);
    rows_init(&rows, &cli->arena, "triad.submitted/1", submit_columns, SUBMIT_COLUMNS);
    struct rows_cell *cell = rows_add(&rows);
    cell[0].text = experiment;
    cell[1].integer = (int64_t)s->jobs_new;
    cell[2].integer = (int64_t)s->jobs_reused;
    cell[3].integer = (int64_t)s->jobs_requeued;
    cell[4].integer = (int64_t)s->jobs_running;
    rows_print(&rows, cli);
}

/* Submitting does not end a pause, which a person may have forgotten. */
static enum err_code tell_paused(struct cli *cli, struct connection *c, const char *experiment,
                                 struct err *err)
{
    struct msg reply;
    const struct msg request = {.kind = MSG_GET_STATUS, .get_status = {.experiment = experiment}};
    enum err_code rc = connection_call(c, &request, MSG_STATUS, &cli->arena, &reply, err);
    for (size_t i = 0; rc == ERR_OK && i < reply.status.experiment_count; i++)
        if (reply.status.experiments[i].paused)
            cli_note(cli, "%s stays paused: 'triad experiment resume %s' lets its jobs start",
                     experiment, experiment);
    return rc;
}

enum cli_exit verb_submit(struct cli *cli)
{
    struct err err;
    struct planned planned = {0};
    struct connection c = {0};
    struct msg_submitted submitted;
    uint64_t counts[JOB_STATE_COUNT] = {0};
    const bool dry_run = cli_flag(cli, "dry-run");
    const bool wait = cli_flag(cli, "wait") && !dry_run;
    enum err_code rc = connection_open(cli, CONNECTION_RUNNING, &c, &err);
    if (rc == ERR_OK)
        rc = planner_make(cli, cli->arguments[0], false, &planned, &err);
    if (rc == ERR_OK && !dry_run)
        rc = submit_inputs(cli, &c, &planned.plan, &err);
    if (rc == ERR_OK)
        rc = submit_jobs(&c, &planned, dry_run, &cli->arena, &submitted, &err);
    if (rc == ERR_OK)
        print_submitted(cli, planned.plan.experiment, &submitted);
    if (rc == ERR_OK && !wait && !dry_run) /* who waits is told by the watch */
        rc = tell_paused(cli, &c, planned.plan.experiment, &err);
    if (rc == ERR_OK && wait) {
        struct progress progress;
        const struct watch_options options = {.experiment = planned.plan.experiment,
                                              .poll_ms = SUBMIT_POLL_MS,
                                              .patience_ms = SUBMIT_PATIENCE_MS};
        interrupt_catch();
        progress_begin(&progress, cli->quiet, clock_mono_ms());
        rc = watch_until_final(&c, &options, &progress, counts, &err);
    }
    connection_close(&c);
    planned_release(&planned);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    return wait ? watch_exit(counts) : EXIT_OK;
}
