/* triad job explain: why a job waits, or what happened to it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "human.h"
#include "job_table.h"
#include "rows.h"
#include "str.h"
#include "verbs.h"

#define LOG_LINES_SHOWN 5

static const struct rows_column explain_columns[] = {
    {"worker", "WORKER", ROWS_TEXT},
    {"node", "NODE", ROWS_TEXT},
    {"word", "WHY NOT", ROWS_TEXT},
    {"detail", "DETAIL", ROWS_TEXT},
};

static void fill_workers(struct rows *rows, const struct msg_explanation *e, struct arena *arena)
{
    rows_init(rows, arena, "triad.explain/1", explain_columns, 4);
    for (size_t i = 0; i < e->row_count; i++) {
        struct rows_cell *cell = rows_add(rows);
        cell[0].text = e->rows[i].worker;
        cell[1].text = e->rows[i].node;
        cell[2].text = e->rows[i].word;
        cell[3].text = e->rows[i].detail;
    }
}

static void print_waiting(struct cli *cli, const struct msg_explanation *e)
{
    struct rows rows;
    char text[HUMAN_SIZE];
    printf("waits: %s (%s)\n", rows_clean(&cli->arena, e->word), rows_clean(&cli->arena, e->text));
    if (e->backoff_ms > 0)
        printf("next attempt in %s\n", human_duration(e->backoff_ms, text));
    if (e->ahead > 0)
        printf("%" PRIu64 " jobs of its experiment go first\n", e->ahead);
    if (e->row_count == 0)
        return;
    putchar('\n');
    fill_workers(&rows, e, &cli->arena);
    rows_print(&rows, cli);
}

/* The last lines that an attempt wrote, in the arena; "" when there are none. */
static enum err_code last_lines(struct connection *c, const struct digest *job,
                                const struct attempt_row *a, struct arena *arena, const char **out,
                                struct err *err)
{
    struct msg reply;
    const uint32_t count = a->batches[STREAM_LOG];
    *out = "";
    if (count == 0)
        return ERR_OK;
    const struct msg request = {
        .kind = MSG_READ_STREAM,
        .read_stream = {.job = *job, .epoch = a->epoch, .stream = STREAM_LOG, .from = count - 1}};
    enum err_code rc = connection_call(c, &request, MSG_BATCHES, arena, &reply, err);
    if (rc != ERR_OK || reply.batches.payload_count == 0)
        return rc;
    const struct bytes payload = reply.batches.payloads[0];
    struct strbuf clean = {0};
    for (size_t begin = 0, i = 0; i <= payload.len; i++) {
        if (i < payload.len && payload.data[i] != '\n')
            continue;
        if (i > begin) {
            strbuf_append_clean(&clean, (const char *)payload.data + begin, i - begin);
            strbuf_putc(&clean, '\n');
        }
        begin = i + 1;
    }
    const char *text = arena_strdup(arena, strbuf_text(&clean));
    strbuf_release(&clean);
    size_t at = strlen(text);
    for (int lines = 0; at > 0; at--)
        if (text[at - 1] == '\n' && ++lines > LOG_LINES_SHOWN)
            break;
    *out = text + at;
    return ERR_OK;
}

static enum err_code print_attempt(struct connection *c, const struct digest *job,
                                   const struct attempt_row *a, struct arena *arena,
                                   struct err *err)
{
    char memory[HUMAN_SIZE], wall[HUMAN_SIZE];
    const char *lines = "";
    printf("\nattempt %u on %s (%s): %s%s%s\n", a->epoch, rows_clean(arena, a->worker),
           *a->node ? rows_clean(arena, a->node) : "?",
           a->ended ? outcome_name(a->outcome) : "under way", *a->reason ? ": " : "",
           rows_clean(arena, a->reason));
    if (!a->ended)
        return ERR_OK;
    printf("  after %s, memory peak %s, exit code %d, signal %u, from step %" PRIu64 "\n",
           human_duration((int64_t)a->wall_ms, wall), human_bytes(a->memory_peak_bytes, memory),
           a->exit_code, a->exit_signal, a->start_step);
    if (a->committed)
        return ERR_OK;
    enum err_code rc = last_lines(c, job, a, arena, &lines, err);
    for (const char *line = lines; rc == ERR_OK && *line;) {
        const size_t len = strcspn(line, "\n");
        printf("  | %.*s\n", (int)len, line);
        line += len + (line[len] == '\n');
    }
    return rc;
}

