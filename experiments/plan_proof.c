/* The proof that nothing is trained on what is tested: sources have ids, and no id is on both
 * sides. */
#include <string.h>

#include "plan_impl.h"

void plan_add_source(struct arena *arena, const char ***sources, size_t *count, const char *source)
{
    size_t at = 0;
    while (at < *count && strcmp((*sources)[at], source) < 0)
        at++;
    if (at < *count && strcmp((*sources)[at], source) == 0)
        return;
    const char **grown = arena_array(arena, *count + 1, sizeof *grown);
    for (size_t i = 0; i < *count; i++)
        grown[i < at ? i : i + 1] = (*sources)[i];
    grown[at] = source;
    *sources = grown;
    (*count)++;
}

void plan_collect_held_out(struct planner *p)
{
    struct plan *plan = p->plan;
    for (size_t i = 0; i < p->suite.task_count; i++) {
        const struct task *task = &p->suite.tasks[i];
        bool evaluated = false;
        for (size_t t = 0; t < p->entry_task_count; t++)
            evaluated = evaluated || p->entry_tasks[t].task == task;
        if (evaluated || task->split == TASK_TEST)
            plan_add_source(&plan->arena, &plan->held_out, &plan->held_out_count,
                            arena_strdup(&plan->arena, task->source));
    }
}

/* A task that holds the source out, for the message. */
static const char *held_out_by(const struct planner *p, const char *source)
{
    for (size_t t = 0; t < p->entry_task_count; t++) {
        if (strcmp(p->entry_tasks[t].task->source, source) == 0)
            return p->entry_tasks[t].task->name;
    }
    for (size_t i = 0; i < p->suite.task_count; i++) {
        const struct task *task = &p->suite.tasks[i];
        if (task->split == TASK_TEST && strcmp(task->source, source) == 0)
            return task->name;
    }
    return "?";
}

enum err_code plan_check_sources(struct planner *p, const struct manifest_variant *variant,
                                 const struct plan_data *data, struct err *err)
{
    const struct yaml_node *at = yaml_get(variant->node, manifest_origin_name(variant->origin));
    for (size_t i = 0; i < data->source_count; i++) {
        for (size_t j = 0; j < p->plan->held_out_count; j++) {
            const char *source = data->sources[i];
            if (strcmp(source, p->plan->held_out[j]) == 0)
                return yaml_fail(&p->manifest->doc, at, err,
                                 "source '%s' is held out for the task '%s', but '%s' would train "
                                 "on it: it is in %s",
                                 source, held_out_by(p, source), variant->name, data->what);
        }
    }
    return ERR_OK;
}
