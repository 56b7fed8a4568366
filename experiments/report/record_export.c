#include "record_export.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define CSV_HEADER                                                                                 \
    "experiment,family,variant,seed,task,format,sequence,position,content_nats,terminator_nats,"   \
    "tokens,hit_tokens,first_hit,hit,job,attempt\n"

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

static const char *known(const char *text)
{
    return text ? text : "";
}

void record_export_header(enum record_format format, struct strbuf *out)
{
    if (format == RECORD_CSV)
        strbuf_puts(out, CSV_HEADER);
}

static void export_csv(const char *experiment, const struct stat_cell *cell,
                       const struct stat_record *record, struct strbuf *out)
{
    put_csv_text(out, experiment);
    put_csv_text(out, cell->family);
    put_csv_text(out, cell->variant);
    strbuf_printf(out, "%llu,", (unsigned long long)cell->seed);
    put_csv_text(out, cell->task);
    put_csv_text(out, cell->format);
    strbuf_printf(out, "%u,%u,", record->sequence, record->position);
    put_real(out, record->content_nats, "");
    put_real(out, record->terminator_nats, "");
    strbuf_printf(out, "%u,%u,%d,%d,", record->token_count, record->hit_tokens, record->first_hit,
                  record->hit);
    put_csv_text(out, known(cell->provenance.job));
    put_csv_text(out, known(cell->provenance.attempt));
    out->data[out->len - 1] = '\n'; /* instead of the last comma */
}

static void export_jsonl(const char *experiment, const struct stat_cell *cell,
                         const struct stat_record *record, struct strbuf *out)
{
    strbuf_putc(out, '{');
    put_json_text(out, "experiment", experiment);
    put_json_text(out, "family", cell->family);
    put_json_text(out, "variant", cell->variant);
    strbuf_printf(out, "\"seed\":%llu,", (unsigned long long)cell->seed);
    put_json_text(out, "task", cell->task);
    put_json_text(out, "format", cell->format);
    strbuf_printf(out, "\"sequence\":%u,\"position\":%u,", record->sequence, record->position);
    strbuf_puts(out, "\"content_nats\":");
    put_real(out, record->content_nats, "\""); /* JSON has finite numbers only */
    strbuf_puts(out, "\"terminator_nats\":");
    put_real(out, record->terminator_nats, "\"");
    strbuf_printf(out, "\"tokens\":%u,\"hit_tokens\":%u,\"first_hit\":%s,\"hit\":%s,",
                  record->token_count, record->hit_tokens, record->first_hit ? "true" : "false",
                  record->hit ? "true" : "false");
    put_json_text(out, "job", known(cell->provenance.job));
    put_json_text(out, "attempt", known(cell->provenance.attempt));
    out->data[out->len - 1] = '}';
    strbuf_putc(out, '\n');
}

void record_export_cell(enum record_format format, const char *experiment,
                        const struct stat_cell *cell, struct strbuf *out)
{
    if (cell->state == STAT_CELL_MISSING)
        return;
    for (uint32_t i = 0; i < cell->record_count; i++) {
        switch (format) {
        case RECORD_CSV:
            export_csv(experiment, cell, &cell->records[i], out);
            break;
        case RECORD_JSONL:
            export_jsonl(experiment, cell, &cell->records[i], out);
            break;
        }
    }
}
