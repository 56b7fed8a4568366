/* Adapters against PyTorch (20 steps on all three families), their files against PEFT's names,
 * dropout against finite differences, and what must not change a bit: recomputing, batches,
 * threads, resuming, and the weights that are not trained. With products on bf16 factors, too: a
 * factor is then off by up to 2^-9; bounds are two to three times what 20 steps of these small
 * models make of that. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "family_golden.h"
#include "file.h"
#include "kernels.h"
#include "peft.h"

static const char *const cases[] = {"llama-all", "qwen3-paper", "gemma3-head"};
enum { CASE_COUNT = sizeof cases / sizeof cases[0] };
#define HALF_LOSS_BOUND 0.01 /* of 20 losses: |difference| over the first loss */
#define HALF_NORM_BOUND 0.2  /* and of gradient norms: twice what was seen */

/* A case of tests/oracle/lora_torch.py on the model of families_torch.py that it names. */
struct lora_golden {
    struct golden base;
    json_t *root;
    struct safetensors *tensors;
    struct model *model;
    struct adapter adapter;
};

static void lora_path(char *path, size_t size, const char *name, const char *suffix)
{
    snprintf(path, size, TRIAD_SOURCE_DIR "/tests/golden/lora/%s.%s", name, suffix);
}

static void read_config(const json_t *root, struct adapter_config *config)
{
    const json_t *name;
    size_t index;
    *config = (struct adapter_config){
        .rank = (int)golden_number(root, "rank"),
        .alpha = golden_number(root, "alpha"),
        .embeddings = json_is_true(json_object_get(root, "embeddings")),
        .head = json_is_true(json_object_get(root, "head")),
    };
    json_array_foreach(json_object_get(root, "targets"), index, name)
    {
        enum adapter_target target = adapter_target_find(json_string_value(name));
        assert_true(target < ADAPTER_TARGET_COUNT);
        config->targets[target] = true;
    }
}

/* weight_value() of the oracle for tensor 1000 + i; A as there, B turned round. */
static void fill_adapter(struct adapter *adapter)
{
    for (size_t i = 0; i < adapter->own.tensor_count; i++) {
        struct tensor_spec *t = &adapter->own.tensors[i];
        const bool is_b = i % 2 == 1;
        const int rows = is_b ? t->cols : t->rows, cols = is_b ? t->rows : t->cols;
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < cols; c++) {
                double u = golden_weight_value(1000 + i, (size_t)r * (size_t)cols + (size_t)c);
                size_t at = is_b ? (size_t)c * (size_t)rows + (size_t)r
                                 : (size_t)r * (size_t)cols + (size_t)c;
                t->data[at] = (float)(u * sqrt(3.0 / cols));
            }
        }
    }
}

static void attach(struct lora_golden *g, const struct adapter_config *config)
{
    struct err err;
    g->model = golden_model(&g->base);
    if (adapter_init(&g->adapter, config, model_shape(g->model), model_weights(g->model), 5,
                     &err) != ERR_OK)
        fail_msg("%s", err.text);
}

static void load(struct lora_golden *g, const char *name)
{
    char path[512], *text = NULL;
    size_t len = 0;
    struct err err;
    struct adapter_config config;
    *g = (struct lora_golden){.root = NULL};
    lora_path(path, sizeof path, name, "json");
    if (file_read(path, 0, &text, &len, &err) != ERR_OK)
        fail_msg("%s", err.text);
    g->root = json_loadb(text, len, 0, NULL);
    free(text);
    assert_non_null(g->root);
    lora_path(path, sizeof path, name, "safetensors");
    assert_int_equal(safetensors_open(path, &g->tensors, &err), ERR_OK);
    golden_load(&g->base, json_string_value(json_object_get(g->root, "model")));
    read_config(g->root, &config);
    attach(g, &config);
    fill_adapter(&g->adapter);
}

static void detach(struct lora_golden *g)
{
    adapter_release(&g->adapter);
    model_free(g->model);
}

