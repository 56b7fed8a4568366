/* The core's operations as rows. One function per kind; all in the turn's transaction. */
#include <inttypes.h>
#include <stdio.h>

#include "check.h"
#include "store_query.h"

/* History kept: the newest this many lines. Pruned now and then, not at every line. */
#define EVENTS_KEPT   100000
#define EVENTS_PRUNED 1024
/* Failed attempts of a job whose logs and curves are kept. */
#define UNCOMMITTED_TEXTS_KEPT 8

static enum err_code add_event(struct store *store, int64_t time_ms, uint64_t job, uint32_t epoch,
                               const char *what, const char *detail, struct err *err)
{
    struct query q = query_begin(
        store, "INSERT INTO events (time_ms, job_id, epoch, what, detail) VALUES (?,?,?,?,?)");
    query_bind_int(&q, time_ms);
    query_bind_int(&q, (int64_t)job);
    query_bind_int(&q, epoch);
    query_bind_text(&q, what);
    query_bind_text(&q, detail);
    enum err_code code = query_run(&q, err);
    int64_t id = sqlite3_last_insert_rowid(store->db);
    if (code == ERR_OK && id % EVENTS_PRUNED == 0) {
        struct query prune = query_begin(store, "DELETE FROM events WHERE id <= ?");
        query_bind_int(&prune, id - EVENTS_KEPT);
        code = query_run(&prune, err);
    }
    return code;
}

static enum err_code apply_experiment(struct store *store, const struct core_op *op,
                                      struct err *err)
{
    const struct core_op_experiment *e = &op->experiment;
    struct query q = query_begin(
        store, "INSERT INTO experiments (name, created_ms, submitted_ms, manifest, plan)"
               " VALUES (?1, ?2, ?2, ?3, ?4) ON CONFLICT (name) DO UPDATE SET"
               " submitted_ms = ?2, manifest = ?3, plan = ?4, work_done = 0");
    query_bind_text(&q, e->name);
    query_bind_int(&q, op->time_ms);
    query_bind_bytes(&q, e->manifest);
    query_bind_bytes(&q, e->plan_json);
    enum err_code code = query_run(&q, err);
    return code != ERR_OK ? code : add_event(store, op->time_ms, 0, 0, "submitted", e->name, err);
}

static enum err_code apply_experiment_class(struct store *store, const struct core_op *op,
                                            struct err *err)
{
    struct query q =
        query_begin(store, "UPDATE experiments SET numeric_class = ?2 WHERE name = ?1");
    query_bind_text(&q, op->experiment.name);
    query_bind_text(&q, op->experiment.numeric_class);
    return query_run(&q, err);
}

static enum err_code apply_experiment_state(struct store *store, const struct core_op *op,
                                            struct err *err)
{
    const struct core_op_experiment *e = &op->experiment;
    struct query q =
        query_begin(store, "UPDATE experiments SET paused = ?2, priority = ?3 WHERE name = ?1");
    query_bind_text(&q, e->name);
    query_bind_int(&q, e->paused);
    query_bind_int(&q, e->priority);
    enum err_code code = query_run(&q, err);
    return code != ERR_OK ? code
                          : add_event(store, op->time_ms, 0, 0, e->paused ? "paused" : "goes on",
                                      e->name, err);
}

static enum err_code apply_job_priority(struct store *store, const struct core_op *op,
                                        struct err *err)
{
    struct query q = query_begin(store, "UPDATE jobs SET priority = ? WHERE id = ?");
    query_bind_int(&q, op->priority.priority);
    query_bind_int(&q, (int64_t)op->priority.order);
    return query_run(&q, err);
}

