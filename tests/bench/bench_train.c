/* Speed of training and scoring, beside the rate of a large sgemm in the same run, with the time
 * each operation takes.
 *
 * usage: bench_train [threads [steps]]      the quickstart's shape: 4 layers, C 128, H 4, G 2, mlp
 * 384, vocabulary 1,030, sequences up to 768, 4,096 tokens a step */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "corpus.h"
#include "evaluator.h"
#include "kernels.h"
#include "model.h"
#include "rng.h"
#include "trainer.h"

enum { SEQUENCE_TOKENS = 768, BATCH_TOKENS = 4096, SGEMM_SIZE = 2048, SEQUENCES = 400 };

/* ---- a table of operations that measures ---- */

enum op {
    GATHER,
    SCATTER,
    NORM,
    NORM_B,
    ROPE,
    ATTN,
    ATTN_B,
    SWIGLU,
    SWIGLU_B,
    MM,
    MM_IN,
    MM_W,
    LOSS,
    LOSS_B,
    ADD,
    OP_COUNT
};

static const char *const op_names[OP_COUNT] = {"gather",
                                               "scatter add",
                                               "norm",
                                               "norm backward",
                                               "rope (both)",
                                               "attention",
                                               "attention backward",
                                               "swiglu",
                                               "swiglu backward",
                                               "matmul",
                                               "matmul backward input",
                                               "matmul backward weight",
                                               "loss",
                                               "loss backward",
                                               "add"};

static const struct kernel_ops *inner;
static double op_seconds[OP_COUNT];

#define TIMED(op, call)                                                                            \
    do {                                                                                           \
        int64_t start_ns = clock_mono_ns();                                                        \
        inner->call;                                                                               \
        op_seconds[op] += (double)(clock_mono_ns() - start_ns) * 1e-9;                             \
    } while (0)

static void t_gather(float *out, const int32_t *ids, const float *table, int N, int C)
{
    TIMED(GATHER, gather(out, ids, table, N, C));
}

static void t_scatter(float *table, const int32_t *ids, const float *out, int N, int C)
{
    TIMED(SCATTER, scatter_add(table, ids, out, N, C));
}

static void t_norm(float *out, float *rstd, const float *in, const float *w, double base,
                   double eps, int N, int C)
{
    TIMED(NORM, norm_forward(out, rstd, in, w, base, eps, N, C));
}

static void t_norm_b(float *gi, float *gw, const float *go, const float *in, const float *w,
                     double base, const float *rstd, int N, int C)
{
    TIMED(NORM_B, norm_backward(gi, gw, go, in, w, base, rstd, N, C));
}

static void t_rope(float *x, const int32_t *positions, const float *table, int N, int H, int D)
{
    TIMED(ROPE, rope_forward(x, positions, table, N, H, D));
}

static void t_rope_b(float *x, const int32_t *positions, const float *table, int N, int H, int D)
{
    TIMED(ROPE, rope_backward(x, positions, table, N, H, D));
}

static void t_attn(float *out, float *lse, const float *q, const float *k, const float *v,
                   const struct kernel_batch *batch, const struct kernel_attention *shape,
                   void *work)
{
    TIMED(ATTN, attention_forward(out, lse, q, k, v, batch, shape, work));
}

static void t_attn_b(float *gq, float *gk, float *gv, const float *go, const float *out,
                     const float *lse, const float *q, const float *k, const float *v,
                     const struct kernel_batch *batch, const struct kernel_attention *shape,
                     void *work)
{
    TIMED(ATTN_B, attention_backward(gq, gk, gv, go, out, lse, q, k, v, batch, shape, work));
}

static void t_swiglu(float *out, const float *gate, const float *up, size_t count)
{
    TIMED(SWIGLU, swiglu_forward(out, gate, up, count));
}

static void t_swiglu_b(float *gg, float *gu, const float *go, const float *gate, const float *up,
                       size_t count)
{
    TIMED(SWIGLU_B, swiglu_backward(gg, gu, go, gate, up, count));
}

static void t_mm(float *out, const float *in, const float *w, int N, int C, int O)
{
    TIMED(MM, matmul_forward(out, in, w, N, C, O));
}

static void t_mm_in(float *gi, const float *go, const float *w, int N, int C, int O, bool add)
{
    TIMED(MM_IN, matmul_backward_input(gi, go, w, N, C, O, add));
}

static void t_mm_w(float *gw, const float *go, const float *in, int N, int C, int O)
{
    TIMED(MM_W, matmul_backward_weight(gw, go, in, N, C, O));
}

static void t_loss(double *nats, double *lse, bool *hit, const float *logits,
                   const int32_t *targets, int N, int V)
{
    TIMED(LOSS, loss_forward(nats, lse, hit, logits, targets, N, V));
}

static void t_loss_b(float *logits, const double *lse, const int32_t *targets, double scale, int N,
                     int V)
{
    TIMED(LOSS_B, loss_backward(logits, lse, targets, scale, N, V));
}

