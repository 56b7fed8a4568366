#include "stages.h"

#include <stdlib.h>

#include "human.h"

struct span {
    int64_t begin_ms, end_ms;
};

static int compare_spans(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    return (x->begin_ms > y->begin_ms) - (x->begin_ms < y->begin_ms);
}

int64_t stages_busy_ms(const struct job_table *jobs, enum job_kind kind, int64_t begin_ms,
                       size_t *count_out)
{
    struct arena arena = {0};
    struct span *spans = arena_array(&arena, jobs->count + 1, sizeof *spans);
    size_t count = 0;
    for (size_t i = 0; i < jobs->count; i++) {
        const struct job_row *row = jobs->rows[i];
        if (row->kind == kind && row->started_ms && row->ended_ms > begin_ms)
            spans[count++] = (struct span){row->started_ms > begin_ms ? row->started_ms : begin_ms,
                                           row->ended_ms};
    }
    qsort(spans, count, sizeof *spans, compare_spans);
    int64_t busy_ms = 0, covered_until_ms = 0;
    for (size_t i = 0; i < count; i++) {
        const int64_t from =
            spans[i].begin_ms > covered_until_ms ? spans[i].begin_ms : covered_until_ms;
        if (spans[i].end_ms > from) {
            busy_ms += spans[i].end_ms - from;
            covered_until_ms = spans[i].end_ms;
        }
    }
    *count_out = count;
    arena_release(&arena);
    return busy_ms;
}

static void line(struct strbuf *out, const char *stage, int64_t ms, size_t job_count)
{
    char text[HUMAN_SIZE];
    strbuf_printf(out, "  %-10s %10s", stage, human_duration(ms, text));
    if (job_count)
        strbuf_printf(out, "  %4zu job%s", job_count, job_count == 1 ? "" : "s");
    strbuf_putc(out, '\n');
}

void stages_print(const struct stages *stages, const struct job_table *jobs, struct strbuf *out)
{
    strbuf_puts(out, "where the time went (stages of jobs can overlap)\n");
    line(out, "plan", stages->plan_ms, 0);
    line(out, "start", stages->start_ms, 0);
    for (int kind = 0; kind < JOB_KIND_COUNT; kind++) {
        size_t count = 0;
        const int64_t ms = stages_busy_ms(jobs, (enum job_kind)kind, stages->begin_wall_ms, &count);
        if (count)
            line(out, job_kind_name((enum job_kind)kind), ms, count);
    }
    line(out, "report", stages->report_ms, 0);
    line(out, "in all", stages->total_ms, 0);
}
