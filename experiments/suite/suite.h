/* All there is below the folder of the experiments: tasks in suite/tasks/, where their data come
 * from in suite/sources/, and lists of tasks in suite/sets/. */
#ifndef TRIAD_SUITE_H
#define TRIAD_SUITE_H

#include "task.h"

struct suite {
    struct arena arena;
    struct reader reader;
    const char *embedded_folder; /* data that comes with Triad */
    const char *data_folder;     /* a folder per source; NULL: there is none */
    struct task *tasks;          /* sorted by name */
    size_t task_count;
    struct source *sources; /* sorted by name */
    size_t source_count;
    struct task_set *sets; /* sorted by name */
    size_t set_count;
};

/* Read every task, source and set. Tables are read when a task is first used. A file whose name is
 * not that of what it describes is an error. Free with suite_release(). */
NODISCARD enum err_code suite_load(const struct reader *reader, const char *root, struct suite *out,
                                   struct err *err);
void suite_release(struct suite *suite);
/* Where the files of sources lie that do not come with Triad; NULL: nowhere. Borrowed. */
void suite_set_data(struct suite *suite, const char *folder);

/* The task with this name, or NULL. */
struct task *suite_find(const struct suite *suite, const char *name);
const struct source *suite_find_source(const struct suite *suite, const char *name);
const struct task_set *suite_find_set(const struct suite *suite, const char *name);
/* Make the task usable: read its tables, if it has any. ERR_NOT_FOUND says what is missing and how
 * to get it. */
NODISCARD enum err_code suite_ready(struct suite *suite, struct task *task, struct err *err);
/* Does the task have all its files (not looking into them)? When not, `err` says which is missing.
 */
bool suite_has_data(const struct suite *suite, const struct task *task, struct err *err);
/* The folder of a source's files, in `arena`; NULL when there is no data folder. */
const char *suite_source_folder(const struct suite *suite, const char *source, struct arena *arena);
/* Whose terms the data are under. */
const char *suite_licence(const struct suite *suite, const struct task *task);

/* Does a pattern of a manifest's `tasks` (a glob, or set:NAME) mean the task? */
bool suite_pattern_matches(const struct suite *suite, const char *pattern, const struct task *task);
/* The names of all tasks, for messages; task_count of them, in `arena`. */
const char **suite_names(const struct suite *suite, struct arena *arena);

#endif
