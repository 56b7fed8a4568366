/* Questions of clients: answered from what is committed, completed by what only the core knows (how
 * far what runs is, why something waits). So they can be answered at any time, also in the middle
 * of a turn or while it is being committed. */
#include <string.h>
#include <unistd.h>

#include "alloc_drive.h"
#include "blob_peers.h"
#include "client_request.h"
#include "clock.h"

static struct msg *answer(const struct request *r, enum msg_kind kind)
{
    r->reply->kind = kind;
    return r->reply;
}

/* A sender who found no room tries again every few seconds: silence means that it gave up. */
#define BLOBS_FULL_TOLD_MS 10000

static const char *trouble_now(struct server *server, struct arena *arena)
{
    const bool is_full =
        server->blobs_full_ms != 0 && clock_mono_ms() - server->blobs_full_ms < BLOBS_FULL_TOLD_MS;
    const int64_t commit_ms = server->commit_ms != 0 ? clock_mono_ms() - server->commit_ms : 0;
    if (commit_ms > COMMIT_SLOW_MS) { /* a disk that hangs fails nothing */
        return arena_printf(arena,
                            "the disk of '%s' has been at a commit for %lld s: nothing is handed "
                            "out or acknowledged until that is done",
                            server->state_dir, (long long)(commit_ms / 1000));
    }
    return is_full ? arena_strdup(arena, server->blobs_full.text) : "";
}

static enum err_code do_status(const struct request *r, struct err *err)
{
    const struct msg_get_status *request = &r->msg->get_status;
    struct server *server = r->server;
    struct arena *arena = r->arena;
    struct msg_status status = {.request = request->request, .trouble = trouble_now(server, arena)};
    struct store_work *work = NULL;
    double running_work = 0;
    enum err_code code =
        store_experiments(store_reader(server->store), request->experiment, arena,
                          &status.experiments, &work, &status.experiment_count, err);
    if (code != ERR_OK) {
        return code;
    }
    struct core_counts counts = core_counts(server->core);
    status.workers = (uint32_t)counts.workers;
    status.threads = (uint32_t)counts.threads;
    struct core_running *running = arena_array(arena, LIST_ROWS_PER_FRAME, sizeof *running);
    size_t count = core_running_list(server->core, running, LIST_ROWS_PER_FRAME);
    status.running = arena_array(arena, count, sizeof *status.running);
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        struct running_row *row = &status.running[status.running_count];
        bool wanted = false;
        double job_work = 0;
        code =
            store_running_label(store_reader(server->store), running[i].order, request->experiment,
                                arena, &row->label, &job_work, &wanted, err);
        if (wanted && running[i].total > 0) {
            running_work += job_work * (double)running[i].done / (double)running[i].total;
        }
        row->job = running[i].job;
        row->worker = arena_strdup(arena, running[i].worker);
        row->done = running[i].done;
        row->total = running[i].total;
        row->loss_nats = running[i].loss_nats;
        row->tokens_per_s = running[i].tokens_per_s;
        row->started_ms = running[i].started_ms;
        status.running_count += wanted;
    }
    /* What runs is counted where one experiment was asked for; for all, whose it is matters little.
     */
    for (size_t i = 0; i < status.experiment_count; i++) {
        store_work_show(&work[i], *request->experiment ? running_work : 0, clock_time_ms(),
                        &status.experiments[i]);
    }
    if (code == ERR_OK) {
        answer(r, MSG_STATUS)->status = status;
    }
    return code;
}

/* What the store cannot know of an unfinished job: why it waits, how far it is. */
static void complete_row(const struct request *r, struct job_row *row)
{
    struct server *server = r->server;
    struct core_running running;
    if (row->state == JOB_WAITING) {
        row->reason = core_wait_reason(server->core, &row->job, server_now_ms(server));
    } else if (core_running(server->core, &row->job, &running)) {
        row->worker = arena_strdup(r->arena, running.worker);
        row->done = running.done;
        row->total = running.total;
    }
}

static enum err_code do_list_jobs(const struct request *r, struct err *err)
{
    struct msg_jobs jobs;
    enum err_code code =
        store_list_jobs(store_reader(r->server->store), &r->msg->list_jobs, r->arena, &jobs, err);
    if (code != ERR_OK) {
        return code;
    }
    for (size_t i = 0; i < jobs.row_count; i++) {
        complete_row(r, &jobs.rows[i]);
    }
    answer(r, MSG_JOBS)->jobs = jobs;
    return ERR_OK;
}

static enum err_code do_show_job(const struct request *r, struct err *err)
{
    struct msg_job job;
    enum err_code code =
        store_show_job(store_reader(r->server->store), &r->msg->show_job, r->arena, &job, err);
    if (code == ERR_OK) {
        complete_row(r, &job.row);
        answer(r, MSG_JOB)->job = job;
    }
    return code;
}

static enum err_code do_read_stream(const struct request *r, struct err *err)
{
    struct msg_batches batches;
    enum err_code code = store_read_stream(store_reader(r->server->store), &r->msg->read_stream,
                                           r->arena, &batches, err);
    if (code == ERR_OK) {
        answer(r, MSG_BATCHES)->batches = batches;
    }
    return code;
}

