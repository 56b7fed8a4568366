#include <stdlib.h>

#include "bench_ops.h"
#include "bench_run.h"
#include "bench_shape.h"
#include "clock.h"
#include "corpus.h"
#include "kernels.h"
#include "trainer.h"

enum { SGEMM_SIZE = 4096, SGEMM_ROUNDS = 3, STEPS_MAX = 256 };

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return count > 0 ? values[count / 2] : 0;
}

struct bench_time bench_now(void)
{
    return (struct bench_time){1e-9 * (double)clock_mono_ns(), 1e-9 * (double)clock_cpu_ns()};
}

struct bench_time bench_since(struct bench_time start)
{
    const struct bench_time now = bench_now();
    return (struct bench_time){now.wall - start.wall, now.cpu - start.cpu};
}

/* Steps as they end; the first one touches the memory and is not measured. */
struct steps {
    double seconds[STEPS_MAX];
    size_t count;
    bool warm;
    double first_loss; /* of the untrained model */
    struct bench_time start;
};

static void on_step(void *ctx, const struct train_metrics *metrics)
{
    struct steps *s = ctx;
    if (!s->warm) {
        bench_ops_reset();
        s->first_loss = metrics->loss_nats;
        s->start = bench_now();
    } else if (s->count < STEPS_MAX)
        s->seconds[s->count++] = (double)metrics->token_count / metrics->tokens_per_s;
    s->warm = true;
}

/* Random sequences of equal length for all steps; every token but the first has a loss. */
static void fill_corpus(struct corpus *corpus, const struct bench_options *o)
{
    const size_t sequences = (size_t)(o->rounds + 1) * (o->step_tokens / o->tokens);
    int32_t *examples = calloc(o->tokens, sizeof *examples);
    uint8_t *losses = calloc(o->tokens, sizeof *losses);
    int32_t *ids = bench_shape_ids(&o->shape, sequences * o->tokens, "train");
    for (size_t i = 0; losses && i < o->tokens; i++)
        losses[i] = LOSS_CONTENT;
    for (size_t s = 0; losses && examples && s < sequences; s++)
        corpus_append(corpus, (uint32_t)s, ids + s * o->tokens, losses, examples, o->tokens);
    free(ids);
    free(losses);
    free(examples);
}

static void report_steps(struct bench_report *report, const struct bench_options *o,
                         struct steps *steps, const struct kernel_rate *sgemm, double memory_bytes)
{
    const struct bench_time all = bench_since(steps->start);
    const double tokens = (double)(o->step_tokens / o->tokens * o->tokens);
    const double seconds = bench_median(steps->seconds, steps->count);
    const double flops = 6 * bench_shape_product_parameters(&o->shape) * tokens;
    const double cpu_rate = flops * (double)steps->count / all.cpu;
    bench_report_figure(report, "memory", memory_bytes / 1048576, "MiB");
    bench_report_figure(report, "step (median)", seconds, "s");
    bench_report_figure(report, "step, processor time", all.cpu / (double)steps->count, "s");
    bench_report_figure(report, "training", tokens / seconds, "tokens/s");
    bench_report_figure(report, "training, 6 N tokens", 1e-9 * flops / seconds, "GFLOP/s");
    bench_report_figure(report, "sgemm 4096^3, best", sgemm->wall, "GFLOP/s");
    bench_report_figure(report, "training of sgemm", 1e-7 * flops / seconds / sgemm->wall, "%");
    bench_report_figure(report, "training, per processor second", 1e-9 * cpu_rate, "GFLOP/s");
    bench_report_figure(report, "sgemm, per processor second", sgemm->cpu, "GFLOP/s");
    bench_report_figure(report, "training of sgemm, processor time", 1e-7 * cpu_rate / sgemm->cpu,
                        "%");
    bench_ops_report(report, "operations of a step", all.cpu, (int)steps->count);
}

enum err_code bench_train(struct bench_report *report, const struct bench_options *o,
                          struct err *err)
{
    static struct steps steps;
    const struct train_options options = {
        .batch_tokens = o->step_tokens,
        .accumulate = 1,
        .steps = o->rounds + 1,
        .recompute = TRAIN_RECOMPUTE_NEVER,
        .schedule = {.kind = SCHEDULE_COSINE, .learning_rate = 3e-4},
        .optimizer = {.beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .clip_norm = 1},
    };
    const struct train_hooks hooks = {.ctx = &steps, .on_step = on_step};
    struct corpus corpus = {0};
    struct model *model = NULL;
    struct trainer *trainer = NULL;
    struct train_result result;
    if (o->tokens > o->step_tokens || o->rounds < 1 || o->rounds > STEPS_MAX)
        return err_set(err, ERR_INVALID, "bench train: %zu tokens of a step, %zu of a sequence",
                       o->step_tokens, o->tokens);
    steps = (struct steps){.count = 0};
    const struct kernel_rate sgemm = kernel_sgemm_rate(SGEMM_SIZE, SGEMM_ROUNDS);
    fill_corpus(&corpus, o);
    enum err_code rc = bench_shape_model(&o->shape, &model, err);
    bench_ops_begin();
    if (rc == ERR_OK)
        rc = trainer_new(model, &corpus, &options, &trainer, err);
    if (rc == ERR_OK)
        rc = trainer_run(trainer, &hooks, &result, err);
    bench_ops_end();
    if (rc == ERR_OK) {
        report_steps(report, o, &steps, &sgemm, (double)result.last.memory_bytes);
        bench_report_figure(report, "loss of the first step", steps.first_loss, "nats");
        bench_report_figure(report, "loss of the last step", result.last.loss_nats, "nats");
    }
    trainer_free(trainer);
    model_free(model);
    corpus_release(&corpus);
    return rc;
}
