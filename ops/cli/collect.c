#include "collect.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "format_writer.h"
#include "hash.h"
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

/* How the texts of a cell's sequences are drawn; the list is in the plan's own order. */
static void take_settings(struct collected *c, const json_t *list, struct stat_cell *cell)
{
    struct stat_setting *settings =
        arena_array(&c->arena, json_array_size(list) + 1, sizeof *settings);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        settings[i] = (struct stat_setting){
            .component = text_of(c, o, "component"),
            .temperature = json_number_value(json_object_get(o, "temperature")),
            .top_p = json_number_value(json_object_get(o, "top_p")),
            .top_k = json_integer_value(json_object_get(o, "top_k")),
            .draws = (uint32_t)json_integer_value(json_object_get(o, "draws")),
        };
    }
    cell->settings = settings;
    cell->setting_count = (uint32_t)json_array_size(list);
}

/* The rule of validity of a cell's task, read once per task. */
static enum err_code take_validator(struct collected *c, const json_t *rules,
                                    struct stat_cell *cell, struct cell_plan *plan, struct err *err)
{
    for (size_t i = 0; i < c->cell_count; i++) {
        if (c->plans[i].validator && strcmp(c->cells[i].task, cell->task) == 0) {
            plan->validator = c->plans[i].validator;
            cell->allowed = validator_allowed(plan->validator);
            return ERR_OK;
        }
    }
    struct validator *validator = arena_alloc(&c->arena, sizeof *validator);
    enum err_code rc =
        validator_from_json(json_object_get(rules, cell->task), &c->arena, validator, err);
    if (rc != ERR_OK)
        return err_wrap(err, "the stored plan: task '%s'", cell->task);
    plan->validator = validator;
    cell->allowed = validator_allowed(validator);
    return ERR_OK;
}

static enum err_code take_kind(const json_t *o, struct cell_plan *plan, struct err *err)
{
    const char *kind = json_string_value(json_object_get(o, "kind"));
    while (kind && plan->kind < RECORD_KIND_COUNT &&
           strcmp(record_kind_name(plan->kind), kind) != 0)
        plan->kind++;
    if (!kind || plan->kind == RECORD_KIND_COUNT)
        return err_set(err, ERR_VERSION,
                       "the stored plan has cells of kind '%s', which this version does not know",
                       kind ? kind : "");
    return ERR_OK;
}

static enum err_code take_cell(struct collected *c, const json_t *plan, const json_t *o,
                               struct err *err)
{
    static const enum stat_kind kinds[RECORD_KIND_COUNT] = {
        [RECORDS_SCORES] = STAT_SCORES,
        [RECORDS_CHOICES] = STAT_CHOICES,
        [RECORDS_SAMPLES] = STAT_SAMPLES,
    };
    struct cell_plan *own = &c->plans[c->cell_count];
    struct stat_cell *cell = &c->cells[c->cell_count];
    enum err_code rc = take_kind(o, own, err);
    if (rc != ERR_OK)
        return rc;
    own->jobs = texts_of(c, json_object_get(o, "jobs"), &own->job_count);
    own->terminator = json_is_true(json_object_get(o, "terminator"));
    *cell = (struct stat_cell){
        .family = text_of(c, o, "family"),
        .variant = text_of(c, o, "variant"),
        .format = text_of(c, o, "format"),
        .suite = text_of(c, o, "suite"),
        .task = text_of(c, o, "task"),
        .kind = kinds[own->kind],
        .seed = (uint64_t)json_integer_value(json_object_get(o, "seed")),
        .last_position = (uint32_t)json_integer_value(json_object_get(o, "k")),
        .permutations = (uint32_t)json_integer_value(json_object_get(o, "permutations")),
        .state = STAT_CELL_MISSING,
        .reason = "its job is not known to the coordinator",
        .pairing = text_of(c, o, "pairing"),
        .records_expected = (uint32_t)json_integer_value(json_object_get(o, "items")),
        .provenance = {.job = own->job_count ? own->jobs[0] : "",
                       .model = text_of(c, o, "model"),
                       .attempt = "",
                       .artifact = ""},
    };
    if (cell->kind == STAT_SAMPLES) {
        take_settings(c, json_object_get(o, "settings"), cell);
        rc = take_validator(c, json_object_get(plan, "validators"), cell, own, err);
    }
    c->cell_count++;
    return rc;
}

