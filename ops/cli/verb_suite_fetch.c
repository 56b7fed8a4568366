/* triad suite fetch: what may be downloaded, after its licence was shown and agreed to. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "fetch.h"
#include "file.h"
#include "human.h"
#include "rows.h"
#include "suite_open.h"
#include "verbs.h"

static const struct rows_column fetch_columns[] = {
    {"file", "FILE", ROWS_TEXT},       {"result", "RESULT", ROWS_TEXT},
    {"bytes", "BYTES", ROWS_INTEGER},  {"resumed", "CONTINUED AT", ROWS_INTEGER},
    {"digest", "DIGEST", ROWS_DIGEST},
};

/* Is the file there and, where its digest is known, the right one? */
static bool is_there(const char *path, const struct source_file *file)
{
    struct digest wanted, found;
    struct err ignored;
    if (!file_exists(path))
        return false;
    if (!file->digest || !digest_from_hex(file->digest, &wanted))
        return true;
    return hash_file(path, &found, &ignored) == ERR_OK && digest_equal(&wanted, &found);
}

static enum err_code fetch_one(struct cli *cli, const char *folder, const struct source_file *file,
                               struct rows *rows, struct err *err)
{
    struct digest wanted;
    struct fetch_result result = {0};
    char hex[DIGEST_HEX_SIZE];
    bool checks =
        file->digest && !cli_flag(cli, "accept-changed") && digest_from_hex(file->digest, &wanted);
    struct fetch_request request = {.url = file->url,
                                    .path = arena_printf(&cli->arena, "%s/%s", folder, file->path),
                                    .digest = checks ? &wanted : NULL};
    struct rows_cell *cell = rows_add(rows);
    cell[0].text = request.path;
    cell[4].text = "";
    if (is_there(request.path, file)) {
        cell[1].text = "is there";
        return ERR_OK;
    }
    cli_note(cli, "%s", file->url);
    enum err_code rc = fetch_file(&request, &result, err);
    cell[1].text = rc == ERR_OK ? "fetched" : arena_strdup(&cli->arena, err->text);
    cell[2].integer = result.bytes;
    cell[3].integer = result.resumed;
    if (rc == ERR_OK)
        cell[4].text = arena_strdup(&cli->arena, digest_hex(&result.digest, hex));
    return rc;
}

/* Show the terms, and take --yes or a typed yes as agreement. */
static enum err_code agree(struct cli *cli, const struct source *source, struct err *err)
{
    char answer[16] = "";
    fprintf(stderr, "%s: %s\naddress: %s\nlicence: %s\n", source->name, source->title,
            source->address, source->licence);
    if (cli_flag(cli, "yes"))
        return ERR_OK;
    if (!isatty(STDIN_FILENO))
        return err_set(err, ERR_DENIED,
                       "nobody is there to agree to the licence of '%s'; read it, then add --yes",
                       source->name);
    fprintf(stderr, "Fetch under these terms? Type yes: ");
    if (!fgets(answer, sizeof answer, stdin) || strncmp(answer, "yes\n", 4) != 0)
        return err_set(err, ERR_CANCELLED, "nothing was fetched");
    return ERR_OK;
}

static enum err_code check_access(const struct source *source, struct err *err)
{
    if (source->access == SOURCE_EMBEDDED)
        return err_set(err, ERR_INVALID, "the data of '%s' come with Triad", source->name);
    for (size_t i = 0; i < source->file_count; i++) {
        if (source->files[i].url)
            return ERR_OK;
    }
    return err_set(err, ERR_DENIED, "'%s' cannot be fetched for you. %s", source->name,
                   source->how ? source->how : source->address);
}

static enum err_code fetch_source(struct cli *cli, const struct source *source, struct rows *rows,
                                  struct err *err)
{
    const char *folder = arena_printf(&cli->arena, "%s/%s", cli_data_dir(cli), source->name);
    enum err_code rc = check_access(source, err), first = ERR_OK;
    struct err problem;
    if (rc == ERR_OK)
        rc = agree(cli, source, err);
    for (size_t i = 0; rc == ERR_OK && i < source->file_count; i++) {
        if (!source->files[i].url)
            continue;
        enum err_code one = fetch_one(cli, folder, &source->files[i], rows, &problem);
        if (one != ERR_OK && first == ERR_OK) { /* go on: the others may come */
            first = one;
            *err = problem;
        }
    }
    if (rc == ERR_OK && first == ERR_OK && source->how)
        cli_note(cli, "%s", source->how);
    if (rc == ERR_OK && first == ERR_OK && source->convert)
        cli_note(cli, "now convert them, in %s:\n  %s", folder, source->convert);
    return rc != ERR_OK ? rc : first;
}

enum cli_exit verb_suite_fetch(struct cli *cli)
{
    struct suite suite;
    struct err err;
    struct rows rows;
    enum err_code rc = suite_open(cli, &suite, &err);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    rows_init(&rows, &cli->arena, "triad.fetched/1", fetch_columns, ARRAY_COUNT(fetch_columns));
    rc = fetch_start(&err);
    for (int i = 0; rc == ERR_OK && i < cli->argument_count; i++) {
        const char *name = cli->arguments[i];
        const struct task *task = suite_find(&suite, name);
        const struct source *source = suite_find_source(&suite, task ? task->source : name);
        if (source)
            rc = fetch_source(cli, source, &rows, &err);
        else if (task)
            rc = err_set(&err, ERR_INVALID, "the data of '%s' come with Triad", task->name);
        else
            rc = err_set(&err, ERR_NOT_FOUND, "no source or task is called '%.64s'", name);
    }
    fetch_stop();
    if (rows.row_count > 0)
        rows_print(&rows, cli);
    fflush(stdout);
    suite_release(&suite);
    return rc == ERR_OK ? EXIT_OK : cli_fail(cli, &err);
}
