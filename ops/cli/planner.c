#include "planner.h"

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bounds.h"
#include "check.h"
#include "checkpoint.h"
#include "checkpoint_env.h"
#include "checkpoint_files.h"
#include "convert_llama2c.h"
#include "digest_cache.h"
#include "file.h"
#include "hash.h"
#include "hf_cache.h"
#include "llama2c_tokenizer.h"
#include "model_family.h"
#include "numerics_version.h"
#include "plan_memory.h"
#include "tokenizer.h"
#include "tokenizer_train.h"

/* Raised by hand when the same texts would give another tokenizer: outdates what is cached. */
#define TOKENIZER_RECIPE     "triad byte-level bpe 1"
#define TOKENIZER_BYTES_MAX  ((size_t)64 * 1024 * 1024)
#define CHECKPOINT_BYTES_MAX ((size_t)2 * 1024 * 1024 * 1024)

struct plan_tokenizer {
    struct tokenizer *tokenizer;
};

struct planner_ctx {
    struct cli *cli;
    const char *cache; /* folder */
    struct digest_cache digests;
    struct files_read *files;
};

/* ---- the environment's side of struct plan_env ---- */

static enum err_code wrap_tokenizer(enum err_code rc, struct tokenizer *tokenizer,
                                    struct plan_tokenizer **out)
{
    if (rc != ERR_OK)
        return rc;
    *out = calloc(1, sizeof **out);
    if (!*out)
        abort(); /* as base/ does: a few bytes are not there */
    (*out)->tokenizer = tokenizer;
    return ERR_OK;
}

static struct digest recipe_digest(const struct str *texts, size_t count, int64_t vocabulary,
                                   const char *const *specials, size_t special_count)
{
    struct hash_state state;
    const uint64_t numbers[] = {(uint64_t)vocabulary, special_count, count};
    hash_init(&state);
    hash_update(&state, TOKENIZER_RECIPE, sizeof TOKENIZER_RECIPE);
    hash_update(&state, numbers, sizeof numbers);
    for (size_t i = 0; i < special_count; i++)
        hash_update(&state, specials[i], strlen(specials[i]) + 1);
    for (size_t i = 0; i < count; i++) {
        const uint64_t len = texts[i].len;
        hash_update(&state, &len, sizeof len);
        hash_update(&state, texts[i].data, texts[i].len);
    }
    return hash_final(&state);
}

static enum err_code train_tokenizer(const struct str *texts, size_t count,
                                     const struct tokenizer_train_options *options,
                                     struct strbuf *json_out, struct err *err)
{
    struct tokenizer_trainer *trainer = NULL;
    struct tokenizer *tokenizer = NULL;
    enum err_code rc = tokenizer_trainer_new(&trainer, err);
    for (size_t i = 0; rc == ERR_OK && i < count; i++)
        rc = tokenizer_trainer_add(trainer, texts[i], err);
    if (rc == ERR_OK)
        rc = tokenizer_trainer_finish(trainer, options, &tokenizer, err);
    if (rc == ERR_OK)
        tokenizer_print(tokenizer, json_out);
    tokenizer_free(tokenizer);
    tokenizer_trainer_free(trainer);
    return rc;
}

/* A cached tokenizer that can still be read; anything else is made anew. */
static bool read_cached(const char *path, struct strbuf *json_out)
{
    char *text = NULL;
    size_t len = 0;
    struct tokenizer *tokenizer = NULL;
    struct err ignored;
    bool is_good = file_read(path, TOKENIZER_BYTES_MAX, &text, &len, &ignored) == ERR_OK &&
                   tokenizer_parse(text, len, path, &tokenizer, &ignored) == ERR_OK;
    if (is_good)
        strbuf_append(json_out, text, len);
    tokenizer_free(tokenizer);
    free(text);
    return is_good;
}

static enum err_code env_tokenizer_train(void *ctx, const struct str *texts, size_t count,
                                         int64_t vocabulary, const char *const *specials,
                                         size_t special_count, struct strbuf *json_out,
                                         struct err *err)
{
    const struct planner_ctx *planner = ctx;
    char hex[DIGEST_HEX_SIZE];
    const struct digest recipe = recipe_digest(texts, count, vocabulary, specials, special_count);
    const char *path = arena_printf(&planner->cli->arena, "%s/tokenizer-%s.json", planner->cache,
                                    digest_hex(&recipe, hex));
    const struct tokenizer_train_options options = {
        .vocabulary = (int32_t)vocabulary, .specials = specials, .specials_count = special_count};
    if (read_cached(path, json_out))
        return ERR_OK;
    const size_t before = json_out->len;
    enum err_code rc = train_tokenizer(texts, count, &options, json_out, err);
    struct err ignored; /* who cannot keep it trains it again next time */
    if (rc == ERR_OK && file_mkdirs(planner->cache, 0700, &ignored) == ERR_OK)
        (void)!file_write_atomic(path, strbuf_text(json_out) + before, json_out->len - before, 0600,
                                 &ignored);
    return rc;
}

