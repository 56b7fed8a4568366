/* People: they submit, submit again, cancel, retry and drain, at any time while the weather is bad.
 * What the driver owes the core (stored rows of final jobs, which jobs a cancel means) comes from
 * the store, as coordinator/store gives it. */
#include <string.h>

#include "check.h"
#include "sim.h"

#define REPEAT_MS        3000 /* nothing seems to have happened: once more */
#define RELEASE_EVERY_MS 60000

static struct submit_job *submit_jobs(struct sim *s, struct arena *arena, int experiment,
                                      size_t *count_out)
{
    struct submit_job *jobs = arena_array(arena, SIM_JOBS_MAX, sizeof *jobs);
    uint32_t order[SIM_JOBS_MAX];
    size_t count = 0;
    rng_permutation(&s->rng, order, (size_t)s->job_count); /* a plan may list jobs in any order */
    for (int i = 0; i < s->job_count; i++) {
        const struct sim_job *job = &s->jobs[order[i]];
        if (!job->of_experiment[experiment])
            continue;
        struct named_digest *parents = arena_array(arena, 2, sizeof *parents);
        for (int p = 0; p < job->parent_count; p++)
            parents[p] =
                (struct named_digest){sim_parent_name(job, p), s->jobs[job->parents[p]].identity};
        jobs[count++] =
            (struct submit_job){.identity = job->identity,
                                .kind = job->kind,
                                .label = job->label,
                                .family = "f",
                                .variant = "v",
                                .task = job->kind == JOB_EVALUATE ? "t" : "",
                                .spec = {(const uint8_t *)job->spec, strlen(job->spec)},
                                .parents = parents,
                                .parent_count = (size_t)job->parent_count,
                                .threads = job->threads,
                                .memory_bytes = job->memory_bytes,
                                .items_expected = job->items_are_planned ? sim_items_of(job) : 0,
                                .attempts_max = SIM_ATTEMPTS_MAX,
                                .retry = job->retry,
                                .labels = job->labels,
                                .time_limit_s = job->time_limit_s};
    }
    *count_out = count;
    return jobs;
}

/* What the person is told; people act first in a turn and must be answered. */
static const struct msg *reply(const struct sim *s)
{
    const struct core_output *turn = &s->server.turn;
    for (size_t i = 0; i < turn->send_count; i++)
        if (turn->sends[i].peer == SIM_PERSON_PEER)
            return &turn->sends[i].msg;
    UNREACHABLE("a person gets no answer");
}

static bool is_among(const struct submit_job *jobs, size_t first, size_t end,
                     const struct digest *identity)
{
    for (size_t i = first; i < end; i++)
        if (digest_equal(&jobs[i].identity, identity))
            return true;
    return false;
}

/* Parents come before their children, the rest stays in the order drawn. */
static void put_parents_first(struct submit_job *jobs, size_t count)
{
    for (size_t placed = 0; placed < count; placed++) {
        for (size_t i = placed; i < count; i++) {
            bool waits = false;
            for (size_t p = 0; p < jobs[i].parent_count; p++)
                waits |= is_among(jobs, placed, count, &jobs[i].parents[p].digest);
            if (waits)
                continue;
            const struct submit_job next = jobs[i];
            memmove(&jobs[placed + 1], &jobs[placed], (i - placed) * sizeof *jobs);
            jobs[placed] = next;
            break;
        }
    }
}

/* A plan that comes in two parts. */
static void submit_in_parts(struct sim *s, struct core_event event, struct submit_job *jobs)
{
    const size_t first = (size_t)sim_between(s, 1, (int)event.submit.job_count - 1);
    const size_t all = event.submit.job_count;
    put_parents_first(jobs, all);
    event.submit.is_part = true;
    event.submit.job_count = first;
    sim_server_step(s, &event);
    const struct msg_submitted before = s->server.turn.submitted;
    bool refused = s->server.turn.submit_refused != NULL;
    event.submit.before = &before;
    event.submit.jobs = jobs + first;
    event.submit.job_count = all - first;
    sim_server_step(s, &event);
    const struct msg_submitted counts = s->server.turn.submitted;
    refused |= s->server.turn.submit_refused != NULL;
    if (refused ||
        counts.jobs_new + counts.jobs_reused + counts.jobs_requeued + counts.jobs_running != all)
        sim_fail(s, "a submission in parts is refused, or does not count its jobs");
    s->counters.submissions_in_parts++;
    s->counters.jobs_shared += counts.jobs_running;
    s->counters.jobs_reused += counts.jobs_reused;
    s->counters.jobs_requeued += counts.jobs_requeued;
}

