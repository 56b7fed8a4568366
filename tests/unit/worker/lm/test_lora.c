/* Adapters against PyTorch (20 steps on all three families), dropout against finite differences,
 * and what must not change a bit: recomputing, batches, threads, resuming, and the weights that are
 * not trained. With products on bf16 factors, too: a factor is then off by up to 2^-9; bounds are
 * two to three times what 20 steps of these small models make of that. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "family_golden.h"
#include "file.h"
#include "kernels.h"
#include "lora_golden.h"
#include "peft.h"

#define HALF_LOSS_BOUND 0.01 /* of 20 losses: |difference| over the first loss */
#define HALF_NORM_BOUND 0.2  /* and of gradient norms: twice what was seen */

/* ---- training ---- */

struct history {
    struct train_metrics steps[32];
    size_t count;
    size_t stop_at; /* 0: never */
};

static void on_step(void *ctx, const struct train_metrics *metrics)
{
    struct history *h = ctx;
    assert_true(h->count < 32);
    h->steps[h->count++] = *metrics;
}

static bool should_stop(void *ctx)
{
    const struct history *h = ctx;
    return h->stop_at > 0 && h->count >= h->stop_at;
}

static struct trainer *trainer_of(struct lora_golden *g, const struct train_options *options)
{
    struct trainer *trainer = NULL;
    struct err err;
    struct train_options with = *options;
    with.adapter = &g->adapter;
    if (trainer_new(g->model, &g->base.corpus, &with, &trainer, &err) != ERR_OK)
        fail_msg("%s", err.text);
    return trainer;
}