static enum err_code do_get_experiment(const struct request *r, struct err *err)
{
    struct msg_experiment experiment;
    enum err_code code = store_get_experiment(store_reader(r->server->store),
                                              &r->msg->get_experiment, r->arena, &experiment, err);
    if (code == ERR_OK) {
        answer(r, MSG_EXPERIMENT)->experiment = experiment;
    }
    return code;
}

/* What a row takes in a frame, at most. */
static size_t worker_row_bytes(const struct worker_row *row)
{
    return 160 + strlen(row->worker) + strlen(row->host) + strlen(row->numeric_class) +
           strlen(row->version) + strlen(row->node) + strlen(row->labels) + strlen(row->reason);
}

static enum err_code do_list_workers(const struct request *r, struct err *err)
{
    (void)err;
    struct arena *arena = r->arena;
    const struct msg_list_workers *request = &r->msg->list_workers;
    struct worker_row *all = arena_array(arena, WORKERS_MAX, sizeof *all);
    const size_t count = core_workers(r->server->core, all, WORKERS_MAX);
    size_t first = 0;
    while (first < count && *request->after != '\0' &&
           strcmp(all[first].worker, request->after) <= 0) {
        first++;
    }
    size_t end = first;
    for (size_t bytes = 0; end < count && end - first < LIST_ROWS_PER_FRAME; end++) {
        struct worker_row *row = &all[end];
        row->worker = arena_strdup(arena, row->worker);
        row->host = arena_strdup(arena, row->host);
        row->numeric_class = arena_strdup(arena, row->numeric_class);
        row->version = arena_strdup(arena, row->version);
        row->node = arena_strdup(arena, row->node);
        row->labels = arena_strdup(arena, row->labels);
        row->reason = arena_strdup(arena, row->reason);
        bytes += worker_row_bytes(row);
        if (bytes > REPLY_BYTES_MAX) {
            break; /* it begins the next page */
        }
    }
    answer(r, MSG_WORKERS)->workers =
        (struct msg_workers){.request = request->request,
                             .rows = end == first ? NULL : all + first,
                             .row_count = end - first,
                             .more = end < count};
    return ERR_OK;
}

static enum err_code do_list_traffic(const struct request *r, struct err *err)
{
    (void)err;
    struct arena *arena = r->arena;
    const struct msg_list_traffic *request = &r->msg->list_traffic;
    /* A row has two names and a few numbers: this many always fit a frame. */
    enum { ROWS_MAX = 200 };
    _Static_assert(ROWS_MAX * (2 * NAME_BYTES_MAX + 100) < REPLY_BYTES_MAX, "a page fits");
    struct traffic_row *rows = arena_array(arena, ROWS_MAX, sizeof *rows);
    bool more = false;
    const size_t count =
        blob_peers_rows(r->server->blob_peers, request->after, rows, ROWS_MAX, arena, &more);
    answer(r, MSG_TRAFFIC)->traffic = (struct msg_traffic){.request = request->request,
                                                           .rows = count == 0 ? NULL : rows,
                                                           .row_count = count,
                                                           .more = more};
    return ERR_OK;
}

static enum err_code do_info(const struct request *r, struct err *err)
{
    (void)err;
    struct server *server = r->server;
    struct core_counts counts = core_counts(server->core);
    struct store_counters stored = store_counters(server->store);
    struct msg *reply = answer(r, MSG_INFO);
    reply->info = (struct msg_info){
        .request = r->msg->get_info.request,
        .version = server->version,
        .state_dir = server->state_dir,
        .started_ms = server->started_ms,
        .pid = (uint64_t)getpid(),
        .jobs_unfinished = counts.jobs,
        .jobs_finished = stored.jobs > counts.jobs ? stored.jobs - counts.jobs : 0,
        .workers = counts.workers,
        .database_bytes = stored.database_bytes,
        .frames_received = server->frames_received,
        .frames_refused = server->frames_refused + net_counts(server->net).frames_refused,
        .commits = stored.commits,
        .records_committed = stored.records_committed,
        .loop_lag_ms_max = server->loop_lag_ms_max,
    };
    return ERR_OK;
}

static enum err_code do_explain_job(const struct request *r, struct err *err)
{
    struct server *server = r->server;
    const struct msg_explain_job *m = &r->msg->explain_job;
    struct core_job_row row;
    enum err_code code =
        store_job_row(store_reader(r->server->store), &m->job, r->arena, &row, err);
    if (code != ERR_OK) {
        return code;
    }
    struct msg *reply = answer(r, MSG_EXPLANATION);
    reply->explanation.request = m->request;
    core_explain(server->core, &m->job, server_now_ms(server), r->arena, &reply->explanation);
    return ERR_OK;
}

request_f *const client_questions[MSG_KIND_COUNT] = {
    [MSG_GET_STATUS] = do_status,       [MSG_LIST_JOBS] = do_list_jobs,
    [MSG_SHOW_JOB] = do_show_job,       [MSG_LIST_WORKERS] = do_list_workers,
    [MSG_READ_STREAM] = do_read_stream, [MSG_GET_EXPERIMENT] = do_get_experiment,
    [MSG_GET_INFO] = do_info,           [MSG_GET_ALLOCS] = client_get_allocs,
    [MSG_EXPLAIN_JOB] = do_explain_job, [MSG_LIST_TRAFFIC] = do_list_traffic,
};
