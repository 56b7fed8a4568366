/* triad suite check, stats: what may be wrong with tasks, and how large they are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "format.h"
#include "rows.h"
#include "select.h"
#include "suite_check.h"
#include "suite_open.h"
#include "tokenizer.h"
#include "verbs.h"

/* ---- check ---- */

static const struct rows_column finding_columns[] = {
    {"task", "TASK", ROWS_TEXT},
    {"kind", "KIND", ROWS_TEXT},
    {"text", "FOUND", ROWS_TEXT},
};

/* Load the tasks that have their data; the others are counted. */
static enum err_code load_all(struct cli *cli, struct suite *suite, struct task **tasks,
                              size_t *count, size_t *without_data, struct err *err)
{
    size_t kept = 0;
    *without_data = 0;
    for (size_t i = 0; i < *count; i++) {
        struct err missing;
        if (!suite_has_data(suite, tasks[i], &missing)) {
            ++*without_data;
            continue;
        }
        enum err_code rc = suite_ready(suite, tasks[i], err);
        if (rc != ERR_OK)
            return rc;
        tasks[kept++] = tasks[i];
    }
    *count = kept;
    if (*without_data > 0)
        cli_note(cli, "%zu tasks have no data here and are left out", *without_data);
    return ERR_OK;
}

static enum err_code check_all(struct cli *cli, struct suite *suite, struct suite_check *check,
                               struct err *err)
{
    struct task **tasks;
    size_t count, without_data;
    enum err_code rc = suite_select(cli, suite, &tasks, &count, err);
    if (rc == ERR_OK)
        rc = load_all(cli, suite, tasks, &count, &without_data, err);
    for (size_t i = 0; rc == ERR_OK && i < count; i++)
        suite_check_task(check, tasks[i]);
    for (size_t i = 0; rc == ERR_OK && i < count; i++) {
        if (tasks[i]->split == TASK_TRAIN)
            suite_check_overlap(check, tasks[i]);
    }
    if (rc == ERR_OK)
        cli_note(cli, "%zu tasks and %zu examples were looked at: %zu findings", count,
                 check->examples_looked_at, check->count);
    return rc;
}

enum cli_exit verb_suite_check(struct cli *cli)
{
    struct suite suite;
    struct err err;
    struct rows rows;
    long long sequences = 0;
    enum err_code rc = cli_integer(cli, "sequences", 1, 1000000, &sequences, &err);
    if (rc == ERR_OK)
        rc = suite_open(cli, &suite, &err);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    struct suite_check check = suite_check_start((uint32_t)sequences);
    rc = check_all(cli, &suite, &check, &err);
    size_t findings = check.count;
    if (rc == ERR_OK) {
        rows_init(&rows, &cli->arena, "triad.findings/1", finding_columns,
                  ARRAY_COUNT(finding_columns));
        for (size_t i = 0; i < findings; i++) {
            struct rows_cell *cell = rows_add(&rows);
            cell[0].text = check.items[i].task;
            cell[1].text = finding_name(check.items[i].kind);
            cell[2].text = check.items[i].text;
        }
        if (findings > 0 || cli->output != OUTPUT_TABLE)
            rows_print(&rows, cli);
    }
    suite_check_release(&check);
    suite_release(&suite);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    return findings ? EXIT_INPUT : EXIT_OK;
}

/* ---- stats ---- */

static const struct rows_column stats_columns[] = {
    {"task", "TASK", ROWS_TEXT},
    {"split", "SPLIT", ROWS_TEXT},
    {"type", "TYPE", ROWS_TEXT},
    {"sequences", "SEQUENCES", ROWS_INTEGER},
    {"looked_at", "LOOKED AT", ROWS_INTEGER},
    {"examples", "EXAMPLES/SEQ", ROWS_REAL},
    {"tokens", "TOKENS/SEQ", ROWS_REAL},
    {"loss_tokens", "OUTPUT TOKENS/EX", ROWS_REAL},
    {"truncated", "LONGER", ROWS_REAL},
    {"described", "DESCRIBED", ROWS_REAL},
    {"left_out", "ROWS LEFT OUT", ROWS_INTEGER},
};

/* How tokens are counted. */
struct measure {
    struct tokenizer *tokenizer; /* NULL: bytes */
    struct token_counter counter;
    struct format_options format;
    struct instance_options options;
    long long context, sequences;
};

static enum err_code count_tokens(void *ctx, struct str text, size_t *count_out, struct err *err)
{
    const struct measure *m = ctx;
    if (m->tokenizer)
        return tokenizer_count(m->tokenizer, text, count_out, err);
    *count_out = text.len;
    return ERR_OK;
}

/* Sums over the sequences of a task. */
struct sums {
    double sequences, examples, tokens, loss_tokens, truncated, described;
};

