/* Diversity and validity: texts drawn after prompts that hold a description, examples, or both
 * (docs/science.md section 4). */
#include <stdio.h>
#include <string.h>

#include "build.h"
#include "check.h"
#include "coverage.h"
#include "plan_impl.h"

enum { COMPONENTS_MAX = 3, SETTINGS_MAX = COMPONENTS_MAX * MANIFEST_TEMPERATURES_MAX };

struct sample_plan {
    struct family_plan *f;
    const struct entry_task *et;
    struct manifest_evaluate settings;
    struct coverage_settings coverage;
    struct arena arena; /* owns the instance */
    struct instance shown;
    struct plan_task *task;
};

/* A prompt that shows what the component says. */
static void render_prompt(const struct sample_plan *d, const struct format_options *options,
                          const char *component, struct arena *arena, struct sequence *out)
{
    struct instance shown = d->shown;
    if (strcmp(component, "examples") == 0)
        shown.description = NULL;
    if (strcmp(component, "description") == 0)
        shown.example_count = 0;
    format_prompt(options, &shown, shown.example_count, arena, out);
}

static struct sampling *sampling_of(const struct sample_plan *d,
                                    const struct format_options *options,
                                    const struct plan_setting *setting, struct arena *arena)
{
    struct sampling *s = arena_alloc(arena, sizeof *s);
    const char *stop = format_stop(options);
    *s = (struct sampling){.draws = (uint32_t)setting->draws,
                           .max_tokens = (uint32_t)d->coverage.max_tokens,
                           .temperature = setting->temperature,
                           .top_p = setting->top_p,
                           .top_k = setting->top_k,
                           .seed = (uint64_t)d->settings.seed};
    if (stop)
        s->stop_tokens[s->stop_token_count++] = str_from(stop);
    if (d->coverage.lines)
        s->stop_texts[s->stop_text_count++] = str_from("\n");
    else if (!stop)
        s->stop_texts[s->stop_text_count++] = str_from("\n\n");
    return s;
}

/* Every component at every temperature of the variant, in the plan's arena. */
static struct plan_setting *settings_of(const struct sample_plan *d, const char *variant,
                                        size_t *count_out)
{
    struct arena *arena = &d->f->planner->plan->arena;
    struct plan_setting *all = arena_array(arena, SETTINGS_MAX, sizeof *all);
    double temperatures[MANIFEST_TEMPERATURES_MAX];
    const size_t count = manifest_temperatures(&d->settings, variant, temperatures);
    *count_out = 0;
    for (size_t c = 0; c < d->settings.components.count && c < COMPONENTS_MAX; c++) {
        for (size_t t = 0; t < count; t++)
            all[(*count_out)++] = (struct plan_setting){
                .component = d->settings.components.items[c],
                .temperature = temperatures[t],
                .top_p = d->settings.top_p,
                .top_k = d->settings.top_k,
                .draws = d->settings.draws,
            };
    }
    return all;
}

/* What the cell's sequences are, and what they take. */
struct prompts {
    struct plan_setting *settings;
    size_t count;
    int64_t *items, *tokens;
    int64_t tokens_max;
};

static enum err_code add_prompt(struct sample_plan *d, const struct format_options *options,
                                struct prompts *prompts, size_t index, struct strbuf *out,
                                struct err *err)
{
    struct arena scratch = {0};
    struct sequence sequence;
    size_t tokens = 0;
    const struct plan_setting *setting = &prompts->settings[index];
    render_prompt(d, options, setting->component, &scratch, &sequence);
    enum err_code code = token_counter_sequence(&d->f->counter, &sequence, &tokens, err);
    const int64_t longest = (int64_t)tokens + d->coverage.max_tokens;
    if (!code && longest > d->f->model.context)
        code = yaml_fail(&d->f->planner->manifest->doc, d->et->entry->node, err,
                         "task '%s' cannot be evaluated by family '%s': %zu tokens of prompt and "
                         "%lld of text do not fit its context of %lld",
                         d->et->task->name, d->f->family->name, tokens,
                         (long long)d->coverage.max_tokens, (long long)d->f->model.context);
    prompts->items[index] = setting->draws;
    prompts->tokens[index] = (int64_t)tokens + setting->draws * d->coverage.max_tokens;
    prompts->tokens_max = longest > prompts->tokens_max ? longest : prompts->tokens_max;
    /* The stream of draws is named by the id: one per component and temperature. */
    sequence.id = str_from(arena_printf(&scratch, "%s/%s/T=%.17g", d->shown.id, setting->component,
                                        setting->temperature));
    sequence.sampling = sampling_of(d, options, setting, &scratch);
    dataset_write_sequence(out, &sequence);
    arena_release(&scratch);
    return code;
}

