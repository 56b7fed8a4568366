#include "plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "plan_impl.h"

void *plan_grow(struct arena *arena, void *items, size_t count, size_t *cap, size_t element_bytes)
{
    if (count < *cap)
        return items;
    size_t next = *cap ? 2 * *cap : 16;
    void *grown = arena_array(arena, next, element_bytes);
    if (count > 0)
        memcpy(grown, items, count * element_bytes);
    *cap = next;
    return grown;
}

static void add_line(struct planner *p, const char ***lines, size_t *count, size_t *cap,
                     const char *text)
{
    for (size_t i = 0; i < *count; i++) {
        if (strcmp((*lines)[i], text) == 0)
            return;
    }
    *lines = plan_grow(&p->plan->arena, *lines, *count, cap, sizeof **lines);
    (*lines)[(*count)++] = arena_strdup(&p->plan->arena, text);
}

PRINTF(5, 0)
static void add_formatted(struct planner *p, const char ***lines, size_t *count, size_t *cap,
                          const char *format, va_list args)
{
    char *text = NULL;
    const int len = vasprintf(&text, format, args);
    ASSERT(len >= 0);
    add_line(p, lines, count, cap, text);
    free(text);
}

void plan_note(struct planner *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_formatted(p, &p->plan->notes, &p->plan->note_count, &p->note_cap, format, args);
    va_end(args);
}

void plan_warn(struct planner *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_formatted(p, &p->plan->warnings, &p->plan->warning_count, &p->warning_cap, format, args);
    va_end(args);
}

static bool has_blob(const struct plan *plan, const struct digest *digest)
{
    for (size_t i = 0; i < plan->blob_count; i++) {
        if (digest_equal(&plan->blobs[i].digest, digest))
            return true;
    }
    return false;
}

static void add_blob(struct planner *p, struct plan_blob blob)
{
    struct plan *plan = p->plan;
    plan->blobs =
        plan_grow(&plan->arena, plan->blobs, plan->blob_count, &p->blob_cap, sizeof *plan->blobs);
    plan->blobs[plan->blob_count++] = blob;
}

struct digest plan_add_blob(struct planner *p, char *data, size_t len, const char *what)
{
    struct digest digest = hash_bytes(data, len);
    if (has_blob(p->plan, &digest)) {
        free(data);
        return digest;
    }
    add_blob(p, (struct plan_blob){.digest = digest,
                                   .bytes = (int64_t)len,
                                   .data = data,
                                   .what = arena_strdup(&p->plan->arena, what)});
    return digest;
}

void plan_add_file(struct planner *p, struct digest digest, int64_t bytes, const char *path,
                   const char *what)
{
    if (has_blob(p->plan, &digest))
        return;
    add_blob(p, (struct plan_blob){.digest = digest,
                                   .bytes = bytes,
                                   .path = arena_strdup(&p->plan->arena, path),
                                   .what = arena_strdup(&p->plan->arena, what)});
}

size_t plan_add_job(struct planner *p, const struct jobspec *spec, struct plan_job job)
{
    struct plan *plan = p->plan;
    struct strbuf text = {0};
    job.kind = spec->kind;
    job.identity = jobspec_write(spec, &text);
    for (size_t i = 0; i < plan->job_count; i++) {
        if (digest_equal(&plan->jobs[i].identity, &job.identity)) {
            strbuf_release(&text);
            return i;
        }
    }
    struct arena *arena = &plan->arena;
    job.spec = (struct str){arena_strndup(arena, strbuf_text(&text), text.len), text.len};
    strbuf_release(&text);
    job.inputs = arena_array(arena, spec->input_count + 1, sizeof *job.inputs);
    job.parents = arena_array(arena, spec->parent_count + 1, sizeof *job.parents);
    for (size_t i = 0; i < spec->input_count; i++)
        job.inputs[job.input_count++] = spec->inputs[i];
    for (size_t i = 0; i < spec->parent_count; i++)
        job.parents[job.parent_count++] = spec->parents[i];
    plan->jobs = plan_grow(arena, plan->jobs, plan->job_count, &p->job_cap, sizeof *plan->jobs);
    plan->jobs[plan->job_count] = job;
    return plan->job_count++;
}

