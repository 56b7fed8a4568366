#include "slurm.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "str.h"

/* Seconds before the wall time at which Slurm tells the worker: it then checkpoints, delivers and
 * leaves within what is left. */
#define SIGNAL_S 60

struct words {
    const char **items;
    size_t count;
};

static void add(struct words *words, const char *word)
{
    words->items[words->count++] = word;
}

const char *const *slurm_submit_command(const struct alloc_queue_options *queue,
                                        const struct slurm_worker *worker, bool dry_run,
                                        struct arena *arena)
{
    struct words words = {arena_array(arena, 16 + queue->argument_count, sizeof(char *)), 0};
    add(&words, "sbatch");
    add(&words, dry_run ? "--test-only" : "--parsable");
    add(&words, arena_printf(arena, "--job-name=%s", worker->name));
    if (queue->ranks <= 1) {
        add(&words, "--nodes=1");
    }
    add(&words, arena_printf(arena, "--ntasks=%u", queue->ranks > 1 ? queue->ranks : 1));
    add(&words, arena_printf(arena, "--cpus-per-task=%u", queue->cores));
    /* Minutes, rounded down: never more than what was asked for. */
    add(&words, arena_printf(arena, "--time=%" PRId64, queue->time_ms / 60000));
    add(&words, arena_printf(arena, "--signal=B:TERM@%d", SIGNAL_S));
    add(&words, "--no-requeue"); /* a new allocation is asked for instead, if it is still needed */
    add(&words, arena_printf(arena, "--output=%s", worker->log));
    if (queue->memory_bytes > 0 && queue->ranks > 1) {
        /* How many tasks come to lie on a node is Slurm's choice. */
        const uint64_t each = (queue->memory_bytes + queue->cores - 1) / queue->cores;
        add(&words,
            arena_printf(arena, "--mem-per-cpu=%" PRIu64 "M", (each + (1 << 20) - 1) >> 20));
    } else if (queue->memory_bytes > 0) {
        add(&words,
            arena_printf(arena, "--mem=%" PRIu64 "M", (queue->memory_bytes + (1 << 20) - 1) >> 20));
    }
    for (size_t i = 0; i < queue->argument_count; i++) {
        add(&words, queue->arguments[i]);
    }
    return words.items;
}

/* 'text' for a shell, whatever is in it. */
static const char *quoted(const char *text, struct arena *arena)
{
    struct strbuf out = {0};
    strbuf_putc(&out, '\'');
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\'') {
            strbuf_puts(&out, "'\\''");
        } else {
            strbuf_putc(&out, *c);
        }
    }
    strbuf_putc(&out, '\'');
    const char *copy = arena_strdup(arena, strbuf_text(&out));
    strbuf_release(&out);
    return copy;
}

const char *slurm_script(const struct alloc_queue_options *queue, const struct slurm_worker *worker,
                         struct arena *arena)
{
    const bool has_labels = queue->labels != NULL && *queue->labels != '\0';
    const bool serves = queue->data_listen != NULL && *queue->data_listen != '\0';
    const char *memory = queue->memory_bytes > 0
                             ? arena_printf(arena, " --memory %" PRIu64, queue->memory_bytes)
                             : "";
    /* exec: the signal before the end reaches the worker, not a shell. */
    return arena_printf(
        arena,
        "#!/bin/sh\n"
        "exec %s --access %s --dir %s --name %s --threads %u%s \\\n"
        "    --drain-when-idle %" PRId64 " --grace %d%s%s%s%s\n",
        quoted(worker->program, arena), quoted(worker->access, arena),
        quoted(worker->folder, arena), quoted(worker->name, arena), queue->cores, memory,
        queue->idle_ms > 0 ? (queue->idle_ms + 999) / 1000 : 1, SIGNAL_S - 10,
        has_labels ? " --label " : "", has_labels ? quoted(queue->labels, arena) : "",
        serves ? " --data-listen " : "", serves ? quoted(queue->data_listen, arena) : "");
}

