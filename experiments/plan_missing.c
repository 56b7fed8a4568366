/* Planning a grid whose checkpoints or data are not here: what is missing, how to get it, and which
 * cells wait for it. Such a plan is for looking at. */
#include <string.h>

#include "plan_impl.h"

bool plan_may_lack(const struct planner *p, enum err_code code)
{
    return p->env->missing_ok && code == ERR_NOT_FOUND;
}

static struct plan_missing *find(struct plan *plan, const char *what)
{
    for (size_t i = 0; i < plan->missing_count; i++) {
        if (strcmp(plan->missing[i].what, what) == 0)
            return &plan->missing[i];
    }
    return NULL;
}

/* Note that something is missing; returns its name, which outlives the planner. */
static const char *plan_lacks(struct planner *p, const char *what, const char *how)
{
    struct plan *plan = p->plan;
    const struct plan_missing *known = find(plan, what);
    if (known)
        return known->what;
    plan->missing = plan_grow(&plan->arena, plan->missing, plan->missing_count, &p->missing_cap,
                              sizeof *plan->missing);
    plan->missing[plan->missing_count] = (struct plan_missing){
        .what = arena_strdup(&plan->arena, what), .how = arena_strdup(&plan->arena, how)};
    return plan->missing[plan->missing_count++].what;
}

void plan_add_outline(struct family_plan *f, const struct entry_task *et, size_t variant,
                      size_t seed, const char *waits)
{
    struct planner *p = f->planner;
    struct plan *plan = p->plan;
    const struct manifest_variant *v = &f->family->variants[variant];
    const uint64_t seed_value = (uint64_t)p->manifest->seeds[seed];
    if (!plan_keeps(p->manifest, f->family->name, v->name, et->task->name, seed_value))
        return;
    struct plan_missing *missing = find(plan, waits);
    if (missing)
        missing->cells++;
    plan->outlines = plan_grow(&plan->arena, plan->outlines, plan->outline_count, &p->outline_cap,
                               sizeof *plan->outlines);
    plan->outlines[plan->outline_count++] =
        (struct plan_outline){.family = f->family->name,
                              .variant = v->name,
                              .suite = et->entry->suite,
                              .task = arena_strdup(&plan->arena, et->task->name),
                              .seed = seed_value,
                              .waits = waits};
}

/* Note the data of a task, if they are not here. */
static const char *task_lacks(struct planner *p, struct task *task)
{
    struct err err;
    if (suite_has_data(&p->suite, task, &err) || suite_ready(&p->suite, task, &err) == ERR_OK)
        return NULL;
    return plan_lacks(p, arena_printf(&p->plan->arena, "data of %s", task->source), err.text);
}

bool plan_outline_task(struct family_plan *f, const struct entry_task *et)
{
    struct planner *p = f->planner;
    const char *waits = p->env->missing_ok ? task_lacks(p, et->task) : NULL;
    for (size_t v = 0; waits && v < f->family->variant_count; v++) {
        for (size_t s = 0; s < p->manifest->seed_count; s++)
            plan_add_outline(f, et, v, s, waits);
    }
    return waits != NULL;
}

/* A checkpoint that cannot be found, and why not. */
static const char *checkpoint_lacks(struct family_plan *f, const struct manifest_variant *v)
{
    struct planner *p = f->planner;
    struct err err = {0};
    struct plan_tokenizer *tokenizer = NULL;
    struct plan_model model;
    enum err_code code = plan_checkpoint_open(p, v, &tokenizer, &model, &err);
    if (tokenizer)
        p->env->tokenizer_close(p->env->ctx, tokenizer);
    if (code != ERR_NOT_FOUND)
        return NULL;
    return plan_lacks(p, arena_printf(&p->plan->arena, "checkpoint %s", v->checkpoint), err.text);
}

/* The data of what a spectrum stage trains on. */
static const char *training_lacks(struct family_plan *f, const struct manifest_variant *v)
{
    struct planner *p = f->planner;
    const struct field_texts *globs = &v->stage.tasks;
    const char *first = NULL;
    for (size_t t = 0; v->origin == ORIGIN_SPECTRUM && t < p->suite.task_count; t++) {
        struct task *task = &p->suite.tasks[t];
        bool wanted = false;
        for (size_t g = 0; g < globs->count && !wanted; g++)
            wanted = strcmp(globs->items[g], "train") == 0
                         ? task_in_suite(task, "training")
                         : suite_pattern_matches(&p->suite, globs->items[g], task);
        const char *lacks = wanted ? task_lacks(p, task) : NULL;
        first = first ? first : lacks;
    }
    return first;
}

const char *plan_model_lacks(struct family_plan *f, const struct manifest_variant *v,
                             const struct err *why)
{
    const char *first = NULL;
    for (const struct manifest_variant *at = v; at;
         at = at->from ? manifest_find_variant(f->family, at->from) : NULL) {
        const char *lacks =
            at->origin == ORIGIN_CHECKPOINT ? checkpoint_lacks(f, at) : training_lacks(f, at);
        const char *rows = at->origin == ORIGIN_SPECTRUM ? at->stage.embeddings_from : NULL;
        const struct manifest_variant *other =
            rows && strcmp(rows, "none") != 0 ? manifest_find_variant(f->family, rows) : NULL;
        if (other && other->origin == ORIGIN_CHECKPOINT && !lacks)
            lacks = checkpoint_lacks(f, other);
        else if (other && other->origin == ORIGIN_CHECKPOINT)
            checkpoint_lacks(f, other);
        first = first ? first : lacks;
    }
    return first ? first : plan_lacks(f->planner, v->name, why->text);
}

void plan_outline_family(struct family_plan *f, const struct err *why)
{
    struct planner *p = f->planner;
    const size_t seeds = p->manifest->seed_count;
    for (size_t v = 0; v < f->family->variant_count; v++) {
        const char *waits = plan_model_lacks(f, &f->family->variants[v], why);
        for (size_t t = 0; t < p->entry_task_count; t++) {
            const struct entry_task *et = &p->entry_tasks[t];
            task_lacks(p, et->task);
            for (size_t s = 0; s < seeds; s++)
                plan_add_outline(f, et, v, s, waits);
        }
    }
}
