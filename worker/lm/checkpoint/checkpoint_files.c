#include "checkpoint_files.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "file.h"
#include "json_field.h"

enum { CONFIG_BYTES_MAX = 1 << 20, FILE_MODE = 0644, FOLDER_MODE = 0755, FILES_MAX = 4096 };

struct names {
    const char **items;
    size_t count;
};

static bool has_suffix(const char *name, const char *suffix)
{
    size_t len = strlen(name), suffix_len = strlen(suffix);
    return len > suffix_len && strcmp(name + len - suffix_len, suffix) == 0;
}

/* Small files: by what they are called. State of somebody's training and indices of weights are
 * none of the model's. */
static bool is_small(const char *name)
{
    static const char *const suffixes[] = {".json", ".jinja", ".txt", ".model", ".md"};
    static const char *const prefixes[] = {"LICENSE", "LICENCE", "NOTICE", "USE_POLICY"};
    static const char *const never[] = {"trainer_state.json",       "all_results.json",
                                        "train_results.json",       "eval_results.json",
                                        "lora_adapter_config.json", "adapter_config.json"};
    for (size_t i = 0; i < ARRAY_COUNT(never); i++) {
        if (strcmp(name, never[i]) == 0)
            return false;
    }
    if (name[0] == '.' || has_suffix(name, ".index.json"))
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(prefixes); i++) {
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    }
    for (size_t i = 0; i < ARRAY_COUNT(suffixes); i++) {
        if (has_suffix(name, suffixes[i]))
            return true;
    }
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum err_code add_name(struct names *names, const char *name, const char *folder,
                              struct err *err)
{
    if (names->count == FILES_MAX)
        return err_set(err, ERR_INVALID, "'%s' holds more than %d files", folder, FILES_MAX);
    names->items[names->count++] = name;
    return ERR_OK;
}

static enum err_code add_small(struct names *names, const char *folder, struct arena *arena,
                               struct err *err)
{
    DIR *dir = opendir(folder);
    enum err_code rc = ERR_OK;
    if (!dir && errno == ENOENT)
        return err_set(err, ERR_NOT_FOUND, "there is no folder '%s'", folder);
    if (!dir)
        return err_os(err, errno, "open folder '%s'", folder);
    for (struct dirent *e = readdir(dir); e && rc == ERR_OK; e = readdir(dir)) {
        if (is_small(e->d_name))
            rc = add_name(names, arena_strdup(arena, e->d_name), folder, err);
    }
    closedir(dir);
    return rc;
}

static enum err_code add_weights(struct names *names, const char *folder, struct arena *arena,
                                 struct err *err)
{
    static const char single[] = "model.safetensors", index[] = "model.safetensors.index.json";
    const char **shards = NULL;
    size_t count = 0;
    if (file_exists(arena_printf(arena, "%s/%s", folder, single)))
        return add_name(names, single, folder, err);
    if (!file_exists(arena_printf(arena, "%s/%s", folder, index)))
        return err_set(err, ERR_NOT_FOUND,
                       "'%s' has no weights: neither model.safetensors nor %s is there", folder,
                       index);
    enum err_code rc = safetensors_index(folder, arena, &shards, &count, err);
    if (rc == ERR_OK)
        rc = add_name(names, index, folder, err);
    for (size_t i = 0; rc == ERR_OK && i < count; i++) {
        if (file_exists(arena_printf(arena, "%s/%s", folder, shards[i])))
            rc = add_name(names, shards[i], folder, err);
        else
            rc = err_set(err, ERR_NOT_FOUND,
                         "'%s' is incomplete: its index names '%s', which is not there", folder,
                         shards[i]);
    }
    return rc;
}

enum err_code checkpoint_files(const char *folder, struct arena *arena, const char ***names_out,
                               size_t *count_out, struct err *err)
{
    struct names names = {.items = arena_array(arena, FILES_MAX, sizeof(char *))};
    enum err_code rc = add_small(&names, folder, arena, err);
    if (rc == ERR_OK)
        rc = add_weights(&names, folder, arena, err);
    if (rc != ERR_OK)
        return rc;
    qsort(names.items, names.count, sizeof *names.items, by_name);
    *names_out = names.items;
    *count_out = names.count;
    return ERR_OK;
}

/* ---- into another folder ---- */

static bool is_skipped(const char *name, const char *const *skipped)
{
    for (; *skipped; skipped++) {
        if (strcmp(name, *skipped) == 0)
            return true;
    }
    return strcmp(name, "config.json") == 0;
}

