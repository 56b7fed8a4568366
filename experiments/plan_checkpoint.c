/* Checkpoints that somebody else trained: where they lie, which files they are, how they chat. */
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "check.h"
#include "plan_impl.h"
#include "tree.h"

/* Where llama2.c's tokenizer lies: tok512.bin beside the weights, as its own tools expect. */
static const char *tokenizer_beside(struct arena *arena, const char *weights)
{
    const char *slash = strrchr(weights, '/');
    int folder = slash ? (int)(slash - weights) : 1;
    return arena_printf(arena, "%.*s/tok512.bin", folder, slash ? weights : ".");
}

/* A variant's folder of a checkpoint: the path, or the hub's. `*commit_out` may be "". */
static enum err_code plan_checkpoint_folder(struct planner *p, const struct manifest_variant *v,
                                            const char **folder_out, const char **commit_out,
                                            struct err *err)
{
    *folder_out = v->checkpoint;
    *commit_out = "";
    if (v->layout != CHECKPOINT_HUB)
        return ERR_OK;
    return p->env->checkpoint_find(p->env->ctx, v->checkpoint, &p->plan->arena, folder_out,
                                   commit_out, err);
}

enum err_code plan_checkpoint_open(struct planner *p, const struct manifest_variant *v,
                                   struct plan_tokenizer **tokenizer_out,
                                   struct plan_model *model_out, struct err *err)
{
    const char *path = NULL, *commit = NULL;
    enum err_code code = plan_checkpoint_folder(p, v, &path, &commit, err);
    enum checkpoint_layout layout =
        v->layout == CHECKPOINT_LLAMA2C ? CHECKPOINT_LLAMA2C : CHECKPOINT_HUGGINGFACE;
    if (code)
        return code;
    return p->env->checkpoint_open(p->env->ctx, layout, path,
                                   tokenizer_beside(&p->plan->arena, path), tokenizer_out,
                                   model_out, err);
}

/* ---- files ---- */

/* One file of a checkpoint: into the tree and among the blobs. */
static enum err_code add_file(struct planner *p, struct tree *tree, const char *name,
                              const char *path, struct err *err)
{
    struct tree_file *file = &tree->files[tree->file_count];
    int64_t bytes = 0;
    enum err_code code =
        p->env->reader.digest(p->env->reader.ctx, path, &file->digest, &bytes, err);
    if (code)
        return code;
    file->name = name;
    file->size_bytes = (uint64_t)bytes;
    tree->file_count++;
    plan_add_file(p, file->digest, bytes, path, name);
    return ERR_OK;
}

/* The files of a Hugging Face folder that belong to the model. */
static enum err_code add_folder(struct planner *p, struct tree *tree, const char *folder,
                                struct err *err)
{
    struct arena *arena = &p->plan->arena;
    const char **names = NULL;
    size_t count = 0;
    enum err_code code = p->env->checkpoint_files(p->env->ctx, folder, arena, &names, &count, err);
    if (!code && count > TREE_FILES_MAX)
        return err_set(err, ERR_LIMIT, "'%s' holds %zu files, at most %d are taken", folder, count,
                       TREE_FILES_MAX);
    tree->files = arena_array(arena, count + 1, sizeof *tree->files);
    for (size_t i = 0; !code && i < count; i++)
        code = add_file(p, tree, names[i], arena_printf(arena, "%s/%s", folder, names[i]), err);
    return code;
}

