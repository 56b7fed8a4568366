/* What is evaluated: suite entries, their settings and overrides. */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "manifest_keys.h"
#include "quantity.h"

enum { K_MAX = 10000 };

static const struct manifest_evaluate built_in = {
    .max_sequences = 1000, .k = 0, .seed = 42, .description_keep = 1.0};

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

enum err_code manifest_read_settings(struct manifest *m, const struct yaml_node *node,
                                     const char *what, struct manifest_evaluate *settings,
                                     struct err *err)
{
    struct manifest_settings_keys keys = {.settings = *settings};
    enum err_code code = fields_read(&m->doc, node, what, &manifest_settings_table, &keys, err);
    if (!code)
        code = read_k(m, keys.k, &keys.settings.k, err);
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
    return code ? code : read_k(m, keys->k, &keys->settings.k, err);
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
        for (size_t v = 0; v < m->families[f].variant_count && count < NAMES_MAX; v++)
            names[count++] = m->families[f].variants[v].name;
    }
    char hint[300];
    fields_suggest(name, names, count, hint, sizeof hint);
    return yaml_fail(&m->doc, at, err, "'%s' names the variant '%.64s', which no family has%s", key,
                     name, hint);
}

static enum err_code read_formats(struct manifest *m, const struct yaml_node *node,
                                  struct manifest_suite *suite, struct err *err)
{
    if (node->kind != YAML_MAPPING)
        return yaml_fail(&m->doc, node, err, "'formats' must map variants to formats");
    suite->formats = arena_array(&m->doc.arena, node->count + 1, sizeof *suite->formats);
    for (size_t i = 0; i < node->count; i++) {
        const char *variant = node->keys[i]->text;
        enum err_code code = manifest_need_variant(m, node->keys[i], "formats", variant, err);
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
            (struct manifest_variant_format){variant, (enum format)format};
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
    for (size_t i = 0; i < suite->format_count; i++) {
        if (strcmp(suite->formats[i].variant, variant->name) == 0)
            return suite->formats[i].format;
    }
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