static void release(struct lora_golden *g)
{
    detach(g);
    golden_release(&g->base);
    safetensors_close(g->tensors);
    json_decref(g->root);
}

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
    for (size_t k = 0; k < CASE_COUNT; k++) {
        struct lora_golden g;
        struct history h = {.count = 0};
        load(&g, cases[k]);
        struct trainer *trainer = trainer_of(&g, &g.base.train);
        run(trainer, &h);
        check_steps(&g, &h);
        adapter_merge(&g.adapter, model_params(g.model));
        check_merged(&g, model_weights(g.model));
        trainer_free(trainer);
        release(&g);
    }
}

/* Negative control: scale and weight decay show in the losses. */
static void the_losses_notice_another_adapter(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        struct lora_golden g;
        struct history h = {.count = 0};
        load(&g, "llama-all");
        if (k == 0)
            g.adapter.scale *= 1.02;
        else
            g.base.train.optimizer.weight_decay = 0;
        struct trainer *trainer = trainer_of(&g, &g.base.train);
        run(trainer, &h);
        const json_t *last = json_array_get(json_object_get(g.root, "steps"), h.count - 1);
        assert_true(fabs(h.steps[h.count - 1].loss_nats / golden_number(last, "loss") - 1) > 1e-3);
        trainer_free(trainer);
        release(&g);
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
    for (size_t k = 0; k < CASE_COUNT; k++) {
        struct lora_golden g;
        struct history h = {.count = 0};
        load(&g, cases[k]);
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
        release(&g);
    }
}

/* ---- the same bits ---- */

static void with_dropout(struct lora_golden *g, double dropout)
{
    struct adapter_config config = g->adapter.config;
    detach(g);
    config.dropout = dropout;
    attach(g, &config);
    fill_adapter(&g->adapter);
}

/* Two runs with dropout, of which the second is another in its way: computed twice, or on other
 * threads. */
static void check_bits(size_t which, bool again, int threads)
{
    struct history runs[2] = {{.count = 0}, {.count = 0}};
    struct lora_golden g[2];
    for (int i = 0; i < 2; i++) {
        load(&g[i], cases[which]);
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
    release(&g[0]);
    release(&g[1]);
}

static void recomputing_changes_no_bit(void **state)
{
    (void)state;
    for (size_t k = 0; k < CASE_COUNT; k++)
        check_bits(k, true, 1);
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    for (size_t k = 0; k < CASE_COUNT; k++)
        check_bits(k, k == 1, 3);
}

static void resume_continues_bit_for_bit(void **state)
{
    (void)state;
    for (size_t k = 0; k < CASE_COUNT; k++) {
        char folder[] = "/tmp/test_lora.XXXXXX";
        struct lora_golden whole, half, rest;
        struct history h[3] = {{.count = 0}, {.stop_at = 4}, {.count = 0}};
        struct err err;
        assert_non_null(mkdtemp(folder));
        struct lora_golden *all[3] = {&whole, &half, &rest};
        for (size_t i = 0; i < 3; i++) {
            load(all[i], cases[k]);
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
            release(all[i]);
        assert_int_equal(file_remove_tree(folder, &err), ERR_OK);
    }
}

/* ---- dropout ---- */

/* Summed loss of some sequences of the corpus, and its gradients if wanted. */
static double loss_of(struct lora_golden *g, const uint32_t *which, size_t count, uint64_t key,
                      struct params *gradients, struct params *model_gradients)
{
    struct model_sequence sequences[4];
    struct token_score scores[256];
    struct model_capacity capacity = {.sequences = count};
    struct model_run *run = NULL;
    struct err err;
    const struct corpus *c = &g->base.corpus;
    for (size_t i = 0; i < count; i++) {
        sequences[i] = (struct model_sequence){.ids = c->ids + c->starts[which[i]],
                                               .losses = c->losses + c->starts[which[i]],
                                               .count = corpus_length(c, which[i]),
                                               .key = key + which[i]};
        capacity.tokens += sequences[i].count;
        capacity.loss_tokens += sequences[i].count;
        if (sequences[i].count > capacity.sequence_tokens)
            capacity.sequence_tokens = sequences[i].count;
    }
    assert_int_equal(model_run_new(g->model, MODEL_TRAIN, &capacity, &run, &err), ERR_OK);
    assert_int_equal(model_run_adapt(run, &g->adapter, gradients, &err), ERR_OK);
    model_forward(run, sequences, count, scores);
    double nats = 0;
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t t = 1; t < sequences[i].count; t++)
            nats += sequences[i].losses[t] ? scores[used++].nats : 0;
    }
    if (model_gradients)
        model_backward(run, 1.0, model_gradients);
    model_run_free(run);
    return nats;
}

