/* Evaluating one task with one model: a share of a data set, of any kind. The model stays loaded
 * for the next evaluation. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "clock.h"
#include "corpus.h"
#include "dataset.h"
#include "evaluator.h"
#include "exec_kinds.h"
#include "kernels.h"
#include "prompts.h"
#include "restriction.h"

#define EVALUATE_BATCH_TOKENS     ((size_t)4096)
#define EVALUATE_BATCH_TOKENS_MIN ((size_t)256)

struct evaluation {
    struct exec_context *context;
    const struct dataset *dataset;
    uint32_t first, end; /* of the data set's sequences: this job's share */
    uint64_t done, total;
    double nats;
    int64_t began_ms;
    uint64_t tokens; /* that the whole share takes */
};

static enum err_code model_ready(struct exec_context *c, struct err *err)
{
    struct exec_warm *warm = c->warm;
    if (warm->model && digest_equal(&warm->digest, &c->job->model))
        return ERR_OK;
    exec_warm_release(warm);
    const char *folder;
    enum err_code code = exec_parent_need(c->job, "model", &folder, err);
    if (!code)
        code = model_open(folder, &warm->model, err);
    if (!code)
        code = tokenizer_load(folder, &warm->tokenizer, err);
    if (code)
        exec_warm_release(warm);
    else
        warm->digest = c->job->model;
    return code;
}

static enum err_code on_records(void *ctx, const struct record *records, uint32_t count,
                                uint32_t next_sequence, struct err *err)
{
    struct evaluation *e = ctx;
    for (uint32_t i = 0; i < count; i++)
        e->nats += records[i].content_nats + records[i].terminator_nats;
    e->done += count;
    enum err_code code = exec_sink_records(e->context->sink, e->dataset->kind, records, count, err);
    if (code)
        return code;
    double seconds = (double)(clock_mono_ms() - e->began_ms) / 1000.0;
    double share = (double)(next_sequence - e->first) / (double)(e->end - e->first);
    bool losses = e->dataset->kind == RECORDS_SCORES;
    struct exec_progress progress = {
        .done = e->done,
        .total = e->total,
        .loss_nats = e->done && losses ? e->nats / (double)e->done : (double)NAN,
        .tokens_per_s = seconds > 0 ? share * (double)e->tokens / seconds : 0,
    };
    return exec_sink_progress(e->context->sink, &progress, err);
}

static bool should_stop(void *ctx)
{
    return ((struct evaluation *)ctx)->context->should_stop();
}

/* The largest batch that fits the memory the job was given. */
static void choose_batch(const struct exec_context *c, const struct corpus *corpus,
                         struct evaluate_options *options)
{
    const struct model_config *config = model_shape(c->warm->model);
    options->batch_tokens = EVALUATE_BATCH_TOKENS;
    while (options->batch_tokens > EVALUATE_BATCH_TOKENS_MIN && c->job->memory_bytes > 0 &&
           evaluator_memory_bytes(config, corpus, options) > c->job->memory_bytes)
        options->batch_tokens /= 2;
}

static enum err_code check_items(const struct evaluation *e, struct err *err)
{
    const int64_t planned = e->context->spec->evaluate.items;
    if (e->total != (uint64_t)planned)
        return err_set(err, ERR_INVALID, "the dataset gives %llu items, the plan says %lld",
                       (unsigned long long)e->total, (long long)planned);
    fprintf(stderr, "%s of %llu items of '%s' in format %s: %d threads, %s\n",
            record_kind_name(e->dataset->kind), (unsigned long long)e->total,
            e->context->spec->evaluate.task, e->context->spec->evaluate.format, kernel_threads(),
            kernel_class());
    return ERR_OK;
}

static enum err_code restrict_answers(const struct exec_context *c, struct corpus *corpus,
                                      struct restriction *out, struct err *err)
{
    const struct spec_restrict *r = &c->spec->evaluate.restrict_to;
    struct tokenizer *tokenizer = c->warm->tokenizer;
    const int32_t rows = model_shape(c->warm->model)->vocabulary;
    const int32_t entries = tokenizer_vocabulary(tokenizer);
    const int32_t vocabulary = rows > entries ? rows : entries;
    enum err_code code = ERR_OK;
    if (strcmp(r->mode, "auto") == 0)
        code = restriction_automatic(corpus, vocabulary, r->terminators, out, err);
    else if (strcmp(r->mode, "list") == 0)
        code = restriction_listed(corpus, tokenizer, vocabulary, r->texts.items, r->texts.count,
                                  strcmp(c->spec->evaluate.format, "colon") == 0 ? " " : "",
                                  r->terminators, out, err);
    if (!code && out->allowed)
        fprintf(stderr, "answers restricted to %zu tokens\n", out->token_count);
    return code;
}

