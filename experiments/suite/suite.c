#include "suite.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

static bool is_task_file(const char *name)
{
    size_t len = strlen(name);
    return len > 5 && strcmp(name + len - 5, ".yaml") == 0;
}

static enum err_code load_task(struct suite *suite, const char *folder, const char *file,
                               struct err *err)
{
    char *bytes = NULL;
    size_t len = 0;
    const char *path = arena_printf(&suite->arena, "%s/%s", folder, file);
    struct task *task = &suite->tasks[suite->task_count];
    enum err_code code =
        suite->reader.read(suite->reader.ctx, path, YAML_BYTES_MAX, &bytes, &len, err);
    if (!code)
        code = task_parse(bytes, len, path, task, err);
    free(bytes);
    if (code)
        return code;
    suite->task_count++;
    if (strlen(task->name) + 5 != strlen(file) ||
        strncmp(task->name, file, strlen(task->name)) != 0)
        return yaml_fail(&task->doc, yaml_get(task->doc.root, "task"), err,
                         "task '%s' belongs into a file '%s.yaml'", task->name, task->name);
    return ERR_OK;
}

enum err_code suite_load(const struct reader *reader, const char *root, struct suite *out,
                         struct err *err)
{
    struct suite suite = {.reader = *reader};
    const char **files = NULL;
    size_t count = 0;
    const char *folder = arena_printf(&suite.arena, "%s/suite/tasks", root);
    suite.data_folder = arena_printf(&suite.arena, "%s/data", root);
    enum err_code code = reader->list(reader->ctx, folder, &suite.arena, &files, &count, err);
    suite.tasks = arena_array(&suite.arena, count + 1, sizeof *suite.tasks);
    for (size_t i = 0; !code && i < count; i++) {
        if (is_task_file(files[i]))
            code = load_task(&suite, folder, files[i], err);
    }
    if (!code && suite.task_count == 0)
        code = err_set(err, ERR_NOT_FOUND, "no task files in '%s'", folder);
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
    arena_release(&suite->arena);
    *suite = (struct suite){0};
}

struct task *suite_find(const struct suite *suite, const char *name)
{
    for (size_t i = 0; i < suite->task_count; i++) {
        if (strcmp(suite->tasks[i].name, name) == 0)
            return &suite->tasks[i];
    }
    return NULL;
}

enum err_code suite_ready(struct suite *suite, struct task *task, struct err *err)
{
    return task_load_table(task, &suite->reader, suite->data_folder, err);
}

const char **suite_names(const struct suite *suite, struct arena *arena)
{
    const char **names = arena_array(arena, suite->task_count + 1, sizeof *names);
    for (size_t i = 0; i < suite->task_count; i++)
        names[i] = suite->tasks[i].name;
    return names;
}
