#include "peft.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "file.h"
#include "json_field.h"
#include "safetensors.h"

enum { FILE_MODE = 0644, FOLDER_MODE = 0755, CONFIG_BYTES_MAX = 1024 * 1024 };
static const char stem[] = "base_model.model.";
static const char tensors_name[] = "adapter_model.safetensors";
static const char config_name[] = "adapter_config.json";

static enum err_code path_in(char *path, size_t size, const char *folder, const char *prefix,
                             const char *name, struct err *err)
{
    int len = snprintf(path, size, "%s/%s%s", folder, prefix, name);
    if (len < 0 || (size_t)len >= size)
        return err_set(err, ERR_INVALID, "the path of folder '%.100s…' is too long", folder);
    return ERR_OK;
}

/* ---- adapter_config.json ---- */

static void print_names(struct strbuf *out, const char *key, const char *const *names, size_t count)
{
    strbuf_printf(out, "  \"%s\": [", key);
    for (size_t i = 0; i < count; i++)
        strbuf_printf(out, "%s\"%s\"", i ? ", " : "", names[i]);
    strbuf_puts(out, "],\n");
}

void peft_config_print(const struct adapter_config *config, bool head_tied, const char *base,
                       struct strbuf *out)
{
    const char *whole[2], *names[ADAPTER_TARGET_COUNT];
    size_t whole_count = 0, count = 0;
    if (config->embeddings || (config->head && head_tied))
        whole[whole_count++] = "embed_tokens";
    if (config->head || (config->embeddings && head_tied))
        whole[whole_count++] = "lm_head";
    for (int i = 0; i < ADAPTER_TARGET_COUNT; i++) {
        if (config->targets[i])
            names[count++] = adapter_target_name((enum adapter_target)i);
    }
    strbuf_puts(out, "{\n  \"alpha_pattern\": {},\n  \"auto_mapping\": null,\n"
                     "  \"base_model_name_or_path\": ");
    if (base) {
        json_t *text = json_string(base);
        char *quoted = text ? json_dumps(text, JSON_ENCODE_ANY) : NULL;
        strbuf_puts(out, quoted ? quoted : "null");
        free(quoted);
        json_decref(text);
    } else {
        strbuf_puts(out, "null");
    }
    strbuf_puts(out, ",\n  \"bias\": \"none\",\n  \"fan_in_fan_out\": false,\n"
                     "  \"inference_mode\": true,\n  \"init_lora_weights\": true,\n"
                     "  \"layers_pattern\": null,\n  \"layers_to_transform\": null,\n");
    strbuf_printf(out, "  \"lora_alpha\": %.17g,\n  \"lora_dropout\": %.17g,\n", config->alpha,
                  config->dropout);
    if (whole_count > 0)
        print_names(out, "modules_to_save", whole, whole_count);
    else
        strbuf_puts(out, "  \"modules_to_save\": null,\n");
    strbuf_printf(out,
                  "  \"peft_type\": \"LORA\",\n  \"r\": %d,\n  \"rank_pattern\": {},\n"
                  "  \"revision\": null,\n",
                  config->rank);
    print_names(out, "target_modules", names, count);
    strbuf_puts(out, "  \"task_type\": \"CAUSAL_LM\",\n  \"use_dora\": false,\n"
                     "  \"use_rslora\": false\n}\n");
}

/* Does the value of a key that we do not implement leave the computation as it is? */
static bool is_off(const json_t *value)
{
    if (json_is_object(value))
        return json_object_size(value) == 0;
    if (json_is_array(value))
        return json_array_size(value) == 0;
    return !value || json_is_null(value) || json_is_false(value);
}

/* Beginnings of A and B that leave the base as it is. PiSSA, CorDA, OLoRA and LoftQ change it too:
 * the adapter is one on what is left of the base, which PEFT computes anew on loading. */
static bool keeps_base(const json_t *init)
{
    static const char *const names[] = {"gaussian", "eva", "orthogonal"};
    const char *name = json_string_value(init);
    bool known = !init || json_is_null(init) || json_is_boolean(init);
    for (size_t i = 0; name && i < ARRAY_COUNT(names); i++)
        known = known || strcmp(name, names[i]) == 0;
    return known;
}

static enum err_code refuse_what_differs(const json_t *root, const char *path, struct err *err)
{
    static const char *const must_be_off[] = {
        "use_dora",
        "fan_in_fan_out",
        "rank_pattern",
        "alpha_pattern",
        "lora_bias",
        "use_qalora",
        "layer_replication",
        "trainable_token_indices",
        "corda_config",
        "target_parameters",
        "alora_invocation_tokens",
    };
    const char *type = json_string_value(json_object_get(root, "peft_type"));
    const char *bias = json_string_value(json_object_get(root, "bias"));
    if (!type || strcmp(type, "LORA") != 0)
        return err_set(err, ERR_INVALID, "read '%s': 'peft_type' is %.40s, only LORA can be read",
                       path, type ? type : "missing");
    if (bias && strcmp(bias, "none") != 0)
        return err_set(err, ERR_INVALID, "read '%s': 'bias' is '%.40s', only none can be read",
                       path, bias);
    const json_t *init = json_object_get(root, "init_lora_weights");
    if (!keeps_base(init))
        return err_set(
            err, ERR_INVALID,
            "read '%s': 'init_lora_weights' is '%.40s', which changes the base model, too: "
            "merge this adapter with PEFT first",
            path, json_is_string(init) ? json_string_value(init) : "no text");
    for (size_t i = 0; i < ARRAY_COUNT(must_be_off); i++) {
        if (!is_off(json_object_get(root, must_be_off[i])))
            return err_set(err, ERR_INVALID,
                           "read '%s': '%s' is set, which is not implemented: merge this adapter "
                           "with PEFT first",
                           path, must_be_off[i]);
    }
    return ERR_OK;
}

