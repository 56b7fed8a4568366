#include "trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "clock.h"
#include "hash.h"
#include "rng.h"
#include "shard_sum.h"
#include "train_state.h"

struct trainer {
    struct model *model;         /* borrowed */
    const struct corpus *corpus; /* borrowed */
    struct train_options options;
    struct batch_plan plan;
    struct train_state state;
    struct params *trained;        /* borrowed: what the optimizer changes */
    struct params gradients;       /* shaped like `trained` */
    struct params model_gradients; /* with an adapter: the model's tensors, trained ones pointing
                                      into `gradients`, vectors into `sink`, others nowhere */
    float *sink;                   /* what fixed norms' gradients are added to */
    struct optimizer optimizer;
    struct shard_sum sum;
    uint32_t shard_first, shard_count; /* those that this process computes */
    uint32_t *shard_ends;              /* of all, in `micro` */
    struct model_run *run;
    struct micro_batch *micro;        /* of the largest step */
    struct model_sequence *sequences; /* of the largest micro-batch */
    struct token_score *scores;       /* of the largest micro-batch */
    struct train_memory memory;
    struct rng dropout;
};

static enum err_code check_options(const struct train_options *o, struct err *err)
{
    if (o->accumulate == 0)
        return err_set(err, ERR_INVALID, "train: accumulate must be at least 1");
    if (o->accumulate > 1 && o->batch_sequences > 0)
        return err_set(err, ERR_INVALID,
                       "train: a step is counted in sequences or in micro-batches, not in both");
    if (o->shards > 0 && !shard_count_is_possible(o->shards))
        return err_set(err, ERR_INVALID, "train: shards is %u, but must be a power of two up to %d",
                       o->shards, SHARDS_MAX);
    if (o->group && (o->group->count > o->shards || o->shards % o->group->count != 0))
        return err_set(err, ERR_INVALID,
                       "train: %u ranks cannot share %u shards of a step: their number must be a "
                       "power of two and not larger",
                       o->group->count, o->shards > 0 ? o->shards : 1);
    if (o->epochs < 0)
        return err_set(err, ERR_INVALID, "train: epochs must not be negative");
    if (o->steps < 0 || o->checkpoint_steps < 0 || o->schedule.warmup_steps < 0)
        return err_set(err, ERR_INVALID,
                       "train: steps, checkpoint_steps and warmup_steps must not "
                       "be negative");
    const struct {
        const char *name;
        double value, min, max;
    } ranges[] = {
        {"learning_rate", o->schedule.learning_rate, 0, 1e6},
        {"minimum_lr_ratio", o->schedule.minimum_lr_ratio, 0, 1},
        {"weight_decay", o->optimizer.weight_decay, 0, 1e6},
        {"beta1", o->optimizer.beta1, 0, 1},
        {"beta2", o->optimizer.beta2, 0, 1},
        {"epsilon", o->optimizer.epsilon, 0, 1},
        {"clip_norm", o->optimizer.clip_norm, 0, 1e30},
        {"loss_rise_max", o->loss_rise_max, 0, 1e30},
    };
    for (size_t i = 0; i < ARRAY_COUNT(ranges); i++) {
        if (!(ranges[i].value >= ranges[i].min && ranges[i].value <= ranges[i].max))
            return err_set(err, ERR_INVALID, "train: %s is %g, but must lie between %g and %g",
                           ranges[i].name, ranges[i].value, ranges[i].min, ranges[i].max);
    }
    if (o->optimizer.beta1 >= 1 || o->optimizer.beta2 >= 1)
        return err_set(err, ERR_INVALID, "train: beta1 and beta2 must be below 1");
    return ERR_OK;
}

/* What a resumed run must share with the one that saved: data and everything that steers it. */
static struct digest fingerprint(const struct corpus *c, const struct train_options *o)
{
    struct hash_state hash;
    hash_init(&hash);
    size_t tokens = c->starts[c->sequence_count];
    hash_update(&hash, c->starts, (c->sequence_count + 1) * sizeof *c->starts);
    hash_update(&hash, c->ids, tokens * sizeof *c->ids);
    hash_update(&hash, c->losses, tokens * sizeof *c->losses);
    const double numbers[] = {
        (double)o->batch_tokens,    (double)o->accumulate,
        (double)o->batch_sequences, o->loss_rise_max,
        (double)o->steps,           (double)o->schedule.kind,
        o->schedule.learning_rate,  o->schedule.minimum_lr_ratio,
        (double)o->schedule.steps,  (double)o->schedule.warmup_steps,
        o->optimizer.weight_decay,  o->optimizer.beta1,
        o->optimizer.beta2,         o->optimizer.epsilon,
        o->optimizer.clip_norm,
    };
    hash_update(&hash, numbers, sizeof numbers);
    if (o->adapter) {
        const struct adapter_config *a = &o->adapter->config;
        const double more[] = {a->rank,         a->alpha,      a->dropout,
                               (double)o->seed, a->embeddings, a->head};
        hash_update(&hash, more, sizeof more);
        hash_update(&hash, a->targets, sizeof a->targets);
    }
    if (o->shards > 1)
        hash_update(&hash, &(uint64_t){o->shards}, sizeof(uint64_t));
    return hash_final(&hash);
}

