/* Questions to the core; nothing changes. */
#include "core.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "claim.h"
#include "core_memory.h"
#include "core_state.h"
#include "held_set.h"
#include "job.h"

static int compare_orders(const void *a, const void *b)
{
    const struct job *const *x = a;
    const struct job *const *y = b;
    return ((*x)->order > (*y)->order) - ((*x)->order < (*y)->order);
}

struct job **core_jobs_in_order(const struct core *core)
{
    struct job **jobs = core_memory_array(core->jobs.count, sizeof *jobs);
    size_t count = 0;
    size_t at = 0;
    for (struct job *job; (job = digest_map_next(&core->jobs, &at)) != NULL;) {
        jobs[count++] = job;
    }
    ASSERT(count == core->jobs.count);
    qsort(jobs, count, sizeof(struct job *), compare_orders);
    return jobs;
}

bool core_has_job(const struct core *core, const struct digest *job)
{
    return digest_map_get(&core->jobs, job) != NULL;
}

static struct core_running running_of(const struct job *job)
{
    const struct attempt *attempt = job->attempt;
    return (struct core_running){.job = job->identity,
                                 .order = job->order,
                                 .worker = attempt->worker->name,
                                 .state = job->state,
                                 .done = attempt->done,
                                 .total = attempt->total,
                                 .loss_nats = attempt->loss_nats,
                                 .tokens_per_s = attempt->tokens_per_s,
                                 .started_ms = job->started_ms};
}

bool core_running(const struct core *core, const struct digest *identity, struct core_running *out)
{
    const struct job *job = digest_map_get(&core->jobs, identity);
    if (job == NULL || job->attempt == NULL) {
        return false;
    }
    *out = running_of(job);
    return true;
}

size_t core_running_list(const struct core *core, struct core_running *out, size_t running_max)
{
    struct job **held = core_memory_array(core->lease_count, sizeof(struct job *));
    size_t count = 0;
    for (size_t i = 0; i < core->worker_count; i++) {
        for (struct job *job = core->workers[i]->leases; job != NULL;
             job = job->attempt->next_lease) {
            held[count++] = job;
        }
    }
    ASSERT(count == core->lease_count);
    qsort(held, count, sizeof(struct job *), compare_orders);
    count = count < running_max ? count : running_max;
    for (size_t i = 0; i < count; i++) {
        out[i] = running_of(held[i]);
    }
    core_memory_free(held);
    return count;
}

static int compare_workers(const void *a, const void *b)
{
    const struct worker_row *x = a;
    const struct worker_row *y = b;
    return strcmp(x->worker, y->worker);
}

size_t core_workers(const struct core *core, struct worker_row *out, size_t workers_max)
{
    size_t count = core->worker_count < workers_max ? core->worker_count : workers_max;
    for (size_t i = 0; i < count; i++) {
        const struct worker *worker = core->workers[i];
        const char *quarantine = worker->host->quarantine;
        bool draining = worker->draining || worker->drain_wanted;
        const char *drain_reason = worker->drain_reason != NULL ? worker->drain_reason : "";
        out[i] = (struct worker_row){.worker = worker->name,
                                     .host = worker->host->name,
                                     .numeric_class = worker->numeric_class,
                                     .version = worker->version,
                                     .state = !worker->live ? "lost"
                                              : draining    ? "draining"
                                              : quarantine  ? "quarantined"
                                                            : "ready",
                                     .reason = quarantine ? quarantine : drain_reason,
                                     .node = worker->node,
                                     .labels = worker->labels,
                                     .ends_ms = worker->ends_time_ms,
                                     .threads = worker->threads,
                                     .threads_busy = (uint32_t)worker->threads_busy,
                                     .leases = worker->lease_count,
                                     .seen_ms = worker->seen_time_ms,
                                     .memory_bytes = worker->memory_bytes};
    }
    qsort(out, count, sizeof *out, compare_workers);
    return count;
}

size_t core_demand(const struct core *core, struct core_demand *out, size_t max)
{
    size_t count = 0;
    for (size_t i = 0; i < core->shape_count && count < max; i++) {
        const struct shape *shape = core->shapes[i];
        if (claim_payer(core, shape->claim) != NULL) {
            out[count++] = (struct core_demand){.threads = shape->threads,
                                                .memory_bytes = shape->memory_asked,
                                                .time_limit_s = shape->terms->time_limit_s,
                                                .ranks = shape->terms->ranks,
                                                .labels = shape->terms->labels,
                                                .jobs = shape->job_count};
        }
    }
    return count;
}

