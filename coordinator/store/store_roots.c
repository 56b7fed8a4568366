/* What the artifact store must keep: asked for in slices of jobs, so that a long history does not
 * stop the loop. */
#include <string.h>

#include "bounds.h"
#include "store_query.h"

struct roots {
    struct digest *list;
    size_t count;
    struct arena *arena;
};

static void add_root(struct roots *roots, const struct digest *digest)
{
    if (!digest_is_none(digest)) {
        roots->list[roots->count++] = *digest;
    }
}

static enum err_code add_inputs(struct store *store, int64_t job, struct roots *roots,
                                struct err *err)
{
    struct query q = query_begin(store, "SELECT digest FROM job_inputs WHERE job_id = ? LIMIT ?");
    query_bind_int(&q, job);
    query_bind_int(&q, JOB_INPUTS_MAX);
    bool more = false;
    enum err_code code = query_next(&q, &more, err);
    while (code == ERR_OK && more) {
        const struct digest digest = query_digest(&q);
        add_root(roots, &digest);
        code = query_next(&q, &more, err);
    }
    query_end(&q);
    return code;
}

enum err_code store_roots(struct store *store, uint64_t *after, size_t jobs_max,
                          struct arena *arena, struct digest **roots_out, size_t *count_out,
                          struct err *err)
{
    struct roots roots = {.arena = arena};
    roots.list = arena_array(arena, jobs_max * (2 + JOB_INPUTS_MAX), sizeof *roots.list);
    struct query q = query_begin(
        store, "SELECT id, state, artifact, resume FROM jobs WHERE id > ? ORDER BY id LIMIT ?");
    query_bind_int(&q, (int64_t)(*after & INT64_MAX));
    query_bind_int(&q, (int64_t)jobs_max);
    size_t seen = 0;
    bool more = false;
    enum err_code code = query_next(&q, &more, err);
    while (code == ERR_OK && more) {
        const int64_t id = query_int(&q);
        const bool done = query_int(&q) == JOB_DONE;
        const struct digest artifact = query_digest(&q);
        const struct digest resume = query_digest(&q);
        add_root(&roots, &artifact);
        if (!done) {
            add_root(&roots, &resume);
            code = add_inputs(store, id, &roots, err);
        }
        *after = (uint64_t)id;
        seen++;
        code = code != ERR_OK ? code : query_next(&q, &more, err);
    }
    query_end(&q);
    if (code == ERR_OK) {
        *after = seen < jobs_max ? UINT64_MAX : *after;
        *roots_out = roots.list;
        *count_out = roots.count;
    }
    return code;
}
