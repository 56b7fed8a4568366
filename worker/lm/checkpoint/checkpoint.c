#include "checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "check.h"
#include "checkpoint_files.h"
#include "file.h"
#include "intern.h"
#include "model_family.h"
#include "special_tokens.h"
#include "tokenizer.h"

enum { CONFIG_BYTES_MAX = 1 << 20, FILE_MODE = 0644, FOLDER_MODE = 0755 };

struct checkpoint {
    struct arena arena; /* paths */
    const char *folder;
    struct model_config config;
    struct safetensors *weights;
};

static enum err_code check_shape(const struct tensor_view *view, const struct tensor_spec *spec,
                                 struct err *err)
{
    int64_t rows = view->dims == 2 ? view->shape[0] : 1;
    int64_t cols = view->dims > 0 ? view->shape[view->dims - 1] : 0;
    int dims = spec->is_vector ? 1 : 2;
    if (view->dims == dims && rows == spec->rows && cols == spec->cols)
        return ERR_OK;
    if (view->dims != dims)
        return err_set(err, ERR_INVALID, "tensor '%s' has %d dimensions, not %d", spec->name,
                       view->dims, dims);
    return err_set(err, ERR_INVALID, "tensor '%s' is %lld × %lld, but config.json makes it %d × %d",
                   spec->name, (long long)rows, (long long)cols, spec->rows, spec->cols);
}

/* Tensors that other programs leave in files and that hold no parameters of their own. */
static bool is_harmless(const char *name, const struct model_config *config)
{
    static const char suffix[] = ".self_attn.rotary_emb.inv_freq";
    size_t len = strlen(name);
    size_t suffix_len = sizeof suffix - 1;
    if (len > suffix_len && strcmp(name + len - suffix_len, suffix) == 0)
        return true;
    /* Of a multimodal model we read the text half. */
    const char *const *parts = model_family(config->kind)->other_parts;
    for (; parts && *parts; parts++) {
        if (strncmp(name, *parts, strlen(*parts)) == 0)
            return true;
    }
    return false;
}

/* Tensor `name` under another of its family's spellings: the first, second, … that fits it; false
 * when there is none. */
static bool respell(const struct model_config *config, const char *name, size_t which,
                    char out[TENSOR_NAME_SIZE])
{
    const char *const(*pair)[2] = model_family(config->kind)->spellings;
    for (; pair && (*pair)[0]; pair++) {
        const size_t len = strlen((*pair)[0]);
        if (strncmp(name, (*pair)[0], len) != 0 || which-- > 0)
            continue;
        snprintf(out, TENSOR_NAME_SIZE, "%s%s", (*pair)[1], name + len);
        return true;
    }
    return false;
}

/* The tensor, however its family spells it; NULL when it is not there. */
static const struct tensor_view *find_tensor(const struct checkpoint *c, const char *name)
{
    char spelled[TENSOR_NAME_SIZE];
    const struct tensor_view *view = safetensors_find(c->weights, name);
    for (size_t i = 0; !view && respell(&c->config, name, i, spelled); i++)
        view = safetensors_find(c->weights, spelled);
    return view;
}

static enum err_code check_tensors(const struct checkpoint *c, struct err *err)
{
    struct intern expected = {0};
    enum err_code rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < tensor_spec_count(&c->config); i++) {
        struct tensor_spec spec = tensor_spec_at(&c->config, i);
        const struct tensor_view *view = find_tensor(c, spec.name);
        if (view)
            rc = check_shape(view, &spec, err);
        else
            rc = err_set(err, ERR_INVALID, "tensor '%s' is missing", spec.name);
        if (view)
            intern_add(&expected, view->name, strlen(view->name));
    }
    /* Some programs write a tied head as well. */
    const struct tensor_view *head =
        rc == ERR_OK && c->config.head_tied ? find_tensor(c, "lm_head.weight") : NULL;
    if (head)
        intern_add(&expected, head->name, strlen(head->name));
    for (size_t i = 0; rc == ERR_OK && i < safetensors_count(c->weights); i++) {
        const char *name = safetensors_at(c->weights, i)->name;
        bool is_known = intern_find(&expected, name, strlen(name)) != INTERN_NONE;
        if (!is_known && !is_harmless(name, &c->config))
            rc = err_set(err, ERR_INVALID, "tensor '%.100s' is not part of this model", name);
    }
    intern_release(&expected);
    return rc;
}

