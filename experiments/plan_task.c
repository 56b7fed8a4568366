/* Tasks matched; answers to be scored: k chosen, data sets rendered. */
#include <stdlib.h>
#include <string.h>

#include "build.h"
#include "check.h"
#include "plan_impl.h"

static enum err_code no_suite(const struct planner *p, const struct manifest_suite *entry,
                              struct err *err)
{
    size_t count = 0, most = 0;
    char hint[300];
    for (size_t i = 0; i < p->suite.task_count; i++)
        most += p->suite.tasks[i].suites.count;
    const char **names = arena_array(&p->plan->arena, most, sizeof *names);
    for (size_t i = 0; i < p->suite.task_count; i++) {
        const struct field_texts *suites = &p->suite.tasks[i].suites;
        for (size_t k = 0; k < suites->count; k++) {
            size_t at = 0;
            while (at < count && strcmp(names[at], suites->items[k]) != 0)
                at++;
            if (at == count)
                names[count++] = suites->items[k];
        }
    }
    fields_suggest(entry->suite, names, count, hint, sizeof hint);
    return yaml_fail(&p->manifest->doc, yaml_get(entry->node, "suite"), err,
                     "no task belongs to a suite '%.64s'%s", entry->suite, hint);
}

static enum err_code no_match(struct planner *p, const struct manifest_suite *entry, size_t glob,
                              struct err *err)
{
    struct arena *arena = &p->plan->arena;
    const char **names = arena_array(arena, p->suite.task_count + 1, sizeof *names);
    size_t count = 0;
    char hint[300];
    for (size_t i = 0; i < p->suite.task_count; i++) {
        if (task_in_suite(&p->suite.tasks[i], entry->suite))
            names[count++] = p->suite.tasks[i].name;
    }
    if (count == 0)
        return no_suite(p, entry, err);
    fields_suggest(entry->tasks.items[glob], names, count, hint, sizeof hint);
    return yaml_fail(&p->manifest->doc, entry->tasks.nodes[glob], err,
                     "no task of suite '%s' matches '%.64s'%s", entry->suite,
                     entry->tasks.items[glob], hint);
}

/* The entry of the same suite that has the task already, or NULL. */
static const struct manifest_suite *
matched_by(const struct planner *p, const struct manifest_suite *entry, const struct task *task)
{
    for (size_t i = 0; i < p->entry_task_count; i++) {
        const struct entry_task *et = &p->entry_tasks[i];
        if (et->task == task && strcmp(et->entry->suite, entry->suite) == 0)
            return et->entry;
    }
    return NULL;
}

/* Tasks go to the first entry that names them, so that a later one can have the rest. One that
 * names nothing else would be passed over with all it says. */
static enum err_code nothing_left(const struct planner *p, const struct manifest_suite *entry,
                                  size_t glob, const struct manifest_suite *other, struct err *err)
{
    return yaml_fail(&p->manifest->doc, entry->tasks.nodes[glob], err,
                     "'%.64s' of suite '%s' is evaluated by the entry in line %d already",
                     entry->tasks.items[glob], entry->suite, other->node->line);
}

/* An override that means no task of its suite is a slip: the task keeps what it says to change. */
static enum err_code check_overrides(const struct planner *p, const struct manifest_suite *entry,
                                     struct err *err)
{
    const struct yaml_node *overrides = yaml_get(entry->node, "override");
    const char **names = arena_array(&p->plan->arena, p->suite.task_count + 1, sizeof *names);
    size_t count = 0;
    for (size_t i = 0; i < p->suite.task_count; i++)
        if (task_in_suite(&p->suite.tasks[i], entry->suite))
            names[count++] = p->suite.tasks[i].name;
    for (size_t o = 0; o < entry->override_count; o++) {
        const char *pattern = entry->overrides[o].pattern;
        bool found = false;
        char hint[300];
        for (size_t i = 0; i < count && !found; i++)
            found = str_glob(pattern, names[i]);
        fields_suggest(pattern, names, count, hint, sizeof hint);
        if (!found)
            return yaml_fail(&p->manifest->doc, overrides->keys[o], err,
                             "'override': no task of suite '%s' matches '%.64s'%s", entry->suite,
                             pattern, hint);
    }
    return ERR_OK;
}