static void dropout_has_the_gradient_of_what_it_computes(void **state)
{
    (void)state;
    static const uint32_t which[2] = {3, 2};
    for (size_t k = 0; k < CASE_COUNT; k++) {
        struct lora_golden g;
        struct params gradients, model_gradients;
        struct err err;
        load(&g, cases[k]);
        with_dropout(&g, 0.4);
        assert_int_equal(params_init_like(&gradients, &g.adapter.trained, &err), ERR_OK);
        assert_int_equal(params_init_like(&model_gradients, model_weights(g.model), &err), ERR_OK);
        loss_of(&g, which, 2, 9, &gradients, &model_gradients);
        for (size_t i = 0; i < g.adapter.own.tensor_count; i++) {
            struct tensor_spec *t = &g.adapter.own.tensors[i];
            for (size_t e = 0; e < 3; e++) {
                const size_t at = (7 * i + 13 * e) % tensor_spec_elements(t);
                const float old = t->data[at], step = 2e-3f;
                t->data[at] = old + step;
                double above = loss_of(&g, which, 2, 9, &gradients, NULL);
                t->data[at] = old - step;
                double below = loss_of(&g, which, 2, 9, &gradients, NULL);
                t->data[at] = old;
                double slope = (above - below) / (2.0 * (double)step);
                const double distance = fabs((double)gradients.tensors[i].data[at] - slope);
                assert_true(distance < 0.005 + 0.01 * fabs(slope));
            }
        }
        params_release(&gradients);
        params_release(&model_gradients);
        release(&g);
    }
}

static void dropout_depends_on_key_and_place_alone(void **state)
{
    (void)state;
    static const uint32_t together[3] = {1, 2, 4};
    struct lora_golden g;
    struct params gradients;
    struct err err;
    load(&g, "llama-all");
    with_dropout(&g, 0.5);
    assert_int_equal(params_init_like(&gradients, &g.adapter.trained, &err), ERR_OK);
    double apart = 0;
    for (size_t i = 0; i < 3; i++)
        apart += loss_of(&g, &together[i], 1, 77, &gradients, NULL);
    /* Equal scores, added up in another order. */
    assert_true(fabs(loss_of(&g, together, 3, 77, &gradients, NULL) / apart - 1) < 1e-14);
    assert_true(fabs(loss_of(&g, together, 3, 78, &gradients, NULL) / apart - 1) > 1e-4);
    /* The mean over many keys is near what no dropout gives, and no single one is. */
    double mean = 0;
    for (uint64_t key = 0; key < 200; key++)
        mean += loss_of(&g, together, 1, 1000 * key, &gradients, NULL) / 200;
    double one = loss_of(&g, together, 1, 0, &gradients, NULL);
    g.adapter.config.dropout = 0;
    double none = loss_of(&g, together, 1, 0, &gradients, NULL);
    assert_true(fabs(one - none) > 0.05);
    assert_true(fabs(mean / none - 1) < 0.2);
    params_release(&gradients);
    release(&g);
}

/* ---- files ---- */

