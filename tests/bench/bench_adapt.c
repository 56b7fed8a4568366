/* What recomputing activations and training adapters save and cost, against training all weights
 * with activations kept: the same model and tokens, in one run. Prints one line a setting: memory
 * as planned, tokens a second of processor time (median of some steps, the settings taken in
 * turns), and the ratio of times.
 *
 *   bench_adapt [THREADS [ROUNDS]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels.h"
#include "rng.h"
#include "trainer.h"

enum { SEQUENCE_TOKENS = 512, SEQUENCES = 8, STEPS = 3, ROUNDS_MAX = 20, SETTING_COUNT = 4 };

static const struct {
    const char *name;
    enum train_recompute recompute;
    bool adapter;
} settings[SETTING_COUNT] = {
    {"all weights, kept", TRAIN_RECOMPUTE_NEVER, false},
    {"all weights, computed twice", TRAIN_RECOMPUTE_ALWAYS, false},
    {"LoRA r 16 on q and v, kept", TRAIN_RECOMPUTE_NEVER, true},
    {"LoRA r 16 on q and v, computed twice", TRAIN_RECOMPUTE_ALWAYS, true},
};

static void must(enum err_code rc, const struct err *err)
{
    if (rc == ERR_OK)
        return;
    fprintf(stderr, "bench_adapt: %s\n", err->text);
    exit(1);
}

/* 10M parameters: deep enough that layers, and not the head, decide. */
static struct model_config shape(void)
{
    struct model_config c = model_config_default();
    c.layers = 12;
    c.width = 256;
    c.heads = 4;
    c.kv_heads = 2;
    c.head_dim = 64;
    c.mlp_width = 704;
    c.vocabulary = 4096;
    c.context = SEQUENCE_TOKENS;
    return c;
}

static struct corpus random_corpus(int vocabulary)
{
    static int32_t ids[SEQUENCE_TOKENS], examples[SEQUENCE_TOKENS];
    static uint8_t losses[SEQUENCE_TOKENS];
    struct corpus corpus = {0};
    struct rng rng = rng_new(1, "bench");
    memset(losses, LOSS_CONTENT, sizeof losses);
    for (uint32_t s = 0; s < SEQUENCES; s++) {
        for (int i = 0; i < SEQUENCE_TOKENS; i++)
            ids[i] = (int32_t)rng_below(&rng, (uint64_t)vocabulary);
        corpus_append(&corpus, s, ids, losses, examples, SEQUENCE_TOKENS);
    }
    return corpus;
}

/* Processor time, which other programs on the machine disturb less than they do the clock. */
static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

struct measured {
    double rates[ROUNDS_MAX * STEPS];
    size_t count;
    double before; /* processor time at the end of the last step */
    struct train_memory memory;
};

static void on_step(void *ctx, const struct train_metrics *metrics)
{
    struct measured *m = ctx;
    const double now = cpu_seconds();
    if (metrics->step > 0) /* the first one touches the memory for the first time */
        m->rates[m->count++] = (double)metrics->token_count / (now - m->before);
    m->before = now;
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(struct measured *m)
{
    qsort(m->rates, m->count, sizeof m->rates[0], compare_doubles);
    return m->rates[m->count / 2];
}

static void measure(int setting, const struct corpus *corpus, struct measured *m)
{
    const struct model_config config = shape();
    const struct adapter_config lora = {
        .rank = 16, .alpha = 80, .targets = {[ADAPTER_Q] = true, [ADAPTER_V] = true}};
    struct train_options options = {
        .batch_tokens = (size_t)SEQUENCES * SEQUENCE_TOKENS,
        .accumulate = 1,
        .steps = STEPS,
        .schedule = {.kind = SCHEDULE_CONSTANT, .learning_rate = 1e-4},
        .optimizer = {.beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .clip_norm = 1},
        .recompute = settings[setting].recompute,
    };
    const struct train_hooks hooks = {.ctx = m, .on_step = on_step};
    struct adapter adapter = {.scale = 0};
    struct model *model = NULL;
    struct trainer *trainer = NULL;
    struct train_result result;
    struct err err = {0};
    must(model_new(&config, &model, &err), &err);
    params_randomize(model_params(model), &config, 1, 0.02);
    if (settings[setting].adapter) {
        must(adapter_init(&adapter, &lora, &config, model_weights(model), 1, &err), &err);
        options.adapter = &adapter;
    }
    must(trainer_new(model, corpus, &options, &trainer, &err), &err);
    m->memory = *trainer_memory(trainer);
    must(trainer_run(trainer, &hooks, &result, &err), &err);
    trainer_free(trainer);
    adapter_release(&adapter);
    model_free(model);
}

int main(int argc, char **argv)
{
    static struct measured all[SETTING_COUNT];
    const int threads = argc > 1 ? atoi(argv[1]) : 1;
    const int rounds = argc > 2 ? atoi(argv[2]) : 5;
    struct corpus corpus = random_corpus(shape().vocabulary);
    if (threads < 1 || rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "bench_adapt [THREADS [ROUNDS up to %d]]\n", ROUNDS_MAX);
        return 2;
    }
    kernel_threads_set(threads);
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < SETTING_COUNT; i++)
            measure(i, &corpus, &all[i]);
    }
    printf("%d threads, %s, steps of %d tokens\n", threads, kernel_class(),
           SEQUENCES * SEQUENCE_TOKENS);
    printf("%-38s %12s %12s %10s %12s %8s\n", "", "state MiB", "act. MiB", "all MiB", "tokens/s",
           "time");
    const double base = median(&all[0]);
    for (int i = 0; i < SETTING_COUNT; i++) {
        const struct train_memory *m = &all[i].memory;
        const double mib = 1048576.0;
        const double rate = median(&all[i]);
        printf("%-38s %12.0f %12.0f %10.0f %12.0f %7.2fx\n", settings[i].name,
               (double)(m->all - m->activations) / mib, (double)m->activations / mib,
               (double)m->all / mib, rate, base / rate);
    }
    corpus_release(&corpus);
    return 0;
}
