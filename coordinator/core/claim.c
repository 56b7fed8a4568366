#include "claim.h"

#include <string.h>

#include "check.h"
#include "core_memory.h"
#include "core_plan.h"

bool claim_goes_first(const struct experiment *a, const struct experiment *b)
{
    if (a->priority != b->priority) {
        return a->priority > b->priority;
    }
    if (a->threads_busy != b->threads_busy) {
        return a->threads_busy < b->threads_busy;
    }
    return a->served != b->served ? a->served < b->served : a->number < b->number;
}

/* Insert by name; an experiment that is there stays alone. Returns the new count. */
static size_t insert(struct experiment **list, size_t count, struct experiment *experiment)
{
    size_t at = 0;
    while (at < count && strcmp(list[at]->name, experiment->name) < 0) {
        at++;
    }
    if (at < count && list[at] == experiment) {
        return count;
    }
    memmove(&list[at + 1], &list[at], (count - at) * sizeof(struct experiment *));
    list[at] = experiment;
    return count + 1;
}

/* The set of those, which becomes the claim's if there is none like it. */
static const struct claim *intern(struct core *core, struct experiment *queued_by,
                                  struct experiment **wanted_by, size_t count)
{
    for (size_t i = core->claim_count; i > 0; i--) {
        const struct claim *c = core->claims[i - 1];
        if (c->queued_by == queued_by && c->wanted_count == count &&
            memcmp(c->wanted_by, wanted_by, count * sizeof(struct experiment *)) == 0) {
            core_memory_free(wanted_by);
            return c;
        }
    }
    struct claim *c = core_memory_array(1, sizeof *c);
    *c = (struct claim){.queued_by = queued_by, .wanted_by = wanted_by, .wanted_count = count};
    core->claims = core_memory_grow(core->claims, core->claim_count + 1, sizeof(struct claim *));
    core->claims[core->claim_count++] = c;
    return c;
}

const struct claim *claim_alone(struct core *core, struct experiment *experiment)
{
    if (experiment->alone == NULL) {
        struct experiment **list = core_memory_array(1, sizeof *list);
        list[0] = experiment;
        experiment->alone = intern(core, experiment, list, 1);
    }
    return experiment->alone;
}

const struct claim *claim_of_row(struct core *core, const struct core_job_row *row,
                                 struct experiment *queued_by)
{
    if (row->wanted_by == NULL && strcmp(row->experiment, queued_by->name) == 0) {
        return claim_alone(core, queued_by);
    }
    struct experiment **list = core_memory_array(row->wanted_count + 1, sizeof *list);
    size_t count = 0;
    for (size_t i = 0; i < row->wanted_count; i++) {
        count = insert(list, count, plan_experiment(core, row->wanted_by[i]));
    }
    if (row->wanted_by == NULL) {
        count = insert(list, count, plan_experiment(core, row->experiment));
    }
    if (count == 0) {
        count = insert(list, count, queued_by);
    }
    return intern(core, queued_by, list, count);
}

const struct claim *claim_with(struct core *core, const struct claim *claim,
                               struct experiment *experiment)
{
    struct experiment **list = core_memory_array(claim->wanted_count + 1, sizeof *list);
    memcpy(list, claim->wanted_by, claim->wanted_count * sizeof(struct experiment *));
    const size_t count = insert(list, claim->wanted_count, experiment);
    return intern(core, claim->queued_by, list, count);
}

/* In place: the jobs of the claim, in the ready set or not, stay where they are. Two claims may
 * become alike by it, which costs a shape and changes nothing. */
void claim_forget(struct core *core, const struct experiment *experiment)
{
    for (size_t i = 0; i < core->claim_count; i++) {
        struct claim *c = core->claims[i];
        size_t at = 0;
        while (at < c->wanted_count && c->wanted_by[at] != experiment) {
            at++;
        }
        if (at == c->wanted_count || c->wanted_count == 1) {
            continue; /* what it alone wanted is cancelled */
        }
        c->wanted_count--;
        memmove(&c->wanted_by[at], &c->wanted_by[at + 1],
                (c->wanted_count - at) * sizeof(struct experiment *));
    }
    core->dispatch_wanted = true;
}

struct experiment *claim_payer(const struct core *core, const struct claim *claim)
{
    struct experiment *first = NULL;
    for (size_t i = 0; i < claim->wanted_count; i++) {
        struct experiment *e = claim->wanted_by[i];
        const bool may_go = !e->paused || core->fault == CORE_FAULT_IGNORE_PAUSE;
        if (may_go && (first == NULL || claim_goes_first(e, first))) {
            first = e;
        }
    }
    return first;
}