static void merging_gives_what_the_adapter_gave(void **state)
{
    (void)state;
    for (size_t k = 0; k < CASE_COUNT; k++) {
        static const uint32_t which[3] = {1, 4, 6};
        char folder[] = "/tmp/test_lora.XXXXXX";
        struct lora_golden g;
        struct params gradients;
        struct err err;
        struct strbuf done = {0};
        assert_non_null(mkdtemp(folder));
        load(&g, cases[k]);
        /* Something in embedding and head that an adapter's file must carry. */
        for (size_t i = g.adapter.own.tensor_count; i < g.adapter.trained.tensor_count; i++)
            g.adapter.trained.tensors[i].data[5] = 0.5f;
        const bool tied = model_shape(g.model)->head_tied;
        if (peft_write(folder, "", &g.adapter, tied, "some/base", &err) != ERR_OK)
            fail_msg("%s", err.text);
        assert_int_equal(params_init_like(&gradients, &g.adapter.trained, &err), ERR_OK);
        double adapted = loss_of(&g, which, 3, 0, &gradients, NULL);

        /* By somebody else's reader of the same folder, on the model as it was. */
        struct model *other = golden_model(&g.base);
        struct checkpoint_weights weights = {.config = *model_shape(other),
                                             .params = *model_params(other)};
        if (peft_merge(folder, &weights, &done, &err) != ERR_OK)
            fail_msg("%s", err.text);
        adapter_merge(&g.adapter, model_params(g.model));
        assert_memory_equal(weights.params.block, model_weights(g.model)->block,
                            weights.params.element_count * sizeof(float));
        assert_non_null(strstr(done.data, "model.layers.0.self_attn."));
        /* B at zero: the adapter does nothing, the merged weights do it all. */
        for (size_t i = 1; i < g.adapter.own.tensor_count; i += 2)
            memset(g.adapter.own.tensors[i].data, 0,
                   tensor_spec_elements(&g.adapter.own.tensors[i]) * sizeof(float));
        double merged = loss_of(&g, which, 3, 0, &gradients, NULL);
        assert_true(fabs(merged / adapted - 1) < 1e-5);
        strbuf_release(&done);
        params_release(&gradients);
        model_free(other);
        release(&g);
        assert_int_equal(file_remove_tree(folder, &err), ERR_OK);
    }
}

static void files_have_the_names_that_peft_expects(void **state)
{
    (void)state;
    char folder[] = "/tmp/test_lora.XXXXXX", path[128], *text = NULL;
    size_t len = 0;
    struct lora_golden g;
    struct safetensors *file = NULL;
    struct peft_config config;
    struct err err;
    assert_non_null(mkdtemp(folder));
    load(&g, "qwen3-paper");
    assert_int_equal(peft_write(folder, "lora_", &g.adapter, true, NULL, &err), ERR_OK);
    snprintf(path, sizeof path, "%s/lora_adapter_model.safetensors", folder);
    assert_int_equal(safetensors_open(path, &file, &err), ERR_OK);
    static const struct {
        const char *name;
        int rows, cols;
    } expected[] = {
        {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", 4, 20},
        {"base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", 32, 4},
        {"base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight", 16, 4},
        {"base_model.model.model.embed_tokens.weight", 53, 20},
        {"base_model.model.lm_head.weight", 53, 20}, /* tied: PEFT would part them otherwise */
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        const struct tensor_view *view = safetensors_find(file, expected[i].name);
        assert_non_null(view);
        assert_int_equal(view->shape[0], expected[i].rows);
        assert_int_equal(view->shape[1], expected[i].cols);
    }
    assert_int_equal(safetensors_count(file), 2 * 2 * 2 + 2);
    safetensors_close(file);
    snprintf(path, sizeof path, "%s/lora_adapter_config.json", folder);
    assert_int_equal(file_read(path, 0, &text, &len, &err), ERR_OK);
    json_t *root = json_loadb(text, len, 0, NULL);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "peft_type")), "LORA");
    assert_int_equal(json_integer_value(json_object_get(root, "r")), 4);
    assert_true(json_number_value(json_object_get(root, "lora_alpha")) == 2);
    assert_int_equal(json_array_size(json_object_get(root, "target_modules")), 2);
    assert_int_equal(json_array_size(json_object_get(root, "modules_to_save")), 2);
    json_decref(root);
    assert_int_equal(peft_config_parse(&config, text, len, path, &err), ERR_OK);
    assert_int_equal(config.rank, 4);
    free(text);
    release(&g);
    assert_int_equal(file_remove_tree(folder, &err), ERR_OK);
}

