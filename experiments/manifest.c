#include "manifest.h"

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "labels.h"
#include "manifest_keys.h"
#include "quantity.h"

enum { FAMILIES_MAX = 256, SEEDS_MAX = 1000 };
#define SEED_MAX 4000000000000000LL /* exact as a JSON number everywhere */

const char *manifest_origin_name(enum manifest_origin origin)
{
    static const char *const names[] = {"checkpoint", "pretrain", "instruct", "spectrum"};
    return names[origin];
}

const struct manifest_variant *manifest_find_variant(const struct manifest_family *family,
                                                     const char *name)
{
    for (size_t i = 0; i < family->variant_count; i++) {
        if (strcmp(family->variants[i].name, name) == 0)
            return &family->variants[i];
    }
    return NULL;
}

/* A non-empty list of one kind of mapping. */
static enum err_code need_list(const struct manifest *m, const struct yaml_node *node,
                               const char *key, struct err *err)
{
    if (node->kind == YAML_SEQUENCE && node->count > 0)
        return ERR_OK;
    return yaml_fail(&m->doc, node, err, "'%s' must be a list", key);
}

static enum err_code read_seeds(struct manifest *m, const struct yaml_node *node, struct err *err)
{
    size_t count = node ? node->count : 1;
    if (node && (node->kind != YAML_SEQUENCE || count == 0 || count > SEEDS_MAX))
        return yaml_fail(&m->doc, node, err, "'seeds' must be a list of 1 to %d numbers",
                         SEEDS_MAX);
    m->seeds = arena_array(&m->doc.arena, count, sizeof *m->seeds);
    if (!node)
        m->seeds[m->seed_count++] = 42;
    for (size_t i = 0; node && i < count; i++) {
        int64_t seed;
        const struct yaml_node *item = node->items[i];
        if (item->kind != YAML_SCALAR || !quantity_count(item->text, &seed) || seed < 0 ||
            seed > SEED_MAX)
            return yaml_fail(&m->doc, item, err, "a seed must be a whole number from 0 to %lld",
                             SEED_MAX);
        for (size_t j = 0; j < i; j++) {
            if (m->seeds[j] == seed)
                return yaml_fail(&m->doc, item, err, "seed %lld is given twice", (long long)seed);
        }
        m->seeds[m->seed_count++] = seed;
    }
    return ERR_OK;
}

static enum err_code read_families(struct manifest *m, const struct yaml_node *node,
                                   const struct yaml_node *default_train, struct err *err)
{
    if (node->kind != YAML_MAPPING || node->count == 0 || node->count > FAMILIES_MAX)
        return yaml_fail(&m->doc, node, err, "'families' must be a mapping of 1 to %d families",
                         FAMILIES_MAX);
    m->families = arena_array(&m->doc.arena, node->count, sizeof *m->families);
    for (size_t i = 0; i < node->count; i++) {
        struct manifest_family *family = &m->families[i];
        family->name = node->keys[i]->text;
        family->node = node->items[i];
        if (!field_is_name(family->name))
            return yaml_fail(&m->doc, node->keys[i], err, "'%.64s' cannot be a family's name",
                             family->name);
        enum err_code code = manifest_read_family(m, default_train, family, err);
        if (code)
            return code;
        m->family_count++;
    }
    return ERR_OK;
}

static enum err_code read_compares(struct manifest *m, const struct yaml_node *node,
                                   struct err *err)
{
    enum err_code code = need_list(m, node, "compare", err);
    m->compares = arena_array(&m->doc.arena, node->count + 1, sizeof *m->compares);
    for (size_t i = 0; !code && i < node->count; i++) {
        struct manifest_compare *c = &m->compares[m->compare_count++];
        *c = (struct manifest_compare){.correction = CORRECTION_HOLM, .alpha = 0.05};
        code = fields_read(&m->doc, node->items[i], "a 'compare' entry", &manifest_compare_table, c,
                           err);
        if (!code)
            code = manifest_need_variant(m, yaml_get(node->items[i], "baseline"), "baseline",
                                         c->baseline, err);
        for (size_t a = 0; !code && a < c->against.count; a++) {
            code =
                manifest_need_variant(m, c->against.nodes[a], "against", c->against.items[a], err);
            for (size_t b = 0; !code && b < a; b++)
                if (strcmp(c->against.items[a], c->against.items[b]) == 0)
                    code = yaml_fail(&m->doc, c->against.nodes[a], err, "'%s' is compared twice",
                                     c->against.items[a]);
            if (!code && strcmp(c->against.items[a], c->baseline) == 0)
                code = yaml_fail(&m->doc, c->against.nodes[a], err,
                                 "'%s' is compared against itself", c->baseline);
        }
    }
    return code;
}

