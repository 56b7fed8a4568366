/* Products with factors rounded to bf16: how far scores move from those in f32, how far a
 * training's loss curve does, and that the promise on bits holds. Weights have 8 bits then, so a
 * logit moves by some hundredths; bounds here are about twice what the small models of the oracle
 * show. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "branch.h"
#include "cmocka_all.h"
#include "family_golden.h"
#include "kernels.h"

#define NATS_MEAN_BOUND 0.02 /* mean |difference| of a token's nats */
#define NATS_MOST_BOUND 0.2  /* and of any token */
#define CURVE_BOUND     0.04 /* of 20 losses: |difference| over the first loss */
#define ONEDNN          "onednn/bf16"
enum { TOKENS_MAX = 1024, STEPS_MAX = 64 };

struct curve {
    double losses[STEPS_MAX];
    size_t count;
};

static void choose(const char *name)
{
    assert_true(kernel_use(name));
}

/* All tokens of the case's sequences; returns how many. */
static size_t score(const struct golden *g, const char *kernels, struct token_score *scores)
{
    struct model_sequence sequences[GOLDEN_SEQUENCES_MAX];
    struct model_run *run = NULL;
    struct err err;
    choose(kernels);
    struct model *model = golden_model(g);
    const size_t count = golden_sequences(&g->corpus, sequences);
    const struct model_capacity capacity = {count, TOKENS_MAX, TOKENS_MAX, 96};
    assert_int_equal(model_run_new(model, MODEL_SCORE, &capacity, &run, &err), ERR_OK);
    model_forward(run, sequences, count, scores);
    model_run_free(run);
    model_free(model);
    choose("packed/f32");
    return g->corpus.loss_token_count;
}

static void check_scores(const char *kernels)
{
    for (size_t k = 0; k < golden_case_count; k++) {
        static struct token_score full[TOKENS_MAX], half[TOKENS_MAX];
        struct golden g;
        golden_load(&g, golden_cases[k]);
        const size_t count = score(&g, "packed/f32", full);
        score(&g, kernels, half);
        double mean = 0, most = 0;
        for (size_t i = 0; i < count; i++) {
            const double difference = fabs(full[i].nats - half[i].nats);
            mean += difference / (double)count;
            most = fmax(most, difference);
        }
        print_message("%s, %s: mean %.4f, most %.4f nats\n", kernels, golden_cases[k], mean, most);
        assert_true(mean < NATS_MEAN_BOUND && most < NATS_MOST_BOUND);
        assert_true(mean > 1e-6); /* it is another precision */
        golden_release(&g);
    }
}

static void scores_stay_within_bounds(void **state)
{
    (void)state;
    check_scores("packed/bf16");
    if (!kernel_lack(ONEDNN))
        check_scores(ONEDNN);
}

static void on_step(void *ctx, const struct train_metrics *metrics)
{
    struct curve *c = ctx;
    assert_true(c->count < STEPS_MAX);
    c->losses[c->count++] = metrics->loss_nats;
}

static void train(const struct golden *g, const char *kernels, struct curve *curve)
{
    const struct train_hooks hooks = {.ctx = curve, .on_step = on_step};
    struct train_result result;
    struct trainer *trainer = NULL;
    struct err err;
    curve->count = 0;
    choose(kernels);
    struct model *model = golden_model(g);
    assert_int_equal(trainer_new(model, &g->corpus, &g->train, &trainer, &err), ERR_OK);
    assert_int_equal(trainer_run(trainer, &hooks, &result, &err), ERR_OK);
    trainer_free(trainer);
    model_free(model);
    choose("packed/f32");
}

static void the_loss_curve_is_that_of_f32(void **state)
{
    (void)state;
    for (size_t k = 0; k < golden_case_count; k++) {
        struct golden g;
        struct curve full, half;
        double worst = 0;
        golden_load(&g, golden_cases[k]);
        train(&g, "packed/f32", &full);
        train(&g, "packed/bf16", &half);
        assert_int_equal(full.count, half.count);
        for (size_t i = 0; i < full.count; i++)
            worst = fmax(worst, fabs(half.losses[i] - full.losses[i]) / full.losses[0]);
        print_message("%s: losses within %.4f\n", golden_cases[k], worst);
        assert_true(worst < CURVE_BOUND);
        assert_true(full.losses[full.count - 1] < full.losses[0]);
        golden_release(&g);
    }
}

