/* What is evaluated: suite entries, their settings and overrides. */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "manifest_keys.h"
#include "quantity.h"

enum { K_MAX = 10000 };

static const char *built_in_components[] = {"description", "examples", "both"};
static const char *built_in_temperatures[] = {"1"};
static const struct yaml_node *no_nodes[ARRAY_COUNT(built_in_components)];

/* Draws as published, but with no hidden cut (docs/science.md section 4). */
static const struct manifest_evaluate built_in = {
    .max_sequences = 1000,
    .seed = 42,
    .description_keep = 1.0,
    .permutations = 1,
    .calibration = true,
    .draws = 100,
    .top_p = 1.0,
    .components = {built_in_components, no_nodes, ARRAY_COUNT(built_in_components)},
    .temperatures = {built_in_temperatures, no_nodes, ARRAY_COUNT(built_in_temperatures)},
};

/* `k` is "auto" or a number. */
static enum err_code read_k(struct manifest *m, const struct yaml_node *node, int64_t *k_out,
                            struct err *err)
{
    if (!node)
        return ERR_OK;
    int64_t k = 0;
    bool automatic = node->kind == YAML_SCALAR && strcmp(node->text, "auto") == 0;
    bool number =
        node->kind == YAML_SCALAR && quantity_count(node->text, &k) && k >= 1 && k <= K_MAX;
    if (!automatic && !number)
        return yaml_fail(&m->doc, node, err, "'k' must be auto or a whole number from 1 to %d",
                         K_MAX);
    *k_out = k;
    return ERR_OK;
}

/* `restrict` is "none", "auto" or a list of answers. */
static enum err_code read_restrict(struct manifest *m, const struct yaml_node *node,
                                   struct manifest_evaluate *settings, struct err *err)
{
    if (!node)
        return ERR_OK;
    if (node->kind == YAML_SCALAR && strcmp(node->text, "none") == 0) {
        settings->restrict_mode = JOBSPEC_RESTRICT_NONE;
        return ERR_OK;
    }
    if (node->kind == YAML_SCALAR && strcmp(node->text, "auto") == 0) {
        settings->restrict_mode = JOBSPEC_RESTRICT_AUTO;
        return ERR_OK;
    }
    if (node->kind != YAML_SEQUENCE || node->count == 0)
        return yaml_fail(&m->doc, node, err, "'restrict' must be none, auto or a list of answers");
    const char **texts = arena_array(&m->doc.arena, node->count, sizeof *texts);
    for (size_t i = 0; i < node->count; i++) {
        texts[i] = node->items[i]->text;
        if (node->items[i]->kind != YAML_SCALAR || texts[i][0] == '\0')
            return yaml_fail(&m->doc, node->items[i], err, "an answer must be a text");
    }
    settings->restrict_mode = JOBSPEC_RESTRICT_LIST;
    settings->restrict_texts = (struct field_texts){texts, NULL, node->count};
    return ERR_OK;
}

static bool is_temperature(const char *text, double *out)
{
    return str_to_double(text, out) && *out >= 0 && *out <= 100;
}

static enum err_code check_temperature(struct manifest *m, const struct yaml_node *node,
                                       struct err *err)
{
    double value;
    if (node->kind == YAML_SCALAR && is_temperature(node->text, &value))
        return ERR_OK;
    return yaml_fail(&m->doc, node, err, "a temperature must be a number from 0 to 100");
}

/* A variant's further temperatures: a list, or one number. */
static enum err_code check_sweep(struct manifest *m, const struct yaml_node *node, struct err *err)
{
    if (!node)
        return ERR_OK;
    if (node->kind != YAML_MAPPING)
        return yaml_fail(&m->doc, node, err, "'sweep' must map variants to temperatures");
    if (!m->suites) /* variants are not known yet */
        return yaml_fail(&m->doc, node, err, "'sweep' belongs into an entry of 'evaluate'");
    for (size_t i = 0; i < node->count; i++) {
        const struct yaml_node *list = node->items[i];
        enum err_code code =
            manifest_need_variant(m, node->keys[i], "sweep", node->keys[i]->text, err);
        if (!code && list->kind != YAML_SEQUENCE)
            code = check_temperature(m, list, err);
        for (size_t t = 0; !code && list->kind == YAML_SEQUENCE && t < list->count; t++)
            code = check_temperature(m, list->items[t], err);
        if (code)
            return code;
    }
    return ERR_OK;
}

