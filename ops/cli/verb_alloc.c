/* triad alloc add | list | show | pause | resume | remove: queues of allocations that the
 * coordinator asks a batch system for when there is work and workers are missing. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "clock.h"
#include "connection.h"
#include "human.h"
#include "quantity.h"
#include "rows.h"
#include "verbs.h"

#define DRY_RUN_MS  90000
#define IDLE_MS_MAX 10000000000LL /* a worker takes no more */

/* ---- add ---- */

/* An existing file as an absolute path: the coordinator has another current folder. */
static enum err_code absolute_file(struct cli *cli, const char *option, const char **out,
                                   struct err *err)
{
    const char *path = cli_value(cli, option);
    *out = "";
    if (!path)
        return ERR_OK;
    char *real = realpath(path, NULL);
    if (!real)
        return err_set(err, ERR_NOT_FOUND, "--%s: '%s' is not there", option, path);
    *out = arena_strdup(&cli->arena, real);
    free(real);
    return ERR_OK;
}

/* NULL when one is not UTF-8. */
static json_t *sbatch_arguments(const struct cli *cli)
{
    json_t *list = json_array();
    for (int i = 1; i < cli->argument_count; i++) {
        if (json_array_append_new(list, json_string(cli->arguments[i])) != 0) {
            json_decref(list); /* not UTF-8: dropping it would change what is asked for */
            return NULL;
        }
    }
    return list;
}

/* What the command line says, as the JSON that the coordinator reads. */
static enum err_code describe_queue(struct cli *cli, const char **out, struct err *err)
{
    long long cores = 0, ranks = 1, workers = 0, backlog = 0, time_ms = 0, idle_ms = 0;
    int64_t memory_bytes = 0;
    const char *access = "", *folder = "";
    const char *memory = cli_value(cli, "memory");
    const char *listen = cli_value(cli, "data-listen");
    if (strcmp(cli->arguments[0], "slurm") != 0)
        return err_set(err, ERR_INVALID, "'%s' is no batch system Triad knows; there is: slurm",
                       cli->arguments[0]);
    if (!cli_value(cli, "cores") || !cli_value(cli, "time"))
        return err_set(err, ERR_INVALID,
                       "say what one allocation is: --cores N and --time DURATION, such as 4h");
    enum err_code rc = cli_integer(cli, "cores", 1, 4096, &cores, err);
    if (rc == ERR_OK)
        rc = cli_integer(cli, "ranks", 1, 1024, &ranks, err);
    if (rc == ERR_OK)
        rc = cli_duration_ms(cli, "time", &time_ms, err);
    if (rc == ERR_OK)
        rc = cli_duration_ms(cli, "idle", &idle_ms, err);
    if (rc == ERR_OK)
        rc = cli_integer(cli, "max-workers", 1, 1024, &workers, err);
    if (rc == ERR_OK)
        rc = cli_integer(cli, "backlog", 1, 1024, &backlog, err);
    if (rc == ERR_OK && (idle_ms < 1000 || idle_ms > IDLE_MS_MAX))
        rc = err_set(err, ERR_INVALID, "--idle must be between 1s and %lldd, not '%s'",
                     IDLE_MS_MAX / 86400000, cli_value(cli, "idle"));
    if (rc == ERR_OK && memory && !(quantity_bytes(memory, &memory_bytes) && memory_bytes > 0))
        rc = err_set(err, ERR_INVALID, "--memory wants a size such as 16GiB, not '%s'", memory);
    if (rc == ERR_OK)
        rc = absolute_file(cli, "worker-access", &access, err);
    if (rc == ERR_OK)
        rc = absolute_file(cli, "worker-dir", &folder, err);
    if (rc != ERR_OK)
        return rc;
    json_t *object = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:s, s:s, s:o}", "name",
        cli_value(cli, "name"), "ranks", (json_int_t)ranks, "cores", (json_int_t)cores,
        "memory_bytes", (json_int_t)memory_bytes, "time_ms", (json_int_t)time_ms, "workers_max",
        (json_int_t)workers, "backlog", (json_int_t)(backlog < workers ? backlog : workers),
        "idle_ms", (json_int_t)idle_ms, "labels", cli_value(cli, "label"), "access", access,
        "folder", folder, "data_listen", listen ? listen : "", "arguments", sbatch_arguments(cli));
    if (!object)
        return err_set(err, ERR_INVALID, "an argument is not UTF-8");
    char *text = json_dumps(object, JSON_COMPACT);
    *out = arena_strdup(&cli->arena, text ? text : "");
    free(text);
    json_decref(object);
    return ERR_OK;
}

