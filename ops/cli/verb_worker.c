/* triad worker list | show | drain | release (`worker start` is in start.c). */
#include <inttypes.h>
#include <string.h>

#include "bounds.h"
#include "connection.h"
#include "human.h"
#include "rows.h"
#include "str.h"
#include "verbs.h"

static const struct rows_column worker_columns[] = {
    {"worker", "WORKER", ROWS_TEXT},
    {"state", "STATE", ROWS_TEXT},
    {"node", "NODE", ROWS_TEXT},
    {"host", NULL, ROWS_TEXT},
    {"leases", "JOBS", ROWS_INTEGER},
    {"threads_busy", "BUSY", ROWS_INTEGER},
    {"threads", "THREADS", ROWS_INTEGER},
    {"memory_bytes", NULL, ROWS_INTEGER},
    {"memory", "MEMORY", ROWS_TEXT},
    {"seen", "SEEN", ROWS_TIME},
    {"numeric_class", "NUMERICS", ROWS_TEXT},
    {"version", NULL, ROWS_TEXT},
    {"labels", "LABELS", ROWS_TEXT},
    {"ends", NULL, ROWS_TIME},
    {"reason", "REASON", ROWS_TEXT},
};
enum { WORKER_COLUMNS = sizeof worker_columns / sizeof worker_columns[0] };

struct worker_table {
    struct worker_row rows[WORKERS_MAX];
    size_t count;
};

/* All pages of the list, by name. */
static enum err_code list_workers(struct connection *c, struct arena *arena,
                                  const struct worker_table **out, struct err *err)
{
    struct worker_table *table = arena_alloc(arena, sizeof *table);
    struct msg request = {.kind = MSG_LIST_WORKERS, .list_workers.after = ""};
    bool more = true;
    while (more) {
        struct msg reply;
        enum err_code rc = connection_call(c, &request, MSG_WORKERS, arena, &reply, err);
        if (rc != ERR_OK)
            return rc;
        const struct msg_workers *page = &reply.workers;
        more = page->more;
        if (page->row_count > WORKERS_MAX - table->count || (more && page->row_count == 0))
            return err_set(err, ERR_CORRUPT, "list workers: the coordinator's pages do not end");
        for (size_t i = 0; i < page->row_count; i++)
            table->rows[table->count++] = page->rows[i];
        if (more)
            request.list_workers.after = table->rows[table->count - 1].worker;
    }
    *out = table;
    return ERR_OK;
}

static void add_worker(struct rows *rows, const struct worker_row *w)
{
    char text[HUMAN_SIZE];
    struct rows_cell *cell = rows_add(rows);
    const struct rows_cell values[] = {
        {.text = w->worker},
        {.text = w->state},
        {.text = w->node},
        {.text = w->host},
        {.integer = w->leases},
        {.integer = w->threads_busy},
        {.integer = w->threads},
        {.integer = (int64_t)w->memory_bytes},
        {.text = arena_strdup(rows->arena, human_bytes(w->memory_bytes, text))},
        {.integer = w->seen_ms},
        {.text = w->numeric_class},
        {.text = w->version},
        {.text = w->labels},
        {.integer = w->ends_ms},
        {.text = w->reason},
    };
    _Static_assert(sizeof values / sizeof values[0] == WORKER_COLUMNS, "a value per column");
    memcpy(cell, values, sizeof values);
}

enum cli_exit verb_worker_list(struct cli *cli)
{
    struct err err;
    struct connection c = {0};
    const struct worker_table *workers = NULL;
    enum err_code rc = connection_open(cli, CONNECTION_RUNNING, &c, &err);
    if (rc == ERR_OK)
        rc = list_workers(&c, &cli->arena, &workers, &err);
    connection_close(&c);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    struct rows rows;
    rows_init(&rows, &cli->arena, "triad.workers/1", worker_columns, WORKER_COLUMNS);
    for (size_t i = 0; i < workers->count; i++)
        add_worker(&rows, &workers->rows[i]);
    rows_print(&rows, cli);
    return EXIT_OK;
}

/* ---- what moved where ---- */

static const struct rows_column traffic_columns[] = {
    {"worker", "WORKER", ROWS_TEXT},
    {"coordinator_bytes", NULL, ROWS_INTEGER},
    {"coordinator", "COORDINATOR", ROWS_TEXT},
    {"peer_bytes", NULL, ROWS_INTEGER},
    {"peers", "PEERS", ROWS_TEXT},
    {"shared_bytes", NULL, ROWS_INTEGER},
    {"store", "STORE", ROWS_TEXT},
    {"served_bytes", NULL, ROWS_INTEGER},
    {"served", "SERVED", ROWS_TEXT},
    {"blobs_held", "HOLDS", ROWS_INTEGER},
    {"accusations", "ACCUSED", ROWS_INTEGER},
    {"endpoint", "SERVES AT", ROWS_TEXT},
    {"seen", "SEEN", ROWS_TIME},
};
enum { TRAFFIC_COLUMNS = sizeof traffic_columns / sizeof traffic_columns[0] };

static const char *bytes_text(struct rows *rows, uint64_t bytes)
{
    char text[HUMAN_SIZE];
    return arena_strdup(rows->arena, human_bytes(bytes, text));
}

