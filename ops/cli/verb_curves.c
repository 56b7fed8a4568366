/* triad curves. */
#include <errno.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "curves.h"
#include "file.h"
#include "job_table.h"
#include "rows.h"
#include "verbs.h"

extern char **environ;

enum { JOBS_MAX = 16, TABLE_ROWS = 40 };

static const struct rows_column columns[] = {
    {"job", "JOB", ROWS_TEXT},         {"step", "STEP", ROWS_INTEGER},
    {"time", NULL, ROWS_TIME},         {"attempt", "TRY", ROWS_INTEGER},
    {"loss_nats", "LOSS", ROWS_REAL},  {"grad_norm", "NORM", ROWS_REAL},
    {"lr", "RATE", ROWS_REAL},         {"tokens_per_s", "TOKENS/S", ROWS_REAL},
    {"memory_bytes", NULL, ROWS_REAL}, {"rss_bytes", NULL, ROWS_REAL},
    {"rss_mib", "MIB", ROWS_REAL},
};
enum { COLUMNS = sizeof columns / sizeof columns[0], FIRST_CURVE = 4 };

static enum err_code add_batches(struct curves *curves, struct arena *arena,
                                 const struct msg_batches *batches, struct err *err)
{
    for (size_t i = 0; i < batches->payload_count; i++) {
        struct metric_point *points = NULL;
        uint32_t count = 0;
        enum err_code rc = metrics_decode(batches->payloads[i].data, batches->payloads[i].len,
                                          arena, &points, &count, err);
        if (rc != ERR_OK)
            return rc;
        for (uint32_t p = 0; p < count; p++)
            curves_add(curves, arena, batches->epoch, &points[p]);
    }
    return ERR_OK;
}

/* Everything that one attempt measured; one without a stream gives nothing. */
static enum err_code read_attempt(struct connection *c, const struct job_row *row, uint32_t epoch,
                                  struct arena *keep, struct curves *curves, struct err *err)
{
    struct msg request = {
        .kind = MSG_READ_STREAM,
        .read_stream = {.job = row->job, .epoch = epoch, .stream = STREAM_METRICS}};
    for (bool is_over = false; !is_over;) {
        struct msg reply;
        struct arena arena = {0};
        enum err_code rc = connection_call(c, &request, MSG_BATCHES, &arena, &reply, err);
        if (rc == ERR_OK)
            rc = add_batches(curves, keep, &reply.batches, err);
        is_over = rc != ERR_OK || reply.batches.end || reply.batches.payload_count == 0;
        if (rc == ERR_OK)
            request.read_stream.from += (uint32_t)reply.batches.payload_count;
        arena_release(&arena);
        if (rc != ERR_OK)
            return rc == ERR_NOT_FOUND ? ERR_OK : rc;
    }
    return ERR_OK;
}

static enum err_code read_job(struct cli *cli, struct connection *c, const char *name,
                              struct curves *curves, struct err *err)
{
    const struct job_row *row = NULL;
    enum err_code rc =
        job_table_resolve(c, cli_value(cli, "experiment"), name, &cli->arena, &row, err);
    if (rc != ERR_OK)
        return rc;
    curves->label = row->label;
    for (uint32_t epoch = 1; rc == ERR_OK && epoch <= row->attempts; epoch++)
        rc = read_attempt(c, row, epoch, &cli->arena, curves, err);
    if (rc == ERR_OK && curves->count == 0)
        rc = err_set(err, ERR_NOT_FOUND, "job '%s' has measured nothing%s", row->label,
                     row->kind == JOB_EVALUATE || row->kind == JOB_IMPORT
                         ? ": only training has curves"
                         : " yet");
    return rc;
}

static void print(struct cli *cli, const struct curves *jobs, size_t count, size_t most)
{
    struct rows rows;
    rows_init(&rows, &cli->arena, "triad.curves/1", columns, COLUMNS);
    const bool is_table = cli->output == OUTPUT_TABLE;
    for (size_t j = 0; j < count; j++) {
        double held = NAN; /* measured every few steps: a table of some rows shows the latest */
        for (size_t i = 0; i < jobs[j].count; i++) {
            const struct curve_row *row = &jobs[j].rows[i];
            held = is_table && isnan(row->values[CURVE_RSS]) ? held : row->values[CURVE_RSS];
            if (most > 0 && !curves_shows(&jobs[j], i, most))
                continue;
            struct rows_cell *cell = rows_add(&rows);
            cell[0].text = jobs[j].label;
            cell[1].integer = row->step;
            cell[2].integer = row->time_ms;
            cell[3].integer = row->attempt;
            for (int k = 0; k < CURVE_COUNT; k++)
                cell[FIRST_CURVE + k].real = row->values[k];
            cell[FIRST_CURVE + CURVE_COUNT].real = held / 1048576.0;
        }
    }
    rows_print(&rows, cli);
}

/* Run gnuplot on a script in a file that is removed afterwards. */
static enum err_code run_gnuplot(const struct strbuf *script, struct err *err)
{
    char path[] = "/tmp/triad-curves.XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0)
        return err_os(err, errno, "make a file for gnuplot in /tmp");
    enum err_code rc = file_write_all(fd, script->data, script->len, path, err);
    close(fd);
    char program[] = "gnuplot";
    char *const arguments[] = {program, path, NULL};
    pid_t pid = 0;
    int status = 0;
    if (rc == ERR_OK && posix_spawnp(&pid, program, NULL, NULL, arguments, environ) != 0)
        rc = err_set(err, ERR_NOT_FOUND,
                     "no gnuplot here to draw with (Debian: gnuplot-nox); --output csv gives the "
                     "numbers");
    if (rc == ERR_OK) {
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            rc = err_set(err, ERR_IO, "gnuplot did not draw: see above");
    }
    unlink(path);
    return rc;
}

static enum err_code plot(struct cli *cli, const struct curves *jobs, size_t count,
                          const char *path, struct err *err)
{
    struct strbuf script = {0};
    enum err_code rc = curves_gnuplot(jobs, count, path, &script, err);
    if (rc == ERR_OK)
        rc = run_gnuplot(&script, err);
    strbuf_release(&script);
    if (rc == ERR_OK)
        cli_note(cli, "drew %s", path);
    return rc;
}

enum cli_exit verb_curves(struct cli *cli)
{
    struct err err;
    struct connection c = {0};
    struct curves jobs[JOBS_MAX] = {{.label = NULL}};
    const char *figure = cli_value(cli, "plot");
    const size_t count = (size_t)cli->argument_count;
    long long most = 0;
    enum err_code rc = cli_integer(cli, "rows", 0, 1000000000, &most, &err);
    if (rc == ERR_OK)
        rc = connection_open(cli, CONNECTION_STATE, &c, &err);
    for (size_t j = 0; rc == ERR_OK && j < count; j++)
        rc = read_job(cli, &c, cli->arguments[j], &jobs[j], &err);
    connection_close(&c);
    if (rc == ERR_OK && figure)
        rc = plot(cli, jobs, count, figure, &err);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    if (most == 0 && cli->output == OUTPUT_TABLE)
        most = TABLE_ROWS;
    if (!figure)
        print(cli, jobs, count, (size_t)most);
    return EXIT_OK;
}