enum err_code plan_match_tasks(struct planner *p, struct err *err)
{
    size_t cap = 0;
    for (size_t s = 0; s < p->manifest->suite_count; s++) {
        const struct manifest_suite *entry = &p->manifest->suites[s];
        for (size_t g = 0; g < entry->tasks.count; g++) {
            size_t matched = 0, fresh = 0;
            const struct manifest_suite *other = NULL;
            for (size_t i = 0; i < p->suite.task_count; i++) {
                struct task *task = &p->suite.tasks[i];
                if (!task_in_suite(task, entry->suite) ||
                    !suite_pattern_matches(&p->suite, entry->tasks.items[g], task))
                    continue;
                matched++;
                const struct manifest_suite *former = matched_by(p, entry, task);
                other = former ? former : other;
                if (former)
                    continue;
                fresh++;
                p->entry_tasks = plan_grow(&p->plan->arena, p->entry_tasks, p->entry_task_count,
                                           &cap, sizeof *p->entry_tasks);
                p->entry_tasks[p->entry_task_count++] = (struct entry_task){entry, task};
            }
            if (matched == 0)
                return no_match(p, entry, g, err);
            if (fresh == 0 && other != entry)
                return nothing_left(p, entry, g, other, err);
        }
        const enum err_code code = check_overrides(p, entry, err);
        if (code)
            return code;
    }
    return ERR_OK;
}

/* The sequences a task is evaluated on. */
struct evaluation {
    struct family_plan *f;
    const struct entry_task *et;
    struct manifest_evaluate settings;
    struct arena arena; /* owns the instances */
    struct instance *pool;
    int32_t *reach;
    uint32_t pool_count;
    struct instance *chosen;
    struct plan_task *task;
    struct format_options formats[FORMAT_COUNT];
    size_t format_count;
    int64_t *items;                    /* of each chosen sequence, in every format */
    struct digest blobs[FORMAT_COUNT]; /* data set in each format */
    int64_t *tokens[FORMAT_COUNT];     /* of each of its sequences */
};

/* Every format some variant of the family uses, whether its cells are kept or not: k must not
 * depend on filters. */
static void collect_formats(struct evaluation *e)
{
    bool used[FORMAT_COUNT] = {false};
    const struct manifest_family *family = e->f->family;
    for (size_t v = 0; v < family->variant_count; v++)
        used[manifest_format(e->et->entry, &family->variants[v])] = true;
    for (int format = 0; format < FORMAT_COUNT; format++) {
        if (used[format])
            e->formats[e->format_count++] = (struct format_options){
                .format = (enum format)format, .style = family->turns, .first_terminator = true};
    }
}

static enum err_code draw_pool(struct evaluation *e, struct err *err)
{
    struct task *task = e->et->task;
    struct suite *suite = &e->f->planner->suite;
    enum err_code code = suite_ready(suite, task, err);
    if (code)
        return code;
    uint32_t supply = task_supply(task);
    int64_t most = task_sequences_max(task);
    e->pool_count = (int64_t)supply < most ? supply : (uint32_t)most;
    e->pool = arena_array(&e->arena, e->pool_count, sizeof *e->pool);
    e->reach = arena_array(&e->arena, e->pool_count, sizeof *e->reach);
    struct rng root = rng_new((uint64_t)e->settings.seed, "evaluate");
    struct instance_options options = {.root = rng_child(&root, task->name, 0),
                                       .keep_description = e->settings.description_keep};
    for (uint32_t i = 0; !code && i < e->pool_count; i++) {
        task_instance(task, &options, i, &e->arena, &e->pool[i]);
        code = select_reach(&e->f->counter, e->formats, e->format_count, &e->pool[i],
                            (size_t)e->f->model.context, &e->reach[i], err);
    }
    return code;
}

