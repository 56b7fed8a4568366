#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "file.h"
#include "interrupt.h"
#include "start.h"
#include "str.h"

#define PRIVATE_READY_MS   20000 /* it checks its database before it is ready */
#define PRIVATE_GRACE_MS   10000
#define PROBE_TIMEOUT_MS   3000
#define REQUEST_TIMEOUT_MS 15000 /* a commit of a large plan on a slow disk takes seconds */

bool connection_state_is_served(const char *state_dir)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/lock", state_dir) >= (int)sizeof path)
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC); /* its disk may have become read-only */
    if (fd < 0)
        return false;
    bool held = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return held;
}

/* Was the coordinator chosen by --access or $TRIAD_ACCESS rather than by its state folder? */
static bool access_is_explicit(struct cli *cli)
{
    const char *of_state = arena_printf(&cli->arena, "%s/client.access", cli_state_dir(cli));
    return strcmp(cli_access_path(cli), of_state) != 0;
}

static enum err_code nobody_answers(struct cli *cli, struct err *err)
{
    return err_set(err, ERR_UNAVAILABLE,
                   "no coordinator runs in '%s'; start one with 'triad coordinator start', or let "
                   "'triad run MANIFEST' do everything",
                   cli_state_dir(cli));
}

static enum err_code start_private(struct cli *cli, struct connection *c, struct err *err)
{
    struct start_coordinator options = {.init_keys = true};
    enum err_code rc = start_state_dir(cli, &options.state_dir, err);
    if (rc != ERR_OK)
        return rc;
    cli_note(cli, "no coordinator runs in '%s': starting a private one for this command",
             cli_state_dir(cli));
    start_describe_coordinator(&cli->arena, &options, &c->coordinator);
    c->coordinator.dies_with_us = true;
    rc = local_start(&c->coordinator, PRIVATE_READY_MS, err);
    return rc;
}

static enum err_code make_sure_it_runs(struct cli *cli, enum connection_mode mode,
                                       struct connection *c, struct err *err)
{
    if (access_is_explicit(cli) || connection_state_is_served(cli_state_dir(cli)))
        return ERR_OK;
    if (mode == CONNECTION_RUNNING)
        return nobody_answers(cli, err);
    const char *database = arena_printf(&cli->arena, "%s/state.db", cli_state_dir(cli));
    if (!file_exists(database))
        return err_set(err, ERR_UNAVAILABLE,
                       "no coordinator runs in '%s' and nothing is stored there yet; "
                       "'triad run MANIFEST' or "
                       "'triad coordinator start' begins there, --state DIR names another folder",
                       cli_state_dir(cli));
    return start_private(cli, c, err);
}

enum err_code connection_open(struct cli *cli, enum connection_mode mode, struct connection *out,
                              struct err *err)
{
    *out = (struct connection){.access_path = cli_access_path(cli)};
    enum err_code rc = make_sure_it_runs(cli, mode, out, err);
    if (rc == ERR_OK)
        rc = net_access_load(out->access_path, &out->access, err);
    if (rc == ERR_OK && strcmp(out->access.role, net_role_name(NET_WORKER)) == 0)
        rc = err_set(err, ERR_DENIED, "'%s' is the key of a %s: commands need a client's",
                     out->access_path, out->access.role);
    const char *cache = arena_printf(&cli->arena, "%s/cache", cli_state_dir(cli));
    if (rc == ERR_OK)
        rc = client_open(&out->access, cache, &out->client, err);
    if (rc == ERR_OK) {
        struct msg reply;
        rc = client_call(out->client, &(struct msg){.kind = MSG_GET_INFO}, PROBE_TIMEOUT_MS,
                         &cli->arena, &reply, err);
    }
    return rc;
}

void connection_close(struct connection *c)
{
    if (c->client)
        client_close(c->client);
    local_stop(&c->coordinator, PRIVATE_GRACE_MS);
    explicit_bzero(&c->access, sizeof c->access);
    *c = (struct connection){0};
}

enum err_code connection_ask(struct connection *c, const struct msg *request, struct arena *arena,
                             struct msg *reply_out, struct err *err)
{
    return client_call(c->client, request, REQUEST_TIMEOUT_MS, arena, reply_out, err);
}

enum err_code connection_call(struct connection *c, const struct msg *request, enum msg_kind wanted,
                              struct arena *arena, struct msg *reply_out, struct err *err)
{
    enum err_code rc = connection_ask(c, request, arena, reply_out, err);
    if (rc == ERR_OK && reply_out->kind != wanted)
        rc = err_set(err, ERR_CORRUPT, "the coordinator answered %s with %s",
                     msg_kind_name(request->kind), msg_kind_name(reply_out->kind));
    return rc;
}

enum err_code connection_check_experiment(struct connection *c, const char *name,
                                          struct arena *arena, struct err *err)
{
    struct msg reply;
    struct msg request = {.kind = MSG_GET_STATUS, .get_status = {.experiment = name}};
    enum err_code rc = connection_call(c, &request, MSG_STATUS, arena, &reply, err);
    if (rc != ERR_NOT_FOUND)
        return rc;
    request.get_status.experiment = ""; /* those that it may have meant, the newest */
    rc = connection_call(c, &request, MSG_STATUS, arena, &reply, err);
    if (rc != ERR_OK)
        return rc;
    const size_t count = reply.status.experiment_count;
    const char **names = arena_array(arena, count, sizeof *names);
    struct strbuf list = {0};
    for (size_t i = 0; i < count; i++) {
        names[i] = reply.status.experiments[i].name;
        strbuf_printf(&list, "%s%s", i ? ", " : "", names[i]);
    }
    const char *near = str_did_you_mean(name, names, count);
    rc = near ? err_set(err, ERR_NOT_FOUND, "no experiment '%s'; did you mean '%s'?", name, near)
              : err_set(err, ERR_NOT_FOUND, "no experiment '%s'; stored here: %s", name,
                        count ? strbuf_text(&list) : "none yet");
    strbuf_release(&list);
    return rc;
}

enum err_code connection_lock_cache(struct cli *cli, int *fd_out, struct err *err)
{
    const char *path = arena_printf(&cli->arena, "%s/cache/lock", cli_state_dir(cli));
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_os(err, errno, "open '%s'", path);
    int rc = flock(fd, LOCK_EX | LOCK_NB);
    if (rc != 0 && errno == EWOULDBLOCK)
        cli_note(cli, "waiting for another command that sends or fetches files");
    while (rc != 0 && (errno == EWOULDBLOCK || errno == EINTR) && !interrupt_seen())
        rc = flock(fd, LOCK_EX);
    if (rc == 0) {
        *fd_out = fd;
        return ERR_OK;
    }
    const int saved_errno = errno;
    close(fd);
    return interrupt_seen() ? err_set(err, ERR_CANCELLED, "interrupted")
                            : err_os(err, saved_errno, "lock '%s'", path);
}
