#include "task.h"

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "quantity.h"

static const char *const split_names[] = {"train", "test", NULL};
static const char *const type_names[] = {"multiple_choice", "free_text", "numeric", NULL};

/* Keys of a part before they are understood. */
struct part_keys {
    struct task_part part;
    const struct yaml_node *examples, *per_group, *fragments;
    struct field_texts input, output;
};

/* The task's mapping: members of struct task, its own part, and some that are looked at afterwards.
 */
struct task_keys {
    struct task task;
    struct part_keys part;
    const struct yaml_node *generator, *tables, *parts;
};

/* The keys of a part, at `AT` in the record that is read. */
#define PART_FIELDS(AT)                                                                            \
    {.key = "rows", .kind = FIELD_TEXT, .offset = AT(part.rows)},                                  \
        {.key = "group", .kind = FIELD_TEXT, .offset = AT(part.group)},                            \
        {.key = "input", .kind = FIELD_TEXTS, .offset = AT(input)},                                \
        {.key = "output", .kind = FIELD_TEXTS, .offset = AT(output)},                              \
        {.key = "descriptions", .kind = FIELD_TEXTS, .offset = AT(part.descriptions)},             \
        {.key = "fragments", .kind = FIELD_NODE, .offset = AT(fragments)},                         \
        {.key = "candidates", .kind = FIELD_TEXTS, .offset = AT(part.candidates)},                 \
        {.key = "candidates_from", .kind = FIELD_TEXT, .offset = AT(part.candidates_from)},        \
        {.key = "target_from", .kind = FIELD_TEXT, .offset = AT(part.target_from)},                \
        {.key = "per_group", .kind = FIELD_NODE, .offset = AT(per_group)},                         \
        {.key = "examples", .kind = FIELD_NODE, .offset = AT(examples)},                           \
        {.key = "examples_min",                                                                    \
         .kind = FIELD_INTEGER,                                                                    \
         .offset = AT(part.examples_min),                                                          \
         .min = 1,                                                                                 \
         .max = 10000},                                                                            \
        {.key = "groups", .kind = FIELD_INTEGER, .offset = AT(part.groups), .min = 1, .max = 1e9}, \
        {.key = "sequences",                                                                       \
         .kind = FIELD_INTEGER,                                                                    \
         .offset = AT(part.sequences),                                                             \
         .min = 1,                                                                                 \
         .max = 1e9},                                                                              \
    {                                                                                              \
        .key = "permutations", .kind = FIELD_INTEGER, .offset = AT(part.permutations), .min = 1,   \
        .max = 1000                                                                                \
    }

#define PART_AT(member) offsetof(struct part_keys, member)
static const struct field part_fields[] = {PART_FIELDS(PART_AT)};
static const struct field_table part_table = {part_fields, ARRAY_COUNT(part_fields)};

#define AT(member)     offsetof(struct task_keys, task.member)
#define OWN_AT(member) offsetof(struct task_keys, part.member)
static const struct field task_fields[] = {
    {.key = "task", .kind = FIELD_NAME, .offset = AT(name), .required = true},
    {.key = "split",
     .kind = FIELD_CHOICE,
     .offset = AT(split),
     .choices = split_names,
     .required = true},
    {.key = "type",
     .kind = FIELD_CHOICE,
     .offset = AT(type),
     .choices = type_names,
     .required = true},
    {.key = "suites", .kind = FIELD_TEXTS, .offset = AT(suites)},
    {.key = "source", .kind = FIELD_NAME, .offset = AT(source), .required = true},
    {.key = "origin", .kind = FIELD_TEXT, .offset = AT(origin)},
    {.key = "licence", .kind = FIELD_TEXT, .offset = AT(licence)},
    {.key = "notes", .kind = FIELD_TEXT, .offset = AT(notes)},
    {.key = "answer_label", .kind = FIELD_TEXT, .offset = AT(answer_label)},
    {.key = "seed", .kind = FIELD_INTEGER, .offset = AT(seed), .max = 4e15},
    {.key = "generator", .kind = FIELD_NODE, .offset = offsetof(struct task_keys, generator)},
    {.key = "tables", .kind = FIELD_NODE, .offset = offsetof(struct task_keys, tables)},
    {.key = "query_steps",
     .kind = FIELD_INTEGER,
     .offset = AT(limits.steps),
     .min = 1e6,
     .max = 1e15},
    {.key = "query_space",
     .kind = FIELD_BYTES,
     .offset = AT(limits.bytes),
     .min = 1 << 20,
     .max = 1e15},
    {.key = "parts", .kind = FIELD_NODE, .offset = offsetof(struct task_keys, parts)},
    {.key = "alignment", .kind = FIELD_NODE, .offset = AT(alignment)},
    {.key = "coverage", .kind = FIELD_NODE, .offset = AT(coverage)},
    PART_FIELDS(OWN_AT),
};
static const struct field_table task_table = {task_fields, ARRAY_COUNT(task_fields)};

