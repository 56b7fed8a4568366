/* Families and their variants. */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "manifest_keys.h"

enum { VARIANTS_MAX = 64 };

/* "a:b:c: 'X' names the unknown variant …" with the family's variants as candidates. */
static enum err_code unknown_variant(const struct manifest *m, const struct manifest_family *family,
                                     const struct yaml_node *at, const char *key, const char *name,
                                     struct err *err)
{
    const char *names[VARIANTS_MAX];
    char hint[300];
    for (size_t i = 0; i < family->variant_count; i++)
        names[i] = family->variants[i].name;
    fields_suggest(name, names, family->variant_count, hint, sizeof hint);
    return yaml_fail(&m->doc, at, err, "'%s' names the variant '%.64s', which family '%s' lacks%s",
                     key, name, family->name, hint);
}

/* What each family takes where the manifest says nothing: the originals' values. */
static const struct jobspec_architecture architecture_defaults[] = {
    [JOBSPEC_LLAMA] = {.rope_theta = 10000, .norm_eps = 1e-5},
    [JOBSPEC_QWEN3] = {.rope_theta = 1e6, .norm_eps = 1e-6},
    [JOBSPEC_GEMMA3] = {.rope_theta = 1e6,
                        .norm_eps = 1e-6,
                        .window = 512,
                        .window_pattern = 6,
                        .rope_local_theta = 10000},
};

/* Fill in the family's own keys, or refuse them where the family has no such thing. */
static enum err_code read_kind_keys(struct manifest *m, const struct yaml_node *node,
                                    struct jobspec_architecture *a, struct err *err)
{
    static const char *const window_keys[] = {"window", "window_pattern", "query_scalar",
                                              "rope_local_theta"};
    const struct jobspec_architecture *defaults = &architecture_defaults[a->kind];
    a->rope_theta = a->rope_theta > 0 ? a->rope_theta : defaults->rope_theta;
    a->norm_eps = a->norm_eps > 0 ? a->norm_eps : defaults->norm_eps;
    for (size_t i = 0; defaults->window == 0 && i < ARRAY_COUNT(window_keys); i++) {
        const struct yaml_node *key = yaml_get(node, window_keys[i]);
        if (key)
            return yaml_fail(&m->doc, key, err, "'%s' is for gemma3 only, not for %s",
                             window_keys[i], jobspec_architecture_names[a->kind]);
    }
    if (defaults->window == 0)
        return ERR_OK;
    a->window = a->window ? a->window : defaults->window;
    a->window_pattern = a->window_pattern ? a->window_pattern : defaults->window_pattern;
    a->query_scalar = a->query_scalar ? a->query_scalar : a->head_dim;
    a->rope_local_theta =
        a->rope_local_theta > 0 ? a->rope_local_theta : defaults->rope_local_theta;
    return ERR_OK;
}

static enum err_code read_architecture(struct manifest *m, struct manifest_family *family,
                                       const struct yaml_node *node, struct err *err)
{
    struct manifest_architecture_keys keys = {.architecture = {.init_std = 0.02, .tied = true}};
    enum err_code code =
        fields_read(&m->doc, node, "'architecture'", &manifest_architecture_table, &keys, err);
    if (code)
        return code;
    struct jobspec_architecture *a = &keys.architecture;
    a->kv_heads = a->kv_heads ? a->kv_heads : a->heads;
    if (a->heads % a->kv_heads != 0)
        return yaml_fail(&m->doc, yaml_get(node, "kv_heads"), err,
                         "'kv_heads' is %lld, but must divide 'heads' (%lld)",
                         (long long)a->kv_heads, (long long)a->heads);
    if (a->head_dim == 0 && a->width % a->heads != 0)
        return yaml_fail(&m->doc, yaml_get(node, "heads"), err,
                         "'heads' is %lld, but must divide 'width' (%lld) unless 'head_dim' is "
                         "given",
                         (long long)a->heads, (long long)a->width);
    a->head_dim = a->head_dim ? a->head_dim : a->width / a->heads;
    if (a->head_dim % 2 != 0)
        return yaml_fail(&m->doc, node, err, "the head dimension is %lld, but must be even",
                         (long long)a->head_dim);
    code = read_kind_keys(m, node, a, err);
    if (code)
        return code;
    family->has_architecture = true;
    family->architecture = *a;
    return ERR_OK;
}

static enum err_code read_tokenizer(struct manifest *m, struct manifest_family *family,
                                    const struct yaml_node *node, struct err *err)
{
    if (node->kind == YAML_SCALAR && strcmp(node->text, "bytes") == 0)
        return yaml_fail(&m->doc, node, err,
                         "'tokenizer: bytes' is not supported by the workers; train one with "
                         "{train: bpe, vocabulary: 1024}");
    if (node->kind == YAML_SCALAR && node->text[0] != '\0') {
        family->tokenizer.path = node->text;
        return ERR_OK;
    }
    struct manifest_tokenizer_keys keys = {0};
    enum err_code code =
        fields_read(&m->doc, node, "'tokenizer'", &manifest_tokenizer_table, &keys, err);
    if (code)
        return code;
    family->tokenizer.train = true;
    family->tokenizer.vocabulary = keys.vocabulary;
    return ERR_OK;
}

