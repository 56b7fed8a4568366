/* What `embeddings_from` will copy: rows of the turn tokens, by the tokens' text. Asked of the
 * tokenizers before anything runs, so that a missing token is an error of the manifest. */
#include <string.h>

#include "plan_impl.h"

/* The variant that a chain of `from` begins with. */
static const struct manifest_variant *root_of(const struct family_plan *f,
                                              const struct manifest_variant *v)
{
    while (v->from)
        v = manifest_find_variant(f->family, v->from);
    return v;
}

/* The tokenizer of a root: the family's own, or that of another checkpoint (`*opened`). */
static enum err_code tokenizer_of(struct family_plan *f, const struct manifest_variant *root,
                                  struct plan_tokenizer **out, bool *opened, struct err *err)
{
    struct plan_model model;
    *out = f->tokenizer;
    *opened = false;
    if (root->origin != ORIGIN_CHECKPOINT || root == plan_tokenizer_variant(f))
        return ERR_OK;
    enum err_code code = plan_checkpoint_open(f->planner, root, out, &model, err);
    *opened = code == ERR_OK;
    return code ? err_wrap(err, "variant '%s' of family '%s'", root->name, f->family->name) : code;
}

/* Two ends of a copy. */
struct copy_ends {
    const struct manifest_variant *to, *from, *from_root;
    struct plan_tokenizer *to_tokenizer, *from_tokenizer;
};

static enum err_code describe_copy(struct family_plan *f, const struct copy_ends *ends,
                                   const char *const *tokens, size_t count, struct err *err)
{
    struct planner *p = f->planner;
    struct strbuf rows = {0};
    enum err_code code = ERR_OK;
    for (size_t i = 0; !code && i < count; i++) {
        int64_t to = p->env->tokenizer_special(p->env->ctx, ends->to_tokenizer, tokens[i]);
        int64_t from = p->env->tokenizer_special(p->env->ctx, ends->from_tokenizer, tokens[i]);
        if (from < 0 && ends->from == ends->from_root) {
            const struct yaml_node *stage = yaml_get(ends->to->node, "spectrum");
            code = yaml_fail(&p->manifest->doc, yaml_get(stage, "embeddings_from"), err,
                             "'embeddings_from' takes the row of '%s' from '%s', whose tokenizer "
                             "has no such special token",
                             tokens[i], ends->from->name);
        }
        strbuf_printf(&rows, "%s%s", i ? ", " : "", tokens[i]);
        if (to >= 0 && from >= 0 && to != from)
            strbuf_printf(&rows, " (id %lld, there %lld)", (long long)to, (long long)from);
        else if (to >= 0)
            strbuf_printf(&rows, " (id %lld)", (long long)to);
    }
    if (!code)
        plan_note(p, "%s/%s takes %zu rows of the embedding%s from %s: %s.", f->family->name,
                  ends->to->name, count, f->model.tied ? "" : " and of the head", ends->from->name,
                  strbuf_text(&rows));
    strbuf_release(&rows);
    return code;
}

enum err_code plan_embeddings(struct family_plan *f, const struct manifest_variant *v,
                              const char *const *tokens, size_t count, struct err *err)
{
    const struct plan_env *env = f->planner->env;
    struct copy_ends ends = {.to = v,
                             .from = manifest_find_variant(f->family, v->stage.embeddings_from)};
    bool to_opened = false, from_opened = false;
    ends.from_root = root_of(f, ends.from);
    enum err_code code = tokenizer_of(f, root_of(f, v), &ends.to_tokenizer, &to_opened, err);
    if (!code)
        code = tokenizer_of(f, ends.from_root, &ends.from_tokenizer, &from_opened, err);
    if (!code)
        code = describe_copy(f, &ends, tokens, count, err);
    if (from_opened)
        env->tokenizer_close(env->ctx, ends.from_tokenizer);
    if (to_opened)
        env->tokenizer_close(env->ctx, ends.to_tokenizer);
    return code;
}
