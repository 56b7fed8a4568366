/* Rows back into the core: at start, and when an event names a finished job. */
#include <string.h>

#include "bounds.h"
#include "check.h"
#include "store_query.h"

void job_row_read(struct query *q, struct arena *arena, struct core_job_row *out,
                  bool *is_shared_out)
{
    struct core_job_state *s = &out->state;
    s->order = query_u64(q);
    s->identity = query_digest(q);
    out->kind = (enum job_kind)query_int(q);
    out->threads = query_u32(q);
    out->memory_bytes = query_u64(q);
    out->items_expected = query_u64(q);
    out->priority = (int32_t)query_int(q);
    store_again_unpack(query_u64(q), &out->retry);
    out->retry.backoff_ms = query_u32(q);
    out->retry.backoff_ms_max = query_u32(q);
    out->retry.memory_growth_percent = query_u32(q);
    out->labels = query_text(q, arena);
    out->time_limit_s = query_u32(q);
    out->ranks = query_u32(q);
    s->state = (enum job_state)query_int(q);
    s->reason = query_text(q, arena);
    s->epoch = query_u32(q);
    s->attempts_spent = query_u32(q);
    s->attempts_free = query_u32(q);
    s->attempts_max = query_u32(q);
    s->outcome = (enum outcome)query_int(q);
    s->failure_digest = query_u64(q);
    s->failure_worker = query_u64(q);
    s->worker = query_text(q, arena);
    s->resume = query_digest(q);
    s->resume_step = query_u64(q);
    s->artifact = query_digest(q);
    s->records = query_digest(q);
    s->items = query_u64(q);
    s->numeric_class = query_text(q, arena);
    s->submitted_ms = query_int(q);
    s->started_ms = query_int(q);
    s->ended_ms = query_int(q);
    s->failures = query_u64(q);
    out->experiment = query_text(q, arena);
    *is_shared_out = query_int(q) != 0;
}

static enum err_code add_parents(struct store *store, struct arena *arena, struct core_job_row *row,
                                 struct err *err)
{
    struct query q = query_begin(
        store, "SELECT p.name, p.parent, j.state, j.artifact FROM job_parents p"
               " JOIN jobs j ON j.identity = p.parent WHERE p.job_id = ? ORDER BY p.place");
    query_bind_int(&q, (int64_t)row->state.order);
    struct core_parent *parents = arena_array(arena, JOB_PARENTS_MAX, sizeof *parents);
    size_t count = 0;
    bool more = false;
    enum err_code code = query_next(&q, &more, err);
    for (; code == ERR_OK && more && count < JOB_PARENTS_MAX; count++) {
        parents[count].name = query_text(&q, arena);
        parents[count].identity = query_digest(&q);
        parents[count].state = (enum job_state)query_int(&q);
        parents[count].artifact = query_digest(&q);
        code = query_next(&q, &more, err);
    }
    if (code == ERR_OK) {
        query_end(&q);
        row->parents = parents;
        row->parent_count = count;
    }
    return code;
}

/* The experiments that want the job, in an array that doubles in the arena. */
static enum err_code add_wanted_by(struct store *store, struct arena *arena,
                                   struct core_job_row *row, struct err *err)
{
    struct query q = query_begin(
        store, "SELECT e.name FROM experiment_jobs m JOIN experiments e ON e.id = m.experiment_id"
               " WHERE m.job_id = ? AND m.wanted = 1");
    query_bind_int(&q, (int64_t)row->state.order);
    size_t capacity = 8;
    size_t count = 0;
    const char **names = arena_array(arena, capacity, sizeof *names);
    bool more = false;
    enum err_code code = query_next(&q, &more, err);
    while (code == ERR_OK && more) {
        if (count == capacity) {
            const char **wider = arena_array(arena, 2 * capacity, sizeof *wider);
            memcpy(wider, names, count * sizeof *names);
            names = wider;
            capacity *= 2;
        }
        names[count++] = query_text(&q, arena);
        code = query_next(&q, &more, err);
    }
    query_end(&q);
    row->wanted_by = names;
    row->wanted_count = count;
    return code;
}

