/* The state as JSON: one document, replaced as a whole. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "alloc_state.h"
#include "check.h"

#define ALLOC_FORMAT 1

static json_int_t whole(uint64_t value)
{
    return (json_int_t)value;
}

static json_t *print_arguments(const struct alloc_queue_options *o)
{
    json_t *list = json_array();
    for (size_t i = 0; i < o->argument_count; i++) {
        json_array_append_new(list, json_string(o->arguments[i]));
    }
    return list;
}

static json_t *print_jobs(const struct alloc_queue *queue)
{
    json_t *list = json_array();
    for (size_t i = 0; i < queue->job_count; i++) {
        const struct alloc_job *j = &queue->jobs[i];
        json_t *item = json_pack(
            "{s:I, s:i, s:i, s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:s}", "number", whole(j->number),
            "state", (int)j->state, "end", (int)j->end, "batch_id", j->batch_id, "registered",
            j->registered, "cancel_wanted", j->cancel_wanted, "missed", whole(j->missed),
            "submitted_ms", (json_int_t)j->submitted_ms, "started_ms", (json_int_t)j->started_ms,
            "ended_ms", (json_int_t)j->ended_ms, "text", j->text);
        ASSERT(item != NULL);
        json_array_append_new(list, item);
    }
    return list;
}

/* Oldest first, so that reading them in again fills the ring from its beginning. */
static json_t *print_notes(const struct alloc_queue *queue)
{
    json_t *list = json_array();
    size_t kept = queue->note_count < ALLOC_NOTES_KEPT ? queue->note_count : ALLOC_NOTES_KEPT;
    for (size_t i = queue->note_count - kept; i < queue->note_count; i++) {
        const struct alloc_note *note = &queue->notes[i % ALLOC_NOTES_KEPT];
        json_array_append_new(list, json_pack("{s:I, s:s}", "time_ms", (json_int_t)note->time_ms,
                                              "text", note->text));
    }
    return list;
}

static json_t *print_options(const struct alloc_queue_options *o)
{
    json_t *object =
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:s, s:s, s:o}", "name",
                  o->name, "ranks", whole(o->ranks > 1 ? o->ranks : 1), "cores", whole(o->cores),
                  "memory_bytes", whole(o->memory_bytes), "time_ms", (json_int_t)o->time_ms,
                  "workers_max", whole(o->workers_max), "backlog", whole(o->backlog), "idle_ms",
                  (json_int_t)o->idle_ms, "labels", o->labels ? o->labels : "", "access",
                  o->access ? o->access : "", "folder", o->folder ? o->folder : "", "data_listen",
                  o->data_listen ? o->data_listen : "", "arguments", print_arguments(o));
    ASSERT(object != NULL); /* texts are checked UTF-8 */
    return object;
}

static json_t *print_queue(const struct alloc_queue *q)
{
    json_t *object = print_options(&q->options);
    json_t *state = json_pack(
        "{s:b, s:s, s:I, s:I, s:I, s:I, s:o, s:o}", "paused", q->paused, "reason", q->reason,
        "submit_errors", whole(q->submit_errors), "failures", whole(q->failures), "not_before_ms",
        (json_int_t)q->not_before_ms, "surplus_since_ms", (json_int_t)q->surplus_since_ms, "jobs",
        print_jobs(q), "notes", print_notes(q));
    ASSERT(state != NULL && json_object_update(object, state) == 0);
    json_decref(state);
    return object;
}

static void dump(json_t *document, struct strbuf *out)
{
    char *text = json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS);
    ASSERT(text != NULL);
    strbuf_puts(out, text);
    free(text);
    json_decref(document);
}

