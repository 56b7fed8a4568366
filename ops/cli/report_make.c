#include "report_make.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "file.h"
#include "record_export.h"

#define REPORT_WIDTH_ELSE 100
/* Of permutations and bootstraps: fixed, so that the same records always give the same figures. */
#define ANALYSIS_SEED 20260101

const char *const report_format_names[REPORT_FORMAT_COUNT] = {
    [REPORT_TEXT] = "text", [REPORT_MARKDOWN] = "markdown", [REPORT_CSV] = "csv",
    [REPORT_JSON] = "json", [REPORT_LATEX] = "latex",
};

enum err_code report_make(const struct collected *collected, struct arena *arena,
                          struct report **out, struct err *err)
{
    struct stats *stats = NULL;
    const struct stat_options options = {.seed = ANALYSIS_SEED};
    enum err_code rc = stats_analyse(collected->cells, collected->cell_count, collected->rules,
                                     collected->rule_count, &options, arena, &stats, err);
    if (rc != ERR_OK)
        return err_wrap(err, "analyse '%s'", collected->experiment);
    const struct report_info info = {
        .title = arena_printf(arena, "Report of %s", collected->experiment),
        .experiment = collected->experiment,
        .notes = collected->notes,
        .note_count = collected->note_count,
        .facts = collected->facts,
        .fact_count = collected->fact_count,
    };
    *out = report_build(&info, stats, arena);
    return ERR_OK;
}

static unsigned terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 40)
        return size.ws_col;
    return REPORT_WIDTH_ELSE;
}

enum err_code report_make_text(const struct report *report, enum report_format format,
                               struct strbuf *out, struct err *err)
{
    switch (format) {
    case REPORT_TEXT:
        report_render_text(report, terminal_width(), out);
        return ERR_OK;
    case REPORT_MARKDOWN:
        report_render_markdown(report, out);
        return ERR_OK;
    case REPORT_CSV:
        report_render_csv(report, out);
        return ERR_OK;
    case REPORT_JSON:
        return report_render_json(report, out, err);
    case REPORT_LATEX:
        report_render_latex(report, out);
        return ERR_OK;
    case REPORT_FORMAT_COUNT:
        break;
    }
    return err_set(err, ERR_INVALID, "no such report format");
}

static enum err_code write_file(const char *folder, const char *name, const struct strbuf *text,
                                struct err *err)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return err_set(err, ERR_LIMIT, "write the report: the path '%s' is too long", folder);
    return file_write_atomic(path, strbuf_text(text), text->len, cli_file_mode(), err);
}

static enum err_code write_records(const struct collected *collected, const char *folder,
                                   struct err *err)
{
    struct strbuf text = {0};
    record_export_header(RECORD_CSV, &text);
    for (size_t i = 0; i < collected->cell_count; i++)
        record_export_cell(RECORD_CSV, collected->experiment, &collected->cells[i], &text);
    enum err_code rc = write_file(folder, "records.csv", &text, err);
    strbuf_release(&text);
    return rc;
}

enum err_code report_make_files(const struct report *report, const struct collected *collected,
                                const char *folder, struct err *err)
{
    static const struct {
        const char *name;
        enum report_format format;
    } files[] = {{"report.md", REPORT_MARKDOWN},
                 {"report.csv", REPORT_CSV},
                 {"report.json", REPORT_JSON},
                 {"report.tex", REPORT_LATEX}};
    enum err_code rc = file_mkdirs(folder, 0755, err);
    for (size_t i = 0; rc == ERR_OK && i < sizeof files / sizeof files[0]; i++) {
        struct strbuf text = {0};
        rc = report_make_text(report, files[i].format, &text, err);
        if (rc == ERR_OK)
            rc = write_file(folder, files[i].name, &text, err);
        strbuf_release(&text);
    }
    return rc == ERR_OK ? write_records(collected, folder, err) : rc;
}
