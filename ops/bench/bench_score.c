#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_ops.h"
#include "bench_run.h"
#include "bench_shape.h"
#include "check.h"
#include "file.h"
#include "kernels.h"
#include "safetensors.h"

enum { SGEMM_SIZE = 2048, SGEMM_ROUNDS = 3, ROUNDS_MAX = 64 };

struct score_run {
    struct model_run *run;
    struct model_sequence sequence;
    uint8_t *losses;
    struct token_score *scores;
    double seconds[ROUNDS_MAX];
};

/* Every `step`-th token has a loss. */
static void choose_losses(struct score_run *r, size_t step)
{
    for (size_t i = 0; i < r->sequence.count; i++)
        r->losses[i] = i > 0 && i % step == 0 ? 1 : 0;
}

/* Median seconds of scoring the sequence; the first round is not measured. */
static double measure(struct score_run *r, int rounds, struct bench_time *total)
{
    struct bench_time start = {0, 0};
    for (int i = -1; i < rounds; i++) {
        if (i == 0) {
            bench_ops_reset();
            start = bench_now();
        }
        const struct bench_time round = bench_now();
        model_forward(r->run, &r->sequence, 1, r->scores);
        if (i >= 0)
            r->seconds[i] = bench_since(round).wall;
    }
    *total = bench_since(start);
    return bench_median(r->seconds, (size_t)rounds);
}

static void report_scoring(struct bench_report *report, const struct bench_options *o,
                           struct score_run *r)
{
    const double N = bench_shape_product_parameters(&o->shape);
    struct bench_time total, total_some;
    choose_losses(r, 1);
    const double everywhere = measure(r, o->rounds, &total);
    const double tokens = (double)(r->sequence.count - 1);
    double nats = 0;
    for (size_t i = 0; i + 1 < r->sequence.count; i++)
        nats += r->scores[i].nats;
    bench_report_figure(report, "nats of the sequence", nats, "");
    bench_report_figure(report, "scoring, processor time", total.cpu / o->rounds, "s");
    bench_report_figure(report, "scoring, logits at every position", everywhere, "s");
    bench_report_figure(report, "scoring", tokens / everywhere, "tokens/s");
    bench_report_figure(report, "scoring, 2 N tokens", 2e-9 * N * tokens / everywhere, "GFLOP/s");
    const struct kernel_rate sgemm = kernel_sgemm_rate(SGEMM_SIZE, SGEMM_ROUNDS);
    bench_report_figure(report, "sgemm 2048^3, best", sgemm.wall, "GFLOP/s");
    bench_report_figure(report, "scoring, per processor second",
                        2e-9 * N * tokens * o->rounds / total.cpu, "GFLOP/s");
    bench_report_figure(report, "sgemm, per processor second", sgemm.cpu, "GFLOP/s");
    bench_ops_report(report, "operations of scoring", total.cpu, o->rounds);
    if (o->loss_share < 1) {
        choose_losses(r, (size_t)(1 / o->loss_share + 0.5));
        const double some = measure(r, o->rounds, &total_some);
        bench_report_figure(report, "scoring, loss at some positions", some, "s");
        bench_report_figure(report, "share of positions with a loss", 100 * o->loss_share, "%");
        bench_report_figure(report, "everywhere over some", everywhere / some, "x");
        bench_report_figure(report, "everywhere over some, processor time",
                            total.cpu / total_some.cpu, "x");
        bench_ops_report(report, "operations with a loss at some positions", total_some.cpu,
                         o->rounds);
    }
}

/* For another program to score the same: weights in the precision of the products, config.json and
 * the ids. */
static enum err_code save(const struct bench_options *o, struct model *model, const int32_t *ids,
                          struct err *err)
{
    char path[4096];
    const struct params *p = model_weights(model);
    struct strbuf config = {0};
    enum err_code rc = file_mkdirs(o->save, 0755, err);
    snprintf(path, sizeof path, "%s/model.safetensors", o->save);
    if (rc == ERR_OK)
        rc = safetensors_write(path, p->tensors, p->tensor_count,
                               strstr(kernel_class(), "/bf16/") ? TENSOR_BF16 : TENSOR_F32, err);
    snprintf(path, sizeof path, "%s/config.json", o->save);
    model_config_print(model_shape(model), &config);
    if (rc == ERR_OK)
        rc = file_write_atomic(path, config.data, config.len, 0644, err);
    snprintf(path, sizeof path, "%s/ids.bin", o->save);
    if (rc == ERR_OK)
        rc = file_write_atomic(path, ids, (o->tokens + 1) * sizeof *ids, 0644, err);
    strbuf_release(&config);
    return rc;
}

enum err_code bench_score(struct bench_report *report, const struct bench_options *o,
                          struct err *err)
{
    struct score_run r = {.losses = calloc(o->tokens + 1, 1),
                          .scores = calloc(o->tokens + 1, sizeof *r.scores)};
    int32_t *ids = bench_shape_ids(&o->shape, o->tokens + 1, "score");
    const struct model_capacity capacity = {1, o->tokens + 1, o->tokens + 1, o->tokens + 1};
    struct model *model = NULL;
    ASSERT(r.losses && r.scores && o->rounds <= ROUNDS_MAX);
    r.sequence = (struct model_sequence){.ids = ids, .losses = r.losses, .count = o->tokens + 1};
    enum err_code rc =
        o->folder ? model_open(o->folder, &model, err) : bench_shape_model(&o->shape, &model, err);
    if (rc == ERR_OK && o->save)
        rc = save(o, model, ids, err);
    bench_ops_begin();
    if (rc == ERR_OK)
        rc = model_run_new(model, MODEL_SCORE, &capacity, &r.run, err);
    if (rc == ERR_OK)
        report_scoring(report, o, &r);
    bench_ops_end();
    model_run_free(r.run);
    model_free(model);
    free(ids);
    free(r.scores);
    free(r.losses);
    return rc;
}