static enum err_code env_tokenizer_open(void *ctx, const char *json, size_t len, const char *name,
                                        struct plan_tokenizer **out, struct err *err)
{
    struct tokenizer *tokenizer = NULL;
    (void)ctx;
    enum err_code rc = tokenizer_parse(json, len, name, &tokenizer, err);
    return wrap_tokenizer(rc, tokenizer, out);
}

static struct plan_model model_of(const struct model_config *config)
{
    return (struct plan_model){.layers = config->layers,
                               .width = config->width,
                               .heads = config->heads,
                               .kv_heads = config->kv_heads,
                               .head_dim = config->head_dim,
                               .mlp = config->mlp_width,
                               .context = config->context,
                               .vocabulary = config->vocabulary,
                               .tied = config->head_tied,
                               .kind = model_family(config->kind)->name};
}

static enum err_code open_huggingface(const char *folder, struct tokenizer **tokenizer_out,
                                      struct plan_model *model_out, struct err *err)
{
    struct checkpoint *checkpoint = NULL;
    enum err_code rc = checkpoint_open(folder, &checkpoint, err);
    if (rc == ERR_OK)
        rc = tokenizer_load(folder, tokenizer_out, err);
    if (rc == ERR_OK)
        *model_out = model_of(checkpoint_config(checkpoint));
    checkpoint_close(checkpoint);
    return rc;
}

static enum err_code open_llama2c(const char *path, const char *tokenizer_path,
                                  struct tokenizer **tokenizer_out, struct plan_model *model_out,
                                  struct err *err)
{
    struct checkpoint_weights weights = {0};
    char *bytes = NULL, *tokenizer_bytes = NULL;
    size_t len = 0, tokenizer_len = 0;
    enum err_code rc = file_read(path, CHECKPOINT_BYTES_MAX, &bytes, &len, err);
    if (rc == ERR_OK)
        rc = llama2c_read_weights(bytes, len, path, &weights, err);
    if (rc == ERR_OK)
        rc = file_read(tokenizer_path, TOKENIZER_BYTES_MAX, &tokenizer_bytes, &tokenizer_len, err);
    if (rc == ERR_OK)
        rc = llama2c_read_tokenizer(tokenizer_bytes, tokenizer_len, tokenizer_path, tokenizer_out,
                                    err);
    if (rc == ERR_OK)
        *model_out = model_of(&weights.config);
    checkpoint_weights_release(&weights);
    free(tokenizer_bytes);
    free(bytes);
    return rc;
}

/* All of a model's files, also those that only its workers read. */
static void note_folder(const struct planner_ctx *planner, const char *folder)
{
    struct arena *arena = &planner->cli->arena;
    const char **names = NULL;
    size_t count = 0;
    struct err ignored; /* whoever opens the model says what is wrong with it */
    if (checkpoint_files(folder, arena, &names, &count, &ignored) != ERR_OK)
        return;
    for (size_t i = 0; i < count; i++)
        files_read_note(planner->files, arena_printf(arena, "%s/%s", folder, names[i]));
}

/* A model of the hub's cache, and the file that says which commit a name means. */
static enum err_code env_checkpoint_find(void *ctx, const char *reference, struct arena *arena,
                                         const char **folder_out, const char **commit_out,
                                         struct err *err)
{
    const struct planner_ctx *planner = ctx;
    struct hf_snapshot snapshot;
    enum err_code rc = hf_resolve(reference, arena, &snapshot, err);
    if (rc != ERR_OK)
        return rc;
    *folder_out = snapshot.folder;
    *commit_out = snapshot.commit;
    /* CACHE/models--…/snapshots/COMMIT */
    const char *end = strstr(snapshot.folder, "/snapshots/");
    if (end)
        files_read_note(planner->files,
                        arena_printf(arena, "%.*s/refs/%s", (int)(end - snapshot.folder),
                                     snapshot.folder, snapshot.revision));
    return ERR_OK;
}

static enum err_code env_checkpoint_open(void *ctx, enum checkpoint_layout layout, const char *path,
                                         const char *tokenizer_path, struct plan_tokenizer **out,
                                         struct plan_model *model_out, struct err *err)
{
    struct tokenizer *tokenizer = NULL;
    enum err_code rc = ERR_INVALID;
    const struct planner_ctx *planner = ctx;
    switch (layout) {
    case CHECKPOINT_HUGGINGFACE:
        rc = open_huggingface(path, &tokenizer, model_out, err);
        note_folder(planner, path);
        break;
    case CHECKPOINT_HUB:
        UNREACHABLE("the planner gives the folder");
    case CHECKPOINT_LLAMA2C:
        rc = open_llama2c(path, tokenizer_path, &tokenizer, model_out, err);
        files_read_note(planner->files, path);
        files_read_note(planner->files, tokenizer_path);
        break;
    }
    return wrap_tokenizer(rc, tokenizer, out);
}

static enum err_code env_tokenizer_count(void *ctx, struct plan_tokenizer *tokenizer,
                                         struct str text, size_t *count_out, struct err *err)
{
    (void)ctx;
    return tokenizer_count(tokenizer->tokenizer, text, count_out, err);
}

