/* Training: pretrain from nothing, instruct and spectrum from a parent's weights. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "checkpoint.h"
#include "corpus.h"
#include "dataset.h"
#include "exec_kinds.h"
#include "file.h"
#include "kernels.h"
#include "model_family.h"
#include "special_tokens.h"
#include "trainer.h"

/* Memory hardly changes from step to step. */
#define MEMORY_METRIC_STEPS 100

struct training {
    struct exec_context *context;
    struct tokenizer *tokenizer;
    struct model *model;
    const char *like; /* the folder that the model came from; NULL for a fresh one */
    struct corpus corpus;
    struct trainer *trainer;
    int64_t checkpoint_step; /* of the last one that was kept; 0: none */
    struct err sink_err;     /* the hook for steps cannot fail; should_stop sees this */
    enum err_code sink_code;
};

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

/* A checkpoint of this very job: its weights and tokenizer replace the beginning. */
static enum err_code begin_resumed(struct training *t, struct err *err)
{
    const char *folder = t->context->job->resume_folder;
    t->like = folder;
    enum err_code code = tokenizer_load(folder, &t->tokenizer, err);
    return code ? code : model_load(folder, &t->model, err);
}

static enum err_code begin_model(struct training *t, struct err *err)
{
    if (t->context->job->resume_folder[0])
        return begin_resumed(t, err);
    return t->context->spec->kind == JOB_PRETRAIN ? begin_fresh(t, err) : begin_from_parent(t, err);
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

static enum err_code options_of(const struct spec_train *train, struct train_options *out,
                                struct err *err)
{
    *out = (struct train_options){
        .batch_tokens = (size_t)train->batch_tokens,
        .accumulate = (uint32_t)train->accumulate,
        .batch_sequences = (uint32_t)train->batch_sequences,
        .steps = train->steps,
        .epochs = train->epochs,
        .loss_rise_max = train->loss_rise_max,
        .schedule = {.learning_rate = train->learning_rate,
                     .minimum_lr_ratio = train->minimum_lr_ratio,
                     .warmup_steps = train->warmup_steps},
        .optimizer = {.weight_decay = train->weight_decay,
                      .beta1 = train->beta1,
                      .beta2 = train->beta2,
                      .epsilon = train->epsilon,
                      .clip_norm = train->clip_norm},
        .checkpoint_steps = train->checkpoint_steps,
    };
    return schedule_kind_parse(train->schedule, &out->schedule.kind, err);
}

/* ---- while it runs ---- */

static enum err_code tell_step(struct training *t, const struct train_metrics *m, struct err *err)
{
    struct exec_sink *sink = t->context->sink;
    const struct {
        const char *name;
        double value;
    } points[] = {{"loss_nats", m->loss_nats},
                  {"lr", m->rate},
                  {"grad_norm", m->grad_norm},
                  {"tokens_per_s", m->tokens_per_s},
                  {"memory_bytes", (double)m->memory_bytes}};
    size_t count = m->step % MEMORY_METRIC_STEPS == 0 ? 5 : 4;
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < count && !code; i++)
        code = exec_sink_metric(sink, m->step, points[i].name, points[i].value, err);
    struct exec_progress progress = {.done = (uint64_t)m->step + 1,
                                     .total = (uint64_t)trainer_steps(t->trainer),
                                     .loss_nats = m->loss_nats,
                                     .tokens_per_s = m->tokens_per_s};
    return code ? code : exec_sink_progress(sink, &progress, err);
}

static void on_step(void *ctx, const struct train_metrics *metrics)
{
    struct training *t = ctx;
    if (!t->sink_code)
        t->sink_code = tell_step(t, metrics, &t->sink_err);
}

static bool should_stop(void *ctx)
{
    struct training *t = ctx;
    return t->sink_code != ERR_OK || t->context->should_stop();
}

static enum err_code save_model(struct training *t, const char *folder, struct err *err)
{
    const struct params *params = model_weights(t->model);
    if (t->like)
        return checkpoint_write_like(folder, t->like, model_shape(t->model), params->tensors,
                                     params->tensor_count, NULL, TENSOR_F32, err);
    return checkpoint_write(folder, model_shape(t->model), params->tensors, params->tensor_count,
                            t->tokenizer, TENSOR_F32, err);
}

