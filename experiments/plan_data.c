/* What models learn from: data sets built until they hold what the manifest asks for. */
#include <stdlib.h>
#include <string.h>

#include "build.h"
#include "check.h"
#include "plan_impl.h"
#include "plan_pack.h"

/* Enough to learn a thousand merges from, and quick (tokenizer bytes are part of identities). */
#define TOKENIZER_SAMPLE_BYTES (1024 * 1024)

enum { BARREN_MAX = 1000 };

/* A training data set being written. */
struct training {
    struct family_plan *f;
    const struct manifest_variant *variant;
    struct plan_data *data;
    struct plan_packer packer;
    int64_t sequence_tokens;
    int barren; /* sequences in a row that teach nothing */
    struct strbuf lines;
};

static struct training training_start(struct family_plan *f, const struct manifest_variant *v,
                                      struct plan_data *data)
{
    const struct jobspec_train *t = &v->stage.train;
    return (struct training){
        .f = f,
        .variant = v,
        .data = data,
        .packer = {.batch_tokens = t->batch_tokens,
                   .batch_sequences = t->batch_sequences,
                   .accumulate = t->accumulate,
                   .shards = t->shards},
        .sequence_tokens = t->sequence_tokens ? t->sequence_tokens : f->model.context,
    };
}

static void add_line(struct training *t, const struct sequence *sequence, int64_t tokens)
{
    dataset_write_sequence(&t->lines, sequence);
    t->data->sequences++;
    t->data->tokens += tokens;
}

/* Steps and passes, when the data are complete. */
static void count_steps(struct training *t)
{
    const struct jobspec_train *train = &t->variant->stage.train;
    const int64_t pass = plan_packer_steps(&t->packer);
    t->data->steps = train->steps > 0 ? train->steps : train->epochs * pass;
    t->data->epochs = (double)t->data->steps / (double)(pass > 0 ? pass : 1);
    t->data->batch = plan_packer_largest(&t->packer);
}

/* Put the header in front and hand the bytes over as a blob. `name` says what the data are and not
 * whose: labels are no part of a job's identity, and these bytes are. */
static struct digest training_finish(struct training *t, const char *name, const char *format)
{
    struct strbuf file = {0};
    struct dataset header = {
        .purpose = DATASET_TRAIN,
        .name = str_from(name),
        .format = str_from(format),
        .pairing = str_from(""),
        .sequence_count = (uint32_t)t->data->sequences,
    };
    dataset_write_header(&file, &header);
    strbuf_append(&file, strbuf_text(&t->lines), t->lines.len);
    strbuf_release(&t->lines);
    char what[200];
    snprintf(what, sizeof what, "data of %s", t->data->label);
    size_t len = file.len;
    return plan_add_blob(t->f->planner, strbuf_take(&file), len, what);
}

static enum err_code no_such_mix(struct planner *p, const struct yaml_node *at, const char *name,
                                 struct err *err)
{
    struct arena *arena = &p->plan->arena;
    const char **files = NULL;
    size_t count = 0;
    char hint[300];
    const char *folder = arena_printf(arena, "%s/mixes", p->env->root);
    enum err_code code =
        p->env->reader.list(p->env->reader.ctx, folder, arena, &files, &count, err);
    if (code)
        return code;
    for (size_t i = 0; i < count; i++) {
        const char *dot = strrchr(files[i], '.');
        files[i] = dot ? arena_strndup(arena, files[i], (size_t)(dot - files[i])) : files[i];
    }
    fields_suggest(name, files, count, hint, sizeof hint);
    return yaml_fail(&p->manifest->doc, at, err, "no mix is called '%s'%s", name, hint);
}