static enum err_code read_generator(struct yaml_doc *doc, const struct yaml_node *node,
                                    struct task *task, struct err *err)
{
    task->generator = node->kind == YAML_SCALAR ? generator_find(node->text) : NULL;
    if (task->generator)
        return ERR_OK;
    char hint[300];
    size_t count;
    const char **names = generator_names(&doc->arena, &count);
    fields_suggest(node->text, names, count, hint, sizeof hint);
    return yaml_fail(doc, node, err, "no generator is called '%.64s'%s", node->text, hint);
}

/* "all", a number, or gp(a number). */
static enum err_code read_examples(struct yaml_doc *doc, const struct yaml_node *node,
                                   struct task_part *part, struct err *err)
{
    enum { EXAMPLES_MAX = 10000 };
    char number[32] = "";
    const char *text = node->kind == YAML_SCALAR ? node->text : "";
    size_t len = strlen(text);
    bool gp = strncmp(text, "gp(", 3) == 0 && text[len - 1] == ')';
    part->length = strcmp(text, "all") == 0 ? LENGTH_ALL : gp ? LENGTH_GP : LENGTH_FIXED;
    if (part->length == LENGTH_ALL)
        return ERR_OK;
    size_t start = gp ? 3 : 0, end = gp ? len - 1 : len;
    if (end - start < sizeof number)
        memcpy(number, text + start, end - start);
    if (!quantity_count(number, &part->examples) || part->examples < (gp ? 2 : 1) ||
        part->examples > EXAMPLES_MAX)
        return yaml_fail(doc, node, err,
                         "'examples' must be all, a number from 1 to %d, or gp(a number from 2)",
                         EXAMPLES_MAX);
    return ERR_OK;
}

static enum err_code read_per_group(struct yaml_doc *doc, const struct yaml_node *node,
                                    struct task_part *part, struct err *err)
{
    if (node->kind == YAML_SCALAR && strcmp(node->text, "chunks") == 0)
        part->per_group = 0;
    else if (node->kind != YAML_SCALAR || !quantity_count(node->text, &part->per_group) ||
             part->per_group < 1 || part->per_group > 100000)
        return yaml_fail(doc, node, err,
                         "'per_group' must be chunks or a number of sequences from 1 to 100000");
    return ERR_OK;
}

static enum err_code read_fragments(struct yaml_doc *doc, const struct yaml_node *node,
                                    struct task_part *part, struct err *err)
{
    if (node->kind != YAML_MAPPING)
        return yaml_fail(doc, node, err, "'fragments' must map fields to probabilities");
    part->fragments = arena_array(&doc->arena, node->count + 1, sizeof *part->fragments);
    for (size_t i = 0; i < node->count; i++) {
        double keep = -1.0;
        if (!str_to_double(node->items[i]->text, &keep) || !(keep >= 0.0 && keep <= 1.0))
            return yaml_fail(doc, node->items[i], err, "a probability from 0 to 1 is expected");
        part->fragments[part->fragment_count++] = (struct task_fragment){node->keys[i]->text, keep};
    }
    return ERR_OK;
}

/* "name" or "name?". */
static struct task_fields split_fields(struct yaml_doc *doc, const struct field_texts *texts)
{
    struct task_fields fields = {arena_array(&doc->arena, texts->count + 1, sizeof *fields.items),
                                 texts->count};
    for (size_t i = 0; i < texts->count; i++) {
        size_t len = strlen(texts->items[i]);
        bool optional = len > 1 && texts->items[i][len - 1] == '?';
        fields.items[i] = (struct task_field){
            arena_strndup(&doc->arena, texts->items[i], len - optional), optional};
    }
    return fields;
}

bool task_next_field(const char **at, struct str *name_out)
{
    for (const char *open = strchr(*at, '{'); open; open = strchr(open, '{')) {
        if (open[1] == '{') {
            open += 2;
            continue;
        }
        size_t len = strcspn(open + 1, "}");
        *name_out = (struct str){open + 1, len};
        *at = open + 1 + len + (open[1 + len] == '}');
        return true;
    }
    return false;
}

/* Every brace of a description closes, and every {field} of a generator's is one that it gives. */
static enum err_code check_description(struct yaml_doc *doc, const struct task *task,
                                       const struct yaml_node *at, struct err *err)
{
    const char *text = at->text;
    struct str name;
    while (task_next_field(&text, &name)) {
        char word[64] = "";
        if (text[-1] != '}' || name.len == 0 || name.len >= sizeof word)
            return yaml_fail(doc, at, err, "a '{' in a description is never closed");
        memcpy(word, name.data, name.len);
        if (!task->generator)
            continue; /* columns are known when the rows are */
        const char *const *known = task->generator->fields;
        size_t i = 0;
        while (known[i] && strcmp(known[i], word) != 0)
            i++;
        char hint[300] = "; this task gives none";
        if (!known[i] && i > 0)
            fields_suggest(word, known, i, hint, sizeof hint);
        if (!known[i])
            return yaml_fail(doc, at, err, "a description names the unknown field '{%s}'%s", word,
                             hint);
    }
    return ERR_OK;
}

