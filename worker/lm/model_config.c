#include "model_config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "json_field.h"
#include "tensor_spec.h"

/* Bounds: far above any model of this family, and small enough that rows * cols * sizeof(float)
 * fits 64 bits and heads * head_dim fits an int. */
enum {
    LAYERS_MAX = 1024,
    WIDTH_MAX = 1 << 17,
    HEADS_MAX = 1024,
    HEAD_DIM_MAX = 1024,
    MLP_WIDTH_MAX = 1 << 20,
    VOCABULARY_MAX = 1 << 22,
    CONTEXT_MAX = 1 << 24,
};

struct kind_row {
    const char *model_type;
    const char *architecture;
};

static const struct kind_row kinds[MODEL_KIND_COUNT] = {
    [MODEL_LLAMA] = {"llama", "LlamaForCausalLM"},
};

/* The integer sizes: one row serves parsing, checking and (in this order) messages. */
struct size_row {
    const char *key;
    size_t offset;
    int min;
    int max;
    bool required;
};

static const struct size_row sizes[] = {
    {"num_hidden_layers", offsetof(struct model_config, layers), 1, LAYERS_MAX, true},
    {"hidden_size", offsetof(struct model_config, width), 1, WIDTH_MAX, true},
    {"num_attention_heads", offsetof(struct model_config, heads), 1, HEADS_MAX, true},
    {"num_key_value_heads", offsetof(struct model_config, kv_heads), 1, HEADS_MAX, false},
    {"head_dim", offsetof(struct model_config, head_dim), 2, HEAD_DIM_MAX, false},
    {"intermediate_size", offsetof(struct model_config, mlp_width), 1, MLP_WIDTH_MAX, true},
    {"vocab_size", offsetof(struct model_config, vocabulary), 1, VOCABULARY_MAX, true},
    {"max_position_embeddings", offsetof(struct model_config, context), 1, CONTEXT_MAX, true},
};

/* Keys that change the forward pass unless they have this neutral value (absent and null always
 * are neutral). Weights read under another value would silently give other numbers. */
enum neutral { NEUTRAL_NULL, NEUTRAL_FALSE, NEUTRAL_ONE, NEUTRAL_SILU };

struct neutral_row {
    const char *key;
    enum neutral value;
};