static enum err_code check_corpus(const struct corpus *corpus, const struct model_config *config,
                                  struct err *err)
{
    if (corpus->sequence_count == 0 || corpus->loss_token_count == 0)
        return err_set(err, ERR_INVALID, "train: the data has no token with a loss");
    for (uint32_t s = 0; s < corpus->sequence_count; s++) {
        size_t length = corpus_length(corpus, s);
        if (length > (size_t)config->context + 1)
            return err_set(err, ERR_INVALID,
                           "train: line %u has %zu tokens, more than the model's context of %d",
                           corpus->lines[s], length, config->context);
        for (size_t i = corpus->starts[s]; i < corpus->starts[s + 1]; i++) {
            if (corpus->ids[i] < 0 || corpus->ids[i] >= config->vocabulary)
                return err_set(err, ERR_INVALID,
                               "train: line %u has token id %d, outside the vocabulary of %d",
                               corpus->lines[s], corpus->ids[i], config->vocabulary);
        }
    }
    return ERR_OK;
}

/* Decide whether to compute activations twice. Before anything is taken: a refusal names what is
 * wanted, the kernel's killer does not. */
static enum err_code plan_memory(struct trainer *t, const struct model_capacity *capacity,
                                 struct err *err)
{
    const struct train_options *o = &t->options;
    const struct model_config *config = model_shape(t->model);
    const struct adapter_config *adapter = o->adapter ? &o->adapter->config : NULL;
    const size_t bytes_max = o->memory_bytes_max;
    bool again = o->recompute == TRAIN_RECOMPUTE_ALWAYS;
    const uint32_t held = shard_sum_levels(t->shard_count);
    t->memory = train_memory_of(config, adapter, capacity, held, again);
    if (bytes_max == 0 || t->memory.all <= bytes_max)
        return ERR_OK;
    if (o->recompute == TRAIN_RECOMPUTE_AUTO) {
        t->memory = train_memory_of(config, adapter, capacity, held, true);
        if (t->memory.all <= bytes_max)
            return ERR_OK;
    }
    return err_set(err, ERR_LIMIT,
                   "train: weights, gradients, moments and activations take %.1f MiB%s, the job "
                   "has %.1f MiB: give it more memory or fewer batch_tokens than %zu",
                   (double)t->memory.all / 1048576.0,
                   t->memory.again ? " even with activations computed twice" : "",
                   (double)bytes_max / 1048576.0, o->batch_tokens);
}

static size_t widest_vector(const struct params *model)
{
    int widest = 0;
    for (size_t i = 0; i < model->tensor_count; i++) {
        const struct tensor_spec *t = &model->tensors[i];
        widest = t->is_vector && t->cols > widest ? t->cols : widest;
    }
    return (size_t)widest;
}

/* The model's gradients as the backward pass sees them when an adapter is trained. */
static enum err_code view_gradients(struct trainer *t, struct err *err)
{
    const struct params *model = model_weights(t->model);
    const struct adapter *adapter = t->options.adapter;
    struct params *view = &t->model_gradients;
    view->tensors = calloc(model->tensor_count, sizeof *view->tensors);
    t->sink = calloc(widest_vector(model), sizeof *t->sink);
    if (!view->tensors || !t->sink)
        return err_set(err, ERR_LIMIT, "train: no memory");
    view->tensor_count = model->tensor_count;
    for (size_t i = 0; i < model->tensor_count; i++) {
        struct tensor_spec *tensor = &view->tensors[i];
        *tensor = model->tensors[i];
        tensor->data = tensor->is_vector ? t->sink : NULL;
        for (size_t k = adapter->own.tensor_count; k < t->trained->tensor_count; k++) {
            if (t->trained->tensors[k].role == tensor->role)
                tensor->data = t->gradients.tensors[k].data;
        }
    }
    return ERR_OK;
}

