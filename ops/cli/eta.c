#include "eta.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Before this the pace is that of starting up. */
#define PACE_MS_MIN 3000

static int compare_jobs(const void *a, const void *b)
{
    const struct eta_job *x = a, *y = b;
    return memcmp(x->job.bytes, y->job.bytes, DIGEST_BYTES);
}

void eta_init(struct eta *eta, const json_t *plan, struct arena *arena)
{
    const json_t *jobs = json_object_get(plan, "jobs");
    *eta = (struct eta){.first_done = -1};
    eta->jobs = arena_array(arena, json_array_size(jobs), sizeof *eta->jobs);
    for (size_t i = 0; i < json_array_size(jobs); i++) {
        const json_t *o = json_array_get(jobs, i);
        const char *identity = json_string_value(json_object_get(o, "identity"));
        const double hours = json_number_value(json_object_get(o, "hours"));
        const double threads = json_number_value(json_object_get(o, "threads"));
        struct eta_job *job = &eta->jobs[eta->job_count];
        if (!identity || !digest_from_hex(identity, &job->job))
            continue;
        job->work = hours * 3600 * (threads > 1 ? threads : 1);
        eta->work_total += job->work;
        eta->job_count++;
    }
    if (eta->job_count)
        qsort(eta->jobs, eta->job_count, sizeof *eta->jobs, compare_jobs);
}

static double work_of(const struct eta *eta, const struct digest *job)
{
    const struct eta_job key = {.job = *job};
    const struct eta_job *found =
        bsearch(&key, eta->jobs, eta->job_count, sizeof key, compare_jobs);
    return found ? found->work : 0;
}

double eta_look(struct eta *eta, const struct job_table *jobs, const struct running_row *running,
                size_t running_count, int64_t now_ms)
{
    double done = 0;
    if (eta->job_count == 0 || eta->work_total <= 0)
        return (double)NAN;
    for (size_t i = 0; i < jobs->count; i++)
        if (job_state_is_final(jobs->rows[i]->state))
            done += work_of(eta, &jobs->rows[i]->job);
    for (size_t i = 0; i < running_count; i++)
        if (running[i].total)
            done +=
                work_of(eta, &running[i].job) * (double)running[i].done / (double)running[i].total;
    if (eta->first_done < 0) {
        eta->first_done = done;
        eta->first_ms = now_ms;
    }
    return done / eta->work_total;
}

int64_t eta_left_ms(const struct eta *eta, double done_ratio, int64_t now_ms)
{
    const double done = done_ratio * eta->work_total;
    const int64_t elapsed_ms = now_ms - eta->first_ms;
    if (!isfinite(done_ratio) || elapsed_ms < PACE_MS_MIN || done <= eta->first_done)
        return -1;
    const double per_work_ms = (double)elapsed_ms / (done - eta->first_done);
    return (int64_t)((eta->work_total - done) * per_work_ms);
}
