#include "mix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static const char *const purpose_names[] = {"pretrain", "instruct", NULL};
static const char *const reader_names[] = {"wordnet", NULL};

struct mix_keys {
    struct mix mix;
    const struct yaml_node *parts;
};

static const struct field mix_fields[] = {
    {.key = "mix",
     .kind = FIELD_NAME,
     .offset = offsetof(struct mix_keys, mix.name),
     .required = true},
    {.key = "purpose",
     .kind = FIELD_CHOICE,
     .offset = offsetof(struct mix_keys, mix.purpose),
     .choices = purpose_names,
     .required = true},
    {.key = "seed",
     .kind = FIELD_INTEGER,
     .offset = offsetof(struct mix_keys, mix.seed),
     .max = 4e15,
     .required = true},
    {.key = "notes", .kind = FIELD_TEXT, .offset = offsetof(struct mix_keys, mix.notes)},
    {.key = "parts",
     .kind = FIELD_NODE,
     .offset = offsetof(struct mix_keys, parts),
     .required = true},
};
static const struct field_table mix_table = {mix_fields, ARRAY_COUNT(mix_fields)};

struct part_keys {
    struct mix_part part;
    const struct yaml_node *corpus;
};

static const struct field part_fields[] = {
    {.key = "share",
     .kind = FIELD_REAL,
     .offset = offsetof(struct part_keys, part.share),
     .min = 1e-6,
     .max = 1,
     .required = true},
    {.key = "licence",
     .kind = FIELD_TEXT,
     .offset = offsetof(struct part_keys, part.licence),
     .required = true},
    {.key = "tasks", .kind = FIELD_TEXTS, .offset = offsetof(struct part_keys, part.tasks)},
    {.key = "corpus", .kind = FIELD_NODE, .offset = offsetof(struct part_keys, corpus)},
    {.key = "layouts", .kind = FIELD_TEXTS, .offset = offsetof(struct part_keys, part.layouts)},
    {.key = "keep_description",
     .kind = FIELD_REAL,
     .offset = offsetof(struct part_keys, part.keep_description),
     .min = 0,
     .max = 1},
    {.key = "examples",
     .kind = FIELD_INTEGER,
     .offset = offsetof(struct part_keys, part.examples),
     .min = 2,
     .max = 10000},
    {.key = "document_bytes",
     .kind = FIELD_INTEGER,
     .offset = offsetof(struct part_keys, part.document_bytes),
     .min = 1,
     .max = 1e6},
};
static const struct field_table part_table = {part_fields, ARRAY_COUNT(part_fields)};

static const struct field corpus_fields[] = {
    {.key = "name",
     .kind = FIELD_NAME,
     .offset = offsetof(struct mix_corpus, name),
     .required = true},
    {.key = "source",
     .kind = FIELD_NAME,
     .offset = offsetof(struct mix_corpus, source),
     .required = true},
    {.key = "reader",
     .kind = FIELD_CHOICE,
     .offset = offsetof(struct mix_corpus, reader),
     .choices = reader_names,
     .required = true},
    {.key = "files",
     .kind = FIELD_TEXTS,
     .offset = offsetof(struct mix_corpus, files),
     .required = true},
    {.key = "package",
     .kind = FIELD_NAME,
     .offset = offsetof(struct mix_corpus, package),
     .required = true},
};
static const struct field_table corpus_table = {corpus_fields, ARRAY_COUNT(corpus_fields)};

static enum err_code check_layouts(struct yaml_doc *doc, const struct mix_part *part,
                                   struct err *err)
{
    for (size_t i = 0; i < part->layouts.count; i++) {
        size_t known = 0;
        while (layout_names()[known] && strcmp(layout_names()[known], part->layouts.items[i]) != 0)
            known++;
        char hint[300];
        if (!layout_names()[known])
            return yaml_fail(
                doc, part->layouts.nodes[i], err, "no layout is called '%.64s'%s",
                part->layouts.items[i],
                fields_suggest(part->layouts.items[i], layout_names(), known, hint, sizeof hint));
    }
    return ERR_OK;
}