static enum err_code open_all(struct checkpoint *c, struct err *err)
{
    const char *config_path = arena_printf(&c->arena, "%s/config.json", c->folder);
    const char *weights_path = arena_printf(&c->arena, "%s/model.safetensors", c->folder);
    char *text = NULL;
    size_t len = 0;
    enum err_code rc = file_read(config_path, CONFIG_BYTES_MAX, &text, &len, err);
    if (rc == ERR_OK)
        rc = model_config_parse(&c->config, text, len, config_path, err);
    free(text);
    if (rc != ERR_OK)
        return rc;
    if (file_exists(weights_path))
        rc = safetensors_open(weights_path, &c->weights, err);
    else
        rc = safetensors_open_sharded(c->folder, &c->weights, err);
    return rc == ERR_OK ? check_tensors(c, err) : rc;
}

enum err_code checkpoint_open(const char *folder, struct checkpoint **checkpoint_out,
                              struct err *err)
{
    struct checkpoint *c = calloc(1, sizeof *c);
    ASSERT(c != NULL);
    c->folder = arena_strdup(&c->arena, folder);
    enum err_code rc = open_all(c, err);
    if (rc != ERR_OK) {
        checkpoint_close(c);
        return err_wrap(err, "open checkpoint '%s'", folder);
    }
    *checkpoint_out = c;
    return ERR_OK;
}

void checkpoint_close(struct checkpoint *checkpoint)
{
    if (!checkpoint)
        return;
    safetensors_close(checkpoint->weights);
    arena_release(&checkpoint->arena);
    free(checkpoint);
}

const struct model_config *checkpoint_config(const struct checkpoint *checkpoint)
{
    return &checkpoint->config;
}

/* Read the named tensors as float into `specs[i].data`, which the caller has allocated;
 * their shapes must be those of the file. */
static enum err_code checkpoint_read(const struct checkpoint *checkpoint,
                                     const struct tensor_spec *specs, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct tensor_view *view = find_tensor(checkpoint, specs[i].name);
        enum err_code rc;
        if (!view)
            rc = err_set(err, ERR_INVALID, "tensor '%s' is missing", specs[i].name);
        else
            rc = check_shape(view, &specs[i], err);
        if (rc == ERR_OK)
            rc = tensor_view_read_f32(view, specs[i].data, err);
        if (rc != ERR_OK)
            return err_wrap(err, "read checkpoint '%s'", checkpoint->folder);
    }
    return ERR_OK;
}

static enum err_code check_numbers(const struct checkpoint *checkpoint,
                                   const struct tensor_view *view, struct err *err)
{
    if (view->dtype == TENSOR_OTHER)
        return err_set(err, ERR_INVALID,
                       "tensor '%s' in '%s' has dtype %s; weights must be F32, F16 or BF16",
                       view->name, view->file, view->dtype_name);
    size_t bad = tensor_view_bad(view);
    if (bad == view->elements)
        return ERR_OK;
    size_t cols = (size_t)view->shape[view->dims - 1];
    return err_set(err, ERR_INVALID,
                   "tensor '%s' in '%s' is infinite or NaN at row %zu, column %zu: the checkpoint "
                   "'%s' is damaged, or its training diverged",
                   view->name, view->file, bad / cols, bad % cols, checkpoint->folder);
}