void alloc_print(const struct alloc *alloc, struct strbuf *out)
{
    json_t *queues = json_array();
    for (size_t i = 0; i < alloc->queue_count; i++) {
        json_array_append_new(queues, print_queue(alloc->queues[i]));
    }
    json_t *document =
        json_pack("{s:i, s:s, s:I, s:o}", "triad_alloc", ALLOC_FORMAT, "tag", alloc->tag,
                  "number_last", whole(alloc->number_last), "queues", queues);
    ASSERT(document != NULL);
    dump(document, out);
}

/* ---- reading ---- */

static enum err_code corrupt(struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "stored allocations: %s", what);
}

static bool take(char *out, size_t out_bytes, const char *text)
{
    size_t len = strlen(text);
    if (len >= out_bytes) {
        return false;
    }
    memcpy(out, text, len + 1);
    return true;
}

static bool is_below(json_int_t value, json_int_t end)
{
    return value >= 0 && value < end;
}

static enum err_code parse_job(json_t *item, struct alloc_queue *queue, struct err *err)
{
    struct alloc_job job = {0};
    json_int_t number, missed, submitted, started, ended;
    const char *batch_id, *text;
    int state, end, registered, cancel_wanted;
    if (json_unpack(item, "{s:I, s:i, s:i, s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:s}", "number",
                    &number, "state", &state, "end", &end, "batch_id", &batch_id, "registered",
                    &registered, "cancel_wanted", &cancel_wanted, "missed", &missed, "submitted_ms",
                    &submitted, "started_ms", &started, "ended_ms", &ended, "text", &text) != 0 ||
        !is_below(state, ALLOC_ENDED + 1) || !is_below(end, ALLOC_END_COUNT) || number < 1 ||
        !is_below(missed, UINT32_MAX) || !take(job.batch_id, sizeof job.batch_id, batch_id) ||
        !take(job.text, sizeof job.text, text)) {
        return corrupt(err, "an allocation is damaged");
    }
    job.number = (uint64_t)number;
    job.state = (enum alloc_state)state;
    job.end = (enum alloc_end)end;
    job.registered = registered != 0;
    job.cancel_wanted = cancel_wanted != 0;
    job.missed = (uint32_t)missed;
    job.submitted_ms = submitted;
    job.started_ms = started;
    job.ended_ms = ended;
    alloc_job_add(queue, &job);
    return ERR_OK;
}

/* `arguments_out` holds ALLOC_ARGUMENTS_MAX; strings are borrowed from `item`. */
static enum err_code parse_options(json_t *item, const char **arguments_out,
                                   struct alloc_queue_options *out, struct err *err)
{
    json_int_t cores, memory, time, workers, backlog, idle, ranks = 1;
    json_t *arguments;
    const char *name;
    /* Queues of older coordinators say nothing of ranks and data_listen. */
    *out = (struct alloc_queue_options){.arguments = arguments_out, .data_listen = ""};
    if (json_unpack(item, "{s:s, s?I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:s, s?s, s:o}",
                    "name", &name, "ranks", &ranks, "cores", &cores, "memory_bytes", &memory,
                    "time_ms", &time, "workers_max", &workers, "backlog", &backlog, "idle_ms",
                    &idle, "labels", &out->labels, "access", &out->access, "folder", &out->folder,
                    "data_listen", &out->data_listen, "arguments", &arguments) != 0 ||
        !take(out->name, sizeof out->name, name) || !is_below(cores, UINT32_MAX) || memory < 0 ||
        !is_below(ranks, UINT32_MAX) || !is_below(workers, UINT32_MAX) ||
        !is_below(backlog, UINT32_MAX) || idle < 0 || !json_is_array(arguments) ||
        json_array_size(arguments) > ALLOC_ARGUMENTS_MAX) {
        return err_set(err, ERR_INVALID, "the queue's description is incomplete or out of range");
    }
    out->cores = (uint32_t)cores;
    out->ranks = (uint32_t)ranks;
    out->memory_bytes = (uint64_t)memory;
    out->time_ms = time;
    out->workers_max = (uint32_t)workers;
    out->backlog = (uint32_t)backlog;
    out->idle_ms = idle;
    out->argument_count = json_array_size(arguments);
    for (size_t i = 0; i < out->argument_count; i++) {
        out->arguments[i] = json_string_value(json_array_get(arguments, i));
        if (out->arguments[i] == NULL) {
            return err_set(err, ERR_INVALID, "an argument of the queue is no text");
        }
    }
    return alloc_options_check(out, err);
}