/* ORG/NAME or ORG/NAME@REVISION, as far as can be told without looking for it. */
static bool is_hub_name(const char *text)
{
    size_t org = strcspn(text, "/@");
    size_t name = text[org] == '/' ? strcspn(text + org + 1, "/@") : 0;
    if (org == 0 || name == 0)
        return false;
    const char *rest = text + org + 1 + name;
    return rest[0] == '\0' || (rest[0] == '@' && rest[1] != '\0');
}

static enum err_code read_checkpoint(struct manifest *m, const struct yaml_node *node,
                                     struct manifest_variant *variant, struct err *err)
{
    static const char llama2c[] = "llama2c:";
    const char *path = variant->checkpoint;
    if (strncmp(path, "hf:", 3) == 0) { /* the planner resolves it */
        variant->layout = CHECKPOINT_HUB;
        return is_hub_name(path + 3)
                   ? ERR_OK
                   : yaml_fail(&m->doc, node, err,
                               "'%.100s' names no checkpoint of the Hugging Face hub: write "
                               "hf:ORG/NAME or hf:ORG/NAME@REVISION",
                               path);
    }
    if (strncmp(path, llama2c, sizeof llama2c - 1) == 0) {
        variant->layout = CHECKPOINT_LLAMA2C;
        path += sizeof llama2c - 1;
    }
    variant->checkpoint =
        path[0] == '/' ? path : arena_printf(&m->doc.arena, "%s/%s", m->folder, path);
    return ERR_OK;
}

/* Exactly one of checkpoint, pretrain, instruct, spectrum says what the variant is. */
static enum err_code find_origin(struct manifest *m, const struct manifest_variant_keys *keys,
                                 struct manifest_variant *variant,
                                 const struct yaml_node **stage_out, struct err *err)
{
    const struct yaml_node *nodes[] = {yaml_get(variant->node, "checkpoint"), keys->pretrain,
                                       keys->instruct, keys->spectrum};
    int found = 0;
    for (int i = 0; i < 4; i++) {
        if (!nodes[i])
            continue;
        found++;
        variant->origin = (enum manifest_origin)i;
        *stage_out = nodes[i];
    }
    if (found != 1)
        return yaml_fail(&m->doc, variant->node, err,
                         "variant '%s' needs exactly one of checkpoint, pretrain, instruct, "
                         "spectrum; it has %d",
                         variant->name, found);
    bool follows = variant->origin == ORIGIN_INSTRUCT || variant->origin == ORIGIN_SPECTRUM;
    if (follows && !variant->from)
        return yaml_fail(&m->doc, variant->node, err,
                         "variant '%s' needs 'from': the variant that %s starts from",
                         variant->name, manifest_origin_name(variant->origin));
    if (!follows && variant->from)
        return yaml_fail(&m->doc, yaml_get(variant->node, "from"), err,
                         "variant '%s' has '%s' and starts from nothing: remove 'from'",
                         variant->name, manifest_origin_name(variant->origin));
    return ERR_OK;
}

static enum err_code read_variant(struct manifest *m, const struct manifest_family *family,
                                  const struct yaml_node *const outer[2],
                                  struct manifest_variant *variant, struct err *err)
{
    struct manifest_variant_keys keys = {0};
    const struct yaml_node *stage = NULL;
    char what[96];
    snprintf(what, sizeof what, "variant '%s'", variant->name);
    enum err_code code =
        fields_read(&m->doc, variant->node, what, &manifest_variant_table, &keys, err);
    if (code)
        return code;
    variant->from = keys.from;
    variant->checkpoint = keys.checkpoint;
    code = find_origin(m, &keys, variant, &stage, err);
    if (code)
        return code;
    if (variant->origin == ORIGIN_CHECKPOINT)
        return read_checkpoint(m, stage, variant, err);
    if (variant->origin == ORIGIN_PRETRAIN && !family->has_architecture)
        return yaml_fail(&m->doc, stage, err,
                         "family '%s' pretrains, so it needs 'architecture' and 'tokenizer'",
                         family->name);
    return manifest_read_stage(m, stage, outer, variant, err);
}