static enum err_code open_mix(struct family_plan *f, const struct manifest_variant *v,
                              enum mix_purpose purpose, uint64_t seed, struct mix *mix,
                              struct mix_stream **stream, struct err *err)
{
    struct planner *p = f->planner;
    struct mix_files files[MANIFEST_CORPORA_MAX];
    size_t count = 0;
    const struct yaml_node *at =
        yaml_get(yaml_get(v->node, manifest_origin_name(v->origin)), "mix");
    enum err_code code = mix_load(&p->env->reader, p->env->root, v->stage.mix, mix, err);
    if (code == ERR_NOT_FOUND)
        return no_such_mix(p, at, v->stage.mix, err);
    if (code)
        return code;
    if (mix->purpose != (int)purpose) {
        code = yaml_fail(&p->manifest->doc, at, err, "mix '%s' is not made to %s with",
                         v->stage.mix, manifest_origin_name(v->origin));
        mix_release(mix);
        return code;
    }
    for (size_t i = 0; i < p->manifest->corpus_count; i++) {
        const struct manifest_corpus *c = &p->manifest->corpora[i];
        files[count++] = (struct mix_files){c->name, c->files.items, c->files.count};
    }
    code = mix_stream_open(mix, &p->suite, files, count, seed, stream, err);
    if (code)
        mix_release(mix);
    return code;
}

/* The sources of a mix, for the proof that none is held out. */
static void describe_mix(struct training *t, const struct mix *mix)
{
    struct planner *p = t->f->planner;
    struct arena *arena = &p->plan->arena;
    struct plan_data *data = t->data;
    data->what = arena_printf(arena, "mix '%s'", mix->name);
    for (size_t i = 0; i < mix->part_count; i++) {
        const struct mix_part *part = &mix->parts[i];
        if (part->tasks.count == 0)
            plan_add_source(arena, &data->sources, &data->source_count,
                            arena_strdup(arena, part->corpus.source));
        for (size_t j = 0; j < part->tasks.count; j++) {
            const struct task *task = suite_find(&p->suite, part->tasks.items[j]);
            plan_add_source(arena, &data->sources, &data->source_count,
                            arena_strdup(arena, task->source));
        }
    }
    if (mix->notes[0] != '\0')
        plan_note(p, "Mix %s: %s.", mix->name, mix->notes);
}

enum err_code plan_tokenizer_texts(struct family_plan *f, const struct manifest_variant *variant,
                                   struct arena *arena, struct str **texts_out, size_t *count_out,
                                   struct err *err)
{
    struct mix mix;
    struct mix_stream *stream = NULL;
    struct str *texts = NULL;
    size_t count = 0, cap = 0, bytes = 0;
    enum err_code code = open_mix(f, variant, MIX_PRETRAIN,
                                  (uint64_t)f->planner->manifest->seeds[0], &mix, &stream, err);
    if (code)
        return code;
    while (bytes < TOKENIZER_SAMPLE_BYTES) {
        struct mix_document document;
        mix_stream_next(stream, arena, &document);
        mix_stream_account(stream, document.part, (double)document.text.len);
        texts = plan_grow(arena, texts, count, &cap, sizeof *texts);
        texts[count++] = document.text;
        bytes += document.text.len;
    }
    mix_stream_close(stream);
    mix_release(&mix);
    *texts_out = texts;
    *count_out = count;
    return ERR_OK;
}

/* A document is continued in further sequences when it is too long; each begins with the last token
 * of the one before. */
static void pack_document(struct training *t, int64_t tokens)
{
    while (tokens > t->sequence_tokens) {
        plan_packer_add(&t->packer, t->sequence_tokens);
        tokens -= t->sequence_tokens - 1;
    }
    plan_packer_add(&t->packer, tokens);
}

static enum err_code add_document(struct training *t, const struct mix_document *document,
                                  int64_t *tokens_out, struct err *err)
{
    const struct turn_style *style = t->f->family->turns;
    struct segment segments[3];
    uint32_t count = 0;
    size_t tokens;
    enum err_code code = token_counter_text(&t->f->counter, document->text, &tokens, err);
    if (code)
        return code;
    if (style->bos)
        segments[count++] = (struct segment){SEGMENT_SPECIAL, LOSS_NONE, -1, str_from(style->bos)};
    segments[count++] = (struct segment){SEGMENT_TEXT, LOSS_CONTENT, -1, document->text};
    if (style->eos)
        segments[count++] =
            (struct segment){SEGMENT_SPECIAL, LOSS_CONTENT, -1, str_from(style->eos)};
    struct sequence sequence = {
        .id = str_from(document->id), .segments = segments, .segment_count = count};
    *tokens_out = (int64_t)(tokens + count - 1);
    add_line(t, &sequence, *tokens_out);
    pack_document(t, *tokens_out);
    return ERR_OK;
}

