#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "sim.h"

/* ---- clock and queue ---- */

static bool earlier(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

void sim_schedule(struct sim *s, int64_t delay_ms, struct sim_event event)
{
    if (s->heap_count == s->heap_cap) {
        s->heap_cap = s->heap_cap ? s->heap_cap * 2 : 256;
        s->heap = realloc(s->heap, s->heap_cap * sizeof *s->heap);
        ASSERT(s->heap != NULL);
    }
    event.at_ms = s->now_ms + delay_ms;
    event.order = s->order_next++;
    size_t i = s->heap_count++;
    while (i > 0 && earlier(&event, &s->heap[(i - 1) / 2])) {
        s->heap[i] = s->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    s->heap[i] = event;
}

static struct sim_event take_next(struct sim *s)
{
    const struct sim_event first = s->heap[0];
    const struct sim_event last = s->heap[--s->heap_count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= s->heap_count)
            break;
        if (child + 1 < s->heap_count && earlier(&s->heap[child + 1], &s->heap[child]))
            child++;
        if (!earlier(&s->heap[child], &last))
            break;
        s->heap[i] = s->heap[child];
        i = child;
    }
    if (s->heap_count > 0)
        s->heap[i] = last;
    return first;
}

int64_t sim_between(struct sim *s, int64_t low, int64_t high)
{
    return low + (int64_t)rng_below(&s->rng, (uint64_t)(high - low + 1));
}

bool sim_chance(struct sim *s, double probability)
{
    return rng_uniform(&s->rng) < probability;
}

bool sim_weather_is_bad(const struct sim *s)
{
    return s->now_ms < SIM_FAULTS_END_MS;
}

void sim_fail(struct sim *s, const char *format, ...)
{
    if (*s->failure)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(s->failure, sizeof s->failure, format, args);
    va_end(args);
}

void sim_trace(const struct sim *s, const char *format, ...)
{
    if (!s->verbose)
        return;
    va_list args;
    va_start(args, format);
    printf("[%9.3f] ", (double)s->now_ms / 1000);
    vprintf(format, args);
    putchar('\n');
    va_end(args);
}

int sim_job_index(const struct sim *s, const struct digest *identity)
{
    for (int i = 0; i < s->job_count; i++)
        if (digest_equal(&s->jobs[i].identity, identity))
            return i;
    UNREACHABLE("a message names a job that nobody submitted");
}

/* ---- the plan: families of PT → IT → ST with evaluations, some of them ill-natured ---- */

static void make_job(struct sim *s, enum job_kind kind, int start, int embeddings)
{
    struct sim_job *job = &s->jobs[s->job_count];
    ASSERT(s->job_count < SIM_JOBS_MAX);
    *job = (struct sim_job){.kind = kind, .threads = (uint32_t)sim_between(s, 1, 2)};
    snprintf(job->label, sizeof job->label, "%s-%d", job_kind_name(kind), s->job_count);
    snprintf(job->spec, sizeof job->spec, "{\"seed\":%d,\"job\":%d}", (int)(s->seed % 1000000),
             s->job_count);
    job->identity = hash_bytes(job->spec, strlen(job->spec));
    if (start >= 0)
        job->parents[job->parent_count++] = start;
    if (embeddings >= 0)
        job->parents[job->parent_count++] = embeddings;
    if (kind == JOB_EVALUATE) {
        job->batches = (uint32_t)sim_between(s, 1, SIM_BATCHES_MAX);
        job->threads = 1;
    } else {
        job->steps = (uint32_t)sim_between(s, 4, 30);
        job->checkpoint_steps = (uint32_t)sim_between(s, 2, 8);
    }
    job->nature = sim_chance(s, 0.15)   ? NATURE_FLAKY
                  : sim_chance(s, 0.04) ? NATURE_DIVERGES
                  : sim_chance(s, 0.04) ? NATURE_BROKEN
                                        : NATURE_FINE;
    if (job->nature == NATURE_DIVERGES && kind == JOB_EVALUATE)
        job->nature = NATURE_FINE;
    s->job_count++;
}

static void make_plan(struct sim *s)
{
    const int families = (int)sim_between(s, 1, 2);
    for (int f = 0; f < families; f++) {
        const int first = s->job_count;
        make_job(s, JOB_PRETRAIN, -1, -1);
        make_job(s, JOB_INSTRUCT, first, -1);
        make_job(s, JOB_SPECTRUM, first, first + 1);
        const int tasks = (int)sim_between(s, 1, 3);
        for (int v = 0; v < 3; v++)
            for (int t = 0; t < tasks; t++)
                make_job(s, JOB_EVALUATE, first + v, -1);
    }
}

/* ---- faults ---- */

static void fault_worker(struct sim *s)
{
    struct sim_worker *w = &s->workers[sim_between(s, 0, s->worker_count - 1)];
    const struct sim_event resume = {
        .kind = SIM_WORKER_RESUME, .worker = w->index, .incarnation = w->incarnation};
    if (!w->up)
        return;
    switch (sim_between(s, 0, 3)) {
    case 0:
        sim_worker_kill(s, w);
        sim_schedule(s, sim_between(s, 100, 60000),
                     (struct sim_event){.kind = SIM_WORKER_START, .worker = w->index});
        return;
    case 1:
        if (w->stalled)
            return;
        w->stalled = true;
        s->counters.worker_stalls++;
        sim_trace(s, "%s stalls", w->name);
        sim_schedule(s, sim_between(s, 500, 90000), resume);
        return;
    case 2:
        if (w->partitioned)
            return;
        w->partitioned = true;
        s->counters.partitions++;
        sim_trace(s, "%s is cut off", w->name);
        sim_schedule(s, sim_between(s, 500, 120000), resume);
        return;
    default:
        sim_worker_disk_trouble(s, w);
        return;
    }
}

static void fault_server(struct sim *s)
{
    if (!s->server.up)
        return;
    if (s->server.committing && sim_chance(s, 0.3)) {
        sim_server_commit(s, true);
        return;
    }
    if (s->server.committing)
        s->counters.coordinator_kills_before_commit++;
    else
        s->counters.coordinator_kills_idle++;
    sim_trace(s, "the coordinator is killed%s", s->server.committing ? " before its commit" : "");
    sim_server_kill(s);
    sim_schedule(s, sim_between(s, 50, 40000), (struct sim_event){.kind = SIM_SERVER_START});
}

static void fault(struct sim *s)
{
    if (!sim_weather_is_bad(s))
        return;
    sim_schedule(s,
                 1 + (int64_t)(-s->mean_fault_gap_ms * 0.5 +
                               s->mean_fault_gap_ms * 1.5 * rng_uniform(&s->rng) +
                               s->mean_fault_gap_ms * 0.5),
                 (struct sim_event){.kind = SIM_FAULT});
    if (sim_chance(s, 0.35))
        fault_server(s);
    else
        fault_worker(s);
}

/* ---- events ---- */

static void frame_arrives(struct sim *s, struct sim_event *event)
{
    struct sim_worker *w = &s->workers[event->worker];
    if (event->frame.to_server && s->server.up && s->server.committing) {
        sim_schedule(s, 1, *event); /* it waits in the socket; the frame moves along */
        return;
    }
    /* A frame outlives its connection only on its way to the coordinator: there it is one from the
     * past. */
    if (event->frame.to_server) {
        s->counters.stale_messages += event->frame.peer != w->peer;
        sim_server_receive(s, &event->frame);
    } else if (w->up && w->connected && w->peer == event->frame.peer && !w->stalled) {
        struct arena arena;
        struct msg m;
        if (sim_net_decode(s, &event->frame, &arena, &m)) {
            struct agent_event e = {.kind = AGENT_EV_MESSAGE, .message = &m};
            sim_worker_step(s, w, &e);
        }
        arena_release(&arena);
    }
    sim_net_frame_free(&event->frame);
}

static void worker_connects(struct sim *s, struct sim_worker *w)
{
    if (!w->up || w->stalled)
        return;
    if (!s->server.up || w->partitioned) {
        sim_schedule(s, sim_between(s, 200, 3000),
                     (struct sim_event){.kind = SIM_WORKER_CONNECT,
                                        .worker = w->index,
                                        .incarnation = w->incarnation});
        return;
    }
    if (w->connected)
        return;
    w->connected = true;
    w->peer = ++s->peer_next;
    struct agent_event event = {.kind = AGENT_EV_CONNECTED};
    sim_worker_step(s, w, &event);
}

static void worker_resumes(struct sim *s, struct sim_worker *w)
{
    w->stalled = false;
    w->partitioned = false;
    struct agent_event event = {.kind = AGENT_EV_TICK};
    sim_worker_step(s, w, &event);
    worker_connects(s, w);
}

static void server_event(struct sim *s, const struct sim_event *event)
{
    if (event->kind == SIM_SERVER_START) {
        if (!s->server.up)
            sim_server_start(s);
        return;
    }
    if (!s->server.up || event->incarnation != s->server.incarnation)
        return;
    if (event->kind == SIM_SERVER_COMMIT) {
        if (!s->server.committing)
            return;
        sim_server_commit(s, false);
        if (sim_weather_is_bad(s) && sim_chance(s, 0.0005)) {
            s->counters.coordinator_kills_after_commit++;
            sim_trace(s, "the coordinator is killed after a commit");
            sim_server_kill(s);
            sim_schedule(s, sim_between(s, 50, 20000),
                         (struct sim_event){.kind = SIM_SERVER_START});
        }
    } else if (!s->server.committing && s->now_ms >= s->server.wake_at_ms) {
        sim_server_tick(s);
    }
}

static void happen(struct sim *s, struct sim_event *event)
{
    struct sim_worker *w = &s->workers[event->worker];
    switch (event->kind) {
    case SIM_FRAME:
        frame_arrives(s, event);
        return;
    case SIM_SERVER_WAKE:
    case SIM_SERVER_COMMIT:
    case SIM_SERVER_START:
        server_event(s, event);
        return;
    case SIM_FAULT:
        fault(s);
        return;
    case SIM_PERSON:
        if (!s->server.up || s->server.committing)
            sim_schedule(s, 5, *event);
        else if (s->store.experiment_exists)
            sim_server_person(s);
        else
            sim_server_submit(s);
        if (!s->store.experiment_exists && !s->server.committing)
            sim_schedule(s, 5, *event);
        return;
    case SIM_WORKER_START:
        if (!w->up)
            sim_worker_start(s, w);
        return;
    case SIM_WORKER_RESUME:
        worker_resumes(s, w);
        return;
    case SIM_WORKER_CONNECT:
    case SIM_WORKER_WAKE:
    case SIM_FETCHED:
    case SIM_UPLOADED:
    case SIM_CHILD:
    case SIM_CHILD_EXIT:
        break;
    }
    if (!w->up || event->incarnation != w->incarnation)
        return;
    if (w->stalled && event->kind != SIM_CHILD) {
        sim_schedule(s, 200, *event); /* the process is stopped: what happened waits for it */
        return;
    }
    struct agent_event tick = {.kind = AGENT_EV_TICK};
    if (event->kind == SIM_WORKER_CONNECT)
        worker_connects(s, w);
    else if (event->kind == SIM_WORKER_WAKE)
        sim_worker_step(s, w, &tick);
    else if (event->kind == SIM_FETCHED)
        sim_worker_fetched(s, w, event);
    else if (event->kind == SIM_UPLOADED)
        sim_worker_uploaded(s, w, event);
    else if (event->kind == SIM_CHILD)
        sim_worker_child(s, w, event);
    else
        sim_worker_child_exit(s, w, event);
}

/* Workers that were killed by their own leaving are started again by whoever watches them. */
static void supervise(struct sim *s)
{
    for (int i = 0; i < s->worker_count; i++)
        if (!s->workers[i].up && s->workers[i].left) {
            s->workers[i].left = false;
            sim_schedule(s, sim_between(s, 500, 5000),
                         (struct sim_event){.kind = SIM_WORKER_START, .worker = i});
        }
}

static void begin(struct sim *s)
{
    s->drop_ratio = sim_chance(s, 0.5) ? 0.15 * rng_uniform(&s->rng) : 0;
    s->double_ratio = sim_chance(s, 0.5) ? 0.1 * rng_uniform(&s->rng) : 0;
    s->late_ratio = sim_chance(s, 0.5) ? 0.05 * rng_uniform(&s->rng) : 0;
    s->mean_fault_gap_ms = 1000 * (double)sim_between(s, 2, 60);
    make_plan(s);
    s->worker_count = (int)sim_between(s, 1, SIM_WORKERS_MAX);
    sim_server_start(s);
    for (int i = 0; i < s->worker_count; i++) {
        s->workers[i].index = i;
        s->workers[i].threads = (uint32_t)sim_between(s, i == 0 ? 2 : 1, 2);
        snprintf(s->workers[i].name, sizeof s->workers[i].name, "w%d", i + 1);
        sim_schedule(s, sim_between(s, 0, 3000),
                     (struct sim_event){.kind = SIM_WORKER_START, .worker = i});
    }
    sim_schedule(s, sim_between(s, 10, 2000), (struct sim_event){.kind = SIM_PERSON});
    if (sim_chance(s, 0.2))
        for (int i = 0; i < 3; i++)
            sim_schedule(s, sim_between(s, 10000, SIM_FAULTS_END_MS),
                         (struct sim_event){.kind = SIM_PERSON});
    sim_schedule(s, sim_between(s, 1000, 20000), (struct sim_event){.kind = SIM_FAULT});
}

static void release(struct sim *s)
{
    if (s->server.up)
        sim_server_kill(s);
    arena_release(&s->server.event_arena);
    strbuf_release(&s->server.dump);
    for (int i = 0; i < s->worker_count; i++) {
        struct sim_worker *w = &s->workers[i];
        agent_free(w->agent);
        for (int l = 0; l < SIM_LEASES_MAX; l++)
            for (int b = 0; b < SIM_BATCHES_MAX; b++)
                strbuf_release(&w->leases[l].batches[b]);
    }
    sim_store_free(s);
    /* Last: what ends above may still schedule something. */
    for (size_t i = 0; i < s->heap_count; i++)
        sim_net_frame_free(&s->heap[i].frame);
    free(s->heap);
}

struct sim_result sim_run(uint64_t seed, enum core_fault planted, bool verbose)
{
    struct sim *s = calloc(1, sizeof *s);
    ASSERT(s != NULL);
    s->seed = seed;
    s->rng = rng_new(seed, "sim");
    s->planted = planted;
    s->verbose = verbose;
    begin(s);
    while (!*s->failure && s->heap_count > 0) {
        struct sim_event event = take_next(s);
        s->now_ms = event.at_ms;
        if (s->now_ms > SIM_END_MS) {
            sim_net_frame_free(&event.frame);
            break;
        }
        happen(s, &event);
        supervise(s);
        if (!sim_weather_is_bad(s) && sim_is_quiet(s))
            break;
    }
    if (!*s->failure)
        sim_check_end(s);
    struct sim_result result = {.ok = !*s->failure, .counters = s->counters, .ended_ms = s->now_ms};
    snprintf(result.failure, sizeof result.failure, "%s", s->failure);
    release(s);
    free(s);
    return result;
}
