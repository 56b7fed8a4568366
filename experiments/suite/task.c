#include "task.h"

#include <string.h>

#include "check.h"

static const char *const split_names[] = {"train", "test", NULL};
static const char *const type_names[] = {"multiple_choice", "free_text", "numeric", NULL};
static const char *const length_names[] = {"fixed", "gp", NULL};
static const char *const shape_names[] = {"wide", "long", NULL};

/* The task's mapping: members of struct task, and two that are looked at afterwards. */
struct task_keys {
    struct task task;
    const struct yaml_node *generator, *table;
};

#define AT(member) offsetof(struct task_keys, task.member)
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
    {.key = "descriptions", .kind = FIELD_TEXTS, .offset = AT(descriptions), .required = true},
    {.key = "source", .kind = FIELD_NAME, .offset = AT(source), .required = true},
    {.key = "origin", .kind = FIELD_TEXT, .offset = AT(origin), .required = true},
    {.key = "licence", .kind = FIELD_TEXT, .offset = AT(licence), .required = true},
    {.key = "examples",
     .kind = FIELD_INTEGER,
     .offset = AT(examples),
     .min = 1,
     .max = 10000,
     .required = true},
    {.key = "length", .kind = FIELD_CHOICE, .offset = AT(length), .choices = length_names},
    {.key = "sequences",
     .kind = FIELD_INTEGER,
     .offset = AT(sequences),
     .min = 1,
     .max = 1e6,
     .required = true},
    {.key = "generator", .kind = FIELD_NODE, .offset = offsetof(struct task_keys, generator)},
    {.key = "table", .kind = FIELD_NODE, .offset = offsetof(struct task_keys, table)},
};
static const struct field_table task_table = {task_fields, ARRAY_COUNT(task_fields)};

struct table_keys {
    struct task_table table;
    const struct yaml_node *items, *answers;
};

#define TABLE_AT(member) offsetof(struct table_keys, table.member)
static const struct field table_fields[] = {
    {.key = "file", .kind = FIELD_NAME, .offset = TABLE_AT(file), .required = true},
    {.key = "digest", .kind = FIELD_TEXT, .offset = TABLE_AT(digest), .required = true},
    {.key = "shape",
     .kind = FIELD_CHOICE,
     .offset = TABLE_AT(shape),
     .choices = shape_names,
     .required = true},
    {.key = "person", .kind = FIELD_TEXT, .offset = TABLE_AT(person)},
    {.key = "item", .kind = FIELD_TEXT, .offset = TABLE_AT(item)},
    {.key = "answer", .kind = FIELD_TEXT, .offset = TABLE_AT(answer)},
    {.key = "items",
     .kind = FIELD_NODE,
     .offset = offsetof(struct table_keys, items),
     .required = true},
    {.key = "answers", .kind = FIELD_NODE, .offset = offsetof(struct table_keys, answers)},
};
static const struct field_table table_table = {table_fields, ARRAY_COUNT(table_fields)};

/* A mapping code: wording. */
static enum err_code read_items(struct yaml_doc *doc, const struct yaml_node *node,
                                const char *what, struct task_item **out, size_t *count_out,
                                struct err *err)
{
    if (node->kind != YAML_MAPPING || node->count == 0)
        return yaml_fail(doc, node, err, "'%s' must be a mapping from codes to wordings", what);
    struct task_item *items = arena_array(&doc->arena, node->count, sizeof *items);
    for (size_t i = 0; i < node->count; i++) {
        if (node->items[i]->kind != YAML_SCALAR || node->items[i]->text[0] == '\0')
            return yaml_fail(doc, node->items[i], err, "the wording of '%.64s' must be a text",
                             node->keys[i]->text);
        items[i] = (struct task_item){node->keys[i]->text, node->items[i]->text};
    }
    *out = items;
    *count_out = node->count;
    return ERR_OK;
}

static enum err_code read_table(struct yaml_doc *doc, const struct yaml_node *node,
                                struct task *task, struct err *err)
{
    struct table_keys keys = {0};
    enum err_code code = fields_read(doc, node, "'table'", &table_table, &keys, err);
    if (code)
        return code;
    struct digest ignored;
    if (!digest_from_hex(keys.table.digest, &ignored))
        return yaml_fail(doc, yaml_get(node, "digest"), err,
                         "'digest' must be 64 hexadecimal digits");
    bool columns = keys.table.person && keys.table.item && keys.table.answer;
    if (keys.table.shape == TABLE_LONG && !columns)
        return yaml_fail(doc, node, err, "a long table needs 'person', 'item' and 'answer'");
    task->table = keys.table;
    code = read_items(doc, keys.items, "items", &task->table.items, &task->table.item_count, err);
    if (!code && keys.answers)
        code = read_items(doc, keys.answers, "answers", &task->table.answers,
                          &task->table.answer_count, err);
    return code;
}

static size_t name_count(const char *const *names)
{
    size_t count = 0;
    while (names[count])
        count++;
    return count;
}

static enum err_code read_generator(struct yaml_doc *doc, const struct yaml_node *node,
                                    struct task *task, struct err *err)
{
    task->generator = node->kind == YAML_SCALAR ? generator_find(node->text) : NULL;
    if (task->generator)
        return ERR_OK;
    char hint[300];
    const char *const *names = generator_names();
    fields_suggest(node->text, names, name_count(names), hint, sizeof hint);
    return yaml_fail(doc, node, err, "no generator is called '%.64s'%s", node->text, hint);
}

/* Every {field} of a description must be one that the generator gives. */
static enum err_code check_description(struct yaml_doc *doc, const struct task *task, size_t index,
                                       struct err *err)
{
    const struct yaml_node *at = task->descriptions.nodes[index];
    static const char *const none[] = {NULL};
    const char *const *known = task->generator ? task->generator->fields : none;
    for (const char *open = strchr(at->text, '{'); open; open = strchr(open + 1, '{')) {
        const char *close = strchr(open, '}');
        char word[64] = "";
        size_t len = close ? (size_t)(close - open - 1) : 0;
        if (!close || len >= sizeof word)
            return yaml_fail(doc, at, err, "a '{' in a description is never closed");
        memcpy(word, open + 1, len);
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

static enum err_code read_task(struct yaml_doc *doc, struct task *task, struct err *err)
{
    struct task_keys keys = {0};
    enum err_code code = fields_read(doc, doc->root, "the task", &task_table, &keys, err);
    if (code)
        return code;
    if (!keys.generator == !keys.table)
        return yaml_fail(doc, doc->root, err, "a task has either a 'generator' or a 'table'");
    *task = keys.task;
    if (keys.generator)
        code = read_generator(doc, keys.generator, task, err);
    else
        code = read_table(doc, keys.table, task, err);
    for (size_t i = 0; !code && i < task->descriptions.count; i++)
        code = check_description(doc, task, i, err);
    return code;
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
