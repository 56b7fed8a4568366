/* What a training was said to take in memory against what it took, in a process of its own for each
 * shape: the peak of the resident set, less what was resident before. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmocka_all.h"
#include "kernels.h"
#include "rng.h"
#include "trainer.h"

/* The plan may be passed by what it does not name (the allocator, the corpus, code pages), and the
 * peak may stay below it: work space for attention is as large as the longest sequence, and not
 * every page of it is written. */
#define SLACK_BYTES ((size_t)6 << 20)
#define LEAST_SHARE 0.75
#define MOST_SHARE  1.03

struct shape {
    const char *kernels;
    int layers, width, vocabulary, threads;
    size_t sequences, tokens; /* of a micro-batch; of a sequence */
    enum train_recompute recompute;
    bool adapter;
};

static const struct shape shapes[] = {
    {"packed/f32", 4, 256, 4096, 1, 4, 256, TRAIN_RECOMPUTE_NEVER, false},
    {"packed/f32", 8, 256, 1024, 2, 8, 256, TRAIN_RECOMPUTE_ALWAYS, false},
    {"packed/f32", 2, 128, 32000, 2, 2, 512, TRAIN_RECOMPUTE_NEVER, false},
    {"packed/bf16", 4, 256, 4096, 2, 16, 100, TRAIN_RECOMPUTE_NEVER, false},
    {"packed/bf16", 6, 384, 4096, 1, 2, 512, TRAIN_RECOMPUTE_ALWAYS, true},
    {"packed/f32", 6, 384, 8192, 2, 4, 200, TRAIN_RECOMPUTE_NEVER, true},
};

/* A line of /proc/self/status, in bytes. */
static size_t status_bytes(const char *key)
{
    char line[256];
    size_t found = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, key, strlen(key)) == 0)
            found = (size_t)strtoull(line + strlen(key), NULL, 10) * 1024;
    }
    if (file)
        fclose(file);
    return found;
}

static struct corpus random_corpus(const struct shape *s)
{
    struct corpus corpus = {0};
    struct rng rng = rng_new(1, "memory");
    int32_t *ids = calloc(s->tokens, sizeof *ids), *examples = calloc(s->tokens, sizeof *examples);
    uint8_t *losses = malloc(s->tokens);
    memset(losses, LOSS_CONTENT, s->tokens);
    for (uint32_t i = 0; i < 2 * s->sequences; i++) {
        for (size_t t = 0; t < s->tokens; t++)
            ids[t] = (int32_t)rng_below(&rng, (uint64_t)s->vocabulary);
        corpus_append(&corpus, i, ids, losses, examples, s->tokens);
    }
    free(losses);
    free(examples);
    free(ids);
    return corpus;
}

/* Two steps; planned and taken bytes go through `out`. */
static int train(const struct shape *s, int out)
{
    struct model_config config = model_config_default();
    config.layers = s->layers;
    config.width = s->width;
    config.heads = s->width / 64;
    config.kv_heads = 1;
    config.head_dim = 64;
    config.mlp_width = 2 * s->width;
    config.vocabulary = s->vocabulary;
    config.context = (int)s->tokens;
    const struct adapter_config lora = {.rank = 8, .alpha = 8, .targets = {[ADAPTER_Q] = true}};
    struct train_options options = {
        .batch_tokens = s->sequences * s->tokens,
        .accumulate = 1,
        .steps = 2,
        .schedule = {.kind = SCHEDULE_CONSTANT, .learning_rate = 1e-4},
        .optimizer = {.beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .clip_norm = 1},
        .recompute = s->recompute,
    };
    const struct train_hooks hooks = {.ctx = NULL};
    struct adapter adapter = {.scale = 0};
    struct model *model = NULL;
    struct trainer *trainer = NULL;
    struct train_result result;
    struct err err;
    if (!kernel_use(s->kernels))
        return 1;
    kernel_threads_set(s->threads);
    struct corpus corpus = random_corpus(s);
    const size_t before = status_bytes("VmRSS:");
    if (model_new(&config, &model, &err) != ERR_OK)
        return 1;
    params_randomize(model_params(model), &config, 1, 0.02);
    options.adapter = s->adapter ? &adapter : NULL;
    if (s->adapter &&
        adapter_init(&adapter, &lora, model_shape(model), model_weights(model), 5, &err) != ERR_OK)
        return 1;
    if (trainer_new(model, &corpus, &options, &trainer, &err) != ERR_OK ||
        trainer_run(trainer, &hooks, &result, &err) != ERR_OK)
        return 1;
    const size_t sizes[2] = {trainer_memory(trainer)->all, status_bytes("VmHWM:") - before};
    return write(out, sizes, sizeof sizes) == (ssize_t)sizeof sizes ? 0 : 1;
}

static void peaks_are_as_planned(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        size_t sizes[2] = {0, 0};
        int ends[2], status = 1;
        assert_int_equal(pipe(ends), 0);
        const pid_t child = fork(); /* before this process computes anything */
        if (child == 0)
            _exit(train(&shapes[i], ends[1]));
        close(ends[1]);
        assert_int_equal(read(ends[0], sizes, sizeof sizes), sizeof sizes);
        close(ends[0]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        const double planned = (double)sizes[0], taken = (double)sizes[1];
        print_message("shape %zu: planned %.1f MiB, taken %.1f\n", i, planned / 1048576,
                      taken / 1048576);
        assert_true(taken < MOST_SHARE * planned + (double)SLACK_BYTES);
        assert_true(taken > LEAST_SHARE * planned);
    }
}

int main(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    puts("SKIP: a sanitizer keeps memory of its own");
    return 77;
#endif
    const struct CMUnitTest tests[] = {cmocka_unit_test(peaks_are_as_planned)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