static void t_add(float *out, const float *in, size_t count)
{
    TIMED(ADD, add(out, in, count));
}

static struct kernel_ops timed_ops(void)
{
    struct kernel_ops ops = *kernel_select();
    ops.gather = t_gather;
    ops.scatter_add = t_scatter;
    ops.norm_forward = t_norm;
    ops.norm_backward = t_norm_b;
    ops.rope_forward = t_rope;
    ops.rope_backward = t_rope_b;
    ops.attention_forward = t_attn;
    ops.attention_backward = t_attn_b;
    ops.swiglu_forward = t_swiglu;
    ops.swiglu_backward = t_swiglu_b;
    ops.matmul_forward = t_mm;
    ops.matmul_backward_input = t_mm_in;
    ops.matmul_backward_weight = t_mm_w;
    ops.loss_forward = t_loss;
    ops.loss_backward = t_loss_b;
    ops.add = t_add;
    return ops;
}

/* ---- what is run ---- */

static void must(enum err_code rc, const struct err *err)
{
    if (rc == ERR_OK)
        return;
    fprintf(stderr, "bench_train: %s\n", err->text);
    exit(1);
}

static struct model_config quickstart_shape(void)
{
    struct model_config c = model_config_default();
    c.layers = 4;
    c.width = 128;
    c.heads = 4;
    c.kv_heads = 2;
    c.head_dim = 32;
    c.mlp_width = 384;
    c.vocabulary = 1030;
    c.context = SEQUENCE_TOKENS;
    return c;
}

/* Sequences of 100 … 768 tokens; `loss_share` of the tokens count, in runs of ten per example. */
static struct corpus random_corpus(int vocabulary, double loss_share)
{
    static int32_t ids[SEQUENCE_TOKENS], examples[SEQUENCE_TOKENS];
    static uint8_t losses[SEQUENCE_TOKENS];
    struct corpus corpus = {0};
    struct rng rng = rng_new(1, "bench");
    for (uint32_t s = 0; s < SEQUENCES; s++) {
        size_t count = 100 + rng_below(&rng, SEQUENCE_TOKENS - 99);
        for (size_t i = 0; i < count; i++) {
            ids[i] = (int32_t)rng_below(&rng, (uint64_t)vocabulary);
            examples[i] = (int32_t)(i / 10);
            losses[i] = (double)(i % 10) < 10 * loss_share ? LOSS_CONTENT : LOSS_NONE;
        }
        corpus_append(&corpus, s, ids, losses, examples, count);
    }
    return corpus;
}

static double sgemm_gflops(int threads)
{
    const size_t count = (size_t)SGEMM_SIZE * SGEMM_SIZE;
    float *a = malloc(count * sizeof *a), *b = malloc(count * sizeof *b);
    float *c = malloc(count * sizeof *c);
    double best = 0;
    for (size_t i = 0; a && b && i < count; i++)
        a[i] = b[i] = (float)(i % 7) - 3.0f;
    openblas_set_num_threads(threads);
    for (int round = 0; a && b && c && round < 5; round++) {
        int64_t start_ns = clock_mono_ns();
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, SGEMM_SIZE, SGEMM_SIZE, SGEMM_SIZE,
                    1.0f, a, SGEMM_SIZE, b, SGEMM_SIZE, 0.0f, c, SGEMM_SIZE);
        double ns = (double)(clock_mono_ns() - start_ns);
        double rate = 2.0 * SGEMM_SIZE * SGEMM_SIZE * SGEMM_SIZE / ns;
        best = rate > best ? rate : best;
    }
    openblas_set_num_threads(1);
    free(a);
    free(b);
    free(c);
    return best;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct rates {
    double values[1000];
    size_t count;
};

static void on_step(void *ctx, const struct train_metrics *metrics)
{
    struct rates *r = ctx;
    if (r->count < 1000)
        r->values[r->count++] = metrics->tokens_per_s;
}

static double median(struct rates *r)
{
    qsort(r->values, r->count, sizeof r->values[0], compare_doubles);
    return r->count ? r->values[r->count / 2] : 0;
}

static void bench_training(struct model *model, double loss_share, int steps, double sgemm)
{
    const struct model_config *config = model_shape(model);
    struct corpus corpus = random_corpus(config->vocabulary, loss_share);
    struct train_options options = {
        .batch_tokens = BATCH_TOKENS,
        .accumulate = 1,
        .steps = steps,
        .schedule = {.kind = SCHEDULE_COSINE, .learning_rate = 1e-3},
        .optimizer = {.beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .clip_norm = 1},
    };
    struct rates rates = {.count = 0};
    struct train_hooks hooks = {.ctx = &rates, .on_step = on_step};
    struct train_result result;
    struct trainer *trainer = NULL;
    struct err err = {0};
    params_randomize(model_params(model), config, 1, 0.02);
    must(trainer_new(model, &corpus, &options, &trainer, &err), &err);
    must(trainer_run(trainer, &hooks, &result, &err), &err);
    double rate = median(&rates);
    double gflops = 6.0 * (double)model_config_parameters(config) * rate * 1e-9;
    printf(
        "train, loss on %3.0f %% of tokens: %8.0f tokens/s  %6.1f GFLOP/s (6 N tokens)  %4.1f %% "
        "of sgemm  %4.0f MiB\n",
        100 * loss_share, rate, gflops, 100 * gflops / sgemm,
        (double)result.last.memory_bytes / 1048576.0);
    trainer_free(trainer);
    corpus_release(&corpus);
}

