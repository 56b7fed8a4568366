#include "record_export.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* RFC 4180. */
static void put_csv_text(struct strbuf *out, const char *text)
{
    const bool quoted = strpbrk(text, ",\"\r\n") != NULL;
    if (quoted)
        strbuf_putc(out, '"');
    for (; *text; text++) {
        if (*text == '"')
            strbuf_putc(out, '"');
        strbuf_putc(out, *text);
    }
    strbuf_puts(out, quoted ? "\"," : ",");
}

/* RFC 8259. */
static void put_json_text(struct strbuf *out, const char *name, const char *text)
{
    strbuf_printf(out, "\"%s\":\"", name);
    for (; *text; text++) {
        const unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\')
            strbuf_printf(out, "\\%c", *text);
        else if (byte < 0x20)
            strbuf_printf(out, "\\u%04x", byte);
        else
            strbuf_putc(out, *text);
    }
    strbuf_puts(out, "\",");
}

/* All digits, so that reading gives the same double. What is not finite gets one spelling: printf
 * would show the sign of a NaN, which means nothing and differs between processors. */
static void put_real(struct strbuf *out, double value, const char *quote)
{
    if (isfinite(value))
        strbuf_printf(out, "%.17g,", value);
    else if (isnan(value))
        strbuf_printf(out, "%snan%s,", quote, quote);
    else
        strbuf_printf(out, "%s%s%s,", quote, value > 0 ? "inf" : "-inf", quote);
}

/* One value of a line: columns in the order of the header; absent where the kind has none. */
struct column {
    const char *name;
    enum { COLUMN_TEXT, COLUMN_COUNT, COLUMN_REAL, COLUMN_FLAG, COLUMN_ABSENT } type;
    const char *text;
    uint64_t count;
    double real;
};

#define COLUMNS_MAX 40

struct line {
    struct column columns[COLUMNS_MAX];
    size_t count;
};

static struct column *next(struct line *line, const char *name)
{
    struct column *column = &line->columns[line->count++];
    *column = (struct column){.name = name, .type = COLUMN_ABSENT};
    return column;
}

static void add_text(struct line *line, const char *name, bool has, const char *text)
{
    struct column *column = next(line, name);
    if (has)
        *column = (struct column){.name = name, .type = COLUMN_TEXT, .text = text ? text : ""};
}

static void add_count(struct line *line, const char *name, bool has, uint64_t count)
{
    struct column *column = next(line, name);
    if (has)
        *column = (struct column){.name = name, .type = COLUMN_COUNT, .count = count};
}

static void add_real(struct line *line, const char *name, bool has, double real)
{
    struct column *column = next(line, name);
    if (has)
        *column = (struct column){.name = name, .type = COLUMN_REAL, .real = real};
}

static void add_flag(struct line *line, const char *name, bool has, bool flag)
{
    struct column *column = next(line, name);
    if (has)
        *column = (struct column){.name = name, .type = COLUMN_FLAG, .count = flag};
}

static void add_cell(struct line *line, const char *experiment, const struct stat_cell *cell,
                     const struct stat_record *record)
{
    static const char *const KINDS[] = {
        [STAT_SCORES] = "scores", [STAT_CHOICES] = "choices", [STAT_SAMPLES] = "samples"};
    add_text(line, "experiment", true, experiment);
    add_text(line, "family", true, cell->family);
    add_text(line, "variant", true, cell->variant);
    add_count(line, "seed", true, cell->seed);
    add_text(line, "task", true, cell->task);
    add_text(line, "format", true, cell->format);
    add_text(line, "kind", true, KINDS[cell->kind]);
    add_count(line, "sequence", true, record->sequence);
    add_count(line, "position", true, record->position);
}

static void add_scores(struct line *line, bool has, const struct stat_record *r)
{
    add_real(line, "content_nats", has, r->content_nats);
    add_real(line, "terminator_nats", has, r->terminator_nats);
    add_real(line, "greedy_nats", has, r->greedy_nats);
    add_count(line, "tokens", has, r->token_count);
    add_count(line, "hit_tokens", has, r->hit_tokens);
    add_flag(line, "first_hit", has, r->first_hit);
    add_flag(line, "hit", has, r->hit);
}