/* Candidates after a shared prompt, on two threads, have the bits of their whole texts on one;
 * also where the prompt ends in the middle of a pair of positions, and behind a window. */
static void check_company(const struct golden *g, int prompt)
{
    enum { PROMPT_MAX = 40, CANDIDATE = 5, CANDIDATES = 7 };
    struct branch *branch = NULL;
    struct err err;
    int32_t ids[CANDIDATES][PROMPT_MAX + CANDIDATE];
    struct branch_candidate candidates[CANDIDATES];
    struct branch_sum sums[CANDIDATES];
    const int count = prompt + CANDIDATE;
    assert_true(prompt <= PROMPT_MAX);
    struct model *model = golden_model(g);
    for (int c = 0; c < CANDIDATES; c++) {
        for (int i = 0; i < count; i++)
            ids[c][i] = (i < prompt ? 3 * i : 7 * i + c) % g->config.vocabulary;
        candidates[c] = (struct branch_candidate){ids[c] + prompt, CANDIDATE};
    }
    kernel_threads_set(2);
    const struct branch_capacity room = {.prompt_tokens = (size_t)prompt,
                                         .continuation_tokens = CANDIDATE};
    assert_int_equal(branch_new(model, &room, &branch, &err), ERR_OK);
    assert_int_equal(branch_prompt(branch, ids[0], (size_t)prompt, &err), ERR_OK);
    assert_int_equal(branch_score(branch, candidates, CANDIDATES, sums, NULL, &err), ERR_OK);
    kernel_threads_set(1);
    const struct model_capacity capacity = {1, (size_t)count, CANDIDATE, (size_t)count};
    struct model_run *run = NULL;
    assert_int_equal(model_run_new(model, MODEL_SCORE, &capacity, &run, &err), ERR_OK);
    for (int c = 0; c < CANDIDATES; c++) {
        uint8_t losses[PROMPT_MAX + CANDIDATE] = {0};
        struct token_score scores[CANDIDATE];
        double nats = 0;
        memset(losses + prompt, 1, CANDIDATE);
        const struct model_sequence whole = {
            .ids = ids[c], .losses = losses, .count = (size_t)count};
        model_forward(run, &whole, 1, scores);
        for (int i = 0; i < CANDIDATE; i++)
            nats += scores[i].nats;
        assert_memory_equal(&nats, &sums[c].nats, sizeof nats);
    }
    model_run_free(run);
    branch_free(branch);
    model_free(model);
}

static void check_bits(const char *kernels)
{
    static const int prompts[] = {1, 20, 33, 40};
    for (size_t k = 0; k < golden_case_count; k++) {
        struct golden g;
        golden_load(&g, golden_cases[k]);
        choose(kernels);
        for (size_t i = 0; i < sizeof prompts / sizeof prompts[0]; i++)
            check_company(&g, prompts[i]);
        choose("packed/f32");
        golden_release(&g);
    }
}

static void bits_do_not_depend_on_company(void **state)
{
    (void)state;
    check_bits("packed/bf16");
}

static void nor_on_onednn(void **state)
{
    (void)state;
    if (kernel_lack(ONEDNN)) {
        print_message("SKIP: %s\n", kernel_lack(ONEDNN));
        skip();
    }
    check_bits(ONEDNN);
    choose(ONEDNN);
    assert_int_equal(strncmp(kernel_class(), ONEDNN "/2.", strlen(ONEDNN "/2.")), 0);
    choose("packed/f32");
}

static void the_class_names_the_precision(void **state)
{
    (void)state;
    choose("packed/bf16");
    assert_string_equal(kernel_class(), "packed/bf16/fma");
    assert_false(kernel_use("packed/f16"));
    assert_string_equal(kernel_class(), "packed/bf16/fma");
    choose("packed/f32");
    assert_string_equal(kernel_class(), "packed/f32/fma");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_stay_within_bounds),
        cmocka_unit_test(the_loss_curve_is_that_of_f32),
        cmocka_unit_test(bits_do_not_depend_on_company),
        cmocka_unit_test(nor_on_onednn),
        cmocka_unit_test(the_class_names_the_precision),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