static enum err_code refuse_k(const struct evaluation *e, uint32_t k, struct err *err)
{
    return yaml_fail(&e->f->planner->manifest->doc, e->et->entry->node, err,
                     "task '%s' cannot be evaluated by family '%s': within %lld tokens its "
                     "sequences give k = %u in the longest format, and fewer than %d of them reach "
                     "%d; raise 'context' or leave the task out",
                     e->et->task->name, e->f->family->name, (long long)e->f->model.context, k,
                     SELECT_K_MIN_REACHING, SELECT_K_MIN);
}

/* Share of the pool's examples that are not scored because of k and the context. */
static double truncated_share(const struct evaluation *e)
{
    double all = 0.0, kept = 0.0;
    for (uint32_t i = 0; i < e->pool_count; i++) {
        all += e->pool[i].example_count;
        if (e->reach[i] >= (int32_t)e->task->k)
            kept += e->task->k + 1;
    }
    return all > 0.0 ? 1.0 - kept / all : 0.0;
}

/* In place of every chosen sequence, so many that show its examples in other orders: the first as
 * it was drawn. They follow each other, which is how statistics know that they belong together. */
static void permute_chosen(struct evaluation *e)
{
    const uint32_t copies = (uint32_t)e->settings.permutations, count = e->task->sequences;
    if (copies == 1)
        return;
    struct instance *all = arena_array(&e->arena, (size_t)count * copies, sizeof *all);
    struct rng root = rng_new((uint64_t)e->settings.seed, "permutations");
    for (uint32_t i = 0; i < count * copies; i++) {
        const struct instance *from = &e->chosen[i / copies];
        all[i] = *from;
        if (i % copies == 0)
            continue;
        /* Only what is shown moves: an order of the first k + 1. */
        const uint32_t shown = e->task->k + 1;
        uint32_t *order = arena_array(&e->arena, shown, sizeof *order);
        struct rng own = rng_child(&root, from->id, i % copies);
        rng_permutation(&own, order, shown);
        all[i].examples = arena_array(&e->arena, shown, sizeof *all[i].examples);
        all[i].example_count = shown;
        for (uint32_t j = 0; j < shown; j++)
            all[i].examples[j] = from->examples[order[j]];
        all[i].id = arena_printf(&e->arena, "%s/order-%u", from->id, i % copies);
    }
    e->chosen = all;
    e->task->sequences = count * copies;
}

static enum err_code choose(struct evaluation *e, struct err *err)
{
    struct plan_task *t = e->task;
    t->k_chosen = e->settings.k == 0;
    t->k = t->k_chosen ? select_k(e->reach, e->pool_count) : (uint32_t)e->settings.k;
    if (t->k < SELECT_K_MIN && t->k_chosen)
        return refuse_k(e, t->k, err);
    for (uint32_t i = 0; i < e->pool_count; i++)
        t->reaching += e->reach[i] >= (int32_t)t->k;
    if (t->reaching == 0)
        return yaml_fail(
            &e->f->planner->manifest->doc, e->et->entry->node, err,
            "no sequence of task '%s' reaches k = %u within %lld tokens in family '%s'",
            e->et->task->name, t->k, (long long)e->f->model.context, e->f->family->name);
    uint32_t *numbers = arena_array(&e->arena, e->pool_count, sizeof *numbers);
    t->sequences =
        (uint32_t)select_sequences(e->reach, e->pool_count, t->k, (size_t)e->settings.max_sequences,
                                   (uint64_t)e->settings.seed, numbers);
    e->chosen = arena_array(&e->arena, t->sequences, sizeof *e->chosen);
    for (uint32_t i = 0; i < t->sequences; i++)
        e->chosen[i] = e->pool[numbers[i]];
    permute_chosen(e);
    t->pool = e->pool_count;
    t->truncated = truncated_share(e);
    return ERR_OK;
}