enum err_code checkpoint_check_numbers(const struct checkpoint *checkpoint, struct err *err)
{
    enum err_code rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < tensor_spec_count(&checkpoint->config); i++) {
        struct tensor_spec spec = tensor_spec_at(&checkpoint->config, i);
        const struct tensor_view *view = checkpoint_tensor(checkpoint, &spec);
        rc = check_numbers(checkpoint, view, err);
        tensor_view_forget(view);
    }
    return rc;
}

enum tensor_dtype checkpoint_dtype(const struct checkpoint *checkpoint)
{
    enum tensor_dtype dtype = TENSOR_OTHER;
    for (size_t i = 0; i < tensor_spec_count(&checkpoint->config); i++) {
        struct tensor_spec spec = tensor_spec_at(&checkpoint->config, i);
        enum tensor_dtype here = checkpoint_tensor(checkpoint, &spec)->dtype;
        if (i > 0 && here != dtype)
            return TENSOR_OTHER;
        dtype = here;
    }
    return dtype;
}

const struct tensor_view *checkpoint_tensor(const struct checkpoint *checkpoint,
                                            const struct tensor_spec *spec)
{
    const struct tensor_view *view = find_tensor(checkpoint, spec->name);
    ASSERT(view != NULL); /* checkpoint_open() looked */
    return view;
}

size_t checkpoint_bytes(const struct checkpoint *checkpoint)
{
    size_t bytes = 0;
    for (size_t i = 0; i < tensor_spec_count(&checkpoint->config); i++) {
        struct tensor_spec spec = tensor_spec_at(&checkpoint->config, i);
        bytes += tensor_spec_elements(&spec) *
                 tensor_dtype_bytes(checkpoint_tensor(checkpoint, &spec)->dtype);
    }
    return bytes;
}

/* What transformers' generate() reads beside the model. */
static void print_generation_config(const struct model_config *config, struct strbuf *out)
{
    strbuf_puts(out, "{\n");
    if (config->bos_id >= 0)
        strbuf_printf(out, "  \"bos_token_id\": %d,\n", config->bos_id);
    if (config->eos_count > 0) {
        strbuf_puts(out, "  \"eos_token_id\": [");
        for (int i = 0; i < config->eos_count; i++)
            strbuf_printf(out, "%s%d", i ? ", " : "", config->eos_ids[i]);
        strbuf_puts(out, "],\n");
    }
    strbuf_puts(out, "  \"_from_model_config\": true\n}\n");
}

static enum err_code write_text(const char *folder, const char *name, const struct strbuf *text,
                                struct err *err)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return err_set(err, ERR_LIMIT, "write '%s' into '%s': path too long", name, folder);
    return file_write_atomic(path, text->data, text->len, FILE_MODE, err);
}

/* The configuration of weights that are stored as `dtype`. */
static void print_config(const struct model_config *config, enum tensor_dtype dtype,
                         struct strbuf *out)
{
    static const char full[] = "\"float32\"";
    struct strbuf text = {0};
    model_config_print(config, &text);
    const char *type = strstr(strbuf_text(&text), full);
    ASSERT(type != NULL);
    strbuf_append(out, text.data, (size_t)(type - text.data));
    strbuf_puts(out, dtype == TENSOR_F32 ? full : "\"bfloat16\"");
    strbuf_puts(out, type + sizeof full - 1);
    strbuf_release(&text);
}

static enum err_code write_texts(const char *folder, const struct model_config *config,
                                 const struct tokenizer *tokenizer, enum tensor_dtype dtype,
                                 struct err *err)
{
    struct strbuf texts[4] = {0};
    static const char *const names[4] = {"config.json", "generation_config.json", "tokenizer.json",
                                         "tokenizer_config.json"};
    print_config(config, dtype, &texts[0]);
    print_generation_config(config, &texts[1]);
    tokenizer_print(tokenizer, &texts[2]);
    tokenizer_print_config(tokenizer, config->context, &texts[3]);
    enum err_code rc = ERR_OK;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        if (rc == ERR_OK)
            rc = write_text(folder, names[i], &texts[i], err);
        strbuf_release(&texts[i]);
    }
    return rc;
}