static enum err_code apply_host(struct store *store, const struct core_op *op, struct err *err)
{
    const struct core_op_host *h = &op->host;
    if (!h->quarantined) {
        struct query q = query_begin(store, "DELETE FROM quarantined_hosts WHERE name = ?");
        query_bind_text(&q, h->name);
        enum err_code code = query_run(&q, err);
        return code != ERR_OK ? code
                              : add_event(store, op->time_ms, 0, 0, "host released", h->name, err);
    }
    struct query q = query_begin(store, "INSERT OR REPLACE INTO quarantined_hosts VALUES (?,?,?)");
    query_bind_text(&q, h->name);
    query_bind_text(&q, h->reason);
    query_bind_int(&q, op->time_ms);
    enum err_code code = query_run(&q, err);
    return code != ERR_OK ? code
                          : add_event(store, op->time_ms, 0, 0, "host quarantined", h->reason, err);
}

static enum err_code add_named(struct store *store, const char *sql, uint64_t order,
                               const struct named_digest *named, size_t count, struct err *err)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        struct query q = query_begin(store, sql);
        query_bind_int(&q, (int64_t)order);
        query_bind_int(&q, (int64_t)i);
        query_bind_text(&q, named[i].name);
        query_bind_digest(&q, &named[i].digest);
        code = query_run(&q, err);
    }
    return code;
}

/* Eleven parameters: what a job asks for, as far as a later plan may change it. (Not its work: the
 * counters of its experiments add that up.) */
static void bind_terms(struct query *q, const struct submit_job *job)
{
    query_bind_int(q, job->threads == 0 ? 1 : job->threads);
    query_bind_int(q, (int64_t)job->memory_bytes);
    query_bind_int(q, (int64_t)job->items_expected);
    query_bind_int(q, job->priority);
    query_bind_int(q, (int64_t)store_again_pack(&job->retry));
    query_bind_int(q, job->retry.backoff_ms);
    query_bind_int(q, job->retry.backoff_ms_max);
    query_bind_int(q, job->retry.memory_growth_percent);
    query_bind_text(q, job->labels != NULL ? job->labels : "");
    query_bind_int(q, job->time_limit_s);
    query_bind_int(q, job->ranks == 0 ? 1 : job->ranks);
}

/* The experiment that queues a new job, where the next operation says so, as it does: one statement
 * less for each job. 0: none. */
static enum err_code queueing_experiment(struct store *store, const struct core_op *op,
                                         const struct core_op *next, int64_t *id_out,
                                         struct err *err)
{
    *id_out = 0;
    if (next == NULL || next->kind != CORE_OP_MEMBER || !next->member.queues ||
        next->member.order != op->job_new.order) {
        return ERR_OK;
    }
    return store_experiment_id(store, next->member.experiment, id_out, err);
}

/* A job as the core makes it, waiting: its first CORE_OP_JOB finds that written already. */
static uint32_t attempts_of(const struct submit_job *job)
{
    return job->attempts_max == 0 ? 1 : job->attempts_max;
}