enum err_code peft_config_parse(struct peft_config *out, const char *text, size_t len,
                                const char *path, struct err *err)
{
    json_t *root = NULL;
    struct peft_config config = {0};
    enum err_code rc = json_parse_object(text, len, path, &root, err);
    if (rc != ERR_OK)
        return rc;
    struct json_source from = {root, path};
    rc = refuse_what_differs(root, path, err);
    if (rc == ERR_OK)
        rc = json_field_int(from, "r", true, 1, 65536, &config.rank, err);
    if (rc == ERR_OK)
        rc = json_field_double(from, "lora_alpha", true, &config.alpha, err);
    if (rc == ERR_OK)
        rc = json_field_double(from, "lora_dropout", false, &config.dropout, err);
    if (rc == ERR_OK)
        rc = json_field_bool(from, "use_rslora", false, &config.rank_stabilized, err);
    if (rc == ERR_OK && !(isfinite(config.alpha) && isfinite(config.dropout)))
        rc = err_set(err, ERR_INVALID, "read '%s': lora_alpha and lora_dropout must be finite",
                     path);
    json_decref(root);
    if (rc == ERR_OK)
        *out = config;
    return rc;
}

/* ---- writing and reading our own ---- */

static void transpose(float *dest, const float *source, int rows, int cols)
{
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < cols; c++)
            dest[(size_t)c * (size_t)rows + (size_t)r] =
                source[(size_t)r * (size_t)cols + (size_t)c];
    }
}

/* The tensors as the file has them. B turned round lies in `turned`, one block for all. */
static size_t file_specs(const struct adapter *adapter, bool head_tied, float *turned,
                         struct tensor_spec *specs)
{
    size_t count = 0;
    for (size_t i = 0; i < adapter->trained.tensor_count; i++) {
        const struct tensor_spec *from = &adapter->trained.tensors[i];
        struct tensor_spec *spec = &specs[count++];
        *spec = *from;
        if (i >= adapter->own.tensor_count) {
            snprintf(spec->name, sizeof spec->name, "%s%.70s", stem, from->name);
            if (head_tied && from->role == TENSOR_EMBEDDING) {
                specs[count] = *spec;
                snprintf(specs[count].name, sizeof specs[count].name, "%slm_head.weight", stem);
                count++;
            }
        } else if (i % 2 == 1) {
            transpose(turned, from->data, from->rows, from->cols);
            spec->data = turned;
            spec->rows = from->cols;
            spec->cols = from->rows;
            turned += tensor_spec_elements(from);
        }
    }
    return count;
}

enum err_code peft_write(const char *folder, const char *prefix, const struct adapter *adapter,
                         bool head_tied, const char *base, struct err *err)
{
    char path[4096];
    struct strbuf text = {0};
    enum err_code rc = file_mkdirs(folder, FOLDER_MODE, err);
    if (rc == ERR_OK)
        rc = path_in(path, sizeof path, folder, prefix, config_name, err);
    if (rc != ERR_OK)
        return rc;
    peft_config_print(&adapter->config, head_tied, base, &text);
    rc = file_write_atomic(path, text.data, text.len, FILE_MODE, err);
    strbuf_release(&text);
    if (rc == ERR_OK)
        rc = path_in(path, sizeof path, folder, prefix, tensors_name, err);
    if (rc != ERR_OK)
        return rc;
    struct tensor_spec *specs = calloc(adapter->trained.tensor_count + 2, sizeof *specs);
    float *turned = calloc(adapter->own.element_count, sizeof *turned);
    if (specs && turned)
        rc = safetensors_write(path, specs, file_specs(adapter, head_tied, turned, specs),
                               TENSOR_F32, err);
    else
        rc = err_set(err, ERR_LIMIT, "write '%s': no memory", path);
    free(turned);
    free(specs);
    return rc;
}

static enum err_code read_own(const struct safetensors *file, const char *path,
                              const struct tensor_spec *spec, bool is_b, bool is_whole,
                              struct err *err)
{
    char name[TENSOR_NAME_SIZE + sizeof stem];
    snprintf(name, sizeof name, "%s%s", is_whole ? stem : "", spec->name);
    const struct tensor_view *view = safetensors_find(file, name);
    const int rows = is_b ? spec->cols : spec->rows, cols = is_b ? spec->rows : spec->cols;
    if (!view || view->dims != 2 || view->shape[0] != rows || view->shape[1] != cols)
        return err_set(err, ERR_CORRUPT, "read '%s': tensor '%s' is missing or not %d × %d", path,
                       name, rows, cols);
    if (!is_b)
        return tensor_view_read_f32(view, spec->data, err);
    float *turned = calloc(view->elements, sizeof *turned);
    if (!turned)
        return err_set(err, ERR_LIMIT, "read '%s': no memory", path);
    enum err_code rc = tensor_view_read_f32(view, turned, err);
    if (rc == ERR_OK)
        transpose(spec->data, turned, rows, cols);
    free(turned);
    return rc;
}

enum err_code peft_read(const char *folder, struct adapter *adapter, struct err *err)
{
    char path[4096];
    struct safetensors *file = NULL;
    enum err_code rc = path_in(path, sizeof path, folder, "", tensors_name, err);
    if (rc == ERR_OK)
        rc = safetensors_open(path, &file, err);
    for (size_t i = 0; rc == ERR_OK && i < adapter->trained.tensor_count; i++) {
        const bool is_whole = i >= adapter->own.tensor_count;
        rc = read_own(file, path, &adapter->trained.tensors[i], !is_whole && i % 2 == 1, is_whole,
                      err);
    }
    safetensors_close(file);
    return rc;
}
