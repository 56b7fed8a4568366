/* triad gc. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#include "connection.h"
#include "human.h"
#include "rows.h"
#include "verbs.h"

#define POLL_MS 50

static const struct rows_column gc_columns[] = {
    {"what", "WHAT", ROWS_TEXT},
    {"blobs", "BLOBS", ROWS_INTEGER},
    {"bytes", NULL, ROWS_INTEGER},
    {"size", "SIZE", ROWS_TEXT},
};

static void add(struct rows *rows, const char *what, uint64_t blobs, uint64_t bytes)
{
    char text[HUMAN_SIZE];
    struct rows_cell *cell = rows_add(rows);
    cell[0].text = what;
    cell[1].integer = (int64_t)blobs;
    cell[2].integer = (int64_t)bytes;
    cell[3].text = arena_strdup(rows->arena, human_bytes(bytes, text));
}

enum cli_exit verb_gc(struct cli *cli)
{
    struct err err;
    struct connection c = {0};
    struct msg reply = {.kind = MSG_NONE};
    struct msg request = {.kind = MSG_GC, .gc = {.apply = cli_flag(cli, "apply")}};
    long long age_ms = 0;
    enum err_code rc = cli_duration_ms(cli, "age", &age_ms, &err);
    request.gc.age_s = (uint64_t)age_ms / 1000;
    if (rc == ERR_OK)
        rc = connection_open(cli, CONNECTION_STATE, &c, &err);
    while (rc == ERR_OK) {
        rc = connection_call(&c, &request, MSG_GC_STATE, &cli->arena, &reply, &err);
        if (rc != ERR_OK || reply.gc_state.complete)
            break;
        poll(NULL, 0, POLL_MS);
    }
    connection_close(&c);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    const struct msg_gc_state *s = &reply.gc_state;
    struct rows rows;
    rows_init(&rows, &cli->arena, "triad.gc/1", gc_columns, 4);
    add(&rows, "needed", s->kept, s->kept_bytes);
    add(&rows, "unneeded, too young", s->young, s->young_bytes);
    add(&rows, s->applied ? "removed" : "garbage", s->garbage, s->garbage_bytes);
    rows_print(&rows, cli);
    if (!s->applied && s->garbage > 0)
        cli_note(cli, "nothing was removed: 'triad gc --apply' does");
    return EXIT_OK;
}
