/* triad plan: everything that would happen, and nothing else. */
#include <stdio.h>

#include "file.h"
#include "planner.h"
#include "rows.h"
#include "submit.h"
#include "verbs.h"
#include "why_new.h"

static const struct rows_column plan_columns[] = {
    {"job", NULL, ROWS_DIGEST},
    {"label", NULL, ROWS_TEXT},
    {"kind", NULL, ROWS_TEXT},
    {"fate", NULL, ROWS_TEXT},
    {"format", NULL, ROWS_TEXT},
    {"threads", NULL, ROWS_INTEGER},
    {"memory_bytes", NULL, ROWS_INTEGER},
    {"tokens", NULL, ROWS_INTEGER},
    {"items", NULL, ROWS_INTEGER},
    {"hours", NULL, ROWS_REAL},
    {"why", NULL, ROWS_TEXT},
};
enum { PLAN_COLUMNS = sizeof plan_columns / sizeof plan_columns[0] };

static void print_csv(struct cli *cli, const struct plan *plan, struct fates *fates)
{
    struct rows rows;
    rows_init(&rows, &cli->arena, "triad.plan/2", plan_columns, PLAN_COLUMNS);
    for (size_t i = 0; i < plan->job_count; i++) {
        const struct plan_job *job = &plan->jobs[i];
        char hex[DIGEST_HEX_SIZE];
        struct rows_cell *cell = rows_add(&rows);
        cell[0].text = arena_strdup(&cli->arena, digest_hex(&job->identity, hex));
        cell[1].text = job->label;
        cell[2].text = job_kind_name(job->kind);
        cell[3].text = fates ? fates_word(fates, job) : "";
        cell[4].text = job->format;
        cell[5].integer = job->threads;
        cell[6].integer = job->memory_bytes;
        cell[7].integer = job->tokens;
        cell[8].integer = job->items;
        cell[9].real = job->hours;
        const char *why = fates ? fates_why(fates, job) : NULL;
        cell[10].text = why ? why : "";
    }
    rows_print(&rows, cli);
}

/* What the state folder's coordinator would reuse; NULL when none answers: planning starts nothing.
 */
static struct fates *known_fates(struct cli *cli, const struct plan *plan, struct fates *fates)
{
    struct connection c = {0};
    struct err err;
    const bool is_known = connection_open(cli, CONNECTION_RUNNING, &c, &err) == ERR_OK &&
                          fates_fetch(&c, &cli->arena, fates, &err) == ERR_OK &&
                          why_new_fetch(&c, plan, &cli->arena, fates, &err) == ERR_OK;
    connection_close(&c);
    return is_known ? fates : NULL;
}

/* One a line, as tar and rsync read them. */
static void print_files(const struct planned *planned)
{
    for (size_t i = 0; i < planned->files.count; i++)
        printf("%s\n", planned->files.paths[i]);
}

enum cli_exit verb_plan(struct cli *cli)
{
    struct err err;
    struct planned planned = {0};
    struct fates known = {0};
    enum err_code rc =
        planner_make(cli, cli->arguments[0], cli_flag(cli, "missing-ok"), &planned, &err);
    if (rc == ERR_OK && cli_flag(cli, "files")) {
        print_files(&planned);
    } else if (rc == ERR_OK) {
        struct strbuf text = {0};
        struct fates *fates = known_fates(cli, &planned.plan, &known);
        switch (cli->output) {
        case OUTPUT_TABLE:
            plan_text(&planned.plan, fates ? fates_word : NULL, fates ? fates_why : NULL, fates,
                      &text);
            break;
        case OUTPUT_JSON:
            plan_json(&planned.plan, fates ? fates_word : NULL, fates ? fates_why : NULL, fates,
                      &text);
            strbuf_putc(&text, '\n');
            break;
        case OUTPUT_CSV:
            print_csv(cli, &planned.plan, fates);
            break;
        }
        fwrite(strbuf_text(&text), 1, text.len, stdout);
        strbuf_release(&text);
        if (!fates)
            cli_note(cli, "no coordinator answers in '%s': not known what would be reused",
                     cli_state_dir(cli));
    }
    planned_release(&planned);
    if (rc == ERR_OK)
        return EXIT_OK;
    const enum cli_exit status = cli_fail(cli, &err);
    if (rc == ERR_NOT_FOUND && !cli_flag(cli, "missing-ok") && file_exists(cli->arguments[0]))
        cli_note(cli, "'triad plan %s --missing-ok' lists all that is not here, and plans the rest",
                 cli->arguments[0]);
    return status;
}
