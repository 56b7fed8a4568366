/* triad job list | show | logs | cancel | retry | release | priority. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bounds.h"
#include "human.h"
#include "job_table.h"
#include "rows.h"
#include "verbs.h"

static const struct rows_column job_columns[] = {
    {"job", "JOB", ROWS_DIGEST},        {"label", "LABEL", ROWS_TEXT},
    {"kind", "KIND", ROWS_TEXT},        {"state", "STATE", ROWS_TEXT},
    {"family", NULL, ROWS_TEXT},        {"variant", NULL, ROWS_TEXT},
    {"task", NULL, ROWS_TEXT},          {"seed", NULL, ROWS_INTEGER},
    {"progress", "DONE", ROWS_INTEGER}, {"progress_total", "OF", ROWS_INTEGER},
    {"items", NULL, ROWS_INTEGER},      {"attempts", "TRIES", ROWS_INTEGER},
    {"worker", "WORKER", ROWS_TEXT},    {"submitted", NULL, ROWS_TIME},
    {"started", NULL, ROWS_TIME},       {"ended", NULL, ROWS_TIME},
    {"seconds", "SECONDS", ROWS_REAL},  {"artifact", NULL, ROWS_DIGEST},
    {"records", NULL, ROWS_DIGEST},     {"numeric_class", NULL, ROWS_TEXT},
    {"priority", NULL, ROWS_INTEGER},   {"reason", "REASON", ROWS_TEXT},
};
enum { JOB_COLUMNS = sizeof job_columns / sizeof job_columns[0] };

/* Hexadecimal text in the arena; NULL for none. */
static const char *hex_of(struct arena *arena, const struct digest *digest)
{
    char hex[DIGEST_HEX_SIZE];
    return digest_is_none(digest) ? NULL : arena_strdup(arena, digest_hex(digest, hex));
}

static void add_job(struct rows *rows, const struct job_row *row)
{
    struct rows_cell *cell = rows_add(rows);
    const bool has_time = row->started_ms != 0 && row->ended_ms >= row->started_ms;
    const struct rows_cell values[] = {
        {.text = hex_of(rows->arena, &row->job)},
        {.text = row->label},
        {.text = job_kind_name(row->kind)},
        {.text = job_state_name(row->state)},
        {.text = row->family},
        {.text = row->variant},
        {.text = row->task},
        {.integer = (int64_t)row->seed},
        {.integer = (int64_t)row->done},
        {.integer = (int64_t)row->total},
        {.integer = (int64_t)row->items},
        {.integer = row->attempts},
        {.text = row->worker},
        {.integer = row->submitted_ms},
        {.integer = row->started_ms},
        {.integer = row->ended_ms},
        {.real = has_time ? (double)(row->ended_ms - row->started_ms) / 1e3 : (double)NAN},
        {.text = hex_of(rows->arena, &row->artifact)},
        {.text = hex_of(rows->arena, &row->records)},
        {.text = row->numeric_class},
        {.integer = row->priority},
        {.text = row->reason},
    };
    _Static_assert(sizeof values / sizeof values[0] == JOB_COLUMNS, "a value per column");
    memcpy(cell, values, sizeof values);
}

enum cli_exit verb_job_list(struct cli *cli)
{
    struct err err;
    struct connection c = {0};
    struct job_table table = {0};
    uint32_t mask = 0;
    const char *experiment = cli_value(cli, "experiment");
    enum err_code rc = job_table_state_mask(cli_value(cli, "jobs-state"), &mask, &err);
    if (rc == ERR_OK)
        rc = connection_open(cli, CONNECTION_STATE, &c, &err);
    if (rc == ERR_OK && *experiment)
        rc = connection_check_experiment(&c, experiment, &cli->arena, &err);
    if (rc == ERR_OK)
        rc = job_table_fetch(&c, experiment, mask, &cli->arena, &table, &err);
    connection_close(&c);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    struct rows rows;
    rows_init(&rows, &cli->arena, "triad.jobs/1", job_columns, JOB_COLUMNS);
    for (size_t i = 0; i < table.count; i++)
        add_job(&rows, table.rows[i]);
    rows_print(&rows, cli);
    return EXIT_OK;
}