size_t core_idle_threads(const struct core *core)
{
    size_t idle = 0;
    for (size_t i = 0; i < core->worker_count; i++) {
        const struct worker *worker = core->workers[i];
        if (worker->live && !worker->draining && !worker->drain_wanted &&
            worker->threads > worker->threads_busy) {
            idle += worker->threads - worker->threads_busy;
        }
    }
    return idle;
}

struct core_counts core_counts(const struct core *core)
{
    struct core_counts counts = {
        .jobs = core->jobs.count, .jobs_ready = core->ready_count, .leases = core->lease_count};
    for (size_t i = 0; i < core->worker_count; i++) {
        const struct worker *worker = core->workers[i];
        counts.workers += worker->live;
        counts.threads += worker->live ? worker->threads : 0;
    }
    return counts;
}

static void dump_attempt(const struct job *job, struct strbuf *out)
{
    const struct attempt *attempt = job->attempt;
    struct hash_state records = attempt->records;
    struct digest digest = hash_final(&records);
    char hex[DIGEST_HEX_SIZE];
    strbuf_printf(out, "  held by %s on %s %s\n", attempt->worker->name,
                  attempt->worker->host->name, digest_hex(&attempt->worker->instance, hex));
    strbuf_printf(out, "  next %u %u %u items %" PRIu64 " records %s\n",
                  attempt->next[STREAM_METRICS], attempt->next[STREAM_RECORDS],
                  attempt->next[STREAM_LOG], attempt->items, digest_hex(&digest, hex));
}

static void dump_claim(const struct claim *claim, struct strbuf *out)
{
    strbuf_printf(out, "  queued by %s, wanted by", claim->queued_by->name);
    for (size_t i = 0; i < claim->wanted_count; i++) {
        strbuf_printf(out, " %s", claim->wanted_by[i]->name);
    }
    strbuf_puts(out, "\n");
}

static void dump_job(const struct job *job, struct strbuf *out)
{
    char hex[DIGEST_HEX_SIZE];
    strbuf_printf(out, "job %" PRIu64 " %s %s\n", job->order, digest_hex(&job->identity, hex),
                  job_state_name(job->state));
    dump_claim(job->claim, out);
    strbuf_printf(out, "  kind %d threads %u memory %" PRIu64 " items %" PRIu64 " priority %d\n",
                  (int)job->kind, job->threads, job->memory_asked, job->items_expected,
                  job->priority);
    strbuf_printf(
        out, "  labels '%s' limit %u ranks %u failures %" PRIx64 " backoff %u %u growth %u again",
        job->terms->labels, job->terms->time_limit_s, job->terms->ranks, job->failures,
        job->terms->retry.backoff_ms, job->terms->retry.backoff_ms_max,
        job->terms->retry.memory_growth_percent);
    for (int c = 0; c < FAILURE_CLASS_COUNT; c++) {
        strbuf_printf(out, " %u", job->terms->retry.again[c]);
    }
    strbuf_puts(out, "\n");
    strbuf_printf(out, "  epoch %u spent %u free %u max %u outcome %d failure %" PRIu64 " %" PRIu64,
                  job->epoch, job->attempts_spent, job->attempts_free, job->attempts_max,
                  (int)job->outcome, job->failure_digest, job->failure_worker);
    strbuf_printf(out, "\n  resume %" PRIu64 " %s times %" PRId64 " %" PRId64 "\n",
                  job->resume_step, digest_hex(&job->resume, hex), job->submitted_ms,
                  job->started_ms);
    for (uint32_t i = 0; i < job->parent_count; i++) {
        const struct parent_link *link = &job->parents[i];
        char artifact[DIGEST_HEX_SIZE];
        strbuf_printf(out, "  parent %s %s %s\n", link->name, digest_hex(&link->identity, hex),
                      link->parent != NULL ? "unfinished" : digest_hex(&link->artifact, artifact));
    }
    if (job->attempt != NULL) {
        dump_attempt(job, out);
    }
}

