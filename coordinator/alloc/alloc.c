#include "alloc.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc_state.h"
#include "check.h"
#include "labels.h"

const char *alloc_state_name(enum alloc_state state)
{
    static const char *const names[] = {"submitting", "pending", "running", "ended"};
    return names[state];
}

const char *alloc_end_name(enum alloc_end end)
{
    static const char *const names[ALLOC_END_COUNT] = {"",
                                                       "done",
                                                       "walltime",
                                                       "preempted",
                                                       "node-fail",
                                                       "cancelled",
                                                       "cancelled outside",
                                                       "failed",
                                                       "never registered",
                                                       "submit error"};
    return names[end];
}

/* ---- state ---- */

struct alloc *alloc_new(const char *tag)
{
    struct alloc *alloc = calloc(1, sizeof *alloc);
    ASSERT(alloc != NULL && strlen(tag) < sizeof alloc->tag);
    snprintf(alloc->tag, sizeof alloc->tag, "%s", tag);
    return alloc;
}

static void drop(const char *text)
{
    free((char *)(uintptr_t)text);
}

static void alloc_queue_free(struct alloc_queue *queue)
{
    for (size_t i = 0; i < queue->options.argument_count; i++) {
        drop(queue->options.arguments[i]);
    }
    free(queue->options.arguments);
    drop(queue->options.labels);
    drop(queue->options.access);
    drop(queue->options.folder);
    drop(queue->options.data_listen);
    free(queue->jobs);
    free(queue);
}

void alloc_free(struct alloc *alloc)
{
    if (alloc == NULL) {
        return;
    }
    for (size_t i = 0; i < alloc->queue_count; i++) {
        alloc_queue_free(alloc->queues[i]);
    }
    free(alloc);
}

static const char *copy(const char *text)
{
    char *own = strdup(text != NULL ? text : "");
    ASSERT(own != NULL);
    return own;
}

struct alloc_queue *alloc_queue_new(const struct alloc_queue_options *options)
{
    struct alloc_queue *queue = calloc(1, sizeof *queue);
    ASSERT(queue != NULL);
    queue->options = *options;
    queue->options.labels = copy(options->labels);
    queue->options.access = copy(options->access);
    queue->options.folder = copy(options->folder);
    queue->options.data_listen = copy(options->data_listen);
    queue->options.arguments = NULL;
    if (options->argument_count > 0) {
        queue->options.arguments = calloc(options->argument_count, sizeof *options->arguments);
        ASSERT(queue->options.arguments != NULL);
    }
    for (size_t i = 0; i < options->argument_count; i++) {
        queue->options.arguments[i] = copy(options->arguments[i]);
    }
    return queue;
}

struct alloc_job *alloc_job_add(struct alloc_queue *queue, const struct alloc_job *job)
{
    struct alloc_job *grown = realloc(queue->jobs, (queue->job_count + 1) * sizeof *grown);
    ASSERT(grown != NULL);
    queue->jobs = grown;
    queue->jobs[queue->job_count] = *job;
    return &queue->jobs[queue->job_count++];
}

size_t alloc_queue_count(const struct alloc *alloc)
{
    return alloc->queue_count;
}

const struct alloc_queue *alloc_queue_at(const struct alloc *alloc, size_t index)
{
    ASSERT(index < alloc->queue_count);
    return alloc->queues[index];
}

static struct alloc_queue *find(const struct alloc *alloc, const char *name)
{
    for (size_t i = 0; i < alloc->queue_count; i++) {
        if (strcmp(alloc->queues[i]->options.name, name) == 0) {
            return alloc->queues[i];
        }
    }
    return NULL;
}

const struct alloc_queue *alloc_queue_find(const struct alloc *alloc, const char *name)
{
    return find(alloc, name);
}

void alloc_job_name(const struct alloc *alloc, const struct alloc_queue *queue, uint64_t number,
                    char out[96])
{
    snprintf(out, 96, "triad-%s-%s-%" PRIu64, alloc->tag, queue->options.name, number);
}

void alloc_text(char out[ALLOC_TEXT_BYTES], const char *format, ...)
{
    char raw[2 * ALLOC_TEXT_BYTES];
    struct strbuf clean = {0};
    va_list args;
    va_start(args, format);
    vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    strbuf_append_clean(&clean, raw, strlen(raw));
    size_t len = clean.len < ALLOC_TEXT_BYTES ? clean.len : ALLOC_TEXT_BYTES - 1;
    len = str_whole_characters(strbuf_text(&clean), len);
    memcpy(out, strbuf_text(&clean), len);
    out[len] = '\0';
    strbuf_release(&clean);
}

static bool name_is_good(const char *name)
{
    const size_t len = strnlen(name, ALLOC_NAME_BYTES);
    bool good = len > 0 && len < ALLOC_NAME_BYTES;
    for (size_t i = 0; good && i < len; i++) {
        good = isalnum((unsigned char)name[i]) || name[i] == '_' || (name[i] == '-' && i > 0);
    }
    return good;
}

