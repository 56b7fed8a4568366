/* Training: pretrain from nothing, instruct and spectrum from a parent's weights. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint.h"
#include "checkpoint_turns.h"
#include "exec_train_impl.h"
#include "file.h"
#include "kernels.h"
#include "peft.h"

/* Memory hardly changes from step to step. */
#define MEMORY_METRIC_STEPS 10

/* ---- while it runs ---- */

/* What this process holds in memory now; 0 when the kernel does not say. */
static double resident_bytes(void)
{
    long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file) {
        if (fscanf(file, "%*d %lld", &pages) != 1)
            pages = 0;
        fclose(file);
    }
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

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
                  {"memory_bytes", (double)m->memory_bytes},
                  {"rss_bytes", resident_bytes()}};
    size_t count = m->step % MEMORY_METRIC_STEPS == 0 ? 6 : 4;
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

static enum err_code write_model(struct training *t, const char *folder, enum tensor_dtype dtype,
                                 struct err *err)
{
    const struct params *params = model_weights(t->model);
    const struct spec_turns *turns = &t->context->spec->turns;
    if (!t->like)
        return checkpoint_write(folder, model_shape(t->model), params->tensors,
                                params->tensor_count, t->tokenizer, dtype, err);
    enum err_code code =
        checkpoint_write_like(folder, t->like, model_shape(t->model), params->tensors,
                              params->tensor_count, NULL, dtype, err);
    if (!code && turns->end)
        code = checkpoint_add_turns(folder, t->tokenizer, turns->end, turns->chat_template, err);
    return code;
}

/* Does the adapter on the parent make this model? Not without rows that were copied into matrices
 * which it does not hold. */
static bool adapter_says_all(const struct training *t)
{
    const struct adapter_config *a = &t->adapter.config;
    const bool both =
        model_shape(t->model)->head_tied ? a->embeddings || a->head : a->embeddings && a->head;
    return both || !exec_parent_path(t->context->job, "embeddings_from");
}

/* What is loaded after this job: a whole model. An adapter is merged into it, for good, and laid
 * beside it under names that nobody takes for one to be applied on top. */
static enum err_code save_result(struct training *t, const char *folder, struct err *err)
{
    enum err_code code = ERR_OK;
    if (t->has_adapter && adapter_says_all(t))
        code =
            peft_write(folder, "lora_", &t->adapter, model_shape(t->model)->head_tied, NULL, err);
    if (code)
        return code;
    if (t->has_adapter)
        adapter_merge(&t->adapter, model_params(t->model));
    const char *saved_as = t->context->spec->train.saved_as;
    const bool is_half = saved_as && strcmp(saved_as, "bf16") == 0;
    return write_model(t, folder, is_half ? TENSOR_BF16 : TENSOR_F32, err);
}

/* What resuming needs of the weights: all, or the adapter alone, whose model is the parent's. */
static enum err_code save_weights(struct training *t, const char *folder, struct err *err)
{
    if (t->has_adapter)
        return peft_write(folder, "", &t->adapter, model_shape(t->model)->head_tied, NULL, err);
    return write_model(t, folder, TENSOR_F32, err);
}

static void checkpoint_path(const struct training *t, int64_t step, char *out, size_t size)
{
    snprintf(out, size, "%s/checkpoint-%lld", t->context->job->work_folder, (long long)step);
}

/* Save a resume folder and hand it to the agent, which moves its files into the cache. */
static enum err_code save_checkpoint(void *ctx, struct trainer *trainer, struct err *err)
{
    struct training *t = ctx;
    char name[64], folder[4096];
    /* Asked to stop right after a checkpoint: the agent may still be reading that very folder. */
    if (t->checkpoint_step > 0 && t->checkpoint_step == trainer_step(trainer))
        return ERR_OK;
    snprintf(name, sizeof name, "checkpoint-%lld", (long long)trainer_step(trainer));
    checkpoint_path(t, trainer_step(trainer), folder, sizeof folder);
    enum err_code code = file_remove_tree(folder, err);
    if (!code)
        code = save_weights(t, folder, err);
    if (!code)
        code = trainer_save(trainer, folder, err);
    struct exec_frame frame = {.kind = EXEC_CHECKPOINT};
    frame.checkpoint.step = (uint64_t)trainer_step(trainer);
    frame.checkpoint.folder = name;
    /* The curve up to here goes first: what resumes at this step does not tell it again. */
    if (!code)
        code = exec_sink_flush(t->context->sink, err);
    if (!code)
        code = exec_sink_frame(t->context->sink, &frame, err);
    if (!code)
        t->checkpoint_step = trainer_step(trainer);
    return code;
}

/* On a slow disk the agent may be at the last one yet: a newer one follows, and a training that
 * saves faster than its folders are taken must not fill the disk with them. */