static enum err_code measure_sequence(struct measure *m, const struct instance *instance,
                                      struct sums *sums, struct err *err)
{
    struct arena scratch = {0};
    struct sequence sequence;
    size_t all = 0;
    enum err_code rc = ERR_OK;
    format_render(&m->format, instance, instance->example_count, &scratch, &sequence);
    for (uint32_t i = 0; rc == ERR_OK && i < sequence.segment_count; i++) {
        const struct segment *segment = &sequence.segments[i];
        size_t tokens = 1;
        if (segment->kind == SEGMENT_TEXT)
            rc = token_counter_text(&m->counter, segment->text, &tokens, err);
        all += tokens;
        sums->loss_tokens += segment->loss == LOSS_CONTENT ? (double)tokens : 0.0;
    }
    sums->sequences++;
    sums->examples += instance->example_count;
    sums->tokens += (double)all;
    sums->truncated += (long long)all > m->context;
    sums->described += instance->description != NULL;
    arena_release(&scratch);
    return rc;
}

static enum err_code measure_task(struct measure *m, const struct task *task, struct rows *rows,
                                  struct err *err)
{
    static const char *const splits[] = {"train", "test"};
    static const char *const types[] = {"multiple choice", "free text", "numeric"};
    struct sums sums = {0};
    int64_t most = task_sequences_max(task);
    uint32_t supply = task_supply(task);
    int64_t there = (int64_t)supply < most ? supply : most;
    enum err_code rc = ERR_OK;
    for (int64_t i = 0; rc == ERR_OK && i < there && i < m->sequences; i++) {
        struct arena arena = {0};
        struct instance instance;
        task_instance(task, &m->options, (uint32_t)i, &arena, &instance);
        rc = measure_sequence(m, &instance, &sums, err);
        arena_release(&arena);
    }
    struct rows_cell *cell = rows_add(rows);
    cell[0].text = task->name;
    cell[1].text = splits[task->split];
    cell[2].text = types[task->type];
    cell[3].integer = there;
    cell[4].integer = (int64_t)sums.sequences;
    cell[5].real = sums.examples / sums.sequences;
    cell[6].real = sums.tokens / sums.sequences;
    cell[7].real = sums.loss_tokens / sums.examples;
    cell[8].real = sums.truncated / sums.sequences;
    cell[9].real = sums.described / sums.sequences;
    cell[10].integer = (int64_t)task_left_out(task);
    return rc;
}

static enum err_code read_measure(const struct cli *cli, struct measure *m, struct err *err)
{
    const char *folder = cli_value(cli, "tokenizer");
    long long seed = 0;
    *m = (struct measure){.format = {.format = FORMAT_SPECTRUM,
                                     .style = turn_style_find("llama3"),
                                     .first_terminator = true},
                          .counter = {.count = count_tokens}};
    enum err_code rc = cli_integer(cli, "context", 1, 1000000000, &m->context, err);
    if (rc == ERR_OK)
        rc = cli_integer(cli, "sequences", 1, 1000000000, &m->sequences, err);
    if (rc == ERR_OK)
        rc = cli_integer(cli, "seed", 0, (long long)1e15, &seed, err);
    if (rc == ERR_OK)
        rc = cli_real(cli, "keep-description", 0.0, 1.0, &m->options.keep_description, err);
    m->options.root = rng_new((uint64_t)seed, "stats");
    if (rc == ERR_OK && folder)
        rc = tokenizer_load(folder, &m->tokenizer, err);
    return rc;
}

enum cli_exit verb_suite_stats(struct cli *cli)
{
    struct suite suite;
    struct measure measure;
    struct err err;
    struct rows rows;
    struct task **tasks;
    size_t count = 0, without_data;
    enum err_code rc = read_measure(cli, &measure, &err);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    measure.counter.ctx = &measure;
    rc = suite_open(cli, &suite, &err);
    if (rc != ERR_OK) {
        tokenizer_free(measure.tokenizer);
        return cli_fail(cli, &err);
    }
    rc = suite_select(cli, &suite, &tasks, &count, &err);
    if (rc == ERR_OK)
        rc = load_all(cli, &suite, tasks, &count, &without_data, &err);
    rows_init(&rows, &cli->arena, "triad.task_stats/1", stats_columns, ARRAY_COUNT(stats_columns));
    for (size_t i = 0; rc == ERR_OK && i < count; i++)
        rc = measure_task(&measure, tasks[i], &rows, &err);
    if (rc == ERR_OK)
        rows_print(&rows, cli);
    if (rc == ERR_OK && cli->output == OUTPUT_TABLE)
        cli_note(cli, "tokens are %s of the spectrum format; longer: share of sequences over %lld",
                 measure.tokenizer ? "those of the tokenizer" : "bytes", measure.context);
    token_counter_release(&measure.counter);
    tokenizer_free(measure.tokenizer);
    suite_release(&suite);
    return rc == ERR_OK ? EXIT_OK : cli_fail(cli, &err);
}