/* The end of training data out of a mix, however reading it went: `code`. */
static enum err_code finish_mix(struct training *t, struct mix *mix, struct mix_stream *stream,
                                enum err_code code, const char *format, struct digest *blob_out)
{
    describe_mix(t, mix);
    mix_stream_close(stream);
    mix_release(mix);
    count_steps(t);
    if (!code)
        *blob_out = training_finish(t, t->variant->stage.mix, format);
    return code;
}

static enum err_code build_pretrain(struct training *t, uint64_t seed, struct digest *blob_out,
                                    struct err *err)
{
    struct mix mix;
    struct mix_stream *stream = NULL;
    enum err_code code = open_mix(t->f, t->variant, MIX_PRETRAIN, seed, &mix, &stream, err);
    if (code)
        return code;
    while (!code && t->data->tokens < t->variant->stage.tokens) {
        struct arena scratch = {0};
        struct mix_document document;
        int64_t tokens = 0;
        mix_stream_next(stream, &scratch, &document);
        code = add_document(t, &document, &tokens, err);
        mix_stream_account(stream, document.part, (double)tokens);
        arena_release(&scratch);
    }
    return finish_mix(t, &mix, stream, code, "text", blob_out);
}

/* Does the trainer keep the sequence, or has it no token with a loss within `sequence_tokens`? */
static enum err_code teaches(struct training *t, const struct sequence *sequence, bool *out,
                             struct err *err)
{
    struct sequence before = *sequence;
    size_t tokens;
    bool all = t->variant->stage.train.loss == JOBSPEC_LOSS_ALL;
    before.segment_count = 0;
    while (before.segment_count < sequence->segment_count &&
           sequence->segments[before.segment_count].loss == LOSS_NONE)
        before.segment_count++;
    enum err_code code = token_counter_sequence(&t->f->counter, &before, &tokens, err);
    *out = all || (before.segment_count < sequence->segment_count && !code &&
                   (int64_t)tokens < t->sequence_tokens);
    return code;
}

static enum err_code nothing_to_learn(const struct training *t, struct err *err)
{
    const struct manifest_variant *v = t->variant;
    return yaml_fail(&t->f->planner->manifest->doc,
                     yaml_get(v->node, manifest_origin_name(v->origin)), err,
                     "hardly any sequence has an output within %lld tokens; raise "
                     "'sequence_tokens' or 'context'",
                     (long long)t->sequence_tokens);
}

/* Are there as many sequences as the stage wants? `tokens` are those of the next one. */
static bool is_enough(const struct training *t, int64_t tokens)
{
    const struct manifest_stage *stage = &t->variant->stage;
    return (stage->sequences > 0 && t->packer.sequences == stage->sequences) ||
           (stage->train.steps > 0 &&
            plan_packer_has_steps(&t->packer, stage->train.steps, tokens));
}

/* Add a rendered sequence, unless it teaches nothing (`*tokens_out` is 0) or there are enough
 * (`*full`). */
static enum err_code add_sequence(struct training *t, const struct format_options *format,
                                  const struct instance *instance, int64_t *tokens_out, bool *full,
                                  struct err *err)
{
    struct arena scratch = {0};
    struct sequence sequence;
    size_t tokens = 0;
    bool taught = false;
    format_render(format, instance, instance->example_count, &scratch, &sequence);
    enum err_code code = teaches(t, &sequence, &taught, err);
    if (!code && taught)
        code = token_counter_sequence(&t->f->counter, &sequence, &tokens, err);
    t->barren = taught ? 0 : t->barren + 1;
    if (!code && t->barren == BARREN_MAX)
        code = nothing_to_learn(t, err);
    int64_t used = (int64_t)tokens < t->sequence_tokens ? (int64_t)tokens : t->sequence_tokens;
    *full = is_enough(t, used);
    if (!code && taught && !*full) {
        add_line(t, &sequence, used);
        plan_packer_add(&t->packer, used);
    }
    *tokens_out = used;
    arena_release(&scratch);
    return code;
}

