/* triad tokenizer train: learn a vocabulary from texts. */
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "tokenizer.h"
#include "tokenizer_train.h"
#include "verbs.h"

/* A text is read whole. */
#define FILE_BYTES_MAX ((size_t)512 * 1024 * 1024)

enum { SPECIALS_MAX = 1024, CONTEXT = 4096 };

/* The tokens of --specials, which are separated by commas; "" for none. */
static enum err_code read_specials(struct cli *cli, const char **out, size_t *count_out,
                                   struct err *err)
{
    const char *given = cli_value(cli, "specials");
    *count_out = 0;
    if (!given) {
        for (size_t i = 0; i < TOKENIZER_FAMILY_SPECIALS_COUNT; i++)
            out[(*count_out)++] = tokenizer_family_specials[i];
        return ERR_OK;
    }
    char *list = arena_strdup(&cli->arena, given);
    char *rest = NULL;
    for (char *name = strtok_r(list, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        if (*count_out == SPECIALS_MAX)
            return err_set(err, ERR_LIMIT, "--specials: more than %d tokens", SPECIALS_MAX);
        out[(*count_out)++] = name;
    }
    return ERR_OK;
}

static enum err_code add_files(const struct cli *cli, struct tokenizer_trainer *trainer,
                               double *megabytes, struct err *err)
{
    enum err_code rc = ERR_OK;
    for (int i = 0; rc == ERR_OK && i < cli->argument_count; i++) {
        char *text = NULL;
        size_t len = 0;
        rc = file_read(cli->arguments[i], FILE_BYTES_MAX, &text, &len, err);
        if (rc == ERR_OK)
            rc = tokenizer_trainer_add(trainer, (struct str){text, len}, err);
        *megabytes += (double)len * 1e-6;
        free(text);
    }
    return rc;
}

static enum err_code write_folder(struct cli *cli, const struct tokenizer *tokenizer,
                                  const char *folder, struct err *err)
{
    struct strbuf json = {0};
    struct strbuf config = {0};
    const char *path = arena_printf(&cli->arena, "%s/tokenizer.json", folder);
    const char *config_path = arena_printf(&cli->arena, "%s/tokenizer_config.json", folder);
    tokenizer_print(tokenizer, &json);
    tokenizer_print_config(tokenizer, CONTEXT, &config);
    enum err_code rc = file_mkdirs(folder, 0755, err);
    if (rc == ERR_OK && (file_exists(path) || file_exists(config_path)))
        rc = err_set(err, ERR_CONFLICT,
                     "'%s' already holds a tokenizer; remove it or name another folder", folder);
    if (rc == ERR_OK)
        rc = file_write_atomic(config_path, config.data, config.len, cli_file_mode(), err);
    if (rc == ERR_OK)
        rc = file_write_atomic(path, json.data, json.len, cli_file_mode(), err);
    strbuf_release(&json);
    strbuf_release(&config);
    return rc;
}

enum cli_exit verb_tokenizer_train(struct cli *cli)
{
    struct err err;
    struct tokenizer_trainer *trainer = NULL;
    struct tokenizer *tokenizer = NULL;
    const char *specials[SPECIALS_MAX];
    struct tokenizer_train_options options = {.specials = specials};
    long long vocabulary = 0;
    double megabytes = 0;
    const char *folder = cli_value(cli, "out");
    if (!folder) {
        err_set(&err, ERR_INVALID, "tokenizer train: name the folder to make with --out");
        return cli_fail(cli, &err);
    }
    enum err_code rc = cli_integer(cli, "vocabulary", 257, 1 << 21, &vocabulary, &err);
    if (rc == ERR_OK)
        rc = read_specials(cli, specials, &options.specials_count, &err);
    if (rc == ERR_OK)
        rc = tokenizer_trainer_new(&trainer, &err);
    if (rc == ERR_OK)
        rc = add_files(cli, trainer, &megabytes, &err);
    options.vocabulary = (int32_t)vocabulary;
    if (rc == ERR_OK)
        rc = tokenizer_trainer_finish(trainer, &options, &tokenizer, &err);
    if (rc == ERR_OK)
        rc = write_folder(cli, tokenizer, folder, &err);
    if (rc == ERR_OK) {
        int32_t learned = tokenizer_vocabulary(tokenizer);
        cli_note(cli, "learned %d entries from %.2f MB and wrote '%s/tokenizer.json'", learned,
                 megabytes, folder);
        if (tokenizer_trainer_replaced(trainer) > 0)
            cli_note(cli, "the texts are not UTF-8 in %zu places: U+FFFD stands there",
                     tokenizer_trainer_replaced(trainer));
        if (learned < vocabulary)
            cli_note(cli, "no pair occurs twice beyond that: %lld entries need more text",
                     vocabulary);
    }
    tokenizer_free(tokenizer);
    tokenizer_trainer_free(trainer);
    return rc == ERR_OK ? EXIT_OK : cli_fail(cli, &err);
}
