/* Lists and documents for clients. */
#include <string.h>

#include "bounds.h"
#include "store_query.h"

/* ---- jobs ---- */

#define CLIENT_JOB_COLUMNS                                                                         \
    "j.id, j.identity, j.kind, j.state, j.label, j.family, j.variant, j.task, j.seed, j.reason,"   \
    " j.worker, j.epoch, j.items, j.items_expected, j.submitted_ms, j.started_ms, j.ended_ms,"     \
    " j.artifact, j.records, j.numeric_class, j.priority"

static uint64_t client_job_read(struct query *q, struct arena *arena, struct job_row *out)
{
    uint64_t id = query_u64(q);
    out->job = query_digest(q);
    out->kind = (enum job_kind)query_int(q);
    out->state = (enum job_state)query_int(q);
    out->label = query_text(q, arena);
    out->family = query_text(q, arena);
    out->variant = query_text(q, arena);
    out->task = query_text(q, arena);
    out->seed = query_u64(q);
    out->reason = query_text(q, arena);
    out->worker = query_text(q, arena);
    out->attempts = query_u32(q);
    out->items = query_u64(q);
    out->total = query_u64(q);
    out->done = out->items;
    out->submitted_ms = query_int(q);
    out->started_ms = query_int(q);
    out->ended_ms = query_int(q);
    out->artifact = query_digest(q);
    out->records = query_digest(q);
    out->numeric_class = query_text(q, arena);
    out->priority = (int32_t)query_int(q);
    return id;
}

/* What a row takes in a frame, at most. */
static size_t row_bytes(const struct job_row *row)
{
    return 256 + strlen(row->label) + strlen(row->family) + strlen(row->variant) +
           strlen(row->task) + strlen(row->reason) + strlen(row->worker) +
           strlen(row->numeric_class);
}

/* Jobs that one request looks at, wanted or not: a few milliseconds. */
#define LIST_LOOKS_MAX  4000
#define UNFINISHED_MASK ((1 << JOB_WAITING) | (1 << JOB_LEASED) | (1 << JOB_RUNNING))

/* Before a job's columns: is it of a wanted state? Who reads counts all it sees, so that the jobs
 * of other states do not stop the loop, however many there are. */
static struct query list_query(struct store *store, const struct msg_list_jobs *request,
                               int64_t experiment, int64_t mask)
{
    static const char *const all = "SELECT (1 << j.state) & ?1, " CLIENT_JOB_COLUMNS " FROM jobs j"
                                   " WHERE j.id > ?2 ORDER BY j.id LIMIT ?3";
    static const char *const unfinished =
        "SELECT (1 << j.state) & ?1, " CLIENT_JOB_COLUMNS " FROM jobs j"
        " WHERE j.state < 3 AND j.id > ?2 ORDER BY j.id LIMIT ?3"; /* there is an index */
    static const char *const of_experiment =
        "SELECT (1 << j.state) & ?1, " CLIENT_JOB_COLUMNS
        " FROM experiment_jobs m JOIN jobs j ON j.id = m.job_id"
        " WHERE m.experiment_id = ?4 AND m.job_id > ?2 ORDER BY m.job_id LIMIT ?3";
    const bool is_of_all = *request->experiment == '\0';
    struct query q = query_begin(store, !is_of_all                       ? of_experiment
                                        : (mask & ~UNFINISHED_MASK) != 0 ? all
                                                                         : unfinished);
    query_bind_int(&q, mask);
    query_bind_int(&q, (int64_t)(request->cursor & INT64_MAX));
    query_bind_int(&q, LIST_LOOKS_MAX);
    if (!is_of_all) {
        query_bind_int(&q, experiment);
    }
    return q;
}

/* 0 when `name` is empty. */
static enum err_code find_experiment(struct store *store, const char *name, int64_t *id_out,
                                     struct err *err)
{
    *id_out = 0;
    return *name == '\0' ? ERR_OK : store_experiment_id(store, name, id_out, err);
}

