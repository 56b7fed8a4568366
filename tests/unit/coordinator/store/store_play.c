#include "store_play.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "cmocka_all.h"
#include "file.h"

void open_store(struct fixture *f)
{
    struct err err;
    if (store_open(f->dir, &f->store, &err) != ERR_OK) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(store_boot(f->store, &f->boot, &err), ERR_OK);
    f->core = core_new(&(struct core_options){.boot = f->boot}, 5);
    assert_int_equal(store_load(f->store, f->core, f->now_ms, &err), ERR_OK);
}

void close_store(struct fixture *f)
{
    core_free(f->core);
    store_close(f->store);
    f->core = NULL;
    f->store = NULL;
}

int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/triad-test-store-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->now_ms = 1000;
    open_store(f);
    *state = f;
    return 0;
}

int tear_down(void **state)
{
    struct fixture *f = *state;
    struct err err;
    close_store(f);
    arena_release(&f->arena);
    (void)!file_remove_tree(f->dir, &err);
    free(f);
    return 0;
}

struct digest job_of(uint64_t number)
{
    return hash_bytes(&number, sizeof number);
}

enum err_code step(struct fixture *f, struct core_event event, struct err *err)
{
    arena_release(&f->arena);
    core_output_init(&f->out, &f->arena);
    event.now_ms = f->now_ms;
    event.time_ms = 1700000000000 + f->now_ms;
    core_step(f->core, &event, &f->out);
    enum err_code code = store_apply(f->store, f->out.ops, f->out.op_count, err);
    return code != ERR_OK ? code : store_commit(f->store, err);
}

enum err_code try_submit(struct fixture *f, const char *experiment, const struct submit_job *jobs,
                         size_t count, struct err *err)
{
    struct arena arena = {0};
    struct core_job_row rows[JOBS];
    size_t found = 0;
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < count && (code == ERR_OK || code == ERR_NOT_FOUND); i++) {
        if (!core_has_job(f->core, &jobs[i].identity)) {
            code = store_job_row(f->store, &jobs[i].identity, &arena, &rows[found], err);
            found += code == ERR_OK;
        }
    }
    if (code == ERR_OK || code == ERR_NOT_FOUND) {
        code = step(f,
                    (struct core_event){.kind = CORE_SUBMIT,
                                        .peer = 9,
                                        .submit = {.experiment = experiment,
                                                   .manifest = {(const uint8_t *)"m: 1\n", 5},
                                                   .plan_json = {(const uint8_t *)"{}", 2},
                                                   .jobs = jobs,
                                                   .job_count = count,
                                                   .finals = rows,
                                                   .final_count = found}},
                    err);
    }
    arena_release(&arena);
    return code;
}

void submit(struct fixture *f, const char *experiment, const struct submit_job *jobs, size_t count,
            struct err *err, enum err_code expected)
{
    assert_int_equal(try_submit(f, experiment, jobs, count, err), expected);
}

void make_plan(struct submit_job *jobs, struct named_digest *parents, size_t count)
{
    static const uint8_t spec[] = "{\"kind\":\"evaluate\"}";
    static struct named_digest input = {"data", {{7}}};
    for (size_t i = 0; i < count; i++) {
        jobs[i] = (struct submit_job){.identity = job_of(i),
                                      .kind = i % 4 == 0 ? JOB_PRETRAIN : JOB_EVALUATE,
                                      .label = "label",
                                      .family = "family",
                                      .variant = "ST",
                                      .task = "task",
                                      .seed = UINT64_MAX - i,
                                      .spec = {spec, sizeof spec - 1},
                                      .inputs = &input,
                                      .input_count = 1,
                                      .threads = 1 + i % 2,
                                      .memory_bytes = 1000,
                                      .priority = (int32_t)(i % 3) - 1,
                                      .attempts_max = 2};
        if (i % 4 != 0) {
            parents[i] = (struct named_digest){"model", job_of(i - i % 4)};
            jobs[i].parents = &parents[i];
            jobs[i].parent_count = 1;
        }
    }
}

