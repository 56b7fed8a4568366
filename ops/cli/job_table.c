#include "job_table.h"

#include <string.h>

#include "rows.h"
#include "str.h"

#define MATCHES_SHOWN_MAX 6

static void append(struct job_table *table, struct arena *arena, const struct job_row *row)
{
    if (table->count == table->cap) {
        size_t cap = table->cap ? table->cap * 2 : 64;
        const struct job_row **grown = arena_array(arena, cap, sizeof *grown);
        if (table->count)
            memcpy(grown, table->rows, table->count * sizeof *grown);
        table->rows = grown;
        table->cap = cap;
    }
    table->rows[table->count++] = row;
}

enum err_code job_table_fetch(struct connection *c, const char *experiment, uint32_t state_mask,
                              struct arena *arena, struct job_table *out, struct err *err)
{
    struct job_table table = {0};
    struct msg request = {.kind = MSG_LIST_JOBS,
                          .list_jobs = {.experiment = experiment, .state_mask = state_mask}};
    do {
        struct msg reply;
        enum err_code rc = connection_call(c, &request, MSG_JOBS, arena, &reply, err);
        if (rc != ERR_OK)
            return rc;
        for (size_t i = 0; i < reply.jobs.row_count; i++)
            append(&table, arena, &reply.jobs.rows[i]);
        if (reply.jobs.next_cursor != 0 && reply.jobs.next_cursor <= request.list_jobs.cursor)
            return err_set(err, ERR_CORRUPT, "list jobs: the coordinator's pages do not advance");
        request.list_jobs.cursor = reply.jobs.next_cursor;
    } while (request.list_jobs.cursor != 0);
    *out = table;
    return ERR_OK;
}

static bool is_hex_prefix(const char *text)
{
    return strlen(text) >= JOB_PREFIX_DIGITS_MIN &&
           strspn(text, "0123456789abcdef") == strlen(text);
}

/* Labels end in the seed: "llama-tiny/ST/42". Most experiments have one, so it may be left out. */
static bool is_label(const char *label, const char *text)
{
    const size_t len = strlen(text);
    if (strncmp(label, text, len) != 0)
        return false;
    const char *rest = label + len;
    return *rest == '\0' ||
           (*rest == '/' && rest[1] && strspn(rest + 1, "0123456789") == strlen(rest + 1));
}

static bool matches(const struct job_row *row, const char *text, bool as_prefix)
{
    char hex[DIGEST_HEX_SIZE];
    if (is_label(row->label, text))
        return true;
    return as_prefix && strncmp(digest_hex(&row->job, hex), text, strlen(text)) == 0;
}

static enum err_code several(const struct job_table *table, const char *text, bool as_prefix,
                             size_t match_count, struct err *err)
{
    struct strbuf list = {0};
    size_t shown = 0;
    for (size_t i = 0; i < table->count && shown < MATCHES_SHOWN_MAX; i++) {
        char hex[DIGEST_HEX_SIZE];
        if (matches(table->rows[i], text, as_prefix))
            strbuf_printf(&list, "%s%.12s (%s)", shown++ ? ", " : "",
                          digest_hex(&table->rows[i]->job, hex), table->rows[i]->label);
    }
    if (shown < match_count)
        strbuf_printf(&list, " and %zu more", match_count - shown);
    err_set(err, ERR_INVALID, "'%s' means %zu jobs: %s", text, match_count, strbuf_text(&list));
    strbuf_release(&list);
    return ERR_INVALID;
}

static enum err_code nothing_found(const struct job_table *table, const char *text, struct err *err)
{
    struct arena arena = {0};
    const char **labels = arena_array(&arena, table->count, sizeof *labels);
    for (size_t i = 0; i < table->count; i++)
        labels[i] = table->rows[i]->label;
    const char *near = str_did_you_mean(text, labels, table->count);
    if (near)
        err_set(err, ERR_NOT_FOUND, "no job '%s'; did you mean '%s'?", text, near);
    else
        err_set(err, ERR_NOT_FOUND,
                "no job '%s': give an identity, its first %d digits or more, or a label; "
                "'triad job list' shows them",
                text, JOB_PREFIX_DIGITS_MIN);
    arena_release(&arena);
    return ERR_NOT_FOUND;
}

enum err_code job_table_find(const struct job_table *table, const char *text,
                             const struct job_row **row_out, struct err *err)
{
    const bool as_prefix = is_hex_prefix(text);
    const struct job_row *found = NULL;
    size_t match_count = 0;
    for (size_t i = 0; i < table->count; i++) {
        if (matches(table->rows[i], text, as_prefix)) {
            found = table->rows[i];
            match_count++;
        }
    }
    if (match_count > 1)
        return several(table, text, as_prefix, match_count, err);
    if (match_count == 0)
        return nothing_found(table, text, err);
    *row_out = found;
    return ERR_OK;
}

enum err_code job_table_resolve(struct connection *c, const char *experiment, const char *text,
                                struct arena *arena, const struct job_row **row_out,
                                struct err *err)
{
    struct job_table table;
    const bool is_chosen = experiment && *experiment;
    enum err_code rc = is_chosen ? connection_check_experiment(c, experiment, arena, err) : ERR_OK;
    if (rc == ERR_OK)
        rc = job_table_fetch(c, is_chosen ? experiment : "", 0, arena, &table, err);
    if (rc == ERR_OK)
        rc = job_table_find(&table, text, row_out, err);
    if (rc == ERR_INVALID && experiment && !is_chosen)
        rc = err_wrap(err, "say which, by its digits or with --experiment NAME");
    return rc;
}

const char *job_table_state_text(const struct job_row *row, struct arena *arena)
{
    const char *state = job_state_name(row->state);
    /* Some reasons begin with the state: a person's reason to cancel is "cancelled: …". */
    const char *reason = rows_clean(arena, row->reason);
    if (strncmp(reason, state, strlen(state)) == 0)
        return reason;
    return arena_printf(arena, "%s%s%s", state, *reason ? ": " : "", reason);
}

enum err_code job_table_state_mask(const char *text, uint32_t *mask_out, struct err *err)
{
    const char *names[JOB_STATE_COUNT];
    struct strbuf list = {0};
    if (*text == '\0') {
        *mask_out = 0;
        return ERR_OK;
    }
    for (int s = 0; s < JOB_STATE_COUNT; s++) {
        names[s] = job_state_name((enum job_state)s);
        if (strcmp(names[s], text) == 0) {
            *mask_out = 1u << s;
            strbuf_release(&list);
            return ERR_OK;
        }
        strbuf_printf(&list, "%s%s", s ? ", " : "", names[s]);
    }
    const char *near = str_did_you_mean(text, names, JOB_STATE_COUNT);
    err_set(err, ERR_INVALID, "no job state '%s'%s%s%s; states: %s", text,
            near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "", strbuf_text(&list));
    strbuf_release(&list);
    return ERR_INVALID;
}