static void submit(struct sim *s, int experiment)
{
    struct arena *arena = &s->server.arena;
    struct core_event event = {.kind = CORE_SUBMIT, .peer = SIM_PERSON_PEER};
    event.submit.request = 1;
    event.submit.experiment = sim_experiment_name(experiment);
    struct submit_job *jobs = submit_jobs(s, arena, experiment, &event.submit.job_count);
    event.submit.jobs = jobs;
    struct core_job_row *finals = arena_array(arena, SIM_JOBS_MAX, sizeof *finals);
    for (int i = 0; i < s->job_count; i++)
        if (s->jobs[i].of_experiment[experiment] && s->store.rows[i].exists &&
            !core_has_job(s->server.core, &s->jobs[i].identity))
            sim_store_job_row(s, i, arena, &finals[event.submit.final_count++]);
    event.submit.finals = finals;
    s->counters.submissions++;
    s->counters.submissions_repeated += s->store.experiments[experiment].exists;
    sim_trace(s, "person", "submits experiment '%s'", event.submit.experiment);
    if (event.submit.job_count > 1 && sim_chance(s, 0.5)) {
        submit_in_parts(s, event, jobs);
        return;
    }
    sim_server_step(s, &event);
    const struct msg *answer = reply(s);
    if (answer->kind != MSG_SUBMITTED) {
        sim_fail(s, "a submission is refused: %s",
                 answer->kind == MSG_ERROR ? answer->error.text : "no answer");
        return;
    }
    s->counters.jobs_shared += answer->submitted.jobs_running;
    s->counters.jobs_reused += answer->submitted.jobs_reused;
    s->counters.jobs_requeued += answer->submitted.jobs_requeued;
}

static bool somebody_else_wants(const struct sim_row *row, int experiment)
{
    for (int e = 0; e < SIM_EXPERIMENTS; e++)
        if (e != experiment && row->wanted[e])
            return true;
    return false;
}

static void cancel(struct sim *s, const struct sim_event *act, int job)
{
    struct digest *jobs = arena_array(&s->server.arena, SIM_JOBS_MAX, sizeof *jobs);
    struct core_event event = {.kind = CORE_CANCEL, .peer = SIM_PERSON_PEER};
    event.act = (struct core_act){
        .request = 2, .reason = "somebody said so", .experiment = "", .jobs = jobs};
    const bool whole = act->act == ACT_CANCEL_EXPERIMENT;
    if (whole)
        event.act.experiment = sim_experiment_name(act->experiment);
    for (int i = 0; i < s->job_count; i++) {
        struct sim_row *row = &s->store.rows[i];
        const bool meant =
            whole ? row->wanted[act->experiment] && !somebody_else_wants(row, act->experiment)
                  : i == job;
        if (!meant || !row->exists || job_state_is_final(row->state.state))
            continue;
        row->cancel_asked = true;
        jobs[event.act.job_count++] = s->jobs[i].identity;
    }
    s->counters.experiments_cancelled += whole;
    s->counters.person_cancels += !whole && event.act.job_count > 0;
    sim_trace(s, "person", "cancels %zu jobs", event.act.job_count);
    sim_server_step(s, &event);
}

/* Unsuccessful ancestors of a job that is to be retried, and aborted descendants. */
static void mark_retried(const struct sim *s, bool retried[SIM_JOBS_MAX])
{
    for (int i = s->job_count - 1; i >= 0; i--) /* parents come before children */
        for (int p = 0; retried[i] && p < s->jobs[i].parent_count; p++)
            if (sim_row_failed(&s->store.rows[s->jobs[i].parents[p]]))
                retried[s->jobs[i].parents[p]] = true;
    for (int i = 0; i < s->job_count; i++)
        for (int p = 0; p < s->jobs[i].parent_count; p++)
            if (retried[s->jobs[i].parents[p]] && s->store.rows[i].exists &&
                s->store.rows[i].state.state == JOB_ABORTED)
                retried[i] = true;
}