static enum err_code read_filters(struct manifest *m, const struct yaml_node *node, const char *key,
                                  struct manifest_filter **out, size_t *count_out, struct err *err)
{
    if (!node)
        return ERR_OK;
    enum err_code code = need_list(m, node, key, err);
    struct manifest_filter *filters = arena_array(&m->doc.arena, node->count + 1, sizeof *filters);
    char what[32];
    snprintf(what, sizeof what, "an '%s' entry", key);
    for (size_t i = 0; !code && i < node->count; i++) {
        filters[i].seed = -1;
        code = fields_read(&m->doc, node->items[i], what, &manifest_filter_table, &filters[i], err);
        if (!code && node->items[i]->count == 0)
            code = yaml_fail(&m->doc, node->items[i], err, "%s matches everything", what);
    }
    *out = filters;
    *count_out = node->count;
    return code;
}

/* The labels as one set, in the document's arena. */
static enum err_code read_labels(struct manifest *m, struct manifest_resources *resources,
                                 struct err *err)
{
    struct strbuf words = {0}, set = {0};
    for (size_t i = 0; i < resources->labels.count; i++)
        strbuf_printf(&words, "%s,", resources->labels.items[i]);
    enum err_code code = labels_parse(strbuf_text(&words), &set, err);
    if (code) {
        const struct err why = *err;
        code = yaml_fail(&m->doc, resources->labels.nodes[0], err, "'labels': %s", why.text);
    }
    resources->label_set = arena_strdup(&m->doc.arena, strbuf_text(&set));
    strbuf_release(&words);
    strbuf_release(&set);
    return code;
}

static enum err_code read_retry(struct manifest *m, const struct yaml_node *node, struct err *err)
{
    struct manifest_retry *retry = &m->retry;
    *retry = (struct manifest_retry){
        .attempts = 3, .backoff_seconds = 1, .backoff_max_seconds = 60, .memory_growth = 0.5};
    for (int c = 0; c < FAILURE_CLASS_COUNT; c++)
        retry->again[c] = RETRY_AGAIN_MAX;
    return node ? fields_read(&m->doc, node, "'retry'", &manifest_retry_table, retry, err) : ERR_OK;
}

static enum err_code read_resources(struct manifest *m, const struct yaml_node *node,
                                    struct err *err)
{
    struct manifest_resources_keys keys = {0};
    m->train_resources.threads = 2;
    m->evaluate_resources.threads = 1;
    m->train_resources.ranks = m->evaluate_resources.ranks = 1;
    m->train_resources.label_set = m->evaluate_resources.label_set = "";
    if (!node)
        return ERR_OK;
    enum err_code code =
        fields_read(&m->doc, node, "'resources'", &manifest_resources_table, &keys, err);
    if (!code && keys.train)
        code = fields_read(&m->doc, keys.train, "'resources' of train",
                           &manifest_train_resource_table, &m->train_resources, err);
    if (!code && keys.evaluate)
        code = fields_read(&m->doc, keys.evaluate, "'resources' of evaluate",
                           &manifest_resource_table, &m->evaluate_resources, err);
    code = code ? code : read_labels(m, &m->train_resources, err);
    return code ? code : read_labels(m, &m->evaluate_resources, err);
}

