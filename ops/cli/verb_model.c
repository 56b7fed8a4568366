/* triad model import | convert: folders of models. */
#include <libgen.h>
#include <string.h>

#include "checkpoint.h"
#include "checkpoint_files.h"
#include "convert_llama2c.h"
#include "file.h"
#include "hf_cache.h"
#include "verbs.h"

static enum err_code check_free(struct cli *cli, const char *folder, struct err *err)
{
    if (!file_exists(arena_printf(&cli->arena, "%s/config.json", folder)))
        return ERR_OK;
    return err_set(err, ERR_CONFLICT,
                   "'%s' already holds a model; remove it or name another folder", folder);
}

enum cli_exit verb_model_import(struct cli *cli)
{
    struct err err;
    const char *layout = cli_value(cli, "from");
    const char *weights = cli->arguments[0], *folder = cli->arguments[1];
    const char *tokenizer = cli_value(cli, "tokenizer");
    if (strcmp(layout, "llama2c") != 0) {
        err_set(&err, ERR_INVALID, "--from: no layout '%s'; there is llama2c", layout);
        return cli_fail(cli, &err);
    }
    if (!tokenizer) {
        char *copy = arena_strdup(&cli->arena, weights);
        tokenizer = arena_printf(&cli->arena, "%s/tok512.bin", dirname(copy));
    }
    enum err_code rc = check_free(cli, folder, &err);
    if (rc == ERR_OK)
        rc = llama2c_convert(weights, tokenizer, folder, &err);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    cli_note(cli, "wrote '%s'; 'triad model inspect' shows it, 'triad generate' lets it speak",
             folder);
    return EXIT_OK;
}

/* Write a model folder as --dtype says; without it, the same bytes. */
static enum err_code write_model(struct cli *cli, const char *from, const char *to, struct err *err)
{
    const char *dtype = cli_value(cli, "dtype");
    if (!dtype)
        return checkpoint_copy(from, to, err);
    if (strcmp(dtype, "f32") == 0)
        return checkpoint_convert(from, to, TENSOR_F32, err);
    if (strcmp(dtype, "bf16") == 0)
        return checkpoint_convert(from, to, TENSOR_BF16, err);
    return err_set(err, ERR_INVALID, "--dtype: '%.20s' is neither f32 nor bf16", dtype);
}

enum cli_exit verb_model_convert(struct cli *cli)
{
    struct err err;
    const char *from = NULL, *to = cli->arguments[1];
    enum err_code rc = check_free(cli, to, &err);
    if (rc == ERR_OK)
        rc = hf_folder(cli->arguments[0], &cli->arena, &from, &err);
    if (rc == ERR_OK)
        rc = write_model(cli, from, to, &err);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    cli_note(cli, "wrote '%s'", to);
    return EXIT_OK;
}