static enum err_code apply_job_new(struct store *store, const struct core_op *op,
                                   const struct core_op *next, struct err *err)
{
    const struct submit_job *job = op->job_new.job;
    const uint64_t order = op->job_new.order;
    int64_t experiment = 0;
    enum err_code code = queueing_experiment(store, op, next, &experiment, err);
    if (code != ERR_OK) {
        return code;
    }
    struct query q = query_begin(
        store,
        "INSERT INTO jobs (id, identity, kind, label, family, variant, task, seed, work,"
        " threads, memory_bytes, items_expected, priority, again, backoff_ms, backoff_ms_max,"
        " memory_growth, labels, time_limit_s, ranks, experiment_id, attempts_max, submitted_ms)"
        " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
    query_bind_int(&q, (int64_t)order);
    query_bind_digest(&q, &job->identity);
    query_bind_int(&q, job->kind);
    query_bind_text(&q, job->label);
    query_bind_text(&q, job->family);
    query_bind_text(&q, job->variant);
    query_bind_text(&q, job->task);
    query_bind_int(&q, (int64_t)job->seed);
    query_bind_int(&q, (int64_t)job->work);
    bind_terms(&q, job);
    query_bind_int(&q, experiment);
    query_bind_int(&q, attempts_of(job));
    query_bind_int(&q, op->time_ms);
    store->made_first = store->made_first == 0 ? order : store->made_first;
    store->made_last = order;
    store->made_last_work = (int64_t)job->work;
    store->made_last_experiment = experiment;
    code = query_run(&q, err);
    if (code != ERR_OK) {
        return code;
    }
    struct query spec = query_begin(store, "INSERT INTO job_specs (job_id, spec) VALUES (?,?)");
    query_bind_int(&spec, (int64_t)order);
    query_bind_bytes(&spec, job->spec);
    code = query_run(&spec, err);
    code = code != ERR_OK ? code
                          : add_named(store, "INSERT INTO job_inputs VALUES (?,?,?,?)", order,
                                      job->inputs, job->input_count, err);
    return code != ERR_OK ? code
                          : add_named(store, "INSERT INTO job_parents VALUES (?,?,?,?)", order,
                                      job->parents, job->parent_count, err);
}

static enum err_code apply_job_terms(struct store *store, const struct core_op *op, struct err *err)
{
    const struct submit_job *job = op->job_new.job;
    struct query q = query_begin(
        store, "UPDATE jobs SET threads = ?, memory_bytes = ?, items_expected = ?,"
               " priority = ?, again = ?, backoff_ms = ?, backoff_ms_max = ?, memory_growth = ?,"
               " labels = ?, time_limit_s = ?, ranks = ? WHERE id = ?");
    bind_terms(&q, job);
    query_bind_int(&q, (int64_t)op->job_new.order);
    return query_run(&q, err);
}

static enum err_code apply_member(struct store *store, const struct core_op *op, struct err *err)
{
    const struct core_op_member *m = &op->member;
    enum err_code code = store_counts_join(store, m->order, m->experiment, err);
    if (code != ERR_OK) {
        return code;
    }
    struct query q =
        query_begin(store, "INSERT INTO experiment_jobs (experiment_id, job_id, wanted)"
                           " VALUES ((SELECT id FROM experiments WHERE name = ?1), ?2, 1)"
                           " ON CONFLICT (experiment_id, job_id) DO UPDATE SET wanted = 1");
    query_bind_text(&q, m->experiment);
    query_bind_int(&q, (int64_t)m->order);
    code = query_run(&q, err);
    const bool is_written = m->order == store->made_last && store->made_last_experiment != 0;
    if (code != ERR_OK || !m->queues || is_written) {
        return code;
    }
    struct query queues = query_begin(store, "UPDATE jobs SET experiment_id = (SELECT id FROM "
                                             "experiments WHERE name = ?1) WHERE id = ?2");
    query_bind_text(&queues, m->experiment);
    query_bind_int(&queues, (int64_t)m->order);
    return query_run(&queues, err);
}

static enum err_code apply_unwant(struct store *store, const struct core_op *op, struct err *err)
{
    struct query q =
        query_begin(store, "UPDATE experiment_jobs SET wanted = 0"
                           " WHERE experiment_id = (SELECT id FROM experiments WHERE name = ?)"
                           " AND job_id > ? AND job_id <= ?");
    const struct core_span *span = &op->member.span;
    query_bind_text(&q, op->member.experiment);
    query_bind_int(&q, (int64_t)span->after);
    query_bind_int(&q, span->last != 0 ? (int64_t)span->last : INT64_MAX);
    enum err_code code = query_run(&q, err);
    return code != ERR_OK || span->last != 0
               ? code
               : add_event(store, op->time_ms, 0, 0, "experiment cancelled", op->member.experiment,
                           err);
}

static void bind_job_state(struct query *q, const struct core_job_state *s)
{
    query_bind_int(q, s->state);
    query_bind_text(q, s->reason);
    query_bind_int(q, s->epoch);
    query_bind_int(q, s->attempts_spent);
    query_bind_int(q, s->attempts_free);
    query_bind_int(q, s->attempts_max);
    query_bind_int(q, s->outcome);
    query_bind_int(q, (int64_t)s->failure_digest);
    query_bind_int(q, (int64_t)s->failure_worker);
    query_bind_text(q, s->worker);
    query_bind_digest(q, &s->resume);
    query_bind_int(q, (int64_t)s->resume_step);
    query_bind_digest(q, &s->artifact);
    query_bind_digest(q, &s->records);
    query_bind_int(q, (int64_t)s->items);
    query_bind_text(q, s->numeric_class);
    query_bind_int(q, s->submitted_ms);
    query_bind_int(q, s->started_ms);
    query_bind_int(q, s->ended_ms);
    query_bind_int(q, (int64_t)s->failures);
    query_bind_int(q, (int64_t)s->order);
}

/* Nothing has happened to a job that this turn made: apply_job_new() has written all of it. */
static bool is_as_made(const struct store *store, const struct core_op *op)
{
    const struct core_job_state *s = &op->job.state;
    return store->made_first != 0 && s->order >= store->made_first &&
           s->order <= store->made_last && s->state == JOB_WAITING && s->epoch == 0 &&
           s->attempts_spent == 0 && s->attempts_free == 0 && s->failures == 0 && s->outcome == 0 &&
           s->failure_digest == 0 && s->failure_worker == 0 && *s->reason == '\0' &&
           *s->worker == '\0' && *s->numeric_class == '\0' && digest_is_none(&s->resume) &&
           digest_is_none(&s->artifact) && digest_is_none(&s->records) && s->resume_step == 0 &&
           s->items == 0 && s->submitted_ms == op->time_ms && s->started_ms == 0 &&
           s->ended_ms == 0;
}

static enum err_code apply_job(struct store *store, const struct core_op *op, struct err *err)
{
    const struct core_job_state *s = &op->job.state;
    if (is_as_made(store, op)) {
        return ERR_OK;
    }
    enum err_code code = store_counts_move(store, s->order, s->state, err);
    if (code != ERR_OK) {
        return code;
    }
    struct query q = query_begin(
        store, "UPDATE jobs SET state = ?, reason = ?, epoch = ?, attempts_spent = ?,"
               " attempts_free = ?, attempts_max = ?, outcome = ?, failure_digest = ?,"
               " failure_worker = ?, worker = ?, resume = ?, resume_step = ?, artifact = ?,"
               " records = ?, items = ?, numeric_class = ?, submitted_ms = ?, started_ms = ?,"
               " ended_ms = ?, failures = ? WHERE id = ?");
    bind_job_state(&q, s);
    code = query_run(&q, err);
    if (code != ERR_OK) {
        return code;
    }
    if (sqlite3_changes(store->db) != 1) {
        return err_set(err, ERR_CORRUPT, "write state: job %" PRIu64 " is not there", s->order);
    }
    if (!job_state_is_final(s->state) || s->state == JOB_DONE) {
        return ERR_OK;
    }
    return add_event(store, op->time_ms, s->order, s->epoch, job_state_name(s->state), s->reason,
                     err);
}

static enum err_code apply_attempt_begin(struct store *store, const struct core_op *op,
                                         struct err *err)
{
    const struct core_op_attempt *a = &op->attempt;
    struct query q = query_begin(
        store, "INSERT INTO attempts (job_id, epoch, worker, numeric_class, start_step, started_ms)"
               " VALUES (?,?,?,?,?,?)");
    query_bind_int(&q, (int64_t)a->order);
    query_bind_int(&q, a->lease.epoch);
    query_bind_text(&q, a->worker);
    query_bind_text(&q, a->numeric_class);
    query_bind_int(&q, (int64_t)a->start_step);
    query_bind_int(&q, op->time_ms);
    return query_run(&q, err);
}

/* Curves and texts of attempts that did not commit are kept for the newest of a job only. */
static enum err_code drop_old_texts(struct store *store, const struct core_op_attempt *a,
                                    struct err *err)
{
    if (a->lease.epoch <= UNCOMMITTED_TEXTS_KEPT) {
        return ERR_OK;
    }
    struct query q =
        query_begin(store, "DELETE FROM batches WHERE job_id = ? AND epoch <= ? AND stream <> ?");
    query_bind_int(&q, (int64_t)a->order);
    query_bind_int(&q, a->lease.epoch - UNCOMMITTED_TEXTS_KEPT);
    query_bind_int(&q, STREAM_RECORDS);
    return query_run(&q, err);
}

static enum err_code drop_records(struct store *store, const struct core_op_attempt *a,
                                  struct err *err)
{
    struct query q =
        query_begin(store, "DELETE FROM batches WHERE job_id = ? AND epoch = ? AND stream = ?");
    query_bind_int(&q, (int64_t)a->order);
    query_bind_int(&q, a->lease.epoch);
    query_bind_int(&q, STREAM_RECORDS);
    return query_run(&q, err);
}

static enum err_code apply_attempt_end(struct store *store, const struct core_op *op,
                                       struct err *err)
{
    const struct core_op_attempt *a = &op->attempt;
    static const struct msg_result silent = {.outcome = OUTCOME_LOST};
    const struct msg_result *r = a->result == NULL ? &silent : a->result;
    struct query q = query_begin(
        store, "UPDATE attempts SET ended = 1, ended_ms = ?, outcome = ?, committed = ?,"
               " reason = ?, wall_ms = ?, cpu_ms = ?, memory_peak_bytes = ?, exit_signal = ?,"
               " exit_code = ?, items = ?, artifact = ?, records = ?"
               " WHERE job_id = ? AND epoch = ?");
    query_bind_int(&q, op->time_ms);
    query_bind_int(&q, a->outcome);
    query_bind_int(&q, a->committed);
    query_bind_text(&q, a->reason);
    query_bind_int(&q, (int64_t)r->wall_ms);
    query_bind_int(&q, (int64_t)r->cpu_ms);
    query_bind_int(&q, (int64_t)r->memory_peak_bytes);
    query_bind_int(&q, r->exit_signal);
    query_bind_int(&q, r->exit_code);
    query_bind_int(&q, (int64_t)r->items);
    query_bind_digest(&q, &r->artifact);
    query_bind_digest(&q, &r->records);
    query_bind_int(&q, (int64_t)a->order);
    query_bind_int(&q, a->lease.epoch);
    enum err_code code = query_run(&q, err);
    if (code != ERR_OK) {
        return code;
    }
    if (a->committed) {
        store->records_pending += r->items;
        return ERR_OK;
    }
    code = add_event(store, op->time_ms, a->order, a->lease.epoch, outcome_name(a->outcome),
                     a->reason, err);
    code = code != ERR_OK ? code : drop_old_texts(store, a, err);
    return code != ERR_OK ? code : drop_records(store, a, err);
}

static enum err_code apply_batch(struct store *store, const struct core_op *op, struct err *err)
{
    const struct core_op_batch *b = &op->batch;
    struct query q = query_begin(
        store, "INSERT INTO batches (job_id, epoch, stream, place, items, crc32c, payload)"
               " VALUES (?,?,?,?,?,?,?)");
    query_bind_int(&q, (int64_t)b->order);
    query_bind_int(&q, b->lease.epoch);
    query_bind_int(&q, b->stream);
    query_bind_int(&q, b->index);
    query_bind_int(&q, b->items);
    query_bind_int(&q, hash_crc32c(b->payload.data, b->payload.len));
    query_bind_bytes(&q, b->payload);
    return query_run(&q, err);
}

static enum err_code apply_worker(struct store *store, const struct core_op *op, struct err *err)
{
    const struct core_op_worker *w = &op->worker;
    struct query q = query_begin(
        store, "INSERT OR REPLACE INTO workers (name, instance, host, numeric_class, version,"
               " host_cores, threads, memory_bytes, hello_ms, node, labels)"
               " VALUES (?,?,?,?,?,?,?,?,?,?,?)");
    /* Bound as bytes: an instance of zeros is an instance. */
    query_bind_text(&q, w->name);
    query_bind_bytes(&q, (struct bytes){w->instance.bytes, DIGEST_BYTES});
    query_bind_text(&q, w->host);
    query_bind_text(&q, w->numeric_class);
    query_bind_text(&q, w->version);
    query_bind_int(&q, w->host_cores);
    query_bind_int(&q, w->threads);
    query_bind_int(&q, (int64_t)w->memory_bytes);
    query_bind_int(&q, op->time_ms);
    query_bind_text(&q, w->node != NULL ? w->node : "");
    query_bind_text(&q, w->labels != NULL ? w->labels : "");
    return query_run(&q, err);
}

/* `next`: the operation after it, or NULL. */
static enum err_code apply_one(struct store *store, const struct core_op *op,
                               const struct core_op *next, struct err *err)
{
    switch (op->kind) {
    case CORE_OP_EXPERIMENT:
        return apply_experiment(store, op, err);
    case CORE_OP_EXPERIMENT_CLASS:
        return apply_experiment_class(store, op, err);
    case CORE_OP_JOB_NEW:
        return apply_job_new(store, op, next, err);
    case CORE_OP_JOB_TERMS:
        return apply_job_terms(store, op, err);
    case CORE_OP_MEMBER:
        return apply_member(store, op, err);
    case CORE_OP_UNWANT:
        return apply_unwant(store, op, err);
    case CORE_OP_JOB:
        return apply_job(store, op, err);
    case CORE_OP_ATTEMPT_BEGIN:
        return apply_attempt_begin(store, op, err);
    case CORE_OP_ATTEMPT_END:
        return apply_attempt_end(store, op, err);
    case CORE_OP_BATCH:
        return apply_batch(store, op, err);
    case CORE_OP_WORKER:
        return apply_worker(store, op, err);
    case CORE_OP_EXPERIMENT_STATE:
        return apply_experiment_state(store, op, err);
    case CORE_OP_JOB_PRIORITY:
        return apply_job_priority(store, op, err);
    case CORE_OP_HOST:
        return apply_host(store, op, err);
    }
    UNREACHABLE("a kind of operation that does not exist");
}

static enum err_code open_transaction(struct store *store, struct err *err)
{
    if (store->in_transaction) {
        return ERR_OK;
    }
    enum err_code code = store_exec(store, "BEGIN IMMEDIATE", err);
    store->in_transaction = code == ERR_OK;
    return code;
}

enum err_code store_apply(struct store *store, const struct core_op *ops, size_t count,
                          struct err *err)
{
    if (count == 0) {
        return ERR_OK;
    }
    enum err_code code = open_transaction(store, err);
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        code = apply_one(store, &ops[i], i + 1 < count ? &ops[i + 1] : NULL, err);
    }
    return code;
}

enum err_code store_document_put(struct store *store, const char *name, const char *body,
                                 struct err *err)
{
    enum err_code code = open_transaction(store, err);
    if (code != ERR_OK) {
        return code;
    }
    struct query q = query_begin(store, "INSERT INTO documents (name, body) VALUES (?1, ?2) "
                                        "ON CONFLICT (name) DO UPDATE SET body = ?2");
    query_bind_text(&q, name);
    query_bind_text(&q, body);
    return query_run(&q, err);
}

enum err_code store_note(struct store *store, int64_t time_ms, const char *what, const char *detail,
                         struct err *err)
{
    enum err_code code = open_transaction(store, err);
    return code != ERR_OK ? code : add_event(store, time_ms, 0, 0, what, detail, err);
}
