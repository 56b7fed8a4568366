/* triad backup: the coordinator copies its database while it works; blobs never change, so that
 * linking all there are afterwards gives everything that the copied database names. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob_folder.h"
#include "connection.h"
#include "file.h"
#include "human.h"
#include "verbs.h"

#define POLL_MS       50
#define PID_BYTES_MAX ((size_t)64)

struct copied {
    uint64_t files, bytes;
};

/* Within one file system a second name, else the bytes. */
static enum err_code copy_file(const char *from, const char *to, struct err *err)
{
    if (link(from, to) == 0)
        return ERR_OK;
    if (errno != EXDEV && errno != EPERM && errno != EMLINK && errno != EOPNOTSUPP)
        return err_os(err, errno, "link '%s' to '%s'", from, to);
    return file_copy(from, to, 0600, err);
}

/* The plain files of a folder, into a folder of the same name elsewhere. */
static enum err_code copy_files(const char *from, const char *to, struct copied *copied,
                                struct err *err)
{
    DIR *dir = opendir(from);
    if (dir == NULL)
        return errno == ENOENT ? ERR_OK : err_os(err, errno, "look into '%s'", from);
    enum err_code rc = file_mkdirs(to, 0700, err);
    const struct dirent *entry;
    while (rc == ERR_OK && (errno = 0, entry = readdir(dir)) != NULL) {
        struct stat info;
        char source[4096], target[4096];
        if (snprintf(source, sizeof source, "%s/%s", from, entry->d_name) >= (int)sizeof source ||
            snprintf(target, sizeof target, "%s/%s", to, entry->d_name) >= (int)sizeof target)
            rc = err_set(err, ERR_LIMIT, "a path in '%s' is too long", from);
        else if (lstat(source, &info) == 0 && S_ISREG(info.st_mode)) {
            rc = copy_file(source, target, err);
            copied->files++;
            copied->bytes += (uint64_t)info.st_size;
        }
    }
    if (rc == ERR_OK && errno != 0) /* the folder ended too early */
        rc = err_os(err, errno, "look into '%s'", from);
    closedir(dir);
    return rc == ERR_OK ? file_sync_dir(to, err) : rc;
}

static enum err_code copy_blobs(struct arena *arena, const char *state, const char *folder,
                                struct copied *copied, struct err *err)
{
    const char *shared = NULL; /* the copy is whole: it holds the blobs of a shared store, too */
    struct digest token;
    enum err_code rc = blob_folder_noted(state, arena, &shared, &token, err);
    for (unsigned first = 0; first < 256 && rc == ERR_OK; first++)
        rc = copy_files(arena_printf(arena, "%s/blobs/%02x", shared ? shared : state, first),
                        arena_printf(arena, "%s/blobs/%02x", folder, first), copied, err);
    return rc;
}

static enum err_code copy_database(struct cli *cli, struct connection *c, const char *folder,
                                   struct err *err)
{
    struct msg reply;
    const struct msg request = {.kind = MSG_BACKUP, .backup = {.folder = folder}};
    for (;;) {
        enum err_code rc = connection_call(c, &request, MSG_BACKUP_STATE, &cli->arena, &reply, err);
        if (rc != ERR_OK || reply.backup_state.complete)
            return rc;
        poll(NULL, 0, POLL_MS);
    }
}

/* Blobs and keys are copied from here, so the coordinator must be that of this folder: one that was
 * named by --access may be another, or on another machine. */