static enum err_code act(struct cli *cli, enum alloc_wish wish, const char *queue,
                         const char *options, const char **text_out, struct err *err)
{
    struct connection c = {0};
    struct msg reply;
    const struct msg request = {.kind = MSG_ALLOC_ACT,
                                .alloc_act = {.action = wish, .queue = queue, .options = options}};
    enum err_code rc = connection_open(cli, CONNECTION_RUNNING, &c, err);
    if (rc == ERR_OK)
        rc = client_call(c.client, &request, DRY_RUN_MS, &cli->arena, &reply, err);
    connection_close(&c);
    if (rc == ERR_OK && reply.kind != MSG_ALLOCS)
        rc = err_set(err, ERR_CORRUPT, "the coordinator answered with %s",
                     msg_kind_name(reply.kind));
    if (rc == ERR_OK)
        *text_out = reply.allocs.text;
    return rc;
}

enum cli_exit verb_alloc_add(struct cli *cli)
{
    struct err err;
    const char *options = NULL;
    const char *text = "";
    const bool dry = cli_flag(cli, "dry-run");
    enum err_code rc = describe_queue(cli, &options, &err);
    if (rc == ERR_OK)
        rc = act(cli, dry ? ALLOC_WISH_DRY_RUN : ALLOC_WISH_ADD, "", options, &text, &err);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    if (dry)
        printf("%s\n", text);
    if (dry)
        cli_note(cli, "the batch system would take this; nothing was added");
    else
        cli_note(cli,
                 "added '%s': allocations are asked for when there is work and no worker for it; "
                 "'triad alloc show %s' tells every decision",
                 cli_value(cli, "name"), cli_value(cli, "name"));
    return EXIT_OK;
}

/* ---- list, show ---- */

static enum err_code get_queues(struct cli *cli, const char *queue, json_t **out, struct err *err)
{
    struct connection c = {0};
    struct msg reply;
    const struct msg request = {.kind = MSG_GET_ALLOCS, .get_allocs = {.queue = queue}};
    enum err_code rc = connection_open(cli, CONNECTION_RUNNING, &c, err);
    if (rc == ERR_OK)
        rc = connection_call(&c, &request, MSG_ALLOCS, &cli->arena, &reply, err);
    connection_close(&c);
    if (rc != ERR_OK)
        return rc;
    *out = json_loads(reply.allocs.text, 0, NULL);
    if (!json_is_array(json_object_get(*out, "queues"))) {
        json_decref(*out);
        return err_set(err, ERR_CORRUPT, "the coordinator's answer about allocations is damaged");
    }
    return ERR_OK;
}

static const char *text_of(struct rows *rows, json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return arena_strdup(rows->arena, text ? text : "");
}

