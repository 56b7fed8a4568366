#include "collect.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "plan_document.h"
#include "records.h"
#include "str.h"

/* ---- the plan document ---- */

static const char *text_of(struct collected *c, const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return arena_strdup(&c->arena, text ? text : "");
}

static const char **texts_of(struct collected *c, const json_t *list, size_t *count_out)
{
    const size_t count = json_array_size(list);
    const char **texts = arena_array(&c->arena, count, sizeof *texts);
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        texts[i] = arena_strdup(&c->arena, text ? text : "");
    }
    *count_out = count;
    return texts;
}

static void take_cells(struct collected *c, const json_t *list, const char *task_glob)
{
    c->cells = arena_array(&c->arena, json_array_size(list), sizeof *c->cells);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        const char *task = text_of(c, o, "task");
        if (!str_glob(task_glob, task))
            continue;
        c->cells[c->cell_count++] = (struct stat_cell){
            .family = text_of(c, o, "family"),
            .variant = text_of(c, o, "variant"),
            .format = text_of(c, o, "format"),
            .suite = text_of(c, o, "suite"),
            .task = task,
            .seed = (uint64_t)json_integer_value(json_object_get(o, "seed")),
            .last_position = (uint32_t)json_integer_value(json_object_get(o, "k")),
            .state = STAT_CELL_MISSING,
            .reason = "its job is not known to the coordinator",
            .pairing = text_of(c, o, "pairing"),
            .records_expected = (uint32_t)json_integer_value(json_object_get(o, "items")),
            .provenance = {.job = text_of(c, o, "job"),
                           .model = text_of(c, o, "model"),
                           .attempt = "",
                           .artifact = ""},
        };
    }
}

static enum err_code take_rules(struct collected *c, const json_t *list, struct err *err)
{
    c->rule_count = json_array_size(list);
    c->rules = arena_array(&c->arena, c->rule_count, sizeof *c->rules);
    for (size_t i = 0; i < c->rule_count; i++) {
        struct stat_rule *rule = &c->rules[i];
        const json_t *o = json_array_get(list, i);
        const char *test = text_of(c, o, "test"), *correction = text_of(c, o, "correction");
        rule->baseline = text_of(c, o, "baseline");
        rule->against = texts_of(c, json_object_get(o, "against"), &rule->against_count);
        rule->alpha = json_number_value(json_object_get(o, "alpha"));
        rule->correction = ADJUST_NONE;
        while (rule->correction < ADJUST_BH &&
               strcmp(adjust_method_name(rule->correction), correction) != 0)
            rule->correction++;
        rule->test = strcmp(test, stat_test_name(STAT_TEST_PAIRED)) == 0 ? STAT_TEST_PAIRED
                                                                         : STAT_TEST_PAPER_LIKE;
        if (strcmp(correction, adjust_method_name(rule->correction)) != 0 ||
            strcmp(test, stat_test_name(rule->test)) != 0)
            return err_set(err, ERR_VERSION,
                           "the stored plan compares by '%s' with correction '%s', which this "
                           "version does not know",
                           test, correction);
    }
    return ERR_OK;
}

static enum err_code take_plan(struct collected *c, const json_t *plan, const char *task_glob,
                               struct err *err)
{
    enum err_code rc = take_rules(c, json_object_get(plan, "comparisons"), err);
    if (rc == ERR_OK) {
        take_cells(c, json_object_get(plan, "cells"), task_glob);
        c->notes = texts_of(c, json_object_get(plan, "notes"), &c->note_count);
    }
    return rc;
}

/* ---- records ---- */

static void take_batch(struct stat_cell *cell, struct stat_record *to, const struct record *from,
                       uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        to[cell->record_count + i] =
            (struct stat_record){.sequence = from[i].sequence,
                                 .position = from[i].position,
                                 .content_nats = from[i].content_nats,
                                 .terminator_nats = from[i].terminator_nats,
                                 .token_count = from[i].token_count,
                                 .hit_tokens = from[i].hit_tokens,
                                 .first_hit = from[i].first_hit,
                                 .hit = from[i].hit};
    cell->record_count += count;
}