static void add_choices(struct line *line, bool has, const struct stat_record *r)
{
    add_real(line, "js", has, r->choice.js);
    add_real(line, "kl", has, r->choice.kl);
    add_real(line, "reverse_kl", has, r->choice.reverse_kl);
    add_real(line, "cross_entropy", has, r->choice.cross_entropy);
    add_real(line, "mode_match", has, r->choice.mode_match);
    add_real(line, "coverage", has, r->choice.coverage);
}

static void add_samples(struct line *line, bool has, const struct stat_cell *cell,
                        const struct stat_record *r)
{
    static const struct stat_setting NONE = {.component = ""};
    const bool known = has && r->sequence < cell->setting_count;
    const struct stat_setting *s = known ? &cell->settings[r->sequence] : &NONE;
    add_text(line, "component", known, s->component);
    add_real(line, "temperature", known, s->temperature);
    add_real(line, "top_p", known, s->top_p);
    add_count(line, "top_k", known, (uint64_t)s->top_k);
    add_count(line, "sampled_tokens", has, has ? r->sampled_tokens : 0);
    add_real(line, "nats", has, has ? r->nats : 0.0);
    add_flag(line, "ended", has, has && r->ended);
    add_flag(line, "valid", has, has && r->valid);
    add_text(line, "text", has, has ? r->text : "");
}

/* Every line has all columns; a record's union is only looked at as its kind. */
static void fill_line(struct line *line, const char *experiment, const struct stat_cell *cell,
                      const struct stat_record *record)
{
    static const struct stat_record NONE = {.sequence = 0};
    line->count = 0;
    add_cell(line, experiment, cell, record);
    add_scores(line, cell->kind == STAT_SCORES, cell->kind == STAT_SCORES ? record : &NONE);
    add_choices(line, cell->kind == STAT_CHOICES, cell->kind == STAT_CHOICES ? record : &NONE);
    add_samples(line, cell->kind == STAT_SAMPLES, cell, record);
    add_text(line, "job", true, cell->provenance.job);
    add_text(line, "attempt", true, cell->provenance.attempt);
}

void record_export_header(enum record_format format, struct strbuf *out)
{
    static const struct stat_record record = {.sequence = 0};
    static const struct stat_cell cell = {.task = ""};
    struct line line;
    if (format != RECORD_CSV)
        return;
    fill_line(&line, "", &cell, &record);
    for (size_t i = 0; i < line.count; i++)
        strbuf_printf(out, "%s%s", i ? "," : "", line.columns[i].name);
    strbuf_putc(out, '\n');
}

static void export_csv(const struct line *line, struct strbuf *out)
{
    for (size_t i = 0; i < line->count; i++) {
        const struct column *c = &line->columns[i];
        if (c->type == COLUMN_TEXT)
            put_csv_text(out, c->text);
        else if (c->type == COLUMN_REAL)
            put_real(out, c->real, "");
        else if (c->type == COLUMN_ABSENT)
            strbuf_putc(out, ',');
        else
            strbuf_printf(out, "%llu,", (unsigned long long)c->count);
    }
    out->data[out->len - 1] = '\n'; /* instead of the last comma */
}

/* JSON lines leave out what the kind does not have. */
static void export_jsonl(const struct line *line, struct strbuf *out)
{
    strbuf_putc(out, '{');
    for (size_t i = 0; i < line->count; i++) {
        const struct column *c = &line->columns[i];
        if (c->type == COLUMN_ABSENT)
            continue;
        if (c->type == COLUMN_TEXT) {
            put_json_text(out, c->name, c->text);
            continue;
        }
        strbuf_printf(out, "\"%s\":", c->name);
        if (c->type == COLUMN_REAL)
            put_real(out, c->real, "\""); /* JSON has finite numbers only */
        else if (c->type == COLUMN_FLAG)
            strbuf_puts(out, c->count ? "true," : "false,");
        else
            strbuf_printf(out, "%llu,", (unsigned long long)c->count);
    }
    out->data[out->len - 1] = '}';
    strbuf_putc(out, '\n');
}

void record_export_cell(enum record_format format, const char *experiment,
                        const struct stat_cell *cell, struct strbuf *out)
{
    if (cell->state == STAT_CELL_MISSING)
        return;
    for (uint32_t i = 0; i < cell->record_count; i++) {
        struct line line;
        fill_line(&line, experiment, cell, &cell->records[i]);
        switch (format) {
        case RECORD_CSV:
            export_csv(&line, out);
            break;
        case RECORD_JSONL:
            export_jsonl(&line, out);
            break;
        }
    }
}
