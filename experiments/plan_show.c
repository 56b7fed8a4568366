/* The plan as a document (docs/data.md section 6) and as text for people. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canonical.h"
#include "json_member.h"
#include "plan.h"
#include "quantity.h"

enum { ID_DIGITS = 12 }; /* of an identity, for people */

static json_t *text_list(const char *const *items, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_shown(items[i]));
    return list;
}

static json_t *job_json(const struct plan_job *job, plan_fate *fate, plan_fate *why, void *ctx)
{
    json_t *o = json_object();
    const char *would = fate ? fate(ctx, job) : NULL;
    json_member_digest(o, "identity", &job->identity);
    json_member_text(o, "kind", job_kind_name(job->kind));
    json_member_text(o, "label", job->label);
    json_member_text(o, "family", job->family);
    json_member_text(o, "variant", job->variant);
    json_member_text(o, "task", job->task);
    json_member_text(o, "format", job->format);
    json_member_integer(o, "seed", (int64_t)job->seed);
    json_member_integer(o, "threads", job->threads);
    if (job->ranks > 1)
        json_member_integer(o, "ranks", job->ranks);
    json_member_integer(o, "memory_bytes", job->memory_bytes);
    json_member_integer(o, "items", job->items);
    json_member_integer(o, "steps", job->steps);
    json_member_integer(o, "tokens", job->tokens);
    json_member_real(o, "flops", job->flops);
    json_member_real(o, "hours", job->hours);
    json_member_digests(o, "inputs", job->inputs, job->input_count);
    json_member_digests(o, "parents", job->parents, job->parent_count);
    const char *reason = why ? why(ctx, job) : NULL;
    if (would)
        json_member_text(o, "fate", would);
    if (reason)
        json_member_text(o, "why", reason);
    return o;
}

static json_t *task_json(const struct plan_task *t)
{
    json_t *o = json_object();
    json_member_text(o, "family", t->family);
    json_member_text(o, "suite", t->suite);
    json_member_text(o, "task", t->task);
    json_member_text(o, "source", t->source);
    json_member_text(o, "licence", t->licence);
    json_member_integer(o, "k", t->k);
    json_object_set_new(o, "k_chosen", json_boolean(t->k_chosen));
    json_member_integer(o, "pool", t->pool);
    json_member_integer(o, "reaching", t->reaching);
    json_member_integer(o, "sequences", t->sequences);
    json_member_real(o, "truncated", t->truncated);
    json_member_integer(o, "tokens_max", t->tokens_max);
    json_member_text(o, "pairing", t->pairing);
    return o;
}

static json_t *settings_json(const struct plan_cell *c)
{
    json_t *list = json_array();
    for (size_t i = 0; i < c->setting_count; i++) {
        const struct plan_setting *s = &c->settings[i];
        json_t *o = json_object();
        json_member_text(o, "component", s->component);
        json_member_real(o, "temperature", s->temperature);
        json_member_real(o, "top_p", s->top_p);
        json_member_integer(o, "top_k", s->top_k);
        json_member_integer(o, "draws", s->draws);
        json_array_append_new(list, o);
    }
    return list;
}

/* The jobs of a cell's shares. */
static json_t *shares_json(const struct plan *plan, const struct plan_cell *c)
{
    json_t *list = json_array();
    for (size_t i = 0; i < c->job_count; i++) {
        char hex[DIGEST_HEX_SIZE];
        json_array_append_new(list, json_string(digest_hex(&plan->jobs[c->jobs[i]].identity, hex)));
    }
    return list;
}

static json_t *cell_json(const struct plan *plan, const struct plan_cell *c)
{
    json_t *o = json_object();
    json_member_text(o, "family", c->family);
    json_member_text(o, "variant", c->variant);
    json_member_text(o, "format", c->format);
    json_member_text(o, "suite", c->suite);
    json_member_text(o, "task", c->task);
    json_member_text(o, "pairing", c->pairing);
    json_member_integer(o, "seed", (int64_t)c->seed);
    json_member_text(o, "kind", record_kind_name(c->kind));
    json_member_integer(o, "k", c->k);
    json_member_integer(o, "permutations", c->permutations);
    json_object_set_new(o, "terminator", json_boolean(c->terminator));
    json_object_set_new(o, "settings", settings_json(c));
    json_member_integer(o, "items", c->items);
    json_object_set_new(o, "jobs", shares_json(plan, c));
    json_member_digest(o, "model", &plan->jobs[c->model_job].identity);
    return o;
}