static enum err_code read_corpora(struct manifest *m, const struct yaml_node *node, struct err *err)
{
    if (!node)
        return ERR_OK;
    if (node->kind != YAML_MAPPING || node->count > MANIFEST_CORPORA_MAX)
        return yaml_fail(&m->doc, node, err,
                         "'corpora' must map at most %d names to lists of files",
                         MANIFEST_CORPORA_MAX);
    m->corpora = arena_array(&m->doc.arena, node->count + 1, sizeof *m->corpora);
    for (size_t i = 0; i < node->count; i++) {
        struct manifest_corpus *corpus = &m->corpora[m->corpus_count++];
        corpus->name = node->keys[i]->text;
        const struct field files = {.key = corpus->name,
                                    .kind = FIELD_TEXTS,
                                    .offset = offsetof(struct manifest_corpus, files)};
        const struct field_table table = {&files, 1};
        struct yaml_node entry = {.kind = YAML_MAPPING,
                                  .line = node->line,
                                  .column = node->column,
                                  .text = "",
                                  .keys = &node->keys[i],
                                  .items = &node->items[i],
                                  .count = 1};
        enum err_code code = fields_read(&m->doc, &entry, "'corpora'", &table, corpus, err);
        if (code)
            return code;
    }
    return ERR_OK;
}

static enum err_code read_defaults(struct manifest *m, const struct yaml_node *node,
                                   const struct yaml_node **train_out, struct err *err)
{
    struct manifest_defaults_keys keys = {0};
    if (!node)
        return ERR_OK;
    enum err_code code =
        fields_read(&m->doc, node, "'defaults'", &manifest_defaults_table, &keys, err);
    if (!code && keys.evaluate) {
        struct manifest_evaluate ignored = {0};
        code =
            manifest_read_settings(m, keys.evaluate, "'evaluate' of the defaults", &ignored, err);
    }
    m->default_evaluate = keys.evaluate;
    *train_out = keys.train;
    return code;
}

/* Our own products have both precisions, the libraries one each. */
static enum err_code check_backend(const struct manifest *m, struct err *err)
{
    static const int only[] = {[JOBSPEC_BLAS] = JOBSPEC_F32, [JOBSPEC_ONEDNN] = JOBSPEC_BF16};
    if (m->backend == JOBSPEC_PACKED || only[m->backend] == m->precision)
        return ERR_OK;
    return yaml_fail(&m->doc, m->doc.root, err, "'backend: %s' needs 'precision: %s'",
                     jobspec_backend_names[m->backend], jobspec_precision_names[only[m->backend]]);
}

static enum err_code read_root(struct manifest *m, struct err *err)
{
    struct manifest_root_keys keys = {.notes = ""};
    const struct yaml_node *train = NULL;
    enum err_code code =
        fields_read(&m->doc, m->doc.root, "the manifest", &manifest_root_table, &keys, err);
    if (code)
        return code;
    m->experiment = keys.experiment;
    m->notes = keys.notes;
    m->numerics = keys.numerics;
    m->precision = keys.precision;
    m->backend = keys.backend;
    code = check_backend(m, err);
    if (!code)
        code = read_seeds(m, keys.seeds, err);
    if (!code)
        code = read_corpora(m, keys.corpora, err);
    if (!code)
        code = read_defaults(m, keys.defaults, &train, err);
    if (!code)
        code = read_families(m, keys.families, train, err);
    if (!code)
        code = manifest_read_suites(m, keys.evaluate, err);
    if (!code && keys.compare)
        code = read_compares(m, keys.compare, err);
    if (!code)
        code = read_resources(m, keys.resources, err);
    if (!code)
        code = read_retry(m, keys.retry, err);
    if (!code)
        code = read_filters(m, keys.include, "include", &m->includes, &m->include_count, err);
    if (!code)
        code = read_filters(m, keys.exclude, "exclude", &m->excludes, &m->exclude_count, err);
    m->reference = (struct manifest_reference){.node = keys.reference, .why = ""};
    if (!code && keys.reference)
        code = fields_read(&m->doc, keys.reference, "'reference'", &manifest_reference_table,
                           &m->reference, err);
    return code;
}

static const char *folder_of(struct arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return ".";
    return slash == path ? "/" : arena_strndup(arena, path, (size_t)(slash - path));
}

enum err_code manifest_parse(const char *bytes, size_t len, const char *path, struct manifest *out,
                             struct err *err)
{
    struct manifest m = {0};
    enum err_code code = yaml_parse(bytes, len, path, &m.doc, err);
    if (code)
        return code;
    m.folder = folder_of(&m.doc.arena, path);
    code = read_root(&m, err);
    if (code) {
        manifest_release(&m);
        return code;
    }
    *out = m;
    return ERR_OK;
}

void manifest_release(struct manifest *manifest)
{
    yaml_release(&manifest->doc);
    *manifest = (struct manifest){0};
}