enum err_code alloc_options_check(const struct alloc_queue_options *options, struct err *err)
{
    if (!name_is_good(options->name)) {
        return err_set(err, ERR_INVALID,
                       "a queue's name has 1 to %d letters, digits, '-' and '_' and does not begin "
                       "with '-'",
                       ALLOC_NAME_BYTES - 1);
    }
    if (options->ranks > 1024) {
        return err_set(err, ERR_INVALID, "an allocation has 1 to 1024 ranks, not %u",
                       options->ranks);
    }
    if (options->cores < 1 || options->cores > 4096) {
        return err_set(err, ERR_INVALID, "an allocation has 1 to 4096 cores, not %u",
                       options->cores);
    }
    if (options->time_ms < 2 * ALLOC_TIME_MARGIN_MS) {
        return err_set(
            err, ERR_INVALID,
            "an allocation must last at least %d minutes: the last minute is for leaving "
            "in order",
            2 * ALLOC_TIME_MARGIN_MS / 60000);
    }
    if (options->workers_max < 1 || options->workers_max > ALLOC_WORKERS_MAX ||
        options->backlog < 1 || options->backlog > options->workers_max) {
        return err_set(err, ERR_INVALID, "allow 1 to %d workers, and 1 to as many pending at once",
                       ALLOC_WORKERS_MAX);
    }
    if (options->labels != NULL && *options->labels != '\0') {
        struct strbuf sorted = {0};
        enum err_code rc = labels_parse(options->labels, &sorted, err);
        strbuf_release(&sorted);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    char host[128];
    long long port;
    if (options->data_listen != NULL && *options->data_listen != '\0' &&
        !str_host_port(options->data_listen, host, sizeof host, &port)) {
        return err_set(err, ERR_INVALID, "--data-listen wants HOST or HOST:PORT, not '%s'",
                       options->data_listen);
    }
    if (options->argument_count > ALLOC_ARGUMENTS_MAX) {
        return err_set(err, ERR_LIMIT, "more than %d arguments for sbatch", ALLOC_ARGUMENTS_MAX);
    }
    return ERR_OK;
}

/* ---- acts of a person ---- */

static enum err_code add(struct alloc_step_state *s, struct err *err)
{
    enum err_code rc = alloc_options_check(s->event->options, err);
    if (rc != ERR_OK) {
        return rc;
    }
    if (find(s->alloc, s->event->options->name) != NULL) {
        return err_set(err, ERR_CONFLICT, "a queue named '%s' is there already",
                       s->event->options->name);
    }
    if (s->alloc->queue_count == ALLOC_QUEUES_MAX) {
        return err_set(err, ERR_LIMIT, "there are %d queues already", ALLOC_QUEUES_MAX);
    }
    struct alloc_queue *queue = alloc_queue_new(s->event->options);
    s->alloc->queues[s->alloc->queue_count++] = queue;
    alloc_decide(s, queue, true, "added");
    return ERR_OK;
}

static enum err_code on_queue(struct alloc_step_state *s, struct err *err)
{
    struct alloc_queue *queue = find(s->alloc, s->event->queue);
    if (queue == NULL) {
        return err_set(err, ERR_NOT_FOUND, "no queue is called '%s'; 'triad alloc list' shows them",
                       s->event->queue);
    }
    if (s->event->kind == ALLOC_EV_PAUSE) {
        alloc_pause(s, queue, "paused by a person; what is pending or runs goes on");
    } else if (s->event->kind == ALLOC_EV_RESUME) {
        queue->paused = false;
        queue->submit_errors = queue->failures = 0;
        queue->not_before_ms = 0;
        alloc_decide(s, queue, true, "resumed");
    } else {
        size_t at = 0;
        for (size_t i = 0; i < queue->job_count; i++) {
            if (alloc_job_is_open(&queue->jobs[i])) {
                alloc_job_cancel(s, &queue->jobs[i]);
            }
        }
        while (s->alloc->queues[at] != queue) {
            at++;
        }
        s->alloc->queue_count--;
        memmove(&s->alloc->queues[at], &s->alloc->queues[at + 1],
                (s->alloc->queue_count - at) * sizeof *s->alloc->queues);
        alloc_queue_free(queue);
    }
    s->out->changed = true;
    return ERR_OK;
}

enum err_code alloc_step(struct alloc *alloc, const struct alloc_event *event, struct arena *arena,
                         struct alloc_actions *out, struct err *err)
{
    struct alloc_step_state s = {alloc, event, arena, out};
    *out = (struct alloc_actions){0};
    switch (event->kind) {
    case ALLOC_EV_ADD:
        return add(&s, err);
    case ALLOC_EV_REMOVE:
    case ALLOC_EV_PAUSE:
    case ALLOC_EV_RESUME:
        return on_queue(&s, err);
    case ALLOC_EV_TICK:
        alloc_tick(&s);
        break;
    case ALLOC_EV_SUBMITTED:
        alloc_take_submitted(&s);
        break;
    case ALLOC_EV_SUBMIT_FAILED:
        alloc_take_submit_failed(&s);
        break;
    case ALLOC_EV_SUBMIT_UNSURE:
        alloc_take_submit_unsure(&s);
        break;
    case ALLOC_EV_LISTED:
        alloc_take_listing(&s);
        break;
    case ALLOC_EV_LIST_FAILED:
        alloc_take_list_failed(&s);
        break;
    case ALLOC_EV_WORKER:
        alloc_take_worker(&s);
        break;
    }
    return ERR_OK;
}