static void run(struct trainer *trainer, struct history *history)
{
    struct train_hooks hooks = {.ctx = history, .on_step = on_step, .should_stop = should_stop};
    struct train_result result;
    struct err err;
    if (trainer_run(trainer, &hooks, &result, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(result.outcome, history->stop_at ? TRAIN_STOPPED : TRAIN_DONE);
}

static void check_steps(const struct lora_golden *g, const struct history *h)
{
    const bool half = golden_is_half();
    const json_t *steps = json_object_get(g->root, "steps");
    double loss = 0, norm = 0;
    assert_int_equal(h->count, json_array_size(steps));
    for (size_t i = 0; i < h->count; i++) {
        /* What rounds does so in proportion to the numbers of the first step, not to what little is
         * left of a loss. */
        const json_t *expected = json_array_get(steps, i);
        const json_t *over = half ? json_array_get(steps, 0) : expected;
        loss = fmax(loss, fabs(h->steps[i].loss_nats - golden_number(expected, "loss")) /
                              golden_number(over, "loss"));
        norm = fmax(norm, fabs(h->steps[i].grad_norm - golden_number(expected, "grad_norm")) /
                              golden_number(over, "grad_norm"));
    }
    print_message("losses within %.1e, gradient norms within %.1e\n", loss, norm);
    assert_true(loss < (half ? HALF_LOSS_BOUND : 1e-4));
    assert_true(norm < (half ? HALF_NORM_BOUND : 1e-3));
    assert_true(!half || loss > 1e-6); /* it is another precision */
}

/* The merged matrices that the oracle kept. */
static void check_merged(const struct lora_golden *g, const struct params *merged)
{
    for (size_t i = 0; i < safetensors_count(g->tensors); i++) {
        const struct tensor_view *view = safetensors_at(g->tensors, i);
        struct err err;
        float *expected = calloc(view->elements, sizeof *expected);
        assert_non_null(expected);
        assert_int_equal(tensor_view_read_f32(view, expected, &err), ERR_OK);
        const struct tensor_spec *own = NULL;
        for (size_t k = 0; k < merged->tensor_count; k++) {
            if (strcmp(merged->tensors[k].name, view->name + strlen("merged.")) == 0)
                own = &merged->tensors[k];
        }
        assert_non_null(own);
        for (size_t k = 0; k < view->elements; k++)
            assert_float_equal(own->data[k], expected[k], golden_is_half() ? 3e-2f : 3e-4f);
        free(expected);
    }
}

static void twenty_steps_agree_with_pytorch(void **state)
{
    (void)state;
    for (size_t k = 0; k < LORA_GOLDEN_CASES; k++) {
        struct lora_golden g;
        struct history h = {.count = 0};
        lora_golden_load(&g, lora_golden_cases[k]);
        struct trainer *trainer = trainer_of(&g, &g.base.train);
        run(trainer, &h);
        check_steps(&g, &h);
        adapter_merge(&g.adapter, model_params(g.model));
        check_merged(&g, model_weights(g.model));
        trainer_free(trainer);
        lora_golden_release(&g);
    }
}

/* Negative control: scale and weight decay show in the losses. */
static void the_losses_notice_another_adapter(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        struct lora_golden g;
        struct history h = {.count = 0};
        lora_golden_load(&g, "llama-all");
        if (k == 0)
            g.adapter.scale *= 1.02;
        else
            g.base.train.optimizer.weight_decay = 0;
        struct trainer *trainer = trainer_of(&g, &g.base.train);
        run(trainer, &h);
        const json_t *last = json_array_get(json_object_get(g.root, "steps"), h.count - 1);
        assert_true(fabs(h.steps[h.count - 1].loss_nats / golden_number(last, "loss") - 1) > 1e-3);
        trainer_free(trainer);
        lora_golden_release(&g);
    }
}

static bool is_trained(const struct adapter *adapter, const struct tensor_spec *spec)
{
    for (size_t i = adapter->own.tensor_count; i < adapter->trained.tensor_count; i++) {
        if (adapter->trained.tensors[i].data == spec->data)
            return true;
    }
    return false;
}

static void other_weights_stay_as_they_are(void **state)
{
    (void)state;
    for (size_t k = 0; k < LORA_GOLDEN_CASES; k++) {
        struct lora_golden g;
        struct history h = {.count = 0};
        lora_golden_load(&g, lora_golden_cases[k]);
        struct model *before = golden_model(&g.base);
        struct trainer *trainer = trainer_of(&g, &g.base.train);
        run(trainer, &h);
        size_t trained = 0;
        for (size_t i = 0; i < model_weights(g.model)->tensor_count; i++) {
            const struct tensor_spec *now = &model_weights(g.model)->tensors[i];
            const float *old = model_weights(before)->tensors[i].data;
            size_t bytes = tensor_spec_elements(now) * sizeof(float);
            if (is_trained(&g.adapter, now)) {
                assert_memory_not_equal(now->data, old, bytes);
                trained++;
            } else {
                assert_memory_equal(now->data, old, bytes);
            }
        }
        assert_int_equal(trained, g.adapter.config.head);
        assert_int_equal(trainer_trained_elements(trainer),
                         adapter_trained_elements(&g.adapter.config, model_shape(g.model)));
        trainer_free(trainer);
        model_free(before);
        lora_golden_release(&g);
    }
}

/* ---- the same bits ---- */

static void with_dropout(struct lora_golden *g, double dropout)
{
    struct adapter_config config = g->adapter.config;
    lora_golden_detach(g);
    config.dropout = dropout;
    lora_golden_attach(g, &config);
    lora_golden_fill(&g->adapter);
}

/* Two runs with dropout, of which the second is another in its way: computed twice, or on other
 * threads. */
static void check_bits(size_t which, bool again, int threads)
{
    struct history runs[2] = {{.count = 0}, {.count = 0}};
    struct lora_golden g[2];
    for (int i = 0; i < 2; i++) {
        lora_golden_load(&g[i], lora_golden_cases[which]);
        with_dropout(&g[i], 0.3);
        g[i].base.train.recompute = i && again ? TRAIN_RECOMPUTE_ALWAYS : TRAIN_RECOMPUTE_NEVER;
        kernel_threads_set(i ? threads : 1);
        struct trainer *trainer = trainer_of(&g[i], &g[i].base.train);
        assert_int_equal(trainer_memory(trainer)->again, i && again);
        run(trainer, &runs[i]);
        trainer_free(trainer);
    }
    for (size_t i = 0; i < runs[0].count; i++) {
        assert_true(runs[0].steps[i].loss_nats == runs[1].steps[i].loss_nats);
        assert_true(runs[0].steps[i].grad_norm == runs[1].steps[i].grad_norm);
    }
    assert_memory_equal(g[0].adapter.own.block, g[1].adapter.own.block,
                        g[0].adapter.own.element_count * sizeof(float));
    lora_golden_release(&g[0]);
    lora_golden_release(&g[1]);
}

static void recomputing_changes_no_bit(void **state)
{
    (void)state;
    for (size_t k = 0; k < LORA_GOLDEN_CASES; k++)
        check_bits(k, true, 1);
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    for (size_t k = 0; k < LORA_GOLDEN_CASES; k++)
        check_bits(k, k == 1, 3);
}

static void resume_continues_bit_for_bit(void **state)
{
    (void)state;
    for (size_t k = 0; k < LORA_GOLDEN_CASES; k++) {
        char folder[] = "/tmp/test_lora.XXXXXX";
        struct lora_golden whole, half, rest;
        struct history h[3] = {{.count = 0}, {.stop_at = 4}, {.count = 0}};
        struct err err;
        assert_non_null(mkdtemp(folder));
        struct lora_golden *all[3] = {&whole, &half, &rest};
        for (size_t i = 0; i < 3; i++) {
            lora_golden_load(all[i], lora_golden_cases[k]);
            with_dropout(all[i], 0.2);
            struct train_options options = all[i]->base.train;
            options.steps = 9;
            options.loss_rise_max = 50;
            struct trainer *trainer = trainer_of(all[i], &options);
            if (i == 2) {
                /* The model is the parent's, the adapter comes from the folder. */
                assert_int_equal(peft_read(folder, &rest.adapter, &err), ERR_OK);
                if (trainer_load(trainer, folder, &err) != ERR_OK)
                    fail_msg("%s", err.text);
            }
            run(trainer, &h[i]);
            if (i == 1) {
                bool tied = model_shape(half.model)->head_tied;
                assert_int_equal(peft_write(folder, "", &half.adapter, tied, NULL, &err), ERR_OK);
                assert_int_equal(trainer_save(trainer, folder, &err), ERR_OK);
            }
            trainer_free(trainer);
        }
        assert_int_equal(h[2].count, 5);
        size_t bytes = whole.adapter.own.element_count * sizeof(float);
        assert_memory_equal(rest.adapter.own.block, whole.adapter.own.block, bytes);
        assert_memory_not_equal(half.adapter.own.block, whole.adapter.own.block, bytes);
        assert_memory_equal(model_weights(rest.model)->block, model_weights(whole.model)->block,
                            model_weights(whole.model)->element_count * sizeof(float));
        for (size_t i = 0; i < 3; i++)
            lora_golden_release(all[i]);
        assert_int_equal(file_remove_tree(folder, &err), ERR_OK);
    }
}

/* ---- dropout ---- */

static void dropout_has_the_gradient_of_what_it_computes(void **state)
{
    (void)state;
    static const uint32_t which[2] = {3, 2};
    for (size_t k = 0; k < LORA_GOLDEN_CASES; k++) {
        struct lora_golden g;
        struct params gradients, model_gradients;
        struct err err;
        lora_golden_load(&g, lora_golden_cases[k]);
        with_dropout(&g, 0.4);
        assert_int_equal(params_init_like(&gradients, &g.adapter.trained, &err), ERR_OK);
        assert_int_equal(params_init_like(&model_gradients, model_weights(g.model), &err), ERR_OK);
        lora_golden_loss(&g, which, 2, 9, &gradients, &model_gradients);
        for (size_t i = 0; i < g.adapter.own.tensor_count; i++) {
            struct tensor_spec *t = &g.adapter.own.tensors[i];
            for (size_t e = 0; e < 3; e++) {
                const size_t at = (7 * i + 13 * e) % tensor_spec_elements(t);
                const float old = t->data[at], step = 2e-3f;
                t->data[at] = old + step;
                double above = lora_golden_loss(&g, which, 2, 9, &gradients, NULL);
                t->data[at] = old - step;
                double below = lora_golden_loss(&g, which, 2, 9, &gradients, NULL);
                t->data[at] = old;
                double slope = (above - below) / (2.0 * (double)step);
                const double distance = fabs((double)gradients.tensors[i].data[at] - slope);
                assert_true(distance < 0.005 + 0.01 * fabs(slope));
            }
        }
        params_release(&gradients);
        params_release(&model_gradients);
        lora_golden_release(&g);
    }
}

static void dropout_depends_on_key_and_place_alone(void **state)
{
    (void)state;
    static const uint32_t together[3] = {1, 2, 4};
    struct lora_golden g;
    struct params gradients;
    struct err err;
    lora_golden_load(&g, "llama-all");
    with_dropout(&g, 0.5);
    assert_int_equal(params_init_like(&gradients, &g.adapter.trained, &err), ERR_OK);
    double apart = 0;
    for (size_t i = 0; i < 3; i++)
        apart += lora_golden_loss(&g, &together[i], 1, 77, &gradients, NULL);
    /* Equal scores, added up in another order. */
    assert_true(fabs(lora_golden_loss(&g, together, 3, 77, &gradients, NULL) / apart - 1) < 1e-14);
    assert_true(fabs(lora_golden_loss(&g, together, 3, 78, &gradients, NULL) / apart - 1) > 1e-4);
    /* The mean over many keys is near what no dropout gives, and no single one is. */
    double mean = 0;
    for (uint64_t key = 0; key < 200; key++)
        mean += lora_golden_loss(&g, together, 1, 1000 * key, &gradients, NULL) / 200;
    double one = lora_golden_loss(&g, together, 1, 0, &gradients, NULL);
    g.adapter.config.dropout = 0;
    double none = lora_golden_loss(&g, together, 1, 0, &gradients, NULL);
    assert_true(fabs(one - none) > 0.05);
    assert_true(fabs(mean / none - 1) < 0.2);
    params_release(&gradients);
    lora_golden_release(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(twenty_steps_agree_with_pytorch),
        GOLDEN_TEST_HALF(twenty_steps_agree_with_pytorch),
        cmocka_unit_test(the_losses_notice_another_adapter),
        cmocka_unit_test(other_weights_stay_as_they_are),
        cmocka_unit_test(recomputing_changes_no_bit),
        cmocka_unit_test(threads_change_no_bit),
        GOLDEN_TEST_HALF(recomputing_changes_no_bit),
        GOLDEN_TEST_HALF(threads_change_no_bit),
        cmocka_unit_test(resume_continues_bit_for_bit),
        GOLDEN_TEST_HALF(resume_continues_bit_for_bit),
        cmocka_unit_test(dropout_has_the_gradient_of_what_it_computes),
        cmocka_unit_test(dropout_depends_on_key_and_place_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
