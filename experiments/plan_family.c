/* Tokenizers, models and the jobs that make them. */
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "check.h"
#include "format_template.h"
#include "plan_impl.h"
#include "tree.h"

#define IMPORT_BYTES ((int64_t)256 * 1024 * 1024) /* program and tokenizer */

static enum err_code count_tokens(void *ctx, struct str text, size_t *count_out, struct err *err)
{
    struct family_plan *f = ctx;
    const struct plan_env *env = f->planner->env;
    return env->tokenizer_count(env->ctx, f->tokenizer, text, count_out, err);
}

static const struct manifest_variant *first_of(const struct manifest_family *family,
                                               enum manifest_origin origin)
{
    for (size_t i = 0; i < family->variant_count; i++) {
        if (family->variants[i].origin == origin)
            return &family->variants[i];
    }
    return NULL;
}

static enum err_code train_tokenizer(struct family_plan *f, struct strbuf *json, struct err *err)
{
    const struct plan_env *env = f->planner->env;
    const struct manifest_variant *pretrained = first_of(f->family, ORIGIN_PRETRAIN);
    if (!pretrained)
        return yaml_fail(&f->planner->manifest->doc, f->family->node, err,
                         "family '%s' trains a tokenizer but pretrains no variant to train it on",
                         f->family->name);
    struct arena scratch = {0};
    struct str *texts = NULL;
    size_t count = 0, turn_first;
    const char *specials[TURN_TOKENS_MAX];
    size_t special_count = turn_style_tokens(f->family->turns, specials, &turn_first);
    enum err_code code = plan_tokenizer_texts(f, pretrained, &scratch, &texts, &count, err);
    if (!code)
        code = env->tokenizer_train(env->ctx, texts, count, f->family->tokenizer.vocabulary,
                                    specials, special_count, json, err);
    arena_release(&scratch);
    return code;
}

static enum err_code read_tokenizer_file(struct family_plan *f, struct strbuf *json,
                                         struct err *err)
{
    struct planner *p = f->planner;
    const char *given = f->family->tokenizer.path;
    const char *path = given[0] == '/'
                           ? given
                           : arena_printf(&p->plan->arena, "%s/%s", p->manifest->folder, given);
    char *bytes = NULL;
    size_t len = 0;
    enum err_code code =
        p->env->reader.read(p->env->reader.ctx, path, 256 * 1024 * 1024, &bytes, &len, err);
    if (code)
        return err_wrap(err, "tokenizer of family '%s'", f->family->name);
    strbuf_append(json, bytes, len);
    free(bytes);
    return ERR_OK;
}

/* The special tokens that the family's turns need must be there; a checkpoint gets them appended.
 */
static enum err_code check_specials(struct family_plan *f, struct err *err)
{
    const struct plan_env *env = f->planner->env;
    const char *names[TURN_TOKENS_MAX];
    size_t turn_first, count = turn_style_tokens(f->family->turns, names, &turn_first);
    for (size_t i = 0; i < count; i++) {
        if (env->tokenizer_special(env->ctx, f->tokenizer, names[i]) >= 0)
            continue;
        if (f->family->has_architecture)
            return err_set(err, ERR_INVALID,
                           "family '%s': its tokenizer has no special token '%s', which the turns "
                           "'%s' need",
                           f->family->name, names[i], f->family->turns->name);
        plan_note(f->planner,
                  "Family %s: the special token %s is not in the checkpoint and is appended as a "
                  "new row (mean of the existing rows plus small seeded noise).",
                  f->family->name, names[i]);
        f->model.vocabulary++;
        f->missing_tokens++;
    }
    return ERR_OK;
}

static enum err_code open_built(struct planner *p, struct family_plan *f, struct err *err)
{
    struct strbuf json = {0};
    enum err_code code = f->family->tokenizer.train ? train_tokenizer(f, &json, err)
                                                    : read_tokenizer_file(f, &json, err);
    if (!code)
        code = p->env->tokenizer_open(p->env->ctx, strbuf_text(&json), json.len, f->family->name,
                                      &f->tokenizer, err);
    if (code) {
        strbuf_release(&json);
        return code;
    }
    size_t len = json.len;
    char what[160];
    snprintf(what, sizeof what, "tokenizer of %s", f->family->name);
    f->tokenizer_blob = plan_add_blob(p, strbuf_take(&json), len, what);
    const struct jobspec_architecture *a = &f->family->architecture;
    f->model = (struct plan_model){
        .layers = a->layers,
        .width = a->width,
        .heads = a->heads,
        .kv_heads = a->kv_heads,
        .head_dim = a->head_dim,
        .mlp = a->mlp,
        .context = a->context,
        .vocabulary = p->env->tokenizer_vocabulary(p->env->ctx, f->tokenizer),
        .tied = a->tied,
        .kind = jobspec_architecture_names[a->kind],
    };
    return ERR_OK;
}

