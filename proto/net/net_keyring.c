#include "net_keyring.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "file.h"
#include "net_keys_internal.h"
#include "str.h"

#define ENTRY_BYTES_MAX 4096

bool net_keyring_name_is_good(const char *name)
{
    enum net_role role;
    size_t len = strlen(name);
    if (len == 0 || len >= NET_KEYRING_NAME_BYTES || *name == '.' || net_role_parse(name, &role))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i]))
            return false;
    }
    return true;
}

static enum err_code entry_path(const char *keys_folder, const char *name, char out[4096],
                                struct err *err)
{
    if (!net_keyring_name_is_good(name))
        return err_set(
            err, ERR_INVALID,
            "'%s' cannot name a key: use up to %d letters, digits, '.', '_' and '-', and "
            "not the name of a role",
            name, NET_KEYRING_NAME_BYTES - 1);
    int n = snprintf(out, 4096, "%s/allowed/%s.json", keys_folder, name);
    return n > 0 && n < 4096
               ? ERR_OK
               : err_set(err, ERR_LIMIT, "keys folder '%s': path too long", keys_folder);
}

enum err_code net_keyring_parse(const char *bytes, size_t len, const char *name,
                                struct net_keyring_entry *out, struct err *err)
{
    json_t *object;
    char role[16];
    struct net_keyring_entry entry;
    memset(&entry, 0, sizeof entry);
    enum err_code rc = net_key_parse_object(bytes, len, name, "triad_allowed", &object, err);
    if (rc != ERR_OK)
        return rc;
    rc = net_key_take_text(object, name, "role", role, sizeof role, err);
    if (rc == ERR_OK && !net_role_parse(role, &entry.role))
        rc = err_set(err, ERR_INVALID, "'%s': \"role\" is neither worker, client nor viewer", name);
    if (rc == ERR_OK)
        rc = net_key_take_key(object, name, "public", entry.key.z85, err);
    if (rc == ERR_OK)
        *out = entry;
    json_decref(object);
    return rc;
}

/* The entry in a file called `file`; false when it is none. */
static bool read_entry(const char *keys_folder, const char *file, struct net_keyring_entry *out,
                       struct err *err)
{
    char name[NET_KEYRING_NAME_BYTES + 8];
    char path[4096];
    char *text = NULL;
    size_t len = 0;
    size_t stem = strlen(file) - strlen(".json");
    snprintf(name, sizeof name, "%.*s", (int)(stem < sizeof name ? stem : sizeof name), file);
    enum err_code rc = entry_path(keys_folder, name, path, err);
    if (rc == ERR_OK)
        rc = file_read(path, ENTRY_BYTES_MAX, &text, &len, err);
    if (rc == ERR_OK)
        rc = net_keyring_parse(text, len, path, out, err);
    free(text);
    if (rc == ERR_OK)
        memcpy(out->name, name, strlen(name) + 1); /* entry_path() has checked its length */
    return rc == ERR_OK;
}

static int by_name(const void *a, const void *b)
{
    const struct net_keyring_entry *x = a;
    const struct net_keyring_entry *y = b;
    return strcmp(x->name, y->name);
}

static enum err_code append(struct net_keyring *keyring, const struct net_keyring_entry *entry,
                            const char *keys_folder, struct err *err)
{
    if (keyring->count == NET_KEYRING_MAX)
        return err_set(err, ERR_LIMIT, "'%s/allowed' holds more than %d keys", keys_folder,
                       NET_KEYRING_MAX);
    struct net_keyring_entry *grown =
        realloc(keyring->entries, (keyring->count + 1) * sizeof *grown);
    ASSERT(grown != NULL);
    keyring->entries = grown;
    keyring->entries[keyring->count++] = *entry;
    return ERR_OK;
}

enum err_code net_keyring_load(const char *keys_folder, struct net_keyring *out,
                               void (*refused)(const struct err *why), struct err *err)
{
    char folder[4096];
    struct net_keyring keyring = {0};
    enum err_code rc = ERR_OK;
    int n = snprintf(folder, sizeof folder, "%s/allowed", keys_folder);
    if (n < 0 || (size_t)n >= sizeof folder)
        return err_set(err, ERR_LIMIT, "keys folder '%s': path too long", keys_folder);
    DIR *dir = opendir(folder);
    if (!dir && errno != ENOENT)
        return err_os(err, errno, "list the allowed keys in '%s'", folder);
    for (struct dirent *file; rc == ERR_OK && dir && (file = readdir(dir)) != NULL;) {
        struct net_keyring_entry entry;
        struct err why;
        size_t len = strlen(file->d_name);
        if (file->d_name[0] == '.' || len <= 5 || strcmp(file->d_name + len - 5, ".json") != 0)
            continue;
        if (read_entry(keys_folder, file->d_name, &entry, &why))
            rc = append(&keyring, &entry, keys_folder, err);
        else if (refused)
            refused(&why);
    }
    if (dir)
        closedir(dir);
    if (rc != ERR_OK) {
        net_keyring_release(&keyring);
        return rc;
    }
    if (keyring.count > 0)
        qsort(keyring.entries, keyring.count, sizeof *keyring.entries, by_name);
    *out = keyring;
    return ERR_OK;
}

void net_keyring_release(struct net_keyring *keyring)
{
    free(keyring->entries);
    *keyring = (struct net_keyring){0};
}

/* fsync KEYS/allowed, so that a key admitted or revoked stays so. */
static enum err_code sync_allowed(const char *keys_folder, struct err *err)
{
    char folder[4096];
    snprintf(folder, sizeof folder, "%s/allowed", keys_folder);
    return file_sync_dir(folder, err);
}

enum err_code net_keyring_add(const char *keys_folder, const struct net_keyring_entry *entry,
                              struct err *err)
{
    char path[4096];
    char folder[4096];
    enum err_code rc = entry_path(keys_folder, entry->name, path, err);
    if (rc != ERR_OK)
        return rc;
    snprintf(folder, sizeof folder, "%s/allowed", keys_folder);
    rc = file_mkdirs(folder, 0700, err);
    if (rc == ERR_OK && file_exists(path))
        rc = err_set(err, ERR_CONFLICT, "a key named '%s' is allowed already", entry->name);
    if (rc != ERR_OK)
        return rc;
    json_t *object = json_pack("{s:i, s:s, s:s}", "triad_allowed", 1, "role",
                               net_role_name(entry->role), "public", entry->key.z85);
    ASSERT(object != NULL);
    char *text = json_dumps(object, JSON_INDENT(2));
    ASSERT(text != NULL);
    /* In one step: the coordinator may look at any moment. */
    rc = file_write_atomic(path, text, strlen(text), 0600, err);
    free(text);
    json_decref(object);
    return rc;
}

enum err_code net_keyring_remove(const char *keys_folder, const char *name, struct err *err)
{
    char path[4096];
    enum err_code rc = entry_path(keys_folder, name, path, err);
    if (rc != ERR_OK)
        return rc;
    if (unlink(path) == 0)
        return sync_allowed(keys_folder, err);
    return errno == ENOENT ? err_set(err, ERR_NOT_FOUND, "no key named '%s' is allowed", name)
                           : err_os(err, errno, "remove '%s'", path);
}