static enum err_code save_on_the_way(void *ctx, struct trainer *trainer, struct err *err)
{
    const struct training *t = ctx;
    char last[4096];
    checkpoint_path(t, t->checkpoint_step, last, sizeof last);
    return file_exists(last) ? ERR_OK : save_checkpoint(ctx, trainer, err);
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

static size_t all_parameters(const struct training *t)
{
    size_t own = t->has_adapter ? t->adapter.own.element_count : 0;
    return model_weights(t->model)->element_count + own;
}

/* Rank 0 saves for all; the others wait for it. */
static enum err_code save_nothing(void *ctx, struct trainer *trainer, struct err *err)
{
    (void)ctx;
    (void)trainer;
    (void)err;
    return ERR_OK;
}

/* Train as one of the ranks that have no worker to tell. */
static enum err_code run_silently(struct training *t, struct err *err)
{
    const struct train_hooks hooks = {.ctx = t, .checkpoint = save_nothing};
    struct train_result end;
    return trainer_run(t->trainer, &hooks, &end, err);
}

/* These lines, and those of its end, are the attempt's log (`triad job logs`). */
static void tell_beginning(const struct training *t)
{
    struct strbuf memory = {0};
    train_memory_print(trainer_memory(t->trainer), (size_t)t->context->job->memory_bytes, &memory);
    fputs(strbuf_text(&memory), stderr);
    strbuf_release(&memory);
    fprintf(stderr, "train from step %lld of %lld: %zu of %zu parameters, ",
            (long long)trainer_step(t->trainer), (long long)trainer_steps(t->trainer),
            trainer_trained_elements(t->trainer), all_parameters(t));
    if (t->context->group)
        fprintf(stderr, "%u ranks of ", t->context->group->count);
    fprintf(stderr, "%d threads, %s\n", kernel_threads(), kernel_class());
}

/* Told to stop: with a checkpoint, if it got anywhere that is worth going on from. */
static enum err_code stopped(struct training *t, int64_t step, struct arena *arena,
                             struct exec_result *result, struct err *err)
{
    const bool rising = trainer_is_rising(t->trainer);
    result->outcome = OUTCOME_CANCELLED;
    result->reason =
        arena_printf(arena, "stopped after step %lld, %s", (long long)step,
                     rising ? "while its loss rose: without a checkpoint" : "with a checkpoint");
    return step > (int64_t)result->start_step && !rising ? save_checkpoint(t, t->trainer, err)
                                                         : ERR_OK;
}

static enum err_code run(struct training *t, struct arena *arena, struct exec_result *result,
                         struct err *err)
{
    struct train_hooks hooks = {
        .ctx = t, .on_step = on_step, .should_stop = should_stop, .checkpoint = save_on_the_way};
    struct train_result end;
    tell_beginning(t);
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
    if (end.outcome == TRAIN_STOPPED)
        return stopped(t, end.step, arena, result, err);
    result->artifact = EXEC_ARTIFACT_FOLDER;
    const char *folder =
        arena_printf(arena, "%s/%s", t->context->job->work_folder, EXEC_ARTIFACT_FOLDER);
    return save_result(t, folder, err);
}

static enum err_code options_of(const struct spec_train *train, struct train_options *out,
                                struct err *err)
{
    *out = (struct train_options){
        .batch_tokens = (size_t)train->batch_tokens,
        .accumulate = (uint32_t)train->accumulate,
        .batch_sequences = (uint32_t)train->batch_sequences,
        .shards = (uint32_t)train->shards,
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
        .seed = (uint64_t)train->seed,
    };
    return schedule_kind_parse(train->schedule, &out->schedule.kind, err);
}

/* Everything up to the first step, on all ranks: what one cannot do, none goes on without. */
static enum err_code begin(struct training *t, struct err *err)
{
    struct exec_context *c = t->context;
    const bool loads = !c->group || c->group->rank == 0;
    struct train_options options;
    enum err_code code = options_of(&c->spec->train, &options, err);
    options.memory_bytes_max = (size_t)c->job->memory_bytes;
    options.group = c->group;
    if (!code && loads)
        code = training_begin(t, err);
    code = exec_agree(c, code, err);
    if (!code && c->group)
        code = training_share(t, err);
    if (code)
        return code;
    options.adapter = t->has_adapter ? &t->adapter : NULL;
    code = trainer_new(t->model, &t->corpus, &options, &t->trainer, err);
    if (!code && loads && c->job->resume_folder[0])
        code = trainer_load(t->trainer, c->job->resume_folder, err);
    code = exec_agree(c, code, err);
    return !code && c->group ? trainer_share(t->trainer, err) : code;
}

enum err_code exec_train(struct exec_context *c, struct arena *arena, struct exec_result *result,
                         struct err *err)
{
    struct training t = {.context = c};
    exec_warm_release(c->warm); /* an evaluation's model would only take memory */
    enum err_code code = begin(&t, err);
    if (!code && c->group && c->group->rank > 0) {
        code = run_silently(&t, err);
    } else if (!code) {
        t.checkpoint_step = trainer_step(t.trainer);
        result->start_step = (uint64_t)t.checkpoint_step;
        code = run(&t, arena, result, err);
    }
    trainer_free(t.trainer);
    adapter_release(&t.adapter);
    model_free(t.model);
    corpus_release(&t.corpus);
    tokenizer_free(t.tokenizer);
    return code;
}