/* Complete the row with its parents (and their ends), and with who wants it if it is shared. */
static enum err_code job_row_complete(struct store *store, struct arena *arena, bool is_shared,
                                      struct core_job_row *row, struct err *err)
{
    enum err_code code = add_parents(store, arena, row, err);
    return code == ERR_OK && is_shared ? add_wanted_by(store, arena, row, err) : code;
}

static enum err_code add_next(struct store *store, struct core_job_row *row, struct err *err)
{
    struct query q = query_begin(
        store, "SELECT stream, max(place) + 1 FROM batches WHERE job_id = ? AND epoch = ?"
               " GROUP BY stream");
    query_bind_int(&q, (int64_t)row->state.order);
    query_bind_int(&q, row->state.epoch);
    bool more = false;
    enum err_code code = query_next(&q, &more, err);
    while (code == ERR_OK && more) {
        int64_t stream = query_int(&q);
        if (stream >= 0 && stream < STREAM_COUNT) {
            row->next[stream] = query_u32(&q);
        }
        code = query_next(&q, &more, err);
    }
    if (code == ERR_OK) {
        query_end(&q);
    }
    return code;
}

static enum err_code load_records(struct store *store, struct core *core,
                                  const struct core_job_row *row, struct err *err)
{
    struct query q =
        query_begin(store, "SELECT payload, items, crc32c FROM batches"
                           " WHERE job_id = ? AND epoch = ? AND stream = ? ORDER BY place");
    query_bind_int(&q, (int64_t)row->state.order);
    query_bind_int(&q, row->state.epoch);
    query_bind_int(&q, STREAM_RECORDS);
    bool more = false;
    enum err_code code = query_next(&q, &more, err);
    while (code == ERR_OK && more) {
        struct arena arena = {0};
        struct bytes payload = query_bytes(&q, &arena);
        uint32_t items = query_u32(&q);
        if (hash_crc32c(payload.data, payload.len) != query_u32(&q)) {
            code = err_set(err, ERR_CORRUPT, "load records: a stored batch is damaged");
            query_end(&q);
        } else {
            code = core_load_records(core, &row->state.identity, payload, items, err);
            code = code != ERR_OK ? code : query_next(&q, &more, err);
        }
        arena_release(&arena);
    }
    query_end(&q);
    return code;
}

static enum err_code load_job(struct store *store, struct core *core, struct arena *arena,
                              bool is_shared, struct core_job_row *row, struct err *err)
{
    enum err_code code = job_row_complete(store, arena, is_shared, row, err);
    bool held = row->state.state == JOB_LEASED || row->state.state == JOB_RUNNING;
    if (code == ERR_OK && held) {
        code = add_next(store, row, err);
    }
    code = code != ERR_OK ? code : core_load_job(core, row, err);
    return code == ERR_OK && held ? load_records(store, core, row, err) : code;
}

static enum err_code load_jobs(struct store *store, struct core *core, struct err *err)
{
    struct query q = query_begin(store, "SELECT " JOB_ROW_COLUMNS
                                        " FROM jobs j WHERE j.state < 3 ORDER BY j.id");
    bool more = false;
    enum err_code code = query_next(&q, &more, err);
    while (code == ERR_OK && more) {
        struct arena arena = {0};
        struct core_job_row row = {0};
        bool is_shared = false;
        job_row_read(&q, &arena, &row, &is_shared);
        code = load_job(store, core, &arena, is_shared, &row, err);
        arena_release(&arena);
        code = code != ERR_OK ? code : query_next(&q, &more, err);
    }
    query_end(&q);
    return code;
}

static enum err_code load_experiments(struct store *store, struct core *core, struct err *err)
{
    struct query q = query_begin(
        store, "SELECT name, numeric_class, paused, priority FROM experiments ORDER BY id");
    struct arena arena = {0};
    bool more = false;
    enum err_code code = query_next(&q, &more, err);
    while (code == ERR_OK && more) {
        const char *name = query_text(&q, &arena);
        const char *numeric_class = query_text(&q, &arena);
        const bool paused = query_int(&q) != 0;
        core_load_experiment(core, name, numeric_class, paused, (int32_t)query_int(&q));
        code = query_next(&q, &more, err);
    }
    query_end(&q);
    arena_release(&arena);
    return code;
}

