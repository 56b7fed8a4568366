/* How many jobs of each experiment are in each state, and how much work that is: kept as durable
 * counters, because counting a million jobs for every status would stop the loop. The changes of a
 * turn are added up in memory and written with its transaction. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "store_query.h"

struct change {
    int64_t experiment;
    int64_t jobs[JOB_STATE_COUNT], work[JOB_STATE_COUNT];
    int64_t work_done;
};

struct store_counts {
    struct change *changes;
    size_t count, capacity;
};

uint64_t store_again_pack(const struct retry_policy *retry)
{
    uint64_t packed = 0;
    for (int c = 0; c < FAILURE_CLASS_COUNT; c++) {
        const uint64_t again =
            retry->again[c] < RETRY_AGAIN_MAX ? retry->again[c] : RETRY_AGAIN_MAX;
        packed |= again << (8 * c);
    }
    return packed;
}

void store_again_unpack(uint64_t packed, struct retry_policy *retry)
{
    for (int c = 0; c < FAILURE_CLASS_COUNT; c++) {
        retry->again[c] = (packed >> (8 * c)) & 0xff;
    }
}

static struct change *change_of(struct store *store, int64_t experiment)
{
    struct store_counts *counts = store->counts;
    if (counts == NULL) {
        counts = store->counts = calloc(1, sizeof *counts);
        ASSERT(counts != NULL);
    }
    for (size_t i = counts->count; i > 0; i--) {
        if (counts->changes[i - 1].experiment == experiment) {
            return &counts->changes[i - 1];
        }
    }
    if (counts->count == counts->capacity) {
        counts->capacity = counts->capacity == 0 ? 8 : 2 * counts->capacity;
        counts->changes = realloc(counts->changes, counts->capacity * sizeof *counts->changes);
        ASSERT(counts->changes != NULL);
    }
    struct change *change = &counts->changes[counts->count++];
    *change = (struct change){.experiment = experiment};
    return change;
}

enum err_code store_counts_move(struct store *store, uint64_t order, enum job_state state,
                                struct err *err)
{
    struct query q =
        query_begin(store, "SELECT j.state, j.work, m.experiment_id FROM jobs j"
                           " JOIN experiment_jobs m ON m.job_id = j.id WHERE j.id = ?");
    query_bind_int(&q, (int64_t)order);
    bool more = false;
    enum err_code code = query_next(&q, &more, err);
    while (code == ERR_OK && more) {
        const int64_t former = query_int(&q);
        const int64_t work = query_int(&q);
        struct change *change = change_of(store, query_int(&q));
        if (former != (int64_t)state && former >= 0 && former < JOB_STATE_COUNT) {
            change->jobs[former]--;
            change->work[former] -= work;
            change->jobs[state]++;
            change->work[state] += work;
            change->work_done += state == JOB_DONE ? work : 0;
        }
        code = query_next(&q, &more, err);
    }
    query_end(&q);
    return code;
}

enum err_code store_counts_join(struct store *store, uint64_t order, const char *experiment,
                                struct err *err)
{
    if (order == store->made_last) {
        int64_t id = 0;
        enum err_code code = store_experiment_id(store, experiment, &id, err);
        if (code == ERR_OK) {
            struct change *change = change_of(store, id);
            change->jobs[JOB_WAITING]++;
            change->work[JOB_WAITING] += store->made_last_work;
            store->made_last_work = 0; /* counted */
        }
        return code;
    }
    struct query q = query_begin(
        store, "SELECT j.state, j.work, e.id FROM jobs j JOIN experiments e ON e.name = ?2"
               " WHERE j.id = ?1 AND NOT EXISTS (SELECT 1 FROM experiment_jobs m"
               "  WHERE m.experiment_id = e.id AND m.job_id = ?1)");
    query_bind_int(&q, (int64_t)order);
    query_bind_text(&q, experiment);
    bool more = false;
    enum err_code code = query_next(&q, &more, err);
    if (code == ERR_OK && more) {
        const int64_t state = query_int(&q);
        const int64_t work = query_int(&q);
        struct change *change = change_of(store, query_int(&q));
        if (state >= 0 && state < JOB_STATE_COUNT) {
            change->jobs[state]++;
            change->work[state] += work;
        }
    }
    query_end(&q);
    return code;
}

static enum err_code write_change(struct store *store, const struct change *change, struct err *err)
{
    enum err_code code = ERR_OK;
    for (int s = 0; s < JOB_STATE_COUNT && code == ERR_OK; s++) {
        if (change->jobs[s] == 0 && change->work[s] == 0) {
            continue;
        }
        struct query q = query_begin(
            store, "INSERT INTO experiment_counts VALUES (?1,?2,?3,?4) ON CONFLICT DO UPDATE"
                   " SET jobs = jobs + ?3, work = work + ?4");
        query_bind_int(&q, change->experiment);
        query_bind_int(&q, s);
        query_bind_int(&q, change->jobs[s]);
        query_bind_int(&q, change->work[s]);
        code = query_run(&q, err);
    }
    if (code != ERR_OK || change->work_done == 0) {
        return code;
    }
    struct query q =
        query_begin(store, "UPDATE experiments SET work_done = work_done + ?2 WHERE id = ?1");
    query_bind_int(&q, change->experiment);
    query_bind_int(&q, change->work_done);
    return query_run(&q, err);
}

enum err_code store_counts_write(struct store *store, struct err *err)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; store->counts != NULL && i < store->counts->count && code == ERR_OK; i++) {
        code = write_change(store, &store->counts->changes[i], err);
    }
    store_counts_forget(store);
    return code;
}

void store_counts_forget(struct store *store)
{
    store->made_first = store->made_last = 0;
    if (store->counts != NULL) {
        store->counts->count = 0;
    }
}

void store_counts_free(struct store *store)
{
    if (store->counts != NULL) {
        free(store->counts->changes);
        free(store->counts);
        store->counts = NULL;
    }
}
