/* Setting the worker up on its loop, and taking it down again. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "check.h"
#include "clock.h"
#include "codec.h"
#include "driver_internal.h"
#include "file.h"
#include "log.h"

/* What was sent last gets this long to leave the socket. */
#define FAREWELL_MS 200

char *driver_attempt_folder(const struct driver *d, const struct lease_key *lease)
{
    char hex[DIGEST_HEX_SIZE];
    struct strbuf path = {0};
    strbuf_printf(&path, "%s/attempts/%s-%u", d->folder.path, digest_hex(&lease->job, hex),
                  lease->epoch);
    return strbuf_take(&path);
}

static void remove_folder(const char *folder)
{
    struct err err;
    if (file_remove_tree(folder, &err))
        log_event(LOG_WARN, "work_folder_not_removed", "text=\"%s\"", err.text);
}

/* A child that is told to stop saves a checkpoint first, and a thread may just link inputs: both
 * make the folder anew that went with its lease. */
void driver_attempt_left(struct driver *d, const struct lease_key *lease)
{
    if (driver_job_find(d, lease))
        return;
    char *folder = driver_attempt_folder(d, lease);
    remove_folder(folder);
    free(folder);
}

void driver_job_free(struct driver *d, struct driver_job *job)
{
    struct driver_job **at = &d->jobs;
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    remove_folder(job->folder);
    attempt_log_release(&job->log);
    free(job->folder);
    free(job);
}

/* ---- the network ---- */

static void on_receive(void *ctx, const struct net_peer *peer, enum net_role role, const char *user,
                       const uint8_t *bytes, size_t len)
{
    (void)peer;
    (void)role;
    (void)user;
    struct driver *d = ctx;
    struct arena arena;
    struct msg m;
    struct err err;
    arena_init(&arena, DECODE_BUDGET_BYTES);
    const enum err_code code = codec_decode(bytes, len, "S", &arena, &m, &err);
    if (code) {
        log_event(LOG_WARN, "frame_refused", "text=\"%s%s\"",
                  code == ERR_VERSION ? "the coordinator is of another version of Triad: " : "",
                  err.text);
    } else {
        log_event(LOG_DEBUG, "received", "kind=%s", msg_kind_name(m.kind));
        if (m.kind == MSG_NO_SESSION)
            log_event(LOG_WARN, "no_session", "text=\"%s\"", m.no_session.reason);
        driver_message(d, &m);
    }
    arena_release(&arena);
}

static void on_status(void *ctx, int connected, const char *text)
{
    struct driver *d = ctx;
    log_event(connected ? LOG_INFO : LOG_WARN, connected ? "connected" : "not_connected",
              "text=\"%s\"", text);
    driver_post(
        d, &(struct agent_event){.kind = connected ? AGENT_EV_CONNECTED : AGENT_EV_DISCONNECTED});
}

/* Other workers may read the cache, when that was asked for. */
static enum err_code serve_start(struct driver *d, struct err *err)
{
    const struct blob_serve_options serve = {.net = d->net,
                                             .loop = &d->loop,
                                             .cache = d->cache,
                                             .listen = d->options->data_listen,
                                             .advertise = d->options->data_advertise};
    enum err_code code = serve.listen ? blob_serve_new(&serve, &d->serve, err) : ERR_OK;
    if (!code && d->serve)
        log_event(LOG_INFO, "serving", "endpoint=%s", blob_serve_endpoint(d->serve));
    return code;
}