/* Only those that hold leases: others introduce themselves. */
static enum err_code load_workers(struct store *store, struct core *core, struct err *err)
{
    struct query q = query_begin(
        store, "SELECT name, host, instance FROM workers WHERE name IN"
               " (SELECT worker FROM jobs WHERE state IN (1, 2)) ORDER BY hello_ms, name");
    struct arena arena = {0};
    bool more = false;
    enum err_code code = query_next(&q, &more, err);
    while (code == ERR_OK && more) {
        const char *name = query_text(&q, &arena);
        const char *host = query_text(&q, &arena);
        struct digest instance = query_digest(&q);
        core_load_worker(core, name, host, &instance);
        code = query_next(&q, &more, err);
    }
    query_end(&q);
    arena_release(&arena);
    return code;
}

static enum err_code load_hosts(struct store *store, struct core *core, struct err *err)
{
    struct query q = query_begin(store, "SELECT name, reason FROM quarantined_hosts ORDER BY name");
    struct arena arena = {0};
    bool more = false;
    enum err_code code = query_next(&q, &more, err);
    while (code == ERR_OK && more) {
        const char *name = query_text(&q, &arena);
        core_load_host(core, name, query_text(&q, &arena));
        code = query_next(&q, &more, err);
    }
    query_end(&q);
    arena_release(&arena);
    return code;
}

/* New jobs go on after the last one, finished or not. */
static enum err_code load_order(struct store *store, struct core *core, struct err *err)
{
    struct query q = query_begin(store, "SELECT coalesce(max(id), 0) FROM jobs");
    bool more = false;
    enum err_code code = query_next(&q, &more, err);
    if (code == ERR_OK) {
        core_load_order(core, more ? query_u64(&q) : 0);
        query_end(&q);
    }
    return code;
}

enum err_code store_load(struct store *store, struct core *core, int64_t now_ms, struct err *err)
{
    enum err_code code = load_order(store, core, err);
    code = code != ERR_OK ? code : load_experiments(store, core, err);
    code = code != ERR_OK ? code : load_hosts(store, core, err);
    code = code != ERR_OK ? code : load_workers(store, core, err);
    code = code != ERR_OK ? code : load_jobs(store, core, err);
    code = code != ERR_OK ? code : core_load_finish(core, now_ms, err);
    return code == ERR_OK ? ERR_OK : err_wrap(err, "load state");
}

enum err_code store_job_row(struct store *store, const struct digest *job, struct arena *arena,
                            struct core_job_row *out, struct err *err)
{
    struct query q =
        query_begin(store, "SELECT " JOB_ROW_COLUMNS " FROM jobs j WHERE j.identity = ?");
    query_bind_digest(&q, job);
    bool more = false;
    enum err_code code = query_next(&q, &more, err);
    if (code != ERR_OK) {
        return code;
    }
    if (!more) {
        query_end(&q);
        char hex[DIGEST_HEX_SIZE];
        return err_set(err, ERR_NOT_FOUND, "job %.12s is not known", digest_hex(job, hex));
    }
    struct core_job_row row = {0};
    bool is_shared = false;
    job_row_read(&q, arena, &row, &is_shared);
    query_end(&q);
    code = job_row_complete(store, arena, is_shared, &row, err);
    if (code == ERR_OK) {
        *out = row;
    }
    return code;
}

/* By place, not by identity: jobs are leased much as they were submitted, so that the pages at hand
 * are in the cache however many jobs there are. */
