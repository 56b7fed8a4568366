/* triad report. */
#include <stdio.h>
#include <string.h>

#include "report_make.h"
#include "verbs.h"

/* --format, or what --output asks for. */
static enum err_code wanted_format(const struct cli *cli, enum report_format *out, struct err *err)
{
    const char *name = cli_value(cli, "format");
    if (cli_is_given(cli, "format") && cli->output != OUTPUT_TABLE)
        return err_set(err, ERR_INVALID, "give one of --format and --output");
    if (cli->output == OUTPUT_JSON)
        name = "json";
    if (cli->output == OUTPUT_CSV)
        name = "csv";
    for (int f = 0; f < REPORT_FORMAT_COUNT; f++) {
        if (strcmp(report_format_names[f], name) == 0) {
            *out = (enum report_format)f;
            return ERR_OK;
        }
    }
    const char *near = str_did_you_mean(name, report_format_names, REPORT_FORMAT_COUNT);
    return err_set(err, ERR_INVALID,
                   "--format is one of text, markdown, csv, json, latex, not '%s'%s%s%s", name,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

enum cli_exit verb_report(struct cli *cli)
{
    struct err err;
    struct connection c = {0};
    struct collected collected = {0};
    struct report *report = NULL;
    struct strbuf text = {0};
    enum report_format format = REPORT_TEXT;
    const char *folder = cli_value(cli, "report-dir");
    if (wanted_format(cli, &format, &err) != ERR_OK)
        return cli_fail(cli, &err);
    enum err_code rc = connection_open(cli, CONNECTION_STATE, &c, &err);
    if (rc == ERR_OK)
        rc = collect_experiment(&c, cli->arguments[0], "*", &collected, &err);
    connection_close(&c);
    if (rc == ERR_OK)
        rc = report_make(&collected, &cli->arena, &report, &err);
    if (rc == ERR_OK)
        rc = report_make_text(report, format, &text, &err);
    if (rc == ERR_OK && folder)
        rc = report_make_files(report, &collected, folder, &err);
    if (rc == ERR_OK) {
        fwrite(strbuf_text(&text), 1, text.len, stdout);
        if (collected.missing_count)
            cli_note(cli, "%zu of %zu cells are missing", collected.missing_count,
                     collected.cell_count);
    }
    strbuf_release(&text);
    collected_release(&collected);
    return rc == ERR_OK ? EXIT_OK : cli_fail(cli, &err);
}
