#include "progress.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "human.h"

#define PLAIN_LINE_MS       10000 /* without a terminal: a line this often */
#define PLAIN_LINES_MAX     20    /* of each time */
#define RUNNING_SHOWN_MAX   16
#define LABEL_WIDTH_MAX     44
#define TERMINAL_WIDTH_ELSE 80
#define TERMINAL_LINES_ELSE 24
#define SAID_BYTES_MAX      4096

void progress_begin(struct progress *p, bool quiet, int64_t now_ms)
{
    *p = (struct progress){.out = quiet ? NULL : stderr,
                           .is_terminal = isatty(STDERR_FILENO) == 1,
                           .begin_ms = now_ms};
}

static uint64_t job_count(const struct experiment_row *row)
{
    uint64_t total = 0;
    for (int s = 0; s < JOB_STATE_COUNT; s++)
        total += row->counts[s];
    return total;
}

void progress_summary(const struct experiment_row *row, int64_t elapsed_ms, struct strbuf *out)
{
    char text[HUMAN_SIZE];
    strbuf_append_clean(out, row->name, strlen(row->name));
    strbuf_printf(out, ": %" PRIu64 " of %" PRIu64 " jobs done", row->counts[JOB_DONE],
                  job_count(row));
    const uint64_t running = row->counts[JOB_RUNNING] + row->counts[JOB_LEASED];
    if (running)
        strbuf_printf(out, ", %" PRIu64 " running", running);
    if (row->counts[JOB_WAITING])
        strbuf_printf(out, ", %" PRIu64 " waiting", row->counts[JOB_WAITING]);
    for (int s = JOB_DONE + 1; s < JOB_STATE_COUNT; s++)
        if (row->counts[s])
            strbuf_printf(out, ", %" PRIu64 " %s", row->counts[s],
                          job_state_name((enum job_state)s));
    strbuf_printf(out, ", %s", human_duration(elapsed_ms, text));
    if (row->eta_ms > 0)
        strbuf_printf(out, ", about %s left", human_duration(row->eta_ms, text));
}

void progress_running(const struct running_row *row, int label_width, struct strbuf *out)
{
    char text[HUMAN_SIZE];
    char share[48] = "";
    if (row->total)
        snprintf(share, sizeof share, "%" PRIu64 "/%" PRIu64, row->done, row->total);
    const int label_columns = (int)str_columns(row->label);
    strbuf_puts(out, "  ");
    strbuf_append_clean(out, row->label, strlen(row->label));
    strbuf_printf(out, "%*s  %11s", label_width > label_columns ? label_width - label_columns : 0,
                  "", share);
    if (isfinite(row->loss_nats) || row->done)
        strbuf_printf(out, "  loss %-6.4g", row->loss_nats);
    if (row->tokens_per_s > 0)
        strbuf_printf(out, "  %s tokens/s", human_count(row->tokens_per_s, text));
    strbuf_puts(out, "  (");
    strbuf_append_clean(out, row->worker, strlen(row->worker));
    strbuf_putc(out, ')');
}

/* Columns and lines of the terminal. */
static void terminal_size(int *columns, int *lines)
{
    struct winsize size;
    const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0;
    *columns = known && size.ws_col > 20 ? size.ws_col : TERMINAL_WIDTH_ELSE;
    *lines = known && size.ws_row > 5 ? size.ws_row : TERMINAL_LINES_ELSE;
}

/* Go back to where the block began and clear it. */
static void erase(struct progress *p)
{
    if (p->drawn_lines)
        fprintf(p->out, "\033[%dA\r\033[J", p->drawn_lines);
    p->drawn_lines = 0;
}

static int label_width(const struct msg_status *status)
{
    size_t width = 0;
    for (size_t i = 0; i < status->running_count; i++) {
        size_t columns = str_columns(status->running[i].label);
        width = columns > width ? columns : width;
    }
    return width < LABEL_WIDTH_MAX ? (int)width : LABEL_WIDTH_MAX;
}

/* One line of the block, cut at the terminal's edge: a wrapped line would count as two. */
static void draw_line(struct progress *p, const struct strbuf *line, int width)
{
    size_t columns;
    const size_t bytes = str_fit(strbuf_text(line), (size_t)width - 1, &columns);
    fprintf(p->out, "%.*s\n", (int)bytes, strbuf_text(line));
    p->drawn_lines++;
}