/* Tokens of every chosen sequence in a format, and the longest. */
static enum err_code count_tokens(struct evaluation *e, size_t f, struct err *err)
{
    enum err_code code = ERR_OK;
    e->tokens[f] = arena_array(&e->arena, e->task->sequences, sizeof *e->tokens[f]);
    for (uint32_t i = 0; !code && i < e->task->sequences; i++) {
        struct arena scratch = {0};
        struct sequence sequence;
        size_t tokens = 0;
        format_render(&e->formats[f], &e->chosen[i], e->task->k + 1, &scratch, &sequence);
        code = token_counter_sequence(&e->f->counter, &sequence, &tokens, err);
        arena_release(&scratch);
        e->tokens[f][i] = (int64_t)tokens;
        if ((int64_t)tokens > e->task->tokens_max)
            e->task->tokens_max = (int64_t)tokens;
    }
    return code;
}

/* The first answer of a sequence without a description is scored in no format (build.h). */
static int64_t count_items(struct evaluation *e)
{
    int64_t total = 0;
    e->items = arena_array(&e->arena, e->task->sequences, sizeof *e->items);
    for (uint32_t i = 0; i < e->task->sequences; i++) {
        e->items[i] = (int64_t)e->task->k + (e->chosen[i].description != NULL);
        total += e->items[i];
    }
    return total;
}

static enum err_code render(struct evaluation *e, struct err *err)
{
    struct planner *p = e->f->planner;
    char hex[DIGEST_HEX_SIZE], what[200];
    struct digest pairing = build_pairing(e->chosen, e->task->sequences, e->task->k + 1);
    e->task->pairing = arena_strdup(&p->plan->arena, digest_hex(&pairing, hex));
    const int64_t items = count_items(e);
    for (size_t f = 0; f < e->format_count; f++) {
        struct strbuf out = {0};
        struct build_counts counts;
        build_evaluation(&e->formats[f], e->et->task->name, e->chosen, e->task->sequences,
                         e->task->k + 1, &out, &counts);
        ASSERT(counts.items == (uint64_t)items);
        snprintf(what, sizeof what, "%s in %s for %s", e->et->task->name,
                 format_name(e->formats[f].format), e->f->family->name);
        size_t len = out.len;
        e->blobs[f] = plan_add_blob(p, strbuf_take(&out), len, what);
        enum err_code code = count_tokens(e, f, err);
        if (code)
            return code;
    }
    return ERR_OK;
}

/* What a variant is evaluated on: the data set in its format. */
static struct cell_data data_of(const struct evaluation *e, size_t variant)
{
    const enum format format = manifest_format(e->et->entry, &e->f->family->variants[variant]);
    size_t f = 0;
    while (e->formats[f].format != format)
        f++;
    return (struct cell_data){.f = e->f,
                              .et = e->et,
                              .task = e->task,
                              .settings = e->settings,
                              .kind = RECORDS_SCORES,
                              .format = format,
                              .blob = e->blobs[f],
                              .sequences = e->task->sequences,
                              .items = e->items,
                              .tokens = e->tokens[f],
                              .tokens_max = e->task->tokens_max,
                              .last_position = e->task->k};
}

enum err_code plan_scores(struct family_plan *f, const struct entry_task *et, struct err *err)
{
    struct evaluation e = {.f = f, .et = et};
    const struct manifest *m = f->planner->manifest;
    e.settings =
        manifest_evaluate_settings(f->planner->manifest, f->family, et->entry, et->task->name);
    e.task = plan_new_task(f, et);
    collect_formats(&e);
    enum err_code code = draw_pool(&e, err);
    if (!code)
        code = choose(&e, err);
    if (!code)
        code = render(&e, err);
    for (size_t v = 0; !code && v < f->family->variant_count; v++) {
        const struct cell_data data = data_of(&e, v);
        for (size_t s = 0; s < m->seed_count; s++)
            plan_add_cell(&data, v, s);
    }
    arena_release(&e.arena);
    return code;
}