enum err_code checkpoint_carry(const char *from, const char *to, const char *const *skipped,
                               struct err *err)
{
    struct arena arena = {0};
    struct names names = {.items = arena_array(&arena, FILES_MAX, sizeof(char *))};
    enum err_code rc = add_small(&names, from, &arena, err);
    for (size_t i = 0; rc == ERR_OK && i < names.count; i++) {
        const char *name = names.items[i];
        if (!is_skipped(name, skipped))
            rc = file_copy(arena_printf(&arena, "%s/%s", from, name),
                           arena_printf(&arena, "%s/%s", to, name), FILE_MODE, err);
    }
    arena_release(&arena);
    return rc;
}

typedef enum err_code place_file_f(const char *path, const char *to, struct err *err);

/* A second name for the file that `path` names, through any symbolic links. */
static enum err_code link_file(const char *path, const char *to, struct err *err)
{
    char *real = realpath(path, NULL);
    if (!real)
        return err_os(err, errno, "find '%s'", path);
    enum err_code rc = ERR_OK;
    if (link(real, to) != 0)
        rc = file_copy(real, to, FILE_MODE, err);
    free(real);
    return rc;
}

static enum err_code copy_file(const char *path, const char *to, struct err *err)
{
    return file_copy(path, to, FILE_MODE, err);
}

static enum err_code place_all(const char *from, const char *to, place_file_f *place_file,
                               struct err *err)
{
    struct arena arena = {0};
    const char **names = NULL;
    size_t count = 0;
    enum err_code rc = checkpoint_files(from, &arena, &names, &count, err);
    if (rc == ERR_OK)
        rc = file_mkdirs(to, FOLDER_MODE, err);
    for (size_t i = 0; rc == ERR_OK && i < count; i++)
        rc = place_file(arena_printf(&arena, "%s/%s", from, names[i]),
                        arena_printf(&arena, "%s/%s", to, names[i]), err);
    arena_release(&arena);
    return rc;
}

enum err_code checkpoint_link(const char *from, const char *to, struct err *err)
{
    return place_all(from, to, link_file, err);
}

enum err_code checkpoint_copy(const char *from, const char *to, struct err *err)
{
    return place_all(from, to, copy_file, err);
}

/* ---- config.json ---- */

/* The text half of a multimodal configuration as a model of its own. */
static json_t *text_half(json_t *root)
{
    json_t *text = json_object_get(root, "text_config");
    if (!json_is_object(text))
        return json_incref(root);
    json_t *half = json_deep_copy(text);
    const char *type = json_string_value(json_object_get(text, "model_type"));
    if (type && strcmp(type, "gemma3_text") == 0) {
        json_t *architectures = json_array();
        json_array_append_new(architectures, json_string("Gemma3ForCausalLM"));
        json_object_set_new(half, "architectures", architectures);
    }
    static const char *const shared[] = {"bos_token_id", "eos_token_id", "pad_token_id"};
    for (size_t i = 0; i < ARRAY_COUNT(shared); i++) {
        json_t *value = json_object_get(root, shared[i]);
        if (value && !json_object_get(half, shared[i]))
            json_object_set(half, shared[i], value);
    }
    return half;
}

static bool set_text(json_t *object, const char *key, const char *value)
{
    const char *old = json_string_value(json_object_get(object, key));
    if (old && strcmp(old, value) == 0)
        return false;
    json_object_set_new(object, key, json_string(value));
    return true;
}

static bool set_size(json_t *object, const char *key, int value)
{
    if (json_integer_value(json_object_get(object, key)) == value)
        return false;
    json_object_set_new(object, key, json_integer(value));
    return true;
}

enum err_code checkpoint_config_like(const char *folder, const struct model_config *config,
                                     enum tensor_dtype dtype, struct strbuf *out, struct err *err)
{
    struct arena arena = {0};
    const char *path = arena_printf(&arena, "%s/config.json", folder);
    char *text = NULL, *printed = NULL;
    size_t len = 0;
    json_t *root = NULL;
    enum err_code rc = file_read(path, CONFIG_BYTES_MAX, &text, &len, err);
    if (rc == ERR_OK)
        rc = json_parse_object(text, len, path, &root, err);
    if (rc == ERR_OK) {
        json_t *half = text_half(root);
        bool renamed = json_object_get(half, "dtype") != NULL; /* since transformers 5 */
        bool is_changed = half != root;
        is_changed |= set_text(half, renamed ? "dtype" : "torch_dtype",
                               dtype == TENSOR_F32 ? "float32" : "bfloat16");
        is_changed |= set_size(half, "vocab_size", config->vocabulary);
        if (is_changed)
            printed = json_print_object(half);
        strbuf_puts(out, is_changed ? printed : text);
        if (is_changed)
            strbuf_putc(out, '\n');
        json_decref(half);
    }
    free(printed);
    free(text);
    json_decref(root);
    arena_release(&arena);
    return rc;
}
