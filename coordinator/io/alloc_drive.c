#include "alloc_drive.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "alloc.h"
#include "batch_run.h"
#include "check.h"
#include "clock.h"
#include "file.h"
#include "log.h"
#include "slurm.h"

#define LOOK_MS      1000
#define DOCUMENT     "allocations"
#define DEMAND_KINDS 256

struct alloc_drive {
    struct server *server;
    struct alloc *alloc;
    struct batch_run *run; /* made with the first command */
    int64_t looked_ms;
    bool stale; /* the last change could not be stored: read it again first */
};

/* A command under way, and whom its end concerns. */
struct errand {
    struct alloc_drive *drive;
    enum alloc_action_kind kind;
    uint64_t number;        /* SUBMIT */
    uint64_t peer, request; /* of a dry run; peer 0: none */
    char *shown;            /* of a dry run: what would be submitted; owned */
};

static enum err_code read_state(struct alloc_drive *drive, struct err *err)
{
    struct arena arena = {0};
    const char *body = "";
    enum err_code code = store_document(drive->server->store, DOCUMENT, &arena, &body, err);
    alloc_free(drive->alloc);
    drive->alloc = NULL;
    if (code == ERR_OK && *body != '\0') {
        code = alloc_parse(body, strlen(body), &drive->alloc, err);
    } else if (code == ERR_OK) {
        char tag[8];
        unsigned char random[3];
        if (getrandom(random, sizeof random, 0) != sizeof random) {
            return err_os(err, errno, "draw a name for this coordinator's batch jobs");
        }
        snprintf(tag, sizeof tag, "%02x%02x%02x", random[0], random[1], random[2]);
        drive->alloc = alloc_new(tag);
    }
    arena_release(&arena);
    drive->stale = code != ERR_OK;
    return code;
}

enum err_code alloc_drive_open(struct server *server, struct err *err)
{
    struct alloc_drive *drive = calloc(1, sizeof *drive);
    ASSERT(drive != NULL);
    drive->server = server;
    server->alloc_drive = drive;
    return read_state(drive, err);
}

void alloc_drive_close(struct server *server)
{
    if (server->alloc_drive != NULL) {
        batch_run_free(server->alloc_drive->run);
        server->alloc_drive->run = NULL;
    }
}

void alloc_drive_free(struct server *server)
{
    if (server->alloc_drive != NULL) {
        alloc_free(server->alloc_drive->alloc);
        free(server->alloc_drive);
        server->alloc_drive = NULL;
    }
}

/* ---- doing what was decided ---- */

static enum err_code step(struct alloc_drive *drive, struct alloc_event event, struct err *err);

static void run_command(struct alloc_drive *drive, const char *const *argv, const char *input,
                        batch_done_f *done, const struct errand *errand)
{
    struct errand *own = malloc(sizeof *own);
    ASSERT(own != NULL);
    *own = *errand;
    if (drive->run == NULL) {
        drive->run = batch_run_new(drive->server->loop);
    }
    batch_run_add(drive->run, argv, input, done, own);
}

/* The worker program beside this one. */
static const char *worker_program(struct arena *arena)
{
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    if (len <= 0) {
        return "triad-worker";
    }
    path[len] = '\0';
    return arena_printf(arena, "%s/triad-worker", dirname(path));
}

static const char *absolute(const char *path, struct arena *arena)
{
    char *real = realpath(path, NULL);
    const char *copy = arena_strdup(arena, real != NULL ? real : path);
    free(real);
    return copy;
}

static struct slurm_worker describe(const struct alloc_drive *drive,
                                    const struct alloc_queue_options *options, const char *name,
                                    struct arena *arena)
{
    const char *state = absolute(drive->server->state_dir, arena);
    const char *folder =
        *options->folder != '\0' ? options->folder : arena_printf(arena, "%s/alloc", state);
    return (struct slurm_worker){.program = worker_program(arena),
                                 .access = *options->access != '\0'
                                               ? options->access
                                               : arena_printf(arena, "%s/worker.access", state),
                                 .folder = arena_printf(arena, "%s/%s", folder, name),
                                 .name = name,
                                 .log = arena_printf(arena, "%s/alloc/%s.log", state, name)};
}