static enum err_code read_part(struct yaml_doc *doc, const struct yaml_node *node,
                               enum mix_purpose purpose, struct mix_part *out, struct err *err)
{
    struct part_keys keys = {.part = {.keep_description = 1.0, .document_bytes = 1000}};
    enum err_code code = fields_read(doc, node, "a part of the mix", &part_table, &keys, err);
    if (code)
        return code;
    bool has_tasks = keys.part.tasks.count > 0;
    if (has_tasks == (keys.corpus != NULL))
        return yaml_fail(doc, node, err, "a part of a mix has either 'tasks' or a 'corpus'");
    if (keys.corpus && purpose != MIX_PRETRAIN)
        return yaml_fail(doc, keys.corpus, err, "only a mix for pretraining can hold a corpus");
    if (purpose == MIX_INSTRUCT && keys.part.keep_description < 1.0)
        return yaml_fail(
            doc, yaml_get(node, "keep_description"), err,
            "an instruction is its description: 'keep_description' is for pretraining");
    if (has_tasks && purpose == MIX_PRETRAIN && keys.part.layouts.count == 0)
        return yaml_fail(doc, node, err, "tasks in a mix for pretraining need 'layouts'");
    if (keys.corpus)
        code = fields_read(doc, keys.corpus, "'corpus'", &corpus_table, &keys.part.corpus, err);
    if (!code)
        code = check_layouts(doc, &keys.part, err);
    *out = keys.part;
    out->node = node;
    return code;
}

static enum err_code read_mix(struct yaml_doc *doc, struct mix *mix, struct err *err)
{
    struct mix_keys keys = {.mix.notes = ""};
    enum err_code code = fields_read(doc, doc->root, "the mix", &mix_table, &keys, err);
    if (code)
        return code;
    *mix = keys.mix;
    if (keys.parts->kind != YAML_SEQUENCE || keys.parts->count == 0)
        return yaml_fail(doc, keys.parts, err, "'parts' must be a list");
    mix->parts = arena_array(&doc->arena, keys.parts->count, sizeof *mix->parts);
    double sum = 0.0;
    for (size_t i = 0; i < keys.parts->count; i++) {
        code = read_part(doc, keys.parts->items[i], (enum mix_purpose)mix->purpose,
                         &mix->parts[mix->part_count], err);
        if (code)
            return code;
        sum += mix->parts[mix->part_count++].share;
    }
    if (fabs(sum - 1.0) > 1e-6)
        return yaml_fail(doc, keys.parts, err, "the shares add up to %.6g, not 1", sum);
    return ERR_OK;
}

enum err_code mix_parse(const char *bytes, size_t len, const char *path, struct mix *out,
                        struct err *err)
{
    struct yaml_doc doc;
    struct mix mix = {0};
    enum err_code code = yaml_parse(bytes, len, path, &doc, err);
    if (code)
        return code;
    code = read_mix(&doc, &mix, err);
    if (code) {
        yaml_release(&doc);
        return code;
    }
    mix.doc = doc;
    *out = mix;
    return ERR_OK;
}

enum err_code mix_load(const struct reader *reader, const char *root, const char *name,
                       struct mix *out, struct err *err)
{
    struct arena scratch = {0};
    char *bytes = NULL;
    size_t len = 0;
    const char *path = arena_printf(&scratch, "%s/mixes/%s.yaml", root, name);
    enum err_code code = reader->read(reader->ctx, path, YAML_BYTES_MAX, &bytes, &len, err);
    if (code == ERR_NOT_FOUND)
        code = err_set(err, ERR_NOT_FOUND, "no mix is called '%s' (there is no '%s')", name, path);
    if (!code)
        code = mix_parse(bytes, len, path, out, err);
    if (!code && strcmp(out->name, name) != 0) {
        code = yaml_fail(&out->doc, yaml_get(out->doc.root, "mix"), err,
                         "mix '%s' belongs into a file '%s.yaml'", out->name, out->name);
        mix_release(out);
    }
    free(bytes);
    arena_release(&scratch);
    return code;
}

void mix_release(struct mix *mix)
{
    yaml_release(&mix->doc);
    *mix = (struct mix){0};
}