/* Save a resume folder and hand it to the agent, which moves its files into the cache. */
static enum err_code save_checkpoint(void *ctx, struct trainer *trainer, struct err *err)
{
    struct training *t = ctx;
    char name[64], folder[4096];
    snprintf(name, sizeof name, "checkpoint-%lld", (long long)trainer_step(trainer));
    snprintf(folder, sizeof folder, "%s/%s", t->context->job->work_folder, name);
    enum err_code code = file_remove_tree(folder, err);
    if (!code)
        code = save_model(t, folder, err);
    if (!code)
        code = trainer_save(trainer, folder, err);
    struct exec_frame frame = {.kind = EXEC_CHECKPOINT};
    frame.checkpoint.step = (uint64_t)trainer_step(trainer);
    frame.checkpoint.folder = name;
    if (!code)
        code = exec_sink_frame(t->context->sink, &frame, err);
    if (!code)
        t->checkpoint_step = trainer_step(trainer);
    return code;
}

/* One sentence for a job that went wrong. Its last checkpoint stays with the job. */
static const char *why_stopped(const struct training *t, struct arena *arena,
                               const struct train_result *end)
{
    const char *kept = arena_printf(arena, "no checkpoint was taken before");
    if (t->checkpoint_step > 0)
        kept = arena_printf(arena, "the checkpoint of step %lld is kept",
                            (long long)t->checkpoint_step);
    if (end->outcome == TRAIN_ROSE)
        return arena_printf(arena,
                            "the loss rose: at step %lld its running mean is %.4g nats, %.4g above "
                            "its lowest, more than loss_rise_max %g; %s",
                            (long long)end->step, end->watch.mean, loss_watch_rise(&end->watch),
                            t->context->spec->train.loss_rise_max, kept);
    return arena_printf(arena,
                        "the loss (%g) or the gradient's norm (%g) is not finite at step %lld; %s",
                        end->last.loss_nats, end->last.grad_norm, (long long)end->step, kept);
}

static enum err_code run(struct training *t, struct arena *arena, struct exec_result *result,
                         struct err *err)
{
    struct train_hooks hooks = {
        .ctx = t, .on_step = on_step, .should_stop = should_stop, .checkpoint = save_checkpoint};
    struct train_result end;
    /* These lines are the attempt's log (`triad job logs`). */
    fprintf(stderr, "train from step %lld of %lld: %zu parameters, %d threads, %s\n",
            (long long)trainer_step(t->trainer), (long long)trainer_steps(t->trainer),
            model_weights(t->model)->element_count, kernel_threads(), kernel_class());
    enum err_code code = trainer_run(t->trainer, &hooks, &end, err);
    if (code)
        return code;
    if (t->sink_code) {
        if (err)
            *err = t->sink_err;
        return t->sink_code;
    }
    fprintf(stderr, "trained to step %lld: loss %.4f nats, %.0f tokens/s at the end\n",
            (long long)end.step, end.last.loss_nats, end.last.tokens_per_s);
    if (end.outcome == TRAIN_DIVERGED || end.outcome == TRAIN_ROSE) {
        result->outcome = OUTCOME_DIVERGED;
        result->reason = why_stopped(t, arena, &end);
        return ERR_OK;
    }
    if (end.outcome == TRAIN_STOPPED) {
        result->outcome = OUTCOME_CANCELLED;
        result->reason =
            arena_printf(arena, "stopped after step %lld, with a checkpoint", (long long)end.step);
        return end.step > (int64_t)result->start_step ? save_checkpoint(t, t->trainer, err)
                                                      : ERR_OK;
    }
    result->artifact = EXEC_ARTIFACT_FOLDER;
    const char *folder =
        arena_printf(arena, "%s/%s", t->context->job->work_folder, EXEC_ARTIFACT_FOLDER);
    return save_model(t, folder, err);
}

enum err_code exec_train(struct exec_context *c, struct arena *arena, struct exec_result *result,
                         struct err *err)
{
    struct training t = {.context = c};
    struct train_options options;
    enum err_code code = options_of(&c->spec->train, &options, err);
    if (!code && c->spec->train.lora.rank > 0)
        code = err_set(err, ERR_INVALID, "this worker cannot train adapters");
    options.memory_bytes_max = (size_t)c->job->memory_bytes;
    exec_warm_release(c->warm); /* an evaluation's model would only take memory */
    if (!code)
        code = begin_model(&t, err);
    if (!code)
        code = begin_corpus(&t, err);
    if (!code)
        code = trainer_new(t.model, &t.corpus, &options, &t.trainer, err);
    if (!code && c->job->resume_folder[0])
        code = trainer_load(t.trainer, c->job->resume_folder, err);
    if (!code) {
        t.checkpoint_step = trainer_step(t.trainer);
        result->start_step = (uint64_t)t.checkpoint_step;
        code = run(&t, arena, result, err);
    }
    trainer_free(t.trainer);
    model_free(t.model);
    corpus_release(&t.corpus);
    tokenizer_free(t.tokenizer);
    return code;
}