static const struct neutral_row neutral_keys[] = {
    {"attention_bias", NEUTRAL_FALSE},
    {"mlp_bias", NEUTRAL_FALSE},
    {"qkv_bias", NEUTRAL_FALSE},
    {"rope_scaling", NEUTRAL_NULL},
    {"sliding_window", NEUTRAL_NULL},
    {"use_sliding_window", NEUTRAL_FALSE},
    {"layer_types", NEUTRAL_NULL},
    {"attn_logit_softcapping", NEUTRAL_NULL},
    {"final_logit_softcapping", NEUTRAL_NULL},
    {"query_pre_attn_scalar", NEUTRAL_NULL},
    {"partial_rotary_factor", NEUTRAL_ONE},
    {"embedding_multiplier", NEUTRAL_ONE},
    {"attention_multiplier", NEUTRAL_NULL},
    {"residual_multiplier", NEUTRAL_ONE},
    {"logits_scaling", NEUTRAL_ONE},
    {"logit_scale", NEUTRAL_ONE},
    {"num_experts", NEUTRAL_NULL},
    {"num_local_experts", NEUTRAL_NULL},
    {"quantization_config", NEUTRAL_NULL},
    {"hidden_act", NEUTRAL_SILU},
    {"hidden_activation", NEUTRAL_SILU},
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

static int *size_at(struct model_config *config, const struct size_row *row)
{
    return (int *)(void *)((char *)config + row->offset);
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

enum err_code model_config_check(const struct model_config *config, struct err *err)
{
    struct model_config copy = *config;
    if ((unsigned)config->kind >= MODEL_KIND_COUNT)
        return err_set(err, ERR_INVALID, "unknown model kind %d", (int)config->kind);
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        int value = *size_at(&copy, &sizes[i]);
        if (value < sizes[i].min || value > sizes[i].max)
            return err_set(err, ERR_INVALID, "%s is %d, but must lie between %d and %d",
                           sizes[i].key, value, sizes[i].min, sizes[i].max);
    }
    if (config->heads % config->kv_heads != 0)
        return err_set(err, ERR_INVALID,
                       "num_attention_heads %d is not a multiple of num_key_value_heads %d",
                       config->heads, config->kv_heads);
    if (config->head_dim % 2 != 0)
        return err_set(err, ERR_INVALID, "head_dim %d is odd, but RoPE turns pairs",
                       config->head_dim);
    if (!(config->rope_theta > 0) || !isfinite(config->rope_theta))
        return err_set(err, ERR_INVALID, "rope_theta must be a positive number");
    if (!(config->norm_eps >= 0) || !isfinite(config->norm_eps))
        return err_set(err, ERR_INVALID, "rms_norm_eps must not be negative");
    return check_ids(config, err);
}

static enum err_code read_kind(struct json_source from, enum model_kind *kind_out, struct err *err)
{
    const char *model_type = NULL;
    enum err_code rc = json_field_string(from, "model_type", true, &model_type, err);
    if (rc != ERR_OK)
        return rc;
    for (int kind = 0; kind < MODEL_KIND_COUNT; kind++) {
        if (strcmp(kinds[kind].model_type, model_type) == 0) {
            *kind_out = (enum model_kind)kind;
            return ERR_OK;
        }
    }
    return err_set(err, ERR_INVALID, "read '%s': model_type '%s' is not supported (only llama is)",
                   from.path, model_type);
}

static bool is_neutral(const json_t *value, enum neutral neutral)
{
    if (!value || json_is_null(value))
        return true;
    switch (neutral) {
    case NEUTRAL_NULL:
        return false;
    case NEUTRAL_FALSE:
        return json_is_false(value);
    case NEUTRAL_ONE:
        return json_is_number(value) && json_number_value(value) == 1.0;
    case NEUTRAL_SILU:
        return json_is_string(value) && (strcmp(json_string_value(value), "silu") == 0 ||
                                         strcmp(json_string_value(value), "swish") == 0);
    }
    return false;
}

static enum err_code refuse_unsupported(struct json_source from, struct err *err)
{
    for (size_t i = 0; i < ARRAY_COUNT(neutral_keys); i++) {
        const json_t *value = json_object_get(from.object, neutral_keys[i].key);
        if (is_neutral(value, neutral_keys[i].value))
            continue;
        char *shown = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        enum err_code rc =
            err_set(err, ERR_INVALID,
                    "read '%s': key '%s' is %.80s, which changes the computation and is not "
                    "supported for this model",
                    from.path, neutral_keys[i].key, shown ? shown : "set");
        free(shown);
        return rc;
    }
    return ERR_OK;
}

/* Either rope_theta at the top level, or since transformers 5 inside rope_parameters. */
static enum err_code read_rope(struct json_source from, double *theta, struct err *err)
{
    enum err_code rc = json_field_double(from, "rope_theta", false, theta, err);
    const json_t *parameters = json_object_get(from.object, "rope_parameters");
    if (rc != ERR_OK || !parameters || json_is_null(parameters))
        return rc;
    struct json_source inner = {parameters, from.path};
    const char *type = "default";
    rc = json_field_string(inner, "rope_type", false, &type, err);
    if (rc != ERR_OK)
        return rc;
    if (strcmp(type, "default") != 0)
        return err_set(err, ERR_INVALID,
                       "read '%s': rope_type '%s' changes the computation and is not supported",
                       from.path, type);
    return json_field_double(inner, "rope_theta", false, theta, err);
}

/* eos_token_id is a number, a list of numbers, null or absent. */
static enum err_code read_eos(struct json_source from, struct model_config *c, struct err *err)
{
    const json_t *value = json_object_get(from.object, "eos_token_id");
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    if (!value || json_is_null(value))
        return ERR_OK;
    if (count > MODEL_EOS_MAX)
        return err_set(err, ERR_INVALID, "read '%s': eos_token_id lists %zu ids, at most %d can be",
                       from.path, count, MODEL_EOS_MAX);
    for (size_t i = 0; i < count; i++) {
        const json_t *id = json_is_array(value) ? json_array_get(value, i) : value;
        json_int_t number = json_integer_value(id);
        if (!json_is_integer(id) || number < 0 || number >= VOCABULARY_MAX)
            return err_set(err, ERR_INVALID, "read '%s': eos_token_id must hold token ids",
                           from.path);
        c->eos_ids[i] = (int)number;
    }
    c->eos_count = (int)count;
    return ERR_OK;
}

static enum err_code read_all(struct json_source from, struct model_config *c, struct err *err)
{
    enum err_code rc = read_kind(from, &c->kind, err);
    if (rc == ERR_OK)
        rc = refuse_unsupported(from, err);
    for (size_t i = 0; rc == ERR_OK && i < ARRAY_COUNT(sizes); i++)
        rc = json_field_int(from, sizes[i].key, sizes[i].required, sizes[i].min, sizes[i].max,
                            size_at(c, &sizes[i]), err);
    /* Defaults of LlamaConfig: as many key/value heads as heads; head_dim from the width; an
     * untied head. */
    if (c->kv_heads == 0)
        c->kv_heads = c->heads;
    if (rc == ERR_OK && c->head_dim == 0) {
        if (c->width % c->heads != 0)
            return err_set(err, ERR_INVALID,
                           "read '%s': hidden_size %d is not a multiple of num_attention_heads %d "
                           "and head_dim is not given",
                           from.path, c->width, c->heads);
        c->head_dim = c->width / c->heads;
    }
    c->head_tied = false;
    c->norm_eps = 1e-6;
    if (rc == ERR_OK)
        rc = json_field_bool(from, "tie_word_embeddings", false, &c->head_tied, err);
    if (rc == ERR_OK)
        rc = json_field_double(from, "rms_norm_eps", false, &c->norm_eps, err);
    if (rc == ERR_OK)
        rc = read_rope(from, &c->rope_theta, err);
    if (rc == ERR_OK)
        rc = json_field_int(from, "bos_token_id", false, 0, VOCABULARY_MAX, &c->bos_id, err);
    if (rc == ERR_OK)
        rc = read_eos(from, c, err);
    return rc;
}

enum err_code model_config_parse(struct model_config *config_out, const char *text, size_t len,
                                 const char *source, struct err *err)
{
    json_t *root = NULL;
    enum err_code rc = json_parse_object(text, len, source, &root, err);
    if (rc != ERR_OK)
        return rc;
    struct model_config config = model_config_default();
    rc = read_all((struct json_source){root, source}, &config, err);
    json_decref(root);
    if (rc != ERR_OK)
        return rc;
    rc = model_config_check(&config, err);
    if (rc != ERR_OK)
        return err_wrap(err, "read '%s'", source);
    *config_out = config;
    return ERR_OK;
}

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
static void print_double(const char *key, double value, struct strbuf *out)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    if (fabs(value) < 1e9 && value == floor(value))
        snprintf(text, sizeof text, "%.1f", value);
    strbuf_printf(out, "  \"%s\": %s,\n", key, text);
}

void model_config_print(const struct model_config *config, struct strbuf *out)
{
    struct model_config copy = *config;
    strbuf_printf(out, "{\n  \"architectures\": [\"%s\"],\n", kinds[config->kind].architecture);
    strbuf_puts(out, "  \"attention_bias\": false,\n");
    if (config->bos_id >= 0)
        strbuf_printf(out, "  \"bos_token_id\": %d,\n", config->bos_id);
    else
        strbuf_puts(out, "  \"bos_token_id\": null,\n");
    print_eos(config, out);
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        strbuf_printf(out, "  \"%s\": %d,\n", sizes[i].key, *size_at(&copy, &sizes[i]));
    strbuf_puts(out, "  \"hidden_act\": \"silu\",\n  \"mlp_bias\": false,\n");
    strbuf_printf(out, "  \"model_type\": \"%s\",\n", kinds[config->kind].model_type);
    print_double("rms_norm_eps", config->norm_eps, out);
    strbuf_puts(out, "  \"rope_scaling\": null,\n");
    print_double("rope_theta", config->rope_theta, out);
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