static int64_t env_tokenizer_vocabulary(void *ctx, struct plan_tokenizer *tokenizer)
{
    (void)ctx;
    return tokenizer_vocabulary(tokenizer->tokenizer);
}

static int64_t env_tokenizer_special(void *ctx, struct plan_tokenizer *tokenizer, const char *text)
{
    (void)ctx;
    return tokenizer_special(tokenizer->tokenizer, text); /* TOKEN_NONE is -1 */
}

static void env_tokenizer_close(void *ctx, struct plan_tokenizer *tokenizer)
{
    (void)ctx;
    if (tokenizer)
        tokenizer_free(tokenizer->tokenizer);
    free(tokenizer);
}

/* ---- where the experiments' files are ---- */

static bool is_root(const char *folder)
{
    char path[4096];
    return snprintf(path, sizeof path, "%s/suite/tasks", folder) < (int)sizeof path &&
           file_exists(path);
}

/* The nearest folder at or above `start` that is a root, or holds one called experiments. */
static const char *root_above(struct cli *cli, const char *start)
{
    char *folder = realpath(start, NULL);
    const char *found = NULL;
    while (folder && !found) {
        const char *below = arena_printf(&cli->arena, "%s/experiments", folder);
        if (is_root(folder))
            found = arena_strdup(&cli->arena, folder);
        else if (is_root(below))
            found = below;
        char *slash = strrchr(folder, '/');
        if (!slash || slash == folder)
            break;
        *slash = '\0';
    }
    free(folder);
    return found;
}

enum err_code planner_root(struct cli *cli, const char *manifest_path, const char **root_out,
                           struct err *err)
{
    const char *given = getenv("TRIAD_EXPERIMENTS");
    if (given && *given) {
        *root_out = given;
        return is_root(given)
                   ? ERR_OK
                   : err_set(err, ERR_NOT_FOUND,
                             "$TRIAD_EXPERIMENTS: there is no suite/tasks in '%s'", given);
    }
    char *copy = arena_strdup(&cli->arena, manifest_path);
    *root_out = root_above(cli, dirname(copy));
    if (!*root_out) {
        char own[4096];
        ssize_t len = readlink("/proc/self/exe", own, sizeof own - 1);
        own[len > 0 ? len : 0] = '\0';
        *root_out = root_above(cli, dirname(own));
    }
    if (!*root_out)
        return err_set(err, ERR_NOT_FOUND,
                       "no folder 'experiments' with suite/tasks above '%s' or this program; name "
                       "it in $TRIAD_EXPERIMENTS",
                       manifest_path);
    return ERR_OK;
}

/* ---- planning ---- */

static struct plan_env environment(struct planner_ctx *ctx, const char *root)
{
    return (struct plan_env){
        .ctx = ctx,
        .reader = files_read_reader(
            ctx->files,
            digest_cache_reader(&ctx->digests,
                                arena_printf(&ctx->cli->arena, "%s/digests", ctx->cache)),
            &ctx->cli->arena),
        .root = root,
        .data = cli_data_dir(ctx->cli),
        .numerics_version = NUMERICS_VERSION,
        .training_memory = plan_training_memory,
        .tokenizer_train = env_tokenizer_train,
        .tokenizer_open = env_tokenizer_open,
        .checkpoint_open = env_checkpoint_open,
        .checkpoint_find = env_checkpoint_find,
        .checkpoint_files = checkpoint_env_files,
        .checkpoint_chat = checkpoint_env_chat,
        .tokenizer_count = env_tokenizer_count,
        .tokenizer_vocabulary = env_tokenizer_vocabulary,
        .tokenizer_special = env_tokenizer_special,
        .tokenizer_close = env_tokenizer_close};
}

enum err_code planner_make(struct cli *cli, const char *manifest_path, bool missing_ok,
                           struct planned *out, struct err *err)
{
    const char *root = NULL;
    struct planner_ctx ctx = {.cli = cli,
                              .cache = arena_printf(&cli->arena, "%s/cache", cli_state_dir(cli))};
    *out = (struct planned){0};
    ctx.files = &out->files;
    enum err_code rc =
        file_read(manifest_path, MANIFEST_BYTES_MAX, &out->manifest_text, &out->manifest_len, err);
    if (rc == ERR_OK) {
        rc = manifest_parse(out->manifest_text, out->manifest_len, manifest_path, &out->manifest,
                            err);
        out->has_manifest = rc == ERR_OK;
    }
    if (rc == ERR_OK)
        rc = planner_root(cli, manifest_path, &root, err);
    if (rc == ERR_OK) {
        struct plan_env env = environment(&ctx, root);
        env.missing_ok = missing_ok;
        files_read_note(&out->files, manifest_path);
        rc = plan_build(&out->manifest, &env, &out->plan, err);
        files_read_sort(&out->files);
        out->has_plan = rc == ERR_OK;
    }
    return rc;
}

void planned_release(struct planned *p)
{
    if (p->has_plan)
        plan_release(&p->plan);
    if (p->has_manifest)
        manifest_release(&p->manifest);
    free(p->manifest_text);
    *p = (struct planned){0};
}