/* The counters of a status are what counting every job would give. */
void assert_counts_are_right(struct fixture *f)
{
    struct experiment_row *rows = NULL;
    struct store_work *work = NULL;
    size_t count = 0;
    struct err err;
    assert_int_equal(store_experiments(f->store, "", &f->arena, &rows, &work, &count, &err),
                     ERR_OK);
    for (size_t e = 0; e < count; e++) {
        uint64_t counted[JOB_STATE_COUNT] = {0};
        struct msg_list_jobs list = {.experiment = rows[e].name};
        struct msg_jobs jobs;
        assert_int_equal(store_list_jobs(f->store, &list, &f->arena, &jobs, &err), ERR_OK);
        for (size_t i = 0; i < jobs.row_count; i++) {
            counted[jobs.rows[i].state]++;
        }
        for (int s = 0; s < JOB_STATE_COUNT; s++) {
            assert_int_equal(rows[e].counts[s], counted[s]);
        }
    }
}

void assert_rebuilt_equals_live(struct fixture *f)
{
    struct strbuf live = {0};
    struct strbuf rebuilt = {0};
    struct err err;
    struct core *core = core_new(&(struct core_options){.boot = 1}, 5);
    if (store_load(f->store, core, f->now_ms, &err) != ERR_OK) {
        fail_msg("%s", err.text);
    }
    core_check(core);
    core_dump(f->core, &live);
    core_dump(core, &rebuilt);
    assert_string_equal(strbuf_text(&rebuilt), strbuf_text(&live));
    core_free(core);
    strbuf_release(&live);
    strbuf_release(&rebuilt);
}

/* ---- random histories ---- */

void hear(struct fixture *f, struct actor *actors)
{
    for (size_t i = 0; i < f->out.send_count; i++) {
        const struct core_send *send = &f->out.sends[i];
        struct actor *a = send->peer <= WORKERS ? &actors[send->peer - 1] : NULL;
        if (send->msg.kind == MSG_WELCOME) {
            a->session = send->msg.welcome.session;
            a->count = 0;
        } else if (send->msg.kind == MSG_LEASE && a->count < 8) {
            a->next[a->count] = 0;
            a->leases[a->count++] = send->msg.lease.lease;
        }
    }
}

struct msg hello_of(uint64_t worker, uint64_t instance)
{
    static char names[WORKERS][16];
    snprintf(names[worker], sizeof names[worker], "worker-%llu", (unsigned long long)worker);
    return (struct msg){.kind = MSG_HELLO,
                        .hello = {.protocol_version = PROTOCOL_VERSION,
                                  .worker = names[worker],
                                  .instance = job_of(instance),
                                  .host = "host",
                                  .host_cores = 4,
                                  .threads = 3,
                                  .numeric_class = "class",
                                  .version = "v"}};
}

/* One random thing a worker may say about a lease it once got; stale ones included. */
static struct msg random_message(struct rng *rng, struct actor *a, uint64_t worker)
{
    static const uint8_t payload[] = "payload";
    static const enum outcome ends[] = {OUTCOME_OK,      OUTCOME_OK,        OUTCOME_OK,
                                        OUTCOME_CRASHED, OUTCOME_CANCELLED, OUTCOME_DIVERGED};
    if (a->count == 0 || rng_below(rng, 12) == 0) {
        return hello_of(worker, rng_below(rng, 4) == 0 ? rng_u64(rng) : worker);
    }
    size_t i = rng_below(rng, a->count);
    struct lease_key lease = a->leases[i];
    uint64_t kind = rng_below(rng, 6);
    if (kind == 0) {
        return (struct msg){.kind = MSG_STARTED,
                            .started = {.session = a->session, .lease = lease}};
    }
    if (kind == 1) {
        uint64_t checkpoint_step = rng_below(rng, 100);
        return (struct msg){.kind = MSG_CHECKPOINT,
                            .checkpoint = {.session = a->session,
                                           .lease = lease,
                                           .step = checkpoint_step,
                                           .tree = job_of(2000 + checkpoint_step)}};
    }
    if (kind <= 3) {
        return (struct msg){.kind = MSG_STREAM,
                            .stream = {.session = a->session,
                                       .lease = lease,
                                       .stream = STREAM_RECORDS,
                                       .index = a->next[i]++,
                                       .payload = {payload, sizeof payload - 1}}};
    }
    struct msg m = {.kind = MSG_RESULT,
                    .result = {.session = a->session,
                               .lease = lease,
                               .outcome = ends[rng_below(rng, 6)],
                               .reason = "because",
                               .items = a->next[i],
                               .batches = {[STREAM_RECORDS] = a->next[i]},
                               .artifact = job_of(1000),
                               .numeric_class = "class"}};
    if (a->next[i] > 0) {
        struct hash_state hash;
        hash_init(&hash);
        for (uint32_t n = 0; n < a->next[i]; n++) {
            hash_update(&hash, payload, sizeof payload - 1);
        }
        m.result.records = hash_final(&hash);
    }
    return m;
}

