/* triad records export, triad metrics export. */
#include <stdio.h>
#include <string.h>

#include "collect.h"
#include "metrics.h"
#include "record_export.h"
#include "rows.h"
#include "verbs.h"

/* --output json is one document, as of every verb; --format jsonl has an object a line, for whoever
 * reads it piece by piece. */
static enum err_code record_format(const struct cli *cli, enum record_format *out, struct err *err)
{
    const char *name = cli_value(cli, "format");
    const bool lines = strcmp(name, "jsonl") == 0;
    if (!lines && strcmp(name, "csv") != 0)
        return err_set(err, ERR_INVALID, "--format is csv or jsonl, not '%s'", name);
    if (cli_is_given(cli, "format") && cli->output != OUTPUT_TABLE)
        return err_set(err, ERR_INVALID, "give one of --format and --output");
    *out = lines || cli->output == OUTPUT_JSON ? RECORD_JSONL : RECORD_CSV;
    return ERR_OK;
}

/* JSON lines as elements of an array: commas in between, none before the first. */
static void print_elements(char *lines, bool *is_first)
{
    char *rest = NULL;
    for (char *line = strtok_r(lines, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        fputs(*is_first ? "\n" : ",\n", stdout);
        fputs(line, stdout);
        *is_first = false;
    }
}

static void print_records(const struct cli *cli, enum record_format format,
                          const struct collected *collected)
{
    const bool document = cli->output == OUTPUT_JSON;
    struct strbuf text = {0};
    bool is_first = true;
    record_export_header(format, &text);
    fputs(document ? "{\"schema\": \"triad.records/1\", \"rows\": [" : strbuf_text(&text), stdout);
    for (size_t i = 0; i < collected->cell_count; i++) {
        strbuf_clear(&text);
        record_export_cell(format, collected->experiment, &collected->cells[i], &text);
        if (document && text.len)
            print_elements(text.data, &is_first);
        else if (!document)
            fwrite(strbuf_text(&text), 1, text.len, stdout);
    }
    if (document)
        puts("\n]}");
    strbuf_release(&text);
}

enum cli_exit verb_records_export(struct cli *cli)
{
    struct err err;
    struct connection c = {0};
    struct collected collected = {0};
    enum record_format format = RECORD_CSV;
    enum err_code rc = record_format(cli, &format, &err);
    if (rc == ERR_OK)
        rc = connection_open(cli, CONNECTION_STATE, &c, &err);
    if (rc == ERR_OK)
        rc = collect_experiment(&c, cli->arguments[0], cli_value(cli, "task"), &collected, &err);
    connection_close(&c);
    if (rc == ERR_OK) {
        print_records(cli, format, &collected);
        if (collected.cell_count == 0)
            cli_note(cli, "no task of '%s' matches '%s'", cli->arguments[0],
                     cli_value(cli, "task"));
        if (collected.missing_count)
            cli_note(cli, "%zu of %zu cells are missing", collected.missing_count,
                     collected.cell_count);
    }
    collected_release(&collected);
    return rc == ERR_OK ? EXIT_OK : cli_fail(cli, &err);
}

static const struct rows_column metric_columns[] = {
    {"step", "STEP", ROWS_INTEGER},
    {"time", "TIME", ROWS_TIME},
    {"name", "NAME", ROWS_TEXT},
    {"value", "VALUE", ROWS_REAL},
};
enum { METRIC_COLUMNS = sizeof metric_columns / sizeof metric_columns[0] };

/* Read one reply's batches into rows, which keep what they need in the command's arena. */
static enum err_code add_metrics(struct rows *rows, const struct msg_batches *batches,
                                 struct err *err)
{
    for (size_t i = 0; i < batches->payload_count; i++) {
        struct metric_point *points = NULL;
        uint32_t count = 0;
        enum err_code rc = metrics_decode(batches->payloads[i].data, batches->payloads[i].len,
                                          rows->arena, &points, &count, err);
        if (rc != ERR_OK)
            return rc;
        for (uint32_t p = 0; p < count; p++) {
            struct rows_cell *cell = rows_add(rows);
            cell[0].integer = points[p].step;
            cell[1].integer = points[p].time_ms;
            cell[2].text = points[p].name;
            cell[3].real = points[p].value;
        }
    }
    return ERR_OK;
}

enum cli_exit verb_metrics_export(struct cli *cli)
{
    struct err err;
    struct connection c = {0};
    const struct job_row *row = NULL;
    struct rows rows;
    rows_init(&rows, &cli->arena, "triad.metrics/1", metric_columns, METRIC_COLUMNS);
    enum err_code rc = connection_open(cli, CONNECTION_STATE, &c, &err);
    if (rc == ERR_OK)
        rc = job_table_resolve(&c, cli_value(cli, "experiment"), cli->arguments[0], &cli->arena,
                               &row, &err);
    struct msg request = {.kind = MSG_READ_STREAM, .read_stream = {.stream = STREAM_METRICS}};
    bool is_over = rc != ERR_OK;
    while (!is_over) {
        struct msg reply;
        struct arena arena = {0};
        request.read_stream.job = row->job;
        rc = connection_call(&c, &request, MSG_BATCHES, &arena, &reply, &err);
        if (rc == ERR_OK)
            rc = add_metrics(&rows, &reply.batches, &err);
        is_over = rc != ERR_OK || reply.batches.end || reply.batches.payload_count == 0;
        if (rc == ERR_OK)
            request.read_stream.from += (uint32_t)reply.batches.payload_count;
        arena_release(&arena);
    }
    connection_close(&c);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    rows_print(&rows, cli);
    return EXIT_OK;
}