static enum err_code take_cells(struct collected *c, const json_t *plan, const char *task_glob,
                                struct err *err)
{
    const json_t *list = json_object_get(plan, "cells");
    enum err_code rc = ERR_OK;
    c->cells = arena_array(&c->arena, json_array_size(list), sizeof *c->cells);
    c->plans = arena_array(&c->arena, json_array_size(list), sizeof *c->plans);
    for (size_t i = 0; i < json_array_size(list) && rc == ERR_OK; i++) {
        const json_t *o = json_array_get(list, i);
        if (str_glob(task_glob, text_of(c, o, "task")))
            rc = take_cell(c, plan, o, err);
    }
    return rc;
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
        rc = take_cells(c, plan, task_glob, err);
        c->notes = texts_of(c, json_object_get(plan, "notes"), &c->note_count);
    }
    return rc;
}

/* ---- records ---- */

static struct stat_record score_of(const struct record *from, struct arena *keep)
{
    struct stat_entry *entries = NULL;
    if (from->part_count > 0)
        entries = arena_array(keep, from->part_count, sizeof *entries);
    for (uint16_t i = 0; i < from->part_count; i++)
        entries[i] = (struct stat_entry){from->entries[i].log_p, from->entries[i].right};
    return (struct stat_record){.content_nats = from->content_nats,
                                .terminator_nats = from->terminator_nats,
                                .greedy_nats = from->greedy_nats,
                                .entries = entries,
                                .entry_count = from->part_count,
                                .token_count = from->token_count,
                                .hit_tokens = from->hit_tokens,
                                .first_hit = from->first_hit,
                                .hit = from->hit};
}

static struct stat_record choice_of(const struct record *from, const struct cell_plan *plan)
{
    double target[RECORD_CHOICES_MAX], log_p[RECORD_CHOICES_MAX];
    for (uint16_t i = 0; i < from->part_count; i++) {
        const struct record_choice *choice = &from->choices[i];
        target[i] = choice->target;
        log_p[i] = -choice->content_nats - (plan->terminator ? choice->terminator_nats : 0.0);
    }
    return (struct stat_record){
        .choice = divergence_measure(target, log_p, from->part_count, DIVERGENCE_EPSILON)};
}

static struct stat_record sample_of(const struct record *from, const struct cell_plan *plan,
                                    struct arena *keep)
{
    const char *text = format_trimmed(keep, arena_strdup(keep, from->text));
    return (struct stat_record){.text = text,
                                .nats = from->content_nats,
                                .sampled_tokens = from->token_count,
                                .valid =
                                    plan->validator && validator_accepts(plan->validator, text),
                                .ended = from->ended};
}

static void take_batch(struct stat_cell *cell, const struct cell_plan *plan, struct stat_record *to,
                       const struct record_batch *batch, struct arena *keep)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct record *from = &batch->records[i];
        struct stat_record *record = &to[cell->record_count++];
        switch (batch->kind) {
        case RECORDS_SCORES:
            *record = score_of(from, keep);
            break;
        case RECORDS_CHOICES:
            *record = choice_of(from, plan);
            break;
        case RECORDS_SAMPLES:
            *record = sample_of(from, plan, keep);
            break;
        case RECORD_KIND_COUNT:
            UNREACHABLE("records_decode() lets no such batch through");
        }
        record->sequence = from->sequence;
        record->position = from->position;
    }
}

