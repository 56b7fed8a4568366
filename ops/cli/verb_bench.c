/* triad bench: how fast this machine computes, and where the time goes. */
#include <stdio.h>
#include <unistd.h>

#include "bench_run.h"
#include "bench_shape.h"
#include "kernels.h"
#include "rows.h"
#include "verbs.h"

typedef enum err_code bench_f(struct bench_report *report, const struct bench_options *options,
                              struct err *err);

/* The options that all have; `tokens_max` is the shape's context. */
static enum err_code read_options(struct cli *cli, struct bench_options *o, struct err *err)
{
    long long threads = sysconf(_SC_NPROCESSORS_ONLN), rounds = 0, tokens = 0;
    char choice[64];
    enum err_code rc = bench_shape_find(cli_value(cli, "shape"), &o->shape, err);
    if (rc == ERR_OK && cli_value(cli, "threads"))
        rc = cli_integer(cli, "threads", 1, 1024, &threads, err);
    if (rc == ERR_OK)
        rc = cli_integer(cli, "rounds", 1, 64, &rounds, err);
    if (rc == ERR_OK)
        rc = cli_integer(cli, "tokens", 2, o->shape.context, &tokens, err);
    if (rc != ERR_OK)
        return rc;
    snprintf(choice, sizeof choice, "%.24s/%.24s", cli_value(cli, "backend"),
             cli_value(cli, "precision"));
    if (!kernel_use(choice))
        return err_set(err, ERR_INVALID, "no products of --backend and --precision %s: %s", choice,
                       kernel_lack(choice));
    kernel_threads_set((int)threads);
    o->rounds = (int)rounds;
    o->tokens = (size_t)tokens;
    o->loss_share = 1;
    return ERR_OK;
}

static enum err_code read_size(struct cli *cli, const char *name, long long max, size_t *out,
                               struct err *err)
{
    long long value = 0;
    enum err_code rc = cli_integer(cli, name, 0, max, &value, err);
    *out = (size_t)value;
    return rc;
}

static const struct rows_column csv_columns[] = {
    {"name", NULL, ROWS_TEXT}, {"value", NULL, ROWS_TEXT}, {"unit", NULL, ROWS_TEXT}};

static void add_row(struct rows *rows, const char *name, const char *value, const char *unit)
{
    struct rows_cell *cell = rows_add(rows);
    cell[0].text = name;
    cell[1].text = value;
    cell[2].text = unit;
}

/* One line a figure; of a breakdown, the milliseconds of each operation. */
static void print_csv(struct cli *cli, json_t *root)
{
    const char *name = NULL;
    json_t *value = NULL, *op = NULL;
    size_t i = 0;
    struct rows rows;
    rows_init(&rows, &cli->arena, "triad.bench/1", csv_columns, 3);
    json_object_foreach(root, name, value)
    {
        if (json_is_string(value))
            add_row(&rows, name, json_string_value(value), "");
        else if (json_is_object(value))
            add_row(&rows, name,
                    arena_printf(&cli->arena, "%.17g",
                                 json_real_value(json_object_get(value, "value"))),
                    json_string_value(json_object_get(value, "unit")));
        json_array_foreach(value, i, op) add_row(
            &rows,
            arena_printf(&cli->arena, "%s: %s", name,
                         json_string_value(json_object_get(op, "operation"))),
            arena_printf(&cli->arena, "%.17g", json_real_value(json_object_get(op, "ms"))), "ms");
    }
    rows_print(&rows, cli);
}

static enum cli_exit run(struct cli *cli, const char *name, bench_f *bench,
                         const struct bench_options *options)
{
    struct bench_report report;
    struct err err;
    bench_report_begin(&report, name, cli_value(cli, "shape"), cli->output != OUTPUT_TABLE);
    enum err_code rc = bench(&report, options, &err);
    if (rc == ERR_OK && cli->output == OUTPUT_JSON)
        rows_print_document(json_incref(report.root));
    else if (rc == ERR_OK && cli->output == OUTPUT_CSV)
        print_csv(cli, report.root);
    if (rc == ERR_OK)
        rc = bench_report_end(&report, cli_value(cli, "json"), &err);
    return rc == ERR_OK ? EXIT_OK : cli_fail(cli, &err);
}

enum cli_exit verb_bench_kernels(struct cli *cli)
{
    struct bench_options options = {0};
    struct err err;
    if (read_options(cli, &options, &err) != ERR_OK)
        return cli_fail(cli, &err);
    return run(cli, "kernels", bench_kernels, &options);
}

enum cli_exit verb_bench_train(struct cli *cli)
{
    struct bench_options options = {0};
    struct err err;
    enum err_code rc = read_options(cli, &options, &err);
    if (rc == ERR_OK)
        rc = read_size(cli, "step-tokens", 1 << 24, &options.step_tokens, &err);
    return rc == ERR_OK ? run(cli, "train", bench_train, &options) : cli_fail(cli, &err);
}

enum cli_exit verb_bench_score(struct cli *cli)
{
    struct bench_options options = {0};
    long long percent = 100;
    struct err err;
    enum err_code rc = read_options(cli, &options, &err);
    if (rc == ERR_OK)
        rc = cli_integer(cli, "loss-percent", 1, 100, &percent, &err);
    options.loss_share = (double)percent / 100;
    options.folder = cli_value(cli, "model");
    options.save = cli_value(cli, "save");
    return rc == ERR_OK ? run(cli, "score", bench_score, &options) : cli_fail(cli, &err);
}

enum cli_exit verb_bench_generate(struct cli *cli)
{
    struct bench_options options = {0};
    struct err err;
    enum err_code rc = read_options(cli, &options, &err);
    if (rc == ERR_OK)
        rc = read_size(cli, "candidates", 100000, &options.candidates, &err);
    if (rc == ERR_OK)
        rc = read_size(cli, "texts", 4096, &options.texts, &err);
    if (rc == ERR_OK)
        rc = read_size(cli, "text-tokens", 4096, &options.text_tokens, &err);
    return rc == ERR_OK ? run(cli, "generate", bench_generate, &options) : cli_fail(cli, &err);
}
