/* All tasks there are: one file each in suite/tasks/ below the folder of the experiments. */
#ifndef TRIAD_SUITE_H
#define TRIAD_SUITE_H

#include "task.h"

struct suite {
    struct arena arena;
    struct reader reader;
    const char *data_folder;
    struct task *tasks; /* sorted by name */
    size_t task_count;
};

/* Read every task file below `root`/suite/tasks. Tables are read when a task is first used. A file
 * whose name is not its task's name is an error. Free with suite_release(). */
NODISCARD enum err_code suite_load(const struct reader *reader, const char *root, struct suite *out,
                                   struct err *err);
void suite_release(struct suite *suite);

/* The task with this name, or NULL. */
struct task *suite_find(const struct suite *suite, const char *name);
/* Make the task usable: read its table, if it has one. */
NODISCARD enum err_code suite_ready(struct suite *suite, struct task *task, struct err *err);
/* The names of all tasks, for messages; task_count of them, in `arena`. */
const char **suite_names(const struct suite *suite, struct arena *arena);

#endif