static void retry(struct sim *s, const struct sim_event *act, int job)
{
    bool retried[SIM_JOBS_MAX] = {false};
    for (int i = 0; i < s->job_count; i++)
        retried[i] = sim_row_failed(&s->store.rows[i]) &&
                     (act->act == ACT_RETRY_JOB ? i == job : s->jobs[i].of_experiment[0]);
    if (act->act == ACT_RETRY_JOB)
        mark_retried(s, retried);
    struct core_job_row *rows = arena_array(&s->server.arena, SIM_JOBS_MAX, sizeof *rows);
    struct core_event event = {.kind = CORE_RETRY, .peer = SIM_PERSON_PEER};
    event.act = (struct core_act){.request = 3, .reason = "", .experiment = "", .rows = rows};
    for (int i = 0; i < s->job_count; i++)
        if (retried[i])
            sim_store_job_row(s, i, &s->server.arena, &rows[event.act.row_count++]);
    s->counters.person_retries += event.act.row_count > 0;
    sim_trace(s, "person", "retries %zu jobs", event.act.row_count);
    sim_server_step(s, &event);
}

static void drain(struct sim *s)
{
    const struct sim_worker *w = &s->workers[sim_between(s, 0, s->worker_count - 1)];
    struct core_event event = {.kind = CORE_DRAIN_WORKER, .peer = SIM_PERSON_PEER};
    event.drain = (struct core_drain){.request = 4, .worker = w->name, .reason = "a person's"};
    if (sim_chance(s, 0.5))
        event.drain.grace_ms = (uint64_t)sim_between(s, 1000, 60000);
    sim_trace(s, "person", "drains %s", w->name);
    sim_server_step(s, &event);
    if (reply(s)->kind == MSG_OK) /* just started, the coordinator may not know the worker yet */
        s->server.drain_wanted[w->name_index] = true;
}

/* Out of quarantine, and out of a drain that the worker has not heard of. */
static void release(struct sim *s, const struct sim_worker *w)
{
    struct core_event event = {.kind = CORE_DRAIN_WORKER, .peer = SIM_PERSON_PEER};
    event.drain = (struct core_drain){.request = 5, .worker = w->name, .action = WORKER_RELEASE};
    sim_trace(s, "person", "releases %s", w->name);
    s->server.drain_wanted[w->name_index] = false; /* work may come in this very step */
    sim_server_step(s, &event);
}

/* Everything that a person may have stopped, or a policy, goes on; a person who sees work left
 * comes back. */
static void release_all(struct sim *s, const struct sim_event *act)
{
    for (int i = 0; i < s->worker_count; i++)
        if (s->workers[i].index == s->workers[i].name_index)
            release(s, &s->workers[i]);
    for (int e = 0; e < SIM_EXPERIMENTS; e++) {
        struct core_event event = {.kind = CORE_RESUME, .peer = SIM_PERSON_PEER};
        event.act = (struct core_act){.request = 6, .experiment = sim_experiment_name(e)};
        sim_server_step(s, &event);
    }
    for (int i = 0; i < s->job_count; i++)
        if (s->store.rows[i].exists && !job_state_is_final(s->store.rows[i].state.state)) {
            s->acts_left++;
            sim_schedule(s, RELEASE_EVERY_MS, *act);
            return;
        }
}

static void pause_experiment(struct sim *s, const struct sim_event *act, bool paused)
{
    struct core_event event = {.kind = paused ? CORE_PAUSE : CORE_RESUME, .peer = SIM_PERSON_PEER};
    event.act = (struct core_act){.request = 7, .experiment = sim_experiment_name(act->experiment)};
    s->counters.experiments_paused += paused;
    sim_trace(s, "person", "%s %s", paused ? "pauses" : "resumes", event.act.experiment);
    sim_server_step(s, &event);
    if (!paused)
        return;
    s->acts_left++;
    struct sim_event resume = *act;
    resume.act = ACT_RESUME;
    sim_schedule(s, sim_between(s, 1000, 60000), resume);
}

