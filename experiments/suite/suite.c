#include "suite.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

/* "NAME.yaml" without its ending, or NULL for other files. */
static const char *stem(struct arena *arena, const char *file)
{
    size_t len = strlen(file);
    bool yaml = len > 5 && strcmp(file + len - 5, ".yaml") == 0;
    return yaml ? arena_strndup(arena, file, len - 5) : NULL;
}

/* How one kind of file is read: into `item`, saying its name. */
struct kind {
    const char *folder, *what;
    size_t size;
    enum err_code (*parse)(const char *bytes, size_t len, const char *path, void *item,
                           const char **name_out, const struct yaml_doc **doc_out, struct err *err);
};

static enum err_code parse_task(const char *bytes, size_t len, const char *path, void *item,
                                const char **name_out, const struct yaml_doc **doc_out,
                                struct err *err)
{
    struct task *task = item;
    enum err_code code = task_parse(bytes, len, path, task, err);
    *name_out = task->name;
    *doc_out = &task->doc;
    return code;
}

static enum err_code parse_source(const char *bytes, size_t len, const char *path, void *item,
                                  const char **name_out, const struct yaml_doc **doc_out,
                                  struct err *err)
{
    struct source *source = item;
    enum err_code code = source_parse(bytes, len, path, source, err);
    *name_out = source->name;
    *doc_out = &source->doc;
    return code;
}

static enum err_code parse_set(const char *bytes, size_t len, const char *path, void *item,
                               const char **name_out, const struct yaml_doc **doc_out,
                               struct err *err)
{
    struct task_set *set = item;
    enum err_code code = set_parse(bytes, len, path, set, err);
    *name_out = set->name;
    *doc_out = &set->doc;
    return code;
}

static const struct kind task_kind = {"tasks", "task", sizeof(struct task), parse_task};
static const struct kind source_kind = {"sources", "source", sizeof(struct source), parse_source};
static const struct kind set_kind = {"sets", "set", sizeof(struct task_set), parse_set};

static enum err_code load_file(struct suite *suite, const struct kind *kind, const char *folder,
                               const char *file, void *items, size_t *count, struct err *err)
{
    char *bytes = NULL;
    size_t len = 0;
    const char *path = arena_printf(&suite->arena, "%s/%s", folder, file);
    const char *wanted = stem(&suite->arena, file), *name = NULL;
    const struct yaml_doc *doc = NULL;
    if (!wanted)
        return ERR_OK;
    enum err_code code =
        suite->reader.read(suite->reader.ctx, path, YAML_BYTES_MAX, &bytes, &len, err);
    if (!code)
        code = kind->parse(bytes, len, path, (char *)items + *count * kind->size, &name, &doc, err);
    free(bytes);
    if (code)
        return code;
    ++*count;
    if (strcmp(name, wanted) != 0)
        return yaml_fail(doc, yaml_get(doc->root, kind->what), err,
                         "%s '%s' belongs into a file '%s.yaml'", kind->what, name, name);
    return ERR_OK;
}

/* Every file of a folder; a folder that is not there holds none. */
static enum err_code load_kind(struct suite *suite, const struct kind *kind, const char *root,
                               void *items_out, size_t *count_out, struct err *err)
{
    const char **files = NULL;
    size_t count = 0;
    const char *folder = arena_printf(&suite->arena, "%s/suite/%s", root, kind->folder);
    enum err_code code =
        suite->reader.list(suite->reader.ctx, folder, &suite->arena, &files, &count, err);
    if (code == ERR_NOT_FOUND && kind != &task_kind)
        return ERR_OK;
    void *items = arena_array(&suite->arena, count + 1, kind->size);
    memcpy(items_out, &items, sizeof items);
    for (size_t i = 0; !code && i < count; i++)
        code = load_file(suite, kind, folder, files[i], items, count_out, err);
    if (!code && kind == &task_kind && *count_out == 0)
        code = err_set(err, ERR_NOT_FOUND, "no task files in '%s'", folder);
    return code;
}

/* A set names tasks that exist; a task without a source file says itself where it comes from. */
static enum err_code check_references(const struct suite *suite, struct err *err)
{
    for (size_t s = 0; s < suite->set_count; s++) {
        const struct task_set *set = &suite->sets[s];
        for (size_t i = 0; i < set->tasks.count; i++) {
            if (!suite_find(suite, set->tasks.items[i]))
                return yaml_fail(&set->doc, set->tasks.nodes[i], err, "no task is called '%.64s'",
                                 set->tasks.items[i]);
        }
    }
    for (size_t t = 0; t < suite->task_count; t++) {
        const struct task *task = &suite->tasks[t];
        if (!task->licence && !suite_find_source(suite, task->source))
            return yaml_fail(&task->doc, yaml_get(task->doc.root, "source"), err,
                             "there is no file suite/sources/%s.yaml; write one, or give the task "
                             "'origin' and 'licence'",
                             task->source);
    }
    return ERR_OK;
}

