#include "watch.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "interrupt.h"
#include "job_table.h"

/* Above this many jobs their ends are counted, not told one by one. */
#define JOBS_TOLD_MAX   2000
#define POLL_TIMEOUT_MS 2000

/* What the last look at the jobs showed, to tell which ended since. */
struct seen_jobs {
    struct arena arena; /* of the table */
    struct job_table table;
    uint64_t final_count;
    bool valid;
};

static void total_counts(const struct msg_status *status, uint64_t counts[JOB_STATE_COUNT],
                         uint64_t *final_out, uint64_t *open_out)
{
    memset(counts, 0, JOB_STATE_COUNT * sizeof *counts);
    *final_out = *open_out = 0;
    for (size_t i = 0; i < status->experiment_count; i++) {
        for (int s = 0; s < JOB_STATE_COUNT; s++) {
            counts[s] += status->experiments[i].counts[s];
            *(job_state_is_final((enum job_state)s) ? final_out : open_out) +=
                status->experiments[i].counts[s];
        }
    }
}

static bool was_final(const struct seen_jobs *seen, size_t index, const struct job_row *row)
{
    return index < seen->table.count && digest_equal(&seen->table.rows[index]->job, &row->job) &&
           job_state_is_final(seen->table.rows[index]->state);
}

/* Tell which jobs ended since the last look; the first look only remembers. A failure here is not
 * worth ending the watch for: the next poll meets it again. */
static void tell_ended(struct connection *c, const char *experiment, uint64_t final_count,
                       struct seen_jobs *seen, struct progress *progress)
{
    struct seen_jobs now = {.final_count = final_count, .valid = true};
    struct err ignored;
    if (job_table_fetch(c, experiment, 0, &now.arena, &now.table, &ignored) != ERR_OK) {
        arena_release(&now.arena);
        return;
    }
    for (size_t i = 0; seen->valid && i < now.table.count; i++)
        if (job_state_is_final(now.table.rows[i]->state) && !was_final(seen, i, now.table.rows[i]))
            progress_job_ended(progress, now.table.rows[i]);
    arena_release(&seen->arena);
    *seen = now;
}

struct watch {
    struct connection *connection;
    const struct watch_options *options;
    struct progress *progress;
    struct seen_jobs seen;
    char trouble[sizeof((struct err *)0)->text]; /* what the coordinator waits for; or empty */
    bool is_paused;                              /* an experiment with open jobs is */
};

/* Once when it begins, changes or ends. */
static void tell_trouble(struct watch *w, const char *text)
{
    if (strcmp(w->trouble, text) == 0)
        return;
    snprintf(w->trouble, sizeof w->trouble, "%s", text);
    progress_say(w->progress, "  %s", *text ? text : "the coordinator can write again");
}

/* Who waits for a paused experiment would wait without end: say so, once. */
static void tell_paused(struct watch *w, const struct msg_status *status)
{
    const char *paused = NULL;
    for (size_t i = 0; i < status->experiment_count && !paused; i++) {
        const struct experiment_row *e = &status->experiments[i];
        for (int s = 0; s < JOB_STATE_COUNT; s++)
            if (e->paused && e->counts[s] && !job_state_is_final((enum job_state)s))
                paused = e->name;
    }
    if (paused && !w->is_paused)
        progress_say(w->progress,
                     "  %s is paused: nothing more of it starts until 'triad experiment resume %s'",
                     paused, paused);
    w->is_paused = paused != NULL;
}

static enum err_code poll_once(struct watch *w, uint64_t counts[JOB_STATE_COUNT],
                               uint64_t *open_out, struct err *err)
{
    struct arena arena = {0};
    struct msg reply;
    const char *experiment = w->options->experiment;
    const struct msg request = {.kind = MSG_GET_STATUS, .get_status = {.experiment = experiment}};
    enum err_code rc =
        client_call(w->connection->client, &request, POLL_TIMEOUT_MS, &arena, &reply, err);
    if (rc == ERR_OK && reply.kind == MSG_STATUS) {
        uint64_t final_count = 0;
        total_counts(&reply.status, counts, &final_count, open_out);
        if ((!w->seen.valid || w->seen.final_count != final_count) &&
            final_count + *open_out <= JOBS_TOLD_MAX)
            tell_ended(w->connection, experiment, final_count, &w->seen, w->progress);
        tell_trouble(w, reply.status.trouble);
        tell_paused(w, &reply.status);
        progress_show(w->progress, &reply.status, clock_mono_ms());
    }
    arena_release(&arena);
    return rc;
}

/* Until the next look, which is no later than the deadline. */
static int64_t pause_ms(const struct watch_options *options)
{
    const int64_t left_ms = options->deadline_ms - clock_mono_ms();
    if (options->deadline_ms == 0 || left_ms > options->poll_ms)
        return options->poll_ms;
    return left_ms > 0 ? left_ms : 0;
}

enum err_code watch_until_final(struct connection *c, const struct watch_options *options,
                                struct progress *progress, uint64_t counts_out[JOB_STATE_COUNT],
                                struct err *err)
{
    struct watch w = {.connection = c, .options = options, .progress = progress};
    int64_t answered_ms = clock_mono_ms();
    uint64_t open_count = 1;
    enum err_code rc = ERR_OK;
    while (rc == ERR_OK && open_count > 0) {
        open_count = 1;
        rc = poll_once(&w, counts_out, &open_count, err);
        const int64_t now_ms = clock_mono_ms();
        const bool is_silent = rc == ERR_UNAVAILABLE || rc == ERR_TIMEOUT;
        if (rc == ERR_IO) { /* it waits for space on its disk, and so do we */
            tell_trouble(&w, err->text);
            rc = ERR_OK;
        }
        if (rc == ERR_OK)
            answered_ms = now_ms;
        else if (is_silent && now_ms - answered_ms < options->patience_ms)
            rc = ERR_OK;
        if (rc == ERR_OK && open_count > 0 && options->between)
            rc = options->between(options->ctx, progress, err);
        if (rc == ERR_OK && interrupt_seen())
            rc = err_set(err, ERR_CANCELLED, "interrupted");
        else if (rc == ERR_OK && open_count > 0 && options->deadline_ms &&
                 now_ms >= options->deadline_ms)
            rc = err_set(err, ERR_TIMEOUT, "watch: jobs are still open when the time is up");
        if (rc == ERR_OK && open_count > 0)
            interrupt_sleep(pause_ms(options));
    }
    progress_end(progress);
    arena_release(&w.seen.arena);
    return rc;
}

enum cli_exit watch_exit(const uint64_t counts[JOB_STATE_COUNT])
{
    for (int s = 0; s < JOB_STATE_COUNT; s++)
        if (s != JOB_DONE && counts[s])
            return EXIT_UNFINISHED;
    return EXIT_OK;
}
