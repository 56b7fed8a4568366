/* The whole model against PyTorch (tests/oracle/families_torch.py): losses, logits, every gradient;
 * and the promise on bits: a sequence scores the same alone, in company, and on any number of
 * threads. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cmocka_all.h"
#include "kernels.h"
#include "model_family.h"
#include "family_golden.h"
#include "rng.h"

struct bench {
    struct golden golden;
    struct model *model;
    struct model_run *run;
    struct params gradients;
    struct model_sequence sequences[GOLDEN_SEQUENCES_MAX];
    size_t sequence_count;
    struct token_score scores[1024];
};

static void setup(struct bench *b, const char *name)
{
    struct err err;
    golden_load(&b->golden, name);
    b->model = golden_model(&b->golden);
    b->sequence_count = golden_sequences(&b->golden.corpus, b->sequences);
    struct model_capacity capacity = {b->sequence_count, 1024, 1024, 96};
    if (model_run_new(b->model, MODEL_TRAIN, &capacity, &b->run, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(params_init(&b->gradients, &b->golden.config, &err), ERR_OK);
}

static void teardown(struct bench *b)
{
    params_release(&b->gradients);
    model_run_free(b->run);
    model_free(b->model);
    golden_release(&b->golden);
}

static double sum_nats(const struct bench *b)
{
    double sum = 0;
    for (size_t i = 0; i < b->golden.corpus.loss_token_count; i++)
        sum += b->scores[i].nats;
    return sum;
}

/* || a - b || / || b ||. */
static double relative_distance(const float *a, const float *b, size_t count)
{
    double difference = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        size += (double)b[i] * (double)b[i];
    }
    return sqrt(difference / size);
}

static const double gradient_tolerance = 2e-5;

static void loss_agrees_with_pytorch(void **state)
{
    (void)state;
    for (size_t k = 0; k < golden_case_count; k++) {
        struct bench b;
        setup(&b, golden_cases[k]);
        model_forward(b.run, b.sequences, b.sequence_count, b.scores);
        double expected = golden_number(b.golden.root, "loss");
        double loss = sum_nats(&b) / (double)b.golden.corpus.loss_token_count;
        assert_true(fabs(loss / expected - 1) < 1e-6);
        teardown(&b);
    }
}

/* -ln softmax(logits)[target], and whether the target is the first of the largest. */
static struct token_score score_of(const float *logits, int vocabulary, int32_t target)
{
    double highest = -INFINITY, sum = 0;
    int32_t best = 0;
    for (int32_t i = 0; i < vocabulary; i++) {
        if ((double)logits[i] > highest) {
            highest = (double)logits[i];
            best = i;
        }
    }
    for (int32_t i = 0; i < vocabulary; i++)
        sum += exp((double)logits[i] - highest);
    return (struct token_score){highest + log(sum) - (double)logits[target], best == target};
}

static void every_token_agrees_with_the_logits_of_pytorch(void **state)
{
    (void)state;
    static const uint8_t all[128] = {[0 ... 127] = 1};
    for (size_t k = 0; k < golden_case_count; k++) {
        struct bench b;
        size_t logit_count = 0, row = 0, hits = 0;
        setup(&b, golden_cases[k]);
        const int vocabulary = b.golden.config.vocabulary;
        const float *logits = golden_tensor(&b.golden, "logits", &logit_count);
        for (size_t s = 0; s < b.sequence_count; s++)
            b.sequences[s].losses = all;
        model_forward(b.run, b.sequences, b.sequence_count, b.scores);
        for (size_t s = 0; s < b.sequence_count; s++) {
            for (size_t i = 1; i < b.sequences[s].count; i++, row++) {
                struct token_score expected =
                    score_of(logits + row * (size_t)vocabulary, vocabulary, b.sequences[s].ids[i]);
                assert_true(fabs(b.scores[row].nats - expected.nats) < 1e-5);
                assert_int_equal(b.scores[row].hit, expected.hit);
                hits += expected.hit;
            }
        }
        assert_int_equal(row * (size_t)vocabulary, logit_count);
        assert_true(hits > 0); /* otherwise `hit` was not tested */
        teardown(&b);
    }
}

static void every_gradient_agrees_with_pytorch(void **state)
{
    (void)state;
    for (size_t k = 0; k < golden_case_count; k++) {
        struct bench b;
        setup(&b, golden_cases[k]);
        model_forward(b.run, b.sequences, b.sequence_count, b.scores);
        model_backward(b.run, 1.0 / (double)b.golden.corpus.loss_token_count, &b.gradients);
        double worst = 0;
        for (size_t t = 0; t < b.gradients.tensor_count; t++) {
            struct tensor_spec *spec = &b.gradients.tensors[t];
            char name[TENSOR_NAME_SIZE + 8];
            size_t count = 0;
            snprintf(name, sizeof name, "grad.%s", spec->name);
            const float *expected = golden_tensor(&b.golden, name, &count);
            assert_int_equal(count, tensor_spec_elements(spec));
            double distance = relative_distance(spec->data, expected, count);
            worst = fmax(worst, distance);
            if (!(distance < gradient_tolerance))
                fail_msg("%s %s: relative distance %g", golden_cases[k], name, distance);
            /* Negative control: one value off by a thousandth of the norm must be noticed. */
            double size = 0;
            for (size_t i = 0; i < count; i++)
                size += (double)expected[i] * (double)expected[i];
            spec->data[count / 2] += (float)(1e-3 * sqrt(size));
            assert_true(relative_distance(spec->data, expected, count) > gradient_tolerance);
        }
        print_message("%s: gradients differ by %.1e of their norm\n", golden_cases[k], worst);
        teardown(&b);
    }
}