const struct manifest_variant *plan_tokenizer_variant(const struct family_plan *f)
{
    return f->family->has_architecture ? NULL : first_of(f->family, ORIGIN_CHECKPOINT);
}

static enum err_code open_checkpoint(struct planner *p, struct family_plan *f, struct err *err)
{
    const struct manifest_variant *v = first_of(f->family, ORIGIN_CHECKPOINT);
    ASSERT(v != NULL); /* every chain of `from` ends at a checkpoint or a pretraining */
    enum err_code code = plan_checkpoint_open(p, v, &f->tokenizer, &f->model, err);
    return code ? err_wrap(err, "variant '%s' of family '%s'", v->name, f->family->name) : ERR_OK;
}

enum err_code plan_family_open(struct planner *p, struct family_plan *f, struct err *err)
{
    f->counter = (struct token_counter){.ctx = f, .count = count_tokens};
    enum err_code code =
        f->family->has_architecture ? open_built(p, f, err) : open_checkpoint(p, f, err);
    return code ? code : check_specials(f, err);
}

void plan_family_close(struct family_plan *f)
{
    const struct plan_env *env = f->planner->env;
    token_counter_release(&f->counter);
    if (f->tokenizer)
        env->tokenizer_close(env->ctx, f->tokenizer);
    f->tokenizer = NULL;
}

static struct plan_job new_job(struct family_plan *f, const struct manifest_variant *v,
                               uint64_t seed)
{
    struct planner *p = f->planner;
    return (struct plan_job){
        .label = arena_printf(&p->plan->arena, "%s/%s/%llu", f->family->name, v->name,
                              (unsigned long long)seed),
        .family = f->family->name,
        .variant = v->name,
        .task = "",
        .format = "",
        .seed = seed,
        .threads = (uint32_t)p->manifest->train_resources.threads,
    };
}

static enum err_code plan_import(struct family_plan *f, const struct manifest_variant *v,
                                 uint64_t seed, size_t *job_out, struct err *err)
{
    struct planner *p = f->planner;
    struct named_digest input = {.name = "checkpoint"};
    const char *tokens[TURN_TOKENS_MAX];
    size_t turn_first;
    enum err_code code = plan_checkpoint_tree(p, f->family, v, &input.digest, err);
    if (code)
        return err_wrap(err, "variant '%s' of family '%s'", v->name, f->family->name);
    struct jobspec spec = {
        .kind = JOB_IMPORT,
        .numerics_version = p->env->numerics_version,
        .numerics = p->manifest->numerics,
        .precision = p->manifest->precision,
        .backend = p->manifest->backend,
        .inputs = &input,
        .input_count = 1,
        .layout = v->layout == CHECKPOINT_LLAMA2C ? "llama2c" : "huggingface",
        .seed = seed,
        .tokens = tokens,
        .token_count = turn_style_tokens(f->family->turns, tokens, &turn_first),
    };
    struct plan_job job = new_job(f, v, seed);
    job.threads = 1;
    /* A checkpoint that lacks nothing is only looked through; otherwise it is held as float. */
    const bool as_is = v->layout != CHECKPOINT_LLAMA2C && f->missing_tokens == 0;
    job.memory_bytes = IMPORT_BYTES + (as_is ? 0 : 8 * plan_parameters(&f->model));
    *job_out = plan_add_job(p, &spec, job);
    return ERR_OK;
}

/* What a stage's job starts from: earlier jobs of the same family and seed. */
static enum err_code plan_parents(struct family_plan *f, const struct manifest_variant *v,
                                  size_t seed, struct named_digest parents[2], size_t *count_out,
                                  struct err *err)
{
    const char *const names[] = {v->from,
                                 v->origin == ORIGIN_SPECTRUM ? v->stage.embeddings_from : NULL};
    static const char *const roles[] = {"start", "embeddings_from"};
    *count_out = 0;
    for (size_t i = 0; i < 2; i++) {
        if (!names[i] || strcmp(names[i], "none") == 0)
            continue;
        const struct manifest_variant *parent = manifest_find_variant(f->family, names[i]);
        size_t job;
        enum err_code code =
            plan_model_job(f, (size_t)(parent - f->family->variants), seed, &job, err);
        if (code)
            return code;
        parents[(*count_out)++] =
            (struct named_digest){roles[i], f->planner->plan->jobs[job].identity};
    }
    return ERR_OK;
}

