/* triad model import. */
#include <libgen.h>
#include <string.h>

#include "convert_llama2c.h"
#include "file.h"
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