enum err_code store_complete_lease(struct store *store, uint64_t order, struct arena *arena,
                                   struct msg_lease *lease, struct err *err)
{
    struct query q = query_begin(
        store, "SELECT j.identity, j.label, s.spec FROM jobs j JOIN job_specs s ON s.job_id = j.id"
               " WHERE j.id = ?");
    query_bind_int(&q, (int64_t)order);
    bool more = false;
    enum err_code code = query_next(&q, &more, err);
    if (code != ERR_OK) {
        return code;
    }
    if (!more) {
        query_end(&q);
        return err_set(err, ERR_CORRUPT, "complete lease: its job is not in the database");
    }
    const struct digest identity = query_digest(&q);
    lease->label = query_text(&q, arena);
    lease->spec = query_bytes(&q, arena);
    query_end(&q);
    if (!digest_equal(&identity, &lease->lease.job)) {
        return err_set(err, ERR_CORRUPT, "complete lease: another job is at its place");
    }
    struct query inputs =
        query_begin(store, "SELECT name, digest FROM job_inputs WHERE job_id = ? ORDER BY place");
    query_bind_int(&inputs, (int64_t)order);
    lease->inputs = arena_array(arena, JOB_INPUTS_MAX, sizeof *lease->inputs);
    lease->input_count = 0;
    code = query_next(&inputs, &more, err);
    while (code == ERR_OK && more && lease->input_count < JOB_INPUTS_MAX) {
        struct named_digest *input = &lease->inputs[lease->input_count++];
        input->name = query_text(&inputs, arena);
        input->digest = query_digest(&inputs);
        code = query_next(&inputs, &more, err);
    }
    query_end(&inputs);
    return code;
}

/* Rows for identities already read: reading them one by one keeps statements from nesting. */
static enum err_code rows_of(struct store *store, const struct digest *jobs, size_t count,
                             struct arena *arena, struct core_job_row *rows, struct err *err)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        code = store_job_row(store, &jobs[i], arena, &rows[i], err);
    }
    return code;
}

/* All identities a query selects, in an array that doubles in the arena. */
static enum err_code collect(struct query *q, struct arena *arena, struct digest **out,
                             size_t *count_out, struct err *err)
{
    size_t capacity = 64;
    struct digest *jobs = arena_array(arena, capacity, sizeof *jobs);
    size_t count = 0;
    bool more = false;
    enum err_code code = query_next(q, &more, err);
    while (code == ERR_OK && more) {
        if (count == capacity) {
            struct digest *bigger = arena_array(arena, 2 * capacity, sizeof *bigger);
            memcpy(bigger, jobs, count * sizeof *jobs);
            jobs = bigger;
            capacity *= 2;
        }
        jobs[count++] = query_digest(q);
        code = query_next(q, &more, err);
    }
    query_end(q);
    *out = jobs;
    *count_out = count;
    return code;
}

enum err_code store_span(struct store *store, const char *experiment, uint64_t after, size_t jobs,
                         struct core_span *out, struct err *err)
{
    int64_t id = 0;
    bool more = false;
    enum err_code code = store_experiment_id(store, experiment, &id, err);
    if (code != ERR_OK) {
        return code;
    }
    struct query q =
        query_begin(store, "SELECT job_id FROM experiment_jobs WHERE experiment_id = ? AND"
                           " job_id > ? ORDER BY job_id LIMIT 1 OFFSET ?");
    query_bind_int(&q, id);
    query_bind_int(&q, (int64_t)after);
    query_bind_int(&q, (int64_t)jobs - 1);
    code = query_next(&q, &more, err);
    *out = (struct core_span){.after = after, .last = code == ERR_OK && more ? query_u64(&q) : 0};
    query_end(&q);
    return code;
}

static void bind_span(struct query *q, const struct core_span *span)
{
    query_bind_int(q, (int64_t)span->after);
    query_bind_int(q, span->last != 0 ? (int64_t)span->last : INT64_MAX);
}

enum err_code store_jobs_to_cancel(struct store *store, const char *experiment,
                                   const struct core_span *span, struct arena *arena,
                                   struct digest **jobs_out, size_t *count_out, struct err *err)
{
    int64_t id = 0;
    enum err_code code = store_experiment_id(store, experiment, &id, err);
    if (code != ERR_OK) {
        return code;
    }
    struct query q = query_begin(
        store, "SELECT j.identity FROM experiment_jobs m JOIN jobs j ON j.id = m.job_id"
               " WHERE m.experiment_id = ?1 AND m.job_id > ?2 AND m.job_id <= ?3"
               " AND j.state < 3 AND NOT EXISTS"
               " (SELECT 1 FROM experiment_jobs o WHERE o.job_id = j.id AND o.wanted = 1"
               "  AND o.experiment_id <> ?1) ORDER BY j.id");
    query_bind_int(&q, id);
    bind_span(&q, span);
    return collect(&q, arena, jobs_out, count_out, err);
}