static const struct rows_column attempt_columns[] = {
    {"epoch", "TRY", ROWS_INTEGER},
    {"worker", "WORKER", ROWS_TEXT},
    {"node", "NODE", ROWS_TEXT},
    {"outcome", "OUTCOME", ROWS_TEXT},
    {"committed", "KEPT", ROWS_TEXT},
    {"start_step", "FROM STEP", ROWS_INTEGER},
    {"started", "STARTED", ROWS_TIME},
    {"ended", NULL, ROWS_TIME},
    {"wall_s", "SECONDS", ROWS_REAL},
    {"cpu_s", "CPU S", ROWS_REAL},
    {"memory_peak_bytes", NULL, ROWS_INTEGER},
    {"memory_peak", "MEMORY", ROWS_TEXT},
    {"exit_code", NULL, ROWS_INTEGER},
    {"exit_signal", "SIGNAL", ROWS_INTEGER},
    {"artifact", "ARTIFACT", ROWS_DIGEST},
    {"metric_batches", NULL, ROWS_INTEGER},
    {"record_batches", NULL, ROWS_INTEGER},
    {"log_batches", NULL, ROWS_INTEGER},
    {"reason", "REASON", ROWS_TEXT},
};
enum { ATTEMPT_COLUMNS = sizeof attempt_columns / sizeof attempt_columns[0] };

static void add_attempt(struct rows *rows, const struct attempt_row *a)
{
    struct arena *arena = rows->arena;
    char text[HUMAN_SIZE];
    struct rows_cell *cell = rows_add(rows);
    const struct rows_cell values[] = {
        {.integer = a->epoch},
        {.text = a->worker},
        {.text = a->node},
        {.text = a->ended ? outcome_name(a->outcome) : "running"},
        {.text = a->committed ? "yes" : "no"},
        {.integer = (int64_t)a->start_step},
        {.integer = a->started_ms},
        {.integer = a->ended_ms},
        {.real = a->ended ? (double)a->wall_ms / 1e3 : (double)NAN},
        {.real = a->ended ? (double)a->cpu_ms / 1e3 : (double)NAN},
        {.integer = (int64_t)a->memory_peak_bytes},
        {.text = arena_strdup(arena, human_bytes(a->memory_peak_bytes, text))},
        {.integer = a->exit_code},
        {.integer = a->exit_signal},
        {.text = hex_of(arena, &a->artifact)},
        {.integer = a->batches[STREAM_METRICS]},
        {.integer = a->batches[STREAM_RECORDS]},
        {.integer = a->batches[STREAM_LOG]},
        {.text = a->reason},
    };
    _Static_assert(sizeof values / sizeof values[0] == ATTEMPT_COLUMNS, "a value per column");
    memcpy(cell, values, sizeof values);
}

static void print_job_head(const struct msg_job *job, struct arena *arena)
{
    char hex[DIGEST_HEX_SIZE];
    const struct job_row *row = &job->row;
    printf("job       %s\nlabel     %s\nkind      %s\nstate     %s\n", digest_hex(&row->job, hex),
           rows_clean(arena, row->label), job_kind_name(row->kind),
           job_table_state_text(row, arena));
    if (row->total)
        printf("progress  %" PRIu64 " of %" PRIu64 "\n", row->done, row->total);
    if (job->resume_step)
        printf("resume    from step %" PRIu64 " (checkpoint %s)\n", job->resume_step,
               digest_hex(&job->resume, hex));
    if (!digest_is_none(&row->artifact))
        printf("artifact  %s\n", digest_hex(&row->artifact, hex));
    if (!digest_is_none(&row->records))
        printf("records   %s (%" PRIu64 " items)\n", digest_hex(&row->records, hex), row->items);
    if (*row->numeric_class)
        printf("numerics  %s\n", rows_clean(arena, row->numeric_class));
    const char *spec = arena_strndup(arena, (const char *)job->spec.data, job->spec.len);
    printf("spec      %s\n\n", rows_clean(arena, spec));
}

