/* triad coordinator stop | info (`coordinator start` is in start.c). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "connection.h"
#include "rows.h"
#include "verbs.h"

enum cli_exit verb_coordinator_stop(struct cli *cli)
{
    struct err err;
    struct connection c = {0};
    struct msg reply;
    const struct msg request = {.kind = MSG_STOP};
    const bool was_here = connection_state_is_served(cli_state_dir(cli));
    enum err_code rc = connection_open(cli, CONNECTION_RUNNING, &c, &err);
    if (rc == ERR_OK) {
        rc = connection_call(&c, &request, MSG_OK, &cli->arena, &reply, &err);
        /* It may be gone before its answer is: that it is gone is what was asked for. */
        if (rc != ERR_OK && was_here && !connection_state_is_served(cli_state_dir(cli)))
            rc = ERR_OK;
    }
    connection_close(&c);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    cli_note(cli, "the coordinator stops; workers go on computing and wait for its return");
    return EXIT_OK;
}

static const struct rows_column info_columns[] = {
    {"version", NULL, ROWS_TEXT},
    {"state_dir", NULL, ROWS_TEXT},
    {"pid", NULL, ROWS_INTEGER},
    {"started", NULL, ROWS_TIME},
    {"jobs_unfinished", NULL, ROWS_INTEGER},
    {"jobs_finished", NULL, ROWS_INTEGER},
    {"workers", NULL, ROWS_INTEGER},
    {"database_bytes", NULL, ROWS_INTEGER},
    {"frames_received", NULL, ROWS_INTEGER},
    {"frames_refused", NULL, ROWS_INTEGER},
    {"commits", NULL, ROWS_INTEGER},
    {"records_committed", NULL, ROWS_INTEGER},
    {"loop_lag_ms_max", NULL, ROWS_INTEGER},
};
enum { INFO_COLUMNS = sizeof info_columns / sizeof info_columns[0] };

/* One thing with many figures reads better downwards. */
static void print_info(const struct rows *rows)
{
    for (int i = 0; i < INFO_COLUMNS; i++) {
        const struct rows_cell *cell = &rows->cells[i];
        printf("%-18s ", rows->columns[i].name);
        if (rows->columns[i].kind == ROWS_TEXT || rows->columns[i].kind == ROWS_TIME)
            printf("%s\n", cell->text);
        else
            printf("%" PRId64 "\n", cell->integer);
    }
}

enum cli_exit verb_coordinator_info(struct cli *cli)
{
    struct err err;
    struct connection c = {0};
    struct msg reply;
    const struct msg request = {.kind = MSG_GET_INFO};
    enum err_code rc = connection_open(cli, CONNECTION_RUNNING, &c, &err);
    if (rc == ERR_OK)
        rc = connection_call(&c, &request, MSG_INFO, &cli->arena, &reply, &err);
    connection_close(&c);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    const struct msg_info *info = &reply.info;
    char started[25];
    struct rows rows;
    rows_init(&rows, &cli->arena, "triad.coordinator/1", info_columns, INFO_COLUMNS);
    const struct rows_cell values[] = {
        {.text = info->version},
        {.text = info->state_dir},
        {.integer = (int64_t)info->pid},
        {.integer = info->started_ms,
         .text = arena_strdup(&cli->arena, clock_iso(info->started_ms, started))},
        {.integer = (int64_t)info->jobs_unfinished},
        {.integer = (int64_t)info->jobs_finished},
        {.integer = (int64_t)info->workers},
        {.integer = (int64_t)info->database_bytes},
        {.integer = (int64_t)info->frames_received},
        {.integer = (int64_t)info->frames_refused},
        {.integer = (int64_t)info->commits},
        {.integer = (int64_t)info->records_committed},
        {.integer = info->loop_lag_ms_max},
    };
    _Static_assert(sizeof values / sizeof values[0] == INFO_COLUMNS, "a value per column");
    memcpy(rows_add(&rows), values, sizeof values);
    if (cli->output == OUTPUT_TABLE)
        print_info(&rows);
    else
        rows_print(&rows, cli);
    return EXIT_OK;
}