enum err_code store_list_jobs(struct store *store, const struct msg_list_jobs *request,
                              struct arena *arena, struct msg_jobs *out, struct err *err)
{
    int64_t experiment = 0;
    enum err_code code = find_experiment(store, request->experiment, &experiment, err);
    if (code != ERR_OK) {
        return code;
    }
    int64_t mask = request->state_mask == 0 ? -1 : (int64_t)request->state_mask;
    struct query q = list_query(store, request, experiment, mask);
    struct msg_jobs jobs = {.request = request->request};
    jobs.rows = arena_array(arena, LIST_ROWS_PER_FRAME, sizeof *jobs.rows);
    uint64_t last = 0;
    size_t bytes = 0;
    int looks = 0;
    bool more = false;
    code = query_next(&q, &more, err);
    while (code == ERR_OK && more && jobs.row_count < LIST_ROWS_PER_FRAME) {
        const bool is_wanted = query_int(&q) != 0;
        struct job_row row = {0};
        uint64_t id = is_wanted ? client_job_read(&q, arena, &row) : query_u64(&q);
        bytes += is_wanted ? row_bytes(&row) : 0;
        if (bytes > REPLY_BYTES_MAX && jobs.row_count > 0) {
            break; /* it begins the next frame */
        }
        if (is_wanted) {
            jobs.rows[jobs.row_count++] = row;
        }
        last = id;
        looks++;
        code = query_next(&q, &more, err);
    }
    query_end(&q);
    jobs.next_cursor = more || looks == LIST_LOOKS_MAX ? last : 0;
    if (code == ERR_OK) {
        *out = jobs;
    }
    return code;
}

enum err_code store_running_label(struct store *store, uint64_t order, const char *experiment,
                                  struct arena *arena, const char **label_out, double *work_out,
                                  bool *wanted_out, struct err *err)
{
    struct query q = query_begin(
        store, "SELECT j.label, j.work, j.state IN (?3, ?4) AND (?2 = '' OR EXISTS"
               " (SELECT 1 FROM experiment_jobs m JOIN experiments e ON e.id = m.experiment_id"
               "  WHERE m.job_id = j.id AND e.name = ?2)) FROM jobs j WHERE j.id = ?1");
    query_bind_int(&q, (int64_t)order);
    query_bind_text(&q, experiment);
    query_bind_int(&q, JOB_LEASED);
    query_bind_int(&q, JOB_RUNNING);
    bool more = false;
    enum err_code code = query_next(&q, &more, err);
    if (code == ERR_OK) {
        *label_out = more ? query_text(&q, arena) : "";
        *work_out = more ? (double)query_u64(&q) : 0;
        *wanted_out = more && query_int(&q) != 0;
        query_end(&q);
    }
    return code;
}

/* What an attempt takes in a frame, at most. */
static size_t attempt_bytes(const struct attempt_row *a)
{
    return 256 + strlen(a->worker) + strlen(a->reason) + strlen(a->node);
}

static void read_attempt(struct query *q, struct arena *arena, struct attempt_row *a)
{
    a->epoch = query_u32(q);
    a->worker = query_text(q, arena);
    a->outcome = (enum outcome)query_int(q);
    a->ended = query_int(q) != 0;
    a->committed = query_int(q) != 0;
    a->reason = query_text(q, arena);
    a->start_step = query_u64(q);
    a->started_ms = query_int(q);
    a->ended_ms = query_int(q);
    a->wall_ms = query_u64(q);
    a->cpu_ms = query_u64(q);
    a->memory_peak_bytes = query_u64(q);
    a->exit_signal = query_u32(q);
    a->exit_code = (int32_t)query_int(q);
    a->artifact = query_digest(q);
    for (int s = 0; s < STREAM_COUNT; s++) {
        a->batches[s] = query_u32(q);
    }
    a->node = query_text(q, arena);
}