/* Everything about the job in one document: the row, its spec, its attempts. */
static void print_job_document(const struct msg_job *job, const struct rows *attempts)
{
    struct rows head;
    char hex[DIGEST_HEX_SIZE];
    json_t *root = json_object();
    rows_init(&head, attempts->arena, "triad.jobs/1", job_columns, JOB_COLUMNS);
    add_job(&head, &job->row);
    json_object_set_new(root, "schema", json_string("triad.job/1"));
    json_object_set_new(root, "job", rows_json_row(&head, 0));
    json_object_set_new(root, "resume_step", json_integer((json_int_t)job->resume_step));
    json_object_set_new(root, "resume",
                        digest_is_none(&job->resume) ? json_null()
                                                     : json_string(digest_hex(&job->resume, hex)));
    json_t *spec = json_loadb((const char *)job->spec.data, job->spec.len, 0, NULL);
    json_object_set_new(root, "spec", spec ? spec : json_null());
    json_object_set_new(root, "attempts", rows_json(attempts));
    rows_print_document(root);
}

enum cli_exit verb_job_show(struct cli *cli)
{
    struct err err;
    struct connection c = {0};
    const struct job_row *row = NULL;
    struct msg reply;
    enum err_code rc = connection_open(cli, CONNECTION_STATE, &c, &err);
    if (rc == ERR_OK)
        rc = job_table_resolve(&c, cli_value(cli, "experiment"), cli->arguments[0], &cli->arena,
                               &row, &err);
    if (rc == ERR_OK) {
        const struct msg request = {.kind = MSG_SHOW_JOB, .show_job = {.job = row->job}};
        rc = connection_call(&c, &request, MSG_JOB, &cli->arena, &reply, &err);
    }
    connection_close(&c);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    struct rows attempts;
    rows_init(&attempts, &cli->arena, "triad.attempts/1", attempt_columns, ATTEMPT_COLUMNS);
    for (size_t i = 0; i < reply.job.attempt_count; i++)
        add_attempt(&attempts, &reply.job.attempts[i]);
    if (cli->output == OUTPUT_JSON) {
        print_job_document(&reply.job, &attempts);
        return EXIT_OK;
    }
    if (cli->output == OUTPUT_TABLE)
        print_job_head(&reply.job, &cli->arena);
    rows_print(&attempts, cli);
    return EXIT_OK;
}

/* Log text is the user's and the machine's: nothing in it may steer the terminal. */
static void print_log(struct bytes payload)
{
    for (size_t i = 0; i < payload.len; i++) {
        const uint8_t byte = payload.data[i];
        const uint8_t next = i + 1 < payload.len ? payload.data[i + 1] : 0;
        const bool is_c1 = byte == 0xc2 && next >= 0x80 && next <= 0x9f; /* U+0080 … U+009F */
        const bool is_plain = (byte >= 0x20 && byte != 0x7f) || byte == '\n' || byte == '\t';
        putchar(is_plain && !is_c1 ? byte : '?');
        i += is_c1;
    }
}

enum cli_exit verb_job_logs(struct cli *cli)
{
    struct err err;
    struct connection c = {0};
    const struct job_row *row = NULL;
    long long epoch = 0;
    enum err_code rc = cli_integer(cli, "epoch", 0, UINT32_MAX, &epoch, &err);
    if (rc == ERR_OK)
        rc = connection_open(cli, CONNECTION_STATE, &c, &err);
    if (rc == ERR_OK)
        rc = job_table_resolve(&c, cli_value(cli, "experiment"), cli->arguments[0], &cli->arena,
                               &row, &err);
    struct msg request = {.kind = MSG_READ_STREAM,
                          .read_stream = {.epoch = (uint32_t)epoch, .stream = STREAM_LOG}};
    bool is_over = rc != ERR_OK;
    while (!is_over) {
        struct msg reply;
        struct arena arena = {0};
        request.read_stream.job = row->job;
        rc = connection_call(&c, &request, MSG_BATCHES, &arena, &reply, &err);
        if (rc == ERR_OK) {
            for (size_t i = 0; i < reply.batches.payload_count; i++)
                print_log(reply.batches.payloads[i]);
            request.read_stream.from += (uint32_t)reply.batches.payload_count;
        }
        is_over = rc != ERR_OK || reply.batches.end || reply.batches.payload_count == 0;
        arena_release(&arena);
    }
    connection_close(&c);
    return rc == ERR_OK ? EXIT_OK : cli_fail(cli, &err);
}