static enum err_code score(struct evaluation *e, struct err *err)
{
    struct exec_context *c = e->context;
    struct corpus corpus = {0};
    struct restriction restriction = {0};
    const size_t context = (size_t)model_shape(c->warm->model)->context;
    enum err_code code =
        corpus_for_evaluation(e->dataset, c->warm->tokenizer, context, &corpus, err);
    if (!code)
        code = restrict_answers(c, &corpus, &restriction, err);
    if (!code) {
        e->total = evaluator_record_count(&corpus, e->first, e->end);
        e->tokens = corpus.starts[e->end] - corpus.starts[e->first];
        code = check_items(e, err);
    }
    if (!code && e->end > e->first) {
        struct evaluate_options options = {.first_sequence = e->first,
                                           .end_sequence = e->end,
                                           .calibration = c->spec->evaluate.calibration,
                                           .allowed = restriction.allowed};
        choose_batch(c, &corpus, &options);
        struct evaluate_hooks hooks = {e, on_records, should_stop};
        code = evaluator_run(c->warm->model, &corpus, &options, &hooks, err);
    }
    free(restriction.allowed);
    corpus_release(&corpus);
    return code;
}

static enum err_code follow_prompts(struct evaluation *e, struct err *err)
{
    struct exec_warm *warm = e->context->warm;
    const struct model_config *config = model_shape(warm->model);
    struct prompts_size size;
    enum err_code code = prompts_measure(e->dataset, warm->tokenizer, e->first, e->end,
                                         (size_t)config->context, &size, err);
    if (code)
        return code;
    const uint64_t wanted = model_config_parameters(config) * sizeof(float) +
                            prompts_memory_bytes(config, e->dataset->kind, &size);
    if (e->context->job->memory_bytes > 0 && wanted > e->context->job->memory_bytes)
        return err_set(err, ERR_LIMIT,
                       "the evaluation takes %llu MiB, its job has %llu; set "
                       "resources.evaluate.memory",
                       (unsigned long long)(wanted >> 20),
                       (unsigned long long)(e->context->job->memory_bytes >> 20));
    e->total = prompts_record_count(e->dataset, e->first, e->end);
    e->tokens = size.tokens;
    code = check_items(e, err);
    struct evaluate_hooks hooks = {e, on_records, should_stop};
    if (!code)
        code = prompts_run(warm->model, warm->tokenizer, e->dataset, e->first, e->end, &size,
                           &hooks, err);
    return code;
}

/* The job's share of the data set, which must be of the kind that the job is. */
static enum err_code take_share(struct evaluation *e, struct err *err)
{
    const struct spec_evaluate *spec = &e->context->spec->evaluate;
    const char *kind = record_kind_name(e->dataset->kind);
    if (strcmp(spec->kind, kind) != 0)
        return err_set(err, ERR_INVALID, "the job gives %s, its dataset asks for %s", spec->kind,
                       kind);
    if (spec->first + spec->sequences > (int64_t)e->dataset->sequence_count)
        return err_set(err, ERR_INVALID,
                       "the job's share ends at sequence %lld, the dataset has %u",
                       (long long)(spec->first + spec->sequences), e->dataset->sequence_count);
    e->first = (uint32_t)spec->first;
    e->end = (uint32_t)(spec->first + spec->sequences);
    return ERR_OK;
}

enum err_code exec_evaluate(struct exec_context *c, struct arena *arena, struct exec_result *result,
                            struct err *err)
{
    (void)arena;
    const char *data;
    struct dataset dataset = {0};
    struct evaluation e = {.context = c, .dataset = &dataset, .began_ms = clock_mono_ms()};
    enum err_code code = exec_input_need(c->job, "data", &data, err);
    if (!code)
        code = model_ready(c, err);
    if (!code)
        code = dataset_load(data, &dataset, err);
    if (!code)
        code = take_share(&e, err);
    if (!code)
        code = dataset.kind == RECORDS_SCORES ? score(&e, err) : follow_prompts(&e, err);
    result->items = c->sink->items;
    dataset_release(&dataset);
    return code;
}