/* The newest that fit beside the `bytes` of the job itself. */
static enum err_code read_attempts(struct store *store, int64_t job, size_t bytes,
                                   struct arena *arena, struct msg_job *out, struct err *err)
{
    struct query q = query_begin(
        store, "SELECT a.epoch, a.worker, a.outcome, a.ended, a.committed, a.reason, a.start_step,"
               " a.started_ms, a.ended_ms, a.wall_ms, a.cpu_ms, a.memory_peak_bytes, a.exit_signal,"
               " a.exit_code, a.artifact,"
               " (SELECT count(*) FROM batches b WHERE b.job_id = a.job_id AND b.epoch = a.epoch "
               "AND b.stream = 0),"
               " (SELECT count(*) FROM batches b WHERE b.job_id = a.job_id AND b.epoch = a.epoch "
               "AND b.stream = 1),"
               " (SELECT count(*) FROM batches b WHERE b.job_id = a.job_id AND b.epoch = a.epoch "
               "AND b.stream = 2),"
               " coalesce((SELECT node FROM workers w WHERE w.name = a.worker), '')"
               " FROM attempts a WHERE a.job_id = ? ORDER BY a.epoch DESC LIMIT ?");
    query_bind_int(&q, job);
    query_bind_int(&q, LIST_ROWS_PER_FRAME);
    out->attempts = arena_array(arena, LIST_ROWS_PER_FRAME, sizeof *out->attempts);
    bool more = false;
    enum err_code code = query_next(&q, &more, err);
    while (code == ERR_OK && more && out->attempt_count < LIST_ROWS_PER_FRAME) {
        struct attempt_row *a = &out->attempts[out->attempt_count];
        read_attempt(&q, arena, a);
        bytes += attempt_bytes(a);
        if (bytes > REPLY_BYTES_MAX) {
            break;
        }
        out->attempt_count++;
        code = query_next(&q, &more, err);
    }
    query_end(&q);
    return code;
}

enum err_code store_show_job(struct store *store, const struct msg_show_job *request,
                             struct arena *arena, struct msg_job *out, struct err *err)
{
    struct query q = query_begin(
        store, "SELECT " CLIENT_JOB_COLUMNS ", s.spec, j.resume_step, j.resume FROM jobs j"
               " JOIN job_specs s ON s.job_id = j.id WHERE j.identity = ?");
    query_bind_digest(&q, &request->job);
    bool more = false;
    enum err_code code = query_next(&q, &more, err);
    if (code != ERR_OK) {
        return code;
    }
    if (!more) {
        query_end(&q);
        char hex[DIGEST_HEX_SIZE];
        return err_set(err, ERR_NOT_FOUND, "job %.12s is not known",
                       digest_hex(&request->job, hex));
    }
    struct msg_job job = {.request = request->request};
    int64_t id = (int64_t)client_job_read(&q, arena, &job.row);
    job.spec = query_bytes(&q, arena);
    job.resume_step = query_u64(&q);
    job.resume = query_digest(&q);
    query_end(&q);
    code = read_attempts(store, id, job.spec.len + row_bytes(&job.row), arena, &job, err);
    if (code == ERR_OK) {
        *out = job;
    }
    return code;
}

/* ---- experiments ---- */

enum err_code store_get_experiment(struct store *store, const struct msg_get_experiment *request,
                                   struct arena *arena, struct msg_experiment *out, struct err *err)
{
    /* The manifest comes with the first slice. */
    struct query q = query_begin(
        store,
        "SELECT manifest, substr(plan, ?2 + 1, max(0, ?3 - iif(?2 = 0, length(manifest), 0))),"
        " length(plan) FROM experiments WHERE name = ?1");
    query_bind_text(&q, request->experiment);
    query_bind_int(&q, (int64_t)(request->plan_offset & INT64_MAX));
    query_bind_int(&q, REPLY_BYTES_MAX);
    bool more = false;
    enum err_code code = query_next(&q, &more, err);
    if (code != ERR_OK) {
        return code;
    }
    if (!more) {
        query_end(&q);
        return err_set(err, ERR_NOT_FOUND, "no experiment is called '%s'", request->experiment);
    }
    *out = (struct msg_experiment){.request = request->request};
    out->manifest = query_bytes(&q, arena);
    out->plan_json = query_bytes(&q, arena);
    out->plan_bytes = query_u64(&q);
    query_end(&q);
    if (request->plan_offset > 0) {
        out->manifest = (struct bytes){0};
    }
    return ERR_OK;
}

