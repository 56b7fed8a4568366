/* triad experiment pause | resume | priority. */
#include "connection.h"
#include "verbs.h"

static enum cli_exit act(struct cli *cli, struct msg_act what, const char *done, const char *was)
{
    struct err err;
    struct connection c = {0};
    struct msg reply;
    const char *name = cli->arguments[0];
    struct msg request = {.kind = MSG_ACT, .act = what};
    request.act.experiment = name;
    enum err_code rc = connection_open(cli, CONNECTION_STATE, &c, &err);
    if (rc == ERR_OK)
        rc = connection_check_experiment(&c, name, &cli->arena, &err);
    if (rc == ERR_OK)
        rc = connection_call(&c, &request, MSG_OK, &cli->arena, &reply, &err);
    connection_close(&c);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    cli_note(cli, "%s %s", name, reply.ok.count ? done : was);
    return EXIT_OK;
}

enum cli_exit verb_experiment_pause(struct cli *cli)
{
    return act(cli, (struct msg_act){.action = ACTION_PAUSE},
               "is paused: what runs goes on, nothing new starts for it", "was paused already");
}

enum cli_exit verb_experiment_resume(struct cli *cli)
{
    return act(cli, (struct msg_act){.action = ACTION_RESUME}, "goes on", "was not paused");
}

enum cli_exit verb_experiment_priority(struct cli *cli)
{
    struct err err;
    long long priority = 0;
    if (cli_integer(cli, "priority", INT32_MIN, INT32_MAX, &priority, &err) != ERR_OK)
        return cli_fail(cli, &err);
    return act(cli, (struct msg_act){.action = ACTION_PRIORITY, .priority = (int32_t)priority},
               arena_printf(&cli->arena, "has priority %lld", priority), "");
}
