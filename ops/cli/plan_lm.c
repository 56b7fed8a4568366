#include "plan_lm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint_env.h"
#include "file.h"
#include "llama2c_tokenizer.h"
#include "model_config.h"
#include "model_family.h"
#include "numerics_version.h"
#include "plan_memory.h"
#include "tokenizer.h"
#include "tokenizer_train.h"

/* The planner's opaque tokenizer is worker/lm's. */
static struct tokenizer *real(struct plan_tokenizer *tokenizer)
{
    return (struct tokenizer *)tokenizer;
}

static enum err_code train(void *ctx, const struct str *texts, size_t count, int64_t vocabulary,
                           const char *const *specials, size_t special_count,
                           struct strbuf *json_out, struct err *err)
{
    (void)ctx;
    struct tokenizer_trainer *trainer = NULL;
    struct tokenizer *tokenizer = NULL;
    struct tokenizer_train_options options = {(int32_t)vocabulary, specials, special_count};
    enum err_code code = tokenizer_trainer_new(&trainer, err);
    for (size_t i = 0; !code && i < count; i++)
        code = tokenizer_trainer_add(trainer, texts[i], err);
    if (!code)
        code = tokenizer_trainer_finish(trainer, &options, &tokenizer, err);
    if (!code)
        tokenizer_print(tokenizer, json_out);
    tokenizer_free(tokenizer);
    tokenizer_trainer_free(trainer);
    return code;
}

static enum err_code open_json(void *ctx, const char *json, size_t len, const char *name,
                               struct plan_tokenizer **out, struct err *err)
{
    (void)ctx;
    struct tokenizer *tokenizer = NULL;
    enum err_code code = tokenizer_parse(json, len, name, &tokenizer, err);
    *out = (struct plan_tokenizer *)tokenizer;
    return code;
}

static struct plan_model model_of(const struct model_config *c)
{
    return (struct plan_model){.layers = c->layers,
                               .width = c->width,
                               .heads = c->heads,
                               .kv_heads = c->kv_heads,
                               .head_dim = c->head_dim,
                               .mlp = c->mlp_width,
                               .context = c->context,
                               .vocabulary = c->vocabulary,
                               .tied = c->head_tied,
                               .kind = model_family(c->kind)->name};
}

static enum err_code read_config(const char *folder, struct plan_model *out, struct err *err)
{
    char path[4096];
    char *text = NULL;
    size_t len = 0;
    struct model_config config;
    snprintf(path, sizeof path, "%s/config.json", folder);
    enum err_code code = file_read(path, 1024 * 1024, &text, &len, err);
    if (!code)
        code = model_config_parse(&config, text, len, path, err);
    if (!code)
        *out = model_of(&config);
    free(text);
    return code;
}

/* The seven numbers in front of llama2.c weights (convert_llama2c.h); the importer checks the rest.
 */
static enum err_code read_llama2c_header(const char *path, struct plan_model *out, struct err *err)
{
    char *bytes = NULL;
    size_t len = 0;
    int32_t h[7];
    enum err_code code = file_read(path, 0, &bytes, &len, err);
    if (!code && len < sizeof h)
        code = err_set(err, ERR_CORRUPT, "'%s' is too short for llama2.c weights", path);
    if (!code) {
        memcpy(h, bytes, sizeof h);
        bool sane = h[0] > 0 && h[1] > 0 && h[2] > 0 && h[3] > 0 && h[4] > 0 && h[6] > 0 &&
                    h[0] % h[3] == 0;
        if (!sane)
            code = err_set(err, ERR_CORRUPT, "'%s' does not begin like llama2.c weights", path);
    }
    if (!code)
        *out = (struct plan_model){.layers = h[2],
                                   .width = h[0],
                                   .heads = h[3],
                                   .kv_heads = h[4],
                                   .head_dim = h[0] / h[3],
                                   .mlp = h[1],
                                   .context = h[6],
                                   .vocabulary = h[5] < 0 ? -(int64_t)h[5] : h[5],
                                   .tied = h[5] > 0,
                                   .kind = "llama"};
    free(bytes);
    return code;
}

static enum err_code open_checkpoint(void *ctx, enum checkpoint_layout layout, const char *path,
                                     const char *tokenizer_path, struct plan_tokenizer **out,
                                     struct plan_model *model_out, struct err *err)
{
    (void)ctx;
    struct tokenizer *tokenizer = NULL;
    char *bytes = NULL;
    size_t len = 0;
    enum err_code code;
    if (layout == CHECKPOINT_HUGGINGFACE) {
        code = read_config(path, model_out, err);
        if (!code)
            code = tokenizer_load(path, &tokenizer, err);
    } else {
        code = read_llama2c_header(path, model_out, err);
        if (!code)
            code = file_read(tokenizer_path, 64 * 1024 * 1024, &bytes, &len, err);
        if (!code)
            code = llama2c_read_tokenizer(bytes, len, tokenizer_path, &tokenizer, err);
    }
    free(bytes);
    *out = (struct plan_tokenizer *)tokenizer;
    return code;
}

static enum err_code count_tokens(void *ctx, struct plan_tokenizer *tokenizer, struct str text,
                                  size_t *count_out, struct err *err)
{
    (void)ctx;
    return tokenizer_count(real(tokenizer), text, count_out, err);
}

static int64_t vocabulary(void *ctx, struct plan_tokenizer *tokenizer)
{
    (void)ctx;
    return tokenizer_vocabulary(real(tokenizer));
}

static int64_t special(void *ctx, struct plan_tokenizer *tokenizer, const char *text)
{
    (void)ctx;
    return tokenizer_special(real(tokenizer), text); /* TOKEN_NONE is -1 */
}

static void close_tokenizer(void *ctx, struct plan_tokenizer *tokenizer)
{
    (void)ctx;
    tokenizer_free(real(tokenizer));
}

struct plan_env plan_lm_env(const char *root)
{
    return (struct plan_env){
        .reader = reader_disk(),
        .root = root,
        .numerics_version = NUMERICS_VERSION,
        .training_memory = plan_training_memory,
        .tokenizer_train = train,
        .tokenizer_open = open_json,
        .checkpoint_open = open_checkpoint,
        .checkpoint_find = checkpoint_env_find,
        .checkpoint_files = checkpoint_env_files,
        .checkpoint_chat = checkpoint_env_chat,
        .tokenizer_count = count_tokens,
        .tokenizer_vocabulary = vocabulary,
        .tokenizer_special = special,
        .tokenizer_close = close_tokenizer,
    };
}