enum err_code alloc_options_parse(const char *text, size_t len, struct arena *arena,
                                  struct alloc_queue_options *out, struct err *err)
{
    const char **arguments = arena_array(arena, ALLOC_ARGUMENTS_MAX, sizeof *arguments);
    json_t *item = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    enum err_code rc = item != NULL
                           ? parse_options(item, arguments, out, err)
                           : err_set(err, ERR_INVALID, "the queue's description is no JSON");
    if (rc == ERR_OK) {
        out->labels = arena_strdup(arena, out->labels);
        out->access = arena_strdup(arena, out->access);
        out->folder = arena_strdup(arena, out->folder);
        out->data_listen = arena_strdup(arena, out->data_listen);
        for (size_t i = 0; i < out->argument_count; i++) {
            out->arguments[i] = arena_strdup(arena, out->arguments[i]);
        }
    }
    json_decref(item);
    return rc;
}

static enum err_code parse_state(json_t *item, struct alloc_queue *queue, struct err *err)
{
    json_int_t submit_errors, failures, not_before, surplus;
    json_t *jobs, *notes, *entry;
    const char *reason;
    size_t i;
    int paused;
    enum err_code rc = ERR_OK;
    if (json_unpack(item, "{s:b, s:s, s:I, s:I, s:I, s:I, s:o, s:o}", "paused", &paused, "reason",
                    &reason, "submit_errors", &submit_errors, "failures", &failures,
                    "not_before_ms", &not_before, "surplus_since_ms", &surplus, "jobs", &jobs,
                    "notes", &notes) != 0 ||
        !take(queue->reason, sizeof queue->reason, reason) ||
        !is_below(submit_errors, UINT32_MAX) || !is_below(failures, UINT32_MAX) ||
        !json_is_array(jobs) || !json_is_array(notes) ||
        json_array_size(jobs) > ALLOC_WORKERS_MAX + ALLOC_ENDED_KEPT) {
        return corrupt(err, "a queue's state is damaged");
    }
    queue->paused = paused != 0;
    queue->submit_errors = (uint32_t)submit_errors;
    queue->failures = (uint32_t)failures;
    queue->not_before_ms = not_before;
    queue->surplus_since_ms = surplus;
    json_array_foreach(jobs, i, entry)
    {
        rc = rc != ERR_OK ? rc : parse_job(entry, queue, err);
    }
    json_array_foreach(notes, i, entry)
    {
        struct alloc_note *note = &queue->notes[queue->note_count++ % ALLOC_NOTES_KEPT];
        json_int_t time_ms;
        const char *text;
        if (json_unpack(entry, "{s:I, s:s}", "time_ms", &time_ms, "text", &text) != 0 ||
            !take(note->text, sizeof note->text, text)) {
            return corrupt(err, "a note is damaged");
        }
        note->time_ms = time_ms;
    }
    return rc;
}

static enum err_code parse_queue(json_t *item, struct alloc *alloc, struct err *err)
{
    const char *arguments[ALLOC_ARGUMENTS_MAX];
    struct alloc_queue_options options;
    enum err_code rc = parse_options(item, arguments, &options, err);
    if (rc != ERR_OK) {
        err_wrap(err, "stored allocations");
        err->code = ERR_CORRUPT;
        return ERR_CORRUPT;
    }
    if (rc == ERR_OK && alloc_queue_find(alloc, options.name) != NULL) {
        rc = corrupt(err, "two queues have one name");
    }
    if (rc != ERR_OK) {
        return rc;
    }
    struct alloc_queue *queue = alloc_queue_new(&options);
    alloc->queues[alloc->queue_count++] = queue; /* released with the state, also after a failure */
    return parse_state(item, queue, err);
}

