#include "family_golden.h"

#include "kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "file.h"
#include "model_family.h"

const char *const golden_cases[] = {"llama-tied",   "llama-untied", "llama-scaled", "qwen3-tied",
                                    "qwen3-untied", "gemma3-tied",  "gemma3-untied"};
const size_t golden_case_count = sizeof golden_cases / sizeof golden_cases[0];

static char *read_golden(const char *name, const char *suffix, size_t *len_out)
{
    char path[512], *bytes = NULL;
    struct err err;
    snprintf(path, sizeof path, TRIAD_SOURCE_DIR "/tests/golden/families/%s.%s", name, suffix);
    if (file_read(path, 0, &bytes, len_out, &err) != ERR_OK)
        fail_msg("%s", err.text);
    return bytes;
}

double golden_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static int integer(const json_t *object, const char *key)
{
    return (int)golden_number(object, key);
}

/* The golden file holds a whole config.json. */
static void read_config(struct golden *g)
{
    struct err err;
    char *text = json_dumps(json_object_get(g->root, "config"), 0);
    assert_non_null(text);
    if (model_config_parse(&g->config, text, strlen(text), "config", &err) != ERR_OK)
        fail_msg("%s", err.text);
    free(text);
}

static void read_train(struct golden *g)
{
    const json_t *t = json_object_get(g->root, "train");
    struct err err;
    g->train = (struct train_options){
        .batch_tokens = (size_t)integer(t, "batch_tokens"),
        .accumulate = (uint32_t)integer(t, "accumulate"),
        .steps = integer(t, "steps"),
        .schedule = {.learning_rate = golden_number(t, "learning_rate"),
                     .minimum_lr_ratio = golden_number(t, "minimum_lr_ratio"),
                     .warmup_steps = integer(t, "warmup_steps")},
        .optimizer = {.weight_decay = golden_number(t, "weight_decay"),
                      .beta1 = golden_number(t, "beta1"),
                      .beta2 = golden_number(t, "beta2"),
                      .epsilon = golden_number(t, "epsilon"),
                      .clip_norm = golden_number(t, "clip_norm")},
    };
    const char *kind = json_string_value(json_object_get(t, "schedule"));
    assert_int_equal(schedule_kind_parse(kind, &g->train.schedule.kind, &err), ERR_OK);
}

static void read_sequences(struct golden *g)
{
    size_t index;
    json_t *sequence;
    json_array_foreach(json_object_get(g->root, "sequences"), index, sequence)
    {
        int32_t ids[128], examples[128] = {0};
        uint8_t losses[128];
        const json_t *id_list = json_object_get(sequence, "ids");
        const json_t *loss_list = json_object_get(sequence, "loss");
        size_t count = json_array_size(id_list);
        assert_in_range(count, 1, 128);
        for (size_t i = 0; i < count; i++) {
            ids[i] = (int32_t)json_integer_value(json_array_get(id_list, i));
            losses[i] = (uint8_t)json_integer_value(json_array_get(loss_list, i));
        }
        corpus_append(&g->corpus, (uint32_t)index, ids, losses, examples, count);
    }
    assert_in_range(g->corpus.sequence_count, 1, GOLDEN_SEQUENCES_MAX);
}

static void read_tensors(struct golden *g, const char *name)
{
    size_t len = 0;
    uint64_t header_bytes = 0;
    g->tensor_bytes = read_golden(name, "safetensors", &len);
    memcpy(&header_bytes, g->tensor_bytes, sizeof header_bytes);
    assert_true(header_bytes < len);
    g->tensor_header = json_loadb(g->tensor_bytes + 8, header_bytes, 0, NULL);
    assert_non_null(g->tensor_header);
    g->tensor_data = g->tensor_bytes + 8 + header_bytes;
}

void golden_load_model(struct golden *golden, const char *name)
{
    size_t len = 0;
    *golden = (struct golden){0};
    char *text = read_golden(name, "json", &len);
    golden->root = json_loadb(text, len, 0, NULL);
    free(text);
    assert_non_null(golden->root);
    read_config(golden);
    read_tensors(golden, name);
}

void golden_load(struct golden *golden, const char *name)
{
    golden_load_model(golden, name);
    read_train(golden);
    read_sequences(golden);
}

void golden_release(struct golden *golden)
{
    json_decref(golden->root);
    json_decref(golden->tensor_header);
    free(golden->tensor_bytes);
    corpus_release(&golden->corpus);
}

/* weight_value() of the oracle: uniform on [-1, 1) from 32-bit integers. */
double golden_weight_value(size_t tensor, size_t element)
{
    uint32_t h = (uint32_t)((element + 1) + (tensor + 1) * 1000003) * 2654435761u;
    h ^= h >> 15;
    h *= 2246822519u;
    h ^= h >> 13;
    return h / 2147483648.0 - 1.0;
}

struct model *golden_model_of(const struct model_config *config)
{
    struct model *model = NULL;
    struct err err;
    if (model_new(config, &model, &err) != ERR_OK)
        fail_msg("%s", err.text);
    struct params *p = model_params(model);
    const double unit = 1.0 - model_family(config->kind)->norm_base;
    for (size_t t = 0; t < p->tensor_count; t++) {
        const struct tensor_spec *spec = &p->tensors[t];
        for (size_t i = 0; i < tensor_spec_elements(spec); i++) {
            double u = golden_weight_value(t, i);
            double value = spec->is_vector ? unit + 0.25 * u : u * sqrt(3.0 / spec->cols);
            if (!spec->is_vector && spec->rows == config->vocabulary)
                value = 0.5 * u;
            spec->data[i] = (float)value;
        }
    }
    return model;
}

struct model *golden_model(const struct golden *golden)
{
    return golden_model_of(&golden->config);
}

const float *golden_tensor(const struct golden *golden, const char *name, size_t *count_out)
{
    const json_t *entry = json_object_get(golden->tensor_header, name);
    if (!entry)
        fail_msg("the golden file has no tensor '%s'", name);
    const json_t *offsets = json_object_get(entry, "data_offsets");
    size_t from = (size_t)json_integer_value(json_array_get(offsets, 0));
    size_t to = (size_t)json_integer_value(json_array_get(offsets, 1));
    *count_out = (to - from) / sizeof(float);
    return (const float *)(const void *)(golden->tensor_data + from);
}

size_t golden_sequences(const struct corpus *corpus, struct model_sequence *out)
{
    for (uint32_t s = 0; s < corpus->sequence_count; s++) {
        out[s] = (struct model_sequence){
            .ids = corpus->ids + corpus->starts[s],
            .losses = corpus->losses + corpus->starts[s],
            .count = corpus_length(corpus, s),
        };
    }
    return corpus->sequence_count;
}

int golden_half_begin(void **state)
{
    (void)state;
    return kernel_use("packed/bf16") ? 0 : -1;
}

int golden_half_end(void **state)
{
    (void)state;
    kernel_threads_set(1);
    return kernel_use("packed/f32") ? 0 : -1;
}

bool golden_is_half(void)
{
    return strstr(kernel_class(), "/bf16/") != NULL;
}
