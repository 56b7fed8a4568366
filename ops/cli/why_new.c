#include "why_new.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "job_table.h"

/* Places named in one sentence. */
#define PLACES_MAX 4
/* Characters of a value: enough of a digest to tell two apart. */
#define VALUE_CHARS 12
/* Jobs asked about: each is a question to the coordinator. */
#define QUESTIONS_MAX 500

struct places {
    struct strbuf *out;
    size_t count;
};

static void put_value(struct strbuf *out, const json_t *value)
{
    if (!value) {
        strbuf_puts(out, "absent");
        return;
    }
    char *text = json_is_string(value)
                     ? strdup(json_string_value(value))
                     : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
    ASSERT(text != NULL);
    const bool is_long = strlen(text) > VALUE_CHARS + 2 && !json_is_number(value);
    strbuf_append_clean(out, text,
                        is_long ? str_whole_characters(text, VALUE_CHARS) : strlen(text));
    strbuf_puts(out, is_long ? "…" : "");
    free(text);
}

static void put_place(struct places *p, const char *path, const json_t *was, const json_t *is)
{
    if (p->count++ >= PLACES_MAX)
        return;
    strbuf_printf(p->out, "%s%s ", p->count > 1 ? "; " : "", path);
    put_value(p->out, is);
    strbuf_puts(p->out, ", was ");
    put_value(p->out, was);
}

static void compare(struct places *p, const char *path, const json_t *was, const json_t *is)
{
    if (!json_is_object(was) || !json_is_object(is)) {
        if (!was || !is || !json_equal(was, is))
            put_place(p, *path ? path : "the spec", was, is);
        return;
    }
    json_t *all = json_object();
    const char *key;
    json_t *ignored;
    json_object_update(all, (json_t *)(uintptr_t)was);
    json_object_update(all, (json_t *)(uintptr_t)is);
    json_object_foreach(all, key, ignored)
    {
        struct strbuf below = {0};
        strbuf_printf(&below, "%s%s%s", path, *path ? "." : "", key);
        compare(p, strbuf_text(&below), json_object_get(was, key), json_object_get(is, key));
        strbuf_release(&below);
    }
    json_decref(all);
}

void why_new_difference(const char *was, size_t was_len, const char *is, size_t is_len,
                        struct strbuf *out)
{
    struct places places = {.out = out};
    json_error_t ignored;
    json_t *before = json_loadb(was, was_len, 0, &ignored);
    json_t *now = json_loadb(is, is_len, 0, &ignored);
    compare(&places, "", before, now);
    if (places.count > PLACES_MAX)
        strbuf_printf(out, "; %zu more", places.count - PLACES_MAX);
    json_decref(before);
    json_decref(now);
}

/* The parent that is new itself: it says why. */
static const char *new_parent(const struct plan *plan, const struct plan_job *job,
                              const struct fates *fates)
{
    for (size_t i = 0; i < job->parent_count; i++)
        for (size_t k = 0; k < plan->job_count; k++)
            if (digest_equal(&plan->jobs[k].identity, &job->parents[i].digest) &&
                fates_are_new(fates, &plan->jobs[k]))
                return plan->jobs[k].label;
    return NULL;
}

/* The latest; NULL: there has been none. */
static const struct job_row *row_called(const struct job_table *table, const char *label)
{
    for (size_t i = table->count; i > 0; i--)
        if (strcmp(table->rows[i - 1]->label, label) == 0)
            return table->rows[i - 1];
    return NULL;
}

static enum err_code difference_from(struct connection *c, const struct job_row *row,
                                     const struct plan_job *job, struct arena *arena,
                                     const char **out, struct err *err)
{
    struct msg reply;
    struct strbuf text = {0};
    const struct msg request = {.kind = MSG_SHOW_JOB, .show_job = {.job = row->job}};
    enum err_code rc = connection_call(c, &request, MSG_JOB, arena, &reply, err);
    if (rc != ERR_OK)
        return rc;
    why_new_difference((const char *)reply.job.spec.data, reply.job.spec.len, job->spec.data,
                       job->spec.len, &text);
    *out = arena_strdup(arena, strbuf_text(&text));
    strbuf_release(&text);
    return ERR_OK;
}

enum err_code why_new_fetch(struct connection *c, const struct plan *plan, struct arena *arena,
                            struct fates *fates, struct err *err)
{
    struct job_table table;
    size_t questions = 0;
    enum err_code rc = job_table_fetch(c, plan->experiment, 0, arena, &table, err);
    if (rc == ERR_NOT_FOUND)
        return ERR_OK;
    fates->plan = plan;
    fates->why = arena_array(arena, plan->job_count, sizeof *fates->why);
    memset(fates->why, 0, plan->job_count * sizeof *fates->why);
    for (size_t i = 0; i < plan->job_count && rc == ERR_OK && table.count > 0; i++) {
        const struct plan_job *job = &plan->jobs[i];
        const struct job_row *row = row_called(&table, job->label);
        const char *parent = NULL;
        if (!row || !fates_are_new(fates, job))
            continue;
        if ((parent = new_parent(plan, job, fates)) != NULL)
            fates->why[i] = arena_printf(arena, "%s is new", parent);
        else if (questions++ < QUESTIONS_MAX)
            rc = difference_from(c, row, job, arena, &fates->why[i], err);
    }
    return rc;
}
