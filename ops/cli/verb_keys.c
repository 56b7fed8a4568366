/* triad keys init | list | export | rotate | revoke: who may connect to the coordinator of a state
 * folder. All but the first change files in its folder of keys; a running coordinator
 * follows within a second. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "net_keys.h"
#include "net_keyring.h"
#include "rows.h"
#include "start.h"
#include "verbs.h"

static enum err_code keys_folder(struct cli *cli, const char **out, struct err *err)
{
    const char *state = NULL;
    enum err_code rc = start_state_dir(cli, &state, err);
    *out = cli_value(cli, "keys");
    if (rc == ERR_OK && !*out)
        *out = arena_printf(&cli->arena, "%s/keys", state);
    return rc;
}

enum cli_exit verb_keys_init(struct cli *cli)
{
    struct err err;
    const char *folder = NULL;
    enum err_code rc = keys_folder(cli, &folder, &err);
    if (rc == ERR_OK)
        rc = net_server_keys_init(folder, &err);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    cli_note(cli, "made server.key, client.key and worker.key in '%s'; keep them private", folder);
    return EXIT_OK;
}

/* ---- list ---- */

static const struct rows_column key_columns[] = {
    {"name", "NAME", ROWS_TEXT},
    {"role", "ROLE", ROWS_TEXT},
    {"public", "PUBLIC KEY", ROWS_TEXT},
};

static void add_key(struct rows *rows, const char *name, enum net_role role,
                    const struct net_public_key *key)
{
    const struct rows_cell values[] = {
        {.text = arena_strdup(rows->arena, name)},
        {.text = net_role_name(role)},
        {.text = arena_strdup(rows->arena, key->z85)},
    };
    memcpy(rows_add(rows), values, sizeof values);
}

static void warn_refused(const struct err *why)
{
    fprintf(stderr, "triad: admits nobody: %s\n", why->text);
}

enum cli_exit verb_keys_list(struct cli *cli)
{
    struct err err;
    const char *folder = NULL;
    struct net_server_keys own;
    struct net_keyring keyring = {0};
    enum err_code rc = keys_folder(cli, &folder, &err);
    if (rc == ERR_OK)
        rc = net_server_keys_load(folder, &own, &err);
    if (rc == ERR_NOT_FOUND)
        err_set(&err, rc, "there are no keys in '%s': make them with 'triad keys init'", folder);
    if (rc == ERR_OK)
        rc = net_keyring_load(folder, &keyring, warn_refused, &err);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    struct rows rows;
    rows_init(&rows, &cli->arena, "triad.keys/1", key_columns, ARRAY_COUNT(key_columns));
    add_key(&rows, "worker", NET_WORKER, &own.worker.public_key);
    add_key(&rows, "client", NET_CLIENT, &own.client.public_key);
    for (size_t i = 0; i < keyring.count; i++)
        add_key(&rows, keyring.entries[i].name, keyring.entries[i].role, &keyring.entries[i].key);
    explicit_bzero(&own, sizeof own);
    net_keyring_release(&keyring);
    rows_print(&rows, cli);
    return EXIT_OK;
}

/* ---- export ---- */

static enum err_code wanted_role(const struct cli *cli, enum net_role *out, struct err *err)
{
    int given = 0;
    for (enum net_role role = NET_WORKER; role <= NET_VIEWER; role = (enum net_role)(role * 2)) {
        if (cli_flag(cli, net_role_name(role))) {
            *out = role;
            given++;
        }
    }
    return given == 1
               ? ERR_OK
               : err_set(err, ERR_INVALID, "say for whom: one of --worker, --client and --viewer");
}

static bool is_loopback(const char *endpoint)
{
    return strstr(endpoint, "//127.") || strstr(endpoint, "//localhost");
}

/* The access file of a new key: as the running coordinator's own one of that door, with a pair of
 * its own. */
static enum err_code new_access(struct cli *cli, const char *state, enum net_role role,
                                struct net_access *out, struct err *err)
{
    const char *door = role == NET_WORKER ? "worker" : "client";
    const char *path = arena_printf(&cli->arena, "%s/%s.access", state, door);
    enum err_code rc = net_access_load(path, out, err);
    if (rc == ERR_NOT_FOUND)
        return err_set(
            err, ERR_NOT_FOUND,
            "'%s' is not there, so nobody knows yet where the coordinator listens: start "
            "it once, then export",
            path);
    if (rc != ERR_OK)
        return rc;
    snprintf(out->role, sizeof out->role, "%s", net_role_name(role));
    net_key_pair_new(&out->own);
    return ERR_OK;
}

