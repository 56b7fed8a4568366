#include "curves.h"

#include <math.h>
#include <string.h>

#include "check.h"

const char *const curve_names[CURVE_COUNT] = {
    [CURVE_LOSS] = "loss_nats",      [CURVE_NORM] = "grad_norm",      [CURVE_RATE] = "lr",
    [CURVE_TOKENS] = "tokens_per_s", [CURVE_MEMORY] = "memory_bytes", [CURVE_RSS] = "rss_bytes",
};

static struct curve_row *append(struct curves *c, struct arena *arena)
{
    if (c->count == c->cap) {
        const size_t cap = c->cap ? 2 * c->cap : 256;
        struct curve_row *rows = arena_array(arena, cap, sizeof *rows);
        if (c->count > 0)
            memcpy(rows, c->rows, c->count * sizeof *rows);
        c->rows = rows;
        c->cap = cap;
    }
    return &c->rows[c->count++];
}

void curves_add(struct curves *c, struct arena *arena, uint32_t attempt,
                const struct metric_point *point)
{
    int curve = 0;
    while (curve < CURVE_COUNT && strcmp(curve_names[curve], point->name) != 0)
        curve++;
    if (curve == CURVE_COUNT)
        return;
    while (c->count > 0 && c->rows[c->count - 1].attempt != attempt &&
           c->rows[c->count - 1].step >= point->step)
        c->count--;
    struct curve_row *row = c->count > 0 ? &c->rows[c->count - 1] : NULL;
    if (!row || row->attempt != attempt || row->step != point->step) {
        row = append(c, arena);
        *row =
            (struct curve_row){.step = point->step, .time_ms = point->time_ms, .attempt = attempt};
        for (int i = 0; i < CURVE_COUNT; i++)
            row->values[i] = (double)NAN;
    }
    row->values[curve] = point->value;
}

bool curves_shows(const struct curves *c, size_t i, size_t most)
{
    if (c->count <= most || i + 1 == c->count)
        return true;
    const size_t every = (c->count + most - 1) / most;
    return i % every == 0;
}

/* ---- figures ---- */

static const struct {
    const char *suffix, *terminal;
} terminals[] = {
    {".svg", "svg size 1000,700 dynamic background rgb 'white' font 'sans,11'"},
    {".png", "pngcairo size 1000,700 font 'sans,10'"},
    {".pdf", "pdfcairo size 25cm,17cm font 'sans,10'"},
};

static const char *terminal_of(const char *path)
{
    const size_t len = strlen(path);
    for (size_t i = 0; i < ARRAY_COUNT(terminals); i++) {
        const size_t suffix = strlen(terminals[i].suffix);
        if (len > suffix && strcmp(path + len - suffix, terminals[i].suffix) == 0)
            return terminals[i].terminal;
    }
    return NULL;
}

/* A text in gnuplot's single quotes. */
static void put_quoted(struct strbuf *out, const char *text)
{
    strbuf_putc(out, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            strbuf_putc(out, '\'');
        strbuf_putc(out, *text);
    }
    strbuf_putc(out, '\'');
}

static void put_data(const struct curves *jobs, size_t count, struct strbuf *out)
{
    for (size_t j = 0; j < count; j++) {
        strbuf_printf(out, "$job%zu << EOD\n", j);
        for (size_t i = 0; i < jobs[j].count; i++) {
            const struct curve_row *row = &jobs[j].rows[i];
            strbuf_printf(out, "%lld", (long long)row->step);
            for (int k = 0; k < CURVE_COUNT; k++) {
                if (isfinite(row->values[k]))
                    strbuf_printf(out, " %.9g", row->values[k]);
                else
                    strbuf_puts(out, " NaN");
            }
            strbuf_putc(out, '\n');
        }
        strbuf_puts(out, "EOD\n");
    }
}

static void put_panel(const struct curves *jobs, size_t count, enum curve curve, const char *title,
                      bool logarithmic, struct strbuf *out)
{
    strbuf_printf(out, "set title '%s'\n%s logscale y\nplot ", title,
                  logarithmic ? "set" : "unset");
    for (size_t j = 0; j < count; j++) {
        strbuf_printf(out, "%s$job%zu using 1:%d with lines linewidth 1.5 title ", j ? ", " : "", j,
                      (int)curve + 2);
        put_quoted(out, jobs[j].label);
    }
    strbuf_putc(out, '\n');
}

enum err_code curves_gnuplot(const struct curves *jobs, size_t count, const char *path,
                             struct strbuf *out, struct err *err)
{
    const char *terminal = terminal_of(path);
    if (!terminal)
        return err_set(err, ERR_INVALID, "'%.200s': a figure is .svg, .png or .pdf", path);
    put_data(jobs, count, out);
    strbuf_printf(out, "set terminal %s\nset output ", terminal);
    put_quoted(out, path);
    strbuf_puts(out,
                "\nset grid\nset key noenhanced\nset xlabel 'step'\nset multiplot layout 2,2\n");
    put_panel(jobs, count, CURVE_LOSS, "loss (nats a token)", false, out);
    put_panel(jobs, count, CURVE_NORM, "norm of the gradient", true, out);
    put_panel(jobs, count, CURVE_RATE, "learning rate", false, out);
    put_panel(jobs, count, CURVE_TOKENS, "tokens a second", false, out);
    strbuf_puts(out, "unset multiplot\n");
    return ERR_OK;
}