/* A cancelled job takes those down that depend on it. */
static const char *and_others(const struct msg_act *act, uint64_t count)
{
    const bool cancels = act->action == ACTION_CANCEL;
    if (count == 0)
        return cancels && *act->experiment ? ": nothing waits or runs that it alone wants"
                                           : ": none was in a state for it";
    return cancels && count > 1 ? ", counting those that depend on them" : "";
}

static enum cli_exit act(struct cli *cli, enum job_action action, const char *done_text)
{
    struct err err;
    struct connection c = {0};
    struct msg request = {.kind = MSG_ACT,
                          .act = {.action = action,
                                  .experiment = cli_value(cli, "experiment"),
                                  .reason = cli_value(cli, "reason")}};
    const bool has_job = cli->argument_count > 0;
    if (has_job == (*request.act.experiment != '\0')) {
        err_set(&err, ERR_INVALID, "name either a JOB or --experiment NAME");
        return cli_fail(cli, &err);
    }
    struct msg reply;
    enum err_code rc = connection_open(cli, CONNECTION_STATE, &c, &err);
    if (rc == ERR_OK && has_job) {
        const struct job_row *row = NULL;
        rc = job_table_resolve(&c, NULL, cli->arguments[0], &cli->arena, &row, &err);
        if (rc == ERR_OK)
            request.act.job = row->job;
    } else if (rc == ERR_OK) {
        rc = connection_check_experiment(&c, request.act.experiment, &cli->arena, &err);
    }
    uint64_t count = 0;
    request.act.in_parts = !has_job; /* so that others are heard between them */
    do {
        if (rc == ERR_OK)
            rc = connection_call(&c, &request, MSG_OK, &cli->arena, &reply, &err);
        if (rc == ERR_OK) {
            count += reply.ok.count;
            request.act.after = reply.ok.next;
        }
    } while (rc == ERR_OK && request.act.after != 0);
    connection_close(&c);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    static const struct rows_column columns[] = {{"changed", "CHANGED", ROWS_INTEGER}};
    struct rows rows;
    rows_init(&rows, &cli->arena, "triad.act/1", columns, 1);
    rows_add(&rows)[0].integer = (int64_t)count;
    if (cli->output == OUTPUT_TABLE)
        cli_note(cli, "%" PRIu64 " job%s %s%s", count, count == 1 ? "" : "s", done_text,
                 and_others(&request.act, count));
    else
        rows_print(&rows, cli);
    return EXIT_OK;
}

enum cli_exit verb_job_cancel(struct cli *cli)
{
    return act(cli, ACTION_CANCEL, "cancelled");
}

enum cli_exit verb_job_retry(struct cli *cli)
{
    return act(cli, ACTION_RETRY, "to do again");
}

enum cli_exit verb_job_release(struct cli *cli)
{
    return act(cli, ACTION_RELEASE, "released from quarantine");
}

enum cli_exit verb_job_priority(struct cli *cli)
{
    struct err err;
    struct connection c = {0};
    struct msg reply;
    struct msg request = {.kind = MSG_ACT, .act = {.action = ACTION_PRIORITY}};
    const struct job_row *row = NULL;
    long long priority = 0;
    enum err_code rc = cli_integer(cli, "priority", INT32_MIN, INT32_MAX, &priority, &err);
    request.act.priority = (int32_t)priority;
    if (rc == ERR_OK)
        rc = connection_open(cli, CONNECTION_STATE, &c, &err);
    if (rc == ERR_OK)
        rc = job_table_resolve(&c, cli_value(cli, "experiment"), cli->arguments[0], &cli->arena,
                               &row, &err);
    if (rc == ERR_OK) {
        request.act.job = row->job;
        rc = connection_call(&c, &request, MSG_OK, &cli->arena, &reply, &err);
    }
    connection_close(&c);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    cli_note(cli,
             reply.ok.count ? "%s has priority %lld" : "%s has ended: priority %lld is too late",
             row->label, priority);
    return EXIT_OK;
}
