/* Cells of the report, and the jobs that fill them: shares of a data set. */
#include <string.h>

#include "check.h"
#include "plan_impl.h"

/* Work of one share: about twenty minutes of one thread (plan_cost.c has the rate). Counted in
 * work, not in time, so that shares do not depend on where the plan is made. */
#define SHARE_FLOPS 6e13

/* The kind of evaluation that a suite demands; the others score answers. */
static const struct {
    const char *suite;
    enum err_code (*plan)(struct family_plan *, const struct entry_task *, struct err *);
} suite_kinds[] = {
    {"alignment", plan_choices},
    {"coverage", plan_samples},
    {"longform", plan_samples},
};

/* Does the manifest keep any cell of the task in this family? */
static bool plan_keeps_any(const struct family_plan *f, const struct task *task)
{
    const struct manifest *m = f->planner->manifest;
    for (size_t v = 0; v < f->family->variant_count; v++) {
        for (size_t s = 0; s < m->seed_count; s++) {
            if (plan_keeps(m, f->family->name, f->family->variants[v].name, task->name,
                           (uint64_t)m->seeds[s]))
                return true;
        }
    }
    return false;
}

enum err_code plan_evaluation(struct family_plan *f, const struct entry_task *et, struct err *err)
{
    if (!plan_keeps_any(f, et->task) || plan_outline_task(f, et))
        return ERR_OK;
    for (size_t i = 0; i < ARRAY_COUNT(suite_kinds); i++) {
        if (strcmp(et->entry->suite, suite_kinds[i].suite) == 0)
            return suite_kinds[i].plan(f, et, err);
    }
    return plan_scores(f, et, err);
}

struct plan_task *plan_new_task(struct family_plan *f, const struct entry_task *et)
{
    struct planner *p = f->planner;
    struct plan *plan = p->plan;
    struct arena *arena = &plan->arena;
    plan->tasks =
        plan_grow(arena, plan->tasks, plan->task_count, &p->task_cap, sizeof *plan->tasks);
    struct plan_task *t = &plan->tasks[plan->task_count++];
    *t = (struct plan_task){
        .family = f->family->name,
        .suite = et->entry->suite,
        .task = arena_strdup(arena, et->task->name), /* the suite goes before the plan */
        .source = arena_strdup(arena, et->task->source),
        .licence = arena_strdup(arena, suite_licence(&p->suite, et->task)),
    };
    return t;
}

/* Where the share that begins with sequence `first` ends. */
static uint32_t share_end(const struct cell_data *d, uint32_t first)
{
    const double per_token = 2.0 * (double)plan_parameters(&d->f->model);
    double flops = 0.0;
    uint32_t end = first;
    if (d->settings.shard > 0) {
        const int64_t wanted = (int64_t)first + d->settings.shard;
        return wanted < d->sequences ? (uint32_t)wanted : d->sequences;
    }
    while (end < d->sequences && (end == first || flops < SHARE_FLOPS))
        flops += per_token * (double)d->tokens[end++];
    return end;
}

static size_t share_count(const struct cell_data *d)
{
    size_t count = 0;
    for (uint32_t first = 0; first < d->sequences; first = share_end(d, first))
        count++;
    return count;
}

static size_t add_share(const struct cell_data *d, const struct jobspec *cell, struct plan_job job,
                        uint32_t first, uint32_t end)
{
    struct jobspec spec = *cell;
    spec.evaluate.first = first;
    spec.evaluate.sequences = end - first;
    for (uint32_t i = first; i < end; i++) {
        job.items += d->items[i];
        job.tokens += d->tokens[i];
    }
    spec.evaluate.items = job.items;
    plan_cost_evaluation(d->f->planner, &d->f->model, d->tokens_max, &job);
    return plan_add_job(d->f->planner, &spec, job);
}