/* Which models the kept cells need; models are planned in the order of the manifest. */
static void mark_needed(struct family_plan *f)
{
    const struct manifest *m = f->planner->manifest;
    size_t count = f->family->variant_count * m->seed_count;
    f->needed = arena_array(&f->planner->plan->arena, count, sizeof *f->needed);
    f->model_job = arena_array(&f->planner->plan->arena, count, sizeof *f->model_job);
    f->model_waits = arena_array(&f->planner->plan->arena, count, sizeof *f->model_waits);
    for (size_t i = 0; i < count; i++) {
        const char *variant = f->family->variants[i / m->seed_count].name;
        f->model_job[i] = NO_JOB;
        for (size_t t = 0; t < f->planner->entry_task_count && !f->needed[i]; t++)
            f->needed[i] =
                plan_keeps(m, f->family->name, variant, f->planner->entry_tasks[t].task->name,
                           (uint64_t)m->seeds[i % m->seed_count]);
    }
}

static enum err_code plan_family(struct planner *p, struct manifest_family *family, struct err *err)
{
    struct family_plan f = {.planner = p, .family = family};
    mark_needed(&f);
    bool any = false;
    size_t models = family->variant_count * p->manifest->seed_count;
    for (size_t i = 0; i < models; i++)
        any = any || f.needed[i];
    if (!any)
        return ERR_OK;
    enum err_code code = plan_family_turns(p, family, err);
    if (!code)
        code = plan_family_open(p, &f, err);
    if (plan_may_lack(p, code)) {
        plan_outline_family(&f, err);
        plan_family_close(&f);
        return ERR_OK;
    }
    for (size_t i = 0; !code && i < models; i++) {
        size_t job;
        if (!f.needed[i])
            continue;
        const size_t variant = i / p->manifest->seed_count;
        code = plan_model_job(&f, variant, i % p->manifest->seed_count, &job, err);
        if (plan_may_lack(p, code)) {
            f.model_waits[i] = plan_model_lacks(&f, &family->variants[variant], err);
            code = ERR_OK;
        }
    }
    for (size_t t = 0; !code && t < p->entry_task_count; t++)
        code = plan_evaluation(&f, &p->entry_tasks[t], err);
    plan_family_close(&f);
    return code;
}

static enum err_code plan_all(struct planner *p, struct err *err)
{
    enum err_code code = suite_load(&p->env->reader, p->env->root, &p->suite, err);
    if (!code)
        suite_set_data(&p->suite, p->env->data);
    if (code)
        return code;
    code = plan_match_tasks(p, err);
    if (!code)
        plan_collect_held_out(p);
    if (!code)
        code = plan_check_filters(p, err);
    for (size_t i = 0; !code && i < p->manifest->family_count; i++)
        code = plan_family(p, &p->manifest->families[i], err);
    if (!code && p->plan->cell_count == 0 && p->plan->outline_count == 0)
        code = err_set(err, ERR_INVALID, "%s: include and exclude leave nothing to evaluate",
                       p->manifest->doc.name);
    suite_release(&p->suite);
    return code;
}

enum err_code plan_build(struct manifest *manifest, const struct plan_env *env, struct plan *out,
                         struct err *err)
{
    struct plan plan = {.experiment = manifest->experiment, .manifest = manifest};
    struct planner p = {.manifest = manifest, .env = env, .plan = &plan};
    if (manifest->notes[0] != '\0')
        plan_note(&p, "%s", manifest->notes);
    enum err_code code = plan_all(&p, err);
    if (code) {
        plan_release(&plan);
        return code;
    }
    *out = plan;
    return ERR_OK;
}

void plan_release(struct plan *plan)
{
    for (size_t i = 0; i < plan->blob_count; i++)
        free((char *)(uintptr_t)plan->blobs[i].data);
    arena_release(&plan->arena);
    *plan = (struct plan){0};
}
