/* triad model get. */
#include <sys/stat.h>
#include <unistd.h>

#include "blob_cache.h"
#include "connection.h"
#include "file.h"
#include "job_table.h"
#include "verbs.h"

/* What to fetch of a job: its result, or with --checkpoint what an attempt would resume from. */
static enum err_code choose_tree(struct cli *cli, const struct msg_job *job, struct digest *tree,
                                 struct err *err)
{
    const bool checkpoint = cli_flag(cli, "checkpoint");
    *tree = checkpoint ? job->resume : job->row.artifact;
    if (!digest_is_none(tree))
        return ERR_OK;
    if (checkpoint)
        return err_set(err, ERR_NOT_FOUND, "job '%s' has no checkpoint", job->row.label);
    if (job->row.kind == JOB_EVALUATE)
        return err_set(err, ERR_NOT_FOUND,
                       "job '%s' is an evaluation: it leaves records, not a model ('triad records "
                       "export')",
                       job->row.label);
    return err_set(err, ERR_NOT_FOUND, "job '%s' has no model: it is %s%s", job->row.label,
                   job_table_state_text(&job->row, &cli->arena),
                   digest_is_none(&job->resume) ? "" : "; --checkpoint gets its last checkpoint");
}

static void take_away(struct cli *cli, const char *cache, const struct digest *digest,
                      struct tree *tree)
{
    for (size_t i = 0; i < tree->file_count; i++)
        unlink(blob_cache_path(cache, &tree->files[i].digest, &cli->arena));
    unlink(blob_cache_path(cache, digest, &cli->arena));
    tree_release(tree);
}

/* The tree's files come into the state folder's cache, and leave it again once they have names. */
static enum err_code fetch(struct cli *cli, struct connection *c, const struct digest *digest,
                           const char *folder, struct err *err)
{
    const char *cache = arena_printf(&cli->arena, "%s/cache", cli_state_dir(cli));
    struct tree tree = {.files = NULL};
    int lock_fd = -1;
    enum err_code rc = connection_lock_cache(cli, &lock_fd, err);
    if (rc == ERR_OK)
        rc = client_get_tree(c->client, digest, err);
    if (rc == ERR_OK)
        rc = blob_cache_make_folder(cache, digest, folder, err);
    if (rc == ERR_OK && blob_cache_read_tree(cache, digest, &tree, NULL) == ERR_OK)
        take_away(cli, cache, digest, &tree);
    if (lock_fd >= 0)
        close(lock_fd);
    return rc;
}

enum cli_exit verb_model_get(struct cli *cli)
{
    struct err err;
    struct connection c = {0};
    const struct job_row *row = NULL;
    struct msg reply;
    struct digest tree;
    const char *folder = cli->arguments[1];
    enum err_code rc =
        file_exists(folder) /* before gigabytes were fetched for nothing */
            ? err_set(&err, ERR_CONFLICT, "'%s' is there already: name a new folder", folder)
            : connection_open(cli, CONNECTION_STATE, &c, &err);
    if (rc == ERR_OK)
        rc = job_table_resolve(&c, cli_value(cli, "experiment"), cli->arguments[0], &cli->arena,
                               &row, &err);
    if (rc == ERR_OK) {
        const struct msg request = {.kind = MSG_SHOW_JOB, .show_job = {.job = row->job}};
        rc = connection_call(&c, &request, MSG_JOB, &cli->arena, &reply, &err);
    }
    if (rc == ERR_OK)
        rc = choose_tree(cli, &reply.job, &tree, &err);
    if (rc == ERR_OK)
        rc = fetch(cli, &c, &tree, folder, &err);
    if (rc == ERR_OK) /* it was made for nobody but us */
        (void)!chmod(folder, cli_folder_mode());
    connection_close(&c);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    cli_note(cli, "wrote '%s'", folder);
    return EXIT_OK;
}
