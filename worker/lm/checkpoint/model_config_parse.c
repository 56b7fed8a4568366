/* config.json, as transformers 4 and 5 write it, into a model_config. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "json_field.h"
#include "model_config_impl.h"
#include "model_family.h"

/* Keys that change the forward pass unless they have this neutral value (absent and null always
 * are neutral). Weights read under another value would silently give other numbers. */
enum neutral {
    NEUTRAL_NULL,
    NEUTRAL_FALSE,
    NEUTRAL_ONE,
    NEUTRAL_ACTIVATION, /* one of the family's */
    NEUTRAL_FULL,       /* a list of "full_attention" */
};

struct neutral_row {
    const char *key;
    enum neutral value;
};

static const struct neutral_row neutral_keys[] = {
    {"attention_bias", NEUTRAL_FALSE},
    {"mlp_bias", NEUTRAL_FALSE},
    {"qkv_bias", NEUTRAL_FALSE},
    {"sliding_window", NEUTRAL_NULL},
    {"use_sliding_window", NEUTRAL_FALSE},
    {"use_bidirectional_attention", NEUTRAL_FALSE},
    {"layer_types", NEUTRAL_FULL},
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
    {"hidden_act", NEUTRAL_ACTIVATION},
    {"hidden_activation", NEUTRAL_ACTIVATION},
};

static const char full_attention[] = "full_attention";
static const char sliding_attention[] = "sliding_attention";

static bool is_listed(const char *const *list, const char *text)
{
    for (; *list; list++) {
        if (strcmp(*list, text) == 0)
            return true;
    }
    return false;
}

static bool is_text(const json_t *value, const char *text)
{
    return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

/* ---- which family ---- */

static bool names_family(const struct model_family *family, const char *model_type)
{
    return strcmp(family->model_type, model_type) == 0 ||
           (family->wrapper_type && strcmp(family->wrapper_type, model_type) == 0);
}

static enum err_code read_kind(struct json_source from, enum model_kind *kind_out, struct err *err)
{
    const char *model_type = NULL;
    struct strbuf known = {0};
    enum err_code rc = json_field_string(from, "model_type", true, &model_type, err);
    if (rc != ERR_OK)
        return rc;
    for (int kind = 0; kind < MODEL_KIND_COUNT; kind++) {
        const struct model_family *family = model_family((enum model_kind)kind);
        if (names_family(family, model_type)) {
            strbuf_release(&known);
            *kind_out = (enum model_kind)kind;
            return ERR_OK;
        }
        strbuf_printf(&known, "%s%s", kind ? ", " : "", family->model_type);
    }
    rc = err_set(err, ERR_INVALID, "read '%s': model_type '%.60s' is not supported (%s are)",
                 from.path, model_type, strbuf_text(&known));
    strbuf_release(&known);
    return rc;
}

/* ---- what we do not compute ---- */

static bool is_neutral(const json_t *value, enum neutral neutral, const struct model_family *family)
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
    case NEUTRAL_ACTIVATION:
        return json_is_string(value) && is_listed(family->activations, json_string_value(value));
    case NEUTRAL_FULL:
        for (size_t i = 0; i < json_array_size(value); i++) {
            if (!is_text(json_array_get(value, i), full_attention))
                return false;
        }
        return json_is_array(value);
    }
    return false;
}

static enum err_code refuse_unsupported(struct json_source from, const struct model_family *family,
                                        struct err *err)
{
    for (size_t i = 0; i < ARRAY_COUNT(neutral_keys); i++) {
        const struct neutral_row *row = &neutral_keys[i];
        const json_t *value = json_object_get(from.object, row->key);
        if (is_listed(family->reads, row->key) || is_neutral(value, row->value, family))
            continue;
        char *shown = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        enum err_code rc =
            err_set(err, ERR_INVALID,
                    "read '%s': key '%s' is %.80s, which changes the computation and is not "
                    "supported for %s",
                    from.path, row->key, shown ? shown : "set", family->name);
        free(shown);
        return rc;
    }
    return ERR_OK;
}

/* ---- RoPE ---- */

/* {"rope_type": "llama3", "factor": 8.0, …}; older files say "type". */
static enum err_code read_scaling(struct json_source from, struct model_config *c, struct err *err)
{
    const char *type = "default";
    enum err_code rc = json_field_string(from, "type", false, &type, err);
    if (rc == ERR_OK)
        rc = json_field_string(from, "rope_type", false, &type, err);
    if (rc != ERR_OK || strcmp(type, "default") == 0)
        return rc;
    const bool llama3 = strcmp(type, "llama3") == 0;
    if (!llama3 && strcmp(type, "linear") != 0)
        return err_set(err, ERR_INVALID,
                       "read '%s': rope_type '%.40s' changes the computation and is not supported "
                       "(default, linear and llama3 are)",
                       from.path, type);
    c->rope_scaling = llama3 ? ROPE_LLAMA3 : ROPE_LINEAR;
    rc = json_field_double(from, "factor", true, &c->rope_factor, err);
    if (rc != ERR_OK || !llama3)
        return rc;
    rc = json_field_double(from, "low_freq_factor", true, &c->rope_low_factor, err);
    if (rc == ERR_OK)
        rc = json_field_double(from, "high_freq_factor", true, &c->rope_high_factor, err);
    if (rc == ERR_OK)
        rc = json_field_int(from, "original_max_position_embeddings", true, 1, MODEL_CONTEXT_MAX,
                            &c->rope_original_context, err);
    return rc;
}