/* The texts of a folder made from `like`. */
static enum err_code write_texts_like(const char *folder, const char *like,
                                      const struct model_config *config,
                                      const struct tokenizer *tokenizer, enum tensor_dtype dtype,
                                      struct err *err)
{
    static const char *const all[] = {"tokenizer.json", NULL};
    struct strbuf text = {0};
    enum err_code rc = checkpoint_carry(like, folder, tokenizer ? all : all + 1, err);
    if (rc == ERR_OK)
        rc = checkpoint_config_like(like, config, dtype, &text, err);
    if (rc == ERR_OK)
        rc = write_text(folder, "config.json", &text, err);
    strbuf_clear(&text);
    if (rc == ERR_OK && tokenizer) {
        tokenizer_print(tokenizer, &text);
        rc = write_text(folder, "tokenizer.json", &text, err);
    }
    strbuf_release(&text);
    return rc;
}

static enum err_code write_model(const char *folder, const char *like,
                                 const struct model_config *config, const struct tensor_spec *specs,
                                 size_t count, const struct tokenizer *tokenizer,
                                 enum tensor_dtype dtype, struct err *err)
{
    ASSERT(count == tensor_spec_count(config));
    char path[4096];
    if (snprintf(path, sizeof path, "%s/model.safetensors", folder) >= (int)sizeof path)
        return err_set(err, ERR_LIMIT, "write checkpoint '%s': path too long", folder);
    if (tokenizer && !special_tokens_fit(tokenizer, config->vocabulary))
        return err_set(err, ERR_INVALID,
                       "write checkpoint '%s': the tokenizer has %d entries, the model %d", folder,
                       tokenizer_vocabulary(tokenizer), config->vocabulary);
    enum err_code rc = model_config_check(config, err);
    if (rc == ERR_OK)
        rc = file_mkdirs(folder, FOLDER_MODE, err);
    if (rc == ERR_OK)
        rc = like ? write_texts_like(folder, like, config, tokenizer, dtype, err)
                  : write_texts(folder, config, tokenizer, dtype, err);
    if (rc == ERR_OK)
        rc = safetensors_write(path, specs, count, dtype, err);
    return rc == ERR_OK ? rc : err_wrap(err, "write checkpoint '%s'", folder);
}

enum err_code checkpoint_write(const char *folder, const struct model_config *config,
                               const struct tensor_spec *specs, size_t count,
                               const struct tokenizer *tokenizer, enum tensor_dtype dtype,
                               struct err *err)
{
    return write_model(folder, NULL, config, specs, count, tokenizer, dtype, err);
}

enum err_code checkpoint_write_like(const char *folder, const char *like,
                                    const struct model_config *config,
                                    const struct tensor_spec *specs, size_t count,
                                    const struct tokenizer *tokenizer, enum tensor_dtype dtype,
                                    struct err *err)
{
    return write_model(folder, like, config, specs, count, tokenizer, dtype, err);
}

enum err_code checkpoint_weights_load(const char *folder, struct checkpoint_weights *weights_out,
                                      struct err *err)
{
    struct checkpoint *checkpoint = NULL;
    struct checkpoint_weights weights = {0};
    enum err_code rc = checkpoint_open(folder, &checkpoint, err);
    if (rc != ERR_OK)
        return rc;
    weights.config = *checkpoint_config(checkpoint);
    rc = checkpoint_check_numbers(checkpoint, err);
    if (rc == ERR_OK)
        rc = params_init(&weights.params, &weights.config, err);
    if (rc == ERR_OK)
        rc = checkpoint_read(checkpoint, weights.params.tensors, weights.params.tensor_count, err);
    checkpoint_close(checkpoint);
    if (rc == ERR_OK)
        *weights_out = weights;
    else
        params_release(&weights.params);
    return rc;
}

void checkpoint_weights_release(struct checkpoint_weights *weights)
{
    params_release(&weights->params);
    *weights = (struct checkpoint_weights){0};
}
