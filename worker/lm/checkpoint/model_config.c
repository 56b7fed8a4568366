#include "model_config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "model_config_impl.h"
#include "model_family.h"
#include "tensor_spec.h"

const struct size_row model_size_rows[MODEL_SIZE_ROWS] = {
    {"num_hidden_layers", offsetof(struct model_config, layers), 1, MODEL_LAYERS_MAX, false, false},
    {"hidden_size", offsetof(struct model_config, width), 1, MODEL_WIDTH_MAX, false, false},
    {"num_attention_heads", offsetof(struct model_config, heads), 1, MODEL_HEADS_MAX, false, false},
    {"num_key_value_heads", offsetof(struct model_config, kv_heads), 1, MODEL_HEADS_MAX, true,
     false},
    {"head_dim", offsetof(struct model_config, head_dim), 2, MODEL_HEAD_DIM_MAX, true, false},
    {"intermediate_size", offsetof(struct model_config, mlp_width), 1, MODEL_MLP_WIDTH_MAX, false,
     false},
    {"vocab_size", offsetof(struct model_config, vocabulary), 1, MODEL_VOCABULARY_MAX, false,
     false},
    {"max_position_embeddings", offsetof(struct model_config, context), 1, MODEL_CONTEXT_MAX, false,
     false},
    {"sliding_window", offsetof(struct model_config, window), 1, MODEL_CONTEXT_MAX, true, true},
    {"sliding_window_pattern", offsetof(struct model_config, window_period), 1,
     MODEL_LAYERS_MAX + 1, true, true},
    {"query_pre_attn_scalar", offsetof(struct model_config, query_scalar), 1, MODEL_WIDTH_MAX, true,
     true},
};

struct model_config model_config_default(void)
{
    return (struct model_config){
        .kind = MODEL_LLAMA,
        .rope_theta = 10000.0,
        .norm_eps = 1e-5,
        .head_tied = true,
        .bos_id = -1,
    };
}

static enum err_code check_ids(const struct model_config *c, struct err *err)
{
    if (c->bos_id < -1 || c->bos_id >= c->vocabulary)
        return err_set(err, ERR_INVALID, "bos_token_id %d is outside the vocabulary of %d",
                       c->bos_id, c->vocabulary);
    if (c->eos_count < 0 || c->eos_count > MODEL_EOS_MAX)
        return err_set(err, ERR_INVALID, "eos_token_id lists %d ids; at most %d are supported",
                       c->eos_count, MODEL_EOS_MAX);
    for (int i = 0; i < c->eos_count; i++) {
        if (c->eos_ids[i] < 0 || c->eos_ids[i] >= c->vocabulary)
            return err_set(err, ERR_INVALID, "eos_token_id %d is outside the vocabulary of %d",
                           c->eos_ids[i], c->vocabulary);
    }
    return ERR_OK;
}

static bool is_positive(double x)
{
    return x > 0 && isfinite(x);
}

static enum err_code check_rope(const struct model_config *c, struct err *err)
{
    if (!is_positive(c->rope_theta))
        return err_set(err, ERR_INVALID, "rope_theta must be a positive number");
    if (c->window > 0 && !is_positive(c->rope_local_theta))
        return err_set(err, ERR_INVALID, "rope_local_base_freq must be a positive number");
    if (c->rope_scaling == ROPE_UNSCALED)
        return ERR_OK;
    if (!(c->rope_factor >= 1) || !isfinite(c->rope_factor))
        return err_set(err, ERR_INVALID, "rope_scaling: factor must be at least 1");
    if (c->rope_scaling == ROPE_LLAMA3 &&
        (!is_positive(c->rope_low_factor) || !isfinite(c->rope_high_factor) ||
         c->rope_high_factor <= c->rope_low_factor))
        return err_set(err, ERR_INVALID,
                       "rope_scaling: low_freq_factor %g must be positive and below "
                       "high_freq_factor %g",
                       c->rope_low_factor, c->rope_high_factor);
    if (c->rope_scaling == ROPE_LLAMA3 && c->rope_original_context < 1)
        return err_set(err, ERR_INVALID,
                       "rope_scaling: original_max_position_embeddings must be at least 1");
    return ERR_OK;
}

/* Families without windows have 0 there. */
static enum err_code check_sizes(const struct model_config *config, struct err *err)
{
    struct model_config copy = *config;
    const bool windows = model_family(config->kind)->windows;
    for (size_t i = 0; i < ARRAY_COUNT(model_size_rows); i++) {
        const struct size_row *row = &model_size_rows[i];
        const int value = *model_size_at(&copy, row);
        if (row->windows && !windows && value == 0)
            continue;
        if (row->windows && !windows)
            return err_set(err, ERR_INVALID, "%s is %d, but %s has no such thing", row->key, value,
                           model_family(config->kind)->name);
        if (value < row->min || value > row->max)
            return err_set(err, ERR_INVALID, "%s is %d, but must lie between %d and %d", row->key,
                           value, row->min, row->max);
    }
    return ERR_OK;
}

