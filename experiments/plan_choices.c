/* Distributional alignment: every item a prompt without examples, its candidates, and the shares
 * they should have (docs/science.md section 4). */
#include <stdio.h>
#include <string.h>

#include "build.h"
#include "check.h"
#include "plan_impl.h"

/* Our own wording; short, because nothing but an answer is wanted. */
static const char chat_instruction[] =
    "You are given a description and perhaps an input. Reply with one output that fits them, and "
    "with nothing else.";

struct alignment {
    struct family_plan *f;
    const struct entry_task *et;
    struct manifest_evaluate settings;
    struct arena arena; /* owns the items */
    struct instance *items;
    uint32_t item_count;
    struct plan_task *task;
    int64_t *records, *tokens;
};

static struct format_options options_of(const struct alignment *a, enum format format)
{
    return (struct format_options){.format = format,
                                   .style = a->f->family->turns,
                                   .first_terminator = true,
                                   .instruction = chat_instruction,
                                   .output_label = a->et->task->answer_label};
}

/* Render an item: the prompt, and every candidate with what ends it. */
static void render_item(const struct alignment *a, const struct format_options *options,
                        const struct instance *item, struct arena *arena, struct sequence *out)
{
    (void)a;
    format_prompt(options, item, 0, arena, out);
    out->candidate_count = item->candidate_count;
    out->candidates = arena_array(arena, item->candidate_count, sizeof *out->candidates);
    for (uint32_t i = 0; i < item->candidate_count; i++) {
        struct candidate *c = &out->candidates[i];
        c->target = item->target ? item->target[i] : 1.0;
        format_answer(options, item->candidates[i], arena, &c->segments, &c->segment_count);
    }
}

static enum err_code count_segments(struct alignment *a, struct segment *segments, uint32_t count,
                                    size_t *tokens_out, struct err *err)
{
    const struct sequence piece = {.segments = segments, .segment_count = count};
    return token_counter_sequence(&a->f->counter, &piece, tokens_out, err);
}

/* Tokens of an item: prompt and all candidates, and prompt with its longest candidate. */
static enum err_code measure(struct alignment *a, const struct sequence *s, int64_t *all,
                             int64_t *longest, struct err *err)
{
    size_t prompt = 0, most = 0, sum = 0;
    enum err_code code = count_segments(a, s->segments, s->segment_count, &prompt, err);
    for (uint32_t i = 0; i < s->candidate_count && !code; i++) {
        size_t own = 0;
        code =
            count_segments(a, s->candidates[i].segments, s->candidates[i].segment_count, &own, err);
        most = own > most ? own : most;
        sum += own;
    }
    *all = (int64_t)(prompt + sum);
    *longest = (int64_t)(prompt + most);
    return code;
}

/* The formats that some variant of the family uses. */
static size_t formats_used(const struct alignment *a, enum format out[FORMAT_COUNT])
{
    size_t count = 0;
    for (int format = 0; format < FORMAT_COUNT; format++) {
        for (size_t v = 0; v < a->f->family->variant_count; v++) {
            if (manifest_format(a->et->entry, &a->f->family->variants[v]) == (enum format)format) {
                out[count++] = (enum format)format;
                break;
            }
        }
    }
    return count;
}

/* Does the item fit the context in every format? */
static enum err_code fits(struct alignment *a, const struct instance *item, bool *fits_out,
                          struct err *err)
{
    enum format formats[FORMAT_COUNT];
    const size_t count = formats_used(a, formats);
    enum err_code code = ERR_OK;
    *fits_out = true;
    for (size_t f = 0; f < count && !code; f++) {
        struct arena scratch = {0};
        struct sequence sequence;
        int64_t all, longest = 0;
        const struct format_options options = options_of(a, formats[f]);
        render_item(a, &options, item, &scratch, &sequence);
        code = measure(a, &sequence, &all, &longest, err);
        *fits_out = *fits_out && longest <= a->f->model.context;
        arena_release(&scratch);
    }
    return code;
}

static enum err_code check_item(const struct alignment *a, const struct instance *item,
                                struct err *err)
{
    double total = 0.0;
    for (uint32_t i = 0; item->target && i < item->candidate_count; i++)
        total += item->target[i];
    if (item->candidate_count >= 2 && (!item->target || total > 0.0))
        return ERR_OK;
    return yaml_fail(&a->f->planner->manifest->doc, a->et->entry->node, err,
                     "task '%s' cannot be evaluated for alignment: its item '%.80s' needs at least "
                     "two candidates, and a target that is not all zero",
                     a->et->task->name, item->id);
}

