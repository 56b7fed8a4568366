/* The plan: families of PT → IT → ST with evaluations, some of them ill-natured. The second
 * experiment wants some of the first one's jobs and has evaluations of its own. */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "records.h"
#include "sim.h"

const char *sim_experiment_name(int experiment)
{
    static const char *const names[SIM_EXPERIMENTS] = {"first", "second"};
    return names[experiment];
}

int sim_experiment_index(const char *name)
{
    for (int e = 0; e < SIM_EXPERIMENTS; e++)
        if (strcmp(sim_experiment_name(e), name) == 0)
            return e;
    UNREACHABLE("an experiment that nobody submitted");
}

int sim_job_find(const struct sim *s, const struct digest *identity)
{
    for (int i = 0; i < s->job_count; i++)
        if (digest_equal(&s->jobs[i].identity, identity))
            return i;
    return -1;
}

int sim_job_index(const struct sim *s, const struct digest *identity)
{
    int job = sim_job_find(s, identity);
    ASSERT(job >= 0);
    return job;
}

const char *sim_parent_name(const struct sim_job *job, int parent)
{
    if (job->kind == JOB_EVALUATE)
        return "model";
    return parent == 0 ? "start" : "embeddings_from";
}

struct digest sim_tree_of(const struct sim_job *job, uint64_t step)
{
    struct hash_state h;
    hash_init(&h);
    hash_update(&h, job->identity.bytes, DIGEST_BYTES);
    hash_update(&h, &step, sizeof step);
    return hash_final(&h);
}

uint64_t sim_items_of(const struct sim_job *job)
{
    return (uint64_t)job->batches * SIM_RECORDS_PER_BATCH;
}

/* Whoever runs the job must send exactly these bytes. */
static void make_records(struct sim_job *job)
{
    struct hash_state h;
    hash_init(&h);
    for (uint32_t b = 0; b < job->batches; b++) {
        struct record records[SIM_RECORDS_PER_BATCH];
        for (uint32_t i = 0; i < SIM_RECORDS_PER_BATCH; i++)
            records[i] = (struct record){.sequence = b * SIM_RECORDS_PER_BATCH + i,
                                         .position = 1,
                                         .content_nats = job->identity.bytes[0] + i,
                                         .token_count = 2};
        records_encode(&job->payloads[b], RECORDS_SCORES, records, SIM_RECORDS_PER_BATCH);
        hash_update(&h, job->payloads[b].data, job->payloads[b].len);
    }
    job->records = hash_final(&h);
}

static enum sim_nature draw_nature(struct sim *s, enum job_kind kind)
{
    const double u = rng_uniform(&s->rng);
    if (u < 0.15)
        return NATURE_FLAKY;
    if (u < 0.18)
        return NATURE_BROKEN;
    if (u < 0.21)
        return kind == JOB_EVALUATE || sim_chance(s, 0.3) ? NATURE_LIES : NATURE_DIVERGES;
    return NATURE_FINE;
}

/* Some jobs ask for a worker that not everybody is, have a limit of time, or a policy of their own.
 */
static void draw_terms(struct sim *s, struct sim_job *job)
{
    job->labels = sim_chance(s, 0.2) ? "big" : "";
    job->time_limit_s = sim_chance(s, 0.25) ? (uint32_t)sim_between(s, 40, 90) : 0;
    if (!sim_chance(s, 0.25))
        return;
    for (int c = 0; c < FAILURE_CLASS_COUNT; c++)
        job->retry.again[c] = sim_chance(s, 0.5) ? (uint32_t)sim_between(s, 0, 3) : RETRY_AGAIN_MAX;
    job->retry.again[FAILURE_LOST] = job->retry.again[FAILURE_PREEMPTED] = RETRY_AGAIN_MAX;
    job->retry.backoff_ms = 500;
    job->retry.memory_growth_percent = (uint32_t)sim_between(s, 0, 100);
}

static int make_job(struct sim *s, enum job_kind kind, int start, int embeddings)
{
    const int index = s->job_count++;
    ASSERT(index < SIM_JOBS_MAX);
    struct sim_job *job = &s->jobs[index];
    job->kind = kind;
    job->nature = draw_nature(s, kind);
    job->lie =
        kind == JOB_EVALUATE ? (enum sim_lie)sim_between(s, LIE_COUNT, LIE_OMISSION) : LIE_ARTIFACT;
    job->threads = kind == JOB_EVALUATE ? 1 : (uint32_t)sim_between(s, 1, 2);
    job->memory_bytes = (uint64_t)(sim_chance(s, 0.2) ? 600 : 100) << 20; /* of 1 GiB */
    draw_terms(s, job);
    snprintf(job->label, sizeof job->label, "%s-%d", job_kind_name(kind), index);
    snprintf(job->spec, sizeof job->spec, "{\"seed\":%d,\"job\":%d}", (int)(s->seed % 1000000),
             index);
    job->identity = hash_bytes(job->spec, strlen(job->spec));
    if (start >= 0)
        job->parents[job->parent_count++] = start;
    if (embeddings >= 0)
        job->parents[job->parent_count++] = embeddings;
    if (kind == JOB_EVALUATE) {
        job->batches =
            (uint32_t)sim_between(s, 1, sim_chance(s, 0.3) ? SIM_BATCHES_MAX : SIM_BATCHES_MAX / 4);
        job->items_are_planned = sim_chance(s, 0.8);
        make_records(job);
    } else {
        job->steps = (uint32_t)sim_between(s, 4, 24);
        job->checkpoint_steps = (uint32_t)sim_between(s, 2, 8);
    }
    job->of_experiment[0] = true;
    return index;
}

/* A job of the second experiment needs its parents there too. */
static void share(struct sim *s, int index)
{
    struct sim_job *job = &s->jobs[index];
    job->of_experiment[1] = true;
    for (int p = 0; p < job->parent_count; p++)
        share(s, job->parents[p]);
}

void sim_plan_make(struct sim *s)
{
    const int families = (int)sim_between(s, 1, 2);
    for (int f = 0; f < families; f++) {
        int variants[3];
        variants[0] = make_job(s, JOB_PRETRAIN, -1, -1);
        variants[1] = make_job(s, JOB_INSTRUCT, variants[0], -1);
        variants[2] = make_job(s, JOB_SPECTRUM, variants[0], variants[1]);
        const int tasks = (int)sim_between(s, 1, 3);
        for (int v = 0; v < 3; v++)
            for (int t = 0; t < tasks; t++)
                make_job(s, JOB_EVALUATE, variants[v], -1);
    }
    for (int i = 0; i < 3; i++) {
        const int model = (int)sim_between(s, 0, 2);
        const int own = make_job(s, JOB_EVALUATE, model, -1);
        s->jobs[own].of_experiment[0] = false;
        share(s, own);
    }
    for (int i = 0; i < s->job_count; i++)
        if (s->jobs[i].kind == JOB_EVALUATE && sim_chance(s, 0.2))
            share(s, i);
}

void sim_plan_free(struct sim *s)
{
    for (int i = 0; i < s->job_count; i++)
        for (int b = 0; b < SIM_BATCHES_MAX; b++)
            strbuf_release(&s->jobs[i].payloads[b]);
}
