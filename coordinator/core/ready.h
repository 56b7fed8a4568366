/* The startable jobs, in order of priority and then submission, apart by shape (who wants it,
 * threads, memory): a worker that cannot take one job of a shape cannot take any, so a decision
 * looks at a few jobs per shape however many wait. */
#ifndef TRIAD_READY_H
#define TRIAD_READY_H

#include "core_state.h"

void ready_insert(struct core *core, struct job *job);
void ready_remove(struct core *core, struct job *job);
/* The first of a shape, and the one after `job`; NULL at the end. */
struct job *ready_first(const struct shape *shape);
struct job *ready_next(const struct shape *shape, const struct job *job);
/* Does `a` come before `b`? A total order. */
bool ready_is_before(const struct job *a, const struct job *b);

#endif