static struct format_options format_of(const struct training *t)
{
    const struct manifest_stage *stage = &t->variant->stage;
    return (struct format_options){.format = (enum format)stage->format,
                                   .style = t->f->family->turns,
                                   .first_terminator = stage->first_terminator};
}

static enum err_code build_instruct(struct training *t, uint64_t seed, struct digest *blob_out,
                                    struct err *err)
{
    struct mix mix;
    struct mix_stream *stream = NULL;
    struct format_options format = format_of(t);
    enum err_code code = open_mix(t->f, t->variant, MIX_INSTRUCT, seed, &mix, &stream, err);
    if (code)
        return code;
    for (bool full = false; !code && !full;) {
        struct arena scratch = {0};
        struct mix_document document;
        int64_t tokens = 0;
        mix_stream_next(stream, &scratch, &document);
        code = add_sequence(t, &format, &document.instance, &tokens, &full, err);
        mix_stream_account(stream, document.part, (double)tokens);
        arena_release(&scratch);
    }
    return finish_mix(t, &mix, stream, code, format_name(format.format), blob_out);
}

/* A training task and how many of its sequences there are and were used. */
struct spectrum_source {
    struct task *task;
    uint32_t supply, used;
};

static uint32_t supply_of(const struct training *t, const struct task *task)
{
    const int64_t most = t->variant->stage.sequences_per_task;
    const uint32_t supply = task_supply(task);
    return most > 0 && most < (int64_t)supply ? (uint32_t)most : supply;
}

/* The tasks that `tasks:` names: "train" stands for those of suite `training`,
 * which need nothing but Triad; else globs and sets. */
static enum err_code spectrum_sources(struct training *t, struct spectrum_source **out,
                                      size_t *count_out, struct err *err)
{
    struct planner *p = t->f->planner;
    const struct field_texts *globs = &t->variant->stage.tasks;
    struct spectrum_source *sources =
        arena_array(&p->plan->arena, p->suite.task_count, sizeof *sources);
    size_t count = 0;
    for (size_t g = 0; g < globs->count; g++) {
        size_t before = count;
        bool all = strcmp(globs->items[g], "train") == 0;
        for (size_t i = 0; i < p->suite.task_count; i++) {
            struct task *task = &p->suite.tasks[i];
            bool wanted = all ? task_in_suite(task, "training")
                              : suite_pattern_matches(&p->suite, globs->items[g], task);
            for (size_t j = 0; wanted && j < count; j++)
                wanted = sources[j].task != task;
            if (!wanted)
                continue;
            enum err_code code = suite_ready(&p->suite, task, err);
            if (code)
                return code;
            sources[count++] = (struct spectrum_source){task, supply_of(t, task), 0};
        }
        if (count == before)
            return yaml_fail(&p->manifest->doc, globs->nodes[g], err,
                             "no further task matches '%.64s'", globs->items[g]);
    }
    *out = sources;
    *count_out = count;
    return ERR_OK;
}

static void describe_sources(struct training *t, const struct spectrum_source *sources,
                             size_t count)
{
    struct arena *arena = &t->f->planner->plan->arena;
    struct strbuf names = {0};
    for (size_t i = 0; i < count; i++) {
        strbuf_printf(&names, "%s%s", i ? ", " : "", sources[i].task->name);
        plan_add_source(arena, &t->data->sources, &t->data->source_count,
                        arena_strdup(arena, sources[i].task->source));
    }
    t->data->what = arena_printf(arena, "tasks %s", strbuf_text(&names));
    strbuf_release(&names);
}

/* Without a bound on what is drawn, or with one in proportion to what there is, nothing may be
 * endless. */