/* One experiment is shown to its end, of several those that are under way. */
static bool is_shown(const struct msg_status *status, size_t index)
{
    const struct experiment_row *e = &status->experiments[index];
    bool is_open = false;
    for (int s = 0; s < JOB_STATE_COUNT; s++)
        is_open = is_open || (e->counts[s] && !job_state_is_final((enum job_state)s));
    return is_open || status->experiment_count == 1;
}

static void say_more(size_t more, struct strbuf *line)
{
    strbuf_clear(line);
    strbuf_printf(line, "and %zu more experiment%s", more, more == 1 ? "" : "s");
}

/* No higher than the terminal: what has scrolled off cannot be drawn over. */
static void show_block(struct progress *p, const struct msg_status *status, int64_t now_ms)
{
    struct strbuf line = {0};
    int width, height;
    terminal_size(&width, &height);
    const int labels = label_width(status);
    size_t running =
        status->running_count < RUNNING_SHOWN_MAX ? status->running_count : RUNNING_SHOWN_MAX;
    running = running < (size_t)height / 2 ? running : (size_t)height / 2;
    const size_t most = (size_t)height - 2 - running; /* a line for "more", one for the cursor */
    size_t shown = 0, more = 0;
    erase(p);
    for (size_t i = 0; i < status->experiment_count; i++) {
        if (!is_shown(status, i) || (shown == most && ++more))
            continue;
        shown++;
        strbuf_clear(&line);
        progress_summary(&status->experiments[i], now_ms - p->begin_ms, &line);
        draw_line(p, &line, width);
    }
    say_more(more, &line);
    if (more > 0)
        draw_line(p, &line, width);
    for (size_t i = 0; i < running; i++) {
        strbuf_clear(&line);
        progress_running(&status->running[i], labels, &line);
        draw_line(p, &line, width);
    }
    strbuf_release(&line);
}

static void show_plain(struct progress *p, const struct msg_status *status, int64_t now_ms)
{
    struct strbuf line = {0};
    size_t shown = 0, more = 0;
    for (size_t i = 0; i < status->experiment_count; i++) {
        if (!is_shown(status, i) || (shown == PLAIN_LINES_MAX && ++more))
            continue;
        strbuf_clear(&line);
        progress_summary(&status->experiments[i], now_ms - p->begin_ms, &line);
        for (size_t r = 0; r < status->running_count && shown == 0 && r < RUNNING_SHOWN_MAX; r++) {
            strbuf_puts(&line, r ? "; " : " |");
            struct strbuf running = {0};
            progress_running(&status->running[r], 0, &running);
            strbuf_puts(&line, strbuf_text(&running) + 1);
            strbuf_release(&running);
        }
        shown++;
        fprintf(p->out, "%s\n", strbuf_text(&line));
    }
    say_more(more, &line);
    if (more > 0)
        fprintf(p->out, "%s\n", strbuf_text(&line));
    p->line_ms = now_ms;
    strbuf_release(&line);
}

void progress_show(struct progress *p, const struct msg_status *status, int64_t now_ms)
{
    if (!p->out)
        return;
    if (p->is_terminal)
        show_block(p, status, now_ms);
    else if (p->line_ms == 0 || now_ms - p->line_ms >= PLAIN_LINE_MS)
        show_plain(p, status, now_ms);
    fflush(p->out);
}

void progress_say(struct progress *p, const char *format, ...)
{
    char text[SAID_BYTES_MAX];
    if (!p->out)
        return;
    erase(p);
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct strbuf line = {0};
    strbuf_append_clean(&line, text, strlen(text));
    fprintf(p->out, "%s\n", strbuf_text(&line));
    fflush(p->out);
    strbuf_release(&line);
}

void progress_job_ended(struct progress *p, const struct job_row *row)
{
    char text[HUMAN_SIZE] = "";
    const char *state = job_state_name(row->state);
    const char *reason = row->reason;
    if (strncmp(reason, state, strlen(state)) == 0) /* "cancelled: …": the line says so already */
        reason += strlen(state) + strspn(reason + strlen(state), ": ");
    if (row->started_ms && row->ended_ms >= row->started_ms)
        human_duration(row->ended_ms - row->started_ms, text);
    progress_say(p, "  %-9s %s%s%s%s%s%s", state, row->label, *text ? "  (" : "", text,
                 *text ? ")" : "", *reason ? ": " : "", reason);
}

void progress_end(struct progress *p)
{
    if (p->out)
        erase(p);
}
