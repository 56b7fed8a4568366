/* A checkpoint of a published model's shape with random weights, for measurements: config.json and
 * model.safetensors, written piece by piece in little memory. No tokenizer: put one beside it.
 *
 * usage: make_checkpoint SHAPE FOLDER [bf16|f32] [VOCABULARY] */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "file.h"
#include "model_config.h"
#include "safetensors.h"
#include "tensor_spec.h"

struct shape {
    const char *name;
    struct model_config config;
};

/* From the models' config.json files. */
static const struct shape shapes[] = {
    {"qwen3-0.6b",
     {.kind = MODEL_QWEN3,
      .layers = 28,
      .width = 1024,
      .heads = 16,
      .kv_heads = 8,
      .head_dim = 128,
      .mlp_width = 3072,
      .vocabulary = 151936,
      .context = 40960,
      .rope_theta = 1e6,
      .norm_eps = 1e-6,
      .head_tied = true,
      .bos_id = -1,
      .eos_count = 1,
      .eos_ids = {151645}}},
    {"gemma3-1b",
     {.kind = MODEL_GEMMA3,
      .layers = 26,
      .width = 1152,
      .heads = 4,
      .kv_heads = 1,
      .head_dim = 256,
      .mlp_width = 6912,
      .vocabulary = 262144,
      .context = 32768,
      .rope_theta = 1e6,
      .rope_local_theta = 10000,
      .window = 512,
      .window_period = 6,
      .query_scalar = 256,
      .norm_eps = 1e-6,
      .head_tied = true,
      .bos_id = 2,
      .eos_count = 2,
      .eos_ids = {1, 106}}},
    {"llama3.2-1b",
     {.kind = MODEL_LLAMA,
      .layers = 16,
      .width = 2048,
      .heads = 32,
      .kv_heads = 8,
      .head_dim = 64,
      .mlp_width = 8192,
      .vocabulary = 128256,
      .context = 131072,
      .rope_theta = 500000,
      .rope_scaling = ROPE_LLAMA3,
      .rope_factor = 32,
      .rope_low_factor = 1,
      .rope_high_factor = 4,
      .rope_original_context = 8192,
      .norm_eps = 1e-5,
      .head_tied = true,
      .bos_id = 128000,
      .eos_count = 1,
      .eos_ids = {128001}}},
};

/* Uniform with the spread 1/sqrt(cols), so that activations keep their size: xorshift64* (Marsaglia
 * 2003; Vigna 2016), cheap for a billion values. Norms of Gemma are stored less one. */
static void fill(void *ctx, const struct tensor_spec *spec, size_t start, size_t count, float *out)
{
    const struct model_config *config = ctx;
    uint64_t x = 0x9e3779b97f4a7c15u * (start + 1) ^ (uint64_t)spec->role << 40 ^
                 (uint64_t)(spec->layer + 2) << 50;
    const float scale = sqrtf(3.0f / (float)spec->cols), norm = config->kind != MODEL_GEMMA3;
    for (size_t i = 0; i < count; i++) {
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        const uint64_t bits = x * 0x2545f4914f6cdd1du >> 40;
        out[i] = spec->is_vector ? norm : scale * ((float)bits * 0x1p-23f - 1.0f);
    }
}

static enum err_code make(struct model_config *config, const char *folder, enum tensor_dtype dtype,
                          struct err *err)
{
    char path[4096];
    struct strbuf text = {0};
    const size_t count = tensor_spec_count(config);
    struct tensor_spec *specs = calloc(count, sizeof *specs);
    ASSERT(specs != NULL);
    for (size_t i = 0; i < count; i++)
        specs[i] = tensor_spec_at(config, i);
    model_config_print(config, &text);
    enum err_code rc = file_mkdirs(folder, 0755, err);
    snprintf(path, sizeof path, "%s/config.json", folder);
    if (rc == ERR_OK)
        rc = file_write_atomic(path, text.data, text.len, 0644, err);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    if (rc == ERR_OK)
        rc = safetensors_write_filled(path, specs, count, dtype, fill, config, err);
    strbuf_release(&text);
    free(specs);
    return rc;
}

static const struct shape *find_shape(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(shapes); i++) {
        if (strcmp(shapes[i].name, name) == 0)
            return &shapes[i];
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const struct shape *shape = argc >= 3 ? find_shape(argv[1]) : NULL;
    struct err err;
    if (!shape) {
        fprintf(stderr, "usage: make_checkpoint SHAPE FOLDER [bf16|f32] [VOCABULARY]; shapes:");
        for (size_t i = 0; i < ARRAY_COUNT(shapes); i++)
            fprintf(stderr, " %s", shapes[i].name);
        fputc('\n', stderr);
        return 2;
    }
    struct model_config config = shape->config;
    enum tensor_dtype dtype = argc > 3 && strcmp(argv[3], "f32") == 0 ? TENSOR_F32 : TENSOR_BF16;
    if (argc > 4)
        config.vocabulary = atoi(argv[4]);
    for (int i = 0; i < config.eos_count; i++)
        config.eos_ids[i] %= config.vocabulary;
    config.bos_id = config.bos_id < 0 ? -1 : config.bos_id % config.vocabulary;
    enum err_code rc = model_config_check(&config, &err);
    if (rc == ERR_OK)
        rc = make(&config, argv[2], dtype, &err);
    if (rc != ERR_OK)
        fprintf(stderr, "%s\n", err.text);
    return rc != ERR_OK;
}