static enum job_kind kind_of(enum manifest_origin origin)
{
    switch (origin) {
    case ORIGIN_CHECKPOINT:
        return JOB_IMPORT;
    case ORIGIN_PRETRAIN:
        return JOB_PRETRAIN;
    case ORIGIN_INSTRUCT:
        return JOB_INSTRUCT;
    case ORIGIN_SPECTRUM:
        return JOB_SPECTRUM;
    }
    UNREACHABLE("unknown origin");
}

/* Do the turn tokens start from rows that no training has touched? A model that was instructed has
 * met them. */
static bool starts_untouched(const struct family_plan *f, const struct manifest_variant *v)
{
    if (v->origin != ORIGIN_SPECTRUM || strcmp(v->stage.embeddings_from, "none") != 0)
        return false;
    for (; v->from; v = manifest_find_variant(f->family, v->from)) {
        if (manifest_find_variant(f->family, v->from)->origin == ORIGIN_INSTRUCT)
            return false;
    }
    return true;
}

/* Are rows copied into matrices that the adapter does not hold? */
static bool adapter_lacks_rows(const struct family_plan *f, const struct manifest_variant *v)
{
    const struct jobspec_lora *lora = &v->stage.train.lora;
    const bool both =
        f->model.tied ? lora->embeddings || lora->head : lora->embeddings && lora->head;
    return v->origin == ORIGIN_SPECTRUM && lora->rank > 0 && !both &&
           strcmp(v->stage.embeddings_from, "none") != 0;
}

/* Keep the description of a job's data and say what deserves a warning. */
static void keep_data(struct family_plan *f, const struct manifest_variant *v,
                      const struct plan_data *data)
{
    struct planner *p = f->planner;
    struct plan *plan = p->plan;
    plan->data =
        plan_grow(&plan->arena, plan->data, plan->data_count, &p->data_cap, sizeof *plan->data);
    plan->data[plan->data_count++] = *data;
    if (data->epochs > 1.0)
        plan_warn(p, "%s: %lld steps need %.2f passes over its data; the protocol makes one",
                  data->label, (long long)data->steps, data->epochs);
    if (starts_untouched(f, v))
        plan_warn(p,
                  "%s/%s: embeddings_from is none, so its turn tokens start from rows that no "
                  "training has touched",
                  f->family->name, v->name);
    if (adapter_lacks_rows(f, v))
        plan_warn(p,
                  "%s/%s: an adapter that does not train the embedding and the head cannot hold "
                  "the rows of embeddings_from: only the merged model is kept",
                  f->family->name, v->name);
}

/* How turns end, and the template that writes them, for whoever talks to the model later. */
static void set_turns(struct family_plan *f, const struct manifest_variant *v, struct jobspec *spec)
{
    const struct format_options format = {.format = (enum format)v->stage.format,
                                          .style = f->family->turns};
    struct strbuf text = {0};
    if (v->origin == ORIGIN_PRETRAIN || !format_stop(&format))
        return;
    format_template(format.format, format.style, &text);
    spec->turn_end = format_stop(&format);
    spec->chat_template = arena_strdup(&f->planner->plan->arena, strbuf_text(&text));
    strbuf_release(&text);
}

/* Each rank computes as many shards of a step as the others. */
static enum err_code check_ranks(const struct planner *p, const struct plan_job *job,
                                 const struct jobspec_train *train, struct err *err)
{
    const int64_t ranks = p->manifest->train_resources.ranks;
    if (train->shards % ranks == 0)
        return ERR_OK;
    const struct yaml_node *at =
        yaml_get(yaml_get(yaml_get(p->manifest->doc.root, "resources"), "train"), "ranks");
    return yaml_fail(&p->manifest->doc, at, err,
                     "%lld ranks share a step's shards, but %s has %lld: 'shards' of its training "
                     "must be a multiple of 'ranks', both powers of two",
                     (long long)ranks, job->label, (long long)train->shards);
}

