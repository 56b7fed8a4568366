#include "connection.h"
#include "start.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bounds.h"
#include "file.h"
#include "labels.h"
#include "quantity.h"
#include "verbs.h"

/* What the worker's program takes. */
enum { IDLE_S_MAX = 10000000, TIME_S_MAX = 1000000000 };

#define START_READY_MS 20000 /* a coordinator checks its database before it is ready */

enum err_code start_state_dir(struct cli *cli, const char **path_out, struct err *err)
{
    const char *path = cli_state_dir(cli);
    enum err_code rc = file_mkdirs(path, 0700, err);
    if (rc != ERR_OK)
        return rc;
    char *absolute = realpath(path, NULL);
    if (!absolute)
        return err_os(err, errno, "find folder '%s'", path);
    *path_out = arena_strdup(&cli->arena, absolute);
    free(absolute);
    return ERR_OK;
}

void start_describe_coordinator(struct arena *arena, const struct start_coordinator *options,
                                struct local_child *child)
{
    const char *state = options->state_dir;
    *child = (struct local_child){.name = "coordinator",
                                  .log_path = arena_printf(arena, "%s/coordinator.log", state)};
    child->argv[0] = local_program(arena, "triad-coordinator");
    local_argument(child, "--state", state);
    local_argument(child, "--keys",
                   options->keys_dir ? options->keys_dir : arena_printf(arena, "%s/keys", state));
    if (options->init_keys)
        local_argument(child, "--init-keys", NULL);
    if (options->listen)
        local_argument(child, "--listen", options->listen);
    if (options->advertise)
        local_argument(child, "--advertise", options->advertise);
    if (options->shared_store)
        local_argument(child, "--shared-store", options->shared_store);
    if (options->worker_port)
        local_argument(child, "--worker-port", options->worker_port);
    if (options->client_port)
        local_argument(child, "--client-port", options->client_port);
    if (options->data_port)
        local_argument(child, "--data-port", options->data_port);
}

void start_describe_worker(struct arena *arena, const struct start_worker *options,
                           struct local_child *child)
{
    const char *state = options->state_dir;
    *child = (struct local_child){
        .name = options->name, .log_path = arena_printf(arena, "%s/%s.log", state, options->name)};
    child->argv[0] = local_program(arena, "triad-worker");
    local_argument(child, "--access",
                   options->access ? options->access
                                   : arena_printf(arena, "%s/worker.access", state));
    local_argument(child, "--dir",
                   options->dir ? options->dir
                                : arena_printf(arena, "%s/workers/%s", state, options->name));
    local_argument(child, "--name", options->name);
    if (options->threads)
        local_argument(child, "--threads", options->threads);
    if (options->memory)
        local_argument(child, "--memory", options->memory);
    if (options->idle_end_s)
        local_argument(child, "--drain-when-idle", options->idle_end_s);
    if (options->time_limit_s)
        local_argument(child, "--time-limit", options->time_limit_s);
    if (options->labels)
        local_argument(child, "--label", options->labels);
    if (options->data_listen)
        local_argument(child, "--data-listen", options->data_listen);
    if (options->advertise)
        local_argument(child, "--advertise", options->advertise);
    if (options->shared_store)
        local_argument(child, "--shared-store", options->shared_store);
}

/* Become the program: its output is this terminal's, Ctrl-C reaches it. Returns only on failure. */
static enum cli_exit become(const struct cli *cli, const struct local_child *child)
{
    struct err err;
    execvp(child->argv[0], (char *const *)(uintptr_t)child->argv);
    err_os(&err, errno, "run '%s'", child->argv[0]);
    return cli_fail(cli, &err);
}

/* Whole numbers within [min, max] where they are given: said here, with this program's exit code.
 */
static enum err_code check_numbers(const struct cli *cli, const char *const *names, size_t count,
                                   long long min, long long max, struct err *err)
{
    enum err_code rc = ERR_OK;
    long long ignored = 0;
    for (size_t i = 0; rc == ERR_OK && i < count; i++)
        if (cli_is_given(cli, names[i]))
            rc = cli_integer(cli, names[i], min, max, &ignored, err);
    return rc;
}

/* What a socket can be bound to; whether this machine has the address, the system says. */
static enum err_code check_listen(const char *listen, struct err *err)
{
    struct in_addr ignored;
    if (!listen || strcmp(listen, "*") == 0 || inet_pton(AF_INET, listen, &ignored) == 1 ||
        if_nametoindex(listen) != 0)
        return ERR_OK;
    return err_set(err, ERR_INVALID,
                   "--listen wants an IPv4 address of this machine, a network interface or 0.0.0.0 "
                   "for all, not '%s'",
                   listen);
}