/* Where the logs and, unless told otherwise, the workers' folders go. */
static void make_folder(const struct alloc_drive *drive)
{
    char path[PATH_MAX];
    struct err err;
    snprintf(path, sizeof path, "%s/alloc", drive->server->state_dir);
    if (file_mkdirs(path, 0700, &err) != ERR_OK) {
        log_event(LOG_ERROR, "alloc_folder", "error='%s'", err.text);
    }
}

static void on_submitted(void *ctx, enum batch_end end, const char *text, size_t len)
{
    struct errand *errand = ctx;
    struct arena arena = {0};
    struct err err;
    (void)len;
    const char *id = end == BATCH_DONE ? slurm_batch_id(text, &arena) : NULL;
    const bool is_refused = end == BATCH_REFUSED && !slurm_may_have_taken(text);
    struct alloc_event event = {.kind = id != NULL   ? ALLOC_EV_SUBMITTED
                                        : is_refused ? ALLOC_EV_SUBMIT_FAILED
                                                     : ALLOC_EV_SUBMIT_UNSURE,
                                .number = errand->number,
                                .text = id != NULL          ? id
                                        : end == BATCH_DONE ? "sbatch printed no number of a job"
                                                            : text};
    log_event(id != NULL ? LOG_INFO : LOG_WARN, "allocation_submitted", "number=%llu text='%s'",
              (unsigned long long)errand->number, event.text);
    (void)!step(errand->drive, event, &err);
    arena_release(&arena);
    free(errand);
}

static void on_listed(void *ctx, enum batch_end end, const char *text, size_t len)
{
    struct errand *errand = ctx;
    struct arena arena = {0};
    struct alloc_listed *rows = NULL;
    size_t count = 0;
    struct err err;
    struct alloc_event event = {.kind = ALLOC_EV_LIST_FAILED, .text = text};
    if (end == BATCH_DONE && slurm_list_parse(text, len, &arena, &rows, &count, &err) != ERR_OK) {
        event.text = arena_strdup(&arena, err.text);
    } else if (end == BATCH_DONE) {
        event =
            (struct alloc_event){.kind = ALLOC_EV_LISTED, .listed = rows, .listed_count = count};
    }
    (void)!step(errand->drive, event, &err);
    arena_release(&arena);
    free(errand);
}

/* That it did not work shows in the next listing, and then it is tried again. */
static void on_cancelled(void *ctx, enum batch_end end, const char *text, size_t len)
{
    (void)len;
    if (end != BATCH_DONE) {
        log_event(LOG_WARN, "allocation_not_cancelled", "text='%s'", text);
    }
    free(ctx);
}

static void perform(struct alloc_drive *drive, const struct alloc_action *action,
                    struct arena *arena)
{
    const struct errand errand = {.drive = drive, .kind = action->kind, .number = action->number};
    if (action->kind == ALLOC_DO_LIST) {
        run_command(drive, slurm_list_command(action->text, arena), "", on_listed, &errand);
    } else if (action->kind == ALLOC_DO_CANCEL) {
        run_command(drive, slurm_cancel_command(action->text, arena), "", on_cancelled, &errand);
    } else {
        char name[96];
        alloc_job_name(drive->alloc, action->queue, action->number, name);
        struct slurm_worker worker = describe(drive, &action->queue->options, name, arena);
        make_folder(drive);
        run_command(drive, slurm_submit_command(&action->queue->options, &worker, false, arena),
                    slurm_script(&action->queue->options, &worker, arena), on_submitted, &errand);
    }
}

/* Decide, make it durable, do it. When it cannot be made durable, nothing is done and the state is
 * read again when it can. */
