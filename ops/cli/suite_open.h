/* The tasks of this installation, for the verbs of `triad suite`. */
#ifndef TRIAD_SUITE_OPEN_H
#define TRIAD_SUITE_OPEN_H

#include "cli.h"
#include "suite.h"

/* Load the suite with its data folder. Free with suite_release(). */
NODISCARD enum err_code suite_open(struct cli *cli, struct suite *out, struct err *err);
/* The tasks that the arguments name (globs or set:NAME; none: all), further narrowed by the options
 * --suite and --set where the verb has them. Sorted by name, in the command's arena. ERR_NOT_FOUND
 * when a pattern matches nothing. */
NODISCARD enum err_code suite_select(struct cli *cli, const struct suite *suite,
                                     struct task ***tasks_out, size_t *count_out, struct err *err);
/* The one task an argument names. */
NODISCARD enum err_code suite_one(struct cli *cli, const struct suite *suite, const char *name,
                                  struct task **out, struct err *err);

#endif