const char *slurm_shown(const char *const *command, const char *script, struct arena *arena)
{
    struct strbuf out = {0};
    for (size_t i = 0; command[i] != NULL; i++) {
        const bool is_plain =
            command[i][strcspn(command[i], " \t\n'\"\\$`&|;<>()*?[]#~!{}")] == '\0';
        strbuf_printf(&out, "%s%s", i > 0 ? " " : "",
                      is_plain && *command[i] ? command[i] : quoted(command[i], arena));
    }
    strbuf_printf(&out, " <<'SCRIPT'\n%sSCRIPT", script);
    const char *copy = arena_strdup(arena, strbuf_text(&out));
    strbuf_release(&out);
    return copy;
}

const char *slurm_batch_id(const char *text, struct arena *arena)
{
    size_t len = strspn(text, "0123456789");
    const char *end = text + len;
    if (len == 0 || len >= ALLOC_BATCH_ID_BYTES || (*end != '\0' && *end != '\n' && *end != ';')) {
        return NULL;
    }
    return arena_strndup(arena, text, len);
}

bool slurm_may_have_taken(const char *complaint)
{
    /* Slurm's slurm_errno.c: what it says when it has sent a request and heard nothing. */
    static const char *const signs[] = {"timed out", "Zero Bytes were transmitted or received",
                                        "receive failure"};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        if (strstr(complaint, signs[i]) != NULL) {
            return true;
        }
    }
    return false;
}

const char *const *slurm_list_command(const char *names, struct arena *arena)
{
    struct words words = {arena_array(arena, 8, sizeof(char *)), 0};
    add(&words, "squeue");
    add(&words, "--noheader");
    add(&words, "--states=all");
    add(&words, arena_printf(arena, "--name=%s", names));
    add(&words, "--format=%i|%j|%T|%r");
    return words.items;
}

/* The next field of a line, up to '|' or its end; NULL when there is none. */
static char *field(char **rest)
{
    char *begin = *rest;
    if (begin == NULL) {
        return NULL;
    }
    char *bar = strchr(begin, '|');
    if (bar != NULL) {
        *bar = '\0';
    }
    *rest = bar != NULL ? bar + 1 : NULL;
    return begin;
}

enum err_code slurm_list_parse(const char *text, size_t len, struct arena *arena,
                               struct alloc_listed **rows_out, size_t *count_out, struct err *err)
{
    size_t lines = 1;
    for (size_t i = 0; i < len; i++) {
        lines += text[i] == '\n';
    }
    struct alloc_listed *rows = arena_array(arena, lines, sizeof *rows);
    size_t count = 0;
    for (size_t at = 0; at < len;) {
        const char *newline = memchr(text + at, '\n', len - at);
        size_t line_len = newline != NULL ? (size_t)(newline - text) - at : len - at;
        char *rest = arena_strndup(arena, text + at, line_len);
        const char *line = arena_strndup(arena, rest, line_len < 80 ? line_len : 80);
        at += line_len + 1;
        if (line_len == 0) {
            continue;
        }
        struct alloc_listed row = {0};
        row.batch_id = field(&rest);
        row.name = field(&rest);
        row.state = field(&rest);
        row.text = rest != NULL ? rest : "";
        if (row.state == NULL || slurm_batch_id(row.batch_id, arena) == NULL ||
            strlen(row.batch_id) >= ALLOC_BATCH_ID_BYTES) {
            struct strbuf clean = {0};
            strbuf_append_clean(&clean, line, strlen(line));
            err_set(err, ERR_INVALID, "squeue printed a line that is none of its: '%s'",
                    strbuf_text(&clean));
            strbuf_release(&clean);
            return ERR_INVALID;
        }
        /* "None" is Slurm's word for no reason. */
        if (strcmp(row.text, "None") == 0) {
            row.text = "";
        }
        rows[count++] = row;
    }
    *rows_out = rows;
    *count_out = count;
    return ERR_OK;
}

const char *const *slurm_cancel_command(const char *batch_id, struct arena *arena)
{
    struct words words = {arena_array(arena, 4, sizeof(char *)), 0};
    add(&words, "scancel");
    add(&words, batch_id);
    return words.items;
}