static enum err_code network_start(struct driver *d, struct err *err)
{
    const struct net_access *access = d->options->access;
    struct net_dealer_options dealer = {.endpoint = access->endpoint,
                                        .server = &access->server,
                                        .own = &access->own,
                                        .frame_bytes_max = FRAME_BYTES_MAX,
                                        .receive = on_receive,
                                        .status = on_status,
                                        .ctx = d};
    struct blob_client_options blobs = {.loop = &d->loop,
                                        .endpoint = access->data_endpoint,
                                        .server = &access->server,
                                        .own = &access->own,
                                        .cache = d->cache,
                                        .worker = d->options->name,
                                        .store_folder = d->options->store_folder};
    enum err_code code = net_new(&d->loop, &d->net, err);
    if (code)
        return code;
    code = serve_start(d, err);
    if (code)
        return code;
    blobs.net = d->net;
    blobs.serve = d->serve;
    code = net_dealer_new(d->net, &dealer, &d->dealer, err);
    return code ? code : blob_client_new(&blobs, &d->blobs, err);
}

/* ---- timers and signals ---- */

static void on_second(uv_timer_t *timer)
{
    driver_second(timer->data);
}

static void on_signal(uv_signal_t *handle, int signal_number)
{
    struct driver *d = handle->data;
    log_event(LOG_INFO, "signal", "number=%d", signal_number);
    driver_post(
        d, &(struct agent_event){.kind = AGENT_EV_TERMINATE, .grace_ms = d->options->grace_ms});
}

static enum err_code loop_start(struct driver *d, struct err *err)
{
    int status = uv_loop_init(&d->loop);
    if (status != 0)
        return err_os(err, -status, "start the loop");
    uv_timer_init(&d->loop, &d->wake);
    uv_timer_init(&d->loop, &d->second);
    uv_signal_init(&d->loop, &d->terminate);
    uv_signal_init(&d->loop, &d->interrupt);
    d->wake.data = d->second.data = d->terminate.data = d->interrupt.data = d;
    uv_timer_start(&d->second, on_second, 1000, 1000);
    uv_signal_start(&d->terminate, on_signal, SIGTERM);
    uv_signal_start(&d->interrupt, on_signal, SIGINT);
    return ERR_OK;
}

/* Everything that keeps the loop alive goes; children tell their end before it runs out. */
static void close_all(struct driver *d)
{
    if (d->closed)
        return;
    d->closed = true;
    driver_kill_children(d);
    uv_close((uv_handle_t *)&d->wake, NULL);
    uv_close((uv_handle_t *)&d->second, NULL);
    uv_close((uv_handle_t *)&d->terminate, NULL);
    uv_close((uv_handle_t *)&d->interrupt, NULL);
    while (d->transfers) {
        struct lease_key lease = d->transfers->lease;
        driver_cancel_transfers(d, &lease);
    }
    if (d->blobs)
        blob_client_free(d->blobs);
    if (d->serve)
        blob_serve_free(d->serve);
    if (d->dealer)
        net_socket_free(d->dealer);
    if (d->net)
        net_free(d->net, NULL, NULL);
}

static void on_farewell(uv_timer_t *timer)
{
    close_all(timer->data);
}

void driver_leave(struct driver *d, bool refused, const char *reason)
{
    d->leaving = true;
    d->refused = refused;
    strncpy(d->leave_reason, reason, sizeof d->leave_reason - 1);
    log_event(refused ? LOG_ERROR : LOG_INFO, "leaving", "reason=\"%s\"", reason);
    driver_kill_children(d);
    uv_timer_start(&d->second, on_farewell, FAREWELL_MS, 0);
}

/* ---- beginning and end ---- */

static struct agent *agent_begin(const struct worker_options *o)
{
    uint8_t instance[DIGEST_BYTES];
    ASSERT(getrandom(instance, sizeof instance, 0) == sizeof instance);
    struct agent_options options = {.worker = o->name,
                                    .host = o->host,
                                    .numeric_class = o->numeric_class,
                                    .version = o->version,
                                    .host_cores = o->host_cores,
                                    .threads = o->threads,
                                    .memory_bytes = o->memory_bytes,
                                    .ranks = o->ranks,
                                    .rank_threads = o->rank_threads,
                                    .idle_end_ms = o->idle_end_ms,
                                    .node = o->node,
                                    .labels = o->labels};
    if (o->time_limit_ms > 0) {
        options.ends_at_ms = clock_mono_ms() + o->time_limit_ms;
        options.end_grace_ms =
            o->grace_ms < o->time_limit_ms / 2 ? o->grace_ms : o->time_limit_ms / 2;
    }
    memcpy(options.instance.bytes, instance, sizeof instance);
    memcpy(&options.seed, instance, sizeof options.seed);
    return agent_new(&options);
}

