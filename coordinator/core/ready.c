/* Each shape keeps its jobs in a treap (Seidel and Aragon: "Randomized search trees", Algorithmica
 * 16, 1996): a search tree by ready_is_before() that is a heap by a number drawn from the job's
 * identity, hence balanced in expectation and the same whatever the order of insertion. */
#include "ready.h"

#include "check.h"
#include "core_memory.h"

bool ready_is_before(const struct job *a, const struct job *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->order < b->order;
}

static bool is_above(const struct job *a, const struct job *b)
{
    uint64_t x = digest_number(&a->identity);
    uint64_t y = digest_number(&b->identity);
    return x != y ? x > y : a->order < b->order;
}

/* Cut `root` into those before `job` and those after it. */
static void split(struct job *root, const struct job *job, struct job **before, struct job **after)
{
    while (root != NULL) {
        if (ready_is_before(root, job)) {
            *before = root;
            before = &root->right;
            root = root->right;
        } else {
            *after = root;
            after = &root->left;
            root = root->left;
        }
    }
    *before = *after = NULL;
}

static struct shape *shape_of(struct core *core, const struct job *job)
{
    for (size_t i = 0; i < core->shape_count; i++) {
        struct shape *s = core->shapes[i];
        if (s->claim == job->claim && s->terms == job->terms && s->threads == job->threads &&
            s->memory_asked == job->memory_asked && s->memory_bytes == job->memory_bytes) {
            return s;
        }
    }
    struct shape *s = core_memory_array(1, sizeof *s);
    *s = (struct shape){.claim = job->claim,
                        .terms = job->terms,
                        .threads = job->threads,
                        .memory_asked = job->memory_asked,
                        .memory_bytes = job->memory_bytes};
    core->shapes = core_memory_grow(core->shapes, core->shape_count + 1, sizeof(struct shape *));
    core->shapes[core->shape_count++] = s;
    return s;
}

static void shape_free(struct core *core, struct shape *shape)
{
    size_t i = 0;
    while (core->shapes[i] != shape) {
        i++;
    }
    core->shapes[i] = core->shapes[--core->shape_count];
    core_memory_free(shape);
}

void ready_insert(struct core *core, struct job *job)
{
    ASSERT(job->shape == NULL);
    struct shape *shape = shape_of(core, job);
    struct job **place = &shape->root;
    while (*place != NULL && is_above(*place, job)) {
        place = ready_is_before(job, *place) ? &(*place)->left : &(*place)->right;
    }
    split(*place, job, &job->left, &job->right);
    *place = job;
    job->shape = shape;
    shape->job_count++;
    core->ready_count++;
}

/* Join two trees, all of `before` before all of `after`, at `place`. */
static void join(struct job **place, struct job *before, struct job *after)
{
    while (before != NULL && after != NULL) {
        if (is_above(before, after)) {
            *place = before;
            place = &before->right;
            before = before->right;
        } else {
            *place = after;
            place = &after->left;
            after = after->left;
        }
    }
    *place = before != NULL ? before : after;
}

void ready_remove(struct core *core, struct job *job)
{
    struct shape *shape = job->shape;
    ASSERT(shape != NULL);
    struct job **place = &shape->root;
    while (*place != job) {
        ASSERT(*place != NULL);
        place = ready_is_before(job, *place) ? &(*place)->left : &(*place)->right;
    }
    join(place, job->left, job->right);
    job->left = job->right = NULL;
    job->shape = NULL;
    shape->job_count--;
    core->ready_count--;
    if (shape->root == NULL) {
        shape_free(core, shape);
    }
}

struct job *ready_first(const struct shape *shape)
{
    struct job *job = shape->root;
    while (job->left != NULL) {
        job = job->left;
    }
    return job;
}

struct job *ready_next(const struct shape *shape, const struct job *job)
{
    struct job *next = NULL;
    for (struct job *at = shape->root; at != NULL;) {
        if (ready_is_before(job, at)) {
            next = at;
            at = at->left;
        } else {
            at = at->right;
        }
    }
    return next;
}