static enum err_code step(struct alloc_drive *drive, struct alloc_event event, struct err *err)
{
    struct server *server = drive->server;
    struct alloc_actions actions;
    struct arena arena = {0};
    if (server->stopping || server->in_trouble || drive->stale) {
        return err_set(err, ERR_UNAVAILABLE, "the state cannot be written now");
    }
    event.time_ms = clock_time_ms();
    enum err_code code = alloc_step(drive->alloc, &event, &arena, &actions, err);
    if (code == ERR_OK && actions.changed) {
        struct strbuf body = {0};
        alloc_print(drive->alloc, &body);
        turn_begin(server);
        code = store_document_put(server->store, DOCUMENT, strbuf_text(&body), err);
        strbuf_release(&body);
        if (code != ERR_OK) {
            turn_trouble(server, err);
        } else {
            turn_finish(server);
        }
        drive->stale = server->in_trouble;
        if (drive->stale && code == ERR_OK) {
            code = err_set(err, ERR_UNAVAILABLE, "the state cannot be written now");
        }
    }
    for (size_t i = 0; code == ERR_OK && i < actions.count; i++) {
        perform(drive, &actions.items[i], &arena);
    }
    arena_release(&arena);
    return code;
}

/* ---- looking around ---- */

static void tell_workers(struct alloc_drive *drive, struct arena *arena)
{
    struct worker_row *rows = arena_array(arena, WORKERS_MAX, sizeof *rows);
    const size_t count = core_workers(drive->server->core, rows, WORKERS_MAX);
    for (size_t i = 0; i < count; i++) {
        struct err err;
        if (strncmp(rows[i].worker, "triad-", 6) == 0) {
            const char *name = arena_strdup(arena, rows[i].worker);
            (void)!step(drive, (struct alloc_event){.kind = ALLOC_EV_WORKER, .text = name}, &err);
        }
    }
}

static void look(struct alloc_drive *drive)
{
    struct arena arena = {0};
    struct err err;
    struct core_demand *kinds = arena_array(&arena, DEMAND_KINDS, sizeof *kinds);
    struct alloc_demand *demand = arena_array(&arena, DEMAND_KINDS, sizeof *demand);
    tell_workers(drive, &arena);
    if (drive->server->in_trouble) {
        arena_release(&arena);
        return;
    }
    const size_t count = core_demand(drive->server->core, kinds, DEMAND_KINDS);
    for (size_t i = 0; i < count; i++) {
        demand[i] = (struct alloc_demand){.threads = kinds[i].threads,
                                          .memory_bytes = kinds[i].memory_bytes,
                                          .time_ms = (int64_t)kinds[i].time_limit_s * 1000,
                                          .labels = arena_strdup(&arena, kinds[i].labels),
                                          .ranks = kinds[i].ranks,
                                          .jobs = kinds[i].jobs};
    }
    (void)!step(drive,
                (struct alloc_event){.kind = ALLOC_EV_TICK,
                                     .demand = demand,
                                     .demand_count = count,
                                     .idle_threads = core_idle_threads(drive->server->core)},
                &err);
    arena_release(&arena);
}

void alloc_drive_tick(struct server *server)
{
    struct alloc_drive *drive = server->alloc_drive;
    struct err err;
    const int64_t now_ms = clock_mono_ms();
    if (drive == NULL || server->in_trouble || server->stopping ||
        now_ms - drive->looked_ms < LOOK_MS) {
        return;
    }
    drive->looked_ms = now_ms;
    if (drive->stale && read_state(drive, &err) != ERR_OK) {
        log_event(LOG_ERROR, "allocations_not_read", "error='%s'", err.text);
        return;
    }
    if (alloc_queue_count(drive->alloc) > 0) {
        look(drive);
    }
}

/* ---- clients ---- */