static enum err_code allocate(struct trainer *t, struct err *err)
{
    struct micro_batch largest = batch_largest(&t->plan, 0);
    struct model_capacity capacity = {
        .sequences = largest.sequence_count,
        .tokens = largest.token_count,
        .loss_tokens = largest.loss_token_count,
        .sequence_tokens = corpus_length_max(t->corpus),
    };
    enum err_code rc = plan_memory(t, &capacity, err);
    if (rc != ERR_OK)
        return rc;
    t->micro = calloc(batch_micro_max(&t->plan), sizeof *t->micro);
    t->sequences = calloc(largest.sequence_count, sizeof *t->sequences);
    t->scores = calloc(largest.loss_token_count, sizeof *t->scores);
    t->shard_ends = calloc(t->plan.shards, sizeof *t->shard_ends);
    if (!t->micro || !t->sequences || !t->scores || !t->shard_ends)
        return err_set(err, ERR_LIMIT, "train: no memory for a batch of %zu tokens",
                       largest.token_count);
    rc = params_init_like(&t->gradients, t->trained, err);
    if (rc == ERR_OK)
        rc = shard_sum_init(&t->sum, t->gradients.element_count, t->shard_count, err);
    if (rc == ERR_OK)
        rc = optimizer_init(&t->optimizer, t->trained, &t->options.optimizer, err);
    if (rc == ERR_OK)
        rc = model_run_new(t->model, t->memory.again ? MODEL_TRAIN_AGAIN : MODEL_TRAIN, &capacity,
                           &t->run, err);
    if (rc == ERR_OK && t->options.adapter)
        rc = view_gradients(t, err);
    if (rc == ERR_OK && t->options.adapter)
        rc = model_run_adapt(t->run, t->options.adapter, &t->gradients, err);
    return rc;
}

enum err_code trainer_new(struct model *model, const struct corpus *corpus,
                          const struct train_options *options, struct trainer **trainer_out,
                          struct err *err)
{
    enum err_code rc = check_options(options, err);
    if (rc == ERR_OK)
        rc = check_corpus(corpus, model_shape(model), err);
    if (rc != ERR_OK)
        return rc;
    struct trainer *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(err, ERR_LIMIT, "train: no memory");
    t->model = model;
    t->corpus = corpus;
    t->options = *options;
    t->dropout = rng_new(options->seed, "dropout");
    t->plan = (struct batch_plan){corpus, options->batch_tokens, options->accumulate,
                                  options->batch_sequences, options->shards ? options->shards : 1};
    t->shard_count = t->plan.shards / (options->group ? options->group->count : 1);
    t->shard_first = options->group ? options->group->rank * t->shard_count : 0;
    t->trained = options->adapter ? &options->adapter->trained : model_params(model);
    if (t->options.steps == 0)
        t->options.steps = batch_steps_per_pass(&t->plan) * (options->epochs ? options->epochs : 1);
    t->options.schedule.steps = t->options.steps;
    t->state.fingerprint = fingerprint(corpus, &t->options);
    rc = allocate(t, err);
    if (rc != ERR_OK) {
        trainer_free(t);
        return rc;
    }
    *trainer_out = t;
    return ERR_OK;
}

void trainer_free(struct trainer *trainer)
{
    if (!trainer)
        return;
    model_run_free(trainer->run);
    optimizer_release(&trainer->optimizer);
    shard_sum_release(&trainer->sum);
    params_release(&trainer->gradients);
    params_release(&trainer->model_gradients);
    free(trainer->shard_ends);
    free(trainer->sink);
    free(trainer->scores);
    free(trainer->sequences);
    free(trainer->micro);
    free(trainer);
}

/* What the dropout of a sequence in this step depends on, beside its positions. */
static uint64_t dropout_key(const struct trainer *t, uint32_t sequence)
{
    if (!t->options.adapter || t->options.adapter->config.dropout == 0)
        return 0;
    struct rng rng = rng_child(&t->dropout, "step", (uint64_t)t->state.step);
    rng = rng_child(&rng, "sequence", sequence);
    return rng_u64(&rng);
}

