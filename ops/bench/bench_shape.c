#include "bench_shape.h"

#include <stdlib.h>

#include "check.h"
#include "rng.h"

#define COMMON .norm_eps = 1e-6, .bos_id = -1

static const struct {
    const char *name;
    struct model_config config;
} shapes[] = {
    {"quickstart",
     {COMMON, .kind = MODEL_LLAMA, .layers = 4, .width = 128, .heads = 4, .kv_heads = 2,
      .head_dim = 32, .mlp_width = 384, .vocabulary = 1030, .context = 768, .rope_theta = 1e4,
      .head_tied = true}},
    {"llama-124m",
     {COMMON, .kind = MODEL_LLAMA, .layers = 12, .width = 768, .heads = 12, .kv_heads = 12,
      .head_dim = 64, .mlp_width = 2560, .vocabulary = 32000, .context = 1024, .rope_theta = 1e4,
      .head_tied = true}},
    {"qwen3-0.6b-32k",
     {COMMON, .kind = MODEL_QWEN3, .layers = 28, .width = 1024, .heads = 16, .kv_heads = 8,
      .head_dim = 128, .mlp_width = 3072, .vocabulary = 32000, .context = 4096, .rope_theta = 1e6,
      .head_tied = true}},
    {"gemma3-1b",
     {COMMON, .kind = MODEL_GEMMA3, .layers = 26, .width = 1152, .heads = 4, .kv_heads = 1,
      .head_dim = 256, .mlp_width = 6912, .vocabulary = 262144, .context = 4096, .rope_theta = 1e6,
      .rope_local_theta = 1e4, .window = 512, .window_period = 6, .query_scalar = 256,
      .head_tied = true}},
};

/* Names, for help: "llama-124m, …". */
static const char *bench_shape_names(void)
{
    return "quickstart, llama-124m, qwen3-0.6b-32k, gemma3-1b";
}

enum err_code bench_shape_find(const char *name, struct model_config *out, struct err *err)
{
    for (size_t i = 0; i < ARRAY_COUNT(shapes); i++) {
        if (str_equal(str_from(name), str_from(shapes[i].name))) {
            *out = shapes[i].config;
            return model_config_check(out, err);
        }
    }
    return err_set(err, ERR_INVALID, "no shape '%s': there are %s", name, bench_shape_names());
}

enum err_code bench_shape_model(const struct model_config *config, struct model **model_out,
                                struct err *err)
{
    enum err_code rc = model_new(config, model_out, err);
    if (rc == ERR_OK)
        params_randomize(model_params(*model_out), config, 1, 0.02);
    return rc;
}

double bench_shape_product_parameters(const struct model_config *config)
{
    const double width = config->width, heads = config->heads, groups = config->kv_heads;
    const double attention = width * config->head_dim * (2 * heads + 2 * groups);
    const double mlp = 3 * width * config->mlp_width;
    return config->layers * (attention + mlp) + width * config->vocabulary;
}

int32_t *bench_shape_ids(const struct model_config *config, size_t count, const char *stream)
{
    int32_t *ids = malloc((count + 1) * sizeof *ids);
    struct rng rng = rng_new(1, stream);
    ASSERT(ids != NULL);
    for (size_t i = 0; i < count; i++)
        ids[i] = (int32_t)rng_below(&rng, (uint64_t)config->vocabulary);
    return ids;
}