/* The member as an object, or NULL when it is absent; otherwise an error in `rc`. */
static const json_t *find_object(struct json_source from, const char *key, enum err_code *rc,
                                 struct err *err)
{
    const json_t *value = json_object_get(from.object, key);
    *rc = ERR_OK;
    if (!value || json_is_null(value))
        return NULL;
    if (!json_is_object(value)) {
        *rc = err_set(err, ERR_INVALID, "read '%s': key '%s' must be an object", from.path, key);
        return NULL;
    }
    return value;
}

/* rope_parameters of transformers 5: base and scaling in one object. */
static enum err_code read_parameters(struct json_source from, struct model_config *c,
                                     struct err *err)
{
    double turned = 1;
    enum err_code rc = json_field_double(from, "partial_rotary_factor", false, &turned, err);
    if (rc == ERR_OK && (turned < 1 || turned > 1))
        return err_set(err, ERR_INVALID,
                       "read '%s': key 'partial_rotary_factor' is %g, which is not supported",
                       from.path, turned);
    if (rc == ERR_OK)
        rc = json_field_double(from, "rope_theta", false, &c->rope_theta, err);
    return rc == ERR_OK ? read_scaling(from, c, err) : rc;
}

/* Of windowed layers only the base may differ. */
static enum err_code read_local(struct json_source from, struct model_config *c, struct err *err)
{
    const char *type = "default";
    enum err_code rc = json_field_string(from, "rope_type", false, &type, err);
    if (rc == ERR_OK && strcmp(type, "default") != 0)
        return err_set(err, ERR_INVALID,
                       "read '%s': rope_type '%.40s' of '%s' layers is not supported", from.path,
                       type, sliding_attention);
    return rc == ERR_OK ? json_field_double(from, "rope_theta", false, &c->rope_local_theta, err)
                        : rc;
}

/* rope_theta, rope_scaling and rope_local_base_freq at the top level, or since transformers 5 one
 * object rope_parameters, where layers differ one per type of layer. */
static enum err_code read_rope(struct json_source from, struct model_config *c, struct err *err)
{
    enum err_code rc = json_field_double(from, "rope_theta", false, &c->rope_theta, err);
    if (rc == ERR_OK && model_family(c->kind)->windows)
        rc = json_field_double(from, "rope_local_base_freq", false, &c->rope_local_theta, err);
    if (rc != ERR_OK)
        return rc;
    const json_t *scaling = find_object(from, "rope_scaling", &rc, err);
    if (scaling)
        rc = read_scaling((struct json_source){scaling, from.path}, c, err);
    if (rc != ERR_OK)
        return err_wrap(err, "rope_scaling");
    const json_t *parameters = find_object(from, "rope_parameters", &rc, err);
    if (rc != ERR_OK || !parameters)
        return rc;
    struct json_source inner = {parameters, from.path};
    const json_t *full = find_object(inner, full_attention, &rc, err);
    const json_t *sliding = rc == ERR_OK ? find_object(inner, sliding_attention, &rc, err) : NULL;
    if (rc == ERR_OK)
        rc = read_parameters((struct json_source){full ? full : parameters, from.path}, c, err);
    if (rc == ERR_OK && sliding && model_family(c->kind)->windows)
        rc = read_local((struct json_source){sliding, from.path}, c, err);
    return rc == ERR_OK ? rc : err_wrap(err, "rope_parameters");
}

/* ---- windows ---- */

/* layer_types names every layer's kind: a window in all but every n-th. */
static enum err_code read_layer_types(struct json_source from, struct model_config *c,
                                      struct err *err)
{
    const json_t *types = json_object_get(from.object, "layer_types");
    if (!types || json_is_null(types))
        return ERR_OK;
    if (!json_is_array(types) || json_array_size(types) != (size_t)c->layers)
        return err_set(err, ERR_INVALID, "read '%s': key 'layer_types' must list %d layers",
                       from.path, c->layers);
    int period = 1;
    while (period <= c->layers &&
           !is_text(json_array_get(types, (size_t)period - 1), full_attention))
        period++;
    for (int layer = 0; layer < c->layers; layer++) {
        const char *expected = (layer + 1) % period == 0 ? full_attention : sliding_attention;
        if (!is_text(json_array_get(types, (size_t)layer), expected))
            return err_set(err, ERR_INVALID,
                           "read '%s': key 'layer_types' must be '%s', with '%s' every n-th time; "
                           "layer %d is not",
                           from.path, sliding_attention, full_attention, layer);
    }
    c->window_period = period;
    return ERR_OK;
}