/* What "second" alone wants is cancelled; what it shares goes on for "first". */
static enum err_code cancel_second(struct fixture *f, struct err *err)
{
    struct arena arena = {0};
    struct core_event event = {
        .kind = CORE_CANCEL, .peer = 9, .act = {.reason = "", .experiment = "second"}};
    struct digest *jobs = NULL;
    enum err_code code = store_jobs_to_cancel(f->store, "second", &event.act.span, &arena, &jobs,
                                              &event.act.job_count, err);
    event.act.jobs = jobs;
    code = code == ERR_OK ? step(f, event, err) : code == ERR_NOT_FOUND ? ERR_OK : code;
    arena_release(&arena);
    return code;
}

enum err_code try_random_turn(struct fixture *f, struct rng *rng, struct actor *actors,
                              struct err *err)
{
    uint64_t worker = rng_below(rng, WORKERS);
    struct msg m = random_message(rng, &actors[worker], worker);
    struct core_event event = {
        .kind = CORE_MESSAGE,
        .peer = worker + 1,
        .message = {.msg = &m, .items = 1, .payload_is_valid = true, .tree_is_stored = true}};
    struct digest job = job_of(rng_below(rng, JOBS));
    if (rng_below(rng, 40) == 0) {
        event = (struct core_event){
            .kind = CORE_CANCEL,
            .peer = 9,
            .act = {.reason = "", .experiment = "", .jobs = &job, .job_count = 1}};
    } else if (rng_below(rng, 40) == 0) {
        event = (struct core_event){.kind = rng_below(rng, 2) ? CORE_PAUSE : CORE_RESUME,
                                    .peer = 9,
                                    .act = {.reason = "", .experiment = "first"}};
    } else if (rng_below(rng, 40) == 0) {
        event = (struct core_event){.kind = CORE_PRIORITY,
                                    .peer = 9,
                                    .act = {.reason = "",
                                            .experiment = rng_below(rng, 2) ? "first" : "",
                                            .jobs = &job,
                                            .job_count = 1,
                                            .priority = (int32_t)rng_below(rng, 9) - 4}};
    } else if (rng_below(rng, 20) == 0) {
        event = (struct core_event){
            .kind = CORE_DRAIN_WORKER,
            .peer = 9,
            .drain = {.worker = "worker-0", .action = WORKER_RELEASE, .reason = ""}};
    }
    f->now_ms += (int64_t)rng_below(rng, 3000);
    if (rng_below(rng, 200) == 0) {
        return cancel_second(f, err);
    }
    return step(f, event, err);
}

void random_turn(struct fixture *f, struct rng *rng, struct actor *actors)
{
    struct err err;
    if (try_random_turn(f, rng, actors, &err) != ERR_OK) {
        fail_msg("%s", err.text);
    }
    hear(f, actors);
    core_check(f->core);
}

void run_sql(struct fixture *f, const char *sql)
{
    char path[128];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/state.db", f->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}