static void add_traffic(struct rows *rows, const struct traffic_row *t)
{
    struct rows_cell *cell = rows_add(rows);
    const struct rows_cell values[] = {
        {.text = t->worker},
        {.integer = (int64_t)t->coordinator_bytes},
        {.text = bytes_text(rows, t->coordinator_bytes)},
        {.integer = (int64_t)t->peer_bytes},
        {.text = bytes_text(rows, t->peer_bytes)},
        {.integer = (int64_t)t->shared_bytes},
        {.text = bytes_text(rows, t->shared_bytes)},
        {.integer = (int64_t)t->served_bytes},
        {.text = bytes_text(rows, t->served_bytes)},
        {.integer = (int64_t)t->blobs_held},
        {.integer = (int64_t)t->accusations},
        {.text = t->endpoint},
        {.integer = t->seen_ms},
    };
    _Static_assert(sizeof values / sizeof values[0] == TRAFFIC_COLUMNS, "a value per column");
    memcpy(cell, values, sizeof values);
}

/* All pages into `rows`; only those of `worker` when it is named. */
static enum err_code collect_traffic(struct connection *c, const char *worker, struct rows *rows,
                                     struct err *err)
{
    struct msg request = {.kind = MSG_LIST_TRAFFIC, .list_traffic.after = ""};
    bool more = true;
    for (int page = 0; more; page++) {
        struct msg reply;
        enum err_code rc = connection_call(c, &request, MSG_TRAFFIC, rows->arena, &reply, err);
        if (rc != ERR_OK)
            return rc;
        const struct msg_traffic *t = &reply.traffic;
        for (size_t i = 0; i < t->row_count; i++) {
            if (!worker || strcmp(worker, t->rows[i].worker) == 0)
                add_traffic(rows, &t->rows[i]);
        }
        more = t->more && t->row_count > 0 && page < WORKERS_MAX;
        if (more)
            request.list_traffic.after = t->rows[t->row_count - 1].worker;
    }
    return ERR_OK;
}

static enum err_code check_worker(struct connection *c, const char *name, struct arena *arena,
                                  struct err *err);

enum cli_exit verb_worker_show(struct cli *cli)
{
    struct err err;
    struct connection c = {0};
    struct rows rows;
    const char *worker = cli->arguments[0];
    rows_init(&rows, &cli->arena, "triad.traffic/1", traffic_columns, TRAFFIC_COLUMNS);
    enum err_code rc = connection_open(cli, CONNECTION_RUNNING, &c, &err);
    if (rc == ERR_OK && worker)
        rc = check_worker(&c, worker, &cli->arena, &err);
    if (rc == ERR_OK)
        rc = collect_traffic(&c, worker, &rows, &err);
    connection_close(&c);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    rows_print(&rows, cli);
    return EXIT_OK;
}

/* ---- acting ---- */

/* ERR_NOT_FOUND with a likely name when no worker is called that. */
static enum err_code check_worker(struct connection *c, const char *name, struct arena *arena,
                                  struct err *err)
{
    const struct worker_table *workers = NULL;
    enum err_code rc = list_workers(c, arena, &workers, err);
    if (rc != ERR_OK)
        return rc;
    const char **names = arena_array(arena, workers->count, sizeof *names);
    for (size_t i = 0; i < workers->count; i++) {
        names[i] = workers->rows[i].worker;
        if (strcmp(names[i], name) == 0)
            return ERR_OK;
    }
    const char *near = str_did_you_mean(name, names, workers->count);
    return near ? err_set(err, ERR_NOT_FOUND, "no worker '%s'; did you mean '%s'?", name, near)
                : err_set(err, ERR_NOT_FOUND, "no worker '%s'; 'triad worker list' shows them",
                          name);
}

static enum cli_exit act(struct cli *cli, struct msg request, const char *note)
{
    struct err err;
    struct connection c = {0};
    struct msg reply;
    request.drain_worker.worker = cli->arguments[0];
    enum err_code rc = connection_open(cli, CONNECTION_RUNNING, &c, &err);
    if (rc == ERR_OK)
        rc = check_worker(&c, cli->arguments[0], &cli->arena, &err);
    if (rc == ERR_OK)
        rc = connection_call(&c, &request, MSG_OK, &cli->arena, &reply, &err);
    connection_close(&c);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    cli_note(cli, "worker '%s' %s", cli->arguments[0], note);
    return EXIT_OK;
}

enum cli_exit verb_worker_drain(struct cli *cli)
{
    struct err err;
    long long grace_ms = 0;
    if (cli_value(cli, "deadline") && cli_duration_ms(cli, "deadline", &grace_ms, &err) != ERR_OK)
        return cli_fail(cli, &err);
    if (cli_value(cli, "deadline") && grace_ms == 0)
        grace_ms = 1; /* at once; to the coordinator, 0 is no deadline */
    const struct msg request = {.kind = MSG_DRAIN_WORKER,
                                .drain_worker = {.action = WORKER_DRAIN,
                                                 .reason = cli_value(cli, "reason"),
                                                 .grace_ms = (uint64_t)grace_ms}};
    return act(cli, request,
               grace_ms ? "takes no more jobs; it stops with checkpoints at the deadline"
                        : "takes no more jobs; it leaves when it has finished what it holds");
}

enum cli_exit verb_worker_release(struct cli *cli)
{
    const struct msg request = {.kind = MSG_DRAIN_WORKER,
                                .drain_worker = {.action = WORKER_RELEASE}};
    return act(cli, request, "and its host get work again");
}