enum cli_exit verb_coordinator_start(struct cli *cli)
{
    struct err err;
    static const char *const ports[] = {"worker-port", "client-port", "data-port"};
    struct start_coordinator options = {.keys_dir = cli_value(cli, "keys"),
                                        .listen = cli_value(cli, "listen"),
                                        .advertise = cli_value(cli, "advertise"),
                                        .shared_store = cli_value(cli, "shared-store"),
                                        .worker_port = cli_value(cli, "worker-port"),
                                        .client_port = cli_value(cli, "client-port"),
                                        .data_port = cli_value(cli, "data-port")};
    if (check_numbers(cli, ports, sizeof ports / sizeof *ports, 0, 65535, &err) != ERR_OK ||
        check_listen(options.listen, &err) != ERR_OK ||
        start_state_dir(cli, &options.state_dir, &err) != ERR_OK)
        return cli_fail(cli, &err);
    const char *keys = options.keys_dir ? options.keys_dir
                                        : arena_printf(&cli->arena, "%s/keys", options.state_dir);
    if (!file_exists(arena_printf(&cli->arena, "%s/server.key", keys))) {
        err_set(&err, ERR_NOT_FOUND, "there are no keys in '%s': make them with 'triad keys init'",
                keys);
        return cli_fail(cli, &err);
    }
    if (connection_state_is_served(options.state_dir)) {
        err_set(&err, ERR_CONFLICT, "a coordinator runs in '%s' already", options.state_dir);
        return cli_fail(cli, &err);
    }
    struct local_child child;
    start_describe_coordinator(&cli->arena, &options, &child);
    if (!cli_flag(cli, "detach"))
        return become(cli, &child);
    if (local_start(&child, START_READY_MS, &err) != ERR_OK)
        return cli_fail(cli, &err);
    cli_note(cli, "coordinator %d is ready; clients: %s/client.access, workers: %s/worker.access",
             (int)child.pid, options.state_dir, options.state_dir);
    return EXIT_OK;
}

/* HOST or HOST:PORT where it is given. */
static enum err_code check_host_port(const struct cli *cli, const char *name, struct err *err)
{
    char host[NAME_BYTES_MAX];
    long long port = 0;
    const char *text = cli_value(cli, name);
    if (!text || str_host_port(text, host, sizeof host, &port))
        return ERR_OK;
    return err_set(err, ERR_INVALID, "--%s wants HOST or HOST:PORT, not '%s'", name, text);
}

/* A duration in whole seconds, at least one, as text; NULL where it is not given. */
static enum err_code seconds_text(struct cli *cli, const char *name, long long max,
                                  const char **out, struct err *err)
{
    long long ms = 0;
    *out = NULL;
    enum err_code rc = cli_value(cli, name) ? cli_duration_ms(cli, name, &ms, err) : ERR_OK;
    if (rc != ERR_OK || !cli_value(cli, name))
        return rc;
    const long long seconds = (ms + 999) / 1000;
    if (seconds < 1 || seconds > max)
        return err_set(err, ERR_INVALID, "--%s must be between 1s and %lldd, not '%s'", name,
                       max / 86400, cli_value(cli, name));
    *out = arena_printf(&cli->arena, "%lld", seconds);
    return ERR_OK;
}

/* What the worker's program would refuse, said with this program's exit code. */
static enum err_code read_worker_values(struct cli *cli, struct start_worker *o, struct err *err)
{
    static const char *const threads = "threads";
    struct strbuf labels = {0};
    int64_t bytes = 0;
    const char *memory = cli_value(cli, "memory");
    enum err_code rc = check_numbers(cli, &threads, 1, 1, 4096, err);
    if (rc == ERR_OK && memory && !(quantity_bytes(memory, &bytes) && bytes > 0))
        rc = err_set(err, ERR_INVALID, "--memory wants a size such as 8GiB, not '%s'", memory);
    if (memory)
        o->memory = arena_printf(&cli->arena, "%lld", (long long)bytes);
    if (rc == ERR_OK && o->labels)
        rc = labels_parse(o->labels, &labels, err);
    strbuf_release(&labels);
    if (rc == ERR_OK)
        rc = check_host_port(cli, "data-listen", err);
    if (rc == ERR_OK)
        rc = check_host_port(cli, "advertise", err);
    if (rc == ERR_OK && o->advertise && !o->data_listen)
        rc = err_set(err, ERR_INVALID, "--advertise goes with --data-listen only");
    if (rc == ERR_OK)
        rc = seconds_text(cli, "time-limit", TIME_S_MAX, &o->time_limit_s, err);
    if (rc == ERR_OK)
        rc = seconds_text(cli, "idle-end", IDLE_S_MAX, &o->idle_end_s, err);
    return rc;
}

enum cli_exit verb_worker_start(struct cli *cli)
{
    struct err err;
    char host[NAME_BYTES_MAX] = "worker";
    gethostname(host, sizeof host - 1);
    struct start_worker options = {.access = cli_value(cli, "worker-access"),
                                   .dir = cli_value(cli, "dir"),
                                   .name = cli_value(cli, "name"),
                                   .threads = cli_value(cli, "threads"),
                                   .memory = cli_value(cli, "memory"),
                                   .labels = cli_value(cli, "label"),
                                   .data_listen = cli_value(cli, "data-listen"),
                                   .advertise = cli_value(cli, "advertise"),
                                   .shared_store = cli_value(cli, "shared-store")};
    if (options.name &&
        (!file_name_is_safe(options.name) || strlen(options.name) >= NAME_BYTES_MAX)) {
        err_set(&err, ERR_INVALID,
                "--name: '%s' cannot name a folder, and the worker's has its name", options.name);
        return cli_fail(cli, &err);
    }
    if (!options.name)
        options.name = arena_strdup(&cli->arena, host);
    if (read_worker_values(cli, &options, &err) != ERR_OK)
        return cli_fail(cli, &err);
    if (!options.access)
        options.access = arena_printf(&cli->arena, "%s/worker.access", cli_state_dir(cli));
    if (!file_exists(options.access)) {
        err_set(&err, ERR_NOT_FOUND,
                "there is no '%s', which says where the coordinator is: start one with 'triad "
                "coordinator start', or name the file from 'triad keys export NAME --worker' with "
                "--worker-access",
                options.access);
        return cli_fail(cli, &err);
    }
    if (start_state_dir(cli, &options.state_dir, &err) != ERR_OK)
        return cli_fail(cli, &err);
    struct local_child child;
    start_describe_worker(&cli->arena, &options, &child);
    return become(cli, &child);
}
