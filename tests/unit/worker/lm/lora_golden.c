#include "lora_golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmocka_all.h"
#include "file.h"
#include "safetensors.h"

const char *const lora_golden_cases[LORA_GOLDEN_CASES] = {"llama-all", "qwen3-paper",
                                                          "gemma3-head"};

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
void lora_golden_fill(struct adapter *adapter)
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

void lora_golden_attach(struct lora_golden *g, const struct adapter_config *config)
{
    struct err err;
    g->model = golden_model(&g->base);
    if (adapter_init(&g->adapter, config, model_shape(g->model), model_weights(g->model), 5,
                     &err) != ERR_OK)
        fail_msg("%s", err.text);
}

void lora_golden_load(struct lora_golden *g, const char *name)
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
    lora_golden_attach(g, &config);
    lora_golden_fill(&g->adapter);
}

void lora_golden_detach(struct lora_golden *g)
{
    adapter_release(&g->adapter);
    model_free(g->model);
}

void lora_golden_release(struct lora_golden *g)
{
    lora_golden_detach(g);
    golden_release(&g->base);
    safetensors_close(g->tensors);
    json_decref(g->root);
}

double lora_golden_loss(struct lora_golden *g, const uint32_t *which, size_t count, uint64_t key,
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