static json_t *data_json(const struct plan_data *d)
{
    json_t *o = json_object();
    json_member_text(o, "label", d->label);
    json_member_text(o, "what", d->what);
    json_member_text(o, "how", d->how);
    json_member_text(o, "memory", d->memory);
    json_object_set_new(o, "sources", text_list(d->sources, d->source_count));
    json_member_integer(o, "sequences", d->sequences);
    json_member_integer(o, "tokens", d->tokens);
    json_member_integer(o, "steps", d->steps);
    json_member_real(o, "epochs", d->epochs);
    return o;
}

static json_t *compare_json(const struct manifest_compare *c)
{
    json_t *o = json_object();
    json_member_text(o, "baseline", c->baseline);
    json_object_set_new(o, "against", text_list(c->against.items, c->against.count));
    json_member_text(o, "test", manifest_test_names[c->test]);
    json_member_text(o, "correction", manifest_correction_names[c->correction]);
    json_member_real(o, "alpha", c->alpha);
    return o;
}

static json_t *seeds_json(const struct manifest *m)
{
    json_t *list = json_array();
    for (size_t i = 0; i < m->seed_count; i++)
        json_array_append_new(list, json_integer(m->seeds[i]));
    return list;
}

static json_t *blob_json(const struct plan_blob *b)
{
    json_t *o = json_object();
    json_member_digest(o, "digest", &b->digest);
    json_member_integer(o, "bytes", b->bytes);
    json_member_shown(o, "what", b->what);
    return o;
}

static json_t *checkpoint_json(const struct plan_checkpoint *c)
{
    json_t *o = json_object();
    json_member_text(o, "family", c->family);
    json_member_text(o, "variant", c->variant);
    json_member_shown(o, "named", c->named);
    json_member_text(o, "commit", c->commit);
    json_member_text(o, "digest", c->digest);
    json_member_integer(o, "bytes", c->bytes);
    return o;
}