/* Numbers in SQL: 4 to 7 are the endings without success, 6 is aborted, 7 quarantined. */
static struct query retry_query(struct store *store, const struct digest *job, int64_t experiment,
                                const struct core_span *span, bool release)
{
    if (digest_is_none(job) && release) {
        struct query q = query_begin(
            store,
            "WITH RECURSIVE down (id) AS (SELECT j.id FROM experiment_jobs m"
            "  JOIN jobs j ON j.id = m.job_id WHERE m.experiment_id = ? AND j.state = 7 UNION"
            "  SELECT j.id FROM down JOIN jobs d ON d.id = down.id"
            "  JOIN job_parents p ON p.parent = d.identity"
            "  JOIN jobs j ON j.id = p.job_id WHERE j.state = 6)"
            " SELECT identity FROM jobs WHERE id IN (SELECT id FROM down) ORDER BY id");
        query_bind_int(&q, experiment);
        return q;
    }
    if (digest_is_none(job)) {
        struct query q = query_begin(
            store, "SELECT j.identity FROM experiment_jobs m JOIN jobs j ON j.id = m.job_id"
                   " WHERE m.experiment_id = ? AND m.job_id > ? AND m.job_id <= ?"
                   " AND j.state BETWEEN 4 AND 7 ORDER BY j.id");
        query_bind_int(&q, experiment);
        bind_span(&q, span);
        return q;
    }
    struct query q = query_begin(
        store,
        "WITH RECURSIVE"
        " up (id) AS (SELECT id FROM jobs WHERE identity = ?1 UNION"
        "  SELECT j.id FROM up JOIN job_parents p ON p.job_id = up.id"
        "  JOIN jobs j ON j.identity = p.parent WHERE j.state BETWEEN 4 AND 7),"
        " down (id) AS (SELECT id FROM jobs WHERE identity = ?1 UNION"
        "  SELECT j.id FROM down JOIN jobs d ON d.id = down.id"
        "  JOIN job_parents p ON p.parent = d.identity"
        "  JOIN jobs j ON j.id = p.job_id WHERE j.state = 6)"
        " SELECT identity FROM jobs WHERE id IN (SELECT id FROM up UNION SELECT id FROM down)"
        " ORDER BY id");
    query_bind_digest(&q, job);
    return q;
}

/* A job that waits, runs or is done needs neither act. */
static enum err_code check_act_fits(enum job_action action, enum job_state state, struct err *err)
{
    const bool is_ended_badly = job_state_is_final(state) && state != JOB_DONE;
    if (action == ACTION_RELEASE && state != JOB_QUARANTINED) {
        return err_set(err, ERR_CONFLICT, "the job is %s, not quarantined%s", job_state_name(state),
                       is_ended_badly ? ": 'triad job retry' lets it wait anew" : "");
    }
    return is_ended_badly ? ERR_OK
                          : err_set(err, ERR_CONFLICT, "the job is %s: there is nothing to retry",
                                    job_state_name(state));
}

enum err_code store_jobs_to_retry(struct store *store, const struct msg_act *act,
                                  const struct core_span *span, struct arena *arena,
                                  struct core_job_row **rows_out, size_t *count_out,
                                  struct err *err)
{
    int64_t id = 0;
    enum err_code code = ERR_OK;
    if (digest_is_none(&act->job)) {
        code = store_experiment_id(store, act->experiment, &id, err);
    } else {
        struct core_job_row row;
        code = store_job_row(store, &act->job, arena, &row, err);
        code = code != ERR_OK ? code : check_act_fits(act->action, row.state.state, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    struct query q = retry_query(store, &act->job, id, span, act->action == ACTION_RELEASE);
    struct digest *jobs = NULL;
    size_t count = 0;
    code = collect(&q, arena, &jobs, &count, err);
    struct core_job_row *rows = arena_array(arena, count, sizeof *rows);
    code = code != ERR_OK ? code : rows_of(store, jobs, count, arena, rows, err);
    if (code == ERR_OK) {
        *rows_out = rows;
        *count_out = count;
    }
    return code;
}