static void backward_adds_and_scales(void **state)
{
    (void)state;
    struct bench b;
    setup(&b, "llama-tied");
    model_forward(b.run, b.sequences, b.sequence_count, b.scores);
    model_backward(b.run, 1.0, &b.gradients);
    size_t bytes = b.gradients.element_count * sizeof(float);
    float *once = malloc(bytes);
    assert_non_null(once);
    memcpy(once, b.gradients.block, bytes);
    model_forward(b.run, b.sequences, b.sequence_count, b.scores);
    model_backward(b.run, 2.0, &b.gradients);
    for (size_t i = 0; i < b.gradients.element_count; i++)
        once[i] *= 3.0f;
    assert_true(relative_distance(b.gradients.block, once, b.gradients.element_count) < 1e-6);
    free(once);
    teardown(&b);
}

static void a_sequence_scores_the_same_alone_and_in_company(void **state)
{
    (void)state;
    for (size_t k = 0; k < golden_case_count; k++) {
        struct bench b;
        setup(&b, golden_cases[k]);
        model_forward(b.run, b.sequences, b.sequence_count, b.scores);
        size_t at = 0;
        for (size_t s = 0; s < b.sequence_count; s++) {
            struct token_score alone[128];
            size_t count = 0;
            for (size_t i = 1; i < b.sequences[s].count; i++)
                count += b.sequences[s].losses[i] != 0;
            model_forward(b.run, &b.sequences[s], 1, alone);
            for (size_t i = 0; i < count; i++, at++) {
                assert_memory_equal(&alone[i].nats, &b.scores[at].nats, sizeof alone[i].nats);
                assert_int_equal(alone[i].hit, b.scores[at].hit);
            }
        }
        assert_int_equal(at, b.golden.corpus.loss_token_count);
        teardown(&b);
    }
}

/* A model and batch large enough that the pool's threads have something to do. */
static void check_threads(enum model_kind kind)
{
    enum { COUNT = 8, LENGTH_MAX = 200, VOCABULARY = 300 };
    struct model_config config = model_config_default();
    config.kind = kind;
    config.layers = 2;
    config.width = 96;
    config.heads = 6;
    config.kv_heads = 2;
    config.head_dim = 16;
    config.mlp_width = 200;
    config.vocabulary = VOCABULARY;
    config.context = LENGTH_MAX;
    if (model_family(kind)->windows) {
        config.window = 70;
        config.window_period = 2;
        config.query_scalar = 16;
        config.rope_local_theta = 10000;
    }
    static int32_t ids[COUNT][LENGTH_MAX];
    static const uint8_t all[LENGTH_MAX] = {[0 ... LENGTH_MAX - 1] = 1};
    static struct token_score scores[2][COUNT * LENGTH_MAX];
    struct model_sequence sequences[COUNT];
    struct params gradients[2];
    struct model *model = NULL;
    struct err err;
    struct rng rng = rng_new(9, "test");
    size_t tokens = 0;
    assert_int_equal(model_new(&config, &model, &err), ERR_OK);
    params_randomize(model_params(model), &config, 3, 0.1);
    for (size_t s = 0; s < COUNT; s++) {
        size_t count = 30 + rng_below(&rng, LENGTH_MAX - 30);
        for (size_t i = 0; i < count; i++)
            ids[s][i] = (int32_t)rng_below(&rng, VOCABULARY);
        sequences[s] = (struct model_sequence){.ids = ids[s], .losses = all, .count = count};
        tokens += count;
    }
    for (int k = 0; k < 2; k++) {
        struct model_run *run = NULL;
        struct model_capacity capacity = {COUNT, tokens, tokens, LENGTH_MAX};
        kernel_threads_set(k + 1);
        assert_int_equal(model_run_new(model, MODEL_TRAIN, &capacity, &run, &err), ERR_OK);
        assert_int_equal(params_init(&gradients[k], &config, &err), ERR_OK);
        model_forward(run, sequences, COUNT, scores[k]);
        model_backward(run, 1e-3, &gradients[k]);
        model_run_free(run);
    }
    kernel_threads_set(1);
    for (size_t i = 0; i < tokens - COUNT; i++) {
        assert_memory_equal(&scores[0][i].nats, &scores[1][i].nats, sizeof scores[0][i].nats);
        assert_int_equal(scores[0][i].hit, scores[1][i].hit);
    }
    assert_memory_equal(gradients[0].block, gradients[1].block,
                        gradients[0].element_count * sizeof(float));
    params_release(&gradients[1]);
    params_release(&gradients[0]);
    model_free(model);
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    for (int kind = 0; kind < MODEL_KIND_COUNT; kind++)
        check_threads((enum model_kind)kind);
}

/* With the fastest operations, or those named. */
int main(int argc, char **argv)
{
    if (argc > 1)
        ASSERT(kernel_use(argv[1]));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_agrees_with_pytorch),
        cmocka_unit_test(every_token_agrees_with_the_logits_of_pytorch),
        cmocka_unit_test(every_gradient_agrees_with_pytorch),
        cmocka_unit_test(backward_adds_and_scales),
        cmocka_unit_test(a_sequence_scores_the_same_alone_and_in_company),
        cmocka_unit_test(threads_change_no_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