static enum err_code read_windows(struct json_source from, struct model_config *c, struct err *err)
{
    /* Transformers writes the pattern with an underscore since layer_types replaced it. */
    enum err_code rc = json_field_int(from, "_sliding_window_pattern", false, 1,
                                      MODEL_LAYERS_MAX + 1, &c->window_period, err);
    if (rc == ERR_OK)
        rc = read_layer_types(from, c, err);
    /* One number for "never", whichever key said so. */
    if (c->window_period > c->layers)
        c->window_period = c->layers + 1;
    return rc;
}

/* ---- the rest ---- */

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
        if (!json_is_integer(id) || number < 0 || number >= MODEL_VOCABULARY_MAX)
            return err_set(err, ERR_INVALID, "read '%s': eos_token_id must hold token ids",
                           from.path);
        c->eos_ids[i] = (int)number;
    }
    c->eos_count = (int)count;
    return ERR_OK;
}

static enum err_code read_sizes(struct json_source from, struct model_config *c, struct err *err)
{
    const bool windows = model_family(c->kind)->windows;
    for (size_t i = 0; i < ARRAY_COUNT(model_size_rows); i++) {
        const struct size_row *row = &model_size_rows[i];
        int *size = model_size_at(c, row);
        if (row->windows && !windows)
            continue;
        const bool required = *size == 0 && !row->derived;
        enum err_code rc = json_field_int(from, row->key, required, row->min, row->max, size, err);
        if (rc != ERR_OK)
            return rc;
    }
    if (c->kv_heads == 0)
        c->kv_heads = c->heads;
    if (c->head_dim == 0 && c->width % c->heads != 0)
        return err_set(err, ERR_INVALID,
                       "read '%s': hidden_size %d is not a multiple of num_attention_heads %d "
                       "and head_dim is not given",
                       from.path, c->width, c->heads);
    c->head_dim = c->head_dim ? c->head_dim : c->width / c->heads;
    return windows ? read_windows(from, c, err) : ERR_OK;
}

/* What a multimodal model may say beside its text_config, too. */
static enum err_code read_ends(struct json_source from, struct model_config *c, struct err *err)
{
    enum err_code rc = json_field_bool(from, "tie_word_embeddings", false, &c->head_tied, err);
    if (rc == ERR_OK)
        rc = json_field_int(from, "bos_token_id", false, 0, MODEL_VOCABULARY_MAX, &c->bos_id, err);
    return rc == ERR_OK ? read_eos(from, c, err) : rc;
}

static enum err_code read_text_config(struct json_source from, struct model_config *c,
                                      struct err *err)
{
    enum err_code rc = refuse_unsupported(from, model_family(c->kind), err);
    if (rc == ERR_OK)
        rc = read_sizes(from, c, err);
    if (rc == ERR_OK)
        rc = json_field_double(from, "rms_norm_eps", false, &c->norm_eps, err);
    if (rc == ERR_OK)
        rc = read_rope(from, c, err);
    /* null, unlike an absent key, says that there is none. */
    if (json_is_null(json_object_get(from.object, "bos_token_id")))
        c->bos_id = -1;
    if (json_is_null(json_object_get(from.object, "eos_token_id")))
        c->eos_count = 0;
    return rc == ERR_OK ? read_ends(from, c, err) : rc;
}

static enum err_code read_all(struct json_source from, struct model_config *c, struct err *err)
{
    enum model_kind kind = MODEL_LLAMA;
    enum err_code rc = read_kind(from, &kind, err);
    if (rc != ERR_OK)
        return rc;
    const struct model_family *family = model_family(kind);
    const char *model_type = json_string_value(json_object_get(from.object, "model_type"));
    *c = family->defaults;
    if (strcmp(model_type, family->model_type) == 0)
        return read_text_config(from, c, err);
    const json_t *text = find_object(from, "text_config", &rc, err);
    if (rc == ERR_OK && !text)
        rc = err_set(err, ERR_INVALID, "read '%s': a model of type '%s' needs a 'text_config'",
                     from.path, model_type);
    if (rc == ERR_OK)
        rc = read_text_config((struct json_source){text, from.path}, c, err);
    return rc == ERR_OK ? read_ends(from, c, err) : rc;
}

enum err_code model_config_parse(struct model_config *config_out, const char *text, size_t len,
                                 const char *source, struct err *err)
{
    json_t *root = NULL;
    struct model_config config;
    enum err_code rc = json_parse_object(text, len, source, &root, err);
    if (rc != ERR_OK)
        return rc;
    rc = read_all((struct json_source){root, source}, &config, err);
    json_decref(root);
    if (rc != ERR_OK)
        return rc;
    if (model_config_check(&config, err) != ERR_OK)
        return err_wrap(err, "read '%s'", source);
    *config_out = config;
    return ERR_OK;
}