static enum err_code plan_variant(struct sample_plan *d, size_t variant, struct err *err)
{
    struct planner *p = d->f->planner;
    const struct manifest_variant *v = &d->f->family->variants[variant];
    const struct format_options options = {.format = manifest_format(d->et->entry, v),
                                           .style = d->f->family->turns,
                                           .first_terminator = true,
                                           .chat = CHAT_PROMPT,
                                           .output_label = d->et->task->answer_label};
    struct prompts prompts = {0};
    struct strbuf out = {0};
    char what[200];
    prompts.settings = settings_of(d, v->name, &prompts.count);
    prompts.items = arena_array(&d->arena, prompts.count, sizeof *prompts.items);
    prompts.tokens = arena_array(&d->arena, prompts.count, sizeof *prompts.tokens);
    const struct dataset header = {.purpose = DATASET_EVALUATE,
                                   .kind = RECORDS_SAMPLES,
                                   .name = str_from(d->task->task),
                                   .format = str_from(format_name(options.format)),
                                   .pairing = str_from(d->task->pairing),
                                   .sequence_count = (uint32_t)prompts.count};
    enum err_code code = ERR_OK;
    dataset_write_header(&out, &header);
    for (size_t i = 0; i < prompts.count && !code; i++)
        code = add_prompt(d, &options, &prompts, i, &out, err);
    snprintf(what, sizeof what, "%s in %s for %s/%s", d->task->task, format_name(options.format),
             d->f->family->name, v->name);
    const size_t len = out.len;
    const struct digest blob = plan_add_blob(p, strbuf_take(&out), len, what);
    if (prompts.tokens_max > d->task->tokens_max)
        d->task->tokens_max = prompts.tokens_max;
    const struct cell_data data = {.f = d->f,
                                   .et = d->et,
                                   .task = d->task,
                                   .settings = d->settings,
                                   .kind = RECORDS_SAMPLES,
                                   .format = options.format,
                                   .blob = blob,
                                   .sequences = (uint32_t)prompts.count,
                                   .items = prompts.items,
                                   .tokens = prompts.tokens,
                                   .tokens_max = prompts.tokens_max,
                                   .last_position = (uint32_t)d->settings.draws - 1,
                                   .settings_of = prompts.settings};
    for (size_t s = 0; !code && s < p->manifest->seed_count; s++)
        plan_add_cell(&data, variant, s);
    return code;
}

/* The rule of validity, once per task of the plan. It outlives the task's file. */
static void keep_validator(struct sample_plan *d)
{
    struct plan *plan = d->f->planner->plan;
    for (size_t i = 0; i < plan->validator_count; i++) {
        if (strcmp(plan->validators[i].task, d->task->task) == 0)
            return;
    }
    struct validator *kept = arena_memdup(&plan->arena, &d->coverage.validator, sizeof *kept);
    validator_prepare(kept, d->coverage.validator.values, d->coverage.validator.value_count,
                      &plan->arena);
    plan->validators = plan_grow(&plan->arena, plan->validators, plan->validator_count,
                                 &d->f->planner->validator_cap, sizeof *plan->validators);
    plan->validators[plan->validator_count++] = (struct plan_validator){d->task->task, kept};
}

/* The task's first sequence: its description and its examples. */
static enum err_code take_instance(struct sample_plan *d, struct err *err)
{
    struct planner *p = d->f->planner;
    struct task *task = d->et->task;
    if (!task->coverage)
        return yaml_fail(&p->manifest->doc, d->et->entry->node, err,
                         "task '%s' says nothing of what is to be drawn: it has no key 'coverage'",
                         task->name);
    enum err_code code = suite_ready(&p->suite, task, err);
    if (!code)
        code = coverage_read(&task->doc, task->coverage, &p->suite.reader, p->suite.embedded_folder,
                             &d->coverage, err);
    if (code)
        return code;
    struct rng root = rng_new((uint64_t)d->settings.seed, "evaluate");
    const struct instance_options options = {.root = rng_child(&root, task->name, 0),
                                             .keep_description = 1.0};
    task_instance(task, &options, 0, &d->arena, &d->shown);
    if (!d->shown.description || d->shown.example_count == 0)
        return yaml_fail(&p->manifest->doc, d->et->entry->node, err,
                         "task '%s' needs a description and examples to be drawn from", task->name);
    return ERR_OK;
}

enum err_code plan_samples(struct family_plan *f, const struct entry_task *et, struct err *err)
{
    struct sample_plan d = {.f = f, .et = et};
    char hex[DIGEST_HEX_SIZE];
    d.settings =
        manifest_evaluate_settings(f->planner->manifest, f->family, et->entry, et->task->name);
    d.task = plan_new_task(f, et);
    enum err_code code = take_instance(&d, err);
    if (!code) {
        const struct digest pairing = build_pairing(&d.shown, 1, d.shown.example_count);
        d.task->pairing = arena_strdup(&f->planner->plan->arena, digest_hex(&pairing, hex));
        d.task->pool = d.task->reaching = d.task->sequences = 1;
        d.task->k = d.shown.example_count;
        keep_validator(&d);
    }
    for (size_t v = 0; !code && v < f->family->variant_count; v++)
        code = plan_variant(&d, v, err);
    arena_release(&d.arena);
    return code;
}