static struct jobspec_evaluate evaluation_of(const struct cell_data *d)
{
    const struct manifest_evaluate *s = &d->settings;
    const bool scores = d->kind == RECORDS_SCORES;
    return (struct jobspec_evaluate){
        .kind = d->kind,
        .task = d->task->task,
        .suite = d->task->suite,
        .format = format_name(d->format),
        .k = d->task->k,
        .calibration = scores && s->calibration,
        .restrict_mode = scores ? (enum restrict_mode)s->restrict_mode : JOBSPEC_RESTRICT_NONE,
        .restrict_texts = s->restrict_texts.items,
        .restrict_count =
            scores && s->restrict_mode == JOBSPEC_RESTRICT_LIST ? s->restrict_texts.count : 0,
        .restrict_terminators = scores && s->restrict_terminators,
    };
}

/* The shares' jobs, in order; their indices in the plan's arena. */
static size_t *add_shares(const struct cell_data *d, const struct jobspec *cell,
                          struct plan_job job, size_t count, int64_t *items)
{
    struct plan *plan = d->f->planner->plan;
    size_t *jobs = arena_array(&plan->arena, count, sizeof *jobs);
    const char *label = job.label;
    uint32_t first = 0;
    for (size_t i = 0; i < count; i++) {
        const uint32_t end = share_end(d, first);
        if (count > 1)
            job.label = arena_printf(&plan->arena, "%s/%zuof%zu", label, i + 1, count);
        jobs[i] = add_share(d, cell, job, first, end);
        first = end;
    }
    *items = 0;
    for (uint32_t i = 0; i < d->sequences; i++)
        *items += d->items[i];
    return jobs;
}

static void append_cell(struct planner *p, const struct plan_cell *cell)
{
    struct plan *plan = p->plan;
    plan->cells =
        plan_grow(&plan->arena, plan->cells, plan->cell_count, &p->cell_cap, sizeof *plan->cells);
    plan->cells[plan->cell_count++] = *cell;
}

void plan_add_cell(const struct cell_data *d, size_t variant, size_t seed)
{
    struct planner *p = d->f->planner;
    const struct manifest_variant *v = &d->f->family->variants[variant];
    const uint64_t seed_value = (uint64_t)p->manifest->seeds[seed];
    if (!plan_keeps(p->manifest, d->f->family->name, v->name, d->task->task, seed_value))
        return;
    const size_t index = variant * p->manifest->seed_count + seed;
    const size_t model = d->f->model_job[index];
    if (model == NO_JOB) {
        plan_add_outline(d->f, d->et, variant, seed, d->f->model_waits[index]);
        return;
    }
    struct named_digest input = {"data", d->blob};
    struct named_digest parent = {"model", p->plan->jobs[model].identity};
    const struct jobspec spec = {
        .kind = JOB_EVALUATE,
        .numerics_version = p->env->numerics_version,
        .numerics = p->manifest->numerics,
        .precision = p->manifest->precision,
        .backend = p->manifest->backend,
        .inputs = &input,
        .input_count = 1,
        .parents = &parent,
        .parent_count = 1,
        .evaluate = evaluation_of(d),
    };
    const struct plan_job job = {
        .label = arena_printf(&p->plan->arena, "%s/%s/%s/%llu", d->f->family->name, v->name,
                              d->task->task, (unsigned long long)seed_value),
        .family = d->f->family->name,
        .variant = v->name,
        .task = d->task->task,
        .format = format_name(d->format),
        .seed = seed_value,
        .threads = (uint32_t)p->manifest->evaluate_resources.threads,
    };
    struct plan_cell cell = {
        .family = job.family,
        .variant = job.variant,
        .format = job.format,
        .suite = d->task->suite,
        .task = job.task,
        .pairing = d->task->pairing,
        .seed = seed_value,
        .kind = d->kind,
        .k = d->last_position,
        .permutations = d->kind == RECORDS_SCORES ? (uint32_t)d->settings.permutations : 1,
        .terminator = d->kind == RECORDS_CHOICES && d->settings.terminator,
        .settings = d->settings_of,
        .setting_count = d->settings_of ? d->sequences : 0,
        .job_count = share_count(d),
        .model_job = model,
    };
    cell.jobs = add_shares(d, &spec, job, cell.job_count, &cell.items);
    append_cell(p, &cell);
}
