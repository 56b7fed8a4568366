#include "suite_open.h"

#include <string.h>

#include "planner.h"

enum err_code suite_open(struct cli *cli, struct suite *out, struct err *err)
{
    const char *root = NULL;
    struct reader reader = reader_disk();
    enum err_code rc = planner_root(cli, "./manifest", &root, err);
    if (rc == ERR_OK)
        rc = suite_load(&reader, root, out, err);
    if (rc == ERR_OK)
        suite_set_data(out, cli_data_dir(cli));
    return rc;
}

static enum err_code no_task(struct cli *cli, const struct suite *suite, const char *name,
                             struct err *err)
{
    char hint[300];
    const char **names = suite_names(suite, &cli->arena);
    const char *near = str_did_you_mean(name, names, suite->task_count);
    snprintf(hint, sizeof hint, near ? ", did you mean '%s'?" : "; see triad suite list%s",
             near ? near : "");
    return err_set(err, ERR_NOT_FOUND, "no task is called '%.64s'%s", name, hint);
}

enum err_code suite_one(struct cli *cli, const struct suite *suite, const char *name,
                        struct task **out, struct err *err)
{
    *out = suite_find(suite, name);
    return *out ? ERR_OK : no_task(cli, suite, name, err);
}

/* Does one of the arguments mean the task? None means all. */
static bool is_named(const struct cli *cli, const struct suite *suite, const struct task *task)
{
    for (int i = 0; i < cli->argument_count; i++) {
        if (suite_pattern_matches(suite, cli->arguments[i], task))
            return true;
    }
    return cli->argument_count == 0;
}

static enum err_code check_arguments(struct cli *cli, const struct suite *suite, struct err *err)
{
    for (int i = 0; i < cli->argument_count; i++) {
        bool any = false;
        for (size_t t = 0; t < suite->task_count; t++)
            any = any || suite_pattern_matches(suite, cli->arguments[i], &suite->tasks[t]);
        if (!any)
            return no_task(cli, suite, cli->arguments[i], err);
    }
    return ERR_OK;
}

enum err_code suite_select(struct cli *cli, const struct suite *suite, struct task ***tasks_out,
                           size_t *count_out, struct err *err)
{
    const char *membership = cli_value(cli, "suite"), *set_name = cli_value(cli, "set");
    const struct task_set *set = suite_find_set(suite, set_name);
    enum err_code rc = check_arguments(cli, suite, err);
    if (rc == ERR_OK && set_name[0] && !set)
        rc = err_set(err, ERR_NOT_FOUND, "no set is called '%.64s'", set_name);
    if (rc != ERR_OK)
        return rc;
    struct task **tasks = arena_array(&cli->arena, suite->task_count + 1, sizeof *tasks);
    size_t count = 0;
    for (size_t t = 0; t < suite->task_count; t++) {
        struct task *task = &suite->tasks[t];
        if (is_named(cli, suite, task) && (!membership[0] || task_in_suite(task, membership)) &&
            (!set || set_has(set, task->name)))
            tasks[count++] = task;
    }
    if (count == 0)
        return err_set(err, ERR_NOT_FOUND, "no task is left by these names and options");
    *tasks_out = tasks;
    *count_out = count;
    return ERR_OK;
}
