#include "crew.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "connection.h"
#include "file.h"

#define COORDINATOR_READY_MS 30000 /* it checks its database before it is ready */
/* Workers leave with a checkpoint; the coordinator finishes its turn. */
#define WORKER_GRACE_S       "15"
#define WORKER_GRACE_MS      20000
#define COORDINATOR_GRACE_MS 10000
/* A member that dies this often within the window will not get better by being started again. */
#define DEATHS_WINDOW_MS 60000
#define BACKOFF_MS_MIN   250
#define BACKOFF_MS_MAX   8000

/* ---- starting ---- */

/* The port of "tcp://host:PORT". */
static const char *port_of(struct arena *arena, const char *endpoint)
{
    const char *colon = strrchr(endpoint, ':');
    return arena_strdup(arena, colon ? colon + 1 : "0");
}

/* From now on, start the coordinator on the ports it has: workers and this program reconnect there.
 */
static enum err_code pin_ports(struct crew *crew, struct err *err)
{
    struct arena *arena = &crew->cli->arena;
    struct net_access client, worker;
    enum err_code rc =
        net_access_load(arena_printf(arena, "%s/client.access", crew->state_dir), &client, err);
    if (rc == ERR_OK)
        rc =
            net_access_load(arena_printf(arena, "%s/worker.access", crew->state_dir), &worker, err);
    if (rc == ERR_OK) {
        struct local_child *child = &crew->coordinator.child;
        local_argument(child, "--client-port", port_of(arena, client.endpoint));
        local_argument(child, "--data-port", port_of(arena, client.data_endpoint));
        local_argument(child, "--worker-port", port_of(arena, worker.endpoint));
    }
    explicit_bzero(&client, sizeof client);
    explicit_bzero(&worker, sizeof worker);
    return rc;
}

static enum err_code start_member(struct crew_member *member, struct err *err)
{
    enum err_code rc = local_start(&member->child, member->ready_ms, err);
    if (rc != ERR_OK)
        local_stop(&member->child, 0);
    return rc;
}

enum err_code crew_start_coordinator(struct crew *crew, struct err *err)
{
    const struct start_coordinator options = {.state_dir = crew->state_dir, .init_keys = true};
    crew->has_coordinator = true;
    crew->coordinator.ready_ms = COORDINATOR_READY_MS;
    start_describe_coordinator(&crew->cli->arena, &options, &crew->coordinator.child);
    crew->coordinator.child.dies_with_us = true;
    enum err_code rc = start_member(&crew->coordinator, err);
    return rc == ERR_OK ? pin_ports(crew, err) : rc;
}

enum err_code crew_start_workers(struct crew *crew, const char *access, int count,
                                 const char *threads, struct err *err)
{
    struct arena *arena = &crew->cli->arena;
    crew->workers = arena_array(arena, (size_t)count, sizeof *crew->workers);
    for (int i = 0; i < count; i++) {
        struct crew_member *worker = &crew->workers[i];
        const struct start_worker options = {.state_dir = crew->state_dir,
                                             .access = access,
                                             .name = arena_printf(arena, "local-%d", i + 1),
                                             .threads = threads};
        enum err_code rc =
            file_mkdirs(arena_printf(arena, "%s/workers", crew->state_dir), 0700, err);
        start_describe_worker(arena, &options, &worker->child);
        local_argument(&worker->child, "--grace", WORKER_GRACE_S);
        worker->child.dies_with_us = true;
        if (rc == ERR_OK)
            rc = start_member(worker, err);
        if (rc != ERR_OK)
            return rc;
        crew->worker_count = i + 1;
    }
    return ERR_OK;
}

/* ---- tending ---- */

/* Deaths within the window, this one included. */
static int note_death(struct crew_member *member, int64_t now_ms)
{
    int recent = 0;
    memmove(member->deaths_ms, member->deaths_ms + 1,
            sizeof member->deaths_ms - sizeof member->deaths_ms[0]);
    member->deaths_ms[CREW_DEATHS_REMEMBERED - 1] = now_ms;
    for (int i = 0; i < CREW_DEATHS_REMEMBERED; i++)
        recent += member->deaths_ms[i] != 0 && now_ms - member->deaths_ms[i] < DEATHS_WINDOW_MS;
    return recent;
}

static enum err_code mourn(struct crew_member *member, const char *how, struct progress *progress,
                           struct err *err)
{
    struct arena arena = {0};
    const int64_t now_ms = clock_mono_ms();
    const int recent = note_death(member, now_ms);
    const char *last = local_last_line(&arena, member->child.log_path);
    enum err_code rc = ERR_OK;
    if (recent >= CREW_DEATHS_REMEMBERED) {
        rc = err_set(err, ERR_UNAVAILABLE,
                     "%s, for the %dth time within a minute; its log '%s' ends: %s", how, recent,
                     member->child.log_path, last);
    } else {
        int64_t backoff_ms = (int64_t)BACKOFF_MS_MIN << (recent - 1);
        backoff_ms = backoff_ms < BACKOFF_MS_MAX ? backoff_ms : BACKOFF_MS_MAX;
        member->not_before_ms = now_ms + backoff_ms;
        member->child.restarts++;
        progress_say(progress, "%s; starting it again", how);
    }
    arena_release(&arena);
    return rc;
}

static enum err_code tend_member(struct crew_member *member, struct progress *progress,
                                 struct err *err)
{
    char how[128];
    if (local_reap(&member->child, how, sizeof how))
        return mourn(member, how, progress, err);
    if (member->child.pid != 0 || clock_mono_ms() < member->not_before_ms)
        return ERR_OK;
    struct err why;
    if (start_member(member, &why) == ERR_OK)
        return ERR_OK;
    return mourn(member, why.text, progress, err);
}

enum err_code crew_tend(struct crew *crew, struct progress *progress, struct err *err)
{
    enum err_code rc = ERR_OK;
    if (crew->has_coordinator)
        rc = tend_member(&crew->coordinator, progress, err);
    for (int i = 0; rc == ERR_OK && i < crew->worker_count; i++)
        rc = tend_member(&crew->workers[i], progress, err);
    return rc;
}

/* ---- stopping ---- */

void crew_stop(struct crew *crew)
{
    /* All at once first, so that they write their checkpoints side by side. */
    for (int i = 0; i < crew->worker_count; i++)
        local_ask_to_stop(&crew->workers[i].child);
    for (int i = 0; i < crew->worker_count; i++)
        local_stop(&crew->workers[i].child, WORKER_GRACE_MS);
    if (crew->has_coordinator)
        local_stop(&crew->coordinator.child, COORDINATOR_GRACE_MS);
}