enum cli_exit verb_keys_export(struct cli *cli)
{
    struct err err;
    const char *folder = NULL;
    const char *state = NULL;
    struct net_access access;
    struct net_keyring_entry entry = {0};
    const char *name = cli->arguments[0];
    const char *path = cli_value(cli, "out");
    if (!path)
        path = arena_printf(&cli->arena, "%s.access", name);
    enum err_code rc = wanted_role(cli, &entry.role, &err);
    if (rc == ERR_OK && !net_keyring_name_is_good(name))
        rc = err_set(&err, ERR_INVALID,
                     "'%s' cannot name a key: use letters, digits, '.', '_' and '-', and not the "
                     "name of a role",
                     name);
    if (rc == ERR_OK)
        rc = keys_folder(cli, &folder, &err);
    if (rc == ERR_OK)
        rc = start_state_dir(cli, &state, &err);
    if (rc == ERR_OK)
        rc = new_access(cli, state, entry.role, &access, &err);
    /* The secret first: a key that is admitted but lost would be of no use. */
    if (rc == ERR_OK)
        rc = net_access_save(path, &access, &err);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    snprintf(entry.name, sizeof entry.name, "%s", name);
    entry.key = access.own.public_key;
    explicit_bzero(&access.own, sizeof access.own);
    rc = net_keyring_add(folder, &entry, &err);
    if (rc != ERR_OK) {
        unlink(path); /* made above */
        return cli_fail(cli, &err);
    }
    cli_note(cli,
             "'%s' lets one %s in as '%s': copy it there with mode 0600, and keep no other copy",
             path, net_role_name(entry.role), name);
    if (is_loopback(access.endpoint))
        cli_note(cli, "the coordinator listens on this machine only; for others start it with "
                      "--listen 0.0.0.0 and, if they know it by another name, --advertise HOST");
    return EXIT_OK;
}

/* ---- revoke, rotate ---- */

enum cli_exit verb_keys_revoke(struct cli *cli)
{
    struct err err;
    const char *folder = NULL;
    const char *name = cli->arguments[0];
    enum net_role role;
    enum err_code rc = keys_folder(cli, &folder, &err);
    if (rc == ERR_OK && net_role_parse(name, &role))
        rc = err_set(&err, ERR_INVALID,
                     "the coordinator's own %s key cannot be revoked, only replaced: triad keys "
                     "rotate %s --at-once",
                     name, name);
    if (rc == ERR_OK)
        rc = net_keyring_remove(folder, name, &err);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    cli_note(cli, "'%s' is refused from now on, also on connections that are open", name);
    return EXIT_OK;
}

/* Keep admitting the replaced key, under a name that says what it is. */
static enum err_code keep_former(struct cli *cli, const char *folder, enum net_role role,
                                 const struct net_public_key *key, const char **name_out,
                                 struct err *err)
{
    struct net_keyring_entry entry = {.role = role, .key = *key};
    enum err_code rc = ERR_CONFLICT;
    for (int i = 1; rc == ERR_CONFLICT && i <= NET_KEYRING_MAX; i++) {
        snprintf(entry.name, sizeof entry.name, "former-%s-%d", net_role_name(role), i);
        rc = net_keyring_add(folder, &entry, err);
    }
    *name_out = arena_strdup(&cli->arena, entry.name);
    return rc;
}

enum cli_exit verb_keys_rotate(struct cli *cli)
{
    struct err err;
    const char *folder = NULL;
    const char *former = NULL;
    const char *name = cli->arguments[0];
    enum net_role role = NET_WORKER;
    struct net_server_keys own;
    enum err_code rc = keys_folder(cli, &folder, &err);
    if (rc == ERR_OK && (!net_role_parse(name, &role) || role == NET_VIEWER))
        rc = err_set(&err, ERR_INVALID,
                     "rotate worker or client; a key that was exported is replaced by exporting "
                     "another and revoking it");
    if (rc == ERR_OK)
        rc = net_server_keys_load(folder, &own, &err);
    /* The former key is admitted under its new name before the own one changes: no worker is ever
     * shut out in between. */
    if (rc == ERR_OK && !cli_flag(cli, "at-once"))
        rc = keep_former(cli, folder, role,
                         role == NET_WORKER ? &own.worker.public_key : &own.client.public_key,
                         &former, &err);
    if (rc == ERR_OK)
        rc = net_server_keys_rotate(folder, role, &err);
    explicit_bzero(&own, sizeof own);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    if (former)
        cli_note(cli,
                 "a new %s key; a running coordinator writes it into STATE/%s.access within a "
                 "second. The former one stays valid: when nobody uses it any more, "
                 "'triad keys revoke %s'",
                 name, name, former);
    else
        cli_note(cli, "a new %s key; the former one is refused from now on", name);
    return EXIT_OK;
}