static int compare_experiments(const void *a, const void *b)
{
    const struct experiment *const *x = a;
    const struct experiment *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* Those in quarantine, by name. */
static void dump_hosts(const struct core *core, struct strbuf *out)
{
    const struct host *last = NULL;
    for (;;) {
        const struct host *next = NULL;
        size_t at = 0;
        for (const struct host *host; (host = digest_map_next(&core->hosts, &at)) != NULL;) {
            if (host->quarantine != NULL && (last == NULL || strcmp(host->name, last->name) > 0) &&
                (next == NULL || strcmp(host->name, next->name) < 0)) {
                next = host;
            }
        }
        if (next == NULL) {
            return;
        }
        strbuf_printf(out, "host %s quarantined: %s\n", next->name, next->quarantine);
        last = next;
    }
}

void core_dump(const struct core *core, struct strbuf *out)
{
    size_t count = core->experiment_count;
    struct experiment **experiments = core_memory_array(count, sizeof(struct experiment *));
    for (size_t i = 0; i < count; i++) {
        experiments[i] = core->experiment_list[i];
    }
    qsort(experiments, count, sizeof(struct experiment *), compare_experiments);
    for (size_t i = 0; i < count; i++) {
        strbuf_printf(out, "experiment %s class %s%s priority %d\n", experiments[i]->name,
                      experiments[i]->numeric_class, experiments[i]->paused ? " paused" : "",
                      experiments[i]->priority);
    }
    core_memory_free(experiments);
    dump_hosts(core, out);
    struct job **jobs = core_jobs_in_order(core);
    for (size_t i = 0; i < core->jobs.count; i++) {
        dump_job(jobs[i], out);
    }
    core_memory_free(jobs);
}

static void check_hosts(const struct core *core)
{
    for (size_t i = 0; i < core->worker_count; i++) {
        const struct worker *worker = core->workers[i];
        uint64_t host_busy = 0;
        for (size_t k = 0; k < core->worker_count; k++) {
            if (core->workers[k]->host == worker->host) {
                host_busy += core->workers[k]->threads_busy;
            }
        }
        ASSERT(worker->host->threads_busy == host_busy);
    }
}

static void check_worker(const struct core *core, const struct worker *worker)
{
    uint32_t leases = 0;
    uint64_t threads = 0;
    uint32_t ranks = 0;
    uint64_t memory_bytes = 0;
    struct held_set held = {0};
    for (const struct job *job = worker->leases; job != NULL; job = job->attempt->next_lease) {
        const struct lease_key key = {.job = job->identity, .epoch = job->epoch};
        ASSERT(job->attempt->worker == worker);
        held_set_add(&held, &key, job->attempt->held);
        leases++;
        threads += job->attempt->threads;
        ranks += job->terms->ranks > 1 ? job->terms->ranks : 0;
        memory_bytes += job->attempt->memory_bytes;
    }
    ASSERT(worker->memory_busy == memory_bytes);
    ASSERT(worker->lease_count == leases);
    ASSERT(held_set_equal(&worker->held, &held));
    ASSERT(worker->threads_busy == threads);
    ASSERT(worker->ranks_busy == ranks);
    ASSERT(core->workers[worker->place] == worker);
    ASSERT((core->roomy[worker->place / 64] >> worker->place % 64 & 1) ==
           (worker->threads > worker->threads_busy));
    ASSERT(IMPLIES(worker->live, worker->session != 0 && worker->timer.place > 0));
}

static void check_experiments(const struct core *core, struct job *const *jobs)
{
    for (size_t e = 0; e < core->experiment_count; e++) {
        uint64_t threads = 0;
        for (size_t i = 0; i < core->jobs.count; i++) {
            const struct attempt *attempt = jobs[i]->attempt;
            const bool mine = attempt != NULL && attempt->payer == core->experiment_list[e];
            threads += mine ? attempt->threads : 0;
        }
        ASSERT(core->experiment_list[e]->threads_busy == threads);
    }
}

void core_check(const struct core *core)
{
    struct job **jobs = core_jobs_in_order(core);
    size_t ready = 0;
    size_t leases = 0;
    for (size_t i = 0; i < core->jobs.count; i++) {
        const struct job *job = jobs[i];
        job_check(job);
        ASSERT(!job_state_is_final(job->state));
        ASSERT(i == 0 || jobs[i - 1]->order < job->order);
        ASSERT(job->order <= core->order_last);
        uint32_t missing = 0;
        for (uint32_t p = 0; p < job->parent_count; p++) {
            missing += job->parents[p].parent != NULL;
        }
        ASSERT(job->parents_missing == missing);
        bool startable = job->state == JOB_WAITING && missing == 0 && job->timer.place == 0;
        ASSERT(startable == (job->shape != NULL));
        ready += startable;
        leases += job->attempt != NULL;
    }
    check_experiments(core, jobs);
    ASSERT(ready == core->ready_count);
    ASSERT(leases == core->lease_count);
    core_memory_free(jobs);
    for (size_t i = 0; i < core->worker_count; i++) {
        check_worker(core, core->workers[i]);
    }
    check_hosts(core);
}