/* What a person does next about a job in this state. */
static const char *next_step(enum job_state state)
{
    switch (state) {
    case JOB_FAILED:
    case JOB_CANCELLED:
        return "'triad job retry' lets it wait anew";
    case JOB_QUARANTINED:
        return "mend its cause, then 'triad job release' lets it wait anew";
    case JOB_ABORTED:
        return "'triad job retry' takes what it depends on along";
    case JOB_WAITING:
    case JOB_LEASED:
    case JOB_RUNNING:
    case JOB_DONE:
    case JOB_STATE_COUNT:
        break;
    }
    return "";
}

static enum err_code print_history(struct connection *c, const struct msg_job *job,
                                   struct arena *arena, struct err *err)
{
    enum err_code rc = ERR_OK;
    for (size_t i = job->attempt_count; i > 0 && rc == ERR_OK; i--)
        rc = print_attempt(c, &job->row.job, &job->attempts[i - 1], arena, err);
    const char *next = next_step(job->row.state);
    if (*next)
        printf("\n%s\n", next);
    return rc;
}

static void print_document(struct cli *cli, const struct msg_job *job,
                           const struct msg_explanation *e)
{
    struct rows rows;
    char hex[DIGEST_HEX_SIZE];
    json_t *root = json_object();
    fill_workers(&rows, e, &cli->arena);
    json_object_set_new(root, "schema", json_string("triad.explain/1"));
    json_object_set_new(root, "job", json_string(digest_hex(&job->row.job, hex)));
    json_object_set_new(root, "label", json_string(job->row.label));
    json_object_set_new(root, "state", json_string(job_state_name(job->row.state)));
    json_object_set_new(root, "word", json_string(e->word));
    json_object_set_new(root, "text", json_string(*e->text ? e->text : job->row.reason));
    json_object_set_new(root, "ahead", json_integer((json_int_t)e->ahead));
    json_object_set_new(root, "backoff_ms", json_integer(e->backoff_ms));
    json_object_set_new(root, "workers", rows_json(&rows));
    rows_print_document(root);
}

enum cli_exit verb_job_explain(struct cli *cli)
{
    struct err err;
    struct connection c = {0};
    struct arena *arena = &cli->arena;
    const struct job_row *row = NULL;
    struct msg shown, explained;
    enum err_code rc = connection_open(cli, CONNECTION_STATE, &c, &err);
    if (rc == ERR_OK)
        rc = job_table_resolve(&c, cli_value(cli, "experiment"), cli->arguments[0], arena, &row,
                               &err);
    if (rc == ERR_OK) {
        const struct msg request = {.kind = MSG_SHOW_JOB, .show_job = {.job = row->job}};
        rc = connection_call(&c, &request, MSG_JOB, arena, &shown, &err);
    }
    if (rc == ERR_OK) {
        const struct msg request = {.kind = MSG_EXPLAIN_JOB, .explain_job = {.job = row->job}};
        rc = connection_call(&c, &request, MSG_EXPLANATION, arena, &explained, &err);
    }
    if (rc == ERR_OK && cli->output == OUTPUT_JSON) {
        print_document(cli, &shown.job, &explained.explanation);
    } else if (rc == ERR_OK) {
        printf("%s is %s\n", rows_clean(arena, shown.job.row.label),
               job_table_state_text(&shown.job.row, arena));
        if (*explained.explanation.word)
            print_waiting(cli, &explained.explanation);
        rc = print_history(&c, &shown.job, arena, &err);
    }
    connection_close(&c);
    return rc == ERR_OK ? EXIT_OK : cli_fail(cli, &err);
}
