/* What a training job starts from: a model, perhaps an adapter on it, and its data. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "checkpoint.h"
#include "dataset.h"
#include "exec_train_impl.h"
#include "model_family.h"
#include "peft.h"
#include "special_tokens.h"

/* ---- the model to begin with ---- */

static struct model_config config_of(const struct spec_architecture *a, enum model_kind kind,
                                     const struct tokenizer *tokenizer)
{
    struct model_config config = model_config_default();
    config.kind = kind;
    config.layers = (int)a->layers;
    config.width = (int)a->width;
    config.heads = (int)a->heads;
    config.kv_heads = (int)a->kv_heads;
    config.head_dim = (int)a->head_dim;
    config.mlp_width = (int)a->mlp;
    config.context = (int)a->context;
    config.vocabulary = tokenizer_vocabulary(tokenizer);
    config.rope_theta = a->rope_theta;
    config.norm_eps = a->norm_eps;
    config.head_tied = a->tied;
    config.window = (int)a->window;
    config.window_period = (int)a->window_pattern;
    config.query_scalar = (int)a->query_scalar;
    config.rope_local_theta = a->rope_local_theta;
    config.bos_id = tokenizer_bos(tokenizer);
    int32_t eos = tokenizer_eos(tokenizer);
    config.eos_count = eos == TOKEN_NONE ? 0 : 1;
    config.eos_ids[0] = eos;
    return config;
}

static enum err_code begin_fresh(struct training *t, struct err *err)
{
    const struct spec *spec = t->context->spec;
    const char *path;
    enum model_kind kind = MODEL_LLAMA;
    enum err_code code = exec_input_need(t->context->job, "tokenizer", &path, err);
    if (!code)
        code = model_kind_find(spec->architecture.kind, &kind, err);
    if (!code)
        code = tokenizer_load(path, &t->tokenizer, err);
    if (code)
        return code;
    struct model_config config = config_of(&spec->architecture, kind, t->tokenizer);
    code = model_config_check(&config, err);
    if (!code)
        code = model_new(&config, &t->model, err);
    if (!code)
        params_randomize(model_params(t->model), &config, (uint64_t)spec->train.seed,
                         spec->architecture.init_std);
    return code;
}

/* Rows of special tokens from another model (docs/science.md section 3: from IT). */
static enum err_code copy_embeddings(struct training *t, struct checkpoint_weights *weights,
                                     struct err *err)
{
    const struct spec *spec = t->context->spec;
    const char *folder = exec_parent_path(t->context->job, "embeddings_from");
    if (!folder)
        return ERR_OK;
    struct checkpoint_weights from;
    struct tokenizer *tokenizer = NULL;
    struct strbuf copied = {0};
    enum err_code code = checkpoint_weights_load(folder, &from, err);
    if (code)
        return code;
    code = tokenizer_load(folder, &tokenizer, err);
    if (!code)
        code = special_tokens_copy((struct special_tokens_side){weights, t->tokenizer},
                                   (struct special_tokens_side){&from, tokenizer},
                                   spec->embedding_tokens.items, spec->embedding_tokens.count,
                                   &copied, err);
    if (!code)
        fprintf(stderr, "rows copied, of the embedding%s:\n%s",
                weights->config.head_tied ? "" : " and of the head", strbuf_text(&copied));
    strbuf_release(&copied);
    tokenizer_free(tokenizer);
    checkpoint_weights_release(&from);
    return code;
}

static enum err_code begin_from_parent(struct training *t, struct err *err)
{
    const char *folder;
    struct checkpoint_weights weights;
    enum err_code code = exec_parent_need(t->context->job, "start", &folder, err);
    if (!code)
        code = tokenizer_load(folder, &t->tokenizer, err);
    if (!code)
        code = checkpoint_weights_load(folder, &weights, err);
    if (code)
        return code;
    t->like = folder;
    code = copy_embeddings(t, &weights, err);
    if (!code)
        code = model_from_params(&weights.config, &weights.params, &t->model, err);
    checkpoint_weights_release(&weights);
    return code;
}

/* A checkpoint of this very job: its weights and tokenizer replace the beginning. What is written
 * is made like the parent as ever, or like nothing: its texts are those of an undisturbed run. */
static enum err_code begin_resumed(struct training *t, struct err *err)
{
    const struct exec_context *c = t->context;
    enum err_code code = ERR_OK;
    if (c->spec->kind != JOB_PRETRAIN)
        code = exec_parent_need(c->job, "start", &t->like, err);
    if (!code)
        code = tokenizer_load(c->job->resume_folder, &t->tokenizer, err);
    return code ? code : model_load(c->job->resume_folder, &t->model, err);
}

/* The spec's LoRA settings. */
static enum err_code adapter_config_of(const struct spec_lora *lora, struct adapter_config *out,
                                       struct err *err)
{
    *out = (struct adapter_config){.rank = (int)lora->rank,
                                   .alpha = lora->alpha,
                                   .dropout = lora->dropout,
                                   .embeddings = lora->embeddings,
                                   .head = lora->head};
    for (size_t i = 0; i < lora->targets.count; i++) {
        enum adapter_target target = adapter_target_find(lora->targets.items[i]);
        if (target == ADAPTER_TARGET_COUNT)
            return err_set(err, ERR_INVALID, "job spec: no adapter can be put on '%.64s'",
                           lora->targets.items[i]);
        out->targets[target] = true;
    }
    return ERR_OK;
}

/* The parent's model and an adapter on it, which a resume folder holds alone. */
static enum err_code begin_adapted(struct training *t, struct err *err)
{
    const struct spec_train *train = &t->context->spec->train;
    const char *resume_folder = t->context->job->resume_folder;
    struct adapter_config config;
    enum err_code code = adapter_config_of(&train->lora, &config, err);
    if (!code)
        code = begin_from_parent(t, err);
    if (!code)
        code = adapter_init(&t->adapter, &config, model_shape(t->model), model_weights(t->model),
                            (uint64_t)train->seed, err);
    t->has_adapter = !code;
    if (!code && resume_folder[0])
        code = peft_read(resume_folder, &t->adapter, err);
    return code;
}

static enum err_code begin_model(struct training *t, struct err *err)
{
    const struct spec *spec = t->context->spec;
    if (spec->train.lora.rank > 0)
        return begin_adapted(t, err);
    if (t->context->job->resume_folder[0])
        return begin_resumed(t, err);
    return spec->kind == JOB_PRETRAIN ? begin_fresh(t, err) : begin_from_parent(t, err);
}

static enum err_code begin_corpus(struct training *t, struct err *err)
{
    const struct spec_train *train = &t->context->spec->train;
    const char *path;
    struct dataset dataset;
    enum err_code code = exec_input_need(t->context->job, "data", &path, err);
    if (!code)
        code = dataset_load(path, &dataset, err);
    if (code)
        return code;
    enum corpus_loss loss = CORPUS_LOSS_OUTPUTS;
    code = corpus_loss_parse(train->loss, &loss, err);
    if (!code)
        code = corpus_for_training(&dataset, t->tokenizer, (size_t)train->sequence_tokens, loss,
                                   &t->corpus, err);
    dataset_release(&dataset);
    if (!code && t->corpus.dropped_count > 0)
        fprintf(stderr, "%" PRIu32 " sequences have no token to learn from within %lld tokens\n",
                t->corpus.dropped_count, (long long)train->sequence_tokens);
    return code;
}

enum err_code training_begin(struct training *t, struct err *err)
{
    enum err_code code = begin_model(t, err);
    return code ? code : begin_corpus(t, err);
}