enum err_code alloc_parse(const char *text, size_t len, struct alloc **out, struct err *err)
{
    json_int_t number_last;
    json_t *queues, *item;
    const char *tag;
    size_t i;
    int format;
    struct alloc *alloc = NULL;
    enum err_code rc = ERR_OK;
    json_t *document = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    if (document == NULL ||
        json_unpack(document, "{s:i, s:s, s:I, s:o}", "triad_alloc", &format, "tag", &tag,
                    "number_last", &number_last, "queues", &queues) != 0 ||
        format != ALLOC_FORMAT || strlen(tag) >= sizeof alloc->tag || number_last < 0 ||
        !json_is_array(queues) || json_array_size(queues) > ALLOC_QUEUES_MAX) {
        json_decref(document);
        return corrupt(err, "not a document of allocations");
    }
    alloc = alloc_new(tag);
    alloc->number_last = (uint64_t)number_last;
    json_array_foreach(queues, i, item)
    {
        rc = rc != ERR_OK ? rc : parse_queue(item, alloc, err);
    }
    json_decref(document);
    if (rc != ERR_OK) {
        alloc_free(alloc);
        return rc;
    }
    *out = alloc;
    return ERR_OK;
}

/* ---- for people ---- */

#define SHOWN_JOBS_MAX 300 /* the latest: a reply has one frame */

static json_t *show_jobs(const struct alloc_queue *q)
{
    json_t *jobs = json_array();
    size_t first = q->job_count > SHOWN_JOBS_MAX ? q->job_count - SHOWN_JOBS_MAX : 0;
    for (size_t i = first; i < q->job_count; i++) {
        const struct alloc_job *j = &q->jobs[i];
        json_t *item = json_pack(
            "{s:I, s:s, s:s, s:s, s:b, s:I, s:I, s:I, s:s}", "number", whole(j->number), "batch_id",
            j->batch_id, "state", alloc_state_name(j->state), "end", alloc_end_name(j->end),
            "registered", j->registered, "submitted_ms", (json_int_t)j->submitted_ms, "started_ms",
            (json_int_t)j->started_ms, "ended_ms", (json_int_t)j->ended_ms, "text", j->text);
        ASSERT(item != NULL);
        json_array_append_new(jobs, item);
    }
    return jobs;
}

static json_t *show_queue(const struct alloc_queue *q, bool whole_of_it)
{
    json_int_t open[ALLOC_ENDED] = {0};
    json_t *object = print_options(&q->options);
    for (size_t i = 0; i < q->job_count; i++) {
        if (q->jobs[i].state != ALLOC_ENDED) {
            open[q->jobs[i].state]++;
        }
    }
    json_t *state = json_pack("{s:b, s:s, s:I, s:I, s:I}", "paused", q->paused, "reason", q->reason,
                              "submitting", open[ALLOC_SUBMITTING], "pending", open[ALLOC_PENDING],
                              "running", open[ALLOC_RUNNING]);
    ASSERT(state != NULL && json_object_update(object, state) == 0);
    json_decref(state);
    if (whole_of_it) {
        json_object_set_new(object, "allocations", show_jobs(q));
        json_object_set_new(object, "notes", print_notes(q));
    }
    return object;
}

void alloc_show(const struct alloc *alloc, const char *queue, struct strbuf *out)
{
    json_t *queues = json_array();
    for (size_t i = 0; i < alloc->queue_count; i++) {
        const struct alloc_queue *q = alloc->queues[i];
        if (queue == NULL || strcmp(q->options.name, queue) == 0) {
            json_array_append_new(queues, show_queue(q, queue != NULL));
        }
    }
    dump(json_pack("{s:s, s:o}", "schema", "triad.alloc/1", "queues", queues), out);
}
