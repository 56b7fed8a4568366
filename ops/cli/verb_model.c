/* triad model import | inspect. */
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>

#include "checkpoint.h"
#include "convert_llama2c.h"
#include "file.h"
#include "human.h"
#include "model_family.h"
#include "rows.h"
#include "tokenizer.h"
#include "verbs.h"

enum cli_exit verb_model_import(struct cli *cli)
{
    struct err err;
    const char *layout = cli_value(cli, "from");
    const char *weights = cli->arguments[0], *folder = cli->arguments[1];
    const char *tokenizer = cli_value(cli, "tokenizer");
    if (strcmp(layout, "llama2c") != 0) {
        err_set(&err, ERR_INVALID, "--from: no layout '%s'; there is llama2c", layout);
        cli_fail(cli, &err);
        return EXIT_USAGE;
    }
    if (!tokenizer) {
        char *copy = arena_strdup(&cli->arena, weights);
        tokenizer = arena_printf(&cli->arena, "%s/tok512.bin", dirname(copy));
    }
    enum err_code rc = ERR_OK;
    if (file_exists(arena_printf(&cli->arena, "%s/model.safetensors", folder)))
        rc = err_set(&err, ERR_CONFLICT,
                     "'%s' already holds a model; remove it or name another folder", folder);
    if (rc == ERR_OK)
        rc = llama2c_convert(weights, tokenizer, folder, &err);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    cli_note(cli, "wrote '%s'; 'triad model inspect' shows it, 'triad generate' lets it speak",
             folder);
    return EXIT_OK;
}

static const struct rows_column tensor_columns[] = {
    {"tensor", "TENSOR", ROWS_TEXT},
    {"rows", "ROWS", ROWS_INTEGER},
    {"cols", "COLS", ROWS_INTEGER},
    {"parameters", "PARAMETERS", ROWS_INTEGER},
};
enum { TENSOR_COLUMNS = sizeof tensor_columns / sizeof tensor_columns[0] };

static void add_tensors(struct rows *rows, const struct model_config *config)
{
    const size_t count = tensor_spec_count(config);
    for (size_t i = 0; i < count; i++) {
        const struct tensor_spec spec = tensor_spec_at(config, i);
        struct rows_cell *cell = rows_add(rows);
        cell[0].text = arena_strdup(rows->arena, spec.name);
        cell[1].integer = spec.rows;
        cell[2].integer = spec.cols;
        cell[3].integer = (int64_t)tensor_spec_elements(&spec);
    }
}

static void print_config(const char *folder, const struct model_config *c)
{
    char text[HUMAN_SIZE];
    printf("folder      %s\n"
           "model       %s: %d layers, width %d, %d heads of %d, %d key/value heads, mlp %d\n"
           "context     %d tokens, rope theta %g, norm eps %g\n"
           "vocabulary  %d, head %s\n"
           "parameters  %s\n",
           folder, model_family(c->kind)->name, c->layers, c->width, c->heads, c->head_dim,
           c->kv_heads, c->mlp_width, c->context, c->rope_theta, c->norm_eps, c->vocabulary,
           c->head_tied ? "tied to the embedding" : "a matrix of its own",
           human_count((double)model_config_parameters(c), text));
}

static void print_specials(const struct tokenizer *tokenizer)
{
    const char *gap = "";
    printf("specials    ");
    for (int32_t id = 0; id < tokenizer_vocabulary(tokenizer); id++) {
        if (!tokenizer_is_special(tokenizer, id))
            continue;
        const struct str text = tokenizer_token(tokenizer, id);
        printf("%s%" PRId32 " %.*s", gap, id, (int)text.len, text.data);
        gap = ", ";
    }
    printf("%s\n\n", *gap ? "" : "none");
}

enum cli_exit verb_model_inspect(struct cli *cli)
{
    struct err err;
    struct checkpoint *checkpoint = NULL;
    struct tokenizer *tokenizer = NULL;
    struct rows rows;
    const char *folder = cli->arguments[0];
    rows_init(&rows, &cli->arena, "triad.model/1", tensor_columns, TENSOR_COLUMNS);
    enum err_code rc = checkpoint_open(folder, &checkpoint, &err);
    if (rc == ERR_OK)
        rc = tokenizer_load(folder, &tokenizer, &err);
    if (rc == ERR_OK) {
        const struct model_config *config = checkpoint_config(checkpoint);
        const struct rows_total totals[] = {
            {"parameters", (double)model_config_parameters(config)},
            {"layers", config->layers},
            {"width", config->width},
            {"heads", config->heads},
            {"kv_heads", config->kv_heads},
            {"head_dim", config->head_dim},
            {"mlp", config->mlp_width},
            {"context", config->context},
            {"vocabulary", config->vocabulary},
            {"tokens", tokenizer_vocabulary(tokenizer)},
        };
        rows.totals = totals;
        rows.total_count = sizeof totals / sizeof totals[0];
        add_tensors(&rows, config);
        if (cli->output == OUTPUT_TABLE) {
            print_config(folder, config);
            print_specials(tokenizer);
        }
        rows_print(&rows, cli);
    }
    tokenizer_free(tokenizer);
    checkpoint_close(checkpoint);
    return rc == ERR_OK ? EXIT_OK : cli_fail(cli, &err);
}