/* Give the agent what a former process of this worker finished and could not deliver. */
static void tell_survivors(struct driver *d)
{
    size_t count = spool_finished_count(d->spool);
    struct agent_survivor *survivors = calloc(count + 1, sizeof *survivors);
    ASSERT(survivors);
    for (size_t i = 0; i < count; i++) {
        const struct msg_result *r = spool_finished_at(d->spool, i);
        survivors[i].lease = r->lease;
        survivors[i].outcome = (struct agent_outcome){.outcome = r->outcome,
                                                      .reason = r->reason,
                                                      .items = r->items,
                                                      .records = r->records,
                                                      .artifact = r->artifact,
                                                      .exit_signal = r->exit_signal,
                                                      .exit_code = r->exit_code,
                                                      .wall_ms = r->wall_ms,
                                                      .cpu_ms = r->cpu_ms,
                                                      .memory_peak_bytes = r->memory_peak_bytes,
                                                      .start_step = r->start_step,
                                                      .numeric_class = r->numeric_class};
        memcpy(survivors[i].batches, r->batches, sizeof r->batches);
    }
    if (count)
        log_event(LOG_INFO, "spool_survivors", "count=%zu", count);
    driver_post(d, &(struct agent_event){.kind = AGENT_EV_START,
                                         .survivors = {.items = survivors, .count = count}});
    free(survivors);
}

static enum err_code driver_open(struct driver *d, struct err *err)
{
    const struct worker_options *o = d->options;
    enum err_code code = worker_folder_open(o->folder, o->name, &d->folder, err);
    if (code)
        return code;
    char *spool = worker_folder_path(&d->folder, "spool");
    d->cache = worker_folder_path(&d->folder, "cache");
    code = spool_open(spool, o->spool_bytes_max, &d->spool, err);
    free(spool);
    return code ? code : network_start(d, err);
}

static void driver_close(struct driver *d)
{
    while (d->children) { /* those whose job's thread never reported */
        struct driver_child *c = d->children;
        d->children = c->next;
        free(c->end_text);
        free(c);
    }
    while (d->jobs)
        driver_job_free(d, d->jobs);
    driver_events_release(d);
    agent_actions_release(&d->actions);
    agent_free(d->agent);
    spool_free(d->spool);
    free(d->cache);
    worker_folder_close(&d->folder);
}

enum err_code worker_run(const struct worker_options *options, struct err *err)
{
    struct driver d = {.options = options, .folder = {.lock_fd = -1}};
    d.events_end = &d.events;
    d.ends_end = &d.ends;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error, not a death */
    enum err_code code = loop_start(&d, err);
    if (code)
        return code;
    code = driver_open(&d, err);
    if (!code) {
        d.agent = agent_begin(options);
        log_event(LOG_INFO, "worker_started", "name=%s threads=%u class=%s folder=%s",
                  options->name, options->threads, options->numeric_class, d.folder.path);
        tell_survivors(&d);
        uv_run(&d.loop, UV_RUN_DEFAULT); /* until close_all() */
    }
    close_all(&d);
    uv_run(&d.loop, UV_RUN_DEFAULT);
    int status = uv_loop_close(&d.loop);
    ASSERT(status == 0); /* a handle left open would be a leak of ours */
    driver_close(&d);
    if (!code && d.refused)
        code = err_set(err, ERR_DENIED, "the coordinator refused this worker: %s", d.leave_reason);
    return code;
}