static enum err_code check_draws(struct manifest *m, const struct manifest_evaluate *s,
                                 struct err *err)
{
    for (size_t i = 0; i < s->temperatures.count; i++) {
        enum err_code code =
            s->temperatures.nodes[i] ? check_temperature(m, s->temperatures.nodes[i], err) : ERR_OK;
        if (code)
            return code;
    }
    for (size_t i = 0; i < s->components.count; i++) {
        const char *name = s->components.items[i];
        bool known = false;
        for (size_t c = 0; c < ARRAY_COUNT(built_in_components); c++)
            known = known || strcmp(built_in_components[c], name) == 0;
        if (!known)
            return yaml_fail(&m->doc, s->components.nodes[i], err,
                             "'components' may be description, examples and both, not '%.64s'",
                             name);
    }
    return ERR_OK;
}

static enum err_code read_nodes(struct manifest *m, const struct manifest_settings_nodes *nodes,
                                struct manifest_evaluate *settings, struct err *err)
{
    enum err_code code = read_k(m, nodes->k, &settings->k, err);
    if (!code)
        code = read_restrict(m, nodes->restrict_to, settings, err);
    if (!code)
        code = check_sweep(m, nodes->sweep, err);
    if (!code)
        code = check_draws(m, settings, err);
    if (nodes->sweep)
        settings->sweep = nodes->sweep;
    return code;
}

static size_t add_temperature(double *out, size_t count, const char *text)
{
    double value = 0.0;
    if (count == MANIFEST_TEMPERATURES_MAX || !is_temperature(text, &value))
        return count;
    for (size_t i = 0; i < count; i++) {
        if (!(out[i] < value) && !(out[i] > value))
            return count;
    }
    out[count] = value;
    return count + 1;
}

size_t manifest_temperatures(const struct manifest_evaluate *settings, const char *variant,
                             double out[MANIFEST_TEMPERATURES_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < settings->temperatures.count; i++)
        count = add_temperature(out, count, settings->temperatures.items[i]);
    for (size_t i = 0; settings->sweep && i < settings->sweep->count; i++) {
        const struct yaml_node *list = settings->sweep->items[i];
        if (strcmp(settings->sweep->keys[i]->text, variant) != 0)
            continue;
        if (list->kind == YAML_SCALAR)
            count = add_temperature(out, count, list->text);
        for (size_t t = 0; list->kind == YAML_SEQUENCE && t < list->count; t++)
            count = add_temperature(out, count, list->items[t]->text);
    }
    return count;
}

enum err_code manifest_read_settings(struct manifest *m, const struct yaml_node *node,
                                     const char *what, struct manifest_evaluate *settings,
                                     struct err *err)
{
    struct manifest_settings_keys keys = {.settings = *settings};
    enum err_code code = fields_read(&m->doc, node, what, &manifest_settings_table, &keys, err);
    if (!code)
        code = read_nodes(m, &keys.nodes, &keys.settings, err);
    if (!code)
        *settings = keys.settings;
    return code;
}

/* Read the entry's own keys; `settings` are those it overrides. */
static enum err_code read_entry(struct manifest *m, const struct yaml_node *node,
                                struct manifest_suite_keys *keys, struct err *err)
{
    enum err_code code =
        fields_read(&m->doc, node, "an 'evaluate' entry", &manifest_suite_table, keys, err);
    return code ? code : read_nodes(m, &keys->nodes, &keys->settings, err);
}

/* Is there a variant of this name in any family? */
static bool variant_exists(const struct manifest *m, const char *name)
{
    for (size_t f = 0; f < m->family_count; f++) {
        if (manifest_find_variant(&m->families[f], name))
            return true;
    }
    return false;
}

enum err_code manifest_need_variant(const struct manifest *m, const struct yaml_node *at,
                                    const char *key, const char *name, struct err *err)
{
    enum { NAMES_MAX = 64 };
    const char *names[NAMES_MAX];
    size_t count = 0;
    if (variant_exists(m, name))
        return ERR_OK;
    for (size_t f = 0; f < m->family_count; f++) {
        for (size_t v = 0; v < m->families[f].variant_count && count < NAMES_MAX; v++) {
            names[count] = m->families[f].variants[v].name;
            size_t known = 0;
            while (strcmp(names[known], names[count]) != 0)
                known++;
            count += known == count;
        }
    }
    char hint[300];
    fields_suggest(name, names, count, hint, sizeof hint);
    return yaml_fail(&m->doc, at, err, "'%s' names the variant '%.64s', which no family has%s", key,
                     name, hint);
}

static bool family_exists(const struct manifest *m, const char *name)
{
    for (size_t f = 0; f < m->family_count; f++) {
        if (strcmp(m->families[f].name, name) == 0)
            return true;
    }
    return false;
}