enum err_code suite_load(const struct reader *reader, const char *root, struct suite *out,
                         struct err *err)
{
    struct suite suite = {.reader = *reader};
    suite.embedded_folder = arena_printf(&suite.arena, "%s/data", root);
    enum err_code code = load_kind(&suite, &task_kind, root, &suite.tasks, &suite.task_count, err);
    if (!code)
        code = load_kind(&suite, &source_kind, root, &suite.sources, &suite.source_count, err);
    if (!code)
        code = load_kind(&suite, &set_kind, root, &suite.sets, &suite.set_count, err);
    if (!code)
        code = check_references(&suite, err);
    if (code) {
        suite_release(&suite);
        return code;
    }
    *out = suite;
    return ERR_OK;
}

void suite_release(struct suite *suite)
{
    for (size_t i = 0; i < suite->task_count; i++)
        task_release(&suite->tasks[i]);
    for (size_t i = 0; i < suite->source_count; i++)
        source_release(&suite->sources[i]);
    for (size_t i = 0; i < suite->set_count; i++)
        set_release(&suite->sets[i]);
    arena_release(&suite->arena);
    *suite = (struct suite){0};
}

void suite_set_data(struct suite *suite, const char *folder)
{
    suite->data_folder = folder;
}

struct task *suite_find(const struct suite *suite, const char *name)
{
    for (size_t i = 0; i < suite->task_count; i++) {
        if (strcmp(suite->tasks[i].name, name) == 0)
            return &suite->tasks[i];
    }
    return NULL;
}

const struct source *suite_find_source(const struct suite *suite, const char *name)
{
    for (size_t i = 0; i < suite->source_count; i++) {
        if (strcmp(suite->sources[i].name, name) == 0)
            return &suite->sources[i];
    }
    return NULL;
}

const struct task_set *suite_find_set(const struct suite *suite, const char *name)
{
    for (size_t i = 0; i < suite->set_count; i++) {
        if (strcmp(suite->sets[i].name, name) == 0)
            return &suite->sets[i];
    }
    return NULL;
}

const char *suite_source_folder(const struct suite *suite, const char *name, struct arena *arena)
{
    const struct source *source = suite_find_source(suite, name);
    if (source && source->access == SOURCE_EMBEDDED)
        return suite->embedded_folder;
    return suite->data_folder ? arena_printf(arena, "%s/%s", suite->data_folder, name) : NULL;
}

const char *suite_licence(const struct suite *suite, const struct task *task)
{
    const struct source *source = suite_find_source(suite, task->source);
    return task->licence ? task->licence : source->licence;
}

/* Where to turn to. */
static enum err_code say_how(const struct suite *suite, const struct task *task, struct err *err)
{
    const struct source *source = suite_find_source(suite, task->source);
    if (source && source->access == SOURCE_OPEN && source->file_count > 0 && source->files[0].url)
        return err_set(err, ERR_NOT_FOUND,
                       "task '%s' needs the data of '%s' (%.120s); get it with: triad suite fetch "
                       "%s",
                       task->name, task->source, source->licence, task->source);
    if (source)
        return err_set(
            err, ERR_NOT_FOUND,
            "task '%s' needs the data of '%s' from %.120s (%.60s); 'triad suite show %s' "
            "says how to get it",
            task->name, task->source, source->address, source->licence, task->name);
    return ERR_NOT_FOUND;
}

bool suite_has_data(const struct suite *suite, const struct task *task, struct err *err)
{
    struct arena arena = {0};
    const char *folder = suite_source_folder(suite, task->source, &arena);
    enum err_code code = ERR_OK;
    size_t optional = 0, found = 0;
    for (size_t i = 0; !code && i < task->table_count; i++) {
        const struct task_table *table = &task->tables[i];
        struct table_file *files;
        size_t count;
        if (table->values)
            continue;
        code = task_find_files(task, table, &suite->reader, folder, &arena, &files, &count, err);
        optional += table->optional;
        found += code == ERR_OK;
        if (code && table->optional)
            code = ERR_OK;
    }
    arena_release(&arena);
    /* Of tables that are all optional one must be there; `err` is then the last one's. */
    return code == ERR_OK && (optional == 0 || found > 0);
}

enum err_code suite_ready(struct suite *suite, struct task *task, struct err *err)
{
    struct arena arena = {0};
    if (task->loaded)
        return ERR_OK;
    if (!suite_has_data(suite, task, err))
        return say_how(suite, task, err);
    enum err_code code =
        task_load(task, &suite->reader, suite_source_folder(suite, task->source, &arena),
                  suite_find_source(suite, task->source), err);
    arena_release(&arena);
    return code;
}

bool suite_pattern_matches(const struct suite *suite, const char *pattern, const struct task *task)
{
    if (strncmp(pattern, "set:", 4) != 0)
        return str_glob(pattern, task->name);
    const struct task_set *set = suite_find_set(suite, pattern + 4);
    return set && set_has(set, task->name);
}

const char **suite_names(const struct suite *suite, struct arena *arena)
{
    const char **names = arena_array(arena, suite->task_count + 1, sizeof *names);
    for (size_t i = 0; i < suite->task_count; i++)
        names[i] = suite->tasks[i].name;
    return names;
}