/* Following `from` must end at a variant that starts from nothing. */
static enum err_code check_ancestry(const struct manifest *m, const struct manifest_family *family,
                                    const struct manifest_variant *variant, struct err *err)
{
    const struct manifest_variant *at = variant;
    for (size_t steps = 0; at->from; steps++) {
        const struct manifest_variant *parent = manifest_find_variant(family, at->from);
        if (!parent)
            return unknown_variant(m, family, yaml_get(at->node, "from"), "from", at->from, err);
        if (steps == family->variant_count)
            return yaml_fail(&m->doc, yaml_get(variant->node, "from"), err,
                             "variant '%s' starts from itself, by way of 'from'", variant->name);
        at = parent;
    }
    const char *rows = variant->stage.embeddings_from;
    if (variant->origin != ORIGIN_SPECTRUM || strcmp(rows, "none") == 0)
        return ERR_OK;
    const struct yaml_node *node = yaml_get(yaml_get(variant->node, "spectrum"), "embeddings_from");
    const struct manifest_variant *source = manifest_find_variant(family, rows);
    if (!source)
        return unknown_variant(m, family, node, "embeddings_from", rows, err);
    for (at = source; at; at = at->from ? manifest_find_variant(family, at->from) : NULL) {
        if (at == variant)
            return yaml_fail(&m->doc, node, err,
                             "'embeddings_from' of '%s' names '%s', which is made from '%s'",
                             variant->name, rows, variant->name);
    }
    return ERR_OK;
}

static enum err_code read_variants(struct manifest *m, struct manifest_family *family,
                                   const struct yaml_node *node,
                                   const struct yaml_node *const outer[2], struct err *err)
{
    if (node->kind != YAML_MAPPING || node->count == 0 || node->count > VARIANTS_MAX)
        return yaml_fail(&m->doc, node, err, "'variants' must be a mapping of 1 to %d variants",
                         VARIANTS_MAX);
    family->variants = arena_array(&m->doc.arena, node->count, sizeof *family->variants);
    for (size_t i = 0; i < node->count; i++) {
        struct manifest_variant *variant = &family->variants[i];
        variant->name = node->keys[i]->text;
        variant->family = family->name;
        variant->node = node->items[i];
        if (!field_is_name(variant->name) || strcmp(variant->name, "none") == 0)
            return yaml_fail(&m->doc, node->keys[i], err, "'%.64s' cannot be a variant's name",
                             variant->name);
        enum err_code code = read_variant(m, family, outer, variant, err);
        if (code)
            return code;
        family->variant_count++;
    }
    for (size_t i = 0; i < family->variant_count; i++) {
        enum err_code code = check_ancestry(m, family, &family->variants[i], err);
        if (code)
            return code;
    }
    return ERR_OK;
}

/* The turns of a family that says nothing of them: those of its kind of model. */
static const char *turns_of_kind(const struct manifest_family *family)
{
    const char *kind = jobspec_architecture_names[family->architecture.kind];
    const struct turn_style *style = family->has_architecture ? turn_style_for_model(kind) : NULL;
    return style ? style->name : "llama3";
}

enum err_code manifest_read_family(struct manifest *m, const struct yaml_node *default_train,
                                   struct manifest_family *family, struct err *err)
{
    struct manifest_family_keys keys = {0};
    char what[96];
    snprintf(what, sizeof what, "family '%s'", family->name);
    enum err_code code =
        fields_read(&m->doc, family->node, what, &manifest_family_table, &keys, err);
    if (code)
        return code;
    if (keys.architecture)
        code = read_architecture(m, family, keys.architecture, err);
    if (!code && keys.tokenizer)
        code = read_tokenizer(m, family, keys.tokenizer, err);
    if (!code && family->has_architecture && !keys.tokenizer)
        code = yaml_fail(&m->doc, family->node, err,
                         "family '%s' has an 'architecture' but no 'tokenizer'", family->name);
    if (!code && keys.evaluate) {
        struct manifest_evaluate ignored = {0};
        code = manifest_read_settings(m, keys.evaluate, "'evaluate' of the family", &ignored, err);
    }
    if (code)
        return code;
    family->evaluate = keys.evaluate;
    const struct yaml_node *const outer[2] = {default_train, keys.train};
    code = read_variants(m, family, keys.variants, outer, err);
    if (code)
        return code;
    bool llama2c = family->variants[0].origin == ORIGIN_CHECKPOINT &&
                   family->variants[0].layout == CHECKPOINT_LLAMA2C;
    const char *turns = keys.turns ? keys.turns : llama2c ? "llama2" : turns_of_kind(family);
    family->turns = turn_style_find(turns);
    family->turns_given = keys.turns != NULL || llama2c;
    if (!family->turns) {
        char hint[300];
        size_t count = 0;
        while (turn_style_names()[count])
            count++;
        fields_suggest(turns, turn_style_names(), count, hint, sizeof hint);
        return yaml_fail(&m->doc, yaml_get(family->node, "turns"), err,
                         "no turn style is called '%.64s'%s", turns, hint);
    }
    return ERR_OK;
}