/* Read all batches of a job's committed attempt into the cell, which has room for them. */
static enum err_code fetch_records(struct connection *c, const struct job_row *row,
                                   const struct cell_plan *plan, struct stat_cell *cell,
                                   struct arena *keep, struct err *err)
{
    struct stat_record *records = (struct stat_record *)(uintptr_t)cell->records;
    struct msg request = {.kind = MSG_READ_STREAM,
                          .read_stream = {.job = row->job, .stream = STREAM_RECORDS}};
    enum err_code rc = ERR_OK;
    bool is_over = false;
    while (rc == ERR_OK && !is_over) {
        struct arena arena = {0};
        struct msg reply;
        rc = connection_call(c, &request, MSG_BATCHES, &arena, &reply, err);
        for (size_t i = 0; rc == ERR_OK && i < reply.batches.payload_count; i++) {
            const struct bytes payload = reply.batches.payloads[i];
            struct record_batch batch;
            rc = records_decode(payload.data, payload.len, &arena, &batch, err);
            if (rc == ERR_OK && cell->record_count + (uint64_t)batch.count > plan->room)
                rc = err_set(err, ERR_CORRUPT, "more than the %" PRIu64 " items of the plan",
                             plan->room);
            if (rc == ERR_OK && batch.kind != plan->kind)
                rc = err_set(err, ERR_CORRUPT, "%s where the plan expects %s",
                             record_kind_name(batch.kind), record_kind_name(plan->kind));
            if (rc == ERR_OK)
                take_batch(cell, plan, records, &batch, keep);
        }
        if (rc == ERR_OK) {
            is_over = reply.batches.end || reply.batches.payload_count == 0;
            request.read_stream.from += (uint32_t)reply.batches.payload_count;
            cell->provenance.attempt = arena_printf(keep, "%" PRIu32, reply.batches.epoch);
        }
        arena_release(&arena);
    }
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

/* Is every share of the cell done? If not, the cell says why. */
static bool is_ready(struct collected *out, const struct cell_plan *plan, struct stat_cell *cell)
{
    size_t done = 0;
    const char *reason = NULL;
    for (size_t i = 0; i < plan->job_count; i++) {
        const struct job_row *row = find_row(&out->jobs, plan->jobs[i]);
        if (row && row->state == JOB_DONE)
            done++;
        else if (!reason && row)
            reason = job_table_state_text(row, &out->arena);
    }
    if (done == plan->job_count)
        return true;
    if (!reason)
        reason = "its job is not known to the coordinator";
    cell->reason = plan->job_count == 1
                       ? reason
                       : arena_printf(&out->arena, "%zu of %zu shares are done; %s", done,
                                      plan->job_count, reason);
    return false;
}

static enum err_code fill_cell(struct connection *c, struct collected *out, size_t index,
                               struct err *err)
{
    struct stat_cell *cell = &out->cells[index];
    struct cell_plan *plan = &out->plans[index];
    enum err_code rc = ERR_OK;
    if (!is_ready(out, plan, cell)) {
        out->missing_count++;
        return ERR_OK;
    }
    struct hash_state digests;
    hash_init(&digests);
    for (size_t i = 0; i < plan->job_count; i++)
        plan->room += find_row(&out->jobs, plan->jobs[i])->items;
    cell->state = STAT_CELL_PRESENT;
    cell->reason = NULL;
    cell->records = arena_array(&out->arena, (size_t)plan->room + 1, sizeof *cell->records);
    for (size_t i = 0; i < plan->job_count && rc == ERR_OK; i++) {
        const struct job_row *row = find_row(&out->jobs, plan->jobs[i]);
        hash_update(&digests, &row->records, sizeof row->records);
        rc = fetch_records(c, row, plan, cell, &out->arena, err);
    }
    /* One share: its own digest; several: the digest of theirs. */
    char hex[DIGEST_HEX_SIZE];
    struct digest digest = hash_final(&digests);
    if (plan->job_count == 1)
        digest = find_row(&out->jobs, plan->jobs[0])->records;
    cell->provenance.artifact = arena_strdup(&out->arena, digest_hex(&digest, hex));
    return rc;
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
        rc = fill_cell(c, out, i, err);
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