/* What was read of a part, understood and checked. */
static enum err_code finish_part(struct yaml_doc *doc, struct task *task, struct part_keys *keys,
                                 const struct yaml_node *node, struct err *err)
{
    struct task_part *part = &keys->part;
    enum err_code code = ERR_OK;
    part->node = node;
    if (keys->examples)
        code = read_examples(doc, keys->examples, part, err);
    if (!code && keys->per_group)
        code = read_per_group(doc, keys->per_group, part, err);
    if (!code && keys->fragments)
        code = read_fragments(doc, keys->fragments, part, err);
    part->input = split_fields(doc, &keys->input);
    part->output = split_fields(doc, &keys->output);
    for (size_t i = 0; !code && i < part->descriptions.count; i++)
        code = check_description(doc, task, part->descriptions.nodes[i], err);
    if (code)
        return code;
    if (part->descriptions.count == 0)
        return yaml_fail(doc, node, err, "'descriptions' is missing in the task");
    if (!task->generator && part->output.count == 0)
        return yaml_fail(doc, node, err, "'output' is missing: the column to be predicted");
    if (!task->generator && !part->rows && task->table_count != 1)
        return yaml_fail(doc, node, err, "'rows' is missing: an SQL query over the tables");
    if (task->generator && part->length == LENGTH_ALL)
        return yaml_fail(doc, node, err, "'examples' is missing: a generator has no end");
    if (task->generator && !task->generator->columns[0] && part->sequences == 0)
        return yaml_fail(doc, node, err, "'sequences' is missing: a generator has no end");
    part->sequences = part->sequences ? part->sequences : INT32_MAX;
    return ERR_OK;
}

/* The list of parts; what one does not say is as the task says. */
static enum err_code read_parts(struct yaml_doc *doc, const struct task_keys *keys,
                                struct task *task, struct err *err)
{
    size_t count = keys->parts ? keys->parts->count : 1;
    if (keys->parts && (keys->parts->kind != YAML_SEQUENCE || count == 0 || task->generator))
        return yaml_fail(doc, keys->parts, err, "'parts' must be a list, and a generator has none");
    task->parts = arena_array(&doc->arena, count, sizeof *task->parts);
    for (size_t i = 0; i < count; i++) {
        struct part_keys part = keys->part;
        const struct yaml_node *node = keys->parts ? keys->parts->items[i] : doc->root;
        enum err_code code = ERR_OK;
        if (keys->parts)
            code = fields_read(doc, node, "a part", &part_table, &part, err);
        if (!code)
            code = finish_part(doc, task, &part, node, err);
        if (code)
            return code;
        task->parts[task->part_count++] = part.part;
    }
    return ERR_OK;
}

static enum err_code read_task(struct yaml_doc *doc, struct task *task, struct err *err)
{
    struct task_keys keys = {.task = {.seed = 42, .limits = {TABLE_STEPS_MAX, TABLE_BYTES_MAX}},
                             .part.part = {.per_group = 1, .permutations = 1, .examples_min = 2}};
    enum err_code code = fields_read(doc, doc->root, "the task", &task_table, &keys, err);
    if (code)
        return code;
    *task = keys.task;
    if (!keys.generator && !keys.tables)
        return yaml_fail(doc, doc->root, err, "a task has a 'generator' or 'tables'");
    if (keys.generator)
        code = read_generator(doc, keys.generator, task, err);
    if (!code && keys.tables)
        code = task_read_tables(doc, keys.tables, task, err);
    if (!code && task->generator && !task->generator->columns[0] != !keys.tables)
        code = yaml_fail(doc, doc->root, err, "generator '%s' %s", task->generator->name,
                         keys.tables ? "reads no tables" : "needs 'tables' to draw from");
    return code ? code : read_parts(doc, &keys, task, err);
}

enum err_code task_parse(const char *bytes, size_t len, const char *path, struct task *out,
                         struct err *err)
{
    struct yaml_doc doc;
    enum err_code code = yaml_parse(bytes, len, path, &doc, err);
    if (code)
        return code;
    struct task task = {0};
    code = read_task(&doc, &task, err);
    if (code) {
        yaml_release(&doc);
        return code;
    }
    task.doc = doc;
    *out = task;
    return ERR_OK;
}

void task_release(struct task *task)
{
    for (size_t i = 0; i < task->part_count; i++)
        row_set_release(&task->parts[i].set);
    table_db_close(task->db);
    arena_release(&task->data);
    yaml_release(&task->doc);
    *task = (struct task){0};
}

bool task_in_suite(const struct task *task, const char *suite)
{
    for (size_t i = 0; i < task->suites.count; i++) {
        if (strcmp(task->suites.items[i], suite) == 0)
            return true;
    }
    return false;
}