enum err_code model_config_check(const struct model_config *config, struct err *err)
{
    if ((unsigned)config->kind >= MODEL_KIND_COUNT)
        return err_set(err, ERR_INVALID, "unknown model kind %d", (int)config->kind);
    enum err_code rc = check_sizes(config, err);
    if (rc != ERR_OK)
        return rc;
    if (config->heads % config->kv_heads != 0)
        return err_set(err, ERR_INVALID,
                       "num_attention_heads %d is not a multiple of num_key_value_heads %d",
                       config->heads, config->kv_heads);
    if (config->head_dim % 2 != 0)
        return err_set(err, ERR_INVALID, "head_dim %d is odd, but RoPE turns pairs",
                       config->head_dim);
    if (!(config->norm_eps >= 0) || !isfinite(config->norm_eps))
        return err_set(err, ERR_INVALID, "rms_norm_eps must not be negative");
    rc = check_rope(config, err);
    return rc == ERR_OK ? check_ids(config, err) : rc;
}

double model_config_score_scale(const struct model_config *config)
{
    return 1.0 / sqrt(config->query_scalar > 0 ? config->query_scalar : config->head_dim);
}

/* ---- printing ---- */

static void print_eos(const struct model_config *c, struct strbuf *out)
{
    if (c->eos_count == 0) {
        strbuf_puts(out, "  \"eos_token_id\": null,\n");
    } else if (c->eos_count == 1) {
        strbuf_printf(out, "  \"eos_token_id\": %d,\n", c->eos_ids[0]);
    } else {
        strbuf_puts(out, "  \"eos_token_id\": [");
        for (int i = 0; i < c->eos_count; i++)
            strbuf_printf(out, "%s%d", i ? ", " : "", c->eos_ids[i]);
        strbuf_puts(out, "],\n");
    }
}

/* Round numbers in full ("10000.0"), others as the shortest decimal that reads back as the same
 * double; 17 digits always do. */
static void print_number(double value, struct strbuf *out)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    if (fabs(value) < 1e9 && value == floor(value))
        snprintf(text, sizeof text, "%.1f", value);
    strbuf_puts(out, text);
}

static void print_double(const char *key, double value, struct strbuf *out)
{
    strbuf_printf(out, "  \"%s\": ", key);
    print_number(value, out);
    strbuf_puts(out, ",\n");
}

static void print_scaling(const struct model_config *c, struct strbuf *out)
{
    strbuf_puts(out, "  \"rope_scaling\": ");
    if (c->rope_scaling == ROPE_UNSCALED) {
        strbuf_puts(out, "null,\n");
        return;
    }
    strbuf_puts(out, "{\"factor\": ");
    print_number(c->rope_factor, out);
    if (c->rope_scaling == ROPE_LLAMA3) {
        strbuf_puts(out, ", \"high_freq_factor\": ");
        print_number(c->rope_high_factor, out);
        strbuf_puts(out, ", \"low_freq_factor\": ");
        print_number(c->rope_low_factor, out);
        strbuf_printf(out, ", \"original_max_position_embeddings\": %d", c->rope_original_context);
    }
    strbuf_printf(out, ", \"rope_type\": \"%s\"},\n",
                  c->rope_scaling == ROPE_LLAMA3 ? "llama3" : "linear");
}

static void print_layer_types(const struct model_config *c, struct strbuf *out)
{
    strbuf_puts(out, "  \"layer_types\": [");
    for (int layer = 0; layer < c->layers; layer++)
        strbuf_printf(out, "%s\"%s\"", layer ? ", " : "",
                      model_layer_is_windowed(c, layer) ? "sliding_attention" : "full_attention");
    strbuf_puts(out, "],\n");
}

/* With windows: what windowed layers differ in. */
static void print_windows(const struct model_config *c, struct strbuf *out)
{
    strbuf_puts(out, "  \"attn_logit_softcapping\": null,\n  \"final_logit_softcapping\": null,\n");
    print_layer_types(c, out);
    print_double("rope_local_base_freq", c->rope_local_theta, out);
}

static void print_sizes(const struct model_config *config, struct strbuf *out)
{
    struct model_config copy = *config;
    for (size_t i = 0; i < ARRAY_COUNT(model_size_rows); i++) {
        const int value = *model_size_at(&copy, &model_size_rows[i]);
        if (value != 0)
            strbuf_printf(out, "  \"%s\": %d,\n", model_size_rows[i].key, value);
    }
}

void model_config_print(const struct model_config *config, struct strbuf *out)
{
    const struct model_family *family = model_family(config->kind);
    strbuf_printf(out, "{\n  \"architectures\": [\"%s\"],\n", family->architecture);
    strbuf_puts(out, "  \"attention_bias\": false,\n");
    if (config->bos_id >= 0)
        strbuf_printf(out, "  \"bos_token_id\": %d,\n", config->bos_id);
    else
        strbuf_puts(out, "  \"bos_token_id\": null,\n");
    print_eos(config, out);
    print_sizes(config, out);
    strbuf_printf(out, "  \"%s\": \"%s\",\n  \"mlp_bias\": false,\n", family->activation_key,
                  family->activations[0]);
    strbuf_printf(out, "  \"model_type\": \"%s\",\n", family->model_type);
    print_double("rms_norm_eps", config->norm_eps, out);
    print_scaling(config, out);
    print_double("rope_theta", config->rope_theta, out);
    if (family->windows)
        print_windows(config, out);
    strbuf_printf(out, "  \"tie_word_embeddings\": %s,\n", config->head_tied ? "true" : "false");
    strbuf_puts(out, "  \"torch_dtype\": \"float32\"\n}\n");
}

size_t model_config_parameters(const struct model_config *config)
{
    size_t total = 0;
    for (size_t i = 0; i < tensor_spec_count(config); i++) {
        struct tensor_spec spec = tensor_spec_at(config, i);
        total += tensor_spec_elements(&spec);
    }
    return total;
}