static enum err_code read_formats(struct manifest *m, const struct yaml_node *node,
                                  struct manifest_suite *suite, struct err *err)
{
    if (node->kind != YAML_MAPPING)
        return yaml_fail(&m->doc, node, err, "'formats' must map variants to formats");
    suite->formats = arena_array(&m->doc.arena, node->count + 1, sizeof *suite->formats);
    for (size_t i = 0; i < node->count; i++) {
        const char *key = node->keys[i]->text, *slash = strchr(key, '/');
        const char *family =
            slash ? arena_strndup(&m->doc.arena, key, (size_t)(slash - key)) : NULL;
        const char *variant = slash ? slash + 1 : key;
        enum err_code code = manifest_need_variant(m, node->keys[i], "formats", variant, err);
        if (!code && family && !family_exists(m, family))
            code = yaml_fail(&m->doc, node->keys[i], err,
                             "'formats' names the family '%.64s', "
                             "which there is not",
                             family);
        if (code)
            return code;
        int format = 0;
        while (format < FORMAT_COUNT && strcmp(format_names()[format], node->items[i]->text) != 0)
            format++;
        if (format == FORMAT_COUNT)
            return yaml_fail(&m->doc, node->items[i], err,
                             "no format is called '%.64s'; known are spectrum, colon, chat",
                             node->items[i]->text);
        suite->formats[suite->format_count++] =
            (struct manifest_variant_format){family, variant, (enum format)format};
    }
    return ERR_OK;
}

static enum err_code read_overrides(struct manifest *m, const struct yaml_node *node,
                                    struct manifest_suite *suite, struct err *err)
{
    if (node->kind != YAML_MAPPING)
        return yaml_fail(&m->doc, node, err, "'override' must map tasks to settings");
    suite->overrides = arena_array(&m->doc.arena, node->count + 1, sizeof *suite->overrides);
    for (size_t i = 0; i < node->count; i++) {
        char what[96];
        struct manifest_evaluate ignored = built_in;
        snprintf(what, sizeof what, "'override' of '%.60s'", node->keys[i]->text);
        enum err_code code = manifest_read_settings(m, node->items[i], what, &ignored, err);
        if (code)
            return code;
        suite->overrides[suite->override_count++] =
            (struct manifest_task_override){node->keys[i]->text, node->items[i]};
    }
    return ERR_OK;
}

enum err_code manifest_read_suites(struct manifest *m, const struct yaml_node *node,
                                   struct err *err)
{
    if (node->kind != YAML_SEQUENCE || node->count == 0)
        return yaml_fail(&m->doc, node, err, "'evaluate' must be a list of suites");
    m->suites = arena_array(&m->doc.arena, node->count, sizeof *m->suites);
    for (size_t i = 0; i < node->count; i++) {
        struct manifest_suite_keys keys = {.settings = built_in};
        enum err_code code = read_entry(m, node->items[i], &keys, err);
        if (!code && keys.formats)
            code = read_formats(m, keys.formats, &keys.suite, err);
        if (!code && keys.override)
            code = read_overrides(m, keys.override, &keys.suite, err);
        if (code)
            return code;
        keys.suite.node = node->items[i];
        m->suites[m->suite_count++] = keys.suite;
    }
    return ERR_OK;
}

struct manifest_evaluate manifest_evaluate_settings(struct manifest *m,
                                                    const struct manifest_family *family,
                                                    const struct manifest_suite *suite,
                                                    const char *task)
{
    struct err err;
    struct manifest_suite_keys keys = {.settings = built_in};
    enum err_code code = ERR_OK;
    if (m->default_evaluate)
        code = manifest_read_settings(m, m->default_evaluate, "", &keys.settings, &err);
    if (!code && family->evaluate)
        code = manifest_read_settings(m, family->evaluate, "", &keys.settings, &err);
    if (!code)
        code = read_entry(m, suite->node, &keys, &err);
    for (size_t i = 0; !code && i < suite->override_count; i++) {
        if (str_glob(suite->overrides[i].pattern, task))
            code = manifest_read_settings(m, suite->overrides[i].node, "", &keys.settings, &err);
    }
    ASSERT(code == ERR_OK); /* all of them were read by manifest_parse() */
    return keys.settings;
}

enum format manifest_format(const struct manifest_suite *suite,
                            const struct manifest_variant *variant)
{
    const struct manifest_variant_format *found = NULL;
    for (size_t i = 0; i < suite->format_count; i++) {
        const struct manifest_variant_format *f = &suite->formats[i];
        const bool own = f->family && strcmp(f->family, variant->family) == 0;
        if (strcmp(f->variant, variant->name) == 0 && (own || (!f->family && !found)))
            found = f;
    }
    if (found)
        return found->format;
    switch (variant->origin) {
    case ORIGIN_INSTRUCT:
    case ORIGIN_SPECTRUM:
        return (enum format)variant->stage.format;
    case ORIGIN_CHECKPOINT:
    case ORIGIN_PRETRAIN:
        return FORMAT_COLON;
    }
    UNREACHABLE("unknown origin");
}