/* For the plan: what was taken. */
static void keep(struct planner *p, const struct manifest_family *family,
                 const struct manifest_variant *v, const char *commit, const struct tree *tree,
                 const struct digest *digest)
{
    struct plan *plan = p->plan;
    char hex[DIGEST_HEX_SIZE];
    struct plan_checkpoint row = {.family = family->name,
                                  .variant = v->name,
                                  .named = v->checkpoint,
                                  .commit = commit,
                                  .digest = arena_strdup(&plan->arena, digest_hex(digest, hex))};
    for (size_t i = 0; i < plan->checkpoint_count; i++) {
        if (strcmp(plan->checkpoints[i].family, row.family) == 0 &&
            strcmp(plan->checkpoints[i].variant, row.variant) == 0)
            return; /* once for all seeds */
    }
    for (size_t i = 0; i < tree->file_count; i++)
        row.bytes += (int64_t)tree->files[i].size_bytes;
    plan->checkpoints = plan_grow(&plan->arena, plan->checkpoints, plan->checkpoint_count,
                                  &p->checkpoint_cap, sizeof *plan->checkpoints);
    plan->checkpoints[plan->checkpoint_count++] = row;
    if (commit[0] != '\0')
        plan_note(p, "%s/%s is %s, commit %s.", family->name, v->name, v->checkpoint, commit);
}

enum err_code plan_checkpoint_tree(struct planner *p, const struct manifest_family *family,
                                   const struct manifest_variant *v, struct digest *out,
                                   struct err *err)
{
    struct tree tree = {.files = arena_array(&p->plan->arena, 2, sizeof(struct tree_file))};
    const char *folder = NULL, *commit = NULL;
    enum err_code code = plan_checkpoint_folder(p, v, &folder, &commit, err);
    if (code)
        return code;
    if (v->layout == CHECKPOINT_LLAMA2C) { /* under fixed names, sorted */
        code = add_file(p, &tree, "model.bin", folder, err);
        if (!code)
            code =
                add_file(p, &tree, "tokenizer.bin", tokenizer_beside(&p->plan->arena, folder), err);
    } else {
        code = add_folder(p, &tree, folder, err);
    }
    if (code)
        return code;
    struct strbuf json = {0};
    tree_encode(&tree, &json);
    size_t len = json.len;
    *out = plan_add_blob(p, strbuf_take(&json), len, "file list of a checkpoint");
    keep(p, family, v, commit, &tree, out);
    return ERR_OK;
}

/* ---- turns ---- */

static enum err_code ask_chat(struct planner *p, const struct manifest_family *family,
                              const struct manifest_variant *v, const char *turns,
                              struct plan_chat *out, struct err *err)
{
    const char *folder = NULL, *commit = NULL;
    enum err_code code = plan_checkpoint_folder(p, v, &folder, &commit, err);
    if (!code)
        code = p->env->checkpoint_chat(p->env->ctx, folder, turns, &p->plan->arena, out, err);
    return code ? err_wrap(err, "variant '%s' of family '%s'", v->name, family->name) : ERR_OK;
}

static bool is_folder(const struct manifest_variant *v)
{
    return v->origin == ORIGIN_CHECKPOINT && v->layout != CHECKPOINT_LLAMA2C;
}

/* The turns of the first checkpoint that has a template we know, else of the first one's kind. */
static enum err_code choose(struct planner *p, struct manifest_family *family, struct err *err)
{
    bool chosen = false, sure = false;
    for (size_t i = 0; i < family->variant_count && !sure; i++) {
        struct plan_chat chat = {0};
        if (!is_folder(&family->variants[i]))
            continue;
        enum err_code code = ask_chat(p, family, &family->variants[i], NULL, &chat, err);
        if (code)
            return code;
        const struct turn_style *style = chat.turns ? turn_style_find(chat.turns) : NULL;
        if (style && (!chosen || chat.from_template))
            family->turns = style;
        chosen = chosen || style;
        sure = style && chat.from_template;
    }
    return ERR_OK;
}

enum err_code plan_family_turns(struct planner *p, struct manifest_family *family, struct err *err)
{
    enum err_code code = ERR_OK;
    if (!family->turns_given && !family->has_architecture)
        code = choose(p, family, err);
    for (size_t i = 0; !code && i < family->variant_count; i++) {
        struct plan_chat chat = {0};
        if (!is_folder(&family->variants[i]))
            continue;
        code = ask_chat(p, family, &family->variants[i], family->turns->name, &chat, err);
        if (!code && chat.warning)
            plan_warn(p, "%s/%s: %s", family->name, family->variants[i].name, chat.warning);
    }
    return code;
}