/* Read all batches of the committed attempt into the cell, which has room for its items. */
static enum err_code fetch_records(struct connection *c, const struct job_row *row,
                                   struct stat_cell *cell, struct arena *keep, struct err *err)
{
    struct record *batch = calloc(RECORDS_PER_BATCH_MAX, sizeof *batch);
    ASSERT(batch != NULL);
    struct stat_record *records = arena_array(keep, (size_t)row->items + 1, sizeof *records);
    struct msg request = {.kind = MSG_READ_STREAM,
                          .read_stream = {.job = row->job, .stream = STREAM_RECORDS}};
    enum err_code rc = ERR_OK;
    bool is_over = false;
    cell->records = records;
    while (rc == ERR_OK && !is_over) {
        struct arena arena = {0};
        struct msg reply;
        rc = connection_call(c, &request, MSG_BATCHES, &arena, &reply, err);
        for (size_t i = 0; rc == ERR_OK && i < reply.batches.payload_count; i++) {
            const struct bytes payload = reply.batches.payloads[i];
            uint32_t count = 0;
            rc = records_decode(payload.data, payload.len, batch, RECORDS_PER_BATCH_MAX, &count,
                                err);
            if (rc == ERR_OK && cell->record_count + (uint64_t)count > row->items)
                rc = err_set(err, ERR_CORRUPT, "more than the %" PRIu64 " items of its result",
                             row->items);
            if (rc == ERR_OK)
                take_batch(cell, records, batch, count);
        }
        if (rc == ERR_OK) {
            is_over = reply.batches.end || reply.batches.payload_count == 0;
            request.read_stream.from += (uint32_t)reply.batches.payload_count;
            cell->provenance.attempt = arena_printf(keep, "%" PRIu32, reply.batches.epoch);
        }
        arena_release(&arena);
    }
    free(batch);
    return rc == ERR_OK ? rc : err_wrap(err, "read the records of '%s'", row->label);
}

static const struct job_row *find_row(const struct job_table *table, const char *hex)
{
    struct digest wanted;
    if (!digest_from_hex(hex, &wanted))
        return NULL;
    for (size_t i = 0; i < table->count; i++)
        if (digest_equal(&table->rows[i]->job, &wanted))
            return table->rows[i];
    return NULL;
}

static enum err_code fill_cell(struct connection *c, struct collected *out, struct stat_cell *cell,
                               struct err *err)
{
    const struct job_row *row = find_row(&out->jobs, cell->provenance.job);
    if (!row) {
        out->missing_count++;
        return ERR_OK;
    }
    if (row->state != JOB_DONE) {
        cell->reason = job_table_state_text(row, &out->arena);
        out->missing_count++;
        return ERR_OK;
    }
    char hex[DIGEST_HEX_SIZE];
    cell->state = STAT_CELL_PRESENT;
    cell->reason = NULL;
    cell->provenance.artifact = arena_strdup(&out->arena, digest_hex(&row->records, hex));
    return fetch_records(c, row, cell, &out->arena, err);
}

/* ---- facts: where and how, for the curious ---- */

static void add_fact(struct collected *c, const char *name, const char *value)
{
    c->facts[c->fact_count++] = (struct report_fact){name, value};
}

static const char *numeric_classes(struct collected *c)
{
    const char *list = "";
    for (size_t i = 0; i < c->jobs.count; i++) {
        const char *one = c->jobs.rows[i]->numeric_class;
        if (*one && !strstr(list, one))
            list = arena_printf(&c->arena, "%s%s%s", list, *list ? ", " : "", one);
    }
    return *list ? list : "none yet";
}

static void take_facts(struct collected *c)
{
    uint64_t done = 0;
    int64_t job_ms = 0;
    enum { FACTS_MAX = 4 };
    c->facts = arena_array(&c->arena, FACTS_MAX, sizeof *c->facts);
    for (size_t i = 0; i < c->jobs.count; i++) {
        const struct job_row *row = c->jobs.rows[i];
        if (row->state != JOB_DONE)
            continue;
        done++;
        job_ms += row->ended_ms - row->started_ms;
    }
    add_fact(c, "jobs done", arena_printf(&c->arena, "%" PRIu64 " of %zu", done, c->jobs.count));
    add_fact(c, "numeric class", numeric_classes(c));
    add_fact(c, "time in jobs", arena_printf(&c->arena, "%.1f s", (double)job_ms / 1e3));
    add_fact(c, "machine of the report",
             arena_printf(&c->arena, "%ld cores", sysconf(_SC_NPROCESSORS_ONLN)));
    ASSERT(c->fact_count <= FACTS_MAX);
}

enum err_code collect_experiment(struct connection *c, const char *experiment,
                                 const char *task_glob, struct collected *out, struct err *err)
{
    json_t *plan = NULL;
    *out = (struct collected){0};
    out->experiment = arena_strdup(&out->arena, experiment);
    enum err_code rc = connection_check_experiment(c, experiment, &out->arena, err);
    if (rc == ERR_OK)
        rc = plan_document_fetch(c, experiment, &plan, err);
    if (rc == ERR_OK)
        rc = take_plan(out, plan, task_glob, err);
    if (rc == ERR_OK)
        rc = job_table_fetch(c, experiment, 0, &out->arena, &out->jobs, err);
    for (size_t i = 0; rc == ERR_OK && i < out->cell_count; i++)
        rc = fill_cell(c, out, &out->cells[i], err);
    if (rc == ERR_OK)
        take_facts(out);
    json_decref(plan);
    return rc;
}

void collected_release(struct collected *c)
{
    arena_release(&c->arena);
    *c = (struct collected){0};
}