static void bench_scoring(const struct model *model, double loss_share, double sgemm)
{
    struct corpus corpus = random_corpus(model_shape(model)->vocabulary, loss_share);
    struct evaluate_options options = {.batch_tokens = BATCH_TOKENS};
    struct evaluate_hooks hooks = {0};
    struct err err = {0};
    int64_t start_ns = clock_mono_ns();
    must(evaluator_run(model, &corpus, &options, &hooks, &err), &err);
    double seconds = (double)(clock_mono_ns() - start_ns) * 1e-9;
    double rate = (double)corpus.starts[corpus.sequence_count] / seconds;
    double gflops = 2.0 * (double)model_config_parameters(model_shape(model)) * rate * 1e-9;
    printf(
        "score, loss on %3.0f %% of tokens: %8.0f tokens/s  %6.1f GFLOP/s (2 N tokens)  %4.1f %% "
        "of sgemm  %6.0f items/s\n",
        100 * loss_share, rate, gflops, 100 * gflops / sgemm,
        (double)evaluator_record_count(&corpus, 0, corpus.sequence_count) / seconds);
    corpus_release(&corpus);
}

static void bench_operations(const struct model *model, double loss_share)
{
    enum { ROUNDS = 5, SEQUENCES_MAX = 64 };
    struct corpus corpus = random_corpus(model_shape(model)->vocabulary, loss_share);
    struct batch_plan plan = {.corpus = &corpus, .batch_tokens = BATCH_TOKENS, .accumulate = 1};
    struct data_cursor cursor = {0};
    struct micro_batch micro;
    struct kernel_ops ops = timed_ops();
    struct model_run *run = NULL;
    struct model_sequence sequences[SEQUENCES_MAX];
    struct params gradients;
    struct err err = {0};
    batch_step(&plan, &cursor, &micro);
    struct token_score *scores = calloc(micro.token_count, sizeof *scores);
    struct model_capacity capacity = {micro.sequence_count, micro.token_count, micro.token_count,
                                      SEQUENCE_TOKENS};
    if (!scores || micro.sequence_count > SEQUENCES_MAX)
        exit(1);
    for (uint32_t i = 0; i < micro.sequence_count; i++)
        sequences[i] = (struct model_sequence){.ids = corpus.ids + corpus.starts[i],
                                               .losses = corpus.losses + corpus.starts[i],
                                               .count = corpus_length(&corpus, i)};
    must(model_run_new(model, MODEL_TRAIN, &capacity, &run, &err), &err);
    must(params_init(&gradients, model_shape(model), &err), &err);
    model_run_use(run, &ops);
    double total = 0;
    for (int round = -1; round < ROUNDS; round++) {
        int64_t start_ns = clock_mono_ns();
        model_forward(run, sequences, micro.sequence_count, scores);
        model_backward(run, 1e-3, &gradients);
        total += (double)(clock_mono_ns() - start_ns) * 1e-9;
        if (round == -1) { /* the first round touches the memory */
            total = 0;
            for (int op = 0; op < OP_COUNT; op++)
                op_seconds[op] = 0;
        }
    }
    double named = 0;
    printf("forward and backward of %zu tokens: %.1f ms\n", micro.token_count,
           1e3 * total / ROUNDS);
    for (int op = 0; op < OP_COUNT; op++) {
        named += op_seconds[op];
        printf("  %-22s %7.2f ms  %4.1f %%\n", op_names[op], 1e3 * op_seconds[op] / ROUNDS,
               100 * op_seconds[op] / total);
    }
    printf("  %-22s %7.2f ms  %4.1f %%\n", "between them", 1e3 * (total - named) / ROUNDS,
           100 * (total - named) / total);
    params_release(&gradients);
    model_run_free(run);
    free(scores);
    corpus_release(&corpus);
}

int main(int argc, char **argv)
{
    int threads = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 2;
    int steps = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 20;
    struct model_config config = quickstart_shape();
    struct model *model = NULL;
    struct err err = {0};
    inner = kernel_select();
    kernel_threads_set(threads);
    double sgemm = sgemm_gflops(kernel_threads());
    printf("%s, %d threads; sgemm of %d cubed: %.1f GFLOP/s\n", kernel_class(), kernel_threads(),
           SGEMM_SIZE, sgemm);
    must(model_new(&config, &model, &err), &err);
    bench_training(model, 1.0, steps, sgemm);
    bench_training(model, 0.4, steps, sgemm);
    bench_scoring(model, 0.4, sgemm);
    bench_operations(model, 1.0);
    model_free(model);
    return 0;
}