static enum err_code check_state(struct cli *cli, struct connection *c, struct err *err)
{
    struct msg reply;
    const char *state = cli_state_dir(cli);
    const struct msg request = {.kind = MSG_GET_INFO};
    enum err_code rc = connection_call(c, &request, MSG_INFO, &cli->arena, &reply, err);
    if (rc != ERR_OK)
        return rc;
    struct err none;
    char *text = NULL;
    size_t len = 0;
    const char *path = arena_printf(&cli->arena, "%s/coordinator.pid", state);
    const bool is_here = connection_state_is_served(state) &&
                         file_read(path, PID_BYTES_MAX, &text, &len, &none) == ERR_OK &&
                         strtoll(text, NULL, 10) == (long long)reply.info.pid;
    free(text);
    return is_here ? ERR_OK
                   : err_set(err, ERR_CONFLICT,
                             "that coordinator's state is '%s', not '%s': make the copy on its "
                             "machine, with --state",
                             reply.info.state_dir, state);
}

/* The folder that is to be made, without slashes behind it; it must be new, so that nothing there
 * is mixed with the copy. */
static enum err_code find_place(struct cli *cli, const char **out, struct err *err)
{
    size_t len = strlen(cli->arguments[0]);
    while (len > 1 && cli->arguments[0][len - 1] == '/')
        len--;
    *out = arena_strndup(&cli->arena, cli->arguments[0], len);
    return file_exists(*out)
               ? err_set(err, ERR_CONFLICT, "'%s' is there already: name a new folder", *out)
               : ERR_OK;
}

/* The copy is made beside its place and gets its name when it is whole: what is killed meanwhile
 * cannot be taken for a backup. As an absolute path. */
static enum err_code make_folder(struct cli *cli, const char *place, const char **out,
                                 struct err *err)
{
    char *path = arena_printf(&cli->arena, "%s.part-XXXXXX", place);
    if (!mkdtemp(path))
        return file_create_failed(place, errno, err);
    char *absolute = realpath(path, NULL);
    if (absolute == NULL)
        return err_os(err, errno, "find '%s'", path);
    *out = arena_strdup(&cli->arena, absolute);
    free(absolute);
    return ERR_OK;
}

static enum err_code give_name(struct cli *cli, const char *folder, const char *place,
                               struct err *err)
{
    if (rename(folder, place) != 0)
        return err_os(err, errno, "rename to '%s'", place);
    return file_sync_dir(dirname(arena_strdup(&cli->arena, place)), err);
}

static void drop_part(const struct cli *cli, const char *folder)
{
    struct err err;
    if (file_remove_tree(folder, &err) != ERR_OK)
        cli_note(cli, "'%s' is no whole copy, remove it: %s", folder, err.text);
}

enum cli_exit verb_backup(struct cli *cli)
{
    struct err err;
    struct connection c = {0};
    struct copied copied = {0};
    const char *folder = NULL, *place = NULL;
    const char *state = cli_state_dir(cli);
    enum err_code rc = find_place(cli, &place, &err);
    if (rc == ERR_OK)
        rc = connection_open(cli, CONNECTION_STATE, &c, &err);
    if (rc == ERR_OK)
        rc = check_state(cli, &c, &err);
    if (rc == ERR_OK)
        rc = make_folder(cli, place, &folder, &err);
    if (rc == ERR_OK)
        rc = copy_database(cli, &c, folder, &err);
    connection_close(&c);
    if (rc == ERR_OK)
        rc = copy_blobs(&cli->arena, state, folder, &copied, &err);
    if (rc == ERR_OK)
        rc = copy_files(arena_printf(&cli->arena, "%s/keys", state),
                        arena_printf(&cli->arena, "%s/keys", folder), &copied, &err);
    if (rc == ERR_OK) /* and whom they let in */
        rc = copy_files(arena_printf(&cli->arena, "%s/keys/allowed", state),
                        arena_printf(&cli->arena, "%s/keys/allowed", folder), &copied, &err);
    if (rc == ERR_OK)
        rc = give_name(cli, folder, place, &err);
    if (rc != ERR_OK && folder)
        drop_part(cli, folder);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    char size[HUMAN_SIZE];
    cli_note(cli, "'%s' holds the state: database, %" PRIu64 " files of %s", place, copied.files,
             human_bytes(copied.bytes, size));
    return EXIT_OK;
}
