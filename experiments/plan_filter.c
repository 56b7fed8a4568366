/* Which cells `include` and `exclude` keep. */
#include "plan_impl.h"

static bool filter_matches(const struct manifest_filter *filter, const char *family,
                           const char *variant, const char *task, uint64_t seed)
{
    return (!filter->family || str_glob(filter->family, family)) &&
           (!filter->variant || str_glob(filter->variant, variant)) &&
           (!filter->task || str_glob(filter->task, task)) &&
           (filter->seed < 0 || (uint64_t)filter->seed == seed);
}

bool plan_keeps(const struct manifest *manifest, const char *family, const char *variant,
                const char *task, uint64_t seed)
{
    bool kept = manifest->include_count == 0;
    for (size_t i = 0; !kept && i < manifest->include_count; i++)
        kept = filter_matches(&manifest->includes[i], family, variant, task, seed);
    for (size_t i = 0; kept && i < manifest->exclude_count; i++)
        kept = !filter_matches(&manifest->excludes[i], family, variant, task, seed);
    return kept;
}

/* A value that matches nothing is a slip: excluded cells would be run, included ones left out. */
static enum err_code check_value(const struct planner *p, const struct yaml_node *item,
                                 const char *key, const char *glob, const char *const *names,
                                 size_t count, struct err *err)
{
    char hint[300];
    bool found = glob == NULL;
    for (size_t i = 0; i < count && !found; i++)
        found = str_glob(glob, names[i]);
    if (found)
        return ERR_OK;
    fields_suggest(glob, names, count, hint, sizeof hint);
    return yaml_fail(&p->manifest->doc, yaml_get(item, key), err, "no %s matches '%.64s'%s", key,
                     glob, hint);
}

/* What cells may be called: of the tasks all that there are, evaluated or not. */
struct cell_names {
    const char **families, **variants, **tasks;
    size_t family_count, variant_count, task_count;
};

static struct cell_names names_of(const struct planner *p)
{
    const struct manifest *m = p->manifest;
    struct arena *arena = &p->plan->arena;
    struct cell_names n = {.family_count = m->family_count, .task_count = p->suite.task_count};
    for (size_t f = 0; f < m->family_count; f++)
        n.variant_count += m->families[f].variant_count;
    n.families = arena_array(arena, n.family_count, sizeof *n.families);
    n.variants = arena_array(arena, n.variant_count, sizeof *n.variants);
    n.tasks = arena_array(arena, n.task_count, sizeof *n.tasks);
    for (size_t f = 0, v = 0; f < m->family_count; f++) {
        n.families[f] = m->families[f].name;
        for (size_t i = 0; i < m->families[f].variant_count; i++)
            n.variants[v++] = m->families[f].variants[i].name;
    }
    for (size_t t = 0; t < n.task_count; t++)
        n.tasks[t] = p->suite.tasks[t].name;
    return n;
}

static bool has_seed(const struct manifest *m, int64_t seed)
{
    bool found = seed < 0;
    for (size_t s = 0; s < m->seed_count; s++)
        found = found || m->seeds[s] == seed;
    return found;
}

static enum err_code check_list(const struct planner *p, const struct cell_names *n,
                                const char *key, const struct manifest_filter *filters,
                                size_t count, struct err *err)
{
    const struct manifest *m = p->manifest;
    const struct yaml_node *list = yaml_get(m->doc.root, key);
    enum err_code code = ERR_OK;
    for (size_t i = 0; !code && i < count; i++) {
        const struct manifest_filter *f = &filters[i];
        const struct yaml_node *item = list->items[i];
        code = check_value(p, item, "family", f->family, n->families, n->family_count, err);
        if (!code)
            code = check_value(p, item, "variant", f->variant, n->variants, n->variant_count, err);
        if (!code)
            code = check_value(p, item, "task", f->task, n->tasks, n->task_count, err);
        if (!code && !has_seed(m, f->seed))
            code = yaml_fail(&m->doc, yaml_get(item, "seed"), err,
                             "%lld is not among the manifest's 'seeds'", (long long)f->seed);
    }
    return code;
}

enum err_code plan_check_filters(const struct planner *p, struct err *err)
{
    const struct manifest *m = p->manifest;
    const struct cell_names names = names_of(p);
    enum err_code code = check_list(p, &names, "include", m->includes, m->include_count, err);
    return code ? code : check_list(p, &names, "exclude", m->excludes, m->exclude_count, err);
}