static json_t *missing_json(const struct plan *plan)
{
    json_t *list = json_array();
    for (size_t i = 0; i < plan->missing_count; i++) {
        json_t *o = json_object();
        json_member_shown(o, "what", plan->missing[i].what);
        json_member_shown(o, "how", plan->missing[i].how);
        json_member_integer(o, "cells", (int64_t)plan->missing[i].cells);
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *outlines_json(const struct plan *plan)
{
    json_t *list = json_array();
    for (size_t i = 0; i < plan->outline_count; i++) {
        const struct plan_outline *w = &plan->outlines[i];
        json_t *o = json_object();
        json_member_text(o, "family", w->family);
        json_member_text(o, "variant", w->variant);
        json_member_text(o, "suite", w->suite);
        json_member_text(o, "task", w->task);
        json_member_integer(o, "seed", (int64_t)w->seed);
        json_member_shown(o, "waits", w->waits);
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *reference_json(const struct plan *plan)
{
    const struct manifest_reference *r = &plan->manifest->reference;
    json_t *o = json_object();
    size_t models;
    json_member_integer(o, "jobs", r->jobs);
    json_member_integer(o, "here", (int64_t)plan_reference_count(plan, &models));
    json_member_integer(o, "models", (int64_t)models);
    json_object_set_new(o, "absent", text_list(r->absent.items, r->absent.count));
    json_member_text(o, "why", r->why);
    return o;
}

void plan_json(const struct plan *plan, plan_fate *fate, plan_fate *why, void *ctx,
               struct strbuf *out)
{
    const struct manifest *m = plan->manifest;
    json_t *root = json_object();
    json_t *jobs = json_array(), *tasks = json_array(), *cells = json_array();
    json_t *data = json_array(), *compares = json_array(), *blobs = json_array();
    json_t *checkpoints = json_array();
    json_t *validators = json_object();
    for (size_t i = 0; i < plan->job_count; i++)
        json_array_append_new(jobs, job_json(&plan->jobs[i], fate, why, ctx));
    for (size_t i = 0; i < plan->task_count; i++)
        json_array_append_new(tasks, task_json(&plan->tasks[i]));
    for (size_t i = 0; i < plan->cell_count; i++)
        json_array_append_new(cells, cell_json(plan, &plan->cells[i]));
    for (size_t i = 0; i < plan->data_count; i++)
        json_array_append_new(data, data_json(&plan->data[i]));
    for (size_t i = 0; i < plan->checkpoint_count; i++)
        json_array_append_new(checkpoints, checkpoint_json(&plan->checkpoints[i]));
    for (size_t i = 0; i < m->compare_count; i++)
        json_array_append_new(compares, compare_json(&m->compares[i]));
    for (size_t i = 0; i < plan->blob_count; i++)
        json_array_append_new(blobs, blob_json(&plan->blobs[i]));
    for (size_t i = 0; i < plan->validator_count; i++)
        json_object_set_new(validators, plan->validators[i].task,
                            validator_json(plan->validators[i].validator));
    json_member_text(root, "schema", "triad.plan/2");
    json_member_text(root, "experiment", plan->experiment);
    json_member_text(root, "numerics", jobspec_numerics_names[m->numerics]);
    json_member_text(root, "precision", jobspec_precision_names[m->precision]);
    json_member_text(root, "backend", jobspec_backend_names[m->backend]);
    json_object_set_new(root, "seeds", seeds_json(m));
    json_object_set_new(root, "jobs", jobs);
    json_object_set_new(root, "tasks", tasks);
    json_object_set_new(root, "cells", cells);
    json_object_set_new(root, "data", data);
    json_object_set_new(root, "comparisons", compares);
    json_object_set_new(root, "blobs", blobs);
    json_object_set_new(root, "checkpoints", checkpoints);
    json_object_set_new(root, "validators", validators);
    json_object_set_new(root, "missing", missing_json(plan));
    json_object_set_new(root, "waiting", outlines_json(plan));
    if (m->reference.node)
        json_object_set_new(root, "reference", reference_json(plan));
    json_object_set_new(root, "held_out", text_list(plan->held_out, plan->held_out_count));
    json_object_set_new(root, "notes", text_list(plan->notes, plan->note_count));
    json_object_set_new(root, "warnings", text_list(plan->warnings, plan->warning_count));
    canonical_json(root, out);
    json_decref(root);
}

/* "1.2 h", "3 min" or "40 s". */
static const char *duration_text(double hours, char out[32])
{
    if (hours >= 1.0)
        snprintf(out, 32, "%.1f h", hours);
    else if (hours >= 1.0 / 60)
        snprintf(out, 32, "%.0f min", hours * 60);
    else
        snprintf(out, 32, "%.0f s", hours * 3600);
    return out;
}

/* Labels of the jobs a job waits for. */
static void put_parents(const struct plan *plan, const struct plan_job *job, struct strbuf *out)
{
    for (size_t p = 0; p < job->parent_count; p++) {
        for (size_t i = 0; i < plan->job_count; i++) {
            if (digest_equal(&plan->jobs[i].identity, &job->parents[p].digest))
                strbuf_printf(out, "%s%s", p ? ", " : "", plan->jobs[i].label);
        }
    }
}

static int label_width(const struct plan *plan)
{
    size_t width = 5;
    for (size_t i = 0; i < plan->job_count; i++)
        width = strlen(plan->jobs[i].label) > width ? strlen(plan->jobs[i].label) : width;
    return (int)width;
}

static void put_jobs(const struct plan *plan, plan_fate *fate, void *ctx, struct strbuf *out)
{
    const int width = label_width(plan);
    strbuf_printf(out, "Jobs\n  %-*s  %-8s  %-*s  %-9s  %7s  %8s  %8s  %s\n", width, "label",
                  "kind", ID_DIGITS, "identity", fate ? "fate" : "format", "tokens", "memory",
                  "time", "after");
    for (size_t i = 0; i < plan->job_count; i++) {
        const struct plan_job *job = &plan->jobs[i];
        char hex[DIGEST_HEX_SIZE], tokens[32], memory[32], time[32];
        const char *would = fate ? fate(ctx, job) : job->format;
        digest_hex(&job->identity, hex);
        strbuf_printf(out, "  %-*s  %-8s  %.*s  %-9s  %7s  %8s  %8s  ", width, job->label,
                      job_kind_name(job->kind), ID_DIGITS, hex, would ? would : "",
                      quantity_count_text((double)job->tokens, tokens, sizeof tokens),
                      quantity_bytes_text((double)job->memory_bytes, memory, sizeof memory),
                      duration_text(job->hours, time));
        put_parents(plan, job, out);
        strbuf_putc(out, '\n');
    }
}

static void put_whys(const struct plan *plan, plan_fate *why, void *ctx, struct strbuf *out)
{
    bool is_first = true;
    for (size_t i = 0; why && i < plan->job_count; i++) {
        const char *reason = why(ctx, &plan->jobs[i]);
        if (!reason)
            continue;
        strbuf_printf(out, "%s  %s: %s\n", is_first ? "\nNot what was done before\n" : "",
                      plan->jobs[i].label, reason);
        is_first = false;
    }
}

static void put_tasks(const struct plan *plan, struct strbuf *out)
{
    strbuf_printf(out, "\nTasks\n  %-14s  %-16s  %4s  %9s  %9s  %10s  %s\n", "task", "family", "k",
                  "sequences", "truncated", "max tokens", "pairing");
    for (size_t i = 0; i < plan->task_count; i++) {
        const struct plan_task *t = &plan->tasks[i];
        char of[32];
        snprintf(of, sizeof of, "%u of %u", t->sequences, t->pool);
        strbuf_printf(out, "  %-14s  %-16s  %4u  %9s  %8.1f%%  %10lld  %.*s\n", t->task, t->family,
                      t->k, of, 100.0 * t->truncated, (long long)t->tokens_max, ID_DIGITS,
                      t->pairing);
    }
}

static void put_data(const struct plan *plan, struct strbuf *out)
{
    strbuf_puts(out, "\nTraining data\n");
    for (size_t i = 0; i < plan->data_count; i++) {
        const struct plan_data *d = &plan->data[i];
        char tokens[32];
        strbuf_printf(out, "  %s: %s; %lld sequences, %s tokens, %lld steps\n    %s\n", d->label,
                      d->what, (long long)d->sequences,
                      quantity_count_text((double)d->tokens, tokens, sizeof tokens),
                      (long long)d->steps, d->how);
        if (d->memory[0] != '\0')
            strbuf_printf(out, "    memory %s\n", d->memory);
        strbuf_puts(out, "    sources: ");
        for (size_t j = 0; j < d->source_count; j++)
            strbuf_printf(out, "%s%s", j ? ", " : "", d->sources[j]);
        strbuf_puts(out, "\n    none of them is held out\n");
    }
    strbuf_puts(out, "  held out: ");
    for (size_t i = 0; i < plan->held_out_count; i++)
        strbuf_printf(out, "%s%s", i ? ", " : "", plan->held_out[i]);
    strbuf_putc(out, '\n');
}

static void put_totals(const struct plan *plan, struct strbuf *out)
{
    double hours = 0.0, flops = 0.0;
    int64_t memory = 0, items = 0;
    char time[32], bytes[32];
    for (size_t i = 0; i < plan->job_count; i++) {
        const uint32_t ranks = plan->jobs[i].ranks > 1 ? plan->jobs[i].ranks : 1;
        hours += plan->jobs[i].hours * plan->jobs[i].threads * ranks;
        flops += plan->jobs[i].flops;
        items += plan->jobs[i].items;
        memory = plan->jobs[i].memory_bytes > memory ? plan->jobs[i].memory_bytes : memory;
    }
    strbuf_printf(
        out,
        "\nIn all: %zu jobs, %zu cells, %lld items; about %s on one core (%.3g flops), at "
        "most %s for one job\n",
        plan->job_count, plan->cell_count, (long long)items, duration_text(hours, time), flops,
        quantity_bytes_text((double)memory, bytes, sizeof bytes));
}

/* Variants that waiting cells evaluate: each is at least one job, an import or a training. */
static size_t waiting_models(const struct plan *plan)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->outline_count; i++) {
        const struct plan_outline *o = &plan->outlines[i];
        size_t before = 0;
        while (before < i && (strcmp(plan->outlines[before].family, o->family) != 0 ||
                              strcmp(plan->outlines[before].variant, o->variant) != 0 ||
                              plan->outlines[before].seed != o->seed))
            before++;
        count += before == i;
    }
    return count;
}

static void put_missing(const struct plan *plan, struct strbuf *out)
{
    if (plan->missing_count == 0)
        return;
    if (plan->outline_count > 0) {
        const size_t models = waiting_models(plan);
        strbuf_printf(
            out,
            "With what is not here: at least %zu jobs more, %zu models to import or train "
            "and %zu evaluations (a long one becomes several jobs)\n",
            models + plan->outline_count, models, plan->outline_count);
    }
    strbuf_printf(
        out, "\nNot here: %zu of %zu cells wait, and nothing of them is planned yet. They need\n",
        plan->outline_count, plan->outline_count + plan->cell_count);
    for (size_t i = 0; i < plan->missing_count; i++)
        strbuf_printf(out, "  %s\n    %s\n", plan->missing[i].what, plan->missing[i].how);
}

void plan_text(const struct plan *plan, plan_fate *fate, plan_fate *why, void *ctx,
               struct strbuf *out)
{
    strbuf_printf(out, "Plan of %s\n\n", plan->experiment);
    put_jobs(plan, fate, ctx, out);
    put_whys(plan, why, ctx, out);
    put_tasks(plan, out);
    put_data(plan, out);
    for (size_t i = 0; i < plan->note_count; i++)
        strbuf_printf(out, "%s  %s\n", i ? "" : "\nNotes\n", plan->notes[i]);
    for (size_t i = 0; i < plan->warning_count; i++)
        strbuf_printf(out, "%s  %s\n", i ? "" : "\nWarnings\n", plan->warnings[i]);
    put_totals(plan, out);
    put_missing(plan, out);
    if (plan->manifest->reference.node)
        plan_reference_text(plan, out);
}