/* All items that fit, then at most max_sequences of them by seed. */
static enum err_code draw_items(struct alignment *a, struct err *err)
{
    struct task *task = a->et->task;
    enum err_code code = suite_ready(&a->f->planner->suite, task, err);
    if (code)
        return code;
    const uint32_t supply = task_supply(task);
    const int64_t most = task_sequences_max(task);
    const uint32_t pool = (int64_t)supply < most ? supply : (uint32_t)most;
    struct instance *items = arena_array(&a->arena, pool, sizeof *items);
    int32_t *reach = arena_array(&a->arena, pool, sizeof *reach);
    uint32_t *numbers = arena_array(&a->arena, pool, sizeof *numbers);
    struct rng root = rng_new((uint64_t)a->settings.seed, "evaluate");
    const struct instance_options options = {
        .root = rng_child(&root, task->name, 0), .keep_description = 1.0, .examples_max = 1};
    for (uint32_t i = 0; i < pool && !code; i++) {
        bool fit = false;
        task_instance(task, &options, i, &a->arena, &items[i]);
        code = check_item(a, &items[i], err);
        if (!code)
            code = fits(a, &items[i], &fit, err);
        reach[i] = fit ? 1 : 0;
    }
    if (code)
        return code;
    a->item_count = (uint32_t)select_sequences(reach, pool, 1, (size_t)a->settings.max_sequences,
                                               (uint64_t)a->settings.seed, numbers);
    a->items = arena_array(&a->arena, a->item_count, sizeof *a->items);
    for (uint32_t i = 0; i < a->item_count; i++)
        a->items[i] = items[numbers[i]];
    for (uint32_t i = 0; i < pool; i++)
        a->task->reaching += reach[i] > 0;
    a->task->pool = pool;
    a->task->sequences = a->item_count;
    a->task->truncated = pool ? 1.0 - (double)a->task->reaching / (double)pool : 0.0;
    if (a->item_count == 0)
        return yaml_fail(&a->f->planner->manifest->doc, a->et->entry->node, err,
                         "no item of task '%s' fits %lld tokens in family '%s'", task->name,
                         (long long)a->f->model.context, a->f->family->name);
    return ERR_OK;
}

/* The data set in a format. */
static enum err_code build(struct alignment *a, enum format format, struct digest *blob_out,
                           struct err *err)
{
    struct planner *p = a->f->planner;
    struct strbuf out = {0};
    char what[200];
    const struct format_options options = options_of(a, format);
    const struct dataset header = {.purpose = DATASET_EVALUATE,
                                   .kind = RECORDS_CHOICES,
                                   .name = str_from(a->task->task),
                                   .format = str_from(format_name(format)),
                                   .pairing = str_from(a->task->pairing),
                                   .sequence_count = a->item_count};
    enum err_code code = ERR_OK;
    dataset_write_header(&out, &header);
    for (uint32_t i = 0; i < a->item_count && !code; i++) {
        struct arena scratch = {0};
        struct sequence sequence;
        int64_t longest = 0;
        render_item(a, &options, &a->items[i], &scratch, &sequence);
        code = measure(a, &sequence, &a->tokens[i], &longest, err);
        a->task->tokens_max = longest > a->task->tokens_max ? longest : a->task->tokens_max;
        dataset_write_sequence(&out, &sequence);
        arena_release(&scratch);
    }
    snprintf(what, sizeof what, "%s in %s for %s", a->task->task, format_name(format),
             a->f->family->name);
    const size_t len = out.len;
    *blob_out = plan_add_blob(p, strbuf_take(&out), len, what);
    return code;
}

static enum err_code plan_variant(struct alignment *a, size_t variant, struct err *err)
{
    struct digest blob;
    const enum format format = manifest_format(a->et->entry, &a->f->family->variants[variant]);
    enum err_code code = build(a, format, &blob, err);
    const struct cell_data data = {.f = a->f,
                                   .et = a->et,
                                   .task = a->task,
                                   .settings = a->settings,
                                   .kind = RECORDS_CHOICES,
                                   .format = format,
                                   .blob = blob,
                                   .sequences = a->item_count,
                                   .items = a->records,
                                   .tokens = a->tokens,
                                   .tokens_max = a->task->tokens_max};
    for (size_t s = 0; !code && s < a->f->planner->manifest->seed_count; s++)
        plan_add_cell(&data, variant, s);
    return code;
}

enum err_code plan_choices(struct family_plan *f, const struct entry_task *et, struct err *err)
{
    struct alignment a = {.f = f, .et = et};
    char hex[DIGEST_HEX_SIZE];
    a.settings =
        manifest_evaluate_settings(f->planner->manifest, f->family, et->entry, et->task->name);
    a.task = plan_new_task(f, et);
    enum err_code code = draw_items(&a, err);
    if (!code) {
        const struct digest pairing = build_pairing(a.items, a.item_count, 1);
        a.task->pairing = arena_strdup(&f->planner->plan->arena, digest_hex(&pairing, hex));
        a.records = arena_array(&a.arena, a.item_count, sizeof *a.records);
        a.tokens = arena_array(&a.arena, a.item_count, sizeof *a.tokens);
        for (uint32_t i = 0; i < a.item_count; i++)
            a.records[i] = 1;
    }
    for (size_t v = 0; !code && v < f->family->variant_count; v++)
        code = plan_variant(&a, v, err);
    arena_release(&a.arena);
    return code;
}