/* Forward and backward over one micro-batch; returns the sum of its losses. */
static double run_micro_batch(struct trainer *t, const struct micro_batch *micro, double scale)
{
    const struct corpus *c = t->corpus;
    for (uint32_t i = 0; i < micro->sequence_count; i++) {
        size_t start = c->starts[micro->first_sequence + i];
        t->sequences[i] = (struct model_sequence){
            .ids = c->ids + start,
            .losses = c->losses + start,
            .count = corpus_length(c, micro->first_sequence + i),
            .key = dropout_key(t, micro->first_sequence + i),
        };
    }
    model_forward(t->run, t->sequences, micro->sequence_count, t->scores);
    model_backward(t->run, scale, t->options.adapter ? &t->model_gradients : &t->gradients);
    double nats = 0;
    for (size_t i = 0; i < micro->loss_token_count; i++)
        nats += t->scores[i].nats;
    return nats;
}

/* The gradient of the step's mean loss, summed over its shards, into `gradients`; the sum of its
 * losses into `nats_out`. */
static enum err_code sum_gradients(struct trainer *t, double scale, double *nats_out,
                                   struct err *err)
{
    *nats_out = 0;
    for (uint32_t i = 0; i < t->shard_count; i++) {
        const uint32_t shard = t->shard_first + i;
        memset(t->gradients.block, 0, t->gradients.element_count * sizeof *t->gradients.block);
        *nats_out = 0;
        for (uint32_t k = shard > 0 ? t->shard_ends[shard - 1] : 0; k < t->shard_ends[shard]; k++)
            *nats_out += run_micro_batch(t, &t->micro[k], scale);
        shard_sum_take(&t->sum, i, t->gradients.block, nats_out);
    }
    const struct train_group *group = t->options.group;
    return group ? train_group_sum(group, t->gradients.block, t->gradients.element_count, nats_out,
                                   err)
                 : ERR_OK;
}

/* What the numbers of a step say: go on, or why not. */
static enum train_outcome judge(const struct trainer *t, const struct train_metrics *metrics,
                                const struct loss_watch *watch)
{
    if (!isfinite(metrics->loss_nats) || !isfinite(metrics->grad_norm))
        return TRAIN_DIVERGED;
    const double rise_max = t->options.loss_rise_max;
    return rise_max > 0 && loss_watch_rise(watch) > rise_max ? TRAIN_ROSE : TRAIN_DONE;
}

/* One step. Unless its outcome is TRAIN_DONE nothing of the state has changed but the watch. */
static enum err_code train_step(struct trainer *t, struct train_metrics *metrics,
                                enum train_outcome *outcome_out, struct err *err)
{
    int64_t start_ns = clock_mono_ns();
    struct data_cursor cursor = t->state.cursor;
    uint32_t micro_count = batch_step_shards(&t->plan, &cursor, t->micro, t->shard_ends);
    *metrics = (struct train_metrics){.step = t->state.step, .memory_bytes = t->memory.all};
    for (uint32_t i = 0; i < micro_count; i++) {
        metrics->token_count += t->micro[i].token_count;
        metrics->loss_token_count += t->micro[i].loss_token_count;
    }
    double nats = 0;
    enum err_code rc = sum_gradients(t, 1.0 / (double)metrics->loss_token_count, &nats, err);
    if (rc != ERR_OK)
        return rc;
    metrics->loss_nats = nats / (double)metrics->loss_token_count;
    metrics->grad_norm = optimizer_norm(&t->gradients);
    metrics->rate = schedule_rate(&t->options.schedule, t->state.step);
    t->state.watch = loss_watch_after(t->state.watch, metrics->loss_nats);
    *outcome_out = judge(t, metrics, &t->state.watch);
    if (*outcome_out == TRAIN_DONE) {
        optimizer_update(&t->optimizer, t->trained, &t->gradients, metrics->grad_norm,
                         metrics->rate, t->state.step + 1);
        t->state.cursor = cursor;
        t->state.step++;
    }
    double seconds = (double)(clock_mono_ns() - start_ns) * 1e-9;
    metrics->tokens_per_s = (double)metrics->token_count / fmax(seconds, 1e-9);
    return ERR_OK;
}

bool trainer_is_rising(const struct trainer *trainer)
{
    const double rise_max = trainer->options.loss_rise_max;
    return rise_max > 0 && loss_watch_rise(&trainer->state.watch) > rise_max / 2;
}

/* Is this the moment for a checkpoint? One from a rise would replace a better one. */
static bool wants_checkpoint(const struct trainer *t)
{
    const int64_t every = t->options.checkpoint_steps;
    return every > 0 && t->state.step % every == 0 && !trainer_is_rising(t);
}

