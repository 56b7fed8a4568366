/* Scoring one task with one model. The model stays loaded for the next evaluation. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "checkpoint.h"
#include "clock.h"
#include "corpus.h"
#include "dataset.h"
#include "evaluator.h"
#include "exec_kinds.h"
#include "kernels.h"

#define EVALUATE_BATCH_TOKENS ((size_t)4096)

struct evaluation {
    struct exec_context *context;
    const struct corpus *corpus;
    uint64_t done, total;
    double nats;
    int64_t began_ms;
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
        code = model_load(folder, &warm->model, err);
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
    enum err_code code = exec_sink_records(e->context->sink, records, count, err);
    if (code)
        return code;
    double seconds = (double)(clock_mono_ms() - e->began_ms) / 1000.0;
    double tokens = (double)e->corpus->starts[next_sequence];
    struct exec_progress progress = {
        .done = e->done,
        .total = e->total,
        .loss_nats = e->done ? e->nats / (double)e->done : (double)NAN,
        .tokens_per_s = seconds > 0 ? tokens / seconds : 0,
    };
    return exec_sink_progress(e->context->sink, &progress, err);
}

static bool should_stop(void *ctx)
{
    return ((struct evaluation *)ctx)->context->should_stop();
}

/* The largest batch that fits the memory the job was given. */
static size_t batch_tokens(const struct exec_context *c, const struct corpus *corpus)
{
    size_t tokens = EVALUATE_BATCH_TOKENS;
    const struct model_config *config = model_shape(c->warm->model);
    while (tokens > 256 && c->job->memory_bytes > 0 &&
           evaluator_memory_bytes(config, tokens, corpus_length_max(corpus)) > c->job->memory_bytes)
        tokens /= 2;
    return tokens;
}

static enum err_code score(struct exec_context *c, const struct corpus *corpus, struct err *err)
{
    struct evaluation e = {.context = c,
                           .corpus = corpus,
                           .total = evaluator_record_count(corpus),
                           .began_ms = clock_mono_ms()};
    if (e.total != (uint64_t)c->spec->evaluate.items)
        return err_set(err, ERR_INVALID, "the dataset gives %llu items, the plan says %lld",
                       (unsigned long long)e.total, (long long)c->spec->evaluate.items);
    struct evaluate_options options = {.batch_tokens = batch_tokens(c, corpus)};
    fprintf(stderr, "score %llu items of '%s' in format %s: %d threads, %s\n",
            (unsigned long long)e.total, c->spec->evaluate.task, c->spec->evaluate.format,
            kernel_threads(), kernel_class());
    struct evaluate_hooks hooks = {.ctx = &e, .on_records = on_records, .should_stop = should_stop};
    return evaluator_run(c->warm->model, corpus, &options, &hooks, err);
}

enum err_code exec_evaluate(struct exec_context *c, struct arena *arena, struct exec_result *result,
                            struct err *err)
{
    (void)arena;
    const char *data;
    struct dataset dataset;
    struct corpus corpus;
    memset(&dataset, 0, sizeof dataset);
    memset(&corpus, 0, sizeof corpus);
    enum err_code code = exec_input_need(c->job, "data", &data, err);
    if (!code)
        code = model_ready(c, err);
    if (code)
        return code;
    code = dataset_load(data, &dataset, err);
    if (!code) {
        size_t context = (size_t)model_shape(c->warm->model)->context;
        code = corpus_for_evaluation(&dataset, c->warm->tokenizer, context, &corpus, err);
        dataset_release(&dataset);
    }
    if (!code)
        code = score(c, &corpus, err);
    result->items = c->sink->items;
    corpus_release(&corpus);
    return code;
}