static int64_t number_of(json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static const struct rows_column queue_columns[] = {
    {"name", "QUEUE", ROWS_TEXT},         {"paused", "STATE", ROWS_TEXT},
    {"cores", "CORES", ROWS_INTEGER},     {"time", "TIME", ROWS_TEXT},
    {"workers_max", "MAX", ROWS_INTEGER}, {"pending", "PENDING", ROWS_INTEGER},
    {"running", "RUNNING", ROWS_INTEGER}, {"reason", "REASON", ROWS_TEXT},
};

static void add_queue(struct rows *rows, json_t *queue)
{
    char time[HUMAN_SIZE];
    const struct rows_cell values[] = {
        {.text = text_of(rows, queue, "name")},
        {.text = json_is_true(json_object_get(queue, "paused")) ? "paused" : "active"},
        {.integer = number_of(queue, "cores")},
        {.text = arena_strdup(rows->arena, human_duration(number_of(queue, "time_ms"), time))},
        {.integer = number_of(queue, "workers_max")},
        {.integer = number_of(queue, "pending") + number_of(queue, "submitting")},
        {.integer = number_of(queue, "running")},
        {.text = text_of(rows, queue, "reason")},
    };
    memcpy(rows_add(rows), values, sizeof values);
}

enum cli_exit verb_alloc_list(struct cli *cli)
{
    struct err err;
    json_t *document = NULL;
    json_t *queue;
    size_t i;
    if (get_queues(cli, "", &document, &err) != ERR_OK)
        return cli_fail(cli, &err);
    struct rows rows;
    rows_init(&rows, &cli->arena, "triad.allocs/1", queue_columns,
              sizeof queue_columns / sizeof *queue_columns);
    json_array_foreach(json_object_get(document, "queues"), i, queue)
    {
        add_queue(&rows, queue);
    }
    json_decref(document);
    rows_print(&rows, cli);
    return EXIT_OK;
}

static const struct rows_column allocation_columns[] = {
    {"number", "NUMBER", ROWS_INTEGER},    {"batch_id", "JOB", ROWS_TEXT},
    {"state", "STATE", ROWS_TEXT},         {"worker", "WORKER", ROWS_TEXT},
    {"submitted", "SUBMITTED", ROWS_TIME}, {"started", "STARTED", ROWS_TIME},
    {"ended", "ENDED", ROWS_TIME},         {"text", "WHY", ROWS_TEXT},
};

static void add_allocation(struct rows *rows, json_t *item)
{
    const char *end = text_of(rows, item, "end");
    const struct rows_cell values[] = {
        {.integer = number_of(item, "number")},
        {.text = text_of(rows, item, "batch_id")},
        {.text = *end ? end : text_of(rows, item, "state")},
        {.text = json_is_true(json_object_get(item, "registered")) ? "came" : "-"},
        {.integer = number_of(item, "submitted_ms")},
        {.integer = number_of(item, "started_ms")},
        {.integer = number_of(item, "ended_ms")},
        {.text = text_of(rows, item, "text")},
    };
    memcpy(rows_add(rows), values, sizeof values);
}

/* Queue, allocations, and what was decided: a page for people. */
static void print_queue(struct cli *cli, json_t *queue)
{
    struct rows rows;
    json_t *item;
    size_t i;
    rows_init(&rows, &cli->arena, "triad.allocs/1", queue_columns,
              sizeof queue_columns / sizeof *queue_columns);
    add_queue(&rows, queue);
    rows_print(&rows, cli);
    const char *listen = json_string_value(json_object_get(queue, "data_listen"));
    if (listen && *listen)
        printf("\nits workers let others read checkpoints: --data-listen %s\n", listen);
    printf("\n");
    rows_init(&rows, &cli->arena, "triad.allocations/1", allocation_columns,
              sizeof allocation_columns / sizeof *allocation_columns);
    json_array_foreach(json_object_get(queue, "allocations"), i, item)
    {
        add_allocation(&rows, item);
    }
    rows_print(&rows, cli);
    printf("\n");
    json_array_foreach(json_object_get(queue, "notes"), i, item)
    {
        char time[25];
        printf("%s  %s\n", clock_iso(number_of(item, "time_ms"), time),
               json_string_value(json_object_get(item, "text")));
    }
}

enum cli_exit verb_alloc_show(struct cli *cli)
{
    struct err err;
    json_t *document = NULL;
    json_t *item;
    size_t i;
    if (get_queues(cli, cli->arguments[0], &document, &err) != ERR_OK)
        return cli_fail(cli, &err);
    json_t *queue = json_array_get(json_object_get(document, "queues"), 0);
    if (cli->output == OUTPUT_JSON) {
        rows_print_document(document);
        return EXIT_OK;
    }
    if (cli->output == OUTPUT_TABLE) {
        print_queue(cli, queue);
    } else {
        struct rows rows;
        rows_init(&rows, &cli->arena, "triad.allocations/1", allocation_columns,
                  sizeof allocation_columns / sizeof *allocation_columns);
        json_array_foreach(json_object_get(queue, "allocations"), i, item)
        {
            add_allocation(&rows, item);
        }
        rows_print(&rows, cli);
    }
    json_decref(document);
    return EXIT_OK;
}

/* ---- pause, resume, remove ---- */

static enum cli_exit act_on(struct cli *cli, enum alloc_wish wish, const char *said)
{
    struct err err;
    const char *text = "";
    if (act(cli, wish, cli->arguments[0], "", &text, &err) != ERR_OK)
        return cli_fail(cli, &err);
    cli_note(cli, "'%s' %s", cli->arguments[0], said);
    return EXIT_OK;
}

enum cli_exit verb_alloc_pause(struct cli *cli)
{
    return act_on(cli, ALLOC_WISH_PAUSE, "asks for nothing more; what it has goes on");
}

enum cli_exit verb_alloc_resume(struct cli *cli)
{
    return act_on(cli, ALLOC_WISH_RESUME, "asks for allocations again");
}

enum cli_exit verb_alloc_remove(struct cli *cli)
{
    return act_on(cli, ALLOC_WISH_REMOVE,
                  "is gone; its allocations are cancelled, their workers hand their work back");
}