static void change_priority(struct sim *s, const struct sim_event *act, int job)
{
    struct core_event event = {.kind = CORE_PRIORITY, .peer = SIM_PERSON_PEER};
    event.act = (struct core_act){.request = 8,
                                  .experiment = "",
                                  .jobs = &s->jobs[job].identity,
                                  .job_count = 1,
                                  .priority = (int32_t)sim_between(s, -5, 5)};
    if (sim_chance(s, 0.3)) {
        event.act.experiment = sim_experiment_name(act->experiment);
        event.act.job_count = 0;
    }
    s->counters.priorities_changed++;
    sim_trace(s, "person", "sets priority %d", event.act.priority);
    sim_server_step(s, &event);
}

/* A job that the act makes sense for, or any. */
static int choose_job(struct sim *s, enum sim_act act)
{
    int job = 0;
    for (int tries = 0; tries < 8; tries++) {
        job = (int)sim_between(s, 0, s->job_count - 1);
        if (act == ACT_RETRY_JOB && sim_row_failed(&s->store.rows[job]))
            break;
        if (act == ACT_CANCEL_JOB && sim_row_is_held(&s->store.rows[job]))
            break;
    }
    return job;
}

void sim_person_acts(struct sim *s, const struct sim_event *event)
{
    const struct sim_server *server = &s->server;
    struct sim_event again = *event;
    if (!server->core || server->in_turn || s->now_ms < server->stalled_until_ms) {
        sim_schedule(s, sim_between(s, 5, 500), again);
        return;
    }
    const bool first = event->act == ACT_SUBMIT && !s->store.experiments[event->experiment].exists;
    s->acts_left -= !first;
    if (event->act == ACT_SUBMIT)
        submit(s, event->experiment);
    else if (event->act == ACT_CANCEL_JOB || event->act == ACT_CANCEL_EXPERIMENT)
        cancel(s, event, choose_job(s, event->act));
    else if (event->act == ACT_RETRY_JOB || event->act == ACT_RETRY_EXPERIMENT)
        retry(s, event, choose_job(s, event->act));
    else if (event->act == ACT_PAUSE || event->act == ACT_RESUME)
        pause_experiment(s, event, event->act == ACT_PAUSE);
    else if (event->act == ACT_PRIORITY)
        change_priority(s, event, choose_job(s, event->act));
    else if (event->act == ACT_RELEASE)
        release(s, &s->workers[sim_between(s, 0, s->worker_count - 1)]);
    else if (event->act == ACT_RELEASE_ALL)
        release_all(s, event);
    else
        drain(s);
    if (first) /* it may be lost with its turn, so it comes again, at least once */
        sim_schedule(s, REPEAT_MS, again);
}

void sim_person_plan(struct sim *s)
{
    s->acts_left = 3;
    for (int i = 0; i < 2; i++) /* the first may be lost with its turn */
        sim_schedule(s, SIM_FAULTS_END_MS + i * REPEAT_MS,
                     (struct sim_event){.kind = SIM_PERSON, .act = ACT_RELEASE_ALL});
    sim_schedule(s, sim_between(s, 10, 2000),
                 (struct sim_event){.kind = SIM_PERSON, .act = ACT_SUBMIT});
    if (sim_chance(s, 0.4)) {
        s->acts_left++;
        sim_schedule(s, sim_between(s, 1000, SIM_FAULTS_END_MS / 4),
                     (struct sim_event){.kind = SIM_PERSON, .act = ACT_SUBMIT, .experiment = 1});
    }
    const int acts = sim_chance(s, 0.5) ? (int)sim_between(s, 1, 6) : 0;
    for (int i = 0; i < acts; i++) {
        s->acts_left++;
        sim_schedule(s, sim_between(s, 5000, SIM_FAULTS_END_MS / 2),
                     (struct sim_event){.kind = SIM_PERSON,
                                        .act = (enum sim_act)sim_between(s, 0, ACT_COUNT - 1)});
    }
}