static enum err_code check_supplies(const struct training *t, const struct spectrum_source *sources,
                                    size_t count, bool proportional, struct err *err)
{
    const struct manifest_stage *stage = &t->variant->stage;
    bool bounded = !proportional && (stage->sequences > 0 || stage->train.steps > 0);
    for (size_t i = 0; !bounded && i < count; i++) {
        if (sources[i].supply == UINT32_MAX)
            return yaml_fail(&t->f->planner->manifest->doc, stage->tasks.nodes[0], err,
                             "task '%s' gives sequences without end: say with "
                             "'sequences_per_task' how many of a task to take",
                             sources[i].task->name);
    }
    return ERR_OK;
}

/* One more sequence: of a task drawn uniformly among those that have some left, or in proportion to
 * how many each has left, which amounts to all of them in random order. NULL when none has: nobody
 * is used twice (docs/science.md section 3). */
static struct spectrum_source *pick_source(struct spectrum_source *sources, size_t count,
                                           bool proportional, struct rng *choice)
{
    uint64_t left = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t own = sources[i].supply - sources[i].used;
        left += proportional ? own : own > 0;
    }
    if (left == 0)
        return NULL;
    uint64_t pick = rng_below(choice, left);
    for (size_t i = 0; i < count; i++) {
        uint32_t own = sources[i].supply - sources[i].used;
        uint64_t weight = proportional ? own : own > 0;
        if (pick < weight)
            return &sources[i];
        pick -= weight;
    }
    UNREACHABLE("the pick is among those counted");
}

static enum err_code build_spectrum(struct training *t, uint64_t seed, struct digest *blob_out,
                                    struct err *err)
{
    struct spectrum_source *sources = NULL;
    size_t count = 0;
    const struct manifest_stage *stage = &t->variant->stage;
    struct format_options format = format_of(t);
    struct rng root = rng_new(seed, "spectrum"), choice = rng_child(&root, "choice", 0);
    const bool proportional = stage->sampling == SAMPLING_AUTO
                                  ? stage->train.steps == 0
                                  : stage->sampling == SAMPLING_PROPORTIONAL;
    enum err_code code = spectrum_sources(t, &sources, &count, err);
    if (!code)
        code = check_supplies(t, sources, count, proportional, err);
    if (code)
        return code;
    describe_sources(t, sources, count);
    for (bool full = false; !code && !full;) {
        struct spectrum_source *source = pick_source(sources, count, proportional, &choice);
        if (!source)
            break;
        struct arena scratch = {0};
        struct instance instance;
        struct instance_options options = {.root = rng_child(&root, source->task->name, 0),
                                           .keep_description = 1.0 - stage->drop_description};
        int64_t tokens;
        task_instance(source->task, &options, source->used++, &scratch, &instance);
        code = add_sequence(t, &format, &instance, &tokens, &full, err);
        arena_release(&scratch);
    }
    if (!code && t->packer.batches == 0)
        code = nothing_to_learn(t, err);
    count_steps(t);
    if (!code)
        *blob_out = training_finish(t, "spectrum", format_name(format.format));
    return code;
}

enum err_code plan_training_data(struct family_plan *f, const struct manifest_variant *variant,
                                 uint64_t seed, struct plan_data *data, struct digest *blob_out,
                                 struct err *err)
{
    struct training t = training_start(f, variant, data);
    enum err_code code = ERR_OK;
    switch (variant->origin) {
    case ORIGIN_PRETRAIN:
        code = build_pretrain(&t, seed, blob_out, err);
        break;
    case ORIGIN_INSTRUCT:
        code = build_instruct(&t, seed, blob_out, err);
        break;
    case ORIGIN_SPECTRUM:
        code = build_spectrum(&t, seed, blob_out, err);
        break;
    case ORIGIN_CHECKPOINT:
        UNREACHABLE("a checkpoint is not trained");
    }
    if (code)
        strbuf_release(&t.lines);
    data->tokens = (int64_t)((double)data->tokens * data->epochs);
    return code;
}