enum err_code client_get_allocs(const struct request *r, struct err *err)
{
    const struct alloc *alloc = r->server->alloc_drive->alloc;
    const char *name = r->msg->get_allocs.queue;
    struct strbuf text = {0};
    if (alloc == NULL) {
        return err_set(err, ERR_UNAVAILABLE, "the stored allocations cannot be read");
    }
    if (*name != '\0' && alloc_queue_find(alloc, name) == NULL) {
        return err_set(err, ERR_NOT_FOUND, "no queue is called '%s'; 'triad alloc list' shows them",
                       name);
    }
    alloc_show(alloc, *name != '\0' ? name : NULL, &text);
    r->reply->kind = MSG_ALLOCS;
    r->reply->allocs = (struct msg_allocs){.request = r->msg->get_allocs.request,
                                           .text = arena_strdup(r->arena, strbuf_text(&text))};
    strbuf_release(&text);
    return ERR_OK;
}

/* The answer of a dry run goes out when the batch system has spoken. */
static void on_dry_run(void *ctx, enum batch_end end, const char *text, size_t len)
{
    struct errand *errand = ctx;
    struct server *server = errand->drive->server;
    (void)len;
    if (!server->stopping) {
        turn_begin(server);
        struct err err;
        if (end == BATCH_DONE) {
            struct msg *reply = turn_reply(server, errand->peer, MSG_ALLOCS);
            reply->allocs = (struct msg_allocs){
                .request = errand->request, .text = arena_strdup(&server->answers, errand->shown)};
        } else {
            err_set(&err, ERR_INVALID, "the batch system refuses it: %s", text);
            turn_reply_error(server, errand->peer, errand->request, &err);
        }
    }
    free(errand->shown);
    free(errand);
}

static void dry_run(const struct request *r, const struct alloc_queue_options *options)
{
    struct alloc_drive *drive = r->server->alloc_drive;
    struct arena *arena = &r->server->answers;
    struct slurm_worker worker = describe(drive, options, "triad-dry-run", arena);
    const char *script = slurm_script(options, &worker, arena);
    const char *shown =
        slurm_shown(slurm_submit_command(options, &worker, false, arena), script, arena);
    const struct errand errand = {.drive = drive,
                                  .kind = ALLOC_DO_SUBMIT,
                                  .peer = r->peer,
                                  .request = r->msg->alloc_act.request,
                                  .shown = strdup(shown)};
    ASSERT(errand.shown != NULL);
    run_command(drive, slurm_submit_command(options, &worker, true, arena), script, on_dry_run,
                &errand);
}

enum err_code client_alloc_act(const struct request *r, struct err *err)
{
    static const enum alloc_event_kind events[ALLOC_WISH_COUNT] = {
        [ALLOC_WISH_ADD] = ALLOC_EV_ADD,       [ALLOC_WISH_DRY_RUN] = ALLOC_EV_ADD,
        [ALLOC_WISH_PAUSE] = ALLOC_EV_PAUSE,   [ALLOC_WISH_RESUME] = ALLOC_EV_RESUME,
        [ALLOC_WISH_REMOVE] = ALLOC_EV_REMOVE,
    };
    const struct msg_alloc_act *m = &r->msg->alloc_act;
    const uint64_t request = m->request;
    const uint64_t peer = r->peer;
    struct server *server = r->server;
    struct arena arena = {0};
    struct alloc_queue_options options;
    enum err_code code = ERR_OK;
    if (events[m->action] == ALLOC_EV_ADD) {
        code = alloc_options_parse(m->options, strlen(m->options), &arena, &options, err);
    }
    if (code == ERR_OK && m->action == ALLOC_WISH_DRY_RUN) {
        dry_run(r, &options);
    } else if (code == ERR_OK) {
        const char *queue = arena_strdup(&arena, m->queue);
        /* Ends the turn: the request itself is gone afterwards. */
        code = step(
            server->alloc_drive,
            (struct alloc_event){.kind = events[m->action], .options = &options, .queue = queue},
            err);
        if (code == ERR_OK) {
            turn_begin(server);
            struct msg *reply = turn_reply(server, peer, MSG_ALLOCS);
            reply->allocs = (struct msg_allocs){.request = request, .text = ""};
        }
    }
    arena_release(&arena);
    return code;
}