/* The trainer's own bound: a sequence's last token is only a target. */
static enum err_code check_context(const struct family_plan *f, const struct manifest_variant *v,
                                   const struct plan_data *data, struct err *err)
{
    if (data->batch.sequence_tokens <= f->model.context + 1)
        return ERR_OK;
    const struct manifest *m = f->planner->manifest;
    return yaml_fail(&m->doc, yaml_get(v->node, manifest_origin_name(v->origin)), err,
                     "a sequence of %lld tokens does not fit the model's context of %lld: set "
                     "'sequence_tokens' (%lld here) to at most %lld",
                     (long long)data->batch.sequence_tokens, (long long)f->model.context,
                     (long long)v->stage.train.sequence_tokens, (long long)f->model.context);
}

static enum err_code plan_stage(struct family_plan *f, const struct manifest_variant *v,
                                size_t seed, size_t *job_out, struct err *err)
{
    struct planner *p = f->planner;
    uint64_t seed_value = (uint64_t)p->manifest->seeds[seed];
    struct plan_job job = new_job(f, v, seed_value);
    struct plan_data data = {.label = job.label};
    struct named_digest parents[2], inputs[2] = {{.name = "data"}, {.name = "tokenizer"}};
    const char *tokens[TURN_TOKENS_MAX];
    size_t parent_count = 0, turn_first = 0;
    enum err_code code = plan_parents(f, v, seed, parents, &parent_count, err);
    if (!code)
        code = plan_training_data(f, v, seed_value, &data, &inputs[0].digest, err);
    if (!code)
        code = plan_check_sources(p, v, &data, err);
    if (!code)
        code = check_context(f, v, &data, err);
    if (code)
        return code;
    size_t token_count = turn_style_tokens(f->family->turns, tokens, &turn_first);
    bool copies = v->origin == ORIGIN_SPECTRUM && parent_count == 2;
    if (copies)
        code = plan_embeddings(f, v, tokens + turn_first, token_count - turn_first, err);
    if (code)
        return code;
    inputs[1].digest = f->tokenizer_blob;
    struct jobspec spec = {
        .kind = kind_of(v->origin),
        .numerics_version = p->env->numerics_version,
        .numerics = p->manifest->numerics,
        .precision = p->manifest->precision,
        .backend = p->manifest->backend,
        .inputs = inputs,
        .input_count = v->origin == ORIGIN_PRETRAIN ? 2 : 1,
        .parents = parents,
        .parent_count = parent_count,
        .tokens = tokens + turn_first,
        .token_count = copies ? token_count - turn_first : 0,
        .architecture = f->family->architecture,
        .train = v->stage.train,
    };
    set_turns(f, v, &spec);
    spec.train.seed = seed_value;
    if (spec.train.sequence_tokens == 0)
        spec.train.sequence_tokens = f->model.context;
    job.steps = data.steps;
    job.tokens = data.tokens;
    const int64_t rank = spec.train.lora.rank;
    if (rank > f->model.width)
        return yaml_fail(&p->manifest->doc, yaml_get(v->stage.lora, "rank"), err,
                         "'rank' is %lld, more than the model's width of %lld", (long long)rank,
                         (long long)f->model.width);
    data.how = plan_describe_training(&p->plan->arena, v, &spec.train);
    code = check_ranks(p, &job, &spec.train, err);
    if (code)
        return code;
    job.ranks = (uint32_t)p->manifest->train_resources.ranks;
    data.batch.shards /= job.ranks;
    plan_cost_training(p, &f->model, &spec.train, &job);
    code = plan_memory_training(p, &f->model, &v->stage, &spec.train, &job, &data, err);
    if (code)
        return code;
    keep_data(f, v, &data);
    *job_out = plan_add_job(p, &spec, job);
    return ERR_OK;
}

enum err_code plan_model_job(struct family_plan *f, size_t variant, size_t seed, size_t *job_out,
                             struct err *err)
{
    size_t *slot = &f->model_job[variant * f->planner->manifest->seed_count + seed];
    const struct manifest_variant *v = &f->family->variants[variant];
    enum err_code code = ERR_OK;
    if (*slot == NO_JOB && v->origin == ORIGIN_CHECKPOINT)
        code = plan_import(f, v, (uint64_t)f->planner->manifest->seeds[seed], slot, err);
    else if (*slot == NO_JOB)
        code = plan_stage(f, v, seed, slot, err);
    *job_out = *slot;
    return code;
}