static void what_cannot_be_merged_exactly_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } wrong[] = {
        {"{\"peft_type\":\"LOHA\",\"r\":2,\"lora_alpha\":4}", "'peft_type' is LOHA"},
        {"{\"peft_type\":\"LORA\",\"lora_alpha\":4}", "'r'"},
        {"{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":4,\"bias\":\"all\"}", "'bias' is 'all'"},
        {"{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":4,\"use_dora\":true}",
         "'use_dora' is set"},
        {"{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":4,\"rank_pattern\":{\"a\":1}}",
         "'rank_pattern' is set"},
        {"{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":4,\"init_lora_weights\":\"pissa_niter_"
         "4\"}",
         "'init_lora_weights' is 'pissa_niter_4'"},
        {"{\"peft_type\":\"LORA\",\"r\":0,\"lora_alpha\":4}", "'r'"},
        {"[]", "object"},
    };
    struct peft_config config;
    struct err err;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_true(peft_config_parse(&config, wrong[i].text, strlen(wrong[i].text), "c.json",
                                      &err) != ERR_OK);
        if (!strstr(err.text, wrong[i].error))
            fail_msg("%s", err.text);
    }
    static const char gaussian[] =
        "{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":4,\"init_lora_weights\":\"gaussian\"}";
    assert_int_equal(peft_config_parse(&config, gaussian, strlen(gaussian), "c.json", &err),
                     ERR_OK);
    /* An adapter for another model. */
    char folder[] = "/tmp/test_lora.XXXXXX";
    struct lora_golden small, large;
    struct strbuf done = {0};
    assert_non_null(mkdtemp(folder));
    load(&small, "qwen3-paper");
    load(&large, "llama-all");
    assert_int_equal(peft_write(folder, "", &large.adapter, false, NULL, &err), ERR_OK);
    struct checkpoint_weights weights = {.config = *model_shape(small.model),
                                         .params = *model_params(small.model)};
    assert_int_equal(peft_merge(folder, &weights, &done, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "do not fit"));
    assert_int_equal(peft_read(folder, &small.adapter, &err), ERR_CORRUPT);
    strbuf_release(&done);
    release(&small);
    release(&large);
    assert_int_equal(file_remove_tree(folder, &err), ERR_OK);
}

static void impossible_adapters_are_refused(void **state)
{
    (void)state;
    struct golden g;
    struct adapter adapter;
    struct err err;
    golden_load(&g, "llama-tied");
    struct model *model = golden_model(&g);
    struct adapter_config good = {.rank = 2, .alpha = 4, .targets = {[ADAPTER_Q] = true}};
    struct adapter_config wrong[4] = {good, good, good, good};
    wrong[0].rank = 0;
    wrong[1].targets[ADAPTER_Q] = false;
    wrong[2].dropout = 1;
    wrong[3].alpha = NAN;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(
            adapter_init(&adapter, &wrong[i], &g.config, model_weights(model), 1, &err),
            ERR_INVALID);
    /* A fresh adapter leaves the model as it is: B is zero, A is not. */
    assert_int_equal(adapter_init(&adapter, &good, &g.config, model_weights(model), 1, &err),
                     ERR_OK);
    struct model *before = golden_model(&g);
    adapter_merge(&adapter, model_params(model));
    assert_memory_equal(model_weights(model)->block, model_weights(before)->block,
                        model_weights(model)->element_count * sizeof(float));
    float largest = 0;
    for (size_t i = 0; i < adapter.own.element_count; i++)
        largest = fmaxf(largest, fabsf(adapter.own.block[i]));
    assert_true(largest > 0.1f && largest <= 1 / sqrtf(20) + 1e-6f);
    adapter_release(&adapter);
    model_free(before);
    model_free(model);
    golden_release(&g);
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
        cmocka_unit_test(merging_gives_what_the_adapter_gave),
        cmocka_unit_test(files_have_the_names_that_peft_expects),
        cmocka_unit_test(what_cannot_be_merged_exactly_is_refused),
        cmocka_unit_test(impossible_adapters_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