static enum err_code count_states(struct store *store, int64_t id, struct experiment_row *row,
                                  struct store_work *work, struct err *err)
{
    struct query q = query_begin(
        store, "SELECT state, jobs, work FROM experiment_counts WHERE experiment_id = ?1");
    query_bind_int(&q, id);
    bool more = false;
    enum err_code code = query_next(&q, &more, err);
    while (code == ERR_OK && more) {
        int64_t state = query_int(&q);
        uint64_t count = query_u64(&q);
        double sum = (double)query_u64(&q);
        if (state >= 0 && state < JOB_STATE_COUNT) {
            row->counts[state] = count;
            work->unfinished += job_state_is_final((enum job_state)state) ? 0 : sum;
            work->done += state == JOB_DONE ? sum : 0;
        }
        work->all += sum;
        code = query_next(&q, &more, err);
    }
    query_end(&q);
    return code;
}

void store_work_show(const struct store_work *work, double running, int64_t time_ms,
                     struct experiment_row *row)
{
    const double left = work->unfinished > running ? work->unfinished - running : 0;
    const double since = work->done_since + running;
    const double elapsed_ms = (double)(time_ms - work->submitted_ms);
    row->work_done_ratio = work->all > 0 ? (work->done + work->unfinished - left) / work->all : 1.0;
    row->eta_ms = -1;
    if (work->unfinished <= 0) {
        row->eta_ms = 0;
    } else if (since > 0 && elapsed_ms > 0 && left / since < 1e6) {
        row->eta_ms = (int64_t)(elapsed_ms * left / since);
    }
}

/* As many as a reply holds. */
#define EXPERIMENTS_LISTED_MAX LIST_ROWS_PER_FRAME

enum err_code store_experiments(struct store *store, const char *experiment, struct arena *arena,
                                struct experiment_row **rows_out, struct store_work **work_out,
                                size_t *count_out, struct err *err)
{
    int64_t wanted = 0;
    enum err_code code = find_experiment(store, experiment, &wanted, err);
    code = code != ERR_OK || !store->in_transaction ? code : store_counts_write(store, err);
    if (code != ERR_OK) {
        return code;
    }
    struct query q =
        query_begin(store, "SELECT id, name, created_ms, submitted_ms, paused, priority,"
                           " work_done FROM experiments"
                           " WHERE ?1 = 0 OR id = ?1 ORDER BY submitted_ms DESC, id DESC LIMIT ?2");
    query_bind_int(&q, wanted);
    query_bind_int(&q, EXPERIMENTS_LISTED_MAX);
    struct experiment_row *rows = arena_array(arena, EXPERIMENTS_LISTED_MAX, sizeof *rows);
    struct store_work *work = arena_array(arena, EXPERIMENTS_LISTED_MAX, sizeof *work);
    size_t count = 0;
    bool more = false;
    code = query_next(&q, &more, err);
    while (code == ERR_OK && more && count < EXPERIMENTS_LISTED_MAX) {
        int64_t id = query_int(&q);
        rows[count].name = query_text(&q, arena);
        rows[count].created_ms = query_int(&q);
        work[count].submitted_ms = query_int(&q);
        rows[count].paused = query_int(&q) != 0;
        rows[count].priority = (int32_t)query_int(&q);
        work[count].done_since = (double)query_u64(&q);
        code = count_states(store, id, &rows[count], &work[count], err);
        count++;
        code = code != ERR_OK ? code : query_next(&q, &more, err);
    }
    query_end(&q);
    if (code == ERR_OK) {
        *rows_out = rows;
        *work_out = work;
        *count_out = count;
    }
    return code;
}

enum err_code store_document(struct store *store, const char *name, struct arena *arena,
                             const char **body_out, struct err *err)
{
    struct query q = query_begin(store, "SELECT body FROM documents WHERE name = ?");
    bool more = false;
    query_bind_text(&q, name);
    enum err_code code = query_next(&q, &more, err);
    if (code == ERR_OK) {
        *body_out = more ? query_text(&q, arena) : "";
        query_end(&q);
    }
    return code;
}