/* Rank 0's word, for all. */
static enum err_code wants_stop(const struct trainer *t, const struct train_hooks *hooks,
                                bool *stop_out, struct err *err)
{
    const struct train_group *group = t->options.group;
    *stop_out = hooks->should_stop && hooks->should_stop(hooks->ctx);
    return group ? train_group_share(group, stop_out, sizeof *stop_out, err) : ERR_OK;
}

/* Do all ranks have rank 0's weights? Each has computed them by itself. */
static enum err_code compare_weights(const struct trainer *t, struct err *err)
{
    const struct train_group *group = t->options.group;
    if (!group)
        return ERR_OK;
    struct hash_state hash;
    hash_init(&hash);
    for (size_t i = 0; i < t->trained->tensor_count; i++) {
        const struct tensor_spec *tensor = &t->trained->tensors[i];
        hash_update(&hash, tensor->data, tensor_spec_elements(tensor) * sizeof *tensor->data);
    }
    const struct digest own = hash_final(&hash);
    struct digest first = own;
    enum err_code rc = train_group_share(group, &first, sizeof first, err);
    if (rc != ERR_OK)
        return rc;
    if (!digest_equal(&first, &own))
        rc = err_set(err, ERR_CONFLICT,
                     "after step %lld the weights are not those of rank 0: its processor does not "
                     "compute the same bits",
                     (long long)t->state.step);
    return train_group_agree(group, rc, err);
}

static enum err_code take_checkpoint(struct trainer *t, const struct train_hooks *hooks,
                                     struct err *err)
{
    enum err_code rc = compare_weights(t, err);
    if (rc != ERR_OK)
        return rc;
    rc = hooks->checkpoint(hooks->ctx, t, err);
    return t->options.group ? train_group_agree(t->options.group, rc, err) : rc;
}

enum err_code trainer_run(struct trainer *trainer, const struct train_hooks *hooks,
                          struct train_result *result_out, struct err *err)
{
    struct train_result result = {.outcome = TRAIN_DONE};
    enum err_code rc = ERR_OK;
    while (result.outcome == TRAIN_DONE && trainer->state.step < trainer->options.steps) {
        bool stop = false;
        rc = wants_stop(trainer, hooks, &stop, err);
        if (rc == ERR_OK && stop) {
            result.outcome = TRAIN_STOPPED;
            break;
        }
        if (rc == ERR_OK)
            rc = train_step(trainer, &result.last, &result.outcome, err);
        if (rc != ERR_OK)
            return rc;
        if (hooks->on_step)
            hooks->on_step(hooks->ctx, &result.last);
        if (result.outcome == TRAIN_DONE && hooks->checkpoint && wants_checkpoint(trainer))
            rc = take_checkpoint(trainer, hooks, err);
        if (rc != ERR_OK)
            return rc;
    }
    result.step = trainer->state.step;
    result.watch = trainer->state.watch;
    rc = compare_weights(trainer, err);
    if (rc == ERR_OK)
        *result_out = result;
    return rc;
}

enum err_code trainer_share(struct trainer *trainer, struct err *err)
{
    const struct train_group *group = trainer->options.group;
    const struct digest own = trainer->state.fingerprint;
    const struct params *moments[] = {&trainer->optimizer.first, &trainer->optimizer.second};
    enum err_code rc = train_group_share(group, &trainer->state, sizeof trainer->state, err);
    if (rc == ERR_OK && !digest_equal(&own, &trainer->state.fingerprint))
        rc = err_set(err, ERR_CONFLICT, "train: its data or options are not those of rank 0");
    rc = train_group_agree(group, rc, err);
    for (size_t i = 0; i < 2 && rc == ERR_OK; i++)
        rc = train_group_share(group, moments[i]->block, moments[i]->element_count * sizeof(float),
                               err);
    return rc;
}

int64_t trainer_step(const struct trainer *trainer)
{
    return trainer->state.step;
}

int64_t trainer_steps(const struct trainer *trainer)
{
    return trainer->options.steps;
}

const struct train_memory *trainer_memory(const struct trainer *trainer)
{
    return &trainer->memory;
}

size_t trainer_trained_elements(const struct trainer *trainer)
{
    return trainer->trained->element_count;
}

enum err_code trainer_save(const struct trainer *trainer, const char *folder, struct err *err)
{
    return train_state_save(&trainer->state, &trainer->optimizer, folder, err);
}

enum err_code trainer_load(struct trainer *trainer, const char *folder, struct err *err)
{
    return train_state_load(&trainer->state, &trainer->optimizer, folder,
                            trainer->corpus->sequence_count, err);
}
